// SPDX-License-Identifier: Apache-2.0
//
// tp_square: squares of 16-bit numbers, in LUTs or in a hard multiplier.
//
// In    signed 16-bit numbers.
// Out   the square, exact, 0..2^30, 3 cycles later.
// Rate  one number per cycle.
// Not   is a DSP block without Hard: those are scarce. A plain product would be taken for one in
//       synthesis, so there the square is the sum of half the rows of a product, as gated pairs in
//       carry chains: for each bit i of the magnitude that is set, 2^(2 i) * (1 + 4 * (bits above
//       i)). TP_SQUARE_ROWS takes this form anywhere.

`include "tp_assert.svh"

`ifdef SYNTHESIS
`define TP_SQUARE_ROWS
`endif

module tp_square #(
  parameter bit Hard = 1'b0  // 1: a hard multiplier
) (
  input logic clk_i,
  input logic rst_ni,
  input logic in_valid_i,  // early
  input logic [15:0] in_data_i,  // early; signed
  output logic out_valid_o,  // early
  output logic [30:0] out_data_o  // early
);

  logic valid_q, valid_q2, valid_q3;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) {valid_q, valid_q2, valid_q3} <= '0;
    else {valid_q, valid_q2, valid_q3} <= {in_valid_i, valid_q, valid_q2};
  end

  if (Hard) begin : gen_hard
    logic unused_sign;
    tp_ecp5_multiply #(
      .WidthA(16),
      .WidthB(16)
    ) u_square (
      .clk_i,
      .a_i  (in_data_i),
      .b_i  (in_data_i),
      .out_o({unused_sign, out_data_o})
    );
  end else begin : gen_luts
    logic [15:0] magnitude_q;  // 0..32768
    logic [30:0] square_q3;
    assign out_data_o = square_q3;

    always_ff @(posedge clk_i) begin
      if (in_valid_i) magnitude_q <= in_data_i[15] ? -in_data_i : in_data_i;
    end

`ifdef TP_SQUARE_ROWS
    logic [7:0][19:0] pair;  // rows 2 i and 2 i + 1 without their common shift
    logic [3:0][23:0] part_q2;  // rows 4 i .. 4 i + 3, the same

    for (genvar i = 0; i < 8; i++) begin : gen_pair
      // Row j is (bits above j, 0, 1), 17 - j bits; the second one stands 2 places higher.
      localparam int unsigned Width = 20 - 2 * i;
      logic [Width-1:0] once;
      logic [Width-1:0] twice;
      logic [Width-1:0] sum;
      assign once  = Width'({magnitude_q >> (2 * i + 1), 2'b01});
      assign twice = Width'({magnitude_q >> (2 * i + 2), 4'b0100});
      tp_ecp5_carry #(
        .Width(Width),
        .Init (16'h7888)
      ) u_carry (
        .a_i  (once),
        .b_i  ({Width{magnitude_q[2*i]}}),
        .c_i  (twice),
        .d_i  ({Width{magnitude_q[2*i+1]}}),
        .sum_o(sum)
      );
      assign pair[i] = 20'(sum);
    end

    for (genvar i = 0; i < 4; i++) begin : gen_part
      always_ff @(posedge clk_i) begin
        if (valid_q) part_q2[i] <= 24'(pair[2*i]) + {pair[2*i+1], 4'b0};
      end
    end

    always_ff @(posedge clk_i) begin
      if (valid_q2) begin
        square_q3 <= (31'(part_q2[0]) + 31'({part_q2[1], 8'b0})) +
                     (31'({part_q2[2], 16'b0}) + 31'({part_q2[3], 24'b0}));
      end
    end
`else
    logic [15:0] magnitude_q2;

    always_ff @(posedge clk_i) begin
      if (valid_q) magnitude_q2 <= magnitude_q;
`ifdef TP_PLANT_BUG
      // The planted fault loses the largest square.
      if (valid_q2) square_q3 <= 31'(magnitude_q2) * 31'(magnitude_q2) & 31'h3fff_ffff;
`else
      if (valid_q2) square_q3 <= 31'(magnitude_q2) * 31'(magnitude_q2);
`endif
    end
`endif
  end

  assign out_valid_o = valid_q3;

endmodule
