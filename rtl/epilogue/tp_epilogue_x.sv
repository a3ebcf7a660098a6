// SPDX-License-Identifier: Apache-2.0
//
// tp_epilogue_x: the residual vector of all slots: adds rows to it, or takes the embedding.
//
// In    stage 5 (where) and stage 7 (what) of the epilogue.
// Out   stage 8: x write flow and done; one cycle later the OR of |x| of the slot.
// Rate  one pair per cycle.
// Not   adds to a pair that was taken less than 4 cycles before: 8 pairs a command are enough.

`include "tp_assert.svh"

module tp_epilogue_x
  import tp_map_pkg::*;
  import tp_epilogue_pkg::*;
#(
  parameter int unsigned Slots  = 4,
  parameter int unsigned DimMax = 64
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  logic                     read_valid_i,  // early; stage 5
  input  place_t                   read_place_i,  // early; stage 5
  input  logic                     pair_valid_i,  // early; stage 7
  input  place_t                   pair_place_i,  // early; stage 7
  input  logic   [      1:0][31:0] pair_data_i,   // early; int32, stage 7
  output logic                     x_valid_o,     // early
  output logic   [      2:0]       x_slot_o,      // early
  output logic   [     11:0]       x_pair_o,      // early
  output logic   [      1:0][31:0] x_data_o,      // early; int32
  output logic   [Slots-1:0][31:0] or_o,          // early
  output logic                     done_valid_o,  // early
  output logic   [      2:0]       done_slot_o,   // early
  output logic   [      1:0]       saturated_o    // early; events of this cycle
);

  localparam int unsigned XPairWidth = $clog2(DimMax / 2);
  localparam int unsigned XDepth = Slots << XPairWidth;
  localparam int unsigned XWidth = $clog2(XDepth);

  logic x_here;
  logic x_valid_q;
  logic x_done_q;
  logic [2:0] x_slot_q;
  logic [11:0] x_pair_q;
  logic [1:0][31:0] x_q;
  logic [1:0] x_saturated_q;
  logic [1:0][31:0] x_size;
  logic [31:0] or_q[Slots];

  assign x_here = pair_valid_i
      && (pair_place_i.kind == TP_DEST_RESIDUAL || pair_place_i.kind == KindEmbed);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      x_valid_q <= 1'b0;
      x_done_q  <= 1'b0;
    end else begin
      x_valid_q <= x_here;
      x_done_q  <= x_here && pair_place_i.last;
    end
  end

  always_ff @(posedge clk_i) begin
    if (x_here) begin
      x_slot_q <= pair_place_i.slot;
      x_pair_q <= pair_place_i.pair[11:0];
    end
  end

  for (genvar i = 0; i < 2; i++) begin : gen_x
    logic [31:0] x_old;
    logic signed [32:0] sum;
    tp_ram #(
      .Width         (32),
      .Depth         (XDepth),
      .OutputRegister(1'b1)
    ) u_x (
      .clk_i          (clk_i),
      .write_enable_i (x_valid_q),
      .write_address_i(XWidth'({x_slot_q, x_pair_q[XPairWidth-1:0]})),
      .write_data_i   (x_q[i]),
      .read_enable_i  (read_valid_i && read_place_i.kind == TP_DEST_RESIDUAL),
      .read_address_i (XWidth'({read_place_i.slot, read_place_i.pair[XPairWidth-1:0]})),
      .read_data_o    (x_old)
    );
    assign sum = extend(pair_data_i[i]) + (pair_place_i.kind == KindEmbed ? '0 : extend(x_old));
    assign x_size[i] = x_q[i][31] ? -x_q[i] : x_q[i];
    always_ff @(posedge clk_i) begin
      if (x_here) begin
        x_q[i]           <= clamp(sum);
        x_saturated_q[i] <= sum[32] != sum[31];
      end
    end
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned slot = 0; slot < Slots; slot++) begin
      if (x_valid_q && 32'(x_slot_q) == slot) begin
        or_q[slot] <= (x_pair_q == '0 ? '0 : or_q[slot]) | x_size[0] | x_size[1];
      end
    end
  end

  for (genvar slot = 0; slot < Slots; slot++) begin : gen_or
    assign or_o[slot] = or_q[slot];
  end

  assign x_valid_o    = x_valid_q;
  assign x_slot_o     = x_slot_q;
  assign x_pair_o     = x_pair_q;
  assign x_data_o     = x_q;
  assign done_valid_o = x_done_q;
  assign done_slot_o  = x_slot_q;
  assign saturated_o  = x_saturated_q & {2{x_valid_q}};

  logic unused_bits;
  assign unused_bits = ^{read_place_i, pair_place_i};

  `TP_ASSERT(XInRange_A, !x_valid_q || 32'(x_pair_q) < DimMax / 2)

endmodule
