// SPDX-License-Identifier: Apache-2.0
//
// tp_sampler: one token from the logits of a slot.
//
// In    logit flow: all logits of one slot in rising order of index, one per cycle at most.
// Out   token_valid_o for one cycle; the token equals tp_sample() of the model.
// Rate  one logit per cycle. token_valid_o comes 49 cycles after the last logit, and 70 cycles
//       later when the slot's top_k is above 0 and its temperature too.
// Not   takes two slots at a time: the first logit of a slot follows the token of the one before.
//
// Sampling and position of a slot hold from its first logit to its token.

`include "tp_assert.svh"

module tp_sampler #(
  parameter int unsigned Slots = 4,
  parameter int unsigned TopK  = 64  // sorted entries; no slot asks for more
) (
  input  logic                                clk_i,
  input  logic                                rst_ni,
  input  tp_pkg::sampling_t [Slots-1:0]       sampling_i,
  input  logic              [Slots-1:0][15:0] position_i,
  input  logic                                logit_valid_i,
  input  logic              [      2:0]       logit_slot_i,
  input  logic              [     15:0]       logit_index_i,
  input  logic signed       [     31:0]       logit_data_i,   // Q16.16
  input  logic                                logit_last_i,
  output logic                                token_valid_o,  // early
  output logic              [      2:0]       token_slot_o,   // early
  output logic              [     15:0]       token_o         // early
);

  `TP_REQUIRE(Slots >= 1 && Slots <= 8)
  `TP_REQUIRE(TopK >= 2 && TopK <= tp_map_pkg::TP_TOP_K_MAX)

  localparam int unsigned SlotBits = Slots > 1 ? $clog2(Slots) : 1;
  localparam int unsigned ScanLast = tp_map_pkg::TP_TOP_K_MAX - 1;
  // Logit to z, and random number plus noise of a candidate.
  localparam int unsigned ScaleStages = 6;
  localparam int unsigned NoiseStages = 26 + 14;

  // ---- stage 1: the logit and its slot's settings ----

  tp_pkg::sampling_t sampling_q;
  logic [15:0] position_q;
  logic [2:0] slot_q;
  logic greedy_q;
  logic sort_q;
  logic [SlotBits-1:0] slot;
  assign slot = logit_slot_i[SlotBits-1:0];

  logic [ScaleStages:1] valid_q;
  logic [ScaleStages:1] last_q;
  // Entries of the sorted list come through the same stages a second time, to be scaled.
  logic [ScaleStages:1] scanned_q;
  logic scan_q;
  logic scan_offer;
  logic scan_last;
  logic signed [23:0] scan_key;
  logic [15:0] scan_id;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q   <= '0;
      scanned_q <= '0;
    end else begin
      valid_q   <= {valid_q[ScaleStages-1:1], logit_valid_i || scan_offer};
      scanned_q <= {scanned_q[ScaleStages-1:1], scan_q};
    end
  end

  always_ff @(posedge clk_i) begin
    last_q <= {last_q[ScaleStages-1:1], scan_q ? scan_last : logit_last_i};
    if (logit_valid_i) begin
      sampling_q <= sampling_i[slot];
      position_q <= position_i[slot];
      slot_q     <= logit_slot_i;
    end
    greedy_q <= sampling_q.temperature == 20'd0;
    sort_q   <= sampling_q.temperature != 20'd0 && sampling_q.top_k != 7'd0;
  end

  // ---- stages 1 to 6: z; logit and index beside it ----

  logic signed [31:0] logit[ScaleStages+1];
  logic [15:0] index[ScaleStages+1];
  assign logit[0] = scan_q ? 32'(scan_key) <<< 4 : logit_data_i;
  assign index[0] = scan_q ? scan_id : logit_index_i;
  for (genvar s = 1; s <= ScaleStages; s++) begin : gen_beside
    logic signed [31:0] logit_q;
    logic [15:0] index_q;
    logic load;
    if (s == 1) begin : gen_first
      assign load = logit_valid_i || scan_q;
    end else begin : gen_later
      assign load = valid_q[s-1];
    end
    always_ff @(posedge clk_i) begin
      if (load) begin
        logit_q <= logit[s-1];
        index_q <= index[s-1];
      end
    end
    assign logit[s] = logit_q;
    assign index[s] = index_q;
  end

  logic signed [23:0] z;
  tp_temperature u_temperature (
    .clk_i        (clk_i),
    .enable_i     (valid_q[5:1]),
    .logit_i      (logit[1]),
    .temperature_i(sampling_q.temperature),
    .z_o          (z)
  );

  // ---- top-k: sort while the logits come, then offer the entries one by one ----

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

  logic sort_valid;
  logic [5:0] scan_count_q;
  logic scan_valid;
  // The list comes out from its end; places below 0 are empty.
  logic [7:0] scan_place;
  assign scan_place = 8'(TopK - 1) - 8'(scan_count_q);
  assign sort_valid = valid_q[ScaleStages] && sort_q && !scanned_q[ScaleStages];
  assign scan_offer = scan_q && scan_valid && scan_place < 8'(sampling_q.top_k);
  assign scan_last  = scan_count_q == 6'(ScanLast);

  tp_top_k #(
    .TopK(TopK)
  ) u_top_k (
    .clk_i       (clk_i),
    .rst_ni      (rst_ni),
    .insert_i    (sort_valid),
    .insert_key_i(key_q),
    .insert_id_i (index[ScaleStages]),
    .shift_i     (scan_q),
    .last_valid_o(scan_valid),
    .last_key_o  (scan_key),
    .last_id_o   (scan_id)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) scan_q <= 1'b0;
    else if (sort_valid && last_q[ScaleStages]) scan_q <= 1'b1;
    else if (scan_last) scan_q <= 1'b0;
    scan_count_q <= scan_q ? scan_count_q + 6'd1 : 6'd0;
  end

  // ---- candidates: their random number and noise; key and id wait in a ring ----

  logic candidate_q;
  logic candidate_last_q;
  logic signed [31:0] candidate_key_q;
  logic [15:0] candidate_id_q;

  logic offer;
  assign offer = valid_q[ScaleStages] && !sort_valid;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      candidate_q      <= 1'b0;
      candidate_last_q <= 1'b0;
    end else begin
      candidate_q      <= offer;
      candidate_last_q <= (offer || scanned_q[ScaleStages]) && last_q[ScaleStages];
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_q[ScaleStages]) begin
      candidate_key_q <= greedy_q ? logit[ScaleStages] : 32'(z);
      candidate_id_q  <= index[ScaleStages];
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
    .valid_i   (candidate_q),
    .token_i   (candidate_id_q),
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

  logic [5:0] ring_q;
  logic [31:0] ring_key;
  logic [15:0] ring_id;
  logic [NoiseStages:1] noise_last_q;
  tp_ram_async #(
    .Width(48),
    .Depth(64)
  ) u_ring (
    .clk_i          (clk_i),
    .write_enable_i (candidate_q),
    .write_address_i(ring_q),
    .write_data_i   ({candidate_key_q, candidate_id_q}),
    .read_address_i (ring_q - 6'(NoiseStages)),
    .read_data_o    ({ring_key, ring_id})
  );
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      ring_q       <= '0;
      noise_last_q <= '0;
    end else begin
      ring_q       <= ring_q + 6'd1;
      noise_last_q <= {noise_last_q[NoiseStages-1:1], candidate_last_q};
    end
  end

  // ---- winner: the largest key, the lowest id among equals ----

  logic sum_valid_q;
  logic sum_last_q;
  logic signed [31:0] sum_q;
  logic [15:0] sum_id_q;
  logic best_valid_q;
  logic signed [31:0] best_q;
  logic [15:0] best_id_q;
  logic token_valid_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      sum_valid_q   <= 1'b0;
      sum_last_q    <= 1'b0;
      best_valid_q  <= 1'b0;
      token_valid_q <= 1'b0;
    end else begin
      sum_valid_q   <= noise_valid;
      sum_last_q    <= noise_last_q[NoiseStages];
      token_valid_q <= sum_last_q;
      if (sum_valid_q) best_valid_q <= 1'b1;
      else if (token_valid_q) best_valid_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (noise_valid) begin
      sum_q    <= $signed(ring_key) + (greedy_q ? 32'sd0 : 32'(noise));
      sum_id_q <= ring_id;
    end
    if (sum_valid_q) begin
      if (!best_valid_q || $signed({sum_q, ~sum_id_q}) > $signed({best_q, ~best_id_q})) begin
        best_q    <= sum_q;
        best_id_q <= sum_id_q;
      end
    end
  end

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

  `TP_ASSERT(OneSlot_A, !(logit_valid_i && busy_q) || logit_slot_i == slot_q)
  `TP_ASSERT(NoLogitAfterLast_A, !(logit_valid_i && ended_q))
  `TP_ASSERT(SlotExists_A, !logit_valid_i || 32'(logit_slot_i) < Slots)
  `TP_ASSERT(TopKFits_A, !sort_valid || 32'(sampling_q.top_k) <= TopK)
  `TP_ASSERT(TokenHasWinner_A, !token_valid_q || best_valid_q)
  `TP_COVER(Scan_C, scan_q)
  `TP_COVER(Token_C, token_valid_q)

endmodule
