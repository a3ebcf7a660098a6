// SPDX-License-Identifier: Apache-2.0
//
// tp_usb_send: a packet onto the lines D+ and D-, five cycles a bit.
//
// In    the bytes of a packet, the first one is the PID; valid_i stays high from the first byte to
//       the last one, and low until busy_o is low again.
// Out   sync, bytes with bit stuffing, end of packet; from registers. busy_o from the first bit to
//       the last J: it is the output enable.
// Rate  a byte in eight bits and the stuffing.
// Not   knows nothing of PIDs and sums.

`include "tp_assert.svh"

module tp_usb_send (
  input  logic       clk_i,    // 60 MHz
  input  logic       rst_ni,
  input  logic       valid_i,  // early
  output logic       ready_o,  // late
  input  logic [7:0] data_i,   // late
  output logic       dp_o,     // early
  output logic       dn_o,     // early
  output logic       busy_o    // early
);

  localparam logic [7:0] Sync = 8'h80;
  localparam int unsigned StuffOnes = 6;

  typedef enum logic [2:0] {
    StIdle,
    StData,  // sync and bytes
    StEnd,   // first bit of SE0
    StEnd2,  // second one
    StJ      // the bit of J that ends the packet
  } state_e;

  state_e       state_q;
  logic   [2:0] phase_q;
  logic         tick;  // the last cycle of a bit
  logic   [6:0] shift_q;  // what follows the bit on the line
  logic   [2:0] left_q;  // its bits
  logic   [2:0] ones_q;  // in a row, on the line
  logic         stuff;
  logic         present;  // there is a bit for the next bit time
  logic         next;  // it

  assign tick    = phase_q == 3'd4;
  assign stuff   = ones_q == 3'(StuffOnes);
  assign ready_o = state_q == StData && tick && !stuff && left_q == '0;
  assign present = stuff || left_q != '0 || valid_i;
  assign next    = !stuff && (left_q != '0 ? shift_q[0] : data_i[0]);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= StIdle;
      busy_o  <= 1'b0;
      dp_o    <= 1'b1;
      dn_o    <= 1'b0;
      phase_q <= '0;
      left_q  <= '0;
      ones_q  <= '0;
    end else begin
      phase_q <= state_q == StIdle || tick ? '0 : phase_q + 3'd1;
      unique case (state_q)
        StIdle: begin
          // The first bit of the sync.
          if (valid_i) state_q <= StData;
          busy_o <= valid_i;
          dp_o   <= !valid_i;
          dn_o   <= valid_i;
          left_q <= 3'd7;
          ones_q <= '0;
        end
        StData: begin
          if (tick && present) begin
            dp_o   <= next ? dp_o : !dp_o;
            dn_o   <= next ? dn_o : !dn_o;
            ones_q <= next ? ones_q + 3'd1 : '0;
            if (!stuff) left_q <= left_q != '0 ? left_q - 3'd1 : 3'd7;
          end else if (tick) begin
            state_q <= StEnd;
            dp_o    <= 1'b0;
            dn_o    <= 1'b0;
          end
        end
        StEnd: if (tick) state_q <= StEnd2;
        StEnd2: begin
          if (tick) begin
            state_q <= StJ;
            dp_o    <= 1'b1;
          end
        end
        default: begin
          if (tick) begin
            state_q <= StIdle;
            busy_o  <= 1'b0;
          end
        end
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    if (state_q == StIdle) shift_q <= Sync[7:1];
    else if (ready_o) shift_q <= data_i[7:1];
    else if (tick && !stuff) shift_q <= {1'b0, shift_q[6:1]};
  end

  `TP_ASSERT(Phase_A, phase_q <= 3'd4)
  `TP_ASSERT(Ones_A, ones_q <= 3'(StuffOnes))
  `TP_ASSERT(OneHigh_A, !(dp_o && dn_o))
  `TP_COVER(Stuff_C, stuff)
  `TP_COVER(StuffAtEnd_C, stuff && left_q == '0 && !valid_i)

endmodule
