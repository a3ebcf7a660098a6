// SPDX-License-Identifier: Apache-2.0
//
// tp_reset_copies: registered copies of the reset of a clock domain, one for each group of units.
//
// Out   rst_no[i] is rst_ni a cycle later, each straight from a register of its own, but for its
//       sense; all are low from power-up on. All units behind such copies leave reset in the same
//       cycle.
// Not   does not synchronise: rst_ni belongs to the domain (tp_reset_sync).
//
// The reset of a whole design is too wide a net for one register to drive in a cycle.

`include "tp_assert.svh"

module tp_reset_copies #(
  parameter int unsigned Copies = 2
) (
  input  logic              clk_i,
  input  logic              rst_ni,  // early
  output logic [Copies-1:0] rst_no   // early
);

  `TP_REQUIRE(Copies >= 1)

  // Equal registers that stay apart: synthesis keeps them by the attribute of the process. Active
  // high, as the flip-flops' own reset inputs are: inverted here and again by each of its readers,
  // a copy goes to them without a LUT.
  for (genvar i = 0; i < int'(Copies); i++) begin : gen_copy
    logic rst_q = 1'b1;

    (* keep *)
    always_ff @(posedge clk_i) begin
`ifdef TP_PLANT_BUG
      // The planted fault forgets the last copy.
      rst_q <= i == int'(Copies) - 1 ? rst_q : !rst_ni;
`else
      rst_q <= !rst_ni;
`endif
    end

    assign rst_no[i] = !rst_q;
  end

endmodule
