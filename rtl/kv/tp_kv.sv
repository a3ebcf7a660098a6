// SPDX-License-Identifier: Apache-2.0
//
// tp_kv: the paged KV memory; stores the words of K and V and serves the attention unit.
//
// In    words of 32 quantised elements (flow); page table and stride over the configuration bus.
// Out   query words, one cycle later, for the attention unit's buffer; rows of K and of V, four
//       cycles after their request; done one cycle after the last word of an instruction.
// Rate  one word, one K read and one V read per cycle.
// Not   does not know which rows are in use: a read of an unwritten row gives unspecified bits, and
//       a read of a row in the cycle in which it is written (word + 2, read + 2) does too.
//
// Key words wait in a small memory, per slot, until the value word of the same index comes; then
// the row of K, the row of V and their exponents are written at once. The exponent byte of a head
// holds e_K - key base low and e_V - value base high.

`include "tp_assert.svh"

module tp_kv #(
  parameter int unsigned Slots = 4,
  parameter int unsigned KvRows = 512,
  parameter int unsigned PagesPerSlot = 4,
  parameter int unsigned KvWordsMax = 2
) (
  input  logic                               clk_i,
  input  logic                               rst_ni,
  // configuration: PAGE_TABLE, REGISTER KV_STRIDE
  input  logic                               cfg_valid_i,        // early
  input  logic                  [  3:0]      cfg_space_i,        // early
  input  logic                  [ 31:0]      cfg_address_i,      // early
  input  logic                  [ 31:0]      cfg_data_i,         // early
  // words of 32 int8, element 0 lowest; exponents of the heads in the word
  input  logic                               word_valid_i,       // early
  input  logic                  [255:0]      word_data_i,        // early
  input  logic                  [  3:0][4:0] word_exponents_i,   // early
  input  tp_pkg::word_context_t              word_context_i,     // early
  input  logic                  [  7:0]      word_index_i,       // early
  input  logic                               word_last_i,        // early
  // the query words among them
  output logic                               query_valid_o,      // early
  output logic                  [  2:0]      query_slot_o,       // early
  output logic                  [  7:0]      query_index_o,      // early
  output logic                  [255:0]      query_data_o,       // early
  output logic                  [  3:0][4:0] query_exponents_o,  // early
  // K read
  input  logic                               key_valid_i,        // early
  input  logic                  [  2:0]      key_slot_i,         // early
  input  logic                  [ 15:0]      key_position_i,     // early
  input  logic                  [ 23:0]      key_base_i,         // early
  input  logic                  [  7:0]      key_word_i,         // early
  output logic                  [255:0]      key_data_o,         // early
  output logic                  [  3:0][7:0] key_exponents_o,    // early
  // V read
  input  logic                               value_valid_i,      // early
  input  logic                  [  2:0]      value_slot_i,       // early
  input  logic                  [ 15:0]      value_position_i,   // early
  input  logic                  [ 23:0]      value_base_i,       // early
  input  logic                  [  7:0]      value_word_i,       // early
  output logic                  [255:0]      value_data_o,       // early
  // the last word of an instruction is stored
  output logic                               done_valid_o,       // early
  output logic                  [  2:0]      done_slot_o         // early
);

  localparam int unsigned RowBits = $clog2(KvRows);
  localparam int unsigned SlotBits = Slots > 1 ? $clog2(Slots) : 1;
  localparam int unsigned WordBits = KvWordsMax > 1 ? $clog2(KvWordsMax) : 1;

  // ---- a word, by kind ----
  logic                               word_valid_q;
  logic                               word_last_q;
  tp_pkg::word_context_t              context_q;
  logic                  [  7:0]      index_q;
  logic                  [255:0]      data_q;
  logic                  [  3:0][4:0] exponents_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      word_valid_q <= 1'b0;
      word_last_q  <= 1'b0;
    end else begin
      word_valid_q <= word_valid_i;
      word_last_q  <= word_valid_i && word_last_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (word_valid_i) begin
      context_q   <= word_context_i;
      index_q     <= word_index_i;
      data_q      <= word_data_i;
      exponents_q <= word_exponents_i;
    end
  end

  assign query_valid_o     = word_valid_q && context_q.kind == tp_pkg::WordQuery;
  assign query_slot_o      = context_q.slot;
  assign query_index_o     = index_q;
  assign query_data_o      = data_q;
  assign query_exponents_o = exponents_q;
  // The row of the last word is written one cycle after this, which is still before any read of a
  // unit that starts in the next cycle.
  assign done_valid_o      = word_last_q;
  assign done_slot_o       = context_q.slot;

  // ---- exponents as nibbles over the instruction's base ----
  logic [3:0][3:0] nibbles;
  always_comb begin
    for (int unsigned head = 0; head < 4; head++) begin
`ifdef TP_PLANT_BUG
      // The planted fault forgets the base of the last head.
      nibbles[head] = 4'(exponents_q[head] - (head == 3 ? 5'd0 : context_q.exponent_base));
`else
      nibbles[head] = 4'(exponents_q[head] - context_q.exponent_base);
`endif
    end
  end

  // ---- keys that wait for their values ----
  logic              hold_write;
  logic              store_valid_q;
  logic [255:0]      held_key;
  logic [  3:0][3:0] held_nibbles;
  logic [255:0]      store_key_q;
  logic [255:0]      store_value_q;
  logic [  3:0][7:0] store_exponents_q;

  assign hold_write = word_valid_q && context_q.kind == tp_pkg::WordKey;

  tp_ram_async #(
    .Width(256 + 16),
    .Depth(1 << (SlotBits + WordBits))
  ) u_hold (
    .clk_i,
    .write_enable_i (hold_write),
    .write_address_i({context_q.slot[SlotBits-1:0], index_q[WordBits-1:0]}),
    .write_data_i   ({nibbles, data_q}),
    .read_address_i ({context_q.slot[SlotBits-1:0], index_q[WordBits-1:0]}),
    .read_data_o    ({held_nibbles, held_key})
  );

  logic value_in_q;
  assign value_in_q = word_valid_q && context_q.kind == tp_pkg::WordValue;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) store_valid_q <= 1'b0;
    else store_valid_q <= value_in_q;
  end

  always_ff @(posedge clk_i) begin
    if (value_in_q) begin
      store_key_q   <= held_key;
      store_value_q <= data_q;
      for (int unsigned head = 0; head < 4; head++) begin
        store_exponents_q[head] <= {nibbles[head], held_nibbles[head]};
      end
    end
  end

  // ---- rows ----
  logic               store_row_valid;
  logic               key_row_valid;
  logic               value_row_valid;
  logic [RowBits-1:0] store_row;
  logic [RowBits-1:0] key_row;
  logic [RowBits-1:0] value_row;
  logic               store_request;

  assign store_request = word_valid_i && word_context_i.kind == tp_pkg::WordValue;

  tp_kv_table #(
    .Slots(Slots),
    .PagesPerSlot(PagesPerSlot),
    .KvRows(KvRows),
    .KvWordsMax(KvWordsMax)
  ) u_store_table (
    .clk_i,
    .rst_ni,
    .cfg_valid_i,
    .cfg_space_i,
    .cfg_address_i,
    .cfg_data_i,
    .request_valid_i   (store_request),
    .request_slot_i    (word_context_i.slot),
    .request_position_i(word_context_i.position),
    .request_base_i    (word_context_i.kv_base),
    .request_word_i    (word_index_i),
    .row_valid_o       (store_row_valid),
    .row_o             (store_row)
  );

  tp_kv_table #(
    .Slots(Slots),
    .PagesPerSlot(PagesPerSlot),
    .KvRows(KvRows),
    .KvWordsMax(KvWordsMax)
  ) u_key_table (
    .clk_i,
    .rst_ni,
    .cfg_valid_i,
    .cfg_space_i,
    .cfg_address_i,
    .cfg_data_i,
    .request_valid_i   (key_valid_i),
    .request_slot_i    (key_slot_i),
    .request_position_i(key_position_i),
    .request_base_i    (key_base_i),
    .request_word_i    (key_word_i),
    .row_valid_o       (key_row_valid),
    .row_o             (key_row)
  );

  tp_kv_table #(
    .Slots(Slots),
    .PagesPerSlot(PagesPerSlot),
    .KvRows(KvRows),
    .KvWordsMax(KvWordsMax)
  ) u_value_table (
    .clk_i,
    .rst_ni,
    .cfg_valid_i,
    .cfg_space_i,
    .cfg_address_i,
    .cfg_data_i,
    .request_valid_i   (value_valid_i),
    .request_slot_i    (value_slot_i),
    .request_position_i(value_position_i),
    .request_base_i    (value_base_i),
    .request_word_i    (value_word_i),
    .row_valid_o       (value_row_valid),
    .row_o             (value_row)
  );

  // ---- memories ----
  tp_ram #(
    .Width(256 + 32),
    .Depth(KvRows),
    .OutputRegister(1'b1)
  ) u_keys (
    .clk_i,
    .write_enable_i (store_row_valid),
    .write_address_i(store_row),
    .write_data_i   ({store_exponents_q, store_key_q}),
    .read_enable_i  (key_row_valid),
    .read_address_i (key_row),
    .read_data_o    ({key_exponents_o, key_data_o})
  );

  tp_ram #(
    .Width(256),
    .Depth(KvRows),
    .OutputRegister(1'b1)
  ) u_values (
    .clk_i,
    .write_enable_i (store_row_valid),
    .write_address_i(store_row),
    .write_data_i   (store_value_q),
    .read_enable_i  (value_row_valid),
    .read_address_i (value_row),
    .read_data_o    (value_data_o)
  );

  logic unused_bits;
  assign unused_bits = ^{context_q.position, context_q.head_log2, context_q.kv_base};

  `TP_ASSERT(RowWithWord_A, store_valid_q == store_row_valid)
  `TP_ASSERT(WordFits_A, !hold_write || (32'(index_q) < KvWordsMax && 32'(context_q.slot) < Slots))
  `TP_COVER(Key_C, hold_write)
  `TP_COVER(Store_C, store_valid_q)
  `TP_COVER(Query_C, query_valid_o)

endmodule
