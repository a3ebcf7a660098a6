// SPDX-License-Identifier: Apache-2.0
//
// tp_quantise_core: blocks of up to 32 elements to 8 bits with one shared exponent each.
//
// In    beats of Lanes adjacent elements; the user counts them and marks the end of a block.
// Out   the codes of a block at their place in a 32-element word; bits equal tp_quantise_block().
// Rate  one beat per cycle for ever; converts one quad (4 elements) a cycle. A block with its last
//       beat in cycle t is in out_data_o in cycle t + 4 + quads + wait, for this one cycle.
// Not   does not stall: the conversion of a block must end before that of the next one begins. Full
//       blocks keep this by themselves with any Lanes, short ones with the help of in_wait_i.
//
// Two halves of a small RAM: one fills while the other is converted. The largest magnitude is not
// needed, only its size in bits, which is that of the OR of all magnitudes.

`include "tp_assert.svh"

module tp_quantise_core #(
  parameter int unsigned Lanes = 4,  // elements of a beat: 1, 2, 4
  parameter int unsigned TagWidth = 1  // bits that travel with a block
) (
  input logic clk_i,
  input logic rst_ni,
  input logic in_valid_i,  // early
  input logic [Lanes-1:0][31:0] in_data_i,  // early; int32
  input logic [4:0] in_element_i,  // early; index of lane 0 in the block
  input logic in_end_i,  // early; last beat of the block
  // With the last beat:
  input logic [2:0] in_last_quad_i,  // early; quads to convert, minus 1
  input logic [2:0] in_place_i,  // early; quad of the word where the block begins
  input logic [2:0] in_wait_i,  // early; cycles to wait before the conversion
  input logic [4:0] in_min_i,  // early; smallest exponent, 0..25
  input logic [4:0] in_max_i,  // early; largest exponent
  input logic [TagWidth-1:0] in_tag_i,  // early
  output logic next_valid_o,  // late; a block will be complete in the next cycle
  output logic out_valid_o,  // early; the block is complete
  output logic [255:0] out_data_o,  // early; int8, -127..127, element 0 lowest
  output logic [4:0] out_exponent_o,  // early
  output logic [TagWidth-1:0] out_tag_o,  // early
  output logic clip_o  // early; a block needed more than in_max_i
);

  `TP_REQUIRE(Lanes == 1 || Lanes == 2 || Lanes == 4)

  // ---- fill: write the RAM, collect the magnitudes ----

  logic                   half_q;  // half that fills
  logic [Lanes-1:0][31:0] data_q;
  logic [     31:7]       any_q;  // OR of the magnitudes of the block so far, a cycle behind
  logic [     31:0]       any_beat;
  logic                   valid_q;
  logic                   first_q;
  logic                   end_q;
  logic                   end_q2;
  logic                   launch;  // the next cycle begins to convert
  logic                   start_q;
  logic [      2:0]       delay_q;
  logic [      2:0]       wait_q;
  logic [      3:0][31:0] bank_data;  // quad of the half that converts

  logic                   read_now;
  logic [      2:0]       read_quad;

  // State of a block, handed from stage to stage when its first quad moves on.
  logic half_end_q, half_end_q2;
  logic [2:0] last_quad_q, last_quad_q2;
  logic [5:0] count_q, count_q2;  // elements of the block; the rest of its quads is 0
  logic [2:0] place_q, place_q2, place_q3, place_q4;
  logic [4:0] min_q, max_q, max_q2;
  logic [TagWidth-1:0] tag_q, tag_q2, tag_q3, tag_q4, tag_q5;

  for (genvar bank = 0; bank < 4; bank++) begin : gen_bank
    logic mine;
    assign mine = 32'(in_element_i[1:0]) / Lanes == bank / Lanes;
    tp_ram_async #(
      .Width(32),
      .Depth(16)
    ) u_ram (
      .clk_i          (clk_i),
      .write_enable_i (in_valid_i && mine),
      .write_address_i({half_q, in_element_i[4:2]}),
      .write_data_i   (in_data_i[bank%Lanes]),
      .read_address_i ({half_end_q2, read_quad}),
      .read_data_o    (bank_data[bank])
    );
  end

  assign launch = (end_q && wait_q == '0) || delay_q == 3'd1;

  // The magnitudes begin from a register of their own: the elements come from far away.
  logic [Lanes-1:0][31:0] magnitude;
  for (genvar lane = 0; lane < int'(Lanes); lane++) begin : gen_magnitude
    tp_magnitude u_magnitude (
      .value_i    (data_q[lane]),
      .magnitude_o(magnitude[lane])
    );
  end

  always_comb begin
    any_beat = '0;
    for (int unsigned lane = 0; lane < Lanes; lane++) any_beat |= magnitude[lane];
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      half_q  <= 1'b0;
      valid_q <= 1'b0;
      end_q   <= 1'b0;
      end_q2  <= 1'b0;
      start_q <= 1'b0;
      delay_q <= '0;
    end else begin
      valid_q <= in_valid_i;
      end_q   <= in_valid_i && in_end_i;
      end_q2  <= end_q;
      start_q <= launch;
      if (end_q) delay_q <= wait_q;
      else if (delay_q != '0) delay_q <= delay_q - 3'd1;
      if (in_valid_i && in_end_i) half_q <= !half_q;
    end
  end

  always_ff @(posedge clk_i) begin
    data_q  <= in_data_i;
    first_q <= in_element_i == '0;
    if (valid_q) any_q <= any_beat[31:7] | (first_q ? '0 : any_q);
    if (in_valid_i && in_end_i) begin
      half_end_q  <= half_q;
      wait_q      <= in_wait_i;
      last_quad_q <= in_last_quad_i;
      count_q     <= 6'(in_element_i) + 6'(Lanes);
      place_q     <= in_place_i;
      min_q       <= in_min_i;
      max_q       <= in_max_i;
      tag_q       <= in_tag_i;
    end
  end

  // ---- exponent: bits of the OR, within the limits ----

  // Bits of a magnitude that are too much for the largest exponent: from bit 7 + max on.
  function automatic logic [31:7] past_bits(input logic [4:0] exponent_max);
    past_bits = 25'h1ff_ffff << exponent_max;
  endfunction

  logic [31:7] any_hold_q;  // of a block that waits
  logic [31:7] any;
  logic        asks_past;  // the block asks for more than the largest exponent
  logic [31:7] floor_q;  // the bit that asks for the smallest exponent, if that is not 0
  logic [31:7] past_q2;
  logic [30:7] past_q3;
  logic [ 4:0] exponent;
  logic [ 4:0] exponent_q;  // while the block shifts
  logic [ 4:0] exponent_q2;
  logic [ 4:0] exponent_q3;
  logic        clip_q;

  assign any = end_q2 ? any_q : any_hold_q;
  assign asks_past = |(any & past_q2);

  // Limits are bits beside those of the elements: no comparison behind their encoding.
  always_comb begin
    exponent = '0;
    for (int unsigned i = 7; i < 32; i++) begin
      if ((any[i] && !past_q2[i]) || floor_q[i]) exponent = 5'(i - 6);
    end
    if (asks_past) exponent = max_q2;
  end

  always_ff @(posedge clk_i) begin
    if (end_q2) any_hold_q <= any_q;
    if (launch) begin
      half_end_q2  <= half_end_q;
      last_quad_q2 <= last_quad_q;
      count_q2     <= count_q;
      place_q2     <= place_q;
      floor_q      <= 25'((26'd1 << min_q) >> 1);
      max_q2       <= max_q;
      past_q2      <= past_bits(max_q);
      tag_q2       <= tag_q;
    end
  end

  // ---- convert: read a quad, shift it, round and clip it into its place ----

  // Nine bits from half a step on, all that a code that fits needs: bits e - 1 .. e + 7 of x. One
  // narrowing step per bit of e takes a third of the LUTs of a whole shifter.
  function automatic logic [8:0] window(input logic [31:0] x, input logic [4:0] e);
    logic [39:0] whole;
    logic [23:0] by_16;
    logic [15:0] by_8;
    logic [11:0] by_4;
    logic [ 9:0] by_2;
    whole  = {{7{x[31]}}, x, 1'b0};
    by_16  = e[4] ? whole[39:16] : whole[23:0];
    by_8   = e[3] ? by_16[23:8] : by_16[15:0];
    by_4   = e[2] ? by_8[15:4] : by_8[11:0];
    by_2   = e[1] ? by_4[11:2] : by_4[9:0];
    window = e[0] ? by_2[9:1] : by_2[8:0];
  endfunction

  function automatic logic is_past(input logic [31:7] x, input logic [30:7] bits);
    is_past = |((x[30:7] ^{24{x[31]}}) & bits);
  endfunction

  logic       read_busy_q;
  logic [2:0] read_quad_q;
  logic shift_valid_q, shift_first_q, shift_last_q;
  logic [2:0]       shift_quad_q;
  logic [3:0][31:0] shift_data_q;
  logic [3:0]       shift_keep_q;
  logic clip_valid_q, clip_first_q, clip_last_q;
  logic [2:0]       clip_quad_q;
  logic [3:0][ 8:0] clip_data_q;  // signed, one fraction bit; right unless past
  logic [3:0]       clip_sign_q;
  logic [3:0]       clip_past_q;  // an element that the largest exponent cannot hold
  logic [3:0]       clip_keep_q;
  logic [3:0][ 7:0] code;
  logic [7:0][31:0] word_q;
  logic             out_valid_q;
  logic             read_last;
  logic [2:0]       word_quad;

  assign read_now  = start_q || read_busy_q;
  assign read_quad = start_q ? '0 : read_quad_q;
  assign read_last = read_quad == last_quad_q2;
  assign word_quad = place_q4 + clip_quad_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      read_busy_q   <= 1'b0;
      shift_valid_q <= 1'b0;
      clip_valid_q  <= 1'b0;
      out_valid_q   <= 1'b0;
      clip_q        <= 1'b0;
    end else begin
      read_busy_q   <= read_now && !read_last;
      shift_valid_q <= read_now;
      clip_valid_q  <= shift_valid_q;
      out_valid_q   <= next_valid_o;
      clip_q        <= start_q && asks_past;
    end
  end

  always_ff @(posedge clk_i) begin
    if (read_now) begin
      read_quad_q   <= read_quad + 3'd1;
      shift_first_q <= start_q;
      shift_last_q  <= read_last;
      shift_quad_q  <= read_quad;
      shift_data_q  <= bank_data;
      for (int unsigned lane = 0; lane < 4; lane++) begin
        shift_keep_q[lane] <= {1'b0, read_quad, 2'(lane)} < count_q2;
      end
    end
    if (start_q) begin
      exponent_q <= exponent;
      past_q3    <= past_q2[30:7];
      place_q3   <= place_q2;
      tag_q3     <= tag_q2;
    end
  end

  always_ff @(posedge clk_i) begin
    if (shift_valid_q) begin
      clip_first_q <= shift_first_q;
      clip_last_q  <= shift_last_q;
      clip_quad_q  <= shift_quad_q;
      clip_keep_q  <= shift_keep_q;
      for (int unsigned lane = 0; lane < 4; lane++) begin
        clip_data_q[lane] <= window(shift_data_q[lane], exponent_q);
        clip_sign_q[lane] <= shift_data_q[lane][31];
        clip_past_q[lane] <= is_past(shift_data_q[lane][31:7], past_q3);
      end
      if (shift_first_q) begin
        exponent_q2 <= exponent_q;
        place_q4    <= place_q3;
        tag_q4      <= tag_q3;
      end
    end
  end

  // (v + 1) >> 1 is past 127 from v = 255 on, and past -127 down from v = -256. Missing elements of
  // a short block are 0.
  always_comb begin
    for (int unsigned lane = 0; lane < 4; lane++) begin
      logic past;
      past = clip_past_q[lane] || clip_data_q[lane] == 9'h0ff || clip_data_q[lane] == 9'h100;
`ifdef TP_PLANT_BUG
      // The planted fault lets the code -128 through.
      past = clip_past_q[lane] || clip_data_q[lane] == 9'h0ff;
`endif
      code[lane] = 8'((clip_data_q[lane] + 9'd1) >> 1);
      if (past) code[lane] = clip_sign_q[lane] ? 8'h81 : 8'h7f;
      if (!clip_keep_q[lane]) code[lane] = '0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (clip_valid_q) begin
      for (int unsigned quad = 0; quad < 8; quad++) begin
        if (word_quad == 3'(quad)) word_q[quad] <= code;
      end
      if (clip_first_q) begin
        exponent_q3 <= exponent_q2;
        tag_q5      <= tag_q4;
      end
    end
  end

  assign next_valid_o   = clip_valid_q && clip_last_q;
  assign out_valid_o    = out_valid_q;
  assign out_data_o     = word_q;
  assign out_exponent_o = exponent_q3;
  assign out_tag_o      = tag_q5;
  assign clip_o         = clip_q;

  `TP_ASSERT(BlocksApart_A, !(start_q && read_busy_q))
  `TP_ASSERT(WaitsAlone_A, !(end_q && delay_q != '0))
  `TP_ASSERT(MinLegal_A, !(in_valid_i && in_end_i) || in_min_i <= 5'd25)
  `TP_ASSERT(ElementAligned_A, !in_valid_i || 32'(in_element_i) % Lanes == 0)
  `TP_COVER(BackToBack_C, start_q && shift_valid_q && shift_last_q)
  `TP_COVER(Clip_C, clip_q)

endmodule
