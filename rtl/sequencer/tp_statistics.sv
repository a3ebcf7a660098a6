// SPDX-License-Identifier: Apache-2.0
//
// tp_statistics: the sums that STATISTICS reports.
//
// In    how many elements saturated and how many blocks were clipped in this cycle, per unit; the
//       end of each step with its cycles; one pulse per processed token; one per broken frame.
// Out   the sums since reset, a few cycles late.
// Not   does not saturate: 48 bits last for 29 days of clock cycles at 110 MHz, then wrap.

`include "tp_assert.svh"

module tp_statistics
  import tp_control_pkg::*;
#(
  parameter int unsigned SaturationPorts = 4,
  parameter int unsigned ClipPorts = 4
) (
  input  logic                                   clk_i,
  input  logic                                   rst_ni,
  input  logic        [SaturationPorts-1:0][3:0] saturations_i,  // early
  input  logic        [      ClipPorts-1:0][1:0] clips_i,        // early
  input  logic                                   end_valid_i,    // early
  input  logic        [               31:0]      end_cycles_i,   // early
  input  logic                                   token_i,        // early
  input  logic                                   bad_i,          // early
  output statistics_t                            sums_o,         // early
  output logic        [               31:0]      frames_bad_o    // early
);

  logic [47:0] cycles_total_q;
  logic [47:0] cycles_steps_q;
  logic [47:0] steps_q;
  logic [47:0] tokens_q;
  logic [47:0] saturations_q;
  logic [47:0] clips_q;
  logic [31:0] frames_bad_q;
  logic [ 7:0] saturations_sum;
  logic [ 7:0] clips_sum;
  logic [ 7:0] saturations_sum_q;
  logic [ 7:0] clips_sum_q;

  always_comb begin
    saturations_sum = '0;
    clips_sum = '0;
    for (int unsigned i = 0; i < SaturationPorts; i++) saturations_sum += 8'(saturations_i[i]);
    for (int unsigned i = 0; i < ClipPorts; i++) clips_sum += 8'(clips_i[i]);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      saturations_sum_q <= '0;
      clips_sum_q       <= '0;
      cycles_total_q    <= '0;
      cycles_steps_q    <= '0;
      steps_q           <= '0;
      tokens_q          <= '0;
      saturations_q     <= '0;
      clips_q           <= '0;
      frames_bad_q      <= '0;
    end else begin
      saturations_sum_q <= saturations_sum;
      clips_sum_q       <= clips_sum;
      cycles_total_q    <= cycles_total_q + 48'd1;
      if (end_valid_i) begin
        cycles_steps_q <= cycles_steps_q + 48'(end_cycles_i);
        steps_q        <= steps_q + 48'd1;
      end
      if (token_i) tokens_q <= tokens_q + 48'd1;
      if (saturations_sum_q != '0) saturations_q <= saturations_q + 48'(saturations_sum_q);
      if (clips_sum_q != '0) clips_q <= clips_q + 48'(clips_sum_q);
      if (bad_i) frames_bad_q <= frames_bad_q + 32'd1;
    end
  end

  assign sums_o.cycles_total = 64'(cycles_total_q);
  assign sums_o.cycles_steps = 64'(cycles_steps_q);
  assign sums_o.steps        = 64'(steps_q);
  assign sums_o.tokens       = 64'(tokens_q);
  assign sums_o.saturations  = 64'(saturations_q);
  assign sums_o.clips        = 64'(clips_q);
  assign frames_bad_o        = frames_bad_q;

  `TP_REQUIRE(SaturationPorts >= 1 && SaturationPorts <= 16)
  `TP_REQUIRE(ClipPorts >= 1 && ClipPorts <= 16)
  `TP_COVER(Saturation_C, saturations_sum_q != '0)

endmodule
