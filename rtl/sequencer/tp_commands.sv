// SPDX-License-Identifier: Apache-2.0
//
// tp_commands: executes host frames and answers them.
//
// In    frames of tp_framer_rx; the state of the slots.
// Out   writes of the configuration bus, of the slot table and of the queues, runs and cancels; one
//       answer frame for each host frame.
// Rate  one word per one to three cycles; one frame at a time.
// Not   does not begin steps: tp_slots does. It holds them off (lock_o) while it writes a memory.

`include "tp_assert.svh"

module tp_commands
  import tp_map_pkg::*;
  import tp_link_pkg::*;
  import tp_control_pkg::*;
#(
  parameter  int unsigned Groups         = 4,
  parameter  int unsigned Slots          = 4,
  parameter  int unsigned WeightBeats    = 1024,
  parameter  int unsigned KvRows         = 512,
  parameter  int unsigned DimMax         = 64,
  parameter  int unsigned QueryMax       = 128,
  parameter  int unsigned HiddenMax      = 192,
  parameter  int unsigned VocabMax       = 512,
  parameter  int unsigned PositionsMax   = 64,
  parameter  int unsigned ProgramMax     = 64,
  parameter  int unsigned GainQuads      = 256,
  parameter  int unsigned ConstantPairs  = 256,
  parameter  int unsigned Frequencies    = 64,
  parameter  int unsigned Codebooks      = 2,
  parameter  int unsigned HeadNorm       = 1,
  parameter  int unsigned HeadLog2Max    = 5,
  parameter  int unsigned AttentionLanes = 64,
  parameter  int unsigned TopK           = 64,
  parameter  int unsigned QueueDepth     = 256,
  parameter  int unsigned BuildId        = 0,
  parameter  int unsigned ReadBack       = 1,
  localparam int unsigned LevelWidth     = $clog2(QueueDepth + 1)
) (
  input logic clk_i,
  input logic rst_ni,

  input  logic           frame_valid_i,     // early
  output logic           frame_ready_o,     // early
  input  logic    [ 7:0] frame_type_i,      // early
  input  logic    [ 7:0] frame_sequence_i,  // early
  input  length_t        frame_length_i,    // early
  input  logic           word_valid_i,      // early
  output logic           word_ready_o,      // early
  input  logic    [31:0] word_data_i,       // early
  input  logic           word_last_i,       // early

  output logic        cfg_valid_o,    // early; flow
  output logic [ 3:0] cfg_space_o,    // early
  output logic [31:0] cfg_address_o,  // early
  output logic [31:0] cfg_data_o,     // early
  output logic        cfg_read_o,     // early; reads: the data are the number of a bit
  input  logic        cfg_bit_i,      // early; the bit of that number, 6 cycles later

  output logic table_valid_o,  // early; flow
  output table_write_t table_data_o,  // early
  output logic open_valid_o,  // early
  output logic [2:0] open_slot_o,  // early
  output logic queue_valid_o,  // early; flow
  output queue_write_t queue_data_o,  // early
  output logic feed_valid_o,  // early
  output logic [2:0] feed_slot_o,  // early
  output logic [6:0] feed_count_o,  // early
  output logic run_valid_o,  // early; flow
  output run_t run_data_o,  // early
  output logic cancel_valid_o,  // early; flow
  output logic [2:0] cancel_slot_o,  // early
  output logic credit_valid_o,  // early; flow
  output credit_t credit_o,  // early
  output logic clear_valid_o,  // early; one cycle
  output logic [2:0] clear_slot_o,  // early
  input logic clear_busy_i,  // late
  output logic recent_valid_o,  // early
  input logic recent_ready_i,  // late
  output tp_pkg::recent_t recent_o,  // early
  output logic lock_o,  // early
  output logic idle_o,  // early; no frame is executed
  input logic locked_i,  // late
  input logic [Slots-1:0] open_i,  // early
  input logic [Slots-1:0] running_i,  // early
  input logic [Slots-1:0] ended_i,  // early
  input logic [Slots-1:0][LevelWidth-1:0] level_i,  // early
  input logic [Slots-1:0][15:0] position_i,  // early

  input  statistics_t        sums_i,           // early
  input  logic        [31:0] frames_bad_i,     // early
  input  logic               sections_busy_i,  // early
  output logic        [ 4:0] section_o,        // early
  input  section_t           section_i,        // early; one cycle after section_o

  output logic           answer_frame_valid_o,     // early
  input  logic           answer_frame_ready_i,     // late
  output logic    [ 7:0] answer_frame_type_o,      // early
  output logic    [ 7:0] answer_frame_sequence_o,  // early
  output length_t        answer_frame_length_o,    // early
  output logic           answer_word_valid_o,      // early
  input  logic           answer_word_ready_i,      // late
  output logic    [31:0] answer_word_data_o        // late
);

  localparam int unsigned SlotWidth = Slots > 1 ? $clog2(Slots) : 1;
  localparam int unsigned Lanes = (Groups + 3) / 4 + 4 * Groups;  // words of a weight beat
  localparam logic [7:0] HelloFlags = 8'(HeadNorm | TP_HELLO_FULL_SAMPLING |
                                         TP_HELLO_LANES * (6 - $clog2(
      AttentionLanes
  )) | (ReadBack != 0 ? TP_HELLO_READ_BACK : 0));

  `TP_REQUIRE(AttentionLanes == 64 || AttentionLanes == 32 || AttentionLanes == 16)
  `TP_REQUIRE(Groups >= 1 && Groups <= 8 && VocabMax <= 65536)
  // Behind its last step a slot's position still has 16 bits.
  `TP_REQUIRE(PositionsMax + TP_SLOTS_MAX <= 65536)
  `TP_REQUIRE(KvRows % 16 == 0 && DimMax % 32 == 0 && QueryMax % 32 == 0 && HiddenMax % 32 == 0)

  typedef enum logic [4:0] {
    StIdle,        // takes a frame
    StJudge,       // looks at type, length and repetition
    StAdmit,       // what it saw decides
    StWords,       // takes the words of a frame that may be executed
    StWalk,        // WRITE: goes over the places of its words, one a cycle
    StLook,        // looks up the slot that the first word names
    StName,        // looks whether slot, space or sections can take the frame
    StVerdict,     // what it saw decides; behind the last word of SLOT and RUN, too
    StFeedLow,     // first token of a word into the queue
    StFeedHigh,    // second token
    StLock,        // waits until no step runs
    StWrite,       // WRITE: words to the configuration bus; READ: the sum of the words
    StClear,       // SLOT: waits until the slot's recent tokens are forgotten
    StDrain,       // drops the rest of the frame
    StSettle,      // what was written becomes visible; the status is known
    StAnswer,      // shows the answer
    StAnswerWords  // its words
  } state_e;

  state_e                  state_q;
  state_e                  state_d;
  logic    [          7:0] type_q;
  logic    [          7:0] sequence_q;
  length_t                 length_q;
  logic                    pending_q;  // words of the frame are still to be taken
  logic    [          6:0] index_q;  // number of the next word
  logic    [          7:0] status_q;
  logic                    seen_q;  // there was a frame before
  logic    [          7:0] seen_type_q;
  logic    [          7:0] seen_sequence_q;
  logic                    word_move;
  logic                    repetition_q;
  logic                    answers_itself;  // HELLO and STATISTICS
  logic                    read_frame_q;  // READ, and the device knows it; from StAdmit on
  logic                    type_known;
  logic                    length_fits;

  // ---- the words of the present frame ----

  logic    [          2:0] slot_q;
  logic                    hold_q;  // RUN: hold; READ: the sum is asked for
  logic    [         31:0] word_q;
  logic                    last_q;
  logic    [          3:0] space_q;
  logic                    space_known_q;
  logic    [         31:0] address_q;
  logic    [          5:0] address_step;  // to the next word of the space
  logic                    address_gap;  // no word of the space has the address
  logic                    outside_q;  // a word of WRITE has no place
  logic                    bad_q;  // a field is outside its limits
  logic                    penalty_q;  // SLOT has a repetition penalty
  logic                    clears;
  logic    [          6:0] feed_count_q;
  logic    [          6:0] feed_index_q;  // tokens written
  logic    [          7:0] refusal;  // why what the first word names cannot take the frame
  logic    [          7:0] refusal_q;  // why the frame is not executed
  logic                    refused_q;
  logic    [SlotWidth-1:0] word_slot;
  logic                    feed_valid;
  logic    [         15:0] feed_token;
  logic    [         31:0] limit;
  logic    [         31:0] limit_q;
  logic                    token_bad;
  logic                    check_q;  // word_q is a word of SLOT, of this number
  logic    [          3:0] check_index_q;
  logic                    field_bad;
  logic                    has_tokens;  // FEED and RECENT
  logic                    feed_move;
  logic                    hello_q;  // what the answer is
  logic                    statistics_q;
  logic                    sections_q;
  logic    [         15:0] read_count_q;  // READ: words
  logic                    read_q;  // the answer is a READ_REPLY
  logic                    read_bad;  // READ: no such space or count
  logic                    read_outside_q;  // the word of the address does not exist
  logic                    read_advance;
  logic                    read_done;
  logic                    read_fail;
  logic                    read_valid;
  logic    [         31:0] read_word;
  logic                    reading;
  logic    [          4:0] read_bit;
  logic    [          6:0] answer_last_q;  // number of its last word

  assign clears = state_q == StSettle && type_q == TP_FRAME_SLOT && penalty_q && !bad_q;
  assign word_move = word_valid_i && word_ready_o;
  assign frame_ready_o = state_q == StIdle;
  assign idle_o = state_q == StIdle;
  assign word_ready_o = state_q == StWords || state_q == StDrain || state_q == StWrite;
  assign answers_itself = type_q == TP_FRAME_HELLO || type_q == TP_FRAME_STATISTICS;
  always_ff @(posedge clk_i) read_frame_q <= ReadBack != 0 && type_q == TP_FRAME_READ;

  always_comb begin
    type_known = 1'b1;
    unique case (type_q)
      TP_FRAME_HELLO, TP_FRAME_STATISTICS: length_fits = length_q == '0;
      TP_FRAME_WRITE: length_fits = length_q >= 9'd12 && length_q[1:0] == '0;
      TP_FRAME_SLOT: length_fits = length_q == 9'(TP_SLOT_BYTES);
      TP_FRAME_FEED: length_fits = length_q >= 9'd4 && !length_q[0];
      TP_FRAME_RECENT: begin
        length_fits = length_q >= 9'd4 && !length_q[0] && length_q <= 9'(2 * TP_RECENT_MAX);
      end
      TP_FRAME_RUN: length_fits = length_q == 9'd8;
      TP_FRAME_CANCEL, TP_FRAME_SECTIONS, TP_FRAME_CREDIT: length_fits = length_q == 9'd4;
      TP_FRAME_READ: begin
        length_fits = length_q == 9'd8;
        type_known  = ReadBack != 0;
      end
      default: begin
        length_fits = 1'b1;
        type_known  = 1'b0;
      end
    endcase
  end

  // The slot that the first word names: looked up in StLook, judged in StName.
  logic look_exists_q;
  logic look_open_q;
  logic look_running_q;
  logic look_ended_q;
  logic look_empty_q;
  logic [LevelWidth:0] look_level_q;  // after the tokens of this frame
  logic [16:0] look_before_q;  // position of the first token of RECENT; negative: too many

  assign word_slot = word_q[SlotWidth-1:0];

  always_ff @(posedge clk_i) begin
    if (state_q == StLook) begin
      look_exists_q  <= 32'(word_q[7:0]) < Slots;
      look_open_q    <= open_i[word_slot];
      look_running_q <= running_i[word_slot];
      look_ended_q   <= ended_i[word_slot];
      look_empty_q   <= level_i[word_slot] == '0;
      look_before_q  <= 17'(position_i[word_slot]) - 17'(feed_count_q);
      look_level_q   <= (LevelWidth + 1)'(level_i[word_slot]) + (LevelWidth + 1)'(feed_count_q);
    end
  end

  logic [7:0] slot_refusal;
  always_comb begin
    slot_refusal = TP_ACK_OK;
    if (!look_exists_q) slot_refusal = TP_ACK_RANGE;
    else begin
      unique case (type_q)
        TP_FRAME_SLOT: if (look_running_q) slot_refusal = TP_ACK_BUSY;
        TP_FRAME_FEED: begin
          if (!look_open_q) slot_refusal = TP_ACK_RANGE;
          else if (look_running_q) slot_refusal = TP_ACK_BUSY;
          else if (32'(look_level_q) > QueueDepth) slot_refusal = TP_ACK_FULL;
        end
        TP_FRAME_RECENT: begin
          if (!look_open_q) slot_refusal = TP_ACK_RANGE;
          else if (look_running_q) slot_refusal = TP_ACK_BUSY;
          else if (look_before_q[16]) slot_refusal = TP_ACK_RANGE;
        end
        TP_FRAME_RUN: begin
          if (look_running_q) slot_refusal = TP_ACK_BUSY;
          else if (!look_open_q || look_ended_q || look_empty_q) slot_refusal = TP_ACK_RANGE;
        end
        default: ;
      endcase
    end
  end

  // Fields of SLOT outside their limits.
  always_comb begin
    field_bad = 1'b0;
    unique case (check_index_q)
      4'd0: field_bad = 32'(word_q[23:16]) > TopK || 32'(word_q[31:24]) > TP_STOP_MAX;
      4'd1: field_bad = word_q[31:20] != '0;
      4'd4: field_bad = 32'(word_q[15:0]) > PositionsMax || word_q[31:16] >= word_q[15:0];
      4'd9: field_bad = word_q[15:12] != '0 || word_q[31:28] != '0;
      4'd10: field_bad = 32'(word_q[23:16]) > TopK || 32'(word_q[31:24]) > TP_SLOTS_MAX;
      4'd11: field_bad = word_q[31:24] != '0;
      default: ;
    endcase
  end

  always_comb begin
    unique case (space_q)
      TP_SPACE_WEIGHT: limit = WeightBeats * 64;
      TP_SPACE_PROGRAM: limit = ProgramMax * 8;
      TP_SPACE_GAIN: limit = GainQuads * 2;
      TP_SPACE_BIAS, TP_SPACE_CENTRE: limit = ConstantPairs * 2;
      TP_SPACE_FREQUENCY: limit = Frequencies;
      TP_SPACE_CODEBOOK: limit = Codebooks * 16;
      TP_SPACE_PAGE_TABLE: limit = Slots * 4096;
      TP_SPACE_REGISTER: limit = 32'd4;
      default: limit = '0;
    endcase
  end

  always_ff @(posedge clk_i) limit_q <= limit;

  // Weights and program have rows with fewer words than addresses: a beat, an instruction.
  always_comb begin
    address_step = 6'd1;
    address_gap  = 1'b0;
    if (space_q == TP_SPACE_WEIGHT) begin
      address_gap = 32'(address_q[5:0]) >= Lanes;
      if (32'(address_q[5:0]) == Lanes - 1) address_step = 6'(64 - Lanes + 1);
    end else if (space_q == TP_SPACE_PROGRAM) begin
      address_gap = 32'(address_q[2:0]) >= TP_INSTRUCTION_WORDS;
      if (32'(address_q[2:0]) == TP_INSTRUCTION_WORDS - 1) begin
        address_step = 6'(8 - TP_INSTRUCTION_WORDS + 1);
      end
    end
  end
  assign read_bad = space_q > TP_SPACE_FREQUENCY || read_count_q == '0 ||
                    (!hold_q && read_count_q > 16'(TP_READ_WORDS_MAX));

  // The first word of SECTIONS holds the first section.
  always_comb begin
    refusal = slot_refusal;
    if (type_q == TP_FRAME_WRITE) begin
      refusal = TP_ACK_OK;
      if (!space_known_q || outside_q) refusal = TP_ACK_RANGE;
      else if (running_i != '0 && space_q != TP_SPACE_PAGE_TABLE) refusal = TP_ACK_BUSY;
    end else if (read_frame_q) begin
      refusal = TP_ACK_OK;
      if (!space_known_q || read_bad || read_outside_q) refusal = TP_ACK_RANGE;
      else if (running_i != '0) refusal = TP_ACK_BUSY;
    end else if (type_q == TP_FRAME_SECTIONS) begin
      refusal = TP_ACK_OK;
      if (word_q[7:0] >= 8'(TP_SECTIONS) || word_q[7:0] % 8'(TP_SECTIONS_PER_FRAME) != '0) begin
        refusal = TP_ACK_RANGE;
      end else if (running_i != '0) refusal = TP_ACK_BUSY;
    end else if (type_q == TP_FRAME_CREDIT) refusal = TP_ACK_OK;
  end

  // What was looked at decides a cycle later: the ways to it are long.
  always_ff @(posedge clk_i) begin
    if (state_q == StJudge) begin
      repetition_q <= seen_q && type_q == seen_type_q && sequence_q == seen_sequence_q &&
                      !answers_itself && type_q != TP_FRAME_SECTIONS &&
                      (ReadBack == 0 || type_q != TP_FRAME_READ);
      refusal_q <= !type_known ? TP_ACK_TYPE : (!length_fits ? TP_ACK_LENGTH : TP_ACK_OK);
      refused_q <= !type_known || !length_fits;
    end else if (state_q == StName) begin
      refusal_q <= refusal;
      refused_q <= refusal != TP_ACK_OK;
    end
  end

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle: if (frame_valid_i) state_d = StJudge;
      StJudge: state_d = StAdmit;
      // What answers itself has no words, so that StDrain is a cycle for the choice of the answer.
      StAdmit: state_d = repetition_q || refused_q || answers_itself ? StDrain : StWords;
      StWords: begin
        if (word_valid_i) begin
          if (index_q == '0) state_d = type_q == TP_FRAME_WRITE || read_frame_q ? StWords : StLook;
          else if (type_q == TP_FRAME_WRITE) state_d = StWalk;
          else if (read_frame_q) state_d = StLook;
          else if (has_tokens) state_d = StFeedLow;
          else if (word_last_i) state_d = StVerdict;
        end
      end
      StWalk: if (index_q == length_q[8:2]) state_d = StLook;
      StLook: state_d = StName;
      StName: state_d = StVerdict;
      StVerdict: begin
        if (refused_q) state_d = StDrain;
        else if (type_q == TP_FRAME_WRITE || type_q == TP_FRAME_SECTIONS || read_frame_q)
          state_d = StLock;
        else if (has_tokens) state_d = StFeedHigh;
        else state_d = last_q ? StSettle : StWords;
      end
      StFeedLow: if (feed_move) state_d = StFeedHigh;
      StFeedHigh: if (feed_move) state_d = last_q ? StSettle : StWords;
      StLock: begin
        if (type_q != TP_FRAME_SECTIONS) state_d = locked_i ? StWrite : StLock;
        else if (!sections_busy_i) state_d = StSettle;
      end
      StWrite: if ((word_move && word_last_i) || read_done || read_fail) state_d = StSettle;
      StDrain: if (!pending_q || (word_move && word_last_i)) state_d = StAnswer;
      StSettle: state_d = clears ? StClear : StAnswer;
      StClear: if (!clear_busy_i) state_d = StAnswer;
      StAnswer: if (answer_frame_ready_i) state_d = StAnswerWords;
      StAnswerWords: begin
        if (answer_word_valid_o && answer_word_ready_i && index_q == answer_last_q) begin
          state_d = StIdle;
        end
      end
      default: state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      seen_q  <= 1'b0;
    end else begin
      state_q <= state_d;
      if (state_q == StAnswer) seen_q <= 1'b1;
    end
  end

  assign lock_o = state_q == StLock || state_q == StWrite || state_q == StSettle;
  assign feed_token = state_q == StFeedLow ? word_q[15:0] : word_q[31:16];
  assign feed_valid = (state_q == StFeedLow || state_q == StFeedHigh) &&
                      feed_index_q != feed_count_q;
  assign token_bad = 32'(feed_token) >= VocabMax;
  assign has_tokens = type_q == TP_FRAME_FEED || type_q == TP_FRAME_RECENT;
  // The table of recent tokens may be busy with processed ones for some cycles.
  assign feed_move = !recent_valid_o || recent_ready_i;
  assign recent_valid_o = feed_valid && type_q == TP_FRAME_RECENT && !token_bad;
  assign recent_o = '{
          slot: slot_q,
          position: look_before_q[15:0] + 16'(feed_index_q),
          token: feed_token
      };

  always_ff @(posedge clk_i) begin
    if (state_q == StIdle) begin
      type_q       <= frame_type_i;
      sequence_q   <= frame_sequence_i;
      length_q     <= frame_length_i;
      pending_q    <= frame_length_i != '0;
      feed_count_q <= 7'((frame_length_i - 9'd2) >> 1);
      feed_index_q <= '0;
      bad_q        <= 1'b0;
      outside_q    <= 1'b0;
    end else begin
      if (state_q == StWalk && index_q != length_q[8:2] &&
          (address_q >= limit_q || address_gap)) begin
        outside_q <= 1'b1;
      end
      if (word_move && word_last_i) pending_q <= 1'b0;
      if (feed_valid && feed_move) feed_index_q <= feed_index_q + 7'd1;
      if (check_q && check_index_q == 4'd9) penalty_q <= word_q[15:0] != '0;
      if ((check_q && field_bad) || (feed_valid && token_bad) || read_fail) bad_q <= 1'b1;
    end
    check_q       <= state_q == StWords && word_valid_i && type_q == TP_FRAME_SLOT;
    check_index_q <= index_q[3:0];

    if (state_q == StJudge || (state_q == StAnswer)) index_q <= '0;
    else if (word_move || state_q == StWalk || (answer_word_valid_o && answer_word_ready_i)) begin
      index_q <= index_q + 7'd1;
    end

    if (state_q == StWords && word_valid_i) begin
      word_q <= word_data_i;
      last_q <= word_last_i;
      if (index_q == '0) begin
        slot_q        <= word_data_i[2:0];
        hold_q        <= word_data_i[8];
        read_count_q  <= word_data_i[31:16];
        space_q       <= word_data_i[3:0];
        space_known_q <= word_data_i[7:0] <= 8'(TP_SPACE_REGISTER);
      end
      if (index_q == 7'd1) address_q <= word_data_i;
    end else if (state_q == StLook || read_done)
      address_q <= word_q;  // from the first word on again
    else if (state_q == StWalk || (state_q == StWrite && word_valid_i) || read_advance) begin
      address_q <= address_q + 32'(address_step);
    end
    read_outside_q <= address_q >= limit_q || address_gap;

    // A repetition is answered with the status of the frame before it.
    if ((state_q == StAdmit && !repetition_q) || state_q == StVerdict) status_q <= refusal_q;
    else if (state_q == StSettle && bad_q) status_q <= TP_ACK_RANGE;

    if (state_q == StAnswer) begin
      seen_type_q     <= type_q;
      seen_sequence_q <= sequence_q;
    end
  end

  // ---- what frames do ----

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      cfg_valid_o <= 1'b0;
      table_valid_o <= 1'b0;
      open_valid_o <= 1'b0;
      queue_valid_o <= 1'b0;
      feed_valid_o <= 1'b0;
      run_valid_o <= 1'b0;
      cancel_valid_o <= 1'b0;
      credit_valid_o <= 1'b0;
      clear_valid_o <= 1'b0;
    end else begin
      cfg_valid_o <= state_q == StWrite && word_valid_i;
      table_valid_o <= type_q == TP_FRAME_SLOT &&
          ((state_q == StWords && word_valid_i && index_q != '0) ||
           (state_q == StVerdict && !refused_q && !last_q));
      open_valid_o <= state_q == StSettle && type_q == TP_FRAME_SLOT && !bad_q;
      queue_valid_o <= feed_valid && type_q == TP_FRAME_FEED;
      feed_valid_o <= state_q == StSettle && type_q == TP_FRAME_FEED && !bad_q;
      run_valid_o <= state_q == StSettle && type_q == TP_FRAME_RUN;
      cancel_valid_o <= state_q == StSettle && type_q == TP_FRAME_CANCEL;
      // Who says HELLO knows nothing of what an earlier host allowed.
      credit_valid_o <= (state_q == StSettle && type_q == TP_FRAME_CREDIT) ||
                        (state_q == StAnswer && hello_q);
      clear_valid_o <= clears;
    end
  end

  always_ff @(posedge clk_i) begin
    cfg_space_o   <= space_q;
    cfg_address_o <= address_q;
    cfg_data_o    <= word_data_i;
    if (read_frame_q) cfg_data_o[4:0] <= read_bit;
    if (word_move) begin
      table_data_o <= '{
          slot: index_q == '0 ? word_data_i[2:0] : slot_q,
          index: index_q[3:0],
          data: word_data_i
      };
    end
    if (feed_valid) queue_data_o <= '{slot: slot_q, offset: feed_index_q, token: feed_token};
    if (state_q == StSettle) begin
      open_slot_o   <= slot_q;
      feed_slot_o   <= slot_q;
      feed_count_o  <= feed_count_q;
      run_data_o    <= '{slot: slot_q, hold: hold_q, count: word_q};
      cancel_slot_o <= slot_q;
      clear_slot_o  <= slot_q;
    end
    credit_o <= hello_q ? '0 : '{limited: word_q[0], limit: word_q[31:16]};
  end

  // ---- reading back: the sum of all words, which tells that they exist, then each again ----

  if (ReadBack != 0) begin : gen_read_back
    tp_read_back u_read_back (
      .clk_i    (clk_i),
      .rst_ni   (rst_ni),
      .sum_i    (state_q == StWrite && read_frame_q),
      .count_i  (read_count_q),
      .finish_i (hold_q),
      .send_i   (state_q == StAnswerWords && read_q && !hold_q),
      .take_i   (read_q && !hold_q && answer_word_valid_o && answer_word_ready_i),
      .beyond_i (read_outside_q),
      .read_o   (reading),
      .advance_o(read_advance),
      .done_o   (read_done),
      .fail_o   (read_fail),
      .valid_o  (read_valid),
      .word_o   (read_word),
      .bit_o    (read_bit),
      .bit_i    (cfg_bit_i)
    );

    always_ff @(posedge clk_i) begin
      cfg_read_o <= reading && rst_ni;
    end
  end else begin : gen_no_read_back
    assign {reading, read_advance, read_done, read_fail, read_valid} = '0;
    assign {read_word, read_bit} = '0;
    assign cfg_read_o = 1'b0;

    logic unused_read;
    assign unused_read = ^{cfg_bit_i, read_count_q, read_outside_q};
  end

  // ---- answers ----

  logic [  2:0] sum_next;
  logic [ 31:0] sums_q;  // low half of the sum to be sent
  logic [ 31:0] frames_bad_q;
  logic [383:0] sums_words;
  logic [ 31:0] sum_high_q;  // high half of the sum whose low half was sent last

  assign sums_words = sums_i;
  assign answer_frame_valid_o = state_q == StAnswer;
  assign answer_frame_sequence_o = sequence_q;
  assign answer_word_valid_o = state_q == StAnswerWords && (!read_q || hold_q || read_valid);

  // A HELLO or STATISTICS of the wrong length is answered by ACK. The status stands a cycle before
  // StAnswer, but where all is answered by ACK.
  always_ff @(posedge clk_i) begin
    hello_q      <= type_q == TP_FRAME_HELLO && status_q == TP_ACK_OK;
    statistics_q <= type_q == TP_FRAME_STATISTICS && status_q == TP_ACK_OK;
    sections_q   <= type_q == TP_FRAME_SECTIONS && status_q == TP_ACK_OK;
    read_q       <= read_frame_q && status_q == TP_ACK_OK && !bad_q;
  end

  always_comb begin
    answer_frame_type_o   = TP_FRAME_ACK;
    answer_frame_length_o = 9'd4;
    if (hello_q) begin
      answer_frame_type_o   = TP_FRAME_HELLO_REPLY;
      answer_frame_length_o = 9'd40;
    end else if (statistics_q) begin
      answer_frame_type_o   = TP_FRAME_STATISTICS_REPLY;
      answer_frame_length_o = 9'd56;
    end else if (sections_q) begin
      answer_frame_type_o   = TP_FRAME_SECTIONS_REPLY;
      answer_frame_length_o = 9'(16 * TP_SECTIONS_PER_FRAME);
    end else if (read_q) begin
      answer_frame_type_o   = TP_FRAME_READ_REPLY;
      answer_frame_length_o = hold_q ? 9'd4 : {read_count_q[6:0], 2'b00};
    end
  end

  // Stands from StAnswer on, and the words come behind it.
  always_ff @(posedge clk_i) answer_last_q <= answer_frame_length_o[8:2] - 7'd1;

  always_comb begin
    answer_word_data_o = {16'd0, status_q, type_q};
    if (hello_q) begin
      unique case (index_q[3:0])
        4'd0: answer_word_data_o = {8'(Slots), 8'(Groups), 16'(TP_PROTOCOL_VERSION)};
        4'd1: answer_word_data_o = {8'(HeadLog2Max), 8'(TopK), 8'(Codebooks), HelloFlags};
        4'd2: answer_word_data_o = WeightBeats;
        4'd3: answer_word_data_o = KvRows;
        4'd4: answer_word_data_o = {16'(QueryMax), 16'(DimMax)};
        4'd5: answer_word_data_o = {16'(PositionsMax), 16'(HiddenMax)};
        4'd6: answer_word_data_o = VocabMax;
        4'd7: answer_word_data_o = {16'(QueueDepth), 16'(ProgramMax)};
        4'd8: answer_word_data_o = {16'(ConstantPairs), 16'(GainQuads)};
        default: answer_word_data_o = BuildId;
      endcase
    end else if (statistics_q) begin
      unique case (index_q[3:0])
        4'd12: answer_word_data_o = frames_bad_q;
        4'd13: answer_word_data_o = '0;
        default: begin
          answer_word_data_o = index_q[0] ? sum_high_q : sums_q;
        end
      endcase
    end else if (sections_q) begin
      unique case (index_q[1:0])
        2'd0: answer_word_data_o = 32'(section_i.saturations);
        2'd1: answer_word_data_o = 32'(section_i.clips);
        2'd2: begin
          answer_word_data_o = '0;
          for (int unsigned i = 0; i < 3; i++) begin
            answer_word_data_o[8*i+:5] = section_i.exponent_max[i];
          end
        end
        default: answer_word_data_o = '0;
      endcase
    end else if (read_q) answer_word_data_o = read_word;
  end

  // The last word of a section is empty: the next section is asked for while it is shown, with a
  // cycle for the answer.
  logic [4:0] section_q;
  assign section_o = section_q;
  always_ff @(posedge clk_i) begin
    if (state_q == StSettle) section_q <= word_q[4:0];
    else if (answer_word_valid_o && answer_word_ready_i && index_q[1:0] == 2'd2) begin
      section_q <= section_q + 5'd1;
    end
  end

  // The sum to be sent is taken over while its low word is not yet shown, so that both halves and
  // the held word belong together.
  always_ff @(posedge clk_i) begin
    if (state_q == StAnswer || (answer_word_valid_o && answer_word_ready_i && index_q[0])) begin
      for (int unsigned i = 0; i < 6; i++) begin
        if (sum_next == 3'(i)) begin
          sums_q     <= sums_words[64*i+:32];
          sum_high_q <= sums_words[64*i+32+:32];
        end
      end
    end
    if (state_q == StAnswer) frames_bad_q <= frames_bad_i;
  end
  assign sum_next = state_q == StAnswer ? 3'd0 : index_q[3:1] + 3'd1;

  `TP_ASSERT(AnswerHolds_A, `TP_HOLDS(answer_frame_valid_o, answer_frame_ready_i, ({
                                      answer_frame_type_o, answer_frame_sequence_o,
                                      answer_frame_length_o})))
  `TP_ASSERT(WordHolds_A, `TP_HOLDS(answer_word_valid_o, answer_word_ready_i, answer_word_data_o))
  `TP_ASSERT(WordsAreTaken_A, state_q != StAnswer || !pending_q)
  `TP_COVER(Repetition_C, state_q == StAdmit && repetition_q)
  `TP_COVER(WaitsForStep_C, state_q == StLock && !locked_i)
  `TP_ASSERT(OneWordAtATime_A, !(reading && word_move))
  `TP_COVER(Full_C, status_q == TP_ACK_FULL)

endmodule
