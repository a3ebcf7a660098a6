// SPDX-License-Identifier: Apache-2.0
//
// tp_usb_phy: a full-speed USB device's lines on one side, bytes of packets on the other.
//
// In    the lines, any clock; bytes to send (tp_usb_send).
// Out   the lines and their enable from registers; received bytes (tp_usb_receive); what the bus
//       says for long (tp_usb_line).
// Rate  12 Mbit/s.
// Not   knows nothing of PIDs and sums. The byte seam is the shape of UTMI, for another PHY.

`include "tp_assert.svh"

module tp_usb_phy #(
  parameter int unsigned AttachCycles  = 3000000,
  parameter int unsigned ResetCycles   = 300,
  parameter int unsigned SuspendCycles = 180000
) (
  input  logic       clk_i,             // 60 MHz
  input  logic       rst_ni,
  input  logic       dp_i,              // any clock
  input  logic       dn_i,              // any clock
  output logic       dp_o,              // early
  output logic       dn_o,              // early
  output logic       drive_o,           // early
  output logic       pull_up_o,         // early
  output logic       reset_o,           // early
  output logic       suspended_o,       // early
  output logic       idle_o,            // early; the line is J
  output logic       receive_active_o,  // early
  output logic       receive_valid_o,   // early
  output logic [7:0] receive_data_o,    // early
  output logic       receive_error_o,   // early; stands when active has fallen
  input  logic       send_valid_i,      // early
  output logic       send_ready_o,      // late
  input  logic [7:0] send_data_i        // late
);

  logic dp;
  logic dn;

  tp_sync u_dp (
    .clk_i  (clk_i),
    .async_i(dp_i),
    .sync_o (dp)
  );

  tp_sync u_dn (
    .clk_i  (clk_i),
    .async_i(dn_i),
    .sync_o (dn)
  );

  assign idle_o = dp && !dn;

  tp_usb_line #(
    .AttachCycles (AttachCycles),
    .ResetCycles  (ResetCycles),
    .SuspendCycles(SuspendCycles)
  ) u_line (
    .clk_i      (clk_i),
    .rst_ni     (rst_ni),
    .se0_i      (!dp && !dn),
    .j_i        (idle_o),
    .pull_up_o  (pull_up_o),
    .reset_o    (reset_o),
    .suspended_o(suspended_o)
  );

  tp_usb_receive u_receive (
    .clk_i   (clk_i),
    .rst_ni  (rst_ni),
    .dp_i    (dp),
    .dn_i    (dn),
    .hold_i  (drive_o || reset_o),
    .active_o(receive_active_o),
    .valid_o (receive_valid_o),
    .data_o  (receive_data_o),
    .error_o (receive_error_o)
  );

  tp_usb_send u_send (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .valid_i(send_valid_i),
    .ready_o(send_ready_o),
    .data_i (send_data_i),
    .dp_o   (dp_o),
    .dn_o   (dn_o),
    .busy_o (drive_o)
  );

  `TP_ASSERT(NotBoth_A, !(drive_o && receive_active_o && $past(drive_o) && $past(rst_ni)))

endmodule
