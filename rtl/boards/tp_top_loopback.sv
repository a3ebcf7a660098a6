// SPDX-License-Identifier: Apache-2.0
//
// tp_top_loopback: ULX3S: every byte of the link comes back, over the way that it came.
//
// In    oscillator, serial line, USB, buttons.
// Out   serial line, USB, LEDs.
// Rate  as tp_board_link.
// Not   holds no core: it is what a new board, cable or flow of tools is tried with, in seconds.

module tp_top_loopback #(
  parameter int unsigned BuildId = 0,
  parameter int unsigned CoreKhz = 100000,
  parameter int unsigned Baud = 3000000,
  parameter int unsigned Usb = 0
) (
  input  logic       clk_25mhz_i,
  input  logic       uart_rx_i,
  output logic       uart_tx_o,
  inout  wire        usb_dp_io,
  inout  wire        usb_dn_io,
  inout  wire        usb_pull_up_io,
  input  logic [1:0] button_i,        // 0: power, low when pressed; 1: reset
  output logic [7:0] led_o,
  output logic       wifi_gpio0_o     // high keeps the ESP32 from taking the board over
);

  logic       clk;
  logic       rst_n;
  logic       clk_usb;
  logic       rst_usb_n;
  logic       dp;
  logic       dn;
  logic       dp_driven;
  logic       dn_driven;
  logic       drive;
  logic       pull_up;
  logic       loop_valid;
  logic       loop_ready;
  logic [7:0] loop_data;
  logic       open;
  logic       bad;
  logic       lost;

  tp_board_clock #(
    .CoreKhz(CoreKhz),
    .Usb    (Usb)
  ) u_clock (
    .clk_i     (clk_25mhz_i),
    .request_ni(button_i[0] && !button_i[1]),
    .clk_o     (clk),
    .rst_no    (rst_n),
    .clk_usb_o (clk_usb),
    .rst_usb_no(rst_usb_n)
  );

  tp_board_usb_pins u_usb_pins (
    .usb_dp_io     (usb_dp_io),
    .usb_dn_io     (usb_dn_io),
    .usb_pull_up_io(usb_pull_up_io),
    .dp_i          (dp_driven),
    .dn_i          (dn_driven),
    .drive_i       (drive),
    .pull_up_i     (pull_up),
    .dp_o          (dp),
    .dn_o          (dn)
  );

  tp_board_link #(
    .Usb     (Usb),
    .Serial  (BuildId),
    .ClockKhz(CoreKhz),
    .Baud    (Baud)
  ) u_link (
    .clk_i        (clk),
    .rst_ni       (rst_n),
    .clk_usb_i    (clk_usb),
    .rst_usb_ni   (rst_usb_n),
    .rx_i         (uart_rx_i),
    .tx_o         (uart_tx_o),
    .usb_dp_i     (dp),
    .usb_dn_i     (dn),
    .usb_dp_o     (dp_driven),
    .usb_dn_o     (dn_driven),
    .usb_drive_o  (drive),
    .usb_pull_up_o(pull_up),
    .in_valid_i   (loop_valid),
    .in_ready_o   (loop_ready),
    .in_data_i    (loop_data),
    .out_valid_o  (loop_valid),
    .out_ready_i  (loop_ready),
    .out_data_o   (loop_data),
    .open_o       (open),
    .bad_o        (bad),
    .lost_o       (lost)
  );

  tp_board_leds #(
    .ClockKhz(CoreKhz)
  ) u_leds (
    .clk_i     (clk),
    .rst_ni    (rst_n),
    .busy_i    (loop_valid),
    .step_i    (1'b0),
    .receive_i (loop_valid && loop_ready),
    .transmit_i(loop_valid && loop_ready),
    .open_i    (open),
    .error_i   (bad || lost),
    .led_o     (led_o)
  );

  assign wifi_gpio0_o = 1'b1;

endmodule
