// SPDX-License-Identifier: Apache-2.0
//
// tp_matvec_group: the 32 lanes of one weight row: decode, multiply, add, align, accumulate.
//
// In    one beat: 32 codes of 4 bits, their scale byte, 32 activations of 8 bits, -127..127.
// Out   acc_o: partial_i plus tp_matvec_row() of the beats from the one with first_i on. The caller
//       gives partial_i 14 cycles after a beat with first_i, and 0 with all others.
// Rate  one beat per cycle, latency 15 from a beat to the sum that includes it.
// Not   does not mark the last beat of a row: tp_matvec knows when that is.
//
// With two planes a beat with high_i is kept and joins the next one, which is the low plane of the
// same 32 weights: dot = 16 * high + low. Their scale is the low plane's; first_i comes with both.

`include "tp_assert.svh"

module tp_matvec_group #(
  parameter  int unsigned Codebooks  = 2,
  localparam int unsigned TableDepth = 16 * Codebooks,
  localparam int unsigned TableBits  = $clog2(TableDepth)
) (
  input logic clk_i,
  input logic rst_ni,
  // Codebook write, between steps.
  input logic table_write_i,
  input logic [TableBits-1:0] table_address_i,
  input logic [7:0] table_data_i,
  // Beat.
  input logic valid_i,
  input logic first_i,  // the sum begins anew with this block
  input logic two_planes_i,
  input logic high_i,  // with two planes: the high one
  input logic [1:0] codebook_i,  // with one plane
  input logic [127:0] codes_i,  // lane 0 lowest
  input logic [7:0] scale_i,  // exponent, mantissa
  input logic signed [7:0] room_i,  // align - e_x; the scale's exponent is taken off
  input logic [255:0] block_i,  // int8, lane 0 lowest
  input logic [39:0] partial_i,  // signed; what the sum begins with
  output logic signed [39:0] acc_o  // early
);

  `TP_REQUIRE(Codebooks == 1 || Codebooks == 2 || Codebooks == 4)

  // Stage s of the pipeline is valid_q[s]; the beat enters at stage 0 as valid_i.
  localparam int unsigned Decoded = 1;
  localparam int unsigned Product = Decoded + 3;
  localparam int unsigned Dot = Product + 5;
  localparam int unsigned Joined = Dot + 1;
  localparam int unsigned Aligned = Joined + 4;

  logic [Aligned:1] valid_q;
  logic [Aligned:1] first_q;
  logic [    Dot:1] high_q;
  logic [    Dot:1] two_planes_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else begin
      valid_q <= {valid_q[Aligned-1:1], valid_i};
      // From here on one valid stands for the whole block.
      if (high_q[Dot]) valid_q[Joined] <= 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    first_q      <= {first_q[Aligned-1:1], first_i};
    high_q       <= {high_q[Dot-1:1], high_i && two_planes_i};
    two_planes_q <= {two_planes_q[Dot-1:1], two_planes_i};
  end

  // ---- decode and multiply; nothing up to dot_q waits for a valid bit, which would have to reach
  // a thousand flip-flops in a cycle ----

  (* ram_style = "distributed" *) logic [7:0] table_q[TableDepth];
  always_ff @(posedge clk_i) begin
    if (table_write_i) table_q[table_address_i] <= table_data_i;
  end

  logic signed [15:0] product[32];
  for (genvar i = 0; i < 32; i++) begin : gen_lane
    logic [3:0] code;
    logic [TableBits-1:0] index;
    logic signed [7:0] weight_q;
    logic signed [7:0] value_q;
    assign code  = codes_i[4*i+:4];
    assign index = TableBits'({codebook_i, code});
    always_ff @(posedge clk_i) begin
      weight_q <= two_planes_i ? {{4{high_i && code[3]}}, code} : table_q[index];
      value_q  <= block_i[8*i+:8];
    end
    tp_ecp5_multiply #(
      .WidthA(8),
      .WidthB(8)
    ) u_multiply (
      .clk_i(clk_i),
      .a_i  (weight_q),
      .b_i  (value_q),
      .out_o(product[i])
    );
  end

  // ---- adder tree, one level per stage ----

  logic signed [16:0] sum2 [16];
  logic signed [17:0] sum4 [ 8];
  logic signed [18:0] sum8 [ 4];
  logic signed [18:0] sum16[ 2];
  for (genvar i = 0; i < 16; i++) begin : gen_sum2
    logic signed [16:0] sum_q;
    always_ff @(posedge clk_i) begin
      sum_q <= 17'(product[2*i]) + 17'(product[2*i+1]);
    end
    assign sum2[i] = sum_q;
  end
  for (genvar i = 0; i < 8; i++) begin : gen_sum4
    logic signed [17:0] sum_q;
    always_ff @(posedge clk_i) begin
      sum_q <= 18'(sum2[2*i]) + 18'(sum2[2*i+1]);
    end
    assign sum4[i] = sum_q;
  end
  for (genvar i = 0; i < 4; i++) begin : gen_sum8
    logic signed [18:0] sum_q;
    always_ff @(posedge clk_i) begin
      sum_q <= 19'(sum4[2*i]) + 19'(sum4[2*i+1]);
    end
    assign sum8[i] = sum_q;
  end
  // 16 * 128 * 127 < 2^18 and 32 * 128 * 127 < 2^19: the top levels need no further bit each.
  for (genvar i = 0; i < 2; i++) begin : gen_sum16
    logic signed [18:0] sum_q;
    always_ff @(posedge clk_i) begin
      sum_q <= sum8[2*i] + sum8[2*i+1];
    end
    assign sum16[i] = sum_q;
  end
  logic signed [19:0] dot_q;
  always_ff @(posedge clk_i) begin
    dot_q <= 20'(sum16[0]) + 20'(sum16[1]);
  end

  // ---- planes ----

  logic signed [19:0] joined_q;
  logic signed [19:0] carry;
  // joined_q holds the high plane while the low one arrives.
  assign carry = two_planes_q[Dot] && !high_q[Dot] ? joined_q <<< 4 : 20'sd0;
  always_ff @(posedge clk_i) begin
    if (valid_q[Dot]) joined_q <= carry + dot_q;
  end

  // ---- scale and shift; both wait for the dot product in short delay lines ----

  logic [4*(Joined)-1:0] mantissa_q;
  logic [6*(Joined-2)-1:0] amount_q;
  logic signed [7:0] room_q;
  logic [3:0] exponent_q;
  logic signed [7:0] amount_wide_q;
  logic [5:0] amount;

  // A negative amount comes only with an all-zero block.
  assign amount = amount_wide_q[7] ? 6'd0 : (amount_wide_q > 8'sd40 ? 6'd40 : amount_wide_q[5:0]);

  always_ff @(posedge clk_i) begin
    room_q        <= room_i;
    exponent_q    <= scale_i[7:4];
    amount_wide_q <= room_q - 8'(exponent_q);
    mantissa_q    <= {mantissa_q[4*(Joined-1)-1:0], scale_i[3:0]};
    amount_q      <= {amount_q[6*(Joined-3)-1:0], amount};
  end

  logic signed [39:0] term;
  tp_align u_align (
    .clk_i     (clk_i),
    .rst_ni    (rst_ni),
    .valid_i   (valid_q[Joined]),
    .dot_i     (joined_q),
    .mantissa_i(mantissa_q[4*(Joined-1)+:4]),
    .amount_i  (amount_q[6*(Joined-3)+:6]),
    .term_o    (term)
  );

  // ---- accumulator ----

  logic signed [39:0] acc_q;
  always_ff @(posedge clk_i) begin
    if (valid_q[Aligned]) acc_q <= $signed((first_q[Aligned] ? 40'd0 : acc_q) | partial_i) + term;
  end

  assign acc_o = acc_q;

  logic unused_bits;
  assign unused_bits = ^codebook_i;

endmodule
