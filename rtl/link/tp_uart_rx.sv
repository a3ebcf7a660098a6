// SPDX-License-Identifier: Apache-2.0
//
// tp_uart_rx: bytes from an asynchronous serial line, 8 data bits, no parity, one stop bit.
//
// In    the line, any clock; idle high, least significant bit first.
// Out   a flow of bytes; bad_o for one cycle for a byte whose stop bit is low, which is dropped.
// Rate  every byte of a sender whose clock differs by up to 2 %, back to back.
// Not   does not hold a byte that nobody takes.
//
// A phase accumulator counts bits: its carry is the middle of a bit. It starts at one half when the
// line falls, so the first carry looks at the middle of the start bit: a line that is high again
// there was a glitch.

`include "tp_assert.svh"

module tp_uart_rx #(
  parameter int unsigned ClockKhz = 25000,
  parameter int unsigned Baud = 3000000
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       rx_i,     // any clock
  output logic       valid_o,  // early
  output logic [7:0] data_o,   // early
  output logic       bad_o     // early
);

  // Eight cycles a bit leave half a bit less one cycle of sampling and one of counting.
  `TP_REQUIRE(Baud >= 300 && 64'(ClockKhz) * 1000 >= 64'(Baud) * 8)

  localparam int unsigned PhaseWidth = 24;
  localparam longint unsigned ClockHz = 64'(ClockKhz) * 1000;
  localparam longint unsigned Step = ((64'(Baud) << PhaseWidth) + ClockHz / 2) / ClockHz;
  // One step more: the cycle in which the fall is seen counts.
  localparam longint unsigned Start = (64'd1 << (PhaseWidth - 1)) + Step;

  typedef enum logic [1:0] {
    StIdle,   // the line is high, or has just fallen
    StStart,  // until the middle of the start bit
    StData,   // until the middle of the stop bit
    StBreak   // after a bad stop bit, until the line is high
  } state_e;

  state_e                  state_q;
  state_e                  state_d;
  logic                    line;
  logic                    tick_q;
  logic   [PhaseWidth-1:0] phase_q;
  logic   [           3:0] count_q;  // bits of the byte so far
  logic   [           7:0] shift_q;
  logic                    valid_d;
  logic                    bad_d;

  tp_sync u_sync (
    .clk_i  (clk_i),
    .async_i(rx_i),
    .sync_o (line)
  );

  always_comb begin
    state_d = state_q;
    valid_d = 1'b0;
    bad_d   = 1'b0;
    unique case (state_q)
      StIdle:  if (!line) state_d = StStart;
`ifdef TP_PLANT_BUG
      // The planted fault takes a glitch for a start bit.
      StStart: if (tick_q) state_d = StData;
`else
      StStart: if (tick_q) state_d = line ? StIdle : StData;
`endif
      StData: begin
        if (tick_q && count_q == 4'd8) begin
          valid_d = line;
          bad_d   = !line;
          state_d = line ? StIdle : StBreak;
        end
      end
      default: if (line) state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StBreak;
      valid_o <= 1'b0;
      bad_o   <= 1'b0;
      tick_q  <= 1'b0;
      phase_q <= '0;
      count_q <= '0;
    end else begin
      state_q <= state_d;
      valid_o <= valid_d;
      bad_o   <= bad_d;
      if (state_q == StIdle || state_q == StBreak) begin
        {tick_q, phase_q} <= (PhaseWidth + 1)'(Start);
      end else begin
        {tick_q, phase_q} <= {1'b0, phase_q} + (PhaseWidth + 1)'(Step);
      end
      if (state_q != StData) count_q <= '0;
      else if (tick_q) count_q <= count_q + 4'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (tick_q && state_q == StData && count_q != 4'd8) shift_q <= {line, shift_q[7:1]};
  end
  assign data_o = shift_q;

  `TP_ASSERT(CountLegal_A, count_q <= 4'd9)
  `TP_ASSERT(OneOutcome_A, !(valid_o && bad_o))
  `TP_COVER(Glitch_C, state_q == StStart && tick_q && line)
  `TP_COVER(Bad_C, bad_o)

endmodule
