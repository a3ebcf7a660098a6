// SPDX-License-Identifier: Apache-2.0
//
// tp_board: the core behind the link of a board, with LEDs: all of a board but its pins and PLLs.
//
// In    the serial line, and the lines of USB if Usb is not 0.
// Out   the same lines, LEDs (tp_board_leds).
// Rate  the link as tp_board_link; steps as host/lib/cycles.c predicts.
// Not   has no pads and no PLL, so that it is simulated as it is.

module tp_board #(
  parameter int unsigned Groups = 2,
  parameter int unsigned Slots = 4,
  parameter int unsigned WeightBeats = 1024,
  parameter int unsigned KvRows = 512,
  parameter int unsigned DimMax = 64,
  parameter int unsigned QueryMax = 128,
  parameter int unsigned HiddenMax = 192,
  parameter int unsigned VocabMax = 512,
  parameter int unsigned PositionsMax = 64,
  parameter int unsigned ProgramMax = 64,
  parameter int unsigned GainQuads = 256,
  parameter int unsigned ConstantPairs = 256,
  parameter int unsigned Codebooks = 2,
  parameter int unsigned HeadNorm = 1,
  parameter int unsigned HeadLog2Max = 5,
  parameter int unsigned AttentionLanes = 64,
  parameter int unsigned TopK = 64,
  parameter int unsigned BuildId = 0,
  parameter int unsigned ReadBack = 1,
  parameter int unsigned CoreKhz = 100000,
  parameter int unsigned Baud = 3000000,
  parameter int unsigned Usb = 0,
  parameter int unsigned UsbAttachCycles = 3000000
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       clk_usb_i,      // 60 MHz
  input  logic       rst_usb_ni,     // of that clock
  input  logic       rx_i,           // any clock
  output logic       tx_o,           // early
  input  logic       usb_dp_i,       // any clock
  input  logic       usb_dn_i,       // any clock
  output logic       usb_dp_o,       // early, of clk_usb_i, as the next three
  output logic       usb_dn_o,       // early
  output logic       usb_drive_o,    // early; output enable of both lines
  output logic       usb_pull_up_o,  // early; of D+
  output logic [7:0] led_o           // early
);

  logic       receive_valid;
  logic       receive_ready;
  logic [7:0] receive_data;
  logic       send_valid;
  logic       send_ready;
  logic [7:0] send_data;
  logic       open;
  logic       idle;
  logic       step;
  logic       bad_byte;
  logic       lost_byte;
  logic       bad_frame;

  logic       board_rst_n;

  // As late as the core's own copies.
  tp_reset_copies #(
    .Copies(1)
  ) u_reset (
    .clk_i (clk_i),
    .rst_ni(rst_ni),
    .rst_no(board_rst_n)
  );

  tp_board_link #(
    .Usb(Usb),
    .Serial(BuildId),
    .AttachCycles(UsbAttachCycles),
    .ClockKhz(CoreKhz),
    .Baud(Baud)
  ) u_link (
    .clk_i(clk_i),
    .rst_ni(board_rst_n),
    .clk_usb_i(clk_usb_i),
    .rst_usb_ni(rst_usb_ni),
    .rx_i(rx_i),
    .tx_o(tx_o),
    .usb_dp_i(usb_dp_i),
    .usb_dn_i(usb_dn_i),
    .usb_dp_o(usb_dp_o),
    .usb_dn_o(usb_dn_o),
    .usb_drive_o(usb_drive_o),
    .usb_pull_up_o(usb_pull_up_o),
    .in_valid_i(send_valid),
    .in_ready_o(send_ready),
`ifdef TP_PLANT_BUG
    // The planted fault turns a bit of what the device sends.
    .in_data_i(send_data ^ 8'h01),
`else
    .in_data_i(send_data),
`endif
    .out_valid_o(receive_valid),
    .out_ready_i(receive_ready),
    .out_data_o(receive_data),
    .open_o(open),
    .bad_o(bad_byte),
    .lost_o(lost_byte)
  );

  tp_core #(
    .Groups(Groups),
    .Slots(Slots),
    .WeightBeats(WeightBeats),
    .KvRows(KvRows),
    .DimMax(DimMax),
    .QueryMax(QueryMax),
    .HiddenMax(HiddenMax),
    .VocabMax(VocabMax),
    .PositionsMax(PositionsMax),
    .ProgramMax(ProgramMax),
    .GainQuads(GainQuads),
    .ConstantPairs(ConstantPairs),
    .Codebooks(Codebooks),
    .HeadNorm(HeadNorm),
    .HeadLog2Max(HeadLog2Max),
    .AttentionLanes(AttentionLanes),
    .TopK(TopK),
    .BuildId(BuildId),
    .ReadBack(ReadBack)
  ) u_core (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(receive_valid),
    .in_ready_o(receive_ready),
    .in_data_i(receive_data),
    .out_valid_o(send_valid),
    .out_ready_i(send_ready),
    .out_data_o(send_data),
    .idle_o(idle),
    .step_o(step),
    .bad_o(bad_frame)
  );

  tp_board_leds #(
    .ClockKhz(CoreKhz)
  ) u_leds (
    .clk_i(clk_i),
    .rst_ni(board_rst_n),
    .busy_i(!idle),
    .step_i(step),
    .receive_i(receive_valid && receive_ready),
    .transmit_i(send_valid && send_ready),
    .open_i(open),
    .error_i(bad_byte || lost_byte || bad_frame),
    .led_o(led_o)
  );

endmodule
