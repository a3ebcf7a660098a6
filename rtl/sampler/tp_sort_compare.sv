// SPDX-License-Identifier: Apache-2.0
//
// tp_sort_compare: whether a key is at least as large as one of two others.
//
// Out   a_i >= (pick_b_i ? b_i : c_i), unsigned; with Strict > in place of >=. Combinational.
//
// The choice lies in the carry cells: each passes the carry on where its bits are equal and else
// begins one where that of a_i is 0, so what leaves the chain tells that a_i is below.

`include "tp_assert.svh"

module tp_sort_compare #(
  parameter int unsigned Width  = 25,   // odd
  parameter bit          Strict = 1'b0
) (
  input  logic [Width-1:0] a_i,
  input  logic [Width-1:0] b_i,
  input  logic [Width-1:0] c_i,
  input  logic             pick_b_i,
  output logic             at_least_o
);

  `TP_REQUIRE(Width >= 3 && Width % 2 == 1)

  // The last bit has equal ones and so shows the carry, inverted. Ones cost no wire, zeros do.
  logic [Width:0] sum;
  logic           unused_sum;
  tp_ecp5_carry #(
    .Width  (Width + 1),
    .Init   (16'h99A5),
    .CarryIn(Strict)
  ) u_below (
    .a_i  ({1'b1, a_i}),
    .b_i  ({1'b1, b_i}),
    .c_i  ({1'b1, c_i}),
    .d_i  ({(Width + 1) {pick_b_i}}),
    .sum_o(sum)
  );
  assign at_least_o = sum[Width];
  assign unused_sum = ^sum[Width-1:0];

endmodule
