// SPDX-License-Identifier: Apache-2.0
//
// tp_framer_rx: finds frames in a byte stream, checks them and hands over whole ones.
//
// In    bytes of docs/link.md.
// Out   for each intact frame one beat of the frame stream (type, sequence, length), then its
//       payload as ceil(length / 4) beats of the word stream: byte 0 of a word is the first, the
//       bytes behind the end are 0. The next frame beat comes when the last word has moved.
// Rate  one byte per cycle in; one word per three cycles out.
// Not   does not answer broken frames: each raises bad_o for one cycle and leaves no other trace.
//
// Two frames fit: one being received, one being handed over.

`include "tp_assert.svh"

module tp_framer_rx
  import tp_link_pkg::*;
#(
  parameter int unsigned PayloadMax = 256,  // bytes, a multiple of 4; 256 but in the proof
  localparam int unsigned Words = PayloadMax / 4,
  localparam int unsigned IndexWidth = $clog2(Words),
  localparam int unsigned AddressWidth = IndexWidth + 1
) (
  input  logic           clk_i,
  input  logic           rst_ni,
  input  logic           in_valid_i,        // early
  output logic           in_ready_o,        // early
  input  logic    [ 7:0] in_data_i,         // early
  output logic           frame_valid_o,     // early
  input  logic           frame_ready_i,     // late
  output logic    [ 7:0] frame_type_o,      // early
  output logic    [ 7:0] frame_sequence_o,  // early
  output length_t        frame_length_o,    // early; payload bytes, 0..256
  output logic           word_valid_o,      // early
  input  logic           word_ready_i,      // late
  output logic    [31:0] word_data_o,       // early
  output logic           word_last_o,       // early
  output logic           bad_o              // early; one broken frame was dropped
);

  `TP_REQUIRE(PayloadMax >= 8 && PayloadMax <= 256 && PayloadMax % 4 == 0)

  typedef enum logic [2:0] {
    StMarker,      // skips bytes until a marker
    StType,
    StSequence,
    StLengthLow,
    StLengthHigh,
    StPayload,
    StCrc,         // four bytes
    StCheck        // looks at the residue; takes no byte
  } receive_state_e;

  typedef enum logic [1:0] {
    StFrame,  // shows the frame beat, when there is one
    StRead,   // waits for the word from the RAM
    StWord    // shows a word
  } deliver_state_e;

  typedef struct packed {
    logic [7:0] kind;
    logic [7:0] sequence_number;
    length_t    length;
  } header_t;

  // ---- receiving ----

  receive_state_e                  receive_q;
  receive_state_e                  receive_d;
  logic                            accept;
  logic                            write_bank_q;
  logic           [           1:0] full_q;
  header_t                         header_q;
  length_t                         left_q;  // bytes to come in StPayload and StCrc
  logic           [           1:0] lane_q;
  logic           [IndexWidth-1:0] index_q;
  logic           [          31:0] gather_q;
  logic                            gather_done_q;
  logic           [IndexWidth-1:0] gather_index_q;
  logic           [          31:0] crc;
  logic                            length_bad;
  logic                            intact;  // the CRC is right
  logic                            commit;
  logic                            release_bank;

  assign accept = in_valid_i && in_ready_o;
  assign in_ready_o = receive_q != StCheck && !full_q[write_bank_q];
  assign length_bad = 32'({in_data_i, header_q.length[7:0]}) > PayloadMax;
`ifdef PROVE_TP_FRAMER_RX
  // The proof is about places and order; which frames are intact is free in it.
  logic prove_intact_q;
  always_ff @(posedge clk_i) begin
    if (accept && receive_q == StCrc) prove_intact_q <= in_data_i[0];
  end
  assign intact = prove_intact_q;
`else
  assign intact = crc == CrcResidue;
`endif
`ifdef TP_PLANT_BUG
  // The planted fault takes every frame as intact.
  assign commit = receive_q == StCheck;
`else
  assign commit = receive_q == StCheck && intact;
`endif

  always_comb begin
    receive_d = receive_q;
    unique case (receive_q)
      StMarker: if (accept && 32'(in_data_i) == tp_map_pkg::TP_FRAME_MARKER) receive_d = StType;
      StType: if (accept) receive_d = StSequence;
      StSequence: if (accept) receive_d = StLengthLow;
      StLengthLow: if (accept) receive_d = StLengthHigh;
      StLengthHigh: begin
        if (accept && length_bad) receive_d = StMarker;
        else if (accept) begin
          receive_d = {in_data_i, header_q.length[7:0]} == '0 ? StCrc : StPayload;
        end
      end
      StPayload: if (accept && left_q == 9'd1) receive_d = StCrc;
      StCrc: if (accept && left_q == 9'd1) receive_d = StCheck;
      StCheck: receive_d = StMarker;
      default: receive_d = StMarker;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      receive_q     <= StMarker;
      write_bank_q  <= 1'b0;
      gather_done_q <= 1'b0;
      bad_o         <= 1'b0;
    end else begin
      receive_q <= receive_d;
      if (commit) write_bank_q <= !write_bank_q;
      gather_done_q <= accept && receive_q == StPayload && (lane_q == 2'd3 || left_q == 9'd1);
      bad_o         <= (receive_q == StCheck && !commit) ||
                       (receive_q == StLengthHigh && accept && length_bad);
    end
  end

  always_ff @(posedge clk_i) begin
    if (accept) begin
      unique case (receive_q)
        StType: header_q.kind <= in_data_i;
        StSequence: header_q.sequence_number <= in_data_i;
        StLengthLow: header_q.length[7:0] <= in_data_i;
        StLengthHigh: begin
          header_q.length[8] <= in_data_i[0];
          left_q <= {in_data_i[0], header_q.length[7:0]} == '0 ? 9'd4 :
                    {in_data_i[0], header_q.length[7:0]};
          lane_q <= '0;
          index_q <= '0;
        end
        StPayload: begin
          left_q <= left_q == 9'd1 ? 9'd4 : left_q - 9'd1;
          lane_q <= lane_q + 2'd1;
          if (lane_q == 2'd3) index_q <= index_q + 1'b1;
        end
        StCrc: left_q <= left_q - 9'd1;
        default: ;
      endcase
    end
  end

  // The byte of the lane follows the input until it is the accepted one and the lane moves on, so
  // that the word does not wait for what is accepted.
  always_ff @(posedge clk_i) begin
    if (lane_q == '0) gather_q <= 32'(in_data_i);
    else gather_q[8*lane_q+:8] <= in_data_i;
    gather_index_q <= index_q;
  end

  tp_crc32 u_crc (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .start_i(receive_q == StMarker),
    .valid_i(accept && receive_q != StMarker),
    .data_i (in_data_i),
    .crc_o  (crc)
  );

  // ---- handing over ----

  deliver_state_e                  deliver_q;
  deliver_state_e                  deliver_d;
  logic                            read_bank_q;
  header_t        [           1:0] bank_header_q;
  logic           [  IndexWidth:0] word_left_q;  // words not yet moved
  logic           [IndexWidth-1:0] read_index_q;
  logic                            read_wait_q;
  logic                            read_enable;
  logic           [  IndexWidth:0] frame_words;
  logic                            frame_move;
  logic                            word_move;
  length_t                         length_rounded;
  logic                            unused_length_bits;

  assign frame_move = frame_valid_o && frame_ready_i;
  assign word_move = word_valid_o && word_ready_i;
  assign frame_valid_o = deliver_q == StFrame && full_q[read_bank_q];
  assign frame_type_o = bank_header_q[read_bank_q].kind;
  assign frame_sequence_o = bank_header_q[read_bank_q].sequence_number;
  assign frame_length_o = bank_header_q[read_bank_q].length;
  assign word_valid_o = deliver_q == StWord;
  assign word_last_o = word_left_q == (IndexWidth + 1)'(1);
  assign length_rounded = frame_length_o + 9'd3;
  assign frame_words = length_rounded[IndexWidth+2:2];
  assign unused_length_bits = ^{length_rounded};
  assign release_bank = (frame_move && frame_length_o == '0) || (word_move && word_last_o);
  assign read_enable = deliver_q == StRead && !read_wait_q;

  always_comb begin
    deliver_d = deliver_q;
    unique case (deliver_q)
      StFrame: if (frame_move && frame_length_o != '0) deliver_d = StRead;
      StRead:  if (read_wait_q) deliver_d = StWord;
      StWord:  if (word_move) deliver_d = word_last_o ? StFrame : StRead;
      default: deliver_d = StFrame;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      deliver_q   <= StFrame;
      read_bank_q <= 1'b0;
      read_wait_q <= 1'b0;
      full_q      <= '0;
    end else begin
      deliver_q   <= deliver_d;
      read_wait_q <= read_enable;
      if (release_bank) begin
        read_bank_q <= !read_bank_q;
        full_q[read_bank_q] <= 1'b0;
      end
      if (commit) full_q[write_bank_q] <= 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    // Stays when the frame is accepted, which does not wait for the CRC to be looked at.
    if (!full_q[write_bank_q]) bank_header_q[write_bank_q] <= header_q;
    if (frame_move) begin
      word_left_q  <= frame_words;
      read_index_q <= '0;
    end else if (word_move) begin
      word_left_q  <= word_left_q - 1'b1;
      read_index_q <= read_index_q + 1'b1;
    end
  end

  // The last word is written while the CRC is received, so it stands before the frame is shown.
  tp_ram #(
    .Width         (32),
    .Depth         (1 << AddressWidth),
    .OutputRegister(1'b1)
  ) u_payload (
    .clk_i          (clk_i),
    .write_enable_i (gather_done_q),
    .write_address_i({write_bank_q, gather_index_q}),
    .write_data_i   (gather_q),
    .read_enable_i  (read_enable),
    .read_address_i ({read_bank_q, read_index_q}),
    .read_data_o    (word_data_o)
  );

  `TP_PROVE_RESET(PROVE_TP_FRAMER_RX)
  `TP_INPUT_RULE(PROVE_TP_FRAMER_RX, InHolds_M, `TP_HOLDS(in_valid_i, in_ready_o, in_data_i))
  `TP_ASSERT(FrameHolds_A, `TP_HOLDS(frame_valid_o, frame_ready_i, ({
                                     frame_type_o, frame_sequence_o, frame_length_o})))
  `TP_ASSERT(WordHolds_A, `TP_HOLDS(word_valid_o, word_ready_i, ({word_data_o, word_last_o})))
  `TP_ASSERT(NoOverrun_A, !(gather_done_q && full_q[write_bank_q]))
  `TP_ASSERT(LengthLegal_A, !frame_valid_o || 32'(frame_length_o) <= PayloadMax)
  `TP_ASSERT(WordsLeft_A, !word_valid_o || word_left_q != '0)
  `TP_ASSERT(CommitIsFree_A, !commit || !full_q[write_bank_q])
  `TP_ASSERT(OnlyIntact_A, !commit || intact)
  `TP_COVER(BothFull_C, &full_q)
  `TP_COVER(Bad_C, bad_o)
  `TP_COVER(Word_C, word_valid_o && word_last_o)

`ifdef PROVE_TP_FRAMER_RX
  // Any one byte of the payload memory that the proof picks: the byte that was received for that
  // place of an intact frame is the one that is handed over from it. With the order of the banks
  // this is: payloads leave unchanged and in order. The rest are invariants for the induction.
  logic prove_bank_q;  // registers without reset or load hold any value for ever
  length_t prove_place_q;  // of the byte in the payload
  length_t prove_count_q;  // payload bytes received of this frame
  logic [7:0] prove_data_q;  // the byte that was received for the place
  logic prove_take;  // a byte of the payload is received
  logic prove_body;  // a frame is being received, behind its length
  logic prove_head;  // before that
  logic prove_received;  // the byte was received in this frame
  logic prove_gathered;  // its word is being gathered, or written in this cycle
  logic [31:0] prove_memory;
  logic [31:0] prove_read_data;
  logic [7:0] prove_stored;
  logic [7:0] prove_gather;
  logic [7:0] prove_given;
  logic prove_inside;  // the bank holds a frame, and the place lies inside
  logic prove_read;  // the word of the place is being handed over
  logic [31:0] prove_words;  // words of the frame that is being handed over
  logic [31:0] prove_word;  // that holds the place
  logic [31:0] prove_sum;  // payload bytes received and to come
  logic prove_lanes;  // lane and index follow from the count

  always_ff @(posedge clk_i) begin
    prove_bank_q  <= prove_bank_q;
    prove_place_q <= prove_place_q;
    if (receive_q == StMarker) prove_count_q <= '0;
    else if (prove_take) prove_count_q <= prove_count_q + 9'd1;
    if (prove_take && write_bank_q == prove_bank_q && prove_count_q == prove_place_q) begin
      prove_data_q <= in_data_i;
    end
  end

  assign prove_take = accept && receive_q == StPayload;
  assign prove_body = receive_q inside {StPayload, StCrc, StCheck};
  assign prove_head = receive_q inside {StType, StSequence, StLengthLow, StLengthHigh};
  assign prove_received = prove_body && write_bank_q == prove_bank_q &&
      prove_place_q < prove_count_q;
  assign prove_word = 32'(prove_place_q >> 2);
  always_comb begin
    prove_gathered = gather_done_q && 32'(gather_index_q) == prove_word;
    if (receive_q == StPayload && prove_count_q[1:0] != '0 &&
        32'(prove_count_q >> 2) == prove_word) begin
      prove_gathered = 1'b1;
    end
  end
  assign prove_memory = u_payload.gen_block.u_ram.memory[{prove_bank_q, IndexWidth'(prove_word)}];
  assign prove_read_data = u_payload.gen_block.u_ram.read_data_q;
  assign prove_stored = prove_memory[8*prove_place_q[1:0]+:8];
  assign prove_gather = gather_q[8*prove_place_q[1:0]+:8];
  assign prove_given = word_data_o[8*prove_place_q[1:0]+:8];
  assign prove_inside = full_q[prove_bank_q] && prove_place_q < bank_header_q[prove_bank_q].length;
  assign prove_read = deliver_q != StFrame && read_bank_q == prove_bank_q &&
      32'(read_index_q) == prove_word;
  assign prove_words = (32'(bank_header_q[read_bank_q].length) + 3) / 4;
  assign prove_sum = 32'(prove_count_q) + 32'(left_q);
  assign prove_lanes = lane_q == prove_count_q[1:0] && 32'(index_q) == 32'(prove_count_q >> 2);

  `TP_ASSERT(PlaceKept_A, !prove_inside || prove_stored == prove_data_q)
  `TP_ASSERT(HandedOver_A,
             !(word_valid_o && prove_inside && prove_read) || prove_given == prove_data_q)

  `TP_ASSERT(BanksInTurn_A, (write_bank_q == read_bank_q) == (full_q == 2'b00 || full_q == 2'b11))
  `TP_ASSERT(OldestFirst_A, full_q == '0 || full_q[read_bank_q])
  `TP_ASSERT(ReadsFull_A, deliver_q == StFrame || full_q[read_bank_q])
  `TP_ASSERT(FullWaits_A, !full_q[write_bank_q] || (receive_q == StMarker && !gather_done_q))
  `TP_ASSERT(GathersInFrame_A, !gather_done_q || receive_q == StPayload || receive_q == StCrc)
  `TP_ASSERT(States_A, deliver_q <= StWord && (deliver_q == StRead || !read_wait_q))
  `TP_ASSERT(HeaderFits_A, !prove_body || 32'(header_q.length) <= PayloadMax)
  `TP_ASSERT(BankZeroFits_A, !full_q[0] || 32'(bank_header_q[0].length) <= PayloadMax)
  `TP_ASSERT(BankOneFits_A, !full_q[1] || 32'(bank_header_q[1].length) <= PayloadMax)
  `TP_ASSERT(CountsStart_A, !prove_head || prove_count_q == '0)
  `TP_ASSERT(CountsSome_A, receive_q != StPayload || left_q != '0)
  `TP_ASSERT(CountsDown_A, receive_q != StPayload || prove_sum == 32'(header_q.length))
  `TP_ASSERT(CountsLanes_A, receive_q != StPayload || prove_lanes)
  `TP_ASSERT(CountsAll_A, !prove_body || receive_q == StPayload || prove_count_q == header_q.length)
  `TP_ASSERT(CrcLeft_A, receive_q != StCrc || (left_q >= 9'd1 && left_q <= 9'd4))
  `TP_ASSERT(WrittenBeforeCheck_A, !(gather_done_q && receive_q == StCrc) || left_q == 9'd4)
  `TP_ASSERT(GatherIndex_A,
             !gather_done_q || gather_index_q == IndexWidth'((prove_count_q - 9'd1) >> 2))
  // A received byte stands in the word that is gathered, or in the memory.
  `TP_ASSERT(Gathered_A, !(prove_received && prove_gathered) || prove_gather == prove_data_q)
  `TP_ASSERT(Stored_A, !prove_received || prove_gathered || prove_stored == prove_data_q)
  `TP_ASSERT(WordsSome_A, deliver_q == StFrame || word_left_q != '0)
  `TP_ASSERT(WordsLeftFit_A,
             deliver_q == StFrame || 32'(read_index_q) + 32'(word_left_q) == prove_words)
  `TP_ASSERT(ReadData_A, !(read_wait_q && prove_read) || prove_read_data == prove_memory)
  `TP_ASSERT(ReadDataStays_A,
             !(deliver_q == StWord && prove_read) || prove_read_data == prove_memory)
  `TP_ASSERT(WordIsMemory_A, !(deliver_q == StWord && prove_read) || word_data_o == prove_memory)
`endif

endmodule
