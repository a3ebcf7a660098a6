// SPDX-License-Identifier: Apache-2.0
//
// Any bytes on a connection of a configuration stream: a server takes the name and the stream that
// they are, or nothing; a program takes an answer that it can tell, or nothing. What was taken is
// sent and taken once more.

#include <sys/socket.h>
#include <unistd.h>

#include "configuration_stream.h"
#include "descriptor.h"
#include "fuzz.h"
#include "stream_message.h"

enum { HERE, THERE, PATIENCE_MS = 1000 };

static void check_message(const int *ends, const uint8_t *data)
{
    struct tp_stream_message message;
    struct tp_stream_message again;
    if (!tp__message_take(ends[THERE], &message)) {
        return;
    }
    const uint8_t *name = data + TP_MESSAGE_HEAD_BYTES;
    size_t name_bytes = strlen(message.name);
    FUZZ_REQUIRE(name_bytes <= TP_MESSAGE_NAME_BYTES);
    FUZZ_REQUIRE(memcmp(message.name, name, name_bytes) == 0);
    FUZZ_REQUIRE(tp__message_send(ends[THERE], message.bytes, message.size, message.name));
    FUZZ_REQUIRE(tp__message_take(ends[HERE], &again));
    FUZZ_REQUIRE(strcmp(again.name, message.name) == 0 && again.size == message.size);
    FUZZ_REQUIRE(memcmp(again.bytes, message.bytes, message.size) == 0);
    tp__message_free(&again);
    tp__message_free(&message);
}

static void check_answer(const int *ends)
{
    struct tp_stream_answer answer;
    struct tp_stream_answer again;
    struct tp_error error = {.status = TP_OK};
    if (!tp__answer_take(ends[THERE], &answer)) {
        return;
    }
    FUZZ_REQUIRE(strlen(tp__stream_fault_name(answer.fault)) != 0);
    if (answer.status != TP_OK) {
        FUZZ_REQUIRE(strcmp(tp_status_name(answer.status), "TP_ERROR_UNKNOWN") != 0);
        fuzz_check(tp__fail(&error, answer.status, "%s", answer.text), &error);
    }
    FUZZ_REQUIRE(tp__answer_send(ends[THERE], &answer));
    FUZZ_REQUIRE(tp__answer_take(ends[HERE], &again));
    FUZZ_REQUIRE(again.status == answer.status && again.fault == answer.fault &&
                 again.block_rams == answer.block_rams);
    FUZZ_REQUIRE(answer.status == TP_OK || strcmp(again.text, answer.text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2];
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    FUZZ_REQUIRE(tp__descriptor_write_all(ends[HERE], data, size, PATIENCE_MS));
    FUZZ_REQUIRE(shutdown(ends[HERE], SHUT_WR) == 0);
    // What begins as a message is none of the other kind.
    if (size != 0 && data[0] == TP_MESSAGE_FIRST) {
        check_message(ends, data);
    } else {
        check_answer(ends);
    }
    (void)close(ends[HERE]);
    (void)close(ends[THERE]);
    return 0;
}
