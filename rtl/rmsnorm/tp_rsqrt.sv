// SPDX-License-Identifier: Apache-2.0
//
// tp_rsqrt: reciprocal square root of a positive integer, as mantissa and half exponent.
//
// In    integers of Width bits; 0 counts as 1.
// Out   1 / sqrt(a) = rm * 2^-16 * 2^-half_k; bits equal tp_rsqrt() of the model.
// Rate  one value per cycle, latency 5 cycles.
// Not   does not iterate: 65 table entries and one linear step, within 2^-11.4 of the exact value.

`include "tp_assert.svh"

module tp_rsqrt #(
  parameter int unsigned Width = 49,  // 16..63
  parameter int unsigned TagWidth = 1  // bits that travel with a value
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                in_valid_i,    // early
  input  logic [   Width-1:0] in_value_i,    // early
  input  logic [TagWidth-1:0] in_tag_i,      // early
  output logic                out_valid_o,   // early
  output logic [        16:0] out_rm_o,      // early; 32768..65536
  output logic [         4:0] out_half_k_o,  // early
  output logic [TagWidth-1:0] out_tag_o      // early
);

  `TP_REQUIRE(Width >= 16 && Width <= 63)

  // Difference to the next table entry; constants.
  logic [63:0][9:0] slopes;
  for (genvar i = 0; i < 64; i++) begin : gen_slope
    assign slopes[i] = 10'(tp_tables_pkg::TP_TABLE_RSQRT[i] - tp_tables_pkg::TP_TABLE_RSQRT[i+1]);
  end

  logic valid_q, valid_q2, valid_q3, valid_q4, valid_q5;
  logic [TagWidth-1:0] tag_q, tag_q2, tag_q3, tag_q4, tag_q5;
  logic [4:0] half_k_q2, half_k_q3, half_k_q4, half_k_q5;
  logic [5:0] k;
  logic [5:0] k_q;
  logic [Width-1:0] value_q;
  logic [Width-1:0] aligned;
  logic odd_q2;
  logic [14:0] fraction_q2;  // below the leading one
  logic [16:0] left_q3, left_q4;
  logic [9:0] slope_q3;
  logic [9:0] step_q3;
  logic [2:0][13:0] part_q4;  // rows 0 to 3, 4 to 7, 8 and 9 of slope * step
  logic [18:0] low_rows;  // rows 0 to 7 of the product
  logic [26:0] left_high;  // what stands before them, and 511 / 1024: left - rnd(product, 10)
  logic [16:0] rm_q5;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      {valid_q, valid_q2, valid_q3, valid_q4, valid_q5} <= '0;
    end else begin
      {valid_q, valid_q2, valid_q3, valid_q4, valid_q5} <= {
        in_valid_i, valid_q, valid_q2, valid_q3, valid_q4
      };
    end
  end

  // A product in rows, so that synthesis does not take a DSP block for it.
  function automatic logic [13:0] rows(input logic [9:0] slope, input logic [3:0] step);
    rows = {4'b0, slope & {10{step[0]}}} + {3'b0, slope & {10{step[1]}}, 1'b0} +
           {2'b0, slope & {10{step[2]}}, 2'b0} + {1'b0, slope & {10{step[3]}}, 3'b0};
  endfunction

  assign low_rows  = 19'(part_q4[0]) + 19'({part_q4[1], 4'b0});
  assign left_high = {left_q4, 10'd511} - 27'({part_q4[2], 8'b0});

  // Place of the leading one: in each group of eight, then the highest group that has one.
  localparam int unsigned Groups = (Width + 7) / 8;
  logic [8*Groups-1:0] padded;
  assign padded = (8 * Groups)'(in_value_i);

  function automatic logic [2:0] place(input logic [7:1] v);
    logic odd_high;
    logic odd_low;
    odd_high = v[7] || (!v[6] && v[5]);
    odd_low  = v[3] || (!v[2] && v[1]);
    if (v[7:4] != '0) place = {1'b1, v[7:6] != '0, odd_high};
    else place = {1'b0, v[3:2] != '0, odd_low};
  endfunction

  always_comb begin
    k = '0;
    for (int unsigned i = 0; i < Groups; i++)
    if (|padded[8*i+:8]) k = {3'(i), place(padded[8*i+1+:7])};
  end

  always_ff @(posedge clk_i) begin
    if (in_valid_i) begin
      k_q     <= k;
      value_q <= in_value_i;
      tag_q   <= in_tag_i;
    end
  end

  assign aligned = value_q << (6'(Width - 1) - k_q);

  always_ff @(posedge clk_i) begin
    if (valid_q) begin
      fraction_q2 <= aligned[Width-2-:15];
      odd_q2      <= k_q[0];
      half_k_q2   <= k_q[5:1];
      tag_q2      <= tag_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_q2) begin
`ifdef TP_PLANT_BUG
      // The planted fault forgets that an odd exponent has a table of its own.
      left_q3 <= tp_tables_pkg::TP_TABLE_RSQRT[{2'b0, fraction_q2[14:10]}];
`else
      left_q3 <= tp_tables_pkg::TP_TABLE_RSQRT[{1'b0, odd_q2, fraction_q2[14:10]}];
`endif
      slope_q3  <= slopes[{odd_q2, fraction_q2[14:10]}];
      step_q3   <= fraction_q2[9:0];
      half_k_q3 <= half_k_q2;
      tag_q3    <= tag_q2;
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_q3) begin
      part_q4[0] <= rows(slope_q3, step_q3[3:0]);
      part_q4[1] <= rows(slope_q3, step_q3[7:4]);
      part_q4[2] <= rows(slope_q3, {2'b0, step_q3[9:8]});
      left_q4    <= left_q3;
      half_k_q4  <= half_k_q3;
      tag_q4     <= tag_q3;
    end
  end

  always_ff @(posedge clk_i) begin
    if (valid_q4) begin
      rm_q5     <= 17'((left_high - 27'(low_rows)) >> 10);
      half_k_q5 <= half_k_q4;
      tag_q5    <= tag_q4;
    end
  end

  logic unused_leading_one;
  assign unused_leading_one = ^{aligned[Width-1], aligned[Width-17:0]};

  assign out_valid_o        = valid_q5;
  assign out_rm_o           = rm_q5;
  assign out_half_k_o       = half_k_q5;
  assign out_tag_o          = tag_q5;

  `TP_ASSERT(Range_A, !valid_q5 || (rm_q5 >= 17'd32768 && rm_q5 <= 17'd65536))

endmodule
