// SPDX-License-Identifier: Apache-2.0
//
// tp_epilogue_heads: head norm, rotation and centring of query, key and value rows.
//
// In    stage 6 (where) and stage 7 (what) of the epilogue; angles; configuration spaces CENTRE and
//       GAIN.
// Out   head flow: stage 12, or 5 cycles after the pair leaves tp_head_norm.
// Rate  one pair per cycle.
// Not   keeps no order between pairs that take the head norm and pairs that pass it: a program has
//       the head_norm bit in all of QUERY, KEY and VALUE, or in none. Values pass unchanged.

`include "tp_assert.svh"

module tp_epilogue_heads
  import tp_map_pkg::*;
  import tp_epilogue_pkg::*;
#(
  parameter int unsigned ConstantPairs = 256,
  parameter bit          HeadNorm      = 1'b0,
  parameter int unsigned HeadLog2Max   = 5,     // log2 of the largest head size
  parameter int unsigned GainQuads     = 256
) (
  input logic clk_i,
  input logic rst_ni,
  input logic cmd_valid_i,  // early
  input index_t cmd_index_i,  // early
  input tp_pkg::command_t cmd_i,  // early
  input logic ahead_valid_i,  // early; stage 6
  input place_t ahead_place_i,  // early; stage 6
  input logic pair_valid_i,  // early; stage 7
  input place_t pair_place_i,  // early; stage 7
  input logic [1:0][31:0] pair_data_i,  // early; stage 7
  output logic angle_valid_o,  // late
  output logic [2:0] angle_slot_o,  // late
  output logic [5:0] angle_pair_o,  // late
  output logic angle_identity_o,  // late
  input logic signed [16:0] angle_cosine_i,  // early; one cycle after angle_valid_o
  input logic signed [16:0] angle_sine_i,  // early
  input logic signed [17:0] angle_sum_i,  // early
  input logic cfg_valid_i,  // early
  input logic [3:0] cfg_space_i,  // early
  input logic [31:0] cfg_address_i,  // early
  input logic [31:0] cfg_data_i,  // early
  input logic cfg_read_i,  // early; between steps
  output logic read_o,  // early; 2 cycles later
  output logic head_valid_o,  // early
  output logic [1:0][31:0] head_data_o,  // early; int32
  output tp_pkg::word_context_t head_context_o,  // early
  output logic head_last_o,  // early
  output logic [3:0] saturated_o,  // early; events of this cycle
  output logic [3:0] norm_saturations_o  // early; of the head norm in this cycle
);

  localparam int unsigned ConstantWidth = $clog2(ConstantPairs);

  // ---- contexts ----

  typedef struct packed {
    logic [2:0]  slot;
    logic [15:0] position;
    logic [2:0]  head_log2;
    logic [4:0]  exponent_base;
    logic [23:0] kv_base;
  } head_t;

  typedef struct packed {
    logic              enable;
    logic [2:0]        head_log2;
    logic signed [7:0] shift;
    logic [31:0]       epsilon;
    logic [15:0]       gain_base;
  } head_norm_t;

  matvec_t matvec;
  head_t   head_in;

  assign matvec                = matvec_t'(cmd_i.instruction);
  assign head_in.slot          = cmd_i.slot;
  assign head_in.position      = cmd_i.position;
  assign head_in.head_log2     = matvec.head_log2;
  assign head_in.exponent_base = matvec.dest == TP_DEST_QUERY ? '0 : matvec.exponent_base;
  assign head_in.kv_base       = matvec.kv_base;

  // Pair of the head: the low head_log2 - 1 bits of the pair.
  logic [2:0] head_log2;
  logic [5:0] angle_pair_q;
  logic head_q;

  tp_ram_async #(
    .Width(3),
    .Depth(Commands)
  ) u_size (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(cmd_index_i),
    .write_data_i   (matvec.head_log2),
    .read_address_i (ahead_place_i.index),
    .read_data_o    (head_log2)
  );

  always_ff @(posedge clk_i) begin
    if (ahead_valid_i) begin
      head_q       <= is_head(ahead_place_i.kind);
      angle_pair_q <= ahead_place_i.pair[5:0] & 6'((7'd1 << (head_log2 - 3'd1)) - 7'd1);
    end
  end

  // ---- head norm, or past it ----

  logic head_here;
  turn_t turn_here;
  logic turn_valid;
  turn_t turn_in;
  logic [1:0][31:0] turn_data;

  assign head_here = pair_valid_i && head_q;
  assign turn_here = '{
          last: pair_place_i.last,
          kind: pair_place_i.kind,
          slot: pair_place_i.slot,
          index: pair_place_i.index,
          pair: pair_place_i.pair,
          head_pair: angle_pair_q
      };

  if (HeadNorm) begin : gen_head_norm
    localparam int unsigned GainWidth = $clog2(2 * GainQuads);
    // At most 2 P + 30 pairs of heads of P pairs are inside tp_head_norm.
    localparam int unsigned Waiting = HeadLog2Max > 6 ? 256 : 128;
    head_norm_t norm_in;
    head_norm_t norm;
    head_norm_t norm_q;
    logic norm_here;
    logic norm_valid;
    logic [1:0][31:0] norm_data;
    logic [16:0] gain_address;
    logic [31:0] gain;
    turn_t norm_turn;
    logic waiting_ready;
    logic waiting_valid;
    logic [$clog2(Waiting+1)-1:0] waiting_level;

    // Values pass unchanged, so that they stay behind the keys.
    assign norm_in = '{
            enable: matvec.dest != TP_DEST_VALUE,
            head_log2: matvec.head_log2,
            shift: matvec.head_shift,
            epsilon: matvec.epsilon,
            gain_base: matvec.gain_base
        };

    tp_ram_async #(
      .Width($bits(head_norm_t)),
      .Depth(Commands)
    ) u_norm (
      .clk_i          (clk_i),
      .write_enable_i (cmd_valid_i),
      .write_address_i(cmd_index_i),
      .write_data_i   (norm_in),
      .read_address_i (ahead_place_i.index),
      .read_data_o    (norm)
    );

    always_ff @(posedge clk_i) begin
      if (ahead_valid_i && ahead_place_i.head_norm) norm_q <= norm;
    end

    assign norm_here = head_here && pair_place_i.head_norm;

    tp_head_norm #(
      .HeadLog2Max(HeadLog2Max)
    ) u_head_norm (
      .clk_i          (clk_i),
      .rst_ni         (rst_ni),
      .in_valid_i     (norm_here),
      .in_data_i      (pair_data_i),
      .in_head_log2_i (norm_q.head_log2),
      .in_enable_i    (norm_q.enable),
      .in_head_shift_i(norm_q.shift),
      .in_epsilon_i   (norm_q.epsilon),
      .in_gain_base_i (norm_q.gain_base),
      .out_valid_o    (norm_valid),
      .out_data_o     (norm_data),
      .gain_address_o (gain_address),
      .gain_i         (gain),
      .saturations_o  (norm_saturations_o)
    );

    tp_ram #(
      .Width(32),
      .Depth(2 * GainQuads)
    ) u_gain (
      .clk_i          (clk_i),
      .write_enable_i (cfg_valid_i && cfg_space_i == TP_SPACE_GAIN),
      .write_address_i(cfg_address_i[GainWidth-1:0]),
      .write_data_i   (cfg_data_i),
      .read_enable_i  (1'b1),
      .read_address_i (gain_address[GainWidth-1:0]),
      .read_data_o    (gain)
    );

    // The places of the pairs inside tp_head_norm.
    tp_fifo #(
      .Width($bits(turn_t)),
      .Depth(Waiting)
    ) u_waiting (
      .clk_i      (clk_i),
      .rst_ni     (rst_ni),
      .in_valid_i (norm_here),
      .in_ready_o (waiting_ready),
      .in_data_i  (turn_here),
      .out_valid_o(waiting_valid),
      .out_ready_i(norm_valid),
      .out_data_o (norm_turn),
      .level_o    (waiting_level)
    );

    assign turn_valid = norm_valid || (head_here && !pair_place_i.head_norm);
    assign turn_in    = norm_valid ? norm_turn : turn_here;
    assign turn_data  = norm_valid ? norm_data : pair_data_i;

    logic unused_level;
    assign unused_level = ^{waiting_level, gain_address};

    `TP_ASSERT(WaitingHasRoom_A, !norm_here || waiting_ready)
    `TP_ASSERT(NormGivesWhatItTook_A, !norm_valid || waiting_valid)
    `TP_ASSERT(NoOvertaking_A, !(head_here && !norm_here && waiting_valid))
  end else begin : gen_no_head_norm
    assign turn_valid         = head_here;
    assign turn_in            = turn_here;
    assign turn_data          = pair_data_i;
    assign norm_saturations_o = '0;
    `TP_ASSERT(NoHeadNorm_A, !(cmd_valid_i && matvec.opcode == TP_OP_MATVEC && is_head(matvec.dest
               ) && matvec.head_norm))
  end

  // ---- rotation 7 to 11, centre 12 ----

  typedef struct packed {
    logic   last;
    logic   centre;
    index_t index;
  } centre_place_t;

  logic [11:8] turn_valid_q;
  logic turn_last_q;
  index_t turn_index_q;
  logic [15:0] turn_pair_q;
  centre_place_t centre_place_q[9:11];
  logic centre_here;
  logic [15:0] centre_base;
  logic [ConstantWidth-1:0] centre_address_q;
  logic turned_valid;
  logic [1:0][31:0] turned;
  logic [1:0] turned_saturated;
  logic [1:0][31:0] centre;
  logic head_valid_q;
  logic head_last_q;
  logic [1:0][31:0] head_data_q;
  logic [1:0] head_saturated_q;
  logic [2:0] head_kind;
  head_t head;
  tp_pkg::word_context_t head_context_q;

  logic read_q;
  logic [1:0] read_bits;  // of the even and the odd constant
  logic [1:0] read_bits_q;

  logic [16:0] centre_pair;
  assign centre_pair      = 17'(centre_base) + 17'(turn_pair_q);

  assign angle_valid_o    = turn_valid;
  assign angle_slot_o     = turn_in.slot;
  assign angle_pair_o     = turn_in.head_pair;
  assign angle_identity_o = turn_in.kind == TP_DEST_VALUE;

  tp_rotate u_rotate (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .in_valid_i     (turn_valid),
    .in_data_i      (turn_data),
    .cosine_i       (angle_cosine_i),
    .sine_i         (angle_sine_i),
    .sum_i          (angle_sum_i),
    .out_valid_o    (turned_valid),
    .out_data_o     (turned),
    .out_saturated_o(turned_saturated)
  );

  tp_ram_async #(
    .Width(17),
    .Depth(Commands)
  ) u_centre_base (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(cmd_index_i),
    .write_data_i   ({matvec.centre, matvec.constant_base}),
    .read_address_i (turn_index_q),
    .read_data_o    ({centre_here, centre_base})
  );

  tp_ram_async #(
    .Width(3 + $bits(head_t)),
    .Depth(Commands)
  ) u_head (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(cmd_index_i),
    .write_data_i   ({matvec.dest, head_in}),
    .read_address_i (centre_place_q[11].index),
    .read_data_o    ({head_kind, head})
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      turn_valid_q <= '0;
      head_valid_q <= 1'b0;
    end else begin
      turn_valid_q <= {turn_valid_q[10:8], turn_valid};
      head_valid_q <= turn_valid_q[11];
    end
  end

  always_ff @(posedge clk_i) begin
    if (turn_valid) begin
      turn_last_q  <= turn_in.last;
      turn_index_q <= turn_in.index;
      turn_pair_q  <= turn_in.pair;
    end
    if (turn_valid_q[8]) begin
      centre_place_q[9] <= '{last: turn_last_q, centre: centre_here, index: turn_index_q};
    end
    if (turn_valid_q[8] || read_q) begin
      centre_address_q <= read_q ? cfg_address_i[ConstantWidth:1] : centre_pair[ConstantWidth-1:0];
    end
    if (turn_valid_q[9]) centre_place_q[10] <= centre_place_q[9];
    if (turn_valid_q[10]) centre_place_q[11] <= centre_place_q[10];
    if (turn_valid_q[11]) begin
      head_last_q <= centre_place_q[11].last;
      head_context_q <= '{
          kind:
          head_kind
          ==
          TP_DEST_QUERY
          ?
          tp_pkg::WordQuery
          :
          head_kind
          ==
          TP_DEST_KEY
          ?
          tp_pkg::WordKey
          :
          tp_pkg::WordValue,
          slot: head.slot,
          position: head.position,
          head_log2: head.head_log2,
          exponent_base: head.exponent_base,
          kv_base: head.kv_base
      };
    end
  end

  for (genvar i = 0; i < 2; i++) begin : gen_centre
    logic signed [32:0] difference;
    logic subtract_q;

    (* keep *)
    always_ff @(posedge clk_i) subtract_q <= centre_place_q[10].centre;

    tp_ram #(
      .Width         (32),
      .Depth         (ConstantPairs),
      .OutputRegister(1'b1)
    ) u_centre (
      .clk_i          (clk_i),
      .write_enable_i (cfg_valid_i && cfg_space_i == TP_SPACE_CENTRE && cfg_address_i[0] == i),
      .write_address_i(cfg_address_i[ConstantWidth:1]),
      .write_data_i   (cfg_data_i),
      .read_enable_i  ((turn_valid_q[9] && centre_place_q[9].centre) || read_q),
      .read_address_i (centre_address_q),
      .read_data_o    (centre[i])
    );

    tp_ecp5_select u_bit (
      .data_i  (centre[i]),
      .select_i(cfg_data_i[4:0]),
      .out_o   (read_bits[i])
    );

    tp_epilogue_add #(
      .Subtract(1'b1)
    ) u_difference (
      .base_i(turned[i]),
      .term_i(centre[i]),
      .gate_i(subtract_q),
      .sum_o (difference)
    );
    always_ff @(posedge clk_i) begin
      if (turn_valid_q[11]) begin
`ifdef TP_PLANT_BUG
        // The planted fault wraps where the centred element should saturate.
        head_data_q[i] <= difference[31:0];
`else
        head_data_q[i] <= clamp(difference);
`endif
        head_saturated_q[i] <= difference[32] != difference[31];
      end
    end
  end

  always_ff @(posedge clk_i) begin
    read_q <= cfg_read_i && cfg_space_i == TP_SPACE_CENTRE;
    read_bits_q <= read_bits;
    read_o <= read_q && read_bits_q[cfg_address_i[0]];
  end

  assign head_valid_o = head_valid_q;
  assign head_data_o = head_data_q;
  assign head_context_o = head_context_q;
  assign head_last_o = head_last_q;

  assign saturated_o = {turned_saturated & {2{turned_valid}}, head_saturated_q & {2{head_valid_q}}};

  logic unused_bits;
  assign unused_bits = ^{matvec, cmd_i, cfg_address_i, centre_pair, ahead_place_i, pair_place_i};

  `TP_ASSERT(HeadSize_A, !(ahead_valid_i && is_head(ahead_place_i.kind
             )) || 32'(head_log2) <= HeadLog2Max)
  `TP_ASSERT(CentreInRange_A, !(turn_valid_q[8] && centre_here) || 32'(centre_pair) < ConstantPairs)
  `TP_ASSERT(ConfigurationInRange_A,
             !(cfg_valid_i && cfg_space_i == TP_SPACE_CENTRE) || cfg_address_i < 2 * ConstantPairs)

endmodule
