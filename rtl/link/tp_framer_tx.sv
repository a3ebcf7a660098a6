// SPDX-License-Identifier: Apache-2.0
//
// tp_framer_tx: makes frames: marker, header, payload, CRC.
//
// In    for each frame one beat of the frame stream (type, sequence, length), then length / 4 beats
//       of the word stream.
// Out   the bytes of docs/link.md, lowest byte of a word first.
// Rate  one byte per cycle while words come in time; two cycles more per frame.
// Not   makes payloads of whole words only: length is a multiple of 4.

`include "tp_assert.svh"

module tp_framer_tx
  import tp_link_pkg::*;
(
  input  logic           clk_i,
  input  logic           rst_ni,
  input  logic           frame_valid_i,     // early
  output logic           frame_ready_o,     // early
  input  logic    [ 7:0] frame_type_i,      // early
  input  logic    [ 7:0] frame_sequence_i,  // early
  input  length_t        frame_length_i,    // early; payload bytes, 0..256, a multiple of 4
  input  logic           word_valid_i,      // early
  output logic           word_ready_o,      // early
  input  logic    [31:0] word_data_i,       // early
  output logic           out_valid_o,       // early
  input  logic           out_ready_i,       // late
  output logic    [ 7:0] out_data_o         // early
);

  typedef enum logic [3:0] {
    StIdle,        // takes a frame beat
    StMarker,
    StType,
    StSequence,
    StLengthLow,
    StLengthHigh,
    StPayload,
    StSum,         // the CRC takes the last byte
    StCrc          // four bytes
  } state_e;

  state_e         state_q;
  state_e         state_d;
  logic    [ 7:0] kind_q;
  logic    [ 7:0] sequence_q;
  length_t        length_q;
  length_t        left_q;  // payload bytes not yet sent
  logic    [ 6:0] word_left_q;  // words not yet taken
  logic    [ 1:0] lane_q;
  logic           held_valid_q;  // the next word
  logic    [31:0] held_q;
  logic    [31:0] shift_q;
  logic    [ 7:0] data;
  logic           have;  // the state has a byte to send
  logic           free;  // the output takes one
  logic           move;
  logic           take;
  logic    [31:0] crc;

  assign frame_ready_o = state_q == StIdle;
  assign word_ready_o = !held_valid_q && word_left_q != '0;
  assign take = word_valid_i && word_ready_o;
  assign have = state_q != StIdle && state_q != StSum &&
      (state_q != StPayload || lane_q != '0 || held_valid_q);
  assign move = have && free;

  always_comb begin
    unique case (state_q)
      StMarker: data = 8'(tp_map_pkg::TP_FRAME_MARKER);
      StType: data = kind_q;
      StSequence: data = sequence_q;
      StLengthLow: data = length_q[7:0];
      StLengthHigh: data = {7'd0, length_q[8]};
      StPayload: data = lane_q == '0 ? held_q[7:0] : shift_q[7:0];
`ifdef TP_PLANT_BUG
      // The planted fault does not invert the CRC.
      StCrc: data = crc[8*lane_q+:8];
`else
      StCrc: data = ~crc[8*lane_q+:8];
`endif
      default: data = '0;
    endcase
  end

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle: if (frame_valid_i) state_d = StMarker;
      StMarker: if (move) state_d = StType;
      StType: if (move) state_d = StSequence;
      StSequence: if (move) state_d = StLengthLow;
      StLengthLow: if (move) state_d = StLengthHigh;
      StLengthHigh: if (move) state_d = length_q == '0 ? StSum : StPayload;
      StPayload: if (move && left_q == 9'd1) state_d = StSum;
      StSum: state_d = StCrc;
      StCrc: if (move && lane_q == 2'd3) state_d = StIdle;
      default: state_d = StIdle;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q      <= StIdle;
      lane_q       <= '0;
      held_valid_q <= 1'b0;
      word_left_q  <= '0;
    end else begin
      state_q <= state_d;
      if (move && (state_q == StPayload || state_q == StCrc)) lane_q <= lane_q + 2'd1;
      if (take) held_valid_q <= 1'b1;
      else if (move && state_q == StPayload && lane_q == '0) held_valid_q <= 1'b0;
      if (state_q == StIdle && frame_valid_i) word_left_q <= frame_length_i[8:2];
      else if (take) word_left_q <= word_left_q - 7'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StIdle) begin
      kind_q     <= frame_type_i;
      sequence_q <= frame_sequence_i;
      length_q   <= frame_length_i;
      left_q     <= frame_length_i;
    end
    if (take) held_q <= word_data_i;
    if (move && state_q == StPayload) begin
      left_q <= left_q - 9'd1;
    end
    // The other bytes of the word whose first one is sent. Taken over until it is, and moved with
    // every further byte, without a look at the state: other states do not look at it.
    if (lane_q == '0 || free) begin
      shift_q <= lane_q == '0 ? {8'd0, held_q[31:8]} : {8'd0, shift_q[31:8]};
    end
  end

  // The line is far away: nothing here waits for its ready of this cycle.
  tp_skid #(
    .Width(8)
  ) u_out (
    .clk_i      (clk_i),
    .rst_ni     (rst_ni),
    .in_valid_i (have),
    .in_ready_o (free),
    .in_data_i  (data),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o (out_data_o)
  );

  // Sums what leaves, two cycles behind the choice of the byte.
  logic       sum_q;
  logic [7:0] sum_data_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) sum_q <= 1'b0;
    else sum_q <= move && state_q != StMarker && state_q != StCrc;
    sum_data_q <= data;
  end

  tp_crc32 u_crc (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .start_i(state_q == StMarker),
    .valid_i(sum_q),
    .data_i (sum_data_q),
    .crc_o  (crc)
  );

  `TP_PROVE_RESET(PROVE_TP_FRAMER_TX)
  `TP_INPUT_RULE(PROVE_TP_FRAMER_TX, FrameHolds_M, `TP_HOLDS(frame_valid_i, frame_ready_o, ({
                                                             frame_type_i, frame_sequence_i,
                                                             frame_length_i})))
  `TP_INPUT_RULE(PROVE_TP_FRAMER_TX, WordHolds_M, `TP_HOLDS(word_valid_i, word_ready_o,
                                                            word_data_i))
  `TP_INPUT_RULE(PROVE_TP_FRAMER_TX, LengthLegal_M,
                 !frame_valid_i || (frame_length_i <= 9'd256 && frame_length_i[1:0] == '0))
  `TP_ASSERT(OutHolds_A, `TP_HOLDS(out_valid_o, out_ready_i, out_data_o))
  `TP_ASSERT(WordsBelongToFrame_A, state_q != StIdle || (word_left_q == '0 && !held_valid_q))
  `TP_COVER(LastCrc_C, state_q == StCrc && lane_q == 2'd3 && move)
  `TP_COVER(WaitsForWord_C, state_q == StPayload && !have)

endmodule
