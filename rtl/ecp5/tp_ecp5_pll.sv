// SPDX-License-Identifier: Apache-2.0
//
// tp_ecp5_pll: the PLL EHXPLLL with an output that is its feedback too, and a second one.
//
// Out   clk_o = clk_i * FeedbackDiv / ReferenceDiv, in phase with clk_i; locked_o when it is so.
//       clk_second_o = clk_o * OutputDiv / SecondDiv; 0 if SecondDiv is 0.
// Not   does not check the limits of the device: phase detector 8 to 400 MHz, oscillator (clk_o *
//       OutputDiv) 400 to 800 MHz. Simulation makes no clocks: there both are clk_i.

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
  parameter CLKOS_ENABLE = "DISABLED",
  parameter CLKOS_DIV = 8,
  parameter CLKOS_CPHASE = 0,
  parameter CLKOS_FPHASE = 0,
  parameter FEEDBK_PATH = "CLKOP",
  parameter CLKFB_DIV = 4
) (
  input  logic RST,
  STDBY,
  CLKI,
  output logic CLKOP,
  CLKOS,
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
  parameter int unsigned OutputDiv = 6,
  parameter int unsigned SecondDiv = 0
) (
  input  logic clk_i,
  output logic clk_o,
  output logic clk_second_o,
  output logic locked_o
);

  `TP_REQUIRE(ReferenceDiv >= 1 && FeedbackDiv >= 1 && OutputDiv >= 1)

`ifdef TP_ECP5_BLACK_BOXES
  localparam bit HasSecond = SecondDiv != 0;
  localparam string SecondEnable = HasSecond ? "ENABLED" : "DISABLED";

  logic second;

  (* ICP_CURRENT = "12", LPF_RESISTOR = "8", MFG_ENABLE_FILTEROPAMP = "1", MFG_GMCREF_SEL = "2" *)
  EHXPLLL #(
    .CLKI_DIV(ReferenceDiv),
    .CLKOP_DIV(OutputDiv),
    .CLKOP_CPHASE(OutputDiv / 2 - 1),
    .CLKOS_ENABLE(SecondEnable),
    .CLKOS_DIV(HasSecond ? SecondDiv : 8),
    .CLKOS_CPHASE(HasSecond ? OutputDiv / 2 - 1 : 0),
    .CLKFB_DIV(FeedbackDiv)
  ) u_pll (
    .RST         (1'b0),
    .STDBY       (1'b0),
    .CLKI        (clk_i),
    .CLKOP       (clk_o),
    .CLKOS       (second),
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

  assign clk_second_o = HasSecond ? second : 1'b0;
`else
  assign clk_o = clk_i;
  assign clk_second_o = SecondDiv != 0 ? clk_i : 1'b0;
  assign locked_o = 1'b1;
`endif

endmodule
