// SPDX-License-Identifier: Apache-2.0
//
// tp_interpolate: value of a table of 33 entries at a fraction of 15 bits.
//
// Out   T[i] + (((T[i+1] - T[i]) * g + 512) >> 10), i = the upper 5, g = the lower 10 bits.
//       Table: log2(1 + f), log2(-log2(1 - w) / w) or 2^f - 1; 12 fraction bits, none ever falls.
// Rate  one value per cycle, latency 4. Multiplies with adders: hard multipliers are scarce.
// Not   holds no valid bit; stage s of the four loads when enable_i[s] is high.

`include "tp_assert.svh"

module tp_interpolate #(
  parameter tp_sampler_pkg::table_e Table = tp_sampler_pkg::TableLog2
) (
  input  logic        clk_i,
  input  logic [ 3:0] enable_i,
  input  logic [14:0] fraction_i,
  output logic [12:0] value_o      // early; 0..4096
);

  logic [ 4:0] index;
  logic [12:0] low;
  logic [12:0] high;
  assign index = fraction_i[14:10];
  if (Table == tp_sampler_pkg::TablePower) begin : gen_power
    assign low  = tp_tables_pkg::TP_TABLE_POWER[{1'b0, index}];
    assign high = tp_tables_pkg::TP_TABLE_POWER[6'(index)+6'd1];
  end else if (Table == tp_sampler_pkg::TableGumbel) begin : gen_gumbel
    assign low  = tp_tables_pkg::TP_TABLE_GUMBEL[{1'b0, index}];
    assign high = tp_tables_pkg::TP_TABLE_GUMBEL[6'(index)+6'd1];
  end else begin : gen_log2
    assign low  = tp_tables_pkg::TP_TABLE_LOG2[{1'b0, index}];
    assign high = tp_tables_pkg::TP_TABLE_LOG2[6'(index)+6'd1];
  end

  // Steps of all tables are below 256.
  logic [12:0] base_q;
  logic [12:0] base_q2;
  logic [12:0] base_q3;
  logic [7:0] step_q;
  logic [9:0] fraction_q;
  logic [11:0] pair_q[4];
  logic [18:0] product_q;
  logic [12:0] value_q;

  for (genvar k = 0; k < 4; k++) begin : gen_pair
    logic [11:0] sum_q;
    always_ff @(posedge clk_i) begin
      if (enable_i[1]) begin
        sum_q <= (step_q[2*k] ? 12'(fraction_q) : 12'd0)
                 + (step_q[2*k+1] ? {1'b0, fraction_q, 1'b0} : 12'd0);
      end
    end
    assign pair_q[k] = sum_q;
  end

  logic [12:0] step;
  assign step = high - low;

  always_ff @(posedge clk_i) begin
    if (enable_i[0]) begin
      base_q     <= low;
      step_q     <= step[7:0];
      fraction_q <= fraction_i[9:0];
    end
    if (enable_i[1]) base_q2 <= base_q;
    if (enable_i[2]) begin
      base_q3 <= base_q2;
      product_q <= (19'(pair_q[0]) + {5'd0, pair_q[1], 2'd0})
                   + ({3'd0, pair_q[2], 4'd0} + {1'd0, pair_q[3], 6'd0} + 19'd512);
    end
    if (enable_i[3]) value_q <= base_q3 + 13'(product_q[18:10]);
  end

  assign value_o = value_q;

  logic unused_bits;
  assign unused_bits = ^{step[12:8], product_q[9:0]};

endmodule
