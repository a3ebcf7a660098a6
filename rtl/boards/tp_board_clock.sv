// SPDX-License-Identifier: Apache-2.0
//
// tp_board_clock: the core's clock and reset from the oscillator of the board.
//
// Out   clk_o at CoreKhz; rst_no low until the PLL has locked and while request_ni is low.
// Not   has no second clock: everything behind it is one domain.
//
// The dividers are found here, so that the frequency is said once, in host/include/tp_boards.def.

`include "tp_assert.svh"

module tp_board_clock #(
  parameter int unsigned InputKhz = 25000,
  parameter int unsigned CoreKhz  = 100000
) (
  input  logic clk_i,       // the oscillator
  input  logic request_ni,  // any clock
  output logic clk_o,
  output logic rst_no       // early, of clk_o
);

  // The smallest divider of the input that gives CoreKhz, a fraction of a kHz apart; 0: none does.
  // The phase detector takes at least 8 MHz.
  function automatic int unsigned reference_div();
    for (int unsigned div = 1; InputKhz >= 8000 * div; div++) begin
      int unsigned rest = (CoreKhz * div + InputKhz / 2) % InputKhz;
      if (rest + div > InputKhz / 2 && rest < InputKhz / 2 + div) return div;
    end
    return 0;
  endfunction

  localparam int unsigned ReferenceDiv = reference_div();
  localparam int unsigned FeedbackDiv = (CoreKhz * ReferenceDiv + InputKhz / 2) / InputKhz;
  // The oscillator of the PLL is the one nearest to 600 MHz, the middle of its 400 to 800 MHz.
  localparam int unsigned OutputDiv = (600000 + CoreKhz / 2) / CoreKhz;

  `TP_REQUIRE(ReferenceDiv != 0 && FeedbackDiv >= 1 && FeedbackDiv <= 80)
  `TP_REQUIRE(OutputDiv * CoreKhz >= 400000 && OutputDiv * CoreKhz <= 800000)

  logic locked;

  tp_ecp5_pll #(
    .ReferenceDiv(ReferenceDiv),
    .FeedbackDiv (FeedbackDiv),
    .OutputDiv   (OutputDiv)
  ) u_pll (
    .clk_i   (clk_i),
    .clk_o   (clk_o),
    .locked_o(locked)
  );

  tp_reset_sync u_reset (
    .clk_i     (clk_o),
    .request_ni(request_ni && locked),
    .rst_no    (rst_no)
  );

endmodule
