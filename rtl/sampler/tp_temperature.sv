// SPDX-License-Identifier: Apache-2.0
//
// tp_temperature: a logit in log2 units.
//
// In    start_i, in the cycle after which temperature_i holds until the last logit is through.
// Out   z = clamp24(rnd(logit * temperature, 20)), 8 fraction bits.
// Rate  one logit per cycle, latency 5; none in the 18 cycles after start_i.
// Not   holds no valid bit; stage s of the five loads when enable_i[s] is high.
//
// All logits of a slot have the same factor. So its multiples 0 to 15 stand in LUT RAM, once for
// each digit of 4 bits of a logit; a product is the sum of eight of them. Hard multipliers are
// scarce.

`include "tp_assert.svh"

module tp_temperature (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               start_i,        // early
  input  logic        [19:0] temperature_i,  // early; log2(e) / T * 4096
  input  logic        [ 4:0] enable_i,
  input  logic signed [31:0] logit_i,        // Q16.16
  output logic signed [23:0] z_o             // early
);

  // ---- multiples, one per cycle ----

  logic        filling_q;
  logic [ 3:0] number_q;
  logic [23:0] multiple_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) filling_q <= 1'b0;
    else if (start_i) filling_q <= 1'b1;
    else if (number_q == '1) filling_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    number_q   <= filling_q && !start_i ? number_q + 4'd1 : '0;
    multiple_q <= filling_q && !start_i ? multiple_q + 24'(temperature_i) : '0;
  end

  // ---- stage 1: the multiple of each digit; the upper digit is -8..7 ----

  logic [7:0][23:0] multiple;
  for (genvar k = 0; k < 8; k++) begin : gen_digit
    logic [23:0] word;
    logic [23:0] word_q;
    tp_ram_async #(
      .Width(24),
      .Depth(16)
    ) u_multiples (
      .clk_i          (clk_i),
      .write_enable_i (filling_q),
      .write_address_i(number_q),
      .write_data_i   (k == 7 ? multiple_q - {1'b0, temperature_i, 3'd0} : multiple_q),
      .read_address_i (k == 7 ? logit_i[31:28] ^ 4'd8 : logit_i[4*k+:4]),
      .read_data_o    (word)
    );
    always_ff @(posedge clk_i) if (enable_i[0]) word_q <= word;
    assign multiple[k] = word_q;
  end

  // ---- stages 2 to 5: the sum; half of the unit that rounding leaves is 2^19 = 8 * 2^16 ----

  logic        [ 2:0][27:0] pair_q;
  logic signed [27:0]       pair_upper_q;
  logic        [35:0]       lower_q;
  logic signed [35:0]       upper_q;
  logic signed [52:0]       sum_q;
  logic signed [32:0]       rounded;
  logic                     fits;
  logic signed [23:0]       z_q;

  assign rounded = sum_q[52:20];
  assign fits = rounded[32:23] == '0 || rounded[32:23] == '1;

  always_ff @(posedge clk_i) begin
    if (enable_i[1]) begin
      for (int unsigned k = 0; k < 3; k++) begin
        pair_q[k] <= 28'(multiple[2*k]) + {multiple[2*k+1], 4'd0};
      end
      pair_upper_q <= $signed({4'd0, multiple[6]}) + $signed({multiple[7], 4'd0});
    end
    if (enable_i[2]) begin
      lower_q <= 36'(pair_q[0]) + {pair_q[1], 8'd0};
      upper_q <= $signed({8'd0, pair_q[2]}) + $signed({pair_upper_q, 8'd8});
    end
    if (enable_i[3]) sum_q <= $signed({17'd0, lower_q}) + (53'(upper_q) <<< 16);
    if (enable_i[4]) z_q <= fits ? rounded[23:0] : {rounded[32], {23{!rounded[32]}}};
  end

  assign z_o = z_q;

  logic unused_bits;
  assign unused_bits = ^sum_q[19:0];

  `TP_ASSERT(FilledInTime_A, !enable_i[0] || (!filling_q && !start_i))

endmodule
