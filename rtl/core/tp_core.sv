// SPDX-License-Identifier: Apache-2.0
//
// tp_core: the token processor: all units wired, bytes in, bytes out.
//
// In    bytes of the link (docs/link.md).
// Out   bytes of the link.
// Rate  one byte per cycle each way; steps as host/lib/cycles.c predicts.
// Not   holds no logic but the choice between the three activation memories, and that of the bits
//       that are read back. Leaves reset a cycle later than rst_ni, and takes no byte before;
//       rst_ni is low for two cycles at least.

`include "tp_assert.svh"

module tp_core #(
  parameter int unsigned Groups = 2,
  parameter int unsigned Slots = 4,
  parameter int unsigned WeightBeats = 1024,
  parameter int unsigned KvRows = 512,
  parameter int unsigned DimMax = 64,
  parameter int unsigned QueryMax = 128,
  parameter int unsigned HiddenMax = 192,
  parameter int unsigned VocabMax = 512,
  parameter int unsigned PositionsMax = 64,
  parameter int unsigned ProgramMax = 64,
  parameter int unsigned GainQuads = 256,
  parameter int unsigned ConstantPairs = 256,
  parameter int unsigned Codebooks = 2,
  parameter int unsigned HeadNorm = 1,
  parameter int unsigned HeadLog2Max = 5,
  parameter int unsigned AttentionLanes = 64,
  parameter int unsigned TopK = 64,
  parameter int unsigned BuildId = 0,
  parameter int unsigned ReadBack = 1,
  // A prompt that fills the context fits a slot's queue.
  localparam int unsigned QueueDepth = 1 << $clog2(PositionsMax > 128 ? PositionsMax : 128)
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       in_valid_i,   // early
  output logic       in_ready_o,   // early
  input  logic [7:0] in_data_i,    // early
  output logic       out_valid_o,  // early
  input  logic       out_ready_i,  // late
  output logic [7:0] out_data_o,   // early
  output logic       idle_o,       // early; nothing to do or to send until a byte comes
  output logic       step_o,       // late; for one cycle when a step begins
  output logic       bad_o         // early; for one cycle when a broken frame is dropped
);

  localparam int unsigned Units = 3;
  localparam int unsigned Dones = 6;
  localparam int unsigned Frequencies = 64;
  localparam int unsigned RotationPairs = 1 << (HeadLog2Max - 1);  // of a head
  localparam int unsigned QueryWords = QueryMax / 32;
  // With one matrix group hard multipliers are left, of the few that small devices have.
  localparam bit SpareMultipliers = Groups == 1;

  `TP_REQUIRE(DimMax % 32 == 0 && QueryMax % 32 == 0 && HiddenMax % 32 == 0)
  `TP_REQUIRE(PositionsMax % 16 == 0)
  `TP_REQUIRE(HeadLog2Max >= 4 && HeadLog2Max <= 7)

  typedef struct packed {
    logic valid;
    logic [2:0] slot;
    logic [7:0] index;
    logic [255:0] data;
    logic [4:0] exponent;
  } block_t;

  typedef struct packed {
    logic valid;
    logic [2:0] slot;
    logic [15:0] position;
    logic [23:0] base;
    logic [7:0] word;
  } kv_read_t;

  typedef struct packed {
    logic valid;
    logic read;
    logic [3:0] space;
    logic [31:0] address;
    logic [31:0] data;
  } config_t;

  // The groups of neighbours that share a copy of the configuration bus.
  localparam int unsigned ConfigSequencer = 0;
  localparam int unsigned ConfigMatrix = 1;
  localparam int unsigned ConfigEpilogue = 2;
  localparam int unsigned ConfigAngles = 3;
  localparam int unsigned ConfigWeights = 4;
  localparam int unsigned ConfigKv = 5;
  localparam int unsigned Configs = 6;

  // ---- reset: a copy for each unit or group of neighbours ----

  logic link_rst_n;
  logic control_rst_n;
  logic sequencer_rst_n;
  logic matvec_rst_n;
  logic epilogue_rst_n;
  logic angles_rst_n;
  logic rmsnorm_rst_n;
  logic kv_rst_n;
  logic attention_rst_n;
  logic sampler_rst_n;

  tp_reset_copies #(
    .Copies(10)
  ) u_reset (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .rst_no({
      link_rst_n,
      control_rst_n,
      sequencer_rst_n,
      matvec_rst_n,
      epilogue_rst_n,
      angles_rst_n,
      rmsnorm_rst_n,
      kv_rst_n,
      attention_rst_n,
      sampler_rst_n
    })
  );

  // ---- link ----

  logic        link_ready;
  logic        byte_valid;
  logic        byte_ready;
  logic [ 7:0] byte_data;
  logic        frame_valid;
  logic        frame_ready;
  logic [ 7:0] frame_type;
  logic [ 7:0] frame_sequence;
  logic [ 8:0] frame_length;
  logic        word_valid;
  logic        word_ready;
  logic [31:0] word_data;
  logic        word_last;
  logic        frame_bad;
  logic        reply_valid;
  logic        reply_ready;
  logic [ 7:0] reply_type;
  logic [ 7:0] reply_sequence;
  logic [ 8:0] reply_length;
  logic        part_valid;
  logic        part_ready;
  logic [31:0] part_data;
  logic        control_idle;

  // The line is far from the memory of the payloads.
  tp_skid #(
    .Width(8)
  ) u_in (
    .clk_i      (clk_i),
    .rst_ni     (link_rst_n),
    .in_valid_i (in_valid_i && link_rst_n),
    .in_ready_o (link_ready),
    .in_data_i  (in_data_i),
    .out_valid_o(byte_valid),
    .out_ready_i(byte_ready),
    .out_data_o (byte_data)
  );

  tp_framer_rx u_framer_rx (
    .clk_i           (clk_i),
    .rst_ni          (link_rst_n),
    .in_valid_i      (byte_valid),
    .in_ready_o      (byte_ready),
    .in_data_i       (byte_data),
    .frame_valid_o   (frame_valid),
    .frame_ready_i   (frame_ready),
    .frame_type_o    (frame_type),
    .frame_sequence_o(frame_sequence),
    .frame_length_o  (frame_length),
    .word_valid_o    (word_valid),
    .word_ready_i    (word_ready),
    .word_data_o     (word_data),
    .word_last_o     (word_last),
    .bad_o           (frame_bad)
  );

  tp_framer_tx u_framer_tx (
    .clk_i           (clk_i),
    .rst_ni          (link_rst_n),
    .frame_valid_i   (reply_valid),
    .frame_ready_o   (reply_ready),
    .frame_type_i    (reply_type),
    .frame_sequence_i(reply_sequence),
    .frame_length_i  (reply_length),
    .word_valid_i    (part_valid),
    .word_ready_o    (part_ready),
    .word_data_i     (part_data),
    .out_valid_o     (out_valid_o),
    .out_ready_i     (out_ready_i),
    .out_data_o      (out_data_o)
  );

  assign in_ready_o = link_ready && link_rst_n;
  assign bad_o = frame_bad;
  assign idle_o = control_idle && reply_ready && !out_valid_o;

  // ---- control and sequencer ----

  block_t                               norm_block;
  block_t                               attention_block;
  block_t                               ffn_block;

  logic                                 cfg_valid;
  logic               [      3:0]       cfg_space;
  logic               [     31:0]       cfg_address;
  logic               [     31:0]       cfg_data;
  logic                                 cfg_read;
  logic                                 cfg_bit;
  logic                                 start;
  logic               [Slots-1:0]       active;
  logic               [Slots-1:0]       logits;
  logic               [Slots-1:0][15:0] position;
  logic               [Slots-1:0][15:0] token;
  logic               [Slots-1:0]       fast;
  tp_pkg::sampling_t  [Slots-1:0]       sampling;
  logic                                 end_valid;
  logic               [     31:0]       end_cycles;
  logic               [Units-1:0]       free;
  logic               [Units-1:0]       cmd_valid;
  tp_pkg::command_t   [Units-1:0]       cmd;
  logic               [Dones-1:0]       done_valid;
  logic               [Dones-1:0][ 2:0] done_slot;
  logic                                 logit_valid;
  logic               [      2:0]       logit_slot;
  logic               [     15:0]       logit_index;
  logic               [      1:0][31:0] logit_data;
  logic                                 logit_both;
  logic                                 logit_last;
  logic                                 sampled_valid;
  logic               [      2:0]       sampled_slot;
  logic               [     15:0]       sampled_token;
  logic                                 clear_valid;
  logic               [      2:0]       clear_slot;
  logic                                 clear_busy;
  logic                                 fed_valid;
  tp_pkg::recent_t                      fed;
  logic                                 recent_valid;
  logic                                 recent_ready;
  tp_pkg::recent_t                      recent;
  logic                                 candidate_valid;
  tp_pkg::candidate_t                   candidate;
  tp_pkg::ranking_t                     ranking;
  logic               [      3:0][ 3:0] saturations;
  logic               [      3:0][ 1:0] clips;

  tp_control #(
    .Groups         (Groups),
    .Slots          (Slots),
    .WeightBeats    (WeightBeats),
    .KvRows         (KvRows),
    .DimMax         (DimMax),
    .QueryMax       (QueryMax),
    .HiddenMax      (HiddenMax),
    .VocabMax       (VocabMax),
    .PositionsMax   (PositionsMax),
    .ProgramMax     (ProgramMax),
    .GainQuads      (GainQuads),
    .ConstantPairs  (ConstantPairs),
    .Frequencies    (Frequencies),
    .Codebooks      (Codebooks),
    .HeadNorm       (HeadNorm),
    .HeadLog2Max    (HeadLog2Max),
    .AttentionLanes (AttentionLanes),
    .TopK           (TopK),
    .QueueDepth     (QueueDepth),
    .BuildId        (BuildId),
    .ReadBack       (ReadBack),
    .SaturationPorts(4),
    .ClipPorts      (4)
  ) u_control (
    .clk_i            (clk_i),
    .rst_ni           (control_rst_n),
    .frame_valid_i    (frame_valid),
    .frame_ready_o    (frame_ready),
    .frame_type_i     (frame_type),
    .frame_sequence_i (frame_sequence),
    .frame_length_i   (frame_length),
    .word_valid_i     (word_valid),
    .word_ready_o     (word_ready),
    .word_data_i      (word_data),
    .word_last_i      (word_last),
    .bad_i            (frame_bad),
    .reply_valid_o    (reply_valid),
    .reply_ready_i    (reply_ready),
    .reply_type_o     (reply_type),
    .reply_sequence_o (reply_sequence),
    .reply_length_o   (reply_length),
    .part_valid_o     (part_valid),
    .part_ready_i     (part_ready),
    .part_data_o      (part_data),
    .idle_o           (control_idle),
    .cfg_valid_o      (cfg_valid),
    .cfg_space_o      (cfg_space),
    .cfg_address_o    (cfg_address),
    .cfg_data_o       (cfg_data),
    .cfg_read_o       (cfg_read),
    .cfg_bit_i        (cfg_bit),
    .start_o          (start),
    .active_o         (active),
    .logits_o         (logits),
    .position_o       (position),
    .token_o          (token),
    .fast_o           (fast),
    .sampling_o       (sampling),
    .end_valid_i      (end_valid),
    .end_cycles_i     (end_cycles),
    .token_valid_i    (sampled_valid),
    .token_slot_i     (sampled_slot),
    .token_i          (sampled_token),
    .clear_valid_o    (clear_valid),
    .clear_slot_o     (clear_slot),
    .clear_busy_i     (clear_busy),
    .fed_valid_o      (fed_valid),
    .fed_o            (fed),
    .recent_valid_o   (recent_valid),
    .recent_ready_i   (recent_ready),
    .recent_o         (recent),
    .candidate_valid_i(candidate_valid),
    .candidate_i      (candidate),
    .ranking_i        (ranking),
    .logit_valid_i    (logit_valid),
    .logit_slot_i     (logit_slot),
    .logit_index_i    (logit_index),
    .logit_data_i     (logit_data[0]),
    .logit_last_i     (logit_last),
    .saturations_i    (saturations),
    .clips_i          (clips),
    .x_done_i         (done_valid[0]),
    .block_valid_i    ({ffn_block.valid, attention_block.valid, norm_block.valid}),
    .block_exponent_i ({ffn_block.exponent, attention_block.exponent, norm_block.exponent})
  );

  assign step_o = start;

  // ---- configuration: a registered copy for each group of neighbours, the ways are long ----

  config_t [Configs-1:0] config_q;

  for (genvar i = 0; i < int'(Configs); i++) begin : gen_config
    (* keep *)
    always_ff @(posedge clk_i) begin
      config_q[i] <= '{
          valid: cfg_valid && control_rst_n,
          read: cfg_read && control_rst_n,
          space: cfg_space,
          address: cfg_address,
          data: cfg_data
      };
    end
  end

  // Without reading back nothing of it is left, also behind what is kept.
  logic [Configs-1:0] config_read;
  for (genvar i = 0; i < int'(Configs); i++) begin : gen_read
    assign config_read[i] = ReadBack != 0 && config_q[i].read;
  end

  // The unit that has the space answers, the others say 0.
  logic sequencer_bit;
  logic matvec_bit;
  logic epilogue_bit;
  logic angles_bit;
  logic rmsnorm_bit;
  logic [1:0] cfg_bit_q;
  always_ff @(posedge clk_i) begin
    cfg_bit_q <= {
      cfg_bit_q[0], sequencer_bit || matvec_bit || epilogue_bit || angles_bit || rmsnorm_bit
    };
  end
  assign cfg_bit = cfg_bit_q[1];

  tp_sequencer #(
    .Slots     (Slots),
    .ProgramMax(ProgramMax),
    .Dones     (Dones)
  ) u_sequencer (
    .clk_i        (clk_i),
    .rst_ni       (sequencer_rst_n),
    .cfg_valid_i  (config_q[ConfigSequencer].valid),
    .cfg_space_i  (config_q[ConfigSequencer].space),
    .cfg_address_i(config_q[ConfigSequencer].address),
    .cfg_data_i   (config_q[ConfigSequencer].data),
    .cfg_read_i   (config_read[ConfigSequencer]),
    .read_o       (sequencer_bit),
    .start_i      (start),
    .active_i     (active),
    .logits_i     (logits),
    .position_i   (position),
    .token_i      (token),
    .fast_i       (fast),
    .end_valid_o  (end_valid),
    .end_cycles_o (end_cycles),
    .free_i       (free),
    .cmd_valid_o  (cmd_valid),
    .cmd_o        (cmd),
    .done_valid_i (done_valid),
    .done_slot_i  (done_slot)
  );

  // ---- matrix unit, weights, epilogue, angles ----

  logic                                                            read_valid;
  logic                  [    Groups-1:0]                          weight_read;
  logic                  [    Groups-1:0][$clog2(WeightBeats)-1:0] weight_address;
  logic                  [Groups*136-1:0]                          weight_data;
  logic                  [           1:0]                          block_source;
  logic                  [           2:0]                          block_slot;
  logic                  [           7:0]                          block_index;
  logic                  [         255:0]                          block_data;
  logic                  [           4:0]                          block_exponent;
  logic                                                            row_valid;
  logic                  [    Groups-1:0][                   39:0] row_data;
  logic                                                            row_last;
  logic                                                            embed_valid;
  logic                  [           1:0][                   31:0] embed_data;
  logic                                                            embed_last;
  logic                  [     Slots-1:0][                   16:0] factor_rm;
  logic                  [     Slots-1:0][                    5:0] factor_shift;
  logic                                                            angle_valid;
  logic                  [           2:0]                          angle_slot;
  logic                  [           5:0]                          angle_pair;
  logic                                                            angle_identity;
  logic signed           [          16:0]                          angle_cosine;
  logic signed           [          16:0]                          angle_sine;
  logic signed           [          17:0]                          angle_sum;
  logic                                                            x_valid;
  logic                  [           2:0]                          x_slot;
  logic                  [          11:0]                          x_pair;
  logic                  [           1:0][                   31:0] x_data;
  logic                                                            x_last;
  logic                  [           4:0]                          x_cap;
  logic                                                            gain_valid;
  logic                  [          16:0]                          gain_address;
  logic                                                            head_valid;
  logic                  [           1:0][                   31:0] head_data;
  tp_pkg::word_context_t                                           head_context;
  logic                                                            head_last;

  tp_matvec #(
    .Groups     (Groups),
    .Codebooks  (Codebooks),
    .AddressBits($clog2(WeightBeats))
  ) u_matvec (
    .clk_i           (clk_i),
    .rst_ni          (matvec_rst_n),
    .cmd_valid_i     (cmd_valid[0]),
    .cmd_i           (cmd[0]),
    .free_o          (free[0]),
    .cfg_valid_i     (config_q[ConfigMatrix].valid),
    .cfg_space_i     (config_q[ConfigMatrix].space),
    .cfg_address_i   (config_q[ConfigMatrix].address),
    .cfg_data_i      (config_q[ConfigMatrix].data),
    .cfg_read_i      (config_read[ConfigMatrix]),
    .read_o          (matvec_bit),
    .read_valid_o    (read_valid),
    .weight_read_o   (weight_read),
    .weight_address_o(weight_address),
    .weight_data_i   (weight_data),
    .block_source_o  (block_source),
    .block_slot_o    (block_slot),
    .block_index_o   (block_index),
    .block_data_i    (block_data),
    .block_exponent_i(block_exponent),
    .row_valid_o     (row_valid),
    .row_data_o      (row_data),
    .row_last_o      (row_last),
    .embed_valid_o   (embed_valid),
    .embed_data_o    (embed_data),
    .embed_last_o    (embed_last),
    .logits_done_i   (sampled_valid),
    .saturations_o   (saturations[1])
  );

  tp_weights #(
    .Groups(Groups),
    .Depth (WeightBeats)
  ) u_weights (
    .clk_i        (clk_i),
    .rst_ni       (matvec_rst_n),
    .cfg_valid_i  (config_q[ConfigWeights].valid),
    .cfg_space_i  (config_q[ConfigWeights].space),
    .cfg_address_i(config_q[ConfigWeights].address),
    .cfg_data_i   (config_q[ConfigWeights].data),
    .read_valid_i (weight_read),
    .address_i    (weight_address),
    .data_o       (weight_data)
  );

  tp_epilogue #(
    .Groups       (Groups),
    .Slots        (Slots),
    .DimMax       (DimMax),
    .ConstantPairs(ConstantPairs),
    .HeadNorm     (HeadNorm != 0),
    .HeadLog2Max  (HeadLog2Max),
    .GainQuads    (GainQuads),
    .FfnBlocks    (HiddenMax / 32)
  ) u_epilogue (
    .clk_i            (clk_i),
    .rst_ni           (epilogue_rst_n),
    .cmd_valid_i      (cmd_valid[0]),
    .cmd_i            (cmd[0]),
    .row_valid_i      (row_valid),
    .row_data_i       (row_data),
    .row_last_i       (row_last),
    .embed_valid_i    (embed_valid),
    .embed_data_i     (embed_data),
    .embed_last_i     (embed_last),
    .factor_rm_i      (factor_rm),
    .factor_shift_i   (factor_shift),
    .angle_valid_o    (angle_valid),
    .angle_slot_o     (angle_slot),
    .angle_pair_o     (angle_pair),
    .angle_identity_o (angle_identity),
    .angle_cosine_i   (angle_cosine),
    .angle_sine_i     (angle_sine),
    .angle_sum_i      (angle_sum),
    .cfg_valid_i      (config_q[ConfigEpilogue].valid),
    .cfg_space_i      (config_q[ConfigEpilogue].space),
    .cfg_address_i    (config_q[ConfigEpilogue].address),
    .cfg_data_i       (config_q[ConfigEpilogue].data),
    .cfg_read_i       (config_read[ConfigEpilogue]),
    .read_o           (epilogue_bit),
    .gain_valid_o     (gain_valid),
    .gain_address_o   (gain_address),
    .x_valid_o        (x_valid),
    .x_slot_o         (x_slot),
    .x_pair_o         (x_pair),
    .x_data_o         (x_data),
    .x_last_o         (x_last),
    .x_cap_o          (x_cap),
    .block_valid_o    (ffn_block.valid),
    .block_slot_o     (ffn_block.slot),
    .block_index_o    (ffn_block.index),
    .block_data_o     (ffn_block.data),
    .block_exponent_o (ffn_block.exponent),
    .head_valid_o     (head_valid),
    .head_data_o      (head_data),
    .head_context_o   (head_context),
    .head_last_o      (head_last),
    .logit_valid_o    (logit_valid),
    .logit_slot_o     (logit_slot),
    .logit_index_o    (logit_index),
    .logit_data_o     (logit_data),
    .logit_both_o     (logit_both),
    .logit_last_o     (logit_last),
    .gate_done_valid_o(done_valid[1]),
    .gate_done_slot_o (done_slot[1]),
    .saturations_o    (saturations[2]),
    .clips_o          (clips[1])
  );

  tp_angles #(
    .Slots      (Slots),
    .Pairs      (RotationPairs),
    .Frequencies(Frequencies)
  ) u_angles (
    .clk_i           (clk_i),
    .rst_ni          (angles_rst_n),
    .cmd_valid_i     (cmd_valid[1]),
    .cmd_i           (cmd[1]),
    .free_o          (free[1]),
    .done_valid_o    (done_valid[2]),
    .done_slot_o     (done_slot[2]),
    .cfg_valid_i     (config_q[ConfigAngles].valid),
    .cfg_space_i     (config_q[ConfigAngles].space),
    .cfg_address_i   (config_q[ConfigAngles].address),
    .cfg_data_i      (config_q[ConfigAngles].data),
    .cfg_read_i      (config_read[ConfigAngles]),
    .read_o          (angles_bit),
    .angle_valid_i   (angle_valid),
    .angle_slot_i    (angle_slot),
    .angle_pair_i    (angle_pair),
    .angle_identity_i(angle_identity),
    .angle_cosine_o  (angle_cosine),
    .angle_sine_o    (angle_sine),
    .angle_sum_o     (angle_sum)
  );

  // ---- norm ----

  tp_rmsnorm #(
    .Slots      (Slots),
    .DimMax     (DimMax),
    .GainQuads  (GainQuads),
    .HardSquares(SpareMultipliers)
  ) u_rmsnorm (
    .clk_i           (clk_i),
    .rst_ni          (rmsnorm_rst_n),
    .gain_valid_i    (gain_valid),
    .gain_address_i  (gain_address),
    .x_valid_i       (x_valid),
    .x_slot_i        (x_slot),
    .x_pair_i        (x_pair),
    .x_data_i        (x_data),
    .x_last_i        (x_last),
    .x_cap_i         (x_cap),
    .cfg_valid_i     (config_q[ConfigEpilogue].valid),
    .cfg_space_i     (config_q[ConfigEpilogue].space),
    .cfg_address_i   (config_q[ConfigEpilogue].address),
    .cfg_data_i      (config_q[ConfigEpilogue].data),
    .cfg_read_i      (config_read[ConfigEpilogue]),
    .read_o          (rmsnorm_bit),
    .done_valid_o    (done_valid[0]),
    .done_slot_o     (done_slot[0]),
    .block_valid_o   (norm_block.valid),
    .block_slot_o    (norm_block.slot),
    .block_index_o   (norm_block.index),
    .block_data_o    (norm_block.data),
    .block_exponent_o(norm_block.exponent),
    .factor_rm_o     (factor_rm),
    .factor_shift_o  (factor_shift),
    .saturations_o   (saturations[0]),
    .clips_o         (clips[0])
  );

  // ---- activation memories ----

  logic [  1:0] block_source_q;
  logic [  1:0] block_source_q2;
  logic [255:0] norm_read_data;
  logic [  4:0] norm_read_exponent;
  logic [255:0] attention_read_data;
  logic [  4:0] attention_read_exponent;
  logic [255:0] ffn_read_data;
  logic [  4:0] ffn_read_exponent;

  always_ff @(posedge clk_i) begin
    block_source_q  <= block_source;
    block_source_q2 <= block_source_q;
  end

  always_comb begin
    unique case (block_source_q2)
      tp_map_pkg::TP_SOURCE_NORM: begin
        block_data     = norm_read_data;
        block_exponent = norm_read_exponent;
      end
      tp_map_pkg::TP_SOURCE_ATTENTION: begin
        block_data     = attention_read_data;
        block_exponent = attention_read_exponent;
      end
      default: begin
        block_data = ffn_read_data;
`ifdef TP_PLANT_BUG
        // The planted fault takes the exponent from the wrong memory.
        block_exponent = norm_read_exponent;
`else
        block_exponent = ffn_read_exponent;
`endif
      end
    endcase
  end

  tp_activation #(
    .Slots (Slots),
    .Blocks(DimMax / 32)
  ) u_activation_norm (
    .clk_i           (clk_i),
    .rst_ni          (matvec_rst_n),
    .block_valid_i   (norm_block.valid),
    .block_slot_i    (norm_block.slot),
    .block_index_i   (norm_block.index),
    .block_data_i    (norm_block.data),
    .block_exponent_i(norm_block.exponent),
    .read_enable_i   (read_valid && block_source == tp_map_pkg::TP_SOURCE_NORM),
    .read_slot_i     (block_slot),
    .read_index_i    (block_index),
    .read_data_o     (norm_read_data),
    .read_exponent_o (norm_read_exponent)
  );

  tp_activation #(
    .Slots (Slots),
    .Blocks(QueryWords)
  ) u_activation_attention (
    .clk_i           (clk_i),
    .rst_ni          (matvec_rst_n),
    .block_valid_i   (attention_block.valid),
    .block_slot_i    (attention_block.slot),
    .block_index_i   (attention_block.index),
    .block_data_i    (attention_block.data),
    .block_exponent_i(attention_block.exponent),
    .read_enable_i   (read_valid && block_source == tp_map_pkg::TP_SOURCE_ATTENTION),
    .read_slot_i     (block_slot),
    .read_index_i    (block_index),
    .read_data_o     (attention_read_data),
    .read_exponent_o (attention_read_exponent)
  );

  tp_activation #(
    .Slots (Slots),
    .Blocks(HiddenMax / 32)
  ) u_activation_ffn (
    .clk_i           (clk_i),
    .rst_ni          (matvec_rst_n),
    .block_valid_i   (ffn_block.valid),
    .block_slot_i    (ffn_block.slot),
    .block_index_i   (ffn_block.index),
    .block_data_i    (ffn_block.data),
    .block_exponent_i(ffn_block.exponent),
    .read_enable_i   (read_valid && block_source == tp_map_pkg::TP_SOURCE_FFN),
    .read_slot_i     (block_slot),
    .read_index_i    (block_index),
    .read_data_o     (ffn_read_data),
    .read_exponent_o (ffn_read_exponent)
  );

  // ---- heads, KV memory, attention ----

  logic                               kv_word_valid;
  logic                  [255:0]      kv_word_data;
  logic                  [  3:0][4:0] kv_word_exponents;
  tp_pkg::word_context_t              kv_word_context;
  logic                  [  7:0]      kv_word_index;
  logic                               kv_word_last;
  logic                               query_valid;
  logic                  [  2:0]      query_slot;
  logic                  [  7:0]      query_index;
  logic                  [255:0]      query_data;
  logic                  [  3:0][4:0] query_exponents;
  kv_read_t                           key_read;
  logic                  [255:0]      key_data;
  logic                  [  3:0][7:0] key_exponents;
  kv_read_t                           value_read;
  logic                  [255:0]      value_data;

  tp_head_quantise u_head_quantise (
    .clk_i           (clk_i),
    .rst_ni          (kv_rst_n),
    .head_valid_i    (head_valid),
    .head_data_i     (head_data),
    .head_context_i  (head_context),
    .head_last_i     (head_last),
    .word_valid_o    (kv_word_valid),
    .word_data_o     (kv_word_data),
    .word_exponents_o(kv_word_exponents),
    .word_context_o  (kv_word_context),
    .word_index_o    (kv_word_index),
    .word_last_o     (kv_word_last),
    .clips_o         (clips[2])
  );

  tp_kv #(
    .Slots       (Slots),
    .KvRows      (KvRows),
    .PagesPerSlot(PositionsMax / 16),
    .KvWordsMax  (QueryWords)
  ) u_kv (
    .clk_i            (clk_i),
    .rst_ni           (kv_rst_n),
    .cfg_valid_i      (config_q[ConfigKv].valid),
    .cfg_space_i      (config_q[ConfigKv].space),
    .cfg_address_i    (config_q[ConfigKv].address),
    .cfg_data_i       (config_q[ConfigKv].data),
    .word_valid_i     (kv_word_valid),
    .word_data_i      (kv_word_data),
    .word_exponents_i (kv_word_exponents),
    .word_context_i   (kv_word_context),
    .word_index_i     (kv_word_index),
    .word_last_i      (kv_word_last),
    .query_valid_o    (query_valid),
    .query_slot_o     (query_slot),
    .query_index_o    (query_index),
    .query_data_o     (query_data),
    .query_exponents_o(query_exponents),
    .key_valid_i      (key_read.valid),
    .key_slot_i       (key_read.slot),
    .key_position_i   (key_read.position),
    .key_base_i       (key_read.base),
    .key_word_i       (key_read.word),
    .key_data_o       (key_data),
    .key_exponents_o  (key_exponents),
    .value_valid_i    (value_read.valid),
    .value_slot_i     (value_read.slot),
    .value_position_i (value_read.position),
    .value_base_i     (value_read.base),
    .value_word_i     (value_read.word),
    .value_data_o     (value_data),
    .done_valid_o     (done_valid[3]),
    .done_slot_o      (done_slot[3])
  );

  tp_attention #(
    .Slots      (Slots),
    .QueryWords (QueryWords),
    .ColumnsMax (QueryWords),
    .HeadLog2Max(HeadLog2Max),
    .Lanes      (AttentionLanes),
    .HardGroups (SpareMultipliers ? 1 : 0)
  ) u_attention (
    .clk_i            (clk_i),
    .rst_ni           (attention_rst_n),
    .free_o           (free[2]),
    .cmd_valid_i      (cmd_valid[2]),
    .cmd_i            (cmd[2]),
    .done_valid_o     (done_valid[4]),
    .done_slot_o      (done_slot[4]),
    .query_valid_i    (query_valid),
    .query_slot_i     (query_slot),
    .query_index_i    (query_index),
    .query_data_i     (query_data),
    .query_exponents_i(query_exponents),
    .key_valid_o      (key_read.valid),
    .key_slot_o       (key_read.slot),
    .key_position_o   (key_read.position),
    .key_base_o       (key_read.base),
    .key_word_o       (key_read.word),
    .key_data_i       (key_data),
    .key_exponents_i  (key_exponents),
    .value_valid_o    (value_read.valid),
    .value_slot_o     (value_read.slot),
    .value_position_o (value_read.position),
    .value_base_o     (value_read.base),
    .value_word_o     (value_read.word),
    .value_data_i     (value_data),
    .block_valid_o    (attention_block.valid),
    .block_slot_o     (attention_block.slot),
    .block_index_o    (attention_block.index),
    .block_data_o     (attention_block.data),
    .block_exponent_o (attention_block.exponent),
    .saturations_o    (saturations[3]),
    .clips_o          (clips[3])
  );

  // ---- sampler ----

  tp_sampler #(
    .Slots       (Slots),
    .TopK        (TopK),
    .VocabMax    (VocabMax),
    .PositionsMax(PositionsMax)
  ) u_sampler (
    .clk_i            (clk_i),
    .rst_ni           (sampler_rst_n),
    .sampling_i       (sampling),
    .clear_valid_i    (clear_valid),
    .clear_slot_i     (clear_slot),
    .clear_busy_o     (clear_busy),
    .fed_valid_i      (fed_valid),
    .fed_i            (fed),
    .recent_valid_i   (recent_valid),
    .recent_ready_o   (recent_ready),
    .recent_i         (recent),
    .cmd_valid_i      (cmd_valid[0]),
    .cmd_i            (cmd[0]),
    .logit_valid_i    (logit_valid),
    .logit_slot_i     (logit_slot),
    .logit_index_i    (logit_index),
    .logit_data_i     (logit_data),
    .logit_both_i     (logit_both),
    .logit_last_i     (logit_last),
    .candidate_valid_o(candidate_valid),
    .candidate_o      (candidate),
    .token_valid_o    (sampled_valid),
    .token_slot_o     (sampled_slot),
    .token_o          (sampled_token),
    .ranking_o        (ranking)
  );

  assign done_valid[5] = sampled_valid;
  assign done_slot[5]  = sampled_slot;

`ifdef TP_ARMED
  // ATTENTION may run before the VALUE in front of it is complete, but must not reach the row of
  // the present position before.
  for (genvar s = 0; s < int'(Slots); s++) begin : gen_row_order
    logic [3:0] heads_q;  // QUERY, KEY and VALUE of this slot under way
    logic heads_issued;
    logic heads_done;
    assign heads_issued = cmd_valid[0] && cmd[0].slot == 3'(s) &&
        cmd[0].instruction[3:0] == tp_map_pkg::TP_OP_MATVEC &&
        cmd[0].instruction[8:6] inside {tp_map_pkg::TP_DEST_QUERY, tp_map_pkg::TP_DEST_KEY,
                                        tp_map_pkg::TP_DEST_VALUE};
    assign heads_done = done_valid[3] && done_slot[3] == 3'(s);
    always_ff @(posedge clk_i) begin
      if (!rst_ni) heads_q <= '0;
      else heads_q <= heads_q + 4'(heads_issued) - 4'(heads_done);
    end
    `TP_ASSERT(KeyRowIsThere_A,
               !key_read.valid || key_read.slot != 3'(s) ||
               key_read.position != position[s] || heads_q == '0)
    `TP_ASSERT(ValueRowIsThere_A,
               !value_read.valid || value_read.slot != 3'(s) ||
               value_read.position != position[s] || heads_q == '0)
    logic [8:0] written_q;  // FFN blocks since the last GATE was issued
    always_ff @(posedge clk_i) begin
      if (!rst_ni || (cmd_valid[0] && cmd[0].slot == 3'(s)
                      && cmd[0].instruction[3:0] == tp_map_pkg::TP_OP_MATVEC
                      && cmd[0].instruction[8:6] == tp_map_pkg::TP_DEST_GATE))
        written_q <= '0;
      else if (ffn_block.valid && ffn_block.slot == 3'(s)) written_q <= written_q + 9'd1;
    end
    `TP_ASSERT(BlockIsThere_A,
               !read_valid || block_source != tp_map_pkg::TP_SOURCE_FFN || block_slot != 3'(s) ||
               9'(block_index) < written_q)
    `TP_COVER(Early_C, key_read.valid && key_read.slot == 3'(s) && heads_q != '0)
  end
`endif

endmodule
