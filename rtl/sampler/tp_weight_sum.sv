// SPDX-License-Identifier: Apache-2.0
//
// tp_weight_sum: sums of weights: of all logits, and, running, of the entries of the sorted list.
//
// In    weights of the logits in their order, then those of the list from its end. A weight that
//       does not count (add_i low) adds 0. None of the list has a larger exponent than the logits.
// Out   sum_o * 2^(8 * exponent_o - 24) of the logits; for each entry of the list, at its
//       list_valid_o, the sum of it and of all before it at that exponent. Equals add_weight() and
//       weight_at() of the model.
// Rate  one weight per cycle, latency 3.
// Not   begins anew by itself, nor in reset: clear_i and list_clear_i, while no such weight is
//       under way.
//
// Exponents move in steps of eight, so all shifts move whole bytes.

`include "tp_assert.svh"

module tp_weight_sum (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               clear_i,       // early
  input  logic               list_clear_i,  // early; only the running sum of the list
  input  logic               valid_i,       // early
  input  logic               list_i,        // early; the weight is one of the list
  input  logic               add_i,         // early
  input  logic        [19:0] weight_i,      // early; 12 zeros fewer than the model's
  input  logic signed [ 9:0] exponent_i,    // early
  output logic        [47:0] sum_o,         // early
  output logic signed [ 9:0] exponent_o,    // early
  output logic               list_valid_o,  // early
  output logic        [37:0] list_sum_o     // early
);

  localparam logic signed [9:0] Least = 10'sh200;

  logic [2:0] valid_q;
  logic [2:0] list_q;
  logic [2:0] add_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[1:0], valid_i};
  end
  always_ff @(posedge clk_i) begin
    list_q <= {list_q[1:0], list_i};
    add_q  <= {add_q[1:0], add_i};
  end

  // ---- stage 1: the largest exponent, how far the weight is above it ----

  logic signed [ 9:0] exponent_q;
  logic signed [10:0] above;
  logic signed [10:0] above_q;
  logic        [19:0] weight_q;

  assign above = 11'(exponent_i) - 11'(exponent_q);

  always_ff @(posedge clk_i) begin
    if (clear_i) exponent_q <= Least;
    else if (valid_i && !list_i && !above[10]) exponent_q <= exponent_i;
  end
  always_ff @(posedge clk_i) begin
    weight_q <= weight_i;
    above_q  <= above;
  end

  // ---- stage 2: the weight in its place, and how far the sum moves ----

  logic [31:0] aligned;
  logic [31:0] aligned_q;
  logic [ 2:0] sum_shift;
  // 6: nothing is left. The lower and the upper half of the sum have their own, which are near.
  logic [ 2:0] low_shift_q;
  logic [ 2:0] high_shift_q;
  always_comb begin
    aligned = '0;  // from -4 down nothing is left
    if (!above_q[10]) aligned = {weight_q, 12'd0};
    else if (above_q[9:2] == '1) begin
      unique case (above_q[1:0])
        2'd3: aligned = {8'd0, weight_q, 4'd0};
        2'd2: aligned = {16'd0, weight_q[19:4]};
        2'd1: aligned = {24'd0, weight_q[19:12]};
        default: aligned = '0;
      endcase
    end
  end
  always_ff @(posedge clk_i) begin
    aligned_q <= add_q[0] ? aligned : '0;
  end
  always_comb begin
    if (above_q[10]) sum_shift = '0;
    else sum_shift = above_q > 11'sd5 ? 3'd6 : above_q[2:0];
  end
  (* keep *)
  always_ff @(posedge clk_i) low_shift_q <= sum_shift;
  (* keep *)
  always_ff @(posedge clk_i) high_shift_q <= sum_shift;

  // ---- stage 3: the sums ----

  logic [47:0] sum_q;
  logic [47:0] shifted;
  logic [37:0] list_sum_q;
  // In two steps, each straight from the bits of the shift.
  function automatic logic [47:0] moved(input logic [47:0] sum, input logic [2:0] shift);
    logic [47:0] coarse;
    coarse = shift[2] ? {32'd0, sum[47:32]} : sum;
    unique case (shift[1:0])
      2'd0: moved = coarse;
      2'd1: moved = {8'd0, coarse[47:8]};
      2'd2: moved = {16'd0, coarse[47:16]};
      default: moved = {24'd0, coarse[47:24]};
    endcase
  endfunction
  logic [47:0] low;
  logic [47:0] high;
  logic        unused_halves;
  assign low           = moved(sum_q, low_shift_q);
  assign high          = moved(sum_q, high_shift_q);
  assign shifted       = {high[47:24], low[23:0]};
  assign unused_halves = ^{high[23:0], low[47:24]};
  always_ff @(posedge clk_i) begin
    if (clear_i) sum_q <= '0;
    else if (valid_q[1] && !list_q[1]) sum_q <= shifted + 48'(aligned_q);
    if (clear_i || list_clear_i) list_sum_q <= '0;
    else if (valid_q[1] && list_q[1]) list_sum_q <= list_sum_q + 38'(aligned_q);
  end

  assign sum_o        = sum_q;
  assign exponent_o   = exponent_q;
  assign list_valid_o = valid_q[2] && list_q[2];
  assign list_sum_o   = list_sum_q;

  logic unused_bits;
  assign unused_bits = add_q[1] ^ add_q[2];

  `TP_ASSERT(ListIsBelow_A, !(valid_i && list_i && add_i) || exponent_i <= exponent_q)

endmodule
