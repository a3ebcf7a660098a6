// SPDX-License-Identifier: Apache-2.0
//
// tp_top_loopback: ULX3S: every byte of the serial line comes back.
//
// In    oscillator, serial line, buttons.
// Out   serial line, LEDs.
// Rate  as tp_uart.
// Not   holds no core: it is what a new board, cable or flow of tools is tried with, in seconds.

module tp_top_loopback #(
  parameter int unsigned CoreKhz = 100000,
  parameter int unsigned Baud = 3000000
) (
  input  logic       clk_25mhz_i,
  input  logic       uart_rx_i,
  output logic       uart_tx_o,
  input  logic [1:0] button_i,     // 0: power, low when pressed; 1: reset
  output logic [7:0] led_o,
  output logic       wifi_gpio0_o  // high keeps the ESP32 from taking the board over
);

  logic       clk;
  logic       rst_n;
  logic       loop_valid;
  logic       loop_ready;
  logic [7:0] loop_data;
  logic       bad;
  logic       lost;

  tp_board_clock #(
    .CoreKhz(CoreKhz)
  ) u_clock (
    .clk_i     (clk_25mhz_i),
    .request_ni(button_i[0] && !button_i[1]),
    .clk_o     (clk),
    .rst_no    (rst_n)
  );

  tp_uart #(
    .ClockKhz(CoreKhz),
    .Baud    (Baud)
  ) u_uart (
    .clk_i      (clk),
    .rst_ni     (rst_n),
    .rx_i       (uart_rx_i),
    .tx_o       (uart_tx_o),
    .in_valid_i (loop_valid),
    .in_ready_o (loop_ready),
    .in_data_i  (loop_data),
    .out_valid_o(loop_valid),
    .out_ready_i(loop_ready),
    .out_data_o (loop_data),
    .bad_o      (bad),
    .lost_o     (lost)
  );

  tp_board_leds #(
    .ClockKhz(CoreKhz)
  ) u_leds (
    .clk_i     (clk),
    .rst_ni    (rst_n),
    .busy_i    (loop_valid),
    .step_i    (1'b0),
    .receive_i (loop_valid && loop_ready),
    .transmit_i(!uart_tx_o),
    .error_i   (bad || lost),
    .led_o     (led_o)
  );

  assign wifi_gpio0_o = 1'b1;

endmodule
