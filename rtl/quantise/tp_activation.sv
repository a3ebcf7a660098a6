// SPDX-License-Identifier: Apache-2.0
//
// tp_activation: memory of the quantised blocks of all slots.
//
// In    block flow; a block written in cycle t is seen by reads whose address stands in t + 1.
// Out   block of (slot, index), 2 cycles after the address; stays until the next enabled read.
// Rate  one write and one read per cycle.
// Not   has no reset, and no answer for a block that is written in the very cycle of its read.

`include "tp_assert.svh"

module tp_activation #(
  parameter int unsigned Slots  = 4,
  parameter int unsigned Blocks = 4   // of a slot, 1..256
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         block_valid_i,     // early
  input  logic [  2:0] block_slot_i,      // early
  input  logic [  7:0] block_index_i,     // early
  input  logic [255:0] block_data_i,      // early
  input  logic [  4:0] block_exponent_i,  // early
  input  logic         read_enable_i,     // late
  input  logic [  2:0] read_slot_i,       // late
  input  logic [  7:0] read_index_i,      // late
  output logic [255:0] read_data_o,       // early
  output logic [  4:0] read_exponent_o    // early
);

  `TP_REQUIRE(Slots >= 1 && Slots <= 8)
  `TP_REQUIRE(Blocks >= 1 && Blocks <= 256)

  // A slot takes a power of two of entries, so that the address is a concatenation.
  localparam int unsigned IndexWidth = $clog2(Blocks);
  localparam int unsigned Entries = Slots << IndexWidth;
  localparam int unsigned Depth = Entries < 2 ? 2 : Entries;
  localparam int unsigned AddressWidth = $clog2(Depth);
  // 261 bits need 8 block RAMs of 512 words, however few of these are used.
  localparam bit Distributed = Depth <= 32;

  function automatic logic [AddressWidth-1:0] address(input logic [2:0] slot,
                                                      input logic [7:0] index);
    address = AddressWidth'((32'(slot) << IndexWidth) | 32'(index));
  endfunction

  tp_ram #(
    .Width         (261),
    .Depth         (Depth),
    .OutputRegister(1'b1),
    .Distributed   (Distributed)
  ) u_ram (
    .clk_i          (clk_i),
    .write_enable_i (block_valid_i),
`ifdef TP_PLANT_BUG
    // The planted fault puts the blocks of all slots into one place.
    .write_address_i(address('0, block_index_i)),
`else
    .write_address_i(address(block_slot_i, block_index_i)),
`endif
    .write_data_i   ({block_exponent_i, block_data_i}),
    .read_enable_i  (read_enable_i),
    .read_address_i (address(read_slot_i, read_index_i)),
    .read_data_o    ({read_exponent_o, read_data_o})
  );

  `TP_ASSERT(WriteInRange_A,
             !block_valid_i || (32'(block_slot_i) < Slots && 32'(block_index_i) < Blocks))
  `TP_ASSERT(ReadInRange_A,
             !read_enable_i || (32'(read_slot_i) < Slots && 32'(read_index_i) < Blocks))

  // Only the assertions look at it.
  logic unused_reset;
  assign unused_reset = rst_ni;

endmodule
