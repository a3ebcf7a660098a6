// SPDX-License-Identifier: Apache-2.0
//
// tp_ecp5_pll: the PLL EHXPLLL with one output, which is its feedback too.
//
// Out   clk_o = clk_i * FeedbackDiv / ReferenceDiv, in phase with clk_i; locked_o when it is so.
// Not   does not check the limits of the device: phase detector 8 to 400 MHz, oscillator (clk_o *
//       OutputDiv) 400 to 800 MHz. Simulation has no second clock: there clk_o is clk_i.

`include "tp_assert.svh"
`include "tp_ecp5.svh"

`ifdef TP_ECP5_BLACK_BOXES
(* blackbox *)
module EHXPLLL #(
  parameter PLLRST_ENA = "DISABLED",
  parameter INTFB_WAKE = "DISABLED",
  parameter STDBY_ENABLE = "DISABLED",
  parameter DPHASE_SOURCE = "DISABLED",
  parameter OUTDIVIDER_MUXA = "DIVA",
  parameter OUTDIVIDER_MUXB = "DIVB",
  parameter OUTDIVIDER_MUXC = "DIVC",
  parameter OUTDIVIDER_MUXD = "DIVD",
  parameter CLKI_DIV = 1,
  parameter CLKOP_ENABLE = "ENABLED",
  parameter CLKOP_DIV = 6,
  parameter CLKOP_CPHASE = 2,
  parameter CLKOP_FPHASE = 0,
  parameter FEEDBK_PATH = "CLKOP",
  parameter CLKFB_DIV = 4
) (
  input  logic RST,
  STDBY,
  CLKI,
  output logic CLKOP,
  input  logic CLKFB,
  input  logic PHASESEL0,
  PHASESEL1,
  PHASEDIR,
  PHASESTEP,
  PHASELOADREG,
  PLLWAKESYNC,
  ENCLKOP,
  output logic LOCK
);
endmodule
`endif

module tp_ecp5_pll #(
  parameter int unsigned ReferenceDiv = 1,
  parameter int unsigned FeedbackDiv = 4,
  parameter int unsigned OutputDiv = 6
) (
  input  logic clk_i,
  output logic clk_o,
  output logic locked_o
);

  `TP_REQUIRE(ReferenceDiv >= 1 && FeedbackDiv >= 1 && OutputDiv >= 1)

`ifdef TP_ECP5_BLACK_BOXES
  (* ICP_CURRENT = "12", LPF_RESISTOR = "8", MFG_ENABLE_FILTEROPAMP = "1", MFG_GMCREF_SEL = "2" *)
  EHXPLLL #(
    .CLKI_DIV(ReferenceDiv),
    .CLKOP_DIV(OutputDiv),
    .CLKOP_CPHASE(OutputDiv / 2 - 1),
    .CLKFB_DIV(FeedbackDiv)
  ) u_pll (
    .RST         (1'b0),
    .STDBY       (1'b0),
    .CLKI        (clk_i),
    .CLKOP       (clk_o),
    .CLKFB       (clk_o),
    .PHASESEL0   (1'b0),
    .PHASESEL1   (1'b0),
    .PHASEDIR    (1'b1),
    .PHASESTEP   (1'b1),
    .PHASELOADREG(1'b1),
    .PLLWAKESYNC (1'b0),
    .ENCLKOP     (1'b0),
    .LOCK        (locked_o)
  );
`else
  assign clk_o = clk_i;
  assign locked_o = 1'b1;
`endif

endmodule
