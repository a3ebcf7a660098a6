// SPDX-License-Identifier: Apache-2.0
//
// Memory images: where their words go in the device's memories, and the listing of the program.

#include "memory_image.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cycles.h"
#include "frame.h"

void tp__memory_image_free(struct tp_memory_image *image)
{
    if (image != NULL) {
        free(image->program);
        free(image->notes);
        free(image->weights);
        free(image->gains);
        free(image->centre);
        free(image->bias);
        free(image);
    }
}

// Collects words that follow each other, as many as a frame takes: a frame for each would cost five
// times its word. Weight beats are never divided: codes take bits of the scale words before them in
// their beat, and a frame may be executed again and in another order.
struct writer {
    const struct tp_limits *limits;
    tp_memory_sink sink;
    void *user;
    struct tp_error *error;
    tp_status status;
    uint32_t space;
    uint32_t address;  // of the first word
    uint32_t next;     // address of the word behind the last
    size_t count;
    size_t count_max;
    uint32_t words[TP_WRITE_WORDS_MAX];
};

static void put_run(struct writer *w)
{
    if (w->status == TP_OK && w->count != 0) {
        w->status = w->sink(w->user, w->space, w->address, w->words, w->count, w->error);
    }
    w->count = 0;
}

static void put_word(struct writer *w, uint32_t space, uint32_t address, uint32_t word)
{
    if (space != w->space || address != w->next || w->count == w->count_max) {
        put_run(w);
        uint32_t together = tp_space_together(w->limits, space);
        w->space = space;
        w->address = address;
        w->count_max = TP_WRITE_WORDS_MAX / together * together;
    }
    w->words[w->count++] = word;
    w->next = tp_space_next(w->limits, space, address);
}

// A space from its beginning.
static void put(struct writer *w, uint32_t space, const uint32_t *words, size_t count)
{
    uint32_t address = 0;
    for (size_t i = 0; i < count && w->status == TP_OK; i++) {
        put_word(w, space, address, words[i]);
        address = w->next;
    }
}

// For whoever steps slot 0 alone, without a pool of pages (pages.h): the pages in their order.
static void put_pages(struct writer *w, const struct tp_memory_image *image)
{
    uint32_t pages = (image->plan.context + TP_PAGE - 1) / TP_PAGE;
    for (uint32_t page = 0; page < pages; page++) {
        put_word(w, TP_SPACE_PAGE_TABLE, page, page);
    }
}

tp_status tp__memory_image_write(const struct tp_memory_image *image, tp_memory_sink sink,
                                 void *user, struct tp_error *error)
{
    struct writer w = {
        .limits = &image->limits, .sink = sink, .user = user, .error = error, .status = TP_OK};
    const struct tp_plan *plan = &image->plan;
    put(&w, TP_SPACE_WEIGHT, image->weights, (size_t)plan->weight_beats * image->lanes);
    put(&w, TP_SPACE_PROGRAM, image->program, (size_t)image->program_count * TP_INSTRUCTION_WORDS);
    for (uint32_t i = 0; i < plan->gain_quads * 2 && w.status == TP_OK; i++) {
        uint32_t low = (uint16_t)image->gains[2 * (size_t)i];
        uint32_t high = (uint16_t)image->gains[2 * (size_t)i + 1];
        put_word(&w, TP_SPACE_GAIN, i, low | high << 16);
    }
    for (uint32_t i = 0; i < plan->constant_pairs * 2 && w.status == TP_OK; i++) {
        put_word(&w, TP_SPACE_CENTRE, i, (uint32_t)image->centre[i]);
    }
    for (uint32_t i = 0; image->has_bias && i < plan->constant_pairs * 2; i++) {
        put_word(&w, TP_SPACE_BIAS, i, (uint32_t)image->bias[i]);
    }
    put(&w, TP_SPACE_FREQUENCY, image->frequency, plan->layout.head_padded / 2);
    for (uint32_t i = 0; i < image->codebook_count * TP_CODEBOOK_CODES; i++) {
        int8_t value = image->codebooks[i / TP_CODEBOOK_CODES][i % TP_CODEBOOK_CODES];
        put_word(&w, TP_SPACE_CODEBOOK, i, (uint32_t)(int32_t)value);
    }
    put_word(&w, TP_SPACE_REGISTER, TP_REGISTER_KV_STRIDE, plan->kv_stride);
    put_word(&w, TP_SPACE_REGISTER, TP_REGISTER_SECTIONS_CLEAR, 0);
    put_word(&w, TP_SPACE_REGISTER, TP_REGISTER_NORM_EPSILON, (uint32_t)image->norm_epsilon);
    put_word(&w, TP_SPACE_REGISTER, TP_REGISTER_NORM_EPSILON_HIGH,
             (uint32_t)(image->norm_epsilon >> 32));
    put_pages(&w, image);
    put_run(&w);
    return w.status;
}

// ---- a golden machine ----

static tp_status write_machine(void *user, uint32_t space, uint32_t address, const uint32_t *words,
                               size_t count, struct tp_error *error)
{
    return tp_machine_write(user, space, address, words, count)
               ? TP_OK
               : tp__fail(error, TP_ERROR_DEVICE, "the machine refused a word of space %u",
                          (unsigned)space);
}

tp_status tp__memory_image_machine(const struct tp_memory_image *image, struct tp_machine **machine,
                                   struct tp_error *error)
{
    struct tp_machine *made = tp_machine_create(&image->limits);
    if (made == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a golden machine");
    }
    uint32_t index = 0;
    tp_status status = tp__memory_image_write(image, write_machine, made, error);
    if (status == TP_OK && !tp_machine_prepare(made, &index)) {
        status = index == UINT32_MAX
                     ? tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a golden machine")
                     : tp__fail(error, TP_ERROR_DEVICE, "the machine refused instruction %u",
                                (unsigned)index);
    }
    if (status != TP_OK) {
        tp_machine_destroy(made);
        return status;
    }
    *machine = made;
    return TP_OK;
}

// ---- listing ----

struct listing {
    char *text;
    size_t max;
    size_t size;  // without the NUL
};

static void print(struct listing *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void print(struct listing *l, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = l->size < l->max ? l->max - l->size : 0;
    int count = vsnprintf(room != 0 ? l->text + l->size : NULL, room, format, arguments);
    va_end(arguments);
    l->size += count > 0 ? (size_t)count : 0;
}

static void print_matvec(struct listing *l, const uint32_t *words)
{
    static const char *const dests[] = {"RESIDUAL", "GATE", "QUERY", "KEY", "VALUE", "LOGITS"};
    static const char *const sources[] = {"NORM", "ATTENTION", "FFN", "?"};
    struct tp_op_matvec op;
    tp_matvec_unpack(words, &op);
    print(l,
          "dest=%s source=%s rows=%" PRIu32 " blocks=%" PRIu32 " planes=%" PRIu32
          " weight_base=%" PRIu32 " align=%" PRIu32 " z_shift=%" PRId32 " norm=%" PRIu32,
          op.dest <= TP_DEST_LOGITS ? dests[op.dest] : "?", sources[op.source], op.rows, op.blocks,
          op.planes + 1, op.weight_base, op.align, op.z_shift, op.norm);
    if (op.order != 0) {
        print(l, " order=block-major");
    }
    if (op.dest == TP_DEST_RESIDUAL) {
        print(l, " gain_base=%" PRIu32, op.gain_base);
    }
    if (op.dest == TP_DEST_RESIDUAL || op.dest == TP_DEST_GATE) {
        print(l, " cap=%" PRIu32, op.cap);
    }
    if (op.dest == TP_DEST_LOGITS) {
        print(l, " vocab=%" PRIu32, op.epsilon);
    }
    if (op.dest >= TP_DEST_QUERY && op.dest <= TP_DEST_VALUE) {
        print(l, " head=%u", 1u << op.head_log2);
    }
    if (op.bias != 0) {
        print(l, " bias=%" PRIu32, op.constant_base);
    }
    if (op.centre != 0) {
        print(l, " centre=%" PRIu32, op.constant_base);
    }
    if (op.head_norm != 0 && op.dest != TP_DEST_VALUE) {
        print(l, " head_gain=%" PRIu32 " head_shift=%" PRId32 " epsilon=%" PRIu32, op.gain_base,
              op.head_shift, op.epsilon);
    }
    if (op.dest == TP_DEST_KEY || op.dest == TP_DEST_VALUE) {
        print(l, " kv_base=%" PRIu32 " exponent_base=%" PRIu32, op.kv_base, op.exponent_base);
    }
}

static void print_operands(struct listing *l, const uint32_t *words, uint32_t opcode)
{
    struct tp_op_embed embed;
    struct tp_op_angles angles;
    struct tp_op_attention attention;
    switch (opcode) {
    case TP_OP_EMBED:
        tp_embed_unpack(words, &embed);
        print(l,
              "blocks=%" PRIu32 " planes=%" PRIu32 " weight_base=%" PRIu32 " shift=%" PRId32
              " gain_base=%" PRIu32 " cap=%" PRIu32,
              embed.blocks, embed.planes + 1, embed.weight_base, embed.shift, embed.gain_base,
              embed.cap);
        break;
    case TP_OP_MATVEC:
        print_matvec(l, words);
        break;
    case TP_OP_ANGLES:
        tp_angles_unpack(words, &angles);
        print(l, "pairs=%" PRIu32, angles.pairs);
        break;
    case TP_OP_ATTENTION:
        tp_attention_unpack(words, &attention);
        print(l,
              "words=%" PRIu32 " turns=%" PRIu32 " sets=%" PRIu32 " head=%u kv_base=%" PRIu32
              " key_base=%" PRIu32 " value_base=%" PRIu32 " shift=%" PRId32 " cap=%" PRIu32,
              attention.words, attention.turns, attention.sets + 1, 1u << attention.head_log2,
              attention.kv_base, attention.key_base, attention.value_base, attention.shift,
              attention.cap);
        if (attention.ahead != 0) {
            print(l, " ahead=%" PRIu32 " ahead_position=%" PRIu32, attention.ahead,
                  attention.ahead_position);
        }
        break;
    default:
        break;
    }
}

size_t tp__memory_image_listing(const struct tp_memory_image *image, char *text, size_t max)
{
    static const char *const names[] = {"END", "EMBED", "MATVEC", "ANGLES", "ATTENTION"};
    struct listing l = {.text = text, .max = max, .size = 0};
    struct tp_step_slot slots[TP_SLOTS_MAX] = {{.active = true, .logits = true, .fast = true}};
    print(&l, "  # cycles  flags  instruction\n");
    for (uint32_t i = 0; i < image->program_count; i++) {
        const uint32_t *words = image->program + (size_t)i * TP_INSTRUCTION_WORDS;
        struct tp_op_any any;
        tp_any_unpack(words, &any);
        struct tp_duration d = tp__instruction_cycles(&image->limits, words, &slots[0]);
        print(&l, "%3" PRIu32 " %6" PRIu32 "  %c%c     %-10s", i, d.complete,
              any.drain != 0 ? 'd' : '-', any.logits != 0 ? 'l' : '-',
              any.opcode <= TP_OP_ATTENTION ? names[any.opcode] : "?");
        print_operands(&l, words, any.opcode);
        print(&l, "  ; %s\n", image->notes[i]);
    }
    slots[0].logits = false;
    uint32_t prefill = tp__step_cycles(&image->limits, image->program, image->program_count, slots);
    slots[0].logits = true;
    uint32_t first = tp__step_cycles(&image->limits, image->program, image->program_count, slots);
    slots[0].position = image->plan.context - 1;
    uint32_t last = tp__step_cycles(&image->limits, image->program, image->program_count, slots);
    print(&l,
          "; d: waits until nothing of the slot is in flight; l: only steps that want logits\n"
          "; weights %" PRIu32 " of %" PRIu32 " beats; KV %" PRIu32 " positions for %" PRIu32
          " sessions\n"
          "; cycles of a step of one slot: %" PRIu32 " at position 0 (%" PRIu32
          " without logits), %" PRIu32 " at position %" PRIu32 "\n",
          image->plan.weight_beats, image->limits.weight_beats, image->plan.kv_stride,
          image->plan.sessions, first, prefill, last, image->plan.context - 1);
    return l.size + 1;
}
