// SPDX-License-Identifier: Apache-2.0
//
// tp_candidates: keeps the candidates of each slot's token and sends them as CANDIDATES frames.
//
// In    candidates as the sampler finds them, and with each token its ranking.
// Out   after drain_i: the frames (length, words) of drain_slot_i in the order of the places,
//       TP_CANDIDATES_MAX candidates in each, fewer in the last; then drained_o for one cycle.
// Rate  two words per four cycles.
// Not   sends anything for a slot without candidates: it must not be drained.

`include "tp_assert.svh"

module tp_candidates
  import tp_map_pkg::*;
  import tp_link_pkg::*;
#(
  parameter int unsigned Slots    = 4,
  parameter int unsigned VocabMax = 512
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      candidate_valid_i,  // early; flow
  input  tp_pkg::candidate_t        candidate_i,        // early
  input  logic                      token_valid_i,      // early; flow
  input  logic               [ 2:0] token_slot_i,       // early
  input  tp_pkg::ranking_t          ranking_i,          // early
  input  logic                      drain_i,            // early; one cycle
  input  logic               [ 2:0] drain_slot_i,       // early; stays until drained_o
  output logic                      drained_o,          // early; one cycle
  output logic                      frame_valid_o,      // early
  input  logic                      frame_ready_i,      // late
  output length_t                   frame_length_o,     // early
  output logic                      word_valid_o,       // early
  input  logic                      word_ready_i,       // late
  output logic               [31:0] word_data_o         // early
);

  localparam int unsigned SlotWidth = Slots > 1 ? $clog2(Slots) : 1;
  localparam int unsigned IdWidth = $clog2(VocabMax);
  localparam logic [6:0] PerFrame = 7'(TP_CANDIDATES_MAX);

  `TP_REQUIRE(Slots >= 1 && Slots <= 8 && VocabMax >= 2 && VocabMax <= 65536)

  typedef enum logic [3:0] {
    StIdle,
    StLook,   // the ranking of the slot is read
    StCount,  // counts what the next frame takes
    StFrame,  // shows the frame
    StHead,   // its first four words
    StRead,   // reads a candidate
    StWait,   // the RAM reads
    StId,     // shows its id
    StKey     // shows its key
  } state_e;

  state_e                         state_q;
  state_e                         state_d;
  tp_pkg::ranking_t               ranking;
  tp_pkg::ranking_t               ranking_q;
  logic             [        1:0] head_q;
  logic             [        6:0] next_q;  // place of the next candidate to send
  logic             [        6:0] left;
  logic             [        6:0] frame_count_q;
  logic             [        6:0] frame_end_q;  // place behind the frame
  logic                           frame_last_q;  // the next candidate is the last of the frame
  logic                           last_q;  // and of all
  logic             [IdWidth-1:0] id;
  logic signed      [       23:0] key;
  logic                           move;

  assign left = ranking_q.count - next_q;
  assign frame_valid_o = state_q == StFrame;
  assign frame_length_o = length_t'({frame_count_q, 3'd0}) + length_t'(16);
  assign word_valid_o = state_q == StHead || state_q == StId || state_q == StKey;
  assign move = word_valid_o && word_ready_i;

  always_comb begin
    unique case (state_q)
      StHead: begin
        unique case (head_q)
          2'd0: word_data_o = {16'(ranking_q.exponent), 1'b0, next_q, 5'd0, drain_slot_i};
          2'd1: word_data_o = 32'(ranking_q.key);
          2'd2: word_data_o = ranking_q.total[31:0];
          default: word_data_o = {16'd0, ranking_q.total[47:32]};
        endcase
      end
      StId: word_data_o = 32'(id);
      default: word_data_o = 32'(key);
    endcase
  end

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle:  if (drain_i) state_d = StLook;
      StLook:  state_d = StCount;
      StCount: state_d = StFrame;
      StFrame: if (frame_ready_i) state_d = StHead;
      StHead:  if (move && head_q == 2'd3) state_d = StRead;
      StRead:  state_d = StWait;
      StWait:  state_d = StId;
      StId:    if (move) state_d = StKey;
      StKey: begin
        if (move && !frame_last_q) state_d = StRead;
        else if (move) state_d = last_q ? StIdle : StCount;
      end
      default: state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q   <= StIdle;
      drained_o <= 1'b0;
    end else begin
      state_q   <= state_d;
      drained_o <= state_q == StKey && word_ready_i && last_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StLook) ranking_q <= ranking;
    if (state_q == StIdle) next_q <= '0;
    else if (state_q == StKey && move) next_q <= next_q + 7'd1;
    if (state_q == StCount) frame_count_q <= left > PerFrame ? PerFrame : left;
    // The next place stands for cycles before a candidate is shown.
    frame_last_q <= next_q + 7'd1 == frame_end_q;
    last_q       <= left == 7'd1;
    if (state_q == StFrame) begin
      frame_end_q <= next_q + frame_count_q;
      head_q      <= '0;
    end else if (state_q == StHead && move) head_q <= head_q + 2'd1;
  end

  tp_ram_async #(
    .Width($bits(tp_pkg::ranking_t)),
    .Depth(1 << SlotWidth)
  ) u_rankings (
    .clk_i          (clk_i),
    .write_enable_i (token_valid_i),
    .write_address_i(token_slot_i[SlotWidth-1:0]),
    .write_data_i   (ranking_i),
    .read_address_i (drain_slot_i[SlotWidth-1:0]),
    .read_data_o    (ranking)
  );

  tp_ram #(
    .Width         (IdWidth + 24),
    .Depth         (TP_TOP_K_MAX << SlotWidth),
    .OutputRegister(1'b1)
  ) u_candidates (
    .clk_i          (clk_i),
    .write_enable_i (candidate_valid_i),
    .write_address_i({candidate_i.slot[SlotWidth-1:0], candidate_i.place}),
    .write_data_i   ({candidate_i.id[IdWidth-1:0], candidate_i.key}),
    .read_enable_i  (state_q == StRead),
    .read_address_i ({drain_slot_i[SlotWidth-1:0], next_q[5:0]}),
    .read_data_o    ({id, key})
  );

  logic unused_bits;
  assign unused_bits = ^{candidate_i.slot, candidate_i.id, token_slot_i};

  `TP_ASSERT(SomeToDrain_A, state_q != StFrame || left != '0)
  `TP_ASSERT(DrainOrStep_A, !(candidate_valid_i && state_q != StIdle))
  `TP_COVER(SecondFrame_C, state_q == StFrame && next_q != '0)

endmodule
