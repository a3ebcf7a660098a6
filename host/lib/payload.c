// SPDX-License-Identifier: Apache-2.0
//
// Record of a matrix in the table, little-endian:
//
//    0  4  matrix, enum tp_matrix          24  8  bound: largest sum of a row
//    4  4  layer, 0 for those without      32 16  codebook: value of each code, int8
//    8  4  format, enum tp_format          48  8  codes: their offset in the payload
//   12  4  rows, 0 when it is absent       56  8  scales: likewise
//   16  4  columns
//   20  4  T, int32

#include "payload.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "machine.h"
#include "reader.h"

enum { Q8_LEAST = -127, BLOCK_4_BYTES = TP_WEIGHT_BLOCK / 2 };
/* Radians per position; the compiler takes them modulo one turn. */
static const double frequency_max = 1e6;

// Places of arrays one behind the other, each at a multiple of 64.
struct placer {
    uint8_t *base;  // NULL: only counts
    size_t next;
};

static void *place(struct placer *placer, size_t bytes)
{
    uint8_t *at = placer->base == NULL ? NULL : placer->base + placer->next;
    placer->next += (bytes + TP_PAYLOAD_ALIGN - 1) / TP_PAYLOAD_ALIGN * TP_PAYLOAD_ALIGN;
    return at;
}

static size_t code_bytes(const struct tp_quantised_matrix *matrix)
{
    return (size_t)matrix->rows * matrix->blocks * BLOCK_4_BYTES * matrix->planes;
}

static size_t scale_bytes(const struct tp_quantised_matrix *matrix)
{
    return (size_t)matrix->rows * matrix->blocks;
}

// Numbers in the vectors of a shape.
struct vector_counts {
    size_t norm_gains;
    size_t head_gains;
    size_t biases;
    size_t key_means;
    size_t frequencies;
    size_t exponents;
};

static struct vector_counts count_vectors(const struct tp_model_shape *shape)
{
    size_t layers = shape->layers;
    uint32_t rows[3] = {0};
    uint32_t columns = 0;
    for (uint32_t i = 0; i < 3; i++) {
        tp__matrix_size(shape, (enum tp_matrix)(TP_MATRIX_QUERY + i), &rows[i], &columns);
    }
    return (struct vector_counts){
        .norm_gains = (2 * layers + 1) * shape->dim,
        .head_gains = shape->has_head_norm ? 2 * layers * shape->head_size : 0,
        .biases = shape->has_bias ? layers * ((size_t)rows[0] + rows[1] + rows[2]) : 0,
        .key_means = layers * rows[1],
        .frequencies = shape->head_size / 2,
        .exponents = tp__edge_count(shape)};
}

size_t tp__payload_lay_out(struct tp_quantised_model *model, uint8_t *base)
{
    struct vector_counts counts = count_vectors(&model->shape);
    struct placer placer = {.base = base};
    uint32_t count = tp__matrix_count(&model->shape);
    (void)place(&placer, (size_t)count * TP_PAYLOAD_RECORD_BYTES);
    model->norm_gains = place(&placer, counts.norm_gains * sizeof(float));
    model->head_gains = place(&placer, counts.head_gains * sizeof(float));
    model->biases = place(&placer, counts.biases * sizeof(float));
    model->key_means = place(&placer, counts.key_means * sizeof(float));
    model->frequencies = place(&placer, counts.frequencies * sizeof(double));
    model->exponent_max = place(&placer, counts.exponents);
    for (uint32_t i = 0; i < count; i++) {
        struct tp_quantised_matrix *matrix = &model->matrices[i];
        matrix->codes = place(&placer, code_bytes(matrix));
        matrix->scales = place(&placer, scale_bytes(matrix));
    }
    return placer.next;
}

void tp__payload_write_table(struct tp_quantised_model *model)
{
    for (uint32_t i = 0; i < tp__matrix_count(&model->shape); i++) {
        const struct tp_quantised_matrix *matrix = &model->matrices[i];
        uint8_t *record = model->payload + (size_t)i * TP_PAYLOAD_RECORD_BYTES;
        uint32_t layer = 0;
        tp__put32(record, (uint32_t)tp__matrix_at(i, &layer));
        tp__put32(record + 4, layer);
        tp__put32(record + 8, (uint32_t)model->formats[i]);
        tp__put32(record + 12, matrix->rows);
        tp__put32(record + 16, matrix->columns);
        tp__put32(record + 20, (uint32_t)matrix->shift);
        tp__put64(record + 24, matrix->bound);
        memcpy(record + 32, matrix->codebook, TP_CODEBOOK_SIZE);
        tp__put64(record + 48, (uint64_t)(matrix->codes - model->payload));
        tp__put64(record + 56, (uint64_t)(matrix->scales - model->payload));
    }
}

// ---- reading ----

struct check {
    const struct tp_model_shape *shape;
    const uint8_t *bytes;
    size_t size;
    size_t offset;  // of the payload in the file
    const char *name;
    struct tp_error *error;
};

// "image.tpi: byte 512: matrix 3.down: "
#define AT_MATRIX           "%s: byte %zu: matrix %" PRIu32 ".%s: "
#define MATRIX_AT(c, place) (c)->name, (c)->offset + (size_t)(place), layer, tp__matrix_name(matrix)

// The fields that say what the matrix is. Fills rows, columns, blocks, planes.
static tp_status read_sizes(const struct check *c, uint32_t index, struct tp_quantised_matrix *m,
                            tp_format *format)
{
    size_t at = (size_t)index * TP_PAYLOAD_RECORD_BYTES;
    const uint8_t *record = c->bytes + at;
    uint32_t layer = 0;
    enum tp_matrix matrix = tp__matrix_at(index, &layer);
    if (tp__load_u32(record) != (uint32_t)matrix || tp__load_u32(record + 4) != layer) {
        return tp__fail(c->error, TP_ERROR_FORMAT,
                        AT_MATRIX "the record is of matrix %" PRIu32 " of layer %" PRIu32,
                        MATRIX_AT(c, at), tp__load_u32(record), tp__load_u32(record + 4));
    }
    uint32_t number = tp__load_u32(record + 8);
    if (!tp__format_is_plain(number)) {
        return tp__fail(c->error, TP_ERROR_FORMAT, AT_MATRIX "format %" PRIu32 " is none",
                        MATRIX_AT(c, at + 8), number);
    }
    *format = (tp_format)number;
    tp__matrix_size(c->shape, matrix, &m->rows, &m->columns);
    if (tp__load_u32(record + 12) != m->rows || tp__load_u32(record + 16) != m->columns) {
        return tp__fail(c->error, TP_ERROR_FORMAT,
                        AT_MATRIX "has %" PRIu32 " x %" PRIu32 " weights; the shape asks for "
                                  "%" PRIu32 " x %" PRIu32,
                        MATRIX_AT(c, at + 12), tp__load_u32(record + 12), tp__load_u32(record + 16),
                        m->rows, m->columns);
    }
    m->blocks = (m->columns - 1) / TP_WEIGHT_BLOCK + 1;
    m->planes = tp__format_planes(*format);
    return TP_OK;
}

// The numbers of the record, and that codes and scales lie where the layout has them.
static tp_status read_record(const struct check *c, uint32_t index, tp_format format,
                             struct tp_quantised_matrix *m)
{
    size_t at = (size_t)index * TP_PAYLOAD_RECORD_BYTES;
    const uint8_t *record = c->bytes + at;
    uint32_t layer = 0;
    enum tp_matrix matrix = tp__matrix_at(index, &layer);
    m->shift = (int32_t)tp__load_u32(record + 20);
    m->bound = tp__load_u64(record + 24);
    memcpy(m->codebook, record + 32, sizeof m->codebook);
    if (m->shift < TP_WEIGHT_SHIFT_MIN || m->shift > TP_WEIGHT_SHIFT_MAX) {
        return tp__fail(c->error, TP_ERROR_FORMAT, AT_MATRIX "T is %" PRId32 "; it is %d to %d",
                        MATRIX_AT(c, at + 20), m->shift, TP_WEIGHT_SHIFT_MIN, TP_WEIGHT_SHIFT_MAX);
    }
    struct tp_weight_format expected = tp__weight_format(format);
    for (uint32_t i = 0; i < TP_CODEBOOK_SIZE; i++) {
        bool right = format == TP_FORMAT_LEARNED
                         ? m->codebook[i] >= Q8_LEAST && (i != 0 || m->codebook[i] == 0)
                         : m->codebook[i] == expected.codebook[i];
        if (!right) {
            return tp__fail(c->error, TP_ERROR_FORMAT,
                            AT_MATRIX "code %" PRIu32 " has value %d, which format %s cannot have",
                            MATRIX_AT(c, at + 32 + i), i, m->codebook[i], tp_format_name(format));
        }
    }
    const uint64_t offsets[2] = {(uint64_t)(m->codes - c->bytes), (uint64_t)(m->scales - c->bytes)};
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t offset = tp__load_u64(record + 48 + 8 * i);
        if (offset != offsets[i]) {
            return tp__fail(c->error, TP_ERROR_FORMAT,
                            AT_MATRIX "%s are at %" PRIu64 " of the payload; they must be at "
                                      "%" PRIu64,
                            MATRIX_AT(c, at + 48 + 8 * i), i == 0 ? "codes" : "scales", offset,
                            offsets[i]);
        }
    }
    return TP_OK;
}

// Bytes behind an array, up to the next multiple of 64.
static tp_status check_padding(const struct check *c, const void *array, size_t bytes)
{
    size_t at = (size_t)((const uint8_t *)array - c->bytes) + bytes;
    for (; at % TP_PAYLOAD_ALIGN != 0; at++) {
        if (c->bytes[at] != 0) {
            return tp__fail(c->error, TP_ERROR_FORMAT,
                            "%s: byte %zu: is not 0, but lies between two arrays", c->name,
                            c->offset + at);
        }
    }
    return TP_OK;
}

// Sum of |value| of the two codes of each byte.
static void sum_pairs(const int8_t codebook[TP_CODEBOOK_SIZE], uint16_t sums[256])
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        sums[byte] = (uint16_t)(abs(codebook[byte & 15]) + abs(codebook[byte >> 4]));
    }
}

static uint32_t block_sum(const struct tp_quantised_matrix *m, const uint16_t *sums, size_t index)
{
    uint32_t sum = 0;
    if (m->planes == 1) {
        for (uint32_t i = 0; i < BLOCK_4_BYTES; i++) {
            sum += sums[m->codes[index * BLOCK_4_BYTES + i]];
        }
        return sum;
    }
    for (uint32_t i = 0; i < TP_WEIGHT_BLOCK; i++) {
        int value = (int8_t)m->codes[index * TP_WEIGHT_BLOCK + i];
        sum += (uint32_t)(value < 0 ? -value : value);
    }
    return sum;
}

static uint64_t largest_row(const struct tp_quantised_matrix *m)
{
    uint16_t sums[256];
    uint64_t largest = 0;
    sum_pairs(m->codebook, sums);
    for (size_t row = 0; row < m->rows; row++) {
        uint64_t bound = 0;
        for (size_t index = row * m->blocks; index < (row + 1) * m->blocks; index++) {
            uint32_t scale = m->scales[index];
            bound += block_sum(m, sums, index) * (uint64_t)-Q8_LEAST *
                     ((uint64_t)(16 + (scale & 15)) << (scale >> 4));
        }
        largest = bound > largest ? bound : largest;
    }
    return largest;
}

// -128 is no value of 8 bits; NULL when there is none.
static const uint8_t *find_overflow(const struct tp_quantised_matrix *m)
{
    return m->planes == 2 ? memchr(m->codes, 0x80, code_bytes(m)) : NULL;
}

// The first byte behind the last column of a row that is not 0; NULL when there is none.
static const uint8_t *find_stray(const struct tp_quantised_matrix *m)
{
    size_t row_bytes = (size_t)m->blocks * BLOCK_4_BYTES * m->planes;
    size_t used = m->planes == 2 ? m->columns : (m->columns + 1) / 2;
    for (size_t row = 0; row < m->rows; row++) {
        const uint8_t *codes = m->codes + row * row_bytes;
        bool half = m->planes == 1 && m->columns % 2 == 1;
        if (half && codes[used - 1] >> 4 != 0) {
            return codes + used - 1;
        }
        for (size_t i = used; i < row_bytes; i++) {
            if (codes[i] != 0) {
                return codes + i;
            }
        }
    }
    return NULL;
}

static tp_status check_codes(const struct check *c, uint32_t index,
                             const struct tp_quantised_matrix *m)
{
    uint32_t layer = 0;
    enum tp_matrix matrix = tp__matrix_at(index, &layer);
    const uint8_t *bad = find_overflow(m);
    if (bad != NULL) {
        return tp__fail(c->error, TP_ERROR_FORMAT, AT_MATRIX "a value is -128; the least is -127",
                        MATRIX_AT(c, bad - c->bytes));
    }
    bad = find_stray(m);
    if (bad != NULL) {
        return tp__fail(c->error, TP_ERROR_FORMAT,
                        AT_MATRIX "there is a code behind the last column",
                        MATRIX_AT(c, bad - c->bytes));
    }
    uint64_t bound = largest_row(m);
    if (bound != m->bound) {
        return tp__fail(c->error, TP_ERROR_FORMAT,
                        AT_MATRIX "the bound of a row is %" PRIu64 "; the codes give %" PRIu64,
                        MATRIX_AT(c, (size_t)index * TP_PAYLOAD_RECORD_BYTES + 24), m->bound,
                        bound);
    }
    tp_status status = check_padding(c, m->codes, code_bytes(m));
    return status == TP_OK ? check_padding(c, m->scales, scale_bytes(m)) : status;
}

static tp_status check_floats(const struct check *c, const float *floats, size_t count,
                              const char *what)
{
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(floats[i])) {
            return tp__fail(c->error, TP_ERROR_FORMAT, "%s: byte %zu: %s: number %zu is not finite",
                            c->name, c->offset + (size_t)((const uint8_t *)&floats[i] - c->bytes),
                            what, i);
        }
    }
    return check_padding(c, floats, count * sizeof *floats);
}

static tp_status check_vectors(const struct check *c, const struct tp_quantised_model *model)
{
    struct vector_counts counts = count_vectors(c->shape);
    const struct {
        const float *floats;
        size_t count;
        const char *what;
    } vectors[] = {{model->norm_gains, counts.norm_gains, "norm gains"},
                   {model->head_gains, counts.head_gains, "norm gains of heads"},
                   {model->biases, counts.biases, "biases"},
                   {model->key_means, counts.key_means, "means of keys"}};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        tp_status status = check_floats(c, vectors[i].floats, vectors[i].count, vectors[i].what);
        if (status != TP_OK) {
            return status;
        }
    }
    for (size_t i = 0; i < counts.frequencies; i++) {
        double frequency = model->frequencies[i];
        if (!(frequency >= 0.0 && frequency <= frequency_max)) {
            return tp__fail(
                c->error, TP_ERROR_FORMAT,
                "%s: byte %zu: rotation of pair %zu: %g radians are not 0 to %g", c->name,
                c->offset + (size_t)((const uint8_t *)&model->frequencies[i] - c->bytes), i,
                frequency, frequency_max);
        }
    }
    for (size_t i = 0; i < counts.exponents; i++) {
        if (model->exponent_max[i] > TP_EXPONENT_MAX) {
            return tp__fail(c->error, TP_ERROR_FORMAT,
                            "%s: byte %zu: exponent of edge %zu is %u; the largest is %d", c->name,
                            c->offset + (size_t)(&model->exponent_max[i] - c->bytes), i,
                            model->exponent_max[i], TP_EXPONENT_MAX);
        }
    }
    tp_status status =
        check_padding(c, model->frequencies, counts.frequencies * sizeof *model->frequencies);
    return status == TP_OK ? check_padding(c, model->exponent_max, counts.exponents) : status;
}

static tp_status read_table(const struct check *c, struct tp_quantised_model *model)
{
    uint32_t count = tp__matrix_count(c->shape);
    tp_status status = TP_OK;
    for (uint32_t i = 0; i < count && status == TP_OK; i++) {
        status = read_sizes(c, i, &model->matrices[i], &model->formats[i]);
    }
    if (status != TP_OK) {
        return status;
    }
    // The payload is only read, but the pointers of a model that is being made are not const.
    uint8_t *base = (uint8_t *)(uintptr_t)c->bytes;
    model->payload = base;
    model->payload_bytes = tp__payload_lay_out(model, NULL);
    if (model->payload_bytes != c->size) {
        return tp__fail(c->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: the payload has %zu bytes; its matrices need %zu", c->name,
                        c->offset, c->size, model->payload_bytes);
    }
    (void)tp__payload_lay_out(model, base);
    for (uint32_t i = 0; i < count && status == TP_OK; i++) {
        status = read_record(c, i, model->formats[i], &model->matrices[i]);
    }
    return status;
}

tp_status tp__payload_read(const struct tp_model_shape *shape, const uint8_t *bytes, size_t size,
                           size_t offset, const char *name, struct tp_quantised_model *model,
                           struct tp_error *error)
{
    assert((uintptr_t)bytes % sizeof(double) == 0);
    const struct check c = {shape, bytes, size, offset, name, error};
    size_t count = tp__matrix_count(shape);
    if (size < count * TP_PAYLOAD_RECORD_BYTES) {
        return tp__fail(error, TP_ERROR_FORMAT,
                        "%s: byte %zu: the payload has %zu bytes, too few for %zu matrices", name,
                        offset, size, count);
    }
    struct tp_quantised_model made = {.shape = *shape,
                                      .formats = calloc(count, sizeof *made.formats),
                                      .matrices = calloc(count, sizeof *made.matrices)};
    tp_status status = TP_OK;
    if (made.formats == NULL || made.matrices == NULL) {
        status = tp__fail(error, TP_ERROR_NO_MEMORY, "%s: no memory for %zu matrices", name, count);
    }
    status = status == TP_OK ? read_table(&c, &made) : status;
    status = status == TP_OK ? check_padding(&c, bytes, count * TP_PAYLOAD_RECORD_BYTES) : status;
    status = status == TP_OK ? check_vectors(&c, &made) : status;
    for (uint32_t i = 0; i < count && status == TP_OK; i++) {
        status = check_codes(&c, i, &made.matrices[i]);
    }
    if (status != TP_OK) {
        tp__quantised_model_free(&made);
        return status;
    }
    *model = made;
    return TP_OK;
}
