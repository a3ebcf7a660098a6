// SPDX-License-Identifier: Apache-2.0
//
// tp_top_ulx3s: the pins of the ULX3S board (constraints/ulx3s.lpf), its clock, the core.
//
// In    25 MHz oscillator, serial line of the USB bridge FT231X, buttons.
// Out   serial line, LEDs (tp_board_leds).
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
  parameter int unsigned CoreKhz = 100000,
  parameter int unsigned Baud = 3000000
) (
  input  logic       clk_25mhz_i,
  input  logic       uart_rx_i,
  output logic       uart_tx_o,
  input  logic [1:0] button_i,     // 0: power, low when pressed; 1: reset
  output logic [7:0] led_o,
  output logic       wifi_gpio0_o  // high keeps the ESP32 from taking the board over
);

  logic clk;
  logic rst_n;

  tp_board_clock #(
    .CoreKhz(CoreKhz)
  ) u_clock (
    .clk_i(clk_25mhz_i),
    .request_ni(button_i[0] && !button_i[1]),
    .clk_o(clk),
    .rst_no(rst_n)
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
    .CoreKhz(CoreKhz),
    .Baud(Baud)
  ) u_board (
    .clk_i (clk),
    .rst_ni(rst_n),
    .rx_i  (uart_rx_i),
    .tx_o  (uart_tx_o),
    .led_o (led_o)
  );

  assign wifi_gpio0_o = 1'b1;

endmodule
