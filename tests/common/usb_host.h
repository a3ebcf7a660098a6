// SPDX-License-Identifier: Apache-2.0
//
// A full-speed USB host at the level of D+ and D-, for a simulated device core: NRZI, bit stuffing,
// sums, tokens, toggles, handshakes, frames, control transfers; and what goes wrong on a cable.
//
// The owner supplies one function that lets 1/60 us pass. Time passes in no other way, so an idle
// bus costs nothing. One device, five samples a bit; the host's clock may be off, and its edges may
// jitter. An answer of the device is checked as strictly as a sampling of five allows: the time
// until it, each edge, the end of the packet. Nothing here needs a test program around it.

#ifndef TP_TEST_USB_HOST_H
#define TP_TEST_USB_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "random.h"

enum {
    TP_USB_HOST_SAMPLES = 5,        // of a bit
    TP_USB_HOST_FRAME = 60000,      // samples of a millisecond
    TP_USB_HOST_BYTES_MAX = 1100,   // of a packet that a test can send
    TP_USB_HOST_PACKET_BYTES = 64,  // of a packet of the device
};

/** The lines; bit 0 is D+. Released: the host does not drive. */
enum tp_usb_line {
    TP_USB_LINE_SE0,
    TP_USB_LINE_J,
    TP_USB_LINE_K,
    TP_USB_LINE_SE1,
    TP_USB_LINE_RELEASED
};

/** What a transaction ended with, where it is not a number of bytes. */
enum tp_usb_answer {
    TP_USB_ANSWER_NAK = -1,
    TP_USB_ANSWER_STALL = -2,
    TP_USB_ANSWER_NONE = -3,    // no packet within 18 bit times
    TP_USB_ANSWER_BROKEN = -4,  // a packet that no device may send; text says what is wrong
};

enum tp_usb_pid {
    TP_USB_PID_OUT = 0xE1,
    TP_USB_PID_IN = 0x69,
    TP_USB_PID_SOF = 0xA5,
    TP_USB_PID_SETUP = 0x2D,
    TP_USB_PID_DATA0 = 0xC3,
    TP_USB_PID_DATA1 = 0x4B,
    TP_USB_PID_ACK = 0xD2,
    TP_USB_PID_NAK = 0x5A,
    TP_USB_PID_STALL = 0x1E,
};

/** What a cable does to one packet of the host. Bits are counted from the PID's first one. */
enum tp_usb_spoil {
    TP_USB_SPOIL_NOTHING,
    TP_USB_SPOIL_FLIP,     // bit `place` is the other one
    TP_USB_SPOIL_CUT,      // the packet ends before bit `place`
    TP_USB_SPOIL_SILENCE,  // the same, but without an end: the line falls back to J
    TP_USB_SPOIL_STUFF,    // from bit `place` on, eight bit times without an edge
    TP_USB_SPOIL_DRIBBLE,  // one bit too many, as hubs may add; no error
    TP_USB_SPOIL_SYNC,     // the first `place` bits of the sync are missing; none up to 3
};

struct tp_usb_host {
    enum tp_usb_line (*sample)(void *context, enum tp_usb_line drive);
    void *context;
    // The host's clock: its bits are longer by so many millionths; edges are off by up to
    // jitter/256 of a sample, at random.
    int32_t ppm;
    uint32_t jitter;
    // The device, as the host knows it; the host changes them.
    uint8_t address;
    bool toggle_out[16];
    bool toggle_in[16];
    // Faults of the next packets; each is for one packet and then forgotten.
    enum tp_usb_spoil spoil;  // of the next packet sent, after spoil_after others
    uint32_t spoil_after;
    uint32_t spoil_place;
    bool lose_answer;  // what the device sends next does not arrive
    // What the last packet of the device looked like.
    uint32_t delay;      // samples from the end of the host's packet to it
    const char *broken;  // why it was TP_USB_ANSWER_BROKEN
    // Time.
    uint64_t samples;
    uint64_t frame_sample;  // of the last frame
    uint32_t frame;
    uint64_t edge;  // of the packet that is sent, in fractions of a sample
    uint64_t end;   // of the host's last packet: sample of its J
    struct tp_random random;
};

/** Starts at address 0, with a clock that is right.
 *  owns   nothing; context is passed to sample
 */
void tp_usb_host_init(struct tp_usb_host *host,
                      enum tp_usb_line (*sample)(void *context, enum tp_usb_line drive),
                      void *context, uint64_t seed);

/** Lets samples pass with the lines driven to line. */
void tp_usb_host_hold(struct tp_usb_host *host, enum tp_usb_line line, uint32_t samples);

/** Bus reset of so many samples, then some bit times of rest; forgets address and toggles. */
void tp_usb_host_reset(struct tp_usb_host *host, uint32_t samples);

/** Sends a packet of 1 to TP_USB_HOST_BYTES_MAX bytes, the PID first, sums included. */
void tp_usb_host_send(struct tp_usb_host *host, const uint8_t *bytes, uint32_t count);

/** Receives a packet of the device, PID and sums included.
 *  out    bytes  at most most of them
 *  returns the number of bytes, TP_USB_ANSWER_NONE or TP_USB_ANSWER_BROKEN
 */
int tp_usb_host_receive(struct tp_usb_host *host, uint8_t *bytes, uint32_t most);

/** Sends a token, with a sum, to the device's address. */
void tp_usb_host_token(struct tp_usb_host *host, enum tp_usb_pid pid, uint8_t endpoint);

/** Sends a DATA packet, with a sum. */
void tp_usb_host_data(struct tp_usb_host *host, bool toggle, const uint8_t *data, uint32_t bytes);

/** Waits for a handshake: 0 for ACK, or a tp_usb_answer. */
int tp_usb_host_handshake(struct tp_usb_host *host);

/** Starts the next frame when it is due: at most one of a millisecond. */
void tp_usb_host_frame(struct tp_usb_host *host);

/** One OUT transaction: 0 when it was acknowledged, or a tp_usb_answer. Moves the toggle on. */
int tp_usb_host_out(struct tp_usb_host *host, uint8_t endpoint, const uint8_t *data,
                    uint32_t bytes);

/** One SETUP transaction: likewise, to endpoint 0. */
int tp_usb_host_setup(struct tp_usb_host *host, const uint8_t setup[8]);

/** One IN transaction: the number of bytes, or a tp_usb_answer. A repeated packet (wrong toggle) is
 *  acknowledged and asked for again. With lose_answer, the packet is not acknowledged.
 *  out    data  TP_USB_HOST_PACKET_BYTES of room
 */
int tp_usb_host_in(struct tp_usb_host *host, uint8_t endpoint, uint8_t *data);

/** A control transfer with three tries of each packet and up to 1,000 NAK.
 *  in     setup  its bytes 6 and 7 say how many bytes there are in data
 *  out    data   for a transfer from the device: as many as it gives
 *  returns the number of bytes, or a tp_usb_answer
 */
int tp_usb_host_control(struct tp_usb_host *host, const uint8_t setup[8], uint8_t *data);

/** The eight bytes of a SETUP packet. */
void tp_usb_host_request(uint8_t setup[8], uint8_t type, uint8_t request, uint16_t value,
                         uint16_t index, uint16_t length);

/** The same, and the transfer. */
int tp_usb_host_ask(struct tp_usb_host *host, uint8_t type, uint8_t request, uint16_t value,
                    uint16_t index, uint16_t length, uint8_t *data);

#endif
