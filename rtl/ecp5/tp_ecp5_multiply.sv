// SPDX-License-Identifier: Apache-2.0
//
// tp_ecp5_multiply: product with registers of a hard multiplier MULT18X18D.
//
// In    a_i, b_i: signed, or unsigned by parameter. out_o: a * b, complete, no rounding.
// Rate  one product per cycle, latency 3 (input, pipeline and output register) or 1 (output).
// Not   has no valid bit, no reset and no enable: the registers load in every cycle. The place and
//       route tool does not write which enable the output register has, so all of them are high.

`include "tp_assert.svh"
`include "tp_ecp5.svh"

`ifdef TP_ECP5_BLACK_BOXES
(* blackbox *)
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
  parameter SOURCEB_MODE = "B_SHIFT",
  parameter MULT_BYPASS = "DISABLED",
  parameter RESETMODE = "SYNC",
  parameter GSR = "DISABLED"
) (
  input  logic A0,
  A1,
  A2,
  A3,
  A4,
  A5,
  A6,
  A7,
  A8,
  A9,
  A10,
  A11,
  A12,
  A13,
  A14,
  A15,
  A16,
  A17,
  B0,
  B1,
  B2,
  B3,
  B4,
  B5,
  B6,
  B7,
  B8,
  B9,
  B10,
  B11,
  B12,
  B13,
  B14,
  B15,
  B16,
  B17,
  C0,
  C1,
  C2,
  C3,
  C4,
  C5,
  C6,
  C7,
  C8,
  C9,
  C10,
  C11,
  C12,
  C13,
  C14,
  C15,
  C16,
  C17,
  SIGNEDA,
  SIGNEDB,
  SOURCEA,
  SOURCEB,
  CLK0,
  CLK1,
  CLK2,
  CLK3,
  CE0,
  CE1,
  CE2,
  CE3,
  RST0,
  RST1,
  RST2,
  RST3,
  output logic P0,
  P1,
  P2,
  P3,
  P4,
  P5,
  P6,
  P7,
  P8,
  P9,
  P10,
  P11,
  P12,
  P13,
  P14,
  P15,
  P16,
  P17,
  P18,
  P19,
  P20,
  P21,
  P22,
  P23,
  P24,
  P25,
  P26,
  P27,
  P28,
  P29,
  P30,
  P31,
  P32,
  P33,
  P34,
  P35
);
endmodule
`endif

module tp_ecp5_multiply #(
  parameter int unsigned WidthA = 8,
  parameter int unsigned WidthB = 8,
  parameter bit SignedA = 1'b1,
  parameter bit SignedB = 1'b1,
  parameter int unsigned Latency = 3
) (
  input  logic                     clk_i,
  input  logic [       WidthA-1:0] a_i,
  input  logic [       WidthB-1:0] b_i,
  output logic [WidthA+WidthB-1:0] out_o   // early
);

  `TP_REQUIRE(WidthA >= 1 && WidthA <= 18)
  `TP_REQUIRE(WidthB >= 1 && WidthB <= 18)
  `TP_REQUIRE(Latency == 1 || Latency == 3)

  localparam int unsigned Width = WidthA + WidthB;

  // Bits above an operand repeat its sign.
`ifdef TP_ECP5_CELLS

  localparam InnerClock = Latency == 3 ? "CLK0" : "NONE";

  logic [17:0] a;
  logic [17:0] b;
  logic [35:0] p;
  logic        unused_bits;

  assign a = SignedA ? 18'($signed(a_i)) : 18'(a_i);
  assign b = SignedB ? 18'($signed(b_i)) : 18'(b_i);
`ifdef TP_PLANT_BUG
  // The planted fault loses the uppermost bit.
  assign out_o = {1'b0, p[Width-2:0]};
`else
  assign out_o = p[Width-1:0];
`endif
  assign unused_bits = ^p;

  MULT18X18D #(
    .REG_INPUTA_CLK(InnerClock),
    .REG_INPUTB_CLK(InnerClock),
    .REG_PIPELINE_CLK(InnerClock),
    .REG_OUTPUT_CLK("CLK0"),
    .GSR("DISABLED")
  ) u_multiplier (
    .A0(a[0]),
    .A1(a[1]),
    .A2(a[2]),
    .A3(a[3]),
    .A4(a[4]),
    .A5(a[5]),
    .A6(a[6]),
    .A7(a[7]),
    .A8(a[8]),
    .A9(a[9]),
    .A10(a[10]),
    .A11(a[11]),
    .A12(a[12]),
    .A13(a[13]),
    .A14(a[14]),
    .A15(a[15]),
    .A16(a[16]),
    .A17(a[17]),
    .B0(b[0]),
    .B1(b[1]),
    .B2(b[2]),
    .B3(b[3]),
    .B4(b[4]),
    .B5(b[5]),
    .B6(b[6]),
    .B7(b[7]),
    .B8(b[8]),
    .B9(b[9]),
    .B10(b[10]),
    .B11(b[11]),
    .B12(b[12]),
    .B13(b[13]),
    .B14(b[14]),
    .B15(b[15]),
    .B16(b[16]),
    .B17(b[17]),
    .C0(1'b0),
    .C1(1'b0),
    .C2(1'b0),
    .C3(1'b0),
    .C4(1'b0),
    .C5(1'b0),
    .C6(1'b0),
    .C7(1'b0),
    .C8(1'b0),
    .C9(1'b0),
    .C10(1'b0),
    .C11(1'b0),
    .C12(1'b0),
    .C13(1'b0),
    .C14(1'b0),
    .C15(1'b0),
    .C16(1'b0),
    .C17(1'b0),
    .P0(p[0]),
    .P1(p[1]),
    .P2(p[2]),
    .P3(p[3]),
    .P4(p[4]),
    .P5(p[5]),
    .P6(p[6]),
    .P7(p[7]),
    .P8(p[8]),
    .P9(p[9]),
    .P10(p[10]),
    .P11(p[11]),
    .P12(p[12]),
    .P13(p[13]),
    .P14(p[14]),
    .P15(p[15]),
    .P16(p[16]),
    .P17(p[17]),
    .P18(p[18]),
    .P19(p[19]),
    .P20(p[20]),
    .P21(p[21]),
    .P22(p[22]),
    .P23(p[23]),
    .P24(p[24]),
    .P25(p[25]),
    .P26(p[26]),
    .P27(p[27]),
    .P28(p[28]),
    .P29(p[29]),
    .P30(p[30]),
    .P31(p[31]),
    .P32(p[32]),
    .P33(p[33]),
    .P34(p[34]),
    .P35(p[35]),
    .SIGNEDA(SignedA),
    .SIGNEDB(SignedB),
    .SOURCEA(1'b0),
    .SOURCEB(1'b0),
    .CLK0(clk_i),
    .CLK1(1'b0),
    .CLK2(1'b0),
    .CLK3(1'b0),
    .CE0(1'b1),
    .CE1(1'b1),
    .CE2(1'b1),
    .CE3(1'b1),
    .RST0(1'b0),
    .RST1(1'b0),
    .RST2(1'b0),
    .RST3(1'b0)
  );

`else

  logic [Width-1:0] wide_a;
  logic [Width-1:0] wide_b;
  logic [Width-1:0] product;
  logic [Width-1:0] out_q;

  assign product = wide_a * wide_b;

  if (Latency == 3) begin : gen_three
    logic [WidthA-1:0] a_q;
    logic [WidthB-1:0] b_q;
    logic [ Width-1:0] product_q;
    always_ff @(posedge clk_i) begin
      a_q       <= a_i;
      b_q       <= b_i;
      product_q <= product;
      out_q     <= product_q;
    end
    assign wide_a = SignedA ? Width'($signed(a_q)) : Width'(a_q);
    assign wide_b = SignedB ? Width'($signed(b_q)) : Width'(b_q);
  end else begin : gen_one
    always_ff @(posedge clk_i) out_q <= product;
    assign wide_a = SignedA ? Width'($signed(a_i)) : Width'(a_i);
    assign wide_b = SignedB ? Width'($signed(b_i)) : Width'(b_i);
  end

  assign out_o = out_q;

`endif

endmodule
