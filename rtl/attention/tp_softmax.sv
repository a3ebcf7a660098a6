// SPDX-License-Identifier: Apache-2.0
//
// tp_softmax: page maxima, and one page later the weights p relative to them, of one query set.
//
// In    scores, 16 in a page, the masked ones marked; 16 cycles or more after the first score of a
//       page, and before the 17th cycle's score is stored, the same page's steps for the mix. A
//       head above 32 is mixed word after word; its group i holds the levels of word i, and the
//       last word's steps are the ones that must come in time.
// Out   p for the mix, 3 cycles after its step; from the cycle after page_load_i on the page's
//       maxima and the sum of its weights, 8 / Beat cycles for each group, again and again.
// Rate  one position per cycle in each of both roles, pages back to back.
//
// weight = sum rnd(T, m - f), p = rnd(T, n - f - e_V); see tp_attention() of the model.

`include "tp_assert.svh"

module tp_softmax
  import tp_attention_pkg::*;
#(
  parameter int unsigned Groups = 4,  // of 8 lanes
  parameter bit WideHeads = 1'b0,  // heads above 32, which span words; with 4 groups
  parameter int unsigned Beat = 4  // sums that the mix gives in a cycle: 4, 2
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      in_valid_i,   // early
  input  logic                      in_first_i,   // early; first of a page
  input  logic                      in_keep_i,    // early; 0: masked
  input  scored_t [Groups-1:0]      in_scored_i,  // early
  input  logic                      mix_valid_i,  // early
  input  logic                      mix_first_i,  // early
  input  logic                      mix_keep_i,   // early
  input  logic                      mix_wide_i,   // early; constant: a head spans words
  input  logic    [       1:0]      mix_part_i,   // early; word of the head
  output logic    [Groups-1:0][7:0] out_p_o,      // early; 0..253, 3 cycles after mix_valid_i
  input  logic                      page_load_i,  // early; 6 cycles after the page's last step
  output sums_t                     page_o        // late
);

  localparam int unsigned GroupBits = $clog2(Groups);

  // ---- scores of a page, and its maxima ----
  logic     [       3:0] write_step_q;
  logic     [       3:0] read_step_q;
  scored_t  [Groups-1:0] stored;
  rounded_t              rounded_max_q[Groups];
  level_t                level_max_q  [Groups];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_step_q <= '0;
      read_step_q  <= '0;
    end else begin
      if (in_valid_i) write_step_q <= write_step_q + 4'd1;
      if (mix_valid_i) read_step_q <= read_step_q + 4'd1;
    end
  end

  tp_ram_async #(
    .Width(Groups * $bits(scored_t)),
    .Depth(16)
  ) u_scores (
    .clk_i,
    .write_enable_i (in_valid_i),
    .write_address_i(write_step_q),
    .write_data_i   (in_scored_i),
    .read_address_i (read_step_q),
    .read_data_o    (stored)
  );

  // Differences instead of comparisons, which synthesis makes of a chain and a tree of LUTs.
  logic signed [18:0] rounded_left[Groups];
  logic signed [19:0] level_left  [Groups];

  always_comb begin
    for (int unsigned i = 0; i < Groups; i++) begin
      rounded_left[i] = 19'(rounded_max_q[i]) - 19'($signed(in_scored_i[i].rounded));
      level_left[i]   = 20'(level_max_q[i]) - 20'($signed(in_scored_i[i].level));
    end
  end

  always_ff @(posedge clk_i) begin
    if (in_valid_i && in_keep_i) begin
      for (int unsigned i = 0; i < Groups; i++) begin
        if (in_first_i || rounded_left[i][18]) rounded_max_q[i] <= in_scored_i[i].rounded;
        if (in_first_i || level_left[i][19]) level_max_q[i] <= in_scored_i[i].level;
      end
    end
  end

  // ---- 0: the maxima of the page that is mixed now, and of the page before it ----
  logic     [       5:1] valid_q;  // i cycles after mix_valid_i
  logic     [       5:1] first_q;
  logic                  keep_q;
  scored_t  [Groups-1:0] stored_q;
  rounded_t              rounded_hold_q                         [Groups];
  level_t                level_hold_q                           [Groups];
  rounded_t              rounded_hold_q2                        [Groups];
  level_t                level_hold_q2                          [Groups];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[4:1], mix_valid_i};
  end

  // Group whose levels count for group i.
  logic [GroupBits-1:0] from[Groups];
  for (genvar i = 0; i < Groups; i++) begin : gen_from
    assign from[i] = WideHeads && mix_wide_i ? mix_part_i[GroupBits-1:0] : GroupBits'(i);
  end

  always_ff @(posedge clk_i) begin
    first_q <= {first_q[4:1], mix_first_i};
    if (mix_valid_i) begin
      keep_q <= mix_keep_i;
      for (int unsigned i = 0; i < Groups; i++) begin
        stored_q[i].rounded  <= stored[i].rounded;
        stored_q[i].level    <= stored[from[i]].level;
        stored_q[i].mantissa <= stored[i].mantissa;
      end
    end
    if (mix_valid_i && mix_first_i) begin
      rounded_hold_q <= rounded_max_q;
      for (int unsigned i = 0; i < Groups; i++) level_hold_q[i] <= level_max_q[from[i]];
    end
    // The page's sums come after the first steps of the next page.
    if (mix_valid_i && read_step_q == 4'd15) begin
      rounded_hold_q2 <= rounded_hold_q;
      level_hold_q2   <= level_hold_q;
    end
  end

  // ---- 1: distances to the maxima, 2: p and weight ----
  logic [Groups-1:0][17:0] weight_far;
  logic [Groups-1:0][18:0] mix_far;
  scale_t [Groups-1:0] weight_scale_q;
  scale_t [Groups-1:0] mix_scale_q;
  logic [Groups-1:0][7:0] mantissa_q;
  logic [Groups-1:0][7:0] weight;
  logic [Groups-1:0][7:0] p;
  logic [Groups-1:0][7:0] weight_q;
  logic [Groups-1:0][7:0] p_q;

  always_comb begin
    for (int unsigned i = 0; i < Groups; i++) begin
      weight_far[i] = rounded_hold_q[i] - stored_q[i].rounded;
      mix_far[i]    = level_hold_q[i] - stored_q[i].level;
    end
  end

  for (genvar i = 0; i < int'(Groups); i++) begin : gen_scale
    tp_scale u_weight (
      .mantissa_i(mantissa_q[i]),
      .scale_i   (weight_scale_q[i]),
      .scaled_o  (weight[i])
    );
    tp_scale u_p (
      .mantissa_i(mantissa_q[i]),
      .scale_i   (mix_scale_q[i]),
      .scaled_o  (p[i])
    );
  end

  always_ff @(posedge clk_i) begin
    if (valid_q[1]) begin
      for (int unsigned i = 0; i < Groups; i++) begin
        weight_scale_q[i] <= scale_of(19'(weight_far[i]), keep_q);
        mix_scale_q[i]    <= scale_of(mix_far[i], keep_q);
        mantissa_q[i]     <= stored_q[i].mantissa;
      end
    end
    if (valid_q[2]) begin
      weight_q <= weight;
      p_q      <= p;
    end
  end

  assign out_p_o = p_q;

  // ---- 3, 4: wait for the multipliers of the mix, 5: sum ----
  logic  [Groups-1:0][ 7:0] weight_q2;
  logic  [Groups-1:0][ 7:0] weight_q3;
  logic  [Groups-1:0][11:0] weight_sum;
  logic  [Groups-1:0][11:0] weight_sum_q;
  sums_t [Groups-1:0]       page_q;

  for (genvar i = 0; i < int'(Groups); i++) begin : gen_sum
    tp_ecp5_carry #(
      .Width(12)
    ) u_sum (
      .a_i  (weight_sum_q[i]),
      .b_i  ({12{!first_q[5]}}),
      .c_i  (12'(weight_q3[i])),
      .d_i  ('1),
      .sum_o(weight_sum[i])
    );
  end

  always_ff @(posedge clk_i) begin
    if (valid_q[3]) weight_q2 <= weight_q;
    if (valid_q[4]) weight_q3 <= weight_q2;
    if (valid_q[5]) weight_sum_q <= weight_sum;
    if (page_load_i) begin
      for (int unsigned i = 0; i < Groups; i++) begin
        page_q[i].rounded <= rounded_hold_q2[i];
        page_q[i].level   <= level_hold_q2[i];
        page_q[i].weight  <= 24'(weight_sum_q[i]);
      end
    end
  end

  // Each of the two parts that are far apart has a counter of its own, which counts beats.
  localparam int unsigned BeatBits = $clog2(8 / Beat);  // beats of a group
  logic [GroupBits+BeatBits-1:0] weight_beat_q;
  logic [GroupBits+BeatBits-1:0] level_beat_q;
  (* keep *)
  always_ff @(posedge clk_i) begin
    weight_beat_q <= page_load_i ? '0 : weight_beat_q + 1'b1;
    level_beat_q  <= page_load_i ? '0 : level_beat_q + 1'b1;
  end

  always_comb begin
    page_o       = page_q[weight_beat_q[BeatBits+:GroupBits]];
    page_o.level = page_q[level_beat_q[BeatBits+:GroupBits]].level;
  end

  logic unused_part;
  assign unused_part = ^{mix_wide_i, mix_part_i};

  // An assertion must not index an array.
  rounded_t rounded_0;
  rounded_t rounded_max_0;
  assign rounded_0     = stored_q[0].rounded;
  assign rounded_max_0 = rounded_hold_q[0];

  `TP_ASSERT(FirstKept_A, !(in_valid_i && in_first_i) || in_keep_i)
  `TP_ASSERT(FirstStep_A, !(in_valid_i && in_first_i) || write_step_q == 4'd0)
  `TP_ASSERT(MixFirstStep_A, !(mix_valid_i && mix_first_i) || read_step_q == 4'd0)
  `TP_ASSERT(NoFarther_A, !(valid_q[1] && keep_q) || rounded_0 <= rounded_max_0)
  `TP_COVER(Masked_C, mix_valid_i && !mix_keep_i)

endmodule
