// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_board answers the link's frames over its serial line, and over USB while a host
// has that open; that a host which has at most two unanswered frames under way loses none of them,
// on either; and that the LEDs tell of it. Without USB its pins rest.
//
// The bench is the host's end of both lines: the serial one at the exact baud rate, which
// test_uart.c varies, D+ and D- sample by sample. Not covered: steps (test_core.c), what goes wrong
// on the lines of USB (test_usb.c), the PLL and the pins.

#include <stdio.h>
#include <string.h>

#include "../../host/include/tp_map.h"
#include "check_main.h"
#include "dut.h"
#include "plain_frame.h"
#include "random.h"
#include "tp_usb.h"
#include "usb_bench.h"
#include "usb_host.h"

enum {
    // Defaults of tp_board.
    BAUD = 3000000,
    GROUPS = 2,
    BIT = TP_PARAM_CoreKhz * 1000 / BAUD,  // cycles, exactly
    UNDER_WAY_MAX = 2,
    FRAMES = 40,
    HELLO_BYTES = 40,
    LED_RUNS = 1 << 1,
    LED_RECEIVES = 1 << 4,
    LED_TRANSMITS = 1 << 5,
    LED_OPEN = 1 << 6,
    LED_ERROR = 1 << 7,
    // Samples of 1/60 us: a cycle of the core takes 2.5.
    WAIT_SAMPLES = 10 * BIT * 2 * TP_PLAIN_BYTES_MAX * 3,
    USB_RESET_SAMPLES = 320,
    USB_PAUSE_SAMPLES = 50
};

struct host {
    struct tp_usb_bench *bench;
    struct tp_dut *dut;
    bool is_usb;  // frames go over USB
    struct tp_port *rx;
    struct tp_port *tx;
    uint8_t out[FRAMES * TP_PLAIN_BYTES_MAX];
    size_t out_count;
    size_t out_sent;
    uint32_t out_phase;  // cycles of the byte that is being sent
    uint8_t in[FRAMES * TP_PLAIN_BYTES_MAX];
    size_t in_count;
    size_t in_read;
    uint32_t in_phase;  // cycles since the start bit fell; 0: none did
    uint32_t in_byte;
};

static struct host host;

static int bit_to_send(struct host *h)
{
    if (h->out_sent == h->out_count) return 1;
    uint32_t bit = h->out_phase / BIT;
    int level = bit == 0 ? 0 : bit == 9 ? 1 : h->out[h->out_sent] >> (bit - 1) & 1;
    if (++h->out_phase == 10 * BIT) {
        h->out_phase = 0;
        h->out_sent++;
    }
    return level;
}

static void receive(struct host *h, int level)
{
    if (h->in_phase == 0 && level != 0) return;
    uint32_t bit = h->in_phase / BIT;
    if (h->in_phase % BIT == BIT / 2) {
        if (bit == 0 || bit == 9) ck_assert_int_eq(level, bit == 9);
        if (bit == 0) h->in_byte = 0;
        if (bit >= 1 && bit <= 8) h->in_byte |= (uint32_t)level << (bit - 1);
        if (bit == 9) {
            ck_assert_uint_lt(h->in_count, sizeof h->in);
            h->in[h->in_count++] = (uint8_t)h->in_byte;
            h->in_phase = 0;
            return;
        }
    }
    h->in_phase++;
}

static void serial_cycle(void *context)
{
    struct host *h = context;
    if (!h->is_usb) tp_port_set(h->rx, (uint64_t)bit_to_send(h));
    tp_dut_settle(h->dut);
    receive(h, (int)tp_port_get(h->tx));
}

// A transaction that moves bytes, or asks for some.
static void usb_transaction(struct host *h)
{
    struct tp_usb_host *usb = &h->bench->host;
    uint8_t data[TP_USB_PACKET_BYTES];
    size_t left = h->out_count - h->out_sent;
    uint32_t size = left < TP_USB_PACKET_BYTES ? (uint32_t)left : TP_USB_PACKET_BYTES;
    if (size != 0) {
        int sent = tp_usb_host_out(usb, TP_USB_ENDPOINT_OUT, h->out + h->out_sent, size);
        ck_assert_msg(sent == 0 || sent == TP_USB_ANSWER_NAK, "OUT: %d", sent);
        if (sent == 0) h->out_sent += size;
    }
    int count = tp_usb_host_in(usb, TP_USB_ENDPOINT_IN & 15, data);
    ck_assert_msg(count >= 0 || count == TP_USB_ANSWER_NAK, "IN: %d", count);
    if (count > 0) {
        ck_assert_uint_le(h->in_count + (size_t)count, sizeof h->in);
        memcpy(h->in + h->in_count, data, (size_t)count);
        h->in_count += (size_t)count;
    } else {
        tp_usb_bench_wait(h->bench, USB_PAUSE_SAMPLES);
    }
}

static void go_on(struct host *h)
{
    if (h->is_usb) {
        usb_transaction(h);
    } else {
        tp_usb_bench_wait(h->bench, 1);
    }
}

static void host_open(struct host *h, uint64_t seed)
{
    memset(h, 0, sizeof *h);
    h->bench = tp_usb_bench_open(seed, TP_PARAM_CoreKhz);
    h->dut = h->bench->dut;
    h->rx = tp_dut_port(h->dut, "rx_i");
    h->tx = tp_dut_port(h->dut, "tx_o");
    tp_port_set(h->rx, 1);
    tp_usb_bench_reset(h->bench);
    h->bench->core_cycle = serial_cycle;
    h->bench->core_context = h;
}

static void host_close(struct host *h)
{
    tp_usb_bench_close(h->bench);
}

static bool is_lit(struct host *h, uint32_t led)
{
    return (tp_dut_get(h->dut, "led_o") & led) != 0;
}

static void send(struct host *h, uint8_t type, uint8_t sequence, const uint8_t *payload,
                 uint16_t length, int intact)
{
    struct tp_plain_frame frame = {.type = type, .sequence = sequence, .length = length};
    if (length != 0) memcpy(frame.payload, payload, length);
    size_t count = tp_plain_write(&frame, h->out + h->out_count);
    if (!intact) h->out[h->out_count + count - 1] ^= 1;
    h->out_count += count;
}

// The next frame of the device.
static struct tp_plain_frame answer(struct host *h)
{
    struct tp_plain_frame frame;
    uint32_t bad = 0;
    uint64_t begin = h->bench->host.samples;
    while (h->bench->host.samples - begin < WAIT_SAMPLES) {
        size_t place = h->in_read;
        if (tp_plain_read(h->in, h->in_count, &place, &frame, &bad)) {
            ck_assert_uint_eq(bad, 0);
            h->in_read = place;
            return frame;
        }
        bad = 0;
        // A frame has nine bytes at least: look again only when one may have come.
        size_t before = h->in_count;
        while (h->in_count == before && h->bench->host.samples - begin < WAIT_SAMPLES) go_on(h);
    }
    ck_abort_msg("no answer");
    return frame;
}

static uint32_t get32(const uint8_t *bytes)
{
    return bytes[0] | bytes[1] * 0x100u | bytes[2] * 0x10000u | bytes[3] * 0x1000000u;
}

static void check_hello(const struct tp_plain_frame *frame, uint8_t sequence)
{
    ck_assert_uint_eq(frame->type, TP_FRAME_HELLO_REPLY);
    ck_assert_uint_eq(frame->sequence, sequence);
    ck_assert_uint_eq(frame->length, HELLO_BYTES);
    ck_assert_uint_eq(frame->payload[0], TP_PROTOCOL_VERSION);
    ck_assert_uint_eq(frame->payload[2], GROUPS);
    ck_assert_uint_eq(frame->payload[3], TP_PARAM_Slots);
    ck_assert_uint_eq(get32(frame->payload + 36), TP_PARAM_BuildId);
}

START_TEST(board_answers_hello)
{
    host_open(&host, tp_test_seed(_i));
    send(&host, TP_FRAME_HELLO, 7, NULL, 0, 1);
    struct tp_plain_frame frame = answer(&host);
    check_hello(&frame, 7);
    uint64_t leds = LED_RUNS | LED_RECEIVES | LED_TRANSMITS;
    ck_assert_uint_eq(tp_dut_get(host.dut, "led_o") & (leds | LED_OPEN | LED_ERROR), leds);
    host_close(&host);
}
END_TEST

START_TEST(board_shows_a_broken_frame)
{
    host_open(&host, tp_test_seed(_i));
    send(&host, TP_FRAME_HELLO, 1, NULL, 0, 0);
    send(&host, TP_FRAME_HELLO, 2, NULL, 0, 1);
    struct tp_plain_frame frame = answer(&host);
    check_hello(&frame, 2);
    ck_assert(is_lit(&host, LED_ERROR));
    tp_usb_bench_reset(host.bench);
    tp_usb_bench_wait(host.bench, 3);
    ck_assert(!is_lit(&host, LED_ERROR));
    host_close(&host);
}
END_TEST

// Short answers to long frames, long answers to short ones, and a slot that is opened for long.
static void send_any(struct host *h, struct tp_random *random, uint8_t sequence, uint8_t *type)
{
    uint8_t payload[TP_PLAIN_PAYLOAD_MAX] = {0};
    switch (tp_random_below(random, 4)) {
    case 0:
        *type = TP_FRAME_WRITE;
        payload[0] = TP_SPACE_GAIN;
        send(h, *type, sequence, payload, (uint16_t)(12 + 4 * tp_random_below(random, 62)), 1);
        break;
    case 1:
        *type = TP_FRAME_SLOT;
        payload[16] = 1;     // context
        payload[37] = 0x04;  // a penalty: the answer waits until the recent tokens are forgotten
        payload[39] = 0x04;
        send(h, *type, sequence, payload, 48, 1);
        break;
    case 2:
        *type = TP_FRAME_STATISTICS;
        send(h, *type, sequence, NULL, 0, 1);
        break;
    default:
        *type = TP_FRAME_HELLO;
        send(h, *type, sequence, NULL, 0, 1);
    }
}

static void exchange(struct host *h, uint64_t seed)
{
    struct tp_random random;
    uint8_t types[FRAMES];
    uint32_t sent = 0;
    tp_random_init(&random, seed, 0);
    for (uint32_t i = 0; i < FRAMES; i++) {
        while (sent < FRAMES && sent < i + UNDER_WAY_MAX) {
            send_any(h, &random, (uint8_t)sent, &types[sent]);
            sent++;
        }
        struct tp_plain_frame frame = answer(h);
        ck_assert_uint_eq(frame.sequence, i);
        if (types[i] == TP_FRAME_HELLO) check_hello(&frame, (uint8_t)i);
        if (types[i] == TP_FRAME_STATISTICS) {
            ck_assert_uint_eq(frame.type, TP_FRAME_STATISTICS_REPLY);
            ck_assert_uint_eq(get32(frame.payload + 48), 0);
        }
        if (types[i] == TP_FRAME_WRITE || types[i] == TP_FRAME_SLOT) {
            ck_assert_uint_eq(frame.type, TP_FRAME_ACK);
            ck_assert_uint_eq(frame.payload[0], types[i]);
            ck_assert_uint_eq(frame.payload[1], TP_ACK_OK);
        }
    }
    ck_assert(!is_lit(h, LED_ERROR));
}

START_TEST(board_loses_no_frame_of_a_host_that_keeps_two_under_way)
{
    uint64_t seed = tp_test_seed(_i);
    host_open(&host, seed);
    exchange(&host, seed);
    host_close(&host);
}
END_TEST

#if TP_PARAM_Usb

static int ask(struct host *h, uint8_t type, uint8_t request, uint16_t value, uint16_t length,
               uint8_t *data)
{
    return tp_usb_host_ask(&h->bench->host, type, request, value, 0, length, data);
}

static void usb_attach(struct host *h)
{
    enum { ADDRESS = 5 };
    for (uint32_t n = 0; !tp_port_get(h->bench->pull_up); n++) {
        if (n > TP_PARAM_UsbAttachCycles + 100) ck_abort_msg("no pull-up");
        tp_usb_bench_wait(h->bench, 1);
    }
    tp_usb_host_reset(&h->bench->host, USB_RESET_SAMPLES);
    ck_assert_int_eq(ask(h, 0x00, 5, ADDRESS, 0, NULL), 0);
    h->bench->host.address = ADDRESS;
    ck_assert_int_eq(ask(h, 0x00, 9, TP_USB_CONFIGURATION, 0, NULL), 0);
}

static void usb_link(struct host *h, uint16_t value)
{
    ck_assert_int_eq(ask(h, TP_USB_REQUEST_TYPE_LINK, TP_USB_REQUEST_LINK, value, 0, NULL), 0);
    tp_usb_bench_wait(h->bench, 200);
    ck_assert_int_eq(is_lit(h, LED_OPEN), value == TP_USB_LINK_OPEN);
    h->is_usb = value == TP_USB_LINK_OPEN;
}

static void check_serial_number(struct host *h)
{
    uint8_t data[2 + 2 * TP_USB_SERIAL_DIGITS];
    char expected[TP_USB_SERIAL_DIGITS + 1];
    (void)snprintf(expected, sizeof expected, "%08X", (unsigned)TP_PARAM_BuildId);
    uint16_t which = TP_USB_DESCRIPTOR_TYPE_STRING << 8 | TP_USB_STRING_SERIAL;
    ck_assert_int_eq(ask(h, 0x80, 6, which, sizeof data, data), sizeof data);
    for (uint32_t i = 0; i < TP_USB_SERIAL_DIGITS; i++) {
        ck_assert_int_eq(data[2 + 2 * i], expected[i]);
    }
}

START_TEST(board_answers_over_usb_while_it_is_open)
{
    struct tp_plain_frame frame;
    host_open(&host, tp_test_seed(_i));
    usb_attach(&host);
    check_serial_number(&host);
    send(&host, TP_FRAME_HELLO, 1, NULL, 0, 1);
    frame = answer(&host);
    check_hello(&frame, 1);

    usb_link(&host, TP_USB_LINK_OPEN);
    send(&host, TP_FRAME_HELLO, 2, NULL, 0, 1);
    frame = answer(&host);
    check_hello(&frame, 2);
    size_t count = host.in_count;
    // What the serial line brings now is for nobody.
    host.is_usb = false;
    send(&host, TP_FRAME_HELLO, 3, NULL, 0, 1);
    while (host.out_sent != host.out_count) go_on(&host);
    tp_usb_bench_wait(host.bench, WAIT_SAMPLES / TP_PLAIN_BYTES_MAX * HELLO_BYTES);
    host.is_usb = true;
    for (int i = 0; i < 4; i++) go_on(&host);
    ck_assert_uint_eq(host.in_count, count);

    usb_link(&host, TP_USB_LINK_CLOSE);
    send(&host, TP_FRAME_HELLO, 4, NULL, 0, 1);
    frame = answer(&host);
    check_hello(&frame, 4);
    ck_assert(!is_lit(&host, LED_ERROR));
    host_close(&host);
}
END_TEST

START_TEST(board_loses_no_frame_over_usb)
{
    uint64_t seed = tp_test_seed(_i);
    host_open(&host, seed);
    usb_attach(&host);
    usb_link(&host, TP_USB_LINK_OPEN);
    exchange(&host, seed);
    host_close(&host);
}
END_TEST

#else

START_TEST(pins_of_usb_rest)
{
    static const char *const ports[] = {"usb_pull_up_o", "usb_drive_o", "usb_dp_o", "usb_dn_o"};
    host_open(&host, tp_test_seed(_i));
    for (int n = 0; n < 4000; n++) {
        tp_usb_bench_wait(host.bench, 1);
        for (int i = 0; i < 4; i++) ck_assert_uint_eq(tp_dut_get(host.dut, ports[i]), 0);
    }
    ck_assert(!is_lit(&host, LED_OPEN));
    host_close(&host);
}
END_TEST

#endif

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("board");
    TCase *tcase = tcase_create("line");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, board_answers_hello, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, board_shows_a_broken_frame, 0, 2);
    tcase_add_loop_test(tcase, board_loses_no_frame_of_a_host_that_keeps_two_under_way, 0, 2);
#if TP_PARAM_Usb
    tcase_add_loop_test(tcase, board_answers_over_usb_while_it_is_open, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, board_loses_no_frame_over_usb, 0, 2);
#else
    tcase_add_test(tcase, pins_of_usb_rest);
#endif
    suite_add_tcase(suite, tcase);
    return suite;
}
