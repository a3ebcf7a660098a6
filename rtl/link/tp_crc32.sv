// SPDX-License-Identifier: Apache-2.0
//
// tp_crc32: CRC-32 of IEEE 802.3 over a byte flow.
//
// In    start_i begins a new sum (before the first byte); then any number of bytes.
// Out   crc_o: the register (not inverted) over all bytes up to the cycle before. The CRC of a
//       frame is its complement; a frame followed by its CRC leaves tp_link_pkg::CrcResidue.
// Rate  one byte per cycle.
// Not   start_i and valid_i are not raised in the same cycle.

`include "tp_assert.svh"

module tp_crc32
  import tp_link_pkg::*;
(
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        start_i,  // early
  input  logic        valid_i,  // late
  input  logic [ 7:0] data_i,   // late
  output logic [31:0] crc_o     // early
);

  logic [31:0] crc_q;
  logic [ 7:0] data;

  assign crc_o = crc_q;
`ifdef TP_PLANT_BUG
  // The planted fault misses the highest bit of the data.
  assign data = data_i & 8'h7f;
`else
  assign data = data_i;
`endif

  always_ff @(posedge clk_i) begin
    if (!rst_ni || start_i) crc_q <= CrcStart;
    else if (valid_i) crc_q <= crc32_byte(crc_q, data);
  end

  `TP_ASSERT(StartOrByte_A, !(start_i && valid_i))
  `TP_COVER(Residue_C, crc_q == CrcResidue)

endmodule
