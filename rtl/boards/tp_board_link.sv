// SPDX-License-Identifier: Apache-2.0
//
// tp_board_link: the link of a board: its serial line, and USB if the board has it.
//
// In    bytes to the host; the lines.
// Out   bytes from the host; the lines; open_o: a program on the host has the link open over USB.
// Rate  as tp_uart and tp_usb.
// Not   has no pads. USB is used while it is open, the serial line otherwise (tp_link_select);
//       without Usb there is the serial line alone, and the pins of USB rest.

module tp_board_link #(
  parameter int unsigned Usb = 0,
  parameter int unsigned Serial = 0,  // of USB, as eight hexadecimal digits
  parameter int unsigned AttachCycles = 3000000,  // of USB
  parameter int unsigned ClockKhz = 100000,
  parameter int unsigned Baud = 3000000
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       clk_usb_i,      // 60 MHz
  input  logic       rst_usb_ni,     // of that clock
  input  logic       rx_i,           // any clock
  output logic       tx_o,           // early
  input  logic       usb_dp_i,       // any clock
  input  logic       usb_dn_i,       // any clock
  output logic       usb_dp_o,       // early, of clk_usb_i, as the next three
  output logic       usb_dn_o,       // early
  output logic       usb_drive_o,    // early
  output logic       usb_pull_up_o,  // early
  input  logic       in_valid_i,     // early; to be sent
  output logic       in_ready_o,     // early
  input  logic [7:0] in_data_i,      // early
  output logic       out_valid_o,    // early; received
  input  logic       out_ready_i,    // late
  output logic [7:0] out_data_o,     // late
  output logic       open_o,         // early
  output logic       bad_o,          // early; the serial line had a byte without a stop bit
  output logic       lost_o          // early; it had a byte more than the queue takes
);

  logic       uart_in_valid;
  logic       uart_in_ready;
  logic [7:0] uart_in_data;
  logic       uart_out_valid;
  logic       uart_out_ready;
  logic [7:0] uart_out_data;

  tp_uart #(
    .ClockKhz(ClockKhz),
    .Baud    (Baud)
  ) u_uart (
    .clk_i      (clk_i),
    .rst_ni     (rst_ni),
    .rx_i       (rx_i),
    .tx_o       (tx_o),
    .in_valid_i (uart_in_valid),
    .in_ready_o (uart_in_ready),
    .in_data_i  (uart_in_data),
    .out_valid_o(uart_out_valid),
    .out_ready_i(uart_out_ready),
    .out_data_o (uart_out_data),
    .bad_o      (bad_o),
    .lost_o     (lost_o)
  );

  if (Usb != 0) begin : gen_usb
    logic       usb_in_valid;
    logic       usb_in_ready;
    logic [7:0] usb_in_data;
    logic       usb_out_valid;
    logic       usb_out_ready;
    logic [7:0] usb_out_data;
    logic       unused_suspended;

    tp_usb #(
      .Serial      (Serial),
      .AttachCycles(AttachCycles)
    ) u_usb (
      .clk_i        (clk_i),
      .rst_ni       (rst_ni),
      .clk_usb_i    (clk_usb_i),
      .rst_usb_ni   (rst_usb_ni),
      .usb_dp_i     (usb_dp_i),
      .usb_dn_i     (usb_dn_i),
      .usb_dp_o     (usb_dp_o),
      .usb_dn_o     (usb_dn_o),
      .usb_drive_o  (usb_drive_o),
      .usb_pull_up_o(usb_pull_up_o),
      .in_valid_i   (usb_in_valid),
      .in_ready_o   (usb_in_ready),
      .in_data_i    (usb_in_data),
      .out_valid_o  (usb_out_valid),
      .out_ready_i  (usb_out_ready),
      .out_data_o   (usb_out_data),
      .open_o       (open_o),
      .suspended_o  (unused_suspended)
    );

    tp_link_select u_select (
      .clk_i           (clk_i),
      .rst_ni          (rst_ni),
      .open_i          (open_o),
      .in_valid_i      (in_valid_i),
      .in_ready_o      (in_ready_o),
      .in_data_i       (in_data_i),
      .out_valid_o     (out_valid_o),
      .out_ready_i     (out_ready_i),
      .out_data_o      (out_data_o),
      .uart_in_valid_i (uart_out_valid),
      .uart_in_ready_o (uart_out_ready),
      .uart_in_data_i  (uart_out_data),
      .uart_out_valid_o(uart_in_valid),
      .uart_out_ready_i(uart_in_ready),
      .uart_out_data_o (uart_in_data),
      .usb_in_valid_i  (usb_out_valid),
      .usb_in_ready_o  (usb_out_ready),
      .usb_in_data_i   (usb_out_data),
      .usb_out_valid_o (usb_in_valid),
      .usb_out_ready_i (usb_in_ready),
      .usb_out_data_o  (usb_in_data)
    );
  end else begin : gen_no_usb
    logic unused_usb;

    assign unused_usb     = &{clk_usb_i, rst_usb_ni, usb_dp_i, usb_dn_i};
    assign usb_dp_o       = 1'b0;
    assign usb_dn_o       = 1'b0;
    assign usb_drive_o    = 1'b0;
    assign usb_pull_up_o  = 1'b0;
    assign open_o         = 1'b0;
    assign uart_in_valid  = in_valid_i;
    assign in_ready_o     = uart_in_ready;
    assign uart_in_data   = in_data_i;
    assign out_valid_o    = uart_out_valid;
    assign uart_out_ready = out_ready_i;
    assign out_data_o     = uart_out_data;
  end

endmodule
