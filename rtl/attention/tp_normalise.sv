// SPDX-License-Identifier: Apache-2.0
//
// tp_normalise: sums of the mix over the sum of weights, as int32.
//
// In    Lanes elements of the mix and the sums of their head.
// Out   o = sat32(rnd(rnd(mix, k - 9) * reciprocal, shift - (level - rounded))), 11 cycles later.
// Rate  one beat per cycle. Costs two multipliers of 18 x 18 a lane.

`include "tp_assert.svh"

module tp_normalise
  import tp_attention_pkg::*;
#(
  parameter int unsigned Lanes = 4
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic signed [      7:0]       shift_i,         // early; 25 - edge, constant
  input  logic                          in_valid_i,      // early
  input  logic        [Lanes-1:0][31:0] in_mix_i,        // early; signed
  input  sums_t                         in_total_i,      // early
  output logic                          out_valid_o,     // early
  output logic        [Lanes-1:0][31:0] out_data_o,      // early; int32
  output logic        [Lanes-1:0]       out_saturated_o  // early; only with valid
);

  logic [8:1] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[7:1], in_valid_i};
  end

  logic [ 4:0] exponent;
  logic [16:0] factor;

  tp_reciprocal u_reciprocal (
    .clk_i,
    .rst_ni,
    .in_valid_i,
    .in_data_i (in_total_i.weight),
    .exponent_o(exponent),
    .factor_o  (factor)
  );

  // ---- 1: k - 10, for each lane by itself, 2: rnd by k - 9 = 3..14, 3: its rounding, 4..5: wait
  //      for the factor ----
  logic signed [31:0] mix_q              [Lanes];
  logic signed [31:0] mix_q2             [Lanes];
  logic        [ 3:0] right_q            [Lanes];  // 2..13
  logic signed [29:0] halves_q           [Lanes];  // twice the number
  logic signed [28:0] mean_q             [Lanes];  // |mix| < 2^31, so 29 bits
  logic signed [28:0] mean_q2            [Lanes];
  logic signed [28:0] mean_q3            [Lanes];
  logic signed [ 8:0] shift_q            [  1:7];  // last shift minus 1
  level_t             distance;  // 0..46

  // The exponent of V that the largest part of the sum has.
  assign distance = in_total_i.level - 19'(in_total_i.rounded);

  always_ff @(posedge clk_i) begin
    shift_q[1] <= 9'(shift_i) - 9'd1 - 9'(distance);
    for (int unsigned i = 2; i <= 7; i++) shift_q[i] <= shift_q[i-1];
    for (int unsigned i = 0; i < Lanes; i++) begin
      mix_q[i]    <= in_mix_i[i];
      mix_q2[i]   <= mix_q[i];
      halves_q[i] <= 30'(mix_q2[i] >>> right_q[i]);
      mean_q[i]   <= 29'((31'(halves_q[i]) + 31'sd1) >>> 1);
    end
    mean_q2 <= mean_q;
    mean_q3 <= mean_q2;
  end
  (* keep *)
  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Lanes; i++) right_q[i] <= 4'(exponent - 5'd10);
  end

  // ---- 6: two partial products in DSP blocks, 7: their sum ----
  logic [Lanes-1:0][33:0] low;
  logic [Lanes-1:0][28:0] high;
  logic [Lanes-1:0][45:0] product_q;

  for (genvar i = 0; i < int'(Lanes); i++) begin : gen_product
    tp_ecp5_multiply #(
      .WidthA (17),
      .WidthB (17),
      .SignedA(1'b0),
      .SignedB(1'b0),
      .Latency(1)
    ) u_low (
      .clk_i(clk_i),
      .a_i  (mean_q3[i][16:0]),
      .b_i  (factor),
      .out_o(low[i])
    );
    tp_ecp5_multiply #(
      .WidthA (12),
      .WidthB (17),
      .SignedB(1'b0),
      .Latency(1)
    ) u_high (
      .clk_i(clk_i),
      .a_i  (mean_q3[i][28:17]),
      .b_i  (factor),
      .out_o(high[i])
    );
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned i = 0; i < Lanes; i++) product_q[i] <= 46'(low[i]) + {high[i], 17'd0};
  end

  // ---- 8..10: the last shift ----
  tp_round_shift #(
    .Lanes(Lanes),
    .Width(46)
  ) u_shift (
    .clk_i,
    .rst_ni,
    .in_valid_i(valid_q[8]),
    .in_data_i (product_q),
    .in_shift_i(shift_q[7]),
    .out_valid_o,
    .out_data_o,
    .out_saturated_o
  );

  `TP_ASSERT(ExponentLegal_A, !in_valid_i || (distance >= 19'sd0 && distance <= 19'sd46))
  `TP_COVER(Saturated_C, out_valid_o && out_saturated_o != '0)

endmodule
