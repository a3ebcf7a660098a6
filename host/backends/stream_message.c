// SPDX-License-Identifier: Apache-2.0
//
// Configuration streams and their answers as bytes of a connection.

#include "stream_message.h"

#include <stdlib.h>
#include <string.h>

#include "descriptor.h"
#include "frame.h"

static bool send_all(int descriptor, const void *bytes, size_t size)
{
    return tp__descriptor_write_all(descriptor, bytes, size, TP_MESSAGE_PATIENCE_MS);
}

static bool take_all(int descriptor, void *bytes, size_t size)
{
    return tp__descriptor_read_all(descriptor, bytes, size, TP_MESSAGE_PATIENCE_MS);
}

bool tp__message_send(int descriptor, const uint8_t *bytes, size_t size, const char *name)
{
    uint8_t head[TP_MESSAGE_HEAD_BYTES] = TP_MESSAGE_MAGIC;
    size_t name_bytes = strlen(name) <= TP_MESSAGE_NAME_BYTES ? strlen(name) : 0;
    tp__put32(head + 4, (uint32_t)name_bytes);
    tp__put32(head + 8, (uint32_t)size);
    return send_all(descriptor, head, sizeof head) && send_all(descriptor, name, name_bytes) &&
           send_all(descriptor, bytes, size);
}

bool tp__message_take(int descriptor, struct tp_stream_message *message)
{
    uint8_t head[TP_MESSAGE_HEAD_BYTES];
    *message = (struct tp_stream_message){.bytes = NULL};
    if (!take_all(descriptor, head, sizeof head) || memcmp(head, TP_MESSAGE_MAGIC, 4) != 0) {
        return false;
    }
    uint32_t name_bytes = tp__get32(head + 4);
    message->size = tp__get32(head + 8);
    if (name_bytes > TP_MESSAGE_NAME_BYTES || message->size > TP_MESSAGE_STREAM_BYTES) {
        return false;
    }
    message->bytes = malloc((size_t)message->size + 1);
    if (message->bytes != NULL && take_all(descriptor, message->name, name_bytes) &&
        take_all(descriptor, message->bytes, message->size)) {
        return true;
    }
    tp__message_free(message);
    return false;
}

void tp__message_free(struct tp_stream_message *message)
{
    free(message->bytes);
    message->bytes = NULL;
}

bool tp__answer_send(int descriptor, const struct tp_stream_answer *answer)
{
    uint8_t head[TP_MESSAGE_ANSWER_BYTES];
    size_t text = answer->status != TP_OK ? strlen(answer->text) : 0;
    tp__put32(head, (uint32_t)answer->status);
    tp__put32(head + 4, answer->fault);
    tp__put32(head + 8, answer->block_rams);
    tp__put32(head + 12, (uint32_t)text);
    return send_all(descriptor, head, sizeof head) && send_all(descriptor, answer->text, text);
}

static bool is_status(tp_status status)
{
#define KNOWN(name, value, text)                                                                   \
    case name:                                                                                     \
        return true;
    switch (status) {
        TP_STATUS_LIST(KNOWN)
    }
#undef KNOWN
    return false;
}

// The device may first end a step.
bool tp__answer_take(int descriptor, struct tp_stream_answer *answer)
{
    uint8_t head[TP_MESSAGE_ANSWER_BYTES];
    *answer = (struct tp_stream_answer){.status = TP_OK};
    if (!take_all(descriptor, head, sizeof head)) {
        return false;
    }
    answer->status = (tp_status)(int32_t)tp__get32(head);
    answer->fault = tp__get32(head + 4);
    answer->block_rams = tp__get32(head + 8);
    uint32_t text = tp__get32(head + 12);
    if (!is_status(answer->status) || text >= TP_ERROR_TEXT_BYTES ||
        !take_all(descriptor, answer->text, text)) {
        return false;
    }
    return answer->status == TP_OK || answer->text[0] != 0;
}
