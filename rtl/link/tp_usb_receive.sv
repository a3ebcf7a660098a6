// SPDX-License-Identifier: Apache-2.0
//
// tp_usb_receive: packets from the lines D+ and D-, five samples a bit.
//
// In    the lines, synchronised; hold_i while this device drives them.
// Out   the bytes between sync and end of a packet, the first one is the PID: active_o from sync to
//       end, valid_o for a cycle a byte; error_o stands when active_o falls: a wrong bit stuffing
//       or a broken byte.
// Rate  a sender up to 1 % off: each edge sets the phase, and a bit is looked at in its middle.
// Not   knows nothing of PIDs and sums.
//
// An edge is a change between J and K; SE0 or SE1 between the two, when D+ and D- do not switch at
// the same time, counts as what was before. Three samples of SE0 end a packet. A byte and one bit
// more is a whole byte: hubs may stretch the last bit.

`include "tp_assert.svh"

module tp_usb_receive (
  input  logic       clk_i,     // 60 MHz
  input  logic       rst_ni,
  input  logic       dp_i,      // early
  input  logic       dn_i,      // early
  input  logic       hold_i,    // early
  output logic       active_o,  // early
  output logic       valid_o,   // early
  output logic [7:0] data_o,    // early
  output logic       error_o    // early
);

  // Of the seven 0 of a sync, so many are waited for: hubs may swallow the first ones.
  localparam int unsigned SyncZeros = 3;
  localparam int unsigned StuffOnes = 6;
  localparam int unsigned Se0Samples = 3;

  typedef enum logic [1:0] {
    StSync,    // looks for the end of a sync
    StPacket,
    StBroken   // after an error, until SE0 or a bit stream without edges ends
  } state_e;

  state_e       state_q;
  state_e       state_d;
  logic         se0;
  logic         driven;  // J or K
  logic         level;  // 1 = J
  logic         level_q;
  logic         edge_seen;
  logic   [2:0] phase_q;  // of the sample, 0 is the first of a bit
  logic         strobe;  // the middle of a bit
  logic         previous_q;  // level of the bit before
  logic         one;  // the bit
  logic   [2:0] run_q;  // 1 in a row; in StSync 0 in a row
  logic   [2:0] run_d;
  logic   [1:0] se0_q;  // samples of SE0 before this one
  logic         end_seen;
  logic   [2:0] count_q;  // bits of the byte
  logic         take;  // the bit is one of the data
  logic         broken;

  assign se0       = !dp_i && !dn_i;
  assign driven    = dp_i != dn_i;
  assign level     = driven ? dp_i : level_q;
  assign edge_seen = level != level_q;
  // A single sample of SE0 may be an edge that begins.
  assign strobe    = phase_q == 3'd2 && !edge_seen && !(se0 && se0_q != '0);
  assign one       = level == previous_q;
  assign end_seen  = se0 && se0_q == 2'(Se0Samples - 1);

  always_comb begin
    state_d = state_q;
    run_d   = run_q;
    take    = 1'b0;
    broken  = 1'b0;
    unique case (state_q)
      StSync: begin
        if (strobe && one) begin
          if (run_q == 3'(SyncZeros)) state_d = StPacket;
          // The 1 of the sync counts for the stuffing.
          run_d = run_q == 3'(SyncZeros) ? 3'd1 : 3'd0;
        end else if (strobe && run_q != 3'(SyncZeros)) begin
          run_d = run_q + 3'd1;
        end
        if (end_seen) run_d = '0;
      end
      StPacket: begin
        if (strobe) begin
          run_d  = one ? run_q + 3'd1 : 3'd0;
          take   = run_q != 3'(StuffOnes);
          broken = run_q == 3'(StuffOnes) && one;
        end
        if (broken) begin
          state_d = StBroken;
          run_d   = '0;
        end else if (end_seen) begin
          state_d = StSync;
          run_d   = '0;
        end
      end
      default: begin
        // Idle again: seven bits without an edge, or an end.
        if (strobe) run_d = one ? run_q + 3'd1 : 3'd0;
        if (end_seen || &run_q) begin
          state_d = StSync;
          run_d   = '0;
        end
      end
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni || hold_i) begin
      state_q    <= StSync;
      run_q      <= '0;
      level_q    <= 1'b1;
      previous_q <= 1'b1;
      phase_q    <= '0;
      se0_q      <= '0;
      active_o   <= 1'b0;
      valid_o    <= 1'b0;
      error_o    <= 1'b0;
      count_q    <= '0;
    end else begin
      state_q <= state_d;
      run_q   <= run_d;
      level_q <= level;
      // The first sample of a bit is this one when there is an edge.
      if (edge_seen) phase_q <= 3'd1;
      else phase_q <= phase_q == 3'd4 ? 3'd0 : phase_q + 3'd1;
      if (strobe) previous_q <= level;
      if (!se0) se0_q <= '0;
      else if (!end_seen) se0_q <= se0_q + 2'd1;
      active_o <= state_d == StPacket;
      valid_o  <= take && count_q == 3'd7;
      if (state_q != StPacket) count_q <= '0;
      else if (take) count_q <= count_q + 3'd1;
      if (state_q == StPacket && state_d != StPacket) error_o <= broken || count_q > 3'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (take) data_o <= {one, data_o[7:1]};
  end

  `TP_ASSERT(ValidInside_A, !valid_o || active_o || $past(active_o))
  `TP_ASSERT(Phase_A, phase_q <= 3'd4)
  `TP_COVER(Broken_C, state_q == StBroken)

endmodule
