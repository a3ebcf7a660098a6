// SPDX-License-Identifier: Apache-2.0
//
// tp_board_clock: clocks and resets of the core and of USB from the oscillator of the board.
//
// Out   clk_o at CoreKhz, and with Usb clk_usb_o at 60 MHz, 0 without; their resets, low until all
//       is locked and while request_ni is low.
// Not   promises no phase between the clocks: what crosses goes through tp_sync or
//       tp_ram_crossing.
//
// The dividers are found here, so that the frequency is said once, in host/include/tp_boards.def.
// One PLL makes both clocks where its oscillator is a multiple of both, as with 100 MHz; with
// others a second PLL makes that of USB.

`include "tp_assert.svh"

module tp_board_clock #(
  parameter int unsigned InputKhz = 25000,
  parameter int unsigned CoreKhz  = 100000,
  parameter int unsigned Usb      = 0
) (
  input  logic clk_i,       // the oscillator
  input  logic request_ni,  // any clock
  output logic clk_o,
  output logic rst_no,      // early, of clk_o
  output logic clk_usb_o,
  output logic rst_usb_no   // early, of clk_usb_o
);

  localparam int unsigned UsbKhz = 60000;
  // The oscillator of a PLL is the one nearest to 600 MHz, the middle of its 400 to 800 MHz.
  localparam int unsigned MiddleKhz = 600000;

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
  localparam int unsigned OutputDiv = (MiddleKhz + CoreKhz / 2) / CoreKhz;
  localparam bit Shared = OutputDiv * CoreKhz % UsbKhz == 0;

  `TP_REQUIRE(ReferenceDiv != 0 && FeedbackDiv >= 1 && FeedbackDiv <= 80)
  `TP_REQUIRE(OutputDiv * CoreKhz >= 400000 && OutputDiv * CoreKhz <= 800000)

  logic locked;
  logic usb_locked;
  logic request_n;
  logic clk_second;

  // Names by which timing reports call the clocks (bitstreams/make_bitstream.py).
  (* keep *)logic clk_core;
  (* keep *)logic clk_usb;

  assign clk_o     = clk_core;
  assign clk_usb_o = clk_usb;

  tp_ecp5_pll #(
    .ReferenceDiv(ReferenceDiv),
    .FeedbackDiv (FeedbackDiv),
    .OutputDiv   (OutputDiv),
    .SecondDiv   (Usb != 0 && Shared ? OutputDiv * CoreKhz / UsbKhz : 0)
  ) u_pll (
    .clk_i       (clk_i),
    .clk_o       (clk_core),
    .clk_second_o(clk_second),
    .locked_o    (locked)
  );

  assign request_n = request_ni && locked && usb_locked;

  tp_reset_sync u_reset (
    .clk_i     (clk_core),
    .request_ni(request_n),
    .rst_no    (rst_no)
  );

  if (Usb != 0) begin : gen_usb
    if (Shared) begin : gen_shared
      assign clk_usb    = clk_second;
      assign usb_locked = 1'b1;
    end else begin : gen_own
      localparam int unsigned UsbFeedbackDiv = 4;
      localparam int unsigned UsbOutputDiv = 6;

      `TP_REQUIRE(InputKhz * UsbFeedbackDiv * UsbOutputDiv == MiddleKhz)

      logic unused_clk;
      logic unused_second;

      tp_ecp5_pll #(
        .ReferenceDiv(1),
        .FeedbackDiv (UsbFeedbackDiv),
        .OutputDiv   (UsbOutputDiv),
        .SecondDiv   (MiddleKhz / UsbKhz)
      ) u_pll (
        .clk_i       (clk_i),
        .clk_o       (unused_clk),
        .clk_second_o(clk_usb),
        .locked_o    (usb_locked)
      );

      assign unused_second = clk_second;
    end

    tp_reset_sync u_reset (
      .clk_i     (clk_usb),
      .request_ni(request_n),
      .rst_no    (rst_usb_no)
    );
  end else begin : gen_no_usb
    logic unused_second;

    assign unused_second = clk_second;
    assign usb_locked    = 1'b1;
    assign clk_usb       = 1'b0;
    assign rst_usb_no    = 1'b0;
  end

endmodule
