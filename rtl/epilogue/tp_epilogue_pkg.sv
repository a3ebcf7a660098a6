// SPDX-License-Identifier: Apache-2.0
//
// tp_epilogue_pkg: what travels with a pair of rows through the epilogue.

package tp_epilogue_pkg;
  // Commands from their acceptance to the last destination of their pairs.
  localparam int unsigned Commands = 16;

  typedef logic [$clog2(Commands)-1:0] index_t;

  // Kinds are the destinations of MATVEC, and the embedding.
  localparam logic [2:0] KindEmbed = 3'd6;

  function automatic logic is_head(input logic [2:0] kind);
    is_head = kind == tp_map_pkg::TP_DEST_QUERY || kind == tp_map_pkg::TP_DEST_KEY
        || kind == tp_map_pkg::TP_DEST_VALUE;
  endfunction

  // Sums of two int32, and back to int32.
  function automatic logic [31:0] clamp(input logic signed [32:0] sum);
    clamp = sum[32] == sum[31] ? sum[31:0] : {sum[32], {31{!sum[32]}}};
  endfunction

  // Stages 1 to 7.
  typedef struct packed {
    logic        last;       // last pair of the command
    logic [2:0]  kind;
    logic [2:0]  slot;
    logic        norm;
    logic        bias;
    logic        head_norm;
    index_t      index;      // of the command's contexts
    logic [15:0] pair;       // of the command
  } place_t;

  // What rotation and centring need of a pair.
  typedef struct packed {
    logic        last;
    logic [2:0]  kind;
    logic [2:0]  slot;
    index_t      index;
    logic [15:0] pair;       // of the command
    logic [5:0]  head_pair;  // of the head
  } turn_t;
endpackage
