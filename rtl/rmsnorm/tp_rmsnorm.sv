// SPDX-License-Identifier: Apache-2.0
//
// tp_rmsnorm: late RMS norm of x as it is written: times gain, quantised; factor into a register.
//
// In    the writes of x, two adjacent elements each, in order, and two cycles ahead of each pair
//       the address of its gains; gains and epsilon over the configuration bus. Between steps the
//       bit of the gains whose number stands on that bus is read back.
// Out   block flow of h, bits equal tp_rmsnorm_gain() and tp_quantise_block(); factor registers,
//       equal tp_rmsnorm_factor().
// Rate  a pair per cycle. With n elements, the last pair in cycle t: its block leaves in t + 14,
//       one of p < 8 pairs in t + 22 - p; the factor stands in t + n / 4 + 14; done with the last
//       block, not before t + n / 4 - 6.
// Not   waits: a vector ends at least a quarter of the elements of the one before it, in cycles,
//       behind it. Vectors of one size do.
//
// The first pass multiplies by the gains as x comes. The squares need the OR of the whole vector,
// so they are a second pass over a copy of x, four banks by element number, a quad a cycle.
//
// Stage numbers in names count from the cycle in which a pair comes or a quad's address stands (1).

`include "tp_assert.svh"

module tp_rmsnorm #(
  parameter int unsigned Slots = 4,
  parameter int unsigned DimMax = 64,  // elements of x, a multiple of 32
  parameter int unsigned GainQuads = 256,  // quads of the gain memory
  parameter bit HardSquares = 1'b0  // 1: squares in hard multipliers
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic                   gain_valid_i,      // early; two cycles before the pair of x
  input  logic [     16:0]       gain_address_i,    // early; in pairs of gains
  input  logic                   x_valid_i,         // early
  input  logic [      2:0]       x_slot_i,          // early
  input  logic [     11:0]       x_pair_i,          // early; element / 2
  input  logic [      1:0][31:0] x_data_i,          // early; int32
  input  logic                   x_last_i,          // early; last pair of the vector
  input  logic [      4:0]       x_cap_i,           // early; largest exponent of a block
  input  logic                   cfg_valid_i,       // early
  input  logic [      3:0]       cfg_space_i,       // early
  input  logic [     31:0]       cfg_address_i,     // early
  input  logic [     31:0]       cfg_data_i,        // early
  input  logic                   cfg_read_i,        // early; between steps
  output logic                   read_o,            // early; 3 cycles later
  output logic                   done_valid_o,      // early; blocks complete, factor in time
  output logic [      2:0]       done_slot_o,       // early
  output logic                   block_valid_o,     // early
  output logic [      2:0]       block_slot_o,      // early
  output logic [      7:0]       block_index_o,     // early
  output logic [    255:0]       block_data_o,      // early
  output logic [      4:0]       block_exponent_o,  // early
  output logic [Slots-1:0][16:0] factor_rm_o,       // early; 32768..65536
  output logic [Slots-1:0][ 5:0] factor_shift_o,    // early; 0..38
  output logic [      3:0]       saturations_o,     // early
  output logic [      1:0]       clips_o            // early
);

  `TP_REQUIRE(Slots >= 1 && Slots <= 8)
  `TP_REQUIRE(DimMax >= 32 && DimMax % 32 == 0 && DimMax <= 8160)
  `TP_REQUIRE(GainQuads >= 2 && GainQuads <= 65536)

  localparam int unsigned QuadWidth = $clog2(DimMax / 4);
  // Powers of two: a slot's place in an address is a bit field.
  localparam int unsigned XAddressWidth = $clog2(Slots << QuadWidth);
  localparam int unsigned GainWidth = $clog2(2 * GainQuads);

  // ---- configuration: epsilon, gains ----

  logic              cfg_register;
  logic              cfg_gain;
  logic [47:0]       epsilon_q;
  logic [ 1:0][15:0] gain;

  assign cfg_register = cfg_valid_i && cfg_space_i == tp_map_pkg::TP_SPACE_REGISTER;
  assign cfg_gain = cfg_valid_i && cfg_space_i == tp_map_pkg::TP_SPACE_GAIN &&
                    cfg_address_i < 2 * GainQuads;

  // Decoded a cycle before it is written.
  logic        epsilon_low_q;
  logic        epsilon_high_q;
  logic [31:0] epsilon_data_q;
  always_ff @(posedge clk_i) begin
    epsilon_low_q <= cfg_register && cfg_address_i == 32'(tp_map_pkg::TP_REGISTER_NORM_EPSILON);
    epsilon_high_q <= cfg_register &&
        cfg_address_i == 32'(tp_map_pkg::TP_REGISTER_NORM_EPSILON_HIGH);
    epsilon_data_q <= cfg_data_i;
    if (epsilon_low_q) epsilon_q[31:0] <= epsilon_data_q;
    if (epsilon_high_q) epsilon_q[47:32] <= epsilon_data_q[15:0];
  end

  tp_ram #(
    .Width         (32),
    .Depth         (2 ** GainWidth),
    .OutputRegister(1'b1)
  ) u_gain (
    .clk_i          (clk_i),
    .write_enable_i (cfg_gain),
    .write_address_i(cfg_address_i[GainWidth-1:0]),
    .write_data_i   (cfg_data_i),
    .read_enable_i  (gain_valid_i),
    .read_address_i (gain_address_i[GainWidth-1:0]),
    .read_data_o    (gain)
  );

  logic read_q;
  logic read_bit;
  logic [1:0] read_bit_q;

  tp_ecp5_select u_bit (
    .data_i  (gain),
    .select_i(cfg_data_i[4:0]),
    .out_o   (read_bit)
  );

  always_ff @(posedge clk_i) begin
    read_q     <= cfg_read_i && cfg_space_i == tp_map_pkg::TP_SPACE_GAIN;
    read_bit_q <= {read_bit_q[0], read_q && read_bit};
    read_o     <= read_bit_q[1];
  end

  // ---- first pass: h = sat32(rnd(x * gain, 15)), quantised ----

  logic [3:2] valid;
  logic [3:2] last;
  logic [3:2][2:0] slot;
  logic [3:2][4:0] cap;
  logic [1:0][31:0] high_q2;  // products, the upper and the lower half of x apart
  logic [1:0][31:0] low_q2;
  logic [1:0] edge_q2;  // -2^31 * -2^15, the one product that does not fit
  logic [1:0][31:0] h_q3;
  logic [3:0] saturations_q;
  logic block_last;
  logic end_next;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid <= '0;
    else valid <= {valid[2], x_valid_i};
  end

  always_ff @(posedge clk_i) begin
    last <= {last[2], x_last_i};
    slot <= {slot[2], x_slot_i};
    cap  <= {cap[2], x_cap_i};
  end

  for (genvar i = 0; i < 2; i++) begin : gen_product
    logic [31:0] h;
    tp_ecp5_multiply #(
      .WidthA (16),
      .WidthB (16),
      .Latency(1)
    ) u_high (
      .clk_i(clk_i),
      .a_i  (x_data_i[i][31:16]),
      .b_i  (gain[i]),
      .out_o(high_q2[i])
    );
    tp_ecp5_multiply #(
      .WidthA (16),
      .WidthB (16),
      .SignedA(1'b0),
      .Latency(1)
    ) u_low (
      .clk_i(clk_i),
      .a_i  (x_data_i[i][15:0]),
      .b_i  (gain[i]),
      .out_o(low_q2[i])
    );
    assign h = {high_q2[i][30:0], 1'b0} + 32'($signed(low_q2[i][31:15])) + 32'(low_q2[i][14]);
    always_ff @(posedge clk_i) begin
      edge_q2[i] <= x_data_i[i] == 32'h8000_0000 && gain[i] == 16'h8000;
      h_q3[i]    <= edge_q2[i] ? 32'h7fff_ffff : h;
    end
    logic unused_low;
    assign unused_low = ^{high_q2[i][31], low_q2[i][13:0]};
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) saturations_q <= '0;
    else saturations_q <= valid[2] ? 4'($countones(edge_q2)) : '0;
  end

  tp_quantise #(
    .Lanes(2)
  ) u_quantise (
    .clk_i           (clk_i),
    .rst_ni          (rst_ni),
    .in_valid_i      (valid[3]),
    .in_data_i       (h_q3),
    .in_last_i       (last[3]),
    .in_slot_i       (slot[3]),
    .in_cap_i        (cap[3]),
    .block_valid_o   (block_valid_o),
    .block_slot_o    (block_slot_o),
    .block_index_o   (block_index_o),
    .block_data_o    (block_data_o),
    .block_exponent_o(block_exponent_o),
    .block_last_o    (block_last),
    .end_next_o      (end_next),
    .clips_o         (clips_o)
  );

  // ---- OR of |x|, right from one cycle after the last pair on ----

  logic [1:0][31:0] magnitude;
  logic [31:0] any_q;
  logic [4:0] right;  // sh = max(0, bits - 15), 0..17

  for (genvar i = 0; i < 2; i++) begin : gen_magnitude
    tp_magnitude u_magnitude (
      .value_i    (x_data_i[i]),
      .magnitude_o(magnitude[i])
    );
  end

  always_ff @(posedge clk_i) begin
    if (x_valid_i) any_q <= (x_pair_i == '0 ? '0 : any_q) | magnitude[0] | magnitude[1];
  end

  always_comb begin
    right = '0;
    for (int unsigned i = 15; i < 32; i++) if (any_q[i]) right = 5'(i - 14);
  end

  // ---- second pass: A = sum (x >> sh)^2 + (C >> 2 sh), then 1 / sqrt(A) ----

  logic              pass_start;
  logic              busy_q;
  logic              first_q;
  logic              end_quad;
  logic [ 2:0]       slot_q;
  logic [10:0]       quad_q;
  logic [10:0]       left_q;  // quads behind this one
  logic [ 3:0][31:0] x;

  assign pass_start = x_valid_i && x_last_i;
  assign end_quad   = left_q == '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) busy_q <= 1'b0;
    else busy_q <= pass_start || (busy_q && !end_quad);
  end

  always_ff @(posedge clk_i) begin
    first_q <= pass_start;
    if (pass_start) begin
      slot_q <= x_slot_i;
      quad_q <= '0;
      left_q <= x_pair_i[11:1];
    end else if (busy_q) begin
      quad_q <= quad_q + 11'd1;
      left_q <= left_q - 11'd1;
    end
  end

  for (genvar bank = 0; bank < 4; bank++) begin : gen_x
    tp_ram #(
      .Width         (32),
      .Depth         (2 ** XAddressWidth),
      .OutputRegister(1'b1)
    ) u_ram (
      .clk_i          (clk_i),
      .write_enable_i (x_valid_i && x_pair_i[0] == 1'(bank / 2)),
      .write_address_i(XAddressWidth'((32'(x_slot_i) << QuadWidth) | 32'(x_pair_i[11:1]))),
      .write_data_i   (x_data_i[bank%2]),
      .read_enable_i  (busy_q),
      .read_address_i (XAddressWidth'((32'(slot_q) << QuadWidth) | 32'(quad_q))),
      .read_data_o    (x[bank])
    );
  end

  // A quad on its way, stages 2 to 9. Vectors may follow each other so closely that each quad
  // carries what belongs to its vector.
  typedef struct packed {
    logic first;
    logic last;
    logic [2:0] slot;
  } quad_t;

  logic [9:2] quad_valid;
  quad_t quads[2:9];
  logic [9:2][4:0] rights;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) quad_valid <= '0;
    else quad_valid <= {quad_valid[8:2], busy_q};
  end

  always_ff @(posedge clk_i) begin
    quads[2] <= '{first: first_q, last: end_quad, slot: slot_q};
    for (int unsigned stage = 2; stage < 9; stage++) quads[stage+1] <= quads[stage];
    if (first_q) rights[2] <= right;
    rights[9:3] <= rights[8:2];
  end

  // Of stage 3, for each element by itself.
  logic [3:0][4:0] right_here_q;
  (* keep *)
  always_ff @(posedge clk_i) right_here_q <= {4{rights[2]}};

  logic [3:0][15:0] scaled_q4;  // signed
  logic [3:0][30:0] square;  // of stage 7
  logic [47:0] epsilon_q8;
  logic [32:0] sum_q8;
  logic [48:0] total_q9;
  logic [3:0] unused_square_valid;
  logic factor_valid;
  logic [16:0] factor_rm;
  logic [4:0] factor_half_k;
  logic [2:0] factor_slot;
  logic [4:0] factor_right;
  logic [Slots-1:0][16:0] factor_rm_q;
  logic [Slots-1:0][5:0] factor_shift_q;

  // The 16 bits that are left of a number: one narrowing step for each bit of the shift.
  function automatic logic [15:0] shifted(input logic [31:0] value, input logic [4:0] amount);
    logic [30:0] by_16;
    logic [22:0] by_8;
    logic [18:0] by_4;
    logic [16:0] by_2;
    by_16   = amount[4] ? {{15{value[31]}}, value[31:16]} : value[30:0];
    by_8    = amount[3] ? by_16[30:8] : by_16[22:0];
    by_4    = amount[2] ? by_8[22:4] : by_8[18:0];
    by_2    = amount[1] ? by_4[18:2] : by_4[16:0];
    shifted = amount[0] ? by_2[16:1] : by_2[15:0];
  endfunction

  always_ff @(posedge clk_i) begin
    if (quad_valid[3]) begin
      for (int unsigned i = 0; i < 4; i++) scaled_q4[i] <= shifted(x[i], right_here_q[i]);
    end
    if (quad_valid[7]) begin
      sum_q8 <= (33'(square[0]) + 33'(square[1])) + (33'(square[2]) + 33'(square[3]));
    end
`ifdef TP_PLANT_BUG
    // The planted fault does not scale epsilon with the squares.
    epsilon_q8 <= epsilon_q;
`else
    epsilon_q8 <= epsilon_q >> {rights[7], 1'b0};
`endif
    if (quad_valid[8]) begin
      total_q9 <= (quads[8].first ? 49'(epsilon_q8) : total_q9) + 49'(sum_q8);
    end
  end

  for (genvar i = 0; i < 4; i++) begin : gen_square
    tp_square #(
      .Hard(HardSquares)
    ) u_square (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .in_valid_i (quad_valid[4]),
      .in_data_i  (scaled_q4[i]),
      .out_valid_o(unused_square_valid[i]),
      .out_data_o (square[i])
    );
  end

  tp_rsqrt #(
    .Width   (49),
    .TagWidth(8)
  ) u_rsqrt (
    .clk_i       (clk_i),
    .rst_ni      (rst_ni),
    .in_valid_i  (quad_valid[9] && quads[9].last),
    .in_value_i  (total_q9),
    .in_tag_i    ({quads[9].slot, rights[9]}),
    .out_valid_o (factor_valid),
    .out_rm_o    (factor_rm),
    .out_half_k_o(factor_half_k),
    .out_tag_o   ({factor_slot, factor_right})
  );

  always_ff @(posedge clk_i) begin
    if (factor_valid) begin
      for (int unsigned i = 0; i < Slots; i++) begin
        if (factor_slot == 3'(i)) begin
          factor_rm_q[i]    <= factor_rm;
          factor_shift_q[i] <= 6'(factor_half_k) + 6'(factor_right);
        end
      end
    end
  end

  // ---- completion: blocks are there, and the factor will be when the next matrix needs it ----

  // A matrix that is issued in the cycle after the done takes its first rows 19 cycles later at the
  // earliest: 20 cycles from the done to the factor are in time. Short vectors have it long before
  // their blocks, and the one behind may have it, too: blocks and factors come in order.
  logic       near_q;  // the factor comes in 20 cycles at the latest
  logic [3:0] nears_q;  // vectors whose blocks did not come yet
  logic       wait_q;  // the blocks came first
  logic [2:0] wait_slot_q;
  logic       blocks_end;
  logic       near;
  logic [3:0] nears;
  logic       is_waiting;
  logic       done_q;  // found out a cycle ahead: it has a long way
  logic [2:0] done_slot_q;

  assign blocks_end = block_valid_o && block_last;
  assign near       = busy_q && (left_q == 11'd7 || (first_q && left_q < 11'd7));
  assign nears      = nears_q + 4'(near_q) - 4'(done_q);
  assign is_waiting = (blocks_end || wait_q) && !done_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      near_q  <= 1'b0;
      nears_q <= '0;
      wait_q  <= 1'b0;
      done_q  <= 1'b0;
    end else begin
      near_q  <= near;
      nears_q <= nears;
      wait_q  <= is_waiting;
      done_q  <= (end_next || is_waiting) && (near || nears != '0);
    end
  end

  // The slot of a block stands a cycle before the block.
  always_ff @(posedge clk_i) begin
    if (blocks_end) wait_slot_q <= block_slot_o;
    done_slot_q <= wait_q && !done_q ? wait_slot_q : block_slot_o;
  end

  assign done_valid_o   = done_q;
  assign done_slot_o    = done_slot_q;
  assign factor_rm_o    = factor_rm_q;
  assign factor_shift_o = factor_shift_q;
  assign saturations_o  = saturations_q;

  logic unused_bits;
  assign unused_bits = ^{gain_address_i, quads[9].first};

  `TP_ASSERT(SlotExists_A, !x_valid_i || 32'(x_slot_i) < Slots)
  `TP_ASSERT(XFits_A, !x_valid_i || 32'(x_pair_i) < DimMax / 2)
  `TP_ASSERT(WholeQuads_A, !pass_start || x_pair_i[0])
  `TP_ASSERT(GainsExist_A, !gain_valid_i || 32'(gain_address_i) < 2 * GainQuads)
  `TP_ASSERT(PassesApart_A, !(pass_start && busy_q && !end_quad))
  `TP_ASSERT(BlocksApart_A, !(blocks_end && wait_q))
  `TP_ASSERT(NearsFit_A, !(near_q && &nears_q))
  `TP_COVER(BackToBack_C, pass_start && busy_q)
  `TP_COVER(BlocksFirst_C, wait_q)
  `TP_COVER(Saturated_C, saturations_q != '0)

endmodule
