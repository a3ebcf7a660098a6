// SPDX-License-Identifier: Apache-2.0
//
// tp_epilogue: what happens to the rows of a matrix after the accumulators, two rows a cycle.
//
// In    the commands of tp_matvec; its row flow and embed flow, in the order of the commands; norm
//       factors; angles; configuration spaces BIAS, CENTRE and, with HeadNorm, GAIN.
// Out   by destination: x and the OR of |x|, FFN blocks, head pairs, logits. Bits equal
//       tp_matvec_scale() and what follows it in the golden machine.
// Rate  one pair of rows per cycle. Constant latencies: see README.md.
// Not   does not check the order of the program: a command reads what earlier ones have completed.
//
// Stage s of the pipeline holds a pair s cycles after it was taken from its row group: 1 accumulator,
// 2 and 3 shift, 4 z, 5 products, 6 y, 7 with bias. Then x: 8; head: 8..11 rotation, 12 centred;
// gate: 8..17 SwiGLU, then the quantiser; logits: 8 and 9.

`include "tp_assert.svh"

module tp_epilogue
  import tp_map_pkg::*;
#(
  parameter int unsigned Groups = 4,
  parameter int unsigned Slots = 4,
  parameter int unsigned DimMax = 64,           // elements of x, a multiple of 32
  parameter int unsigned ConstantPairs = 256,   // of bias and of centre constants
  parameter bit          HeadNorm = 1'b0,
  parameter int unsigned GainQuads = 256,       // of the head norm's copy of the gains
  parameter int unsigned FfnBlocks = 6          // blocks of the FFN's activation memory
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  // Commands, as tp_matvec accepts them.
  input  logic                        cmd_valid_i,        // early
  input  tp_pkg::command_t            cmd_i,              // early
  // Row flow and embed flow of tp_matvec.
  input  logic                        row_valid_i,        // early
  input  logic [Groups-1:0][39:0]     row_data_i,         // early; signed
  input  logic                        row_last_i,         // early; last row group of the command
  input  logic                        embed_valid_i,      // early
  input  logic [1:0][31:0]            embed_data_i,       // early; int32
  input  logic                        embed_last_i,       // early
  // Norm factors of all slots.
  input  logic [Slots-1:0][16:0]      factor_rm_i,        // early
  input  logic [Slots-1:0][5:0]       factor_shift_i,     // early
  // Angle table: data one cycle after the address.
  output logic                        angle_valid_o,      // late
  output logic [2:0]                  angle_slot_o,       // late
  output logic [5:0]                  angle_pair_o,       // late
  output logic                        angle_identity_o,   // late; no rotation
  input  logic signed [16:0]          angle_cosine_i,     // early; Q1.15
  input  logic signed [16:0]          angle_sine_i,       // early
  input  logic signed [17:0]          angle_sum_i,        // early; cosine + sine
  // Configuration.
  input  logic                        cfg_valid_i,        // early
  input  logic [3:0]                  cfg_space_i,        // early
  input  logic [31:0]                 cfg_address_i,      // early
  input  logic [31:0]                 cfg_data_i,         // early
  // x write flow and the OR of |x| of each slot (one cycle behind the flow).
  output logic                        x_valid_o,          // early
  output logic [2:0]                  x_slot_o,           // early
  output logic [11:0]                 x_pair_o,           // early
  output logic [1:0][31:0]            x_data_o,           // early; int32
  output logic [Slots-1:0][31:0]      or_o,               // early
  // FFN block flow.
  output logic                        block_valid_o,      // early
  output logic [2:0]                  block_slot_o,       // early
  output logic [7:0]                  block_index_o,      // early
  output logic [255:0]                block_data_o,       // early
  output logic [4:0]                  block_exponent_o,   // early
  // Head flow.
  output logic                        head_valid_o,       // early
  output logic [1:0][31:0]            head_data_o,        // early; int32
  output tp_pkg::word_context_t       head_context_o,     // early
  output logic                        head_last_o,        // early; last pair of the command
  // Logit flow.
  output logic                        logit_valid_o,      // early
  output logic [2:0]                  logit_slot_o,       // early
  output logic [15:0]                 logit_index_o,      // early
  output logic [31:0]                 logit_data_o,       // early; Q16.16
  output logic                        logit_last_o,       // early; last of the vocabulary
  // RESIDUAL and EMBED; GATE.
  output logic                        done_valid_o,       // early
  output logic [2:0]                  done_slot_o,        // early
  output logic                        gate_done_valid_o,  // early
  output logic [2:0]                  gate_done_slot_o,   // early
  output logic [3:0]                  saturations_o,      // early
  output logic [1:0]                  clips_o             // early
);

  `TP_REQUIRE(Groups == 2 || Groups == 4 || Groups == 8)
  `TP_REQUIRE(Slots >= 1 && Slots <= 8)
  `TP_REQUIRE(DimMax >= 32 && DimMax % 32 == 0 && DimMax <= 8160)
  `TP_REQUIRE(ConstantPairs >= 2 && ConstantPairs <= 65536)
  `TP_REQUIRE(FfnBlocks >= 1 && FfnBlocks <= 256)

  localparam int unsigned Pairs = Groups / 2;  // of a row group
  localparam int unsigned DelayWidth = $clog2(Groups);
  localparam int unsigned Depth = 16;          // commands from acceptance to the last destination
  localparam int unsigned XPairWidth = $clog2(DimMax / 2);
  localparam int unsigned XDepth = Slots << XPairWidth;
  localparam int unsigned XWidth = $clog2(XDepth);
  localparam int unsigned ConstantWidth = $clog2(ConstantPairs);

  typedef logic [$clog2(Depth)-1:0] index_t;

  // A destination of MATVEC, or the embedding.
  localparam logic [2:0] KindEmbed = 3'd6;

  // ---- contexts: written in order, read by the index that travels with the pairs ----

  typedef struct packed {
    logic [2:0] kind;
    logic [2:0] slot;
    logic       norm;
    logic       bias;
    logic       head_norm;
    logic signed [8:0] shift;  // z_shift - 1
  } front_t;

  typedef struct packed {
    logic [2:0]  slot;
    logic [15:0] position;
    logic [2:0]  head_log2;
    logic [4:0]  exponent_base;
    logic [23:0] kv_base;
  } head_t;

  typedef struct packed {
    logic        enable;
    logic [2:0]  head_log2;
    logic signed [7:0] shift;
    logic [31:0] epsilon;
    logic [15:0] gain_base;
  } head_norm_t;

  matvec_t matvec;
  embed_t embed;
  front_t front_in;
  head_t head_in;
  logic is_embed;
  logic is_head;
  logic [8:0] beats;
  logic [8:0] interval_min;
  logic [DelayWidth-1:0] delay_in;

  assign matvec   = matvec_t'(cmd_i.instruction);
  assign embed    = embed_t'(cmd_i.instruction);
  assign is_embed = embed.opcode == TP_OP_EMBED;
  assign is_head  = matvec.dest == TP_DEST_QUERY || matvec.dest == TP_DEST_KEY
      || matvec.dest == TP_DEST_VALUE;

  // The embedding passes the scaling as it is: shift 0, no factor.
  assign front_in.kind      = is_embed ? KindEmbed : matvec.dest;
  assign front_in.slot      = cmd_i.slot;
  assign front_in.norm      = !is_embed && matvec.norm;
  assign front_in.bias      = !is_embed && is_head && matvec.bias;
  assign front_in.head_norm = !is_embed && is_head && matvec.head_norm;
  assign front_in.shift     = is_embed ? -9'sd1 : 9'(matvec.z_shift) - 9'sd1;

  assign head_in.slot          = cmd_i.slot;
  assign head_in.position      = cmd_i.position;
  assign head_in.head_log2     = matvec.head_log2;
  assign head_in.exponent_base = matvec.dest == TP_DEST_QUERY ? '0 : matvec.exponent_base;
  assign head_in.kv_base       = matvec.kv_base;

  // Rows wait for the end of their interval, so that those of the next command cannot catch up and
  // every command completes a constant time after its last interval.
  assign beats        = matvec.planes ? {matvec.blocks, 1'b0} : {1'b0, matvec.blocks};
  assign interval_min = matvec.dest == TP_DEST_LOGITS ? 9'(Groups) : 9'(Pairs);
  assign delay_in     = beats < interval_min ? DelayWidth'(interval_min - beats) : '0;

  index_t write_q;  // next command
  index_t row_q;    // command of the next row group
  index_t fire_q;   // command of the next pair
  logic [4:0] level_q;
  logic row_end;
  logic fire_end;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q <= '0;
      row_q   <= '0;
      fire_q  <= '0;
      level_q <= '0;
    end else begin
      if (cmd_valid_i) write_q <= write_q + 1'b1;
      if (row_end) row_q <= row_q + 1'b1;
      if (fire_end) fire_q <= fire_q + 1'b1;
      level_q <= level_q + 5'(cmd_valid_i) - 5'(fire_end);
    end
  end

  front_t front;
  logic [DelayWidth-1:0] delay;

  tp_ram_async #(
    .Width($bits(front_t)),
    .Depth(Depth)
  ) u_front (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(write_q),
    .write_data_i   (front_in),
    .read_address_i (fire_q),
    .read_data_o    (front)
  );

  tp_ram_async #(
    .Width(DelayWidth),
    .Depth(Depth)
  ) u_delay (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(write_q),
    .write_data_i   (delay_in),
    .read_address_i (row_q),
    .read_data_o    (delay)
  );

  // ---- take pairs from row groups: the first at once or after the delay, then the others ----

  logic row_now;
  logic hold_fire;
  logic first_fire;
  logic rest_fire;
  logic fire;
  logic fire_last;
  logic first_last;
  logic is_logits;
  logic [Groups-2:0] start_q;  // bit i: the held row group begins in i cycles
  logic [Groups-1:0][39:0] hold_q;
  logic [Groups-1:0][39:0] first_group;
  logic hold_last_q;
  logic [1:0][39:0] rest_pair;
  logic rest_last;

  assign row_now     = row_valid_i && delay == '0;
  assign hold_fire   = start_q[0];
  assign first_fire  = row_now || hold_fire;
  assign first_group = hold_fire ? hold_q : row_data_i;
  assign first_last  = hold_fire ? hold_last_q : row_last_i;
  assign fire        = first_fire || rest_fire || embed_valid_i;
  assign fire_end    = fire && fire_last;
  assign row_end     = (row_valid_i && row_last_i) || (embed_valid_i && embed_last_i);
  assign is_logits   = front.kind == TP_DEST_LOGITS;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) start_q <= '0;
    else begin
      start_q <= start_q >> 1;
      if (row_valid_i && delay != '0) start_q[delay-1'b1] <= 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (row_valid_i && delay != '0) begin
      hold_q      <= row_data_i;
      hold_last_q <= row_last_i;
    end
  end

  if (Pairs == 1) begin : gen_no_rest
    assign rest_fire = 1'b0;
    assign rest_pair = first_group;
    assign rest_last = 1'b0;
    assign fire_last = embed_valid_i ? embed_last_i : first_last;
  end else begin : gen_rest
    localparam int unsigned Steps = 2 * (Pairs - 1);
    logic [Steps-1:0] schedule_q;  // bit i: a further pair in i cycles
    logic [Steps-1:0] schedule_start;
    logic [Groups-3:0][39:0] rest_q;
    logic rest_last_q;

    // Logits leave one by one, so their pairs come every second cycle.
    always_comb begin
      schedule_start = '0;
      for (int unsigned i = 1; i < Pairs; i++) schedule_start[is_logits?2*i-1 : i-1] = 1'b1;
    end

    always_ff @(posedge clk_i) begin
      if (!rst_ni) schedule_q <= '0;
      else schedule_q <= first_fire ? schedule_start : schedule_q >> 1;
    end

    always_ff @(posedge clk_i) begin
      if (first_fire) begin
        rest_q      <= first_group[Groups-1:2];
        rest_last_q <= first_last;
      end else if (rest_fire) begin
        rest_q <= rest_q >> 80;
      end
    end

    assign rest_fire = schedule_q[0];
    assign rest_pair = rest_q[1:0];
    assign rest_last = rest_last_q && schedule_q[Steps-1:1] == '0;
    assign fire_last = embed_valid_i ? embed_last_i : rest_fire && rest_last;

    `TP_ASSERT(OneGroupAtATime_A, !(first_fire && schedule_q != '0))
  end

  // ---- stages 1 to 7 ----

  typedef struct packed {
    logic        last;       // last pair of the command
    logic [2:0]  kind;
    logic [2:0]  slot;
    logic        norm;
    logic        bias;
    logic        head_norm;
    index_t      index;
    logic [15:0] pair;       // of the command
  } place_t;

  logic [7:1] valid_q;
  place_t place_q[1:7];
  logic [15:0] pair_q;
  logic [1:0][39:0] acc_q;
  logic signed [8:0] shift_q;
  logic [5:0] factor_shift;

  assign factor_shift = front.norm ? factor_shift_i[front.slot] : '0;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
      pair_q  <= '0;
    end else begin
      valid_q <= {valid_q[6:1], fire};
      if (fire) pair_q <= fire_last ? '0 : pair_q + 16'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (fire) begin
      place_q[1] <= '{
          last: fire_last,
          kind: front.kind,
          slot: front.slot,
          norm: front.norm,
          bias: front.bias,
          head_norm: front.head_norm,
          index: fire_q,
          pair: pair_q
      };
      shift_q <= front.shift + $signed({3'b0, factor_shift});
      if (embed_valid_i) begin
        acc_q[0] <= 40'($signed(embed_data_i[0]));
        acc_q[1] <= 40'($signed(embed_data_i[1]));
      end else begin
        acc_q <= rest_fire ? rest_pair : first_group[1:0];
      end
    end
    for (int unsigned stage = 1; stage < 7; stage++) begin
      if (valid_q[stage]) place_q[stage+1] <= place_q[stage];
    end
  end

  // Stages 1 to 4: z.
  logic [1:0][31:0] z;
  logic [1:0] z_saturated;
  logic z_valid;

  tp_round_shift #(
    .Lanes(2),
    .Width(40)
  ) u_scale (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .in_valid_i     (valid_q[1]),
    .in_data_i      (acc_q),
    .in_shift_i     (shift_q),
    .out_valid_o    (z_valid),
    .out_data_o     (z),
    .out_saturated_o(z_saturated)
  );

  // Stages 4 to 6: y = rnd(z * rm, 16). rm is at most 2^16, so y cannot leave int32.
  logic [16:0] rm_q;
  logic [1:0][31:0] y_q;

  always_ff @(posedge clk_i) begin
    if (valid_q[3]) rm_q <= place_q[3].norm ? factor_rm_i[place_q[3].slot] : 17'h10000;
  end

  for (genvar i = 0; i < 2; i++) begin : gen_factor
    logic signed [33:0] high_q;  // products, upper and lower 16 bits of z apart
    logic signed [33:0] low_q;
    logic unused_low;
    assign unused_low = ^{high_q[33:32], low_q[33], low_q[14:0]};
    always_ff @(posedge clk_i) begin
      if (valid_q[4]) begin
        high_q <= 34'($signed(z[i][31:16])) * $signed({17'b0, rm_q});
        low_q  <= $signed({18'b0, z[i][15:0]}) * $signed({17'b0, rm_q});
      end
      if (valid_q[5]) y_q[i] <= high_q[31:0] + 32'(low_q[32:16]) + 32'(low_q[15]);
    end
  end

  // Stages 4 to 7: bias.
  logic [15:0] bias_base;
  logic [ConstantWidth-1:0] bias_address_q;
  logic [1:0][31:0] bias;
  logic [1:0][31:0] v_q;
  logic [1:0] v_saturated_q;

  tp_ram_async #(
    .Width(16),
    .Depth(Depth)
  ) u_bias_base (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(write_q),
    .write_data_i   (matvec.constant_base),
    .read_address_i (place_q[3].index),
    .read_data_o    (bias_base)
  );

  always_ff @(posedge clk_i) begin
    if (valid_q[3] && place_q[3].bias) begin
      bias_address_q <= ConstantWidth'(bias_base + place_q[3].pair);
    end
  end

  for (genvar i = 0; i < 2; i++) begin : gen_bias
    logic signed [32:0] sum;
    tp_ram #(
      .Width         (32),
      .Depth         (ConstantPairs),
      .OutputRegister(1'b1)
    ) u_bias (
      .clk_i          (clk_i),
      .write_enable_i (cfg_valid_i && cfg_space_i == TP_SPACE_BIAS && cfg_address_i[0] == i),
      .write_address_i(cfg_address_i[ConstantWidth:1]),
      .write_data_i   (cfg_data_i),
      .read_enable_i  (valid_q[4] && place_q[4].bias),
      .read_address_i (bias_address_q),
      .read_data_o    (bias[i])
    );
    assign sum = 33'($signed(y_q[i])) + (place_q[6].bias ? 33'($signed(bias[i])) : '0);
    always_ff @(posedge clk_i) begin
      if (valid_q[6]) begin
        v_q[i]           <= sum[32] == sum[31] ? sum[31:0] : {sum[32], {31{!sum[32]}}};
        v_saturated_q[i] <= sum[32] != sum[31];
      end
    end
  end

  // What the stages behind need at stage 7: the angle's address, the vocabulary.
  logic [2:0] stage_6_log2;
  logic [16:0] stage_6_vocabulary;
  logic stage_6_head;
  logic [5:0] angle_pair_q;
  logic [16:0] vocabulary_last_q;
  logic head_q;

  tp_ram_async #(
    .Width(20),
    .Depth(Depth)
  ) u_stage_6 (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(write_q),
    .write_data_i   ({matvec.head_log2, matvec.epsilon[16:0] - 17'd1}),
    .read_address_i (place_q[6].index),
    .read_data_o    ({stage_6_log2, stage_6_vocabulary})
  );

  assign stage_6_head = place_q[6].kind == TP_DEST_QUERY || place_q[6].kind == TP_DEST_KEY
      || place_q[6].kind == TP_DEST_VALUE;

  // Pair of the head: its low head_log2 - 1 bits.
  always_ff @(posedge clk_i) begin
    if (valid_q[6]) begin
      head_q            <= stage_6_head;
      angle_pair_q      <= place_q[6].pair[5:0] & 6'((7'd1 << (stage_6_log2 - 3'd1)) - 7'd1);
      vocabulary_last_q <= stage_6_vocabulary;
    end
  end

  // ---- x: stage 5 reads, stage 7 adds, stage 8 writes ----

  logic x_here;
  logic x_valid_q;
  logic x_done_q;
  logic [2:0] x_slot_q;
  logic [11:0] x_pair_q;
  logic [1:0][31:0] x_q;
  logic [1:0] x_saturated_q;
  logic [1:0][31:0] x_size;
  logic [31:0] or_q[Slots];

  assign x_here = valid_q[7]
      && (place_q[7].kind == TP_DEST_RESIDUAL || place_q[7].kind == KindEmbed);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      x_valid_q <= 1'b0;
      x_done_q  <= 1'b0;
    end else begin
      x_valid_q <= x_here;
      x_done_q  <= x_here && place_q[7].last;
    end
  end

  always_ff @(posedge clk_i) begin
    if (x_here) begin
      x_slot_q <= place_q[7].slot;
      x_pair_q <= place_q[7].pair[11:0];
    end
  end

  for (genvar i = 0; i < 2; i++) begin : gen_x
    logic [31:0] x_old;
    logic signed [32:0] sum;
    tp_ram #(
      .Width         (32),
      .Depth         (XDepth),
      .OutputRegister(1'b1)
    ) u_x (
      .clk_i          (clk_i),
      .write_enable_i (x_valid_q),
      .write_address_i(XWidth'({x_slot_q, x_pair_q[XPairWidth-1:0]})),
      .write_data_i   (x_q[i]),
      .read_enable_i  (valid_q[5] && place_q[5].kind == TP_DEST_RESIDUAL),
      .read_address_i (XWidth'({place_q[5].slot, place_q[5].pair[XPairWidth-1:0]})),
      .read_data_o    (x_old)
    );
    assign sum = 33'($signed(v_q[i]))
        + (place_q[7].kind == KindEmbed ? '0 : 33'($signed(x_old)));
    assign x_size[i] = x_q[i][31] ? -x_q[i] : x_q[i];
    always_ff @(posedge clk_i) begin
      if (x_here) begin
        x_q[i]           <= sum[32] == sum[31] ? sum[31:0] : {sum[32], {31{!sum[32]}}};
        x_saturated_q[i] <= sum[32] != sum[31];
      end
    end
  end

  always_ff @(posedge clk_i) begin
    for (int unsigned slot = 0; slot < Slots; slot++) begin
      if (x_valid_q && 32'(x_slot_q) == slot) begin
        or_q[slot] <= (x_pair_q == '0 ? '0 : or_q[slot]) | x_size[0] | x_size[1];
      end
    end
  end

  for (genvar slot = 0; slot < Slots; slot++) begin : gen_or
    assign or_o[slot] = or_q[slot];
  end

  assign x_valid_o    = x_valid_q;
  assign x_slot_o     = x_slot_q;
  assign x_pair_o     = x_pair_q;
  assign x_data_o     = x_q;
  assign done_valid_o = x_done_q;
  assign done_slot_o  = x_slot_q;

  // ---- gate: SwiGLU, then the quantiser ----

  typedef struct packed {
    logic   last;
    index_t index;
  } gate_place_t;

  logic gate_here;
  logic gate_valid;
  logic [31:0] gate_data;
  logic gate_saturated;
  gate_place_t [9:1] gate_place_q;
  logic [2:0] gate_slot;
  logic [4:0] gate_cap;
  logic gate_last_q;
  logic [2:0] gate_slot_q;
  logic [4:0] gate_cap_q;
  logic block_last;

  assign gate_here = valid_q[7] && place_q[7].kind == TP_DEST_GATE;

  tp_swiglu u_swiglu (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .in_valid_i     (gate_here),
    .in_data_i      (v_q),
    .out_valid_o    (gate_valid),
    .out_data_o     (gate_data),
    .out_saturated_o(gate_saturated)
  );

  tp_ram_async #(
    .Width(8),
    .Depth(Depth)
  ) u_gate (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(write_q),
    .write_data_i   ({cmd_i.slot, matvec.cap}),
    .read_address_i (gate_place_q[9].index),
    .read_data_o    ({gate_slot, gate_cap})
  );

  always_ff @(posedge clk_i) begin
    gate_place_q <= {gate_place_q[8:1], place_q[7].last, place_q[7].index};
    gate_last_q  <= gate_place_q[9].last;
    gate_slot_q  <= gate_slot;
    gate_cap_q   <= gate_cap;
  end

  tp_quantise #(
    .Lanes(1)
  ) u_quantise (
    .clk_i           (clk_i),
    .rst_ni          (rst_ni),
    .in_valid_i      (gate_valid),
    .in_data_i       (gate_data),
    .in_last_i       (gate_last_q),
    .in_slot_i       (gate_slot_q),
    .in_cap_i        (gate_cap_q),
    .block_valid_o   (block_valid_o),
    .block_slot_o    (block_slot_o),
    .block_index_o   (block_index_o),
    .block_data_o    (block_data_o),
    .block_exponent_o(block_exponent_o),
    .block_last_o    (block_last),
    .clips_o         (clips_o)
  );

  assign gate_done_valid_o = block_valid_o && block_last;
  assign gate_done_slot_o  = block_slot_o;

  // ---- head norm, or past it ----

  // What rotation and centring need of a pair.
  typedef struct packed {
    logic        last;
    logic [2:0]  kind;
    logic [2:0]  slot;
    index_t      index;
    logic [15:0] pair;        // of the command
    logic [5:0]  head_pair;   // of the head
  } turn_t;

  logic head_here;
  turn_t turn_here;
  logic turn_valid;
  turn_t turn_in;
  logic [1:0][31:0] turn_data;
  logic [3:0] norm_saturations;

  assign head_here = valid_q[7] && head_q;
  assign turn_here = '{
          last: place_q[7].last,
          kind: place_q[7].kind,
          slot: place_q[7].slot,
          index: place_q[7].index,
          pair: place_q[7].pair,
          head_pair: angle_pair_q
      };

  if (HeadNorm) begin : gen_head_norm
    localparam int unsigned GainWidth = $clog2(2 * GainQuads);
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
    logic [7:0] waiting_level;

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
      .Depth(Depth)
    ) u_norm (
      .clk_i          (clk_i),
      .write_enable_i (cmd_valid_i),
      .write_address_i(write_q),
      .write_data_i   (norm_in),
      .read_address_i (place_q[6].index),
      .read_data_o    (norm)
    );

    always_ff @(posedge clk_i) begin
      if (valid_q[6] && place_q[6].head_norm) norm_q <= norm;
    end

    assign norm_here = head_here && place_q[7].head_norm;

    tp_head_norm u_head_norm (
      .clk_i          (clk_i),
      .rst_ni         (rst_ni),
      .in_valid_i     (norm_here),
      .in_data_i      (v_q),
      .in_head_log2_i (norm_q.head_log2),
      .in_enable_i    (norm_q.enable),
      .in_head_shift_i(norm_q.shift),
      .in_epsilon_i   (norm_q.epsilon),
      .in_gain_base_i (norm_q.gain_base),
      .out_valid_o    (norm_valid),
      .out_data_o     (norm_data),
      .gain_address_o (gain_address),
      .gain_i         (gain),
      .saturations_o  (norm_saturations)
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
      .Depth(128)
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

    assign turn_valid = norm_valid || (head_here && !place_q[7].head_norm);
    assign turn_in    = norm_valid ? norm_turn : turn_here;
    assign turn_data  = norm_valid ? norm_data : v_q;

    logic unused_level;
    assign unused_level = ^{waiting_level, gain_address};

    `TP_ASSERT(WaitingHasRoom_A, !norm_here || waiting_ready)
    `TP_ASSERT(NormGivesWhatItTook_A, !norm_valid || waiting_valid)
    `TP_ASSERT(NoOvertaking_A, !(head_here && !place_q[7].head_norm && waiting_valid))
  end else begin : gen_no_head_norm
    assign turn_valid       = head_here;
    assign turn_in          = turn_here;
    assign turn_data        = v_q;
    assign norm_saturations = '0;
    `TP_ASSERT(NoHeadNorm_A, !cmd_valid_i || !front_in.head_norm)
  end

  // ---- rotation 7 to 11, centre 12 ----

  typedef struct packed {
    logic        last;
    logic        centre;
    index_t      index;
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
    .Depth(Depth)
  ) u_centre_base (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(write_q),
    .write_data_i   ({matvec.centre, matvec.constant_base}),
    .read_address_i (turn_index_q),
    .read_data_o    ({centre_here, centre_base})
  );

  tp_ram_async #(
    .Width(3 + $bits(head_t)),
    .Depth(Depth)
  ) u_head (
    .clk_i          (clk_i),
    .write_enable_i (cmd_valid_i),
    .write_address_i(write_q),
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
      centre_address_q  <= ConstantWidth'(centre_base + turn_pair_q);
    end
    if (turn_valid_q[9]) centre_place_q[10] <= centre_place_q[9];
    if (turn_valid_q[10]) centre_place_q[11] <= centre_place_q[10];
    if (turn_valid_q[11]) begin
      head_last_q    <= centre_place_q[11].last;
      head_context_q <= '{
          kind: head_kind == TP_DEST_QUERY ? tp_pkg::WordQuery :
              head_kind == TP_DEST_KEY ? tp_pkg::WordKey : tp_pkg::WordValue,
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
    tp_ram #(
      .Width         (32),
      .Depth         (ConstantPairs),
      .OutputRegister(1'b1)
    ) u_centre (
      .clk_i          (clk_i),
      .write_enable_i (cfg_valid_i && cfg_space_i == TP_SPACE_CENTRE && cfg_address_i[0] == i),
      .write_address_i(cfg_address_i[ConstantWidth:1]),
      .write_data_i   (cfg_data_i),
      .read_enable_i  (turn_valid_q[9] && centre_place_q[9].centre),
      .read_address_i (centre_address_q),
      .read_data_o    (centre[i])
    );
    assign difference = 33'($signed(turned[i]))
        - (centre_place_q[11].centre ? 33'($signed(centre[i])) : '0);
    always_ff @(posedge clk_i) begin
      if (turn_valid_q[11]) begin
`ifdef TP_PLANT_BUG
        // The planted fault wraps where the centred element should saturate.
        head_data_q[i] <= difference[31:0];
`else
        head_data_q[i] <= difference[32] == difference[31] ? difference[31:0]
                                                           : {difference[32], {31{!difference[32]}}};
`endif
        head_saturated_q[i] <= difference[32] != difference[31];
      end
    end
  end

  assign head_valid_o   = head_valid_q;
  assign head_data_o    = head_data_q;
  assign head_context_o = head_context_q;
  assign head_last_o    = head_last_q;

  // ---- logits: the lower row, then the upper one; the last one waits for the end of its rows ----

  logic logit_here;
  logic logit_second_q;
  logic logit_end_q;
  logic [2:0] logit_slot_q;
  logic [15:0] logit_pair_q;
  logic [31:0] logit_second_data_q;
  logic [16:0] logit_index;
  logic logit_end;
  logic logit_valid_q;
  logic [15:0] logit_index_q;
  logic [31:0] logit_data_q;
  logic logit_last_q;

  assign logit_here  = valid_q[7] && place_q[7].kind == TP_DEST_LOGITS;
  assign logit_index = logit_second_q ? {logit_pair_q, 1'b1} : {place_q[7].pair, 1'b0};
  assign logit_end   = logit_second_q && logit_end_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      logit_second_q <= 1'b0;
      logit_valid_q  <= 1'b0;
    end else begin
      logit_second_q <= logit_here;
      logit_valid_q  <= (logit_here || logit_second_q)
          && (logit_index < vocabulary_last_q || logit_end);
    end
  end

  always_ff @(posedge clk_i) begin
    if (logit_here) begin
      logit_pair_q        <= place_q[7].pair;
      logit_slot_q        <= place_q[7].slot;
      logit_end_q         <= place_q[7].last;
      logit_second_data_q <= v_q[1];
    end
    if (logit_here || logit_second_q) begin
      logit_last_q <= logit_end;
      // The padding behind the vocabulary does not displace its last row.
      if (logit_index <= vocabulary_last_q) begin
        logit_index_q <= logit_index[15:0];
        logit_data_q  <= logit_second_q ? logit_second_data_q : v_q[0];
      end
    end
  end

  assign logit_valid_o = logit_valid_q;
  assign logit_slot_o  = logit_slot_q;
  assign logit_index_o = logit_index_q;
  assign logit_data_o  = logit_data_q;
  assign logit_last_o  = logit_last_q;

  // ---- saturations of this cycle, wherever they happen ----

  logic [10:0] hits;
  logic [3:0] saturations_q;

  assign hits = {
    z_saturated & {2{z_valid}},
    v_saturated_q & {2{valid_q[7]}},
    x_saturated_q & {2{x_valid_q}},
    gate_saturated && gate_valid,
    turned_saturated & {2{turned_valid}},
    head_saturated_q & {2{head_valid_q}}
  };

  always_ff @(posedge clk_i) begin
    if (!rst_ni) saturations_q <= '0;
    else if (hits == '0) saturations_q <= norm_saturations;
    else saturations_q <= 4'($countones(hits)) + norm_saturations;
  end

  assign saturations_o = saturations_q;

  logic unused_bits;
  assign unused_bits = ^{matvec, embed, cmd_i, cfg_address_i, rest_pair, rest_last};

  `TP_ASSERT(CommandIsOurs_A, !cmd_valid_i || is_embed
             || (embed.opcode == TP_OP_MATVEC && matvec.dest <= TP_DEST_LOGITS))
  `TP_ASSERT(SlotInRange_A, !cmd_valid_i || 32'(cmd_i.slot) < Slots)
  // Half of the contexts are for commands whose pairs are still on their way to a destination.
  `TP_ASSERT(ContextsEnough_A, level_q <= 5'd8)
  `TP_ASSERT(RowHasContext_A, !(row_valid_i || fire) || level_q != '0)
  `TP_ASSERT(RowsAreNoEmbedding_A, !first_fire || front.kind != KindEmbed)
  `TP_ASSERT(EmbeddingIsNoRows_A, !embed_valid_i || front.kind == KindEmbed)
  `TP_ASSERT(OnePairPerCycle_A, 32'(row_now) + 32'(hold_fire) + 32'(rest_fire) +
             32'(embed_valid_i) <= 1)
  `TP_ASSERT(HoldIsFree_A, !(row_valid_i && delay != '0) || start_q[Groups-2:1] == '0)
  `TP_ASSERT(XInRange_A, !x_valid_q || 32'(x_pair_q) < DimMax / 2)
  `TP_ASSERT(BlockInRange_A, !block_valid_o || 32'(block_index_o) < FfnBlocks)
  `TP_ASSERT(BiasInRange_A, !(valid_q[3] && place_q[3].bias)
             || 32'(bias_base) + 32'(place_q[3].pair) < ConstantPairs)
  `TP_ASSERT(CentreInRange_A, !(turn_valid_q[8] && centre_here)
             || 32'(centre_base) + 32'(turn_pair_q) < ConstantPairs)
  `TP_ASSERT(ConfigurationInRange_A, !(cfg_valid_i
             && (cfg_space_i == TP_SPACE_BIAS || cfg_space_i == TP_SPACE_CENTRE))
             || cfg_address_i < 2 * ConstantPairs)
  `TP_ASSERT(LogitsApart_A, !(logit_here && logit_second_q))
  `TP_ASSERT(VocabularyFits_A, !(cmd_valid_i && !is_embed && matvec.dest == TP_DEST_LOGITS)
             || (matvec.epsilon != '0 && matvec.epsilon <= 32'(matvec.rows)))

endmodule
