// SPDX-License-Identifier: Apache-2.0
//
// tp_board_leds: what eight LEDs say of the device.
//
// Out   0 blinks once a second while the clock runs; 1 is on out of reset; 2 busy; 3 steps;
//       4 bytes in; 5 bytes out; 6 is on while a program has the link open over USB; 7 is on after
//       an error until reset. Short events are stretched, so that they can be seen.

`include "tp_assert.svh"

module tp_board_leds #(
  parameter int unsigned ClockKhz = 25000
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       busy_i,      // late
  input  logic       step_i,      // early; for one cycle
  input  logic       receive_i,   // late; for one cycle
  input  logic       transmit_i,  // early; for one cycle
  input  logic       open_i,      // early
  input  logic       error_i,     // late; for one cycle
  output logic [7:0] led_o        // early
);

  // Half a second; events show for a sixteenth of it or more.
  localparam int unsigned HalfCycles = ClockKhz * 500;
  localparam int unsigned TickCycles = HalfCycles / 16;
  localparam int unsigned CountWidth = $clog2(TickCycles);

  logic [CountWidth-1:0]      count_q;
  logic                       tick_q;
  logic [           4:0]      ticks_q;
  logic [           3:0]      event_q;
  logic [           3:0]      event_q2;
  logic [           3:0][1:0] left_q;  // ticks that the event still shows
  logic                       bad_q;
  logic                       error_q;
  logic                       open_q;
  logic [           7:0]      shown_q;

  // Events come from far away, and the pins are far away: each way has cycles for itself.
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      count_q <= '0;
      tick_q <= 1'b0;
      ticks_q <= '0;
      left_q <= '0;
      event_q <= '0;
      event_q2 <= '0;
      bad_q <= 1'b0;
      error_q <= 1'b0;
      open_q <= 1'b0;
      shown_q <= '0;
      led_o <= '0;
    end else begin
      tick_q  <= count_q == CountWidth'(TickCycles - 1);
      count_q <= count_q == CountWidth'(TickCycles - 1) ? '0 : count_q + 1'b1;
      if (tick_q) ticks_q <= ticks_q + 1'b1;
      event_q <= {transmit_i, receive_i, step_i, busy_i};
      event_q2 <= event_q;
      bad_q <= error_i;
      for (int unsigned i = 0; i < 4; i++) begin
        if (event_q2[i]) left_q[i] <= 2'd2;
        else if (tick_q && left_q[i] != '0) left_q[i] <= left_q[i] - 2'd1;
      end
      if (bad_q) error_q <= 1'b1;
      open_q <= open_i;
      led_o <= shown_q;
      shown_q <= {
        error_q,
        open_q,
        left_q[3] != '0,
        left_q[2] != '0,
        left_q[1] != '0,
        left_q[0] != '0,
        1'b1,
        ticks_q[4]
      };
    end
  end

endmodule
