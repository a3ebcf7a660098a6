// SPDX-License-Identifier: Apache-2.0
//
// tp_uart: the link's byte streams over an asynchronous serial line, 8N1, without flow control.
//
// In    bytes to send; the line rx_i.
// Out   received bytes; the line tx_o.
// Rate  one byte in ten bits each way; the baud rate is exact to 2^-24 of the clock.
// Not   cannot hold the sender back: bytes that find the receive queue full are lost, lost_o tells.
//       The host must not have more under way than the device can hold (README).

`include "tp_assert.svh"

module tp_uart #(
  parameter int unsigned ClockKhz = 25000,
  parameter int unsigned Baud = 3000000,
  parameter int unsigned Depth = 32  // bytes of the receive queue
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       rx_i,         // any clock
  output logic       tx_o,         // early
  input  logic       in_valid_i,   // early; to be sent
  output logic       in_ready_o,   // early
  input  logic [7:0] in_data_i,    // early
  output logic       out_valid_o,  // early; received
  input  logic       out_ready_i,  // late
  output logic [7:0] out_data_o,   // late
  output logic       bad_o,        // early; a byte without a stop bit was dropped
  output logic       lost_o        // early; a byte found the queue full
);

  logic                       byte_valid;
  logic [                7:0] byte_data;
  logic                       queue_ready;
  logic [$clog2(Depth+1)-1:0] unused_level;

  tp_uart_rx #(
    .ClockKhz(ClockKhz),
    .Baud    (Baud)
  ) u_rx (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .rx_i   (rx_i),
    .valid_o(byte_valid),
    .data_o (byte_data),
    .bad_o  (bad_o)
  );

  tp_fifo #(
    .Width(8),
    .Depth(Depth)
  ) u_queue (
    .clk_i      (clk_i),
    .rst_ni     (rst_ni),
    .in_valid_i (byte_valid && queue_ready),
    .in_ready_o (queue_ready),
    .in_data_i  (byte_data),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o (out_data_o),
    .level_o    (unused_level)
  );

  assign lost_o = byte_valid && !queue_ready;

  tp_uart_tx #(
    .ClockKhz(ClockKhz),
    .Baud    (Baud)
  ) u_tx (
    .clk_i     (clk_i),
    .rst_ni    (rst_ni),
    .in_valid_i(in_valid_i),
    .in_ready_o(in_ready_o),
    .in_data_i (in_data_i),
    .tx_o      (tx_o)
  );

  `TP_INPUT_RULE(PROVE_TP_UART, InHolds_M, `TP_HOLDS(in_valid_i, in_ready_o, in_data_i))
  `TP_ASSERT(OutHolds_A, `TP_HOLDS(out_valid_o, out_ready_i, out_data_o))

endmodule
