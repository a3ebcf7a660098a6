// SPDX-License-Identifier: Apache-2.0
//
// tp_angles: unit of opcode ANGLES; sine and cosine of a slot's position, for all pairs of a head.
//
// In    commands; configuration space FREQUENCY: phase increments of one position, turn = 2^32.
// Out   angle table of all slots: two registers behind the read address. Bits equal
//       tp_rope_angles() of the model; identity reads cosine 1 and sine 0.
// Read  between steps the bit of a frequency whose number stands on the configuration bus.
// Rate  two cycles a pair: a command of cycle t is done, and the unit free again, in cycle
//       t + 2 * pairs + 10. One read per cycle at any time.
// Not   does not keep a slot from reading while its angles are computed: the program waits.

`include "tp_assert.svh"

module tp_angles
  import tp_map_pkg::*;
#(
  parameter int unsigned Slots       = 4,
  parameter int unsigned Pairs       = 16,  // most pairs of a padded head, 4..64
  parameter int unsigned Frequencies = 64   // entries of the frequency table
) (
  input  logic                    clk_i,
  input  logic                    rst_ni,
  input  logic                    cmd_valid_i,       // early
  input  tp_pkg::command_t        cmd_i,             // early
  output logic                    free_o,            // early
  output logic                    done_valid_o,      // early
  output logic             [ 2:0] done_slot_o,       // early
  input  logic                    cfg_valid_i,       // early
  input  logic             [ 3:0] cfg_space_i,       // early
  input  logic             [31:0] cfg_address_i,     // early
  input  logic             [31:0] cfg_data_i,        // early
  input  logic                    cfg_read_i,        // early; between steps
  output logic                    read_o,            // early; 3 cycles later
  input  logic                    angle_valid_i,     // early; the outputs stay without it
  input  logic             [ 2:0] angle_slot_i,      // early
  input  logic             [ 5:0] angle_pair_i,      // early
  input  logic                    angle_identity_i,  // early
  output logic signed      [16:0] angle_cosine_o,    // early; one cycle after angle_valid_i, Q1.15
  output logic signed      [16:0] angle_sine_o,      // early
  output logic signed      [17:0] angle_sum_o        // early; cosine + sine
);

  `TP_REQUIRE(Slots >= 1 && Slots <= 8)
  `TP_REQUIRE(Pairs >= 4 && Pairs <= 64)
  `TP_REQUIRE(Frequencies >= Pairs)

  localparam int unsigned PairWidth = $clog2(Pairs);
  localparam int unsigned FrequencyWidth = $clog2(Frequencies);
  localparam int unsigned TableDepth = Slots << PairWidth;
  localparam int unsigned TableWidth = $clog2(TableDepth);
  // From the step that asks for a frequency to the step that holds its sine.
  localparam int unsigned Latency = 10;

  // ---- command: two steps for each pair, cosine first ----

  tp_map_pkg::angles_t instruction;
  logic unused_instruction;
  assign instruction = angles_t'(cmd_i.instruction);
  assign unused_instruction = ^{instruction, cmd_i.fast, cmd_i.token};

  logic                      free_q;
  logic                      read_q;  // a frequency is read back
  logic                      running_q;  // steps are issued
  logic [               2:0] slot_q;
  logic [              15:0] position_q;
  logic [FrequencyWidth-1:0] address_q;
  logic [               6:0] left_q;  // pairs whose second step is still to come
  logic                      half_q;  // 1: second step of the pair, its sine
  logic [       Latency-1:0] step_q;  // valid bits of the stages behind
  logic [       Latency-1:0] half_step_q;
  logic                      last_step;
  logic                      ending;
  logic [               5:0] write_pair_q;
  logic                      done_q;

  assign last_step = half_q && left_q == 7'd1;
  assign ending    = step_q[Latency-2] && step_q[Latency-3:0] == '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      free_q    <= 1'b1;
      running_q <= 1'b0;
      step_q    <= '0;
      done_q    <= 1'b0;
    end else begin
      step_q <= {step_q[Latency-2:0], running_q};
      done_q <= ending;
      if (cmd_valid_i) begin
        free_q    <= 1'b0;
        running_q <= 1'b1;
      end else begin
        if (running_q && last_step) running_q <= 1'b0;
        if (ending) free_q <= 1'b1;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (cmd_valid_i) begin
      slot_q       <= cmd_i.slot;
      position_q   <= cmd_i.position;
      address_q    <= FrequencyWidth'(instruction.frequency_base);
      left_q       <= instruction.pairs;
      half_q       <= 1'b0;
      write_pair_q <= '0;
    end else begin
      if (running_q) begin
        half_q <= !half_q;
        if (half_q) begin
          address_q <= address_q + 1'b1;
          left_q    <= left_q - 7'd1;
        end
      end
      if (read_q) address_q <= cfg_address_i[FrequencyWidth-1:0];
      if (step_q[Latency-1] && half_step_q[Latency-1]) write_pair_q <= write_pair_q + 6'd1;
    end
    if (!free_q) half_step_q <= {half_step_q[Latency-2:0], half_q};
  end

  assign free_o       = free_q;
  assign done_valid_o = done_q;
  assign done_slot_o  = slot_q;

  // ---- phase: one multiplier, lower half of the increment first ----

  logic [31:0] increment;  // stage 2
  logic        read_bit;
  logic [ 1:0] read_bit_q;
  logic [15:0] factor_q;
  logic [31:0] product;
  logic [31:0] product_q2;
  logic [31:0] phase_q;  // stage 6 of a cosine step
  logic [31:0] sine_phase_q;

  tp_ram #(
    .Width         (32),
    .Depth         (Frequencies),
    .OutputRegister(1'b1),
    .Distributed   (1'b1)
  ) u_frequency (
    .clk_i          (clk_i),
    .write_enable_i (cfg_valid_i && cfg_space_i == TP_SPACE_FREQUENCY),
    .write_address_i(cfg_address_i[FrequencyWidth-1:0]),
    .write_data_i   (cfg_data_i),
    .read_enable_i  (running_q || read_q),
    .read_address_i (address_q),
    .read_data_o    (increment)
  );

  tp_ecp5_select u_bit (
    .data_i  (increment),
    .select_i(cfg_data_i[4:0]),
    .out_o   (read_bit)
  );

  always_ff @(posedge clk_i) begin
    read_q     <= cfg_read_i && cfg_space_i == TP_SPACE_FREQUENCY;
    read_bit_q <= {read_bit_q[0], read_q && read_bit};
    read_o     <= read_bit_q[1];
  end

  tp_ecp5_multiply #(
    .WidthA (16),
    .WidthB (16),
    .SignedA(1'b0),
    .SignedB(1'b0),
    .Latency(1)
  ) u_product (
    .clk_i(clk_i),
    .a_i  (factor_q),
    .b_i  (position_q),
    .out_o(product)
  );

  always_ff @(posedge clk_i) begin
    if (!free_q) begin
      factor_q   <= half_step_q[1] ? increment[31:16] : increment[15:0];
      product_q2 <= product;
      // The quarter turn for the cosine goes in when the upper product comes.
      if (half_step_q[3]) begin
        phase_q      <= product_q2 + {product[15:0], 16'b0} + 32'h4000_0000;
        sine_phase_q <= product_q2 + {product[15:0], 16'b0};
      end else begin
        phase_q <= sine_phase_q;
      end
    end
  end

  // ---- sine and cosine, then one write for the pair ----

  logic signed [16:0] sine;
  logic signed [16:0] cosine_q;

  tp_sine u_sine (
    .clk_i   (clk_i),
    .enable_i(!free_q),
    .phase_i (phase_q),
    .sine_o  (sine)
  );

  logic               table_write;
  logic        [33:0] table_data;
  logic signed [16:0] read_cosine;
  logic signed [16:0] read_sine;
  logic signed [16:0] cosine_out_q;
  logic signed [16:0] sine_out_q;
  logic signed [17:0] sum_out_q;

  assign table_write = step_q[Latency-1] && half_step_q[Latency-1];
  assign table_data  = {cosine_q, sine};

  always_ff @(posedge clk_i) begin
    if (!free_q) cosine_q <= sine;
  end

  tp_ram_async #(
    .Width(34),
    .Depth(TableDepth)
  ) u_table (
    .clk_i          (clk_i),
    .write_enable_i (table_write),
    .write_address_i(TableWidth'({slot_q, write_pair_q[PairWidth-1:0]})),
    .write_data_i   (table_data),
    .read_address_i (TableWidth'({angle_slot_i, angle_pair_i[PairWidth-1:0]})),
    .read_data_o    ({read_cosine, read_sine})
  );

  always_ff @(posedge clk_i) begin
    if (angle_valid_i) begin
      cosine_out_q <= angle_identity_i ? 17'sh08000 : read_cosine;
      sine_out_q   <= angle_identity_i ? '0 : read_sine;
      sum_out_q    <= angle_identity_i ? 18'sh08000 : 18'(read_cosine) + 18'(read_sine);
    end
  end

  assign angle_cosine_o = cosine_out_q;
  assign angle_sine_o   = sine_out_q;
  assign angle_sum_o    = sum_out_q;

  `TP_ASSERT(CommandWhenFree_A, !cmd_valid_i || free_q)
  logic pairs_fit;
  logic frequency_here;
  assign pairs_fit = instruction.pairs != '0 && 32'(instruction.pairs) <= Pairs
      && 32'(instruction.frequency_base) + 32'(instruction.pairs) <= Frequencies;
  assign frequency_here = cfg_valid_i && cfg_space_i == TP_SPACE_FREQUENCY;
  `TP_ASSERT(CommandIsOurs_A, !cmd_valid_i || instruction.opcode == TP_OP_ANGLES)
  `TP_ASSERT(CommandFits_A, !cmd_valid_i || (pairs_fit && 32'(cmd_i.slot) < Slots))
  `TP_ASSERT(FrequencyFits_A, !frequency_here || cfg_address_i < Frequencies)
  `TP_ASSERT(FrequencyAtRest_A, !frequency_here || free_q)
  `TP_ASSERT(SlotFits_A, !angle_valid_i || angle_identity_i || 32'(angle_slot_i) < Slots)
  `TP_ASSERT(PairFits_A, !angle_valid_i || angle_identity_i || 32'(angle_pair_i) < Pairs)
  `TP_COVER(Overlap_C, table_write && angle_valid_i)

endmodule
