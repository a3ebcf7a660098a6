// SPDX-License-Identifier: Apache-2.0
//
// A back end between the library and another one that damages the bytes on their way, always in
// the same way: by edits at given places, or at random by a seed.
//
// There is one link in a test program. Silence costs no time: an exchange that moves nothing means
// that the device does nothing more, and the back end's patience is the shortest that there is.

#ifndef TP_TEST_FAULTY_LINK_H
#define TP_TEST_FAULTY_LINK_H

#include "backend.h"

enum tp_way { TP_TO_DEVICE, TP_TO_HOST, TP_WAYS };

enum { TP_EDITS_MAX = 4, TP_EDIT_BYTES_MAX = 300, TP_CAPTURE_MAX = 1 << 17 };

/** What happens at one place of one way, counted in bytes since the last start. */
struct tp_edit {
    enum tp_way way;
    size_t at;
    uint8_t flip;   // bits of the byte there
    size_t remove;  // so many bytes from there on never arrive
    size_t again;   // so many bytes before it arrive once more
    size_t hold;    // so many bytes from there on (at most TP_EDIT_BYTES_MAX) arrive behind
    size_t until;   // so many bytes that follow them
    size_t insert;  // so many others arrive before it
    uint8_t bytes[TP_EDIT_BYTES_MAX];
};

/** What passes, as the sender sent it. */
struct tp_capture {
    uint8_t bytes[TP_CAPTURE_MAX];
    size_t count;
};

/** In front of the emulator and of simulated devices; names are those of these. The persistent one
 *  keeps its device when it is closed and opened again, until tp_test_link_end. */
extern const struct tp_backend tp_test_faulty_emulator;
extern const struct tp_backend tp_test_faulty_sim;
extern const struct tp_backend tp_test_faulty_persistent;

/** Forgets all faults and begins to count anew. */
void tp_test_link_start(void);

/** One more edit. */
void tp_test_link_edit(const struct tp_edit *edit);

/** From now on one byte in `one_in` of each way is flipped, taken away, doubled, or gets another
 *  before it; 0: none. */
void tp_test_link_random(uint64_t seed, uint32_t one_in);

/** From now on nothing passes this way. */
void tp_test_link_mute(enum tp_way way);

/** From now on the host hears only noise, and that for ever. */
void tp_test_link_noise(uint64_t seed);

/** From now on exchanges fail, as when the cable is pulled out. */
void tp_test_link_unplug(void);

/** What passed since the start. Only while no exchange is under way. */
const struct tp_capture *tp_test_link_captured(enum tp_way way);

/** Ends the device behind the persistent back end. */
void tp_test_link_end(void);

#endif
