// SPDX-License-Identifier: Apache-2.0
//
// tp_epilogue_pairs: cuts row groups into pairs of rows and joins them with their command.
//
// In    commands; row groups and pairs of the embedding in the order of the commands; norm shifts.
// Out   stage 1 of the epilogue: accumulators and the place of a pair; their shift a cycle ahead.
// Rate  one pair per cycle, every second cycle for LOGITS of a slot that is not fast. A row group
//       whose beats are fewer than its interval (at least Groups / 2 cycles, of such LOGITS Groups)
//       waits for the difference: every command ends a constant time after its last interval.
//       Of one group two rows that follow each other make a pair.
// Not   stores no second row group: they keep that distance.

`include "tp_assert.svh"

module tp_epilogue_pairs
  import tp_map_pkg::*;
  import tp_epilogue_pkg::*;
#(
  parameter int unsigned Groups = 4,
  parameter int unsigned Slots  = 4
) (
  input logic clk_i,
  input logic rst_ni,
  input logic cmd_valid_i,  // early
  input tp_pkg::command_t cmd_i,  // early
  output index_t cmd_index_o,  // early; where its contexts go
  input logic row_valid_i,  // early
  input logic [Groups-1:0][39:0] row_data_i,  // early; signed
  input logic row_last_i,  // early
  input logic embed_valid_i,  // early
  input logic [1:0][31:0] embed_data_i,  // early
  input logic embed_last_i,  // early
  input logic [Slots-1:0][5:0] factor_shift_i,  // early
  output logic pair_valid_o,  // early
  output place_t pair_place_o,  // early
  output logic [1:0][39:0] pair_data_o,  // early; signed
  output logic signed [8:0] pair_shift_o  // late; right shift of the next cycle's pair, minus 1
);

  localparam int unsigned Rows = Groups > 1 ? Groups : 2;  // that come together
  localparam int unsigned Pairs = Rows / 2;
  localparam int unsigned DelayWidth = $clog2(Rows);

  // ---- rows that come together: a row group, or two of a single row ----

  logic                  rows_valid;
  logic [Rows-1:0][39:0] rows_data;
  logic                  rows_last;

  if (Groups == 1) begin : gen_join
    logic        has_first_q;
    logic [39:0] first_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) has_first_q <= 1'b0;
      else if (row_valid_i) has_first_q <= !has_first_q;
      if (row_valid_i) first_q <= row_data_i;
    end
    assign rows_valid = row_valid_i && has_first_q;
    assign rows_data  = {row_data_i, first_q};

    `TP_ASSERT(WholePairs_A, !(row_valid_i && row_last_i) || has_first_q)
  end else begin : gen_whole
    assign rows_valid = row_valid_i;
    assign rows_data  = row_data_i;
  end
  assign rows_last = row_last_i;

  // ---- contexts ----

  typedef struct packed {
    logic [2:0]        kind;
    logic [2:0]        slot;
    logic              slow;       // a pair every second cycle
    logic              norm;
    logic              bias;
    logic              head_norm;
    logic signed [8:0] shift;      // z_shift - 1
  } front_t;

  matvec_t matvec;
  embed_t embed;
  front_t front_in;
  logic is_embed;
  logic is_slow;
  logic [8:0] beats;
  logic [8:0] interval_min;
  logic [DelayWidth-1:0] delay_in;

  assign matvec             = matvec_t'(cmd_i.instruction);
  assign embed              = embed_t'(cmd_i.instruction);
  assign is_embed           = embed.opcode == TP_OP_EMBED;

  // The embedding passes the scaling as it is: shift 0, no factor.
  assign front_in.kind      = is_embed ? KindEmbed : matvec.dest;
  assign front_in.slot      = cmd_i.slot;
  assign is_slow            = !is_embed && matvec.dest == TP_DEST_LOGITS && !cmd_i.fast;
  assign front_in.slow      = is_slow;
  assign front_in.norm      = !is_embed && matvec.norm;
  assign front_in.bias      = !is_embed && is_head(matvec.dest) && matvec.bias;
  assign front_in.head_norm = !is_embed && is_head(matvec.dest) && matvec.head_norm;
  assign front_in.shift     = is_embed ? -9'sd1 : 9'(matvec.z_shift) - 9'sd1;

  // Rows wait for the end of their interval, so that those of the next command cannot catch up and
  // every command completes a constant time after its last interval.
  assign beats              = matvec.planes ? {matvec.blocks, 1'b0} : {1'b0, matvec.blocks};
  assign interval_min       = is_slow ? 9'(Groups) : 9'(Pairs);
  assign delay_in           = beats < interval_min ? DelayWidth'(interval_min - beats) : '0;

  index_t write_q;  // next command
  index_t row_q;  // command of the next row group
  index_t fire_q;  // command of the next pair
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

  // A command is there long before its rows: its contexts are written one cycle later, because they
  // come a long way.
  logic context_valid_q;
  index_t context_index_q;
  front_t front_in_q;
  logic [DelayWidth-1:0] delay_in_q;

  always_ff @(posedge clk_i) begin
    context_valid_q <= cmd_valid_i && rst_ni;
    context_index_q <= write_q;
    front_in_q      <= front_in;
    delay_in_q      <= delay_in;
  end

  // What belongs to the next pair and the next row group is read a cycle ahead.
  front_t front_here;
  front_t front_ahead;
  front_t front_ahead_q;  // of the command behind that of the next pair
  front_t front_q;  // of the command of the next pair
  logic [DelayWidth-1:0] delay_read;
  logic [DelayWidth-1:0] delay_q;  // of the command of the next row group
  logic at_once_q;  // and whether it is 0

  tp_ram_async #(
    .Width($bits(front_t)),
    .Depth(Commands)
  ) u_front (
    .clk_i          (clk_i),
    .write_enable_i (context_valid_q),
    .write_address_i(context_index_q),
    .write_data_i   (front_in_q),
    .read_address_i (fire_q),
    .read_data_o    (front_here)
  );

  tp_ram_async #(
    .Width($bits(front_t)),
    .Depth(Commands)
  ) u_front_ahead (
    .clk_i          (clk_i),
    .write_enable_i (context_valid_q),
    .write_address_i(context_index_q),
    .write_data_i   (front_in_q),
    .read_address_i (fire_q + 1'b1),
    .read_data_o    (front_ahead)
  );

  tp_ram_async #(
    .Width(DelayWidth),
    .Depth(Commands)
  ) u_delay (
    .clk_i          (clk_i),
    .write_enable_i (context_valid_q),
    .write_address_i(context_index_q),
    .write_data_i   (delay_in_q),
    .read_address_i (row_q + index_t'(row_end)),
    .read_data_o    (delay_read)
  );

  always_ff @(posedge clk_i) begin
    front_ahead_q <= front_ahead;
    front_q <= fire_end ? front_ahead_q : front_here;
    delay_q <= delay_read;
    at_once_q <= delay_read == '0;
  end

  // ---- take pairs from row groups: the first at once or after the delay, then the others ----

  logic row_now;
  logic hold_fire;
  logic first_fire;
  logic rest_fire;
  logic fire;
  logic fire_last;
  logic first_last;
  logic [Rows-2:0] start;
  logic [Rows-2:0] start_q;  // bit i: the held row group begins in i cycles
  logic hold_here_q;  // start_q[0] for what is wide
  logic [Rows-1:0][39:0] hold_q;
  logic [Rows-1:0][39:0] first_group;
  logic hold_last_q;
  logic [1:0][39:0] rest_pair;
  logic rest_last;

  assign row_now     = rows_valid && at_once_q;
  assign hold_fire   = start_q[0];
  assign first_fire  = row_now || hold_fire;
  assign first_group = hold_here_q ? hold_q : rows_data;
  assign first_last  = hold_fire ? hold_last_q : rows_last;
  assign fire        = first_fire || rest_fire || embed_valid_i;
  assign fire_end    = fire && fire_last;
  assign row_end     = (rows_valid && rows_last) || (embed_valid_i && embed_last_i);

  always_comb begin
    start = start_q >> 1;
    if (rows_valid && !at_once_q) start[delay_q-1'b1] = 1'b1;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) start_q <= '0;
    else start_q <= start;
  end

  (* keep *)
  always_ff @(posedge clk_i) hold_here_q <= start[0] && rst_ni;

  // What is held follows the input until it has to stay, so that nothing wide waits for whether
  // there is a row. The lanes come from all over the device: each has an enable of its own.
  for (genvar lane = 0; lane < int'(Rows); lane++) begin : gen_hold
    logic follow_q;
    (* keep *)
    always_ff @(posedge clk_i) follow_q <= (start >> 1) == '0 || !rst_ni;
    always_ff @(posedge clk_i) if (follow_q) hold_q[lane] <= rows_data[lane];
  end
  always_ff @(posedge clk_i) if ((start_q >> 1) == '0) hold_last_q <= rows_last;

  if (Pairs == 1) begin : gen_no_rest
    assign rest_fire = 1'b0;
    assign rest_pair = first_group;
    assign rest_last = 1'b0;
    assign fire_last = embed_valid_i ? embed_last_i : first_last;
  end else begin : gen_rest
    localparam int unsigned Steps = 2 * (Pairs - 1);
    localparam int unsigned RestWidth = 40 * (Rows - 2);
    logic [Steps-1:0] schedule_q;  // bit i: a further pair in i cycles
    logic [Steps-1:0] schedule_start;
    logic [Rows-3:0][39:0] rest_q;
    logic rest_last_q;

    // Where logits leave one by one, their pairs come every second cycle.
    always_comb begin
      schedule_start = '0;
      for (int unsigned i = 1; i < Pairs; i++) schedule_start[front_q.slow?2*i-1 : i-1] = 1'b1;
    end

    // Follows the first pair until there is a rest.
    logic follow_q;
    (* keep *)
    always_ff @(posedge clk_i) begin
      follow_q <= (!first_fire && (schedule_q >> 1) == '0) || !rst_ni;
    end

    always_ff @(posedge clk_i) begin
      if (!rst_ni) schedule_q <= '0;
      else schedule_q <= first_fire ? schedule_start : schedule_q >> 1;
    end

    always_ff @(posedge clk_i) begin
      if (follow_q) begin
        rest_q      <= first_group[Rows-1:2];
        rest_last_q <= first_last;
      end else if (rest_fire) begin
        rest_q <= RestWidth'({80'b0, rest_q} >> 80);
      end
    end

    assign rest_fire = schedule_q[0];
    assign rest_pair = rest_q[1:0];
    assign rest_last = rest_last_q && schedule_q[Steps-1:1] == '0;
    assign fire_last = embed_valid_i ? embed_last_i : rest_fire && rest_last;

    `TP_ASSERT(OneGroupAtATime_A, !(first_fire && schedule_q != '0))
  end

  // ---- stage 1 ----

  logic pair_valid_q;
  place_t place_q;
  logic [15:0] pair;  // of the command
  logic [1:0][39:0] acc_q;
  logic [5:0] factor_shift;

  assign factor_shift = front_q.norm ? factor_shift_i[front_q.slot] : '0;

  // What stage 1 holds says how far the command is, so that the count does not wait for the choice
  // below.
  assign pair = !pair_valid_q ? place_q.pair : place_q.last ? '0 : place_q.pair + 16'd1;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) pair_valid_q <= 1'b0;
    else pair_valid_q <= fire;
  end

  always_ff @(posedge clk_i) begin
    place_q <= '{
        last: fire_last,
        kind: front_q.kind,
        slot: front_q.slot,
        norm: front_q.norm,
        bias: front_q.bias,
        head_norm: front_q.head_norm,
        index: fire_q,
        pair: rst_ni ? pair : '0
    };
    if (embed_valid_i) begin
      acc_q[0] <= 40'($signed(embed_data_i[0]));
      acc_q[1] <= 40'($signed(embed_data_i[1]));
    end else begin
      acc_q <= rest_fire ? rest_pair : first_group[1:0];
    end
  end

  assign cmd_index_o  = write_q;
  assign pair_valid_o = pair_valid_q;
  assign pair_place_o = place_q;
  assign pair_data_o  = acc_q;
  assign pair_shift_o = front_q.shift + $signed({3'b0, factor_shift});

  logic unused_bits;
  assign unused_bits = ^{matvec, embed, cmd_i, rest_pair, rest_last, front_q.slow};

  `TP_ASSERT(
      CommandIsOurs_A,
      !cmd_valid_i || is_embed || (embed.opcode == TP_OP_MATVEC && matvec.dest <= TP_DEST_LOGITS))
  `TP_ASSERT(SlotInRange_A, !cmd_valid_i || 32'(cmd_i.slot) < Slots)
  // Half of the contexts are for commands whose pairs are still on their way to a destination.
  `TP_ASSERT(ContextsEnough_A, 32'(level_q) <= Commands / 2)
  `TP_ASSERT(RowHasContext_A, !(rows_valid || fire) || level_q != '0)
  // The context behind is read once more before it is needed.
  `TP_ASSERT(EndsApart_A, !(fire_end && $past(fire_end)))
  `TP_ASSERT(RowsAreNoEmbedding_A, !first_fire || front_q.kind != KindEmbed)
  `TP_ASSERT(EmbeddingIsNoRows_A, !embed_valid_i || front_q.kind == KindEmbed)
  `TP_ASSERT(OnePairPerCycle_A,
             32'(row_now) + 32'(hold_fire) + 32'(rest_fire) + 32'(embed_valid_i) <= 1)
  `TP_ASSERT(HoldIsFree_A, !rows_valid || (start_q >> 1) == '0)
  `TP_COVER(Delayed_C, hold_fire)

endmodule
