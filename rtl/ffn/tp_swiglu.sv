// SPDX-License-Identifier: Apache-2.0
//
// tp_swiglu: silu(gate) * up of pairs of rows.
//
// In    gate (element 0) and up (element 1), Q16.16.
// Out   Q16.16; bits equal tp_swiglu() of the model: both factors cut to 18 bits, one rounding.
// Rate  one pair per cycle, latency 10.

`include "tp_assert.svh"

module tp_swiglu (
  input  logic              clk_i,
  input  logic              rst_ni,
  input  logic              in_valid_i,      // early
  input  logic [ 1:0][31:0] in_data_i,       // early
  output logic              out_valid_o,     // early
  output logic [31:0]       out_data_o,      // early
  output logic              out_saturated_o  // early; only with valid
);

  // Magnitude 1, mantissas and sigmoid 2..4, silu 5..6, product 7, shift 8..10.
  logic [6:0] valid_q;
  logic [31:0] gate_q, gate_q2;
  logic [31:0] up_q, up_q2;
  logic [31:0] gate_size_q;
  logic [31:0] up_size_q;
  logic [ 3:0] gate_shift_q;
  logic [ 3:0] up_shift_q;
  logic signed [17:0] gate_cut_q, gate_cut_q2;
  logic signed [17:0] up_cut_q, up_cut_q2, up_cut_q3, up_cut_q4;
  // 15 minus both shifts: the shift of the product, as tp_round_shift wants it.
  logic signed [5:0] shift_q, shift_q2, shift_q3, shift_q4;
  logic        [16:0] sigmoid;
  logic signed [34:0] silu_full;
  logic signed [17:0] silu_q;
  logic signed [35:0] product;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[5:0], in_valid_i};
  end

  // Shift that leaves 17 bits of a magnitude.
  function automatic logic [3:0] mantissa_shift(input logic [31:17] size);
    mantissa_shift = '0;
    for (int unsigned i = 17; i < 32; i++) if (size[i]) mantissa_shift = 4'(i - 16);
  endfunction

  always_ff @(posedge clk_i) begin
    if (in_valid_i) begin
      gate_q      <= in_data_i[0];
      up_q        <= in_data_i[1];
      gate_size_q <= in_data_i[0][31] ? -in_data_i[0] : in_data_i[0];
      up_size_q   <= in_data_i[1][31] ? -in_data_i[1] : in_data_i[1];
    end
    if (valid_q[0]) begin
      gate_q2      <= gate_q;
      up_q2        <= up_q;
      gate_shift_q <= mantissa_shift(gate_size_q[31:17]);
      up_shift_q   <= mantissa_shift(up_size_q[31:17]);
    end
    if (valid_q[1]) begin
      gate_cut_q <= 18'($signed(gate_q2) >>> gate_shift_q);
      up_cut_q   <= 18'($signed(up_q2) >>> up_shift_q);
      shift_q    <= 6'sd15 - 6'(gate_shift_q) - 6'(up_shift_q);
    end
    if (valid_q[2]) begin
      gate_cut_q2 <= gate_cut_q;
      up_cut_q2   <= up_cut_q;
      shift_q2    <= shift_q;
    end
    if (valid_q[3]) begin
      up_cut_q3 <= up_cut_q2;
      shift_q3  <= shift_q2;
    end
    if (valid_q[4]) begin
      silu_q    <= 18'(silu_full >>> 16) + 18'(silu_full[15]);
      up_cut_q4 <= up_cut_q3;
      shift_q4  <= shift_q3;
    end
  end

  // The registers of stages 4 and 6 lie in the multipliers.
  tp_ecp5_multiply #(
    .WidthA (18),
    .WidthB (17),
    .SignedB(1'b0),
    .Latency(1)
  ) u_silu (
    .clk_i(clk_i),
    .a_i  (gate_cut_q2),
    .b_i  (sigmoid),
    .out_o(silu_full)
  );

  tp_ecp5_multiply #(
    .WidthA (18),
    .WidthB (18),
    .Latency(1)
  ) u_product (
    .clk_i(clk_i),
    .a_i  (silu_q),
    .b_i  (up_cut_q4),
    .out_o(product)
  );

  tp_sigmoid u_sigmoid (
    .clk_i      (clk_i),
    .enable_i   (valid_q[2:0]),
    .magnitude_i(gate_size_q),
    .negative_i (gate_q[31]),
    .sigmoid_o  (sigmoid)
  );

  tp_round_shift #(
    .Lanes(1),
    .Width(36)
  ) u_round (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .in_valid_i     (valid_q[6]),
    .in_data_i      (product),
    .in_shift_i     (9'(shift_q4)),
    .out_valid_o    (out_valid_o),
    .out_data_o     (out_data_o),
    .out_saturated_o(out_saturated_o)
  );

  logic unused_low;
  assign unused_low = ^up_size_q[16:0];

  `TP_COVER(Saturated_C, out_valid_o && out_saturated_o)

endmodule
