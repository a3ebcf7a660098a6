// SPDX-License-Identifier: Apache-2.0
//
// tp_sections: saturations, clips and largest block exponents of each section of the steps.
//
// In    start of a step and whether several slots share it; completions of EMBED and RESIDUAL,
//       which begin the next section; events of all units; blocks as they are written, by source.
//       Index 0 is the norm's everywhere: what it counts before a completion belongs to the next
//       section.
// Out   the counts of the section that is asked for, in the next cycle; equal to
//       tp_machine_section() of the model.
// Rate  every event of every cycle; two sections do not end in neighbouring cycles.
// Not   answers rightly while busy_o is high; the caller waits.
//
// Events come up to a cycle later than the completion that covers them, and the first ones of an
// instruction long after its issue: a border between sections counts Lag cycles after its cause.

`include "tp_assert.svh"

module tp_sections
  import tp_map_pkg::*;
  import tp_control_pkg::*;
#(
  parameter int unsigned SaturationPorts = 4,
  parameter int unsigned ClipPorts = 4,
  parameter int unsigned Lag = 3
) (
  input  logic                                clk_i,
  input  logic                                rst_ni,
  input  logic                                clear_i,           // early; between steps
  input  logic                                start_i,           // early
  input  logic                                shared_i,          // early; at start_i
  input  logic                                x_done_i,          // late; the norm of an x is done
  input  logic                                end_i,             // early; the step is over
  input  logic     [SaturationPorts-1:0][3:0] saturations_i,     // early
  input  logic     [      ClipPorts-1:0][1:0] clips_i,           // early
  input  logic     [                2:0]      block_valid_i,     // early; by source
  input  logic     [                2:0][4:0] block_exponent_i,  // early
  output logic                                busy_o,            // early
  input  logic     [                4:0]      section_i,         // early
  output section_t                            section_o          // early
);

  localparam int unsigned Last = TP_SECTIONS - 1;
  localparam int unsigned Tail = 2 * Lag + 4;  // busy so long after the end of a step

  `TP_REQUIRE(Lag >= 1 && Lag < TP_CYCLES_NEXT_ISSUE)
  `TP_REQUIRE(TP_SECTIONS == 32)

  // ---- borders, Lag cycles late ----

  typedef enum logic [1:0] {
    BorderNone,
    BorderStart,  // section 0, or the last one of a shared step
    BorderX,
    BorderEnd
  } border_e;

  border_e [Lag-1:0] border_q;
  logic    [Lag-1:0] border_shared_q;
  border_e           border;
  logic              shared_q;  // of the present step
  logic    [    4:0] section_q;  // present section
  logic              moves_on;  // a completion begins the next section
  logic              fresh;  // this cycle's events are the first of a section

  assign border = border_q[Lag-1];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) border_q <= '0;
    else begin
      border_q[0] <= start_i ? BorderStart : (end_i ? BorderEnd : (x_done_i ? BorderX :
                                                                   BorderNone));
      for (int unsigned i = 1; i < Lag; i++) border_q[i] <= border_q[i-1];
    end
    border_shared_q[0] <= shared_i;
    for (int unsigned i = 1; i < Lag; i++) border_shared_q[i] <= border_shared_q[i-1];
  end

`ifdef TP_PLANT_BUG
  // The planted fault lets shared steps and deep programs go on counting.
  assign moves_on = 1'b1;
`else
  assign moves_on = !shared_q && section_q != 5'(Last - 1);
`endif
  assign fresh = border == BorderStart || border == BorderEnd || (border == BorderX && moves_on);

  always_ff @(posedge clk_i) begin
    if (border == BorderStart) section_q <= border_shared_q[Lag-1] ? 5'(Last) : 5'd0;
    else if (border == BorderX && moves_on) section_q <= section_q + 5'd1;
    if (border == BorderStart) shared_q <= border_shared_q[Lag-1];
  end

  // ---- the present section: what a cycle brings, then the sums ----

  logic [ 7:0]      saturations;  // but for the norm
  logic [ 7:0]      clips;
  logic [ 7:0]      saturations_q;  // of the cycle before
  logic [ 7:0]      clips_q;
  logic [ 3:0]      norm_saturations_q;
  logic [ 1:0]      norm_clips_q;
  logic [ 2:0][4:0] exponent_q;
  logic             x_border;
  logic [15:0]      norm_saturations_sum_q;  // since the border before
  logic [15:0]      norm_clips_sum_q;
  logic [ 4:0]      norm_exponent_max_q;
  logic [16:0]      more_saturations_q;  // with the norm's at a completion
  logic [16:0]      more_clips_q;
  logic [ 2:0][4:0] more_exponent_q;
  logic             fresh_q;  // these are the first of a section
  logic [23:0]      saturations_sum_q;  // of the section
  logic [23:0]      clips_sum_q;
  logic [ 2:0][4:0] exponent_max_q;

  always_comb begin
    saturations = '0;
    clips = '0;
    for (int unsigned i = 1; i < SaturationPorts; i++) saturations += 8'(saturations_i[i]);
    for (int unsigned i = 1; i < ClipPorts; i++) clips += 8'(clips_i[i]);
  end

  assign x_border = border == BorderX;

  function automatic logic [23:0] add(input logic [23:0] sum, input logic [23:0] more);
    logic [24:0] total;
    total = 25'(sum) + 25'(more);
    return total[24] ? 24'(TP_SECTION_COUNT_MAX) : total[23:0];
  endfunction

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      saturations_q      <= '0;
      clips_q            <= '0;
      norm_saturations_q <= '0;
      norm_clips_q       <= '0;
      exponent_q         <= '0;
    end else begin
      saturations_q      <= saturations;
      clips_q            <= clips;
      norm_saturations_q <= saturations_i[0];
      norm_clips_q       <= clips_i[0];
      for (int unsigned i = 0; i < 3; i++) begin
        exponent_q[i] <= block_valid_i[i] ? block_exponent_i[i] : '0;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    fresh_q            <= fresh;
    more_saturations_q <= 17'(saturations_q) + (x_border ? 17'(norm_saturations_sum_q) : '0);
    more_clips_q       <= 17'(clips_q) + (x_border ? 17'(norm_clips_sum_q) : '0);
    more_exponent_q    <= {exponent_q[2], exponent_q[1], x_border ? norm_exponent_max_q : 5'd0};

    saturations_sum_q  <= add(fresh_q ? '0 : saturations_sum_q, 24'(more_saturations_q));
    clips_sum_q        <= add(fresh_q ? '0 : clips_sum_q, 24'(more_clips_q));
    for (int unsigned i = 0; i < 3; i++) begin
      if (fresh_q || more_exponent_q[i] > exponent_max_q[i]) begin
        exponent_max_q[i] <= more_exponent_q[i];
      end
    end
  end

  // Between a border and the next come the events of one norm of each slot at most.
  always_ff @(posedge clk_i) begin
    if (x_border || border == BorderStart) begin
      norm_saturations_sum_q <= 16'(norm_saturations_q);
      norm_clips_sum_q       <= 16'(norm_clips_q);
      norm_exponent_max_q    <= exponent_q[0];
    end else begin
      norm_saturations_sum_q <= norm_saturations_sum_q + 16'(norm_saturations_q);
      norm_clips_sum_q       <= norm_clips_sum_q + 16'(norm_clips_q);
      if (exponent_q[0] > norm_exponent_max_q) norm_exponent_max_q <= exponent_q[0];
    end
  end

  // ---- the section that has ended goes into the memory: read, then merged and written ----

  logic     [4:0] before_q;  // section of the cycle before
  logic           stores_q;  // a section ended in the cycle before, to be stored
  section_t       ended_q;  // sums of the ended section
  logic     [4:0] ended_section_q;
  logic           ended_valid_q;  // its sums stand in ended_q
  logic           merge_q;  // what the memory holds of it stands in stored_q
  logic           running_q;  // there is a section to store
  logic           ended_known_q;  // the memory holds some of it
  logic     [4:0] known_q;  // sections that the memory holds, from 0 on: all steps begin there
  logic           known_last_q;  // besides the last one
  logic     [4:0] read_section;
  logic           known;
  section_t       stored;
  section_t       stored_q;
  section_t       merged;
  logic     [4:0] tail_q;
  logic           stepping_q;

  function automatic logic is_known(input logic [4:0] section, input logic [4:0] count,
                                    input logic last);
    return section == 5'(Last) ? last : section < count;
  endfunction

  assign read_section = ended_valid_q ? ended_section_q : section_i;
  assign known = ended_valid_q ? ended_known_q : is_known(section_i, known_q, known_last_q);

  always_comb begin
    merged.saturations = add(stored_q.saturations, ended_q.saturations);
    merged.clips = add(stored_q.clips, ended_q.clips);
    for (int unsigned i = 0; i < 3; i++) begin
      merged.exponent_max[i] = stored_q.exponent_max[i] > ended_q.exponent_max[i] ?
          stored_q.exponent_max[i] : ended_q.exponent_max[i];
    end
  end

  tp_ram_async #(
    .Width($bits(section_t)),
    .Depth(TP_SECTIONS)
  ) u_memory (
    .clk_i          (clk_i),
    .write_enable_i (merge_q),
    .write_address_i(ended_section_q),
    .write_data_i   (merged),
    .read_address_i (read_section),
    .read_data_o    (stored)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      stores_q      <= 1'b0;
      ended_valid_q <= 1'b0;
      merge_q       <= 1'b0;
      running_q     <= 1'b0;
      known_q       <= '0;
      known_last_q  <= 1'b0;
      stepping_q    <= 1'b0;
      tail_q        <= '0;
    end else begin
      stores_q      <= fresh && running_q;
      ended_valid_q <= stores_q;
      merge_q       <= ended_valid_q;
      if (border == BorderStart) running_q <= 1'b1;
      else if (border == BorderEnd) running_q <= 1'b0;
      if (clear_i) begin
        known_q      <= '0;
        known_last_q <= 1'b0;
      end else if (merge_q && ended_section_q == 5'(Last)) known_last_q <= 1'b1;
      else if (merge_q && !ended_known_q) known_q <= ended_section_q + 5'd1;
      if (start_i) stepping_q <= 1'b1;
      else if (end_i) stepping_q <= 1'b0;
      if (stepping_q) tail_q <= 5'(Tail);
      else if (tail_q != '0) tail_q <= tail_q - 5'd1;
    end
  end

  always_ff @(posedge clk_i) begin
    before_q <= section_q;
    if (stores_q) begin
      ended_section_q <= before_q;
      ended_known_q <= is_known(before_q, known_q, known_last_q);
      ended_q <= '{
          exponent_max: exponent_max_q,
          clips: clips_sum_q,
          saturations: saturations_sum_q
      };
    end
    stored_q <= known ? stored : '0;
  end

  assign section_o = stored_q;
  assign busy_o = stepping_q || tail_q != '0;

  `TP_ASSERT(ClearBetweenSteps_A, !(clear_i && busy_o))
  `TP_ASSERT(OneBorder_A, !(start_i && (end_i || x_done_i)))
  `TP_ASSERT(OneEnd_A, !(stores_q && ended_valid_q))
  `TP_ASSERT(StoredInTime_A, busy_o || !(stores_q || ended_valid_q || merge_q))
  `TP_ASSERT(InTurn_A, !merge_q || ended_section_q == 5'(Last) || ended_section_q <= known_q)
  `TP_COVER(LastButOne_C, section_q == 5'(Last - 1) && border == BorderX)
  `TP_COVER(Merged_C, merge_q && ended_known_q)

endmodule
