// SPDX-License-Identifier: Apache-2.0
//
// tp_uart_tx: bytes to an asynchronous serial line, 8 data bits, no parity, one stop bit.
//
// In    a stream of bytes.
// Out   the line from a register; idle high, least significant bit first.
// Rate  one byte in ten bits; edges lie within one cycle of their place, without drift.
// Not   does not look at any flow control of the receiver.

`include "tp_assert.svh"

module tp_uart_tx #(
  parameter int unsigned ClockKhz = 25000,
  parameter int unsigned Baud = 3000000
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       in_valid_i,  // late
  output logic       in_ready_o,  // early
  input  logic [7:0] in_data_i,   // late
  output logic       tx_o         // early
);

  `TP_REQUIRE(Baud >= 300 && 64'(ClockKhz) * 1000 >= 64'(Baud) * 8)

  localparam int unsigned PhaseWidth = 24;
  localparam longint unsigned ClockHz = 64'(ClockKhz) * 1000;
  localparam longint unsigned Step = ((64'(Baud) << PhaseWidth) + ClockHz / 2) / ClockHz;

  logic                  tick_q;
  logic [PhaseWidth-1:0] phase_q;
  logic                  busy_q;
  logic [           3:0] count_q;  // bits that are out
  logic [           8:0] shift_q;  // what follows the bit on the line: data, then the stop bit
  logic                  line_q;

  // The phase runs on between bytes of a burst, so a byte waits for the end of a bit.
  assign in_ready_o = busy_q ? tick_q && count_q == 4'd9 : 1'b1;
  assign tx_o       = line_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      busy_q  <= 1'b0;
      tick_q  <= 1'b0;
      phase_q <= '0;
      count_q <= '0;
      line_q  <= 1'b1;
    end else begin
      if (busy_q) {tick_q, phase_q} <= {1'b0, phase_q} + (PhaseWidth + 1)'(Step);
      else {tick_q, phase_q} <= (PhaseWidth + 1)'(Step);
      if (in_valid_i && in_ready_o) begin
        busy_q  <= 1'b1;
        count_q <= '0;
        line_q  <= 1'b0;
      end else if (busy_q && tick_q) begin
        if (count_q == 4'd9) busy_q <= 1'b0;
        count_q <= count_q + 4'd1;
        line_q  <= count_q == 4'd9 || shift_q[0];
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (in_valid_i && in_ready_o) shift_q <= {1'b1, in_data_i};
    else if (tick_q) shift_q <= {1'b1, shift_q[8:1]};
  end

  `TP_ASSERT(CountLegal_A, !busy_q || count_q <= 4'd9)
  `TP_ASSERT(IdleIsHigh_A, busy_q || line_q)
  `TP_COVER(BackToBack_C, busy_q && in_valid_i && in_ready_o)

endmodule
