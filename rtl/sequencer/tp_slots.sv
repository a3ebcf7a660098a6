// SPDX-License-Identifier: Apache-2.0
//
// tp_slots: the slot table, the token queues and the barrier between two steps.
//
// In    table writes, queue writes and commits, runs and cancels of tp_commands; sampled tokens.
// Out   start of a step with its slots, positions and tokens; events of each step; the sampling of
//       each slot.
// Rate  between two steps: README.md.
// Not   does not check what the host sends: tp_commands does.

`include "tp_assert.svh"

module tp_slots
  import tp_map_pkg::*;
  import tp_control_pkg::*;
#(
  parameter  int unsigned Slots      = 4,
  parameter  int unsigned QueueDepth = 256,                    // tokens of each slot's queue
  localparam int unsigned LevelWidth = $clog2(QueueDepth + 1)
) (
  input logic clk_i,
  input logic rst_ni,

  // from and to tp_commands
  input logic table_valid_i,  // early; flow
  input table_write_t table_data_i,  // early
  input logic open_valid_i,  // early; the table is written
  input logic [2:0] open_slot_i,  // early
  input logic queue_valid_i,  // early; flow
  input queue_write_t queue_data_i,  // early
  input logic feed_valid_i,  // early; tokens are queued
  input logic [2:0] feed_slot_i,  // early
  input logic [6:0] feed_count_i,  // early; 1..127
  input logic run_valid_i,  // early; flow
  input run_t run_data_i,  // early
  input logic cancel_valid_i,  // early; flow
  input logic [2:0] cancel_slot_i,  // early
  input logic credit_valid_i,  // early; flow
  input credit_t credit_i,  // early
  input logic lock_i,  // early; no step may begin
  output logic locked_o,  // late; no step runs
  output logic idle_o,  // early; nothing to do without the host
  output logic [Slots-1:0] open_o,  // early
  output logic [Slots-1:0] running_o,  // early
  output logic [Slots-1:0] ended_o,  // early; context is full
  output logic [Slots-1:0][LevelWidth-1:0] level_o,  // early; tokens in the queue

  // steps
  output logic                                start_o,        // early
  output logic              [Slots-1:0]       active_o,       // early
  output logic              [Slots-1:0]       logits_o,       // early
  output logic              [Slots-1:0][15:0] position_o,     // early
  output logic              [Slots-1:0][15:0] token_o,        // early
  output logic              [Slots-1:0]       fast_o,         // early; two logits a cycle
  output tp_pkg::sampling_t [Slots-1:0]       sampling_o,     // early
  input  logic                                end_valid_i,    // early
  input  logic              [     31:0]       end_cycles_i,   // early
  input  logic                                token_valid_i,  // early; a sampled token
  input  logic              [      2:0]       token_slot_i,   // early
  input  logic              [     15:0]       token_i,        // early
  output logic                                processed_o,    // early; one token is done
  output logic                                fed_valid_o,    // early; flow; before start_o
  output tp_pkg::recent_t                     fed_o,          // early; a token that is processed

  // events
  output logic              capture_o,       // early; keep the logits
  output logic        [2:0] capture_slot_o,  // early
  output logic              drain_o,         // early; send the logits
  input  logic              drained_i,       // early
  output logic              report_o,        // early; send the candidates of a slot
  output logic        [2:0] report_slot_o,   // early
  input  logic              reported_i,      // early
  output logic              event_valid_o,   // late; flow
  output event_word_t       event_data_o,    // late
  input  logic              room_i,          // early
  input  logic              empty_i          // early
);

  localparam int unsigned SlotWidth = Slots > 1 ? $clog2(Slots) : 1;
  localparam int unsigned QueueWidth = $clog2(QueueDepth);
  localparam logic [SlotWidth-1:0] LastSlot = SlotWidth'(Slots - 1);

  `TP_REQUIRE(Slots >= 1 && Slots <= TP_SLOTS_MAX)
  `TP_REQUIRE(QueueDepth >= 128 && QueueDepth <= 32768 && (QueueDepth & (QueueDepth - 1)) == 0)

  typedef logic [Slots-1:0] slots_t;
  typedef logic [SlotWidth-1:0] index_t;

  function automatic slots_t lowest(input slots_t set);
    lowest = set & (~set + 1'b1);
  endfunction

  typedef enum logic [4:0] {
    StIdle,       // between steps; begins one when a slot can take part
    StQueue,      // takes the next token of each slot, one slot a cycle
    StQueueWait,  // the last tokens come out of the queue memory
    StQueueLast,
    StStart,      // starts the sequencer
    StStep,       // the step runs
    StScan,       // the last sampled token is compared with the stop tokens
    StFlush,      // earlier events leave before the logits
    StLogits,     // the logits leave
    StTokens,     // first word of a TOKEN event, or the next slot
    StRankFlush,  // earlier events leave before the candidates
    StRank,       // the candidates leave
    StToken,      // first word of the TOKEN event behind them
    StTokenBody,  // its second word
    StReport,     // the words of the STEP event
    StFinish,     // looks where a slot stands
    StMove        // moves it on; DONE events; next slot
  } state_e;

  // ---- the table ----

  slots_t open_q;
  slots_t running_q;
  slots_t held_q;  // waits for a RUN without hold
  slots_t cancel_q;
  slots_t wants_all_q;  // the logits of every token
  logic [Slots-1:0][3:0] stop_count_q;
  logic [Slots-1:0][15:0] context_q;
  logic [Slots-1:0][15:0] position_q;
  logic [Slots-1:0][3:0] stride_q;  // positions from a step of the slot to its next one
  logic [Slots-1:0][31:0] count_q;  // tokens still asked for
  logic [Slots-1:0][15:0] sampled_q;
  logic [Slots-1:0][15:0] token_q;  // processed in this step
  logic [Slots-1:0][LevelWidth-1:0] write_q;  // tokens that were queued since the queue was empty
  logic [Slots-1:0][LevelWidth-1:0] read_q;  // of them taken
  slots_t active_q;
  slots_t logits_q;  // run the logits part
  slots_t asked_q;  // its token is reported; only of active slots
  slots_t stop_hit_q;
  tp_pkg::sampling_t [Slots-1:0] sampling_q;
  logic [31:0] table_word_q;  // a cycle later
  slots_t word_writes;

  state_e state_q;
  state_e state_d;
  index_t index_q;
  logic [2:0] word_q;  // word of the STEP event
  logic [31:0] step_q;
  logic [31:0] cycles_q;

  credit_t credit_q;
  logic [15:0] credit_left;  // steps; negative or 0: none may begin
  logic may_begin_q;

  slots_t eligible;
  slots_t take;
  slots_t cancelled;
  logic at_last;
  logic begin_step;
  logic begin_cancel;

  assign open_o = open_q;
  assign running_o = running_q;
  assign active_o = active_q;
  assign logits_o = logits_q;
  assign position_o = position_q;
  assign token_o = token_q;
  assign sampling_o = sampling_q;
  assign locked_o = lock_i && state_q == StIdle;
  assign idle_o = state_q == StIdle && (eligible == '0 || !may_begin_q) && cancelled == '0;
  assign eligible = running_q & ~held_q;
  // Of the slots whose logits are all sent, one takes part: there is one logits buffer.
  assign take = (eligible & ~wants_all_q) | lowest(eligible & wants_all_q);
  assign cancelled = running_q & cancel_q;
  assign begin_cancel = state_q == StIdle && !lock_i && room_i && cancelled != '0;
  assign begin_step = state_q == StIdle && !lock_i && room_i && may_begin_q && cancelled == '0 &&
                      eligible != '0;
  assign at_last = index_q == LastSlot;

  // One cycle late, which tp_commands allows for: it looks long after it wrote. A run begins two
  // cycles before its slot is looked at, and a slot is moved on two cycles before the next step.
  slots_t at_end_q;  // this step is the last of the context
  slots_t count_zero_q;
  slots_t count_one_q;
  slots_t queued_q;  // takes its token from the queue
  slots_t last_queued_q;  // the queue is empty after this step
  slots_t ranked_q;  // its candidates are sent
  logic [Slots-1:0][LevelWidth-1:0] level;
  logic [Slots-1:0][16:0] left;  // positions before the end of the context; negative: none
  always_comb begin
    for (int unsigned s = 0; s < Slots; s++) begin
      level[s] = write_q[s] - read_q[s];
      left[s]  = 17'(context_q[s]) - 17'(position_q[s]);
    end
  end
  always_ff @(posedge clk_i) begin
    for (int unsigned s = 0; s < Slots; s++) begin
      ended_o[s] <= left[s][16] || left[s] == '0;
      at_end_q[s] <= left[s] <= 17'(stride_q[s]);
      count_zero_q[s] <= count_q[s] == '0;
      count_one_q[s] <= count_q[s] == 32'd1;
      level_o[s] <= level[s];
      queued_q[s] <= level[s] != '0;
      last_queued_q[s] <= level[s] <= LevelWidth'(1);
      ranked_q[s] <= sampling_q[s].candidates != '0;
      // Plainly the largest logit is wanted.
      fast_o[s] <= sampling_q[s].temperature == '0 && sampling_q[s].penalty_positive == '0 &&
                   sampling_q[s].candidates == '0 && !wants_all_q[s];
    end
  end

  // ---- credit of the host: looked at two cycles before the next step may begin ----

  assign credit_left = credit_q.limit - step_q[15:0];
  always_ff @(posedge clk_i) begin
    if (!rst_ni) credit_q.limited <= 1'b0;
    else if (credit_valid_i) credit_q.limited <= credit_i.limited;
    if (credit_valid_i) credit_q.limit <= credit_i.limit;
    may_begin_q <= !credit_q.limited || (!credit_left[15] && credit_left != '0);
  end

  // ---- the slot under the index ----

  logic        here_active;
  logic        here_asked;
  logic        here_queued;  // takes its token from the queue
  logic        here_ranked;  // its candidates are sent
  logic [31:0] here_count;
  logic [15:0] here_position;
  logic [15:0] here_next;
  logic        here_cancel;
  logic        here_done;
  logic [ 7:0] here_reason;

  assign here_active = active_q[index_q];
  assign here_asked = asked_q[index_q];
  assign here_ranked = ranked_q[index_q];
  assign here_count = count_q[index_q];
  assign here_queued = queued_q[index_q];
  assign here_position = position_q[index_q];
  assign here_next = here_active ? here_position + 16'(stride_q[index_q]) : here_position;
  assign here_cancel = cancelled[index_q];

  always_comb begin
    here_done   = 1'b1;
    here_reason = TP_REASON_CANCEL;
    if (here_asked && stop_hit_q[index_q]) here_reason = TP_REASON_STOP;
    else if (here_asked && count_one_q[index_q]) here_reason = TP_REASON_LIMIT;
    else if (here_active && count_zero_q[index_q] && !here_queued) here_reason = TP_REASON_FED;
    else if (here_active && at_end_q[index_q]) here_reason = TP_REASON_CONTEXT;
    else here_done = here_cancel;
  end

  // What StFinish finds, for StMove.
  logic move_done_q;
  logic [7:0] move_reason_q;
  logic [15:0] move_next_q;
  logic [31:0] move_count_q;
  logic move_active_q;
  logic move_asked_q;
  always_ff @(posedge clk_i) begin
    if (state_q == StFinish) begin
      move_done_q   <= here_done;
      move_reason_q <= here_reason;
      move_next_q   <= here_next;
      move_count_q  <= here_count - 32'd1;
      move_active_q <= here_active;
      move_asked_q  <= here_asked;
    end
  end

  // ---- the barrier ----

  logic scan_busy;
  logic advance;  // to the next slot, after the last to the first

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle: begin
        if (begin_cancel) state_d = StFinish;
        else if (begin_step) state_d = StQueue;
      end
      StQueue: if (at_last) state_d = StQueueWait;
      StQueueWait: state_d = StQueueLast;
      StQueueLast: state_d = StStart;
      StStart: state_d = StStep;
      StStep: if (end_valid_i) state_d = StScan;
      StScan: if (!scan_busy) state_d = capture_o ? StFlush : StTokens;
      StFlush: if (empty_i) state_d = StLogits;
      StLogits: if (drained_i) state_d = StTokens;
      StTokens: begin
        if (here_asked) state_d = here_ranked ? StRankFlush : StTokenBody;
        else if (at_last) state_d = StReport;
      end
      StRankFlush: if (empty_i) state_d = StRank;
      StRank: if (reported_i) state_d = StToken;
      StToken: state_d = StTokenBody;
      StTokenBody: state_d = at_last ? StReport : StTokens;
      StReport: if (word_q == 3'(StepWords - 1)) state_d = StFinish;
      StFinish: state_d = StMove;
      StMove: state_d = at_last ? StIdle : StFinish;
      default: state_d = StIdle;
    endcase
  end

  assign advance = state_q == StQueue || state_q == StTokenBody || state_q == StMove ||
                   (state_q == StTokens && !here_asked);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q  <= StIdle;
      index_q  <= '0;
      word_q   <= '0;
      step_q   <= '0;
      start_o  <= 1'b0;
      drain_o  <= 1'b0;
      report_o <= 1'b0;
    end else begin
      state_q  <= state_d;
      start_o  <= state_d == StStart;
      drain_o  <= state_q == StFlush && state_d == StLogits;
      report_o <= state_q == StRankFlush && state_d == StRank;
      if (advance) index_q <= at_last ? '0 : index_q + 1'b1;
      if (state_q == StReport) word_q <= word_q == 3'(StepWords - 1) ? '0 : word_q + 3'd1;
      if (state_q == StReport && word_q == 3'(StepWords - 1)) step_q <= step_q + 32'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (end_valid_i) cycles_q <= end_cycles_i;
  end

  assign report_slot_o = 3'(index_q);

  // ---- events: registered on their way to the queue ----

  logic event_valid;
  event_word_t event_data;

  always_comb begin
    event_valid = 1'b0;
    event_data  = '0;
    unique case (state_q)
      StTokens, StToken: begin
        event_valid = here_asked && (state_q == StToken || !here_ranked);
        event_data.kind = EventToken;
        event_data.data = {sampled_q[index_q], 8'd0, 8'(index_q)};
      end
      StTokenBody: begin
        event_valid = 1'b1;
        event_data.kind = EventToken;
        event_data.data = 32'(here_position);
      end
      StReport: begin
        event_valid = 1'b1;
        event_data.kind = EventStep;
        unique case (word_q)
          3'd0: event_data.data = step_q;
          3'd1: event_data.data = cycles_q;
          3'd2: event_data.data = {16'd0, 8'(logits_q), 8'(active_q)};
          default: begin
            for (int unsigned s = 0; s < Slots; s++) begin
              if (active_q[s] && 32'(word_q) == 3 + s / 2) begin
                event_data.data[16*(s%2)+:16] = position_q[s];
              end
            end
          end
        endcase
      end
      StMove: begin
        event_valid = move_done_q;
        event_data.kind = EventDone;
        event_data.data = {move_next_q, move_reason_q, 8'(index_q)};
      end
      default: ;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) event_valid_o <= 1'b0;
    else event_valid_o <= event_valid;
    if (event_valid) event_data_o <= event_data;
  end

  // ---- moving the slots on ----

  slots_t here;
  assign here = slots_t'(1) << index_q;

  always_ff @(posedge clk_i) table_word_q <= table_data_i.data;

  for (genvar s = 0; s < int'(Slots); s++) begin : gen_slot
    logic run_here;
    logic finish_here;
    logic queue_here;
    logic asked;
    assign run_here = run_valid_i && run_data_i.slot == 3'(s);
    assign finish_here = state_q == StMove && here[s];
    assign queue_here = state_q == StQueue && here[s];
    assign asked = active_q[s] && !count_zero_q[s] && last_queued_q[s];

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        open_q[s]    <= 1'b0;
        running_q[s] <= 1'b0;
        held_q[s]    <= 1'b0;
        cancel_q[s]  <= 1'b0;
        active_q[s]  <= 1'b0;
        asked_q[s]   <= 1'b0;
      end else begin
        if (table_valid_i && table_data_i.slot == 3'(s)) open_q[s] <= 1'b0;
        else if (open_valid_i && open_slot_i == 3'(s)) open_q[s] <= 1'b1;

        if (run_here) running_q[s] <= 1'b1;
        else if (finish_here && move_done_q) running_q[s] <= 1'b0;
        if (run_valid_i && !run_data_i.hold) held_q[s] <= 1'b0;
        else if (run_here) held_q[s] <= 1'b1;
        else if (finish_here && move_done_q) held_q[s] <= 1'b0;
        if (run_here || (finish_here && move_done_q)) cancel_q[s] <= 1'b0;
        else if (cancel_valid_i && cancel_slot_i == 3'(s)) cancel_q[s] <= running_q[s];

        if (begin_step) active_q[s] <= take[s];
        else if (finish_here) active_q[s] <= 1'b0;
        if (queue_here) asked_q[s] <= asked;
        else if (finish_here) asked_q[s] <= 1'b0;
      end
    end

    // What the sampler takes stands near it, so it is written a cycle later, from registers.
    logic [11:0] word_write_q;
    assign word_writes[s] = word_write_q != '0;
    always_ff @(posedge clk_i) begin
      for (int unsigned w = 0; w < 12; w++) begin
        word_write_q[w] <= table_valid_i && table_data_i.slot == 3'(s) &&
                           table_data_i.index == 4'(w);
      end
      if (word_write_q[0]) sampling_q[s].top_k <= table_word_q[22:16];
      if (word_write_q[1]) sampling_q[s].temperature <= table_word_q[19:0];
      if (word_write_q[2]) sampling_q[s].seed[31:0] <= table_word_q;
      if (word_write_q[3]) sampling_q[s].seed[63:32] <= table_word_q;
      if (word_write_q[9]) begin
        sampling_q[s].penalty_positive <= table_word_q[11:0];
        sampling_q[s].penalty_negative <= table_word_q[27:16];
      end
      if (word_write_q[10]) begin
        sampling_q[s].top_p_cut  <= table_word_q[15:0];
        sampling_q[s].candidates <= table_word_q[22:16];
      end
      if (word_write_q[11]) sampling_q[s].min_p_gap <= table_word_q[23:0];
    end

    always_ff @(posedge clk_i) begin
      if (table_valid_i && table_data_i.slot == 3'(s)) begin
        unique case (table_data_i.index)
          4'd0: begin
            wants_all_q[s]  <= table_data_i.data[8];
            stop_count_q[s] <= table_data_i.data[27:24];
            write_q[s]      <= '0;
            read_q[s]       <= '0;
          end
          4'd4: begin
            context_q[s]  <= table_data_i.data[15:0];
            position_q[s] <= table_data_i.data[31:16];
          end
          4'd10: begin
            stride_q[s] <= table_data_i.data[27:24] == '0 ? 4'd1 : table_data_i.data[27:24];
          end
          default: ;  // sampling is above; stop tokens have their own memory
        endcase
      end
      if (feed_valid_i && feed_slot_i == 3'(s)) begin
        write_q[s] <= write_q[s] + LevelWidth'(feed_count_i);
      end
      if (run_here) count_q[s] <= run_data_i.count;
      if (token_valid_i && token_slot_i == 3'(s)) sampled_q[s] <= token_i;
      if (queue_here) begin
        if (active_q[s] && queued_q[s]) read_q[s] <= read_q[s] + 1'b1;
        logits_q[s] <= asked || (active_q[s] && wants_all_q[s]);
      end
      if (finish_here) begin
        if (move_active_q) position_q[s] <= move_next_q;
        if (move_asked_q) count_q[s] <= move_count_q;
        if (move_done_q) begin
          write_q[s] <= '0;
          read_q[s]  <= '0;
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) processed_o <= 1'b0;
    else processed_o <= state_q == StMove && move_active_q;
  end

  // The slot whose logits are kept in this step.
  slots_t       captured;
  logic   [2:0] capture_slot;
  always_comb begin
    captured = active_q & wants_all_q;
    capture_slot = '0;
    for (int unsigned s = 0; s < Slots; s++) if (captured[s]) capture_slot |= 3'(s);
  end
  always_ff @(posedge clk_i) begin
    if (state_q == StStart) begin
      capture_o      <= captured != '0;
      capture_slot_o <= capture_slot;
    end
  end

  // ---- queues: a slot's tokens from 0 on; the queue is emptied at the end of each run ----

  logic                    fetch_q;  // the memory reads for a slot
  logic                    fetch_q2;  // its token stands at the output
  slots_t                  fetch_slot_q;
  slots_t                  fetch_slot_q2;
  logic                    fetch_queued_q;
  logic                    fetch_queued_q2;
  logic   [          15:0] queue_token;
  logic   [LevelWidth-1:0] queue_place;
  logic                    unused_place;

  assign queue_place = write_q[queue_data_i.slot[SlotWidth-1:0]] + LevelWidth'(queue_data_i.offset);
  assign unused_place = queue_place[LevelWidth-1] ^ (^queue_data_i.slot);

  tp_ram #(
    .Width         (16),
    .Depth         (QueueDepth << SlotWidth),
    .OutputRegister(1'b1)
  ) u_queues (
    .clk_i          (clk_i),
    .write_enable_i (queue_valid_i),
    .write_address_i({queue_data_i.slot[SlotWidth-1:0], queue_place[QueueWidth-1:0]}),
    .write_data_i   (queue_data_i.token),
    .read_enable_i  (state_q == StQueue),
    .read_address_i ({index_q, read_q[index_q][QueueWidth-1:0]}),
    .read_data_o    (queue_token)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fetch_q  <= 1'b0;
      fetch_q2 <= 1'b0;
    end else begin
      fetch_q  <= state_q == StQueue;
      fetch_q2 <= fetch_q;
    end
  end

  always_ff @(posedge clk_i) begin
    fetch_slot_q    <= here;
    fetch_slot_q2   <= fetch_slot_q;
    fetch_queued_q  <= here_queued;
    fetch_queued_q2 <= fetch_queued_q;
    for (int unsigned s = 0; s < Slots; s++) begin
      if (fetch_q2 && fetch_slot_q2[s]) token_q[s] <= fetch_queued_q2 ? queue_token : sampled_q[s];
    end
  end

  logic   fed_valid_q;
  index_t fed_slot_q;
  index_t fed_slot;
  always_comb begin
    fed_slot = '0;
    for (int unsigned s = 0; s < Slots; s++) if (fetch_slot_q2[s]) fed_slot |= index_t'(s);
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) fed_valid_q <= 1'b0;
    else fed_valid_q <= fetch_q2 && (active_q & fetch_slot_q2) != '0;
  end
  always_ff @(posedge clk_i) fed_slot_q <= fed_slot;
  assign fed_valid_o = fed_valid_q;
  assign fed_o = '{
          slot: 3'(fed_slot_q),
          position: position_q[fed_slot_q],
          token: token_q[fed_slot_q]
      };

  // ---- stop tokens: two a cycle against a token that was just sampled ----

  slots_t        scan_q;  // slots whose sampled token is to be compared
  slots_t        scan_slot_q;  // the one that is being compared
  index_t        scan_index_q;  // its number
  index_t        scan_index;  // of the next one
  logic   [ 1:0] scan_pair_q;
  logic          scan_run_q;
  logic   [31:0] stop_pair;
  logic   [15:0] scan_token_q;
  logic          stop_match;

  assign scan_busy = scan_q != '0 || scan_run_q || token_valid_i;
  always_comb begin
    scan_index = '0;
    for (int unsigned s = 0; s < Slots; s++) begin
      if (|(lowest(scan_q) & (slots_t'(1) << s))) scan_index |= index_t'(s);
    end
  end

  tp_ram_async #(
    .Width(32),
    .Depth(4 << SlotWidth)
  ) u_stops (
    .clk_i          (clk_i),
    .write_enable_i (table_valid_i && table_data_i.index >= 4'd5 && table_data_i.index <= 4'd8),
    .write_address_i({table_data_i.slot[SlotWidth-1:0], 2'(table_data_i.index - 4'd5)}),
    .write_data_i   (table_data_i.data),
    .read_address_i ({scan_index_q, scan_pair_q}),
    .read_data_o    (stop_pair)
  );

  assign stop_match = (stop_pair[15:0] == scan_token_q &&
                       {1'b0, scan_pair_q, 1'b0} < stop_count_q[scan_index_q]) ||
                      (stop_pair[31:16] == scan_token_q &&
                       {1'b0, scan_pair_q, 1'b1} < stop_count_q[scan_index_q]);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      scan_q     <= '0;
      scan_run_q <= 1'b0;
    end else begin
      for (int unsigned s = 0; s < Slots; s++) begin
        if (token_valid_i && token_slot_i == 3'(s)) scan_q[s] <= 1'b1;
        else if (!scan_run_q && |(lowest(scan_q) & (slots_t'(1) << s))) scan_q[s] <= 1'b0;
      end
      if (!scan_run_q) scan_run_q <= scan_q != '0;
      else if (scan_pair_q == 2'd3) scan_run_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!scan_run_q) begin
      scan_slot_q  <= lowest(scan_q);
      scan_index_q <= scan_index;
      scan_pair_q  <= '0;
      for (int unsigned s = 0; s < Slots; s++) begin
        if (|(lowest(scan_q) & (slots_t'(1) << s))) begin
          stop_hit_q[s] <= 1'b0;
          scan_token_q  <= sampled_q[s];
        end
      end
    end else begin
      scan_pair_q <= scan_pair_q + 2'd1;
`ifdef TP_PLANT_BUG
      // The planted fault overlooks every stop token.
      if (stop_match && scan_token_q == '1) stop_hit_q <= stop_hit_q | scan_slot_q;
`else
      if (stop_match) stop_hit_q <= stop_hit_q | scan_slot_q;
`endif
    end
  end

  `TP_ASSERT(WrittenInTime_A, !open_valid_i || word_writes == '0)
  `TP_ASSERT(RunOfStopped_A, !run_valid_i || !(|(running_q & (slots_t'(1) << run_data_i.slot))))
  `TP_ASSERT(EndOfStep_A, !end_valid_i || state_q == StStep)
  `TP_ASSERT(AskedIsActive_A, (asked_q & ~active_q) == '0)
  `TP_ASSERT(ActiveRuns_A, state_q == StIdle || (active_q & ~running_q) == '0)
  `TP_ASSERT(TokenInStep_A, !token_valid_i || state_q == StStep)
  `TP_COVER(Flush_C, state_q == StFlush && !empty_i)
  `TP_COVER(Locked_C, locked_o && eligible != '0)
  `TP_COVER(CancelBetween_C, begin_cancel)

endmodule
