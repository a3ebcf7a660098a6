// SPDX-License-Identifier: Apache-2.0
//
// tp_epilogue_add: an int32 plus, or minus, another one that counts only when its gate is open.
//
// Out   33 bits, which hold every sum. Combinational.
//
// One carry chain with the gate inside.

module tp_epilogue_add #(
  parameter bit Subtract = 1'b0
) (
  input  logic        [31:0] base_i,  // early; int32
  input  logic        [31:0] term_i,  // early; int32
  input  logic               gate_i,  // early
  output logic signed [32:0] sum_o    // late
);

  logic unused_sum;

  tp_ecp5_carry #(
    .Width  (34),
    .Init   (Subtract ? 16'h8777 : 16'h7888),
    .CarryIn(Subtract)
  ) u_sum (
    .a_i  (34'($signed(term_i))),
    .b_i  ({34{gate_i}}),
    .c_i  (34'($signed(base_i))),
    .d_i  ('1),
    .sum_o({unused_sum, sum_o})
  );

endmodule
