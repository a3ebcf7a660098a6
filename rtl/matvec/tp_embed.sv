// SPDX-License-Identifier: Apache-2.0
//
// tp_embed: turns the weight beats of an embedding row into elements of x, two per cycle.
//
// In    every 16 cycles one block: its beat, or with two planes its high and then its low beat.
// Out   elements 0, 1 of the block 9 cycles after its first beat, then two more per cycle.
//       Bits equal tp_embed_row(); x = sat32(rnd(code * (16 + m) * 2^e, shift)).
// Read  between steps: 3 cycles behind read_bit_i that bit of codes_i, or of scale_i.
// Not   looks at no command: two_planes_i, codebook_i, shift_i come with a block's first beat.

`include "tp_assert.svh"

module tp_embed #(
  parameter  int unsigned Codebooks  = 2,
  localparam int unsigned TableDepth = 16 * Codebooks,
  localparam int unsigned TableBits  = $clog2(TableDepth)
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  // Codebook write, between steps.
  input  logic                              table_write_i,
  input  logic        [TableBits-1:0]       table_address_i,
  input  logic        [          7:0]       table_data_i,
  // Beat of the token's group.
  input  logic                              valid_i,
  input  logic                              high_i,           // first or only plane
  input  logic                              last_i,           // block is the row's last
  input  logic                              two_planes_i,
  input  logic        [          1:0]       codebook_i,
  input  logic signed [          7:0]       shift_i,
  input  logic        [        127:0]       codes_i,
  input  logic        [          7:0]       scale_i,
  // Reading back.
  input  logic                              read_i,           // codes_i and scale_i stand
  input  logic                              read_gate_i,      // 0 reads 0
  input  logic                              read_scale_i,
  input  logic        [          6:0]       read_bit_i,       // of the scale the low 3
  output logic                              read_o,           // early
  // Embed flow.
  output logic                              embed_valid_o,    // early
  output logic        [          1:0][31:0] embed_data_o,     // early; int32
  output logic                              embed_last_o,     // early
  output logic        [          3:0]       saturations_o     // early; of this beat
);

  localparam int unsigned Stages = 9;

  // ---- control: a block's pairs follow its high beat; stage s is valid_q[s] ----

  logic [Stages:1] valid_q;
  logic [Stages:1] last_q;
  logic [3:0] pair_q;
  logic [3:0] pair_q2;
  logic last_block_q;
  logic two_planes_q;
  logic two_planes_q2;
  logic [1:0] codebook_q;
  logic [1:0] codebook_q2;
  logic signed [7:0] shift_q;
  logic start;
  logic running;

  assign start   = valid_i && high_i;
  assign running = valid_q[1] && pair_q != 4'd15;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[Stages-1:1], start || running};
  end

  always_ff @(posedge clk_i) begin
    pair_q  <= start ? 4'd0 : (read_i ? read_bit_i[6:3] : pair_q + 4'd1);
    pair_q2 <= pair_q;
    if (start) begin
      last_block_q <= last_i;
      two_planes_q <= two_planes_i;
      codebook_q   <= codebook_i;
      shift_q      <= shift_i;
    end
    two_planes_q2 <= two_planes_q;
    codebook_q2 <= codebook_q;
    last_q <= {last_q[Stages-1:2], last_block_q && pair_q == 4'd15, 1'b0};
  end

  // ---- codes: high plane at stage 1, low plane one cycle later at stage 2 ----

  logic [127:0] high_q;
  logic [127:0] low_q;
  logic [  7:0] scale_q;
  always_ff @(posedge clk_i) begin
    if ((valid_i && high_i) || read_i) high_q <= codes_i;
    if (valid_i && !high_i) low_q <= codes_i;
    if (valid_i || read_i) scale_q <= scale_i;
  end

  // The scale of the last beat is complete at stage 2 and serves the sixteen pairs from stage 3 on.
  logic [3:0] mantissa_q;
  logic signed [8:0] places_q;
  always_ff @(posedge clk_i) begin
    if (valid_q[2] && pair_q2 == 4'd0) begin
      mantissa_q <= scale_q[3:0];
      places_q   <= 9'(shift_q) - 9'({1'b0, scale_q[7:4]});
    end
  end

  // Right shifts of 15 and more leave 0 of a product of 13 bits; left shifts of 32 and more
  // saturate whatever is not 0.
  logic is_right_q;
  logic [3:0] right_q;
  logic [5:0] left_q;
  always_ff @(posedge clk_i) begin
    if (valid_q[3]) begin
      is_right_q <= places_q > 9'sd0;
      right_q    <= places_q > 9'sd15 ? 4'd14 : places_q[3:0] - 4'd1;
      left_q     <= places_q > 9'sd0 ? 6'd0 : (places_q < -9'sd32 ? 6'd32 : 6'(-places_q));
    end
  end
  logic is_right_q2;
  logic [3:0] right_q2;
  logic [5:0] left_q2;
  logic [5:0] left_q3;
  logic [5:0] left_q4;
  logic [2:0] left_fine_q;
  logic [3:0] room_q;
  logic over_q;  // a left shift of 32
  always_ff @(posedge clk_i) begin
    if (valid_q[4]) begin
      is_right_q2 <= is_right_q;
      right_q2    <= right_q;
      left_q2     <= left_q;
    end
    if (valid_q[5]) left_q3 <= left_q2;
    if (valid_q[6]) begin
      left_q4 <= left_q3;
      // 31 less the left shift, where that can matter to 14 bits.
      room_q  <= left_q3 < 6'd18 ? 4'd13 : ~left_q3[3:0];
      over_q  <= left_q3[5];
    end
    if (valid_q[7]) left_fine_q <= left_q4[2:0];
  end

  // ---- two elements: look up, multiply, shift right with rounding, shift left, saturate ----

  (* ram_style = "distributed" *) logic [7:0] table_q[TableDepth];
  always_ff @(posedge clk_i) begin
    if (table_write_i) table_q[table_address_i] <= table_data_i;
  end

  logic [1:0] saturated;
  logic [7:0] read_codes;  // a byte of the codes
  for (genvar i = 0; i < 2; i++) begin : gen_element
    logic [3:0] high_code_q;
    logic [3:0] low_code;
    logic [TableBits-1:0] index;
    logic signed [7:0] value_q;
    logic signed [12:0] upper_q;
    logic signed [12:0] lower_q;
    logic signed [12:0] product_q;
    logic signed [13:0] product;
    logic signed [13:0] halves_q;
    logic signed [13:0] rounded_q;
    logic signed [13:0] beyond;  // the sign bit of the result and what lies above it
    logic signed [31:0] coarse_q;
    logic sign_q;
    logic signed [12:0] value;
    logic fits_q;
    logic saturated_q;
    logic [31:0] data_q;

    assign low_code = low_q[{pair_q2, 1'(i), 2'b00}+:4];
    assign index = TableBits'({codebook_q2, high_code_q});
    assign value = 13'(value_q);
    assign product = 14'(product_q);
    assign beyond = rounded_q >>> room_q;

    always_ff @(posedge clk_i) begin
      if (valid_q[1] || read_i) high_code_q <= high_q[{pair_q, 1'(i), 2'b00}+:4];
      if (valid_q[2]) begin
        value_q <= two_planes_q2 ? {high_code_q, low_code} : table_q[index];
      end
      if (valid_q[3]) begin
        upper_q <= (value <<< 4) + (mantissa_q[3] ? value <<< 3 : 13'sd0);
        lower_q <= (mantissa_q[2] ? value <<< 2 : 13'sd0) + (mantissa_q[1] ? value <<< 1 : 13'sd0)
                   + (mantissa_q[0] ? value : 13'sd0);
      end
      if (valid_q[4]) product_q <= upper_q + lower_q;
      // Twice the result before rounding.
      if (valid_q[5]) halves_q <= is_right_q2 ? product >>> right_q2 : product <<< 1;
      if (valid_q[6]) rounded_q <= (halves_q + 14'sd1) >>> 1;
      if (valid_q[7]) begin
        coarse_q <= 32'(rounded_q) <<< {left_q4[5:3], 3'b000};
        sign_q   <= rounded_q[13];
        fits_q   <= over_q ? rounded_q == '0 : beyond == '0 || beyond == '1;
      end
      if (valid_q[8]) begin
        data_q      <= fits_q ? coarse_q <<< left_fine_q : {sign_q, {31{!sign_q}}};
        saturated_q <= !fits_q;
      end
    end

    assign read_codes[4*i+:4] = high_code_q;
    assign embed_data_o[i] = data_q;
    assign saturated[i] = saturated_q;
  end

  assign embed_valid_o = valid_q[Stages];
  assign embed_last_o  = last_q[Stages];
  assign saturations_o = embed_valid_o ? 4'(saturated[0]) + 4'(saturated[1]) : 4'd0;

  // ---- reading back: the choice of a pair is that of a byte ----

  logic [1:0] read_gate_q;
  logic [1:0] read_scale_q;
  logic [1:0][2:0] read_bit_q;
  logic read_q;
  always_ff @(posedge clk_i) begin
    read_gate_q <= {read_gate_q[0], read_gate_i};
    read_scale_q <= {read_scale_q[0], read_scale_i};
    read_bit_q <= {read_bit_q[0], read_bit_i[2:0]};
    read_q       <= read_gate_q[1] &&
        (read_scale_q[1] ? scale_q[read_bit_q[1]] : read_codes[read_bit_q[1]]);
  end
  assign read_o = read_q;

  logic unused_bits;
  assign unused_bits = ^codebook_q2;

  `TP_ASSERT(BlockEvery16_A, !start || !running)
  `TP_ASSERT(ReadBetweenSteps_A, !read_i || !(valid_i || running))

endmodule
