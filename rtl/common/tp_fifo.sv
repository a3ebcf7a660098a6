// SPDX-License-Identifier: Apache-2.0
//
// tp_fifo: queue of Depth beats in registers or LUT RAM.
//
// In    beats of Width bits, any meaning.
// Out   the same beats in the same order; none lost, none twice.
// Rate  one beat per cycle, latency 1 cycle; the ready path is cut.
// Not   does not register its payload: it comes out of the memory's read path (late). Put tp_skid
//       behind it where that path is too long. Not meant for depths that want block RAM.

`include "tp_assert.svh"

module tp_fifo #(
  parameter int unsigned Width = 32,
  parameter int unsigned Depth = 16,
  localparam int unsigned LevelWidth = $clog2(Depth + 1)
) (
  input logic clk_i,
  input logic rst_ni,
  input logic in_valid_i,  // early
  output logic in_ready_o,  // early
  input logic [Width-1:0] in_data_i,  // early
  output logic out_valid_o,  // early
  input logic out_ready_i,  // late
  output logic [Width-1:0] out_data_o,  // late
  output logic [LevelWidth-1:0] level_o  // early; beats inside, 0..Depth
);

  `TP_REQUIRE(Width >= 1)
  `TP_REQUIRE(Depth >= 2 && Depth <= 1024)

  localparam int unsigned PointerWidth = $clog2(Depth);
  localparam logic [PointerWidth-1:0] Last = PointerWidth'(Depth - 1);

  logic [PointerWidth-1:0] write_q;
  logic [PointerWidth-1:0] read_q;
  logic [LevelWidth-1:0] level_q;
  logic full_q;
  logic empty_q;
  logic accept;
  logic deliver;

  assign accept = in_valid_i && in_ready_o;
  assign deliver = out_valid_o && out_ready_i;
  assign in_ready_o = !full_q;
  assign out_valid_o = !empty_q;
  assign level_o = level_q;

  // Full and empty have registers of their own, so that neither side sees a comparison.
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q <= '0;
      read_q  <= '0;
      level_q <= '0;
      full_q  <= 1'b0;
      empty_q <= 1'b1;
    end else begin
      if (accept) write_q <= write_q == Last ? '0 : write_q + 1'b1;
      if (deliver) read_q <= read_q == Last ? '0 : read_q + 1'b1;
      level_q <= level_q + LevelWidth'(accept) - LevelWidth'(deliver);
      // The level is compared as it stands: accept and deliver come late.
      if (accept != deliver) begin
`ifdef TP_PLANT_BUG
        // The planted fault takes one beat too many.
        full_q <= accept && level_q == LevelWidth'(Depth);
`else
        full_q <= accept && level_q == LevelWidth'(Depth - 1);
`endif
        empty_q <= deliver && level_q == LevelWidth'(1);
      end
    end
  end

  (* ram_style = "distributed" *)
  logic [Width-1:0] memory[Depth];

  always_ff @(posedge clk_i) if (accept) memory[write_q] <= in_data_i;
  assign out_data_o = memory[read_q];

  `TP_PROVE_RESET(PROVE_TP_FIFO)
  `TP_INPUT_RULE(PROVE_TP_FIFO, InHolds_M, `TP_HOLDS(in_valid_i, in_ready_o, in_data_i))
  `TP_ASSERT(OutHolds_A, `TP_HOLDS(out_valid_o, out_ready_i, out_data_o))
  `TP_ASSERT(LevelLegal_A, level_q <= LevelWidth'(Depth))
  `TP_ASSERT(FlagsFollowLevel_A,
             full_q == (level_q == LevelWidth'(Depth)) && empty_q == (level_q == '0))
  `TP_ASSERT(PointersFollowLevel_A, 32'(write_q) == (32'(read_q) + 32'(level_q)) % Depth)
  `TP_COVER(Full_C, full_q)
  `TP_COVER(Through_C, accept && deliver)
  `TP_COVER(Wrap_C, deliver && read_q == Last)

`ifdef PROVE_TP_FIFO
  // Any place that the proof picks: the beat written there is the beat read there, and pointers
  // pass each place in turn, which together is first in, first out.
  logic [PointerWidth-1:0] prove_place_q;  // without reset, so its first value is any
  logic [Width-1:0] prove_data_q;
  logic prove_inside_q;
  always_ff @(posedge clk_i) prove_place_q <= prove_place_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) prove_inside_q <= 1'b0;
    else if (accept && write_q == prove_place_q) prove_inside_q <= 1'b1;
    else if (deliver && read_q == prove_place_q) prove_inside_q <= 1'b0;
    if (accept && write_q == prove_place_q) prove_data_q <= in_data_i;
  end
  logic [Width-1:0] prove_word;
  logic [31:0] prove_ahead;
  assign prove_word  = memory[prove_place_q];
  assign prove_ahead = (Depth + 32'(prove_place_q) - 32'(read_q)) % Depth;
  always_comb assume (prove_place_q <= Last);
  `TP_ASSERT(PlacesLegal_A, write_q <= Last && read_q <= Last)
  `TP_ASSERT(InsideIsBetween_A, prove_inside_q == (prove_ahead < 32'(level_q)))
  `TP_ASSERT(MemoryKeeps_A, !prove_inside_q || prove_word == prove_data_q)
  `TP_ASSERT(
      OutIsIn_A,
      !(prove_inside_q && out_valid_o && read_q == prove_place_q) || out_data_o == prove_data_q)
`endif

endmodule
