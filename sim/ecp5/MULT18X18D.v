// SPDX-License-Identifier: Apache-2.0
//
// Simulation model of the ECP5 multiplier MULT18X18D: 18 x 18 bits, each operand signed or not.
//
// A register is there when its CLK parameter names a clock, loads when the CE that its CE
// parameter names is high, and is cleared, in step with the clock, by the RST that its RST
// parameter names. The signs pass the registers of their operands. Not modelled: the C operand of
// the adder before the multiplier, different clocks, the global reset.

module MULT18X18D #(
  parameter REG_INPUTA_CLK = "NONE",
  parameter REG_INPUTA_CE = "CE0",
  parameter REG_INPUTA_RST = "RST0",
  parameter REG_INPUTB_CLK = "NONE",
  parameter REG_INPUTB_CE = "CE0",
  parameter REG_INPUTB_RST = "RST0",
  parameter REG_INPUTC_CLK = "NONE",
  parameter REG_INPUTC_CE = "CE0",
  parameter REG_INPUTC_RST = "RST0",
  parameter REG_PIPELINE_CLK = "NONE",
  parameter REG_PIPELINE_CE = "CE0",
  parameter REG_PIPELINE_RST = "RST0",
  parameter REG_OUTPUT_CLK = "NONE",
  parameter REG_OUTPUT_CE = "CE0",
  parameter REG_OUTPUT_RST = "RST0",
  parameter CLK0_DIV = "ENABLED",
  parameter CLK1_DIV = "ENABLED",
  parameter CLK2_DIV = "ENABLED",
  parameter CLK3_DIV = "ENABLED",
  parameter HIGHSPEED_CLK = "NONE",
  parameter GSR = "ENABLED",
  parameter CAS_MATCH_REG = "FALSE",
  parameter SOURCEB_MODE = "B_SHIFT",
  parameter MULT_BYPASS = "DISABLED",
  parameter RESETMODE = "SYNC"
) (
  input
    A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17, B0, B1, B2, B3,
    B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17, C0, C1, C2, C3, C4, C5, C6, C7,
    C8, C9, C10, C11, C12, C13, C14, C15, C16, C17, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CLK1,
    CLK2, CLK3, CE0, CE1, CE2, CE3, RST0, RST1, RST2, RST3, SRIA0, SRIA1, SRIA2, SRIA3, SRIA4,
    SRIA5, SRIA6, SRIA7, SRIA8, SRIA9, SRIA10, SRIA11, SRIA12, SRIA13, SRIA14, SRIA15, SRIA16,
    SRIA17, SRIB0, SRIB1, SRIB2, SRIB3, SRIB4, SRIB5, SRIB6, SRIB7, SRIB8, SRIB9, SRIB10, SRIB11,
    SRIB12, SRIB13, SRIB14, SRIB15, SRIB16, SRIB17,
  output
    SROA0, SROA1, SROA2, SROA3, SROA4, SROA5, SROA6, SROA7, SROA8, SROA9, SROA10, SROA11, SROA12,
    SROA13, SROA14, SROA15, SROA16, SROA17, SROB0, SROB1, SROB2, SROB3, SROB4, SROB5, SROB6, SROB7,
    SROB8, SROB9, SROB10, SROB11, SROB12, SROB13, SROB14, SROB15, SROB16, SROB17, ROA0, ROA1, ROA2,
    ROA3, ROA4, ROA5, ROA6, ROA7, ROA8, ROA9, ROA10, ROA11, ROA12, ROA13, ROA14, ROA15, ROA16,
    ROA17, ROB0, ROB1, ROB2, ROB3, ROB4, ROB5, ROB6, ROB7, ROB8, ROB9, ROB10, ROB11, ROB12, ROB13,
    ROB14, ROB15, ROB16, ROB17, ROC0, ROC1, ROC2, ROC3, ROC4, ROC5, ROC6, ROC7, ROC8, ROC9, ROC10,
    ROC11, ROC12, ROC13, ROC14, ROC15, ROC16, ROC17, P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10,
    P11, P12, P13, P14, P15, P16, P17, P18, P19, P20, P21, P22, P23, P24, P25, P26, P27, P28, P29,
    P30, P31, P32, P33, P34, P35, SIGNEDP
);

  wire [17:0] a = {
    A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0
  };
  wire [17:0] b = {
    B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0
  };
  wire [17:0] sria = {
    SRIA17, SRIA16, SRIA15, SRIA14, SRIA13, SRIA12, SRIA11, SRIA10, SRIA9, SRIA8, SRIA7, SRIA6,
    SRIA5, SRIA4, SRIA3, SRIA2, SRIA1, SRIA0
  };
  wire [17:0] srib = {
    SRIB17, SRIB16, SRIB15, SRIB14, SRIB13, SRIB12, SRIB11, SRIB10, SRIB9, SRIB8, SRIB7, SRIB6,
    SRIB5, SRIB4, SRIB3, SRIB2, SRIB1, SRIB0
  };

  wire [3:0] enables = {CE3, CE2, CE1, CE0};
  wire [3:0] resets = {RST3, RST2, RST1, RST0};

  // The number at the end of a name: CLK2 is 2. NONE is none.
  function [1:0] number;
    input [7:0] last;
    number = last[1:0];
  endfunction

  wire clk_a = REG_INPUTA_CLK == "CLK3" ? CLK3 : REG_INPUTA_CLK == "CLK2" ? CLK2 :
                REG_INPUTA_CLK == "CLK1" ? CLK1 : CLK0;
  wire clk_b = REG_INPUTB_CLK == "CLK3" ? CLK3 : REG_INPUTB_CLK == "CLK2" ? CLK2 :
                REG_INPUTB_CLK == "CLK1" ? CLK1 : CLK0;
  wire clk_p = REG_PIPELINE_CLK == "CLK3" ? CLK3 : REG_PIPELINE_CLK == "CLK2" ? CLK2 :
                REG_PIPELINE_CLK == "CLK1" ? CLK1 : CLK0;
  wire clk_o = REG_OUTPUT_CLK == "CLK3" ? CLK3 : REG_OUTPUT_CLK == "CLK2" ? CLK2 :
                REG_OUTPUT_CLK == "CLK1" ? CLK1 : CLK0;

  // Operands with their signs.
  wire [17:0] from_a = SOURCEA ? sria : a;
  wire [17:0] from_b = SOURCEB ? srib : b;
  reg [18:0] input_a = 19'd0;
  reg [18:0] input_b = 19'd0;
  reg [36:0] pipeline = 37'd0;
  reg [36:0] result = 37'd0;

  always @(posedge clk_a) begin
    if (resets[number(REG_INPUTA_RST[7:0])]) input_a <= 19'd0;
    else if (enables[number(REG_INPUTA_CE[7:0])]) input_a <= {SIGNEDA, from_a};
  end
  always @(posedge clk_b) begin
    if (resets[number(REG_INPUTB_RST[7:0])]) input_b <= 19'd0;
    else if (enables[number(REG_INPUTB_CE[7:0])]) input_b <= {SIGNEDB, from_b};
  end

  wire [18:0] operand_a = REG_INPUTA_CLK == "NONE" ? {SIGNEDA, from_a} : input_a;
  wire [18:0] operand_b = REG_INPUTB_CLK == "NONE" ? {SIGNEDB, from_b} : input_b;
  wire [17:0] a_q = operand_a[17:0];
  wire [17:0] b_q = operand_b[17:0];
  wire signed [37:0] wide_a = {{20{operand_a[18] & operand_a[17]}}, operand_a[17:0]};
  wire signed [37:0] wide_b = {{20{operand_b[18] & operand_b[17]}}, operand_b[17:0]};
  wire signed [37:0] wide = wide_a * wide_b;
  wire [36:0] product = {operand_a[18] | operand_b[18], wide[35:0]};

  always @(posedge clk_p) begin
    if (resets[number(REG_PIPELINE_RST[7:0])]) pipeline <= 37'd0;
    else if (enables[number(REG_PIPELINE_CE[7:0])]) pipeline <= product;
  end

  wire [36:0] staged = REG_PIPELINE_CLK == "NONE" ? product : pipeline;

  always @(posedge clk_o) begin
    if (resets[number(REG_OUTPUT_RST[7:0])]) result <= 37'd0;
    else if (enables[number(REG_OUTPUT_CE[7:0])]) result <= staged;
  end

  wire [36:0] out = REG_OUTPUT_CLK == "NONE" ? staged : result;
  wire [35:0] p = out[35:0];
  assign SIGNEDP = out[36];

  assign {
    P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17,
    P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
  } = p;
  assign {
    ROA17, ROA16, ROA15, ROA14, ROA13, ROA12, ROA11, ROA10, ROA9, ROA8, ROA7, ROA6, ROA5, ROA4,
    ROA3, ROA2, ROA1, ROA0
  } = a_q;
  assign {
    ROB17, ROB16, ROB15, ROB14, ROB13, ROB12, ROB11, ROB10, ROB9, ROB8, ROB7, ROB6, ROB5, ROB4,
    ROB3, ROB2, ROB1, ROB0
  } = b_q;
  assign {
    SROA17, SROA16, SROA15, SROA14, SROA13, SROA12, SROA11, SROA10, SROA9, SROA8, SROA7, SROA6,
    SROA5, SROA4, SROA3, SROA2, SROA1, SROA0
  } = a_q;
  assign {
    SROB17, SROB16, SROB15, SROB14, SROB13, SROB12, SROB11, SROB10, SROB9, SROB8, SROB7, SROB6,
    SROB5, SROB4, SROB3, SROB2, SROB1, SROB0
  } = b_q;
  assign {
    ROC17, ROC16, ROC15, ROC14, ROC13, ROC12, ROC11, ROC10, ROC9, ROC8, ROC7, ROC6, ROC5, ROC4,
    ROC3, ROC2, ROC1, ROC0
  } = 18'd0;

endmodule
