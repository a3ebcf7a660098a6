// SPDX-License-Identifier: Apache-2.0

#include "credit.h"

enum { STEPS_MAX = 1 << 14 };  // the device compares 16 bits

bool tp__credit_is_due(const struct tp_credit *credit, uint32_t step, uint32_t step_bytes,
                       uint32_t *limit)
{
    if (credit->bytes == 0) {
        return false;
    }
    uint32_t steps = credit->bytes / step_bytes;
    steps = steps == 0 ? 1 : steps < STEPS_MAX ? steps : STEPS_MAX;
#ifdef TP_PLANT_BUG
    // The planted fault counts from the limit and not from what was heard.
    *limit = (credit->is_limited ? credit->limit : step) + steps;
#else
    *limit = step + steps;
#endif
    // Early enough that the device does not wait, seldom enough that the frames do not count; and
    // when steps have become larger than they were when they were allowed.
    int32_t left = (int32_t)(credit->limit - step);
    bool is_right = left > (int32_t)(steps / 2) && left <= (int32_t)steps;
    return !credit->is_limited || !is_right;
}
