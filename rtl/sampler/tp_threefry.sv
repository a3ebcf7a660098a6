// SPDX-License-Identifier: Apache-2.0
//
// tp_threefry: one random number per cycle for (seed, position, token).
//
// Out   random_o: first word of Threefry-2x32 with 20 rounds; bits equal tp_random().
// Rate  one number per cycle, latency 26: one stage per round, one per key injection.
// Not   carries no seed and position with a token: both hold while any token is inside, and stand a
//       cycle before the first.

`include "tp_assert.svh"

module tp_threefry (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic [63:0] seed_i,      // key: low word, high word
  input  logic [15:0] position_i,  // counter, first word
  input  logic        valid_i,
  input  logic [15:0] token_i,     // counter, second word
  output logic        valid_o,     // early
  output logic [31:0] random_o     // early
);

  localparam int unsigned Stages = 26;
  localparam logic [31:0] Parity = 32'h1BD1_1BDA;
  localparam int unsigned Rotation[8] = '{13, 15, 26, 6, 17, 29, 16, 24};

  // ---- key words, and those of the second word with their injection number added ----

  logic [31:0] key[3];
  logic [31:0] key_parity_q;
  assign key[0] = seed_i[31:0];
  assign key[1] = seed_i[63:32];
  assign key[2] = key_parity_q;
  always_ff @(posedge clk_i) key_parity_q <= Parity ^ seed_i[31:0] ^ seed_i[63:32];

  logic [Stages:1] valid_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else valid_q <= {valid_q[Stages-1:1], valid_i};
  end

  // ---- stage s holds x0[s], x1[s]; stages 6, 11, 16, 21, 26 inject, the others are rounds ----

  logic [31:0] x0[Stages+1];
  logic [31:0] x1[Stages+1];

  // A register of its own: the slot's position is far away.
  logic [15:0] position_q;
  (* keep *)
  always_ff @(posedge clk_i) position_q <= position_i;
  assign x0[0] = 32'(position_q);
  assign x1[0] = 32'(token_i);

  for (genvar s = 1; s <= Stages; s++) begin : gen_stage
    localparam int unsigned Injection = (s - 1) / 5;
    logic [31:0] x0_q;
    logic [31:0] x1_q;
    if ((s - 1) % 5 == 0) begin : gen_inject
      logic [31:0] second_q;
      always_ff @(posedge clk_i) second_q <= key[(Injection+1)%3] + 32'(Injection);
      logic load;
      if (s == 1) begin : gen_first
        assign load = valid_i;
      end else begin : gen_later
        assign load = valid_q[s-1];
      end
      always_ff @(posedge clk_i) begin
        if (load) begin
          x0_q <= x0[s-1] + key[Injection%3];
          x1_q <= x1[s-1] + second_q;
        end
      end
    end else begin : gen_round
      localparam int unsigned Places = Rotation[(s-2-(s-2)/5)%8];
      logic [31:0] sum;
      assign sum = x0[s-1] + x1[s-1];
      always_ff @(posedge clk_i) begin
        if (valid_q[s-1]) begin
          x0_q <= sum;
          x1_q <= {x1[s-1][31-Places:0], x1[s-1][31:32-Places]} ^ sum;
        end
      end
    end
    assign x0[s] = x0_q;
    assign x1[s] = x1_q;
  end

  assign valid_o  = valid_q[Stages];
  assign random_o = x0[Stages];

  // The second word of the result is not used.
  logic unused_bits;
  assign unused_bits = ^x1[Stages];

endmodule
