// SPDX-License-Identifier: Apache-2.0
//
// tp_weights: the weight memory: one beat of all groups per cycle.
//
// In    configuration words of SPACE WEIGHT: address = beat * 64 + lane. Lane l < 4 * Groups holds
//       codes 8 * (l % 4) .. + 7 of group l / 4; the lanes above hold four scale bytes each.
// Out   the beat at address_i: per group 128 code bits, lane 0 lowest, then the scale byte.
// Rate  one beat per cycle, latency 2. Without read_valid_i the output stays as it is.
// Not   ignores no address: the link refuses beats beyond Depth, the program has none.

`include "tp_assert.svh"

module tp_weights #(
  parameter int unsigned Groups = 4,
  parameter int unsigned Depth  = 1024  // beats
) (
  input  logic                  clk_i,
  input  logic                  rst_ni,
  input  logic                  cfg_valid_i,
  input  logic [           3:0] cfg_space_i,
  input  logic [          31:0] cfg_address_i,
  input  logic [          31:0] cfg_data_i,
  input  logic                  read_valid_i,
  input  logic [          23:0] address_i,
  output logic [Groups*136-1:0] data_o          // early
);

  `TP_REQUIRE(Groups == 2 || Groups == 4 || Groups == 8)
  `TP_REQUIRE(Depth >= 2 && Depth <= 1 << 24)

  localparam int unsigned AddressBits = $clog2(Depth);
  localparam int unsigned CodeLanes = 4 * Groups;
  localparam int unsigned ScaleLanes = (Groups + 3) / 4;
  localparam int unsigned Lanes = CodeLanes + ScaleLanes;

  logic write_q;
  logic [5:0] write_lane_q;
  logic [AddressBits-1:0] write_address_q;
  logic [31:0] write_data_q;
  logic write;

  assign write = cfg_valid_i && cfg_space_i == tp_map_pkg::TP_SPACE_WEIGHT;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) write_q <= 1'b0;
    else write_q <= write;
  end

  always_ff @(posedge clk_i) begin
    if (write) begin
      write_lane_q    <= cfg_address_i[5:0];
      write_address_q <= cfg_address_i[6+:AddressBits];
      write_data_q    <= cfg_data_i;
    end
  end

  // A column is as wide as a configuration word, so each word is one write of one column.
  logic [31:0] column[Lanes];
  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_column
    tp_ram #(
      .Width         (32),
      .Depth         (Depth),
      .OutputRegister(1'b1)
    ) u_ram (
      .clk_i          (clk_i),
      .write_enable_i (write_q && write_lane_q == 6'(lane)),
      .write_address_i(write_address_q),
      .write_data_i   (write_data_q),
      .read_enable_i  (read_valid_i),
      .read_address_i (address_i[AddressBits-1:0]),
      .read_data_o    (column[lane])
    );
  end

  for (genvar group = 0; group < Groups; group++) begin : gen_group
    for (genvar part = 0; part < 4; part++) begin : gen_part
      assign data_o[136*group+32*part+:32] = column[4*group+part];
    end
`ifdef TP_PLANT_BUG
    // The planted fault gives all groups the scale of the first.
    assign data_o[136*group+128+:8] = column[CodeLanes][7:0];
`else
    assign data_o[136*group+128+:8] = column[CodeLanes+group/4][8*(group%4)+:8];
`endif
  end

  logic unused_bits;
  assign unused_bits = ^{cfg_address_i, address_i, column[Lanes-1]};

  `TP_ASSERT(ReadInside_A, !read_valid_i || 32'(address_i) < Depth)
  `TP_ASSERT(WriteInside_A,
             !write || (cfg_address_i[31:6] < 26'(Depth) && 32'(cfg_address_i[5:0]) < Lanes))
  `TP_COVER(Write_C, write)

endmodule
