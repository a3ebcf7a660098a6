// SPDX-License-Identifier: Apache-2.0
//
// tp_head_norm: RMS norm of each head of a row flow, before the rotation.
//
// In    pairs of adjacent rows, heads of 8 .. 2^HeadLog2Max elements one after the other, gaps
//       allowed.
//       head_log2, enable, head_shift, epsilon and gain_base are constant over the pairs of a head.
// Out   the same pairs in the same order; bits equal tp_head_norm() of the model, or unchanged when
//       enable is 0. The pairs of a head leave without gaps.
// Rate  one pair per cycle for ever. A head of P pairs whose last one comes in cycle t leaves in
//       the cycles t + P + 19 .. t + 2 P + 18: 23 cycles from last in to first out for heads of 8.
// Not   does not mix head sizes without a pause: the last pair of a smaller head of S pairs comes
//       at least 2 P - S cycles after that of a head of P pairs.
//
// A head is read twice from a ring of pairs: for the squares, when the OR of its magnitudes is
// known, and for the output, when its factor is.

`include "tp_assert.svh"

module tp_head_norm #(
  parameter int unsigned HeadLog2Max = 5  // log2 of the largest head size, 4..7
) (
  input logic clk_i,
  input logic rst_ni,
  input logic in_valid_i,  // early
  input logic [1:0][31:0] in_data_i,  // early; int32, element 0 is the lower row
  input logic [2:0] in_head_log2_i,  // early; 3..HeadLog2Max
  input logic in_enable_i,  // early; 0: the head passes unchanged, same latency
  input logic signed [7:0] in_head_shift_i,  // early
  input logic [31:0] in_epsilon_i,  // early
  input logic [15:0] in_gain_base_i,  // early; first quad of the gains of a head
  output logic out_valid_o,  // early
  output logic [1:0][31:0] out_data_o,  // early
  output logic [16:0] gain_address_o,  // early; 2 * gain_base + pair of the head
  input logic [1:0][15:0] gain_i,  // early; one cycle after gain_address_o, int16
  output logic [3:0] saturations_o  // early; elements clamped in this cycle
);

  `TP_REQUIRE(HeadLog2Max >= 4 && HeadLog2Max <= 7)

  // At most 2 P + 11 pairs arrive between the write of a pair and its last read.
  localparam int unsigned Depth = 2 << HeadLog2Max;
  localparam int unsigned AddressWidth = $clog2(Depth);

  localparam int unsigned TotalWidth = HeadLog2Max + 32;

  typedef logic [AddressWidth-1:0] address_t;
  typedef logic [HeadLog2Max-2:0] pair_t;  // of a head

  // A head on its way. It moves from stage to stage with the head's first pair; the next head
  // follows 4 pairs later at the earliest.
  typedef struct packed {
    address_t base;  // of its first pair in the ring
    pair_t last_pair;
    logic enable;
    logic signed [7:0] shift;
    logic [15:0] gain_base;
    logic [4:0] right;  // sh, 0..17
  } head_t;

  // ---- collect: the ring, the OR of the magnitudes ----

  address_t write_q;
  pair_t pair_q;
  pair_t last_pair;
  logic in_last;
  logic [31:0] any_beat;
  logic [31:0] any_q;
  logic end_q;
  logic start_q;
  head_t head_q, head_q2;
  logic [31:0] epsilon_q, epsilon_q2;
  logic [4:0] right;

  function automatic logic [31:0] magnitude(input logic [31:0] v);
    magnitude = v[31] ? -v : v;
  endfunction

  assign last_pair = pair_t'((8'd1 << (in_head_log2_i - 3'd1)) - 8'd1);
  assign in_last   = pair_q == last_pair;
  assign any_beat  = magnitude(in_data_i[0]) | magnitude(in_data_i[1]);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q <= '0;
      pair_q  <= '0;
      end_q   <= 1'b0;
      start_q <= 1'b0;
    end else begin
      end_q   <= in_valid_i && in_last;
      start_q <= end_q;
      if (in_valid_i) begin
        write_q <= write_q + AddressWidth'(1);
        pair_q  <= in_last ? '0 : pair_q + pair_t'(1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (in_valid_i) begin
      any_q <= any_beat | (pair_q == '0 ? '0 : any_q);
      if (in_last) begin
        head_q.base      <= write_q - AddressWidth'(pair_q);
        head_q.last_pair <= last_pair;
        head_q.enable    <= in_enable_i;
        head_q.shift     <= in_head_shift_i;
        head_q.gain_base <= in_gain_base_i;
        head_q.right     <= '0;
        epsilon_q        <= in_epsilon_i;
      end
    end
  end

  always_comb begin
    right = '0;
    for (int unsigned i = 15; i < 32; i++) if (any_q[i]) right = 5'(i - 14);
  end

  always_ff @(posedge clk_i) begin
    if (end_q) begin
      head_q2       <= head_q;
      head_q2.right <= right;
      epsilon_q2    <= epsilon_q;
    end
  end

  // ---- squares: A = sum (x >> sh)^2 + (C >> 2 sh) ----

  logic square_busy_q;
  logic square_now;
  logic square_last;
  pair_t square_pair_q;
  pair_t square_pair;
  logic [1:0][31:0] square_data;
  logic [4:1] square_valid_q;
  logic [4:1] square_first_q;
  logic [4:1] square_last_q;
  logic [1:0][31:0] x_q;
  logic [1:0][15:0] scaled_q;  // signed
  logic [1:0][30:0] product_q;
  logic [31:0] sum_q;
  logic [TotalWidth-1:0] total_q;
  logic total_valid_q;
  head_t head_q3, head_q7;
  logic [31:0] epsilon_q3;

  assign square_now  = start_q || square_busy_q;
  assign square_pair = start_q ? '0 : square_pair_q;
  assign square_last = square_pair == head_q2.last_pair;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      square_busy_q  <= 1'b0;
      square_valid_q <= '0;
      total_valid_q  <= 1'b0;
    end else begin
      square_busy_q  <= square_now && !square_last;
      square_valid_q <= {square_valid_q[3:1], square_now};
      total_valid_q  <= square_valid_q[4] && square_last_q[4];
    end
  end

  always_ff @(posedge clk_i) begin
    square_first_q <= {square_first_q[3:1], start_q};
    square_last_q  <= {square_last_q[3:1], square_last};
    if (square_now) begin
      square_pair_q <= square_pair + pair_t'(1);
      x_q           <= square_data;
    end
    if (start_q) begin
      head_q3 <= head_q2;
`ifdef TP_PLANT_BUG
      // The planted fault does not scale epsilon with the squares.
      epsilon_q3 <= epsilon_q2;
`else
      epsilon_q3 <= epsilon_q2 >> {head_q2.right, 1'b0};
`endif
    end
  end

  always_ff @(posedge clk_i) begin
    if (square_valid_q[1]) begin
      for (int unsigned i = 0; i < 2; i++) begin
        scaled_q[i] <= 16'($signed(x_q[i]) >>> head_q3.right);
      end
    end
    if (square_valid_q[2]) begin
      for (int unsigned i = 0; i < 2; i++) begin
        product_q[i] <= 31'(32'($signed(scaled_q[i])) * 32'($signed(scaled_q[i])));
      end
    end
    if (square_valid_q[3]) sum_q <= 32'(product_q[0]) + 32'(product_q[1]);
    if (square_valid_q[4]) begin
      total_q <= (square_first_q[4] ? TotalWidth'(epsilon_q3) : total_q) + TotalWidth'(sum_q);
      if (square_first_q[4]) head_q7 <= head_q3;
    end
  end

  // ---- factor ----

  logic factor_valid;
  logic [16:0] factor_rm;
  logic [4:0] factor_half_k;
  head_t factor_head;
  logic signed [9:0] shift_right;  // of the element, left when negative
  logic [6:0] shift_place;  // of element * 2^33, for one fraction bit

  tp_rsqrt #(
    .Width   (TotalWidth),
    .TagWidth($bits(head_t))
  ) u_rsqrt (
    .clk_i       (clk_i),
    .rst_ni      (rst_ni),
    .in_valid_i  (total_valid_q),
    .in_value_i  (total_q),
    .in_tag_i    (head_q7),
    .out_valid_o (factor_valid),
    .out_rm_o    (factor_rm),
    .out_half_k_o(factor_half_k),
    .out_tag_o   (factor_head)
  );

  // 32 places to the left and 33 to the right do all that any further ones would.
  always_comb begin
    shift_right = 10'(factor_head.shift) + $signed({5'b0, factor_half_k}) +
        $signed({5'b0, factor_head.right});
    if (!factor_head.enable) shift_right = '0;
    if (shift_right < -10'sd32) shift_place = '0;
    else if (shift_right > 10'sd33) shift_place = 7'd65;
    else shift_place = 7'(shift_right + 10'sd32);
  end

  // ---- apply: z = sat32(rnd(x, shift)), y = rnd(z * rm, 16), out = sat32(rnd(y * gain, 15)) ----

  logic apply_busy_q;
  logic apply_now;
  logic apply_last;
  pair_t apply_last_pair_q;
  pair_t apply_pair_q;
  address_t apply_base_q;
  address_t apply_next;
  address_t apply_address;
  logic [1:0][31:0] apply_data;
  logic [8:1] apply_valid_q;
  logic [5:1] apply_first_q;
  logic [1:0][31:0] x_q1;
  logic [6:0] shift_q1;
  logic [16:0] rm_q1, rm_q3;
  logic enable_q1, enable_q3, enable_q6;
  logic [15:0] gain_base_q1;
  logic [16:0] gain_address_q3;
  logic [1:0][64:0] shifted_q2;  // signed, one fraction bit
  logic [1:0][31:0] z;
  logic [1:0] z_saturated;
  logic [1:0][31:0] z_q3;
  logic [1:0][33:0] z_high_q4;  // signed
  logic [1:0][32:0] z_low_q4;
  logic [1:0][31:0] y_q5, y_q6;
  logic [1:0][15:0] gain_q5;
  logic [1:0][31:0] y_high_q6;  // signed
  logic [1:0][32:0] y_low_q6;  // signed
  logic [1:0][47:0] product_q7;  // signed
  logic [1:0][31:0] out;
  logic [1:0] out_saturated;
  logic [1:0][31:0] out_q8;
  logic [3:0] saturations_q;

  assign apply_now = factor_valid || apply_busy_q;
  assign apply_next = apply_base_q + AddressWidth'(apply_pair_q);
  assign apply_address = factor_valid ? factor_head.base : apply_next;
  assign apply_last = !factor_valid && apply_pair_q == apply_last_pair_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      apply_busy_q  <= 1'b0;
      apply_valid_q <= '0;
    end else begin
      apply_busy_q  <= apply_now && !apply_last;
      apply_valid_q <= {apply_valid_q[7:1], apply_now};
    end
  end

  always_ff @(posedge clk_i) begin
    apply_first_q <= {apply_first_q[4:1], factor_valid};
    if (apply_now) begin
      apply_pair_q <= factor_valid ? pair_t'(1) : apply_pair_q + pair_t'(1);
      x_q1         <= apply_data;
    end
    if (factor_valid) begin
      apply_base_q      <= factor_head.base;
      apply_last_pair_q <= factor_head.last_pair;
      shift_q1          <= shift_place;
      rm_q1             <= factor_head.enable ? factor_rm : 17'd65536;
      enable_q1         <= factor_head.enable;
      gain_base_q1      <= factor_head.gain_base;
    end
    if (apply_valid_q[1]) begin
      for (int unsigned i = 0; i < 2; i++) begin
        shifted_q2[i] <= 65'($signed({x_q1[i], 33'b0}) >>> shift_q1);
      end
    end
  end

  // The rounded value is (v + 1) >> 1. Its high part is that of v plus the carry of the low one.
  always_comb begin
    for (int unsigned i = 0; i < 2; i++) begin
      logic carry;
      carry = &shifted_q2[i][31:0];
      z_saturated[i] = !(shifted_q2[i][64:32] == '1 || (shifted_q2[i][64:32] == '0 && !carry) ||
                         (shifted_q2[i][64:32] == {32'hffff_ffff, 1'b0} && carry));
      z[i] = 32'((shifted_q2[i][32:0] + 33'd1) >> 1);
      if (z_saturated[i]) z[i] = shifted_q2[i][64] ? 32'h8000_0000 : 32'h7fff_ffff;
    end
  end

  always_ff @(posedge clk_i) begin
    if (apply_valid_q[2]) begin
      z_q3            <= z;
      gain_address_q3 <= apply_first_q[2] ? {gain_base_q1, 1'b0} : gain_address_q3 + 17'd1;
      if (apply_first_q[2]) begin
        rm_q3     <= rm_q1;
        enable_q3 <= enable_q1;
      end
    end
    if (apply_valid_q[3]) begin
      for (int unsigned i = 0; i < 2; i++) begin
        z_high_q4[i] <= 34'($signed(z_q3[i][31:16])) * 34'({1'b0, rm_q3});
        z_low_q4[i]  <= 33'(z_q3[i][15:0]) * 33'(rm_q3);
      end
    end
    if (apply_valid_q[4]) begin
      gain_q5 <= gain_i;
      // rm is at most 1.0, so y is not larger than z: no clamp.
      for (int unsigned i = 0; i < 2; i++) begin
        y_q5[i] <= 32'(z_high_q4[i] + 34'((z_low_q4[i] + 33'h8000) >> 16));
      end
    end
    if (apply_valid_q[5]) begin
      y_q6 <= y_q5;
      for (int unsigned i = 0; i < 2; i++) begin
        y_high_q6[i] <= 32'($signed(y_q5[i][31:16])) * 32'($signed(gain_q5[i]));
        y_low_q6[i]  <= 33'({1'b0, y_q5[i][15:0]}) * 33'($signed(gain_q5[i]));
      end
      if (apply_first_q[5]) enable_q6 <= enable_q3;
    end
    if (apply_valid_q[6]) begin
      for (int unsigned i = 0; i < 2; i++) begin
        product_q7[i] <= enable_q6 ? {y_high_q6[i], 16'b0} + 48'($signed(y_low_q6[i])) :
            48'($signed({y_q6[i], 15'b0}));
      end
    end
  end

  always_comb begin
    for (int unsigned i = 0; i < 2; i++) begin
      logic [32:0] rounded;
      rounded = 33'((34'(product_q7[i][47:14]) + 34'd1) >> 1);
      out_saturated[i] = rounded[32] != rounded[31];
      out[i] = rounded[31:0];
      if (out_saturated[i]) out[i] = rounded[32] ? 32'h8000_0000 : 32'h7fff_ffff;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) saturations_q <= '0;
    else begin
      saturations_q <= 4'($countones(z_saturated & {2{apply_valid_q[2]}})) +
          4'($countones(out_saturated & {2{apply_valid_q[7]}}));
    end
  end

  always_ff @(posedge clk_i) if (apply_valid_q[7]) out_q8 <= out;

  assign out_valid_o    = apply_valid_q[8];
  assign out_data_o     = out_q8;
  assign gain_address_o = gain_address_q3;
  assign saturations_o  = saturations_q;

  // ---- the ring, once per reader ----

  tp_ram_async #(
    .Width(64),
    .Depth(Depth)
  ) u_square_ring (
    .clk_i          (clk_i),
    .write_enable_i (in_valid_i),
    .write_address_i(write_q),
    .write_data_i   (in_data_i),
    .read_address_i (head_q2.base + AddressWidth'(square_pair)),
    .read_data_o    (square_data)
  );

  tp_ram_async #(
    .Width(64),
    .Depth(Depth)
  ) u_apply_ring (
    .clk_i          (clk_i),
    .write_enable_i (in_valid_i),
    .write_address_i(write_q),
    .write_data_i   (in_data_i),
    .read_address_i (apply_address),
    .read_data_o    (apply_data)
  );

  logic unused_bits;
  assign unused_bits = ^head_q7;

  `TP_ASSERT(HeadSize_A,
             !in_valid_i || (in_head_log2_i >= 3'd3 && 32'(in_head_log2_i) <= HeadLog2Max))
  `TP_ASSERT(SquaresApart_A, !(start_q && square_busy_q))
  `TP_ASSERT(OutputsApart_A, !(factor_valid && apply_busy_q))
  `TP_COVER(BackToBack_C, factor_valid && apply_valid_q[1] && apply_pair_q == '0)
  `TP_COVER(Bypass_C, apply_valid_q[6] && !enable_q6)

endmodule
