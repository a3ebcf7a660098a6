// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_usb is the device of tp_usb.def to a full-speed host: every descriptor and
// request; bytes cross both ways without loss, doubling or change, whatever the clocks of host and
// core, the pauses of the streams, and what a cable does to single packets; and that reset,
// suspend, SETUP, halt, babble and noise at any time leave a device that goes on.
//
// The host of usb_host.h draws D+ and D- sample by sample and checks the device's packets as
// strictly as sampling allows. The two clocks have a ratio for each seed; the first one is 1, with
// common edges. Not covered: metastability, levels.
//
// TP_TIME_LIMIT_S: 600

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "dut.h"
#include "random.h"
#include "tp_usb.h"
#include "usb_bench.h"
#include "usb_host.h"

enum {
    RESET_SAMPLES = TP_PARAM_ResetCycles + 20,
    OUT = TP_USB_ENDPOINT_OUT,
    IN = TP_USB_ENDPOINT_IN & 15,
    PACKET = TP_USB_PACKET_BYTES,
    NAK = TP_USB_ANSWER_NAK,
    STALL = TP_USB_ANSWER_STALL,
    NONE = TP_USB_ANSWER_NONE,
    LIMIT = 20000  // transactions of a test
};

// ---- a device in a known state ----

// Each seed has a ratio of the clocks, and a bus of its own: the host's clock is off by up to
// 0.25 %, two edges by up to 18 ns against each other, one of the lines may be late.
static struct tp_usb_bench *bench_open(int i)
{
    static const uint32_t core_khz[] = {60000, 25000, 100000, 137123, 60100, 83333, 8000, 112500};
    static const int32_t ppm[] = {0, 2500, -2500, 1250, -1};
    uint64_t seed = tp_test_seed(i);
    struct tp_usb_bench *b = tp_usb_bench_open(seed, core_khz[(seed - 1) % 8]);
    b->host.ppm = ppm[(seed - 1) % 5];
    b->host.jitter = seed % 2 == 0 ? 140 : 0;
    b->late = (uint32_t)(seed % 3);
    return b;
}

// Waits for the pull-up, as a hub does, and resets.
static void attach(struct tp_usb_bench *b)
{
    for (uint32_t n = 0; !tp_port_get(b->pull_up); n++) {
        if (n > TP_PARAM_AttachCycles + 100) ck_abort_msg("no pull-up");
        tp_usb_bench_wait(b, 1);
    }
    tp_usb_host_reset(&b->host, RESET_SAMPLES);
}

static int ask(struct tp_usb_bench *b, uint32_t type, uint32_t request, uint32_t value,
               uint32_t index, uint32_t length, uint8_t *data)
{
    int answer = tp_usb_host_ask(&b->host, (uint8_t)type, (uint8_t)request, (uint16_t)value,
                                 (uint16_t)index, (uint16_t)length, data);
    ck_assert_msg(answer != TP_USB_ANSWER_BROKEN, "request %x %x %x %x: %s", type, request, value,
                  index, b->host.broken);
    return answer;
}

static int link(struct tp_usb_bench *b, uint32_t value)
{
    return ask(b, TP_USB_REQUEST_TYPE_LINK, TP_USB_REQUEST_LINK, value, TP_USB_INTERFACE, 0, NULL);
}

static void set_address(struct tp_usb_bench *b)
{
    uint8_t address = (uint8_t)(1 + tp_random_below(&b->random, 127));
    ck_assert_int_eq(ask(b, 0x00, 5, address, 0, 0, NULL), 0);
    b->host.address = address;
}

static void configure(struct tp_usb_bench *b)
{
    ck_assert_int_eq(ask(b, 0x00, 9, TP_USB_CONFIGURATION, 0, 0, NULL), 0);
    memset(b->host.toggle_out, 0, sizeof b->host.toggle_out);
    memset(b->host.toggle_in, 0, sizeof b->host.toggle_in);
}

static bool is_open(struct tp_usb_bench *b)
{
    return tp_dut_get(b->dut, "open_o");
}

// Opens the link; a slow core takes some of its cycles to agree.
static void open_link(struct tp_usb_bench *b)
{
    ck_assert_int_eq(link(b, TP_USB_LINK_OPEN), 0);
    tp_usb_bench_wait(b, 200);
    ck_assert(is_open(b));
}

static void enumerate(struct tp_usb_bench *b)
{
    set_address(b);
    configure(b);
    open_link(b);
}

static struct tp_usb_bench *bench_start(int i)
{
    struct tp_usb_bench *b = bench_open(i);
    attach(b);
    enumerate(b);
    return b;
}

static void any_bytes(struct tp_usb_bench *b, uint8_t *bytes, uint32_t count)
{
    // Some runs of ones, for the stuffing.
    for (uint32_t i = 0; i < count; i++) {
        bool ones = tp_random_chance(&b->random, 40);
        bytes[i] = ones ? 0xFF : (uint8_t)tp_random_below(&b->random, 256);
    }
}

// The core has so many bytes to send.
static void supply(struct tp_usb_bench *b, uint32_t count)
{
    ck_assert_uint_le(count, TP_USB_BENCH_BYTES);
    any_bytes(b, b->source.bytes, count);
    b->source.count = count;
    b->source.done = 0;
}

static void same_bytes(const char *what, const uint8_t *expected, const uint8_t *got,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (expected[i] == got[i]) continue;
        ck_abort_msg("%s: byte %u is 0x%02x and not 0x%02x", what, i, got[i], expected[i]);
    }
}

static int sound(struct tp_usb_bench *b, int answer)
{
    ck_assert_msg(answer != TP_USB_ANSWER_BROKEN, "the device sends: %s", b->host.broken);
    return answer;
}

static int bulk_out(struct tp_usb_bench *b, const uint8_t *data, uint32_t bytes)
{
    return sound(b, tp_usb_host_out(&b->host, OUT, data, bytes));
}

static int bulk_in(struct tp_usb_bench *b, uint8_t *data)
{
    return sound(b, tp_usb_host_in(&b->host, IN, data));
}

// ---- requests ----

static void check_descriptor(struct tp_usb_bench *b, uint32_t type, uint32_t request,
                             uint32_t value, uint32_t index, const uint8_t *expected,
                             uint32_t count)
{
    uint8_t got[1024];
    uint32_t lengths[] = {count, 1023, 1, count - 1, 1 + tp_random_below(&b->random, count), 64};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint32_t least = lengths[i] < count ? lengths[i] : count;
        int answer = ask(b, type, request, value, index, lengths[i], got);
        ck_assert_msg(answer == (int)least, "value %x: %d bytes of %u", value, answer, least);
        same_bytes("descriptor", expected, got, least);
    }
}

static void check_all_descriptors(struct tp_usb_bench *b)
{
    uint8_t serial[2 + 2 * TP_USB_SERIAL_DIGITS] = {sizeof serial, TP_USB_DESCRIPTOR_TYPE_STRING};
    char digits[16];
    snprintf(digits, sizeof digits, "%08X", TP_PARAM_Serial);
    for (uint32_t i = 0; i < TP_USB_SERIAL_DIGITS; i++) serial[2 + 2 * i] = (uint8_t)digits[i];
    check_descriptor(b, 0x80, 6, TP_USB_DESCRIPTOR_TYPE_DEVICE << 8, 0, tp_usb_device,
                     sizeof tp_usb_device);
    check_descriptor(b, 0x80, 6, TP_USB_DESCRIPTOR_TYPE_CONFIGURATION << 8, 0, tp_usb_configuration,
                     sizeof tp_usb_configuration);
    check_descriptor(b, 0x80, 6, TP_USB_DESCRIPTOR_TYPE_BOS << 8, 0, tp_usb_bos, sizeof tp_usb_bos);
    check_descriptor(b, 0x80, 6, 0x300, 0, tp_usb_languages, sizeof tp_usb_languages);
    check_descriptor(b, 0x80, 6, 0x300 | TP_USB_STRING_MANUFACTURER, 0x409, tp_usb_manufacturer,
                     sizeof tp_usb_manufacturer);
    check_descriptor(b, 0x80, 6, 0x300 | TP_USB_STRING_PRODUCT, 0x409, tp_usb_product_name,
                     sizeof tp_usb_product_name);
    check_descriptor(b, 0x80, 6, 0x300 | TP_USB_STRING_SERIAL, 0x409, serial, sizeof serial);
    check_descriptor(b, TP_USB_REQUEST_TYPE_MICROSOFT, TP_USB_REQUEST_MICROSOFT, 0,
                     TP_USB_INDEX_MICROSOFT, tp_usb_microsoft, sizeof tp_usb_microsoft);
    // What the descriptors say of each other.
    ck_assert_uint_eq(tp_usb_bos[29] | tp_usb_bos[30] << 8, TP_USB_MICROSOFT_BYTES);
    ck_assert_uint_eq(tp_usb_bos[31], TP_USB_REQUEST_MICROSOFT);
}

static void check_answer(struct tp_usb_bench *b, uint32_t type, uint32_t request, uint32_t index,
                         uint32_t count, uint32_t expected)
{
    uint8_t got[2] = {0, 0};
    ck_assert_int_eq(ask(b, type, request, 0, index, count, got), (int)count);
    ck_assert_uint_eq(got[0] | (uint32_t)got[1] << 8, expected);
}

START_TEST(usb_enumerates_and_shows_every_descriptor)
{
    struct tp_usb_bench *b = bench_open(_i);
    uint8_t first[64];
    attach(b);
    // As hosts begin: eight bytes from address 0, another reset.
    ck_assert_int_eq(ask(b, 0x80, 6, 0x100, 0, 8, first), 8);
    same_bytes("device", tp_usb_device, first, 8);
    tp_usb_host_reset(&b->host, RESET_SAMPLES);
    set_address(b);
    check_all_descriptors(b);
    check_answer(b, 0x80, 8, 0, 1, 0);
    configure(b);
    check_answer(b, 0x80, 8, 0, 1, TP_USB_CONFIGURATION);
    check_answer(b, 0x81, 10, 0, 1, 0);
    check_answer(b, 0x80, 0, 0, 2, 0);
    check_answer(b, 0x81, 0, 0, 2, 0);
    check_answer(b, 0x82, 0, TP_USB_ENDPOINT_IN, 2, 0);
    check_answer(b, 0x82, 0, 0, 2, 0);
    check_answer(b, 0x82, 0, 0x80, 2, 0);
    check_all_descriptors(b);
    // Asked for nothing: no data stage.
    ck_assert_int_eq(ask(b, 0x80, 6, 0x100, 0, 0, NULL), 0);
    tp_usb_bench_close(b);
}
END_TEST

struct request {
    uint32_t type, request, value, index, length;
    const char *name;
};

static void check_refused(struct tp_usb_bench *b, const struct request *r, size_t count)
{
    uint8_t data[64] = {0};
    for (; count-- != 0; r++) {
        int answer = ask(b, r->type, r->request, r->value, r->index, r->length, data);
        ck_assert_msg(answer == STALL, "%s: answer %d", r->name, answer);
        check_answer(b, 0x80, 0, 0, 2, 0);
    }
}

START_TEST(usb_refuses_what_it_does_not_know)
{
    static const struct request always[] = {
        {0x80, 6, 0x600, 0, 10, "device qualifier"},
        {0x80, 6, 0x700, 0, 9, "other speed"},
        {0x80, 6, 0x101, 0, 18, "second device"},
        {0x80, 6, 0x201, 0, 32, "second configuration"},
        {0x80, 6, 0x304, 0, 64, "fourth string"},
        {0x80, 6, 0x3EE, 0, 18, "older Microsoft string"},
        {0x80, 6, 0x400, 0, 9, "an interface alone"},
        {0x81, 6, 0x2200, 0, 64, "HID report"},
        {0x00, 7, 0x100, 0, 18, "set descriptor with data"},
        {0x00, 7, 0x100, 0, 0, "set descriptor"},
        {0x00, 3, 1, 0, 0, "set remote wake-up"},
        {0x00, 1, 1, 0, 0, "clear remote wake-up"},
        {0x00, 3, 2, 0x100, 0, "test mode"},
        {0x00, 9, 2, 0, 0, "set second configuration"},
        {0x00, 5, 128, 0, 0, "set address 128"},
        {0x82, 12, 0, 0x81, 2, "synch frame"},
        {0x02, 3, 0, 0, 0, "halt of endpoint 0"},
        {0x02, 3, 0, 0x82, 0, "halt of another endpoint"},
        {0x02, 3, 1, 0x81, 0, "another feature"},
        {0x01, 11, 1, 0, 0, "second setting"},
        {0x01, 11, 0, 1, 0, "second interface"},
        {0x81, 10, 0, 1, 1, "setting of the second interface"},
        {0x82, 0, 0, 0x82, 2, "status of another endpoint"},
        {0xC0, 0x20, 0, 8, 0, "Microsoft, not the set"},
        {0xC0, 0x21, 0, 7, 64, "another vendor request"},
        {0xC1, 0x20, 0, 7, 64, "Microsoft, to the interface"},
        {0x41, 1, 2, 0, 0, "LINK, another value"},
        {0x41, 1, 1, 1, 0, "LINK, another interface"},
        {0x41, 1, 1, 0, 4, "LINK with data"},
        {0x40, 1, 1, 0, 0, "LINK to the device"},
        {0xC1, 1, 1, 0, 1, "LINK from the device"},
        {0x41, 2, 1, 0, 0, "LINK, another request"},
        {0x21, 9, 0, 0, 0, "a class request"},
    };
    static const struct request unconfigured[] = {
        {0x41, 1, 1, 0, 0, "LINK"},
        {0x81, 0, 0, 0, 2, "status of the interface"},
        {0x82, 0, 0, 0x81, 2, "status of an endpoint"},
        {0x81, 10, 0, 0, 1, "setting"},
        {0x01, 11, 0, 0, 0, "set setting"},
        {0x02, 3, 0, 0x81, 0, "halt"},
        {0x02, 1, 0, 0x01, 0, "clear halt"},
    };
    struct tp_usb_bench *b = bench_open(_i);
    attach(b);
    set_address(b);
    check_refused(b, unconfigured, sizeof unconfigured / sizeof unconfigured[0]);
    check_refused(b, always, sizeof always / sizeof always[0]);
    // Without a configuration there are no endpoints.
    uint8_t packet[PACKET];
    ck_assert_int_eq(bulk_out(b, packet, 0), NONE);
    ck_assert_int_eq(bulk_in(b, packet), NONE);
    configure(b);
    check_refused(b, always, sizeof always / sizeof always[0]);
    ck_assert_int_eq(bulk_in(b, packet), NAK);
    // Back without one.
    ck_assert_int_eq(ask(b, 0x00, 9, 0, 0, 0, NULL), 0);
    check_answer(b, 0x80, 8, 0, 1, 0);
    ck_assert_int_eq(bulk_in(b, packet), NONE);
    tp_usb_bench_close(b);
}
END_TEST

// ---- bulk ----

// What the host sends and what it has received.
struct traffic {
    uint8_t out[TP_USB_BENCH_BYTES];
    uint8_t in[TP_USB_BENCH_BYTES];
    uint32_t out_count;
    uint32_t out_done;
    uint32_t in_done;
    uint32_t packet;  // bytes of the OUT packet that is being tried, if one is
    bool trying;
};

static void traffic_begin(struct tp_usb_bench *b, struct traffic *t, uint32_t count)
{
    any_bytes(b, t->out, count);
    t->out_count = count;
    t->out_done = 0;
    t->in_done = 0;
    t->trying = false;
    supply(b, count);
    b->sink.done = 0;
}

// One transaction of either kind; broken ones are repeated as they were.
static int traffic_step(struct tp_usb_bench *b, struct traffic *t)
{
    int answer;
    if (tp_random_chance(&b->random, 128)) {
        uint32_t left = t->out_count - t->out_done;
        if (!t->trying) {
            bool full = tp_random_chance(&b->random, 160);
            t->packet = full ? PACKET : tp_random_below(&b->random, PACKET + 1);
            if (t->packet > left) t->packet = left;
        }
        answer = bulk_out(b, t->out + t->out_done, t->packet);
        t->trying = answer != 0;
        if (answer == 0) t->out_done += t->packet;
    } else {
        uint8_t packet[PACKET];
        answer = bulk_in(b, packet);
        if (answer > 0) {
            ck_assert_uint_le(t->in_done + (uint32_t)answer, t->out_count);
            memcpy(t->in + t->in_done, packet, (size_t)answer);
            t->in_done += (uint32_t)answer;
        }
    }
    ck_assert_int_ne(answer, STALL);
    return answer;
}

static bool traffic_ends(struct tp_usb_bench *b, const struct traffic *t)
{
    return t->in_done == t->out_count && b->sink.done == t->out_count;
}

// Everything arrived once, and nothing comes behind it.
static void traffic_check(struct tp_usb_bench *b, const struct traffic *t)
{
    uint8_t packet[PACKET];
    ck_assert_uint_eq(b->sink.done, t->out_count);
    same_bytes("to the core", t->out, b->sink.bytes, t->out_count);
    same_bytes("to the host", b->source.bytes, t->in, t->out_count);
    tp_usb_bench_wait(b, 2000);
    int answer = bulk_in(b, packet);
    ck_assert(answer == NAK || answer == 0);
    ck_assert_uint_eq(b->sink.done, t->out_count);
}

static void traffic_run(struct tp_usb_bench *b, struct traffic *t)
{
    for (uint32_t n = 0; !traffic_ends(b, t); n++) {
        ck_assert_uint_lt(n, LIMIT);
        traffic_step(b, t);
    }
    traffic_check(b, t);
}

static uint32_t any_chance(struct tp_usb_bench *b)
{
    static const uint32_t chances[] = {256, 128, 20, 3};
    return chances[tp_random_below(&b->random, 4)];
}

START_TEST(usb_carries_random_bytes_both_ways)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct traffic *t = calloc(1, sizeof *t);
    b->source.chance = any_chance(b);
    b->sink.chance = any_chance(b);
    traffic_begin(b, t, 2500);
    traffic_run(b, t);
    free(t);
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_sends_packets_that_are_full_or_waited_for)
{
    struct tp_usb_bench *b = bench_start(_i);
    uint8_t packet[PACKET];
    // Nothing waits.
    ck_assert_int_eq(bulk_in(b, packet), NAK);
    static const uint32_t counts[] = {1, 63, 64, 65, 127, 128, 150};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        supply(b, counts[i]);
        uint32_t done = 0;
        int answer;
        do {
            // Longer than IdleCycles of the slowest core.
            tp_usb_bench_wait(b, 2000);
            answer = bulk_in(b, packet);
            ck_assert_int_ge(answer, 0);
            uint32_t left = counts[i] - done;
            ck_assert_uint_eq((uint32_t)answer, left < PACKET ? left : PACKET);
            same_bytes("packet", b->source.bytes + done, packet, (uint32_t)answer);
            done += (uint32_t)answer;
        } while (answer == PACKET);
        // A short or empty packet was the end.
        ck_assert_uint_eq(done, counts[i]);
        tp_usb_bench_wait(b, 2000);
        ck_assert_int_eq(bulk_in(b, packet), NAK);
    }
    // Bytes that come without a longer pause wait for each other.
    b->source.chance = 100;
    supply(b, 640);
    for (uint32_t done = 0; done < 640;) {
        int answer = bulk_in(b, packet);
        if (answer == NAK) continue;
        ck_assert_int_eq(answer, PACKET);
        done += PACKET;
    }
    tp_usb_bench_close(b);
}
END_TEST

// What may happen to the packets of one transaction.
static void spoil(struct tp_usb_bench *b)
{
    static const enum tp_usb_spoil kinds[] = {
        TP_USB_SPOIL_FLIP,  TP_USB_SPOIL_FLIP,    TP_USB_SPOIL_CUT, TP_USB_SPOIL_SILENCE,
        TP_USB_SPOIL_STUFF, TP_USB_SPOIL_DRIBBLE, TP_USB_SPOIL_SYNC};
    struct tp_usb_host *host = &b->host;
    host->spoil = kinds[tp_random_below(&b->random, 7)];
    host->spoil_after = tp_random_below(&b->random, 2);
    // The PID, a token or handshake, or a DATA packet.
    static const uint32_t most[] = {8, 24, 540};
    host->spoil_place = tp_random_below(&b->random, most[tp_random_below(&b->random, 3)]);
    if (host->spoil == TP_USB_SPOIL_SYNC) host->spoil_place = tp_random_below(&b->random, 4);
}

START_TEST(usb_survives_broken_packets)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct traffic *t = calloc(1, sizeof *t);
    b->sink.chance = 200;
    traffic_begin(b, t, 2500);
    for (uint32_t n = 0; !traffic_ends(b, t); n++) {
        ck_assert_uint_lt(n, LIMIT);
        if (b->host.spoil == TP_USB_SPOIL_NOTHING && tp_random_chance(&b->random, 128)) spoil(b);
        traffic_step(b, t);
    }
    b->host.spoil = TP_USB_SPOIL_NOTHING;
    traffic_check(b, t);
    free(t);
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_answers_no_broken_packet)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct tp_usb_host *host = &b->host;
    uint8_t packet[PACKET];
    any_bytes(b, packet, sizeof packet);
    // Every bit of a token and of a DATA packet of four bytes.
    for (uint32_t place = 0; place < 24 + 56; place++) {
        host->spoil = _i % 2 == 0 ? TP_USB_SPOIL_FLIP : TP_USB_SPOIL_CUT;
        host->spoil_after = place < 24 ? 0 : 1;
        host->spoil_place = place < 24 ? place : place - 24;
        ck_assert_int_eq(bulk_out(b, packet, 4), NONE);
    }
    ck_assert_uint_eq(b->sink.done, 0);
    ck_assert_int_eq(bulk_out(b, packet, 4), 0);
    tp_usb_bench_wait(b, 500);
    ck_assert_uint_eq(b->sink.done, 4);
    // Harmless ones are answered at once.
    for (uint32_t n = 0; n < 8; n++) {
        host->spoil = n % 2 == 0 ? TP_USB_SPOIL_DRIBBLE : TP_USB_SPOIL_SYNC;
        host->spoil_after = n / 2 % 2;
        host->spoil_place = n / 4 + 2;
        ck_assert_int_eq(bulk_out(b, packet, 4), 0);
        tp_usb_bench_wait(b, 500);
    }
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_neither_loses_nor_doubles_when_acknowledgements_are_lost)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct tp_usb_host *host = &b->host;
    struct traffic *t = calloc(1, sizeof *t);
    traffic_begin(b, t, 2500);
    for (uint32_t n = 0; !traffic_ends(b, t); n++) {
        ck_assert_uint_lt(n, LIMIT);
        host->lose_answer = tp_random_chance(&b->random, 80);
        if (tp_random_chance(&b->random, 80)) {
            // The second packet of an IN is the host's ACK.
            host->spoil = TP_USB_SPOIL_FLIP;
            host->spoil_after = 1;
            host->spoil_place = tp_random_below(&b->random, 8);
        }
        traffic_step(b, t);
        host->lose_answer = false;
        host->spoil = TP_USB_SPOIL_NOTHING;
    }
    traffic_check(b, t);
    free(t);
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_drops_packets_with_the_wrong_toggle)
{
    struct tp_usb_bench *b = bench_start(_i);
    uint8_t packet[PACKET];
    any_bytes(b, packet, sizeof packet);
    for (uint32_t n = 1; n <= 10; n++) {
        ck_assert_int_eq(bulk_out(b, packet, 10), 0);
        for (uint32_t again = tp_random_below(&b->random, 4); again != 0; again--) {
            b->host.toggle_out[OUT] = !b->host.toggle_out[OUT];
            ck_assert_int_eq(bulk_out(b, packet + 10, 10), 0);
        }
        tp_usb_bench_wait(b, 500);
        ck_assert_uint_eq(b->sink.done, 10 * n);
        same_bytes("packet", packet, b->sink.bytes + 10 * (n - 1), 10);
    }
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_answers_nak_while_a_stream_waits)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct traffic *t = calloc(1, sizeof *t);
    uint8_t packet[PACKET];
    b->sink.chance = 0;
    traffic_begin(b, t, 3 * PACKET);
    b->source.count = 0;
    ck_assert_int_eq(bulk_out(b, t->out, PACKET), 0);
    ck_assert_int_eq(bulk_out(b, t->out + PACKET, PACKET), 0);
    for (uint32_t n = 0; n < 100; n++) {
        ck_assert_int_eq(bulk_out(b, t->out + 2 * PACKET, PACKET), NAK);
        ck_assert_int_eq(bulk_in(b, packet), NAK);
    }
    ck_assert_uint_eq(b->sink.done, 0);
    // Control goes on meanwhile.
    check_answer(b, 0x80, 8, 0, 1, 1);
    b->sink.chance = 256;
    t->out_done = 2 * PACKET;
    b->source.count = 3 * PACKET;
    traffic_run(b, t);
    free(t);
    tp_usb_bench_close(b);
}
END_TEST

// ---- the life of a device ----

START_TEST(usb_starts_again_after_a_reset_at_any_place)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct tp_usb_host *host = &b->host;
    struct traffic *t = calloc(1, sizeof *t);
    for (uint32_t n = 0; n < 12; n++) {
        uint8_t packet[PACKET];
        uint8_t address = host->address;
        traffic_begin(b, t, 300);
        for (uint32_t step = tp_random_below(&b->random, 4); step != 0; step--) traffic_step(b, t);
        // Inside a packet of the host, or of the device, or of an answer.
        b->may_collide = true;
        if (n % 2 == 0) {
            host->spoil = TP_USB_SPOIL_SILENCE;
            host->spoil_place = tp_random_below(&b->random, 540);
            tp_usb_host_token(host, TP_USB_PID_OUT, OUT);
            tp_usb_bench_wait(b, 15);
            tp_usb_host_data(host, host->toggle_out[OUT], t->out, PACKET);
            host->spoil = TP_USB_SPOIL_NOTHING;
        } else {
            tp_usb_host_token(host, TP_USB_PID_IN, IN);
            tp_usb_bench_wait(b, tp_random_below(&b->random, 3100));
        }
        // Longer than what the device still sends over it.
        tp_usb_host_reset(host, RESET_SAMPLES + 4000);
        b->may_collide = false;
        ck_assert(!is_open(b));
        host->address = address;
        ck_assert_int_eq(bulk_in(b, packet), NONE);
        host->address = 0;
        ck_assert_int_eq(bulk_in(b, packet), NONE);
        // The old bytes of the core's side are gone with the link.
        b->source.willing = false;
        b->source.count = b->source.done = 0;
        enumerate(b);
        traffic_begin(b, t, 100);
        traffic_run(b, t);
    }
    free(t);
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_does_not_take_a_short_SE0_for_a_reset)
{
    struct tp_usb_bench *b = bench_start(_i);
    // The end of a resume, and just less than a reset; sampling takes two.
    static const uint32_t lengths[] = {1, 2, 3, 10, 80, TP_PARAM_ResetCycles - 3};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        tp_usb_host_hold(&b->host, TP_USB_LINE_SE0, lengths[i]);
        tp_usb_bench_wait(b, 50);
        ck_assert(is_open(b));
        check_answer(b, 0x80, 8, 0, 1, 1);
    }
    tp_usb_host_hold(&b->host, TP_USB_LINE_SE0, TP_PARAM_ResetCycles + 3);
    tp_usb_bench_wait(b, 200);
    ck_assert(!is_open(b));
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_goes_on_after_suspend)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct traffic *t = calloc(1, sizeof *t);
    traffic_begin(b, t, 500);
    for (int n = 0; n < 3; n++) {
        for (int step = 0; step < 4; step++) traffic_step(b, t);
        ck_assert(!tp_dut_get(b->dut, "suspended_o"));
        tp_usb_bench_wait(b, TP_PARAM_SuspendCycles + 100);
        ck_assert(tp_dut_get(b->dut, "suspended_o"));
        ck_assert(is_open(b));
        // Resume: K, an end at low speed, J.
        tp_usb_host_hold(&b->host, TP_USB_LINE_K, 1000);
        tp_usb_host_hold(&b->host, TP_USB_LINE_SE0, 80);
        tp_usb_host_hold(&b->host, TP_USB_LINE_J, 40);
        tp_usb_bench_wait(b, 100);
        ck_assert(!tp_dut_get(b->dut, "suspended_o"));
    }
    traffic_run(b, t);
    // A reset ends it, too.
    tp_usb_bench_wait(b, TP_PARAM_SuspendCycles + 100);
    tp_usb_host_reset(&b->host, RESET_SAMPLES);
    ck_assert(!tp_dut_get(b->dut, "suspended_o"));
    enumerate(b);
    free(t);
    tp_usb_bench_close(b);
}
END_TEST

// Part of a control transfer, then nothing more of it.
static void begin_control(struct tp_usb_bench *b)
{
    struct tp_usb_host *host = &b->host;
    uint8_t setup[8];
    uint8_t packet[PACKET];
    bool known = tp_random_chance(&b->random, 200);
    bool reads = tp_random_chance(&b->random, 200);
    if (reads)
        tp_usb_host_request(setup, 0xC0, 0x20, 0, known ? 7 : 8, 162);
    else
        tp_usb_host_request(setup, 0x02, known ? 1 : 9, 0, 0x81, 0);
    // A known one clears the toggle.
    if (!reads && known) host->toggle_in[IN] = false;
    host->lose_answer = tp_random_chance(&b->random, 60);
    int answer = tp_usb_host_setup(host, setup);
    ck_assert(answer == 0 || answer == NONE);
    for (uint32_t n = tp_random_below(&b->random, 4); n != 0; n--) {
        host->lose_answer = tp_random_chance(&b->random, 60);
        answer = sound(b, tp_usb_host_in(host, 0, packet));
        ck_assert_int_eq(answer == STALL, !known);
        if (answer == STALL) break;
    }
    host->lose_answer = false;
    if (reads && tp_random_chance(&b->random, 128)) {
        host->toggle_out[0] = true;
        ck_assert_int_eq(sound(b, tp_usb_host_out(host, 0, packet, 0)), known ? 0 : STALL);
    }
}

START_TEST(usb_takes_a_SETUP_at_any_time)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct tp_usb_host *host = &b->host;
    struct traffic *t = calloc(1, sizeof *t);
    uint8_t setup[8];
    uint8_t got[256];
    traffic_begin(b, t, 500);
    for (uint32_t n = 0; n < 20; n++) {
        // Acknowledged INs would be repeated after a cleared toggle: all is quiet then.
        begin_control(b);
        // A token without data, a broken SETUP.
        if (tp_random_chance(&b->random, 80)) tp_usb_host_token(host, TP_USB_PID_OUT, OUT);
        if (tp_random_chance(&b->random, 80)) {
            tp_usb_host_request(setup, 0x00, 9, 0, 0, 0);
            host->spoil = TP_USB_SPOIL_FLIP;
            host->spoil_after = 1;
            host->spoil_place = tp_random_below(&b->random, 88);
            ck_assert_int_eq(tp_usb_host_setup(host, setup), NONE);
            // It ended what was before all the same.
            ck_assert_int_eq(sound(b, tp_usb_host_in(host, 0, got)), STALL);
        }
        tp_usb_bench_wait(b, 15);
        ck_assert_int_eq(ask(b, 0xC0, 0x20, 0, 7, 162, got), 162);
        same_bytes("Microsoft", tp_usb_microsoft, got, 162);
        check_answer(b, 0x80, 8, 0, 1, 1);
        traffic_step(b, t);
    }
    traffic_run(b, t);
    free(t);
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_takes_an_address_when_its_status_is_acknowledged)
{
    struct tp_usb_bench *b = bench_open(_i);
    struct tp_usb_host *host = &b->host;
    uint8_t setup[8];
    uint8_t packet[PACKET];
    attach(b);
    tp_usb_host_request(setup, 0, 5, 99, 0, 0);
    ck_assert_int_eq(tp_usb_host_setup(host, setup), 0);
    for (uint32_t n = 0; n < 3; n++) {
        host->address = 99;
        ck_assert_int_eq(tp_usb_host_in(host, 0, packet), NONE);
        host->address = 0;
        // The status is sent again until its ACK arrives.
        host->toggle_in[0] = true;
        host->spoil = n < 2 ? TP_USB_SPOIL_FLIP : TP_USB_SPOIL_NOTHING;
        host->spoil_after = 1;
        host->spoil_place = n;
        ck_assert_int_eq(sound(b, tp_usb_host_in(host, 0, packet)), 0);
    }
    ck_assert_int_eq(tp_usb_host_in(host, 0, packet), NONE);
    host->address = 99;
    check_answer(b, 0x80, 8, 0, 1, 0);
    tp_usb_bench_close(b);
}
END_TEST

static void halt(struct tp_usb_bench *b, bool set, uint32_t endpoint)
{
    ck_assert_int_eq(ask(b, 0x02, set ? 3 : 1, 0, endpoint, 0, NULL), 0);
    bool *toggle = endpoint & 0x80 ? b->host.toggle_in : b->host.toggle_out;
    if (!set) toggle[endpoint & 15] = false;
    check_answer(b, 0x82, 0, endpoint, 2, set);
}

START_TEST(usb_halts_and_goes_on)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct traffic *t = calloc(1, sizeof *t);
    uint8_t packet[PACKET];
    traffic_begin(b, t, 600);
    for (int n = 0; n < 6; n++) {
        for (int step = 0; step < 4; step++) traffic_step(b, t);
        bool out = tp_random_chance(&b->random, 160);
        bool in = !out || tp_random_chance(&b->random, 160);
        if (out) halt(b, true, TP_USB_ENDPOINT_OUT);
        if (in) halt(b, true, TP_USB_ENDPOINT_IN);
        for (int again = 0; again < 3; again++) {
            if (out) ck_assert_int_eq(bulk_out(b, packet, 5), STALL);
            if (in) ck_assert_int_eq(bulk_in(b, packet), STALL);
        }
        if (!out) ck_assert_int_ne(bulk_out(b, t->out, 0), STALL);
        if (!in) check_answer(b, 0x82, 0, TP_USB_ENDPOINT_IN, 2, 0);
        if (out) halt(b, false, TP_USB_ENDPOINT_OUT);
        if (in) halt(b, false, TP_USB_ENDPOINT_IN);
    }
    // Clearing what is not halted sets the toggle, too.
    halt(b, false, TP_USB_ENDPOINT_OUT);
    halt(b, false, TP_USB_ENDPOINT_IN);
    // Setting the interface clears both.
    halt(b, true, TP_USB_ENDPOINT_OUT);
    halt(b, true, TP_USB_ENDPOINT_IN);
    ck_assert_int_eq(ask(b, 0x01, 11, 0, 0, 0, NULL), 0);
    memset(b->host.toggle_out, 0, sizeof b->host.toggle_out);
    memset(b->host.toggle_in, 0, sizeof b->host.toggle_in);
    traffic_run(b, t);
    free(t);
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_empties_both_buffers_when_the_link_opens_and_closes)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct traffic *t = calloc(1, sizeof *t);
    uint8_t packet[PACKET];
    for (uint32_t n = 0; n < 8; n++) {
        // Some of both are under way.
        traffic_begin(b, t, 400);
        b->sink.chance = n % 3 == 0 ? 0 : 60;
        for (uint32_t step = tp_random_below(&b->random, 8); step != 0; step--) traffic_step(b, t);
        tp_usb_bench_wait(b, tp_random_below(&b->random, 600));
        uint32_t how = n % 4;
        if (how == 0)
            ck_assert_int_eq(link(b, TP_USB_LINK_CLOSE), 0);
        else if (how == 1)
            configure(b);
        else if (how == 2)
            ck_assert_int_eq(link(b, TP_USB_LINK_OPEN), 0);
        if (how < 2) {
            tp_usb_bench_wait(b, 200);
            ck_assert(!is_open(b));
            uint32_t before = b->sink.done;
            uint32_t sent = b->source.done;
            for (int again = 0; again < 3; again++) {
                ck_assert_int_eq(bulk_out(b, packet, 10), NAK);
                ck_assert_int_eq(bulk_in(b, packet), NAK);
            }
            ck_assert_uint_eq(b->sink.done, before);
            ck_assert_uint_eq(b->source.done, sent);
        } else {
            tp_usb_bench_wait(b, 200);
            ck_assert(how == 3 || is_open(b));
        }
        if (how == 3) ck_assert_int_eq(link(b, TP_USB_LINK_CLOSE), 0);
        // A host that opens sets the toggles first; the core begins anew at the fall of open_o.
        ck_assert_int_eq(link(b, TP_USB_LINK_CLOSE), 0);
        tp_usb_bench_wait(b, 200);
        b->source.willing = false;
        b->sink.chance = 256;
        b->sink.done = 0;
        supply(b, 0);
        halt(b, false, TP_USB_ENDPOINT_OUT);
        halt(b, false, TP_USB_ENDPOINT_IN);
        open_link(b);
        // Nothing of before is there.
        tp_usb_bench_wait(b, 2000);
        ck_assert_int_eq(bulk_in(b, packet), NAK);
        ck_assert_uint_eq(b->sink.done, 0);
        traffic_begin(b, t, 200);
        traffic_run(b, t);
    }
    free(t);
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_empties_both_buffers_when_the_open_link_opens)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct traffic *t = calloc(1, sizeof *t);
    uint8_t packet[PACKET];
    b->sink.chance = 0;
    for (int n = 0; n < 2; n++) ck_assert_int_eq(bulk_out(b, t->out, PACKET), 0);
    supply(b, PACKET + 10);
    tp_usb_bench_wait(b, 2000);
    ck_assert_uint_eq(b->source.done, PACKET + 10);
    open_link(b);
    b->sink.chance = 256;
    tp_usb_bench_wait(b, 2000);
    ck_assert_uint_eq(b->sink.done, 0);
    ck_assert_int_eq(bulk_in(b, packet), NAK);
    traffic_begin(b, t, 300);
    traffic_run(b, t);
    free(t);
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_closes_when_the_core_is_reset)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct traffic *t = calloc(1, sizeof *t);
    uint8_t packet[PACKET];
    traffic_begin(b, t, 400);
    for (int step = 0; step < 4; step++) traffic_step(b, t);
    tp_dut_set(b->dut, "rst_ni", 0);
    b->source.willing = false;
    supply(b, 0);
    tp_usb_bench_wait(b, 300);
    tp_dut_set(b->dut, "rst_ni", 1);
    tp_usb_bench_wait(b, 300);
    ck_assert(!is_open(b));
    ck_assert_int_eq(bulk_out(b, packet, 10), NAK);
    halt(b, false, TP_USB_ENDPOINT_OUT);
    halt(b, false, TP_USB_ENDPOINT_IN);
    open_link(b);
    traffic_begin(b, t, 200);
    traffic_run(b, t);
    free(t);
    tp_usb_bench_close(b);
}
END_TEST

// ---- what no host should do ----

static void expect_silence(struct tp_usb_bench *b)
{
    uint8_t packet[PACKET + 3];
    ck_assert_int_eq(tp_usb_host_receive(&b->host, packet, sizeof packet), NONE);
    tp_usb_bench_wait(b, 15);
}

START_TEST(usb_ignores_babble_and_packets_of_others)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct tp_usb_host *host = &b->host;
    uint8_t data[TP_USB_HOST_BYTES_MAX];
    any_bytes(b, data, sizeof data);
    static const uint32_t counts[] = {65, 66, 67, 125, 126, 127, 128, 129, 191, 193, 257, 1023};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        ck_assert_int_eq(bulk_out(b, data, counts[i]), NONE);
        ck_assert_uint_eq(b->sink.done, 0);
    }
    static const uint32_t lengths[] = {0, 7, 9, 64};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        tp_usb_host_token(host, TP_USB_PID_SETUP, 0);
        tp_usb_host_data(host, false, data, lengths[i]);
        expect_silence(b);
    }
    // A SETUP with DATA1, or to another endpoint.
    tp_usb_host_token(host, TP_USB_PID_SETUP, 0);
    tp_usb_host_data(host, true, data, 8);
    expect_silence(b);
    tp_usb_host_token(host, TP_USB_PID_SETUP, OUT);
    tp_usb_host_data(host, false, data, 8);
    expect_silence(b);
    // DATA and handshakes that nobody waits for; every PID.
    tp_usb_host_data(host, false, data, 10);
    expect_silence(b);
    for (uint32_t pid = 0; pid < 16; pid++) {
        uint8_t byte = (uint8_t)(pid | (~pid & 15) << 4);
        tp_usb_host_send(host, &byte, 1);
        expect_silence(b);
        tp_usb_host_send(host, (uint8_t[]){byte, 0xFF, 0x00, 0xAA}, 4);
        expect_silence(b);
    }
    // Other addresses and endpoints.
    uint8_t address = host->address;
    for (uint32_t n = 0; n < 7; n++) {
        host->address = (uint8_t)(address ^ 1u << n);
        tp_usb_host_token(host, TP_USB_PID_IN, IN);
        expect_silence(b);
    }
    host->address = address;
    for (uint8_t endpoint = 2; endpoint < 16; endpoint++) {
        tp_usb_host_token(host, TP_USB_PID_IN, endpoint);
        expect_silence(b);
    }
    // A host that does not wait for the answer.
    for (uint32_t samples = 0; samples < 9; samples++) {
        tp_usb_host_token(host, TP_USB_PID_IN, IN);
        tp_usb_bench_wait(b, samples);
        host->address = (uint8_t)(address ^ 1);
        tp_usb_host_token(host, TP_USB_PID_IN, IN);
        host->address = address;
        expect_silence(b);
    }
    // A token, and a packet of somebody else's behind it.
    tp_usb_host_token(host, TP_USB_PID_OUT, OUT);
    tp_usb_bench_wait(b, 15);
    host->address = (uint8_t)(address ^ 1);
    tp_usb_host_token(host, TP_USB_PID_OUT, OUT);
    host->address = address;
    tp_usb_bench_wait(b, 15);
    tp_usb_host_data(host, false, data, 10);
    expect_silence(b);
    ck_assert_uint_eq(b->sink.done, 0);
    ck_assert_int_eq(bulk_out(b, data, 10), 0);
    tp_usb_bench_wait(b, 500);
    ck_assert_uint_eq(b->sink.done, 10);
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_ignores_noise_between_packets)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct traffic *t = calloc(1, sizeof *t);
    traffic_begin(b, t, 2000);
    for (uint32_t n = 0; !traffic_ends(b, t); n++) {
        ck_assert_uint_lt(n, LIMIT);
        for (uint32_t glitches = tp_random_below(&b->random, 30); glitches != 0; glitches--) {
            enum tp_usb_line line = (enum tp_usb_line)tp_random_below(&b->random, 4);
            tp_usb_host_hold(&b->host, line, 1 + tp_random_below(&b->random, 8));
            if (tp_random_chance(&b->random, 128))
                tp_usb_bench_wait(b, tp_random_below(&b->random, 12));
        }
        // What looked like a packet has ended by then: seven bits twice.
        tp_usb_bench_wait(b, 90);
        // Not a single transaction is lost to it.
        ck_assert_int_ne(traffic_step(b, t), NONE);
    }
    traffic_check(b, t);
    free(t);
    tp_usb_bench_close(b);
}
END_TEST

START_TEST(usb_waits_as_long_as_a_bus_may_take)
{
    struct tp_usb_bench *b = bench_start(_i);
    struct tp_usb_host *host = &b->host;
    static const uint8_t ack[1] = {TP_USB_PID_ACK};
    uint8_t packet[PACKET + 3];
    supply(b, 1);
    tp_usb_bench_wait(b, 2000);
    // Bit times from the device's packet to the ACK, and from a token to its DATA.
    for (uint32_t bits = 2; bits < 30; bits++) {
        if (bits > 14 && bits < 20) continue;
        tp_usb_host_token(host, TP_USB_PID_IN, IN);
        ck_assert_int_eq(sound(b, tp_usb_host_receive(host, packet, sizeof packet)), 4);
        // As the page says: 3 to 5 bit times.
        ck_assert_msg(host->delay >= 15 && host->delay <= 25, "%u samples", host->delay);
        tp_usb_bench_wait(b, 5 * bits);
        tp_usb_host_send(host, ack, 1);
        tp_usb_bench_wait(b, 15);
        bool taken = bits < 16;
        if (taken) {
            host->toggle_in[IN] = !host->toggle_in[IN];
            supply(b, 1);
            tp_usb_bench_wait(b, 2000);
        }
        tp_usb_host_token(host, TP_USB_PID_OUT, OUT);
        tp_usb_bench_wait(b, 5 * bits);
        tp_usb_host_data(host, host->toggle_out[OUT], packet, 3);
        ck_assert_int_eq(sound(b, tp_usb_host_handshake(host)), taken ? 0 : NONE);
        if (taken) host->toggle_out[OUT] = !host->toggle_out[OUT];
        tp_usb_bench_wait(b, 500);
    }
    // The byte of the unacknowledged packet is still to be had.
    ck_assert_int_eq(bulk_in(b, packet), 1);
    ck_assert_uint_eq(packet[0], b->source.bytes[0]);
    ck_assert_uint_eq(b->sink.done, 3 * 13);
    tp_usb_bench_close(b);
}
END_TEST

// ---- speed ----

// A host that fills its frames: a transaction begins when it ends within the frame.
static uint32_t full_frames(struct tp_usb_bench *b, bool out, uint32_t frames, uint8_t *data)
{
    struct tp_usb_host *host = &b->host;
    uint64_t longest = 5 * (35 + 3 + 8 + (1 + 64 + 2) * 8 * 7 / 6 + 3 + 7 + 19 + 3);
    uint32_t moved = 0;
    // From the start of a frame on.
    host->frame_sample = host->samples - TP_USB_HOST_FRAME;
    tp_usb_host_frame(host);
    uint64_t end = host->frame_sample + (uint64_t)frames * TP_USB_HOST_FRAME;
    while (host->samples < end) {
        uint64_t next = host->frame_sample + TP_USB_HOST_FRAME;
        if (host->samples + longest > next) {
            tp_usb_bench_wait(b, (uint32_t)(next - host->samples));
            if (host->samples < end) tp_usb_host_frame(host);
            continue;
        }
        int answer = out ? bulk_out(b, data + moved, PACKET) : bulk_in(b, data + moved);
        if (answer >= 0) moved += out ? PACKET : (uint32_t)answer;
    }
    return moved;
}

START_TEST(usb_carries_a_megabyte_a_second)
{
    enum { FRAMES = 10 };
    struct tp_usb_bench *b = bench_start(2);
    uint8_t *data = malloc(TP_USB_BENCH_BYTES);
    ck_assert_ptr_nonnull(data);
    b->host.ppm = 0;
    for (uint32_t i = 0; i < TP_USB_BENCH_BYTES; i++)
        data[i] = (uint8_t)tp_random_below(&b->random, 256);
    uint32_t out = full_frames(b, true, FRAMES, data);
    tp_usb_bench_wait(b, 2000);
    ck_assert_uint_eq(b->sink.done, out);
    same_bytes("out", data, b->sink.bytes, out);
    for (uint32_t i = 0; i < TP_USB_BENCH_BYTES; i++) {
        b->source.bytes[i] = (uint8_t)tp_random_below(&b->random, 256);
    }
    b->source.count = TP_USB_BENCH_BYTES;
    uint32_t in = full_frames(b, false, FRAMES, data);
    same_bytes("in", b->source.bytes, data, in);
    printf("usb: bulk payload in %d ms: out %.3f MB/s, in %.3f MB/s\n", FRAMES,
           out / (1000.0 * FRAMES), in / (1000.0 * FRAMES));
    ck_assert_uint_ge(out, 1000 * FRAMES);
    ck_assert_uint_ge(in, 1000 * FRAMES);
    free(data);
    tp_usb_bench_close(b);
}
END_TEST

static void add(Suite *suite, const char *name, const TTest *test, int loops)
{
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, test, 0, loops);
    suite_add_tcase(suite, tcase);
}

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("usb");
    add(suite, "descriptors", usb_enumerates_and_shows_every_descriptor, TP_TEST_SEEDS);
    add(suite, "refusals", usb_refuses_what_it_does_not_know, 2);
    add(suite, "bytes", usb_carries_random_bytes_both_ways, TP_TEST_SEEDS);
    add(suite, "packets", usb_sends_packets_that_are_full_or_waited_for, TP_TEST_SEEDS);
    add(suite, "broken", usb_survives_broken_packets, TP_TEST_SEEDS);
    add(suite, "silence", usb_answers_no_broken_packet, 2);
    add(suite, "lost", usb_neither_loses_nor_doubles_when_acknowledgements_are_lost, TP_TEST_SEEDS);
    add(suite, "toggles", usb_drops_packets_with_the_wrong_toggle, 2);
    add(suite, "naks", usb_answers_nak_while_a_stream_waits, 4);
    add(suite, "resets", usb_starts_again_after_a_reset_at_any_place, TP_TEST_SEEDS);
    add(suite, "se0", usb_does_not_take_a_short_SE0_for_a_reset, 2);
    add(suite, "suspend", usb_goes_on_after_suspend, 4);
    add(suite, "setup", usb_takes_a_SETUP_at_any_time, TP_TEST_SEEDS);
    add(suite, "address", usb_takes_an_address_when_its_status_is_acknowledged, 2);
    add(suite, "halt", usb_halts_and_goes_on, TP_TEST_SEEDS);
    add(suite, "link", usb_empties_both_buffers_when_the_link_opens_and_closes, TP_TEST_SEEDS);
    add(suite, "again", usb_empties_both_buffers_when_the_open_link_opens, TP_TEST_SEEDS);
    add(suite, "core", usb_closes_when_the_core_is_reset, TP_TEST_SEEDS);
    add(suite, "babble", usb_ignores_babble_and_packets_of_others, 2);
    add(suite, "noise", usb_ignores_noise_between_packets, 4);
    add(suite, "time", usb_waits_as_long_as_a_bus_may_take, 4);
    add(suite, "speed", usb_carries_a_megabyte_a_second, 1);
    return suite;
}
