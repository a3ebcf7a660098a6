// SPDX-License-Identifier: Apache-2.0
//
// tp_delay: data_o is data_i of Cycles cycles ago.
//
// Rate  one word per cycle. Rings of LUT RAM with a register behind hold 17 words each; the rest
//       are registers.
// Not   has contents: the first Cycles words mean nothing.

`include "tp_assert.svh"

module tp_delay #(
  parameter int unsigned Width  = 8,
  parameter int unsigned Cycles = 17
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic [Width-1:0] data_i,
  output logic [Width-1:0] data_o   // early
);

  `TP_REQUIRE(Cycles >= 1)

  localparam int unsigned Rings = Cycles / 17;
  localparam int unsigned Registers = Cycles % 17;

  logic [3:0] turn_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) turn_q <= '0;
    else turn_q <= turn_q + 4'd1;
  end

  logic [Rings+Registers:0][Width-1:0] data;
  assign data[0] = data_i;
  for (genvar i = 0; i < Rings + Registers; i++) begin : gen_part
    logic [Width-1:0] oldest;
    logic [Width-1:0] data_q;
    if (i < Rings) begin : gen_ring
      tp_ram_async #(
        .Width(Width),
        .Depth(16)
      ) u_ring (
        .clk_i          (clk_i),
        .write_enable_i (1'b1),
        .write_address_i(turn_q),
        .write_data_i   (data[i]),
        .read_address_i (turn_q),
        .read_data_o    (oldest)
      );
    end else begin : gen_register
      assign oldest = data[i];
    end
    always_ff @(posedge clk_i) data_q <= oldest;
    assign data[i+1] = data_q;
  end
  assign data_o = data[Rings+Registers];

endmodule
