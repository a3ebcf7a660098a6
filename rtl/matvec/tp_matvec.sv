// SPDX-License-Identifier: Apache-2.0
//
// tp_matvec: matrix times block-quantised vector, and the rows of the embedding.
//
// In    commands MATVEC and EMBED, only while free_o is high.
// Out   MATVEC: one row of each group per interval, bits equal tp_matvec_row().
//       EMBED: two elements of x per cycle, bits equal tp_embed_row().
// Rate  one weight beat per cycle; interval = max(blocks * planes, what the epilogue needs).
//       Rows leave 18 cycles after the address of their last beat. Block-major: passes over all row
//       groups, one for each of the first blocks, the last one for all others.
// Read  between steps: 3 cycles behind the number of a bit on the configuration bus that bit of the
//       word of SPACE WEIGHT, in the beat to which the command points; it need not be valid.
// Not   does not wait for its inputs: the sequencer issues a command when its blocks are written.
//
// A command accepted in cycle t frees the unit in t + rows / Groups * interval (MATVEC; LOGITS one
// cycle after logits_done_i), in t + 16 * (blocks + 1) (EMBED). An EMBED begins so late, and ends
// so early, that its elements never meet the rows of the commands around it.

`include "tp_assert.svh"

module tp_matvec #(
  parameter int unsigned Groups = 4,
  parameter int unsigned Codebooks = 2,
  parameter int unsigned AddressBits = 24  // of the weights
) (
  input logic clk_i,
  input logic rst_ni,
  // Command.
  input logic cmd_valid_i,
  input tp_pkg::command_t cmd_i,
  output logic free_o,  // early
  // Configuration: SPACE CODEBOOK.
  input logic cfg_valid_i,
  input logic [3:0] cfg_space_i,
  input logic [31:0] cfg_address_i,
  input logic [31:0] cfg_data_i,
  input logic cfg_read_i,
  output logic read_o,  // early
  // Weight memory and activation blocks: addresses with read_valid_o, data two cycles later.
  output logic read_valid_o,  // early
  output logic [Groups-1:0] weight_read_o,  // early; read_valid_o and the address, for each group
  output logic [Groups-1:0][AddressBits-1:0] weight_address_o,  // early
  input logic [Groups*136-1:0] weight_data_i,
  output logic [1:0] block_source_o,  // early
  output logic [2:0] block_slot_o,  // early
  output logic [7:0] block_index_o,  // early
  input logic [255:0] block_data_i,
  input logic [4:0] block_exponent_i,
  // Row flow: one row of each group, 40 bits signed.
  output logic row_valid_o,  // early
  output logic [Groups-1:0][39:0] row_data_o,  // early
  output logic row_last_o,  // early; last rows of the command
  // Embed flow.
  output logic embed_valid_o,  // early
  output logic [1:0][31:0] embed_data_o,  // early; int32
  output logic embed_last_o,  // early
  // The logits of the command have all been sampled.
  input logic logits_done_i,
  output logic [3:0] saturations_o  // early; of the embed flow
);

  import tp_map_pkg::*;

  `TP_REQUIRE(Groups == 1 || Groups == 2 || Groups == 4 || Groups == 8)
  `TP_REQUIRE(Codebooks == 1 || Codebooks == 2 || Codebooks == 4)

  localparam int unsigned GroupBits = $clog2(Groups);
  localparam int unsigned TokenBits = GroupBits > 0 ? GroupBits : 1;
  localparam int unsigned TableBits = $clog2(16 * Codebooks);
  // The epilogue takes two rows per cycle, the sampler two of a fast slot, else one.
  localparam int unsigned IntervalMin = Groups > 1 ? Groups / 2 : 1;
  localparam int unsigned IntervalMinLogits = Groups;
  // Blocks of the last pass of a block-major command, by planes: they take IntervalMin cycles.
  localparam int unsigned LastBlocks1 = IntervalMin;
  localparam int unsigned LastBlocks2 = (IntervalMin + 1) / 2;
  localparam int unsigned IndexBits = $clog2(TP_ACCUMULATORS);
  // From a beat to its codes in weights_q, and to its row.
  localparam int unsigned ReadStages = 4;
  localparam int unsigned RowStages = ReadStages + 15;

  // ---- command ----

  matvec_t matvec;
  embed_t embed;
  logic is_embed;
  logic is_logits;
  logic [8:0] beats;
  logic [8:0] interval_min;
  logic [8:0] interval_less;  // minus 1
  logic order;
  logic [16:0] row_groups;
  logic [8:0] pass_interval_less;  // of the last pass, minus 1

  assign matvec = matvec_t'(cmd_i.instruction);
  assign embed = embed_t'(cmd_i.instruction);
  assign is_embed = embed.opcode == TP_OP_EMBED;
  assign is_logits = matvec.dest == TP_DEST_LOGITS;
  assign beats = matvec.planes ? {matvec.blocks, 1'b0} : {1'b0, matvec.blocks};
  // Powers of two: no carry chain compares them.
  assign interval_min = is_logits && !cmd_i.fast ? 9'(IntervalMinLogits) : 9'(IntervalMin);
  assign interval_less = (beats & ~(interval_min - 9'd1)) != 9'd0 ? beats - 9'd1 :
      interval_min - 9'd1;
  assign row_groups = matvec.rows >> GroupBits;
  assign order = matvec.order && !is_embed;
  assign pass_interval_less = !order ? interval_less :
      matvec.planes ? 9'(2 * LastBlocks2 - 1) : 9'(LastBlocks1 - 1);

  logic read_back_q;  // a weight is read back
  logic [1:0] read_beat_q;  // and the command points to its beat
  logic [TokenBits-1:0] read_group;

  // Held while the command is issued. What nothing looks at without a command follows the input as
  // long as the unit is free, so that it does not wait for whether there is one.
  logic free_q;
  logic logits_q;
  logic planes_q;
  logic [1:0] codebook_q;
  logic [5:0] align_q;
  logic signed [7:0] shift_q;
  logic [1:0] source_q;
  logic [2:0] slot_q;
  logic [7:0] block_last_q;
  logic [8:0] interval_last_q;
  logic [15-GroupBits:0] token_row_q;
  logic [TokenBits-1:0] token_group_q;  // group that holds the token's row
  logic [IndexBits-1:0] row_groups_q;  // minus 1, when block-major
  always_ff @(posedge clk_i) begin
    if (cmd_valid_i) begin
      shift_q       <= embed.shift;
      token_group_q <= TokenBits'(cmd_i.token & 16'(Groups - 1));
    end
    if (read_back_q) token_group_q <= read_group;
    if (free_q) begin
      logits_q        <= is_logits;
      planes_q        <= matvec.planes;
      codebook_q      <= matvec.codebook;
      align_q         <= matvec.align;
      source_q        <= matvec.source;
      slot_q          <= cmd_i.slot;
      block_last_q    <= matvec.blocks - 8'd1;
      interval_last_q <= pass_interval_less;
      row_groups_q    <= IndexBits'(row_groups) - 1'b1;
      token_row_q     <= cmd_i.token[15:GroupBits];
    end
  end

  // ---- issue ----

  typedef enum logic [1:0] {
    StIdle   = 2'd0,  // nothing to issue
    StRows   = 2'd1,  // beats of a matrix, and the idle cycles of its intervals
    StLogits = 2'd2,  // all beats issued, the sampler still works
    StEmbed  = 2'd3   // 16 cycles of address, then 16 cycles per block
  } state_e;

  state_e state_q;
  state_e state_d;
  logic free_d;
  logic beat_q;
  logic beat_d;
  logic plane_q;
  logic plane_d;
  logic [7:0] block_q;
  logic [7:0] block_d;
  logic [8:0] interval_left_q;
  logic [8:0] interval_left_d;
  logic [16:0] row_groups_left_q;
  logic [16:0] row_groups_left_d;
  logic row_groups_zero_q;  // none left, known a cycle ahead
  logic row_groups_zero_d;
  logic [7:0] pass_q;  // first block of the pass
  logic [7:0] pass_d;
  logic [7:0] passes_left_q;  // after this one
  logic [7:0] passes_left_d;
  logic last_pass_q;
  logic last_pass_d;
  logic [3:0] phase_q;
  logic prelude_q;
  logic prelude_d;
  logic block_end;
  logic row_end;
  logic last_row_group;

  assign block_end      = plane_q == planes_q;
  assign row_end        = block_q == block_last_q && block_end;
  assign last_row_group = last_pass_q && row_groups_zero_q;

  always_comb begin
    state_d           = state_q;
    beat_d            = 1'b0;
    plane_d           = plane_q;
    block_d           = block_q;
    interval_left_d   = interval_left_q;
    row_groups_left_d = row_groups_left_q;
    row_groups_zero_d = row_groups_zero_q;
    pass_d            = pass_q;
    passes_left_d     = passes_left_q;
    last_pass_d       = last_pass_q;
    prelude_d         = prelude_q;
    free_d            = 1'b0;
    unique case (state_q)
      StIdle:  free_d = 1'b1;
      StRows: begin
        if (interval_left_q != 9'd0) begin
          interval_left_d = interval_left_q - 9'd1;
          beat_d          = beat_q && !row_end;
          plane_d         = !block_end;
          block_d         = block_q + 8'(block_end);
        end else begin
          row_groups_left_d = row_groups_left_q - 17'd1;
          row_groups_zero_d = row_groups_left_q == 17'd1;
          beat_d            = !last_row_group;
          plane_d           = 1'b0;
          if (row_groups_zero_q) begin
            row_groups_left_d = 17'(row_groups_q);
            row_groups_zero_d = row_groups_q == '0;
            pass_d            = pass_q + 8'd1;
            passes_left_d     = passes_left_q - 8'd1;
            last_pass_d       = passes_left_q == 8'd1;
          end
          block_d         = pass_d;
          interval_left_d = last_pass_d ? interval_last_q : 9'(planes_q);
          if (last_row_group) state_d = logits_q ? StLogits : StIdle;
        end
        // Free in the last cycle already, so that the next command follows without a gap.
        free_d = !logits_q && ((last_row_group && interval_left_q <= 9'd1)
            || (last_pass_q && row_groups_left_q == 17'd1 && interval_left_q == 9'd0
                && interval_last_q == 9'd0));
      end
      StLogits: begin
        if (logits_done_i) state_d = StIdle;
        free_d = logits_done_i;
      end
      StEmbed: begin
        plane_d = phase_q == 4'd0;
        if (phase_q == 4'd15) begin
          prelude_d = 1'b0;
          beat_d    = 1'b1;
          if (!prelude_q) begin
            block_d = block_q + 8'd1;
            if (block_q == block_last_q) begin
              state_d = StIdle;
              beat_d  = 1'b0;
            end
          end
        end
        if (phase_q == 4'd0) beat_d = planes_q && !prelude_q;
        free_d = state_d == StIdle || (phase_q == 4'd14 && !prelude_q && block_q == block_last_q);
      end
      default: state_d = StIdle;
    endcase
    // A command lasts at least two cycles, so it is never free in its first one.
    if (cmd_valid_i) begin
      state_d           = is_embed ? StEmbed : StRows;
      beat_d            = !is_embed;
      plane_d           = 1'b0;
      block_d           = 8'd0;
      interval_left_d   = order ? 9'(matvec.planes) : interval_less;
      row_groups_left_d = row_groups - 17'd1;
      row_groups_zero_d = row_groups == 17'd1;
      pass_d            = 8'd0;
      passes_left_d     = matvec.blocks - (matvec.planes ? 8'(LastBlocks2) : 8'(LastBlocks1));
      last_pass_d       = !order;
      prelude_d         = 1'b1;
      free_d            = 1'b0;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      free_q  <= 1'b0;
      beat_q  <= 1'b0;
    end else begin
      state_q <= state_d;
      free_q  <= free_d;
      beat_q  <= beat_d;
    end
  end

  always_ff @(posedge clk_i) begin
    plane_q           <= plane_d;
    block_q           <= block_d;
    interval_left_q   <= interval_left_d;
    row_groups_left_q <= row_groups_left_d;
    row_groups_zero_q <= row_groups_zero_d;
    pass_q            <= pass_d;
    passes_left_q     <= passes_left_d;
    last_pass_q       <= last_pass_d;
    prelude_q         <= prelude_d;
    phase_q           <= cmd_valid_i ? 4'd0 : phase_q + 4'd1;
  end

  // ---- weight address: counts beats; before an EMBED it multiplies, one bit a cycle ----

  logic [AddressBits-1:0] row_beats_q;
  logic [            7:0] factor_q;
  logic                   multiply;
  logic [           16:0] token_beats;

  assign multiply = state_q == StEmbed && prelude_q && phase_q != 4'd0;
  assign token_beats = 17'(token_row_q) << planes_q;

  // After eight steps the factor is 0.
  always_ff @(posedge clk_i) begin
    row_beats_q <= phase_q == 4'd0 ? AddressBits'(token_beats) : row_beats_q << 1;
    factor_q    <= phase_q == 4'd0 ? block_last_q + 8'd1 : factor_q >> 1;
  end

  logic [AddressBits-1:0] address_q;
  logic [AddressBits-1:0] summand;
  assign summand = beat_q ? AddressBits'(1) : row_beats_q;
  always_ff @(posedge clk_i) begin
    if (free_q) address_q <= matvec.weight_base[AddressBits-1:0];
    else if (beat_q || (multiply && factor_q[0])) address_q <= address_q + summand;
  end

  // Memories lie over the whole width of the device: each group has registers of its own for the
  // way to them, all alike, and so has the way to the blocks.
  for (genvar group = 0; group < Groups; group++) begin : gen_address
    logic                   read_here_q;
    logic [AddressBits-1:0] address_here_q;

    (* keep *)
    always_ff @(posedge clk_i) begin
      read_here_q    <= (beat_q || read_beat_q[1]) && rst_ni;
      address_here_q <= address_q;
    end

    assign weight_read_o[group]    = read_here_q;
    assign weight_address_o[group] = address_here_q;
  end

  logic read_q;
  logic [1:0] source_q2;
  logic [2:0] slot_q2;
  logic [7:0] block_q2;
  always_ff @(posedge clk_i) begin
    read_q    <= beat_q && rst_ni;
    source_q2 <= source_q;
    slot_q2   <= slot_q;
    block_q2  <= block_q;
  end

  assign free_o         = free_q;
  assign read_valid_o   = read_q;
  assign block_source_o = source_q2;
  assign block_slot_o   = slot_q2;
  assign block_index_o  = block_q2;

  // ---- what travels with a beat until its data is there ----

  typedef struct packed {
    logic       first;       // first block of a row in its pass
    logic       last;        // EMBED: last block
    logic       high;        // first or only plane
    logic       two_planes;
    logic [1:0] codebook;
  } beat_t;

  logic [ReadStages:1] rows_valid_q;
  logic [ReadStages:1] embed_valid_q;
  logic [RowStages:1] row_end_q;
  logic [RowStages-2:1] load_q;  // the sum of the row so far is needed
  logic [RowStages:1] save_q;  // the sum is kept for the next pass
  logic [RowStages:1] row_last_q;
  beat_t [ReadStages:1] beat_data_q;
  logic [ReadStages-1:1][5:0] align_beat_q;
  logic signed [7:0] room_q;
  logic [Groups*136-1:0] weights_q;
  logic [255:0] values_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      rows_valid_q  <= '0;
      embed_valid_q <= '0;
      row_end_q     <= '0;
      load_q        <= '0;
      save_q        <= '0;
    end else begin
      rows_valid_q <= {rows_valid_q[ReadStages-1:1], beat_q && state_q == StRows};
      embed_valid_q <= {embed_valid_q[ReadStages-1:1], beat_q && state_q == StEmbed};
      row_end_q <= {
        row_end_q[RowStages-1:1], beat_q && state_q == StRows && row_end && last_pass_q
      };
      load_q <= {
        load_q[RowStages-3:1],
        beat_q && state_q == StRows && block_end && block_q == pass_q && pass_q != 8'd0
      };
      save_q <= {save_q[RowStages-1:1], beat_q && state_q == StRows && block_end && !last_pass_q};
    end
  end

  always_ff @(posedge clk_i) begin
    row_last_q <= {row_last_q[RowStages-1:1], row_groups_zero_q};
    beat_data_q[1] <= '{
        first: block_q == pass_q,
        last: block_q == block_last_q,
        high: !plane_q,
        two_planes: planes_q,
        codebook: codebook_q
    };
    beat_data_q[ReadStages:2] <= beat_data_q[ReadStages-1:1];
    align_beat_q <= {align_beat_q[ReadStages-2:1], align_q};
    // The memories keep what they gave, so these need no enable, which would reach 800 flip-flops.
    weights_q <= weight_data_i;
    values_q <= block_data_i;
    room_q <= 8'({2'b0, align_beat_q[ReadStages-1]}) - 8'({3'b0, block_exponent_i});
  end

  // ---- configuration ----

  logic table_write_q;
  logic [TableBits-1:0] table_address_q;
  logic [7:0] table_data_q;
  logic table_write;
  assign table_write = cfg_valid_i && cfg_space_i == TP_SPACE_CODEBOOK;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) table_write_q <= 1'b0;
    else table_write_q <= table_write;
  end
  always_ff @(posedge clk_i) begin
    if (table_write) begin
      table_address_q <= cfg_address_i[TableBits-1:0];
      table_data_q    <= cfg_data_i[7:0];
    end
  end

  // ---- groups ----

  logic [Groups-1:0][39:0] partial_q;  // sums so far, of the beats that begin a row in a pass

  for (genvar group = 0; group < Groups; group++) begin : gen_group
    // Each group has its own, equal to those of the others: they steer a thousand LUTs.
    logic                  valid_q;
    beat_t                 beat_here_q;
    logic                  write_here_q;
    logic  [TableBits-1:0] address_here_q;
    logic  [          7:0] data_here_q;
    (* keep *)
    always_ff @(posedge clk_i) begin
      valid_q        <= rows_valid_q[ReadStages-1] && rst_ni;
      beat_here_q    <= beat_data_q[ReadStages-1];
      write_here_q   <= table_write_q && rst_ni;
      address_here_q <= table_address_q;
      data_here_q    <= table_data_q;
    end

    tp_matvec_group #(
      .Codebooks(Codebooks)
    ) u_group (
      .clk_i          (clk_i),
      .rst_ni         (rst_ni),
      .table_write_i  (write_here_q),
      .table_address_i(address_here_q),
      .table_data_i   (data_here_q),
      .valid_i        (valid_q),
      .first_i        (beat_here_q.first),
      .two_planes_i   (beat_here_q.two_planes),
      .high_i         (beat_here_q.high),
      .codebook_i     (beat_here_q.codebook),
      .codes_i        (weights_q[136*group+:128]),
      .scale_i        (weights_q[136*group+128+:8]),
      .room_i         (room_q),
      .block_i        (values_q),
      .partial_i      (partial_q[group]),
      .acc_o          (row_data_o[group])
    );
  end

  // ---- sums of all row groups between the passes of a block-major command ----

  logic [IndexBits-1:0] load_index_q;
  logic [IndexBits-1:0] save_index_q;
  logic [Groups-1:0][39:0] kept;

  tp_ram_async #(
    .Width(Groups * 40),
    .Depth(TP_ACCUMULATORS)
  ) u_sums (
    .clk_i          (clk_i),
    .write_enable_i (save_q[RowStages]),
    .write_address_i(save_index_q),
    .write_data_i   (row_data_o),
    .read_address_i (load_index_q),
    .read_data_o    (kept)
  );

  // Every pass meets the row groups in the same order and ends with the last one.
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      load_index_q <= '0;
      save_index_q <= '0;
    end else begin
      if (load_q[RowStages-2]) load_index_q <= row_last_q[RowStages-2] ? '0 : load_index_q + 1'b1;
      if (save_q[RowStages]) save_index_q <= row_last_q[RowStages] ? '0 : save_index_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) partial_q <= load_q[RowStages-2] ? kept : '0;

  assign row_valid_o = row_end_q[RowStages];
  assign row_last_o  = row_last_q[RowStages];

  // ---- reading back: the choice of the token's group is that of a word's ----

  localparam int unsigned ScaleLanes = (Groups + 3) / 4;

  logic [5:0] read_lane_q;  // of the codes
  logic read_scale_q;
  logic [2:0] scale_group;
  logic read_gate;

  always_ff @(posedge clk_i) begin
    read_back_q  <= cfg_read_i && cfg_space_i == TP_SPACE_WEIGHT;
    read_lane_q  <= cfg_address_i[5:0] - 6'(ScaleLanes);
    read_scale_q <= cfg_address_i[5:0] < 6'(ScaleLanes);
    read_beat_q  <= {read_beat_q[0], read_back_q};
  end

  // A word holds the scales of four groups.
  assign scale_group = {cfg_address_i[0] && ScaleLanes > 1, cfg_data_i[4:3]};
  assign read_group  = TokenBits'(read_scale_q ? scale_group : read_lane_q[4:2]);
  assign read_gate   = read_back_q && (!read_scale_q || 32'(scale_group) < Groups);

  // ---- embedding ----

  logic [Groups-1:0][135:0] group_weights;
  logic [135:0] token_weights;
  assign group_weights = weights_q;
  if (Groups > 1) begin : gen_token_weights
    assign token_weights = group_weights[token_group_q];
  end else begin : gen_only_weights
    assign token_weights = group_weights[0];
  end

  tp_embed #(
    .Codebooks(Codebooks)
  ) u_embed (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .table_write_i  (table_write_q),
    .table_address_i(table_address_q),
    .table_data_i   (table_data_q),
    .valid_i        (embed_valid_q[ReadStages]),
    .high_i         (beat_data_q[ReadStages].high),
    .last_i         (beat_data_q[ReadStages].last),
    .two_planes_i   (beat_data_q[ReadStages].two_planes),
    .codebook_i     (beat_data_q[ReadStages].codebook),
    .shift_i        (shift_q),
    .codes_i        (token_weights[127:0]),
    .scale_i        (token_weights[135:128]),
    .read_i         (read_back_q),
    .read_gate_i    (read_gate),
    .read_scale_i   (read_scale_q),
    .read_bit_i     ({read_lane_q[1:0], cfg_data_i[4:0]}),
    .read_o         (read_o),
    .embed_valid_o  (embed_valid_o),
    .embed_data_o   (embed_data_o),
    .embed_last_o   (embed_last_o),
    .saturations_o  (saturations_o)
  );

  logic unused_bits;
  assign unused_bits = ^{matvec, embed, token_beats, token_group_q, cmd_i.position, cmd_i.token,
                         cfg_address_i, cfg_data_i, read_lane_q, read_group};

  `TP_ASSERT(CommandOnlyWhenFree_A, !cmd_valid_i || free_q)
  `TP_ASSERT(CommandIsOurs_A, !cmd_valid_i || is_embed || matvec.opcode == TP_OP_MATVEC)
  `TP_ASSERT(CommandHasBlocks_A, !cmd_valid_i || matvec.blocks != 8'd0)
  `TP_ASSERT(RowsFillGroups_A, !cmd_valid_i || is_embed || (matvec.rows & 17'(Groups - 1)) == '0)
  `TP_ASSERT(TwoCyclesAtLeast_A,
             !cmd_valid_i || is_embed || interval_less > 9'd0 || row_groups > 17'd1)
  // Two cycles lie between the load and the save of a sum.
  `TP_ASSERT(OrderHasNoLogits_A, !cmd_valid_i || !order || !is_logits)
  `TP_ASSERT(OrderRows_A,
             !cmd_valid_i || !order || (row_groups >= 17'd4 && row_groups <= 17'(TP_ACCUMULATORS)))
  `TP_ASSERT(
      OrderBlocks_A,
      !cmd_valid_i || !order || 32'(matvec.blocks) > (matvec.planes ? LastBlocks2 : LastBlocks1))
  `TP_ASSERT(SumsInStep_A, !save_q[RowStages] || !row_end_q[RowStages])
  `TP_COVER(Order_C, cmd_valid_i && order)
  `TP_ASSERT(LogitsDoneExpected_A, !logits_done_i || state_q == StLogits)
  `TP_ASSERT(ReadOnlyWhenFree_A, !read_back_q || free_q)
  `TP_ASSERT(FlowsDoNotMeet_A, !(row_valid_o && embed_valid_o))
  `TP_COVER(Rows_C, state_q == StRows)
  `TP_COVER(Logits_C, state_q == StLogits)
  `TP_COVER(Embed_C, state_q == StEmbed)

endmodule
