// SPDX-License-Identifier: Apache-2.0
//
// tp_link_pkg: the CRC of the link and the fixed parts of a frame (docs/link.md).

package tp_link_pkg;
  // The CRC register over a frame that ends with its own correct CRC.
  localparam logic [31:0] CrcResidue = 32'hDEBB_20E3;
  localparam logic [31:0] CrcStart = 32'hFFFF_FFFF;

  // Payload bytes of a frame; 9 bits hold 0..256.
  typedef logic [8:0] length_t;

  // CRC-32 of IEEE 802.3, reflected: the register after one more bit, which is in the feedback.
  function automatic logic [31:0] crc32_shift(input logic [31:0] crc, input logic feedback);
    crc32_shift = (crc >> 1) ^ (feedback ? 32'hEDB8_8320 : 32'd0);
  endfunction

  // The register after one more byte.
  function automatic logic [31:0] crc32_byte(input logic [31:0] crc, input logic [7:0] data);
    crc32_byte = crc ^ 32'(data);
    for (int unsigned i = 0; i < 8; i++) begin
      crc32_byte = crc32_shift(crc32_byte, crc32_byte[0]);
    end
  endfunction
endpackage
