// SPDX-License-Identifier: Apache-2.0
//
// tp_events: queue of events, and the choice of the next frame that leaves.
//
// In    event words of tp_slots; frames of tp_logits and tp_candidates (logits_*), one of them at a
//       time; answers of tp_commands.
// Out   frames for tp_framer_tx: answers first, then events in their order, then logits. Events and
//       LOGITS frames carry the running event sequence.
// Rate  one word per two cycles: each is held in a register on its way, which cuts both directions.
// Not   does not stop tp_slots in the middle of a step's events: room_o tells beforehand that all
//       of one more step fit.

`include "tp_assert.svh"

module tp_events
  import tp_map_pkg::*;
  import tp_link_pkg::*;
  import tp_control_pkg::*;
#(
  parameter int unsigned Slots = 4,
  parameter int unsigned Depth = 64  // words
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        event_valid_i,  // early; flow
  input  event_word_t event_data_i,   // late
  output logic        room_o,         // early; the events of a step fit
  output logic        empty_o,        // early; all events have left

  input  logic           logits_frame_valid_i,   // early
  output logic           logits_frame_ready_o,   // early; a cycle after the frame is taken over
  input  logic    [ 7:0] logits_frame_type_i,    // early
  input  length_t        logits_frame_length_i,  // early
  input  logic           logits_word_valid_i,    // early
  output logic           logits_word_ready_o,    // early
  input  logic    [31:0] logits_word_data_i,     // late

  input  logic           answer_frame_valid_i,     // early
  output logic           answer_frame_ready_o,     // early; a cycle after the frame is taken over
  input  logic    [ 7:0] answer_frame_type_i,      // early
  input  logic    [ 7:0] answer_frame_sequence_i,  // early
  input  length_t        answer_frame_length_i,    // early
  input  logic           answer_word_valid_i,      // early
  output logic           answer_word_ready_o,      // early
  input  logic    [31:0] answer_word_data_i,       // late

  output logic           frame_valid_o,     // early
  input  logic           frame_ready_i,     // early
  output logic    [ 7:0] frame_type_o,      // early
  output logic    [ 7:0] frame_sequence_o,  // early
  output length_t        frame_length_o,    // early
  output logic           word_valid_o,      // early
  input  logic           word_ready_i,      // late
  output logic    [31:0] word_data_o        // early
);

  // Two words more may be on their way when the room is looked at.
  localparam int unsigned StepMost = Slots * (TokenWords + DoneWords) + StepWords + 2;
  localparam int unsigned LevelWidth = $clog2(Depth + 1);

  `TP_REQUIRE(Depth >= StepMost + 2)

  typedef enum logic [1:0] {
    FromAnswer,
    FromEvents,
    FromLogits
  } source_e;

  // ---- the queue ----

  logic                         in_ready;
  logic                         event_valid;
  logic                         event_ready;
  event_word_t                  event_head;
  logic        [LevelWidth-1:0] level;

  tp_fifo #(
    .Width($bits(event_word_t)),
    .Depth(Depth)
  ) u_queue (
    .clk_i      (clk_i),
    .rst_ni     (rst_ni),
    .in_valid_i (event_valid_i),
    .in_ready_o (in_ready),
    .in_data_i  (event_data_i),
    .out_valid_o(event_valid),
    .out_ready_i(event_ready),
    .out_data_o (event_head),
    .level_o    (level)
  );

  // ---- the next frame: chosen once, shown until it is taken, its words until the last ----

  source_e            source_q;
  logic               show_q;
  logic               given_q;  // the source's frame has just been taken over
  logic               words_q;  // words of the frame are under way
  logic        [ 6:0] word_left_q;
  logic        [ 7:0] event_sequence_q;
  logic               choose;
  logic               event_seen_q;
  event_word_t        event_head_q;
  logic        [ 7:0] event_type;
  length_t            event_length;
  logic               frame_move;
  logic               word_valid;  // the source shows a word
  logic        [31:0] word_data;
  logic               word_free;  // it is taken over
  logic               word_valid_q;
  logic        [31:0] word_data_q;
  logic               word_move;
  logic               room_q;
  logic               empty_q;

  assign choose = !show_q && !words_q;
  assign frame_move = frame_valid_o && frame_ready_i;
  assign word_free = words_q && !word_valid_q;
  assign word_move = word_valid_q && word_ready_i;
  assign word_valid_o = word_valid_q;
  assign word_data_o = word_data_q;
  assign frame_valid_o = show_q;
  assign room_o = room_q;
  assign empty_o = empty_q;

  // What is in front of the queue is shown from a register: a word stays in the next one for a
  // cycle at least, so what was behind it in the queue is in front when it leaves.
  always_ff @(posedge clk_i) begin
    if (!rst_ni) event_seen_q <= 1'b0;
    else event_seen_q <= event_valid;
    event_head_q <= event_head;
  end

  always_comb begin
    unique case (event_head_q.kind)
      EventToken: begin
        event_type   = TP_FRAME_TOKEN;
        event_length = length_t'(4 * TokenWords);
      end
      EventStep: begin
        event_type   = TP_FRAME_STEP;
        event_length = length_t'(4 * StepWords);
      end
      default: begin
        event_type   = TP_FRAME_DONE;
        event_length = length_t'(4 * DoneWords);
      end
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      source_q         <= FromAnswer;
      show_q           <= 1'b0;
      given_q          <= 1'b0;
      words_q          <= 1'b0;
      word_valid_q     <= 1'b0;
      event_sequence_q <= '0;
      room_q           <= 1'b0;
      empty_q          <= 1'b0;
    end else begin
      given_q <= choose;
      if (choose) begin
        show_q <= answer_frame_valid_i || event_seen_q || logits_frame_valid_i;
        if (answer_frame_valid_i) source_q <= FromAnswer;
        else if (event_seen_q) source_q <= FromEvents;
        else source_q <= FromLogits;
      end
      if (frame_move) begin
        show_q  <= 1'b0;
        words_q <= 1'b1;
        if (source_q != FromAnswer) event_sequence_q <= event_sequence_q + 8'd1;
      end
      if (word_move && word_left_q == 7'd1) words_q <= 1'b0;
      word_valid_q <= word_valid_q ? !word_ready_i : words_q && word_valid;
      room_q <= level <= LevelWidth'(Depth - StepMost) && !event_valid_i;
      empty_q <= !event_valid && !event_valid_i && !words_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (choose) begin
      if (answer_frame_valid_i) begin
        frame_type_o     <= answer_frame_type_i;
        frame_sequence_o <= answer_frame_sequence_i;
        frame_length_o   <= answer_frame_length_i;
      end else begin
        frame_type_o     <= event_seen_q ? event_type : logits_frame_type_i;
        frame_sequence_o <= event_sequence_q;
        frame_length_o   <= event_seen_q ? event_length : logits_frame_length_i;
      end
    end
    if (frame_move) word_left_q <= frame_length_o[8:2];
    else if (word_move) word_left_q <= word_left_q - 7'd1;
    if (!word_valid_q) word_data_q <= word_data;
  end

  // The source need not wait for tp_framer_tx: its words do.
  assign answer_frame_ready_o = given_q && show_q && source_q == FromAnswer;
  assign logits_frame_ready_o = given_q && show_q && source_q == FromLogits;
  assign answer_word_ready_o  = word_free && source_q == FromAnswer;
  assign logits_word_ready_o  = word_free && source_q == FromLogits;
  assign event_ready          = word_free && source_q == FromEvents && event_seen_q;

  always_comb begin
    unique case (source_q)
      FromAnswer: begin
        word_valid = answer_word_valid_i;
        word_data  = answer_word_data_i;
      end
      FromEvents: begin
        word_valid = event_seen_q;
        word_data  = event_head_q.data;
      end
      default: begin
        word_valid = logits_word_valid_i;
        word_data  = logits_word_data_i;
      end
    endcase
  end

  `TP_ASSERT(NeverFull_A, !event_valid_i || in_ready)
  `TP_ASSERT(FrameHolds_A, `TP_HOLDS(frame_valid_o, frame_ready_i, ({
                                     frame_type_o, frame_sequence_o, frame_length_o})))
  `TP_ASSERT(WordHolds_A, `TP_HOLDS(word_valid_o, word_ready_i, word_data_o))
  `TP_ASSERT(FramesHaveWords_A, !frame_move || frame_length_o[8:2] != '0)
  `TP_COVER(NoRoom_C, level > LevelWidth'(Depth - StepMost))
  `TP_COVER(AnswerBeforeEvent_C, choose && answer_frame_valid_i && event_seen_q)

endmodule
