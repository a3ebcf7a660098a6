// SPDX-License-Identifier: Apache-2.0
//
// SVF of a partial stream. The form is one that simple players take too: one command a line, single
// spaces, capitals, no empty lines.

#include "svf.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_BYTES = 1000, FIXED_BYTES = 1024, ROW_TEXT_BYTES = 2 * ROW_BYTES + 32 };

struct text {
    char *data;
    size_t size;
    size_t room;  // computed before: it never ends
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text->data + text->size, text->room - text->size, format, arguments);
    va_end(arguments);
    assert(size >= 0 && (size_t)size < text->room - text->size);
    text->size += (size_t)size;
}

static uint8_t reversed(uint8_t byte)
{
    uint8_t result = 0;
    for (int bit = 0; bit < 8; bit++) {
        result |= (uint8_t)((byte >> bit & 1) << (7 - bit));
    }
    return result;
}

// SVF shifts the lowest bit of the last digit first, the device wants the highest of the first
// byte.
static void add_row(struct text *text, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789ABCDEF";
    add(text, "SDR %zu TDI (", 8 * count);
    for (size_t i = count; i-- > 0;) {
        uint8_t byte = reversed(bytes[i]);
        text->data[text->size++] = digits[byte >> 4];
        text->data[text->size++] = digits[byte & 15];
    }
    add(text, ");\n");
}

static void add_recipe(struct text *text, uint32_t idcode, const struct tp_bytes *stream)
{
    add(text,
        "! Partial bitstream for a design that was built for background reconfiguration.\n"
        "! Unproven on silicon.\n"
        "HDR 0;\nHIR 0;\nTDR 0;\nTIR 0;\nENDDR DRPAUSE;\nENDIR IRPAUSE;\nSTATE IDLE;\n"
        "SIR 8 TDI (E0);\n"  // IDCODE
        "SDR 32 TDI (00000000) TDO (%08" PRIX32 ") MASK (FFFFFFFF);\n"
        "SIR 8 TDI (79);\nRUNTEST IDLE 2 TCK 1.00E-02 SEC;\n"                   // refresh
        "SIR 8 TDI (74);\nSDR 8 TDI (00);\nRUNTEST IDLE 2 TCK 1.00E-02 SEC;\n"  // enable
        "SIR 8 TDI (46);\nSDR 8 TDI (01);\nRUNTEST IDLE 2 TCK 1.00E-02 SEC;\n"  // first address
        "SIR 8 TDI (7A);\nRUNTEST IDLE 2 TCK 1.00E-02 SEC;\n",                  // the stream
        idcode);
    for (size_t i = 0; i < stream->size; i += ROW_BYTES) {
        size_t left = stream->size - i;
        add_row(text, stream->data + i, left < ROW_BYTES ? left : (size_t)ROW_BYTES);
    }
    add(text, "SIR 8 TDI (26);\nRUNTEST IDLE 2 TCK 2.00E-01 SEC;\n"  // disable
              "SIR 8 TDI (FF);\nRUNTEST IDLE 2 TCK 1.00E-03 SEC;\n");
}

tp_status tp__svf_write(uint32_t idcode, const struct tp_bytes *stream, struct tp_bytes *svf,
                        struct tp_error *error)
{
    size_t rows = stream->size / ROW_BYTES + 1;
    struct text text = {.room = FIXED_BYTES + rows * ROW_TEXT_BYTES};
    text.data = malloc(text.room);
    if (text.data == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for SVF");
    }
    add_recipe(&text, idcode, stream);
    *svf = (struct tp_bytes){(uint8_t *)text.data, text.size};
    return TP_OK;
}

bool tp__svf_is_path(const char *path)
{
    size_t size = strlen(path);
    return size >= 4 && strcmp(path + size - 4, ".svf") == 0;
}
