// SPDX-License-Identifier: Apache-2.0
//
// tp_usb_packets: the transactions of a USB device with endpoint 0 and bulk endpoints 1, both ways.
//
// In    bytes of received packets (tp_usb_receive); what each endpoint would answer.
// Out   bytes of the packets to send; the bytes of DATA packets, with their place, as they come,
//       and a pulse when a packet was intact and is taken; a pulse when the host has acknowledged.
// Rate  answers 3 to 5 bit times behind a packet; waits 18 for one.
// Not   does not look at frame numbers (SOF). PIDs of high speed, and packets for others, are
//       ignored.
//
// A DATA packet that is broken, too long or not expected gets no answer, as USB 2.0 chapter 8 has
// it. A repeated one (wrong toggle) is acknowledged and dropped.

`include "tp_assert.svh"

module tp_usb_packets (
  input  logic       clk_i,             // 60 MHz
  input  logic       rst_ni,
  input  logic       reset_i,           // early; bus reset
  // the byte seam
  input  logic       idle_i,            // early; the line is J
  input  logic       drive_i,           // early; a packet is being sent
  input  logic       receive_active_i,  // early
  input  logic       receive_valid_i,   // early
  input  logic [7:0] receive_data_i,    // early
  input  logic       receive_error_i,   // early
  output logic       send_valid_o,      // early
  input  logic       send_ready_i,      // late
  output logic [7:0] send_data_o,       // late
  // state of the device
  input  logic [6:0] address_i,         // early
  input  logic       configured_i,      // early; endpoints 1 exist
  input  logic       open_i,            // early; they move bytes
  input  logic       halt_out_i,        // early
  input  logic       halt_in_i,         // early
  input  logic       clear_out_i,       // early; toggle to DATA0
  input  logic       clear_in_i,        // early
  // endpoint 0
  output logic       setup_token_o,     // late; a SETUP begins, whatever was before
  output logic       setup_valid_o,     // late; its eight bytes stand
  input  logic       control_in_i,      // early; an IN gets data, else STALL
  input  logic       control_out_i,     // early; an empty OUT is taken, else STALL
  input  logic       control_toggle_i,  // early
  input  logic [6:0] control_bytes_i,   // early; of the next IN
  output logic       control_acked_o,   // late; the IN was taken by the host
  // endpoint 1 OUT
  input  logic       out_free_i,        // early; there is room for a packet
  output logic       out_write_o,       // late
  output logic       out_commit_o,      // late; the packet is good: write_place_o - 2 bytes
  // endpoint 1 IN
  input  logic       in_valid_i,        // early; there is a packet
  output logic       in_acked_o,        // late; it was taken by the host
  // bytes of both
  output logic       setup_write_o,     // late
  output logic [6:0] write_place_o,     // early
  output logic [7:0] write_data_o,      // early
  output logic       read_control_o,    // early; the byte is of endpoint 0
  output logic [6:0] read_place_o,      // early; the byte two cycles later is at this place
  input  logic [7:0] read_data_i        // late; at LengthPlace: the bytes of the packet
);

  localparam int unsigned MostBytes = tp_usb_pkg::TP_USB_PACKET_BYTES;
  localparam logic [6:0] LengthPlace = 7'd127;
  localparam logic [15:0] CrcResidue = 16'hB001;

  // The line's J comes 7 cycles after the end of a packet is seen, 2 bit times of silence 10 later;
  // an answer has to begin 6.5 bit times, 32 cycles, behind the J. The lines take 4 cycles there
  // and back.
  localparam int unsigned TurnCycles = 22;
  // The J is there, even if hubs have stretched what is before it.
  localparam int unsigned EndCycles = 13;
  // 16 to 18 bit times without a packet, and the 8 of the sync, behind which a packet is seen.
  localparam int unsigned WaitCycles = 126;

  localparam logic [3:0] PidOut = 4'b0001;
  localparam logic [3:0] PidIn = 4'b1001;
  localparam logic [3:0] PidSetup = 4'b1101;
  localparam logic [3:0] PidData0 = 4'b0011;
  localparam logic [3:0] PidData1 = 4'b1011;
  localparam logic [3:0] PidAck = 4'b0010;
  localparam logic [3:0] PidNak = 4'b1010;
  localparam logic [3:0] PidStall = 4'b1110;

  typedef enum logic [3:0] {
    StIdle,
    StData,     // OUT or SETUP: waits for the DATA packet
    StTurn,     // time until the answer
    StPid,      // sends the PID
    StBytes,    // sends the payload
    StCrcLow,   // sends the sum
    StCrcHigh,
    StEnd,      // until the packet is out
    StAck       // waits for the handshake
  } state_e;

  function automatic logic [4:0] crc5(input logic [10:0] bits);
    crc5 = 5'h1F;
    for (int unsigned i = 0; i < 11; i++) begin
      crc5 = (crc5 >> 1) ^ (crc5[0] ^ bits[i] ? 5'h14 : 5'h00);
    end
    crc5 = ~crc5;
  endfunction

  function automatic logic [15:0] crc16(input logic [15:0] crc, input logic [7:0] data);
    crc16 = crc ^ 16'(data);
    for (int unsigned i = 0; i < 8; i++) crc16 = (crc16 >> 1) ^ (crc16[0] ? 16'hA001 : 16'h0000);
  endfunction

  state_e        state_q;
  state_e        state_d;

  // ---- the packet that comes in ----

  logic          active_q;
  logic          begins;
  logic          ends;
  logic          has_pid_q;
  logic          pid_good_q;
  logic   [ 3:0] pid_q;
  logic   [ 6:0] place_q;  // bytes behind the PID, 0..127; of both directions
  logic   [15:0] token_q;  // the last two bytes
  logic   [15:0] crc_q;  // of both directions
  logic          intact;  // ends, and its PID is one
  logic          token_good;
  logic          is_token;
  logic          is_data;
  logic          is_ack;
  logic          for_control;
  logic          for_bulk;
  logic          byte_in;

  assign begins = receive_active_i && !active_q;
  assign ends = !receive_active_i && active_q;
  assign byte_in = receive_valid_i && has_pid_q;
  assign intact = ends && !receive_error_i && has_pid_q && pid_good_q;
  assign for_control = token_q[10:7] == 4'd0;
  assign for_bulk = token_q[10:7] == 4'd1 && configured_i && pid_q != PidSetup;
  assign token_good = place_q == 7'd2 && token_q[15:11] == crc5(token_q[10:0]);
  assign is_token = intact && pid_q inside {PidOut, PidIn, PidSetup} && token_good &&
      token_q[6:0] == address_i && (for_control || for_bulk);
  // Two of the bytes are the sum.
  assign is_data = intact && pid_q inside {PidData0, PidData1} && crc_q == CrcResidue &&
      place_q >= 7'd2 && place_q <= 7'(MostBytes + 2);
  assign is_ack = intact && pid_q == PidAck && place_q == '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || reset_i) begin
      active_q  <= 1'b0;
      has_pid_q <= 1'b0;
    end else begin
      active_q <= receive_active_i;
      if (begins) has_pid_q <= 1'b0;
      else if (receive_valid_i) has_pid_q <= 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (receive_valid_i && !has_pid_q) begin
      pid_q      <= receive_data_i[3:0];
      pid_good_q <= receive_data_i[7:4] == ~receive_data_i[3:0];
    end
    if (byte_in) token_q <= {receive_data_i, token_q[15:8]};
  end

  // ---- what is answered ----

  logic       bulk_q;  // the endpoint of the transaction
  logic       setup_q;
  logic       take_q;  // there was room when the packet began
  logic [3:0] answer_q;  // PID
  logic [3:0] answer_in;  // to an IN
  logic [3:0] answer_out;  // to a DATA
  logic       setup_broken;  // no SETUP packet
  logic       fresh;  // the toggle is the expected one
  logic       toggle_out_q;
  logic       toggle_in_q;
  logic       listens;
  logic       late;
  logic [6:0] timer_q;
  logic [6:0] bytes_q;  // of the packet that goes out
  logic       is_sent;  // a byte of its payload goes

  assign listens = state_q inside {StIdle, StData, StAck};
  assign fresh = pid_q[3] == toggle_out_q;
  assign setup_broken = setup_q && (pid_q[3] || place_q != 7'd10);
  assign late = timer_q == 7'(WaitCycles);
  assign is_sent = state_q == StBytes && send_ready_i;

  always_comb begin
    if (for_control) begin
      answer_in = !control_in_i ? PidStall : control_toggle_i ? PidData1 : PidData0;
    end else if (halt_in_i) begin
      answer_in = PidStall;
    end else if (!open_i || !in_valid_i) begin
      answer_in = PidNak;
    end else begin
      answer_in = toggle_in_q ? PidData1 : PidData0;
    end
  end

  always_comb begin
    if (setup_q) answer_out = PidAck;
    else if (!bulk_q) answer_out = control_out_i && place_q == 7'd2 ? PidAck : PidStall;
    else if (halt_out_i) answer_out = PidStall;
    else if (!open_i || (fresh && !take_q)) answer_out = PidNak;
    else answer_out = PidAck;
  end

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StIdle: ;
      StData: begin
        if (is_data && !setup_broken) state_d = StTurn;
        else if (ends || (late && !receive_active_i)) state_d = StIdle;
      end
      StTurn: begin
        // Whoever drives the line is not waiting for an answer.
        if (timer_q >= 7'(EndCycles) && !idle_i) state_d = StIdle;
        else if (timer_q == 7'(TurnCycles)) state_d = StPid;
      end
      StPid: begin
        if (send_ready_i && answer_q[1:0] != PidData0[1:0]) state_d = StEnd;
        else if (send_ready_i) state_d = bytes_q == '0 ? StCrcLow : StBytes;
      end
      StBytes: if (send_ready_i && place_q + 7'd1 == bytes_q) state_d = StCrcLow;
      StCrcLow: if (send_ready_i) state_d = StCrcHigh;
      StCrcHigh: if (send_ready_i) state_d = StEnd;
      StEnd: if (!drive_i) state_d = answer_q[1:0] == PidData0[1:0] ? StAck : StIdle;
      StAck: if (ends || (late && !receive_active_i)) state_d = StIdle;
      default: state_d = StIdle;
    endcase
    if (listens && is_token) state_d = pid_q == PidIn ? StTurn : StData;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni || reset_i) state_q <= StIdle;
    else state_q <= state_d;
  end

  always_ff @(posedge clk_i) begin
    if (state_d != state_q || (listens && is_token)) timer_q <= '0;
    else if (!late && !receive_active_i) timer_q <= timer_q + 7'd1;
    if (listens && is_token) begin
      bulk_q   <= for_bulk;
      setup_q  <= pid_q == PidSetup;
      take_q   <= out_free_i && open_i;
      answer_q <= answer_in;
    end else if (state_q == StData) begin
      answer_q <= answer_out;
    end
    if (state_q == StTurn) bytes_q <= bulk_q ? read_data_i[6:0] : control_bytes_i;
    // The bytes of both directions are counted and summed by the same registers.
    if (begins || state_q == StTurn) place_q <= '0;
    else if ((byte_in || is_sent) && !(&place_q)) place_q <= place_q + 7'd1;
    if (begins || state_q == StTurn) crc_q <= '1;
    else if (byte_in || is_sent) crc_q <= crc16(crc_q, is_sent ? read_data_i : receive_data_i);
  end

  // ---- endpoints ----

  logic data_taken;

  assign data_taken = state_q == StData && is_data && !setup_broken;
  assign setup_token_o = listens && is_token && pid_q == PidSetup;
  assign setup_valid_o = data_taken && setup_q;
  assign setup_write_o = byte_in && state_q == StData && setup_q && place_q < 7'd8;
  assign out_write_o = byte_in && state_q == StData && bulk_q && take_q &&
      place_q < 7'(MostBytes + 2);
`ifdef TP_PLANT_BUG
  // The planted fault takes a repeated packet again.
  assign out_commit_o = data_taken && bulk_q && take_q && answer_out == PidAck;
`else
  assign out_commit_o = data_taken && bulk_q && answer_out == PidAck && fresh;
`endif
  assign control_acked_o = state_q == StAck && is_ack && !bulk_q;
  assign in_acked_o = state_q == StAck && is_ack && bulk_q && open_i;
  assign write_place_o = place_q;
  assign write_data_o = receive_data_i;
  assign read_control_o = !bulk_q;
  assign read_place_o = state_q == StTurn ? LengthPlace : place_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || reset_i) begin
      toggle_out_q <= 1'b0;
      toggle_in_q  <= 1'b0;
    end else begin
      if (clear_out_i) toggle_out_q <= 1'b0;
      else if (out_commit_o) toggle_out_q <= !toggle_out_q;
      if (clear_in_i) toggle_in_q <= 1'b0;
      else if (state_q == StAck && is_ack && bulk_q) toggle_in_q <= !toggle_in_q;
    end
  end

  assign send_valid_o = state_q inside {StPid, StBytes, StCrcLow, StCrcHigh};
  always_comb begin
    unique case (state_q)
      StPid:    send_data_o = {~answer_q, answer_q};
      StBytes:  send_data_o = read_data_i;
      StCrcLow: send_data_o = ~crc_q[7:0];
      default:  send_data_o = ~crc_q[15:8];
    endcase
  end

  `TP_ASSERT(OnePulse_A,
             32'(setup_valid_o) + 32'(out_commit_o) + 32'(control_acked_o) + 32'(in_acked_o) <= 1)
  `TP_ASSERT(Bytes_A, state_q != StBytes || (bytes_q <= 7'(MostBytes) && place_q < bytes_q))
  `TP_ASSERT(TakesFresh_A, !out_commit_o || (take_q && pid_q[3] == toggle_out_q))
  `TP_ASSERT(Silent_A, !(send_valid_o && receive_active_i))
  `TP_COVER(Repeated_C, data_taken && bulk_q && !fresh)
  `TP_COVER(TooLong_C, intact && place_q > 7'(MostBytes + 2))
  `TP_COVER(Late_C, late && state_q == StAck)

endmodule
