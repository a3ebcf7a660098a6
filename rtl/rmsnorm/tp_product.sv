// SPDX-License-Identifier: Apache-2.0
//
// tp_product: products of an int32 and an int16 in LUTs.
//
// In    x and gain, signed.
// Out   the exact product, 48 bits signed, 2 cycles later.
// Rate  one product per cycle.
// Not   is no DSP block: those are scarce. A plain product would be taken for one in synthesis, so
//       there it is the sum of eight pairs of gated rows, each one carry chain with the gates
//       inside (tp_ecp5_carry). TP_PRODUCT_ROWS takes this form anywhere. Two levels of adders, a
//       register, two levels, a register.

`include "tp_assert.svh"

`ifdef SYNTHESIS
`define TP_PRODUCT_ROWS
`endif

module tp_product (
  input logic clk_i,
  input logic rst_ni,
  input logic in_valid_i,  // early
  input logic [31:0] in_x_i,  // early; int32
  input logic [15:0] in_gain_i,  // early; int16
  output logic out_valid_o,  // early
  output logic [47:0] out_data_o  // early; signed, at most 2^46
);

  logic valid_q, valid_q2;
  logic [47:0] product_q2;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) {valid_q, valid_q2} <= '0;
    else {valid_q, valid_q2} <= {in_valid_i, valid_q};
  end

`ifdef TP_PRODUCT_ROWS
  logic [7:0][33:0] pair;  // signed; rows 2 i and 2 i + 1 without their common shift
  logic [3:0][36:0] part_q;  // signed; rows 4 i .. 4 i + 3, the same

  for (genvar i = 0; i < 8; i++) begin : gen_pair
    logic [33:0] once;
    logic [33:0] twice;
    assign once  = 34'($signed(in_x_i));
    assign twice = 34'($signed({in_x_i, 1'b0}));
    if (i < 7) begin : gen_add
      tp_ecp5_carry #(
        .Width(34),
        .Init (16'h7888)
      ) u_carry (
        .a_i  (once),
        .b_i  ({34{in_gain_i[2*i]}}),
        .c_i  (twice),
        .d_i  ({34{in_gain_i[2*i+1]}}),
        .sum_o(pair[i])
      );
    end else begin : gen_subtract
      // The top bit of the gain counts negative.
      tp_ecp5_carry #(
        .Width  (34),
        .Init   (16'h8777),
        .CarryIn(1'b1)
      ) u_carry (
        .a_i  (twice),
        .b_i  ({34{in_gain_i[15]}}),
        .c_i  (once),
        .d_i  ({34{in_gain_i[14]}}),
        .sum_o(pair[i])
      );
    end
  end

  for (genvar i = 0; i < 4; i++) begin : gen_part
    always_ff @(posedge clk_i) begin
      if (in_valid_i) part_q[i] <= 37'($signed(pair[2*i])) + 37'($signed({pair[2*i+1], 2'b00}));
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_q) begin
      product_q2 <= (48'($signed(part_q[0])) + 48'($signed({part_q[1], 4'b0}))) +
          (48'($signed({part_q[2], 8'b0})) + 48'($signed({part_q[3], 12'b0})));
    end
  end
`else
  logic [31:0] high_q;  // signed
  logic [32:0] low_q;  // signed

  always_ff @(posedge clk_i) begin
    if (in_valid_i) begin
      high_q <= 32'($signed(in_x_i[31:16])) * 32'($signed(in_gain_i));
      low_q  <= 33'({1'b0, in_x_i[15:0]}) * 33'($signed(in_gain_i));
    end
`ifdef TP_PLANT_BUG
    // The planted fault takes the low part for a positive number.
    if (valid_q) product_q2 <= {high_q, 16'b0} + 48'(low_q);
`else
    if (valid_q) product_q2 <= {high_q, 16'b0} + 48'($signed(low_q));
`endif
  end
`endif

  assign out_valid_o = valid_q2;
  assign out_data_o  = product_q2;

endmodule
