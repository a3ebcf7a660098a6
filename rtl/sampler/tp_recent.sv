// SPDX-License-Identifier: Apache-2.0
//
// tp_recent: which tokens are among the last TP_RECENT_MAX of a slot.
//
// In    the tokens that are processed (fed), and those of before (recent), with their positions.
// Out   member_o for an id: its last position is less than TP_RECENT_MAX before the slot's.
// Rate  one id per cycle, latency 3; one token per cycle; clearing a slot takes VocabMax cycles.
// Not   knows a slot that was not cleared. Positions of a slot only rise between two clearings.
//
// A table holds the last position of every id. A cleared id has the largest position: it looks as
// if it came later, which never counts, but at that very position; so an id counts at the distance
// 0 only if it is the token itself.

`include "tp_assert.svh"

module tp_recent #(
  parameter int unsigned Slots        = 4,
  parameter int unsigned VocabMax     = 512,
  parameter int unsigned PositionsMax = 64
) (
  input logic clk_i,
  input logic rst_ni,

  input  logic                  clear_valid_i,   // early; one cycle
  input  logic            [2:0] clear_slot_i,    // early
  output logic                  clear_busy_o,    // late
  input  logic                  fed_valid_i,     // early; flow
  input  tp_pkg::recent_t       fed_i,           // early
  input  logic                  recent_valid_i,  // early
  output logic                  recent_ready_o,  // late
  input  tp_pkg::recent_t       recent_i,        // early

  input  logic        read_valid_i,  // early
  input  logic [ 2:0] slot_i,        // early
  input  logic [15:0] id_i,          // early
  input  logic [15:0] position_i,    // early; of the slot, a cycle before its first id and on
  input  logic [15:0] token_i,       // early; at this position, as long
  output logic        member_o       // early
);

  localparam int unsigned SlotWidth = Slots > 1 ? $clog2(Slots) : 1;
  localparam int unsigned IdWidth = $clog2(VocabMax);
  localparam int unsigned PositionWidth = $clog2(PositionsMax);

  `TP_REQUIRE(Slots >= 1 && Slots <= 8 && VocabMax >= 2 && VocabMax <= 65536)
  `TP_REQUIRE(PositionsMax >= tp_map_pkg::TP_RECENT_MAX && PositionsMax <= 65536)

  // ---- writes: processed tokens first, they cannot wait ----

  logic                                clearing_q;
  logic            [    SlotWidth-1:0] clear_slot_q;
  logic            [      IdWidth-1:0] clear_id_q;
  logic                                clear_move;
  logic                                write;
  tp_pkg::recent_t                     written;
  logic            [PositionWidth-1:0] position;

  assign clear_busy_o = clear_valid_i || clearing_q;
  assign clear_move = clearing_q && !fed_valid_i;
  assign recent_ready_o = !fed_valid_i && !clear_busy_o;
  assign write = fed_valid_i || clearing_q || recent_valid_i;

  always_comb begin
    written  = fed_valid_i ? fed_i : recent_i;
    position = written.position[PositionWidth-1:0];
    if (clear_move) begin
      written.slot  = 3'(clear_slot_q);
      written.token = 16'(clear_id_q);
      position      = '1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) clearing_q <= 1'b0;
    else if (clear_valid_i) clearing_q <= 1'b1;
    else if (clear_move && 32'(clear_id_q) == VocabMax - 1) clearing_q <= 1'b0;
  end
  always_ff @(posedge clk_i) begin
    if (clear_valid_i) begin
      clear_slot_q <= clear_slot_i[SlotWidth-1:0];
      clear_id_q   <= '0;
    end else if (clear_move) clear_id_q <= clear_id_q + 1'b1;
  end

  // The table is wide, and what is to be written is chosen late: it is written a cycle later.
  logic                     write_q;
  logic [    SlotWidth-1:0] write_slot_q;
  logic [      IdWidth-1:0] write_id_q;
  logic [PositionWidth-1:0] write_position_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) write_q <= 1'b0;
    else write_q <= write;
    write_slot_q     <= written.slot[SlotWidth-1:0];
    write_id_q       <= written.token[IdWidth-1:0];
    write_position_q <= position;
  end

  // ---- reads ----

  logic [PositionWidth-1:0] last;
  logic [PositionWidth-1:0] here;
  logic [PositionWidth-1:0] least_q;  // position that is not too far back
  logic [15:0] id_q;
  logic itself_q;
  logic member_q;

  tp_ram #(
    .Width         (PositionWidth),
    .Depth         (VocabMax << SlotWidth),
    .OutputRegister(1'b1)
  ) u_table (
    .clk_i          (clk_i),
    .write_enable_i (write_q),
    .write_address_i({write_slot_q, write_id_q}),
    .write_data_i   (write_position_q),
    .read_enable_i  (read_valid_i),
    .read_address_i ({slot_i[SlotWidth-1:0], id_i[IdWidth-1:0]}),
    .read_data_o    (last)
  );

`ifdef TP_PLANT_BUG
  // The planted fault looks back one token less.
  localparam int unsigned Back = tp_map_pkg::TP_RECENT_MAX - 2;
`else
  localparam int unsigned Back = tp_map_pkg::TP_RECENT_MAX - 1;
`endif

  assign here = position_i[PositionWidth-1:0];
  always_ff @(posedge clk_i) begin
    least_q <= 32'(here) < Back ? '0 : here - PositionWidth'(Back);
    id_q <= id_i;
    itself_q <= id_q == token_i;
    member_q <= itself_q || (last < here && last >= least_q);
  end
  assign member_o = member_q;

  logic unused_bits;
  assign unused_bits = ^{
    written.slot, written.token, written.position, clear_slot_i, slot_i, id_i, position_i
  };

  `TP_ASSERT(FedFits_A, !fed_valid_i || (32'(fed_i.slot) < Slots && 32'(fed_i.token) < VocabMax))
  `TP_ASSERT(RecentHolds_A, `TP_HOLDS(recent_valid_i, recent_ready_o, recent_i))
  `TP_ASSERT(OneClear_A, !clear_valid_i || !clearing_q)
  `TP_COVER(FedWhileClearing_C, fed_valid_i && clearing_q)

endmodule
