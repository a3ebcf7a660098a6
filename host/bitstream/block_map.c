// SPDX-License-Identifier: Apache-2.0
//
// Maps: the parser, words of memories in the bits of block RAMs, and the check of a stream.

#include "block_map.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

enum { LINE_BYTES = 512, FIELDS_MAX = 6, VERSION = 1, MAP_BYTES_MAX = 1 << 20 };
enum { SCALES_PER_WORD = 4, CODE_WORDS = 4, BEAT_LANES = 64 };  // of weights: tp_weights.sv

static const char *const spaces[] = {"weight",    "program",  "gain",       "bias",     "centre",
                                     "frequency", "codebook", "page-table", "register", "-"};

// ---- the parser ----

struct parser {
    struct tp_block_map *map;
    const char *name;
    uint32_t line;
    uint32_t seen;  // lines of the head, one bit each
    bool has_id[TP_BLOCK_IDS];
    struct tp_error *error;
};

static tp_status bad(struct parser *p, const char *what)
{
    return tp__fail(p->error, TP_ERROR_FORMAT, "%s, line %" PRIu32 ": %s", p->name, p->line, what);
}

static bool number(const char *text, int base, uint64_t most, uint32_t *value)
{
    char *end = NULL;
    uint64_t found = strtoull(text, &end, base);
    // strtoull takes signs and spaces, too.
    bool ok = text[0] != 0 && strchr("+- ", text[0]) == NULL && *end == 0 && found <= most;
    *value = ok ? (uint32_t)found : 0;
    return ok;
}

static bool is_name(const char *text)
{
    return strlen(text) < TP_MAP_NAME_BYTES;
}

// "version 1", "board NAME", "part NAME IDCODE", "usercode NUMBER", "base HASH"; each once.
static tp_status take_head(struct parser *p, char **fields, size_t count)
{
    static const char *const keys[] = {"version", "board", "part", "usercode", "base"};
    struct tp_block_map *map = p->map;
    uint32_t value = 0;
    uint32_t key = 0;
    while (key < 5 && strcmp(fields[0], keys[key]) != 0) {
        key++;
    }
    if (key == 5 || (p->seen & 1u << key) != 0 || p->seen + 1 != 1u << key) {
        return bad(p, "not the line that belongs here: version, board, part, usercode, base, then "
                      "memories with their blocks");
    }
    p->seen |= 1u << key;
    bool ok = count == (key == 2 ? 3 : 2) && is_name(fields[1]);
    switch (key) {
    case 0:
        ok = ok && number(fields[1], 10, VERSION, &value) && value == VERSION;
        return ok ? TP_OK : bad(p, "a map of another version - try: a newer tokproc");
    case 1:
        (void)snprintf(map->board, sizeof map->board, "%s", ok ? fields[1] : "");
        return ok ? TP_OK : bad(p, "not 'board NAME'");
    case 2:
        ok = ok && number(fields[2], 16, UINT32_MAX, &value);
        map->part = tp__part_of_idcode(value);
        ok = ok && map->part != NULL && strcmp(map->part->name, fields[1]) == 0;
        return ok ? TP_OK : bad(p, "not 'part NAME IDCODE' of a known part");
    case 3:
        ok = ok && number(fields[1], 16, UINT32_MAX, &map->usercode);
        return ok ? TP_OK : bad(p, "not 'usercode NUMBER'");
    default:
        ok = ok && strlen(fields[1]) == TP_DIGEST_TEXT_BYTES - 1 &&
             strspn(fields[1], "0123456789abcdef") == TP_DIGEST_TEXT_BYTES - 1;
        (void)snprintf(map->base, sizeof map->base, "%.64s", ok ? fields[1] : "");
        return ok ? TP_OK : bad(p, "not 'base HASH' of 64 hexadecimal digits");
    }
}

// "memory SPACE INDEX NAME"
static tp_status take_memory(struct parser *p, char **fields, size_t count)
{
    struct tp_block_map *map = p->map;
    uint32_t space = 0;
    uint32_t index = 0;
    if (count != 4 || !is_name(fields[3]) || !number(fields[2], 10, UINT16_MAX, &index)) {
        return bad(p, "not 'memory SPACE INDEX NAME'");
    }
    while (space <= TP_SPACE_OWN && strcmp(fields[1], spaces[space]) != 0) {
        space++;
    }
    if (space > TP_SPACE_OWN) {
        return bad(p, "no memory space has that name");
    }
    if (map->memory_count == TP_MAP_BLOCKS_MAX ||
        (space != TP_SPACE_OWN && tp__map_find(map, space, index) != NULL)) {
        return bad(p, "too many memories, or two of one space and index");
    }
    if (map->memory_count != 0 && map->memories[map->memory_count - 1].block_count == 0) {
        return bad(p, "the memory before this one has no blocks");
    }
    struct tp_map_memory *memory = &map->memories[map->memory_count++];
    *memory =
        (struct tp_map_memory){.space = space, .index = index, .first_block = map->block_count};
    (void)snprintf(memory->name, sizeof memory->name, "%s", fields[3]);
    return TP_OK;
}

static uint32_t words_of(uint32_t width)
{
    return width >= 9 ? 512 * 36 / width : 16384 / width;
}

// "block ID WIDTH SITE WORD BIT", of the memory above
static tp_status take_block(struct parser *p, char **fields, size_t count)
{
    struct tp_block_map *map = p->map;
    struct tp_map_block block = {0};
    if (count != 6 || map->memory_count == 0 || !is_name(fields[3]) ||
        !number(fields[1], 10, TP_BLOCK_IDS - 1, &block.id) ||
        !number(fields[2], 10, 36, &block.width) || !number(fields[4], 10, 1 << 24, &block.word) ||
        !number(fields[5], 10, 8 * TP_MAP_WORD_BYTES, &block.bit)) {
        return bad(p, "not 'block ID WIDTH SITE WORD BIT' behind a memory");
    }
    if (strstr(" 36 18 9 4 2 1 ", fields[2]) == NULL ||
        block.bit + block.width > 8 * TP_MAP_WORD_BYTES) {
        return bad(p, "no block RAM has that width, or the memory is too wide");
    }
    if (map->block_count == TP_MAP_BLOCKS_MAX || p->has_id[block.id]) {
        return bad(p, "too many blocks, or two with one id");
    }
    struct tp_map_memory *memory = &map->memories[map->memory_count - 1];
    p->has_id[block.id] = true;
    block.memory = map->memory_count - 1;
    (void)snprintf(block.site, sizeof block.site, "%s", fields[3]);
    map->blocks[map->block_count++] = block;
    memory->block_count++;
    uint32_t words = block.word + words_of(block.width);
    uint32_t bits = block.bit + block.width;
    memory->words = words > memory->words ? words : memory->words;
    memory->bits = bits > memory->bits ? bits : memory->bits;
    return TP_OK;
}

static tp_status take_line(struct parser *p, char *line)
{
    char *fields[FIELDS_MAX + 1];
    size_t count = 0;
    char *state = NULL;
    for (char *field = strtok_r(line, " ", &state); field != NULL && count <= FIELDS_MAX;
         field = strtok_r(NULL, " ", &state)) {
        fields[count++] = field;
    }
    if (count == 0 || fields[0][0] == '#') {
        return TP_OK;
    }
    bool is_memory = strcmp(fields[0], "memory") == 0;
    bool is_block = strcmp(fields[0], "block") == 0;
    if ((is_memory || is_block) && p->seen != 31) {
        return bad(p, "memories come behind version, board, part, usercode and base");
    }
    return is_memory  ? take_memory(p, fields, count)
           : is_block ? take_block(p, fields, count)
                      : take_head(p, fields, count);
}

static tp_status parse(struct parser *p, const char *text, size_t size)
{
    tp_status status = TP_OK;
    for (size_t i = 0; i < size && status == TP_OK;) {
        char line[LINE_BYTES];
        const char *end = memchr(text + i, '\n', size - i);
        size_t length = end != NULL ? (size_t)(end - text) - i : size - i;
        p->line++;
        if (end == NULL || length >= sizeof line || memchr(text + i, 0, length) != NULL) {
            return bad(p, "no line of text, or it does not end");
        }
        memcpy(line, text + i, length);
        line[length] = 0;
        status = take_line(p, line);
        i += length + 1;
    }
    if (status == TP_OK && (p->map->memory_count == 0 ||
                            p->map->memories[p->map->memory_count - 1].block_count == 0)) {
        status = bad(p, "the map ends without a memory and its blocks");
    }
    return status;
}

static bool overlap(const struct tp_map_block *a, const struct tp_map_block *b)
{
    return a->word < b->word + words_of(b->width) && b->word < a->word + words_of(a->width) &&
           a->bit < b->bit + b->width && b->bit < a->bit + a->width;
}

// A bit of a word lies in one block at most.
static tp_status check_overlap(struct parser *p)
{
    const struct tp_block_map *map = p->map;
    for (uint32_t i = 0; i < map->block_count; i++) {
        const struct tp_map_block *a = &map->blocks[i];
        for (uint32_t j = map->memories[a->memory].first_block; j < i; j++) {
            if (overlap(a, &map->blocks[j])) {
                return tp__fail(p->error, TP_ERROR_FORMAT,
                                "%s: blocks %" PRIu32 " and %" PRIu32
                                " hold the same bits of %.64s",
                                p->name, map->blocks[j].id, a->id, map->memories[a->memory].name);
            }
        }
    }
    return TP_OK;
}

tp_status tp__map_parse(const char *text, size_t size, const char *name, struct tp_block_map *map,
                        struct tp_error *error)
{
    struct parser *p = calloc(1, sizeof *p);
    struct tp_block_map *made = calloc(1, sizeof *made);
    tp_status status = TP_OK;
    if (p == NULL || made == NULL) {
        status = tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for the map %s", name);
    } else {
        *p = (struct parser){.map = made, .name = name, .error = error};
        status = parse(p, text, size);
        status = status == TP_OK ? check_overlap(p) : status;
    }
    if (status == TP_OK) {
        while (tp__map_find(made, TP_SPACE_WEIGHT, CODE_WORDS * made->groups) != NULL) {
            made->groups++;
        }
        *map = *made;
    }
    free(p);
    free(made);
    return status;
}

tp_status tp__map_load(const char *path, struct tp_block_map **map, struct tp_error *error)
{
    struct tp_bytes bytes;
    struct tp_block_map *made = malloc(sizeof *made);
    if (made == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a map");
    }
    tp_status status = tp__file_read(path, MAP_BYTES_MAX, &bytes, error);
    if (status == TP_OK) {
        status =
            tp__map_parse((const char *)bytes.data, bytes.size, tp__short_name(path), made, error);
        tp__bytes_free(&bytes);
    }
    if (status != TP_OK) {
        free(made);
        return status;
    }
    *map = made;
    return TP_OK;
}

const char *tp__map_space_name(uint32_t space)
{
    return spaces[space];
}

const struct tp_map_memory *tp__map_find(const struct tp_block_map *map, uint32_t space,
                                         uint32_t index)
{
    for (uint32_t i = 0; i < map->memory_count; i++) {
        if (map->memories[i].space == space && map->memories[i].index == index) {
            return &map->memories[i];
        }
    }
    return NULL;
}

// ---- words of a memory ----

// Bit n of a block RAM of nine bits and wider lies in word n / 9 of the stream, bit n mod 9; of a
// narrower one in word n / 8, bit n mod 8. So nine bits, or all of a narrow word, lie in one.
static uint16_t *stream_word(uint16_t *words, const struct tp_map_block *block, uint32_t word,
                             uint32_t bit, unsigned *shift)
{
    uint32_t place = (word - block->word) * block->width + bit;
    uint32_t byte = block->width >= 9 ? 9 : 8;
#ifdef TP_PLANT_BUG
    byte = 9;  // the planted fault packs narrow words as densely as wide ones
#endif
    *shift = place % byte;
    return &words[place / byte];
}

static uint32_t piece_of(const struct tp_map_block *block)
{
    return block->width >= 9 ? 9 : block->width;
}

// Up to nine bits of a value.
static uint32_t get_bits(const uint8_t *value, uint32_t bit, uint32_t count)
{
    uint32_t low = bit % 8;
    uint32_t bits = (uint32_t)value[bit / 8] >> low;
    if (low + count > 8) {
        bits |= (uint32_t)value[bit / 8 + 1] << (8 - low);
    }
    return bits & ((1u << count) - 1);
}

// The same bits, which were 0.
static void set_bits(uint8_t *value, uint32_t bit, uint32_t count, uint32_t bits)
{
    uint32_t low = bit % 8;
    value[bit / 8] |= (uint8_t)(bits << low);
    if (low + count > 8) {
        value[bit / 8 + 1] |= (uint8_t)(bits >> (8 - low));
    }
}

// The next block of a memory that holds bits of the word, from number *i on.
static const struct tp_map_block *next_block(const struct tp_block_map *map,
                                             const struct tp_map_memory *memory, uint32_t word,
                                             uint32_t *i)
{
    while (*i < memory->block_count) {
        const struct tp_map_block *block = &map->blocks[memory->first_block + (*i)++];
        if (word >= block->word && word - block->word < words_of(block->width)) {
            return block;
        }
    }
    return NULL;
}

void tp__map_read_word(const struct tp_block_map *map, const struct tp_map_memory *memory,
                       const struct tp_configuration *configuration, uint32_t word,
                       uint8_t value[TP_MAP_WORD_BYTES])
{
    const struct tp_map_block *block;
    uint32_t i = 0;
    assert(word < memory->words);
    memset(value, 0, TP_MAP_WORD_BYTES);
    while ((block = next_block(map, memory, word, &i)) != NULL) {
        uint32_t piece = piece_of(block);
        for (uint32_t bit = 0; bit < block->width; bit += piece) {
            unsigned shift;
            uint16_t held =
                *stream_word(configuration->blocks[block->id], block, word, bit, &shift);
            set_bits(value, block->bit + bit, piece, (uint32_t)held >> shift & ((1u << piece) - 1));
        }
    }
}

void tp__map_write_word(const struct tp_block_map *map, const struct tp_map_memory *memory,
                        struct tp_configuration *configuration, uint32_t word,
                        const uint8_t value[TP_MAP_WORD_BYTES])
{
    const struct tp_map_block *block;
    uint32_t i = 0;
    assert(word < memory->words);
    while ((block = next_block(map, memory, word, &i)) != NULL) {
        uint32_t piece = piece_of(block);
        uint32_t mask = (1u << piece) - 1;
        configuration->has_block[block->id] = 1;
        for (uint32_t bit = 0; bit < block->width; bit += piece) {
            unsigned shift;
            uint16_t *held =
                stream_word(configuration->blocks[block->id], block, word, bit, &shift);
            uint32_t set = get_bits(value, block->bit + bit, piece);
            *held = (uint16_t)((*held & ~(mask << shift)) | set << shift);
        }
    }
}

// ---- a stream of the design ----

static tp_status refuse(struct tp_stream *stream, enum tp_stream_fault fault, tp_status status)
{
    stream->fault = fault;
    return status;
}

static tp_status check_partial(const struct tp_block_map *map,
                               const struct tp_configuration *configuration, const char *name,
                               struct tp_stream *stream, struct tp_error *error)
{
    if (stream->base[0] == 0) {
        return refuse(stream, TP_FAULT_BASE_NONE,
                      tp__fail(error, TP_ERROR_FORMAT,
                               "%s: the header does not say for which base this partial stream is",
                               name));
    }
    if (strcmp(stream->base, map->base) != 0) {
        return refuse(stream, TP_FAULT_BASE_OTHER,
                      tp__fail(error, TP_ERROR_MISMATCH,
                               "%s: for the base %.8s..., but the map of %.32s is of %.8s...", name,
                               stream->base, map->board, map->base));
    }
    if (tp__configuration_frame_count(configuration) != 0) {
        return refuse(stream, TP_FAULT_FRAME_UNSAFE,
                      tp__fail(error, TP_ERROR_UNSUPPORTED,
                               "%s: a partial stream of %.32s may not change frames, and this one "
                               "has %" PRIu32,
                               name, map->board, tp__configuration_frame_count(configuration)));
    }
    return TP_OK;
}

static tp_status check_full(const struct tp_block_map *map,
                            const struct tp_configuration *configuration, const char *name,
                            struct tp_stream *stream, struct tp_error *error)
{
    char base[TP_DIGEST_TEXT_BYTES];
    tp_status status = tp__configuration_base(configuration, base, error);
    if (status == TP_OK &&
        (strcmp(base, map->base) != 0 || configuration->usercode != map->usercode)) {
        status = refuse(
            stream, TP_FAULT_BASE_OTHER,
            tp__fail(error, TP_ERROR_MISMATCH,
                     "%s: base %.8s..., USERCODE %08" PRIx32 ", but the map of %.32s is "
                     "of %.8s..., %08" PRIx32 " - try: make bitstream, make bitstream-map",
                     name, base, configuration->usercode, map->board, map->base, map->usercode));
    }
    return status;
}

// Records of rows cover whole block RAMs: what a part of one would leave in the rest is not known.
static tp_status check_whole_blocks(const struct tp_configuration *configuration, const char *name,
                                    struct tp_stream *stream, struct tp_error *error)
{
    uint64_t rows = 0;
    bool is_whole = true;
    for (size_t i = 0; i < stream->command_count; i++) {
        const struct tp_stream_command *c = &stream->commands[i];
        bool is_row = c->opcode == TP_STREAM_BLOCK_WRITE;
        rows += is_row ? c->count : 0;
        is_whole = is_whole && (!is_row || c->count % TP_STREAM_ROWS == 0) &&
                   (c->opcode != TP_STREAM_BLOCK_ADDRESS || c->operand % TP_BLOCK_WORDS == 0);
    }
    if (!is_whole ||
        rows != (uint64_t)TP_STREAM_ROWS * tp__configuration_block_count(configuration)) {
        return refuse(stream, TP_FAULT_BLOCK_PART,
                      tp__fail(error, TP_ERROR_UNSUPPORTED,
                               "%s: it writes a part of a block RAM, or one twice", name));
    }
    return TP_OK;
}

tp_status tp__map_check(const struct tp_block_map *map,
                        const struct tp_configuration *configuration, const char *name,
                        struct tp_stream *stream, struct tp_error *error)
{
    bool is_known[TP_BLOCK_IDS] = {false};
    if (configuration->part != map->part) {
        return refuse(stream, TP_FAULT_ID_OTHER,
                      tp__fail(error, TP_ERROR_MISMATCH,
                               "%s: for an %s, but the map of %.32s is of an %s", name,
                               configuration->part->name, map->board, map->part->name));
    }
    for (uint32_t i = 0; i < map->block_count; i++) {
        is_known[map->blocks[i].id] = true;
    }
    for (uint32_t id = 0; id < TP_BLOCK_IDS; id++) {
        if (configuration->has_block[id] != 0 && !is_known[id]) {
            return refuse(stream, TP_FAULT_BLOCK_UNKNOWN,
                          tp__fail(error, TP_ERROR_NOT_FOUND,
                                   "%s: block RAM %" PRIu32 " is not in the map of %.32s", name, id,
                                   map->board));
        }
    }
    tp_status status = check_whole_blocks(configuration, name, stream, error);
    if (status != TP_OK) {
        return status;
    }
    return stream->is_partial ? check_partial(map, configuration, name, stream, error)
                              : check_full(map, configuration, name, stream, error);
}

// ---- memory spaces ----

// Where a word of a space lies: in the low bits of a word of a memory.
struct place {
    const struct tp_map_memory *memory;
    uint32_t word;
};

// Instances of the units that take a word: rtl/sequencer/tp_sequencer.sv,
// rtl/rmsnorm/tp_rmsnorm.sv, rtl/epilogue/tp_epilogue_scale.sv and tp_epilogue_heads.sv.
static struct place place_of(const struct tp_block_map *map, uint32_t space, uint32_t address)
{
    switch (space) {
    case TP_SPACE_PROGRAM:
        return (struct place){tp__map_find(map, space, address % 8), address / 8};
    case TP_SPACE_GAIN:
        return (struct place){tp__map_find(map, space, 0), address};
    case TP_SPACE_BIAS:
    case TP_SPACE_CENTRE:
        return (struct place){tp__map_find(map, space, address % 2), address / 2};
    default:
        return (struct place){NULL, 0};
    }
}

static tp_status no_word(struct tp_error *error, const struct tp_block_map *map, uint32_t space,
                         uint32_t address)
{
    return tp__fail(error, TP_ERROR_RANGE,
                    "the design of %.32s has no word %" PRIu32
                    " of space %s: the model was compiled "
                    "for another configuration",
                    map->board, address, spaces[space]);
}

static tp_status write_weight(struct tp_map_writer *w, uint32_t address, uint32_t word,
                              struct tp_error *error)
{
    uint8_t value[TP_MAP_WORD_BYTES] = {0};
    uint32_t lanes = tp_scale_lanes(w->map->groups);
    uint32_t lane = address % BEAT_LANES;
    if (lane < lanes && lane < 2) {
        w->scales[lane] = word;
        return TP_OK;
    }
    const struct tp_map_memory *memory = tp__map_find(w->map, TP_SPACE_WEIGHT, lane - lanes);
    if (memory == NULL || address / BEAT_LANES >= memory->words) {
        return no_word(error, w->map, TP_SPACE_WEIGHT, address);
    }
    uint32_t group = (lane - lanes) / CODE_WORDS;
    uint32_t part = (lane - lanes) % CODE_WORDS;
    tp__put32(value, word);
    value[4] = w->scales[group / SCALES_PER_WORD] >> (8 * (group % SCALES_PER_WORD) + 2 * part) & 3;
    tp__map_write_word(w->map, memory, w->configuration, address / BEAT_LANES, value);
    return TP_OK;
}

static tp_status write_other(struct tp_map_writer *w, uint32_t space, uint32_t address,
                             uint32_t word, struct tp_error *error)
{
    uint8_t value[TP_MAP_WORD_BYTES] = {0};
    struct place place = place_of(w->map, space, address);
    if (place.memory == NULL || place.word >= place.memory->words) {
        return no_word(error, w->map, space, address);
    }
    tp__put32(value, word);
    tp__map_write_word(w->map, place.memory, w->configuration, place.word, value);
    // Gains are read in two places.
    const struct tp_map_memory *copy =
        space == TP_SPACE_GAIN ? tp__map_find(w->map, space, 1) : NULL;
    if (copy != NULL && place.word < copy->words) {
        tp__map_write_word(w->map, copy, w->configuration, place.word, value);
    }
    return TP_OK;
}

tp_status tp__map_write(void *user, uint32_t space, uint32_t address, const uint32_t *words,
                        size_t count, struct tp_error *error)
{
    struct tp_map_writer *w = user;
    tp_status status = TP_OK;
    assert(space < TP_MAP_SPACES);
    bool is_mapped =
        space == TP_SPACE_WEIGHT ? w->map->groups != 0 : place_of(w->map, space, 0).memory != NULL;
    if (!is_mapped) {
        w->left[space] += count;
        return TP_OK;
    }
    const struct tp_limits limits = {.groups = w->groups};
    for (size_t i = 0; i < count && status == TP_OK; i++) {
        status = space == TP_SPACE_WEIGHT ? write_weight(w, address, words[i], error)
                                          : write_other(w, space, address, words[i], error);
        address = tp_space_next(&limits, space, address);
    }
    w->written[space] += count;
    return status;
}

static uint32_t scale_word(const struct tp_block_map *map,
                           const struct tp_configuration *configuration, uint32_t beat,
                           uint32_t lane)
{
    uint8_t value[TP_MAP_WORD_BYTES];
    uint32_t word = 0;
    for (uint32_t i = 0; i < SCALES_PER_WORD * CODE_WORDS; i++) {
        const struct tp_map_memory *memory =
            tp__map_find(map, TP_SPACE_WEIGHT, SCALES_PER_WORD * CODE_WORDS * lane + i);
        if (memory != NULL && beat < memory->words) {
            tp__map_read_word(map, memory, configuration, beat, value);
            word |= (uint32_t)(value[4] & 3) << (2 * i);
        }
    }
    return word;
}

bool tp__map_read(const struct tp_block_map *map, const struct tp_configuration *configuration,
                  uint32_t space, uint32_t address, uint32_t *word)
{
    uint8_t value[TP_MAP_WORD_BYTES];
    struct place place = place_of(map, space, address);
    if (space == TP_SPACE_WEIGHT) {
        uint32_t lanes = tp_scale_lanes(map->groups);
        uint32_t lane = address % BEAT_LANES;
        uint32_t beat = address / BEAT_LANES;
        place.memory = tp__map_find(map, space, lane < lanes ? 0 : lane - lanes);
        place.word = beat;
        if (lane < lanes && place.memory != NULL && beat < place.memory->words) {
            *word = scale_word(map, configuration, beat, lane);
            return true;
        }
    }
    if (place.memory == NULL || place.word >= place.memory->words) {
        return false;
    }
    tp__map_read_word(map, place.memory, configuration, place.word, value);
    *word = tp__get32(value);
    return true;
}
