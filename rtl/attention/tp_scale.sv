// SPDX-License-Identifier: Apache-2.0
//
// tp_scale: rnd(mantissa, distance), the weight or p of one position. Combinational.

`include "tp_assert.svh"

module tp_scale
  import tp_attention_pkg::*;
(
  input  logic   [7:0] mantissa_i,  // early; 128..253
  input  scale_t       scale_i,     // early
  output logic   [7:0] scaled_o     // late
);

  logic [8:0] by_four;
  logic [8:0] by_two;
  logic       carry;
  logic [9:0] sum;

  assign by_four = scale_i.right[2] ? {4'd0, mantissa_i[7:3]} : {mantissa_i, 1'b0};
  assign by_two = scale_i.right[1] ? {2'd0, by_four[8:2]} : by_four;
  assign carry = scale_i.is_one || (scale_i.is_whole && (scale_i.right[0] ? by_two[1] : by_two[0]));

  // The last bit of the shift and the gate are in the chain of the rounding, d && (c ? b : a); its
  // lowest place passes the carry on.
  tp_ecp5_carry #(
    .Width(10),
    .Init(16'hca00),
    .CarryIn(1'b1)
  ) u_round (
    .a_i  ({1'b0, by_two[8:1], carry}),
    .b_i  ({2'b00, by_two[8:2], carry}),
    .c_i  ({{9{scale_i.right[0]}}, 1'b0}),
    .d_i  ({{9{scale_i.is_whole}}, 1'b1}),
    .sum_o(sum)
  );

  assign scaled_o = sum[8:1];

  logic unused_sum;
  assign unused_sum = ^{sum[9], sum[0]};

endmodule
