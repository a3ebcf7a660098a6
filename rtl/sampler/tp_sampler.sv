// SPDX-License-Identifier: Apache-2.0
//
// tp_sampler: one token from the logits of a slot.
//
// In    commands of the matrix engine, of which LOGITS begins a slot, 9 cycles or more before its
//       first logit; logit flow: all logits of one slot in rising order of index, one per cycle at
//       most; the tokens that are processed, for the repetition penalty.
// Out   token_valid_o for one cycle; the token equals tp_sample() of the model, beside it the
//       ranking of tp_rank(). Its candidates come before, from the last to the first.
// Rate  two logits per cycle of a fast slot, of which only the largest logit counts; token_valid_o
//       comes TP_CYCLES_GREEDY cycles after the last one. Else one logit per cycle; token_valid_o
//       comes TP_CYCLES_SAMPLER cycles after the last one, and TP_CYCLES_LIST later when the slot
//       keeps a sorted list: top_k above 0 and its temperature too, or candidates above 0.
// Not   takes two slots at a time: the command of a slot follows the token of the one before.
//
// Entries of the list go through the same pipeline as the logits, once to be weighed, once to be
// drawn.

`include "tp_assert.svh"

module tp_sampler
  import tp_sampler_pkg::*;
#(
  parameter int unsigned Slots        = 4,
  parameter int unsigned TopK         = 64,   // sorted entries; no slot asks for more; 0: no list
  parameter int unsigned VocabMax     = 512,
  parameter int unsigned PositionsMax = 64
) (
  input  logic                                 clk_i,
  input  logic                                 rst_ni,
  input  tp_pkg::sampling_t  [Slots-1:0]       sampling_i,
  input  logic                                 clear_valid_i,      // early; one cycle
  input  logic               [      2:0]       clear_slot_i,       // early
  output logic                                 clear_busy_o,       // late
  input  logic                                 fed_valid_i,        // early; flow
  input  tp_pkg::recent_t                      fed_i,              // early
  input  logic                                 recent_valid_i,     // early
  output logic                                 recent_ready_o,     // late
  input  tp_pkg::recent_t                      recent_i,           // early
  input  logic                                 cmd_valid_i,        // early; of the matrix engine
  input  tp_pkg::command_t                     cmd_i,              // early
  input  logic                                 logit_valid_i,
  input  logic               [      2:0]       logit_slot_i,
  input  logic               [     15:0]       logit_index_i,
  input  logic               [      1:0][31:0] logit_data_i,       // Q16.16, signed
  input  logic                                 logit_both_i,       // of a fast slot: two logits
  input  logic                                 logit_last_i,
  output logic                                 candidate_valid_o,  // early; flow
  output tp_pkg::candidate_t                   candidate_o,        // early
  output logic                                 token_valid_o,      // early
  output logic               [      2:0]       token_slot_o,       // early
  output logic               [     15:0]       token_o,            // early
  output tp_pkg::ranking_t                     ranking_o           // early; with the token
);

  `TP_REQUIRE(Slots >= 1 && Slots <= 8)
  `TP_REQUIRE(TopK != 1 && TopK <= tp_map_pkg::TP_TOP_K_MAX)

  localparam int unsigned SlotBits = Slots > 1 ? $clog2(Slots) : 1;
  localparam int unsigned IdWidth = $clog2(VocabMax);
  // Logit to z, key to weight, and random number plus noise of a candidate.
  localparam int unsigned PenaltyFirst = 3;
  localparam int unsigned PenaltyLast = PenaltyFirst + 6;
  localparam int unsigned ScaleStages = PenaltyLast + 5;
  localparam int unsigned WeightStages = 8;
  localparam int unsigned SumStages = 3;
  localparam int unsigned NoiseStages = 26 + 14;

  logic token_valid_q;

  // ---- settings of the slot: its command comes well before its first logit ----

  tp_map_pkg::matvec_t op;
  logic command;
  logic start_q;
  tp_pkg::command_t seen_q;
  tp_pkg::sampling_t sampling_q;
  logic [15:0] position_q;
  logic [15:0] token_q;
  logic [2:0] slot_q;
  logic fast_q;
  logic greedy_q;
  logic sort_q;  // the draw is of the list
  logic list_q;
  logic penalty_q;
  assign op = tp_map_pkg::matvec_t'(cmd_i.instruction);
  assign command = cmd_valid_i && op.opcode == tp_map_pkg::TP_OP_MATVEC &&
                   op.dest == tp_map_pkg::TP_DEST_LOGITS;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) start_q <= 1'b0;
    else start_q <= command;
  end
  // The command comes late, and what it takes is much: so it is taken a cycle later.
  always_ff @(posedge clk_i) begin
    seen_q <= cmd_i;
    if (start_q) begin
      sampling_q <= sampling_i[seen_q.slot[SlotBits-1:0]];
      position_q <= seen_q.position;
      token_q    <= seen_q.token;
      slot_q     <= seen_q.slot;
      fast_q     <= seen_q.fast;
    end
    greedy_q <= sampling_q.temperature == 20'd0;
    sort_q <= TopK != 0 && sampling_q.temperature != 20'd0 && sampling_q.top_k != 7'd0;
    list_q <= TopK != 0 && ((sampling_q.temperature != 20'd0 && sampling_q.top_k != 7'd0) ||
                            sampling_q.candidates != 7'd0);
    penalty_q <= sampling_q.penalty_positive != '0;
  end

  // ---- stage 1: the logit, or an entry of the list ----

  logic read_weigh;
  logic read_draw;
  logic [5:0] read_place;
  logic [2:1] weigh_q;  // an entry is read, and is there in the second cycle
  logic [2:1] draw_q;
  logic [5:0] place_q;
  logic [5:0] place_q2;
  logic drawn_q;  // the entry is one of those that are drawn from
  logic reported_q;
  entry_t entry;
  logic entry_here;

  // Behind a valid bit all 64 entries of a list come, whether it has so many or not; what counts is
  // a logit, or an entry that takes part.
  logic [ScaleStages+WeightStages:1] valid_q;
  logic [ScaleStages+WeightStages:1] counts_q;
  pass_e first_pass;
  pass_e [ScaleStages+WeightStages:1] pass_q;
  logic [ScaleStages:1] last_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      weigh_q <= '0;
      draw_q  <= '0;
    end else begin
      weigh_q <= {weigh_q[1], read_weigh};
      draw_q  <= {draw_q[1], read_draw};
    end
  end
  always_ff @(posedge clk_i) begin
    place_q    <= read_place;
    place_q2   <= place_q;
    // The rest of the list is there for the candidates.
    drawn_q    <= 7'(place_q) < sampling_q.top_k && sort_q;
    reported_q <= 7'(place_q) < sampling_q.candidates;
  end
  assign entry_here = weigh_q[2] || draw_q[2];

  assign first_pass = weigh_q[2] ? PassWeigh : (draw_q[2] ? PassDraw : PassLogits);
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else begin
      valid_q <= {valid_q[ScaleStages+WeightStages-1:1], (logit_valid_i && !fast_q) || entry_here};
    end
  end
  always_ff @(posedge clk_i) begin
    counts_q <= {counts_q[ScaleStages+WeightStages-1:1], !entry_here || (entry.valid && drawn_q)};
    pass_q   <= {pass_q[ScaleStages+WeightStages-1:1], first_pass};
    last_q   <= {last_q[ScaleStages-1:1], draw_q[2] ? place_q2 == '0 : logit_last_i};
  end

  // ---- stages 1 to 9: the repetition penalty; stages 10 to 14: z; logit and index beside it ----

  logic signed [31:0] logit[ScaleStages+1];
  logic signed [31:0] penalised;
  logic [15:0] index[ScaleStages+1];
  always_comb begin
    logit[0] = logit_data_i[0];
    // Ids have no more bits than the vocabulary needs, in all registers behind.
    index[0] = 16'(logit_index_i[IdWidth-1:0]);
    if (entry_here) begin
      logit[0] = 32'(entry.key) <<< 4;
      index[0] = entry.id;
    end
  end
  for (genvar s = 1; s <= ScaleStages; s++) begin : gen_beside
    logic [15:0] index_q;
    logic load;
    if (s == 1) begin : gen_first
      assign load = logit_valid_i || entry_here;
    end else begin : gen_later
      assign load = valid_q[s-1];
    end
    always_ff @(posedge clk_i) if (load) index_q <= index[s-1];
    assign index[s] = index_q;
    if (s > PenaltyFirst && s < PenaltyLast) begin : gen_inside
      assign logit[s] = '0;  // in tp_penalty
    end else if (s == PenaltyLast) begin : gen_penalised
      assign logit[s] = penalised;
    end else begin : gen_logit
      logic signed [31:0] logit_q;
      always_ff @(posedge clk_i) if (load) logit_q <= logit[s-1];
      assign logit[s] = logit_q;
    end
  end

  logic member;
  logic positive_q;
  logic [11:0] factor_q;
  tp_recent #(
    .Slots       (Slots),
    .VocabMax    (VocabMax),
    .PositionsMax(PositionsMax)
  ) u_recent (
    .clk_i         (clk_i),
    .rst_ni        (rst_ni),
    .clear_valid_i (clear_valid_i),
    .clear_slot_i  (clear_slot_i),
    .clear_busy_o  (clear_busy_o),
    .fed_valid_i   (fed_valid_i),
    .fed_i         (fed_i),
    .recent_valid_i(recent_valid_i),
    .recent_ready_o(recent_ready_o),
    .recent_i      (recent_i),
    .read_valid_i  (logit_valid_i),
    .slot_i        (logit_slot_i),
    .id_i          (logit_index_i),
    .position_i    (position_q),
    .token_i       (token_q),
    .member_o      (member)
  );

  // Entries of the list have had their penalty.
  always_ff @(posedge clk_i) begin
    positive_q <= !logit[2][31] && logit[2] != '0;
    if (!member || !penalty_q || pass_q[3] != PassLogits) begin
      factor_q <= 12'd1024;
    end else if (positive_q) begin
      factor_q <= sampling_q.penalty_positive;
    end else begin
      factor_q <= sampling_q.penalty_negative;
    end
  end
  tp_penalty u_penalty (
    .clk_i   (clk_i),
    .enable_i(valid_q[PenaltyLast-1:PenaltyFirst]),
    .logit_i (logit[PenaltyFirst]),
    .factor_i(factor_q),
    .logit_o (penalised)
  );

  logic signed [23:0] z;
  tp_temperature u_temperature (
    .clk_i        (clk_i),
    .rst_ni       (rst_ni),
    .start_i      (start_q),
    .temperature_i(sampling_q.temperature),
    .enable_i     (valid_q[ScaleStages-1:PenaltyLast]),
    .logit_i      (logit[PenaltyLast]),
    .z_o          (z)
  );

  // The logit with 12 fraction bits: key = clamp24(rnd(logit, 4)).
  logic signed [29:0] rounded;
  logic rounded_fits;
  logic signed [23:0] key_q;
  assign rounded = (30'(logit[ScaleStages-1] >>> 3) + 30'sd1) >>> 1;
  assign rounded_fits = rounded[29:23] == '0 || rounded[29:23] == '1;
  always_ff @(posedge clk_i) begin
    if (valid_q[ScaleStages-1]) begin
      key_q <= rounded_fits ? rounded[23:0] : {rounded[29], {23{!rounded[29]}}};
    end
  end

  // ---- the sorted list, filled while the logits come; then read twice, from its end on ----

  logic insert;  // a cycle before the key
  logic list_done;
  assign insert = valid_q[ScaleStages-1] && pass_q[ScaleStages-1] == PassLogits && list_q;

  // ---- weights of the logits and of the list; what top-p and min-p leave of it ----

  localparam int unsigned WeightLast = ScaleStages + WeightStages;
  logic             [19:0] weight;
  logic signed      [ 9:0] weight_exponent;
  logic                    list_sum_valid;
  logic             [37:0] list_sum;
  logic                    list_clear;
  logic                    left;
  tp_pkg::ranking_t        ranking;
  tp_weight u_weight (
    .clk_i     (clk_i),
    .enable_i  (valid_q[ScaleStages+WeightStages-1:ScaleStages]),
    .key_i     (key_q),
    .weight_o  (weight),
    .exponent_o(weight_exponent)
  );
  tp_weight_sum u_weight_sum (
    .clk_i       (clk_i),
    .rst_ni      (rst_ni),
    .clear_i     (start_q),
    .list_clear_i(list_clear),
    .valid_i     (valid_q[WeightLast]),
    .list_i      (pass_q[WeightLast] != PassLogits),
    .add_i       (counts_q[WeightLast]),
    .weight_i    (weight),
    .exponent_i  (weight_exponent),
    .sum_o       (ranking.total),
    .exponent_o  (ranking.exponent),
    .list_valid_o(list_sum_valid),
    .list_sum_o  (list_sum)
  );
  if (TopK != 0) begin : gen_list
    tp_top_k #(
      .TopK   (TopK),
      .IdWidth(IdWidth)
    ) u_top_k (
      .clk_i        (clk_i),
      .rst_ni       (rst_ni),
      .clear_i      (start_q),
      .insert_i     (insert),
      .insert_last_i(last_q[ScaleStages-1]),
      .insert_key_i (key_q),
      .insert_id_i  (index[ScaleStages]),
      .done_o       (list_done),
      .read_i       (read_weigh || read_draw),
      .place_i      (read_place),
      .entry_o      (entry)
    );
    tp_cut #(
      .SumDelay(WeightStages + SumStages)
    ) u_cut (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .top_p_cut_i(sampling_q.top_p_cut),
      .min_p_gap_i(sampling_q.min_p_gap),
      .start_i    (list_done),
      .weigh_o    (read_weigh),
      .draw_o     (read_draw),
      .place_o    (read_place),
      .key_valid_i(valid_q[ScaleStages] && pass_q[ScaleStages] == PassWeigh),
      .key_i      (key_q),
      .sum_valid_i(list_sum_valid),
      .sum_i      (list_sum),
      .sum_clear_o(list_clear),
      .left_o     (left)
    );
  end else begin : gen_no_list
    assign list_done  = 1'b0;
    assign read_weigh = 1'b0;
    assign read_draw  = 1'b0;
    assign read_place = '0;
    assign list_clear = 1'b0;
    assign left       = 1'b0;
    assign entry      = '0;
    logic unused_list;
    assign unused_list = ^{insert, list_sum_valid, list_sum, list_done, sampling_q};
  end

  // ---- candidates to be reported ----

  logic candidate_valid_q;
  tp_pkg::candidate_t report_q;
  logic [6:0] report_count_q;
  logic report;
  assign report = weigh_q[2] && entry.valid && reported_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) candidate_valid_q <= 1'b0;
    else candidate_valid_q <= report;
  end
  always_ff @(posedge clk_i) begin
    if (start_q) report_count_q <= '0;
    else if (candidate_valid_q) report_count_q <= report_count_q + 7'd1;
    report_q <= '{slot: slot_q, place: place_q2, id: entry.id, key: entry.key};
  end
  assign candidate_valid_o = candidate_valid_q;
  assign candidate_o = report_q;

  // ---- the draw: random number and noise of who takes part; key and id wait beside ----

  logic offer;
  logic offer_q;
  logic offer_counts_q;
  logic offer_last_q;
  logic signed [31:0] offer_value_q;
  logic signed [23:0] offer_key_q;
  logic [15:0] offer_id_q;

  // The token comes behind the last entry, of a list for the candidates alone too: none of these
  // counts.
  assign offer = valid_q[ScaleStages] &&
                 (pass_q[ScaleStages] == PassDraw ||
                  (pass_q[ScaleStages] == PassLogits && !sort_q));
  always_ff @(posedge clk_i) begin
    if (!rst_ni) offer_q <= 1'b0;
    else offer_q <= offer;
  end
  always_ff @(posedge clk_i) begin
    offer_counts_q <= counts_q[ScaleStages];
    offer_last_q   <= last_q[ScaleStages] && (pass_q[ScaleStages] == PassDraw || !list_q);
    if (offer) begin
      offer_value_q <= greedy_q ? logit[ScaleStages] : 32'(z);
      offer_key_q   <= key_q;
      offer_id_q    <= index[ScaleStages];
    end
  end

  logic random_valid;
  logic [31:0] random;
  logic noise_valid;
  logic signed [14:0] noise;
  tp_threefry u_threefry (
    .clk_i     (clk_i),
    .rst_ni    (rst_ni),
    .seed_i    (sampling_q.seed),
    .position_i(position_q),
    .valid_i   (offer_q),
    .token_i   (offer_id_q),
    .valid_o   (random_valid),
    .random_o  (random)
  );
  tp_gumbel u_gumbel (
    .clk_i   (clk_i),
    .rst_ni  (rst_ni),
    .valid_i (random_valid),
    .random_i(random),
    .valid_o (noise_valid),
    .noise_o (noise)
  );

  // Beside the noise: value, key and id, whether they count, the mark of the last one; and, from
  // one cycle after its weight is summed on, whether an entry of the list is left.
  localparam int unsigned LeftDelay = NoiseStages - WeightStages - SumStages;
  logic signed [31:0] noise_value;
  logic signed [23:0] noise_key;
  logic [IdWidth-1:0] noise_id;
  logic noise_counts;
  logic noise_last;
  logic [LeftDelay:1] noise_left_q;
  tp_delay #(
    .Width (32 + 24 + IdWidth + 2),
    .Cycles(NoiseStages)
  ) u_beside (
    .clk_i (clk_i),
    .rst_ni(rst_ni),
    .data_i({offer_value_q, offer_key_q, offer_id_q[IdWidth-1:0], offer_counts_q, offer_last_q}),
    .data_o({noise_value, noise_key, noise_id, noise_counts, noise_last})
  );
  always_ff @(posedge clk_i) noise_left_q <= {noise_left_q[LeftDelay-1:1], left};

  // ---- winner: the largest value, the lowest id among equals; the logits of a fast slot ----

  // Of two logits each is compared with the best one while it is not yet known which one counts.
  logic fast_valid;
  assign fast_valid = logit_valid_i && fast_q;

  logic sum_valid_q;
  logic sum_last_q;
  logic signed [31:0] sum_q;
  logic signed [31:0] upper_q;  // the second logit of a fast slot
  logic upper_counts_q;  // it is larger than the first one
  logic signed [23:0] sum_key_q;
  logic [15:0] sum_id_q;
  logic best_valid_q;
  logic signed [31:0] best_q;
  logic signed [23:0] best_key_q;
  logic [15:0] best_id_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sum_valid_q   <= 1'b0;
      sum_last_q    <= 1'b0;
      best_valid_q  <= 1'b0;
      token_valid_q <= 1'b0;
    end else begin
      sum_valid_q <= fast_valid ||
                     (noise_valid && noise_counts && (noise_left_q[LeftDelay] || !sort_q));
      sum_last_q <= (fast_valid && logit_last_i) || (noise_valid && noise_last);
      token_valid_q <= sum_last_q;
      if (sum_valid_q) best_valid_q <= 1'b1;
      else if (token_valid_q) best_valid_q <= 1'b0;
    end
  end

  // One comparison: any is better than none, and none than what is there already; signs and ids, of
  // which the smaller one is better, stand on the other side. Ids of fast slots rise. Where neither
  // is there, what is taken means nothing. The borrow of a difference tells it, as yosys joins
  // its comparisons with a tree of LUTs for equality.
  logic sum_better;
  logic upper_better;
  logic better;
  logic [32+IdWidth:0] sum_rest;
  logic [32:0] upper_rest;
  logic upper_larger;
  logic [31:0] larger_rest;
  logic unused_rest;
  assign {sum_better, sum_rest} =
      {1'b0, best_valid_q, sum_q[31], best_q[30:0], sum_id_q[IdWidth-1:0]} -
      {1'b0, sum_valid_q, best_q[31], sum_q[30:0], best_id_q[IdWidth-1:0]};
  assign {upper_better, upper_rest} = {1'b0, best_valid_q, upper_q[31], best_q[30:0]} -
                                      {1'b0, sum_valid_q, best_q[31], upper_q[30:0]};
  assign better = upper_counts_q ? upper_better : sum_better;
  assign {upper_larger, larger_rest} = {1'b0, logit_data_i[1][31], logit_data_i[0][30:0]} -
                                       {1'b0, logit_data_i[0][31], logit_data_i[1][30:0]};
  assign unused_rest = ^{sum_rest, upper_rest, larger_rest};

  // The gate of the noise lies in the carry cells, its register beside them.
  logic noise_adds_q;
  logic [31:0] noisy;
  (* keep *)
  always_ff @(posedge clk_i) noise_adds_q <= !greedy_q;
  tp_ecp5_carry #(
    .Width(32)
  ) u_noisy (
    .a_i  (32'(noise)),
    .b_i  ({32{noise_adds_q}}),
    .c_i  (noise_value),
    .d_i  ('1),
    .sum_o(noisy)
  );

  always_ff @(posedge clk_i) begin
    if (noise_valid) begin
      sum_q     <= noisy;
      sum_key_q <= noise_key;
      sum_id_q  <= 16'(noise_id);
    end
    if (fast_valid) begin
      sum_q    <= logit_data_i[0];
      sum_id_q <= 16'(logit_index_i[IdWidth-1:0]);
    end
    upper_q <= logit_data_i[1];
    upper_counts_q <= fast_q && logit_both_i && upper_larger;
    if (better) begin
      best_q     <= upper_counts_q ? upper_q : sum_q;
      best_key_q <= sum_key_q;
      best_id_q  <= {sum_id_q[15:1], sum_id_q[0] || upper_counts_q};
    end
  end

  assign ranking.key   = best_key_q;
  assign ranking.count = report_count_q;
  assign ranking_o     = ranking;
  assign token_valid_o = token_valid_q;
  assign token_slot_o  = slot_q;
  assign token_o       = best_id_q;

  // From the first logit of a slot to its token.
  logic busy_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) busy_q <= 1'b0;
    else if (logit_valid_i) busy_q <= 1'b1;
    else if (token_valid_q) busy_q <= 1'b0;
  end
  logic ended_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || token_valid_q) ended_q <= 1'b0;
    else if (logit_valid_i && logit_last_i) ended_q <= 1'b1;
  end

  logic unused_bits;
  assign unused_bits = ^{op, seen_q.instruction};

  `TP_ASSERT(OneSlot_A, !logit_valid_i || logit_slot_i == slot_q)
  `TP_ASSERT(OneAtATime_A, !(command && busy_q))
  `TP_ASSERT(BothOfFast_A, !(logit_valid_i && logit_both_i) || (fast_q && !logit_index_i[0]))
  `TP_ASSERT(FastIsGreedy_A,
             !fast_valid || (greedy_q && !list_q && sampling_q.penalty_positive == '0))
  `TP_ASSERT(NoLogitAfterLast_A, !(logit_valid_i && ended_q))
  `TP_ASSERT(SlotExists_A, !logit_valid_i || 32'(logit_slot_i) < Slots)
  `TP_ASSERT(IdFits_A, !logit_valid_i || 32'(logit_index_i) < VocabMax)
  `TP_ASSERT(TopKFits_A,
             !insert || (32'(sampling_q.top_k) <= TopK && 32'(sampling_q.candidates) <= TopK))
  `TP_ASSERT(TokenHasWinner_A, !token_valid_q || best_valid_q)
  `TP_COVER(Draw_C, draw_q[2])
  `TP_COVER(Token_C, token_valid_q)

endmodule
