/* SPDX-License-Identifier: Apache-2.0
 *
 * Address arithmetic of the paged KV memory.
 */
#include "model.h"

#include <assert.h>

#include "tp_map.h"

uint32_t tp_kv_row(const uint16_t *pages, uint32_t base, uint32_t stride, uint32_t word,
                   uint32_t position)
{
    assert(pages != NULL);
    uint32_t page = pages[position / TP_PAGE];
    return base + word * stride + page * TP_PAGE + position % TP_PAGE;
}
