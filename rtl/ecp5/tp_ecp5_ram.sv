// SPDX-License-Identifier: Apache-2.0
//
// tp_ecp5_ram: memory of block RAMs; one write port, one read port, one clock.
//
// Rate  a write and a read per cycle; the read data stand 1 + OutputRegister cycles after the cycle
//       with read_enable_i, and stay until the data of the next read arrive.
// Not   has no reset. A read of the word that is written in the same cycle gives unspecified bits;
//       the twin gives the wrong ones on purpose. Without Initialised, contents are unspecified.
//
// The output register is the one in the block RAM; what chooses between segments lies behind it.

`include "tp_assert.svh"
`include "tp_ecp5.svh"

`ifdef TP_ECP5_BLACK_BOXES
(* blackbox *)
module DP16KD #(
  parameter int DATA_WIDTH_A = 18,
  parameter int DATA_WIDTH_B = 18,
  parameter REGMODE_A = "NOREG",
  parameter REGMODE_B = "NOREG",
  parameter RESETMODE = "SYNC",
  parameter ASYNC_RESET_RELEASE = "SYNC",
  parameter CSDECODE_A = "0b000",
  parameter CSDECODE_B = "0b000",
  parameter WRITEMODE_A = "NORMAL",
  parameter WRITEMODE_B = "NORMAL",
  parameter GSR = "DISABLED",
  parameter CLKAMUX = "CLKA",
  parameter CLKBMUX = "CLKB",
  parameter [319:0] INITVAL_00 = '0,
  INITVAL_01 = '0,
  INITVAL_02 = '0,
  INITVAL_03 = '0,
  INITVAL_04 = '0,
  INITVAL_05 = '0,
  INITVAL_06 = '0,
  INITVAL_07 = '0,
  INITVAL_08 = '0,
  INITVAL_09 = '0,
  INITVAL_0A = '0,
  INITVAL_0B = '0,
  INITVAL_0C = '0,
  INITVAL_0D = '0,
  INITVAL_0E = '0,
  INITVAL_0F = '0,
  INITVAL_10 = '0,
  INITVAL_11 = '0,
  INITVAL_12 = '0,
  INITVAL_13 = '0,
  INITVAL_14 = '0,
  INITVAL_15 = '0,
  INITVAL_16 = '0,
  INITVAL_17 = '0,
  INITVAL_18 = '0,
  INITVAL_19 = '0,
  INITVAL_1A = '0,
  INITVAL_1B = '0,
  INITVAL_1C = '0,
  INITVAL_1D = '0,
  INITVAL_1E = '0,
  INITVAL_1F = '0,
  INITVAL_20 = '0,
  INITVAL_21 = '0,
  INITVAL_22 = '0,
  INITVAL_23 = '0,
  INITVAL_24 = '0,
  INITVAL_25 = '0,
  INITVAL_26 = '0,
  INITVAL_27 = '0,
  INITVAL_28 = '0,
  INITVAL_29 = '0,
  INITVAL_2A = '0,
  INITVAL_2B = '0,
  INITVAL_2C = '0,
  INITVAL_2D = '0,
  INITVAL_2E = '0,
  INITVAL_2F = '0,
  INITVAL_30 = '0,
  INITVAL_31 = '0,
  INITVAL_32 = '0,
  INITVAL_33 = '0,
  INITVAL_34 = '0,
  INITVAL_35 = '0,
  INITVAL_36 = '0,
  INITVAL_37 = '0,
  INITVAL_38 = '0,
  INITVAL_39 = '0,
  INITVAL_3A = '0,
  INITVAL_3B = '0,
  INITVAL_3C = '0,
  INITVAL_3D = '0,
  INITVAL_3E = '0,
  INITVAL_3F = '0
) (
  input  logic DIA0,
  DIA1,
  DIA2,
  DIA3,
  DIA4,
  DIA5,
  DIA6,
  DIA7,
  DIA8,
  DIA9,
  DIA10,
  DIA11,
  DIA12,
  DIA13,
  DIA14,
  DIA15,
  DIA16,
  DIA17,
  ADA0,
  ADA1,
  ADA2,
  ADA3,
  ADA4,
  ADA5,
  ADA6,
  ADA7,
  ADA8,
  ADA9,
  ADA10,
  ADA11,
  ADA12,
  ADA13,
  CEA,
  OCEA,
  CLKA,
  WEA,
  RSTA,
  CSA0,
  CSA1,
  CSA2,
  DIB0,
  DIB1,
  DIB2,
  DIB3,
  DIB4,
  DIB5,
  DIB6,
  DIB7,
  DIB8,
  DIB9,
  DIB10,
  DIB11,
  DIB12,
  DIB13,
  DIB14,
  DIB15,
  DIB16,
  DIB17,
  ADB0,
  ADB1,
  ADB2,
  ADB3,
  ADB4,
  ADB5,
  ADB6,
  ADB7,
  ADB8,
  ADB9,
  ADB10,
  ADB11,
  ADB12,
  ADB13,
  CEB,
  OCEB,
  CLKB,
  WEB,
  RSTB,
  CSB0,
  CSB1,
  CSB2,
  output logic DOA0,
  DOA1,
  DOA2,
  DOA3,
  DOA4,
  DOA5,
  DOA6,
  DOA7,
  DOA8,
  DOA9,
  DOA10,
  DOA11,
  DOA12,
  DOA13,
  DOA14,
  DOA15,
  DOA16,
  DOA17,
  DOB0,
  DOB1,
  DOB2,
  DOB3,
  DOB4,
  DOB5,
  DOB6,
  DOB7,
  DOB8,
  DOB9,
  DOB10,
  DOB11,
  DOB12,
  DOB13,
  DOB14,
  DOB15,
  DOB16,
  DOB17
);
endmodule

(* blackbox *)
module TRELLIS_FF #(
  parameter GSR = "ENABLED",
  parameter CEMUX = "1",
  parameter CLKMUX = "CLK",
  parameter LSRMUX = "LSR",
  parameter REGSET = "RESET",
  parameter SRMODE = "LSR_OVER_CE"
) (
  input  logic CLK,
  LSR,
  CE,
  DI,
  output logic Q
);
endmodule
`endif

module tp_ecp5_ram #(
  parameter int unsigned Width = 36,
  parameter int unsigned Depth = 512,
  parameter bit OutputRegister = 1'b1,
  parameter bit Initialised = 1'b0,
  localparam int unsigned ContentBits = Initialised ? Width * Depth : 1,
  parameter bit [ContentBits-1:0] Contents = '0,  // word n at n * Width
  localparam int unsigned AddressWidth = $clog2(Depth)
) (
  input  logic                    clk_i,
  input  logic                    write_enable_i,   // early
  input  logic [AddressWidth-1:0] write_address_i,  // early
  input  logic [       Width-1:0] write_data_i,     // early
  input  logic                    read_enable_i,    // late
  input  logic [AddressWidth-1:0] read_address_i,   // late
  output logic [       Width-1:0] read_data_o       // early
);

  `TP_REQUIRE(Width >= 1)
  `TP_REQUIRE(Depth >= 2)

`ifdef TP_ECP5_CELLS

  localparam int unsigned Columns = (Width + 35) / 36;
  localparam Mode = OutputRegister ? "OUTREG" : "NOREG";

  // The bits of one block RAM as it holds them: bytes of 9, and a word narrower than that in one
  // byte, eight bits of it used.
  function automatic bit [18431:0] held(input int unsigned shape, input int unsigned base,
                                        input int unsigned first, input int unsigned offset);
    int unsigned width;
    int unsigned place;
    held = '0;
    if (Initialised) begin
      width = tp_ecp5_pkg::shape_width(shape);
      for (int unsigned n = 0; n < tp_ecp5_pkg::shape_words(shape); n++) begin
        place = shape <= 2 ? width * n : 9 * (width * n / 8) + width * n % 8;
        for (int unsigned i = 0; i < width; i++) begin
          if (base + n < Depth && offset + i < 36 && first + offset + i < Width) begin
            held[place+i] = Contents[Width*(base+n)+first+offset+i];
          end
        end
      end
    end
  endfunction

  // Sixteen words of 18 bits, each in 20.
  function automatic bit [319:0] initval(input bit [18431:0] bits, input int unsigned index);
    initval = '0;
    for (int unsigned i = 0; i < 16; i++) initval[20*i+:18] = bits[18*(16*index+i)+:18];
  endfunction

  for (genvar column = 0; column < Columns; column++) begin : gen_column
    localparam int unsigned First = 36 * column;
    localparam int unsigned Bits = Width - First < 36 ? Width - First : 36;
    localparam tp_ecp5_pkg::plan_t Plan = tp_ecp5_pkg::best_plan(Bits, Depth);
    localparam int unsigned SelectWidth = Plan.segments < 2 ? 1 : $clog2(Plan.segments);

    // With the output register, the block RAM reads in every cycle, and the register alone takes
    // what was asked for: the enable that is late reaches one flip-flop of each column.
    logic read_q;
    if (OutputRegister) begin : gen_read
`ifdef TP_ECP5_BLACK_BOXES
      // Kept, as the one of the selection below: synthesis would make one flip-flop of those of all
      // columns, and that one would have to reach the whole memory.
      (* keep *)
      TRELLIS_FF #(
        .GSR("DISABLED"),
        .CEMUX("1"),
        .CLKMUX("CLK"),
        .LSRMUX("LSR"),
        .REGSET("RESET"),
        .SRMODE("LSR_OVER_CE")
      ) u_read (
        .CLK(clk_i),
        .LSR(1'b0),
        .CE (1'b1),
        .DI (read_enable_i),
        .Q  (read_q)
      );
`else
      always_ff @(posedge clk_i) read_q <= read_enable_i;
`endif
    end else begin : gen_no_read
      assign read_q = 1'b1;
    end

    logic [Plan.segments-1:0][35:0] out;
    logic [Plan.segments-1:0]       read_here;
    logic [  SelectWidth-1:0]       select;

    for (genvar s = 0; s < Plan.segments; s++) begin : gen_segment
      localparam tp_ecp5_pkg::segment_t Segment = tp_ecp5_pkg::segment(
          Depth, Plan.first, Plan.last, s
      );
      localparam int unsigned WordsLog2 = 9 + Segment.shape;
      localparam int unsigned BlockWidth = tp_ecp5_pkg::shape_width(Segment.shape);
      localparam int unsigned Blocks = (Bits + BlockWidth - 1) / BlockWidth;

      logic                         write_here;
      logic [                 13:0] write_address;
      logic [                 13:0] read_address;
      logic [Blocks*BlockWidth-1:0] write_data;
      logic [Blocks*BlockWidth-1:0] read_data;

      assign write_here = write_enable_i &&
          32'(write_address_i) >> WordsLog2 == Segment.base >> WordsLog2;
      assign read_here[s] = 32'(read_address_i) >> WordsLog2 == Segment.base >> WordsLog2;
`ifdef TP_PLANT_BUG
      // The planted fault writes every word to the place of even address.
      assign write_address = 14'((32'(write_address_i) & ~32'd1) << (5 - Segment.shape));
`else
      assign write_address = 14'(32'(write_address_i) << (5 - Segment.shape));
`endif
      assign read_address = 14'(32'(read_address_i) << (5 - Segment.shape));
      assign write_data = (Blocks * BlockWidth)'(write_data_i[First+:Bits]);
      assign out[s] = 36'(read_data[Bits-1:0]);

      for (genvar b = 0; b < Blocks; b++) begin : gen_block
        localparam bit [18431:0] Held = held(Segment.shape, Segment.base, First, BlockWidth * b);

        logic [35:0] data;
        logic [17:0] di_a, di_b, do_a, do_b;
        logic [13:0] ad_a, ad_b;
        logic unused_outputs;

        assign data = 36'(write_data[BlockWidth*b+:BlockWidth]);
        assign di_a = data[17:0];
        assign di_b = data[35:18];
        assign ad_b = read_address;
        assign read_data[BlockWidth*b+:BlockWidth] =
            BlockWidth'(Segment.shape == 0 ? {do_b, do_a} : {18'd0, do_b});
        assign unused_outputs = ^{do_a, do_b, read_data};

        // The low address bits of the two wide shapes are byte enables.
        always_comb begin
          ad_a = write_address;
          if (Segment.shape == 0) ad_a[3:0] = {4{write_here}};
          if (Segment.shape == 1) ad_a[1:0] = 2'b11;
        end

        // Of the widest words, ports A and B hold one half each, also in their output registers.
        DP16KD #(
          .INITVAL_00(initval(Held, 'h00)),
          .INITVAL_01(initval(Held, 'h01)),
          .INITVAL_02(initval(Held, 'h02)),
          .INITVAL_03(initval(Held, 'h03)),
          .INITVAL_04(initval(Held, 'h04)),
          .INITVAL_05(initval(Held, 'h05)),
          .INITVAL_06(initval(Held, 'h06)),
          .INITVAL_07(initval(Held, 'h07)),
          .INITVAL_08(initval(Held, 'h08)),
          .INITVAL_09(initval(Held, 'h09)),
          .INITVAL_0A(initval(Held, 'h0A)),
          .INITVAL_0B(initval(Held, 'h0B)),
          .INITVAL_0C(initval(Held, 'h0C)),
          .INITVAL_0D(initval(Held, 'h0D)),
          .INITVAL_0E(initval(Held, 'h0E)),
          .INITVAL_0F(initval(Held, 'h0F)),
          .INITVAL_10(initval(Held, 'h10)),
          .INITVAL_11(initval(Held, 'h11)),
          .INITVAL_12(initval(Held, 'h12)),
          .INITVAL_13(initval(Held, 'h13)),
          .INITVAL_14(initval(Held, 'h14)),
          .INITVAL_15(initval(Held, 'h15)),
          .INITVAL_16(initval(Held, 'h16)),
          .INITVAL_17(initval(Held, 'h17)),
          .INITVAL_18(initval(Held, 'h18)),
          .INITVAL_19(initval(Held, 'h19)),
          .INITVAL_1A(initval(Held, 'h1A)),
          .INITVAL_1B(initval(Held, 'h1B)),
          .INITVAL_1C(initval(Held, 'h1C)),
          .INITVAL_1D(initval(Held, 'h1D)),
          .INITVAL_1E(initval(Held, 'h1E)),
          .INITVAL_1F(initval(Held, 'h1F)),
          .INITVAL_20(initval(Held, 'h20)),
          .INITVAL_21(initval(Held, 'h21)),
          .INITVAL_22(initval(Held, 'h22)),
          .INITVAL_23(initval(Held, 'h23)),
          .INITVAL_24(initval(Held, 'h24)),
          .INITVAL_25(initval(Held, 'h25)),
          .INITVAL_26(initval(Held, 'h26)),
          .INITVAL_27(initval(Held, 'h27)),
          .INITVAL_28(initval(Held, 'h28)),
          .INITVAL_29(initval(Held, 'h29)),
          .INITVAL_2A(initval(Held, 'h2A)),
          .INITVAL_2B(initval(Held, 'h2B)),
          .INITVAL_2C(initval(Held, 'h2C)),
          .INITVAL_2D(initval(Held, 'h2D)),
          .INITVAL_2E(initval(Held, 'h2E)),
          .INITVAL_2F(initval(Held, 'h2F)),
          .INITVAL_30(initval(Held, 'h30)),
          .INITVAL_31(initval(Held, 'h31)),
          .INITVAL_32(initval(Held, 'h32)),
          .INITVAL_33(initval(Held, 'h33)),
          .INITVAL_34(initval(Held, 'h34)),
          .INITVAL_35(initval(Held, 'h35)),
          .INITVAL_36(initval(Held, 'h36)),
          .INITVAL_37(initval(Held, 'h37)),
          .INITVAL_38(initval(Held, 'h38)),
          .INITVAL_39(initval(Held, 'h39)),
          .INITVAL_3A(initval(Held, 'h3A)),
          .INITVAL_3B(initval(Held, 'h3B)),
          .INITVAL_3C(initval(Held, 'h3C)),
          .INITVAL_3D(initval(Held, 'h3D)),
          .INITVAL_3E(initval(Held, 'h3E)),
          .INITVAL_3F(initval(Held, 'h3F)),
          .DATA_WIDTH_A(BlockWidth),
          .DATA_WIDTH_B(BlockWidth),
          .REGMODE_A(Mode),
          .REGMODE_B(Mode),
          .GSR("DISABLED")
        ) u_block (
          .DIA0 (di_a[0]),
          .DIA1 (di_a[1]),
          .DIA2 (di_a[2]),
          .DIA3 (di_a[3]),
          .DIA4 (di_a[4]),
          .DIA5 (di_a[5]),
          .DIA6 (di_a[6]),
          .DIA7 (di_a[7]),
          .DIA8 (di_a[8]),
          .DIA9 (di_a[9]),
          .DIA10(di_a[10]),
          .DIA11(di_a[11]),
          .DIA12(di_a[12]),
          .DIA13(di_a[13]),
          .DIA14(di_a[14]),
          .DIA15(di_a[15]),
          .DIA16(di_a[16]),
          .DIA17(di_a[17]),
          .ADA0 (ad_a[0]),
          .ADA1 (ad_a[1]),
          .ADA2 (ad_a[2]),
          .ADA3 (ad_a[3]),
          .ADA4 (ad_a[4]),
          .ADA5 (ad_a[5]),
          .ADA6 (ad_a[6]),
          .ADA7 (ad_a[7]),
          .ADA8 (ad_a[8]),
          .ADA9 (ad_a[9]),
          .ADA10(ad_a[10]),
          .ADA11(ad_a[11]),
          .ADA12(ad_a[12]),
          .ADA13(ad_a[13]),
          .DOA0 (do_a[0]),
          .DOA1 (do_a[1]),
          .DOA2 (do_a[2]),
          .DOA3 (do_a[3]),
          .DOA4 (do_a[4]),
          .DOA5 (do_a[5]),
          .DOA6 (do_a[6]),
          .DOA7 (do_a[7]),
          .DOA8 (do_a[8]),
          .DOA9 (do_a[9]),
          .DOA10(do_a[10]),
          .DOA11(do_a[11]),
          .DOA12(do_a[12]),
          .DOA13(do_a[13]),
          .DOA14(do_a[14]),
          .DOA15(do_a[15]),
          .DOA16(do_a[16]),
          .DOA17(do_a[17]),
          .DIB0 (di_b[0]),
          .DIB1 (di_b[1]),
          .DIB2 (di_b[2]),
          .DIB3 (di_b[3]),
          .DIB4 (di_b[4]),
          .DIB5 (di_b[5]),
          .DIB6 (di_b[6]),
          .DIB7 (di_b[7]),
          .DIB8 (di_b[8]),
          .DIB9 (di_b[9]),
          .DIB10(di_b[10]),
          .DIB11(di_b[11]),
          .DIB12(di_b[12]),
          .DIB13(di_b[13]),
          .DIB14(di_b[14]),
          .DIB15(di_b[15]),
          .DIB16(di_b[16]),
          .DIB17(di_b[17]),
          .ADB0 (ad_b[0]),
          .ADB1 (ad_b[1]),
          .ADB2 (ad_b[2]),
          .ADB3 (ad_b[3]),
          .ADB4 (ad_b[4]),
          .ADB5 (ad_b[5]),
          .ADB6 (ad_b[6]),
          .ADB7 (ad_b[7]),
          .ADB8 (ad_b[8]),
          .ADB9 (ad_b[9]),
          .ADB10(ad_b[10]),
          .ADB11(ad_b[11]),
          .ADB12(ad_b[12]),
          .ADB13(ad_b[13]),
          .DOB0 (do_b[0]),
          .DOB1 (do_b[1]),
          .DOB2 (do_b[2]),
          .DOB3 (do_b[3]),
          .DOB4 (do_b[4]),
          .DOB5 (do_b[5]),
          .DOB6 (do_b[6]),
          .DOB7 (do_b[7]),
          .DOB8 (do_b[8]),
          .DOB9 (do_b[9]),
          .DOB10(do_b[10]),
          .DOB11(do_b[11]),
          .DOB12(do_b[12]),
          .DOB13(do_b[13]),
          .DOB14(do_b[14]),
          .DOB15(do_b[15]),
          .DOB16(do_b[16]),
          .DOB17(do_b[17]),
          .CLKA (clk_i),
          .CLKB (clk_i),
          .CEA  (1'b1),
          .CEB  (OutputRegister || read_enable_i),
          .OCEA (read_q),
          .OCEB (read_q),
          .WEA  (Segment.shape == 0 || write_here),
          .WEB  (1'b0),
          .RSTA (1'b0),
          .RSTB (1'b0),
          .CSA0 (1'b0),
          .CSA1 (1'b0),
          .CSA2 (1'b0),
          .CSB0 (1'b0),
          .CSB1 (1'b0),
          .CSB2 (1'b0)
        );
      end
    end

    // The segment of the data that stand at the outputs.
    if (Plan.segments > 1) begin : gen_select
      logic [SelectWidth-1:0] segment;
      logic [SelectWidth-1:0] select_q;
      always_comb begin
        segment = '0;
        for (int unsigned s = 0; s < Plan.segments; s++) begin
          if (read_here[s]) segment = SelectWidth'(s);
        end
      end
      always_ff @(posedge clk_i) begin
        if (OutputRegister || read_enable_i) select_q <= segment;
      end
      if (OutputRegister) begin : gen_register
        logic [SelectWidth-1:0] select_q2;
`ifdef TP_ECP5_BLACK_BOXES
        for (genvar i = 0; i < SelectWidth; i++) begin : gen_bit
          (* keep *)
          TRELLIS_FF #(
            .GSR("DISABLED"),
            .CEMUX("CE"),
            .CLKMUX("CLK"),
            .LSRMUX("LSR"),
            .REGSET("RESET"),
            .SRMODE("LSR_OVER_CE")
          ) u_select (
            .CLK(clk_i),
            .LSR(1'b0),
            .CE (read_q),
            .DI (select_q[i]),
            .Q  (select_q2[i])
          );
        end
`else
        always_ff @(posedge clk_i) begin
          if (read_q) select_q2 <= select_q;
        end
`endif
        assign select = select_q2;
      end else begin : gen_direct
        assign select = select_q;
      end
    end else begin : gen_one
      logic unused_here;
      assign unused_here = ^read_here;
      assign select = '0;
    end

    assign read_data_o[First+:Bits] = out[select][Bits-1:0];
  end

`else

  // no_rw_check is the "unspecified bits" above, where a proof reads this: without it the tool adds
  // a bypass around the RAM.
  (* ram_style = "block", no_rw_check *)
  logic [Width-1:0] memory[Depth];
  logic [Width-1:0] read_data_q;
  logic [Width-1:0] collision;

  if (Initialised) begin : gen_contents
    initial begin
      for (int unsigned i = 0; i < Depth; i++) memory[i] = Contents[Width*i+:Width];
    end
  end

`ifdef TP_ARMED
  assign collision = {Width{write_enable_i && write_address_i == read_address_i}};
`else
  assign collision = '0;
`endif

  always_ff @(posedge clk_i) begin
    if (write_enable_i) memory[write_address_i] <= write_data_i;
  end

  always_ff @(posedge clk_i) begin
    if (read_enable_i) read_data_q <= memory[read_address_i] ^ collision;
  end

  if (OutputRegister) begin : gen_output_register
    logic [Width-1:0] read_data_q2;
    always_ff @(posedge clk_i) read_data_q2 <= read_data_q;
    assign read_data_o = read_data_q2;
  end else begin : gen_direct
    assign read_data_o = read_data_q;
  end

`endif

endmodule
