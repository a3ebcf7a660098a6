// SPDX-License-Identifier: Apache-2.0
//
// tp_usb_in: a stream of bytes of the core into bulk IN packets of the bus, two packets deep; its
// memory also holds the descriptors.
//
// In    bytes on the core's clock.
// Out   packets: 64 bytes; fewer, when bytes wait and none has come for IdleCycles; none, when the
//       last packet was full and none has come for as long: the end of a large read. On the clock
//       of the bus, a byte for each place, two cycles behind it.
// Rate  a byte a cycle of the core while a packet is filled, three cycles between packets.
// Not   does not send anything.
//
// The memory is as that of tp_usb_out. Behind the two packets, from address 512 on, it holds the
// descriptors of tp_usb_pkg, that of the serial number, and the answers 0 and 1.

`include "tp_assert.svh"

module tp_usb_in
  import tp_usb_pkg::*;
#(
  parameter int unsigned Serial = 0,
  parameter int unsigned IdleCycles = 256
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       open_i,            // early; low is a reset
  input  logic       valid_i,           // early
  output logic       ready_o,           // early
  input  logic [7:0] data_i,            // early
  input  logic       clk_usb_i,
  input  logic       usb_open_i,        // early
  input  logic       usb_clear_i,       // early
  output logic       usb_valid_o,       // early; there is a packet
  input  logic       usb_acked_i,       // late; it is the host's
  input  logic       usb_control_i,     // early; reads a descriptor
  input  logic [8:0] usb_descriptor_i,  // early; where its bytes begin
  input  logic [6:0] usb_place_i,       // early
  output logic [7:0] usb_data_o         // early, but 5.8 ns behind the clock
);

  `TP_REQUIRE(IdleCycles >= 1 && IdleCycles <= 65535)

  localparam logic [6:0] LengthPlace = 7'd127;
  localparam int unsigned Depth = 1024;
  localparam int unsigned Descriptors = 512;
  localparam int unsigned SerialBytes = 2 + 2 * TP_USB_SERIAL_DIGITS;

  // The descriptor of the serial number: length, type, digits in UTF-16.
  function automatic bit [8*SerialBytes-1:0] serial_descriptor();
    serial_descriptor = (8 * SerialBytes)'({8'(TP_USB_DESCRIPTOR_TYPE_STRING), 8'(SerialBytes)});
    for (int unsigned i = 0; i < TP_USB_SERIAL_DIGITS; i++) begin
      bit [3:0] digit = Serial[4*(TP_USB_SERIAL_DIGITS-1-i)+:4];
      serial_descriptor[16+16*i+:8] = (digit < 4'd10 ? 8'h30 : 8'h37) + 8'(digit);
    end
  endfunction

  localparam bit [8*(Depth-Descriptors)-1:0] Constants = (8 * (Depth - Descriptors))'({
    16'd1, 16'd0, serial_descriptor(), TP_USB_DESCRIPTORS
  });

  // ---- core ----

  typedef enum logic [1:0] {
    StWait,   // for room
    StFill,   // takes bytes
    StCommit  // writes their number
  } state_e;

  state_e        state_q;
  state_e        state_d;
  logic   [ 1:0] written;
  logic   [ 1:0] read;
  logic          full;  // both packets wait for the bus
  logic   [ 6:0] place_q;
  logic          full_q;  // the packet before was full
  logic   [15:0] idle_q;
  logic          idle;  // for long enough
  logic          accept;
  logic          write_q;
  logic   [ 7:0] write_address_q;
  logic   [ 7:0] write_data_q;
  logic          commit_q;

  assign full   = written == (read ^ 2'b10);
  assign accept = valid_i && ready_o;
  assign idle   = idle_q == 16'(IdleCycles);

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StWait:  if (!full && !commit_q) state_d = StFill;
      StFill: begin
        if (accept && place_q == 7'(TP_USB_PACKET_BYTES - 1)) state_d = StCommit;
        else if (!accept && idle) state_d = StCommit;
      end
      default: state_d = StWait;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni || !open_i) begin
      state_q  <= StWait;
      ready_o  <= 1'b0;
      place_q  <= '0;
      full_q   <= 1'b0;
      idle_q   <= '0;
      write_q  <= 1'b0;
      commit_q <= 1'b0;
    end else begin
      state_q <= state_d;
      ready_o <= state_d == StFill;
      if (state_q == StCommit) begin
        place_q <= '0;
        full_q  <= place_q[6];
      end else if (accept) begin
        place_q <= place_q + 7'd1;
      end
      if (state_q != StFill || accept || (place_q == '0 && !full_q)) idle_q <= '0;
      else if (!idle) idle_q <= idle_q + 16'd1;
      write_q  <= accept || state_q == StCommit;
      // The packet is the other side's when its number of bytes is written.
      commit_q <= state_q == StCommit;
    end
  end

  always_ff @(posedge clk_i) begin
    write_address_q <= {written[0], state_q == StCommit ? LengthPlace : place_q};
    write_data_q    <= state_q == StCommit ? {1'b0, place_q} : data_i;
  end

  // ---- bus ----

  logic [1:0] usb_written;
  logic [1:0] usb_read;
  logic [9:0] usb_address;

  assign usb_valid_o = usb_open_i && usb_written != usb_read;
  assign usb_address = usb_control_i ? {1'b1, usb_descriptor_i + 9'(usb_place_i)} :
      {2'b00, usb_read[0], usb_place_i};

  // ---- between ----

  tp_usb_count u_written (
    .clk_i        (clk_i),
    .clear_i      (!rst_ni || !open_i),
    .step_i       (commit_q),
    .count_o      (written),
    .clk_other_i  (clk_usb_i),
    .other_count_o(usb_written)
  );

  tp_usb_count u_read (
    .clk_i        (clk_usb_i),
    .clear_i      (usb_clear_i),
    .step_i       (usb_acked_i),
    .count_o      (usb_read),
    .clk_other_i  (clk_i),
    .other_count_o(read)
  );

  tp_ram_crossing #(
    .Width      (8),
    .Depth      (Depth),
    .Initialised(1'b1),
    .Contents   ({Constants, {8 * Descriptors{1'b0}}})
  ) u_ram (
    .clk_write_i    (clk_i),
    .write_enable_i (write_q),
    .write_address_i({2'b00, write_address_q}),
    .write_data_i   (write_data_q),
    .clk_read_i     (clk_usb_i),
    .read_enable_i  (1'b1),
    .read_address_i (usb_address),
    .read_data_o    (usb_data_o)
  );

  `TP_INPUT_RULE(PROVE_TP_USB_IN, InHolds_M, !open_i || !$past(open_i) ||
                 `TP_HOLDS(valid_i, ready_o, data_i))
  `TP_ASSERT(Place_A, place_q <= 7'd64)
  `TP_ASSERT(Room_A, !ready_o || !full)
  `TP_COVER(Short_C, state_q == StCommit && place_q != '0 && !place_q[6])
  `TP_COVER(Empty_C, state_q == StCommit && place_q == '0)

endmodule
