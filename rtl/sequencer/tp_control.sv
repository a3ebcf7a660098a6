// SPDX-License-Identifier: Apache-2.0
//
// tp_control: everything between the frames of the link and the steps of the sequencer.
//
// In    host frames; the end of each step; the token flow of the sampler; the logit flow; counts of
//       saturations and clips.
// Out   answers and events as frames; the configuration bus; starts of steps; the sampling of each
//       slot. Semantics: docs/link.md.
// Rate  one word per cycle in, one per two cycles out; between two steps see README.md.
// Not   does not look at positions beyond the limit of each slot: the host sets that.

`include "tp_assert.svh"

module tp_control
  import tp_link_pkg::*;
  import tp_control_pkg::*;
#(
  parameter int unsigned Groups          = 2,
  parameter int unsigned Slots           = 4,
  parameter int unsigned WeightBeats     = 1024,
  parameter int unsigned KvRows          = 512,
  parameter int unsigned DimMax          = 64,
  parameter int unsigned QueryMax        = 128,
  parameter int unsigned HiddenMax       = 192,
  parameter int unsigned VocabMax        = 512,
  parameter int unsigned PositionsMax    = 64,
  parameter int unsigned ProgramMax      = 64,
  parameter int unsigned GainQuads       = 256,
  parameter int unsigned ConstantPairs   = 256,
  parameter int unsigned Frequencies     = 64,
  parameter int unsigned Codebooks       = 2,
  parameter int unsigned HeadNorm        = 1,
  parameter int unsigned HeadLog2Max     = 5,
  parameter int unsigned AttentionLanes  = 64,
  parameter int unsigned TopK            = 64,
  parameter int unsigned QueueDepth      = 256,
  parameter int unsigned EventDepth      = 64,
  parameter int unsigned BuildId         = 0,
  parameter int unsigned ReadBack        = 1,
  parameter int unsigned SaturationPorts = 4,
  parameter int unsigned ClipPorts       = 4
) (
  input logic clk_i,
  input logic rst_ni,

  // host frames
  input  logic           frame_valid_i,     // early
  output logic           frame_ready_o,     // early
  input  logic    [ 7:0] frame_type_i,      // early
  input  logic    [ 7:0] frame_sequence_i,  // early
  input  length_t        frame_length_i,    // early
  input  logic           word_valid_i,      // early
  output logic           word_ready_o,      // early
  input  logic    [31:0] word_data_i,       // early
  input  logic           word_last_i,       // early
  input  logic           bad_i,             // early; a broken frame was dropped

  // device frames
  output logic           reply_valid_o,     // early
  input  logic           reply_ready_i,     // early
  output logic    [ 7:0] reply_type_o,      // early
  output logic    [ 7:0] reply_sequence_o,  // early
  output length_t        reply_length_o,    // early
  output logic           part_valid_o,      // early; words of the frame
  input  logic           part_ready_i,      // late
  output logic    [31:0] part_data_o,       // late

  output logic idle_o,  // early; nothing to do or to send until a frame comes

  // configuration bus
  output logic        cfg_valid_o,    // early; flow
  output logic [ 3:0] cfg_space_o,    // early
  output logic [31:0] cfg_address_o,  // early
  output logic [31:0] cfg_data_o,     // early
  output logic        cfg_read_o,     // early; reads: the data are the number of a bit
  input  logic        cfg_bit_i,      // early; the bit of that number, 6 cycles later

  // steps
  output logic                                start_o,      // early
  output logic              [Slots-1:0]       active_o,     // early
  output logic              [Slots-1:0]       logits_o,     // early
  output logic              [Slots-1:0][15:0] position_o,   // early
  output logic              [Slots-1:0][15:0] token_o,      // early
  output logic              [Slots-1:0]       fast_o,       // early; two logits a cycle
  output tp_pkg::sampling_t [Slots-1:0]       sampling_o,   // early
  input  logic                                end_valid_i,  // early
  input  logic              [     31:0]       end_cycles_i, // early

  // recent tokens, for the repetition penalty
  output logic                  clear_valid_o,   // early; one cycle
  output logic            [2:0] clear_slot_o,    // early
  input  logic                  clear_busy_i,    // late
  output logic                  fed_valid_o,     // early; flow
  output tp_pkg::recent_t       fed_o,           // early
  output logic                  recent_valid_o,  // early
  input  logic                  recent_ready_i,  // late
  output tp_pkg::recent_t       recent_o,        // early

  // flows of the units
  input logic candidate_valid_i,  // early
  input tp_pkg::candidate_t candidate_i,  // early
  input tp_pkg::ranking_t ranking_i,  // early; with the token
  input logic token_valid_i,  // early
  input logic [2:0] token_slot_i,  // early
  input logic [15:0] token_i,  // early
  input logic logit_valid_i,  // early
  input logic [2:0] logit_slot_i,  // early
  input logic [15:0] logit_index_i,  // early
  input logic [31:0] logit_data_i,  // early; int32, Q16.16
  input logic logit_last_i,  // early
  input logic [SaturationPorts-1:0][3:0] saturations_i,  // early
  input logic [ClipPorts-1:0][1:0] clips_i,  // early
  input logic x_done_i,  // late; the norm of an x is complete
  input logic [2:0] block_valid_i,  // early; blocks are written, by source
  input logic [2:0][4:0] block_exponent_i  // early
);

  localparam int unsigned LevelWidth = $clog2(QueueDepth + 1);

  logic                                     table_valid;
  table_write_t                             table_data;
  logic                                     open_valid;
  logic         [      2:0]                 open_slot;
  logic                                     queue_valid;
  queue_write_t                             queue_data;
  logic                                     feed_valid;
  logic         [      2:0]                 feed_slot;
  logic         [      6:0]                 feed_count;
  logic                                     run_valid;
  run_t                                     run_data;
  logic                                     cancel_valid;
  logic         [      2:0]                 cancel_slot;
  logic                                     credit_valid;
  credit_t                                  credit;
  logic                                     lock;
  logic                                     locked;
  logic                                     commands_idle;
  logic                                     slots_idle;
  logic         [Slots-1:0]                 open;
  logic         [Slots-1:0]                 running;
  logic         [Slots-1:0]                 ended;
  logic         [Slots-1:0][LevelWidth-1:0] level;
  statistics_t                              sums;
  logic         [     31:0]                 frames_bad;
  logic                                     sections_clear;
  logic                                     sections_clear_q;
  logic                                     sections_busy;
  logic         [      4:0]                 section_index;
  section_t                                 section;
  logic                                     processed;
  logic                                     capture;
  logic         [      2:0]                 capture_slot;
  logic                                     drain;
  logic                                     drained;
  logic                                     report;
  logic         [      2:0]                 report_slot;
  logic                                     reported;
  logic                                     event_valid;
  event_word_t                              event_data;
  logic                                     room;
  logic                                     empty;
  logic                                     answer_frame_valid;
  logic                                     answer_frame_ready;
  logic         [      7:0]                 answer_frame_type;
  logic         [      7:0]                 answer_frame_sequence;
  length_t                                  answer_frame_length;
  logic                                     answer_word_valid;
  logic                                     answer_word_ready;
  logic         [     31:0]                 answer_word_data;
  logic                                     logits_frame_valid;
  logic                                     logits_frame_ready;
  length_t                                  logits_frame_length;
  logic                                     logits_word_valid;
  logic                                     logits_word_ready;
  logic         [     31:0]                 logits_word_data;

  // Logits and candidates are never sent at the same time.
  logic                                     candidates_frame_valid;
  length_t                                  candidates_frame_length;
  logic                                     candidates_word_valid;
  logic         [     31:0]                 candidates_word_data;
  logic         [      7:0]                 logits_frame_type;
  assign logits_frame_type = candidates_frame_valid ? tp_map_pkg::TP_FRAME_CANDIDATES
                                                    : tp_map_pkg::TP_FRAME_LOGITS;

  assign idle_o = commands_idle && slots_idle && empty && !frame_valid_i;

  tp_commands #(
    .Groups        (Groups),
    .Slots         (Slots),
    .WeightBeats   (WeightBeats),
    .KvRows        (KvRows),
    .DimMax        (DimMax),
    .QueryMax      (QueryMax),
    .HiddenMax     (HiddenMax),
    .VocabMax      (VocabMax),
    .PositionsMax  (PositionsMax),
    .ProgramMax    (ProgramMax),
    .GainQuads     (GainQuads),
    .ConstantPairs (ConstantPairs),
    .Frequencies   (Frequencies),
    .Codebooks     (Codebooks),
    .HeadNorm      (HeadNorm),
    .HeadLog2Max   (HeadLog2Max),
    .AttentionLanes(AttentionLanes),
    .TopK          (TopK),
    .QueueDepth    (QueueDepth),
    .BuildId       (BuildId),
    .ReadBack      (ReadBack)
  ) u_commands (
    .clk_i                  (clk_i),
    .rst_ni                 (rst_ni),
    .frame_valid_i          (frame_valid_i),
    .frame_ready_o          (frame_ready_o),
    .frame_type_i           (frame_type_i),
    .frame_sequence_i       (frame_sequence_i),
    .frame_length_i         (frame_length_i),
    .word_valid_i           (word_valid_i),
    .word_ready_o           (word_ready_o),
    .word_data_i            (word_data_i),
    .word_last_i            (word_last_i),
    .cfg_valid_o            (cfg_valid_o),
    .cfg_space_o            (cfg_space_o),
    .cfg_address_o          (cfg_address_o),
    .cfg_data_o             (cfg_data_o),
    .cfg_read_o             (cfg_read_o),
    .cfg_bit_i              (cfg_bit_i),
    .table_valid_o          (table_valid),
    .table_data_o           (table_data),
    .open_valid_o           (open_valid),
    .open_slot_o            (open_slot),
    .queue_valid_o          (queue_valid),
    .queue_data_o           (queue_data),
    .feed_valid_o           (feed_valid),
    .feed_slot_o            (feed_slot),
    .feed_count_o           (feed_count),
    .run_valid_o            (run_valid),
    .run_data_o             (run_data),
    .cancel_valid_o         (cancel_valid),
    .cancel_slot_o          (cancel_slot),
    .credit_valid_o         (credit_valid),
    .credit_o               (credit),
    .clear_valid_o          (clear_valid_o),
    .clear_slot_o           (clear_slot_o),
    .clear_busy_i           (clear_busy_i),
    .recent_valid_o         (recent_valid_o),
    .recent_ready_i         (recent_ready_i),
    .recent_o               (recent_o),
    .lock_o                 (lock),
    .idle_o                 (commands_idle),
    .locked_i               (locked),
    .open_i                 (open),
    .running_i              (running),
    .ended_i                (ended),
    .level_i                (level),
    .position_i             (position_o),
    .sums_i                 (sums),
    .frames_bad_i           (frames_bad),
    .sections_busy_i        (sections_busy),
    .section_o              (section_index),
    .section_i              (section),
    .answer_frame_valid_o   (answer_frame_valid),
    .answer_frame_ready_i   (answer_frame_ready),
    .answer_frame_type_o    (answer_frame_type),
    .answer_frame_sequence_o(answer_frame_sequence),
    .answer_frame_length_o  (answer_frame_length),
    .answer_word_valid_o    (answer_word_valid),
    .answer_word_ready_i    (answer_word_ready),
    .answer_word_data_o     (answer_word_data)
  );

  tp_slots #(
    .Slots     (Slots),
    .QueueDepth(QueueDepth)
  ) u_slots (
    .clk_i         (clk_i),
    .rst_ni        (rst_ni),
    .table_valid_i (table_valid),
    .table_data_i  (table_data),
    .open_valid_i  (open_valid),
    .open_slot_i   (open_slot),
    .queue_valid_i (queue_valid),
    .queue_data_i  (queue_data),
    .feed_valid_i  (feed_valid),
    .feed_slot_i   (feed_slot),
    .feed_count_i  (feed_count),
    .run_valid_i   (run_valid),
    .run_data_i    (run_data),
    .cancel_valid_i(cancel_valid),
    .cancel_slot_i (cancel_slot),
    .credit_valid_i(credit_valid),
    .credit_i      (credit),
    .lock_i        (lock),
    .locked_o      (locked),
    .idle_o        (slots_idle),
    .open_o        (open),
    .running_o     (running),
    .ended_o       (ended),
    .level_o       (level),
    .start_o       (start_o),
    .active_o      (active_o),
    .logits_o      (logits_o),
    .position_o    (position_o),
    .token_o       (token_o),
    .fast_o        (fast_o),
    .sampling_o    (sampling_o),
    .end_valid_i   (end_valid_i),
    .end_cycles_i  (end_cycles_i),
    .token_valid_i (token_valid_i),
    .token_slot_i  (token_slot_i),
    .token_i       (token_i),
    .processed_o   (processed),
    .fed_valid_o   (fed_valid_o),
    .fed_o         (fed_o),
    .capture_o     (capture),
    .capture_slot_o(capture_slot),
    .drain_o       (drain),
    .drained_i     (drained),
    .report_o      (report),
    .report_slot_o (report_slot),
    .reported_i    (reported),
    .event_valid_o (event_valid),
    .event_data_o  (event_data),
    .room_i        (room),
    .empty_i       (empty)
  );

  tp_logits #(
    .VocabMax(VocabMax)
  ) u_logits (
    .clk_i         (clk_i),
    .rst_ni        (rst_ni),
    .capture_i     (capture),
    .capture_slot_i(capture_slot),
    .logit_valid_i (logit_valid_i),
    .logit_slot_i  (logit_slot_i),
    .logit_index_i (logit_index_i),
    .logit_data_i  (logit_data_i),
    .logit_last_i  (logit_last_i),
    .drain_i       (drain),
    .drained_o     (drained),
    .frame_valid_o (logits_frame_valid),
    .frame_ready_i (logits_frame_ready),
    .frame_length_o(logits_frame_length),
    .word_valid_o  (logits_word_valid),
    .word_ready_i  (logits_word_ready),
    .word_data_o   (logits_word_data)
  );

  // Without a sorted list no slot has candidates.
  if (TopK != 0) begin : gen_candidates
    tp_candidates #(
      .Slots   (Slots),
      .VocabMax(VocabMax)
    ) u_candidates (
      .clk_i            (clk_i),
      .rst_ni           (rst_ni),
      .candidate_valid_i(candidate_valid_i),
      .candidate_i      (candidate_i),
      .token_valid_i    (token_valid_i),
      .token_slot_i     (token_slot_i),
      .ranking_i        (ranking_i),
      .drain_i          (report),
      .drain_slot_i     (report_slot),
      .drained_o        (reported),
      .frame_valid_o    (candidates_frame_valid),
      .frame_ready_i    (logits_frame_ready),
      .frame_length_o   (candidates_frame_length),
      .word_valid_o     (candidates_word_valid),
      .word_ready_i     (logits_word_ready),
      .word_data_o      (candidates_word_data)
    );
  end else begin : gen_no_candidates
    assign reported                = 1'b0;
    assign candidates_frame_valid  = 1'b0;
    assign candidates_frame_length = '0;
    assign candidates_word_valid   = 1'b0;
    assign candidates_word_data    = '0;
    logic unused_candidates;
    assign unused_candidates = ^{candidate_valid_i, candidate_i, ranking_i, report, report_slot};
  end

  tp_events #(
    .Slots(Slots),
    .Depth(EventDepth)
  ) u_events (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .event_valid_i(event_valid),
    .event_data_i(event_data),
    .room_o(room),
    .empty_o(empty),
    .logits_frame_valid_i(logits_frame_valid || candidates_frame_valid),
    .logits_frame_ready_o(logits_frame_ready),
    .logits_frame_type_i(logits_frame_type),
    .logits_frame_length_i(candidates_frame_valid ? candidates_frame_length : logits_frame_length),
    .logits_word_valid_i(logits_word_valid || candidates_word_valid),
    .logits_word_ready_o(logits_word_ready),
    .logits_word_data_i(candidates_word_valid ? candidates_word_data : logits_word_data),
    .answer_frame_valid_i(answer_frame_valid),
    .answer_frame_ready_o(answer_frame_ready),
    .answer_frame_type_i(answer_frame_type),
    .answer_frame_sequence_i(answer_frame_sequence),
    .answer_frame_length_i(answer_frame_length),
    .answer_word_valid_i(answer_word_valid),
    .answer_word_ready_o(answer_word_ready),
    .answer_word_data_i(answer_word_data),
    .frame_valid_o(reply_valid_o),
    .frame_ready_i(reply_ready_i),
    .frame_type_o(reply_type_o),
    .frame_sequence_o(reply_sequence_o),
    .frame_length_o(reply_length_o),
    .word_valid_o(part_valid_o),
    .word_ready_i(part_ready_i),
    .word_data_o(part_data_o)
  );

  // What the units count comes from far away: it has the first cycle for its way.
  logic [SaturationPorts-1:0][3:0] saturations_q;
  logic [ClipPorts-1:0][1:0] clips_q;
  logic [2:0] block_valid_q;
  logic [2:0][4:0] block_exponent_q;
  logic x_done_q;
  logic begun_q;
  logic ended_q;
  logic [31:0] ended_cycles_q;
  logic shared_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      saturations_q <= '0;
      clips_q       <= '0;
      block_valid_q <= '0;
      x_done_q      <= 1'b0;
      begun_q       <= 1'b0;
      ended_q       <= 1'b0;
    end else begin
      saturations_q <= saturations_i;
      clips_q       <= clips_i;
      block_valid_q <= block_valid_i;
      x_done_q      <= x_done_i;
      begun_q       <= start_o;
      ended_q       <= end_valid_i;
    end
    block_exponent_q <= block_exponent_i;
    ended_cycles_q   <= end_cycles_i;
    shared_q         <= (active_o & (active_o - 1'b1)) != '0;
  end

  tp_statistics #(
    .SaturationPorts(SaturationPorts),
    .ClipPorts      (ClipPorts)
  ) u_statistics (
    .clk_i        (clk_i),
    .rst_ni       (rst_ni),
    .saturations_i(saturations_q),
    .clips_i      (clips_q),
    .end_valid_i  (ended_q),
    .end_cycles_i (ended_cycles_q),
    .token_i      (processed),
    .bad_i        (bad_i),
    .sums_o       (sums),
    .frames_bad_o (frames_bad)
  );

  // A step begins cycles after the last word of a frame.
  always_ff @(posedge clk_i) begin
    if (!rst_ni) sections_clear_q <= 1'b0;
    else sections_clear_q <= sections_clear;
  end
  assign sections_clear = cfg_valid_o && cfg_space_o == tp_map_pkg::TP_SPACE_REGISTER &&
                          cfg_address_o == 32'(tp_map_pkg::TP_REGISTER_SECTIONS_CLEAR);

  tp_sections #(
    .SaturationPorts(SaturationPorts),
    .ClipPorts      (ClipPorts)
  ) u_sections (
    .clk_i           (clk_i),
    .rst_ni          (rst_ni),
    .clear_i         (sections_clear_q),
    .start_i         (begun_q),
    .shared_i        (shared_q),
    .x_done_i        (x_done_q),
    .end_i           (ended_q),
    .saturations_i   (saturations_q),
    .clips_i         (clips_q),
    .block_valid_i   (block_valid_q),
    .block_exponent_i(block_exponent_q),
    .busy_o          (sections_busy),
    .section_i       (section_index),
    .section_o       (section)
  );

  `TP_INPUT_RULE(PROVE_TP_CONTROL, FrameHolds_M, `TP_HOLDS(frame_valid_i, frame_ready_o, ({
                                                           frame_type_i, frame_sequence_i,
                                                           frame_length_i})))
  `TP_INPUT_RULE(PROVE_TP_CONTROL, WordHolds_M, `TP_HOLDS(word_valid_i, word_ready_o, ({
                                                          word_data_i, word_last_i})))

endmodule
