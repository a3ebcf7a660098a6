// SPDX-License-Identifier: Apache-2.0
//
// tp_attention_scan: walks over the chunks of one attention: pages, in them columns, in them steps.
//
// In    a start pulse; the limits, constant while it walks.
// Out   from the cycle after start, without gaps: 16 steps for each (page, KV head group, turn,
//       part). Part: word of a head above 32, half of a word with Halves, otherwise 0.
// Not   multiplies: the column is counted along.

`include "tp_assert.svh"

module tp_attention_scan #(
  parameter int unsigned ColumnBits = 2,
  parameter bit          WideHeads  = 1'b0,  // 0: last_part_i is 0
  parameter bit          Halves     = 1'b0   // without WideHeads
) (
  input logic clk_i,
  input logic rst_ni,
  input logic start_i,  // early
  input logic [15:0] position_i,  // early; the last one
  input logic [7:0] words_i,  // early; 1..255
  input logic [7:0] turns_i,  // early; 1..255
  input logic [1:0] last_part_i,  // early; words of a head, minus 1: 0, 1, 3
  output logic valid_o,  // early
  output logic [3:0] step_o,  // early
  output logic [11:0] page_o,  // early
  output logic [7:0] word_o,  // early
  output logic [1:0] part_o,  // early
  output logic [ColumnBits-1:0] column_o,  // early; (group * turns + turn) * words of a head + word
  output logic first_page_o,  // late
  output logic last_page_o,  // late
  output logic last_chunk_o  // early; from step 2 on
);

  logic                  valid_q;
  logic [           3:0] step_q;
  logic [          11:0] page_q;
  logic [           7:0] word_q;  // first of the head group
  logic [           1:0] part_q;
  logic [           7:0] turn_q;
  logic [ColumnBits-1:0] column_q;
  logic [           1:0] part;
  logic                  last_part;
  logic                  last_turn_q;
  logic                  last_word_q;
  logic                  last_chunk_q;
  logic                  last_page;

  assign part      = WideHeads || Halves ? part_q : 2'd0;
  assign last_part = Halves ? part_q[0] : !WideHeads || part_q == last_part_i;
  assign last_page = page_q == position_i[15:4];

  // What they look at stays for 16 steps, and they are asked at the last one.
  always_ff @(posedge clk_i) begin
    last_turn_q  <= turn_q + 8'd1 == turns_i && last_part;
    last_word_q  <= word_q + 8'(last_part_i) + 8'd1 == words_i;
    last_chunk_q <= last_page && last_word_q && last_turn_q;
  end

  assign valid_o      = valid_q;
  assign step_o       = step_q;
  assign page_o       = page_q;
  assign word_o       = Halves ? word_q : word_q | 8'(part);
  assign part_o       = part;
  assign column_o     = column_q;
  assign first_page_o = page_q == '0;
  assign last_page_o  = last_page;
  assign last_chunk_o = last_chunk_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= 1'b0;
    else if (start_i) valid_q <= 1'b1;
    else if (valid_q && step_q == 4'd15 && last_chunk_o) valid_q <= 1'b0;
  end

  always_ff @(posedge clk_i) begin
    if (start_i) begin
      step_q   <= '0;
      page_q   <= '0;
      word_q   <= '0;
      turn_q   <= '0;
      part_q   <= '0;
      column_q <= '0;
    end else if (valid_q) begin
      step_q <= step_q + 4'd1;
      if (step_q == 4'd15) begin
        part_q <= last_part ? '0 : part_q + 2'd1;
        if (!Halves || last_part) begin
          column_q <= last_turn_q && last_word_q ? '0 : column_q + 1'b1;
        end
        if (last_part) turn_q <= last_turn_q ? '0 : turn_q + 8'd1;
        if (last_turn_q) word_q <= last_word_q ? '0 : word_q + 8'(last_part_i) + 8'd1;
        if (last_turn_q && last_word_q) page_q <= page_q + 12'd1;
      end
    end
  end

  logic unused_position;
  assign unused_position = ^position_i[3:0];

  `TP_REQUIRE(!(WideHeads && Halves))

  `TP_ASSERT(StartWhenIdle_A, !(start_i && valid_q))
  `TP_ASSERT(WholeHeads_A, !valid_q || (word_q & 8'(last_part_i)) == '0)
  `TP_ASSERT(Parts_A, !valid_q || last_part_i == 2'd0 || (WideHeads && last_part_i != 2'd2))

endmodule
