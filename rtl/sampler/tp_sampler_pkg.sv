// SPDX-License-Identifier: Apache-2.0
//
// tp_sampler_pkg: what the parts of tp_sampler share.

package tp_sampler_pkg;
  // Tables of tp_interpolate.
  typedef enum logic [1:0] {
    TableLog2   = 2'd0,
    TableGumbel = 2'd1,
    TablePower  = 2'd2
  } table_e;

  // Why a logit is in the pipeline.
  typedef enum logic [1:0] {
    PassLogits = 2'd0,  // it comes from the matrix
    PassWeigh  = 2'd1,  // entry of the sorted list: its weight is needed
    PassDraw   = 2'd2   // entry that is left: it takes part in the draw
  } pass_e;

  // An entry of the sorted list.
  typedef struct packed {
    logic valid;
    logic [15:0] id;
    logic signed [23:0] key;
  } entry_t;
endpackage
