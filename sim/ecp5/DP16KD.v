// SPDX-License-Identifier: Apache-2.0
//
// Simulation model of the ECP5 block RAM DP16KD: 16 kbit and parity, two ports.
//
// The bits are 2048 bytes of 9; an address counts bits without parity: AD[13:3] names the byte.
// Widths 1, 2, 4 and 9 take a part of one byte, 18 two bytes; AD0 and AD1 are then byte enables.
// DATA_WIDTH_A = 36 is the wide mode: port A writes {DIB, DIA} with byte enables AD0 .. AD3, port B
// reads into {DOB, DOA}. INITVAL_xx holds 16 words of 18 bits, each in 20 bits.
//
// A word that one port reads while the other writes it is undefined: the model gives the stored
// bits inverted, as tp_ram does. Not modelled: asynchronous reset, the global reset.

module DP16KD #(
  parameter DATA_WIDTH_A = 18,
  parameter DATA_WIDTH_B = 18,
  parameter REGMODE_A = "NOREG",
  parameter REGMODE_B = "NOREG",
  parameter RESETMODE = "SYNC",
  parameter ASYNC_RESET_RELEASE = "SYNC",
  parameter CSDECODE_A = "0b000",
  parameter CSDECODE_B = "0b000",
  parameter WRITEMODE_A = "NORMAL",
  parameter WRITEMODE_B = "NORMAL",
  parameter GSR = "ENABLED",
  parameter INIT_DATA = "STATIC",
  parameter CLKAMUX = "CLKA",
  parameter CLKBMUX = "CLKB",
  parameter WEAMUX = "WEA",
  parameter WEBMUX = "WEB",
  parameter CEAMUX = "CEA",
  parameter CEBMUX = "CEB",
  parameter OCEAMUX = "OCEA",
  parameter OCEBMUX = "OCEB",
  parameter RSTAMUX = "RSTA",
  parameter RSTBMUX = "RSTB",
  parameter [319:0]
    INITVAL_00 = 320'd0, INITVAL_01 = 320'd0, INITVAL_02 = 320'd0, INITVAL_03 = 320'd0,
    INITVAL_04 = 320'd0, INITVAL_05 = 320'd0, INITVAL_06 = 320'd0, INITVAL_07 = 320'd0,
    INITVAL_08 = 320'd0, INITVAL_09 = 320'd0, INITVAL_0A = 320'd0, INITVAL_0B = 320'd0,
    INITVAL_0C = 320'd0, INITVAL_0D = 320'd0, INITVAL_0E = 320'd0, INITVAL_0F = 320'd0,
    INITVAL_10 = 320'd0, INITVAL_11 = 320'd0, INITVAL_12 = 320'd0, INITVAL_13 = 320'd0,
    INITVAL_14 = 320'd0, INITVAL_15 = 320'd0, INITVAL_16 = 320'd0, INITVAL_17 = 320'd0,
    INITVAL_18 = 320'd0, INITVAL_19 = 320'd0, INITVAL_1A = 320'd0, INITVAL_1B = 320'd0,
    INITVAL_1C = 320'd0, INITVAL_1D = 320'd0, INITVAL_1E = 320'd0, INITVAL_1F = 320'd0,
    INITVAL_20 = 320'd0, INITVAL_21 = 320'd0, INITVAL_22 = 320'd0, INITVAL_23 = 320'd0,
    INITVAL_24 = 320'd0, INITVAL_25 = 320'd0, INITVAL_26 = 320'd0, INITVAL_27 = 320'd0,
    INITVAL_28 = 320'd0, INITVAL_29 = 320'd0, INITVAL_2A = 320'd0, INITVAL_2B = 320'd0,
    INITVAL_2C = 320'd0, INITVAL_2D = 320'd0, INITVAL_2E = 320'd0, INITVAL_2F = 320'd0,
    INITVAL_30 = 320'd0, INITVAL_31 = 320'd0, INITVAL_32 = 320'd0, INITVAL_33 = 320'd0,
    INITVAL_34 = 320'd0, INITVAL_35 = 320'd0, INITVAL_36 = 320'd0, INITVAL_37 = 320'd0,
    INITVAL_38 = 320'd0, INITVAL_39 = 320'd0, INITVAL_3A = 320'd0, INITVAL_3B = 320'd0,
    INITVAL_3C = 320'd0, INITVAL_3D = 320'd0, INITVAL_3E = 320'd0, INITVAL_3F = 320'd0
) (
  input
    DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12, DIA13, DIA14,
    DIA15, DIA16, DIA17, ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11,
    ADA12, ADA13, CEA, OCEA, CLKA, WEA, RSTA, CSA0, CSA1, CSA2, DIB0, DIB1, DIB2, DIB3, DIB4, DIB5,
    DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12, DIB13, DIB14, DIB15, DIB16, DIB17, ADB0, ADB1,
    ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12, ADB13, CEB, OCEB, CLKB,
    WEB, RSTB, CSB0, CSB1, CSB2,
  output
    DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13, DOA14,
    DOA15, DOA16, DOA17, DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11,
    DOB12, DOB13, DOB14, DOB15, DOB16, DOB17
);

  localparam [20479:0] INITVALS = {
    INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39, INITVAL_38,
    INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32, INITVAL_31, INITVAL_30,
    INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B, INITVAL_2A, INITVAL_29, INITVAL_28,
    INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24, INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20,
    INITVAL_1F, INITVAL_1E, INITVAL_1D, INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18,
    INITVAL_17, INITVAL_16, INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10,
    INITVAL_0F, INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
    INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00
  };
  wire [17:0] di_a = {
    DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4,
    DIA3, DIA2, DIA1, DIA0
  };
  wire [13:0] ad_a = {
    ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0
  };
  wire [17:0] di_b = {
    DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
    DIB3, DIB2, DIB1, DIB0
  };
  wire [13:0] ad_b = {
    ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0
  };

  localparam WIDE = DATA_WIDTH_A == 36;

  // Bits of an address that are below a word.
  function [3:0] below;
    input integer width;
    below = width == 36 ? 4'd5 : width == 18 ? 4'd4 : width == 9 ? 4'd3 : width == 4 ? 4'd2 :
            width == 2 ? 4'd1 : 4'd0;
  endfunction

  localparam [3:0] BELOW_A = below(DATA_WIDTH_A);
  localparam [3:0] BELOW_B = below(DATA_WIDTH_B);
  localparam [3:0] BELOW = BELOW_A > BELOW_B ? BELOW_A : BELOW_B;

  // The last three characters of CSDECODE are the value of {CS2, CS1, CS0} that selects the block.
  wire [2:0] cs_a = {CSA2, CSA1, CSA0};
  wire [2:0] cs_b = {CSB2, CSB1, CSB0};
  wire [2:0] decode_a = {CSDECODE_A[16], CSDECODE_A[8], CSDECODE_A[0]};
  wire [2:0] decode_b = {CSDECODE_B[16], CSDECODE_B[8], CSDECODE_B[0]};

  wire clk_a = CLKA ^ (CLKAMUX == "INV");
  wire clk_b = CLKB ^ (CLKBMUX == "INV");
  wire ce_a = (CEA ^ (CEAMUX == "INV")) && cs_a == decode_a;
  wire ce_b = (CEB ^ (CEBMUX == "INV")) && cs_b == decode_b;
  wire we_a = WEA ^ (WEAMUX == "INV");
  wire we_b = WEB ^ (WEBMUX == "INV");
  wire oce_a = OCEA ^ (OCEAMUX == "INV");
  wire oce_b = OCEB ^ (OCEBMUX == "INV");
  wire rst_a = RSTA ^ (RSTAMUX == "INV");
  wire rst_b = RSTB ^ (RSTBMUX == "INV");

  reg [8:0] memory[0:2047];

  integer i;
  initial begin
    for (i = 0; i < 2048; i = i + 1)
      memory[i] = INITVALS[320*(i/32)+20*((i/2)%16)+9*(i%2)+:9];
  end

  wire [3:0] enable_a = WIDE ? ad_a[3:0] : DATA_WIDTH_A == 18 ? {2'b00, ad_a[1:0]} : 4'b0001;
  wire [3:0] enable_b = DATA_WIDTH_B == 18 ? {2'b00, ad_b[1:0]} : 4'b0001;
  wire write_a = ce_a && we_a && enable_a != 4'd0;
  wire write_b = ce_b && we_b && enable_b != 4'd0 && !WIDE;
  wire clash = ad_a >> BELOW == ad_b >> BELOW;

  // A byte with the bits of a narrow word replaced.
  function [8:0] merged;
    input integer width;
    input [8:0] old;
    input [2:0] place;
    input [8:0] data;
    reg [8:0] mask;
    begin
      mask = width == 4 ? 9'h00f : width == 2 ? 9'h003 : width == 1 ? 9'h001 : 9'h1ff;
      merged = (old & ~(mask << place)) | ((data & mask) << place);
    end
  endfunction

  // A word of width bits out of the bytes at its place.
  function [35:0] word;
    input integer width;
    input [2:0] place;
    input [35:0] bytes;
    word = width == 36 ? bytes : width == 18 ? {18'd0, bytes[17:0]} :
           width == 9 ? {27'd0, bytes[8:0]} :
           ({27'd0, bytes[8:0]} >> place) & ((36'd1 << width) - 36'd1);
  endfunction

  wire [10:0] row_a = DATA_WIDTH_A == 36 ? {ad_a[13:5], 2'd0} :
                      DATA_WIDTH_A == 18 ? {ad_a[13:4], 1'd0} : ad_a[13:3];
  wire [10:0] row_b = DATA_WIDTH_B == 36 ? {ad_b[13:5], 2'd0} :
                      DATA_WIDTH_B == 18 ? {ad_b[13:4], 1'd0} : ad_b[13:3];
  // Where in its byte a word of 1, 2 or 4 bits starts; wider ones start at 0.
  wire [2:0] place_a = ad_a[2:0] & ~((3'd1 << BELOW_A) - 3'd1);
  wire [2:0] place_b = ad_b[2:0] & ~((3'd1 << BELOW_B) - 3'd1);
  wire [35:0] stored_a = {
    memory[row_a|11'd3], memory[row_a|11'd2], memory[row_a|11'd1], memory[row_a]
  };
  wire [35:0] stored_b = {
    memory[row_b|11'd3], memory[row_b|11'd2], memory[row_b|11'd1], memory[row_b]
  };
  wire [35:0] old_a = word(DATA_WIDTH_A, place_a, stored_a) ^ {36{write_b && clash}};
  wire [35:0] old_b = word(DATA_WIDTH_B, place_b, stored_b) ^ {36{write_a && clash}};

  always @(posedge clk_a) begin
    if (write_a) begin
      if (enable_a[0]) memory[row_a] <= merged(DATA_WIDTH_A, memory[row_a], place_a, di_a[8:0]);
      if (enable_a[1]) memory[row_a|11'd1] <= di_a[17:9];
      if (enable_a[2]) memory[row_a|11'd2] <= di_b[8:0];
      if (enable_a[3]) memory[row_a|11'd3] <= di_b[17:9];
    end
  end
  always @(posedge clk_b) begin
    if (write_b) begin
      if (enable_b[0]) memory[row_b] <= merged(DATA_WIDTH_B, memory[row_b], place_b, di_b[8:0]);
      if (enable_b[1]) memory[row_b|11'd1] <= di_b[17:9];
    end
  end

  // WRITEMODE says what a port reads when it writes.
  reg [17:0] latch_a = 18'd0;
  reg [17:0] out_a = 18'd0;
  reg [35:0] latch_b = 36'd0;
  reg [35:0] out_b = 36'd0;

  always @(posedge clk_a) begin
    if (rst_a) latch_a <= 18'd0;
    else if (ce_a) begin
      if (!we_a || WRITEMODE_A == "READBEFOREWRITE") latch_a <= old_a[17:0];
      else if (WRITEMODE_A == "WRITETHROUGH") latch_a <= di_a;
    end
    if (rst_a) out_a <= 18'd0;
    else if (oce_a) out_a <= latch_a;
  end
  always @(posedge clk_b) begin
    if (rst_b) latch_b <= 36'd0;
    else if (ce_b) begin
      if (!we_b || WIDE || WRITEMODE_B == "READBEFOREWRITE") latch_b <= old_b;
      else if (WRITEMODE_B == "WRITETHROUGH") latch_b <= {18'd0, di_b};
    end
    if (rst_b) out_b <= 36'd0;
    else if (oce_b) out_b <= latch_b;
  end

  wire [35:0] read_b = REGMODE_B == "OUTREG" ? out_b : latch_b;
  wire [17:0] do_a = WIDE ? read_b[17:0] : REGMODE_A == "OUTREG" ? out_a : latch_a;
  wire [17:0] do_b = WIDE && DATA_WIDTH_B == 36 ? read_b[35:18] : read_b[17:0];

  assign {
    DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
    DOA3, DOA2, DOA1, DOA0
  } = do_a;
  assign {
    DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
    DOB3, DOB2, DOB1, DOB0
  } = do_b;

endmodule
