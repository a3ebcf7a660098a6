// SPDX-License-Identifier: Apache-2.0
//
// tp_kv_table_translates: what tp_kv_table promises about the page table, for kv_table.sby.
//
// In    any writes on the configuration bus and any resets, at any time; requests as docs/link.md
//       and the unit's header allow them: of entries that were written, with a stride that was
//       written and had its KvWordsMax cycles, for a row that lies in the memory.
// Not   a part of the device.
//
// A table of its own, by slot and page, takes the writes that docs/link.md describes. The claims
// are that the unit's memory holds the same, and that each row is tp_kv_row() of that table. As a
// place of that table changes with a write of its own slot and page only, no write of one slot
// changes what another one reads. The unit is three times in tp_kv, on one configuration bus.

`include "tp_assert.svh"

module tp_kv_table_translates #(
  // The smallest that are no powers of two: there are places that no slot and no page has.
  parameter  int unsigned Slots        = 3,
  parameter  int unsigned PagesPerSlot = 3,
  parameter  int unsigned KvRows       = 80,
  parameter  int unsigned KvWordsMax   = 3,
  localparam int unsigned RowBits      = $clog2(KvRows)
) (
  input logic        clk_i,
  input logic        rst_ni,
  input logic        cfg_valid_i,
  input logic [ 3:0] cfg_space_i,
  input logic [31:0] cfg_address_i,
  input logic [31:0] cfg_data_i,
  input logic        request_valid_i,
  input logic [ 2:0] request_slot_i,
  input logic [15:0] request_position_i,
  input logic [23:0] request_base_i,
  input logic [ 7:0] request_word_i
);

  localparam int unsigned SlotPlaces = 1 << $clog2(PagesPerSlot);  // of a slot in the unit's memory
  localparam int unsigned PageBits = RowBits - 4;

  logic               row_valid;
  logic [RowBits-1:0] row;

  tp_kv_table #(
    .Slots       (Slots),
    .PagesPerSlot(PagesPerSlot),
    .KvRows      (KvRows),
    .KvWordsMax  (KvWordsMax)
  ) u_table (
    .clk_i             (clk_i),
    .rst_ni            (rst_ni),
    .cfg_valid_i       (cfg_valid_i),
    .cfg_space_i       (cfg_space_i),
    .cfg_address_i     (cfg_address_i),
    .cfg_data_i        (cfg_data_i),
    .request_valid_i   (request_valid_i),
    .request_slot_i    (request_slot_i),
    .request_position_i(request_position_i),
    .request_base_i    (request_base_i),
    .request_word_i    (request_word_i),
    .row_valid_o       (row_valid),
    .row_o             (row)
  );

  `TP_PROVE_RESET(FORMAL)

  // ---- what was written; a reset changes none of it ----

  logic [Slots-1:0][PagesPerSlot-1:0][31:0] page_q;
  logic [Slots-1:0][PagesPerSlot-1:0]       written_q = '0;
  logic [     31:0]                         stride_q;
  logic                                     stride_written_q = 1'b0;
  logic [      7:0]                         filled_q;  // words whose offset has been made from it
  logic                                     filled;
  logic                                     stride_write;

  assign filled = 32'(filled_q) == KvWordsMax;
  assign stride_write = cfg_valid_i && cfg_space_i == tp_map_pkg::TP_SPACE_REGISTER &&
      cfg_address_i == tp_map_pkg::TP_REGISTER_KV_STRIDE;

  always_ff @(posedge clk_i) begin
    for (int unsigned slot = 0; slot < Slots; slot++) begin
      for (int unsigned page = 0; page < PagesPerSlot; page++) begin
        if (cfg_valid_i && cfg_space_i == tp_map_pkg::TP_SPACE_PAGE_TABLE &&
            cfg_address_i == slot * 4096 + page) begin
          page_q[slot][page]    <= cfg_data_i;
          written_q[slot][page] <= 1'b1;
        end
      end
    end
    // A reset ends the filling, so the stride has to be written again.
    if (stride_write) begin
      stride_q         <= cfg_data_i;
      stride_written_q <= rst_ni;
      filled_q         <= '0;
    end else if (!filled) begin
      stride_written_q <= stride_written_q && rst_ni;
      filled_q         <= filled_q + 8'd1;
    end
  end

  // ---- the row of a request, as tp_kv_row() says ----

  logic        written;
  logic [31:0] page;
  logic [63:0] wanted;
  logic        valid_q;
  logic        valid_q2;
  logic [63:0] wanted_q;
  logic [63:0] wanted_q2;

  always_comb begin
    written = 1'b0;
    page    = '0;
    for (int unsigned slot = 0; slot < Slots; slot++) begin
      for (int unsigned index = 0; index < PagesPerSlot; index++) begin
        if (32'(request_slot_i) == slot && 32'(request_position_i) / 16 == index) begin
          written = written_q[slot][index];
          page    = page_q[slot][index];
        end
      end
    end
  end
  assign wanted = 64'(request_base_i) + request_word_i * 64'(stride_q) + 64'(page) * 16 +
      64'(request_position_i) % 16;

  always_ff @(posedge clk_i) begin
    valid_q   <= rst_ni && request_valid_i;
    valid_q2  <= rst_ni && valid_q;
    wanted_q  <= wanted;
    wanted_q2 <= wanted_q;
  end

  `TP_ASSUME(Written_M, !request_valid_i || written)
  `TP_ASSUME(Word_M, !request_valid_i || 32'(request_word_i) < KvWordsMax)
  `TP_ASSUME(Filled_M, !request_valid_i || (stride_written_q && filled))
  `TP_ASSUME(InMemory_M, !request_valid_i || wanted < 64'(KvRows))

  // ---- invariants: word times stride ----

  // What a reset leaves as it is, is asserted on the bare clock.
  Filling_A :
  assert property (@(posedge clk_i) (!stride_written_q || u_table.fill_q == !filled))
  else $error("%m");
  FillWord_A :
  assert property (@(posedge clk_i)
    (!stride_written_q || filled || 8'(u_table.fill_word_q) == filled_q))
  else $error("%m");
  FillOffset_A :
  assert property (@(posedge clk_i)
    (!stride_written_q || filled || u_table.fill_offset_q == RowBits'(filled_q * stride_q)))
  else $error("%m");
  Stride_A :
  assert property (@(posedge clk_i) (!stride_written_q || u_table.stride_q == RowBits'(stride_q)))
  else $error("%m");
  FilledFits_A :
  assert property (@(posedge clk_i) (!stride_written_q || 32'(filled_q) <= KvWordsMax))
  else $error("%m");

  // ---- claims ----

  // A place holds what was last written to it, whatever else is written, and through a reset.
  for (genvar slot = 0; slot < int'(Slots); slot++) begin : gen_slot
    for (genvar index = 0; index < int'(PagesPerSlot); index++) begin : gen_page
      logic [PageBits-1:0] kept;
      assign kept = u_table.u_pages.memory[slot*SlotPlaces+index];
      Keeps_A :
      assert property (@(posedge clk_i)
        (!written_q[slot][index] || kept == page_q[slot][index][PageBits-1:0]))
      else $error("%m");
    end
  end
  // The same for the products of the stride.
  for (genvar word = 0; word < int'(KvWordsMax); word++) begin : gen_word
    logic [RowBits-1:0] offset;
    assign offset = u_table.u_offsets.memory[word];
    Offset_A :
    assert property (@(posedge clk_i)
      (!stride_written_q || word >= 32'(filled_q) || offset == RowBits'(word * stride_q)))
    else $error("%m");
  end
  // Each request of the last cycle but one has its row, no other cycle has one, and a reset drops
  // those under way.
  NoRowInReset_A :
  assert property (@(posedge clk_i) (rst_ni || !row_valid))
  else $error("%m");
  `TP_ASSERT(RowInTime_A, row_valid == valid_q2)
  `TP_ASSERT(Row_A, !row_valid || 64'(row) == wanted_q2)
  // That it lies in the memory is an assertion of the unit.

  logic [63:0] row_q;  // the row before this one
  always_ff @(posedge clk_i) if (row_valid) row_q <= 64'(row);
  `TP_COVER(Neighbours_C, row_valid && 32'(row) == KvRows - 1 && row_q == 64'd1)
  `TP_COVER(Rewritten_C, row_valid && $past(page_q[Slots-1][PagesPerSlot-1] != page, 2))
endmodule
