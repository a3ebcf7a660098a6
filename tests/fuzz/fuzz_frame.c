// SPDX-License-Identifier: Apache-2.0
//
// Any bytes on the link: what comes out of the decoder is an intact frame, which encodes to the
// same bytes again; a whole frame behind any rubbish is found.

#include "frame.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tp_frame known = {.type = TP_FRAME_HELLO, .sequence = 7};
    struct tp_frame_decoder decoder = {.count = 0};
    struct tp_frame frame;
    uint8_t bytes[TP_FRAME_BYTES_MAX];
    for (size_t i = 0; i < size; i++) {
        if (tp__frame_decode(&decoder, data[i], &frame)) {
            size_t count = tp__frame_encode(&frame, bytes);
            FUZZ_REQUIRE(count <= i + 1 && memcmp(bytes, data + i + 1 - count, count) == 0);
        }
    }
    // An unfinished frame ends after at most this many zeros (docs/link.md).
    for (size_t i = 0; i < TP_FRAME_BYTES_MAX; i++) {
        (void)tp__frame_decode(&decoder, 0, &frame);
    }
    size_t count = tp__frame_encode(&known, bytes);
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        found = tp__frame_decode(&decoder, bytes[i], &frame);
    }
    FUZZ_REQUIRE(found && frame.type == known.type && frame.sequence == known.sequence);
    return 0;
}
