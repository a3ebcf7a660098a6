// SPDX-License-Identifier: Apache-2.0
//
// tp_multiply: signed product with the registers of a hard multiplier.
//
// In    a_i, b_i: signed. out_o: a * b, complete, no rounding.
// Rate  one product per cycle, latency 3: input, pipeline and output register.
// Not   holds no valid bit; stage s of the three loads when enable_i[s] is high.

`include "tp_assert.svh"

module tp_multiply #(
  parameter int unsigned WidthA = 8,
  parameter int unsigned WidthB = 8
) (
  input  logic                            clk_i,
  input  logic        [              2:0] enable_i,
  input  logic signed [       WidthA-1:0] a_i,
  input  logic signed [       WidthB-1:0] b_i,
  output logic signed [WidthA+WidthB-1:0] out_o      // early
);

  `TP_REQUIRE(WidthA >= 2 && WidthA <= 18)
  `TP_REQUIRE(WidthB >= 2 && WidthB <= 18)

  localparam int unsigned Width = WidthA + WidthB;

  logic signed [WidthA-1:0] a_q;
  logic signed [WidthB-1:0] b_q;
  logic signed [ Width-1:0] product_q;
  logic signed [ Width-1:0] out_q;

  always_ff @(posedge clk_i) begin
    if (enable_i[0]) begin
      a_q <= a_i;
      b_q <= b_i;
    end
    if (enable_i[1]) product_q <= Width'(a_q) * Width'(b_q);
    if (enable_i[2]) out_q <= product_q;
  end

  assign out_o = out_q;

endmodule
