// SPDX-License-Identifier: Apache-2.0
//
// tp_sequencer: runs the program once for every active slot: fetches, issues, counts the cycles.
//
// In    start_i with the active slots; their positions, tokens and logits flags stand until the
//       end; done flows of the units.
// Out   one command flow per unit (0 MATVEC and EMBED, 1 ANGLES, 2 ATTENTION), raised only
//       while the unit is free; end_valid_o with the cycles of the step.
// Rate  one issue per unit and cycle. Exact cycle rules: README.md, the same as host/lib/cycles.c.
// Not   does not look at data: which cycle issues what follows from the program, the active slots,
//       their positions and logits flags alone.
//
// Between steps cfg_read_i reads the program, and points what follows the command to a weight beat.

`include "tp_assert.svh"

module tp_sequencer
  import tp_map_pkg::*;
#(
  parameter  int unsigned Slots      = 4,
  parameter  int unsigned ProgramMax = 64,  // instructions
  parameter  int unsigned Dones      = 6,   // done flows
  localparam int unsigned Units      = 3
) (
  input  logic                               clk_i,
  input  logic                               rst_ni,
  input  logic                               cfg_valid_i,    // early
  input  logic             [      3:0]       cfg_space_i,    // early
  input  logic             [     31:0]       cfg_address_i,  // early
  input  logic             [     31:0]       cfg_data_i,     // early
  input  logic                               cfg_read_i,     // early; between steps
  output logic                               read_o,         // early; 3 cycles later: PROGRAM
  input  logic                               start_i,        // early; only between steps
  input  logic             [Slots-1:0]       active_i,       // early; at start_i
  input  logic             [Slots-1:0]       logits_i,       // early; until the end
  input  logic             [Slots-1:0][15:0] position_i,     // early; until the end
  input  logic             [Slots-1:0][15:0] token_i,        // early; until the end
  input  logic             [Slots-1:0]       fast_i,         // early; until the end
  output logic                               end_valid_o,    // early
  output logic             [     31:0]       end_cycles_o,   // early; cycles of the step
  input  logic             [Units-1:0]       free_i,         // early
  output logic             [Units-1:0]       cmd_valid_o,    // late
  output tp_pkg::command_t [Units-1:0]       cmd_o,          // late
  input  logic             [Dones-1:0]       done_valid_i,   // early
  input  logic             [Dones-1:0][ 2:0] done_slot_i     // early
);

  localparam int unsigned PcWidth = $clog2(ProgramMax);
  localparam int unsigned InflightWidth = 5;

  `TP_REQUIRE(Slots >= 1 && Slots <= TP_SLOTS_MAX)
  `TP_REQUIRE(ProgramMax >= 2 && ProgramMax <= 65536)
  // The fetch of all slots in turn must be over before the earliest next issue.
  `TP_REQUIRE(TP_CYCLES_FIRST_ISSUE == 3)
  `TP_REQUIRE(TP_CYCLES_NEXT_ISSUE >= Slots + 3 && TP_CYCLES_NEXT_ISSUE <= 16)

  typedef logic [Slots-1:0] slots_t;

  // Lowest set bit.
  function automatic slots_t lowest(input slots_t set);
    lowest = set & (~set + 1'b1);
  endfunction

  // ---- slots ----

  logic running_q;  // a step is running
  slots_t live_q;  // has not reached its end
  slots_t armed_q;  // the head may issue
  slots_t loaded_q;  // the head is fetched
  slots_t first_q;  // wants its first instruction
  slots_t need_q;  // wants its next instruction
  logic [Slots-1:0][3:0] hold_q;  // cycles until the head may issue
  logic [Slots-1:0][PcWidth-1:0] pc_q;
  logic [Slots-1:0][InflightWidth-1:0] inflight_q;  // issued, not yet done
  matvec_t [Slots-1:0] head_q;  // instruction to issue next
  logic [Slots-1:0][Units-1:0] head_unit_q;  // its unit; none at the end of the slot
  slots_t head_drain_q;
  logic [Slots-1:0][1:0] head_ahead_q;  // may be in flight when it issues
  slots_t quiet_q;  // nothing in flight
  slots_t clear_q;  // no more in flight than the head allows, or it does not wait for that
  slots_t issued_q;  // issued in the cycle before
  slots_t issued;
  logic [31:0] cycle_q;  // number of this cycle, 0 at activation
  logic done_q;  // something was done in the cycle before
  logic [31:0] last_q;  // cycles up to the last done before that
  logic step_over;

  // ---- issue ----

  tp_pkg::command_t [Slots-1:0] command;
  slots_t [Units-1:0] ready;
  slots_t [Units-1:0] chosen;

  for (genvar s = 0; s < int'(Slots); s++) begin : gen_command
    assign command[s] = {fast_i[s], 3'(s), position_i[s], token_i[s], head_q[s]};
  end

  for (genvar u = 0; u < int'(Units); u++) begin : gen_issue
    for (genvar s = 0; s < int'(Slots); s++) begin : gen_ready
      assign ready[u][s] = armed_q[s] && head_unit_q[s][u] && clear_q[s];
    end
    assign chosen[u] = lowest(ready[u]);
    assign cmd_valid_o[u] = free_i[u] && ready[u] != '0;
    // Without a valid command it is that of any slot: what is issued does not wait for whether.
    always_comb begin
      cmd_o[u] = command[Slots-1];
      for (int s = int'(Slots) - 2; s >= 0; s--) if (ready[u][s]) cmd_o[u] = command[s];
    end
  end

  always_comb begin
    issued = '0;
    for (int unsigned u = 0; u < Units; u++) if (cmd_valid_o[u]) issued |= chosen[u];
  end

  logic                     read_program_q;
  logic                     read_weight_q;

  // ---- fetch: one a cycle, first instructions first, lowest slot first ----

  slots_t                   wants;
  slots_t                   grant;
  slots_t                   grant_q;  // the RAM reads
  slots_t                   grant_q2;  // the instruction stands at the output
  logic       [PcWidth-1:0] fetch_address;
  logic       [      191:0] fetch_data;
  any_t                     fetch_any;
  attention_t               fetch_attention;
  logic       [       15:0] fetch_position_q;
  logic       [        1:0] fetch_ahead;
  logic       [  Units-1:0] fetch_unit;
  logic                     unused_fetch;

  assign wants = first_q != '0 ? first_q : need_q;
  assign grant = lowest(wants);
  assign fetch_any = any_t'(fetch_data);
  assign fetch_attention = attention_t'(fetch_data);
  assign fetch_ahead = fetch_attention.opcode == TP_OP_ATTENTION &&
      fetch_position_q >= fetch_attention.ahead_position ? fetch_attention.ahead : 2'd0;
  assign unused_fetch = ^{fetch_any, fetch_attention, cfg_address_i, cfg_data_i};

  always_comb begin
    fetch_address = read_program_q ? cfg_address_i[PcWidth+2:3] : '0;
    for (int unsigned s = 0; s < Slots; s++) if (grant[s]) fetch_address |= pc_q[s];
  end

  // Stands beside the instruction.
  always_ff @(posedge clk_i) begin
    for (int unsigned s = 0; s < Slots; s++) if (grant_q[s]) fetch_position_q <= position_i[s];
  end

  always_comb begin
    unique case (fetch_any.opcode)
      TP_OP_EMBED, TP_OP_MATVEC: fetch_unit = 3'b001;
      TP_OP_ANGLES: fetch_unit = 3'b010;
      TP_OP_ATTENTION: fetch_unit = 3'b100;
      default: fetch_unit = 3'b000;
    endcase
  end

  for (genvar w = 0; w < 6; w++) begin : gen_program
    tp_ram #(
      .Width         (32),
      .Depth         (ProgramMax),
      .OutputRegister(1'b1)
    ) u_program (
      .clk_i(clk_i),
      .write_enable_i (cfg_valid_i && cfg_space_i == TP_SPACE_PROGRAM &&
                       cfg_address_i[2:0] == 3'(w)),
      .write_address_i(cfg_address_i[PcWidth+2:3]),
      .write_data_i(cfg_data_i),
      .read_enable_i(grant != '0 || read_program_q),
      .read_address_i(fetch_address),
      .read_data_o(fetch_data[32*w+:32])
    );
  end

  // ---- reading back: a bit of each word of the instruction, then the word ----

  logic [5:0] read_bits;
  logic [7:0] read_bits_q;
  logic read_bit_q;
  for (genvar w = 0; w < 6; w++) begin : gen_read
    tp_ecp5_select u_bit (
      .data_i  (fetch_data[32*w+:32]),
      .select_i(cfg_data_i[4:0]),
      .out_o   (read_bits[w])
    );
  end

  always_ff @(posedge clk_i) begin
    read_program_q <= cfg_read_i && cfg_space_i == TP_SPACE_PROGRAM;
    read_weight_q  <= cfg_read_i && cfg_space_i == TP_SPACE_WEIGHT;
    read_bits_q    <= 8'(read_bits);
    read_bit_q     <= read_program_q && read_bits_q[cfg_address_i[2:0]];
    read_o         <= read_bit_q;
  end

  // ---- state of a slot ----

  for (genvar s = 0; s < int'(Slots); s++) begin : gen_slot
    logic [InflightWidth-1:0] issued_sum;  // issued, less the dones before this cycle
    logic [        Dones-1:0] more;
    logic [InflightWidth-1:0] dones;
    logic                     drained;
    logic                     quiet;
    logic                     arm;  // the head may issue from the next cycle on
`ifdef TP_PLANT_BUG
    // The planted fault issues as soon as the fetch allows.
    assign arm = grant_q2[s];
`else
    assign arm = hold_q[s] == 4'd1 || (grant_q2[s] && hold_q[s] == '0);
`endif
    // The dones come late in their cycle. They are counted in unary, bit i for more than i, and
    // each count has its comparison beside it.
    always_comb begin
      more = '0;
      for (int unsigned d = 0; d < Dones; d++) begin
        if (done_valid_i[d] && done_slot_i[d] == 3'(s)) more = {more[Dones-2:0], 1'b1};
      end
      dones = '0;
      for (int unsigned d = 0; d < Dones; d++) if (more[d]) dones = InflightWidth'(d + 1);
      drained = issued_sum <= InflightWidth'(head_ahead_q[s]);
      quiet   = issued_sum == '0;
      for (int unsigned d = 0; d < Dones; d++) begin
        drained |= more[d] && issued_sum <= InflightWidth'(head_ahead_q[s]) + InflightWidth'(d + 1);
        quiet |= more[d] && issued_sum == InflightWidth'(d + 1);
      end
    end
    assign issued_sum = inflight_q[s] + InflightWidth'(issued_q[s]);

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        live_q[s]     <= 1'b0;
        armed_q[s]    <= 1'b0;
        loaded_q[s]   <= 1'b0;
        first_q[s]    <= 1'b0;
        need_q[s]     <= 1'b0;
        hold_q[s]     <= '0;
        inflight_q[s] <= '0;
        issued_q[s]   <= 1'b0;
        quiet_q[s]    <= 1'b0;
        clear_q[s]    <= 1'b0;
      end else begin
        if (start_i) live_q[s] <= active_i[s];
        else if (armed_q[s] && head_unit_q[s] == '0) live_q[s] <= 1'b0;

        if (start_i) first_q[s] <= active_i[s];
        else if (grant[s]) first_q[s] <= 1'b0;
        if (issued[s]) need_q[s] <= 1'b1;
        else if (grant[s]) need_q[s] <= 1'b0;

        // The head may issue three cycles after its first fetch, and exactly so many cycles after
        // the issue before it however long the fetch took.
        if (issued[s]) hold_q[s] <= 4'(TP_CYCLES_NEXT_ISSUE - 1);
        else if (hold_q[s] != '0) hold_q[s] <= hold_q[s] - 4'd1;
        if (issued[s]) loaded_q[s] <= 1'b0;
        else if (grant_q2[s]) loaded_q[s] <= 1'b1;
        if (arm) armed_q[s] <= 1'b1;
        else if (issued[s] || head_unit_q[s] == '0) armed_q[s] <= 1'b0;

        // An issue is counted one cycle late, which nobody sees: the slot's next issue is later.
        issued_q[s]   <= issued[s];
        inflight_q[s] <= issued_sum - dones;
        quiet_q[s]    <= quiet;
        clear_q[s]    <= !(grant_q2[s] ? fetch_any.drain : head_drain_q[s]) || drained;
      end
    end

    always_ff @(posedge clk_i) begin
      if (start_i) pc_q[s] <= '0;
      else if (grant[s]) pc_q[s] <= pc_q[s] + 1'b1;
      if (grant_q2[s]) begin
        head_q[s] <= matvec_t'(fetch_data);
        head_unit_q[s] <= fetch_any.logits && !logits_i[s] ? '0 : fetch_unit;
        head_drain_q[s] <= fetch_any.drain;
        head_ahead_q[s] <= fetch_ahead;
      end
      // The command without a slot that may issue is that of the last one.
      if (s == int'(Slots) - 1 && read_weight_q) head_q[s].weight_base <= cfg_address_i[29:6];
    end

    `TP_ASSERT(ArmedIsLoaded_A, !armed_q[s] || loaded_q[s])
    `TP_ASSERT(DoneWasIssued_A, dones <= issued_sum)
    `TP_ASSERT(InflightFits_A, !(issued[s] && &inflight_q[s]))
    // What is loaded in a cycle has been compared with what is in flight when it is armed.
    `TP_ASSERT(DrainedInTime_A,
               !armed_q[s] || clear_q[s] ==
               (!head_drain_q[s] || issued_sum <= InflightWidth'(head_ahead_q[s])))
    `TP_COVER(Drain_C, armed_q[s] && !clear_q[s])
    `TP_COVER(Ahead_C, issued[s] && head_drain_q[s] && !quiet_q[s])
  end

  // ---- the step ----

  assign step_over = running_q && live_q == '0 && quiet_q == '1;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      running_q   <= 1'b0;
      grant_q     <= '0;
      grant_q2    <= '0;
      end_valid_o <= 1'b0;
    end else begin
      if (start_i) running_q <= 1'b1;
      else if (step_over) running_q <= 1'b0;
      grant_q     <= grant;
      grant_q2    <= grant_q;
      end_valid_o <= step_over;
    end
  end

  always_ff @(posedge clk_i) begin
    if (start_i) cycle_q <= '0;
    else if (running_q) cycle_q <= cycle_q + 32'd1;
    done_q <= done_valid_i != '0 && !start_i;
    if (start_i) last_q <= '0;
    else if (done_q) last_q <= cycle_q;
    if (step_over) end_cycles_o <= done_q ? cycle_q : last_q;
  end

  `TP_ASSERT(StartBetweenSteps_A, !(start_i && running_q))
  `TP_ASSERT(DoneInStep_A, done_valid_i == '0 || running_q)
  `TP_ASSERT(NoReadInStep_A, !(running_q && cfg_read_i))
  `TP_ASSERT(NoWriteInStep_A, !(running_q && cfg_valid_i && cfg_space_i == TP_SPACE_PROGRAM))
  `TP_COVER(TwoIssues_C, $countones(cmd_valid_o) > 1)
  `TP_COVER(TwoReady_C, $countones(ready[0]) > 1)

endmodule
