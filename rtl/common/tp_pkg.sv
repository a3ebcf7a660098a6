// SPDX-License-Identifier: Apache-2.0
//
// tp_pkg: number types, the command that the sequencer sends to a unit, and rounding.

package tp_pkg;
  // One work item: an instruction for one slot. Position and token are the slot's in this step; a
  // fast slot takes two logits a cycle.
  typedef struct packed {
    logic         fast;
    logic [2:0]   slot;
    logic [15:0]  position;
    logic [15:0]  token;
    logic [191:0] instruction;
  } command_t;

  // Where a word of 32 quantised elements goes.
  typedef enum logic [1:0] {
    WordQuery = 2'd0,
    WordKey   = 2'd1,
    WordValue = 2'd2
  } word_kind_e;

  // Travels with the rows of one QUERY, KEY or VALUE instruction to the KV unit.
  typedef struct packed {
    word_kind_e  kind;
    logic [2:0]  slot;
    logic [15:0] position;
    logic [2:0]  head_log2;
    logic [4:0]  exponent_base;
    logic [23:0] kv_base;
  } word_context_t;

  // Sampling of one slot. temperature 0 is greedy, top_k 0 keeps all; 0 of the others is off.
  typedef struct packed {
    logic [6:0]  candidates;
    logic [23:0] min_p_gap;
    logic [15:0] top_p_cut;
    logic [11:0] penalty_negative;
    logic [11:0] penalty_positive;
    logic [19:0] temperature;
    logic [6:0]  top_k;
    logic [63:0] seed;
  } sampling_t;

  // A token that was processed, or was before the slot was opened.
  typedef struct packed {
    logic [2:0]  slot;
    logic [15:0] position;
    logic [15:0] token;
  } recent_t;

  // A candidate of a slot's next token: 0 is the first place.
  typedef struct packed {
    logic [2:0] slot;
    logic [5:0] place;
    logic [15:0] id;
    logic signed [23:0] key;
  } candidate_t;

  // Beside a sampled token: its key, the sum of the weights, how many candidates there are.
  typedef struct packed {
    logic [6:0] count;
    logic signed [23:0] key;
    logic signed [9:0] exponent;
    logic [47:0] total;
  } ranking_t;

  // Result of a saturation: the event and the value.
  typedef struct packed {
    logic event_hit;
    logic signed [31:0] value;
  } sat32_t;

  // v / 2^s rounded half up for s 1..62, v * 2^-s for s <= 0 (the caller proves that it fits 64
  // bits), 0 for s > 62. Equals tp_rnd().
  function automatic logic signed [63:0] rnd(input logic signed [63:0] v,
                                             input logic signed [7:0] s);
    logic signed [63:0] half;
    half = v >>> (6'(s) - 6'd1);
    if (s > 8'sd62) rnd = '0;
    else if (s > 8'sd0) rnd = (half + 64'sd1) >>> 1;
    else rnd = v <<< 6'(-s);
  endfunction

  // v / 2^s rounded down; 0 or -1 for s >= 63; s is not negative. Equals tp_flr() there.
  function automatic logic signed [63:0] flr(input logic signed [63:0] v, input logic [6:0] s);
    flr = v >>> (s > 7'd63 ? 6'd63 : s[5:0]);
  endfunction

  // Clamps to int32. Equals tp_sat32().
  function automatic sat32_t sat32(input logic signed [63:0] v);
    sat32.event_hit = (v > 64'sd2147483647) || (v < -64'sd2147483648);
    sat32.value = !sat32.event_hit ? v[31:0] : (v[63] ? 32'sh8000_0000 : 32'sh7fff_ffff);
  endfunction

  // Position of the highest one bit plus one; 0 for 0. Equals tp_bits().
  function automatic logic [6:0] bits(input logic [63:0] v);
    bits = '0;
    for (int unsigned i = 0; i < 64; i++) if (v[i]) bits = 7'(i) + 7'd1;
  endfunction
endpackage
