// SPDX-License-Identifier: Apache-2.0
//
// tp_usb_line: what the level of the bus says for long: attached, reset, suspended.
//
// In    whether the line is SE0 (both low) or J (idle).
// Out   the pull-up, AttachCycles after reset; reset_o while SE0 lasts, from ResetCycles on, and
//       before the pull-up; suspended_o while J lasts, from SuspendCycles on.
// Not   does not know whether a cable is there: an unplugged device sees its own pull-up, which
//       looks like suspend.

`include "tp_assert.svh"

module tp_usb_line #(
  parameter int unsigned AttachCycles  = 3000000,  // 50 ms without pull-up
  parameter int unsigned ResetCycles   = 300,      // 5 us; a low-speed end of resume is 1.3 us
  parameter int unsigned SuspendCycles = 180000    // 3 ms
) (
  input  logic clk_i,       // 60 MHz
  input  logic rst_ni,
  input  logic se0_i,       // early
  input  logic j_i,         // early
  output logic pull_up_o,   // early
  output logic reset_o,     // early
  output logic suspended_o  // early
);

  `TP_REQUIRE(AttachCycles >= 1 && ResetCycles >= 1 && SuspendCycles >= 1)

  localparam int unsigned MostCycles = AttachCycles > SuspendCycles ?
      (AttachCycles > ResetCycles ? AttachCycles : ResetCycles) :
      (SuspendCycles > ResetCycles ? SuspendCycles : ResetCycles);
  localparam int unsigned CountWidth = $clog2(MostCycles + 1);

  typedef enum logic [1:0] {
    KindDetached,
    KindSe0,
    KindJ,
    KindOther
  } kind_e;

  kind_e                  kind;
  kind_e                  kind_q;
  logic  [CountWidth-1:0] count_q;
  logic  [CountWidth-1:0] limit;
  logic                   done;

  always_comb begin
    if (!pull_up_o) kind = KindDetached;
    else if (se0_i) kind = KindSe0;
    else if (j_i) kind = KindJ;
    else kind = KindOther;
  end

  always_comb begin
    unique case (kind)
      KindDetached: limit = CountWidth'(AttachCycles);
      KindSe0:      limit = CountWidth'(ResetCycles);
      default:      limit = CountWidth'(SuspendCycles);
    endcase
  end
  assign done = kind == kind_q && count_q == limit;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      kind_q      <= KindDetached;
      count_q     <= '0;
      pull_up_o   <= 1'b0;
      reset_o     <= 1'b1;
      suspended_o <= 1'b0;
    end else begin
      kind_q <= kind;
      if (kind != kind_q || kind == KindOther) count_q <= '0;
      else if (!done) count_q <= count_q + 1'b1;
      pull_up_o   <= pull_up_o || done;
      reset_o     <= kind == KindDetached || (kind == KindSe0 && done);
      suspended_o <= kind == KindJ && done;
    end
  end

  `TP_ASSERT(Count_A, 32'(count_q) <= MostCycles)
  `TP_ASSERT(OneOfBoth_A, !(reset_o && suspended_o))
  `TP_COVER(Reset_C, pull_up_o && reset_o)
  `TP_COVER(Suspended_C, suspended_o)

endmodule
