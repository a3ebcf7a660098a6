// SPDX-License-Identifier: Apache-2.0
//
// tp_framer_recovers: what tp_framer_rx promises after any byte sequence, for framer_recovers.sby.
//
// In    any bytes, at any pace; a consumer that lets no beat wait longer than StallMax cycles.
//       watch_i, at the marker of a frame: this is the frame that the claims are about.
// Not   a part of the device.
//
// A parser of docs/link.md of its own follows the bytes that are taken. It knows where a frame
// begins and ends, and which frames are intact; the claims are about what then leaves the receiver.

`include "tp_assert.svh"

module tp_framer_recovers
  import tp_link_pkg::*;
#(
  parameter  int unsigned PayloadMax = 8,
  parameter  int unsigned StallMax   = 2,
  // What docs/link.md tells a host to send to a receiver in an unknown state.
  localparam int unsigned Zeros      = PayloadMax + 9,
  // Cycles of a beat, of a word, of a frame: until the last one has left.
  localparam int unsigned BeatWait   = StallMax + 1,
  localparam int unsigned WordWait   = BeatWait + 2,
  localparam int unsigned FrameWait  = BeatWait + PayloadMax / 4 * WordWait
) (
  input logic       clk_i,
  input logic       rst_ni,
  input logic       in_valid_i,
  input logic [7:0] in_data_i,
  input logic       frame_ready_i,
  input logic       word_ready_i,
  input logic       watch_i
);

  logic           in_ready;
  logic           frame_valid;
  logic    [ 7:0] frame_type;
  logic    [ 7:0] frame_sequence;
  length_t        frame_length;
  logic           word_valid;
  logic    [31:0] word_data;
  logic           word_last;
  logic           unused_bad;

  tp_framer_rx #(
    .PayloadMax(PayloadMax)
  ) u_framer (
    .clk_i           (clk_i),
    .rst_ni          (rst_ni),
    .in_valid_i      (in_valid_i),
    .in_ready_o      (in_ready),
    .in_data_i       (in_data_i),
    .frame_valid_o   (frame_valid),
    .frame_ready_i   (frame_ready_i),
    .frame_type_o    (frame_type),
    .frame_sequence_o(frame_sequence),
    .frame_length_o  (frame_length),
    .word_valid_o    (word_valid),
    .word_ready_i    (word_ready_i),
    .word_data_o     (word_data),
    .word_last_o     (word_last),
    .bad_o           (unused_bad)
  );

  // framer_rx.sby lets any frame be intact. Here `intact` is cut from what makes it free there, and
  // is again what the receiver makes of it.
  `TP_ASSUME(Intact_M, u_framer.intact == (u_framer.crc == CrcResidue))

  // ---- the consumer ----

  logic       stalls;
  logic [7:0] stalled_q;  // cycles that the beat has waited

  assign stalls = (frame_valid && !frame_ready_i) || (word_valid && !word_ready_i);
  always_ff @(posedge clk_i) begin
    if (!rst_ni || !stalls) stalled_q <= '0;
    else stalled_q <= stalled_q + 8'd1;
  end
  `TP_ASSUME(Fair_M, !stalls || 32'(stalled_q) < StallMax)

  // ---- the parser ----

  logic        accept;
  logic [15:0] position_q;  // bytes of the frame so far; 0: a marker is looked for
  logic [15:0] length;
  logic [ 7:0] length_low_q;
  logic [15:0] length_q;
  logic [31:0] sum_q;  // CRC register of type to payload
  logic        right_q;  // the bytes of the CRC so far are those of the sum
  logic        right;
  logic [ 1:0] crc_byte;  // which byte of the CRC comes
  logic        last;  // the last byte of the frame comes
  logic        whole_q;  // a frame ended in the cycle before
  logic [15:0] zeros_q;  // zero bytes since another one
  logic [ 1:0] places_q;  // intact frames that have ended and are not yet handed over

  assign accept   = in_valid_i && in_ready;
  assign length   = {in_data_i, length_low_q};
  assign last     = position_q > 16'd4 && position_q == length_q + 16'd8;
  assign crc_byte = 2'(position_q - length_q - 16'd5);
  assign right    = in_data_i == ~sum_q[8*crc_byte+:8];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      position_q <= '0;
      whole_q    <= 1'b0;
      zeros_q    <= '0;
    end else begin
      whole_q <= accept && last;
      if (accept) begin
        if (in_data_i != '0) zeros_q <= '0;
        else if (32'(zeros_q) < Zeros) zeros_q <= zeros_q + 16'd1;
        if (position_q == '0) position_q <= 16'(32'(in_data_i) == tp_map_pkg::TP_FRAME_MARKER);
        else if (last || (position_q == 16'd4 && 32'(length) > PayloadMax)) position_q <= '0;
        else position_q <= position_q + 16'd1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (accept) begin
      if (position_q == '0) sum_q <= CrcStart;
      else if (position_q < 16'd5 || position_q < length_q + 16'd5) begin
        sum_q <= crc32_byte(sum_q, in_data_i);
      end
      if (position_q == 16'd3) length_low_q <= in_data_i;
      if (position_q == 16'd4) begin
        length_q <= length;
        right_q  <= 1'b1;
      end else if (position_q > 16'd4 && position_q >= length_q + 16'd5) begin
        right_q <= right_q && right;
      end
    end
  end

  // ---- the watched frame ----

  typedef enum logic [2:0] {
    StNone,      // none is watched yet, or it was broken
    StReceived,  // its bytes come
    StQueued,    // whole and intact, but not shown
    StShown,     // its words are handed over
    StDone
  } watch_e;

  watch_e         watch_q;
  logic           ended;  // the watched frame has come, and is intact
  logic           ahead_q;  // a frame before it is not yet handed over
  logic           release_place;
  logic    [ 7:0] type_q;  // of the watched frame, as the next three
  logic    [ 7:0] sequence_q;
  length_t        kept_length_q;
  logic    [ 7:0] data_q;  // the byte that came for the place that the proof picks
  length_t        place;
  logic    [15:0] words;
  logic    [ 7:0] word_q;  // words that have left
  logic    [15:0] age_q;  // cycles since the frame was there
  logic    [15:0] wait_q;  // cycles that the receiver has taken no byte

  assign place = u_framer.prove_place_q;
  assign words = (16'(kept_length_q) + 16'd3) / 4;
  assign ended = whole_q && right_q && watch_q == StReceived;
  assign release_place = (frame_valid && frame_ready_i && frame_length == '0) ||
                         (word_valid && word_ready_i && word_last);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      watch_q  <= StNone;
      places_q <= '0;
      wait_q   <= '0;
    end else begin
      wait_q   <= in_ready ? '0 : wait_q + 16'd1;
      places_q <= places_q + 2'(whole_q && u_framer.crc == CrcResidue) - 2'(release_place);
      unique case (watch_q)
        StNone:
        if (accept && watch_i && position_q == '0 &&
            32'(in_data_i) == tp_map_pkg::TP_FRAME_MARKER) begin
          watch_q <= StReceived;
        end
        StReceived: begin
          if (accept && position_q == 16'd4 && 32'(length) > PayloadMax) watch_q <= StNone;
          else if (whole_q) watch_q <= right_q ? StQueued : StNone;
        end
        StQueued:
        if (!ahead_q && frame_valid && frame_ready_i) begin
          watch_q <= frame_length == '0 ? StDone : StShown;
        end
        StShown: if (word_valid && word_ready_i && word_last) watch_q <= StDone;
        default: ;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (watch_q == StReceived && accept) begin
      if (position_q == 16'd1) type_q <= in_data_i;
      if (position_q == 16'd2) sequence_q <= in_data_i;
      if (position_q == 16'd4) kept_length_q <= length[8:0];
      if (position_q == 16'(place) + 16'd5) data_q <= in_data_i;
    end
    // Of two places the frame has one itself.
    if (ended) ahead_q <= places_q != '0 && !release_place;
    else if (release_place) ahead_q <= 1'b0;
    age_q <= ended ? 16'd1 : age_q + 16'd1;
    if (watch_q != StShown) word_q <= '0;
    else if (word_valid && word_ready_i) word_q <= word_q + 8'd1;
  end

  // ---- invariants: how the receiver stands to the parser ----

  // States of the receiver and of its other side.
  localparam logic [2:0] Marker = 3'd0;
  localparam logic [2:0] Payload = 3'd5;
  localparam logic [2:0] Crc = 3'd6;
  localparam logic [2:0] Check = 3'd7;
  localparam logic [1:0] Frame = 2'd0;
  localparam logic [1:0] Read = 2'd1;
  localparam logic [1:0] Word = 2'd2;

  logic        head;  // before the payload
  logic        payload;
  logic        tail;  // the CRC comes
  logic        bank;  // place of the watched frame
  logic        waits;  // it is there, and has not left
  logic        came;  // the byte of the place came
  logic        mine;  // the place lies in the payload of the watched frame, and in its bank
  logic        turn;  // the watched frame is the next one
  logic        word;  // one of its words is shown
  logic        same_length;
  logic        header_stands;
  logic        header_right;
  logic [15:0] need;  // zeros that end the frame
  logic [31:0] checked;  // CRC register when the bytes of the CRC so far are right
  logic [15:0] front;  // cycles until the oldest frame has left
  logic [15:0] left;

  assign head = position_q != '0 && position_q <= 16'd4;
  assign payload = position_q > 16'd4 && position_q < length_q + 16'd5;
  assign tail = position_q > 16'd4 && position_q >= length_q + 16'd5;
  assign waits = watch_q == StQueued || watch_q == StShown;
  assign bank = watch_q == StReceived ? u_framer.write_bank_q : u_framer.read_bank_q ^ ahead_q;
  assign came = waits || came_of(16'(place) + 16'd6);
  assign mine = place < kept_length_q && bank == u_framer.prove_bank_q;
  assign turn = watch_q == StQueued && !ahead_q;
  assign word = watch_q == StShown && word_valid;
  assign same_length = 16'(u_framer.header_q.length) == length_q;
  assign header_stands = u_framer.bank_header_q[bank] == {type_q, sequence_q, kept_length_q};
  assign header_right = {frame_type, frame_sequence, frame_length} ==
      {type_q, sequence_q, kept_length_q};
  assign left = 16'(u_framer.word_left_q);

  // The watched frame is being received, and so many bytes of it came.
  function automatic logic came_of(input logic [15:0] bytes);
    return watch_q == StReceived && (whole_q || position_q >= bytes);
  endfunction

  always_comb begin
    if (position_q < 16'd4) need = 16'd9 - position_q;
    else if (position_q > 16'd4) need = length_q + 16'd9 - position_q;
    else need = 32'(length_low_q) > PayloadMax ? 16'd1 : 16'(length_low_q) + 16'd5;
  end

  always_comb begin
    checked = sum_q;
    for (int unsigned i = 0; i < 4; i++) begin
      if (whole_q || (tail && i < 32'(position_q - length_q) - 5)) begin
        checked = crc32_byte(checked, ~sum_q[8*i+:8]);
      end
    end
  end

  always_comb begin
    unique case (u_framer.deliver_q)
      Frame:
      front = frame_valid ? 16'(BeatWait) - 16'(stalled_q) +
          16'((32'(frame_length) + 3) / 4 * WordWait) : '0;
      Read: front = left * 16'(WordWait) - 16'(u_framer.read_wait_q);
      Word: front = left * 16'(WordWait) - 16'd2 - 16'(stalled_q);
      default: front = '0;
    endcase
  end

  `TP_ASSERT(Looks_A, position_q != '0 || u_framer.receive_q == (whole_q ? Check : Marker))
  `TP_ASSERT(Head_A, !head || 16'(u_framer.receive_q) == position_q)
  `TP_ASSERT(HeadLow_A, position_q != 16'd4 || u_framer.header_q.length[7:0] == length_low_q)
  `TP_ASSERT(Payload_A, !payload || u_framer.receive_q == Payload)
  `TP_ASSERT(PayloadLeft_A, !payload || 16'(u_framer.left_q) == length_q + 16'd5 - position_q)
  `TP_ASSERT(Tail_A, !tail || u_framer.receive_q == Crc)
  `TP_ASSERT(TailLeft_A, !tail || 16'(u_framer.left_q) == length_q + 16'd9 - position_q)
  `TP_ASSERT(LengthFits_A, !(payload || tail || whole_q) || 32'(length_q) <= PayloadMax)
  `TP_ASSERT(Length_A, !(payload || tail || whole_q) || same_length)
  `TP_ASSERT(Ends_A, !whole_q || position_q == '0)
  `TP_ASSERT(Sum_A, !(head || payload) || u_framer.crc == sum_q)
  `TP_ASSERT(Checked_A, !((tail || whole_q) && right_q) || u_framer.crc == checked)
  `TP_ASSERT(Needs_A, position_q == '0 || 32'(need) + 32'(zeros_q) <= PayloadMax + 5)

  `TP_ASSERT(Places_A, places_q == 2'(u_framer.full_q[0]) + 2'(u_framer.full_q[1]))
  `TP_ASSERT(Watches_A, watch_q != StReceived || position_q != '0 || whole_q)
  `TP_ASSERT(WatchStates_A, watch_q <= StDone)
  `TP_ASSERT(KeepsType_A, !came_of(16'd2) || u_framer.header_q.kind == type_q)
  `TP_ASSERT(KeepsSequence_A, !came_of(16'd3) || u_framer.header_q.sequence_number == sequence_q)
  `TP_ASSERT(KeepsLength_A, !came_of(16'd5) || 16'(kept_length_q) == length_q)
  `TP_ASSERT(KeepsPlace_A, !waits || u_framer.full_q[bank])
  `TP_ASSERT(KeepsHeader_A, !waits || header_stands)
  `TP_ASSERT(KeepsByte_A, !(came && mine) || u_framer.prove_data_q == data_q)
  `TP_ASSERT(Ahead_A, !(waits && ahead_q) || places_q == 2'd2)
  `TP_ASSERT(Queued_A, watch_q != StQueued || ahead_q || u_framer.deliver_q == Frame)
  `TP_ASSERT(Shown_A, watch_q != StShown || (!ahead_q && u_framer.deliver_q != Frame))
  `TP_ASSERT(ShownWord_A, watch_q != StShown || word_q == 8'(u_framer.read_index_q))
  `TP_ASSERT(Stalled_A,
             32'(stalled_q) <= StallMax && (stalled_q == '0 || frame_valid || word_valid))
  `TP_ASSERT(Leaves_A,
             !waits || 32'(age_q) + 32'(front) + (ahead_q ? FrameWait : 0) <= 2 * FrameWait + 1)
  `TP_ASSERT(Frees_A, places_q != 2'd2 || 32'(wait_q) + 32'(front) <= FrameWait + 2)
  `TP_ASSERT(WaitsForCheck_A, in_ready || places_q == 2'd2 || wait_q == '0)

  `TP_ASSERT(WordStands_A, !word_valid || word_data == u_framer.prove_read_data)

  // ---- claims ----

  // Whatever came, it looks for a marker after enough zeros; without them a frame ends where its
  // length says, or behind a length that cannot be.
  `TP_ASSERT(ZerosRecover_A, 32'(zeros_q) < Zeros || position_q == '0)
  `TP_ASSERT(LengthRecovers_A, !(payload || tail) || 32'(position_q) < 9 + 32'(length_q))
  `TP_ASSERT(Waits_A, (position_q == '0) == (u_framer.receive_q inside {Marker, Check}))
  // It takes bytes again while the consumer takes frames.
  `TP_ASSERT(Takes_A, 32'(wait_q) <= FrameWait + 2)
  // A whole frame with the right CRC is taken,
  `TP_ASSERT(Intact_A, !(whole_q && right_q) || u_framer.commit)
  // leaves when those before it have left,
  `TP_ASSERT(LeavesInTime_A, !waits || 32'(age_q) <= 2 * FrameWait + 1)
  // and is what came.
  `TP_ASSERT(Header_A, !turn || (frame_valid && header_right))
  `TP_ASSERT(Last_A, !word || word_last == (16'(word_q) + 16'd1 == words))
  `TP_ASSERT(Byte_A,
             !(word && mine && 8'(place >> 2) == word_q) || word_data[8*place[1:0]+:8] == data_q)

`ifdef TP_SCRIPTED
  // A way there for the solver: a frame that breaks off, zeros, a frame of one byte, at full pace.
  function automatic logic [31:0] sum_of_script();
    sum_of_script = CrcStart;
    for (int unsigned i = 0; i < 5; i++) begin
      sum_of_script = crc32_byte(sum_of_script, i == 3 ? 8'd0 : 8'd1);
    end
  endfunction
  localparam logic [31:0] Sum = sum_of_script();

  logic [7:0] count_q;  // bytes
  logic [7:0] expected;

  always_comb begin
    unique case (32'(count_q))
      0, Zeros + 1: expected = 8'(tp_map_pkg::TP_FRAME_MARKER);
      Zeros + 2, Zeros + 3, Zeros + 4, Zeros + 6: expected = 8'd1;  // type, sequence, length, byte
      Zeros + 7: expected = ~Sum[7:0];
      Zeros + 8: expected = ~Sum[15:8];
      Zeros + 9: expected = ~Sum[23:16];
      Zeros + 10: expected = ~Sum[31:24];
      default: expected = '0;
    endcase
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) count_q <= '0;
    else count_q <= count_q + 8'(accept);
  end
  always_comb begin
    assume (place == '0 && !u_framer.prove_bank_q);
    if (u_framer.prove_started_q) begin
      assume (rst_ni && in_valid_i && in_data_i == expected && frame_ready_i && word_ready_i);
      assume (watch_i);
    end
  end
  `TP_COVER(AfterZeros_C, watch_q == StDone && 32'(count_q) > Zeros)
`endif
endmodule
