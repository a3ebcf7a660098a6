// SPDX-License-Identifier: Apache-2.0
//
// tp_ecp5_select: one of 32 bits, in 18 LUTs.
//
// Out   data_i[select_i]. Combinational.
//
// Synthesis makes a LUT of each choice between two and needs 31. The multiplexers behind the LUTs
// of a slice choose between two of those, and between two of these: eight bits in four LUTs.

`ifdef SYNTHESIS
// The synthesis tool brings the real ones; this only tells its front end the ports.
(* blackbox *)
module PFUMX (
  input  logic ALUT,
  BLUT,
  C0,
  output logic Z
);
endmodule

(* blackbox *)
module L6MUX21 (
  input  logic D0,
  D1,
  SD,
  output logic Z
);
endmodule
`endif

module tp_ecp5_select (
  input  logic [31:0] data_i,    // early
  input  logic [ 4:0] select_i,  // early
  output logic        out_o      // late
);

`ifdef SYNTHESIS
  logic [15:0] of_2;
  logic [ 7:0] of_4;
  logic [ 3:0] of_8;
  logic [ 1:0] of_16;

  for (genvar i = 0; i < 16; i++) begin : gen_2
    assign of_2[i] = select_i[0] ? data_i[2*i+1] : data_i[2*i];
  end
  for (genvar i = 0; i < 8; i++) begin : gen_4
    PFUMX u_mux (
      .ALUT(of_2[2*i+1]),
      .BLUT(of_2[2*i]),
      .C0  (select_i[1]),
      .Z   (of_4[i])
    );
  end
  for (genvar i = 0; i < 4; i++) begin : gen_8
    L6MUX21 u_mux (
      .D0(of_4[2*i]),
      .D1(of_4[2*i+1]),
      .SD(select_i[2]),
      .Z (of_8[i])
    );
  end
  for (genvar i = 0; i < 2; i++) begin : gen_16
    assign of_16[i] = select_i[3] ? of_8[2*i+1] : of_8[2*i];
  end
  PFUMX u_mux (
    .ALUT(of_16[1]),
    .BLUT(of_16[0]),
    .C0  (select_i[4]),
    .Z   (out_o)
  );
`else
  assign out_o = data_i[select_i];
`endif

endmodule
