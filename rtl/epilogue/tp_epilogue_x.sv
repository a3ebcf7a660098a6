// SPDX-License-Identifier: Apache-2.0
//
// tp_epilogue_x: the residual vector of all slots: adds rows to it, or takes the embedding.
//
// In    commands; stage 5 (where) and stage 7 (what) of the epilogue.
// Out   stage 6: where the gains of the norm lie; stage 8: x as it is written.
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
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                cmd_valid_i,      // early
  input  index_t              cmd_index_i,      // early
  input  logic   [15:0]       cmd_gain_base_i,  // early
  input  logic   [ 4:0]       cmd_cap_i,        // early
  input  logic                read_valid_i,     // early; stage 5
  input  place_t              read_place_i,     // early; stage 5
  input  logic                pair_valid_i,     // early; stage 7
  input  place_t              pair_place_i,     // early; stage 7
  input  logic   [ 1:0][31:0] pair_data_i,      // early; int32, stage 7
  input  logic                read_i,           // early; between steps: a gain is read back
  input  logic   [16:0]       read_address_i,   // early
  output logic                gain_valid_o,     // early; stage 6
  output logic   [16:0]       gain_address_o,   // early; in pairs of gains
  output logic                x_valid_o,        // early; stage 8
  output logic   [ 2:0]       x_slot_o,         // early
  output logic   [11:0]       x_pair_o,         // early
  output logic   [ 1:0][31:0] x_data_o,         // early; int32
  output logic                x_last_o,         // early; last pair of the command
  output logic   [ 4:0]       x_cap_o,          // early; of the command
  output logic   [ 1:0]       saturated_o       // early; events of this cycle
);

  localparam int unsigned XPairWidth = $clog2(DimMax / 2);
  localparam int unsigned XDepth = Slots << XPairWidth;
  localparam int unsigned XWidth = $clog2(XDepth);

  logic x_here;
  logic x_valid_q;
  logic x_last_q;
  logic [4:0] cap;
  logic [4:0] x_cap_q;
  logic read_here;
  logic [15:0] gain_base;
  logic gain_valid_q;
  logic [16:0] gain_address_q;
  logic [2:0] x_slot_q;
  logic [11:0] x_pair_q;
  logic [1:0][31:0] x_q;
  logic [1:0] x_saturated_q;

  function automatic logic is_x(input logic [2:0] kind);
    is_x = kind == TP_DEST_RESIDUAL || kind == KindEmbed;
  endfunction

  assign read_here = read_valid_i && is_x(read_place_i.kind);
  assign x_here    = pair_valid_i && is_x(pair_place_i.kind);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      gain_valid_q <= 1'b0;
      x_valid_q    <= 1'b0;
    end else begin
      gain_valid_q <= read_here || read_i;
      x_valid_q    <= x_here;
    end
  end

  always_ff @(posedge clk_i) begin
    if (read_here || read_i) begin
      gain_address_q <= read_i ? read_address_i : {gain_base, 1'b0} + 17'(read_place_i.pair);
    end
    if (x_here) begin
      x_slot_q <= pair_place_i.slot;
      x_pair_q <= pair_place_i.pair[11:0];
      x_last_q <= pair_place_i.last;
      x_cap_q  <= cap;
    end
  end

  tp_ram_async #(
    .Width(16),
    .Depth(Commands)
  ) u_gain_base (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(cmd_index_i),
    .write_data_i   (cmd_gain_base_i),
    .read_address_i (read_place_i.index),
    .read_data_o    (gain_base)
  );

  tp_ram_async #(
    .Width(5),
    .Depth(Commands)
  ) u_cap (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(cmd_index_i),
    .write_data_i   (cmd_cap_i),
    .read_address_i (pair_place_i.index),
    .read_data_o    (cap)
  );

  logic residual_q6;
  always_ff @(posedge clk_i) residual_q6 <= read_place_i.kind == TP_DEST_RESIDUAL;

  for (genvar i = 0; i < 2; i++) begin : gen_x
    logic [31:0] x_old;
    logic residual_q7;
    logic signed [32:0] sum;

    (* keep *)
    always_ff @(posedge clk_i) residual_q7 <= residual_q6;

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

    tp_epilogue_add u_sum (
      .base_i(pair_data_i[i]),
      .term_i(x_old),
      .gate_i(residual_q7),
      .sum_o (sum)
    );
    always_ff @(posedge clk_i) begin
      x_q[i]           <= clamp(sum);
      x_saturated_q[i] <= sum[32] != sum[31];
    end
  end

  assign gain_valid_o   = gain_valid_q;
  assign gain_address_o = gain_address_q;
  assign x_valid_o      = x_valid_q;
  assign x_slot_o       = x_slot_q;
  assign x_pair_o       = x_pair_q;
  assign x_data_o       = x_q;
  assign x_last_o       = x_last_q;
  assign x_cap_o        = x_cap_q;
  assign saturated_o    = x_saturated_q & {2{x_valid_q}};

  logic unused_bits;
  assign unused_bits = ^{read_place_i, pair_place_i};

  `TP_ASSERT(XInRange_A, !x_valid_q || 32'(x_pair_q) < DimMax / 2)

endmodule
