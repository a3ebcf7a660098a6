// SPDX-License-Identifier: Apache-2.0
//
// tp_ram: synchronous RAM; one write port, one read port, one clock.
//
// Rate  a write and a read per cycle; the read data stand 1 + OutputRegister cycles after the cycle
//       with read_enable_i, and stay until the data of the next read arrive.
// Not   has no reset, and unspecified contents before they are written. A read of the word that is
//       written in the same cycle gives unspecified bits; simulation gives the wrong ones on
//       purpose.
//
// Block RAM is tp_ecp5_ram, with the output register inside the block RAM: its clock-to-out is slow
// without it (5.8 ns). LUT RAM is inferred.

`include "tp_assert.svh"

module tp_ram #(
  parameter int unsigned Width = 32,
  parameter int unsigned Depth = 512,
  parameter bit OutputRegister = 1'b0,
  parameter bit Distributed = 1'b0,  // 0: block RAM, 1: LUT RAM
  localparam int unsigned AddressWidth = $clog2(Depth)
) (
  input  logic                    clk_i,
  input  logic                    write_enable_i,   // early
  input  logic [AddressWidth-1:0] write_address_i,  // early
  input  logic [       Width-1:0] write_data_i,     // early
  input  logic                    read_enable_i,    // late
  input  logic [AddressWidth-1:0] read_address_i,   // late
  output logic [       Width-1:0] read_data_o       // early
);

  `TP_REQUIRE(Width >= 1)
  `TP_REQUIRE(Depth >= 2)

  logic [AddressWidth-1:0] write_address;
`ifdef TP_PLANT_BUG
  // The planted fault writes every word to the place of even address.
  assign write_address = write_address_i & ~AddressWidth'(1);
`else
  assign write_address = write_address_i;
`endif

  if (Distributed) begin : gen_distributed
    // no_rw_check is the "unspecified bits" above: without it synthesis adds a bypass around the
    // RAM.
    (* ram_style = "distributed", no_rw_check *)
    logic [Width-1:0] memory[Depth];
    logic [Width-1:0] read_data_q;
    logic [Width-1:0] collision;

`ifdef TP_ARMED
    assign collision = {Width{write_enable_i && write_address_i == read_address_i}};
`else
    assign collision = '0;
`endif

    always_ff @(posedge clk_i) begin
      if (write_enable_i) memory[write_address] <= write_data_i;
    end

    always_ff @(posedge clk_i) begin
      if (read_enable_i) read_data_q <= memory[read_address_i] ^ collision;
    end

    if (OutputRegister) begin : gen_output_register
      logic [Width-1:0] read_data_q2;
      always_ff @(posedge clk_i) read_data_q2 <= read_data_q;
      assign read_data_o = read_data_q2;
    end else begin : gen_direct
      assign read_data_o = read_data_q;
    end
  end else begin : gen_block
    tp_ecp5_ram #(
      .Width         (Width),
      .Depth         (Depth),
      .OutputRegister(OutputRegister)
    ) u_ram (
      .clk_i          (clk_i),
      .write_enable_i (write_enable_i),
      .write_address_i(write_address),
      .write_data_i   (write_data_i),
      .read_enable_i  (read_enable_i),
      .read_address_i (read_address_i),
      .read_data_o    (read_data_o)
    );
  end

`ifdef TP_ARMED
  // Cells without reset assert on the bare clock.
  WriteAddressLegal_A :
  assert property (@(posedge clk_i) (!write_enable_i || 32'(write_address_i) < Depth))
  else $error("%m");
  ReadAddressLegal_A :
  assert property (@(posedge clk_i) (!read_enable_i || 32'(read_address_i) < Depth))
  else $error("%m");
`endif

endmodule
