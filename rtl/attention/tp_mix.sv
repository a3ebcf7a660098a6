// SPDX-License-Identifier: Apache-2.0
//
// tp_mix: sums p * v over the positions of a page, the elements of one query set.
//
// In    a V word, or half of one, and the p of its lane groups, 16 in a page.
// Out   page_done_o 3 cycles after the last position; from the next cycle on the page's sums, Beat
//       of them a cycle, again and again until the next page is done.
// Rate  one position per cycle, pages back to back.

`include "tp_assert.svh"

module tp_mix #(
  parameter int unsigned Groups = 4,  // of 8 lanes
  parameter int unsigned HardGroups = 0,  // of them with hard multipliers
  parameter int unsigned Beat = 4  // sums that leave in a cycle: 4, 2
) (
  input  logic                      clk_i,
  input  logic                      rst_ni,
  input  logic                      in_valid_i,   // early
  input  logic                      in_first_i,   // early; first of a page
  input  logic                      in_last_i,    // early; last of a page
  input  logic [  Groups-1:0][ 7:0] in_p_i,       // early; 0..253
  input  logic [8*Groups-1:0][ 7:0] in_value_i,   // early; int8
  output logic                      page_done_o,  // early
  output logic [    Beat-1:0][19:0] beat_data_o   // late; signed
);

  logic [  Groups-1:0]       product_valid;
  logic [  Groups-1:0][ 1:0] last_q;
  logic                      done_q;
  logic [8*Groups-1:0][19:0] hold_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) done_q <= 1'b0;
    else done_q <= product_valid[0] && last_q[0][1];
  end

  // Each lane group has control registers of its own: the ways to all lanes are long.
  for (genvar group = 0; group < int'(Groups); group++) begin : gen_group
    logic [7:0][15:0] product;
    logic [1:0]       first_q;
    logic             load_q;
    logic [7:0][19:0] sum;
    logic [7:0][19:0] sum_q;

    tp_mul8 #(
      .Lanes(8),
      .Hard (group < int'(HardGroups))
    ) u_product (
      .clk_i,
      .rst_ni,
      .in_valid_i,
      .in_a_i     (in_value_i[8*group+:8]),
      .in_b_i     ({8{in_p_i[group]}}),
      .out_valid_o(product_valid[group]),
      .out_data_o (product)
    );

    // Adders that clear the sum so far inside the chain.
    for (genvar lane = 0; lane < 8; lane++) begin : gen_sum
      tp_ecp5_carry #(
        .Width(20)
      ) u_sum (
        .a_i  (sum_q[lane]),
        .b_i  ({20{!first_q[1]}}),
        .c_i  (20'($signed(product[lane]))),
        .d_i  ('1),
        .sum_o(sum[lane])
      );
    end

    (* keep *)
    always_ff @(posedge clk_i) begin
      first_q       <= {first_q[0], in_first_i};
      last_q[group] <= {last_q[group][0], in_last_i};
      load_q        <= product_valid[group] && last_q[group][1];
    end

    always_ff @(posedge clk_i) begin
      if (product_valid[group]) sum_q <= sum;
      if (load_q) hold_q[8*group+:8] <= sum_q;
    end
  end

  // Each sum of a beat has a counter of its own.
  localparam int unsigned BeatBits = $clog2(Beat);
  for (genvar i = 0; i < int'(Beat); i++) begin : gen_beat
    logic [$clog2(8*Groups/Beat)-1:0] beat_q;
    (* keep *)
    always_ff @(posedge clk_i) beat_q <= done_q ? '0 : beat_q + 1'b1;
    assign beat_data_o[i] = hold_q[{beat_q, BeatBits'(i)}];
  end

  assign page_done_o = done_q;

endmodule
