// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_board answers the link's frames over its serial line, that a host which has at
// most two unanswered frames under way loses none of them, and that the LEDs tell of it.
//
// The bench is the host's end of the line, at the exact baud rate, which test_uart.c varies. Not
// covered: steps (test_core.c), the PLL and the pins.

#include <string.h>

#include "../../host/include/tp_map.h"
#include "check_main.h"
#include "dut.h"
#include "plain_frame.h"
#include "random.h"

enum {
    BIT = TP_PARAM_CoreKhz * 1000 / TP_PARAM_Baud,  // cycles, exactly
    UNDER_WAY_MAX = 2,
    FRAMES = 40,
    HELLO_BYTES = 40,
    LED_RUNS = 1 << 1,
    LED_RECEIVES = 1 << 4,
    LED_TRANSMITS = 1 << 5,
    LED_ERROR = 1 << 7,
    WAIT_CYCLES = 10 * BIT * 2 * TP_PLAIN_BYTES_MAX
};

struct host {
    struct tp_dut *dut;
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

static void cycle(struct host *h)
{
    tp_port_set(h->rx, (uint64_t)bit_to_send(h));
    tp_dut_tick(h->dut);
    receive(h, (int)tp_port_get(h->tx));
}

static void host_open(struct host *h, uint64_t seed)
{
    memset(h, 0, sizeof *h);
    h->dut = tp_dut_open_in_reset(seed);
    h->rx = tp_dut_port(h->dut, "rx_i");
    h->tx = tp_dut_port(h->dut, "tx_o");
    tp_port_set(h->rx, 1);
    tp_dut_reset(h->dut, 8);
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
    for (uint32_t i = 0; i < WAIT_CYCLES; i++) {
        size_t place = h->in_read;
        if (tp_plain_read(h->in, h->in_count, &place, &frame, &bad)) {
            ck_assert_uint_eq(bad, 0);
            h->in_read = place;
            return frame;
        }
        bad = 0;
        // A frame has nine bytes at least: look again only when one may have come.
        size_t before = h->in_count;
        while (h->in_count == before && ++i < WAIT_CYCLES) cycle(h);
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
    ck_assert_uint_eq(frame->payload[2], TP_PARAM_Groups);
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
    ck_assert_uint_eq(tp_dut_get(host.dut, "led_o") & (leds | LED_ERROR), leds);
    tp_dut_close(host.dut);
}
END_TEST

START_TEST(board_shows_a_broken_frame)
{
    host_open(&host, tp_test_seed(_i));
    send(&host, TP_FRAME_HELLO, 1, NULL, 0, 0);
    send(&host, TP_FRAME_HELLO, 2, NULL, 0, 1);
    struct tp_plain_frame frame = answer(&host);
    check_hello(&frame, 2);
    ck_assert_uint_ne(tp_dut_get(host.dut, "led_o") & LED_ERROR, 0);
    tp_dut_reset(host.dut, 2);
    tp_dut_tick(host.dut);
    ck_assert_uint_eq(tp_dut_get(host.dut, "led_o") & LED_ERROR, 0);
    tp_dut_close(host.dut);
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

START_TEST(board_loses_no_frame_of_a_host_that_keeps_two_under_way)
{
    uint64_t seed = tp_test_seed(_i);
    struct tp_random random;
    uint8_t types[FRAMES];
    uint32_t sent = 0;
    host_open(&host, seed);
    tp_random_init(&random, seed, 0);
    for (uint32_t i = 0; i < FRAMES; i++) {
        while (sent < FRAMES && sent < i + UNDER_WAY_MAX) {
            send_any(&host, &random, (uint8_t)sent, &types[sent]);
            sent++;
        }
        struct tp_plain_frame frame = answer(&host);
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
    ck_assert_uint_eq(tp_dut_get(host.dut, "led_o") & LED_ERROR, 0);
    tp_dut_close(host.dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("board");
    TCase *tcase = tcase_create("line");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, board_answers_hello, 0, TP_TEST_SEEDS);
    tcase_add_loop_test(tcase, board_shows_a_broken_frame, 0, 2);
    tcase_add_loop_test(tcase, board_loses_no_frame_of_a_host_that_keeps_two_under_way, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
