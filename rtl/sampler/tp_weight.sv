// SPDX-License-Identifier: Apache-2.0
//
// tp_weight: 2^y of a key, y the key in log2 units.
//
// Out   weight * 2^(8 * exponent - 12), weight 4096 << 0..7 and above, 20 bits. Equals weight_of()
//       of the model, whose weight has twelve zeros more.
// Rate  one key per cycle, latency 8. Multiplies with adders: hard multipliers are scarce.
// Not   holds no valid bit; stage s of the eight loads when enable_i[s] is high.

`include "tp_assert.svh"

module tp_weight (
  input  logic               clk_i,
  input  logic        [ 7:0] enable_i,
  input  logic signed [23:0] key_i,      // 12 fraction bits
  output logic        [19:0] weight_o,   // early
  output logic signed [ 9:0] exponent_o  // early
);

  // ---- stages 1 to 3: y = rnd(key * 23637, 14);  23637 = 23 * 2^10 + 17 * 5 ----

  logic signed [23:0] key_q;
  logic signed [26:0] five_q;
  logic signed [26:0] seven_q;
  logic signed [30:0] low_q;
  logic signed [28:0] high_q;
  logic signed [39:0] y_sum;
  logic signed [24:0] y_q;

  `TP_REQUIRE(tp_map_pkg::TP_LOG2E_Q14 == 23 * 1024 + 17 * 5)

  assign y_sum = 40'(low_q) + (40'(high_q) <<< 10) + 40'sd8192;

  always_ff @(posedge clk_i) begin
    if (enable_i[0]) begin
      key_q   <= key_i;
      five_q  <= 27'(key_i) + (27'(key_i) <<< 2);
      seven_q <= (27'(key_i) <<< 3) - 27'(key_i);
    end
    if (enable_i[1]) begin
      low_q  <= 31'(five_q) + (31'(five_q) <<< 4);
      high_q <= (29'(key_q) <<< 4) + 29'(seven_q);
    end
    if (enable_i[2]) y_q <= y_sum[38:14];
  end

  // ---- stages 4 to 7: 2^fraction, beside it the whole part ----

  logic        [12:0] fraction;
  logic signed [12:0] whole    [4:7];
  tp_interpolate #(
    .Table(tp_sampler_pkg::TablePower)
  ) u_power (
    .clk_i     (clk_i),
    .enable_i  (enable_i[6:3]),
    .other_i   (1'b0),
    .fraction_i({y_q[11:0], 3'd0}),
    .value_o   (fraction)
  );
  for (genvar s = 4; s <= 7; s++) begin : gen_whole
    logic signed [12:0] whole_q;
    always_ff @(posedge clk_i) begin
      if (enable_i[s-1]) whole_q <= s == 4 ? y_q[24:12] : whole[s-1];
    end
    assign whole[s] = whole_q;
  end

  // ---- stage 8: the weight within its step of eight ----

  logic [19:0] weight_q;
  logic signed [9:0] exponent_q;
  always_ff @(posedge clk_i) begin
    if (enable_i[7]) begin
      weight_q   <= (20'd4096 + 20'(fraction)) << whole[7][2:0];
      exponent_q <= whole[7][12:3];
    end
  end
  assign weight_o   = weight_q;
  assign exponent_o = exponent_q;

  logic unused_bits;
  assign unused_bits = ^{y_sum[39], y_sum[13:0]};

endmodule
