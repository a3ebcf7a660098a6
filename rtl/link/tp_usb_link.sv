// SPDX-License-Identifier: Apache-2.0
//
// tp_usb_link: whether the link is open, agreed on by the two clocks.
//
// In    pulses on the clock of the bus: open (again, if it is), close.
// Out   usb_open_o: both sides are empty and may move packets; usb_clear_o: the counts of the bus
//       side go to 0; open_o, on the clock of the core, which clears the counts of its side when it
//       is low. Between two times open, both sides were cleared.
// Not   does nothing without both clocks: an opening then waits, and packets answer NAK.
//
// Four steps, each waits for the other side. The bus side clears when the core's is closed, and
// uses the core's counts only when that is open again, so neither sees a count of before. The core
// sees open a cycle behind the counts (one stage more), so never with a count of before. A core
// that is reset alone closes the link.

`include "tp_assert.svh"

module tp_usb_link (
  input  logic clk_usb_i,
  input  logic rst_usb_ni,
  input  logic usb_open_i,   // early; a pulse
  input  logic usb_close_i,  // early
  output logic usb_open_o,   // early
  output logic usb_clear_o,  // early
  input  logic clk_i,
  input  logic rst_ni,
  output logic open_o        // early
);

  typedef enum logic [1:0] {
    StClosed,
    StOpening,  // until the core's side is open
    StOpen,
    StClosing   // until the core's side is closed
  } state_e;

  state_e state_q;
  state_e state_d;
  logic   wanted_q;  // to be open
  logic   again_q;  // but closed before
  logic   usb_ask_q;
  logic   usb_answer;
  logic   ask;

  always_comb begin
    state_d = state_q;
    unique case (state_q)
      StClosed:  if (wanted_q && !usb_answer) state_d = StOpening;
      StOpening: if (usb_answer) state_d = StOpen;
      StOpen:    if (!wanted_q || again_q || !usb_answer) state_d = StClosing;
      default:   if (!usb_answer) state_d = StClosed;
    endcase
  end

  always_ff @(posedge clk_usb_i) begin
    if (!rst_usb_ni) begin
      state_q   <= StClosing;
      wanted_q  <= 1'b0;
      again_q   <= 1'b0;
      usb_ask_q <= 1'b0;
    end else begin
      state_q   <= state_d;
      usb_ask_q <= state_d == StOpening || state_d == StOpen;
      if (usb_close_i) wanted_q <= 1'b0;
      else if (usb_open_i) wanted_q <= 1'b1;
      // The core's side has gone by itself.
      else if (state_q == StOpen && !usb_answer) wanted_q <= 1'b0;
      if (usb_open_i) again_q <= 1'b1;
      else if (state_q == StClosed) again_q <= 1'b0;
    end
  end

  // Wanted again is not open for a cycle more: the request is only being answered then.
  assign usb_open_o  = state_q == StOpen;
  assign usb_clear_o = state_q == StClosed;

  tp_sync #(
    .Stages(3)
  ) u_ask (
    .clk_i  (clk_i),
    .async_i(usb_ask_q),
    .sync_o (ask)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) open_o <= 1'b0;
    else open_o <= ask;
  end

  tp_sync u_answer (
    .clk_i  (clk_usb_i),
    .async_i(open_o),
    .sync_o (usb_answer)
  );

endmodule
