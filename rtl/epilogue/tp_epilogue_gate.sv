// SPDX-License-Identifier: Apache-2.0
//
// tp_epilogue_gate: pairs of gate and up row to quantised FFN blocks.
//
// In    stage 7 of the epilogue.
// Out   FFN block flow; a block leaves 22 cycles after its last pair, a short one of b < 8 pairs
//       8 - b cycles later. The last one is done.
// Rate  one pair per cycle.

`include "tp_assert.svh"

module tp_epilogue_gate
  import tp_map_pkg::*;
  import tp_epilogue_pkg::*;
#(
  parameter int unsigned FfnBlocks = 6
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,
  input  logic                 cmd_valid_i,        // early
  input  index_t               cmd_index_i,        // early
  input  logic   [  2:0]       cmd_slot_i,         // early
  input  logic   [  4:0]       cmd_cap_i,          // early
  input  logic                 pair_valid_i,       // early
  input  place_t               pair_place_i,       // early
  input  logic   [  1:0][31:0] pair_data_i,        // early; gate, up
  output logic                 block_valid_o,      // early
  output logic   [  2:0]       block_slot_o,       // early
  output logic   [  7:0]       block_index_o,      // early
  output logic   [255:0]       block_data_o,       // early
  output logic   [  4:0]       block_exponent_o,   // early
  output logic                 gate_done_valid_o,  // early
  output logic   [  2:0]       gate_done_slot_o,   // early
  output logic                 saturated_o,        // early; event of this cycle
  output logic   [  1:0]       clips_o             // early
);

  typedef struct packed {
    logic   last;
    index_t index;
  } gate_place_t;

  logic gate_here;
  logic gate_valid;
  logic [31:0] gate_data;
  logic gate_saturated;
  gate_place_t [9:1] gate_place_q;
  logic [2:0] gate_slot;
  logic [4:0] gate_cap;
  logic gate_last_q;
  logic [2:0] gate_slot_q;
  logic [4:0] gate_cap_q;
  logic unused_last;
  logic end_next;
  logic done_q;

  assign gate_here = pair_valid_i && pair_place_i.kind == TP_DEST_GATE;

  tp_swiglu u_swiglu (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .in_valid_i     (gate_here),
    .in_data_i      (pair_data_i),
    .out_valid_o    (gate_valid),
    .out_data_o     (gate_data),
    .out_saturated_o(gate_saturated)
  );

  tp_ram_async #(
    .Width(8),
    .Depth(Commands)
  ) u_gate (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(cmd_index_i),
    .write_data_i   ({cmd_slot_i, cmd_cap_i}),
    .read_address_i (gate_place_q[9].index),
    .read_data_o    ({gate_slot, gate_cap})
  );

  always_ff @(posedge clk_i) begin
    gate_place_q <= {gate_place_q[8:1], pair_place_i.last, pair_place_i.index};
    gate_last_q  <= gate_place_q[9].last;
    gate_slot_q  <= gate_slot;
    gate_cap_q   <= gate_cap;
  end

  tp_quantise #(
    .Lanes(1)
  ) u_quantise (
    .clk_i           (clk_i),
    .rst_ni          (rst_ni),
    .in_valid_i      (gate_valid),
    .in_data_i       (gate_data),
    .in_last_i       (gate_last_q),
    .in_slot_i       (gate_slot_q),
    .in_cap_i        (gate_cap_q),
    .block_valid_o   (block_valid_o),
    .block_slot_o    (block_slot_o),
    .block_index_o   (block_index_o),
    .block_data_o    (block_data_o),
    .block_exponent_o(block_exponent_o),
    .block_last_o    (unused_last),
    .end_next_o      (end_next),
    .clips_o         (clips_o)
  );

  always_ff @(posedge clk_i) done_q <= end_next && rst_ni;

  assign gate_done_valid_o = done_q;
  assign gate_done_slot_o  = block_slot_o;
  assign saturated_o       = gate_saturated && gate_valid;

  logic unused_bits;
  assign unused_bits = ^pair_place_i;

  `TP_ASSERT(BlockInRange_A, !block_valid_o || 32'(block_index_o) < FfnBlocks)

endmodule
