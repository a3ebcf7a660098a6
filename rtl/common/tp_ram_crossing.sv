// SPDX-License-Identifier: Apache-2.0
//
// tp_ram_crossing: block RAM between two clocks; one write port, one read port.
//
// Rate  a write and a read per cycle of their clocks; the read data stand one cycle after the one
//       with read_enable_i, and stay until the data of the next read.
// Not   has no reset. A read of the word that is being written gives any bits: readers must know
//       by another way (a count through tp_sync) that a word stands. Words of Contents are there
//       from power-up on; without Initialised, contents are unspecified.

`include "tp_assert.svh"

module tp_ram_crossing #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 256,
  parameter bit Initialised = 1'b0,
  parameter bit [Width*Depth-1:0] Contents = '0,  // word 0 lowest
  localparam int unsigned AddressWidth = $clog2(Depth)
) (
  input  logic                    clk_write_i,
  input  logic                    write_enable_i,   // early
  input  logic [AddressWidth-1:0] write_address_i,  // early
  input  logic [       Width-1:0] write_data_i,     // early
  input  logic                    clk_read_i,
  input  logic                    read_enable_i,    // late
  input  logic [AddressWidth-1:0] read_address_i,   // late
  output logic [       Width-1:0] read_data_o       // early, but 5.8 ns behind the clock
);

  `TP_REQUIRE(Width >= 1)
  `TP_REQUIRE(Depth >= 2)

  (* ram_style = "block", no_rw_check *)
  logic [Width-1:0] memory[Depth];

  if (Initialised) begin : gen_contents
    initial begin
      for (int unsigned i = 0; i < Depth; i++) memory[i] = Contents[Width*i+:Width];
    end
  end

  always_ff @(posedge clk_write_i) begin
    if (write_enable_i) memory[write_address_i] <= write_data_i;
  end

  always_ff @(posedge clk_read_i) begin
    if (read_enable_i) read_data_o <= memory[read_address_i];
  end

endmodule
