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

  logic [  Stages:1] valid_q;
  logic [Stages-1:1] high_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[Stages-1:1], valid_i};
  end
  always_ff @(posedge clk_i) high_q <= {high_q[Stages-2:1], random_i[31]};

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

  // ---- stages 4 to 7: logarithm of a, and the correction of the upper half ----

  logic [12:0] log_near;
  logic [12:0] correction;
  tp_interpolate #(
    .Table(tp_sampler_pkg::TableLog2)
  ) u_log_near (
    .clk_i     (clk_i),
    .enable_i  (valid_q[6:3]),
    .fraction_i(fraction_q),
    .value_o   (log_near)
  );
  tp_interpolate #(
    .Table(tp_sampler_pkg::TableGumbel)
  ) u_correction (
    .clk_i     (clk_i),
    .enable_i  (valid_q[6:3]),
    .fraction_i(near_upper_q2),
    .value_o   (correction)
  );

  // ---- stage 8: upper half: 2174 - L;  lower half: x = -4096 * log2(u), 4096..135168 ----

  logic [5*4-1:0] exponent_line_q;
  logic [4:0] exponent;
  logic signed [18:0] upper_q;
  logic [17:0] x_q;
  logic [5:0] below;
  assign exponent = exponent_line_q[5*3+:5];
  assign below = 6'd33 - 6'(exponent);

  always_ff @(posedge clk_i) begin
    exponent_line_q <= {exponent_line_q[5*3-1:0], exponent_q};
    if (valid_q[7]) begin
      upper_q <= $signed(
          {1'b0, below, 12'd0}
      ) + 19'sd2174 - $signed(
          {6'd0, log_near}
      ) - $signed(
          {6'd0, correction}
      );
      x_q <= {below, 12'd0} - 18'(log_near);
    end
  end

  // ---- stage 9: leading one of x, bit 12 to 17 ----

  logic [ 2:0] x_places;
  logic [17:0] x_normal;
  logic [14:0] x_fraction_q;
  logic [ 2:0] x_exponent_q;
  always_comb begin
    x_places = 3'd5;
    for (int unsigned i = 1; i < 6; i++) if (x_q[12+i]) x_places = 3'(5 - i);
  end
  assign x_normal = x_q << x_places;
  always_ff @(posedge clk_i) begin
    if (valid_q[8]) begin
      x_fraction_q <= x_normal[16:2];
      x_exponent_q <= 3'd5 - x_places;
    end
  end

  // ---- stages 10 to 13: logarithm of x ----

  logic [12:0] log_x;
  tp_interpolate #(
    .Table(tp_sampler_pkg::TableLog2)
  ) u_log_x (
    .clk_i     (clk_i),
    .enable_i  (valid_q[12:9]),
    .fraction_i(x_fraction_q),
    .value_o   (log_x)
  );

  // ---- stage 14: noise = rnd(2166 - L, 4) = (2174 - L) >>> 4 ----

  logic [3*4-1:0] x_exponent_line_q;
  logic [19*5-1:0] upper_line_q;
  logic signed [18:0] lower;
  logic signed [18:0] chosen;
  logic signed [14:0] noise_q;
  assign lower = 19'sd2174 - $signed(
      {4'd0, x_exponent_line_q[3*3+:3], 12'd0}
  ) - $signed(
      {6'd0, log_x}
  );
  assign chosen = high_q[13] ? upper_line_q[19*4+:19] : lower;
  always_ff @(posedge clk_i) begin
    x_exponent_line_q <= {x_exponent_line_q[3*3-1:0], x_exponent_q};
    upper_line_q      <= {upper_line_q[19*4-1:0], upper_q};
    if (valid_q[13]) noise_q <= chosen[18:4];
  end

  assign valid_o = valid_q[Stages];
  assign noise_o = noise_q;

  logic unused_bits;
  assign unused_bits = ^{normal[31], normal[15:0], x_normal[17], x_normal[1:0], chosen[3:0]};

  `TP_ASSERT(LowerFrom1_A, !valid_q[8] || high_q[8] || x_q >= 18'd4096)

endmodule
