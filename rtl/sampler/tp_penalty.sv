// SPDX-License-Identifier: Apache-2.0
//
// tp_penalty: a logit times the factor of the repetition penalty.
//
// Out   clamp32(rnd(logit * factor, 10)); factor 1024 leaves the logit as it is.
// Rate  one logit per cycle, latency 4. Multiplies with adders: hard multipliers are scarce.
// Not   holds no valid bit; stage s of the four loads when enable_i[s] is high.

`include "tp_assert.svh"

module tp_penalty (
  input  logic               clk_i,
  input  logic        [ 3:0] enable_i,
  input  logic signed [31:0] logit_i,   // Q16.16
  input  logic        [11:0] factor_i,
  output logic signed [31:0] logit_o    // early
);

  // Three digits of 4 bits, each times the logit.
  logic signed [35:0] digit[3];
  for (genvar k = 0; k < 3; k++) begin : gen_digit
    logic [3:0] factor;
    logic signed [35:0] product_q;
    assign factor = factor_i[4*k+:4];
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

  logic signed [40:0] lower_q;
  logic signed [36:0] upper_q;
  logic signed [44:0] sum_q;
  logic signed [34:0] rounded;
  logic fits;
  logic signed [31:0] logit_q;

  assign rounded = sum_q[44:10];
  assign fits = rounded[34:31] == '0 || rounded[34:31] == '1;

  always_ff @(posedge clk_i) begin
    if (enable_i[1]) begin
      lower_q <= 41'(digit[0]) + (41'(digit[1]) <<< 4);
      // Half of the unit that rounding leaves: 2^9 = 2 * 2^8.
      upper_q <= 37'(digit[2]) + 37'sd2;
    end
    if (enable_i[2]) sum_q <= 45'(lower_q) + (45'(upper_q) <<< 8);
    if (enable_i[3]) logit_q <= fits ? rounded[31:0] : {rounded[34], {31{!rounded[34]}}};
  end

  assign logit_o = logit_q;

  logic unused_bits;
  assign unused_bits = ^sum_q[9:0];

endmodule
