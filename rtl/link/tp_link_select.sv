// SPDX-License-Identifier: Apache-2.0
//
// tp_link_select: the core's byte streams to the one of two links that a host uses.
//
// In    bytes from the core, bytes received by the serial line and by USB; whether USB is open.
// Out   bytes to the core, bytes to be sent by the serial line or by USB.
// Rate  a byte in two cycles each way.
// Not   knows no frames: a change in the middle of one breaks it, which hosts expect when they
//       open a link (docs/link.md). What the serial line receives while USB is open is dropped.
//
// USB is used while a program has it open, the serial line otherwise. A byte waits here, so that
// the link that it came from may vanish.

`include "tp_assert.svh"

module tp_link_select (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       open_i,            // early; USB is to be used
  input  logic       in_valid_i,        // early; from the core
  output logic       in_ready_o,        // early
  input  logic [7:0] in_data_i,         // early
  output logic       out_valid_o,       // early; to the core
  input  logic       out_ready_i,       // late
  output logic [7:0] out_data_o,        // early
  input  logic       uart_in_valid_i,   // late; received
  output logic       uart_in_ready_o,   // early
  input  logic [7:0] uart_in_data_i,    // late
  output logic       uart_out_valid_o,  // early; to be sent
  input  logic       uart_out_ready_i,  // late
  output logic [7:0] uart_out_data_o,   // early
  input  logic       usb_in_valid_i,    // early; received
  output logic       usb_in_ready_o,    // early
  input  logic [7:0] usb_in_data_i,     // early
  output logic       usb_out_valid_o,   // early; to be sent
  input  logic       usb_out_ready_i,   // late
  output logic [7:0] usb_out_data_o     // early
);

  logic       usb_q;  // USB is used
  logic       send_valid_q;
  logic [7:0] send_q;
  logic       receive_valid_q;
  logic [7:0] receive_q;
  logic       sent;

  assign in_ready_o       = !send_valid_q;
  assign uart_out_valid_o = send_valid_q && !usb_q;
  assign uart_out_data_o  = send_q;
  assign usb_out_valid_o  = send_valid_q && usb_q;
  assign usb_out_data_o   = send_q;
  assign sent             = usb_q ? usb_out_ready_i : uart_out_ready_i;

  assign usb_in_ready_o   = !receive_valid_q && usb_q;
  assign uart_in_ready_o  = !receive_valid_q || usb_q;
  assign out_valid_o      = receive_valid_q;
  assign out_data_o       = receive_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      usb_q           <= 1'b0;
      send_valid_q    <= 1'b0;
      receive_valid_q <= 1'b0;
    end else begin
      // A byte that the serial line was shown stays there; a closed USB takes none.
      if (usb_q || !send_valid_q) usb_q <= open_i;
      send_valid_q <= send_valid_q ? !sent : in_valid_i;
      receive_valid_q <= receive_valid_q ? !out_ready_i : usb_q ? usb_in_valid_i : uart_in_valid_i;
    end
  end

  always_ff @(posedge clk_i) begin
    if (in_ready_o) send_q <= in_data_i;
`ifdef TP_PLANT_BUG
    // The planted fault takes the bytes of the other link.
    if (!receive_valid_q) receive_q <= usb_q ? uart_in_data_i : usb_in_data_i;
`else
    if (!receive_valid_q) receive_q <= usb_q ? usb_in_data_i : uart_in_data_i;
`endif
  end

  `TP_INPUT_RULE(PROVE_TP_LINK_SELECT, InHolds_M, `TP_HOLDS(in_valid_i, in_ready_o, in_data_i))
  `TP_ASSERT(OutHolds_A, `TP_HOLDS(out_valid_o, out_ready_i, out_data_o))
  `TP_ASSERT(UartHolds_A, `TP_HOLDS(uart_out_valid_o, uart_out_ready_i, uart_out_data_o))

endmodule
