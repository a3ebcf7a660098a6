// SPDX-License-Identifier: Apache-2.0
//
// tp_dot8: the dot product of eight pairs of int8, in LUTs.
//
// Out   sum of a * b, exact, 3 cycles later, for one cycle.
// Rate  one product per cycle.
// Not   is no DSP block: those belong to the matrix unit.
//
// In synthesis the lanes are added first, for each bit of b by itself, and the eight sums then by
// their weights: the words stay narrow for longer than with eight products. Two lanes are one
// carry chain with the gates inside. TP_DOT8_PLANES selects this form in simulation, which
// otherwise multiplies. Two levels of adders before each register, none of which has an enable: it
// would have to reach all of them. In simulation they have one, which saves time.

`include "tp_assert.svh"

`ifdef SYNTHESIS
`define TP_DOT8_PLANES
`endif

module tp_dot8 (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    in_valid_i,  // early
  input  logic        [ 7:0][7:0] in_a_i,      // early; int8
  input  logic        [ 7:0][7:0] in_b_i,      // early; int8
  output logic signed [18:0]      out_data_o   // early; -130,048..131,072
);

  logic signed [18:0] sum_q;

  assign out_data_o = sum_q;

`ifdef TP_DOT8_PLANES
  // Of bit i of b: the sums over four lanes, then over eight.
  logic signed [7:0][1:0][9:0] four;
  logic signed [7:0][1:0][9:0] four_q;
  logic signed [7:0][10:0] eight;
  // Two bits of b, then four; the topmost bit counts negative.
  logic signed [3:0][12:0] two_bits;
  logic signed [3:0][12:0] two_bits_q;
  logic signed [1:0][14:0] four_bits;

  for (genvar i = 0; i < 8; i++) begin : gen_bit
    for (genvar half = 0; half < 2; half++) begin : gen_half
      logic [1:0][9:0] pair;
      for (genvar k = 0; k < 2; k++) begin : gen_pair
        localparam int Lane = 4 * half + 2 * k;
        tp_ecp5_carry #(
          .Width(10)
        ) u_pair (
          .a_i  (10'($signed(in_a_i[Lane]))),
          .b_i  ({10{in_b_i[Lane][i]}}),
          .c_i  (10'($signed(in_a_i[Lane+1]))),
          .d_i  ({10{in_b_i[Lane+1][i]}}),
          .sum_o(pair[k])
        );
      end
      assign four[i][half] = pair[0] + pair[1];
    end

    // A chain of its own: synthesis would merge a plain sum with the next one into compressors.
    logic unused_top;
    tp_ecp5_carry #(
      .Width(12)
    ) u_eight (
      .a_i  (12'($signed(four_q[i][0]))),
      .b_i  ('1),
      .c_i  (12'($signed(four_q[i][1]))),
      .d_i  ('1),
      .sum_o({unused_top, eight[i]})
    );
  end

  for (genvar i = 0; i < 3; i++) begin : gen_two_bits
    assign two_bits[i] = {
      12'($signed(eight[2*i][10:1])) + 12'($signed(eight[2*i+1])), eight[2*i][0]
    };
  end
  assign two_bits[3] = {12'($signed(eight[6][10:1])) - 12'($signed(eight[7])), eight[6][0]};

  for (genvar i = 0; i < 2; i++) begin : gen_four_bits
    assign four_bits[i] = {
      13'($signed(two_bits_q[2*i][12:2])) + 13'($signed(two_bits_q[2*i+1])), two_bits_q[2*i][1:0]
    };
  end

  always_ff @(posedge clk_i) begin
    four_q     <= four;
    two_bits_q <= two_bits;
`ifdef TP_PLANT_BUG
    sum_q <= {15'(four_bits[0][14:4]) + four_bits[1], four_bits[0][3:0]};
`else
    sum_q <= {15'($signed(four_bits[0][14:4])) + four_bits[1], four_bits[0][3:0]};
`endif
  end

  logic unused_valid;
  assign unused_valid = ^{rst_ni, in_valid_i};
`else
  logic        [ 1:0] valid_q;
  logic signed [18:0] dot;
  logic signed [18:0] dot_q;
  logic signed [18:0] dot_q2;

  always_comb begin
    dot = '0;
    for (int unsigned lane = 0; lane < 8; lane++) begin
`ifdef TP_PLANT_BUG
      // The planted fault takes every b for unsigned.
      dot += 19'($signed(in_a_i[lane])) * 19'(in_b_i[lane]);
`else
      dot += 19'($signed(in_a_i[lane])) * 19'($signed(in_b_i[lane]));
`endif
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[0], in_valid_i};
  end

  always_ff @(posedge clk_i) begin
    if (in_valid_i) dot_q <= dot;
    if (valid_q[0]) dot_q2 <= dot_q;
    if (valid_q[1]) sum_q <= dot_q2;
  end

  `TP_COVER(Product_C, valid_q[1])
`endif

endmodule
