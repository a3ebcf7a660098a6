// SPDX-License-Identifier: Apache-2.0
//
// tp_top_sim: the top of the simulated device; the core as it is.
//
// In    bytes of the link.
// Out   bytes of the link.
// Rate  as tp_core.
// Not   has no pins and no reset synchroniser: sim/system drives it cycle by cycle.

module tp_top_sim #(
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
  parameter int unsigned ReadBack = 1
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       in_valid_i,   // early
  output logic       in_ready_o,   // early
  input  logic [7:0] in_data_i,    // early
  output logic       out_valid_o,  // early
  input  logic       out_ready_i,  // late
  output logic [7:0] out_data_o,   // early
  output logic       idle_o        // early; nothing to do or to send until a byte comes
);

  logic unused_step;
  logic unused_bad;

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
    .in_valid_i(in_valid_i),
    .in_ready_o(in_ready_o),
    .in_data_i(in_data_i),
    .out_valid_o(out_valid_o),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data_o),
    .idle_o(idle_o),
    .step_o(unused_step),
    .bad_o(unused_bad)
  );

endmodule
