// SPDX-License-Identifier: Apache-2.0
//
// tp_top_k: the TopK largest of the keys that were inserted, in falling order.
//
// In    one key with its id per cycle. Among equal keys the one inserted first stays in front.
// Out   the last place of the list, number TopK - 1; shift_i moves the list one place back. After
//       TopK shifts the list is empty, or, if all had rotate_i, the same as before.
// Rate  one insertion or one shift per cycle, visible in the next cycle.
// Not   does not insert and shift in one cycle.
//
// Insertions and shifts move entries in the same direction, so an entry has two sources, not three.

`include "tp_assert.svh"

module tp_top_k #(
  parameter int unsigned TopK    = 64,
  parameter int unsigned IdWidth = 16  // ids are below 2^IdWidth
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               insert_i,
  input  logic signed [23:0] insert_key_i,
  input  logic        [15:0] insert_id_i,
  input  logic               shift_i,
  input  logic               rotate_i,      // the last entry becomes the first
  output logic               last_valid_o,  // early
  output logic signed [23:0] last_key_o,    // early
  output logic        [15:0] last_id_o      // early
);

  `TP_REQUIRE(TopK >= 2 && IdWidth >= 1 && IdWidth <= 16)

  logic [IdWidth-1:0] insert_id;
  logic [TopK-1:0] valid;
  logic signed [23:0] key[TopK];
  logic [IdWidth-1:0] id[TopK];

  assign insert_id = insert_id_i[IdWidth-1:0];

  for (genvar i = 0; i < TopK; i++) begin : gen_entry
    logic valid_q;
    logic signed [23:0] key_q;
    logic [IdWidth-1:0] id_q;
    // A new key moves an entry that it beats one place back, and takes the place of the first.
    if (i == 0) begin : gen_first
      always_ff @(posedge clk_i) begin
        if (insert_i) begin
          if (!valid[0] || insert_key_i > key[0]) begin
            key_q <= insert_key_i;
            id_q  <= insert_id;
          end
        end else if (shift_i) begin
          key_q <= key[TopK-1];
          id_q  <= id[TopK-1];
        end
      end
      always_ff @(posedge clk_i) begin
        if (!rst_ni) valid_q <= 1'b0;
        else if (insert_i) valid_q <= 1'b1;
        else if (shift_i) valid_q <= rotate_i && valid[TopK-1];
      end
    end else begin : gen_other
      always_ff @(posedge clk_i) begin
        if (insert_i) begin
`ifdef TP_PLANT_BUG
          // The planted fault lets an equal key pass.
          if (!valid[i] || insert_key_i >= key[i]) begin
            key_q <= !valid[i-1] || insert_key_i >= key[i-1] ? key[i-1] : insert_key_i;
            id_q  <= !valid[i-1] || insert_key_i >= key[i-1] ? id[i-1] : insert_id;
          end
`else
          if (!valid[i] || insert_key_i > key[i]) begin
            key_q <= !valid[i-1] || insert_key_i > key[i-1] ? key[i-1] : insert_key_i;
            id_q  <= !valid[i-1] || insert_key_i > key[i-1] ? id[i-1] : insert_id;
          end
`endif
        end else if (shift_i) begin
          key_q <= key[i-1];
          id_q  <= id[i-1];
        end
      end
      // Before the first shift the valid entries are the first ones, so an insertion makes exactly
      // one more of them valid.
      always_ff @(posedge clk_i) begin
        if (!rst_ni) valid_q <= 1'b0;
        else if (insert_i) valid_q <= valid_q || valid[i-1];
        else if (shift_i) valid_q <= valid[i-1];
      end
    end
    assign key[i] = key_q;
    assign id[i] = id_q;
    assign valid[i] = valid_q;
  end

  assign last_valid_o = valid[TopK-1];
  assign last_key_o   = key[TopK-1];
  assign last_id_o    = 16'(id[TopK-1]);

  // Not while the list goes round.
  logic sorted;
  assign sorted = !insert_i || !valid[0] || !valid[1] || key[0] >= key[1];
  `TP_ASSERT(IdFits_A, !insert_i || 16'(insert_id) == insert_id_i)
  `TP_ASSERT(Sorted_A, sorted)
  `TP_COVER(Full_C, valid[TopK-1])

endmodule
