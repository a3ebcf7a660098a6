// SPDX-License-Identifier: Apache-2.0
//
// tp_usb_control: endpoint 0: the requests of USB 2.0 chapter 9 that such a device has, LINK, and
// the Microsoft OS 2.0 descriptors.
//
// In    SETUP packets of tp_usb_packets.
// Out   what an IN or an OUT of endpoint 0 is answered with; address, configuration, halts; pulses
//       for the toggles and the link. A SETUP ends whatever was before.
// Not   takes no data from the host: a request with such data, as every other one that is not
//       known, is answered with STALL.
//
// An answer is some bytes of the descriptors, which lie in the memory of tp_usb_in. What a request
// changes is changed with its SETUP, but for the address, which waits for the acknowledged status.

`include "tp_assert.svh"

module tp_usb_control
  import tp_usb_pkg::*;
(
  input  logic       clk_i,          // 60 MHz
  input  logic       rst_ni,
  input  logic       reset_i,        // early; bus reset
  input  logic       setup_token_i,  // late
  input  logic       setup_write_i,  // late
  input  logic [7:0] setup_data_i,   // early
  input  logic       setup_valid_i,  // late; the eight bytes are a SETUP packet
  input  logic       acked_i,        // late; the host has taken the IN
  output logic       in_o,           // early; an IN gets data, else STALL
  output logic       out_o,          // early; an empty OUT is taken, else STALL
  output logic       toggle_o,       // early; of the data
  output logic [6:0] bytes_o,        // early; of the data
  output logic [8:0] place_o,        // early; of their first one among the descriptors
  output logic [6:0] address_o,      // early
  output logic       configured_o,   // early
  output logic       halt_out_o,     // early
  output logic       halt_in_o,      // early
  output logic       clear_out_o,    // early; toggle to DATA0
  output logic       clear_in_o,     // early
  output logic       link_open_o,    // early; a pulse
  output logic       link_close_o    // early; a pulse, or as long as it has to stay closed
);

  // Behind the descriptors of the package: the serial number's, and answers of a bit.
  localparam int unsigned SerialBytes = 2 + 2 * TP_USB_SERIAL_DIGITS;
  localparam int unsigned SerialOffset = TP_USB_DESCRIPTORS_BYTES;
  localparam int unsigned ZeroOffset = SerialOffset + SerialBytes;
  localparam int unsigned OneOffset = ZeroOffset + 2;

  localparam logic [8:0] MostBytes = 9'(TP_USB_PACKET_BYTES);

  // bRequest, and bmRequestType below it
  localparam logic [15:0] GetStatusDevice = 16'h0080;
  localparam logic [15:0] GetStatusInterface = 16'h0081;
  localparam logic [15:0] GetStatusEndpoint = 16'h0082;
  localparam logic [15:0] ClearFeatureEndpoint = 16'h0102;
  localparam logic [15:0] SetFeatureEndpoint = 16'h0302;
  localparam logic [15:0] SetAddress = 16'h0500;
  localparam logic [15:0] GetDescriptor = 16'h0680;
  localparam logic [15:0] GetConfiguration = 16'h0880;
  localparam logic [15:0] SetConfiguration = 16'h0900;
  localparam logic [15:0] GetInterface = 16'h0A81;
  localparam logic [15:0] SetInterface = 16'h0B01;
  localparam logic [15:0] Link = {8'(TP_USB_REQUEST_LINK), 8'(TP_USB_REQUEST_TYPE_LINK)};
  localparam logic [15:0] Microsoft = {
    8'(TP_USB_REQUEST_MICROSOFT), 8'(TP_USB_REQUEST_TYPE_MICROSOFT)
  };

  typedef enum logic [1:0] {
    StStall,   // no request, or one that is not known
    StData,    // data to the host, then its empty OUT
    StStatus,  // an empty IN ends a request without data
    StAddress  // the same, and then the address counts
  } state_e;

  state_e        state_q;
  logic   [63:0] setup_q;
  logic   [15:0] request;
  logic   [15:0] value;
  logic   [15:0] index;
  logic   [15:0] length;
  logic   [ 8:0] place_q;
  logic   [ 7:0] left_q;  // bytes of the data that the host has not taken
  logic          toggle_q;

  assign request = setup_q[15:0];
  assign value   = setup_q[31:16];
  assign index   = setup_q[47:32];
  assign length  = setup_q[63:48];

  always_ff @(posedge clk_i) begin
    if (setup_write_i) setup_q <= {setup_data_i, setup_q[63:8]};
  end

  // ---- the request ----

  state_e       answer;
  logic   [8:0] place;  // of the data
  logic   [7:0] bytes;
  logic         no_data;  // asks for none
  logic         device;  // wIndex 0, or a language, which does not matter
  logic         interface_there;
  logic         endpoint_out;
  logic         endpoint_in;
  logic         endpoint_zero;
  logic         set_configuration;
  logic         set_interface;
  logic         set_halt;
  logic         clear_halt;
  logic         link;

  assign no_data = length == '0;
  assign interface_there = configured_o && index == 16'(TP_USB_INTERFACE);
  assign endpoint_out = configured_o && index == 16'(TP_USB_ENDPOINT_OUT);
  assign endpoint_in = configured_o && index == 16'(TP_USB_ENDPOINT_IN);
  assign endpoint_zero = {index[15:8], index[6:0]} == '0;
  assign device = index == '0;

  always_comb begin
    answer            = StStall;
    place             = 9'(ZeroOffset);
    bytes             = 8'd2;
    set_configuration = 1'b0;
    set_interface     = 1'b0;
    set_halt          = 1'b0;
    clear_halt        = 1'b0;
    link              = 1'b0;
    unique case (request)
      GetDescriptor: begin
        answer = StData;
        unique case (value)
          {
            8'(TP_USB_DESCRIPTOR_TYPE_DEVICE), 8'd0
          } : begin
            place = 9'(TP_USB_DEVICE_OFFSET);
            bytes = 8'(TP_USB_DEVICE_BYTES);
          end
          {
            8'(TP_USB_DESCRIPTOR_TYPE_CONFIGURATION), 8'd0
          } : begin
            place = 9'(TP_USB_CONFIGURATION_OFFSET);
            bytes = 8'(TP_USB_CONFIGURATION_BYTES);
          end
          {
            8'(TP_USB_DESCRIPTOR_TYPE_BOS), 8'd0
          } : begin
            place = 9'(TP_USB_BOS_OFFSET);
            bytes = 8'(TP_USB_BOS_BYTES);
          end
          {
            8'(TP_USB_DESCRIPTOR_TYPE_STRING), 8'd0
          } : begin
            place = 9'(TP_USB_LANGUAGES_OFFSET);
            bytes = 8'(TP_USB_LANGUAGES_BYTES);
          end
          {
            8'(TP_USB_DESCRIPTOR_TYPE_STRING), 8'(TP_USB_STRING_MANUFACTURER)
          } : begin
            place = 9'(TP_USB_MANUFACTURER_OFFSET);
            bytes = 8'(TP_USB_MANUFACTURER_BYTES);
          end
          {
            8'(TP_USB_DESCRIPTOR_TYPE_STRING), 8'(TP_USB_STRING_PRODUCT)
          } : begin
            place = 9'(TP_USB_PRODUCT_NAME_OFFSET);
            bytes = 8'(TP_USB_PRODUCT_NAME_BYTES);
          end
          {
            8'(TP_USB_DESCRIPTOR_TYPE_STRING), 8'(TP_USB_STRING_SERIAL)
          } : begin
            place = 9'(SerialOffset);
            bytes = 8'(SerialBytes);
          end
          default: answer = StStall;
        endcase
      end
      Microsoft: begin
        if (index == 16'(TP_USB_INDEX_MICROSOFT)) answer = StData;
        place = 9'(TP_USB_MICROSOFT_OFFSET);
        bytes = 8'(TP_USB_MICROSOFT_BYTES);
      end
      GetStatusDevice: if (device) answer = StData;
      GetStatusInterface: if (interface_there) answer = StData;
      GetStatusEndpoint: begin
        if (endpoint_zero || endpoint_out || endpoint_in) answer = StData;
        if (endpoint_out ? halt_out_o : endpoint_in && halt_in_o) place = 9'(OneOffset);
      end
      GetConfiguration: begin
        if (device) answer = StData;
        if (configured_o) place = 9'(OneOffset);
        bytes = 8'd1;
      end
      GetInterface: begin
        if (interface_there) answer = StData;
        bytes = 8'd1;
      end
      SetAddress: if (device && no_data && value[15:7] == '0) answer = StAddress;
      SetConfiguration: begin
        set_configuration = device && no_data && value <= 16'(TP_USB_CONFIGURATION);
        if (set_configuration) answer = StStatus;
      end
      SetInterface: begin
        set_interface = interface_there && no_data && value == '0;
        if (set_interface) answer = StStatus;
      end
      SetFeatureEndpoint: begin
        set_halt = (endpoint_out || endpoint_in) && no_data && value == '0;
        if (set_halt) answer = StStatus;
      end
      ClearFeatureEndpoint: begin
        clear_halt = (endpoint_out || endpoint_in) && no_data && value == '0;
        if (clear_halt) answer = StStatus;
      end
      Link: begin
        link = interface_there && no_data && value <= 16'(TP_USB_LINK_OPEN);
        if (link) answer = StStatus;
      end
      default: ;
    endcase
  end

  // ---- what it changes ----

  always_ff @(posedge clk_i) begin
    if (!rst_ni || reset_i) begin
      state_q      <= StStall;
      address_o    <= '0;
      configured_o <= 1'b0;
      halt_out_o   <= 1'b0;
      halt_in_o    <= 1'b0;
      clear_out_o  <= 1'b0;
      clear_in_o   <= 1'b0;
      link_open_o  <= 1'b0;
      link_close_o <= 1'b1;
    end else begin
      clear_out_o  <= 1'b0;
      clear_in_o   <= 1'b0;
      link_open_o  <= 1'b0;
      link_close_o <= 1'b0;
      if (setup_token_i) state_q <= StStall;
      if (setup_valid_i) begin
        state_q <= answer;
        if (set_configuration) configured_o <= value[0];
        if (set_configuration || set_interface || (clear_halt && !index[7])) begin
          halt_out_o  <= 1'b0;
          clear_out_o <= 1'b1;
        end
        if (set_configuration || set_interface || (clear_halt && index[7])) begin
          halt_in_o  <= 1'b0;
          clear_in_o <= 1'b1;
        end
        if (set_halt && !index[7]) halt_out_o <= 1'b1;
        if (set_halt && index[7]) halt_in_o <= 1'b1;
        link_open_o  <= link && value[0] == 1'(TP_USB_LINK_OPEN);
        link_close_o <= set_configuration || (link && value[0] == 1'(TP_USB_LINK_CLOSE));
      end
      if (acked_i && state_q == StAddress) address_o <= value[6:0];
    end
  end

  // ---- the data ----

  assign in_o     = state_q != StStall;
  assign out_o    = state_q == StData;
  assign toggle_o = toggle_q;
  assign place_o  = place_q;
  // At the end an IN gets an empty packet, which a host asks for when the last one was full.
  assign bytes_o  = 9'(left_q) > MostBytes ? MostBytes[6:0] : left_q[6:0];

  always_ff @(posedge clk_i) begin
    if (setup_valid_i) begin
      toggle_q <= 1'b1;
      place_q  <= place;
      if (answer != StData) left_q <= '0;
      else left_q <= length[15:8] == '0 && length[7:0] < bytes ? length[7:0] : bytes;
    end else if (acked_i && state_q == StData) begin
      toggle_q <= !toggle_q;
      place_q  <= place_q + 9'(bytes_o);
      left_q   <= left_q - 8'(bytes_o);
    end
  end

  `TP_REQUIRE(OneOffset + 2 <= 512)
  `TP_ASSERT(Data_A, !in_o || place_q + 9'(left_q) <= 9'(OneOffset + 2))
  `TP_ASSERT(StatusIsEmpty_A, !in_o || out_o || (left_q == '0 && toggle_q))
  `TP_ASSERT(Halts_A, configured_o || !(halt_out_o || halt_in_o))
  `TP_COVER(Address_C, state_q == StAddress && acked_i)

endmodule
