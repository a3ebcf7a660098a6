// SPDX-License-Identifier: Apache-2.0
//
// tp_sigmoid: 1 / (1 + e^-a) from a table of one half, linear between, mirrored.
//
// In    magnitude and sign of a, Q16.16. Out: 0..65536 (1.0); bits equal tp_sigmoid() of the model.
// Rate  one number per cycle, latency 3.
// Not   holds no valid bit; stage s of the three loads when enable_i[s] is high.

module tp_sigmoid
  import tp_tables_pkg::*;
(
  input  logic        clk_i,
  input  logic [ 2:0] enable_i,     // early
  input  logic [31:0] magnitude_i,  // early; |a|
  input  logic        negative_i,   // early
  output logic [16:0] sigmoid_o     // early
);

  // From 16.0 on the sigmoid is 1: the table has entries at i / 8, i = 0..128.
  function automatic logic [127:0][10:0] slopes();
    for (int unsigned i = 0; i < 128; i++) begin
      slopes[i] = 11'(TP_TABLE_SIGMOID[i+1] - TP_TABLE_SIGMOID[i]);
    end
  endfunction

  localparam logic [127:0][10:0] Slope = slopes();

  logic flat;
  logic round_up;
  logic [16:0] base_q, base_q2;
  logic [10:0] slope_q;
  logic [ 9:0] fraction_q;
  logic negative_q, negative_q2;
  logic [20:0] product;
  logic [16:0] sigmoid_q;

  // base +- (product + 512 >> 10) in one sum: the complement of the upper part is one short.
`ifdef TP_PLANT_BUG
  // The planted fault forgets that the complement is one short.
  assign round_up = product[9];
`else
  assign round_up = product[9] ^ negative_q2;
`endif
  assign flat = magnitude_i[31:20] != '0;

  always_ff @(posedge clk_i) begin
    if (enable_i[0]) begin
      // Complemented for negative a here: between table and register, it keeps synthesis from
      // taking a block RAM, which would be slower.
      base_q     <= (flat ? 17'h10000 : TP_TABLE_SIGMOID[{1'b0, magnitude_i[19:13]}])
                    ^ {17{negative_i}};
      slope_q <= flat ? '0 : Slope[magnitude_i[19:13]];
      fraction_q <= magnitude_i[12:3];
      negative_q <= negative_i;
    end
    if (enable_i[1]) begin
      // 65536 - base is the complement plus 65537.
      base_q2     <= base_q + (negative_q ? 17'h10001 : '0);
      negative_q2 <= negative_q;
    end
    if (enable_i[2]) begin
      sigmoid_q <= base_q2 + ({17{negative_q2}} ^ 17'(product[20:10])) + 17'(round_up);
    end
  end

  // The register of the second stage lies in the multiplier.
  tp_ecp5_multiply #(
    .WidthA (11),
    .WidthB (10),
    .SignedA(1'b0),
    .SignedB(1'b0),
    .Latency(1)
  ) u_product (
    .clk_i(clk_i),
    .a_i  (slope_q),
    .b_i  (fraction_q),
    .out_o(product)
  );

  assign sigmoid_o = sigmoid_q;

  logic unused_low;
  assign unused_low = ^{magnitude_i[2:0], product[8:0]};

endmodule
