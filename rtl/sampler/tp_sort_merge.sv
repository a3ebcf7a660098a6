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

  logic take_a_q;
  logic take_b, valid_a, valid_b, odd_a, odd_b;
  logic valid_next_a, valid_next_b, odd_next_a, odd_next_b;
  logic [Width-1:0] a;
  logic [Width-1:0] b;
  logic [KeyWidth-1:0] key_next_a;
  logic [KeyWidth-1:0] key_next_b;
  tp_sort_run #(
    .RunLog  (RunLog),
    .KeyWidth(KeyWidth),
    .Width   (Width)
  ) u_a (
    .clk_i       (clk_i),
    .rst_ni      (rst_ni),
    .clear_i     (clear_i),
    .step_i      (step_i),
    .write_i     (first_q),
    .data_i      (first_data_q),
    .take_i      (take_a_q),
    .valid_o     (valid_a),
    .odd_o       (odd_a),
    .data_o      (a),
    .valid_next_o(valid_next_a),
    .odd_next_o  (odd_next_a),
    .key_next_o  (key_next_a)
  );
  tp_sort_run #(
    .RunLog  (RunLog),
    .KeyWidth(KeyWidth),
    .Width   (Width)
  ) u_b (
    .clk_i       (clk_i),
    .rst_ni      (rst_ni),
    .clear_i     (clear_i),
    .step_i      (step_i),
    .write_i     (valid_i && in_q[RunLog]),
    .data_i      (data_i),
    .take_i      (take_b),
    .valid_o     (valid_b),
    .odd_o       (odd_b),
    .data_o      (b),
    .valid_next_o(valid_next_b),
    .odd_next_o  (odd_next_b),
    .key_next_o  (key_next_b)
  );

  // From the first entry of a second run on, each step gives an entry. What is not in front has
  // been taken, or belongs to the next pair of runs.
  logic [RunLog+1:0] out_q;
  logic              going_q;
  logic              given_q;
  logic [ Width-1:0] data_q;
  logic [RunLog+1:0] out_next;
  logic              going_next;
  logic              here_next_a;
  logic              here_next_b;
  logic              at_least;
  assign out_next    = out_q + (RunLog + 2)'(going_q);
  assign going_next  = going_q || valid_next_b;
  assign here_next_a = valid_next_a && odd_next_a == out_next[RunLog+1];
  assign here_next_b = valid_next_b && odd_next_b == out_next[RunLog+1];
  assign take_b      = going_q && !take_a_q;

  // Which entry a step takes is decided in the step before, for both that this one may take: so
  // the comparisons end in a register, and all that they steer begins there.
  if (RunLog == 0) begin : gen_single
    // The entries of a pair come to the front together.
    tp_sort_compare #(
      .Width(KeyWidth)
    ) u_both (
      .a_i       (key_next_a),
      .b_i       (key_next_b),
      .c_i       ('1),
      .pick_b_i  (1'b1),
      .at_least_o(at_least)
    );
  end else begin : gen_runs
    // Where nothing of the second run is in front, the step takes the last entry of a pair; the
    // first run of the next pair is in front or behind it.
    logic after_a;
    logic after_b;
    tp_sort_compare #(
      .Width(KeyWidth)
    ) u_after_a (
      .a_i       (key_next_a),
      .b_i       (b[Width-1-:KeyWidth]),
      .c_i       (key_next_b),
      .pick_b_i  (valid_b),
      .at_least_o(after_a)
    );
    tp_sort_compare #(
      .Width(KeyWidth)
    ) u_after_b (
      .a_i       (a[Width-1-:KeyWidth]),
      .b_i       (key_next_b),
      .c_i       ('1),
      .pick_b_i  (1'b1),
      .at_least_o(after_b)
    );
    assign at_least = take_a_q ? after_a : after_b;
  end

  always_ff @(posedge clk_i) begin
    if (clear_i) begin
      out_q    <= '0;
      going_q  <= 1'b0;
      given_q  <= 1'b0;
      take_a_q <= 1'b0;
    end else if (step_i) begin
      out_q    <= out_next;
      going_q  <= going_next;
      given_q  <= going_q;
      take_a_q <= going_next && here_next_a && (!here_next_b || at_least);
    end
  end
  always_ff @(posedge clk_i) if (step_i) data_q <= take_a_q ? a : b;

  assign valid_o = given_q;
  assign data_o  = data_q;

  // Only the assertions look at these.
  logic here_a;
  logic here_b;
  logic larger_a;
  assign larger_a = a[Width-1-:KeyWidth] >= b[Width-1-:KeyWidth];
  assign here_a   = valid_a && odd_a == out_q[RunLog+1];
  assign here_b   = valid_b && odd_b == out_q[RunLog+1];

  `TP_ASSERT(OneIsHere_A, !(step_i && going_q) || here_a || here_b)
  `TP_ASSERT(LargerIsTaken_A, !(step_i && going_q) || take_a_q == (here_a && (!here_b || larger_a)))
  `TP_ASSERT(FrontGoes_A, going_q || !valid_b)

endmodule
