// SPDX-License-Identifier: Apache-2.0
//
// One form of assertion for simulation, proof and synthesis: a body is one boolean expression.
//
// The forms stay armed in Verilator (a failing one stops the simulation with the rule's path), are
// proved by SymbiYosys when FORMAL is defined, and are empty in synthesis. They expect the names
// clk_i and rst_ni, and look at the values just before the rising edge. An implication is written
// "not a, or b"; the previous cycle is $past(x), valid only when $past(rst_ni) was high.

`ifndef TP_ASSERT_SVH
`define TP_ASSERT_SVH

`ifdef FORMAL
  `define TP_ARMED
`endif
`ifndef SYNTHESIS
  `define TP_ARMED
`endif

`ifdef TP_ARMED

// The design promises cond in every cycle out of reset.
`define TP_ASSERT(name, cond) \
  name: assert property (@(posedge clk_i) disable iff (!rst_ni) (cond)) else $error("%m");

// The environment promises cond; only for rules that no parent could check.
`define TP_ASSUME(name, cond) \
  name: assume property (@(posedge clk_i) disable iff (!rst_ni) (cond)) else $error("%m");

// A situation that the tests and the proof must be able to reach.
`define TP_COVER(name, cond) \
  name: cover property (@(posedge clk_i) disable iff (!rst_ni) (cond));

`else

`define TP_ASSERT(name, cond)
`define TP_ASSUME(name, cond)
`define TP_COVER(name, cond)

`endif

// A rule on inputs: an assumption in the unit's own proof (its PROVE_ macro is defined), an
// assertion everywhere else, so that the parent answers for it.
`define TP_INPUT_RULE(prove, name, cond) \
`ifdef prove \
  `TP_ASSUME(name, cond) \
`else \
  `TP_ASSERT(name, cond) \
`endif

// Valid and payload stay as they are while a beat waits for ready.
`define TP_HOLDS(valid, ready, data) \
  (!($past(rst_ni) && $past((valid) && !(ready))) || ((valid) && $stable(data)))

// In the unit's own proof the first cycle is a reset cycle; use it once, in the proved module.
`define TP_PROVE_RESET(prove) \
`ifdef prove \
  logic prove_started_q = 1'b0; \
  always_ff @(posedge clk_i) prove_started_q <= 1'b1; \
  always_comb if (!prove_started_q) assume (!rst_ni); \
`endif

// A parameter outside its legal range ends elaboration.
`define TP_REQUIRE(cond) \
  if (!(cond)) $fatal(1, "TP_REQUIRE: a parameter is outside its legal range");

`endif
