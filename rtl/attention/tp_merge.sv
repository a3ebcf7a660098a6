// SPDX-License-Identifier: Apache-2.0
//
// tp_merge: adds the sums of a page to those of the pages before it, in the larger of their units.
//
// In    per query word 32 / Beat beats: Beat elements of the page's mix, and the sums of their lane
//       group.
// Out   the same with all pages so far, 5 cycles later, also kept for the next page.
// Rate  one beat per cycle; a word comes again after 16 cycles at the earliest.
// Not   checks the sums for overflow: 2,048 positions fit (docs/numbers.md, section 6).

`include "tp_assert.svh"

module tp_merge
  import tp_attention_pkg::*;
#(
  parameter  int unsigned QueryWords = 4,
  parameter  int unsigned Beat       = 4,                                        // elements: 4, 2
  localparam int unsigned WordBits   = QueryWords > 1 ? $clog2(QueryWords) : 1,
  localparam int unsigned BeatBits   = $clog2(32 / Beat)
) (
  input  logic                             clk_i,
  input  logic                             rst_ni,
  input  logic                             in_valid_i,   // early
  input  logic                             in_first_i,   // early; first page
  input  logic        [WordBits-1:0]       in_word_i,    // early
  input  logic        [BeatBits-1:0]       in_beat_i,    // early; of the word
  input  logic        [    Beat-1:0][19:0] in_mix_i,     // late; signed
  input  sums_t                            in_page_i,    // late
  output logic                             out_valid_o,  // early
  output logic signed [    Beat-1:0][31:0] out_mix_o,    // early; unit 2^(level - 12)
  output sums_t                            out_total_o   // early; weight's unit 2^(rounded - 12)
);

  localparam int unsigned AddressWidth = WordBits + BeatBits;
  localparam int unsigned Depth = 1 << AddressWidth;
  localparam int unsigned GroupBits = $clog2(8 / Beat);  // beats of a lane group

  // valid_q[i] is high i cycles after in_valid_i.
  logic [             5:1] valid_q;
  logic [AddressWidth-1:0] address;
  logic [AddressWidth-1:0] address_q[1:5];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[4:1], in_valid_i};
  end

  assign address = {in_word_i, in_beat_i};
  always_ff @(posedge clk_i) begin
    address_q[1] <= address;
    for (int unsigned i = 2; i <= 5; i++) address_q[i] <= address_q[i-1];
  end

  // No register below has an enable: what it holds is read in the next cycle only, and an enable
  // would have to reach all of them.

  // ---- 0: fetch the total, 1: the old mix ----
  sums_t                  old_sums;
  sums_t                  total_q4;
  logic  [Beat-1:0][31:0] mix_q4;

  // One entry for each lane group, so all its beats write the same.
  tp_ram #(
    .Width($bits(sums_t)),
    .Depth(Depth >> GroupBits),
    .Distributed(Depth <= 64)
  ) u_sums (
    .clk_i,
    .write_enable_i (valid_q[5]),
    .write_address_i(address_q[5][AddressWidth-1:GroupBits]),
    .write_data_i   (total_q4),
    .read_enable_i  (in_valid_i),
    .read_address_i (address[AddressWidth-1:GroupBits]),
    .read_data_o    (old_sums)
  );

  logic                   first_q;
  logic  [Beat-1:0][19:0] page_mix_q;
  sums_t                  page_sums_q;

  always_ff @(posedge clk_i) begin
    first_q     <= in_first_i;
    page_mix_q  <= in_mix_i;
    page_sums_q <= in_page_i;
  end

  // ---- 1: how far the maxima are apart, both ways round ----
  logic signed [    18:0]       weight_rise_q;
  logic        [    17:0]       weight_fall_q;
  logic signed [    19:0]       mix_rise;
  logic signed [    19:0]       mix_rise_q;
  logic        [    18:0]       mix_fall_q;
  logic                         first_q2;
  logic        [Beat-1:0][19:0] page_mix_q2;
  sums_t                        old_sums_q2;
  sums_t                        page_sums_q2;

  assign mix_rise = 20'(page_sums_q.level) - 20'(old_sums.level);

  always_ff @(posedge clk_i) begin
    weight_rise_q <= 19'(page_sums_q.rounded) - 19'(old_sums.rounded);
    weight_fall_q <= old_sums.rounded - page_sums_q.rounded;
    mix_rise_q    <= mix_rise;
    mix_fall_q    <= old_sums.level - page_sums_q.level;
    first_q2      <= first_q;
    page_mix_q2   <= page_mix_q;
    old_sums_q2   <= old_sums;
    page_sums_q2  <= page_sums_q;
  end

  // ---- 2: which one is shifted, and by how much; 31 shifts everything but the sign out ----
  function automatic logic [4:0] amount(input logic signed [19:0] rise, input logic [18:0] fall);
    logic [18:0] far;
    far    = rise[19] ? fall : rise[18:0];
    amount = far[18:5] != '0 ? 5'd31 : far[4:0];
  endfunction

  logic     [ 4:0] weight_right_q;
  logic     [ 4:0] mix_right;
  logic     [23:0] weight_moved_q;
  logic     [23:0] weight_kept_q;
  rounded_t        rounded_q;
  level_t          level_q;
  logic     [23:0] page_weight;

  assign page_weight = {page_sums_q2.weight[18:0], 5'd0};
  assign mix_right   = amount(mix_rise_q, mix_fall_q);

  // In the first page nothing is shifted: 0 moves.
  always_ff @(posedge clk_i) begin
    weight_right_q <= amount(20'(weight_rise_q), 19'(weight_fall_q));
    rounded_q      <= first_q2 || !weight_rise_q[18] ? page_sums_q2.rounded : old_sums_q2.rounded;
    level_q        <= first_q2 || !mix_rise_q[19] ? page_sums_q2.level : old_sums_q2.level;
    if (first_q2 || !weight_rise_q[18]) begin
      weight_moved_q <= first_q2 ? 24'd0 : old_sums_q2.weight;
      weight_kept_q  <= page_weight;
    end else begin
      weight_moved_q <= page_weight;
      weight_kept_q  <= old_sums_q2.weight;
    end
  end

  // ---- 3: shift, 4: add ----
  logic     [23:0] weight_moved_q2;
  logic     [23:0] weight_kept_q2;
  rounded_t        rounded_q2;
  level_t          level_q2;

  always_ff @(posedge clk_i) begin
    weight_moved_q2  <= weight_moved_q >> weight_right_q;
    weight_kept_q2   <= weight_kept_q;
    rounded_q2       <= rounded_q;
    level_q2         <= level_q;
    total_q4.rounded <= rounded_q2;
    total_q4.level   <= level_q2;
    total_q4.weight  <= weight_moved_q2 + weight_kept_q2;
  end

  // ---- 1 to 4 for each element of the mix, with control registers of its own ----
  for (genvar i = 0; i < int'(Beat); i++) begin : gen_element
    logic        [AddressWidth-1:0] read_address_q;
    logic        [AddressWidth-1:0] write_address_q;
    logic                           write_q;
    logic                           is_first_q2;
    logic                           is_fall_q2;
    logic        [             4:0] right_q;
    logic signed [            31:0] page_q2;
    logic signed [            31:0] old_q2;
    logic signed [            31:0] moved_q;
    logic signed [            31:0] kept_q;
    logic signed [            31:0] moved_q2;
    logic signed [            31:0] kept_q2;

    (* keep *)
    always_ff @(posedge clk_i) begin
      read_address_q  <= address;
      write_address_q <= address_q[4];
      write_q         <= valid_q[4] && rst_ni;
      is_first_q2     <= first_q;
      is_fall_q2      <= mix_rise[19];
      right_q         <= mix_right;
    end

    tp_ram #(
      .Width(32),
      .Depth(Depth),
      .Distributed(Depth <= 64)
    ) u_mix (
      .clk_i,
      .write_enable_i (write_q),
      .write_address_i(write_address_q),
      .write_data_i   (mix_q4[i]),
      .read_enable_i  (1'b1),
      .read_address_i (read_address_q),
      .read_data_o    (old_q2)
    );

    assign page_q2 = 32'($signed({page_mix_q2[i], 5'd0}));

    always_ff @(posedge clk_i) begin
      if (is_first_q2 || !is_fall_q2) begin
        moved_q <= is_first_q2 ? 32'd0 : old_q2;
        kept_q  <= page_q2;
      end else begin
        moved_q <= page_q2;
        kept_q  <= old_q2;
      end
      moved_q2  <= moved_q >>> right_q;
      kept_q2   <= kept_q;
      mix_q4[i] <= moved_q2 + kept_q2;
    end
  end

  assign out_valid_o = valid_q[5];
  assign out_mix_o   = mix_q4;
  assign out_total_o = total_q4;

  logic unused_weight;
  assign unused_weight = ^page_sums_q2.weight[23:19];

  `TP_ASSERT(WeightLegal_A, !out_valid_o || out_total_o.weight >= 24'd4096)
  `TP_ASSERT(WordLegal_A, !in_valid_i || 32'(in_word_i) < QueryWords)
  `TP_COVER(Rise_C, valid_q[2] && !first_q2 && !mix_rise_q[19] && mix_rise_q != '0)
  `TP_COVER(Fall_C, valid_q[2] && !first_q2 && mix_rise_q[19])

endmodule
