// SPDX-License-Identifier: Apache-2.0
//
// Whether the wrappers of rtl/ecp5 instantiate cells of the ECP5 or are their simulation twins.
//
// Synthesis takes the cells, proofs and simulation take the twins. TP_ECP5_MODELS makes simulation
// take the cells too; the models of sim/ecp5 must then be among the sources.

`ifndef TP_ECP5_SVH
`define TP_ECP5_SVH

`ifdef TP_ECP5_MODELS
  `define TP_ECP5_CELLS
`else
  `ifdef SYNTHESIS
    `ifndef FORMAL
      `define TP_ECP5_CELLS
      // The synthesis tool brings the cells; black boxes tell its front end their ports.
      `define TP_ECP5_BLACK_BOXES
    `endif
  `endif
`endif

`endif
