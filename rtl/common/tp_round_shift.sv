// SPDX-License-Identifier: Apache-2.0
//
// tp_round_shift: signed numbers over a power of two, rounded half up and clamped to int32.
//
// In    Lanes numbers that share one shift s; the port takes s - 1, so that left shifts need no
//       negation: their count is the complement.
// Out   bits equal tp_rnd_sat32(v, s) for every v and s, and the event that tp_sat32() counts.
// Rate  one beat per cycle, latency 3.
//
// The right shifter also serves left shifts: v * 2^k fits int32 when v >>> (31 - k) is 0 or -1.

`include "tp_assert.svh"

module tp_round_shift #(
  parameter int unsigned Lanes = 2,
  parameter int unsigned Width = 40  // bits of a number, 34..63
) (
  input  logic                               clk_i,
  input  logic                               rst_ni,
  input  logic                               in_valid_i,      // early
  input  logic        [Lanes-1:0][Width-1:0] in_data_i,       // late; signed
  input  logic signed [      8:0]            in_shift_i,      // early; s - 1
  output logic                               out_valid_o,     // early
  output logic        [Lanes-1:0][     31:0] out_data_o,      // early; int32
  output logic        [Lanes-1:0]            out_saturated_o  // early; only with valid
);

  `TP_REQUIRE(Lanes >= 1)
  `TP_REQUIRE(Width >= 34 && Width <= 63)

  // Amounts above are all alike: rnd gives 0, and 31 left shifts leave no room for any bit but 0.
  logic [5:0] right;  // amount of the right shifter
  logic [4:0] left;
  logic       is_left;
  logic       is_far;  // left by 32 and more

  assign is_left = in_shift_i[8];
  assign is_far  = is_left && in_shift_i[7:5] != 3'b111;
  assign left    = ~in_shift_i[4:0];
  always_comb begin
    right = in_shift_i[5:0];
    if (is_far) right = '0;
    else if (is_left) right[5] = 1'b0;
    else if (in_shift_i[7:6] != '0) right = '1;
  end

  logic [2:0] valid_q;
  logic is_left_q, is_left_q2;
  logic is_far_q, is_far_q2;
  logic [2:0] right_q;
  logic [2:0] left_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[1:0], in_valid_i};
  end

  always_ff @(posedge clk_i) begin
    if (in_valid_i) begin
      is_left_q <= is_left;
      is_far_q  <= is_far;
      right_q   <= right[2:0];
      left_q    <= left[2:0];
    end
    if (valid_q[0]) begin
      is_left_q2 <= is_left_q;
      is_far_q2  <= is_far_q;
    end
  end

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    logic signed [Width-1:0] coarse_right_q;
    logic signed [Width-1:0] fine_right_q;
    logic        [     31:0] coarse_left_q;
    logic        [     31:0] fine_left_q;
    logic signed [Width-1:0] sum;
    logic                    left_fits;
    logic                    right_fits;
    logic                    fits;
    logic        [     31:0] limit;
    logic        [     31:0] value_q;
    logic                    saturated_q;

    always_ff @(posedge clk_i) begin
      if (in_valid_i) begin
        coarse_right_q <= $signed(in_data_i[lane]) >>> {right[5:3], 3'b0};
        coarse_left_q  <= in_data_i[lane][31:0] << {left[4:3], 3'b0};
      end
      if (valid_q[0]) begin
        fine_right_q <= coarse_right_q >>> right_q;
        fine_left_q  <= coarse_left_q << left_q;
      end
    end

    // The sum wraps only for the largest number, and then its upper bits differ.
`ifdef TP_PLANT_BUG
    // The planted fault cuts instead of rounding.
    assign sum = fine_right_q;
`else
    assign sum = fine_right_q + Width'(1);
`endif
    assign left_fits = fine_right_q == '0 || (!is_far_q2 && fine_right_q == '1);
    assign right_fits = sum[Width-1:32] == {(Width - 32) {sum[Width-1]}};
    assign fits = is_left_q2 ? left_fits : right_fits;
    assign limit = fine_right_q[Width-1] ? 32'h8000_0000 : 32'h7fff_ffff;

    always_ff @(posedge clk_i) begin
      if (valid_q[1]) begin
        value_q     <= !fits ? limit : is_left_q2 ? fine_left_q : sum[32:1];
        saturated_q <= !fits;
      end
    end

    assign out_data_o[lane]      = value_q;
    assign out_saturated_o[lane] = saturated_q;
    logic unused_half;
    assign unused_half = sum[0];
  end

  assign out_valid_o = valid_q[2];

  `TP_COVER(Left_C, valid_q[1] && is_left_q2)
  `TP_COVER(Far_C, valid_q[1] && is_far_q2)

endmodule
