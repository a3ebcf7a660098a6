// SPDX-License-Identifier: Apache-2.0
//
// tp_ecp5_carry: a chain of CCU2C carry cells, each bit with a function of four inputs of its own.
//
// Out   per bit p = Init[{d, c, b, a}]; the sum is p ^ carry, the next carry is p ? carry : g with
//       g = Init[{0, 0, b, a}]. Combinational.
//
// Init = 16'h7888 adds (a & b) + (c & d). Init = 16'h8777 with CarryIn gives (c & d) - (a & b). So
// one cell adds two gated bits, where inferred adders put the gates into LUTs before them.

`include "tp_assert.svh"

`ifdef SYNTHESIS
// The synthesis tool brings the real one; this only tells its front end the ports.
(* blackbox *)
module CCU2C #(
  parameter [15:0] INIT0 = 16'h0000,
  parameter [15:0] INIT1 = 16'h0000,
  parameter INJECT1_0 = "YES",
  parameter INJECT1_1 = "YES"
) (
  input  logic CIN,
  A0,
  B0,
  C0,
  D0,
  A1,
  B1,
  C1,
  D1,
  output logic S0,
  S1,
  COUT
);
endmodule
`endif

module tp_ecp5_carry #(
  parameter int unsigned Width = 10,  // even
  parameter bit [15:0] Init = 16'h7888,
  parameter bit CarryIn = 1'b0
) (
  input  logic [Width-1:0] a_i,   // early
  input  logic [Width-1:0] b_i,   // early
  input  logic [Width-1:0] c_i,   // early
  input  logic [Width-1:0] d_i,   // early
  output logic [Width-1:0] sum_o  // late
);

  `TP_REQUIRE(Width >= 2 && Width % 2 == 0)

`ifdef SYNTHESIS
  logic [Width/2:0] carry;
  logic             unused_carry;
  assign carry[0]     = CarryIn;
  assign unused_carry = carry[Width/2];

  for (genvar i = 0; i < Width; i += 2) begin : gen_cell
    CCU2C #(
      .INIT0(Init),
      .INIT1(Init),
      .INJECT1_0("NO"),
      .INJECT1_1("NO")
    ) u_cell (
      .CIN (carry[i/2]),
      .A0  (a_i[i]),
      .B0  (b_i[i]),
      .C0  (c_i[i]),
      .D0  (d_i[i]),
      .A1  (a_i[i+1]),
      .B1  (b_i[i+1]),
      .C1  (c_i[i+1]),
      .D1  (d_i[i+1]),
      .S0  (sum_o[i]),
      .S1  (sum_o[i+1]),
      .COUT(carry[i/2+1])
    );
  end
`else
  logic [Width-1:0] propagate;
  logic [Width-1:0] generated;

  always_comb begin
    propagate = '0;
    generated = '0;
    for (int unsigned i = 0; i < 16; i++) begin
      if (Init[i]) begin
        propagate |= ~(a_i ^ {Width{i[0]}}) & ~(b_i ^ {Width{i[1]}}) & ~(c_i ^ {Width{i[2]}}) &
            ~(d_i ^ {Width{i[3]}});
        if (i < 4) generated |= ~(a_i ^{Width{i[0]}}) & ~(b_i ^{Width{i[1]}});
      end
    end
    // An adder of these two words propagates and generates the same.
    sum_o = (propagate | generated) + (~propagate & generated) + Width'(CarryIn);
  end
`endif

endmodule
