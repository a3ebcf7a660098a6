// SPDX-License-Identifier: Apache-2.0
//
// tp_magnitude: magnitude of an int32.
//
// Out   |value_i|; of -2^31 it is 2^31. Combinational.
//
// One carry chain, with the complement of negative numbers inside; the lowest place makes the
// carry. An inferred negation has its complement and the choice in LUTs around the chain.

module tp_magnitude (
  input  logic [31:0] value_i,     // early; int32
  output logic [31:0] magnitude_o  // late
);

  logic [33:0] sum;
  logic        unused_sum;

  tp_ecp5_carry #(
    .Width  (34),
    .Init   (16'h6666),
    .CarryIn(1'b1)
  ) u_sum (
    .a_i  ({1'b0, value_i, 1'b0}),
    .b_i  ({34{value_i[31]}}),
    .c_i  ('1),
    .d_i  ('1),
    .sum_o(sum)
  );

  assign magnitude_o = sum[32:1];
  assign unused_sum  = ^{sum[33], sum[0]};

endmodule
