// SPDX-License-Identifier: Apache-2.0
//
// tp_quantise: a vector to blocks of 32 elements of 8 bits with a shared exponent.
//
// In    beats of Lanes adjacent elements of one vector; in_last ends it. Slot and cap are constant
//       over a vector. A short last block is filled up with zeros.
// Out   block flow, in order; bits equal tp_quantise_block() with the exponents 0..cap.
// Rate  one beat per cycle for ever; a block leaves 12 cycles after its last beat, a last block of
//       fewer than 8 beats 20 - beats cycles after it.
// Not   does not stall: the block after one of fewer than 8 beats ends at least 16 - beats cycles
//       after it. With 1 or 2 lanes a full block keeps this by itself; with 4 lanes a vector with
//       such an end needs 8 - beats idle cycles behind it.

`include "tp_assert.svh"

module tp_quantise #(
  parameter int unsigned Lanes = 4  // elements of a beat: 1, 2, 4
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic                   in_valid_i,        // early
  input  logic [Lanes-1:0][31:0] in_data_i,         // early; int32
  input  logic                   in_last_i,         // early; last beat of the vector
  input  logic [      2:0]       in_slot_i,         // early
  input  logic [      4:0]       in_cap_i,          // early; largest exponent, X of the edge
  output logic                   block_valid_o,     // early
  output logic [      2:0]       block_slot_o,      // early
  output logic [      7:0]       block_index_o,     // early; from 0 in each vector
  output logic [    255:0]       block_data_o,      // early; int8, -127..127, element 0 lowest
  output logic [      4:0]       block_exponent_o,  // early; 0..25
  output logic                   block_last_o,      // early; last block of the vector
  output logic                   end_next_o,        // late; the next cycle brings such a block
  output logic [      1:0]       clips_o            // early; blocks that needed more than the cap
);

  logic [4:0] element_q;
  logic [7:0] index_q;
  logic       block_end;
  logic       clip;
  logic       next_valid;

  assign block_end = in_last_i || element_q == 5'(32 - Lanes);

  // A block takes 8 cycles to convert. One of fewer beats waits as if it had had 8, so that it does
  // not run into the block before it.
  logic [5:0] beats;
  logic [2:0] short_wait;
  assign beats      = 6'(32'(element_q) / Lanes) + 6'd1;
  assign short_wait = beats < 6'd8 ? 3'(6'd8 - beats) : '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      element_q <= '0;
      index_q   <= '0;
    end else if (in_valid_i) begin
      element_q <= block_end ? '0 : element_q + 5'(Lanes);
      if (in_last_i) index_q <= '0;
      else if (block_end) index_q <= index_q + 8'd1;
    end
  end

  tp_quantise_core #(
    .Lanes   (Lanes),
    .TagWidth(12)
  ) u_core (
    .clk_i         (clk_i),
    .rst_ni        (rst_ni),
    .in_valid_i    (in_valid_i),
    .in_data_i     (in_data_i),
    .in_element_i  (element_q),
    .in_end_i      (block_end),
    .in_last_quad_i(3'd7),
    .in_place_i    (3'd0),
    .in_wait_i     (short_wait),
    .in_min_i      (5'd0),
    .in_max_i      (in_cap_i),
    .in_tag_i      ({in_last_i, in_slot_i, index_q}),
    .next_valid_o  (next_valid),
    .out_valid_o   (block_valid_o),
    .out_data_o    (block_data_o),
    .out_exponent_o(block_exponent_o),
    .out_tag_o     ({block_last_o, block_slot_o, block_index_o}),
    .clip_o        (clip)
  );

  assign clips_o = {1'b0, clip};

  // A block has eight quads: its tag stands since the first of them.
  assign end_next_o = next_valid && block_last_o;

  `TP_ASSERT(IndexFits_A, !(in_valid_i && block_end && !in_last_i) || index_q != 8'hff)
  `TP_COVER(ShortBlock_C, in_valid_i && in_last_i && element_q != 5'(32 - Lanes))

endmodule
