// SPDX-License-Identifier: Apache-2.0
//
// tp_gumbel: noise in log2 units from 32 random bits.
//
// Out   noise_o: 8 fraction bits, -1156..8448; bits equal tp_gumbel() of the model.
// Rate  one number per cycle, latency 14.

`include "tp_assert.svh"

module tp_gumbel (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               valid_i,
  input  logic        [31:0] random_i,
  output logic               valid_o,   // early
  output logic signed [14:0] noise_o    // early
);

  // Stage s is valid_q[s].
  localparam int unsigned Stages = 14;

  logic [Stages:1] valid_q;
  logic [9:1] high_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[Stages-1:1], valid_i};
  end
  always_ff @(posedge clk_i) high_q <= {high_q[8:1], random_i[31]};

  // ---- stages 1 to 3: a = the nearer of u and 1 - u to 0, and its leading one ----

  logic [31:0] near_q;
  logic [31:0] coarse_q;
  logic [ 1:0] bytes_q;
  logic [14:0] near_upper_q;
  logic [14:0] near_upper_q2;
  logic [14:0] fraction_q;
  logic [ 4:0] exponent_q;
  logic [ 1:0] bytes;
  logic [ 2:0] places;
  logic [31:0] normal;

  always_comb begin
    if (near_q[31:24] != 8'd0) bytes = 2'd0;
    else if (near_q[23:16] != 8'd0) bytes = 2'd1;
    else if (near_q[15:8] != 8'd0) bytes = 2'd2;
    else bytes = 2'd3;
  end

  always_comb begin
    places = 3'd0;
    for (int unsigned i = 0; i < 8; i++) if (coarse_q[24+i]) places = 3'(7 - i);
  end
  assign normal = coarse_q << places;

  always_ff @(posedge clk_i) begin
    if (valid_i) near_q <= {random_i[31] ? ~random_i[30:0] : random_i[30:0], 1'b1};
    if (valid_q[1]) begin
      coarse_q     <= near_q << {bytes, 3'd0};
      bytes_q      <= bytes;
      near_upper_q <= near_q[31:17];
    end
    if (valid_q[2]) begin
      fraction_q    <= normal[30:16];
      exponent_q    <= 5'd31 - {bytes_q, places};
      near_upper_q2 <= near_upper_q;
    end
  end

  // ---- stages 4 to 7: logarithm of a ----

  logic [12:0] log_near;
  tp_interpolate #(
    .Table(tp_sampler_pkg::TableLog2)
  ) u_log_near (
    .clk_i     (clk_i),
    .enable_i  (valid_q[6:3]),
    .other_i   (1'b0),
    .fraction_i(fraction_q),
    .value_o   (log_near)
  );

  // ---- stage 8: x = -4096 * log2(a / 2^33), 4096..135168 in the lower half, where a is u ----

  logic [5*4-1:0] exponent_line_q;
  logic [15*5-1:0] near_line_q;
  logic [4:0] exponent;
  logic [17:0] x_q;
  logic [5:0] below;
  logic [2:0] x_places_least_q;
  logic [2:0] x_places_most_q;
  logic [2:0] x_places_q;
  assign exponent = exponent_line_q[5*3+:5];
  assign below = 6'd33 - 6'(exponent);

  // Zeros above the leading one of x in the lower half, where its upper 6 bits are these.
  function automatic logic [2:0] places_of(input logic [5:0] upper);
    places_of = 3'd5;
    for (int unsigned i = 1; i < 6; i++) if (upper[i]) places_of = 3'(5 - i);
  endfunction

  // The upper bits of x are those of `below`, or one less if there is a logarithm to subtract.
  always_ff @(posedge clk_i) begin
    exponent_line_q  <= {exponent_line_q[5*3-1:0], exponent_q};
    near_line_q      <= {near_line_q[15*4-1:0], near_upper_q2};
    x_places_least_q <= places_of(6'd33 - 6'(exponent_line_q[5*2+:5]));
    x_places_most_q  <= places_of(6'd32 - 6'(exponent_line_q[5*2+:5]));
    x_places_q       <= log_near == '0 ? x_places_least_q : x_places_most_q;
    if (valid_q[7]) x_q <= {below, 12'd0} - 18'(log_near);
  end

  // ---- stage 9: lower half: leading one of x, bit 12 to 17; upper half: a for the correction ----

  logic [17:0] x_normal;
  logic [14:0] x_fraction_q;
  logic [ 2:0] x_exponent_q;
  logic [17:0] x_q2;
  assign x_normal = x_q << x_places_q;
  always_ff @(posedge clk_i) begin
    if (valid_q[8]) begin
      x_fraction_q <= high_q[8] ? near_line_q[15*4+:15] : x_normal[16:2];
      x_exponent_q <= 3'd5 - x_places_q;
      x_q2         <= x_q;
    end
  end

  // ---- stages 10 to 13: logarithm of x, or the correction of the upper half ----

  logic [12:0] log_x;
  tp_interpolate #(
    .Table(tp_sampler_pkg::TableLog2),
    .Other(tp_sampler_pkg::TableGumbel)
  ) u_log_x (
    .clk_i     (clk_i),
    .enable_i  (valid_q[12:9]),
    .other_i   (high_q[9]),
    .fraction_i(x_fraction_q),
    .value_o   (log_x)
  );

  // ---- stage 14: noise = rnd(2166 - L, 4) = (2174 - L) >>> 4; L = correction - x in the upper
  //      half, the exponent and the logarithm of x in the lower one ----

  logic signed [18:0] base_q[10:13];
  logic signed [18:0] difference;
  logic signed [14:0] noise_q;
  assign difference = base_q[13] - $signed({6'd0, log_x});
  always_ff @(posedge clk_i) begin
    base_q[10] <= (high_q[9] ? $signed(
        {1'b0, x_q2}
    ) : -$signed(
        {4'd0, x_exponent_q, 12'd0}
    )) + 19'sd2174;
    for (int unsigned i = 11; i <= 13; i++) base_q[i] <= base_q[i-1];
    if (valid_q[13]) noise_q <= difference[18:4];
  end

  assign valid_o = valid_q[Stages];
  assign noise_o = noise_q;

  logic unused_bits;
  assign unused_bits = ^{normal[31], normal[15:0], x_normal[17], x_normal[1:0], difference[3:0]};

  `TP_ASSERT(LowerFrom1_A, !valid_q[8] || high_q[8] || x_q >= 18'd4096)
  `TP_ASSERT(LeadingOne_A, !valid_q[8] || high_q[8] || x_places_q == places_of(x_q[17:12]))

endmodule
