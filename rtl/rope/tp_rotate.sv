// SPDX-License-Identifier: Apache-2.0
//
// tp_rotate: rotates pairs of elements by an angle.
//
// In    pair (a, b), int32; one cycle later its cosine, sine (Q1.15) and their sum.
// Out   a' = sat32(rnd(a cos - b sin, 15)), b' = sat32(rnd(a sin + b cos, 15)); bits equal
//       tp_rope_rotate() of the model. Cosine 1 with sine 0 leaves every pair as it is.
// Rate  one pair per cycle, latency 4.
//
// Three products instead of four: with r = a (cos + sin), a' = r - sin (a + b) and
// b' = r + cos (b - a), exact in integers. Each product is two of 18 x 18 bits; the upper ones are
// added first, and the lower ones, so that the last sum is a short one.

`include "tp_assert.svh"

module tp_rotate (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  logic                     in_valid_i,      // early
  input  logic        [ 1:0][31:0] in_data_i,       // early; a is element 0
  input  logic signed [16:0]       cosine_i,        // early; one cycle after in_valid_i
  input  logic signed [16:0]       sine_i,          // early; one cycle after in_valid_i
  input  logic signed [17:0]       sum_i,           // early; cosine_i + sine_i
  output logic                     out_valid_o,     // early
  output logic        [ 1:0][31:0] out_data_o,      // early
  output logic        [ 1:0]       out_saturated_o  // early; only with valid
);

  typedef struct packed {
    logic        saturated;
    logic [31:0] value;
  } turned_t;

  // rnd(high * 2^16 + low, 15) as int32. The bits from 2^31 on are those of the upper part, one
  // more or one less: for either carry it is known before the sum whether they are all signs.
  function automatic turned_t turned(input logic signed [34:0] high, input logic signed [34:0] low);
    logic [31:0] sum;
    logic        unused_place;  // makes the carry of the rounding
    logic [ 4:0] top;
    logic        carry;
    logic        fits;
`ifdef TP_PLANT_BUG
    // The planted fault cuts instead of rounding.
    {sum, unused_place} = {high[30:0], 2'b00} + 33'(low >>> 14);
`else
    {sum, unused_place} = {high[30:0], 1'b0, low[14]} + 33'(low >>> 14);
`endif
    top   = high[34:30];
    carry = sum[31] ^ high[30] ^ low[34];
    if (carry == low[34]) fits = top == '0 || top == '1;
    else if (carry) fits = top == '1 || top == 5'h1e;
    else fits = top == '0 || top == 5'h01;
    turned.saturated = !fits;
    turned.value     = fits ? sum : {high[34], {31{!high[34]}}};
  endfunction

  logic        [ 3:0] valid_q;
  logic signed [31:0] a_q;
  logic signed [32:0] both_q;  // a + b
  logic signed [32:0] apart_q;  // b - a
  logic signed [33:0] a_high;  // products, upper and lower 16 bits of the element apart
  logic signed [33:0] a_low;
  logic signed [33:0] both_high;
  logic signed [32:0] both_low;
  logic signed [33:0] apart_high;
  logic signed [32:0] apart_low;
  logic signed [34:0] first_high_q;  // times 2^16
  logic signed [34:0] first_low_q;
  logic signed [34:0] second_high_q;
  logic signed [34:0] second_low_q;
  turned_t            first;
  turned_t            second;
  logic        [31:0] first_q;
  logic        [31:0] second_q;
  logic        [ 1:0] saturated_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[2:0], in_valid_i};
  end

  always_ff @(posedge clk_i) begin
    if (in_valid_i) begin
      a_q     <= in_data_i[0];
      both_q  <= 33'($signed(in_data_i[0])) + 33'($signed(in_data_i[1]));
      apart_q <= 33'($signed(in_data_i[1])) - 33'($signed(in_data_i[0]));
    end
    first_high_q  <= 35'(a_high) - 35'(both_high);
    first_low_q   <= 35'(a_low) - 35'(both_low);
    second_high_q <= 35'(a_high) + 35'(apart_high);
    second_low_q  <= 35'(a_low) + 35'(apart_low);
    first_q       <= first.value;
    second_q      <= second.value;
    saturated_q   <= {second.saturated, first.saturated};
  end

  // The registers of stage 2 lie in the multipliers.
  tp_ecp5_multiply #(
    .WidthA (16),
    .WidthB (18),
    .Latency(1)
  ) u_a_high (
    .clk_i(clk_i),
    .a_i  (a_q[31:16]),
    .b_i  (sum_i),
    .out_o(a_high)
  );

  tp_ecp5_multiply #(
    .WidthA (16),
    .WidthB (18),
    .SignedA(1'b0),
    .Latency(1)
  ) u_a_low (
    .clk_i(clk_i),
    .a_i  (a_q[15:0]),
    .b_i  (sum_i),
    .out_o(a_low)
  );

  tp_ecp5_multiply #(
    .WidthA (17),
    .WidthB (17),
    .Latency(1)
  ) u_both_high (
    .clk_i(clk_i),
    .a_i  (both_q[32:16]),
    .b_i  (sine_i),
    .out_o(both_high)
  );

  tp_ecp5_multiply #(
    .WidthA (16),
    .WidthB (17),
    .SignedA(1'b0),
    .Latency(1)
  ) u_both_low (
    .clk_i(clk_i),
    .a_i  (both_q[15:0]),
    .b_i  (sine_i),
    .out_o(both_low)
  );

  tp_ecp5_multiply #(
    .WidthA (17),
    .WidthB (17),
    .Latency(1)
  ) u_apart_high (
    .clk_i(clk_i),
    .a_i  (apart_q[32:16]),
    .b_i  (cosine_i),
    .out_o(apart_high)
  );

  tp_ecp5_multiply #(
    .WidthA (16),
    .WidthB (17),
    .SignedA(1'b0),
    .Latency(1)
  ) u_apart_low (
    .clk_i(clk_i),
    .a_i  (apart_q[15:0]),
    .b_i  (cosine_i),
    .out_o(apart_low)
  );

  assign first           = turned(first_high_q, first_low_q);
  assign second          = turned(second_high_q, second_low_q);

  assign out_valid_o     = valid_q[3];
  assign out_data_o      = {second_q, first_q};
  assign out_saturated_o = saturated_q;

  logic unused_fraction;
  assign unused_fraction = ^{first_low_q[13:0], second_low_q[13:0]};

  `TP_ASSERT(Sum_A, !valid_q[0] || sum_i == 18'(cosine_i) + 18'(sine_i))
  `TP_COVER(Saturated_C, valid_q[3] && saturated_q != '0)

endmodule
