// SPDX-License-Identifier: Apache-2.0
//
// Claims that the shared object of a simulated device keeps the promises of sim_device.h: any
// number of devices side by side that share nothing, bytes neither lost nor doubled however small
// the pieces are, and a return when the device waits for the host.
//
// Two devices of the configuration `small`, broken and intact frames, buffers and time slices of
// random size. Skipped where the object was not built. Not covered: what the frames do
// (test_control.c, test_core.c).

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "plain_frame.h"
#include "random.h"
#include "sim_device.h"
#include "tp_map.h"

enum { BYTES_MAX = 4096, DEVICES = 2, FRAMES = 12, CALLS_MAX = 200000 };

struct device {
    struct tp_sim *sim;
    uint8_t out[BYTES_MAX];
    size_t out_count, out_first;
    uint8_t in[BYTES_MAX];
    size_t in_count;
    uint32_t bad;
};

static void *library;
static const struct tp_sim_entry *entry;

static int open_library(void)
{
    char path[1024];
    const char *build = getenv("TP_BUILD");
    snprintf(path, sizeof path, "%s/sim/small.so", build != NULL ? build : "build");
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        tp_test_skip("build/sim/small.so is not there: run make build");
        return 0;
    }
    entry = dlsym(library, TP_SIM_ENTRY);
    ck_assert_ptr_nonnull(entry);
    ck_assert_uint_eq(entry->abi, TP_SIM_ABI);
    ck_assert_str_eq(entry->config, "small");
    return 1;
}

static void put(struct device *device, uint8_t type, uint8_t sequence, int intact)
{
    struct tp_plain_frame frame = {.type = type, .sequence = sequence};
    uint8_t *bytes = device->out + device->out_count;
    size_t count = tp_plain_write(&frame, bytes);
    if (!intact) {
        bytes[count - 1] ^= 1;
        device->bad++;
    }
    device->out_count += count;
}

static uint64_t exchange(struct device *device, uint64_t cycles, size_t out_max, size_t in_max)
{
    size_t taken = 0;
    size_t got = 0;
    size_t count = device->out_count - device->out_first;
    if (count > out_max) count = out_max;
    if (in_max > BYTES_MAX - device->in_count) in_max = BYTES_MAX - device->in_count;
    uint64_t passed = entry->run(device->sim, cycles, device->out + device->out_first, count,
                                 &taken, device->in + device->in_count, in_max, &got);
    ck_assert_uint_le(passed, cycles);
    ck_assert_uint_le(taken, count);
    ck_assert_uint_le(got, in_max);
    device->out_first += taken;
    device->in_count += got;
    return passed;
}

static uint32_t get32(const uint8_t *bytes)
{
    return bytes[0] | bytes[1] * 0x100u | bytes[2] * 0x10000u | bytes[3] * 0x1000000u;
}

/* Every intact frame was answered once, in order; the last answer counts the broken ones. */
static void check_answers(const struct device *device)
{
    struct tp_plain_frame frame = {0};
    size_t place = 0;
    uint32_t bad = 0;
    uint32_t answers = 0;
    while (tp_plain_read(device->in, device->in_count, &place, &frame, &bad)) {
        ck_assert_uint_eq(frame.sequence, answers);
        int last = answers == FRAMES;
        ck_assert_uint_eq(frame.type, last ? TP_FRAME_STATISTICS_REPLY : TP_FRAME_HELLO_REPLY);
        answers++;
    }
    ck_assert_uint_eq(bad, 0);
    ck_assert_uint_eq(place, device->in_count);
    ck_assert_uint_eq(answers, FRAMES + 1);
    ck_assert_uint_eq(get32(frame.payload + 48), device->bad);
}

START_TEST(devices_share_nothing_and_lose_nothing)
{
    if (!open_library()) return;
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 1);
    static struct device devices[DEVICES];
    memset(devices, 0, sizeof devices);
    for (int d = 0; d < DEVICES; d++) {
        devices[d].sim = entry->create((uint64_t)(10 * _i + d), NULL, 0);
        ck_assert_ptr_nonnull(devices[d].sim);
        for (uint8_t i = 0; i < FRAMES; i++) {
            while (tp_random_chance(&random, 100)) put(&devices[d], TP_FRAME_HELLO, 99, 0);
            put(&devices[d], TP_FRAME_HELLO, i, 1);
        }
        put(&devices[d], TP_FRAME_STATISTICS, FRAMES, 1);
    }
    const size_t wanted = FRAMES * (40 + 9) + 56 + 9;
    int open = DEVICES;
    for (int call = 0; open > 0; call++) {
        ck_assert_int_lt(call, CALLS_MAX);
        struct device *device = &devices[tp_random_below(&random, DEVICES)];
        if (device->in_count == wanted) continue;
        exchange(device, 1 + tp_random_below(&random, 60), tp_random_below(&random, 20),
                 tp_random_below(&random, 20));
        open -= device->in_count == wanted;
    }
    for (int d = 0; d < DEVICES; d++) {
        check_answers(&devices[d]);
        entry->destroy(devices[d].sim);
    }
    (void)dlclose(library);
}
END_TEST

START_TEST(an_idle_device_waits_for_the_host)
{
    if (!open_library()) return;
    static struct device device;
    memset(&device, 0, sizeof device);
    device.sim = entry->create(1, NULL, 0);
    ck_assert_uint_lt(exchange(&device, 1000000, 0, BYTES_MAX), 1000);
    put(&device, TP_FRAME_HELLO, 0, 1);
    /* One call brings the whole answer and returns long before its time is over. */
    ck_assert_uint_lt(exchange(&device, 1000000, BYTES_MAX, BYTES_MAX), 1000);
    ck_assert_uint_eq(device.in_count, 40 + 9);
    entry->destroy(device.sim);
    (void)dlclose(library);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("sim_device");
    TCase *tcase = tcase_create("bytes");
    tcase_add_loop_test(tcase, devices_share_nothing_and_lose_nothing, 0, TP_TEST_SEEDS);
    tcase_add_test(tcase, an_idle_device_waits_for_the_host);
    suite_add_tcase(suite, tcase);
    return suite;
}
