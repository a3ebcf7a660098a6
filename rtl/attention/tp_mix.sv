// SPDX-License-Identifier: Apache-2.0
//
// tp_mix: sums p * v over the positions of a page, 32 elements of one query set.
//
// In    a V word and the p of its lane groups, 16 in a page.
// Out   page_done_o 3 cycles after the last position; from the next cycle on the page's sums, four
//       at a time by quad_i, until the next page is done.
// Rate  one position per cycle, pages back to back.

`include "tp_assert.svh"

module tp_mix
  import tp_attention_pkg::*;
(
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    in_valid_i,   // early
  input  logic                    in_first_i,   // early; first of a page
  input  logic                    in_last_i,    // early; last of a page
  input  logic [Groups-1:0][ 7:0] in_p_i,       // early; 0..253
  input  logic [      31:0][ 7:0] in_value_i,   // early; int8
  output logic                    page_done_o,  // early
  input  logic [       2:0]       quad_i,       // early
  output logic [       3:0][19:0] quad_data_o   // late; signed
);

  logic [31:0][ 7:0] p;
  logic [31:0][15:0] product;
  logic              product_valid;
  logic [ 1:0]       first_q;
  logic [ 1:0]       last_q;
  logic              done_q;
  logic [31:0][19:0] sum;
  logic [31:0][19:0] sum_q;
  logic [31:0][19:0] hold_q;

  for (genvar lane = 0; lane < 32; lane++) begin : gen_p
    assign p[lane] = in_p_i[lane/8];
  end

  tp_mul8 #(
    .Lanes(32)
  ) u_product (
    .clk_i,
    .rst_ni,
    .in_valid_i,
    .in_a_i     (in_value_i),
    .in_b_i     (p),
    .out_valid_o(product_valid),
    .out_data_o (product)
  );

  // Adders that clear the sum so far inside the chain.
  for (genvar lane = 0; lane < 32; lane++) begin : gen_sum
    tp_ecp5_carry #(
      .Width(20)
    ) u_sum (
      .a_i  (sum_q[lane]),
      .b_i  ({20{!first_q[1]}}),
      .c_i  (20'($signed(product[lane]))),
      .d_i  ('1),
      .sum_o(sum[lane])
    );
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) done_q <= 1'b0;
    else done_q <= product_valid && last_q[1];
  end

  always_ff @(posedge clk_i) begin
    first_q <= {first_q[0], in_first_i};
    last_q  <= {last_q[0], in_last_i};
    if (product_valid) sum_q <= sum;
    if (done_q) hold_q <= sum_q;
  end

  assign page_done_o = done_q;

  always_comb begin
    for (int unsigned i = 0; i < 4; i++) quad_data_o[i] = hold_q[{quad_i, 2'(i)}];
  end

endmodule
