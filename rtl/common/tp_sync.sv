// SPDX-License-Identifier: Apache-2.0
//
// tp_sync: brings one asynchronous bit into a clock domain.
//
// Out   the input, Stages cycles later, free of metastability for practical purposes.
// Not   not for several bits that belong together: they would arrive in different cycles.

`include "tp_assert.svh"

module tp_sync #(
  parameter int unsigned Stages = 2
) (
  input  logic clk_i,
  input  logic async_i,  // any clock or none
  output logic sync_o    // early
);

  `TP_REQUIRE(Stages >= 2)

  // The registers stay a chain: no sharing with equal logic, no shift-register memory.
  (* keep, async_reg = "true" *)
  logic [Stages-1:0] chain_q;

  always_ff @(posedge clk_i) begin
`ifdef TP_PLANT_BUG
    // The planted fault skips the first stage.
    chain_q <= {chain_q[Stages-2:0] | (Stages - 1)'(async_i), async_i};
`else
    chain_q <= {chain_q[Stages-2:0], async_i};
`endif
  end

  assign sync_o = chain_q[Stages-1];

endmodule
