// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a log of steps: steps whose slots are in order, or an error, nothing else.

#include "fuzz.h"
#include "step_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tp_error error = {.status = TP_OK};
    struct tp_step *steps = NULL;
    size_t count = 0;
    tp_status status = tp__step_log_parse(data, size, "fuzz", &steps, &count, &error);
    fuzz_check(status, &error);
    if (status == TP_OK) {
        FUZZ_REQUIRE(count != 0 && count <= size);
        for (size_t i = 0; i < count; i++) {
            const struct tp_step *step = &steps[i];
            FUZZ_REQUIRE(i == 0 || step->number > steps[i - 1].number);
            FUZZ_REQUIRE(step->active != 0 && step->active < 256);
            FUZZ_REQUIRE(((step->logits | step->list | step->fast) & ~step->active) == 0);
            FUZZ_REQUIRE((step->list & step->fast) == 0);
        }
        free(steps);
    }
    return 0;
}
