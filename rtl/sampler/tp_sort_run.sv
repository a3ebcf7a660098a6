// SPDX-License-Identifier: Apache-2.0
//
// tp_sort_run: waiting room of tp_sort_merge: runs of 2^RunLog entries in order, next one in front.
//
// In    an entry with write_i, in steps only.
// Out   the front entry, and whether its run is an odd one; what these two are after a step, and
//       the key of the entry that it may bring to the front.
// Rate  one entry in and one out per step; one that finds it empty is in front two steps later.
// Not   holds more than a run beside the front entry and the one behind it: the owner's schedule
//       takes care of it.

`include "tp_assert.svh"

module tp_sort_run #(
  parameter int unsigned RunLog   = 4,
  parameter int unsigned KeyWidth = 25,
  parameter int unsigned Width    = 34
) (
  input  logic                clk_i,
  input  logic                rst_ni,        // of the assertion alone
  input  logic                clear_i,       // early
  input  logic                step_i,        // early; nothing moves without
  input  logic                write_i,
  input  logic [   Width-1:0] data_i,
  input  logic                take_i,        // early; the front entry leaves
  output logic                valid_o,       // early
  output logic                odd_o,         // early
  output logic [   Width-1:0] data_o,        // early
  output logic                valid_next_o,  // late
  output logic                odd_next_o,    // late
  output logic [KeyWidth-1:0] key_next_o     // late
);

  // An entry goes from the memory to the register behind the front one, then to the front; when
  // there is nothing in the memory, it goes past it.
  logic [ RunLog:0] written_q;
  logic [ RunLog:0] read_q;  // entries that are not in the memory any more
  logic             empty;
  logic             free;
  logic             free_behind;
  logic             load_behind;
  logic             behind_valid_q;
  logic             behind_odd_q;
  logic [Width-1:0] behind_q;
  logic             valid_next;
  logic             odd_next;
  logic             valid_q;
  logic             odd_q;
  logic [Width-1:0] word;
  logic [Width-1:0] data_q;

  assign empty       = written_q == read_q;
  assign free        = !valid_q || take_i;
  assign free_behind = !behind_valid_q || free;
  assign load_behind = free_behind && (!empty || write_i);
  assign valid_next  = behind_valid_q || !free;
  assign odd_next    = free ? behind_odd_q : odd_q;

  always_ff @(posedge clk_i) begin
    if (clear_i) begin
      written_q      <= '0;
      read_q         <= '0;
      behind_valid_q <= 1'b0;
      valid_q        <= 1'b0;
    end else if (step_i) begin
      if (write_i) written_q <= written_q + 1'b1;
      if (load_behind) read_q <= read_q + 1'b1;
      behind_valid_q <= load_behind || !free_behind;
      valid_q        <= valid_next;
    end
  end
  always_ff @(posedge clk_i) begin
    // Loads nothing of meaning when it runs empty, which spares the way a comparison.
    if (step_i && free_behind) begin
      behind_odd_q <= read_q[RunLog];
      behind_q     <= empty ? data_i : word;
    end
    if (step_i && free) begin
      odd_q  <= behind_odd_q;
      data_q <= behind_q;
    end
  end

  // A run of one entry needs no memory.
  if (RunLog == 0) begin : gen_single
    assign word = data_i;
  end else begin : gen_memory
    tp_ram_async #(
      .Width(Width),
      .Depth(1 << RunLog)
    ) u_words (
      .clk_i          (clk_i),
      .write_enable_i (step_i && write_i),
      .write_address_i(written_q[RunLog-1:0]),
      .write_data_i   (data_i),
      .read_address_i (read_q[RunLog-1:0]),
      .read_data_o    (word)
    );
  end

  assign valid_o = valid_q;
  assign odd_o = odd_q;
  assign data_o = data_q;
  assign valid_next_o = valid_next;
  assign odd_next_o = odd_next;
  assign key_next_o = behind_q[Width-1-:KeyWidth];

  // Only the assertions look at these.
  logic [RunLog:0] waiting;
  logic            unused_reset;
  assign waiting      = written_q - read_q;
  assign unused_reset = rst_ni;

  localparam int unsigned Entries = RunLog == 0 ? 0 : 1 << RunLog;
  `TP_ASSERT(NoOverrun_A, clear_i || !step_i || !write_i || load_behind || 32'(waiting) < Entries)

endmodule
