// SPDX-License-Identifier: Apache-2.0
//
// tp_sine: sine of a 32-bit phase (one turn = 2^32) from a quarter-wave table, linear between.
//
// In    any phase. Out: Q1.15, -32768..32768; bits equal tp_sine() of the model.
// Rate  one phase per cycle, latency 4.
// Not   holds no valid bit: the user counts the 4 cycles. enable_i stays high for them: not all
//       stages stop without it.

module tp_sine
  import tp_tables_pkg::*;
(
  input  logic               clk_i,
  input  logic               enable_i,  // early
  input  logic        [31:0] phase_i,   // early
  output logic signed [16:0] sine_o     // early
);

  function automatic logic [63:0][9:0] slopes();
    for (int unsigned i = 0; i < 64; i++) slopes[i] = 10'(TP_TABLE_SINE[i+1] - TP_TABLE_SINE[i]);
  endfunction

  // Packed constants become logic; an array that is read into a register would take a block RAM.
  function automatic logic [63:0][15:0] bases();
    for (int unsigned i = 0; i < 64; i++) bases[i] = TP_TABLE_SINE[i];
  endfunction

  localparam logic [63:0][9:0] Slope = slopes();
  localparam logic [63:0][15:0] Base = bases();

  // Angle in the quarter, mirrored in odd quadrants: table index 0..64 and 10 bits of fraction. The
  // 14 bits below matter only for the borrow of the mirror.
  logic [16:0] angle_q;
  logic negative_q, negative_q2, negative_q3;
  logic at_top;
  logic [15:0] base_q, base_q2;
  logic [9:0] slope_q;
  logic [9:0] fraction_q;
  logic [19:0] product;
  logic [15:0] value;
  logic signed [16:0] sine_q;

  // Only the quarter itself has this bit.
  assign at_top = angle_q[16];
  assign value  = base_q2 + 16'(product[19:10]) + 16'(product[9]);

  always_ff @(posedge clk_i) begin
    if (enable_i) begin
      angle_q <= phase_i[30] ? 17'((31'h4000_0000 - {1'b0, phase_i[29:0]}) >> 14)
                             : {1'b0, phase_i[29:14]};
      negative_q <= phase_i[31];

      base_q <= at_top ? 16'h8000 : Base[angle_q[15:10]];
      slope_q <= Slope[angle_q[15:10]];
      fraction_q <= at_top ? '0 : angle_q[9:0];
      negative_q2 <= negative_q;

      base_q2 <= base_q;
      negative_q3 <= negative_q2;

      sine_q <= negative_q3 ? -$signed({1'b0, value}) : $signed({1'b0, value});
    end
  end

  // The register of the third stage lies in the multiplier, which has no enable.
  tp_ecp5_multiply #(
    .WidthA (10),
    .WidthB (10),
    .SignedA(1'b0),
    .SignedB(1'b0),
    .Latency(1)
  ) u_product (
    .clk_i(clk_i),
    .a_i  (slope_q),
`ifdef TP_PLANT_BUG
    // The planted fault loses the lowest bit of the fraction.
    .b_i  ({fraction_q[9:1], 1'b0}),
`else
    .b_i  (fraction_q),
`endif
    .out_o(product)
  );

  assign sine_o = sine_q;

  logic unused_fraction;
  assign unused_fraction = ^product[8:0];

endmodule
