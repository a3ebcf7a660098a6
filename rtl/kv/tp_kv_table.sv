// SPDX-License-Identifier: Apache-2.0
//
// tp_kv_table: row of a KV word from slot, position, layer base and word; equals tp_kv_row().
//
// In    requests; page table and stride over the configuration bus.
// Out   the row, two cycles after its request.
// Rate  one request per cycle.
// Not   takes no request in the KvWordsMax cycles after a write of the stride, and checks no page
//       number: the host gives each session pages of its own.
//
// Word times stride comes from a small table that a write of the stride fills, not from a
// multiplier.

`include "tp_assert.svh"

module tp_kv_table #(
  parameter int unsigned Slots = 4,
  parameter int unsigned PagesPerSlot = 4,
  parameter int unsigned KvRows = 512,
  parameter int unsigned KvWordsMax = 2,
  localparam int unsigned RowBits = $clog2(KvRows)
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               cfg_valid_i,         // early
  input  logic [        3:0] cfg_space_i,         // early
  input  logic [       31:0] cfg_address_i,       // early
  input  logic [       31:0] cfg_data_i,          // early
  input  logic               request_valid_i,     // early
  input  logic [        2:0] request_slot_i,      // early
  input  logic [       15:0] request_position_i,  // early
  input  logic [       23:0] request_base_i,      // early
  input  logic [        7:0] request_word_i,      // early
  output logic               row_valid_o,         // early
  output logic [RowBits-1:0] row_o                // early
);

  localparam int unsigned SlotBits = Slots > 1 ? $clog2(Slots) : 1;
  localparam int unsigned PageBits = PagesPerSlot > 1 ? $clog2(PagesPerSlot) : 1;
  localparam int unsigned PhysicalBits = RowBits - 4;
  localparam int unsigned WordBits = KvWordsMax > 1 ? $clog2(KvWordsMax) : 1;

  `TP_REQUIRE(Slots >= 1 && Slots <= tp_map_pkg::TP_SLOTS_MAX)
  `TP_REQUIRE(PagesPerSlot >= 1 && PagesPerSlot <= 4096)
  `TP_REQUIRE(KvRows >= 32 && KvRows % 16 == 0)
  `TP_REQUIRE(KvWordsMax >= 1 && KvWordsMax <= 255)

  // ---- page table ----
  logic                    page_write;
  logic [PhysicalBits-1:0] page_physical;

  assign page_write = cfg_valid_i && cfg_space_i == tp_map_pkg::TP_SPACE_PAGE_TABLE &&
      32'(cfg_address_i[31:12]) < Slots && 32'(cfg_address_i[11:0]) < PagesPerSlot;

  tp_ram_async #(
    .Width(PhysicalBits),
    .Depth(1 << (SlotBits + PageBits))
  ) u_pages (
    .clk_i,
    .write_enable_i (page_write),
    .write_address_i({cfg_address_i[12+:SlotBits], cfg_address_i[0+:PageBits]}),
    .write_data_i   (cfg_data_i[PhysicalBits-1:0]),
    .read_address_i ({request_slot_i[SlotBits-1:0], request_position_i[4+:PageBits]}),
    .read_data_o    (page_physical)
  );

  // ---- word times stride ----
  logic                stride_write;
  logic                fill_q;
  logic [WordBits-1:0] fill_word_q;
  logic [ RowBits-1:0] fill_offset_q;
  logic [ RowBits-1:0] stride_q;
  logic [ RowBits-1:0] word_offset;

  assign stride_write = cfg_valid_i && cfg_space_i == tp_map_pkg::TP_SPACE_REGISTER &&
      cfg_address_i == tp_map_pkg::TP_REGISTER_KV_STRIDE;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fill_q <= 1'b0;
    end else if (stride_write) begin
      fill_q <= 1'b1;
    end else if (32'(fill_word_q) == KvWordsMax - 1) begin
      fill_q <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (stride_write) begin
      stride_q      <= cfg_data_i[RowBits-1:0];
      fill_word_q   <= '0;
      fill_offset_q <= '0;
    end else if (fill_q) begin
      fill_word_q   <= fill_word_q + 1'b1;
      fill_offset_q <= fill_offset_q + stride_q;
    end
  end

  tp_ram_async #(
    .Width(RowBits),
    .Depth(1 << WordBits)
  ) u_offsets (
    .clk_i,
    .write_enable_i (fill_q),
    .write_address_i(fill_word_q),
    .write_data_i   (fill_offset_q),
    .read_address_i (request_word_i[WordBits-1:0]),
    .read_data_o    (word_offset)
  );

  // ---- the sum, in two steps ----
  logic                    request_valid_q;
  logic                    row_valid_q;
  logic [     RowBits-1:0] word_row_q;
  logic [PhysicalBits-1:0] page_q;
  logic [             3:0] in_page_q;
  logic [     RowBits-1:0] row_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      request_valid_q <= 1'b0;
      row_valid_q     <= 1'b0;
    end else begin
      request_valid_q <= request_valid_i;
      row_valid_q     <= request_valid_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (request_valid_i) begin
      word_row_q <= request_base_i[RowBits-1:0] + word_offset;
      page_q     <= page_physical;
      in_page_q  <= request_position_i[3:0];
    end
    if (request_valid_q) row_q <= word_row_q + {page_q, in_page_q};
  end

  // The memory must not see the random request and row of the first cycles of a reset.
  assign row_valid_o = row_valid_q && rst_ni;
  assign row_o       = row_q;

  logic unused_bits;
  assign unused_bits = ^{cfg_data_i, request_slot_i, request_position_i, request_base_i,
                         request_word_i};

  `TP_ASSERT(PageInTable_A, !request_valid_i || 32'(request_position_i[15:4]) < PagesPerSlot)
  `TP_ASSERT(SlotInTable_A, !request_valid_i || 32'(request_slot_i) < Slots)
  `TP_ASSERT(WordInTable_A, !request_valid_i || 32'(request_word_i) < KvWordsMax)
  `TP_ASSERT(OffsetsFilled_A, !request_valid_i || !fill_q)
  `TP_ASSERT(RowInMemory_A, !row_valid_q || 32'(row_q) < KvRows)
  `TP_COVER(Request_C, request_valid_i)

endmodule
