// SPDX-License-Identifier: Apache-2.0
//
// tp_usb_out: bulk OUT packets of the bus into a stream of bytes of the core, two packets deep.
//
// In    bytes of a packet with their place, then commit_i, on the clock of the bus.
// Out   the bytes of committed packets, in order, on the core's clock.
// Rate  a byte in three cycles of the core, four more for a packet.
// Not   does not check anything.
//
// The memory between the clocks holds two packets, each with its number of bytes at LengthPlace.
// A packet crosses when the count of packets does, which is behind its last write.

`include "tp_assert.svh"

module tp_usb_out (
  input  logic       clk_usb_i,
  input  logic       usb_open_i,    // early
  input  logic       usb_clear_i,   // early
  output logic       usb_free_o,    // early; there is room for a packet
  input  logic       usb_write_i,   // late
  input  logic [6:0] usb_place_i,   // early
  input  logic [7:0] usb_data_i,    // early
  input  logic       usb_commit_i,  // late; of usb_place_i - 2 bytes
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       open_i,        // early; low is a reset
  output logic       valid_o,       // early
  input  logic       ready_i,       // late
  output logic [7:0] data_o         // early
);

  localparam logic [6:0] LengthPlace = 7'd127;

  // ---- bus ----

  logic [1:0] usb_written;
  logic [1:0] usb_read;

  // Full is two packets ahead.
  assign usb_free_o = usb_open_i && usb_written != (usb_read ^ 2'b10);

  // ---- core ----

  typedef enum logic [2:0] {
    StWait,        // for a packet
    StReadLength,  // its number of bytes is being read,
    StTakeLength,  // taken into the register of the data: the memory is slow,
    StLength,      // and looked at
    StRead,        // a byte is being read,
    StTake,        // taken
    StGive         // and given
  } state_e;

  state_e       state_q;
  state_e       state_d;
  logic   [1:0] written;
  logic   [1:0] read;
  logic         done;  // with the packet
  logic   [6:0] place_q;
  logic   [6:0] left_q;  // bytes not yet given
  logic   [7:0] read_data;
  logic         read_enable;

  assign read_enable = state_q == StReadLength || state_q == StRead;
  assign done = (state_q == StLength && data_o[6:0] == '0) ||
      (state_q == StGive && ready_i && left_q == 7'd1);

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StWait: if (written != read) state_d = StReadLength;
      StReadLength: state_d = StTakeLength;
      StTakeLength: state_d = StLength;
      StLength: state_d = done ? StWait : StRead;
      StRead: state_d = StTake;
      StTake: state_d = StGive;
      StGive: if (ready_i) state_d = done ? StWait : StRead;
      default: state_d = StWait;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni || !open_i) begin
      state_q <= StWait;
      valid_o <= 1'b0;
    end else begin
      state_q <= state_d;
      valid_o <= state_d == StGive;
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StWait) place_q <= LengthPlace;
    else if (read_enable) place_q <= place_q + 7'd1;
    if (state_q == StLength) left_q <= data_o[6:0];
    else if (state_q == StGive && ready_i) left_q <= left_q - 7'd1;
    if (state_q == StTake || state_q == StTakeLength) data_o <= read_data;
  end

  // ---- between ----

  tp_usb_count u_written (
    .clk_i        (clk_usb_i),
    .clear_i      (usb_clear_i),
    .step_i       (usb_commit_i),
    .count_o      (usb_written),
    .clk_other_i  (clk_i),
    .other_count_o(written)
  );

  tp_usb_count u_read (
    .clk_i        (clk_i),
    .clear_i      (!rst_ni || !open_i),
    .step_i       (done),
    .count_o      (read),
    .clk_other_i  (clk_usb_i),
    .other_count_o(usb_read)
  );

  tp_ram_crossing #(
    .Width(8),
    .Depth(256)
  ) u_ram (
    .clk_write_i    (clk_usb_i),
    .write_enable_i (usb_write_i || usb_commit_i),
    .write_address_i({usb_written[0], usb_commit_i ? LengthPlace : usb_place_i}),
    .write_data_i   (usb_commit_i ? {1'b0, usb_place_i - 7'd2} : usb_data_i),
    .clk_read_i     (clk_i),
    .read_enable_i  (read_enable),
    .read_address_i ({read[0], place_q}),
    .read_data_o    (read_data)
  );

  `TP_ASSERT(OutHolds_A, !open_i || !$past(open_i) || `TP_HOLDS(valid_o, ready_i, data_o))
  `TP_ASSERT(Left_A, state_q != StGive || (left_q >= 7'd1 && left_q <= 7'd64))
  `TP_COVER(Empty_C, done && state_q == StLength)

endmodule
