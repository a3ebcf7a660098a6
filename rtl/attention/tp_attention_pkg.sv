// SPDX-License-Identifier: Apache-2.0
//
// tp_attention_pkg: number types of the attention unit.
//
// The unit works on groups of 8 lanes, 4 of them in a query set. A head of 16 or 32 elements covers
// 2 or 4 groups, which then all carry the head's numbers: nothing behind the scores needs to know
// the head size.

package tp_attention_pkg;
  localparam int unsigned Groups = 4;

  // Whole log2 units: a score rounded down plus 1, without or with the exponent of V.
  typedef logic signed [18:0] level_t;

  // 2^score = mantissa * 2^(rounded - 8); level = rounded + e_V.
  typedef struct packed {
    level_t     rounded;   // -2^17 + 1 .. 2^17
    level_t     level;     // up to 46 more
    logic [7:0] mantissa;  // 128..253
  } scored_t;

  // The sums of one page or of all pages so far, of one group, without the mix itself.
  typedef struct packed {
    level_t      rounded;  // largest in the sum, unit of weight
    level_t      level;    // largest in the sum, unit of the mix
    logic [23:0] weight;   // page: 12 bits; total at 2,048 positions: 24 bits
  } sums_t;

  // Index of the head that lane group g belongs to, among the heads of a word.
  function automatic logic [1:0] head_of(input logic [2:0] head_log2, input logic [1:0] group);
    unique case (head_log2)
      3'd3: head_of = group;
      3'd4: head_of = {1'b0, group[1]};
      default: head_of = 2'd0;
    endcase
  endfunction
endpackage
