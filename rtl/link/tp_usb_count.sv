// SPDX-License-Identifier: Apache-2.0
//
// tp_usb_count: a count of packets, modulo 4, of one clock, seen by another one.
//
// In    step_i counts one; clear_i sets 0.
// Out   count_o, a cycle behind; other_count_o, the same on the other clock, later: it is a count
//       that was, and never goes backwards, whatever the clocks.
// Not   the other side must not look while clear_i is high and for three of its cycles after.
//
// In Gray code a step changes one bit, so two synchronisers see the old or the new count.

`include "tp_assert.svh"

module tp_usb_count (
  input  logic       clk_i,
  input  logic       clear_i,       // early
  input  logic       step_i,        // late
  output logic [1:0] count_o,       // early
  input  logic       clk_other_i,
  output logic [1:0] other_count_o  // early
);

  logic [1:0] gray_q;
  logic [1:0] other_gray;

  always_ff @(posedge clk_i) begin
    if (clear_i) gray_q <= '0;
    else if (step_i) gray_q <= {gray_q[0], !gray_q[1]};
  end

  for (genvar i = 0; i < 2; i++) begin : gen_bit
    tp_sync u_sync (
      .clk_i  (clk_other_i),
      .async_i(gray_q[i]),
      .sync_o (other_gray[i])
    );
  end

  assign count_o = {gray_q[1], ^gray_q};
  assign other_count_o = {other_gray[1], ^other_gray};

endmodule
