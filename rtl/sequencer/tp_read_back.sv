// SPDX-License-Identifier: Apache-2.0
//
// tp_read_back: reads words of the memories bit by bit, for their checksum or to be sent.
//
// In    what tp_commands asks for; one bit of the memories, 8 cycles behind its number.
// Out   when the next address is needed; which bit of the word at it is meant.
// Rate  a word in 51 cycles: 3 for its address, 8 for the memory, 32 for the bits, 8 for the way of
//       the last one.
// Not   holds no address: tp_commands does, and begins anew with the first for sending.

`include "tp_assert.svh"

module tp_read_back
  import tp_link_pkg::*;
(
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        sum_i,      // early; until the end: words of count_i are read for their sum
  input  logic [15:0] count_i,    // early; not 0
  input  logic        finish_i,   // early; with sum_i: the sum is wanted in word_o
  input  logic        send_i,     // early; until the end: a word is wanted in word_o
  input  logic        take_i,     // late; word_o was taken, the next is wanted
  input  logic        beyond_i,   // early; two cycles behind advance_o: the space ends before
  output logic        read_o,     // early; the memories are read
  output logic        advance_o,  // late; to the next address
  output logic        done_o,     // late; for one cycle: ends sum_i
  output logic        fail_o,     // late; for one cycle: ends sum_i, the space is too short
  output logic        valid_o,    // early; with send_i: word_o is what is wanted
  output logic [31:0] word_o,     // early
  output logic [ 4:0] bit_o,      // early; number of the bit
  input  logic        bit_i       // early; the bit of number bit_o of 7 cycles before
);

  // In a word: looks if there is one at Look, then reads; numbers of bits from 24 on, bits from
  // 32 on.
  localparam logic [5:0] First = 6'd13;
  localparam logic [5:0] Look = 6'd15;
  localparam logic [5:0] Bits = 6'd32;

  logic [ 5:0] tick_q;
  logic [15:0] number_q;  // of the word, from 1 on
  logic        last_q;  // it is the last one
  logic        summing_q;  // the sum moves into word_o
  logic        valid_q;
  logic        bit_q;
  logic [31:0] crc_q;
  logic [31:0] word_q;
  logic        reading;
  logic        look;
  logic        end_tick;
  logic        word_end;
  logic        feedback;

  assign reading  = (sum_i && !summing_q) || (send_i && !valid_q);
  assign end_tick = tick_q == 6'd63;
  assign look     = reading && tick_q == Look;
  assign word_end = reading && end_tick;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      tick_q    <= First;
      summing_q <= 1'b0;
      valid_q   <= 1'b0;
    end else begin
      if (word_end && sum_i && last_q) tick_q <= Bits;
      else if ((!reading && !summing_q) || end_tick) tick_q <= First;
      else tick_q <= tick_q + 6'd1;
      if (end_tick) summing_q <= word_end && sum_i && last_q && finish_i;
      valid_q <= send_i && (valid_q ? !take_i : end_tick);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!sum_i) number_q <= 16'd1;
    else if (word_end) number_q <= number_q + 16'd1;
    last_q <= number_q == count_i;
  end

  assign bit_o     = {tick_q[4:3] + 2'd1, tick_q[2:0]};
  assign read_o    = reading && tick_q[5:4] != '0;
  assign advance_o = (word_end && sum_i) || (valid_q && take_i);
  assign fail_o    = look && sum_i && beyond_i;
  assign done_o    = sum_i && end_tick && (summing_q || (last_q && !finish_i));
  assign valid_o   = valid_q;
  assign word_o    = word_q;

  // ---- the sum ----

  // While it moves out nothing comes in.
`ifdef TP_PLANT_BUG
  // The planted fault takes every bit for 0.
  assign feedback = crc_q[0] && !summing_q;
`else
  assign feedback = (crc_q[0] ^ bit_q) && !summing_q;
`endif

  always_ff @(posedge clk_i) begin
    bit_q <= bit_i;
    if (!sum_i) crc_q <= CrcStart;
    else if (tick_q[5]) crc_q <= crc32_shift(crc_q, feedback);
    if (tick_q[5]) word_q <= {summing_q ? !crc_q[0] : bit_q, word_q[31:1]};
  end

  `TP_ASSERT(OneOfBoth_A, !(sum_i && send_i))
  `TP_ASSERT(TakesWhatIsThere_A, !take_i || valid_q)
  `TP_COVER(Fail_C, fail_o)
  `TP_COVER(Sum_C, summing_q && end_tick)
  `TP_COVER(Sent_C, valid_q && take_i)

endmodule
