// SPDX-License-Identifier: Apache-2.0
//
// tp_attention_pkg: number types of the attention unit.
//
// The unit works on groups of 8 lanes, 4 of them in a query set, 2 when it takes a word in halves.
// A head of 16 or 32 elements covers 2 or 4 groups, which then all carry the head's numbers:
// nothing behind the scores needs to know the head size. A head of 64 or 128 elements has 2 or 4
// parts, words of 32; between scores and mix group i carries the level of part i.

package tp_attention_pkg;
  // Whole log2 units: a score rounded down, without and with the exponent of V.
  typedef logic signed [17:0] rounded_t;
  typedef logic signed [18:0] level_t;

  // 2^score = mantissa * 2^(rounded - 7); level = rounded + e_V.
  typedef struct packed {
    rounded_t   rounded;
    level_t     level;     // up to 46 more
    logic [7:0] mantissa;  // 128..253
  } scored_t;

  // Distance from the maximum of a page, as a shift of a mantissa.
  typedef struct packed {
    logic       is_one;    // 8: all that is left rounds to 1
    logic       is_whole;  // 0..7: by right; with neither, nothing is left
    logic [2:0] right;
  } scale_t;

  function automatic scale_t scale_of(input logic [18:0] far, input logic keep);
    scale_of.is_one   = keep && far == 19'd8;
    scale_of.is_whole = keep && far[18:3] == '0;
    scale_of.right    = far[2:0];
  endfunction

  // The sums of one page or of all pages so far, of one group, without the mix itself.
  typedef struct packed {
    rounded_t    rounded;  // largest in the sum, unit of weight
    level_t      level;    // largest in the sum, unit of the mix
    logic [23:0] weight;   // page: 12 bits; total at 2,048 positions: 24 bits
  } sums_t;

  // Index of the head that group g of a word's four belongs to, among the heads of the word.
  function automatic logic [1:0] head_of(input logic [2:0] head_log2, input logic [1:0] group);
    unique case (head_log2)
      3'd3: head_of = group;
      3'd4: head_of = {1'b0, group[1]};
      default: head_of = 2'd0;
    endcase
  endfunction

  // Among the four groups of a word the i-th one that is worked on; half: of the second half.
  function automatic logic [1:0] group_of(input logic [1:0] i, input logic half);
    group_of = {i[1] || half, i[0]};
  endfunction

  // Words of a head, minus 1.
  function automatic logic [1:0] last_part_of(input logic [2:0] head_log2);
    unique case (head_log2)
      3'd6: last_part_of = 2'd1;
      3'd7: last_part_of = 2'd3;
      default: last_part_of = 2'd0;
    endcase
  endfunction

  // Numbers of query words are (group, turn, set, part); columns are (group, turn, part).
  function automatic logic [7:0] query_of(input logic [7:0] column, input logic [1:0] last_part,
                                          input logic sets, input logic set);
    if (!sets) query_of = column;
    else if (last_part[1]) query_of = {column[6:2], set, column[1:0]};
    else if (last_part[0]) query_of = {column[6:1], set, column[0]};
    else query_of = {column[6:0], set};
  endfunction
endpackage
