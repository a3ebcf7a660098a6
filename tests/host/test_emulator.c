// SPDX-License-Identifier: Apache-2.0
//
// Claims about the emulator behind the frames of docs/link.md: it answers every intact frame once
// and in order, with the documented status; a repeated frame is not executed again; a run ends for
// each of the documented reasons, with its events in order; random bytes, broken frames, frames of
// random contents and damaged programs never crash it, and it answers HELLO afterwards.
//
// With a model of random weights on the configuration small. Not covered: time-outs of the host.

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"
#include "check_main.h"
#include "compile.h"
#include "frame.h"
#include "internal.h"
#include "memory_image.h"
#include "model_files.h"
#include "random.h"

enum {
    VOCAB = 240,
    SLOTS = 4,
    POSITIONS = 64,
    VOCAB_MAX = 512,
    QUEUE_MAX = 4096,
    HEARD_MAX = 4096,
    SYNC_BYTES = 265,
    FORMATS_MAX = 16  // matrices of the model
};

// What the device sent since the last request.
static struct tp_frame heard[HEARD_MAX];
static size_t heard_count;

static void *device;
static struct tp_frame_decoder decoder;
static uint8_t sequence;
static struct tp_memory_image *image;
static struct tp_error error;

// ---- talking ----

// Sends the bytes and listens until the device has nothing more to do.
static void talk(const uint8_t *bytes, size_t count)
{
    size_t at = 0;
    heard_count = 0;
    for (;;) {
        uint8_t in[512];
        size_t taken = 0;
        size_t got = 0;
        ck_assert_int_eq(tp__backend_emulator.exchange(device, bytes + at, count - at, &taken, in,
                                                       sizeof in, &got, &error),
                         TP_OK);
        at += taken;
        for (size_t i = 0; i < got; i++) {
            // A run that the fuzzer started may say more than is kept.
            if (tp__frame_decode(&decoder, in[i], &heard[heard_count])) {
                heard_count += heard_count + 1 < HEARD_MAX ? 1 : 0;
            }
        }
        ck_assert_uint_eq(decoder.bad, 0);
        if (at == count && got == 0) return;
    }
}

static void send_frame(uint8_t type, const uint8_t *payload, size_t length)
{
    struct tp_frame frame = {.type = type, .sequence = sequence, .length = (uint16_t)length};
    uint8_t bytes[TP_FRAME_BYTES_MAX];
    if (length != 0) memcpy(frame.payload, payload, length);
    talk(bytes, tp__frame_encode(&frame, bytes));
}

// The one answer among what was heard, which must have the sequence of the request.
static const struct tp_frame *answer(void)
{
    const struct tp_frame *found = NULL;
    for (size_t i = 0; i < heard_count; i++) {
        if (heard[i].type < TP_FRAME_TOKEN) {
            ck_assert_ptr_null(found);
            found = &heard[i];
        }
    }
    ck_assert_ptr_nonnull(found);
    ck_assert_uint_eq(found->sequence, sequence);
    return found;
}

// Sends a frame that is answered by ACK and returns the status.
static unsigned ask(uint8_t type, const uint8_t *payload, size_t length)
{
    sequence++;
    send_frame(type, payload, length);
    const struct tp_frame *ack = answer();
    ck_assert_uint_eq(ack->type, TP_FRAME_ACK);
    ck_assert_uint_eq(ack->length, 4);
    ck_assert_uint_eq(ack->payload[0], type);
    return ack->payload[1];
}

static const struct tp_frame *ask_for(uint8_t type, uint8_t reply_type, uint16_t reply_length)
{
    sequence++;
    send_frame(type, NULL, 0);
    const struct tp_frame *reply = answer();
    ck_assert_uint_eq(reply->type, reply_type);
    ck_assert_uint_eq(reply->length, reply_length);
    return reply;
}

static void answers_hello(void)
{
    const uint8_t zeros[SYNC_BYTES] = {0};
    talk(zeros, sizeof zeros);
    const struct tp_frame *reply = ask_for(TP_FRAME_HELLO, TP_FRAME_HELLO_REPLY, 40);
    ck_assert_uint_eq(tp__get16(reply->payload), TP_PROTOCOL_VERSION);
    ck_assert_uint_eq(reply->payload[3], SLOTS);
}

// ---- requests ----

static unsigned write_words(uint32_t space, uint32_t address, const uint32_t *words, size_t count)
{
    uint8_t p[TP_PAYLOAD_MAX] = {(uint8_t)space};
    tp__put32(p + 4, address);
    for (size_t i = 0; i < count; i++) tp__put32(p + 8 + 4 * i, words[i]);
    return ask(TP_FRAME_WRITE, p, 8 + 4 * count);
}

struct slot_fields {
    uint8_t slot;
    uint8_t flags;
    uint8_t top_k;
    uint8_t stop_count;
    uint32_t temperature;
    uint16_t context;
    uint16_t position;
    uint16_t stop;
    uint16_t penalty;  // factor of logits that are not positive; the other one is its inverse
    uint16_t cut;
    uint8_t candidates;
    uint8_t stride;
    uint32_t gap;
};

static unsigned open_slot(const struct slot_fields *f)
{
    uint8_t p[TP_SLOT_BYTES] = {f->slot, f->flags, f->top_k, f->stop_count};
    tp__put32(p + 4, f->temperature);
    tp__put16(p + 16, f->context);
    tp__put16(p + 18, f->position);
    tp__put16(p + 20, f->stop);
    tp__put16(p + 36, (uint16_t)(f->penalty == 0 ? 0u : 1048576u / f->penalty));
    tp__put16(p + 38, f->penalty);
    tp__put16(p + 40, f->cut);
    p[42] = f->candidates;
    p[43] = f->stride;
    tp__put32(p + 44, f->gap);
    return ask(TP_FRAME_SLOT, p, sizeof p);
}

static unsigned open_plain(uint8_t slot)
{
    const struct slot_fields fields = {.slot = slot, .context = 16};
    return open_slot(&fields);
}

static unsigned feed(uint8_t slot, uint16_t token, size_t count)
{
    uint8_t p[TP_PAYLOAD_MAX] = {slot};
    for (size_t i = 0; i < count; i++) tp__put16(p + 2 + 2 * i, token);
    return ask(TP_FRAME_FEED, p, 2 + 2 * count);
}

static unsigned send_recent(uint8_t slot, const uint16_t *tokens, size_t count)
{
    uint8_t p[TP_PAYLOAD_MAX] = {slot};
    for (size_t i = 0; i < count; i++) tp__put16(p + 2 + 2 * i, tokens[i]);
    return ask(TP_FRAME_RECENT, p, 2 + 2 * count);
}

static unsigned run(uint8_t slot, bool hold, uint32_t count)
{
    uint8_t p[8] = {slot, hold ? 1 : 0};
    tp__put32(p + 4, count);
    return ask(TP_FRAME_RUN, p, sizeof p);
}

static unsigned cancel(uint8_t slot)
{
    const uint8_t p[4] = {slot};
    return ask(TP_FRAME_CANCEL, p, sizeof p);
}

// ---- a device with a program ----

static tp_status write_image(void *user, uint32_t space, uint32_t address, const uint32_t *words,
                             size_t count, struct tp_error *own_error)
{
    (void)user;
    (void)own_error;
    for (size_t i = 0; i < count; i += 62) {
        size_t part = count - i < 62 ? count - i : 62;
        ck_assert_uint_eq(write_words(space, address + (uint32_t)i, words + i, part), TP_ACK_OK);
    }
    return TP_OK;
}

static void setup(void)
{
    static const struct tp_limits limits = {2,         SLOTS, 1024, 512, 64, 128, 192, VOCAB_MAX,
                                            POSITIONS, 64,    256,  256, 2,  1,   7,   2};
    const struct tp_test_model made = {32, 64, 2, 4, 2, VOCAB, POSITIONS, false, 7};
    const struct tp_load_options load = {.format = TP_FORMAT_Q8, .sessions = SLOTS};
    const tp_context context = {.progress = NULL};
    struct tp_test_bytes file = {NULL, 0, 0};
    struct tp_source_model model;
    char path[512];
    tp_test_write_llama2c(&made, 0, &file);
    tp_test_write_file(&file, path, sizeof path);
    ck_assert_int_eq(tp__source_model_load(path, &model, &error), TP_OK);
    tp_format formats[FORMATS_MAX];
    struct tp_quantised_model quantised;
    ck_assert_uint_le(tp__matrix_count(&model.shape), FORMATS_MAX);
    ck_assert_int_eq(tp__choose_formats(&model.shape, load.format, NULL, 0, formats, &error),
                     TP_OK);
    ck_assert_int_eq(tp__quantise_model(&context, &model, formats, NULL, NULL, &quantised, &error),
                     TP_OK);
    ck_assert_msg(tp__compile(&quantised, &load, &limits, &image, &error) == TP_OK, "%s",
                  error.text);
    tp__quantised_model_free(&quantised);
    tp__source_model_free(&model);
    tp_test_bytes_free(&file);
    (void)unlink(path);
    ck_assert_int_eq(tp__backend_emulator.open("small", "", &device, &error), TP_OK);
    ck_assert_int_eq(tp__memory_image_write(image, write_image, NULL, &error), TP_OK);
}

static void teardown(void)
{
    tp__backend_emulator.close(device);
    tp__memory_image_free(image);
}

// ---- statuses ----

START_TEST(frames_of_wrong_type_or_length_are_refused)
{
    static const struct {
        uint8_t type;
        uint8_t length;
        uint8_t status;
    } cases[] = {
        {0x00, 0, TP_ACK_TYPE},
        {0x55, 4, TP_ACK_TYPE},
        {TP_FRAME_ACK, 4, TP_ACK_TYPE},
        {TP_FRAME_TOKEN, 8, TP_ACK_TYPE},
        {0xff, 255, TP_ACK_TYPE},
        {TP_FRAME_HELLO, 1, TP_ACK_LENGTH},
        {TP_FRAME_STATISTICS, 4, TP_ACK_LENGTH},
        {TP_FRAME_WRITE, 0, TP_ACK_LENGTH},
        {TP_FRAME_WRITE, 8, TP_ACK_LENGTH},
        {TP_FRAME_WRITE, 14, TP_ACK_LENGTH},
        {TP_FRAME_SLOT, 36, TP_ACK_LENGTH},
        {TP_FRAME_SLOT, 49, TP_ACK_LENGTH},
        {TP_FRAME_RECENT, 2, TP_ACK_LENGTH},
        {TP_FRAME_RECENT, 5, TP_ACK_LENGTH},
        {TP_FRAME_RECENT, 130, TP_ACK_LENGTH},
        {TP_FRAME_FEED, 2, TP_ACK_LENGTH},
        {TP_FRAME_FEED, 5, TP_ACK_LENGTH},
        {TP_FRAME_RUN, 7, TP_ACK_LENGTH},
        {TP_FRAME_RUN, 9, TP_ACK_LENGTH},
        {TP_FRAME_CANCEL, 3, TP_ACK_LENGTH},
        {TP_FRAME_CANCEL, 8, TP_ACK_LENGTH},
        {TP_FRAME_READ, 4, TP_ACK_LENGTH},
        {TP_FRAME_READ, 12, TP_ACK_LENGTH},
        {TP_FRAME_SECTIONS, 0, TP_ACK_LENGTH},
        {TP_FRAME_CREDIT, 8, TP_ACK_LENGTH},
        {TP_FRAME_SECTIONS, 8, TP_ACK_LENGTH},
    };
    const uint8_t zeros[TP_PAYLOAD_MAX] = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(ask(cases[i].type, zeros, cases[i].length) == cases[i].status,
                      "type %02x, length %u", cases[i].type, cases[i].length);
    }
    answers_hello();
}
END_TEST

START_TEST(every_space_ends_where_documented)
{
    static const struct {
        uint32_t space;
        uint32_t last;
    } spaces[] = {
        {TP_SPACE_WEIGHT, 1023 * 64 + 8}, {TP_SPACE_PROGRAM, 63 * 8 + 5},
        {TP_SPACE_GAIN, 256 * 2 - 1},     {TP_SPACE_BIAS, 256 * 2 - 1},
        {TP_SPACE_CENTRE, 256 * 2 - 1},   {TP_SPACE_FREQUENCY, 63},
        {TP_SPACE_CODEBOOK, 2 * 16 - 1},  {TP_SPACE_PAGE_TABLE, SLOTS * 4096 - 1},
        {TP_SPACE_REGISTER, 3},
    };
    const uint32_t words[62] = {0};
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        uint32_t space = spaces[i].space;
        uint32_t last = spaces[i].last;
        ck_assert_uint_eq(write_words(space, last, words, 1), TP_ACK_OK);
        ck_assert_uint_eq(write_words(space, last + 1, words, 1), TP_ACK_RANGE);
        ck_assert_uint_eq(write_words(space, last, words, 2), TP_ACK_RANGE);
        ck_assert_uint_eq(write_words(space, UINT32_MAX, words, 62), TP_ACK_RANGE);
    }
    // The last words that fit, and one more; and addresses that no word has.
    ck_assert_uint_eq(write_words(TP_SPACE_WEIGHT, 1017 * 64 + 1, words, 62), TP_ACK_OK);
    ck_assert_uint_eq(write_words(TP_SPACE_WEIGHT, 1017 * 64 + 2, words, 62), TP_ACK_RANGE);
    ck_assert_uint_eq(write_words(TP_SPACE_PROGRAM, 53 * 8 + 4, words, 62), TP_ACK_OK);
    ck_assert_uint_eq(write_words(TP_SPACE_PROGRAM, 53 * 8 + 5, words, 62), TP_ACK_RANGE);
    ck_assert_uint_eq(write_words(TP_SPACE_WEIGHT, 9, words, 1), TP_ACK_RANGE);
    ck_assert_uint_eq(write_words(TP_SPACE_WEIGHT, 63, words, 2), TP_ACK_RANGE);
    ck_assert_uint_eq(write_words(TP_SPACE_PROGRAM, 6, words, 2), TP_ACK_RANGE);
    ck_assert_uint_eq(write_words(TP_SPACE_PROGRAM, 7, words, 1), TP_ACK_RANGE);
    for (uint32_t space = 0; space < 256; space++) {
        bool known = false;
        for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
            known = known || spaces[i].space == space;
        }
        if (!known) ck_assert_uint_eq(write_words(space, 0, words, 1), TP_ACK_RANGE);
    }
}
END_TEST

static unsigned ask_read(uint32_t space, uint32_t flags, uint32_t count, uint32_t address)
{
    uint8_t p[8] = {(uint8_t)space, (uint8_t)flags};
    tp__put16(p + 2, (uint16_t)count);
    tp__put32(p + 4, address);
    sequence++;
    send_frame(TP_FRAME_READ, p, sizeof p);
    return answer()->type == TP_FRAME_ACK ? answer()->payload[1] : TP_ACK_OK;
}

// Holes between the words of a beat and of an instruction are passed over.
START_TEST(words_are_read_as_they_were_written)
{
    uint32_t words[62];
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    tp_random_words(&random, words, 62);
    words[0] &= 0xffff;  // scales of two groups
    ck_assert_uint_eq(write_words(TP_SPACE_WEIGHT, 640, words, 9), TP_ACK_OK);
    ck_assert_uint_eq(write_words(TP_SPACE_PROGRAM, 8, words + 9, 6), TP_ACK_OK);
    ck_assert_uint_eq(write_words(TP_SPACE_PROGRAM, 16, words + 15, 6), TP_ACK_OK);
    ck_assert_uint_eq(write_words(TP_SPACE_GAIN, 0, words, 62), TP_ACK_OK);
    ck_assert_uint_eq(ask_read(TP_SPACE_WEIGHT, 0, 9, 640 - 10), TP_ACK_RANGE);
    ck_assert_uint_eq(ask_read(TP_SPACE_WEIGHT, 0, 9, 640), TP_ACK_OK);
    ck_assert_uint_eq(answer()->type, TP_FRAME_READ_REPLY);
    ck_assert_uint_eq(answer()->length, 36);
    for (size_t i = 0; i < 9; i++) {
        ck_assert_uint_eq(tp__get32(answer()->payload + 4 * i), words[i]);
    }
    ck_assert_uint_eq(ask_read(TP_SPACE_PROGRAM, 0, 7, 8 + 2), TP_ACK_OK);
    ck_assert_uint_eq(answer()->length, 28);
    for (size_t i = 0; i < 7; i++) {
        ck_assert_uint_eq(tp__get32(answer()->payload + 4 * i), words[11 + i]);
    }
    ck_assert_uint_eq(ask_read(TP_SPACE_GAIN, 0xff, 62, 0), TP_ACK_OK);
    ck_assert_uint_eq(answer()->length, 4);
    uint8_t bytes[4 * 62];
    for (size_t i = 0; i < 62; i++) tp__put32(bytes + 4 * i, words[i]);
    ck_assert_uint_eq(tp__get32(answer()->payload), tp__crc32(bytes, sizeof bytes));
}
END_TEST

START_TEST(reads_end_where_documented)
{
    static const struct {
        uint32_t space;
        uint32_t size;
        uint32_t last;  // address of the last word
    } spaces[] = {
        {TP_SPACE_WEIGHT, 1024 * 64, 1023 * 64 + 8},
        {TP_SPACE_PROGRAM, 64 * 8, 63 * 8 + 5},
        {TP_SPACE_GAIN, 512, 511},
        {TP_SPACE_BIAS, 512, 511},
        {TP_SPACE_CENTRE, 512, 511},
        {TP_SPACE_FREQUENCY, 64, 63},
    };
    for (uint32_t flags = 0; flags < 2; flags++) {
        for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
            uint32_t space = spaces[i].space;
            uint32_t last = spaces[i].last;
            ck_assert_uint_eq(ask_read(space, flags, 1, last), TP_ACK_OK);
            ck_assert_uint_eq(ask_read(space, flags, 2, last), TP_ACK_RANGE);
            ck_assert_uint_eq(ask_read(space, flags, 64, 0), TP_ACK_OK);
            ck_assert_uint_eq(ask_read(space, flags, 0, 0), TP_ACK_RANGE);
            ck_assert_uint_eq(ask_read(space, flags, 1, spaces[i].size), TP_ACK_RANGE);
            ck_assert_uint_eq(ask_read(space, flags, 1, UINT32_MAX), TP_ACK_RANGE);
            ck_assert_uint_eq(ask_read(space, flags, 65535, 0), TP_ACK_RANGE);
        }
        for (uint32_t space = TP_SPACE_CODEBOOK; space < 256; space++) {
            ck_assert_uint_eq(ask_read(space, flags, 1, 0), TP_ACK_RANGE);
        }
        ck_assert_uint_eq(ask_read(TP_SPACE_GAIN, flags, 65, 0), flags ? TP_ACK_OK : TP_ACK_RANGE);
    }
}
END_TEST

START_TEST(slot_fields_have_limits_and_a_refused_slot_is_closed)
{
    static const struct slot_fields bad[] = {
        {.top_k = 65, .context = 16},
        {.stop_count = 9, .context = 16},
        {.temperature = 1u << 20, .context = 16},
        {.context = 0},
        {.context = POSITIONS + 1},
        {.context = 16, .position = 16},
        {.context = 16, .penalty = 200},
        {.context = 16, .penalty = 4096},
        {.context = 16, .candidates = 65},
        {.context = 16, .gap = 1u << 24},
        {.context = 16, .stride = 9},
        {.context = 16, .stride = 255},
    };
    static const struct slot_fields good[] = {
        {.top_k = 64, .context = 1, .temperature = (1u << 20) - 1, .stop_count = 8},
        {.slot = SLOTS - 1, .context = POSITIONS, .position = POSITIONS - 1, .flags = 1},
        {.context = 1, .penalty = 4095, .cut = 65535, .candidates = 64, .gap = (1u << 24) - 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_uint_eq(open_plain(0), TP_ACK_OK);
        ck_assert_uint_eq(feed(0, 1, 1), TP_ACK_OK);
        ck_assert_msg(open_slot(&bad[i]) == TP_ACK_RANGE, "case %zu", i);
        ck_assert_uint_eq(feed(0, 1, 1), TP_ACK_RANGE);
        ck_assert_uint_eq(run(0, false, 1), TP_ACK_RANGE);
    }
    static const struct slot_fields strides[] = {{.context = 1, .stride = 8}, {.context = 1}};
    for (size_t i = 0; i < sizeof strides / sizeof *strides; i++) {
        ck_assert_uint_eq(open_slot(&strides[i]), TP_ACK_OK);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ck_assert_msg(open_slot(&good[i]) == TP_ACK_OK, "case %zu", i);
    }
    ck_assert_uint_eq(open_plain(SLOTS), TP_ACK_RANGE);
    ck_assert_uint_eq(open_plain(255), TP_ACK_RANGE);
}
END_TEST

START_TEST(feed_run_and_cancel_check_slot_token_and_queue)
{
    ck_assert_uint_eq(feed(SLOTS, 1, 1), TP_ACK_RANGE);
    ck_assert_uint_eq(run(SLOTS, false, 1), TP_ACK_RANGE);
    ck_assert_uint_eq(cancel(SLOTS), TP_ACK_RANGE);
    ck_assert_uint_eq(cancel(0), TP_ACK_OK);
    ck_assert_uint_eq(feed(0, 1, 1), TP_ACK_RANGE);
    ck_assert_uint_eq(open_plain(0), TP_ACK_OK);
    ck_assert_uint_eq(run(0, false, 1), TP_ACK_RANGE);
    ck_assert_uint_eq(feed(0, VOCAB_MAX, 1), TP_ACK_RANGE);
    ck_assert_uint_eq(feed(0, VOCAB_MAX - 1, 1), TP_ACK_OK);
    ck_assert_uint_eq(open_plain(0), TP_ACK_OK);
    for (size_t i = 0; i < QUEUE_MAX / 64; i++) ck_assert_uint_eq(feed(0, 1, 64), TP_ACK_OK);
    ck_assert_uint_eq(feed(0, 1, 1), TP_ACK_FULL);
}
END_TEST

START_TEST(a_running_slot_is_busy)
{
    const uint32_t word = 0;
    ck_assert_uint_eq(open_plain(1), TP_ACK_OK);
    ck_assert_uint_eq(feed(1, 1, 1), TP_ACK_OK);
    ck_assert_uint_eq(run(1, true, 4), TP_ACK_OK);
    ck_assert_uint_eq(open_plain(1), TP_ACK_BUSY);
    ck_assert_uint_eq(feed(1, 1, 1), TP_ACK_BUSY);
    ck_assert_uint_eq(run(1, false, 4), TP_ACK_BUSY);
    ck_assert_uint_eq(write_words(TP_SPACE_WEIGHT, 0, &word, 1), TP_ACK_BUSY);
    ck_assert_uint_eq(ask_read(TP_SPACE_GAIN, 0, 1, 0), TP_ACK_BUSY);
    ck_assert_uint_eq(ask_read(TP_SPACE_GAIN, 0, 0, 0), TP_ACK_RANGE);
    ck_assert_uint_eq(write_words(TP_SPACE_PAGE_TABLE, 8192, &word, 1), TP_ACK_OK);
    ck_assert_uint_eq(open_plain(2), TP_ACK_OK);
    answers_hello();
}
END_TEST

static size_t count_heard(uint8_t type)
{
    size_t count = 0;
    for (size_t i = 0; i < heard_count; i++) count += heard[i].type == type ? 1 : 0;
    return count;
}

static unsigned give_credit(bool limited, uint16_t limit)
{
    uint8_t p[4] = {limited ? 1 : 0};
    tp__put16(p + 2, limit);
    return ask(TP_FRAME_CREDIT, p, sizeof p);
}

START_TEST(steps_begin_up_to_the_number_of_a_credit)
{
    ck_assert_uint_eq(open_plain(1), TP_ACK_OK);
    ck_assert_uint_eq(feed(1, 1, 12), TP_ACK_OK);
    ck_assert_uint_eq(give_credit(true, 3), TP_ACK_OK);
    ck_assert_uint_eq(run(1, false, 0), TP_ACK_OK);
    ck_assert_uint_eq(count_heard(TP_FRAME_STEP), 3);
    ck_assert(!tp__backend_emulator.has_work(device));
    ck_assert_uint_eq(give_credit(true, 3), TP_ACK_OK);
    ck_assert_uint_eq(count_heard(TP_FRAME_STEP), 0);
    ck_assert_uint_eq(give_credit(true, 0x8003), TP_ACK_OK);
    ck_assert_uint_eq(count_heard(TP_FRAME_STEP), 0);
    ck_assert_uint_eq(give_credit(true, 5), TP_ACK_OK);
    ck_assert_uint_eq(count_heard(TP_FRAME_STEP), 2);
    // A run ends without credit.
    if (_i == 0) {
        ck_assert_uint_eq(cancel(1), TP_ACK_OK);
        ck_assert_uint_eq(count_heard(TP_FRAME_DONE), 1);
        return;
    }
    if (_i == 1) {
        answers_hello();
    } else {
        ck_assert_uint_eq(give_credit(false, 0), TP_ACK_OK);
    }
    ck_assert_uint_eq(count_heard(TP_FRAME_STEP), 7);
}
END_TEST

// ---- repetitions and broken frames ----

START_TEST(a_repeated_frame_is_answered_and_not_executed)
{
    const uint8_t one_token[4] = {0, 0, 1, 0};
    // A READ is always executed.
    const uint8_t read[8] = {TP_SPACE_GAIN, 0, 1};
    for (int i = 0; i < 3; i++) {
        send_frame(TP_FRAME_READ, read, sizeof read);
        ck_assert_uint_eq(answer()->type, TP_FRAME_READ_REPLY);
    }
    ck_assert_uint_eq(open_plain(0), TP_ACK_OK);
    ck_assert_uint_eq(ask(TP_FRAME_FEED, one_token, 4), TP_ACK_OK);
    for (int i = 0; i < 3; i++) {
        send_frame(TP_FRAME_FEED, one_token, 4);
        ck_assert_uint_eq(answer()->payload[1], TP_ACK_OK);
    }
    ck_assert_uint_eq(run(0, false, 0), TP_ACK_OK);
    ck_assert_uint_eq(count_heard(TP_FRAME_STEP), 1);
    // A bad status is repeated too.
    ck_assert_uint_eq(feed(0, VOCAB_MAX, 1), TP_ACK_RANGE);
    send_frame(TP_FRAME_FEED, one_token, 4);
    ck_assert_uint_eq(answer()->payload[1], TP_ACK_RANGE);
    // Behind any other frame it is no repetition, though it has the same sequence.
    static const uint8_t between[] = {TP_FRAME_HELLO, TP_FRAME_STATISTICS, TP_FRAME_SECTIONS};
    for (size_t i = 0; i < sizeof between; i++) {
        send_frame(TP_FRAME_FEED, one_token, 4);
        send_frame(between[i], one_token, between[i] == TP_FRAME_SECTIONS ? 4 : 0);
        send_frame(TP_FRAME_FEED, one_token, 4);
        ck_assert_uint_eq(answer()->payload[1], TP_ACK_OK);
    }
    ck_assert_uint_eq(run(0, false, 0), TP_ACK_OK);
    ck_assert_uint_eq(count_heard(TP_FRAME_STEP), 3);
}
END_TEST

START_TEST(broken_frames_are_counted_and_not_answered)
{
    const struct tp_frame frame = {.type = TP_FRAME_CANCEL, .length = 4};
    uint8_t bytes[TP_FRAME_BYTES_MAX];
    size_t count = tp__frame_encode(&frame, bytes);
    uint32_t broken = 0;
    for (size_t i = 0; i < count; i++) {
        // Other markers and lengths change where a frame ends: tests/host/test_frame.c.
        if (i == 0 || i == 3 || i == 4) continue;
        bytes[i] ^= 0x10;
        talk(bytes, count);
        ck_assert_uint_eq(heard_count, 0);
        bytes[i] ^= 0x10;
        broken++;
    }
    const struct tp_frame *reply = ask_for(TP_FRAME_STATISTICS, TP_FRAME_STATISTICS_REPLY, 56);
    ck_assert_uint_eq(tp__get32(reply->payload + 48), broken);
}
END_TEST

// ---- runs ----

// Events have consecutive numbers; the last one is DONE of this slot with this reason.
static void ends_with(uint8_t slot, uint8_t reason, uint16_t position)
{
    const struct tp_frame *last = &heard[heard_count - 1];
    const struct tp_frame *before = NULL;
    for (size_t i = 0; i < heard_count; i++) {
        if (heard[i].type < TP_FRAME_TOKEN) continue;
        if (before != NULL) {
            ck_assert_uint_eq(heard[i].sequence, (uint8_t)(before->sequence + 1));
        }
        before = &heard[i];
    }
    ck_assert_uint_eq(last->type, TP_FRAME_DONE);
    ck_assert_uint_eq(last->payload[0], slot);
    ck_assert_uint_eq(last->payload[1], reason);
    ck_assert_uint_eq(tp__get16(last->payload + 2), position);
}

START_TEST(runs_end_for_every_documented_reason)
{
    ck_assert_uint_eq(open_plain(0), TP_ACK_OK);
    ck_assert_uint_eq(feed(0, 5, 3), TP_ACK_OK);
    ck_assert_uint_eq(run(0, false, 0), TP_ACK_OK);
    ends_with(0, TP_REASON_FED, 3);
    ck_assert_uint_eq(count_heard(TP_FRAME_TOKEN), 0);
    ck_assert_uint_eq(count_heard(TP_FRAME_STEP), 3);

    ck_assert_uint_eq(feed(0, 5, 1), TP_ACK_OK);
    ck_assert_uint_eq(run(0, false, 2), TP_ACK_OK);
    ends_with(0, TP_REASON_LIMIT, 5);
    ck_assert_uint_eq(count_heard(TP_FRAME_TOKEN), 2);

    uint16_t sampled = 0;
    ck_assert_uint_eq(feed(0, 5, 1), TP_ACK_OK);
    ck_assert_uint_eq(run(0, false, 1000), TP_ACK_OK);
    ends_with(0, TP_REASON_CONTEXT, 16);
    for (size_t i = heard_count; i-- > 0;) {
        if (heard[i].type == TP_FRAME_TOKEN) sampled = tp__get16(heard[i].payload + 2);
    }
    ck_assert_uint_lt(sampled, VOCAB);
    ck_assert_uint_eq(feed(0, 5, 1), TP_ACK_OK);
    ck_assert_uint_eq(run(0, false, 1), TP_ACK_RANGE);  // the context is full

    // The same history again, but its next token is a stop token.
    const struct slot_fields stopped = {
        .context = 16, .position = 5, .stop_count = 1, .stop = sampled};
    ck_assert_uint_eq(open_slot(&stopped), TP_ACK_OK);
    ck_assert_uint_eq(feed(0, 5, 1), TP_ACK_OK);
    ck_assert_uint_eq(run(0, false, 1000), TP_ACK_OK);
    ends_with(0, TP_REASON_STOP, 6);

    // A held run takes part in no step: when it is cancelled it ends at once.
    ck_assert_uint_eq(open_plain(0), TP_ACK_OK);
    ck_assert_uint_eq(feed(0, 5, 1), TP_ACK_OK);
    ck_assert_uint_eq(run(0, true, 1000), TP_ACK_OK);
    ck_assert_uint_eq(cancel(0), TP_ACK_OK);
    ends_with(0, TP_REASON_CANCEL, 0);
    ck_assert_uint_eq(count_heard(TP_FRAME_STEP), 0);
    // Held until the next run begins: both take part in its first step.
    ck_assert_uint_eq(feed(0, 5, 1), TP_ACK_OK);
    ck_assert_uint_eq(run(0, true, 1), TP_ACK_OK);
    ck_assert_uint_eq(open_plain(3), TP_ACK_OK);
    ck_assert_uint_eq(feed(3, 5, 1), TP_ACK_OK);
    ck_assert_uint_eq(run(3, false, 4), TP_ACK_OK);
    ends_with(3, TP_REASON_LIMIT, 4);
    ck_assert_uint_eq(count_heard(TP_FRAME_DONE), 2);
    ck_assert_uint_eq(count_heard(TP_FRAME_STEP), 4);
    for (size_t i = 0, step = 0; i < heard_count; i++) {
        if (heard[i].type == TP_FRAME_STEP) {
            ck_assert_uint_eq(heard[i].payload[8], step++ == 0 ? 9 : 8);
        }
    }
}
END_TEST

START_TEST(logits_come_in_order_before_the_step)
{
    const struct slot_fields fields = {.slot = 2, .flags = 1, .context = 16};
    ck_assert_uint_eq(open_slot(&fields), TP_ACK_OK);
    ck_assert_uint_eq(feed(2, 5, 2), TP_ACK_OK);
    ck_assert_uint_eq(run(2, false, 0), TP_ACK_OK);
    ends_with(2, TP_REASON_FED, 2);
    uint32_t next = 0;
    for (size_t i = 0; i < heard_count; i++) {
        if (heard[i].type == TP_FRAME_LOGITS) {
            ck_assert_uint_eq(tp__get32(heard[i].payload + 4), next);
            next += tp__get16(heard[i].payload + 2);
            ck_assert_uint_eq(heard[i].length, 8u + 4u * tp__get16(heard[i].payload + 2));
        } else if (heard[i].type == TP_FRAME_STEP) {
            ck_assert_uint_eq(next, VOCAB);
            next = 0;
        }
    }
    ck_assert_uint_eq(count_heard(TP_FRAME_STEP), 2);
}
END_TEST

// ---- strides ----

// Logits that were heard, frame by frame, of the last step of each slot that sent them.
static uint32_t logits_heard(uint8_t slot, int32_t logits[VOCAB_MAX])
{
    uint32_t count = 0;
    for (size_t i = 0; i < heard_count; i++) {
        const uint8_t *p = heard[i].payload;
        if (heard[i].type != TP_FRAME_LOGITS || p[0] != slot) continue;
        count = tp__get32(p + 4);
        for (uint32_t k = 0; k < tp__get16(p + 2); k++) {
            logits[count++] = (int32_t)tp__get32(p + 8 + 4 * (size_t)k);
        }
    }
    return count;
}

START_TEST(a_stride_moves_a_slot_on_and_ends_at_the_context)
{
    static const struct {
        uint8_t stride;
        uint16_t context, position, next;
        uint32_t steps;
    } cases[] = {
        {0, 16, 13, 16, 3},
        {1, 16, 13, 16, 3},
        {4, 16, 3, 19, 4},
        {4, 16, 4, 16, 3},
        {3, 16, 14, 17, 1},
        {8, POSITIONS, 0, POSITIONS, 8},
        {8, POSITIONS, POSITIONS - 1, POSITIONS + 7, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct slot_fields fields = {
            .context = cases[i].context, .position = cases[i].position, .stride = cases[i].stride};
        ck_assert_uint_eq(open_slot(&fields), TP_ACK_OK);
        ck_assert_uint_eq(feed(0, 5, 1), TP_ACK_OK);
        ck_assert_uint_eq(run(0, false, 1000), TP_ACK_OK);
        ends_with(0, TP_REASON_CONTEXT, cases[i].next);
        ck_assert_uint_eq(count_heard(TP_FRAME_STEP), cases[i].steps);
        uint32_t stride = cases[i].stride == 0 ? 1 : cases[i].stride;
        uint32_t position = cases[i].position;
        for (size_t k = 0; k < heard_count; k++) {
            if (heard[k].type == TP_FRAME_TOKEN) {
                ck_assert_uint_eq(tp__get16(heard[k].payload + 4), position);
            } else if (heard[k].type == TP_FRAME_STEP) {
                ck_assert_uint_eq(tp__get16(heard[k].payload + 12), position);
                position += stride;
            }
        }
        ck_assert_uint_eq(feed(0, 5, 1), TP_ACK_OK);
        ck_assert_uint_eq(run(0, false, 1), TP_ACK_RANGE);
    }
}
END_TEST

// What one slot does alone, several slots with one page table do together, each with every nth
// token of the history: the logits behind the last token are the same.
START_TEST(slots_with_one_page_table_share_a_history)
{
    uint16_t history[41];
    int32_t alone[VOCAB_MAX];
    int32_t together[VOCAB_MAX];
    struct tp_random random;
    uint32_t pages[POSITIONS / 16] = {7, 2, 5, 0};
    tp_random_init(&random, tp_test_seed(_i), 0);
    uint32_t count = 30 + tp_random_below(&random, 12);
    for (uint32_t i = 0; i < count; i++) history[i] = (uint16_t)tp_random_below(&random, VOCAB);
    for (uint32_t s = 0; s < SLOTS; s++) {
        ck_assert_uint_eq(write_words(TP_SPACE_PAGE_TABLE, 4096 * s, pages, POSITIONS / 16),
                          TP_ACK_OK);
    }
    struct slot_fields fields = {.context = POSITIONS};
    ck_assert_uint_eq(open_slot(&fields), TP_ACK_OK);
    for (uint32_t i = 0; i + 1 < count; i++) ck_assert_uint_eq(feed(0, history[i], 1), TP_ACK_OK);
    ck_assert_uint_eq(run(0, false, 0), TP_ACK_OK);
    fields.flags = 1;
    fields.position = (uint16_t)(count - 1);
    ck_assert_uint_eq(open_slot(&fields), TP_ACK_OK);
    ck_assert_uint_eq(feed(0, history[count - 1], 1), TP_ACK_OK);
    ck_assert_uint_eq(run(0, false, 0), TP_ACK_OK);
    ck_assert_uint_eq(logits_heard(0, alone), VOCAB);

    // Again, behind other numbers in the same pages.
    fields.flags = 0;
    fields.position = 0;
    ck_assert_uint_eq(open_slot(&fields), TP_ACK_OK);
    for (uint32_t i = 0; i < count; i++) ck_assert_uint_eq(feed(0, 1, 1), TP_ACK_OK);
    ck_assert_uint_eq(run(0, false, 0), TP_ACK_OK);
    uint8_t last = (uint8_t)((count - 1) % SLOTS);
    for (uint8_t s = 0; s < SLOTS; s++) {
        fields.slot = s;
        fields.position = s;
        fields.flags = s == last ? 1 : 0;
        fields.stride = SLOTS;
        ck_assert_uint_eq(open_slot(&fields), TP_ACK_OK);
        for (uint32_t i = s; i < count; i += SLOTS) {
            ck_assert_uint_eq(feed(s, history[i], 1), TP_ACK_OK);
        }
        ck_assert_uint_eq(run(s, s + 1 < SLOTS, 0), TP_ACK_OK);
    }
    ck_assert_uint_eq(count_heard(TP_FRAME_STEP), (count + SLOTS - 1) / SLOTS);
    ck_assert_uint_eq(logits_heard(last, together), VOCAB);
    ck_assert_mem_eq(alone, together, VOCAB * sizeof *alone);
}
END_TEST

// ---- sampling ----

// Tokens of the TOKEN events, in their order.
static uint32_t tokens_heard(uint16_t tokens[SLOTS * POSITIONS])
{
    uint32_t count = 0;
    for (size_t i = 0; i < heard_count; i++) {
        if (heard[i].type == TP_FRAME_TOKEN) tokens[count++] = tp__get16(heard[i].payload + 2);
    }
    return count;
}

START_TEST(candidates_come_before_their_token)
{
    const struct slot_fields fields = {.slot = 1, .context = 16, .candidates = 40};
    ck_assert_uint_eq(open_slot(&fields), TP_ACK_OK);
    ck_assert_uint_eq(feed(1, 5, 2), TP_ACK_OK);
    ck_assert_uint_eq(run(1, false, 3), TP_ACK_OK);
    ends_with(1, TP_REASON_LIMIT, 4);
    uint32_t next = 0;
    uint16_t first = 0;
    int32_t last_key = INT32_MAX;
    for (size_t i = 0; i < heard_count; i++) {
        const uint8_t *p = heard[i].payload;
        if (heard[i].type == TP_FRAME_CANDIDATES) {
            ck_assert_uint_eq(p[0], 1);
            ck_assert_uint_eq(p[1], next);
            uint32_t count = (heard[i].length - 16u) / 8u;
            ck_assert_uint_eq(count, next == 0 ? 30 : 10);
            ck_assert_uint_ne(tp__get64(p + 8), 0);
            first = next == 0 ? tp__get16(p + 16) : first;
            for (uint32_t k = 0; k < count; k++) {
                int32_t key = (int32_t)tp__get32(p + 20 + 8 * (size_t)k);
                ck_assert_int_le(key, last_key);
                if (next + k == 0) ck_assert_int_eq(key, (int32_t)tp__get32(p + 4));
                last_key = key;
            }
            next += count;
        } else if (heard[i].type == TP_FRAME_TOKEN) {
            ck_assert_uint_eq(next, 40);
            ck_assert_uint_eq(tp__get16(p + 2), first);  // greedy
            next = 0;
            last_key = INT32_MAX;
        }
    }
    ck_assert_uint_eq(count_heard(TP_FRAME_CANDIDATES), 6);
}
END_TEST

START_TEST(a_penalty_lasts_over_the_opening_of_a_slot)
{
    // One run of 12 tokens, and one that is interrupted and goes on with RECENT.
    struct slot_fields fields = {.context = 40, .penalty = 3000};
    uint16_t whole[SLOTS * POSITIONS];
    uint16_t part[SLOTS * POSITIONS];
    uint16_t history[16] = {5, 6};
    ck_assert_uint_eq(open_slot(&fields), TP_ACK_OK);
    ck_assert_uint_eq(feed(0, 5, 1), TP_ACK_OK);
    ck_assert_uint_eq(feed(0, 6, 1), TP_ACK_OK);
    ck_assert_uint_eq(run(0, false, 12), TP_ACK_OK);
    ck_assert_uint_eq(tokens_heard(whole), 12);
    memcpy(history + 2, whole, 12 * sizeof *whole);
    ck_assert_uint_eq(send_recent(0, history, 14), TP_ACK_RANGE);  // more than were processed
    fields.position = 8;
    ck_assert_uint_eq(open_slot(&fields), TP_ACK_OK);
    ck_assert_uint_eq(send_recent(0, history, 8), TP_ACK_OK);
    ck_assert_uint_eq(feed(0, history[8], 1), TP_ACK_OK);
    ck_assert_uint_eq(run(0, false, 5), TP_ACK_OK);
    ck_assert_uint_eq(tokens_heard(part), 5);
    ck_assert_mem_eq(part, whole + 7, 5 * sizeof *part);
    // The penalty matters: no token comes twice in so short a text.
    for (uint32_t i = 0; i < 12; i++) {
        for (uint32_t j = 0; j < i + 2; j++) ck_assert_uint_ne(whole[i], history[j]);
    }
    const uint16_t foreign = VOCAB_MAX;
    ck_assert_uint_eq(send_recent(0, &foreign, 1), TP_ACK_RANGE);
    ck_assert_uint_eq(send_recent(1, history, 1), TP_ACK_RANGE);
    ck_assert_uint_eq(send_recent(SLOTS, history, 1), TP_ACK_RANGE);
}
END_TEST

// ---- fuzzing ----

START_TEST(random_bytes_do_no_harm)
{
    struct tp_random random;
    uint8_t bytes[700];
    tp_random_init(&random, tp_test_seed(_i), 0);
    for (int round = 0; round < 40; round++) {
        size_t count = tp_random_below(&random, sizeof bytes);
        for (size_t i = 0; i < count; i++) {
            // Many markers and small lengths, so that some of it looks like frames.
            uint32_t kind = tp_random_below(&random, 8);
            bytes[i] = kind == 0   ? TP_FRAME_MARKER
                       : kind == 1 ? 0
                                   : (uint8_t)tp_random_u32(&random);
        }
        talk(bytes, count);
    }
    answers_hello();
}
END_TEST

// An intact frame of a known type, whose contents are mostly near what is allowed.
static size_t random_frame(struct tp_random *random, uint8_t bytes[TP_FRAME_BYTES_MAX])
{
    static const uint8_t types[] = {TP_FRAME_HELLO,  TP_FRAME_STATISTICS, TP_FRAME_WRITE,
                                    TP_FRAME_SLOT,   TP_FRAME_SLOT,       TP_FRAME_FEED,
                                    TP_FRAME_FEED,   TP_FRAME_RUN,        TP_FRAME_RUN,
                                    TP_FRAME_CANCEL, TP_FRAME_RECENT};
    static const uint8_t lengths[] = {0, 0, 12, 48, 48, 4, 8, 8, 8, 4, 12};
    uint32_t kind = tp_random_below(random, sizeof types);
    struct tp_frame frame = {.type = types[kind], .length = lengths[kind]};
    if (tp_random_below(random, 8) == 0) {
        frame.length = (uint16_t)tp_random_below(random, TP_PAYLOAD_MAX + 1);
    }
    frame.sequence = (uint8_t)tp_random_u32(random);
    for (size_t i = 0; i < frame.length; i++) {
        bool small = tp_random_below(random, 4) != 0;
        frame.payload[i] = (uint8_t)(small ? tp_random_below(random, 6) : tp_random_u32(random));
    }
    if (frame.type == TP_FRAME_WRITE && tp_random_below(random, 4) != 0) {
        // The program stays, else most runs would be refused.
        frame.payload[0] =
            (uint8_t)(tp_random_below(random, 2) != 0 ? TP_SPACE_PAGE_TABLE : TP_SPACE_REGISTER);
    }
    return tp__frame_encode(&frame, bytes);
}

START_TEST(frames_of_random_contents_do_no_harm)
{
    struct tp_random random;
    uint8_t bytes[TP_FRAME_BYTES_MAX];
    tp_random_init(&random, tp_test_seed(_i), 0);
    for (int round = 0; round < 400; round++) {
        size_t count = random_frame(&random, bytes);
        if (tp_random_below(&random, 8) == 0) {
            bytes[tp_random_below(&random, (uint32_t)count)] ^= (uint8_t)tp_random_u32(&random);
        }
        talk(bytes, count);
    }
    answers_hello();
}
END_TEST

START_TEST(damaged_programs_do_no_harm)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 0);
    unsigned runs = 0;
    for (int round = 0; round < 60; round++) {
        // One to three bits of one instruction, afterwards put right again.
        uint32_t at = tp_random_below(&random, image->program_count);
        const uint32_t *right = image->program + (size_t)at * TP_INSTRUCTION_WORDS;
        uint32_t words[TP_INSTRUCTION_WORDS];
        memcpy(words, right, sizeof words);
        for (uint32_t i = 0; i <= tp_random_below(&random, 3); i++) {
            uint32_t bit = tp_random_below(&random, 32 * TP_INSTRUCTION_WORDS);
            words[bit / 32] ^= 1u << bit % 32;
        }
        ck_assert_uint_eq(write_words(TP_SPACE_PROGRAM, at * 8, words, TP_INSTRUCTION_WORDS),
                          TP_ACK_OK);
        const struct slot_fields fields = {.flags = round % 2 == 0, .context = 40, .position = 30};
        ck_assert_uint_eq(open_slot(&fields), TP_ACK_OK);
        ck_assert_uint_eq(feed(0, (uint16_t)tp_random_below(&random, VOCAB_MAX), 2), TP_ACK_OK);
        runs += run(0, false, 2) == TP_ACK_OK ? 1 : 0;
        ck_assert_uint_eq(write_words(TP_SPACE_PROGRAM, at * 8, right, TP_INSTRUCTION_WORDS),
                          TP_ACK_OK);
    }
    ck_assert_uint_gt(runs, 10);
    answers_hello();
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("emulator");
    TCase *tc = tcase_create("emulator");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, frames_of_wrong_type_or_length_are_refused);
    tcase_add_test(tc, every_space_ends_where_documented);
    tcase_add_loop_test(tc, words_are_read_as_they_were_written, 0, TP_TEST_SEEDS);
    tcase_add_test(tc, reads_end_where_documented);
    tcase_add_test(tc, slot_fields_have_limits_and_a_refused_slot_is_closed);
    tcase_add_test(tc, feed_run_and_cancel_check_slot_token_and_queue);
    tcase_add_test(tc, a_running_slot_is_busy);
    tcase_add_loop_test(tc, steps_begin_up_to_the_number_of_a_credit, 0, 3);
    tcase_add_test(tc, a_repeated_frame_is_answered_and_not_executed);
    tcase_add_test(tc, broken_frames_are_counted_and_not_answered);
    tcase_add_test(tc, runs_end_for_every_documented_reason);
    tcase_add_test(tc, logits_come_in_order_before_the_step);
    tcase_add_test(tc, a_stride_moves_a_slot_on_and_ends_at_the_context);
    tcase_add_loop_test(tc, slots_with_one_page_table_share_a_history, 0, TP_TEST_SEEDS);
    tcase_add_test(tc, candidates_come_before_their_token);
    tcase_add_test(tc, a_penalty_lasts_over_the_opening_of_a_slot);
    tcase_add_loop_test(tc, random_bytes_do_no_harm, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tc, frames_of_random_contents_do_no_harm, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tc, damaged_programs_do_no_harm, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tc);
    return suite;
}
