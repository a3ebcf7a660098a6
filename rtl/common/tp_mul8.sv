// SPDX-License-Identifier: Apache-2.0
//
// tp_mul8: products of 8-bit numbers in LUTs, in any number of lanes side by side.
//
// In    per lane a signed a and a b, signed or unsigned by parameter.
// Out   a * b, exact in 16 bits (255 * -128 and -128 * -128 fit), 2 cycles later; stays until the
//       next.
// Rate  one product per lane and cycle.
// Not   is no DSP block: those belong to the matrix unit.
//
// In synthesis the product is the sum of four pairs of gated rows, so that no DSP block is taken;
// each pair is one carry chain with the gates inside. TP_MUL8_ROWS selects this form in simulation,
// which otherwise multiplies. Two levels of adders, a register, one level, a register.

`include "tp_assert.svh"

`ifdef SYNTHESIS
`define TP_MUL8_ROWS
`endif

module tp_mul8 #(
  parameter int unsigned Lanes = 1,
  parameter bit IsSigned = 1'b1  // b is signed
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic                   in_valid_i,   // early
  input  logic [Lanes-1:0][ 7:0] in_a_i,       // early; int8
  input  logic [Lanes-1:0][ 7:0] in_b_i,       // early; int8 or uint8
  output logic                   out_valid_o,  // early
  output logic [Lanes-1:0][15:0] out_data_o    // early; int16
);

  `TP_REQUIRE(Lanes >= 1)

  logic valid_q;
  logic out_valid_q;
  logic [Lanes-1:0][15:0] out_data_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q     <= 1'b0;
      out_valid_q <= 1'b0;
    end else begin
      valid_q     <= in_valid_i;
      out_valid_q <= valid_q;
    end
  end

  assign out_valid_o = out_valid_q;
  assign out_data_o  = out_data_q;

`ifdef TP_MUL8_ROWS
  for (genvar lane = 0; lane < int'(Lanes); lane++) begin : gen_lane
    logic signed [7:0] a;
    logic [7:0] b;
    // Rows 2 i and 2 i + 1 of the product, without their common shift.
    logic signed [3:0][9:0] pair;
    logic signed [12:0] low_q;  // rows 0 to 3
    logic signed [12:0] high_q;  // rows 4 to 7

    assign a = in_a_i[lane];
    assign b = in_b_i[lane];

    for (genvar i = 0; i < 4; i++) begin : gen_pair
      // The top row counts -128 in a signed b: it is the one that is subtracted.
      localparam bit Subtract = IsSigned && i == 3;
      logic [9:0] even;  // row 2 i
      logic [9:0] odd;  // row 2 i + 1
      assign even = 10'(a);
      assign odd  = 10'($signed({a, 1'b0}));

      tp_ecp5_carry #(
        .Width(10),
        .Init(Subtract ? 16'h8777 : 16'h7888),
        .CarryIn(Subtract)
      ) u_pair (
        .a_i  (odd),
        .b_i  ({10{b[2*i+1]}}),
        .c_i  (even),
        .d_i  ({10{b[2*i]}}),
        .sum_o(pair[i])
      );
    end

    always_ff @(posedge clk_i) begin
      if (in_valid_i) begin
        low_q  <= 13'($signed(pair[0])) + 13'($signed({pair[1], 2'b00}));
        high_q <= 13'($signed(pair[2])) + 13'($signed({pair[3], 2'b00}));
      end
`ifdef TP_PLANT_BUG
      if (valid_q) out_data_q[lane] <= 16'(low_q) + {high_q[11:0], 4'b0001};
`else
      if (valid_q) out_data_q[lane] <= 16'(low_q) + {high_q[11:0], 4'b0000};
`endif
    end
    logic unused_sign;
    assign unused_sign = high_q[12];
  end
`else
  logic [Lanes-1:0][7:0] a_q;
  logic [Lanes-1:0][7:0] b_q;

  always_ff @(posedge clk_i) begin
    if (in_valid_i) begin
      a_q <= in_a_i;
      b_q <= in_b_i;
    end
    if (valid_q) begin
      for (int unsigned lane = 0; lane < Lanes; lane++) begin
`ifdef TP_PLANT_BUG
        // The planted fault takes every b for unsigned.
        out_data_q[lane] <= 16'($signed(a_q[lane])) * 16'(b_q[lane]);
`else
        out_data_q[lane] <= 16'($signed(a_q[lane])) *
            (IsSigned ? 16'($signed(b_q[lane])) : 16'(b_q[lane]));
`endif
      end
    end
  end
`endif

  `TP_COVER(Product_C, out_valid_o)

endmodule
