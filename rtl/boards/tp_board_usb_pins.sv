// SPDX-License-Identifier: Apache-2.0
//
// tp_board_usb_pins: the pads of a full-speed USB device: D+, D- and the pull-up of D+.
//
// In    what the device drives.
// Out   the pins; the level of D+ and D-. The pull-up is driven high or not at all: a low would
//       pull D+ down.
// Not   has no registers and no pull-down; the resistors are the board's.

module tp_board_usb_pins (
  inout  wire  usb_dp_io,
  inout  wire  usb_dn_io,
  inout  wire  usb_pull_up_io,
  input  logic dp_i,            // early
  input  logic dn_i,            // early
  input  logic drive_i,         // early; output enable of both
  input  logic pull_up_i,       // early
  output logic dp_o,            // any clock
  output logic dn_o             // any clock
);

  logic unused_pull_up;

  tp_ecp5_pad u_dp (
    .pad_io (usb_dp_io),
    .drive_i(drive_i),
    .data_i (dp_i),
    .data_o (dp_o)
  );

  tp_ecp5_pad u_dn (
    .pad_io (usb_dn_io),
    .drive_i(drive_i),
    .data_i (dn_i),
    .data_o (dn_o)
  );

  tp_ecp5_pad u_pull_up (
    .pad_io (usb_pull_up_io),
    .drive_i(pull_up_i),
    .data_i (1'b1),
    .data_o (unused_pull_up)
  );

endmodule
