// SPDX-License-Identifier: Apache-2.0
//
// tp_align: scales one dot product and brings it to the fixed point of the accumulator.
//
// Out   term = (dot * (16 + mantissa) << 15) >>> amount, rounded down, 40 bits signed.
// Rate  one dot product per cycle, latency 4: two stages of product, two of shift.
// Not   takes no amount above 40, which already leaves 0 or -1.

`include "tp_assert.svh"

module tp_align (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               valid_i,
  input  logic signed [19:0] dot_i,       // |dot| <= 2^19 - 1
  input  logic        [ 3:0] mantissa_i,
  input  logic        [ 5:0] amount_i,    // 0..40
  output logic signed [39:0] term_o       // early; 4 cycles after valid_i
);

  logic        [ 2:0] valid_q;
  logic        [ 5:0] amount_q;
  logic        [ 5:0] amount_q2;
  logic        [ 2:0] fine_q;
  logic signed [24:0] upper_q;
  logic signed [24:0] lower_q;
  logic signed [24:0] single_q;
  logic signed [24:0] product_q;
  logic signed [39:0] coarse_q;
  logic signed [39:0] term_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[1:0], valid_i};
  end

  logic signed [24:0] dot;
  assign dot = 25'(dot_i);

  always_ff @(posedge clk_i) begin
    if (valid_i) begin
      upper_q  <= (dot <<< 4) + (mantissa_i[3] ? dot <<< 3 : 25'sd0);
      lower_q  <= (mantissa_i[2] ? dot <<< 2 : 25'sd0) + (mantissa_i[1] ? dot <<< 1 : 25'sd0);
      single_q <= mantissa_i[0] ? dot : 25'sd0;
      amount_q <= amount_i;
    end
    if (valid_q[0]) begin
      product_q <= upper_q + lower_q + single_q;
      amount_q2 <= amount_q;
    end
    if (valid_q[1]) begin
`ifdef TP_PLANT_BUG
      // The planted fault fills with zeros where the sign belongs.
      coarse_q <= {product_q, 15'b0} >> {amount_q2[5:3], 3'b0};
`else
      coarse_q <= $signed({product_q, 15'b0}) >>> {amount_q2[5:3], 3'b0};
`endif
      fine_q <= amount_q2[2:0];
    end
    if (valid_q[2]) term_q <= coarse_q >>> fine_q;
  end

  assign term_o = term_q;

  `TP_ASSERT(Amount_A, !valid_i || amount_i <= 6'd40)

endmodule
