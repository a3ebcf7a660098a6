// SPDX-License-Identifier: Apache-2.0
//
// tp_attention: unit of opcode ATTENTION; attention of one slot's queries over its KV cache.
//
// In    commands; query words (flow) into its own buffer; K and V rows from tp_kv, latency 4.
// Out   one quantised block per query word, in query order (block flow); bits equal those of
//       tp_attention() and tp_quantise_block() with the exponents 0..cap.
// Rate  16 cycles for each page and column; done 16 * columns * pages + 80 cycles after the
//       command, 8 less with one set, 16 or 48 more with heads of 64 or 128; with 16 lanes 32 *
//       columns * pages + 72. Free again in the next cycle.
// Not   takes no command before it is done, no head size but powers of two from 8 to 2^HeadLog2Max,
//       and no second set but with 64 lanes.
//
// Three stages follow each other chunk by chunk, a chunk being the 16 positions of a page for one
// column of queries (two words with two sets): scores and maxima, then weights and mix, then merge.
// In the last page the merged sums go straight on to the normaliser and the quantiser. Positions
// after the current one are read and masked.
//
// A head of 64 or 128 elements takes 2 or 4 chunks, one for each of its words. Its scores are
// complete with the last one, so that the mix of its first word follows 2 or 4 chunks behind the
// scores instead of one.
//
// With 16 lanes a word takes two chunks, one for each half, which come one after the other; its
// heads are of 8 or 16 elements, so that none lies in both.

`include "tp_assert.svh"

module tp_attention
  import tp_attention_pkg::*;
#(
  parameter int unsigned Slots = 4,
  parameter int unsigned QueryWords = 4,
  parameter int unsigned ColumnsMax = 4,
  parameter int unsigned HeadLog2Max = 5,
  parameter int unsigned Lanes = 64,  // 64: two query sets; 32: one; 16: one, words in halves
  parameter int unsigned HardGroups = 0  // groups of 8 products of the mix in hard multipliers
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  // commands
  output logic                          free_o,             // early
  input  logic                          cmd_valid_i,        // late
  input  tp_pkg::command_t              cmd_i,              // late
  output logic                          done_valid_o,       // early
  output logic             [  2:0]      done_slot_o,        // early
  // query words: 32 int8, element 0 lowest; exponents of the heads in the word
  input  logic                          query_valid_i,      // early
  input  logic             [  2:0]      query_slot_i,       // early
  input  logic             [  7:0]      query_index_i,      // early
  input  logic             [255:0]      query_data_i,       // early
  input  logic             [  3:0][4:0] query_exponents_i,  // early
  // K and V rows, 4 cycles after their request
  output logic                          key_valid_o,        // early
  output logic             [  2:0]      key_slot_o,         // early
  output logic             [ 15:0]      key_position_o,     // early
  output logic             [ 23:0]      key_base_o,         // early
  output logic             [  7:0]      key_word_o,         // early
  input  logic             [255:0]      key_data_i,         // early
  input  logic             [  3:0][7:0] key_exponents_i,    // early
  output logic                          value_valid_o,      // early
  output logic             [  2:0]      value_slot_o,       // early
  output logic             [ 15:0]      value_position_o,   // early
  output logic             [ 23:0]      value_base_o,       // early
  output logic             [  7:0]      value_word_o,       // early
  input  logic             [255:0]      value_data_i,       // early
  // block flow
  output logic                          block_valid_o,      // early
  output logic             [  2:0]      block_slot_o,       // early
  output logic             [  7:0]      block_index_o,      // early
  output logic             [255:0]      block_data_o,       // early
  output logic             [  4:0]      block_exponent_o,   // early
  // counters
  output logic             [  3:0]      saturations_o,      // early
  output logic             [  1:0]      clips_o             // early
);

  localparam int unsigned QuerySets = Lanes == 64 ? 2 : 1;
  localparam int unsigned Groups = Lanes == 16 ? 2 : 4;  // of 8 lanes, in a set
  localparam bit Halves = Lanes == 16;
  localparam int unsigned Beat = Halves ? 2 : 4;  // sums that are merged and normalised at a time
  // Cycles from the first K request to the first V request, and to the first merge.
  localparam int unsigned ValueDelay = 28;
  localparam int unsigned MergeDelay = 52;
  localparam int unsigned SlotBits = Slots > 1 ? $clog2(Slots) : 1;
  localparam int unsigned ColumnBits = ColumnsMax > 1 ? $clog2(ColumnsMax) : 1;
  localparam bit WideHeads = HeadLog2Max > 5;
  localparam int unsigned WordBits = QueryWords > 1 ? $clog2(QueryWords) : 1;

  `TP_REQUIRE(Slots >= 1 && Slots <= tp_map_pkg::TP_SLOTS_MAX)
  `TP_REQUIRE(QueryWords >= 1 && QueryWords <= 256)
  `TP_REQUIRE(ColumnsMax >= 1 && ColumnsMax <= QueryWords)
  `TP_REQUIRE(HeadLog2Max >= 4 && HeadLog2Max <= 7)
  `TP_REQUIRE(Lanes == 64 || Lanes == 32 || (Lanes == 16 && HeadLog2Max == 4))

  // What the lanes of a set take of a word.
  function automatic logic [64*Groups-1:0] lanes_of(input logic [255:0] word, input logic half);
    lanes_of = half ? word[255:256-64*Groups] : word[64*Groups-1:0];
  endfunction

  // ---- command ----
  tp_map_pkg::attention_t                  instruction;
  logic                                    accept;
  logic                                    busy_q;
  logic                                    done_q;
  logic                   [           2:0] slot_q;
  logic                   [          15:0] position_q;
  logic                                    sets_q;
  logic signed            [           7:0] shift_q;
  logic                   [           7:0] words_q;
  logic                   [           7:0] turns_q;
  logic                   [           4:0] cap_q;
  logic                   [           2:0] head_log2_q;
  logic                   [           4:0] key_base_q;
  logic                   [           4:0] value_base_q;
  logic                   [          23:0] kv_base_q;
  logic                   [MergeDelay-1:0] start_q;  // bit i: i cycles after the first K request
                                                     // of the last word of a head
  logic                   [           1:0] last_part_q;
  logic                                    start_last_part;

  assign instruction = tp_map_pkg::attention_t'(cmd_i.instruction);
  assign accept      = cmd_valid_i && free_o;
  assign free_o      = !busy_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      busy_q  <= 1'b0;
      start_q <= '0;
    end else begin
      if (accept) busy_q <= 1'b1;
      else if (done_q) busy_q <= 1'b0;
      if (accept || busy_q) start_q <= {start_q[MergeDelay-2:0], start_last_part};
    end
  end

  if (WideHeads) begin : gen_wide_start
    logic [47:0] wait_q;  // bit i: i cycles after the first K request
    logic [ 1:0] parts_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) wait_q <= '0;
      else if (accept || busy_q) wait_q <= {wait_q[46:0], accept};
      if (accept) parts_q <= last_part_of(instruction.head_log2);
    end
    assign last_part_q = parts_q;
    assign start_last_part = (accept && instruction.head_log2 <= 3'd5) ||
        (wait_q[15] && parts_q == 2'd1) || (wait_q[47] && parts_q == 2'd3);
  end else begin : gen_narrow_start
    assign last_part_q     = 2'd0;
    assign start_last_part = accept;
  end

  always_ff @(posedge clk_i) begin
    if (accept) begin
      slot_q       <= cmd_i.slot;
      position_q   <= cmd_i.position;
      sets_q       <= instruction.sets && QuerySets == 2;
      shift_q      <= instruction.shift;
      words_q      <= instruction.words;
      turns_q      <= instruction.turns;
      cap_q        <= instruction.cap;
      head_log2_q  <= instruction.head_log2;
      key_base_q   <= instruction.key_base;
      value_base_q <= instruction.value_base;
      kv_base_q    <= instruction.kv_base;
    end
  end

  // ---- the three walks over the chunks ----
  logic                  key_scan_valid;
  logic [           3:0] key_step;
  logic [          11:0] key_page;
  logic [           7:0] key_word;
  logic [           1:0] key_part;
  logic [ColumnBits-1:0] key_column;
  logic                  key_last_page;

  logic                  value_scan_valid;
  logic [           3:0] value_step;
  logic [          11:0] value_page;
  logic [           7:0] value_word;
  logic [           1:0] value_part;
  logic                  value_last_page;

  logic                  merge_valid;
  logic [           3:0] merge_step;
  logic [ColumnBits-1:0] merge_column;
  logic                  merge_first_page;
  logic                  merge_last_page;
  logic                  merge_last_chunk;

  logic                  unused_key_first_page;
  logic                  unused_key_last_chunk;
  logic [ColumnBits-1:0] unused_value_column;
  logic                  unused_value_first_page;
  logic                  unused_value_last_chunk;
  logic [          11:0] unused_merge_page;
  logic [           7:0] unused_merge_word;
  logic [           1:0] merge_part;

  tp_attention_scan #(
    .ColumnBits(ColumnBits),
    .WideHeads (WideHeads),
    .Halves    (Halves)
  ) u_key_scan (
    .clk_i,
    .rst_ni,
    .start_i     (accept),
    .position_i  (position_q),
    .words_i     (words_q),
    .turns_i     (turns_q),
    .last_part_i (last_part_q),
    .valid_o     (key_scan_valid),
    .step_o      (key_step),
    .page_o      (key_page),
    .word_o      (key_word),
    .part_o      (key_part),
    .column_o    (key_column),
    .first_page_o(unused_key_first_page),
    .last_page_o (key_last_page),
    .last_chunk_o(unused_key_last_chunk)
  );

  tp_attention_scan #(
    .ColumnBits(ColumnBits),
    .WideHeads (WideHeads),
    .Halves    (Halves)
  ) u_value_scan (
    .clk_i,
    .rst_ni,
    .start_i     (start_q[ValueDelay-1]),
    .position_i  (position_q),
    .words_i     (words_q),
    .turns_i     (turns_q),
    .last_part_i (last_part_q),
    .valid_o     (value_scan_valid),
    .step_o      (value_step),
    .page_o      (value_page),
    .word_o      (value_word),
    .part_o      (value_part),
    .column_o    (unused_value_column),
    .first_page_o(unused_value_first_page),
    .last_page_o (value_last_page),
    .last_chunk_o(unused_value_last_chunk)
  );

  tp_attention_scan #(
    .ColumnBits(ColumnBits),
    .WideHeads (WideHeads),
    .Halves    (Halves)
  ) u_merge_scan (
    .clk_i,
    .rst_ni,
    .start_i     (start_q[MergeDelay-1]),
    .position_i  (position_q),
    .words_i     (words_q),
    .turns_i     (turns_q),
    .last_part_i (last_part_q),
    .valid_o     (merge_valid),
    .step_o      (merge_step),
    .page_o      (unused_merge_page),
    .word_o      (unused_merge_word),
    .part_o      (merge_part),
    .column_o    (merge_column),
    .first_page_o(merge_first_page),
    .last_page_o (merge_last_page),
    .last_chunk_o(merge_last_chunk)
  );

  assign key_valid_o      = key_scan_valid;
  assign key_slot_o       = slot_q;
  assign key_position_o   = {key_page, key_step};
  assign key_base_o       = kv_base_q;
  assign key_word_o       = key_word;
  assign value_valid_o    = value_scan_valid;
  assign value_slot_o     = slot_q;
  assign value_position_o = {value_page, value_step};
  assign value_base_o     = kv_base_q;
  assign value_word_o     = value_word;

  // key_*_q[i] belongs to the K request i cycles ago, value_*_q[i] to the V request.
  logic [14:1] key_valid_q;
  logic [14:1] key_first_q;
  logic [14:1] key_keep_q;
  logic [ 1:0] key_part_q    [1:14];
  logic [ 5:1] value_valid_q;
  logic [ 5:1] value_first_q;
  logic [ 5:1] value_last_q;
  logic [ 2:1] value_keep_q;
  logic [ 1:0] value_part_q  [ 1:4];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      key_valid_q   <= '0;
      value_valid_q <= '0;
    end else if (busy_q) begin
      key_valid_q   <= {key_valid_q[13:1], key_scan_valid};
      value_valid_q <= {value_valid_q[4:1], value_scan_valid};
    end
  end

  always_ff @(posedge clk_i) begin
    if (busy_q) begin
      key_first_q   <= {key_first_q[13:1], key_step == 4'd0};
      key_keep_q    <= {key_keep_q[13:1], !key_last_page || key_step <= position_q[3:0]};
      value_first_q <= {value_first_q[4:1], value_step == 4'd0};
      value_last_q  <= {value_last_q[4:1], value_step == 4'd15};
      value_keep_q  <= {value_keep_q[1], !value_last_page || value_step <= position_q[3:0]};
      key_part_q[1] <= key_part;
      for (int unsigned i = 2; i <= 14; i++) key_part_q[i] <= key_part_q[i-1];
      value_part_q[1] <= value_part;
      for (int unsigned i = 2; i <= 4; i++) value_part_q[i] <= value_part_q[i-1];
    end
  end

  // Half of the word whose K row comes, is taken; whose V row comes.
  logic key_half;
  logic key_half_q;
  logic value_half;
  assign key_half   = Halves && key_part_q[4][0];
  assign key_half_q = Halves && key_part_q[5][0];
  assign value_half = Halves && value_part_q[4][0];

  // ---- query buffer ----
  logic [ColumnBits-1:0] query_column_q[1:3];
  logic [7:0] query_index;
  logic [255:0] query_data;
  logic [3:0][4:0] query_exponents;
  logic [64*Groups-1:0] second_q;
  logic [3:0][4:0] second_exponents_q;
  logic [1:0][64*Groups-1:0] query_q;
  logic [1:0][3:0][4:0] query_exponents_q;

  always_ff @(posedge clk_i) begin
    if (busy_q) begin
      query_column_q[1] <= key_column;
      query_column_q[2] <= query_column_q[1];
      query_column_q[3] <= query_column_q[2];
    end
  end

  // The word of the second set is read one cycle before that of the first. Without a second set it
  // is the same one.
  assign query_index = query_of(8'(query_column_q[3]), last_part_q, sets_q, key_first_q[3]);

  // Words are written a cycle after they come: the first is read three cycles after a command.
  logic query_write_q;
  logic [SlotBits+WordBits-1:0] query_address_q;
  logic [275:0] query_word_q;
  always_ff @(posedge clk_i) begin
    query_write_q   <= query_valid_i && rst_ni;
    query_address_q <= {query_slot_i[SlotBits-1:0], query_index_i[WordBits-1:0]};
    query_word_q    <= {query_exponents_i, query_data_i};
  end

  tp_ram_async #(
    .Width(256 + 20),
    .Depth(1 << (SlotBits + WordBits))
  ) u_query (
    .clk_i,
    .write_enable_i (query_write_q),
    .write_address_i(query_address_q),
    .write_data_i   (query_word_q),
    .read_address_i ({slot_q[SlotBits-1:0], query_index[WordBits-1:0]}),
    .read_data_o    ({query_exponents, query_data})
  );

  always_ff @(posedge clk_i) begin
    if (key_valid_q[3] && key_first_q[3]) begin
      second_q           <= query_data[64*Groups-1:0];
      second_exponents_q <= query_exponents;
    end
    if (key_valid_q[4] && key_first_q[4]) begin
      query_q           <= {second_q, lanes_of(query_data, key_half)};
      query_exponents_q <= {second_exponents_q, query_exponents};
    end
  end

  // ---- operands, and the exponents of V on their way beside the scores ----
  logic [64*Groups-1:0] key_q;
  logic [3:0][7:0] key_exponents_q;
  logic [3:0][3:0] key_low;
  logic [Groups-1:0][5:0] offset_q[6:13];  // e_V of each lane group
  logic [Groups-1:0][5:0] offset;  // the same, group i with that of word i of a large head

  for (genvar head = 0; head < 4; head++) begin : gen_low
    assign key_low[head] = key_exponents_q[head][3:0];
  end

  always_ff @(posedge clk_i) begin
    if (key_valid_q[4]) begin
      key_q           <= lanes_of(key_data_i, key_half);
      key_exponents_q <= key_exponents_i;
    end
    if (key_valid_q[5]) begin
      for (int unsigned i = 0; i < Groups; i++) begin
        offset_q[6][i] <= 6'(value_base_q) +
            6'(key_exponents_q[head_of(head_log2_q, group_of(2'(i), key_half_q))][7:4]);
      end
    end
    for (int unsigned i = 7; i <= 13; i++) if (key_valid_q[i-1]) offset_q[i] <= offset_q[i-1];
  end

  if (WideHeads) begin : gen_wide_offset
    // The exponents of a head's first words wait for its last one.
    logic [3:0] step_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) step_q <= '0;
      else if (key_valid_q[13]) step_q <= step_q + 4'd1;
    end
    for (genvar part = 0; part < 3; part++) begin : gen_part
      logic [5:0] held;
      tp_ram_async #(
        .Width(6),
        .Depth(16)
      ) u_held (
        .clk_i,
        .write_enable_i (key_valid_q[13] && key_part_q[13] == 2'(part)),
        .write_address_i(step_q),
        .write_data_i   (offset_q[13][0]),
        .read_address_i (step_q),
        .read_data_o    (held)
      );
      assign offset[part] = last_part_q > 2'(part) ? held : offset_q[13][part];
    end
    assign offset[3] = offset_q[13][3];
  end else begin : gen_narrow_offset
    assign offset = offset_q[13];
  end

  // ---- score, softmax and mix of the two query sets ----
  localparam int unsigned SecondSet = QuerySets - 1;  // the first one, if there is no second

  sums_t [SecondSet:0] page;
  logic [SecondSet:0][Beat-1:0][19:0] beat;
  logic [SecondSet:0] scored_valid;
  logic [SecondSet:0] page_done;

  for (genvar set = 0; set < int'(QuerySets); set++) begin : gen_set
    scored_t [   Groups-1:0]      scored;
    logic    [   Groups-1:0][7:0] p;
    logic    [64*Groups-1:0]      value_here_q;

    // Each set has its own: one of both would have to reach all their multipliers.
    (* keep *)
    always_ff @(posedge clk_i) value_here_q <= lanes_of(value_data_i, value_half);

    tp_score #(
      .Groups   (Groups),
      .WideHeads(WideHeads)
    ) u_score (
      .clk_i,
      .rst_ni,
      .head_log2_i      (head_log2_q),
      .key_base_i       (key_base_q),
      .in_valid_i       (key_valid_q[5]),
      .in_first_part_i  (key_part_q[5] == 2'd0),
      .in_last_part_i   (key_part_q[5] == last_part_q),
      .in_half_i        (key_half_q),
      .key_i            (key_q),
      .query_i          (query_q[set]),
      .key_exponents_i  (key_low),
      .query_exponents_i(query_exponents_q[set]),
      .value_exponents_i(offset),
      .out_valid_o      (scored_valid[set]),
      .out_scored_o     (scored)
    );

    tp_softmax #(
      .Groups   (Groups),
      .WideHeads(WideHeads),
      .Beat     (Beat)
    ) u_softmax (
      .clk_i,
      .rst_ni,
      .in_valid_i (scored_valid[set]),
      .in_first_i (key_first_q[14]),
      .in_keep_i  (key_keep_q[14]),
      .in_scored_i(scored),
      .mix_valid_i(value_valid_q[2]),
      .mix_first_i(value_first_q[2]),
      .mix_keep_i (value_keep_q[2]),
      .mix_wide_i (last_part_q != 2'd0),
      .mix_part_i (value_part_q[2]),
      .out_p_o    (p),
      .page_load_i(page_done[set]),
      .page_o     (page[set])
    );

    tp_mix #(
      .Groups    (Groups),
      .HardGroups(HardGroups),
      .Beat      (Beat)
    ) u_mix (
      .clk_i,
      .rst_ni,
      .in_valid_i (value_valid_q[5]),
      .in_first_i (value_first_q[5]),
      .in_last_i  (value_last_q[5]),
      .in_p_i     (p),
      .in_value_i (value_here_q),
      .page_done_o(page_done[set]),
      .beat_data_o(beat[set])
    );
  end

  if (QuerySets == 1) begin : gen_one_set
    logic unused_second;
    assign unused_second = ^{query_q[1], query_exponents_q[1]};
  end

  // ---- merge, and in the last page on to the output ----
  logic                              total_valid;
  logic  [           Beat-1:0][31:0] total_mix;
  sums_t                             total_sums;

  // A set has 8 beats in a chunk: quads of a word or pairs of half a one; the other steps are no
  // query.
  logic                              is_query;
  logic  [$clog2(32/Beat)-1:0]       merge_beat;
  logic  [       WordBits-1:0]       merge_word;
  assign is_query = sets_q || !merge_step[3];
  if (Halves) begin : gen_pairs
    assign merge_beat = {merge_part[0], merge_step[2:0]};
  end else begin : gen_quads
    assign merge_beat = merge_step[2:0];
  end

  // Whether the step is one of the second set, for what is wide.
  logic second_next;
  logic second_mix_q;
  logic second_sums_q;
  assign second_next = merge_valid && merge_step >= 4'd7 && merge_step != 4'd15;
  (* keep *)
  always_ff @(posedge clk_i) begin
    second_mix_q  <= second_next;
    second_sums_q <= second_next;
  end

  assign merge_word = sets_q ? WordBits'({merge_column, merge_step[3]}) : WordBits'(merge_column);

  tp_merge #(
    .QueryWords(QueryWords),
    .Beat      (Beat)
  ) u_merge (
    .clk_i,
    .rst_ni,
    .in_valid_i (merge_valid && is_query),
    .in_first_i (merge_first_page),
    .in_word_i  (merge_word),
    .in_beat_i  (merge_beat),
    .in_mix_i   (second_mix_q ? beat[SecondSet] : beat[0]),
    .in_page_i  (second_sums_q ? page[SecondSet] : page[0]),
    .out_valid_o(total_valid),
    .out_mix_o  (total_mix),
    .out_total_o(total_sums)
  );

  // Bit i belongs to the merge i cycles ago.
  logic [ 5:1] is_output_q;
  logic [16:1] is_last_q;

  always_ff @(posedge clk_i) begin
    if (busy_q) begin
      is_output_q <= {is_output_q[4:1], merge_last_page};
      is_last_q   <= {is_last_q[15:1], merge_last_chunk && merge_step == {sets_q, 3'd7}};
    end
  end

  logic                  result_valid;
  logic [Beat-1:0][31:0] result;
  logic [Beat-1:0]       result_saturated;

  tp_normalise #(
    .Lanes(Beat)
  ) u_normalise (
    .clk_i,
    .rst_ni,
    .shift_i        (shift_q),
    .in_valid_i     (total_valid && is_output_q[5]),
    .in_mix_i       (total_mix),
    .in_total_i     (total_sums),
    .out_valid_o    (result_valid),
    .out_data_o     (result),
    .out_saturated_o(result_saturated)
  );

  logic       unused_last;
  logic       end_next;
  logic [7:0] block_index;  // in the order of the chunks: (group, turn, part, set)

  tp_quantise #(
    .Lanes(Beat)
  ) u_quantise (
    .clk_i,
    .rst_ni,
    .in_valid_i   (result_valid),
    .in_data_i    (result),
    .in_last_i    (is_last_q[16]),
    .in_slot_i    (slot_q),
    .in_cap_i     (cap_q),
    .block_valid_o,
    .block_slot_o,
    .block_index_o(block_index),
    .block_data_o,
    .block_exponent_o,
    .block_last_o (unused_last),
    .end_next_o   (end_next),
    .clips_o
  );

  if (WideHeads) begin : gen_wide_index
    assign block_index_o = query_of(
        sets_q ? {1'b0, block_index[7:1]} : block_index, last_part_q, sets_q, block_index[0]
    );
  end else begin : gen_narrow_index
    assign block_index_o = block_index;
  end

  always_ff @(posedge clk_i) done_q <= end_next && rst_ni;
  assign done_valid_o = done_q;
  assign done_slot_o  = block_slot_o;

  logic [2:0] saturations_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) saturations_q <= '0;
    else saturations_q <= result_valid ? 3'($countones(result_saturated)) : 3'd0;
  end
  assign saturations_o = {1'b0, saturations_q};

  logic unused_bits;
  assign unused_bits = ^{cmd_i.fast, cmd_i.token, instruction, query_slot_i, query_index_i,
                         query_index, query_data, merge_part};

  // Only the assertions look at it.
  logic [15:0] unused_columns;
  assign unused_columns = 16'(instruction.words) * 16'(instruction.turns);

  // An assertion must not index an array.
  logic [1:0] key_part_end;
  assign key_part_end = key_part_q[14];

  `TP_ASSERT(OnlyWhenFree_A, !cmd_valid_i || free_o)
  `TP_ASSERT(Opcode_A, !accept || instruction.opcode == tp_map_pkg::TP_OP_ATTENTION)
  `TP_ASSERT(
      HeadSize_A,
      !accept || (instruction.head_log2 >= 3'd3 && 32'(instruction.head_log2) <= HeadLog2Max))
  `TP_ASSERT(SetsFit_A, !accept || 32'(instruction.sets) < QuerySets)
  `TP_ASSERT(Context_A, !accept || cmd_i.position < 16'd2048)
  `TP_ASSERT(ShapeNotEmpty_A, !accept || (instruction.words != '0 && instruction.turns != '0))
  `TP_ASSERT(ColumnsFit_A, !accept || 32'(unused_columns) <= ColumnsMax)
  `TP_ASSERT(WordsFit_A, !accept || 32'(unused_columns) << instruction.sets <= QueryWords)
  `TP_ASSERT(QueryFits_A,
             !query_valid_i || (32'(query_index_i) < QueryWords && 32'(query_slot_i) < Slots))
  `TP_ASSERT(WholeHeads_A, !accept || (instruction.words & 8'(last_part_of(instruction.head_log2
             ))) == '0)
  `TP_ASSERT(ScoredInStep_A,
             scored_valid[0] == (key_valid_q[14] && (Halves || key_part_end == last_part_q)))
  `TP_ASSERT(MergeAfterMix_A, !(merge_valid && merge_step == 4'd0) || $past(page_done[0]))
  `TP_ASSERT(SecondInStep_A, !merge_valid || second_mix_q == merge_step[3])
  `TP_ASSERT(SetsInStep_A, &scored_valid == |scored_valid && &page_done == |page_done)
  `TP_COVER(OneSet_C, accept && !instruction.sets)
  `TP_COVER(ManyPages_C, merge_valid && !merge_first_page)

endmodule
