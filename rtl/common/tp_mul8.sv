// SPDX-License-Identifier: Apache-2.0
//
// tp_mul8: products of 8-bit numbers in any number of lanes side by side, in LUTs or in hard
// multipliers.
//
// In    per lane a signed a and an unsigned b.
// Out   a * b, exact in 16 bits, 2 cycles later, for one cycle.
// Rate  one product per lane and cycle.
// Not   is a DSP block without Hard: those belong to the matrix unit.
//
// In LUTs the product is in synthesis the sum of four pairs of gated rows, so that no DSP block is
// taken; each pair is one carry chain with the gates inside. TP_MUL8_ROWS selects this form in
// simulation, which otherwise multiplies. Two levels of adders, a register, one level, a register,
// without an enable, which would have to reach all lanes. In simulation they have one, which saves
// time.

`include "tp_assert.svh"

`ifdef SYNTHESIS
`define TP_MUL8_ROWS
`endif

module tp_mul8 #(
  parameter int unsigned Lanes = 1,
  parameter bit          Hard  = 1'b0  // 1: hard multipliers
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic                   in_valid_i,   // early
  input  logic [Lanes-1:0][ 7:0] in_a_i,       // early; int8
  input  logic [Lanes-1:0][ 7:0] in_b_i,       // early; uint8
  output logic                   out_valid_o,  // early
  output logic [Lanes-1:0][15:0] out_data_o    // early; int16
);

  `TP_REQUIRE(Lanes >= 1)

  logic valid_q;
  logic out_valid_q;

  // Kept: units beside each other would share them, and these would have to reach all lanes.
  (* keep *)
  always_ff @(posedge clk_i) begin
    valid_q     <= in_valid_i && rst_ni;
    out_valid_q <= valid_q && rst_ni;
  end

  assign out_valid_o = out_valid_q;

  if (Hard) begin : gen_hard
    logic [Lanes-1:0][7:0] a_q;
    logic [Lanes-1:0][7:0] b_q;

    always_ff @(posedge clk_i) begin
      if (in_valid_i) begin
        a_q <= in_a_i;
        b_q <= in_b_i;
      end
    end

    for (genvar lane = 0; lane < int'(Lanes); lane++) begin : gen_lane
      tp_ecp5_multiply #(
        .WidthA (8),
        .WidthB (8),
        .SignedB(1'b0),
        .Latency(1)
      ) u_product (
        .clk_i,
        .a_i  (a_q[lane]),
        .b_i  (b_q[lane]),
        .out_o(out_data_o[lane])
      );
    end
  end else begin : gen_luts
    logic [Lanes-1:0][15:0] out_data_q;
    assign out_data_o = out_data_q;

`ifdef TP_MUL8_ROWS
    for (genvar lane = 0; lane < int'(Lanes); lane++) begin : gen_lane
      logic signed [7:0] a;
      logic [7:0] b;
      // Rows 2 i and 2 i + 1 of the product, without their common shift.
      logic signed [3:0][9:0] pair;
      logic signed [11:0] low_q;  // rows 0 to 3: a times 0..15
      logic signed [11:0] high_q;  // rows 4 to 7

      assign a = in_a_i[lane];
      assign b = in_b_i[lane];

      for (genvar i = 0; i < 4; i++) begin : gen_pair
        logic [9:0] even;  // row 2 i
        logic [9:0] odd;  // row 2 i + 1
        assign even = 10'(a);
        assign odd  = 10'($signed({a, 1'b0}));

        tp_ecp5_carry #(
          .Width(10)
        ) u_pair (
          .a_i  (odd),
          .b_i  ({10{b[2*i+1]}}),
          .c_i  (even),
          .d_i  ({10{b[2*i]}}),
          .sum_o(pair[i])
        );
      end

      always_ff @(posedge clk_i) begin
        low_q  <= {10'($signed(pair[0][9:2])) + pair[1], pair[0][1:0]};
        high_q <= {10'($signed(pair[2][9:2])) + pair[3], pair[2][1:0]};
`ifdef TP_PLANT_BUG
        out_data_q[lane] <= 16'(low_q) + {high_q, 4'b0001};
`else
        out_data_q[lane] <= 16'(low_q) + {high_q, 4'b0000};
`endif
      end
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
          // The planted fault takes every b for signed.
          out_data_q[lane] <= 16'($signed(a_q[lane])) * 16'($signed(b_q[lane]));
`else
          out_data_q[lane] <= 16'($signed(a_q[lane])) * 16'(b_q[lane]);
`endif
        end
      end
    end
`endif
  end

  `TP_COVER(Product_C, out_valid_o)

endmodule
