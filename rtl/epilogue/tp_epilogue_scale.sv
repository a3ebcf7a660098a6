// SPDX-License-Identifier: Apache-2.0
//
// tp_epilogue_scale: from accumulators to numbers, with norm factor and bias.
//
// In    stage 1 of the epilogue, its shift a cycle ahead; norm factors; configuration space BIAS.
// Out   stage 7: v = sat32(y + bias), y and its saturations as tp_matvec_scale().
// Read  between steps the bit of BIAS whose number stands on the configuration bus.
// Rate  one pair per cycle; valid_o[s] and the places belong to stage s.

`include "tp_assert.svh"

module tp_epilogue_scale
  import tp_map_pkg::*;
  import tp_epilogue_pkg::*;
#(
  parameter int unsigned Slots = 4,
  parameter int unsigned ConstantPairs = 256
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic                          cmd_valid_i,          // early
  input  index_t                        cmd_index_i,          // early
  input  logic        [     15:0]       cmd_constant_base_i,  // early
  input  logic                          pair_valid_i,         // early
  input  place_t                        pair_place_i,         // early
  input  logic        [      1:0][39:0] pair_data_i,          // early; signed
  input  logic signed [      8:0]       pair_shift_i,         // late; of the next cycle's pair
  input  logic        [Slots-1:0][16:0] factor_rm_i,          // early
  input  logic                          cfg_valid_i,          // early
  input  logic        [      3:0]       cfg_space_i,          // early
  input  logic        [     31:0]       cfg_address_i,        // early
  input  logic        [     31:0]       cfg_data_i,           // early
  input  logic                          cfg_read_i,           // early; between steps
  output logic                          read_o,               // early; 2 cycles later
  output logic        [      7:5]       valid_o,              // early
  output place_t                        place_5_o,            // early
  output place_t                        place_6_o,            // early
  output place_t                        place_7_o,            // early
  output logic        [      1:0][31:0] data_o,               // early; int32, stage 7
  output logic        [      3:0]       saturated_o           // early; events of this cycle
);

  localparam int unsigned ConstantWidth = $clog2(ConstantPairs);

  logic [7:2] valid_q;
  place_t place_q[2:7];
  place_t place_3;
  place_t place_6;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[6:2], pair_valid_i};
  end

  assign place_3 = place_q[3];
  assign place_6 = place_q[6];

  always_ff @(posedge clk_i) begin
    place_q[2] <= pair_place_i;
    for (int unsigned stage = 2; stage < 7; stage++) place_q[stage+1] <= place_q[stage];
  end

  // Stages 1 to 4: z.
  logic [1:0][31:0] z;
  logic [1:0] z_saturated;
  logic z_valid;

  tp_round_shift #(
    .Lanes(2),
    .Width(40)
  ) u_scale (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .in_valid_i     (pair_valid_i),
    .in_data_i      (pair_data_i),
    .in_shift_i     (pair_shift_i),
    .out_valid_o    (z_valid),
    .out_data_o     (z),
    .out_saturated_o(z_saturated)
  );

  // Stages 4 to 6: y = rnd(z * rm, 16). rm is at most 2^16, so y cannot leave int32.
  logic [16:0] rm_q;
  logic [1:0][31:0] y_q;

  always_ff @(posedge clk_i) begin
    rm_q <= place_3.norm ? factor_rm_i[place_3.slot] : 17'h10000;
  end

  for (genvar i = 0; i < 2; i++) begin : gen_factor
    logic [32:0] high;  // products, upper and lower 16 bits of z apart
    logic [32:0] low;
    logic unused_low;
    assign unused_low = ^{high[32], low[14:0]};
    tp_ecp5_multiply #(
      .WidthA (16),
      .WidthB (17),
      .SignedB(1'b0),
      .Latency(1)
    ) u_high (
      .clk_i(clk_i),
      .a_i  (z[i][31:16]),
      .b_i  (rm_q),
      .out_o(high)
    );
    tp_ecp5_multiply #(
      .WidthA (16),
      .WidthB (17),
      .SignedA(1'b0),
      .SignedB(1'b0),
      .Latency(1)
    ) u_low (
      .clk_i(clk_i),
      .a_i  (z[i][15:0]),
      .b_i  (rm_q),
      .out_o(low)
    );
    always_ff @(posedge clk_i) y_q[i] <= high[31:0] + 32'(low[32:16]) + 32'(low[15]);
  end

  // Stages 4 to 7: bias.
  logic [15:0] bias_base;
  logic [ConstantWidth-1:0] bias_address_q;
  logic [1:0][31:0] bias;
  logic [1:0][31:0] v_q;
  logic [1:0] v_saturated_q;

  tp_ram_async #(
    .Width(16),
    .Depth(Commands)
  ) u_bias_base (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(cmd_index_i),
    .write_data_i   (cmd_constant_base_i),
    .read_address_i (place_3.index),
    .read_data_o    (bias_base)
  );

  logic read_q;
  logic [1:0] read_bits;  // of the even and the odd constant
  logic [1:0] read_bits_q;

  always_ff @(posedge clk_i) begin
    read_q <= cfg_read_i && cfg_space_i == TP_SPACE_BIAS;
    read_bits_q <= read_bits;
    read_o <= read_q && read_bits_q[cfg_address_i[0]];
  end

  logic bias_here;
  logic [16:0] bias_pair;
  assign bias_here = valid_q[3] && place_3.bias;
  assign bias_pair = 17'(bias_base) + 17'(place_3.pair);

  always_ff @(posedge clk_i) begin
    if (bias_here || read_q) begin
      bias_address_q <= read_q ? cfg_address_i[ConstantWidth:1] : bias_pair[ConstantWidth-1:0];
    end
  end

  for (genvar i = 0; i < 2; i++) begin : gen_bias
    logic signed [32:0] sum;
    logic add_q;

    (* keep *)
    always_ff @(posedge clk_i) add_q <= place_q[5].bias;

    tp_ram #(
      .Width         (32),
      .Depth         (ConstantPairs),
      .OutputRegister(1'b1)
    ) u_bias (
      .clk_i          (clk_i),
      .write_enable_i (cfg_valid_i && cfg_space_i == TP_SPACE_BIAS && cfg_address_i[0] == i),
      .write_address_i(cfg_address_i[ConstantWidth:1]),
      .write_data_i   (cfg_data_i),
      .read_enable_i  ((valid_q[4] && place_q[4].bias) || read_q),
      .read_address_i (bias_address_q),
      .read_data_o    (bias[i])
    );

    tp_ecp5_select u_bit (
      .data_i  (bias[i]),
      .select_i(cfg_data_i[4:0]),
      .out_o   (read_bits[i])
    );

    tp_epilogue_add u_sum (
      .base_i(y_q[i]),
      .term_i(bias[i]),
      .gate_i(add_q),
      .sum_o (sum)
    );
    always_ff @(posedge clk_i) begin
      v_q[i]           <= clamp(sum);
      v_saturated_q[i] <= sum[32] != sum[31];
    end
  end

  assign valid_o     = valid_q[7:5];
  assign place_5_o   = place_q[5];
  assign place_6_o   = place_6;
  assign place_7_o   = place_q[7];
  assign data_o      = v_q;
  assign saturated_o = {z_saturated & {2{z_valid}}, v_saturated_q & {2{valid_q[7]}}};

  logic unused_bits;
  assign unused_bits = ^{cfg_address_i, bias_pair, place_3};

  `TP_ASSERT(BiasInRange_A, !bias_here || 32'(bias_pair) < ConstantPairs)
  `TP_ASSERT(ConfigurationInRange_A,
             !(cfg_valid_i && cfg_space_i == TP_SPACE_BIAS) || cfg_address_i < 2 * ConstantPairs)

endmodule
