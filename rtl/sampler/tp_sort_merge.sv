// SPDX-License-Identifier: Apache-2.0
//
// tp_sort_merge: two sorted runs of 2^RunLog entries become one, largest key first.
//
// In    an entry in every step from the first one with valid_i on; runs follow each other.
// Out   the same from 2^RunLog + 3 steps later on. Of equal keys the one of the first run is first.
// Rate  one entry per step.

`include "tp_assert.svh"

module tp_sort_merge #(
  parameter int unsigned RunLog   = 4,
  parameter int unsigned KeyWidth = 25,  // the upper bits of an entry, unsigned
  parameter int unsigned Width    = 34
) (
  input  logic             clk_i,
  input  logic             rst_ni,   // of the assertions alone
  input  logic             clear_i,  // early; forgets all entries, also in reset
  input  logic             step_i,   // early
  input  logic             valid_i,  // early
  input  logic [Width-1:0] data_i,   // early
  output logic             valid_o,  // early
  output logic [Width-1:0] data_o    // early
);

  // The first run waits a step more: so its place is free when an entry of the next one comes.
  logic [ RunLog:0] in_q;
  logic             first_q;
  logic [Width-1:0] first_data_q;
  always_ff @(posedge clk_i) begin
    if (clear_i) begin
      in_q    <= '0;
      first_q <= 1'b0;
    end else if (step_i) begin
      if (valid_i) in_q <= in_q + 1'b1;
      first_q <= valid_i && !in_q[RunLog];
    end
  end
  always_ff @(posedge clk_i) if (step_i) first_data_q <= data_i;

  logic take_a, take_b, valid_a, valid_b, odd_a, odd_b;
  logic [Width-1:0] a;
  logic [Width-1:0] b;
  tp_sort_run #(
    .RunLog(RunLog),
    .Width (Width)
  ) u_a (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(clear_i),
    .step_i (step_i),
    .write_i(first_q),
    .data_i (first_data_q),
    .take_i (take_a),
    .valid_o(valid_a),
    .odd_o  (odd_a),
    .data_o (a)
  );
  tp_sort_run #(
    .RunLog(RunLog),
    .Width (Width)
  ) u_b (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .clear_i(clear_i),
    .step_i (step_i),
    .write_i(valid_i && in_q[RunLog]),
    .data_i (data_i),
    .take_i (take_b),
    .valid_o(valid_b),
    .odd_o  (odd_b),
    .data_o (b)
  );

  // From the first entry of a second run on, each step gives an entry. What is not in front has
  // been taken, or belongs to the next pair of runs.
  logic [RunLog+1:0] out_q;
  logic              going_q;
  logic              going;
  logic              here_a;
  logic              here_b;
  logic [ Width-1:0] data_q;
  assign going  = going_q || valid_b;
  assign here_a = valid_a && odd_a == out_q[RunLog+1];
  assign here_b = valid_b && odd_b == out_q[RunLog+1];
  assign take_a = going && here_a && (!here_b || a[Width-1-:KeyWidth] >= b[Width-1-:KeyWidth]);
  assign take_b = going && !take_a;

  always_ff @(posedge clk_i) begin
    if (clear_i) begin
      out_q   <= '0;
      going_q <= 1'b0;
    end else if (step_i && going) begin
      out_q   <= out_q + 1'b1;
      going_q <= 1'b1;
    end
  end
  always_ff @(posedge clk_i) if (step_i) data_q <= take_a ? a : b;

  assign valid_o = going_q;
  assign data_o  = data_q;

  `TP_ASSERT(OneIsHere_A, !(step_i && going) || here_a || here_b)

endmodule
