// SPDX-License-Identifier: Apache-2.0
//
// tp_epilogue_logits: pairs of rows to logits, one or two a cycle.
//
// In    stage 7 of the epilogue, at most every second cycle unless the command is fast.
// Out   logit flow: the lower row in stage 8, the upper one in stage 9 or, if fast, beside it. Rows
//       behind the vocabulary are dropped; the last row of the vocabulary (if fast, its pair) waits
//       until stage 9 (8) of the command's last pair, so that the time of the last logit does not
//       depend on the padding.

`include "tp_assert.svh"

module tp_epilogue_logits
  import tp_map_pkg::*;
  import tp_epilogue_pkg::*;
(
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                cmd_valid_i,       // early
  input  index_t              cmd_index_i,       // early
  input  logic   [16:0]       cmd_vocabulary_i,  // early; rows that exist, 1..65536
  input  logic                cmd_fast_i,        // early
  input  logic                ahead_valid_i,     // early; stage 6
  input  place_t              ahead_place_i,     // early; stage 6
  input  logic                pair_valid_i,      // early; stage 7
  input  place_t              pair_place_i,      // early; stage 7
  input  logic   [ 1:0][31:0] pair_data_i,       // early; stage 7
  output logic                logit_valid_o,     // early
  output logic   [ 2:0]       logit_slot_o,      // early
  output logic   [15:0]       logit_index_o,     // early
  output logic   [ 1:0][31:0] logit_data_o,      // early; Q16.16
  output logic                logit_both_o,      // early; the next logit is beside it
  output logic                logit_last_o       // early; last of the vocabulary
);

  logic [16:0] vocabulary_last;
  // Where the pair stands to that of the last row that exists; whether it is the upper one there.
  logic below_q;
  logic at_q;
  logic odd_q;
  logic fast;
  logic fast_q;

  // Written one cycle later, which is long before the rows.
  logic context_valid_q;
  index_t context_index_q;
  logic context_fast_q;
  logic [16:0] context_last_q;

  always_ff @(posedge clk_i) begin
    context_valid_q <= cmd_valid_i && rst_ni;
    context_index_q <= cmd_index_i;
    context_fast_q  <= cmd_fast_i;
    context_last_q  <= cmd_vocabulary_i - 17'd1;
  end

  tp_ram_async #(
    .Width(18),
    .Depth(Commands)
  ) u_vocabulary (
    .clk_i          (clk_i),
    .write_enable_i (context_valid_q),
    .write_address_i(context_index_q),
    .write_data_i   ({context_fast_q, context_last_q}),
    .read_address_i (ahead_place_i.index),
    .read_data_o    ({fast, vocabulary_last})
  );

  always_ff @(posedge clk_i) begin
    if (ahead_valid_i) begin
      below_q <= ahead_place_i.pair < vocabulary_last[16:1];
      at_q    <= ahead_place_i.pair == vocabulary_last[16:1];
      odd_q   <= vocabulary_last[0];
      fast_q  <= fast;
    end
  end

  logic logit_here;
  logic fast_here;
  logic logit_second_q;
  logic logit_end_q;
  logic [2:0] logit_slot_q;
  logic [14:0] logit_pair_q;
  logic [31:0] logit_second_data_q;
  logic is_before;  // in front of the last row that exists
  logic exists;
  logic logit_end;
  logic logit_valid_q;
  logic [15:0] logit_index_q;
  logic [31:0] logit_data_q;
  logic logit_last_q;
  logic logit_both_q;

  assign logit_here = pair_valid_i && pair_place_i.kind == TP_DEST_LOGITS;
  assign fast_here  = logit_here && fast_q;
  assign logit_end  = (logit_second_q && logit_end_q) || (fast_here && pair_place_i.last);
  assign is_before  = below_q || (!logit_second_q && !fast_q && at_q && odd_q);
  assign exists     = below_q || (at_q && (!logit_second_q || odd_q));

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      logit_second_q <= 1'b0;
      logit_valid_q  <= 1'b0;
    end else begin
      logit_second_q <= logit_here && !fast_here;
      logit_valid_q  <= (logit_here || logit_second_q) && (is_before || logit_end);
    end
  end

  always_ff @(posedge clk_i) begin
    if (logit_here) begin
      logit_pair_q <= pair_place_i.pair[14:0];
      logit_slot_q <= pair_place_i.slot;
      logit_end_q  <= pair_place_i.last;
      if (exists) logit_second_data_q <= pair_data_i[1];
    end
    if (logit_here || logit_second_q) begin
      logit_last_q <= logit_end;
      // The padding behind the vocabulary does not displace its last row.
      if (exists) begin
        logit_index_q <= {logit_second_q ? logit_pair_q : pair_place_i.pair[14:0], logit_second_q};
        logit_data_q  <= logit_second_q ? logit_second_data_q : pair_data_i[0];
        logit_both_q  <= fast_here && (below_q || odd_q);
      end
    end
  end

  assign logit_valid_o = logit_valid_q;
  assign logit_slot_o  = logit_slot_q;
  assign logit_index_o = logit_index_q;
  assign logit_data_o  = {logit_second_data_q, logit_data_q};
  assign logit_both_o  = logit_both_q;
  assign logit_last_o  = logit_last_q;

  logic unused_bits;
  assign unused_bits = ^{pair_place_i, ahead_place_i};

  `TP_ASSERT(LogitsApart_A, !(logit_here && logit_second_q))
  `TP_ASSERT(NothingBetween_A, !(ahead_valid_i && logit_here && !fast_q))

endmodule
