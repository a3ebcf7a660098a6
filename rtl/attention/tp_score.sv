// SPDX-License-Identifier: Apache-2.0
//
// tp_score: scores of one query set against one K word per cycle.
//
// In    K word and query word with their exponents; e_V of each group 8 cycles later. A head
//       above 32 comes as 16 positions of its first word, then the same ones of the next.
// Out   for each group of 8 lanes the score of its head, 9 cycles after the (last) words.
// Rate  one word per cycle.
//
// s = clamp24(sum of rnd(dot, 26 - e_q - e_k)), in 1/64 of a log2 unit; see tp_attention() of the
// model.

`include "tp_assert.svh"

module tp_score
  import tp_attention_pkg::*;
#(
  parameter int unsigned Groups = 4,  // of 8 lanes; 2: half of a word at a time
  parameter bit WideHeads = 1'b0  // heads above 32, which span words
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic    [         2:0]      head_log2_i,        // early; 3..7, constant
  input  logic    [         4:0]      key_base_i,         // early; constant
  input  logic                        in_valid_i,         // early
  input  logic                        in_first_part_i,    // early; first word of the head
  input  logic                        in_last_part_i,     // early; last word of the head
  input  logic                        in_half_i,          // early; which half; 0 for whole words
  input  logic    [8*Groups-1:0][7:0] key_i,              // early; int8
  input  logic    [8*Groups-1:0][7:0] query_i,            // early; int8
  input  logic    [         3:0][3:0] key_exponents_i,    // early; of the heads, over the base
  input  logic    [         3:0][4:0] query_exponents_i,  // early; of the heads
  input  logic    [  Groups-1:0][5:0] value_exponents_i,  // early; of the groups; at 8
  output logic                        out_valid_o,        // early
  output scored_t [  Groups-1:0]      out_scored_o        // early
);

  // Each set has its own: it steers all groups.
  logic [2:0] head_log2_q;
  (* keep *)
  always_ff @(posedge clk_i) head_log2_q <= head_log2_i;

  // valid_q[i] is high i cycles after in_valid_i.
  logic [9:1] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[8:1], in_valid_i};
  end

  // ---- 0..2: sums over 8 lanes, 3: over 16, 4: over 32 ----
  logic signed [Groups-1:0][18:0] sum8;
  logic        [Groups-1:0][19:0] sum16;
  logic        [Groups-1:0][19:0] sum16_q;
  logic        [Groups-1:0][19:0] dot;
  logic        [Groups-1:0][19:0] dot_q;

  for (genvar i = 0; i < int'(Groups); i++) begin : gen_dot
    tp_dot8 u_dot8 (
      .clk_i,
      .rst_ni,
      .in_valid_i,
      .in_a_i    (query_i[8*i+:8]),
      .in_b_i    (key_i[8*i+:8]),
      .out_data_o(sum8[i])
    );

    // Each group adds its neighbours when they belong to its head; the gates are in the chain.
    tp_ecp5_carry #(
      .Width(20)
    ) u_sum16 (
      .a_i  (20'($signed(sum8[i]))),
      .b_i  ('1),
      .c_i  (20'($signed(sum8[i^1]))),
      .d_i  ({20{head_log2_q >= 3'd4}}),
      .sum_o(sum16[i])
    );

    if (Groups == 4) begin : gen_sum32
      tp_ecp5_carry #(
        .Width(20)
      ) u_sum32 (
        .a_i  (sum16_q[i]),
        .b_i  ('1),
        .c_i  (sum16_q[i^2]),
        .d_i  ({20{head_log2_q >= 3'd5}}),
        .sum_o(dot[i])
      );
    end else begin : gen_no_sum32
      assign dot[i] = sum16_q[i];
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_q[3]) sum16_q <= sum16;
    if (valid_q[4]) dot_q <= dot;
  end

  // ---- 0..4: exponents to a right shift of dot * 2^24 ----
  logic [Groups-1:0][6:0] exponent_q;  // e_q + e_k
  logic [Groups-1:0][6:0] exponent_q2;
  logic [Groups-1:0][6:0] exponent_q3;
  logic [Groups-1:0][6:0] exponent_q4;
  // 0 clamps everything but 0 and -1; 43 leaves nothing, after the rounding.
  logic [Groups-1:0][5:0] right_q;

  always_ff @(posedge clk_i) begin
    if (in_valid_i) begin
      for (int unsigned i = 0; i < Groups; i++) begin
        exponent_q[i] <= 7'(key_base_i) +
            7'(key_exponents_i[head_of(head_log2_q, group_of(2'(i), in_half_i))]) +
            7'(query_exponents_i[head_of(head_log2_q, group_of(2'(i), in_half_i))]);
      end
    end
    if (valid_q[1]) exponent_q2 <= exponent_q;
    if (valid_q[2]) exponent_q3 <= exponent_q2;
    if (valid_q[3]) exponent_q4 <= exponent_q3;
    if (valid_q[4]) begin
      for (int unsigned i = 0; i < Groups; i++) begin
        right_q[i] <= exponent_q4[i] >= 7'd49 ? 6'd0 :
            exponent_q4[i] <= 7'd6 ? 6'd43 : 6'(7'd49 - exponent_q4[i]);
      end
    end
  end

  // ---- 5..7: the same for a head of several words, with the sum of those before ----
  logic               is_wide;
  logic signed [23:0] wide_score_q;
  logic               is_complete;  // stage 9: the last word of the head

  if (WideHeads) begin : gen_wide
    logic        [ 7:1] first_part_q;
    logic        [ 9:1] last_part_q;
    logic        [ 4:0] left_wide_q;  // 0..24
    logic        [ 4:0] right_wide_q;  // 0..20: 20 shifts everything out
    logic signed [44:0] shifted_wide_q;
    logic signed [43:0] wide_q;
    logic        [ 3:0] step_q;
    logic        [45:0] before_sum;
    logic        [45:0] kept_sum;
    logic signed [45:0] sum;
    logic               is_too_large;
    logic signed [23:0] clamped;
    logic signed [20:0] dot_twice;
    logic signed [20:0] dot_twice_right;

    assign dot_twice       = $signed({dot_q[0], 1'b0});
    assign dot_twice_right = dot_twice >>> right_wide_q;

    always_ff @(posedge clk_i) begin
      first_part_q <= {first_part_q[6:1], in_first_part_i};
      last_part_q  <= {last_part_q[8:1], in_last_part_i};
      if (valid_q[4]) begin
        left_wide_q <= exponent_q4[0] > 7'd26 ? 5'(exponent_q4[0] - 7'd26) : 5'd0;
        right_wide_q <= exponent_q4[0] <= 7'd6 ? 5'd20 :
            exponent_q4[0] < 7'd26 ? 5'(7'd26 - exponent_q4[0]) : 5'd0;
      end
      if (valid_q[5]) begin
        shifted_wide_q <= left_wide_q != '0 ? 45'(dot_twice) <<< left_wide_q : 45'(dot_twice_right);
      end
      if (valid_q[6]) wide_q <= 44'((46'(shifted_wide_q) + 46'sd1) >>> 1);
    end

    always_ff @(posedge clk_i) begin
      if (!rst_ni) step_q <= '0;
      else if (valid_q[7]) step_q <= step_q + 4'd1;
    end

    // The sums are exact: a large part may cancel another.
    tp_ram_async #(
      .Width(46),
      .Depth(16)
    ) u_sums (
      .clk_i,
      .write_enable_i (valid_q[7]),
      .write_address_i(step_q),
      .write_data_i   (kept_sum),
      .read_address_i (step_q),
      .read_data_o    (before_sum)
    );

    assign sum          = (first_part_q[7] ? 46'sd0 : $signed(before_sum)) + 46'(wide_q);
    assign is_too_large = sum[45:23] != {23{sum[45]}};
    assign clamped      = is_too_large ? {sum[45], {23{!sum[45]}}} : sum[23:0];
`ifdef TP_PLANT_BUG
    // The planted fault clamps after each word of the head.
    assign kept_sum = 46'(clamped);
`else
    assign kept_sum = sum;
`endif
    assign is_wide     = head_log2_q > 3'd5;
    assign is_complete = last_part_q[9];

    always_ff @(posedge clk_i) if (valid_q[7]) wide_score_q <= clamped;

    `TP_ASSERT(WideExponent_A, !(valid_q[4] && is_wide) || exponent_q4[0] <= 7'd50)
    `TP_COVER(WideClamped_C, valid_q[7] && is_wide && last_part_q[7] && is_too_large)
  end else begin : gen_narrow
    logic unused_parts;
    assign unused_parts = ^{in_first_part_i, in_last_part_i};
    assign is_wide      = 1'b0;
    assign wide_score_q = '0;
    assign is_complete  = 1'b1;
  end

  // ---- 5: shift by bytes, 6: by bits, 7: round and clamp ----
  // A number is lost when a bit that is shifted out above, or the topmost left, is not the sign.
  logic [Groups-1:0][31:0] bytes;
  logic [Groups-1:0][31:0] bytes_q;
  logic [Groups-1:0][ 2:0] right_q2;
  logic [Groups-1:0]       is_negative_q;
  logic [Groups-1:0]       is_negative_q2;
  logic [Groups-1:0]       is_large;
  logic [Groups-1:0]       is_large_q;
  logic [Groups-1:0][27:0] by_four;
  logic [Groups-1:0][25:0] by_two;
  logic [Groups-1:0][24:0] shifted;
  logic [Groups-1:0][24:0] shifted_q;  // twice the score
  logic [Groups-1:0]       is_clamped;
  logic [Groups-1:0]       is_clamped_q;
  logic [Groups-1:0][25:0] rounded;
  logic [Groups-1:0][23:0] score_q;

  for (genvar i = 0; i < int'(Groups); i++) begin : gen_shift
    logic sign;
    logic [2:0] coarse;
    logic [2:0] fine;

    assign sign   = dot_q[i][19];
    assign coarse = right_q[i][5:3];
    assign fine   = right_q2[i];

    always_comb begin
      for (int unsigned m = 0; m < 4; m++) begin
        bytes[i][8*m+:8] = (dot_q[i][7:0] & {8{coarse == 3'(3 - m)}}) |
            (dot_q[i][15:8] & {8{coarse == 3'(4 - m)}}) |
            ({{4{sign}}, dot_q[i][19:16]} & {8{coarse == 3'(5 - m)}}) |
            {8{sign && coarse > 3'(5 - m)}};
      end
      is_large[i] = (coarse <= 3'd1 && dot_q[i][18:16] != {3{sign}}) ||
          (coarse == 3'd0 && dot_q[i][15:8] != {8{sign}});

      by_four[i] = fine[2] ? bytes_q[i][31:4] : bytes_q[i][27:0];
      by_two[i] = fine[1] ? by_four[i][27:2] : by_four[i][25:0];
      shifted[i] = fine[0] ? by_two[i][25:1] : by_two[i][24:0];
      is_clamped[i] = is_large_q[i] || shifted[i][24] != is_negative_q[i] ||
          (!fine[2] && bytes_q[i][31:28] != {4{is_negative_q[i]}}) ||
          (!fine[1] && by_four[i][27:26] != {2{is_negative_q[i]}}) ||
          (!fine[0] && by_two[i][25] != is_negative_q[i]);
    end

    // The lowest place makes the carry of the rounding.
    tp_ecp5_carry #(
      .Width(26)
    ) u_round (
      .a_i  ({1'b0, shifted_q[i]}),
      .b_i  ({26{!is_clamped_q[i]}}),
      .c_i  ({1'b0, is_negative_q2[i], {23{!is_negative_q2[i]}}, shifted_q[i][0]}),
      .d_i  ({{25{is_clamped_q[i]}}, !is_clamped_q[i]}),
      .sum_o(rounded[i])
    );
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Groups; i++) begin
      if (valid_q[5]) begin
        bytes_q[i]       <= bytes[i];
        right_q2[i]      <= right_q[i][2:0];
        is_negative_q[i] <= dot_q[i][19];
        is_large_q[i]    <= is_large[i];
      end
      if (valid_q[6]) begin
        shifted_q[i]      <= shifted[i];
        is_clamped_q[i]   <= is_clamped[i];
        is_negative_q2[i] <= is_negative_q[i];
      end
      if (valid_q[7]) score_q[i] <= rounded[i][24:1];
    end
  end

  logic unused_rounded;
  always_comb begin
    unused_rounded = 1'b0;
    for (int unsigned i = 0; i < Groups; i++) unused_rounded ^= rounded[i][25] ^ rounded[i][0];
  end

  // ---- 8: whole and fraction ----
  logic signed [23:0] score[Groups];
  for (genvar i = 0; i < Groups; i++) begin : gen_score
    assign score[i] = is_wide ? wide_score_q : $signed(score_q[i]);
  end

  scored_t [Groups-1:0] scored_q;

  always_ff @(posedge clk_i) begin
    if (valid_q[8]) begin
      for (int unsigned i = 0; i < Groups; i++) begin
        scored_q[i].rounded  <= score[i][23:6];
        scored_q[i].level    <= 19'($signed(score[i][23:6])) + $signed(19'(value_exponents_i[i]));
        scored_q[i].mantissa <= tp_tables_pkg::TP_TABLE_EXP2[score[i][5:0]];
      end
    end
  end

  assign out_valid_o  = valid_q[9] && is_complete;
  assign out_scored_o = scored_q;

  `TP_REQUIRE(Groups == 4 || (Groups == 2 && !WideHeads))

  `TP_ASSERT(HeadSize_A, !in_valid_i || (head_log2_q >= 3'd3 && (WideHeads || head_log2_q <= 3'd5)))
  `TP_ASSERT(HeadInHalf_A, !in_valid_i || Groups == 4 || head_log2_q <= 3'd4)
  `TP_COVER(Clamped_C, valid_q[7] && is_clamped_q[0])

endmodule
