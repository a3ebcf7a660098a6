// SPDX-License-Identifier: Apache-2.0
//
// tp_round_shift: signed numbers over a power of two, rounded half up and clamped to int32.
//
// In    Lanes numbers that share one shift s; the port takes s - 1, so that left shifts need no
//       negation: their count is the complement. The shift comes one cycle before its numbers, and
//       is decoded by then.
// Out   bits equal tp_rnd_sat32(v, s) for every v and s, and the event that tp_sat32() counts.
// Rate  one beat per cycle, latency 3.
//
// There are only right shifts, of v * 2^32: first by bytes, then by bits. The result is lost when a
// bit that is shifted out above it, or its own topmost, is not the sign; and when 2^31 - 1/2 and
// more is rounded.

`include "tp_assert.svh"

module tp_round_shift #(
  parameter int unsigned Lanes = 2,
  parameter int unsigned Width = 40  // bits of a number, 34..63
) (
  input  logic                               clk_i,
  input  logic                               rst_ni,
  input  logic                               in_valid_i,      // early
  input  logic        [Lanes-1:0][Width-1:0] in_data_i,       // late; signed
  input  logic signed [      8:0]            in_shift_i,      // late; s - 1 of the next cycle
  output logic                               out_valid_o,     // early
  output logic        [Lanes-1:0][     31:0] out_data_o,      // early; int32
  output logic        [Lanes-1:0]            out_saturated_o  // early; only with valid
);

  `TP_REQUIRE(Lanes >= 1)
  `TP_REQUIRE(Width >= 34 && Width <= 63)

  localparam int unsigned Bytes = (Width + 7) / 8;

  // Twice the result is v * 2^32 >> (right + 8 * bytes). Above 95 only the sign is left; left by 32
  // and more leaves no room for any bit but 0.
  logic       is_far;
  logic [6:0] amount;
  logic [3:0] coarse;

  assign is_far = in_shift_i[8] && in_shift_i[7:5] != 3'b111;
  always_comb begin
    amount = {2'd0, in_shift_i[4:0]};
    if (!in_shift_i[8]) amount[6:5] = in_shift_i[7:6] != '0 ? 2'd3 : in_shift_i[5] ? 2'd2 : 2'd1;
  end
  assign coarse = amount[6:3];

  typedef struct packed {
    logic             is_far;
    logic [Bytes+3:0] by_bytes;  // bit i: i bytes
    logic [4:0]       fill;      // bit i: byte i of the result's twice is only the sign
    logic [Bytes-1:0] above;     // bit i: byte i is shifted out above the result
    logic [2:0]       fine;
  } shift_t;

  shift_t shift;
  always_comb begin
    shift.is_far   = is_far;
    shift.by_bytes = '0;
    for (int unsigned i = 0; i < Bytes + 4; i++) shift.by_bytes[i] = coarse == 4'(i);
    for (int unsigned i = 0; i < 5; i++) shift.fill[i] = 32'(coarse) >= Bytes + 4 - i;
    for (int unsigned i = 0; i < Bytes; i++) shift.above[i] = is_far || 32'(coarse) < i;
    shift.fine = amount[2:0];
  end

  logic [2:0] valid_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[1:0], in_valid_i};
  end

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    logic   [Bytes-1:0][7:0] data;
    logic                    sign;
    shift_t                  here_q;
    logic   [      2:0]      fine_q;
    logic   [Bytes-1:0]      is_large;  // the byte holds more than signs, and is shifted out
    logic   [      4:0][7:0] bytes;
    logic   [     39:0]      bytes_q;
    logic   [Bytes-1:0]      is_large_q;
    logic                    is_far_q;
    logic                    sign_q;
    logic   [     35:0]      by_four;
    logic   [     33:0]      by_two;
    logic   [     32:0]      shifted;
    logic                    is_lost;
    logic   [     32:0]      shifted_q;
    logic                    sign_q2;
    logic                    is_lost_q;  // a bit above the result
    logic                    is_over_q;  // its topmost bit
    logic   [      3:0]      all_ones_q;
    logic                    all_ones;
    logic                    is_clamped;
    logic   [     33:0]      sum;
    logic   [     31:0]      value_q;
    logic                    saturated_q;

    assign data = (8 * Bytes)'($signed(in_data_i[lane]));
    assign sign = in_data_i[lane][Width-1];

    // A decoded shift of each lane's own: it reaches all bits of the lane.
    (* keep *)
    always_ff @(posedge clk_i) here_q <= shift;

    // Byte i of the result's twice is byte i + coarse of v * 2^32.
    always_comb begin
      for (int unsigned i = 0; i < 5; i++) begin
        bytes[i] = {8{sign && here_q.fill[i]}};
        for (int unsigned k = 0; k < Bytes; k++) bytes[i] |= data[k] & {8{here_q.by_bytes[k+4-i]}};
      end
    end

    always_comb begin
      for (int unsigned i = 0; i < Bytes; i++) begin
        is_large[i] = data[i] != {8{sign}} && here_q.above[i];
      end
    end

    (* keep *)
    always_ff @(posedge clk_i) fine_q <= here_q.fine;

    assign by_four = fine_q[2] ? bytes_q[39:4] : bytes_q[35:0];
    assign by_two = fine_q[1] ? by_four[35:2] : by_four[33:0];
    assign shifted = fine_q[0] ? by_two[33:1] : by_two[32:0];
    assign is_lost = is_large_q != '0 || (is_far_q && sign_q) ||
        (!fine_q[2] && bytes_q[39:36] != {4{sign_q}}) ||
        (!fine_q[1] && by_four[35:34] != {2{sign_q}}) || (!fine_q[0] && by_two[33] != sign_q);

    always_ff @(posedge clk_i) begin
      bytes_q    <= bytes;
      is_large_q <= is_large;
      is_far_q   <= here_q.is_far;
      sign_q     <= sign;
      shifted_q  <= shifted;
      is_lost_q  <= is_lost;
      is_over_q  <= shifted[32] != sign_q;
      sign_q2    <= sign_q;
      for (int unsigned i = 0; i < 4; i++) all_ones_q[i] <= &shifted[8*i+:8];
    end

    assign all_ones   = all_ones_q == '1;
    assign is_clamped = is_lost_q || is_over_q || (!sign_q2 && all_ones);

    // Rounds, or takes the limit; the lowest place makes the carry.
    tp_ecp5_carry #(
      .Width(34)
    ) u_round (
`ifdef TP_PLANT_BUG
      // The planted fault cuts instead of rounding.
      .a_i  ({1'b0, shifted_q[32:1], 1'b0}),
`else
      .a_i  ({1'b0, shifted_q}),
`endif
      .b_i  ({34{!is_clamped}}),
      .c_i  ({1'b0, sign_q2, {31{!sign_q2}}, shifted_q[0]}),
      .d_i  ({{33{is_clamped}}, !is_clamped}),
      .sum_o(sum)
    );

    always_ff @(posedge clk_i) begin
      value_q     <= sum[32:1];
      // From -2^31 - 1/2 on, -2^31 is no limit but the rounded number.
      saturated_q <= is_lost_q || (sign_q2 ? is_over_q && !all_ones : is_over_q || all_ones);
    end

    assign out_data_o[lane]      = value_q;
    assign out_saturated_o[lane] = saturated_q;
    logic unused_sum;
    assign unused_sum = ^{sum[33], sum[0]};
  end

  assign out_valid_o = valid_q[2];

  `TP_COVER(Left_C, in_shift_i[8])
  `TP_COVER(Far_C, is_far)

endmodule
