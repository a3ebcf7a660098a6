// SPDX-License-Identifier: Apache-2.0
//
// tp_ram_async: LUT RAM; one synchronous write port, one asynchronous read port.
//
// Rate  a write and a read per cycle. A write is visible to reads from the next cycle on.
// Not   has no reset and no initial contents; no check that the read address is below Depth.

`include "tp_assert.svh"

module tp_ram_async #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 16,
  localparam int unsigned AddressWidth = $clog2(Depth)
) (
  input  logic                    clk_i,
  input  logic                    write_enable_i,   // early
  input  logic [AddressWidth-1:0] write_address_i,  // early
  input  logic [       Width-1:0] write_data_i,     // early
  input  logic [AddressWidth-1:0] read_address_i,   // early
  output logic [       Width-1:0] read_data_o       // late
);

  `TP_REQUIRE(Width >= 1)
  `TP_REQUIRE(Depth >= 2)

  (* ram_style = "distributed" *)
  logic [Width-1:0] memory[Depth];

  always_ff @(posedge clk_i) begin
`ifdef TP_PLANT_BUG
    // The planted fault writes every word to the place of even address.
    if (write_enable_i) memory[write_address_i&~AddressWidth'(1)] <= write_data_i;
`else
    if (write_enable_i) memory[write_address_i] <= write_data_i;
`endif
  end

  assign read_data_o = memory[read_address_i];

`ifdef TP_ARMED
  // Cells without reset assert on the bare clock.
  WriteAddressLegal_A :
  assert property (@(posedge clk_i) (!write_enable_i || 32'(write_address_i) < Depth))
  else $error("%m");
`endif

endmodule
