// SPDX-License-Identifier: Apache-2.0
//
// tp_temperature: a logit in log2 units.
//
// Out   z = clamp24(rnd(logit * temperature, 20)), 8 fraction bits.
// Rate  one logit per cycle, latency 5. Multiplies with adders: hard multipliers are scarce.
// Not   holds no valid bit; stage s of the five loads when enable_i[s] is high.

`include "tp_assert.svh"

module tp_temperature (
  input  logic               clk_i,
  input  logic        [ 4:0] enable_i,
  input  logic signed [31:0] logit_i,        // Q16.16
  input  logic        [19:0] temperature_i,  // log2(e) / T * 4096
  output logic signed [23:0] z_o             // early
);

  // Five digits of 4 bits, each times the logit.
  logic signed [35:0] digit[5];
  for (genvar k = 0; k < 5; k++) begin : gen_digit
    logic [3:0] factor;
    logic signed [35:0] product_q;
    assign factor = temperature_i[4*k+:4];
    always_ff @(posedge clk_i) begin
      if (enable_i[0]) begin
        product_q <= ((factor[0] ? 36'(logit_i) : 36'sd0)
                      + (factor[1] ? 36'(logit_i) <<< 1 : 36'sd0))
                     + ((factor[2] ? 36'(logit_i) <<< 2 : 36'sd0)
                      + (factor[3] ? 36'(logit_i) <<< 3 : 36'sd0));
      end
    end
    assign digit[k] = product_q;
  end

  logic signed [41:0] low_q;
  logic signed [41:0] middle_q;
  logic signed [36:0] upper_q;
  logic signed [52:0] lower_q;
  logic signed [36:0] upper_q2;
  logic signed [52:0] sum_q;
  logic signed [32:0] rounded;
  logic fits;
  logic signed [23:0] z_q;

  assign rounded = sum_q[52:20];
  assign fits = rounded[32:23] == '0 || rounded[32:23] == '1;

  always_ff @(posedge clk_i) begin
    if (enable_i[1]) begin
      low_q    <= 42'(digit[0]) + (42'(digit[1]) <<< 4);
      middle_q <= 42'(digit[2]) + (42'(digit[3]) <<< 4);
      // Half of the unit that rounding leaves: 2^19 = 8 * 2^16.
      upper_q  <= 37'(digit[4]) + 37'sd8;
    end
    if (enable_i[2]) begin
      lower_q  <= 53'(low_q) + (53'(middle_q) <<< 8);
      upper_q2 <= upper_q;
    end
    if (enable_i[3]) sum_q <= lower_q + (53'(upper_q2) <<< 16);
    if (enable_i[4]) z_q <= fits ? rounded[23:0] : {rounded[32], {23{!rounded[32]}}};
  end

  assign z_o = z_q;

  logic unused_bits;
  assign unused_bits = ^sum_q[19:0];

endmodule
