// SPDX-License-Identifier: Apache-2.0
//
// tp_top_k: the largest of the keys that were inserted, in falling order.
//
// In    one key with its id per cycle, the cycle after its insert_i, the last one marked. Among
//       equal keys the one inserted first is in front.
// Out   done_o 147 cycles after the last key; then entry_o, two cycles after place_i and read_i.
// Rate  one key per cycle; clear_i begins a new list.
// Not   holds more than the TopK largest, rounded up to a power of two, 16 at least.
//
// Six mergers sort blocks of keys (64 of them for 64 places), each takes one comparison per key.
// The last merger joins the list so far and a block to the next list: of the list and of the block
// it needs at most as many entries as the list has places, so it ends when the next block comes.
// Behind the last key entries without a key fill its block and push it through.

`include "tp_assert.svh"

module tp_top_k
  import tp_sampler_pkg::*;
#(
  parameter int unsigned TopK    = 64,
  parameter int unsigned IdWidth = 16  // ids are below 2^IdWidth
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               clear_i,        // early; two cycles before the next insert_i, or more
  input  logic               insert_i,       // late
  input  logic               insert_last_i,  // early
  input  logic signed [23:0] insert_key_i,   // early; a cycle after insert_i
  input  logic        [15:0] insert_id_i,    // early; as the key
  output logic               done_o,         // early; one cycle
  input  logic               read_i,         // early
  input  logic        [ 5:0] place_i,        // early
  output entry_t             entry_o         // early; valid: there is one
);

  `TP_REQUIRE(TopK >= 2 && TopK <= 64 && IdWidth >= 1 && IdWidth <= 16)

  localparam int unsigned PlacesLog = TopK > 16 ? $clog2(TopK) : 4;
  localparam int unsigned Places = 1 << PlacesLog;
  localparam int unsigned KeyWidth = 25;  // valid, then the key from 0 up
  localparam int unsigned Width = KeyWidth + IdWidth;
  // Steps from the last key of a block until it is in the list, and from the first one.
  localparam int unsigned StepsLeast = Places + 3 * PlacesLog + 1;
  localparam int unsigned StepsMost = StepsLeast + Places - 1;
  // The time is that of 64 places for all.
  localparam int unsigned Wait = 146;
  `TP_REQUIRE(StepsMost <= Wait)

  // ---- steps: keys, then what pushes the last ones through ----

  // Both reach all of the unit, so they are registers. The lists have a copy, which is near.
  logic                 clear_q;
  logic                 step;
  logic [PlacesLog-1:0] step_q;
  logic                 list_step_q;
  logic                 insert_q;
  logic                 insert_last_q;
  logic [PlacesLog-1:0] in_q;  // keys of the block
  logic [          7:0] push_q;
  logic [          7:0] wait_q;
  logic                 waiting_q;
  logic                 done_q;

  assign step = !clear_q && (insert_i || insert_last_q || push_q > 8'd1);
  // Each merger has its own.
  (* keep *)
  always_ff @(posedge clk_i) step_q <= {PlacesLog{step}};
  (* keep *)
  always_ff @(posedge clk_i) list_step_q <= step;
  always_ff @(posedge clk_i) clear_q <= clear_i || !rst_ni;
  always_ff @(posedge clk_i) begin
    if (clear_q) begin
      insert_q      <= 1'b0;
      insert_last_q <= 1'b0;
      in_q          <= '0;
      push_q        <= '0;
      waiting_q     <= 1'b0;
      done_q        <= 1'b0;
    end else begin
      insert_q      <= insert_i;
      insert_last_q <= insert_i && insert_last_i;
      if (insert_q) in_q <= in_q + 1'b1;
      if (insert_last_q) push_q <= 8'(StepsMost) - 8'(in_q);
      else if (push_q != '0) push_q <= push_q - 8'd1;
      if (insert_last_q) waiting_q <= 1'b1;
      else if (wait_q == 8'(Wait - 1)) waiting_q <= 1'b0;
      done_q <= waiting_q && wait_q == 8'(Wait - 1);
    end
  end
  always_ff @(posedge clk_i) wait_q <= waiting_q ? wait_q + 8'd1 : '0;

  // ---- blocks, sorted ----

  logic [PlacesLog:0]            run_valid;
  logic [PlacesLog:0][Width-1:0] run;
  assign run_valid[0] = 1'b1;
  assign run[0] = {insert_q, !insert_key_i[23], insert_key_i[22:0], insert_id_i[IdWidth-1:0]};
  for (genvar k = 0; k < PlacesLog; k++) begin : gen_merge
    tp_sort_merge #(
      .RunLog  (k),
      .KeyWidth(KeyWidth),
      .Width   (Width)
    ) u_merge (
      .clk_i  (clk_i),
      .rst_ni (rst_ni),
      .clear_i(clear_q),
      .step_i (step_q[k]),
      .valid_i(run_valid[k]),
      .data_i (run[k]),
      .valid_o(run_valid[k+1]),
      .data_o (run[k+1])
    );
  end

  // ---- the block waits for the list ----

  // Half a block is enough: when so many entries wait, no more are needed to complete the list.
  logic [PlacesLog-1:0] block_in_q;
  logic [  PlacesLog:0] block_read_q;  // of the entry behind the front one; 0 in the last place
  logic [  PlacesLog:0] block_ahead_q;  // of the one behind that
  logic                 block_write;
  logic [    Width-1:0] block_word;
  logic [    Width-1:0] block_behind_q;
  logic [    Width-1:0] block_q;
  logic                 last_place_q;  // place_q is the last one
  logic [PlacesLog-1:0] block_in_next;
  logic [  PlacesLog:0] block_read_next;
  logic                 enough_q;
  assign block_write = list_step_q && run_valid[PlacesLog] && !enough_q;
  tp_ram_async #(
    .Width(Width),
    .Depth(Places / 2)
  ) u_block (
    .clk_i          (clk_i),
    .write_enable_i (block_write),
    .write_address_i(block_in_q[PlacesLog-2:0]),
    .write_data_i   (run[PlacesLog]),
    .read_address_i (block_ahead_q[PlacesLog-2:0]),
    .read_data_o    (block_word)
  );

  // ---- two lists: one is read, the other one written; the roles change with the last place. The
  //      memory shows the second one behind the front one; the first three of the next list are
  //      read in the last three places. What a place takes is decided in the one before, for both
  //      that this one may take ----

  logic                 going_q;  // the first step only loads what is in front
  logic                 writing_q;
  logic                 some_q;  // there is a list to be read
  logic                 half_q;  // that is written
  logic [PlacesLog-1:0] place_q;  // that is written
  logic [  PlacesLog:0] list_read_q;
  logic                 take_list_q;
  logic                 after_list;
  logic                 after_block;
  logic                 list_read;
  logic [          1:0] next_list_q;  // the third and the second place from the end
  logic                 next_list;  // the last three places: the next list is read
  logic                 some_read_q;  // what the memory shows is of a list
  logic                 exists_q;
  logic [  PlacesLog:0] list_address;
  logic [    Width-1:0] list_word;
  logic [    Width-1:0] list_q;
  logic [    Width-1:0] list_behind_q;
`ifdef TP_PLANT_BUG
  // The planted fault lets an equal key pass.
  localparam bit Strict = 1'b1;
`else
  localparam bit Strict = 1'b0;
`endif
  tp_sort_compare #(
    .Width (KeyWidth),
    .Strict(Strict)
  ) u_after_list (
    .a_i       (list_behind_q[Width-1-:KeyWidth]),
    .b_i       (block_behind_q[Width-1-:KeyWidth]),
    .c_i       (block_q[Width-1-:KeyWidth]),
    .pick_b_i  (last_place_q),
    .at_least_o(after_list)
  );
  tp_sort_compare #(
    .Width (KeyWidth),
    .Strict(Strict)
  ) u_after_block (
    .a_i       (list_q[Width-1-:KeyWidth]),
    .b_i       (block_behind_q[Width-1-:KeyWidth]),
    .c_i       ('1),
    .pick_b_i  (1'b1),
    .at_least_o(after_block)
  );
  always_ff @(posedge clk_i) begin
    if (list_step_q) take_list_q <= last_place_q || take_list_q ? after_list : after_block;
  end

  assign next_list = last_place_q || next_list_q != '0;
  always_comb begin
    if (!list_step_q) list_address = {!half_q, place_i[PlacesLog-1:0]};
    else if (next_list) list_address = {half_q, PlacesLog'({last_place_q, next_list_q[0]})};
    else list_address = {!half_q, list_read_q[PlacesLog-1:0]};
  end
  assign list_read = list_step_q ? take_list_q || next_list : read_i;
  tp_ram #(
    .Width(Width),
    .Depth(2 * Places)
  ) u_list (
    .clk_i          (clk_i),
    .write_enable_i (list_step_q && writing_q),
    .write_address_i({half_q, place_q}),
    .write_data_i   (take_list_q ? list_q : block_q),
    .read_enable_i  (list_read),
    .read_address_i (list_address),
    .read_data_o    (list_word)
  );
  always_ff @(posedge clk_i) begin
    // Before the first list there is nothing to be taken.
    if (list_step_q && list_read) some_read_q <= next_list ? writing_q : some_q;
    exists_q <= 32'(place_i) < Places;
  end

  // The entry behind the front one is in a register; one that only comes goes past the memory.
  logic block_load;
  logic block_arrives;
  assign block_load = going_q ? last_place_q || next_list_q[0] || !take_list_q :
      run_valid[PlacesLog];
  assign block_arrives = run_valid[PlacesLog] && {1'b0, block_in_q} == block_ahead_q;
  always_ff @(posedge clk_i) begin
    if (clear_q) block_ahead_q <= '0;
    else if (list_step_q) begin
      if (next_list_q[1]) block_ahead_q <= '0;
      else if (block_load) block_ahead_q <= block_ahead_q + 1'b1;
    end
  end
  always_ff @(posedge clk_i) begin
    if (list_step_q && block_load) block_behind_q <= block_arrives ? run[PlacesLog] : block_word;
  end

  always_comb begin
    block_in_next   = block_in_q + PlacesLog'(run_valid[PlacesLog]);
    block_read_next = block_read_q;
    if (going_q) begin
      if (last_place_q) block_read_next = (PlacesLog + 1)'(1);
      else if (next_list_q[0]) block_read_next = '0;
      else if (!take_list_q) block_read_next = block_read_q + 1'b1;
    end
  end

  always_ff @(posedge clk_i) begin
    if (clear_q) begin
      block_in_q   <= '0;
      block_read_q <= '0;
      enough_q     <= 1'b0;
      going_q      <= 1'b0;
      writing_q    <= 1'b0;
      some_q       <= 1'b0;
      half_q       <= 1'b0;
      place_q      <= '1;
      last_place_q <= 1'b1;
      next_list_q  <= '0;
    end else if (list_step_q) begin
      block_in_q <= block_in_next;
      block_read_q <= block_read_next;
      enough_q     <= block_in_next[PlacesLog-1] &&
                      block_read_next <= {2'b00, block_in_next[PlacesLog-2:0]};
      going_q <= run_valid[PlacesLog];
      if (going_q) begin
        writing_q <= 1'b1;
        place_q <= place_q + 1'b1;
        next_list_q <= {place_q == PlacesLog'(Places - 4), next_list_q[1]};
        last_place_q <= next_list_q[0];
        if (last_place_q) begin
          half_q      <= !half_q;
          some_q      <= writing_q;
          list_read_q <= (PlacesLog + 1)'(3);
        end else if (take_list_q) begin
          list_read_q <= list_read_q + 1'b1;
        end
      end
    end
  end
  always_ff @(posedge clk_i) begin
    if (list_step_q && (last_place_q || !take_list_q)) block_q <= block_behind_q;
    if (list_step_q && (last_place_q || take_list_q)) list_q <= list_behind_q;
    if (list_step_q && (last_place_q || next_list_q[0] || take_list_q)) begin
      list_behind_q <= list_word;
      list_behind_q[Width-1] <= list_word[Width-1] && some_read_q;
    end
  end

  // The block RAM is slow, so a register is behind it.
  entry_t entry_q;
  always_ff @(posedge clk_i) begin
    entry_q.valid <= list_word[Width-1] && exists_q;
    entry_q.key   <= {!list_word[Width-2], list_word[Width-3:IdWidth]};
    entry_q.id    <= 16'(list_word[IdWidth-1:0]);
  end

  assign done_o  = done_q;
  assign entry_o = entry_q;

  logic unused_bits;
  assign unused_bits = ^{list_read_q[PlacesLog], insert_id_i};

  `TP_ASSERT(IdFits_A, !insert_q || 32'(insert_id_i) < (1 << IdWidth))
  `TP_ASSERT(OneAtATime_A, !insert_q || (push_q == '0 && !waiting_q))
  `TP_ASSERT(InTime_A, !done_q || push_q == '0)
  `TP_COVER(Second_C, list_step_q && some_q)

endmodule
