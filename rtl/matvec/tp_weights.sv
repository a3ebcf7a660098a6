// SPDX-License-Identifier: Apache-2.0
//
// tp_weights: the weight memory: one beat of all groups per cycle.
//
// In    configuration words of SPACE WEIGHT: address = beat * 64 + lane. The lowest lanes hold four
//       scale bytes each; with s of them, lane s + 4 * g + p holds codes 8 * p .. + 7 of group g. A
//       beat is written in the order of its lanes: a word of codes takes two bits of the scale word
//       that was written last.
// Out   the beat at address_i, of which each group has its own copy: per group 128 code bits,
//       lane 0 lowest, then the scale byte.
// Rate  one beat per cycle, latency 2. Without read_valid_i the output stays as it is.
// Not   ignores no address: the link refuses beats beyond Depth, the program has none.

`include "tp_assert.svh"

module tp_weights #(
  parameter int unsigned Groups = 4,
  parameter int unsigned Depth = 1024,  // beats
  localparam int unsigned AddressBits = $clog2(Depth)
) (
  input  logic                                   clk_i,
  input  logic                                   rst_ni,
  input  logic                                   cfg_valid_i,
  input  logic [           3:0]                  cfg_space_i,
  input  logic [          31:0]                  cfg_address_i,
  input  logic [          31:0]                  cfg_data_i,
  input  logic [    Groups-1:0]                  read_valid_i,   // all alike, as the addresses
  input  logic [    Groups-1:0][AddressBits-1:0] address_i,
  output logic [Groups*136-1:0]                  data_o          // early
);

  `TP_REQUIRE(Groups == 1 || Groups == 2 || Groups == 4 || Groups == 8)
  `TP_REQUIRE(Depth >= 2 && Depth <= 1 << 24)

  localparam int unsigned ScaleLanes = (Groups + 3) / 4;
  localparam int unsigned Lanes = ScaleLanes + 4 * Groups;

  logic write_q;
  logic [5:0] write_lane_q;
  logic [AddressBits-1:0] write_address_q;
  logic [31:0] write_data_q;
  logic [ScaleLanes-1:0][3:0][7:0] scales_q;
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
    for (int unsigned i = 0; i < ScaleLanes; i++) begin
      if (write && cfg_address_i[5:0] == 6'(i)) scales_q[i] <= cfg_data_i;
    end
  end

  // A column is a word of codes and two scale bits, 34 of the 36 bits of a block RAM: scales in
  // columns of their own would need six more block RAMs for 3,072 beats of four groups.
  for (genvar group = 0; group < Groups; group++) begin : gen_group
    logic [7:0] scale;
`ifdef TP_PLANT_BUG
    // The planted fault gives all groups the scale of the first.
    assign scale = scales_q[0][0];
`else
    assign scale = scales_q[group/4][group%4];
`endif

    // Each group takes a write from registers of its own, a cycle later: the way is long.
    logic [3:0] write_here_q;
    logic [7:0] scale_q;
    logic [AddressBits-1:0] address_q;
    logic [31:0] data_q;
    (* keep *)
    always_ff @(posedge clk_i) begin
      for (int unsigned part = 0; part < 4; part++) begin
        write_here_q[part] <= rst_ni && write_q &&
            write_lane_q == 6'(ScaleLanes + 4 * group + part);
      end
      scale_q   <= scale;
      address_q <= write_address_q;
      data_q    <= write_data_q;
    end

    for (genvar part = 0; part < 4; part++) begin : gen_part
      tp_ram #(
        .Width         (34),
        .Depth         (Depth),
        .OutputRegister(1'b1)
      ) u_ram (
        .clk_i          (clk_i),
        .write_enable_i (write_here_q[part] && rst_ni),
        .write_address_i(address_q),
        .write_data_i   ({scale_q[2*part+:2], data_q}),
        .read_enable_i  (read_valid_i[group]),
        .read_address_i (address_i[group]),
        .read_data_o    ({data_o[136*group+128+2*part+:2], data_o[136*group+32*part+:32]})
      );
    end
  end

  logic unused_bits;
  assign unused_bits = ^cfg_address_i;

  `TP_ASSERT(ReadInside_A, !read_valid_i[0] || 32'(address_i[0]) < Depth)
  `TP_ASSERT(Alike_A,
             read_valid_i == '0 || (read_valid_i == '1 && address_i == {Groups{address_i[0]}}))
  `TP_ASSERT(WriteInside_A,
             !write || (cfg_address_i[31:6] < 26'(Depth) && 32'(cfg_address_i[5:0]) < Lanes))
  `TP_COVER(Write_C, write)

endmodule
