// SPDX-License-Identifier: Apache-2.0
//
// tp_epilogue: what happens to the rows of a matrix after the accumulators, two rows a cycle.
//
// In    the commands of tp_matvec; its row flow and embed flow, in the order of the commands; norm
//       factors; angles; configuration spaces BIAS, CENTRE and, with HeadNorm, GAIN.
// Out   by destination: x with its gain addresses, FFN blocks, head pairs, logits. Bits equal
//       tp_matvec_scale() and what follows it in the golden machine.
// Rate  one pair of rows per cycle. Constant latencies: see README.md.
// Not   does not check the order of the program: a command reads what earlier ones have completed.
//
// Stage s of the pipeline holds a pair s cycles after it was taken from its row group:
// 1 accumulator, 2 and 3 shift, 4 z, 5 products, 6 y, 7 with bias. Then x 8; heads 8 to 11 turned,
// 12 centred; gate 8 to 17 SwiGLU, then the quantiser; logits 8, or 8 and 9.

`include "tp_assert.svh"

module tp_epilogue
  import tp_map_pkg::*;
  import tp_epilogue_pkg::*;
#(
  parameter int unsigned Groups        = 4,
  parameter int unsigned Slots         = 4,
  parameter int unsigned DimMax        = 64,    // elements of x, a multiple of 32
  parameter int unsigned ConstantPairs = 256,   // of bias and of centre constants
  parameter bit          HeadNorm      = 1'b0,
  parameter int unsigned HeadLog2Max   = 5,     // log2 of the largest head size, 4..7
  parameter int unsigned GainQuads     = 256,   // of the head norm's copy of the gains
  parameter int unsigned FfnBlocks     = 6      // blocks of the FFN's activation memory
) (
  input logic clk_i,
  input logic rst_ni,
  // Commands, as tp_matvec accepts them.
  input logic cmd_valid_i,  // early
  input tp_pkg::command_t cmd_i,  // early
  // Row flow and embed flow of tp_matvec.
  input logic row_valid_i,  // early
  input logic [Groups-1:0][39:0] row_data_i,  // early; signed
  input logic row_last_i,  // early; last row group of the command
  input logic embed_valid_i,  // early
  input logic [1:0][31:0] embed_data_i,  // early; int32
  input logic embed_last_i,  // early
  // Norm factors of all slots.
  input logic [Slots-1:0][16:0] factor_rm_i,  // early
  input logic [Slots-1:0][5:0] factor_shift_i,  // early
  // Angle table: data one cycle after the address.
  output logic angle_valid_o,  // late
  output logic [2:0] angle_slot_o,  // late
  output logic [5:0] angle_pair_o,  // late
  output logic angle_identity_o,  // late; no rotation
  input logic signed [16:0] angle_cosine_i,  // early; Q1.15
  input logic signed [16:0] angle_sine_i,  // early
  input logic signed [17:0] angle_sum_i,  // early; cosine + sine
  // Configuration.
  input logic cfg_valid_i,  // early
  input logic [3:0] cfg_space_i,  // early
  input logic [31:0] cfg_address_i,  // early
  input logic [31:0] cfg_data_i,  // early
  // Reading back, between steps: bits of BIAS and CENTRE; GAIN needs its address only.
  input logic cfg_read_i,  // early
  output logic read_o,  // early; 3 cycles later
  // x write flow, and two cycles ahead of each pair where its gains lie.
  output logic gain_valid_o,  // early
  output logic [16:0] gain_address_o,  // early; in pairs of gains
  output logic x_valid_o,  // early
  output logic [2:0] x_slot_o,  // early
  output logic [11:0] x_pair_o,  // early
  output logic [1:0][31:0] x_data_o,  // early; int32
  output logic x_last_o,  // early; last pair of the command
  output logic [4:0] x_cap_o,  // early; largest exponent of the norm's blocks
  // FFN block flow.
  output logic block_valid_o,  // early
  output logic [2:0] block_slot_o,  // early
  output logic [7:0] block_index_o,  // early
  output logic [255:0] block_data_o,  // early
  output logic [4:0] block_exponent_o,  // early
  // Head flow.
  output logic head_valid_o,  // early
  output logic [1:0][31:0] head_data_o,  // early; int32
  output tp_pkg::word_context_t head_context_o,  // early
  output logic head_last_o,  // early; last pair of the command
  // Logit flow.
  output logic logit_valid_o,  // early
  output logic [2:0] logit_slot_o,  // early
  output logic [15:0] logit_index_o,  // early
  output logic [1:0][31:0] logit_data_o,  // early; Q16.16
  output logic logit_both_o,  // early; the next logit is beside it
  output logic logit_last_o,  // early; last of the vocabulary
  // The last block of GATE.
  output logic gate_done_valid_o,  // early
  output logic [2:0] gate_done_slot_o,  // early
  output logic [3:0] saturations_o,  // late
  output logic [1:0] clips_o  // early
);

  `TP_REQUIRE(Groups == 1 || Groups == 2 || Groups == 4 || Groups == 8)
  `TP_REQUIRE(Slots >= 1 && Slots <= 8)
  `TP_REQUIRE(DimMax >= 32 && DimMax % 32 == 0 && DimMax <= 8160)
  `TP_REQUIRE(ConstantPairs >= 2 && ConstantPairs <= 65536)
  `TP_REQUIRE(HeadLog2Max >= 4 && HeadLog2Max <= 7)
  `TP_REQUIRE(FfnBlocks >= 1 && FfnBlocks <= 256)

  matvec_t matvec;  // the fields of EMBED are where MATVEC has them
  index_t cmd_index;
  logic pair_valid;
  place_t pair_place;
  logic [1:0][39:0] pair_data;
  logic signed [8:0] pair_shift;
  logic [7:5] valid;
  place_t place_5;
  place_t place_6;
  place_t place_7;
  logic [1:0][31:0] data_7;

  assign matvec = matvec_t'(cmd_i.instruction);

  tp_epilogue_pairs #(
    .Groups(Groups),
    .Slots (Slots)
  ) u_pairs (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .cmd_valid_i(cmd_valid_i),
    .cmd_i(cmd_i),
    .cmd_index_o(cmd_index),
    .row_valid_i(row_valid_i),
    .row_data_i(row_data_i),
    .row_last_i(row_last_i),
    .embed_valid_i(embed_valid_i),
    .embed_data_i(embed_data_i),
    .embed_last_i(embed_last_i),
    .factor_shift_i(factor_shift_i),
    .pair_valid_o(pair_valid),
    .pair_place_o(pair_place),
    .pair_data_o(pair_data),
    .pair_shift_o(pair_shift)
  );

  logic read_gain_q;
  logic bias_bit;
  logic centre_bit;

  always_ff @(posedge clk_i) begin
    read_gain_q <= cfg_read_i && cfg_space_i == TP_SPACE_GAIN;
    read_o      <= bias_bit || centre_bit;
  end

  logic [3:0] scale_saturated;
  logic [1:0] x_saturated;
  logic gate_saturated;
  logic [3:0] head_saturated;
  logic [3:0] norm_saturations;

  tp_epilogue_scale #(
    .Slots(Slots),
    .ConstantPairs(ConstantPairs)
  ) u_scale (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .cmd_valid_i(cmd_valid_i),
    .cmd_index_i(cmd_index),
    .cmd_constant_base_i(matvec.constant_base),
    .pair_valid_i(pair_valid),
    .pair_place_i(pair_place),
    .pair_data_i(pair_data),
    .pair_shift_i(pair_shift),
    .factor_rm_i(factor_rm_i),
    .cfg_valid_i(cfg_valid_i),
    .cfg_space_i(cfg_space_i),
    .cfg_address_i(cfg_address_i),
    .cfg_data_i(cfg_data_i),
    .cfg_read_i(cfg_read_i),
    .read_o(bias_bit),
    .valid_o(valid),
    .place_5_o(place_5),
    .place_6_o(place_6),
    .place_7_o(place_7),
    .data_o(data_7),
    .saturated_o(scale_saturated)
  );

  tp_epilogue_x #(
    .Slots (Slots),
    .DimMax(DimMax)
  ) u_x (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .cmd_valid_i(cmd_valid_i),
    .cmd_index_i(cmd_index),
    .cmd_gain_base_i(matvec.gain_base),
    .cmd_cap_i(matvec.cap),
    .read_valid_i(valid[5]),
    .read_place_i(place_5),
    .pair_valid_i(valid[7]),
    .pair_place_i(place_7),
    .pair_data_i(data_7),
    .read_i(read_gain_q),
    .read_address_i(cfg_address_i[16:0]),
    .gain_valid_o(gain_valid_o),
    .gain_address_o(gain_address_o),
    .x_valid_o(x_valid_o),
    .x_slot_o(x_slot_o),
    .x_pair_o(x_pair_o),
    .x_data_o(x_data_o),
    .x_last_o(x_last_o),
    .x_cap_o(x_cap_o),
    .saturated_o(x_saturated)
  );

  tp_epilogue_gate #(
    .FfnBlocks(FfnBlocks)
  ) u_gate (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .cmd_valid_i(cmd_valid_i),
    .cmd_index_i(cmd_index),
    .cmd_slot_i(cmd_i.slot),
    .cmd_cap_i(matvec.cap),
    .pair_valid_i(valid[7]),
    .pair_place_i(place_7),
    .pair_data_i(data_7),
    .block_valid_o(block_valid_o),
    .block_slot_o(block_slot_o),
    .block_index_o(block_index_o),
    .block_data_o(block_data_o),
    .block_exponent_o(block_exponent_o),
    .gate_done_valid_o(gate_done_valid_o),
    .gate_done_slot_o(gate_done_slot_o),
    .saturated_o(gate_saturated),
    .clips_o(clips_o)
  );

  tp_epilogue_heads #(
    .ConstantPairs(ConstantPairs),
    .HeadNorm(HeadNorm),
    .HeadLog2Max(HeadLog2Max),
    .GainQuads(GainQuads)
  ) u_heads (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .cmd_valid_i(cmd_valid_i),
    .cmd_index_i(cmd_index),
    .cmd_i(cmd_i),
    .ahead_valid_i(valid[6]),
    .ahead_place_i(place_6),
    .pair_valid_i(valid[7]),
    .pair_place_i(place_7),
    .pair_data_i(data_7),
    .angle_valid_o(angle_valid_o),
    .angle_slot_o(angle_slot_o),
    .angle_pair_o(angle_pair_o),
    .angle_identity_o(angle_identity_o),
    .angle_cosine_i(angle_cosine_i),
    .angle_sine_i(angle_sine_i),
    .angle_sum_i(angle_sum_i),
    .cfg_valid_i(cfg_valid_i),
    .cfg_space_i(cfg_space_i),
    .cfg_address_i(cfg_address_i),
    .cfg_data_i(cfg_data_i),
    .cfg_read_i(cfg_read_i),
    .read_o(centre_bit),
    .head_valid_o(head_valid_o),
    .head_data_o(head_data_o),
    .head_context_o(head_context_o),
    .head_last_o(head_last_o),
    .saturated_o(head_saturated),
    .norm_saturations_o(norm_saturations)
  );

  tp_epilogue_logits u_logits (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .cmd_valid_i(cmd_valid_i),
    .cmd_index_i(cmd_index),
    .cmd_vocabulary_i(matvec.epsilon[16:0]),
    .cmd_fast_i(cmd_i.fast),
    .ahead_valid_i(valid[6]),
    .ahead_place_i(place_6),
    .pair_valid_i(valid[7]),
    .pair_place_i(place_7),
    .pair_data_i(data_7),
    .logit_valid_o(logit_valid_o),
    .logit_slot_o(logit_slot_o),
    .logit_index_o(logit_index_o),
    .logit_data_o(logit_data_o),
    .logit_both_o(logit_both_o),
    .logit_last_o(logit_last_o)
  );

  // ---- saturations, wherever they happen ----

  // Counted in parts, which come from far apart; what takes the sum registers it.
  logic [2:0] early_hits_q;
  logic [2:0] late_hits_q;
  logic [3:0] norm_hits_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      early_hits_q <= '0;
      late_hits_q  <= '0;
      norm_hits_q  <= '0;
    end else begin
      early_hits_q <= 3'($countones({scale_saturated, x_saturated}));
      late_hits_q  <= 3'($countones({gate_saturated, head_saturated}));
      norm_hits_q  <= norm_saturations;
    end
  end

  assign saturations_o = 4'(early_hits_q) + 4'(late_hits_q) + norm_hits_q;

  logic unused_bits;
  assign unused_bits = ^matvec;

  logic logits_here;
  assign logits_here = cmd_valid_i && matvec.opcode == TP_OP_MATVEC
      && matvec.dest == TP_DEST_LOGITS;
  `TP_ASSERT(VocabularyFits_A,
             !logits_here || (matvec.epsilon != '0 && matvec.epsilon <= 32'(matvec.rows)))

endmodule
