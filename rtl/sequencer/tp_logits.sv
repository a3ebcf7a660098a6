// SPDX-License-Identifier: Apache-2.0
//
// tp_logits: keeps the logits of one slot of a step and sends them as LOGITS frames.
//
// In    the logit flow of the epilogue; of it the logits of capture_slot_i while capture_i is high.
// Out   after drain_i: frames (length, words) in ascending order, 60 logits in each, fewer in the
//       last; then drained_o for one cycle.
// Rate  one word per three cycles.
// Not   does not capture while it drains: the next step begins after drained_o. Knows no second
//       logit of a cycle: a slot whose logits are sent is never fast.

`include "tp_assert.svh"

module tp_logits
  import tp_link_pkg::*;
#(
  parameter int unsigned VocabMax = 512
) (
  input  logic           clk_i,
  input  logic           rst_ni,
  input  logic           capture_i,       // early
  input  logic    [ 2:0] capture_slot_i,  // early
  input  logic           logit_valid_i,   // early
  input  logic    [ 2:0] logit_slot_i,    // early
  input  logic    [15:0] logit_index_i,   // early
  input  logic    [31:0] logit_data_i,    // early; int32, Q16.16
  input  logic           logit_last_i,    // early
  input  logic           drain_i,         // early; one cycle
  output logic           drained_o,       // early; one cycle
  output logic           frame_valid_o,   // early
  input  logic           frame_ready_i,   // late
  output length_t        frame_length_o,  // early
  output logic           word_valid_o,    // early
  input  logic           word_ready_i,    // late
  output logic    [31:0] word_data_o      // early
);

  localparam int unsigned IndexWidth = $clog2(VocabMax);
  localparam logic [16:0] PerFrame = 17'd60;

  `TP_REQUIRE(VocabMax >= 2 && VocabMax <= 65536)

  typedef enum logic [2:0] {
    StIdle,
    StFrame,  // shows the frame
    StSlot,   // first word: slot and count
    StFirst,  // second word: index of the first logit
    StRead,   // reads a logit
    StWait,   // the RAM reads
    StLogit   // shows a logit
  } state_e;

  state_e        state_q;
  state_e        state_d;
  logic          logit_valid_q;  // the flow comes from far away: a cycle for its way
  logic   [ 2:0] logit_slot_q;
  logic   [15:0] logit_index_q;
  logic   [31:0] logit_data_q;
  logic          logit_last_q;
  logic          capture;
  logic   [16:0] count_q;  // logits in the buffer
  logic   [16:0] next_q;  // next logit to send
  logic   [ 5:0] frame_left_q;  // logits to come in this frame
  logic   [ 5:0] frame_count_q;
  logic   [16:0] left_q;  // at the logit that is shown: with it still to send
  logic   [31:0] read_data;
  logic          word_move;
  logic          frame_last;
  logic          last_move;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) logit_valid_q <= 1'b0;
    else logit_valid_q <= logit_valid_i;
    logit_slot_q  <= logit_slot_i;
    logit_index_q <= logit_index_i;
    logit_data_q  <= logit_data_i;
    logit_last_q  <= logit_last_i;
  end

  assign capture = logit_valid_q && capture_i && logit_slot_q == capture_slot_i;
  assign frame_valid_o = state_q == StFrame;
  assign frame_length_o = {1'b0, frame_count_q, 2'b00} + 9'd8;
  assign word_valid_o = state_q == StSlot || state_q == StFirst || state_q == StLogit;
  assign word_move = word_valid_o && word_ready_i;
  assign frame_last = frame_left_q == 6'd1;
  assign last_move = state_q == StLogit && word_ready_i && left_q == 17'd1;

  always_comb begin
    unique case (state_q)
      StSlot:  word_data_o = {10'd0, frame_count_q, 8'd0, 5'd0, capture_slot_i};
      StFirst: word_data_o = 32'(next_q);
      default: word_data_o = read_data;
    endcase
  end

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle:  if (drain_i && count_q != '0) state_d = StFrame;
      StFrame: if (frame_ready_i) state_d = StSlot;
      StSlot:  if (word_ready_i) state_d = StFirst;
      StFirst: if (word_ready_i) state_d = StRead;
      StRead:  state_d = StWait;
      StWait:  state_d = StLogit;
      StLogit: begin
        if (word_ready_i && !frame_last) state_d = StRead;
        else if (word_ready_i) state_d = last_move ? StIdle : StFrame;
      end
      default: state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q   <= StIdle;
      count_q   <= '0;
      drained_o <= 1'b0;
    end else begin
      state_q   <= state_d;
      drained_o <= state_q == StIdle ? drain_i && count_q == '0 : last_move;
      if (capture && logit_last_q) count_q <= 17'(logit_index_q) + 17'd1;
      else if (drained_o) count_q <= '0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StIdle) next_q <= '0;
    else if (state_q == StLogit && word_move) next_q <= next_q + 17'd1;
    left_q <= count_q - next_q;
    // The count of a frame is known one cycle before the frame is shown.
    if (state_q == StIdle) begin
      frame_count_q <= count_q > PerFrame ? PerFrame[5:0] : count_q[5:0];
      frame_left_q  <= count_q > PerFrame ? PerFrame[5:0] : count_q[5:0];
    end else if (state_q == StLogit && word_move) begin
      frame_left_q <= frame_left_q - 6'd1;
      if (frame_last) begin
        frame_count_q <= left_q > PerFrame + 17'd1 ? PerFrame[5:0] : 6'(left_q - 17'd1);
        frame_left_q  <= left_q > PerFrame + 17'd1 ? PerFrame[5:0] : 6'(left_q - 17'd1);
      end
    end
  end

  tp_ram #(
    .Width         (32),
    .Depth         (VocabMax),
    .OutputRegister(1'b1)
  ) u_buffer (
    .clk_i          (clk_i),
    .write_enable_i (capture),
    .write_address_i(IndexWidth'(logit_index_q)),
    .write_data_i   (logit_data_q),
    .read_enable_i  (state_q == StRead),
    .read_address_i (next_q[IndexWidth-1:0]),
    .read_data_o    (read_data)
  );

  `TP_ASSERT(CaptureOrDrain_A, !(capture && state_q != StIdle))
  `TP_ASSERT(IndexFits_A, !capture || 32'(logit_index_q) < VocabMax)
  `TP_COVER(SecondFrame_C, state_q == StFrame && next_q != '0)

endmodule
