// SPDX-License-Identifier: Apache-2.0
//
// Claims that tp_angles fills the table with tp_rope_angles() bit for bit, that a command is done
// and the unit free exactly 2 * pairs + 10 cycles after it came, that the last pair can be read
// with the cycle after done, that reads of one slot go on while another one is computed, and that
// identity reads cosine 1 and sine 0.
//
// Random frequencies, positions and counts of pairs, commands back to back and with gaps.

#include "check_main.h"
#include "dut.h"
#include "model.h"
#include "random.h"
#include "read_word.h"
#include "tp_map.h"

#include <string.h>

#ifndef TP_PARAM_Slots
#define TP_PARAM_Slots 4
#endif
#ifndef TP_PARAM_Pairs
#define TP_PARAM_Pairs 16
#endif

enum { SLOTS = TP_PARAM_Slots, PAIRS = TP_PARAM_Pairs, FREQUENCIES = 64, COMMANDS = 60 };

struct bench {
    struct tp_dut *dut;
    struct tp_random random;
    uint32_t increment[FREQUENCIES];
    int32_t cosine[SLOTS][PAIRS];
    int32_t sine[SLOTS][PAIRS];
    uint32_t known[SLOTS];  // pairs that hold defined angles
    bool read_valid;        // a read is on its way
    int32_t read_cosine;
    int32_t read_sine;
    uint32_t last_slot;  // whose last pair is written in the cycle of done
};

static void start_read(struct bench *b, uint32_t busy_slot)
{
    uint32_t slot = tp_random_below(&b->random, SLOTS);
    bool identity = tp_random_chance(&b->random, 64);
    b->read_valid =
        (identity || (slot != busy_slot && slot != b->last_slot && b->known[slot] > 0)) &&
        tp_random_chance(&b->random, 200);
    uint32_t pair = b->known[slot] > 0 ? tp_random_below(&b->random, b->known[slot]) : 0;
    tp_dut_set(b->dut, "angle_valid_i", b->read_valid);
    tp_dut_set(b->dut, "angle_slot_i", slot);
    tp_dut_set(b->dut, "angle_pair_i", pair);
    tp_dut_set(b->dut, "angle_identity_i", identity);
    if (!b->read_valid) return;
    b->read_cosine = identity ? 32768 : b->cosine[slot][pair];
    b->read_sine = identity ? 0 : b->sine[slot][pair];
}

static void check_read(struct bench *b)
{
    if (!b->read_valid) return;
    int32_t cosine = (int32_t)tp_port_get_signed(tp_dut_port(b->dut, "angle_cosine_o"));
    int32_t sine = (int32_t)tp_port_get_signed(tp_dut_port(b->dut, "angle_sine_o"));
    int32_t sum = (int32_t)tp_port_get_signed(tp_dut_port(b->dut, "angle_sum_o"));
    ck_assert_int_eq(cosine, b->read_cosine);
    ck_assert_int_eq(sine, b->read_sine);
    ck_assert_int_eq(sum, b->read_cosine + b->read_sine);
}

// One cycle with a random read that does not touch busy_slot.
static void cycle(struct bench *b, uint32_t busy_slot)
{
    check_read(b);
    start_read(b, busy_slot);
    tp_dut_tick(b->dut);
    tp_dut_set(b->dut, "cmd_valid_i", 0);
    tp_dut_settle(b->dut);
}

static void configure(struct bench *b)
{
    tp_random_words(&b->random, b->increment, FREQUENCIES);
    for (uint32_t i = 0; i < FREQUENCIES; i++) {
        tp_dut_set(b->dut, "cfg_valid_i", 1);
        tp_dut_set(b->dut, "cfg_space_i", TP_SPACE_FREQUENCY);
        tp_dut_set(b->dut, "cfg_address_i", i);
        tp_dut_set(b->dut, "cfg_data_i", b->increment[i]);
        tp_dut_tick(b->dut);
        // Another space at the same address must not land here.
        tp_dut_set(b->dut, "cfg_space_i", TP_SPACE_BIAS);
        tp_dut_set(b->dut, "cfg_data_i", ~b->increment[i]);
        tp_dut_tick(b->dut);
    }
    tp_dut_set(b->dut, "cfg_valid_i", 0);
}

static void send_command(struct bench *b, uint32_t slot, uint32_t position, uint32_t pairs,
                         uint32_t base)
{
    struct tp_op_angles op = {.opcode = TP_OP_ANGLES, .pairs = pairs, .frequency_base = base};
    uint32_t instruction[TP_INSTRUCTION_WORDS];
    uint32_t words[8] = {0};
    tp_angles_pack(&op, instruction);
    memcpy(words, instruction, sizeof instruction);
    words[6] = (position << 16) | tp_random_below(&b->random, 65536);
    words[7] = slot;
    tp_port_set_words(tp_dut_port(b->dut, "cmd_i"), words);
    tp_dut_set(b->dut, "cmd_valid_i", 1);
    tp_rope_angles(position, b->increment + base, pairs, b->cosine[slot], b->sine[slot]);
    b->known[slot] = pairs;
}

static void run_command(struct bench *b)
{
    uint32_t slot = tp_random_below(&b->random, SLOTS);
    uint32_t pairs = (uint32_t)tp_random_range(&b->random, 1, PAIRS);
    uint32_t position =
        tp_random_chance(&b->random, 64) ? 65535 : tp_random_below(&b->random, 65536);
    uint32_t base = tp_random_below(&b->random, FREQUENCIES - pairs + 1);
    uint32_t duration = 2 * pairs + 10;
    ck_assert_uint_eq(tp_dut_get(b->dut, "free_o"), 1);
    send_command(b, slot, position, pairs, base);
    for (uint32_t i = 0; i < duration; i++) {
        ck_assert_uint_eq(tp_dut_get(b->dut, "free_o"), i == 0);
        ck_assert(i == 0 || tp_dut_get(b->dut, "done_valid_o") == 0);
        cycle(b, slot);
        b->last_slot = SLOTS;
    }
    b->last_slot = slot;
    ck_assert_uint_eq(tp_dut_get(b->dut, "free_o"), 1);
    ck_assert_uint_eq(tp_dut_get(b->dut, "done_valid_o"), 1);
    ck_assert_uint_eq(tp_dut_get(b->dut, "done_slot_o"), slot);
    if (tp_random_chance(&b->random, 128)) return;  // the next command comes with done
    cycle(b, slot);
    b->last_slot = SLOTS;
    // The earliest read that the program allows, of the pair that was written last.
    tp_dut_set(b->dut, "angle_valid_i", 1);
    tp_dut_set(b->dut, "angle_slot_i", slot);
    tp_dut_set(b->dut, "angle_pair_i", pairs - 1);
    tp_dut_set(b->dut, "angle_identity_i", 0);
    check_read(b);
    tp_dut_tick(b->dut);
    tp_dut_settle(b->dut);
    b->read_valid = true;
    b->read_cosine = b->cosine[slot][pairs - 1];
    b->read_sine = b->sine[slot][pairs - 1];
    for (uint32_t gap = tp_random_below(&b->random, 20); gap > 0; gap--) {
        ck_assert_uint_eq(tp_dut_get(b->dut, "done_valid_o"), 0);
        cycle(b, SLOTS);
    }
}

START_TEST(angles_equal_model_and_take_their_cycles)
{
    struct bench b;
    memset(&b, 0, sizeof b);
    uint64_t seed = tp_test_seed(_i);
    b.dut = tp_dut_open(seed);
    tp_random_init(&b.random, seed, 1);
    b.last_slot = SLOTS;
    configure(&b);
    tp_dut_settle(b.dut);
    for (uint32_t i = 0; i < COMMANDS; i++) {
        run_command(&b);
        if (i % 8 != 0) continue;
        // Between the steps frequencies are read back.
        for (uint32_t wait = 0; wait < 4; wait++) cycle(&b, SLOTS);
        uint32_t address = tp_random_below(&b.random, FREQUENCIES);
        ck_assert_uint_eq(tp_read_word(b.dut, TP_SPACE_FREQUENCY, address, NULL, NULL),
                          b.increment[address]);
        ck_assert_uint_eq(tp_read_word(b.dut, TP_SPACE_BIAS, address, NULL, NULL), 0);
        b.read_valid = false;
    }
    tp_dut_close(b.dut);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("angles");
    TCase *tcase = tcase_create("unit");
    tcase_add_loop_test(tcase, angles_equal_model_and_take_their_cycles, 0, TP_TEST_SEEDS);
    suite_add_tcase(suite, tcase);
    return suite;
}
