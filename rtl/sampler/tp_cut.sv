// SPDX-License-Identifier: Apache-2.0
//
// tp_cut: top-p and min-p over the sorted list, in three phases.
//
// In    start_i, then in each of the next 64 cycles an entry of the list, from its end; later the
//       running sum of the weights of each, in the same order; then the entries once more.
// Out   64 times in a row draw_o with an entry and whether it is left: the largest always is.
// Rate  one entry per cycle; from the last sum to the first entry 19 cycles.
// Not   drops entries without a cut: top_p_cut_i and min_p_gap_i of 0 leave all valid ones.

`include "tp_assert.svh"

module tp_cut
  import tp_sampler_pkg::*;
(
  input  logic          clk_i,
  input  logic          rst_ni,
  input  logic   [15:0] top_p_cut_i,  // early; holds until the last entry is drawn
  input  logic   [23:0] min_p_gap_i,  // early; the same
  input  logic          start_i,      // early
  output logic          weigh_o,      // early; takes an entry for the first time
  output logic          again_o,      // early; takes it once more
  output logic   [ 5:0] count_o,      // early; how many were taken
  input  entry_t        entry_i,      // early
  input  logic          sum_valid_i,  // early
  input  logic   [37:0] sum_i,        // early
  output logic          draw_o,       // early
  output logic          draw_last_o,  // early
  output entry_t        draw_entry_o  // early; valid: it is left
);

  localparam int unsigned Bits = 16;  // of the cut

  typedef enum logic [2:0] {
    StIdle,
    StWeigh,     // entries come
    StSums,      // waits for the last sum
    StMultiply,  // threshold = (total * cut) >> 16, a bit of the cut per cycle
    StDraw
  } state_e;

  state_e             state_q;
  state_e             state_d;
  logic        [ 5:0] count_q;
  logic               count_last;
  logic        [ 5:0] sum_count_q;
  logic        [37:0] total_q;
  logic        [37:0] threshold_q;
  logic        [38:0] threshold_sum;
  logic        [15:0] cut_q;
  logic signed [23:0] most_q;  // the largest key: that of the last valid entry

  assign count_last = count_q == 6'd63 || (state_q == StMultiply && 32'(count_q) == Bits - 1);
  assign weigh_o = state_q == StWeigh;
  assign again_o = state_q == StDraw;
  assign count_o = count_q;

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle:     if (start_i) state_d = StWeigh;
      StWeigh:    if (count_last) state_d = StSums;
      StSums:     if (sum_valid_i && sum_count_q == 6'd63) state_d = StMultiply;
      StMultiply: if (count_last) state_d = StDraw;
      StDraw:     if (count_last) state_d = StIdle;
      default:    state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q     <= StIdle;
      count_q     <= '0;
      sum_count_q <= '0;
    end else begin
      state_q <= state_d;
      count_q <= state_d != state_q || state_q == StIdle || state_q == StSums ? '0 : count_q + 6'd1;
      if (sum_valid_i) sum_count_q <= sum_count_q + 6'd1;
    end
  end

  // Lowest bit first: what is shifted out belongs to the fraction that is cut off.
  assign threshold_sum = 39'(threshold_q) + (cut_q[0] ? 39'(total_q) : 39'd0);
  always_ff @(posedge clk_i) begin
    if (sum_valid_i) total_q <= sum_i;
    if (state_q == StWeigh && entry_i.valid) most_q <= entry_i.key;
    if (state_q == StMultiply) begin
      cut_q       <= cut_q >> 1;
      threshold_q <= threshold_sum[38:1];
    end else if (state_q == StSums) begin
      cut_q       <= top_p_cut_i;
      threshold_q <= '0;
    end
  end

  // ---- sums wait ----

  logic [37:0] sum;
  tp_ram_async #(
    .Width(38),
    .Depth(64)
  ) u_sums (
    .clk_i          (clk_i),
    .write_enable_i (sum_valid_i),
    .write_address_i(sum_count_q),
    .write_data_i   (sum_i),
    .read_address_i (count_q),
    .read_data_o    (sum)
  );

  // ---- the draw: read, judged, shown ----

  logic   [ 1:0] draw_q;
  logic   [ 1:0] last_q;
  entry_t        entry_q;
  entry_t        entry_q2;
  logic   [37:0] sum_q;
  logic   [23:0] gap;
  logic          left;

  // No smaller than 0: the entry is not above the largest.
  assign gap = 24'(most_q - entry_q.key);
`ifdef TP_PLANT_BUG
  // The planted fault cuts half as much.
  assign left = (top_p_cut_i == '0 || sum_q > threshold_q >> 1) &&
                (min_p_gap_i == '0 || gap < min_p_gap_i);
`else
  assign left = (top_p_cut_i == '0 || sum_q > threshold_q) &&
                (min_p_gap_i == '0 || gap < min_p_gap_i);
`endif

  always_ff @(posedge clk_i) begin
    if (!rst_ni) draw_q <= '0;
    else draw_q <= {draw_q[0], state_q == StDraw};
  end
  always_ff @(posedge clk_i) begin
    last_q   <= {last_q[0], count_last};
    entry_q  <= entry_i;
    sum_q    <= sum;
    entry_q2 <= '{valid: entry_q.valid && left, id: entry_q.id, key: entry_q.key};
  end

  assign draw_o       = draw_q[1];
  assign draw_last_o  = last_q[1];
  assign draw_entry_o = entry_q2;

  logic unused_bit;
  assign unused_bit = threshold_sum[0];

  `TP_ASSERT(SumsInTime_A, !sum_valid_i || state_q == StWeigh || state_q == StSums)
  `TP_COVER(Dropped_C, draw_q[0] && entry_q.valid && !left)

endmodule
