// SPDX-License-Identifier: Apache-2.0
//
// tp_cut: top-p and min-p over the sorted list, which goes twice through the pipeline.
//
// In    start_i; then the entries' keys and the running sums of their weights, in the same order.
// Out   64 times in a row place_o with weigh_o, from the end of the list on, and once more with
//       draw_o; left_o in the cycle after each sum of the second time: the largest always is left.
// Rate  one entry per cycle; the second time begins 19 cycles after the end of the first.
// Not   drops entries without a cut: top_p_cut_i and min_p_gap_i of 0 leave all.

`include "tp_assert.svh"

module tp_cut #(
  parameter int unsigned SumDelay = 11  // cycles from a key to its sum
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic        [15:0] top_p_cut_i,  // early; holds until the last entry is drawn
  input  logic        [23:0] min_p_gap_i,  // early; the same
  input  logic               start_i,      // early
  output logic               weigh_o,      // early
  output logic               draw_o,       // early
  output logic        [ 5:0] place_o,      // early
  input  logic               key_valid_i,  // early; an entry of the first time
  input  logic signed [23:0] key_i,        // early
  input  logic               sum_valid_i,  // early
  input  logic        [37:0] sum_i,        // early
  output logic               sum_clear_o,  // early; a cycle after the last sum: it begins anew
  output logic               left_o        // early
);

  localparam int unsigned Gap = 19;
  localparam int unsigned Bits = 16;  // of the cut

  // ---- entries, twice ----

  typedef enum logic [1:0] {
    StIdle,
    StWeigh,  // entries leave for the first time
    StGap,    // the last sums come, and the threshold
    StDraw    // entries leave once more
  } state_e;

  state_e       state_q;
  state_e       state_d;
  logic   [5:0] place_q;
  logic         place_zero_q;  // place_q is 0
  logic         gap_end_q;  // place_q is where the gap ends

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle:  if (start_i) state_d = StWeigh;
      StWeigh: if (place_zero_q) state_d = StGap;
      StGap:   if (gap_end_q) state_d = StDraw;
      StDraw:  if (place_zero_q) state_d = StIdle;
      default: state_d = StIdle;
    endcase
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) state_q <= StIdle;
    else state_q <= state_d;
  end
  always_ff @(posedge clk_i) begin
    place_zero_q <= place_q == 6'd1;
    gap_end_q <= place_q == 6'(64 - Gap + 1);
    place_q <= state_q == StIdle || (state_q == StGap && state_d == StDraw) ? '1 : place_q - 6'd1;
  end

  assign weigh_o = state_q == StWeigh;
  assign draw_o  = state_q == StDraw;
  assign place_o = place_q;

  // ---- threshold = (total * cut) >> 16, a bit of the cut per cycle, the lowest first: what is
  //      shifted out belongs to the fraction that is cut off ----

  logic [ 6:0] sums_q;
  logic        sum_clear_q;
  logic [ 4:0] multiply_q;
  logic [37:0] total_q;
  logic [37:0] threshold_q;
  logic [38:0] threshold_sum;
  logic [15:0] cut_q;

  assign sum_clear_o   = sum_clear_q;
  assign threshold_sum = 39'(threshold_q) + (cut_q[0] ? 39'(total_q) : 39'd0);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sums_q      <= '0;
      sum_clear_q <= 1'b0;
      multiply_q  <= '0;
    end else begin
      sum_clear_q <= sum_valid_i && sums_q == 7'd63;
      if (sum_valid_i) sums_q <= sums_q + 7'd1;
      if (sum_clear_q) multiply_q <= 5'(Bits);
      else if (multiply_q != '0) multiply_q <= multiply_q - 5'd1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (sum_clear_q) begin
      total_q     <= sum_i;
      threshold_q <= '0;
      cut_q       <= top_p_cut_i;
    end else if (multiply_q != '0) begin
      threshold_q <= threshold_sum[38:1];
      cut_q       <= cut_q >> 1;
    end
  end

  // ---- who is left ----

  logic signed [        23:0] most_q;  // the largest key: that of the last entry
  logic        [        23:0] gap_q;
  logic        [SumDelay-1:1] near_q;
  logic                       near_all_q;
  logic                       left_all_q;
  logic                       left_q;

  always_ff @(posedge clk_i) begin
    near_all_q <= min_p_gap_i == '0;
    left_all_q <= top_p_cut_i == '0;
    if (key_valid_i) most_q <= key_i;
    // No smaller than 0: the entry is not above the largest.
    gap_q  <= 24'(most_q - key_i);
    near_q <= {near_q[SumDelay-2:1], near_all_q || gap_q < min_p_gap_i};
`ifdef TP_PLANT_BUG
    // The planted fault cuts half as much.
    left_q <= near_q[SumDelay-1] && (left_all_q || sum_i > threshold_q >> 1);
`else
    left_q <= near_q[SumDelay-1] && (left_all_q || sum_i > threshold_q);
`endif
  end
  assign left_o = left_q;

  logic unused_bit;
  assign unused_bit = threshold_sum[0];

  `TP_ASSERT(SumsInTime_A, !sum_valid_i || sums_q[6] || state_q != StIdle)
  `TP_ASSERT(ThresholdInTime_A, !(sum_valid_i && sums_q[6]) || multiply_q == '0)
  `TP_COVER(Dropped_C, sum_valid_i && sums_q[6] && !left_q)

endmodule
