// SPDX-License-Identifier: Apache-2.0
//
// tp_penalty: a logit times the factor of the repetition penalty.
//
// Out   clamp32(rnd(logit * factor, 10)); factor 1024 leaves the logit as it is.
// Rate  one logit per cycle, latency 6. Multiplies with adders: hard multipliers are scarce.
// Not   holds no valid bit; stage s of the six loads when enable_i[s] is high.

`include "tp_assert.svh"

module tp_penalty (
  input  logic               clk_i,
  input  logic        [ 5:0] enable_i,
  input  logic signed [31:0] logit_i,   // Q16.16
  input  logic        [11:0] factor_i,  // one cycle after its logit
  output logic signed [31:0] logit_o    // early
);

  // ---- stage 2: the multiple of each digit of 2 bits, the gates in the carry chain ----

  logic signed [31:0] single_q;
  always_ff @(posedge clk_i) if (enable_i[0]) single_q <= logit_i;

  logic signed [33:0] multiple[6];
  for (genvar k = 0; k < 6; k++) begin : gen_digit
    logic [33:0] sum;
    logic [33:0] multiple_q;
    tp_ecp5_carry #(
      .Width(34)
    ) u_multiple (
      .a_i  ({single_q[31], single_q, 1'b0}),
      .b_i  ({34{factor_i[2*k+1]}}),
      .c_i  ({{2{single_q[31]}}, single_q}),
      .d_i  ({34{factor_i[2*k]}}),
      .sum_o(sum)
    );
    always_ff @(posedge clk_i) if (enable_i[1]) multiple_q <= sum;
    assign multiple[k] = $signed(multiple_q);
  end

  // ---- stages 3 to 6: the sum; half of the unit that rounding leaves is 2^9 = 2 * 2^8 ----

  logic signed [36:0] low_q;
  logic signed [36:0] middle_q;
  logic signed [36:0] upper_q;
  logic signed [40:0] lower_q;
  logic signed [36:0] upper_q2;
  logic signed [44:0] sum_q;
  logic signed [34:0] rounded;
  logic fits;
  logic signed [31:0] logit_q;

  assign rounded = sum_q[44:10];
  assign fits = rounded[34:31] == '0 || rounded[34:31] == '1;

  always_ff @(posedge clk_i) begin
    if (enable_i[2]) begin
      low_q    <= 37'(multiple[0]) + (37'(multiple[1]) <<< 2);
      middle_q <= 37'(multiple[2]) + (37'(multiple[3]) <<< 2);
      upper_q  <= 37'(multiple[4]) + 37'($signed({multiple[5], 2'd2}));
    end
    if (enable_i[3]) begin
      lower_q  <= 41'(low_q) + (41'(middle_q) <<< 4);
      upper_q2 <= upper_q;
    end
    if (enable_i[4]) sum_q <= 45'(lower_q) + (45'(upper_q2) <<< 8);
    if (enable_i[5]) logit_q <= fits ? rounded[31:0] : {rounded[34], {31{!rounded[34]}}};
  end

  assign logit_o = logit_q;

  logic unused_bits;
  assign unused_bits = ^sum_q[9:0];

endmodule
