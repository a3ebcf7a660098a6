// SPDX-License-Identifier: Apache-2.0
//
// tp_top_ulx3s: the pins of the ULX3S board (constraints/ulx3s.lpf), its clocks, the core.
//
// In    25 MHz oscillator, serial line of the USB bridge FT231X (US1), USB (US2), buttons.
// Out   serial line, USB, LEDs (tp_board_leds).
// Rate  as tp_board.
// Not   uses no SDRAM and nothing else of the board.

module tp_top_ulx3s #(
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
  parameter int unsigned Usb = 0
) (
  input  logic       clk_25mhz_i,
  input  logic       uart_rx_i,
  output logic       uart_tx_o,
  inout  wire        usb_dp_io,
  inout  wire        usb_dn_io,
  inout  wire        usb_pull_up_io,
  input  logic [1:0] button_i,        // 0: power, low when pressed; 1: reset
  output logic [7:0] led_o,
  output logic       wifi_gpio0_o     // high keeps the ESP32 from taking the board over
);

  logic clk;
  logic rst_n;
  logic clk_usb;
  logic rst_usb_n;
  logic dp;
  logic dn;
  logic dp_driven;
  logic dn_driven;
  logic drive;
  logic pull_up;

  tp_board_clock #(
    .CoreKhz(CoreKhz),
    .Usb(Usb)
  ) u_clock (
    .clk_i(clk_25mhz_i),
    .request_ni(button_i[0] && !button_i[1]),
    .clk_o(clk),
    .rst_no(rst_n),
    .clk_usb_o(clk_usb),
    .rst_usb_no(rst_usb_n)
  );

  tp_board_usb_pins u_usb_pins (
    .usb_dp_io(usb_dp_io),
    .usb_dn_io(usb_dn_io),
    .usb_pull_up_io(usb_pull_up_io),
    .dp_i(dp_driven),
    .dn_i(dn_driven),
    .drive_i(drive),
    .pull_up_i(pull_up),
    .dp_o(dp),
    .dn_o(dn)
  );

  tp_board #(
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
    .ReadBack(ReadBack),
    .CoreKhz(CoreKhz),
    .Baud(Baud),
    .Usb(Usb)
  ) u_board (
    .clk_i(clk),
    .rst_ni(rst_n),
    .clk_usb_i(clk_usb),
    .rst_usb_ni(rst_usb_n),
    .rx_i(uart_rx_i),
    .tx_o(uart_tx_o),
    .usb_dp_i(dp),
    .usb_dn_i(dn),
    .usb_dp_o(dp_driven),
    .usb_dn_o(dn_driven),
    .usb_drive_o(drive),
    .usb_pull_up_o(pull_up),
    .led_o(led_o)
  );

  assign wifi_gpio0_o = 1'b1;

endmodule
