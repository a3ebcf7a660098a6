// SPDX-License-Identifier: Apache-2.0
//
// tp_reciprocal: 2^(16 + k) / v for v of 13 to 24 bits, k = bits(v) - 1, by interpolation.
//
// Out   k after 1 cycle, for this one cycle; the factor, 32768..65536, after 6, until the next.
// Rate  one number per cycle.
//
// TD[i] - (((TD[i] - TD[i + 1]) * g + 512) >> 10), i the five bits of v below its leading one, g
// the ten bits below them. The product is made of gated rows, not of a DSP block.

`include "tp_assert.svh"

module tp_reciprocal (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        in_valid_i,  // early
  input  logic [23:0] in_data_i,   // early; at least 4096
  output logic [ 4:0] exponent_o,  // early; k, 12..23
  output logic [16:0] factor_o     // early
);

  logic [5:1] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[4:1], in_valid_i};
  end

  // ---- 0: k, 1: the bits below the leading one ----
  logic [22:0] value_q;  // without its leading bit when that is bit 23
  logic [ 4:0] exponent_q;
  logic [14:0] fraction_q;

  always_ff @(posedge clk_i) begin
    // Read in the next cycle only, so without an enable.
    value_q    <= in_data_i[22:0];
    exponent_q <= '0;
    for (int unsigned i = 12; i < 24; i++) if (in_data_i[i]) exponent_q <= 5'(i);
    if (valid_q[1]) fraction_q <= 15'((value_q << (5'd23 - exponent_q)) >> 8);
  end

  assign exponent_o = exponent_q;

  // ---- 2: table ----
  function automatic logic [31:0][10:0] slopes();
    for (int unsigned i = 0; i < 32; i++) begin
      slopes[i] = 11'(tp_tables_pkg::TP_TABLE_RECIPROCAL[i] -
                      tp_tables_pkg::TP_TABLE_RECIPROCAL[i+1]);
    end
  endfunction
  localparam logic [31:0][10:0] Slopes = slopes();

  logic [16:0] start_q;
  logic [10:0] slope_q;
  logic [ 9:0] rest_q;

  always_ff @(posedge clk_i) begin
    if (valid_q[2]) begin
      start_q <= tp_tables_pkg::TP_TABLE_RECIPROCAL[6'(fraction_q[14:10])];
      slope_q <= Slopes[fraction_q[14:10]];
      rest_q  <= fraction_q[9:0];
    end
  end

  // ---- 3: the product in three parts, 4: their sum rounded, 5: the factor ----
  function automatic logic [12:0] two_rows(input logic [10:0] slope, input logic [1:0] rest);
    two_rows = {2'b0, slope & {11{rest[0]}}} + {1'b0, slope & {11{rest[1]}}, 1'b0};
  endfunction

  logic [16:0] start_q2;
  logic [16:0] start_q3;
  logic [14:0] low_q;
  logic [14:0] middle_q;
  logic [12:0] high_q;
  logic [10:0] step_q;
  logic [16:0] factor_q;

  always_ff @(posedge clk_i) begin
    if (valid_q[3]) begin
      start_q2 <= start_q;
      low_q    <= 15'(two_rows(slope_q, rest_q[1:0])) + {two_rows(slope_q, rest_q[3:2]), 2'd0};
      middle_q <= 15'(two_rows(slope_q, rest_q[5:4])) + {two_rows(slope_q, rest_q[7:6]), 2'd0};
      high_q   <= two_rows(slope_q, rest_q[9:8]);
    end
    if (valid_q[4]) begin
      start_q3 <= start_q2;
      step_q   <= 11'(((21'(low_q) + 21'({middle_q, 4'd0})) + ({high_q, 8'd0} + 21'd512)) >> 10);
    end
    if (valid_q[5]) factor_q <= start_q3 - 17'(step_q);
  end

  assign factor_o = factor_q;

  `TP_ASSERT(InLegal_A, !in_valid_i || in_data_i >= 24'd4096)

endmodule
