// SPDX-License-Identifier: Apache-2.0
//
// tp_head_quantise: rows of queries, keys or values to words of 32 codes, an exponent per head.
//
// In    head flow: pairs of adjacent rows, context constant over an instruction. A head of 8, 16 or
//       32 elements is a block; larger heads are blocks of 32. Whole words only.
// Out   word flow, in order; bits equal tp_quantise_block() with the exponents 0..25 for queries,
//       base..base+15 for keys and values. Exponents of heads that a word does not have are 0.
// Rate  one pair per cycle for ever; a word leaves 4 + H / 4 cycles after its last pair, with H the
//       elements of a block: 6, 8 or 12 cycles.
// Not   does not stall: when the head size changes, the first new head must end at least 8 cycles
//       after the last old one.

`include "tp_assert.svh"

module tp_head_quantise (
  input logic clk_i,
  input logic rst_ni,
  input logic head_valid_i,  // early
  input logic [1:0][31:0] head_data_i,  // early; int32
  input tp_pkg::word_context_t head_context_i,  // early
  input logic head_last_i,  // early; last pair of the instruction
  output logic word_valid_o,  // early
  output logic [255:0] word_data_o,  // early; int8, -127..127, element 0 lowest
  output logic [3:0][4:0] word_exponents_o,  // late; by head in the word
  output tp_pkg::word_context_t word_context_o,  // early
  output logic [7:0] word_index_o,  // early; from 0 in each instruction
  output logic word_last_o,  // early; last word of the instruction
  output logic [1:0] clips_o  // early; heads that needed more than the limit
);

  typedef struct packed {
    logic word_end;
    logic last;
    logic [7:0] index;
    logic [1:0] head;
    tp_pkg::word_context_t word_context;
  } tag_t;

  logic [4:0]      element_q;  // of the pair in the word
  logic [7:0]      index_q;
  logic [4:0]      mask;  // elements of a block, minus 1
  logic            block_end;
  logic            is_query;
  logic [4:0]      exponent_min;
  logic [5:0]      exponent_max;
  logic [4:0]      place;
  tag_t            tag_in;
  tag_t            tag_out;
  logic            block_valid;
  logic            unused_next;
  logic [4:0]      block_exponent;
  logic [3:0][4:0] exponents_q;
  logic            clip;

  always_comb begin
    unique case (head_context_i.head_log2)
      3'd3:    mask = 5'd7;
      3'd4:    mask = 5'd15;
      default: mask = 5'd31;
    endcase
  end

  assign block_end           = ((element_q | 5'd1) & mask) == mask;
  assign place               = element_q & ~mask;
  assign is_query            = head_context_i.kind == tp_pkg::WordQuery;
  assign exponent_min        = is_query ? '0 : head_context_i.exponent_base;
  // Nothing needs more than 25, so a limit past 31 is no limit.
  assign exponent_max        = is_query ? 6'd25 : 6'(head_context_i.exponent_base) + 6'd15;

  assign tag_in.word_end     = element_q == 5'd30;
  assign tag_in.last         = head_last_i;
  assign tag_in.index        = index_q;
  assign tag_in.head         = mask[4] ? 2'd0 : mask[3] ? {1'b0, element_q[4]} : element_q[4:3];
  assign tag_in.word_context = head_context_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      element_q <= '0;
      index_q   <= '0;
    end else if (head_valid_i) begin
      element_q <= element_q + 5'd2;
      if (head_last_i) index_q <= '0;
      else if (tag_in.word_end) index_q <= index_q + 8'd1;
    end
  end

  tp_quantise_core #(
    .Lanes   (2),
    .TagWidth($bits(tag_t))
  ) u_core (
    .clk_i         (clk_i),
    .rst_ni        (rst_ni),
    .in_valid_i    (head_valid_i),
    .in_data_i     (head_data_i),
    .in_element_i  (element_q & mask),
    .in_end_i      (block_end),
    .in_last_quad_i(mask[4:2]),
    .in_place_i    (place[4:2]),
    .in_wait_i     (3'd0),
    .in_min_i      (exponent_min),
    .in_max_i      (exponent_max > 6'd31 ? 5'd31 : exponent_max[4:0]),
    .in_tag_i      (tag_in),
    .next_valid_o  (unused_next),
    .out_valid_o   (block_valid),
    .out_data_o    (word_data_o),
    .out_exponent_o(block_exponent),
    .out_tag_o     (tag_out),
    .clip_o        (clip)
  );

  // The exponents of the earlier heads of a word wait for its last one. None is left over from the
  // word before, because the first head of a word clears the others.
  always_comb begin
    for (int unsigned i = 0; i < 4; i++) begin
      word_exponents_o[i] = tag_out.head == '0 ? '0 : exponents_q[i];
      if (tag_out.head == 2'(i)) word_exponents_o[i] = block_exponent;
    end
  end

  always_ff @(posedge clk_i) if (block_valid) exponents_q <= word_exponents_o;

`ifdef TP_PLANT_BUG
  // The planted fault ends an instruction at its second word.
  assign word_last_o = tag_out.last || tag_out.index == 8'd1;
`else
  assign word_last_o = tag_out.last;
`endif
  assign word_valid_o   = block_valid && tag_out.word_end;
  assign word_context_o = tag_out.word_context;
  assign word_index_o   = tag_out.index;
  assign clips_o        = {1'b0, clip};

  logic unused_place;
  assign unused_place = ^place[1:0];

  `TP_ASSERT(WholeWords_A, !(head_valid_i && head_last_i) || tag_in.word_end)
  `TP_ASSERT(HeadSize_A, !head_valid_i || head_context_i.head_log2 >= 3'd3)
  `TP_ASSERT(IndexFits_A, !(head_valid_i && tag_in.word_end && !head_last_i) || index_q != 8'hff)

endmodule
