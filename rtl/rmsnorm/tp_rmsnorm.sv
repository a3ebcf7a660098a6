// SPDX-License-Identifier: Apache-2.0
//
// tp_rmsnorm: late RMS norm of a slot's x: times gain, quantised; the factor into a register.
//
// In    NORM commands; the writes of x, two adjacent elements each; the OR of |x| of each slot;
//       gains over the configuration bus.
// Out   block flow of h, bits equal tp_rmsnorm_gain() and tp_quantise_block(); factor registers,
//       equal tp_rmsnorm_factor().
// Rate  four elements a cycle. A command of b blocks accepted in cycle t: free again in t + 8 b,
//       block i leaves in t + 8 i + 26, done in t + 8 b + 18. Commands may follow back to back.
// Not   does not look at padding: elements of x beyond the model's are 0. The shift of the
//       instruction is 12..19: 15 is the rule.
//
// x lies here in a copy of its own, four banks by element number, so that a quad is read at once.
// Stage numbers in names count from the cycle in which the read address stands (1).

`include "tp_assert.svh"

module tp_rmsnorm #(
  parameter int unsigned Slots = 4,
  parameter int unsigned DimMax = 64,  // elements of x, a multiple of 32
  parameter int unsigned GainQuads = 256  // quads of the gain memory
) (
  input  logic                               clk_i,
  input  logic                               rst_ni,
  output logic                               free_o,            // early
  input  logic                               cmd_valid_i,       // late; only while free_o
  input  tp_pkg::command_t                   cmd_i,             // late
  output logic                               done_valid_o,      // early
  output logic             [      2:0]       done_slot_o,       // early
  input  logic                               x_valid_i,         // early
  input  logic             [      2:0]       x_slot_i,          // early
  input  logic             [     11:0]       x_pair_i,          // early; element / 2
  input  logic             [      1:0][31:0] x_data_i,          // early; int32
  input  logic             [Slots-1:0][31:0] or_i,              // early; OR of |x| of each slot
  input  logic                               cfg_valid_i,       // early
  input  logic             [      3:0]       cfg_space_i,       // early
  input  logic             [     31:0]       cfg_address_i,     // early
  input  logic             [     31:0]       cfg_data_i,        // early
  output logic                               block_valid_o,     // early
  output logic             [      2:0]       block_slot_o,      // early
  output logic             [      7:0]       block_index_o,     // early
  output logic             [    255:0]       block_data_o,      // early
  output logic             [      4:0]       block_exponent_o,  // early
  output logic             [Slots-1:0][16:0] factor_rm_o,       // early; 32768..65536
  output logic             [Slots-1:0][ 5:0] factor_shift_o,    // early; 0..38
  output logic             [      3:0]       saturations_o,     // early
  output logic             [      1:0]       clips_o            // early
);

  `TP_REQUIRE(Slots >= 1 && Slots <= 8)
  `TP_REQUIRE(DimMax >= 32 && DimMax % 32 == 0 && DimMax <= 8160)
  `TP_REQUIRE(GainQuads >= 2 && GainQuads <= 65536)

  localparam int unsigned QuadWidth = $clog2(DimMax / 4);
  // Powers of two: a slot's place in an address is a bit field.
  localparam int unsigned XAddressWidth = $clog2(Slots << QuadWidth);
  localparam int unsigned GainWidth = $clog2(GainQuads);

  // ---- command ----

  tp_map_pkg::norm_t        norm;
  logic                     free_q;
  logic                     busy_q;
  logic                     first_q;
  logic                     last;
  logic              [ 2:0] slot_q;
  logic              [10:0] quad_q;
  logic              [10:0] last_quad_q;
  logic              [15:0] gain_address_q;
  logic              [ 2:0] shift_q;  // shift - 12
  logic              [ 4:0] cap_q;
  logic              [47:0] epsilon_q;

  assign norm = tp_map_pkg::norm_t'(cmd_i.instruction);
  assign last = quad_q == last_quad_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      free_q <= 1'b1;
      busy_q <= 1'b0;
    end else begin
      busy_q <= cmd_valid_i || (busy_q && !last);
      // Free in the cycle of the last address, so that the next command's first one follows it.
      if (cmd_valid_i) free_q <= 1'b0;
      else if (busy_q && quad_q + 11'd1 == last_quad_q) free_q <= 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (cmd_valid_i) begin
      first_q        <= 1'b1;
      slot_q         <= cmd_i.slot;
      quad_q         <= '0;
      last_quad_q    <= {norm.blocks, 3'b0} - 11'd1;
      gain_address_q <= norm.gain_base;
      shift_q        <= norm.shift[2:0] ^ 3'd4;
      cap_q          <= norm.cap;
      epsilon_q      <= norm.epsilon;
    end else if (busy_q) begin
      first_q        <= 1'b0;
      quad_q         <= quad_q + 11'd1;
      gain_address_q <= gain_address_q + 16'd1;
    end
  end

  // ---- memories: x in four banks, gains in two halves of a quad ----

  logic [3:0][31:0] x;
  logic [3:0][15:0] gain;
  logic cfg_gain;

  for (genvar bank = 0; bank < 4; bank++) begin : gen_x
    tp_ram #(
      .Width         (32),
      .Depth         (2 ** XAddressWidth),
      .OutputRegister(1'b1)
    ) u_ram (
      .clk_i          (clk_i),
      .write_enable_i (x_valid_i && x_pair_i[0] == 1'(bank / 2)),
      .write_address_i(XAddressWidth'((32'(x_slot_i) << QuadWidth) | 32'(x_pair_i[11:1]))),
      .write_data_i   (x_data_i[bank%2]),
      .read_enable_i  (busy_q),
      .read_address_i (XAddressWidth'((32'(slot_q) << QuadWidth) | 32'(quad_q))),
      .read_data_o    (x[bank])
    );
  end

  assign cfg_gain = cfg_valid_i && cfg_space_i == tp_map_pkg::TP_SPACE_GAIN &&
                    cfg_address_i < 2 * GainQuads;

  for (genvar half = 0; half < 2; half++) begin : gen_gain
    tp_ram #(
      .Width         (32),
      .Depth         (2 ** GainWidth),
      .OutputRegister(1'b1)
    ) u_ram (
      .clk_i          (clk_i),
      .write_enable_i (cfg_gain && cfg_address_i[0] == 1'(half)),
      .write_address_i(cfg_address_i[GainWidth:1]),
      .write_data_i   (cfg_data_i),
      .read_enable_i  (busy_q),
      .read_address_i (gain_address_q[GainWidth-1:0]),
      .read_data_o    (gain[2*half+:2])
    );
  end

  // ---- stages: valid, first and last quad of a command ----

  logic [9:2] valid;
  logic [8:2] first;
  logic [9:2] final_quad;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid <= '0;
    else valid <= {valid[8:2], busy_q};
  end

  always_ff @(posedge clk_i) begin
    first      <= {first[7:2], busy_q && first_q};
    final_quad <= {final_quad[8:2], last};
  end

  // What belongs to a command moves on with its first quad; it is followed by 7 more at least.
  logic [2:0] shift_q5;
  logic [3:0] past_q5;  // bits of a product that do not fit after the shift, from bit 43 on
  logic [4:0] cap_q5, cap_q7;
  logic [2:0] slot_q5, slot_q7, slot_q9;

  always_ff @(posedge clk_i) begin
    if (valid[4] && first[4]) begin
      shift_q5 <= shift_q;
      cap_q5   <= cap_q;
      past_q5  <= 4'hf << shift_q;
      slot_q5  <= slot_q;
    end
    if (valid[6] && first[6]) begin
      cap_q7  <= cap_q5;
      slot_q7 <= slot_q5;
    end
    if (valid[8] && first[8]) slot_q9 <= slot_q7;
  end

  // ---- gain: h = sat32(rnd(x * gain, shift)) ----

  logic [3:0][47:0] product;  // signed, of stage 5; |x * gain| <= 2^46
  logic [3:0][32:0] shifted_q6;  // signed, one fraction bit; right unless past
  logic [3:0] sign_q6;
  logic [3:0] past_q6;  // the product does not fit 32 bits after the shift
  logic [3:0] far_q6;  // nor 33 bits
  logic [3:0][31:0] h, h_q7;
  logic [3:0] saturated;
  logic [3:0] saturations_q;
  logic [3:0] unused_product_valid;

  // Bits s - 1 .. s + 31 of the product, shift s = 12 + by. One narrowing step per bit of by.
  function automatic logic [32:0] window(input logic [47:11] v, input logic [2:0] by);
    logic [39:0] whole;
    logic [35:0] by_4;
    logic [33:0] by_2;
    whole  = {{3{v[47]}}, v};
    by_4   = by[2] ? whole[39:4] : whole[35:0];
    by_2   = by[1] ? by_4[35:2] : by_4[33:0];
    window = by[0] ? by_2[33:1] : by_2[32:0];
  endfunction

  // Bits of a product that differ from its sign.
  function automatic logic [3:0] top(input logic [47:43] v);
    top = v[46:43] ^ {4{v[47]}};
  endfunction

  for (genvar i = 0; i < 4; i++) begin : gen_product
    tp_product u_product (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .in_valid_i (valid[3]),
      .in_x_i     (x[i]),
      .in_gain_i  (gain[i]),
      .out_valid_o(unused_product_valid[i]),
      .out_data_o (product[i])
    );
  end

  always_ff @(posedge clk_i) begin
    if (valid[5]) begin
      for (int unsigned i = 0; i < 4; i++) begin
        shifted_q6[i] <= window(product[i][47:11], shift_q5);
        sign_q6[i]    <= product[i][47];
        past_q6[i]    <= |(top(product[i][47:43]) & past_q5);
        far_q6[i]     <= |(top(product[i][47:43]) &{past_q5[2:0], 1'b0});
      end
    end
  end

  // The rounded value is (v + 1) >> 1. The carry out of the low part decides at both limits: it
  // takes the largest number past the range and the one below the range into it.
  always_comb begin
    for (int unsigned i = 0; i < 4; i++) begin
      logic carry;
      carry = &shifted_q6[i][31:0];
      if (past_q6[i]) saturated[i] = !(sign_q6[i] && !far_q6[i] && carry);
      else saturated[i] = !sign_q6[i] && carry;
      h[i] = 32'((shifted_q6[i] + 33'd1) >> 1);
      if (saturated[i]) h[i] = sign_q6[i] ? 32'h8000_0000 : 32'h7fff_ffff;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) saturations_q <= '0;
    else saturations_q <= valid[6] ? 4'($countones(saturated)) : '0;
  end

  always_ff @(posedge clk_i) if (valid[6]) h_q7 <= h;

  logic block_last;

  tp_quantise #(
    .Lanes(4)
  ) u_quantise (
    .clk_i           (clk_i),
    .rst_ni          (rst_ni),
    .in_valid_i      (valid[7]),
    .in_data_i       (h_q7),
    .in_last_i       (final_quad[7]),
    .in_slot_i       (slot_q7),
    .in_cap_i        (cap_q7),
    .block_valid_o   (block_valid_o),
    .block_slot_o    (block_slot_o),
    .block_index_o   (block_index_o),
    .block_data_o    (block_data_o),
    .block_exponent_o(block_exponent_o),
    .block_last_o    (block_last),
    .clips_o         (clips_o)
  );

  // ---- factor: A = sum (x >> sh)^2 + (C >> 2 sh), then 1 / sqrt(A) ----

  logic [31:0] any_q2;
  logic [ 4:0] right;
  logic [ 4:0] right_q3;  // sh, 0..17
  logic [4:0] right_q7, right_q9;
  logic [47:0] epsilon_q4;
  logic [3:0][15:0] scaled_q4;  // signed
  logic [3:0][30:0] square;  // of stage 7
  logic [32:0] sum_q8;
  logic [48:0] total_q9;
  logic [3:0] unused_square_valid;
  logic factor_valid;
  logic [16:0] factor_rm;
  logic [4:0] factor_half_k;
  logic [2:0] factor_slot;
  logic [4:0] factor_right;
  logic [Slots-1:0][16:0] factor_rm_q;
  logic [Slots-1:0][5:0] factor_shift_q;

  always_comb begin
    right = '0;
    for (int unsigned i = 15; i < 32; i++) if (any_q2[i]) right = 5'(i - 14);
  end

  always_ff @(posedge clk_i) begin
    if (busy_q && first_q) any_q2 <= or_i[slot_q];
    if (valid[2] && first[2]) right_q3 <= right;
`ifdef TP_PLANT_BUG
    // The planted fault does not scale epsilon with the squares.
    if (valid[3] && first[3]) epsilon_q4 <= epsilon_q;
`else
    if (valid[3] && first[3]) epsilon_q4 <= epsilon_q >> {right_q3, 1'b0};
`endif
    if (valid[6] && first[6]) right_q7 <= right_q3;
    if (valid[8] && first[8]) right_q9 <= right_q7;
  end

  always_ff @(posedge clk_i) begin
    if (valid[3]) begin
      for (int unsigned i = 0; i < 4; i++) scaled_q4[i] <= 16'($signed(x[i]) >>> right_q3);
    end
    if (valid[7]) begin
      sum_q8 <= (33'(square[0]) + 33'(square[1])) + (33'(square[2]) + 33'(square[3]));
    end
    if (valid[8]) total_q9 <= (first[8] ? 49'(epsilon_q4) : total_q9) + 49'(sum_q8);
  end

  for (genvar i = 0; i < 4; i++) begin : gen_square
    tp_square u_square (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .in_valid_i (valid[4]),
      .in_data_i  (scaled_q4[i]),
      .out_valid_o(unused_square_valid[i]),
      .out_data_o (square[i])
    );
  end

  tp_rsqrt #(
    .Width   (49),
    .TagWidth(8)
  ) u_rsqrt (
    .clk_i       (clk_i),
    .rst_ni      (rst_ni),
    .in_valid_i  (valid[9] && final_quad[9]),
    .in_value_i  (total_q9),
    .in_tag_i    ({slot_q9, right_q9}),
    .out_valid_o (factor_valid),
    .out_rm_o    (factor_rm),
    .out_half_k_o(factor_half_k),
    .out_tag_o   ({factor_slot, factor_right})
  );

  always_ff @(posedge clk_i) begin
    if (factor_valid) begin
      for (int unsigned i = 0; i < Slots; i++) begin
        if (factor_slot == 3'(i)) begin
          factor_rm_q[i]    <= factor_rm;
          factor_shift_q[i] <= 6'(factor_half_k) + 6'(factor_right);
        end
      end
    end
  end

  // ---- outputs ----

  // The factor is ready before the last block: it needs 4 cycles less.
  assign done_valid_o   = block_valid_o && block_last;
  assign done_slot_o    = block_slot_o;
  assign free_o         = free_q;
  assign factor_rm_o    = factor_rm_q;
  assign factor_shift_o = factor_shift_q;
  assign saturations_o  = saturations_q;

  logic unused_fields;
  assign unused_fields = ^{cmd_i.fast, cmd_i.position, cmd_i.token, norm.unused_0, norm.unused_1,
                           norm.unused_2, norm.unused_3, norm.unused_4, norm.logits, norm.drain,
                           norm.shift[7:3], gain_address_q};

  `TP_ASSERT(CommandWhenFree_A, !cmd_valid_i || free_q)
  `TP_ASSERT(CommandIsNorm_A, !cmd_valid_i || norm.opcode == tp_map_pkg::TP_OP_NORM)
  `TP_ASSERT(SlotExists_A, !cmd_valid_i || 32'(cmd_i.slot) < Slots)
  `TP_ASSERT(BlocksFit_A, !cmd_valid_i || (norm.blocks != '0 && 32'(norm.blocks) * 32 <= DimMax))
  `TP_ASSERT(ShiftFits_A, !cmd_valid_i || (norm.shift >= 8'sd12 && norm.shift <= 8'sd19))
  `TP_ASSERT(GainsExist_A, !busy_q || 32'(gain_address_q) < GainQuads)
  `TP_ASSERT(XFits_A, !x_valid_i || (32'(x_slot_i) < Slots && 32'(x_pair_i) < DimMax / 2))
  `TP_COVER(BackToBack_C, cmd_valid_i && busy_q)
  `TP_COVER(Saturated_C, saturations_q != '0)

endmodule
