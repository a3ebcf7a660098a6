// SPDX-License-Identifier: Apache-2.0
//
// tp_reset_sync: makes the synchronous reset of a clock domain from an asynchronous request.
//
// Out   rst_no is low while request_ni is low and for HoldCycles cycles after, and comes straight
//       from a register, but for its sense. The domain starts in reset without a request: the
//       register says so from power-up on, and HoldCycles are counted behind it, because the FPGA's
//       other registers start at zero.
// Rate  a request of at least one clock period is seen; rst_no falls at most 3 cycles after it.
// Not   does not act without a clock: a domain whose clock stands still stays as it is.

`include "tp_assert.svh"

module tp_reset_sync #(
  parameter int unsigned HoldCycles = 16
) (
  input  logic clk_i,
  input  logic request_ni,  // any clock or none
  output logic rst_no       // early
);

  `TP_REQUIRE(HoldCycles >= 2 && HoldCycles <= 65535)

  localparam int unsigned CountWidth = $clog2(HoldCycles + 1);

`ifdef TP_PLANT_BUG
  // The planted fault releases one cycle early.
  localparam int unsigned Hold = HoldCycles - 1;
`else
  localparam int unsigned Hold = HoldCycles;
`endif

  logic request_n;
  logic [CountWidth-1:0] count_q;
  // Active high, as the flip-flops' own reset inputs are: inverted here and again by each of its
  // readers, it goes to them without a LUT.
  logic rst_q = 1'b1;

  tp_sync u_sync (
    .clk_i  (clk_i),
    .async_i(request_ni),
    .sync_o (request_n)
  );

  always_ff @(posedge clk_i) begin
    if (!request_n) begin
      count_q <= '0;
      rst_q   <= 1'b1;
    end else if (count_q != CountWidth'(Hold)) begin
      count_q <= count_q + 1'b1;
      rst_q   <= 1'b1;
    end else begin
      rst_q <= 1'b0;
    end
  end

  assign rst_no = !rst_q;

endmodule
