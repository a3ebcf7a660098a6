// SPDX-License-Identifier: Apache-2.0
//
// tp_head_norm: RMS norm of each head of a row flow, before the rotation.
//
// In    pairs of adjacent rows, heads of 8, 16 or 32 elements one after the other, gaps allowed.
//       head_log2, enable, head_shift, epsilon and gain_base are constant over the pairs of a head.
// Out   the same pairs in the same order; bits equal tp_head_norm() of the model, or unchanged when
//       enable is 0. The pairs of a head leave without gaps.
// Rate  one pair per cycle. First pair out = last pair of the head in + FirstAfterLast (a constant
//       per head size); last pair out = first pair out + pairs of a head - 1.
// Not   does not mix head sizes without a pause: between the last pair of a head and the last pair
//       of the next one lie at least as many cycles as the larger of the two heads has pairs.

module tp_head_norm (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic               in_valid_i,       // early
  input  logic [1:0][31:0]   in_data_i,        // early; int32, element 0 is the lower row
  input  logic [2:0]         in_head_log2_i,   // early; 3..5
  input  logic               in_enable_i,      // early; 0: the head passes unchanged, same latency
  input  logic signed [7:0]  in_head_shift_i,  // early
  input  logic [31:0]        in_epsilon_i,     // early
  input  logic [15:0]        in_gain_base_i,   // early; first quad of the gains of a head
  output logic               out_valid_o,      // early
  output logic [1:0][31:0]   out_data_o,       // early
  output logic [16:0]        gain_address_o,   // early; 2 * gain_base + pair of the head
  input  logic [1:0][15:0]   gain_i,           // early; one cycle after gain_address_o, int16
  output logic [3:0]         saturations_o     // early; elements clamped in this cycle
);
  // The body follows; until then the unit delivers nothing.
  logic unused_inputs;
  assign unused_inputs  = ^{clk_i, rst_ni, in_valid_i, in_data_i, in_head_log2_i, in_enable_i,
                            in_head_shift_i, in_epsilon_i, in_gain_base_i, gain_i};
  assign out_valid_o    = 1'b0;
  assign out_data_o     = '0;
  assign gain_address_o = '0;
  assign saturations_o  = '0;
endmodule
