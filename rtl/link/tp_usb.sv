// SPDX-License-Identifier: Apache-2.0
//
// tp_usb: the link's byte streams over a full-speed USB device of its own.
//
// In    bytes to send to the host; the lines of the bus, 60 MHz for it.
// Out   received bytes; the lines, their enable and the pull-up of D+; whether a program on the
//       host has the link open.
// Rate  19 packets of 64 bytes a millisecond each way, as full speed allows.
// Not   has no pads. Bytes move only while open_o is high; it is low after a bus reset, too. A fall
//       of open_o is a reset of both streams: what waits is dropped, in valid streams too.
//
// The two resets belong together; either alone closes the link.

`include "tp_assert.svh"

module tp_usb #(
  parameter int unsigned Serial = 0,  // the serial number, as eight hexadecimal digits
  parameter int unsigned IdleCycles = 256,  // of the core, until a packet that is not full is sent
  parameter int unsigned AttachCycles = 3000000,  // of the bus: before the pull-up,
  parameter int unsigned ResetCycles = 300,  // until SE0 is a reset,
  parameter int unsigned SuspendCycles = 180000  // until J is suspend
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       clk_usb_i,      // 60 MHz
  input  logic       rst_usb_ni,     // of that clock
  input  logic       usb_dp_i,       // any clock
  input  logic       usb_dn_i,       // any clock
  output logic       usb_dp_o,       // early
  output logic       usb_dn_o,       // early
  output logic       usb_drive_o,    // early; output enable of both lines
  output logic       usb_pull_up_o,  // early; 1.5 kOhm at D+
  input  logic       in_valid_i,     // early; to be sent
  output logic       in_ready_o,     // early
  input  logic [7:0] in_data_i,      // early
  output logic       out_valid_o,    // early; received
  input  logic       out_ready_i,    // late
  output logic [7:0] out_data_o,     // early
  output logic       open_o,         // early
  output logic       suspended_o     // early; the bus is idle for long, or there is none
);

  logic       open;
  logic       usb_reset;
  logic       usb_suspended;
  logic       usb_idle;
  logic       usb_receive_active;
  logic       usb_receive_valid;
  logic [7:0] usb_receive_data;
  logic       usb_receive_error;
  logic       usb_send_valid;
  logic       usb_send_ready;
  logic [7:0] usb_send_data;
  logic [6:0] usb_address;
  logic       usb_configured;
  logic       usb_halt_out;
  logic       usb_halt_in;
  logic       usb_clear_out;
  logic       usb_clear_in;
  logic       usb_setup_token;
  logic       usb_setup_write;
  logic       usb_setup_valid;
  logic       usb_control_in;
  logic       usb_control_out;
  logic       usb_control_toggle;
  logic [6:0] usb_control_bytes;
  logic [8:0] usb_control_place;
  logic       usb_control_acked;
  logic       usb_link_open;
  logic       usb_link_close;
  logic       usb_open;
  logic       usb_clear;
  logic       usb_out_free;
  logic       usb_out_write;
  logic       usb_out_commit;
  logic       usb_in_valid;
  logic       usb_in_acked;
  logic [6:0] usb_write_place;
  logic [7:0] usb_write_data;
  logic       usb_read_control;
  logic [6:0] usb_read_place;
  logic [7:0] usb_read_data;

  tp_usb_phy #(
    .AttachCycles (AttachCycles),
    .ResetCycles  (ResetCycles),
    .SuspendCycles(SuspendCycles)
  ) u_phy (
    .clk_i           (clk_usb_i),
    .rst_ni          (rst_usb_ni),
    .dp_i            (usb_dp_i),
    .dn_i            (usb_dn_i),
    .dp_o            (usb_dp_o),
    .dn_o            (usb_dn_o),
    .drive_o         (usb_drive_o),
    .pull_up_o       (usb_pull_up_o),
    .reset_o         (usb_reset),
    .suspended_o     (usb_suspended),
    .idle_o          (usb_idle),
    .receive_active_o(usb_receive_active),
    .receive_valid_o (usb_receive_valid),
    .receive_data_o  (usb_receive_data),
    .receive_error_o (usb_receive_error),
    .send_valid_i    (usb_send_valid),
    .send_ready_o    (usb_send_ready),
    .send_data_i     (usb_send_data)
  );

  tp_usb_packets u_packets (
    .clk_i           (clk_usb_i),
    .rst_ni          (rst_usb_ni),
    .reset_i         (usb_reset),
    .idle_i          (usb_idle),
    .drive_i         (usb_drive_o),
    .receive_active_i(usb_receive_active),
    .receive_valid_i (usb_receive_valid),
    .receive_data_i  (usb_receive_data),
    .receive_error_i (usb_receive_error),
    .send_valid_o    (usb_send_valid),
    .send_ready_i    (usb_send_ready),
    .send_data_o     (usb_send_data),
    .address_i       (usb_address),
    .configured_i    (usb_configured),
    .open_i          (usb_open),
    .halt_out_i      (usb_halt_out),
    .halt_in_i       (usb_halt_in),
    .clear_out_i     (usb_clear_out),
    .clear_in_i      (usb_clear_in),
    .setup_token_o   (usb_setup_token),
    .setup_valid_o   (usb_setup_valid),
    .control_in_i    (usb_control_in),
    .control_out_i   (usb_control_out),
    .control_toggle_i(usb_control_toggle),
    .control_bytes_i (usb_control_bytes),
    .control_acked_o (usb_control_acked),
    .out_free_i      (usb_out_free),
    .out_write_o     (usb_out_write),
    .out_commit_o    (usb_out_commit),
    .in_valid_i      (usb_in_valid),
    .in_acked_o      (usb_in_acked),
    .setup_write_o   (usb_setup_write),
    .write_place_o   (usb_write_place),
    .write_data_o    (usb_write_data),
    .read_control_o  (usb_read_control),
    .read_place_o    (usb_read_place),
    .read_data_i     (usb_read_data)
  );

  tp_usb_control u_control (
    .clk_i        (clk_usb_i),
    .rst_ni       (rst_usb_ni),
    .reset_i      (usb_reset),
    .setup_token_i(usb_setup_token),
    .setup_write_i(usb_setup_write),
    .setup_data_i (usb_write_data),
    .setup_valid_i(usb_setup_valid),
    .acked_i      (usb_control_acked),
    .in_o         (usb_control_in),
    .out_o        (usb_control_out),
    .toggle_o     (usb_control_toggle),
    .bytes_o      (usb_control_bytes),
    .place_o      (usb_control_place),
    .address_o    (usb_address),
    .configured_o (usb_configured),
    .halt_out_o   (usb_halt_out),
    .halt_in_o    (usb_halt_in),
    .clear_out_o  (usb_clear_out),
    .clear_in_o   (usb_clear_in),
    .link_open_o  (usb_link_open),
    .link_close_o (usb_link_close)
  );

  tp_usb_link u_link (
    .clk_usb_i  (clk_usb_i),
    .rst_usb_ni (rst_usb_ni),
    .usb_open_i (usb_link_open),
    .usb_close_i(usb_link_close),
    .usb_open_o (usb_open),
    .usb_clear_o(usb_clear),
    .clk_i      (clk_i),
    .rst_ni     (rst_ni),
    .open_o     (open)
  );

  // As late as the streams, which open resets.
  always_ff @(posedge clk_i) begin
    if (!rst_ni) open_o <= 1'b0;
    else open_o <= open;
  end

  tp_usb_out u_out (
    .clk_usb_i   (clk_usb_i),
    .usb_open_i  (usb_open),
    .usb_clear_i (usb_clear),
    .usb_free_o  (usb_out_free),
    .usb_write_i (usb_out_write),
    .usb_place_i (usb_write_place),
    .usb_data_i  (usb_write_data),
    .usb_commit_i(usb_out_commit),
    .clk_i       (clk_i),
    .rst_ni      (rst_ni),
    .open_i      (open),
    .valid_o     (out_valid_o),
    .ready_i     (out_ready_i),
    .data_o      (out_data_o)
  );

  tp_usb_in #(
    .Serial    (Serial),
    .IdleCycles(IdleCycles)
  ) u_in (
    .clk_i           (clk_i),
    .rst_ni          (rst_ni),
    .open_i          (open),
    .valid_i         (in_valid_i),
    .ready_o         (in_ready_o),
    .data_i          (in_data_i),
    .clk_usb_i       (clk_usb_i),
    .usb_open_i      (usb_open),
    .usb_clear_i     (usb_clear),
    .usb_valid_o     (usb_in_valid),
    .usb_acked_i     (usb_in_acked),
    .usb_control_i   (usb_read_control),
    .usb_descriptor_i(usb_control_place),
    .usb_place_i     (usb_read_place),
    .usb_data_o      (usb_read_data)
  );

  tp_sync u_suspended (
    .clk_i  (clk_i),
    .async_i(usb_suspended),
    .sync_o (suspended_o)
  );

  `TP_INPUT_RULE(PROVE_TP_USB, InHolds_M, !open_o || `TP_HOLDS(in_valid_i, in_ready_o, in_data_i))
  `TP_ASSERT(OutHolds_A, !open_o || `TP_HOLDS(out_valid_o, out_ready_i, out_data_o))
  `TP_ASSERT(ClosedStill_A, open_o || !(in_ready_o || out_valid_o))

endmodule
