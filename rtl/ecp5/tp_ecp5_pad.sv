// SPDX-License-Identifier: Apache-2.0
//
// tp_ecp5_pad: a pin that is driven both ways, the cell BB.
//
// Out   the pin, driven to data_i while drive_i is high; data_o is its level, whoever drives it.
// Not   has no registers; level and strength are for the constraints of the board to say.

`include "tp_ecp5.svh"

`ifdef TP_ECP5_BLACK_BOXES
(* blackbox *)
module BB (
  inout  wire  B,
  input  logic I,
  T,
  output logic O
);
endmodule
`endif

module tp_ecp5_pad (
  inout  wire  pad_io,
  input  logic drive_i,  // early
  input  logic data_i,   // early
  output logic data_o    // any clock
);

`ifdef TP_ECP5_BLACK_BOXES
  BB u_pad (
    .B(pad_io),
    .I(data_i),
    .T(!drive_i),
    .O(data_o)
  );
`else
  assign pad_io = drive_i ? data_i : 1'bz;
  assign data_o = pad_io;
`endif

endmodule
