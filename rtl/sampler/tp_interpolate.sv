// SPDX-License-Identifier: Apache-2.0
//
// tp_interpolate: value of a table of 33 entries at a fraction of 15 bits.
//
// Out   T[i] + (((T[i+1] - T[i]) * g + 512) >> 10), i = the upper 5, g = the lower 10 bits.
//       Tables: log2(1 + f), log2(-log2(1 - w) / w) or 2^f - 1; 12 fraction bits, none ever falls.
// Rate  one value per cycle, latency 4. Multiplies with adders: hard multipliers are scarce.
// Not   holds no valid bit; stage s of the four loads when enable_i[s] is high.

`include "tp_assert.svh"

module tp_interpolate
  import tp_sampler_pkg::*;
#(
  parameter table_e Table = TableLog2,
  parameter table_e Other = Table       // where other_i is high
) (
  input  logic        clk_i,
  input  logic [ 3:0] enable_i,
  input  logic        other_i,
  input  logic [14:0] fraction_i,
  output logic [12:0] value_o      // early; 0..4096
);

  // ---- the tables: a value, and the step to the next one, which is below 256 ----

  typedef struct packed {
    logic [12:0] value;
    logic [7:0]  step;
  } point_t;
  typedef point_t [63:0] points_t;

  function automatic logic [12:0] entry(input table_e which, input logic [5:0] i);
    unique case (which)
      TablePower: entry = tp_tables_pkg::TP_TABLE_POWER[i];
      TableGumbel: entry = tp_tables_pkg::TP_TABLE_GUMBEL[i];
      default: entry = tp_tables_pkg::TP_TABLE_LOG2[i];
    endcase
  endfunction
  // Both in one: synthesis takes a table whose word is chosen once more before its register to the
  // other side of the register of its address, and so makes two steps of work one.
  function automatic points_t both_points();
    for (int unsigned i = 0; i < 32; i++) begin
      both_points[i].value    = entry(Table, 6'(i));
      both_points[i].step     = 8'(entry(Table, 6'(i) + 6'd1) - entry(Table, 6'(i)));
      both_points[i+32].value = entry(Other, 6'(i));
      both_points[i+32].step  = 8'(entry(Other, 6'(i) + 6'd1) - entry(Other, 6'(i)));
    end
  endfunction
  localparam points_t Points = both_points();

  point_t point;
  assign point = Points[{other_i, fraction_i[14:10]}];

  // ---- the product: a multiple of the fraction for each digit of 2 bits of the step, the gates in
  //      the carry chain ----

  logic [12:0] base_q;
  logic [12:0] base_q2;
  logic [12:0] base_q3;
  logic [ 7:0] step_q;
  logic [ 9:0] fraction_q;
  logic [11:0] multiple_q [4];
  logic [18:0] product_q;
  logic [12:0] value_q;

  for (genvar k = 0; k < 4; k++) begin : gen_digit
    logic [11:0] sum;
    tp_ecp5_carry #(
      .Width(12)
    ) u_multiple (
      .a_i  ({1'b0, fraction_q, 1'b0}),
      .b_i  ({12{step_q[2*k+1]}}),
      .c_i  ({2'b00, fraction_q}),
      .d_i  ({12{step_q[2*k]}}),
      .sum_o(sum)
    );
    always_ff @(posedge clk_i) if (enable_i[1]) multiple_q[k] <= sum;
  end

  always_ff @(posedge clk_i) begin
    if (enable_i[0]) begin
      base_q     <= point.value;
      step_q     <= point.step;
      fraction_q <= fraction_i[9:0];
    end
    if (enable_i[1]) base_q2 <= base_q;
    if (enable_i[2]) begin
      base_q3 <= base_q2;
      product_q <= (19'(multiple_q[0]) + {5'd0, multiple_q[1], 2'd0})
                   + ({3'd0, multiple_q[2], 4'd0} + {1'd0, multiple_q[3], 6'd0} + 19'd512);
    end
    if (enable_i[3]) value_q <= base_q3 + 13'(product_q[18:10]);
  end

  assign value_o = value_q;

  logic unused_bits;
  assign unused_bits = ^product_q[9:0];

endmodule
