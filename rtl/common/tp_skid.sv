// SPDX-License-Identifier: Apache-2.0
//
// tp_skid: two-entry buffer that cuts every combinational path of a stream.
//
// In    beats of Width bits, any meaning.
// Out   the same beats in the same order; none lost, none twice.
// Rate  one beat per cycle, latency 1 cycle; all outputs come straight from registers.
// Not   does not store more than two beats: use tp_fifo to ride out longer stalls.

`include "tp_assert.svh"

module tp_skid #(
  parameter int unsigned Width = 32
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic             in_valid_i,   // early
  output logic             in_ready_o,   // early
  input  logic [Width-1:0] in_data_i,    // early
  output logic             out_valid_o,  // early
  input  logic             out_ready_i,  // late
  output logic [Width-1:0] out_data_o    // early
);

  `TP_REQUIRE(Width >= 1)

  logic             out_valid_q;
  logic             spare_valid_q;
  logic [Width-1:0] out_data_q;
  logic [Width-1:0] spare_data_q;
  logic             out_free;
  logic             accept;

  assign out_free    = !out_valid_q || out_ready_i;
  assign accept      = in_valid_i && in_ready_o;
  assign in_ready_o  = !spare_valid_q;
  assign out_valid_o = out_valid_q;
  assign out_data_o  = out_data_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      out_valid_q   <= 1'b0;
      spare_valid_q <= 1'b0;
    end else begin
      if (out_free) begin
        out_valid_q   <= accept || spare_valid_q;
        spare_valid_q <= 1'b0;
      end else if (accept) begin
        spare_valid_q <= 1'b1;
      end
    end
  end

  // The spare entry takes the beat that was already promised a place when the output stalled.
  always_ff @(posedge clk_i) begin
    if (out_free) out_data_q <= spare_valid_q ? spare_data_q : in_data_i;
`ifdef TP_PLANT_BUG
    // The planted fault also overwrites the spare beat while it waits.
    if (in_valid_i) spare_data_q <= in_data_i;
`else
    if (accept) spare_data_q <= in_data_i;
`endif
  end

  `TP_PROVE_RESET(PROVE_TP_SKID)
  `TP_INPUT_RULE(PROVE_TP_SKID, InHolds_M, `TP_HOLDS(in_valid_i, in_ready_o, in_data_i))
  `TP_ASSERT(OutHolds_A, `TP_HOLDS(out_valid_o, out_ready_i, out_data_o))
  `TP_ASSERT(SpareNeedsOutput_A, !spare_valid_q || out_valid_q)
  `TP_COVER(Full_C, spare_valid_q)
  `TP_COVER(Drain_C, spare_valid_q && out_ready_i)
  `TP_COVER(Through_C, out_valid_q && out_ready_i && accept)

`ifdef PROVE_TP_SKID
  // Any one beat that the proof picks leaves with the same bits, in its place in the order.
  logic [      7:0] prove_index_q;  // without reset, so its first value is any
  logic [      7:0] prove_in_q;
  logic [      7:0] prove_out_q;
  logic [Width-1:0] prove_data_q;
  always_ff @(posedge clk_i) prove_index_q <= prove_index_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      prove_in_q  <= '0;
      prove_out_q <= '0;
    end else begin
      if (accept) prove_in_q <= prove_in_q + 8'd1;
      if (out_valid_o && out_ready_i) prove_out_q <= prove_out_q + 8'd1;
    end
    if (accept && prove_in_q == prove_index_q) prove_data_q <= in_data_i;
  end
  logic [7:0] prove_level;
  assign prove_level = prove_in_q - prove_out_q;
  `TP_ASSERT(Level_A, prove_level == 8'(out_valid_q) + 8'(spare_valid_q))
  `TP_ASSERT(OutIsIn_A,
             !(out_valid_q && prove_out_q == prove_index_q) || out_data_o == prove_data_q)
  `TP_ASSERT(
      SpareIsIn_A,
      !(spare_valid_q && prove_out_q + 8'd1 == prove_index_q) || spare_data_q == prove_data_q)
`endif

endmodule
