// SPDX-License-Identifier: Apache-2.0
//
// tp_score: scores of one query set against one K word per cycle.
//
// In    K word and query word with their exponents; e_V + 1 of each group 8 cycles later. A head
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
  parameter bit WideHeads = 1'b0  // heads above 32, which span words
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic    [       2:0]      head_log2_i,        // early; 3..7, constant
  input  logic    [       4:0]      key_base_i,         // early; constant
  input  logic                      in_valid_i,         // early
  input  logic                      in_first_part_i,    // early; first word of the head
  input  logic                      in_last_part_i,     // early; last word of the head
  input  logic    [      31:0][7:0] key_i,              // early; int8
  input  logic    [      31:0][7:0] query_i,            // early; int8
  input  logic    [Groups-1:0][3:0] key_exponents_i,    // early; of the heads, over the base
  input  logic    [Groups-1:0][4:0] query_exponents_i,  // early; of the heads
  input  logic    [Groups-1:0][5:0] value_exponents_i,  // early; of the groups, plus 1; at 8
  output logic                      out_valid_o,        // early
  output scored_t [Groups-1:0]      out_scored_o        // early
);

  // valid_q[i] is high i cycles after in_valid_i.
  logic [9:1] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[8:1], in_valid_i};
  end

  // ---- 0..4: products, sums over 4, 8, 16, 32 lanes ----
  logic [31:0][15:0] product;
  logic              product_valid;

  tp_mul8 #(
    .Lanes(32),
    .IsSigned(1'b1)
  ) u_product (
    .clk_i,
    .rst_ni,
    .in_valid_i,
    .in_a_i     (key_i),
    .in_b_i     (query_i),
    .out_valid_o(product_valid),
    .out_data_o (product)
  );

  logic signed [17:0] sum4_q[8];
  logic signed [18:0] sum8_q[Groups];
  logic signed [19:0] sum16[2];
  logic signed [19:0] sum32;
  logic signed [19:0] dot_q[Groups];

  always_ff @(posedge clk_i) begin
    if (product_valid) begin
      for (int unsigned i = 0; i < 8; i++) begin
        sum4_q[i] <= (18'($signed(product[4*i])) + 18'($signed(product[4*i+1]))) +
            (18'($signed(product[4*i+2])) + 18'($signed(product[4*i+3])));
      end
    end
    if (valid_q[3]) begin
      for (int unsigned i = 0; i < Groups; i++) begin
        sum8_q[i] <= 19'(sum4_q[2*i]) + 19'(sum4_q[2*i+1]);
      end
    end
  end

  assign sum16[0] = 20'(sum8_q[0]) + 20'(sum8_q[1]);
  assign sum16[1] = 20'(sum8_q[2]) + 20'(sum8_q[3]);
  assign sum32    = sum16[0] + sum16[1];

  always_ff @(posedge clk_i) begin
    if (valid_q[4]) begin
      for (int unsigned i = 0; i < Groups; i++) begin
        unique case (head_log2_i)
          3'd3: dot_q[i] <= 20'(sum8_q[i]);
          3'd4: dot_q[i] <= sum16[i/2];
          default: dot_q[i] <= sum32;
        endcase
      end
    end
  end

  // ---- 0..4: exponents to a right or a left shift ----
  logic [Groups-1:0][6:0] exponent_q;  // e_q + e_k
  logic [Groups-1:0][6:0] exponent_q2;
  logic [Groups-1:0][6:0] exponent_q3;
  logic [Groups-1:0][6:0] exponent_q4;
  logic [4:0] right_q[Groups];  // 0..20: 20 shifts everything out
  logic [4:0] left_q[Groups];  // 0..23: 23 clamps everything but 0 and -1

  always_ff @(posedge clk_i) begin
    if (in_valid_i) begin
      for (int unsigned i = 0; i < Groups; i++) begin
        exponent_q[i] <= 7'(key_base_i) + 7'(key_exponents_i[head_of(head_log2_i, 2'(i))]) +
            7'(query_exponents_i[head_of(head_log2_i, 2'(i))]);
      end
    end
    if (valid_q[1]) exponent_q2 <= exponent_q;
    if (valid_q[2]) exponent_q3 <= exponent_q2;
    if (valid_q[3]) exponent_q4 <= exponent_q3;
    if (valid_q[4]) begin
      for (int unsigned i = 0; i < Groups; i++) begin
        right_q[i] <= exponent_q4[i] <= 7'd6 ? 5'd20 :
            exponent_q4[i] < 7'd26 ? 5'(7'd26 - exponent_q4[i]) : 5'd0;
        left_q[i] <= exponent_q4[i] >= 7'd49 ? 5'd23 :
            exponent_q4[i] > 7'd26 ? 5'(exponent_q4[i] - 7'd26) : 5'd0;
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
    assign dot_twice_right = dot_twice >>> right_q[0];

    always_ff @(posedge clk_i) begin
      first_part_q <= {first_part_q[6:1], in_first_part_i};
      last_part_q  <= {last_part_q[8:1], in_last_part_i};
      if (valid_q[4]) left_wide_q <= exponent_q4[0] > 7'd26 ? 5'(exponent_q4[0] - 7'd26) : 5'd0;
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
    assign is_wide     = head_log2_i > 3'd5;
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

  // ---- 5: right, 6: round, 7: left and clamp ----
  logic signed [20:0] shifted_q [Groups];
  logic signed [19:0] rounded_q [Groups];
  logic signed [23:0] score_q   [Groups];
  logic        [ 4:0] left_q2   [Groups];
  logic        [ 4:0] left_q3   [Groups];
  logic        [19:0] high_bits [Groups];  // these must equal the sign, or the left shift overflows
  logic               is_clamped[Groups];

  always_comb begin
    for (int unsigned i = 0; i < Groups; i++) begin
      high_bits[i]  = 20'(43'h7ff_ffff_ffff << (5'd23 - left_q3[i]));
      is_clamped[i] = |((rounded_q[i] ^{20{rounded_q[i][19]}}) & high_bits[i]);
    end
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Groups; i++) begin
      if (valid_q[5]) begin
        shifted_q[i] <= $signed({dot_q[i], 1'b0}) >>> right_q[i];
        left_q2[i]   <= left_q[i];
      end
      if (valid_q[6]) begin
        rounded_q[i] <= 20'((22'(shifted_q[i]) + 22'sd1) >>> 1);
        left_q3[i]   <= left_q2[i];
      end
      if (valid_q[7]) begin
        if (is_clamped[i]) score_q[i] <= {rounded_q[i][19], {23{!rounded_q[i][19]}}};
        else score_q[i] <= 24'(rounded_q[i]) <<< left_q3[i];
      end
    end
  end

  // ---- 8: whole and fraction ----
  logic signed [23:0] score[Groups];
  for (genvar i = 0; i < Groups; i++) begin : gen_score
    assign score[i] = is_wide ? wide_score_q : score_q[i];
  end

  scored_t [Groups-1:0] scored_q;

  always_ff @(posedge clk_i) begin
    if (valid_q[8]) begin
      for (int unsigned i = 0; i < Groups; i++) begin
        scored_q[i].rounded  <= 19'(score[i] >>> 6) + 19'sd1;
        scored_q[i].level    <= 19'(score[i] >>> 6) + $signed(19'(value_exponents_i[i]));
        scored_q[i].mantissa <= tp_tables_pkg::TP_TABLE_EXP2[score[i][5:0]];
      end
    end
  end

  assign out_valid_o  = valid_q[9] && is_complete;
  assign out_scored_o = scored_q;

  `TP_ASSERT(ProductInStep_A, product_valid == valid_q[2])
  `TP_ASSERT(HeadSize_A, !in_valid_i || (head_log2_i >= 3'd3 && (WideHeads || head_log2_i <= 3'd5)))
  `TP_COVER(Clamped_C, valid_q[7] && is_clamped[0])

endmodule
