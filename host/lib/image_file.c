// SPDX-License-Identifier: Apache-2.0
//
// The container of image files. Header, little-endian:
//
//     0   8  "TOKPROC" and a line feed
//     8   4  version, 1
//    12   4  number of sections, 4
//    16   8  bytes of the file
//    24   8  0
//    32  32  SHA-256 of the payload section
//    64  32  SHA-256 of all bytes before the payload section, with 32 zeros in place of this one
//    96  24  sections: shape, manifest, tokenizer, payload; each
//              0  4  kind, 1 to 4        8  8  offset, a multiple of 64
//              4  4  0                  16  8  bytes
//   192  64  0
//
// Sections follow one another in this order; the bytes up to the next multiple of 64 are 0. The
// file ends with the payload.

#include "image_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frame.h"
#include "manifest.h"
#include "payload.h"
#include "reader.h"

enum {
    MAGIC_BYTES = 8,
    VERSION = 1,
    AT_VERSION = 8,
    AT_COUNT = 12,
    AT_FILE_BYTES = 16,
    AT_ZERO = 24,
    AT_PAYLOAD_DIGEST = 32,
    AT_REST_DIGEST = 64,
    AT_SECTIONS = 96,
    ENTRY_BYTES = 24,
    AT_END_ZERO = 192,
    HEADER_BYTES = 256,
    SHAPE_BYTES = 64,
    SHAPE_COUNTS = 8  // leading 32-bit numbers of the shape
};

enum section { SECTION_SHAPE, SECTION_MANIFEST, SECTION_TOKENIZER, SECTION_PAYLOAD, SECTIONS };
static const char *const section_names[SECTIONS] = {"shape", "manifest", "tokenizer", "payload"};
static const char magic[MAGIC_BYTES] = {'T', 'O', 'K', 'P', 'R', 'O', 'C', '\n'};

enum flag { FLAG_TIED = 1, FLAG_BIAS = 2, FLAG_HEAD_NORM = 4, FLAGS = 7 };

struct place {
    size_t offset;
    size_t size;
};

struct parser {
    const uint8_t *bytes;
    size_t size;
    const char *name;
    struct place places[SECTIONS];
    struct tp_error *error;
};

static size_t align(size_t offset)
{
    return (offset + TP_PAYLOAD_ALIGN - 1) / TP_PAYLOAD_ALIGN * TP_PAYLOAD_ALIGN;
}

// ---- header ----

static tp_status check_zero(const struct parser *p, size_t from, size_t to, const char *what)
{
    for (size_t at = from; at < to; at++) {
        if (p->bytes[at] != 0) {
            return tp__fail(p->error, TP_ERROR_FORMAT, "%s: byte %zu: %s: is not 0", p->name, at,
                            what);
        }
    }
    return TP_OK;
}

static tp_status check_start(const struct parser *p)
{
    if (!tp__image_file_is(p->bytes, p->size)) {
        return tp__fail(p->error, TP_ERROR_FORMAT, "%s: byte 0: is no image of tokproc", p->name);
    }
    if (p->size < HEADER_BYTES) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: the image is cut short within its header", p->name, p->size);
    }
    uint32_t version = tp__load_u32(p->bytes + AT_VERSION);
    if (version != VERSION) {
        return tp__fail(p->error, TP_ERROR_UNSUPPORTED,
                        "%s: byte %d: image of version %" PRIu32
                        "; this library reads version %d - try: quantise the model anew",
                        p->name, AT_VERSION, version, VERSION);
    }
    uint32_t count = tp__load_u32(p->bytes + AT_COUNT);
    if (count != SECTIONS) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %d: has %" PRIu32 " sections; an image has %d", p->name, AT_COUNT,
                        count, SECTIONS);
    }
    uint64_t size = tp__load_u64(p->bytes + AT_FILE_BYTES);
    if (size != p->size) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %d: an image of %" PRIu64 " bytes in a file of %zu: %s", p->name,
                        AT_FILE_BYTES, size, p->size,
                        size > p->size ? "it was cut short" : "something follows it");
    }
    tp_status status = check_zero(p, AT_ZERO, AT_PAYLOAD_DIGEST, "a field that is kept free");
    return status == TP_OK ? check_zero(p, AT_END_ZERO, HEADER_BYTES, "the end of the header")
                           : status;
}

// One entry of the table: it must continue where the section before it ended.
static tp_status check_section(struct parser *p, enum section section, size_t end)
{
    size_t at = AT_SECTIONS + ENTRY_BYTES * (size_t)section;
    const char *name = section_names[section];
    uint32_t kind = tp__load_u32(p->bytes + at);
    uint64_t offset = tp__load_u64(p->bytes + at + 8);
    uint64_t size = tp__load_u64(p->bytes + at + 16);
    if (kind != (uint32_t)section + 1 || tp__load_u32(p->bytes + at + 4) != 0) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: section %d is of kind %" PRIu32 "; it must be %d, %s",
                        p->name, at, section, kind, section + 1, name);
    }
    if (offset % TP_PAYLOAD_ALIGN != 0) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: section %s: offset %" PRIu64 " is no multiple of %d",
                        p->name, at + 8, name, offset, TP_PAYLOAD_ALIGN);
    }
    if (offset < end) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: section %s: at %" PRIu64
                        " it overlaps what goes before, which ends at %zu",
                        p->name, at + 8, name, offset, end);
    }
    if (offset > p->size || size > p->size - offset) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: section %s: %" PRIu64 " bytes at %" PRIu64
                        " reach past the end of the file (%zu)",
                        p->name, at + 8, name, size, offset, p->size);
    }
    if (offset != align(end)) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: section %s: at %" PRIu64
                        " it leaves a gap; what goes before ends at %zu",
                        p->name, at + 8, name, offset, end);
    }
    p->places[section] = (struct place){.offset = (size_t)offset, .size = (size_t)size};
    return check_zero(p, end, (size_t)offset, "a byte between sections");
}

static tp_status check_sections(struct parser *p)
{
    size_t end = HEADER_BYTES;
    for (int i = 0; i < SECTIONS; i++) {
        tp_status status = check_section(p, (enum section)i, end);
        if (status != TP_OK) {
            return status;
        }
        end = p->places[i].offset + p->places[i].size;
    }
    if (end != p->size) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: the payload ends here, the file at %zu", p->name, end,
                        p->size);
    }
    return TP_OK;
}

// ---- checksums ----

// Of everything before the payload, the field of this checksum being 0. The caller gives a copy.
static tp_status digest_rest(uint8_t *copy, size_t size, uint8_t digest[TP_DIGEST_BYTES],
                             struct tp_error *error)
{
    memset(copy + AT_REST_DIGEST, 0, TP_DIGEST_BYTES);
    return tp__digest(copy, size, digest, error);
}

static tp_status check_digest(const struct parser *p, size_t at, const uint8_t *digest,
                              const char *what)
{
    if (memcmp(p->bytes + at, digest, TP_DIGEST_BYTES) == 0) {
        return TP_OK;
    }
    char is[TP_DIGEST_TEXT_BYTES];
    char must[TP_DIGEST_TEXT_BYTES];
    tp__digest_text(digest, is);
    tp__digest_text(p->bytes + at, must);
    return tp__fail(p->error, TP_ERROR_FORMAT,
                    "%s: byte %zu: SHA-256 of %s is %.16s..., not %.16s...: the file is damaged",
                    p->name, at, what, is, must);
}

static tp_status check_digests(const struct parser *p, struct tp_image_file *image)
{
    const struct place *payload = &p->places[SECTION_PAYLOAD];
    uint8_t digest[TP_DIGEST_BYTES];
    struct tp_bytes copy;
    tp_status status = tp__bytes_copy(p->bytes, payload->offset, &copy, p->error);
    if (status != TP_OK) {
        return status;
    }
    status = digest_rest(copy.data, copy.size, digest, p->error);
    tp__bytes_free(&copy);
    status = status == TP_OK
                 ? check_digest(p, AT_REST_DIGEST, digest, "what goes before the payload")
                 : status;
    if (status == TP_OK) {
        status = tp__digest(p->bytes + payload->offset, payload->size, image->digest, p->error);
    }
    return status == TP_OK ? check_digest(p, AT_PAYLOAD_DIGEST, image->digest, "the payload")
                           : status;
}

// ---- shape ----
//
//     0  32  dim, hidden, layers, heads, KV heads, head size, vocabulary, context
//    32   4  epsilon of the norms, float32
//    36   4  base of the rotation, float32: what the model's file said; the payload has the angles
//    40   4  flags: 1 the classifier is the embedding, 2 biases, 4 norms of heads
//    44  20  0

static void write_shape(const struct tp_model_shape *shape, uint8_t bytes[SHAPE_BYTES])
{
    const uint32_t counts[SHAPE_COUNTS] = {shape->dim,   shape->hidden,   shape->layers,
                                           shape->heads, shape->kv_heads, shape->head_size,
                                           shape->vocab, shape->context};
    uint32_t flags = (shape->tied ? FLAG_TIED : 0u) | (shape->has_bias ? FLAG_BIAS : 0u) |
                     (shape->has_head_norm ? FLAG_HEAD_NORM : 0u);
    memset(bytes, 0, SHAPE_BYTES);
    for (int i = 0; i < SHAPE_COUNTS; i++) {
        tp__put32(bytes + 4 * i, counts[i]);
    }
    memcpy(bytes + 32, &shape->norm_epsilon, 4);
    memcpy(bytes + 36, &shape->rope_base, 4);
    tp__put32(bytes + 40, flags);
}

static tp_status read_shape(const struct parser *p, struct tp_model_shape *shape)
{
    size_t at = p->places[SECTION_SHAPE].offset;
    const uint8_t *bytes = p->bytes + at;
    if (p->places[SECTION_SHAPE].size != SHAPE_BYTES) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %d: section shape has %zu bytes; it must have %d", p->name,
                        AT_SECTIONS + 16, p->places[SECTION_SHAPE].size, SHAPE_BYTES);
    }
    uint32_t flags = tp__load_u32(bytes + 40);
    *shape = (struct tp_model_shape){.dim = tp__load_u32(bytes),
                                     .hidden = tp__load_u32(bytes + 4),
                                     .layers = tp__load_u32(bytes + 8),
                                     .heads = tp__load_u32(bytes + 12),
                                     .kv_heads = tp__load_u32(bytes + 16),
                                     .head_size = tp__load_u32(bytes + 20),
                                     .vocab = tp__load_u32(bytes + 24),
                                     .context = tp__load_u32(bytes + 28),
                                     .norm_epsilon = tp__load_f32(bytes + 32),
                                     .rope_base = tp__load_f32(bytes + 36),
                                     .tied = (flags & FLAG_TIED) != 0,
                                     .has_bias = (flags & FLAG_BIAS) != 0,
                                     .has_head_norm = (flags & FLAG_HEAD_NORM) != 0};
#ifdef TP_PLANT_BUG
    shape->context = shape->vocab;
#endif
    if (flags > FLAGS) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: shape: flags %" PRIu32 " are unknown", p->name, at + 40,
                        flags);
    }
    if (!(shape->norm_epsilon >= 0.0f && shape->norm_epsilon <= 1.0f)) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: shape: epsilon of the norms is %g; it is 0 to 1", p->name,
                        at + 32, (double)shape->norm_epsilon);
    }
    if (!(shape->rope_base > 0.0f && shape->rope_base <= 3e38f)) {
        return tp__fail(p->error, TP_ERROR_FORMAT,
                        "%s: byte %zu: shape: base of the rotation is %g", p->name, at + 36,
                        (double)shape->rope_base);
    }
    tp_status status = check_zero(p, at + 44, at + SHAPE_BYTES, "shape: the end");
    return status == TP_OK ? tp__shape_check(shape, p->name, p->error) : status;
}

// ---- reading ----

bool tp__image_file_is(const void *bytes, size_t size)
{
    return size >= MAGIC_BYTES && memcmp(bytes, magic, MAGIC_BYTES) == 0;
}

bool tp__image_file_is_at(const char *path)
{
    char start[MAGIC_BYTES];
    int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) {
        return false;
    }
    ssize_t size = read(descriptor, start, sizeof start);
    close(descriptor);
    return size == MAGIC_BYTES && tp__image_file_is(start, sizeof start);
}

tp_status tp__image_file_parse(const uint8_t *bytes, size_t size, const char *name,
                               struct tp_image_file *image, struct tp_error *error)
{
    struct parser p = {.bytes = bytes, .size = size, .name = tp__short_name(name), .error = error};
    struct tp_image_file made = {.bytes = bytes, .size = size};
    struct tp_model_shape shape;
    tp_status status = check_start(&p);
    status = status == TP_OK ? check_sections(&p) : status;
    status = status == TP_OK ? check_digests(&p, &made) : status;
    status = status == TP_OK ? read_shape(&p, &shape) : status;
    if (status == TP_OK) {
        const struct place *place = &p.places[SECTION_MANIFEST];
        status = tp__manifest_read(bytes + place->offset, place->size, place->offset, p.name,
                                   &made.manifest, error);
    }
    if (status == TP_OK) {
        const struct place *place = &p.places[SECTION_PAYLOAD];
        status = tp__payload_read(&shape, bytes + place->offset, place->size, place->offset, p.name,
                                  &made.model, error);
    }
    if (status != TP_OK) {
        return status;
    }
    made.tokenizer_bytes = p.places[SECTION_TOKENIZER].size;
    made.tokenizer = made.tokenizer_bytes == 0 ? NULL : bytes + p.places[SECTION_TOKENIZER].offset;
    *image = made;
    return TP_OK;
}

// Images are replaced by renaming, never written in place, so what is mapped stays whole.
static tp_status map(int descriptor, const char *name, void **mapping, size_t *size,
                     struct tp_error *error)
{
    struct stat facts;
    if (fstat(descriptor, &facts) != 0 || !S_ISREG(facts.st_mode)) {
        return tp__fail(error, TP_ERROR_IO, "%s: is not a file; give a regular file", name);
    }
    if (facts.st_size <= 0 || (uintmax_t)facts.st_size > TP_IMAGE_BYTES_MAX) {
        return tp__fail(error, TP_ERROR_TOO_LARGE, "%s: has %jd bytes; the limit is %zu", name,
                        (intmax_t)facts.st_size, TP_IMAGE_BYTES_MAX);
    }
    *size = (size_t)facts.st_size;
    *mapping = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (*mapping == MAP_FAILED) {
        return tp__fail(error, TP_ERROR_IO, "%s: cannot be mapped: %s", name, strerror(errno));
    }
    return TP_OK;
}

tp_status tp__image_file_open(const char *path, struct tp_image_file *image, struct tp_error *error)
{
    const char *name = tp__short_name(path);
    int descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) {
        return tp__fail(error, TP_ERROR_IO, "%s: cannot open: %s", name, strerror(errno));
    }
    void *mapping = NULL;
    size_t size = 0;
    tp_status status = map(descriptor, name, &mapping, &size, error);
    close(descriptor);
    if (status != TP_OK) {
        return status;
    }
    status = tp__image_file_parse(mapping, size, path, image, error);
    if (status != TP_OK) {
        (void)munmap(mapping, size);
        return status;
    }
    image->mapping = mapping;
    return TP_OK;
}

void tp__image_file_close(struct tp_image_file *image)
{
    tp__quantised_model_free(&image->model);
    if (image->mapping != NULL) {
        (void)munmap(image->mapping, image->size);
    }
    *image = (struct tp_image_file){0};
}

// ---- writing ----

// Everything before the payload: header and the three small sections.
static tp_status make_rest(const struct tp_quantised_model *model, const char *manifest,
                           const uint8_t *tokenizer, size_t tokenizer_bytes, struct tp_bytes *rest,
                           struct tp_error *error)
{
    const size_t sizes[SECTIONS] = {SHAPE_BYTES, strlen(manifest), tokenizer_bytes,
                                    model->payload_bytes};
    size_t offsets[SECTIONS];
    size_t end = HEADER_BYTES;
    for (int i = 0; i < SECTIONS; i++) {
        offsets[i] = align(end);
        end = offsets[i] + sizes[i];
    }
    rest->size = offsets[SECTION_PAYLOAD];
    rest->data = calloc(1, rest->size);
    if (rest->data == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for an image file");
    }
    uint8_t *bytes = rest->data;
    memcpy(bytes, magic, MAGIC_BYTES);
    tp__put32(bytes + AT_VERSION, VERSION);
    tp__put32(bytes + AT_COUNT, SECTIONS);
    tp__put64(bytes + AT_FILE_BYTES, end);
    for (int i = 0; i < SECTIONS; i++) {
        uint8_t *entry = bytes + AT_SECTIONS + ENTRY_BYTES * i;
        tp__put32(entry, (uint32_t)i + 1);
        tp__put64(entry + 8, offsets[i]);
        tp__put64(entry + 16, sizes[i]);
    }
    write_shape(&model->shape, bytes + offsets[SECTION_SHAPE]);
    memcpy(bytes + offsets[SECTION_MANIFEST], manifest, sizes[SECTION_MANIFEST]);
    if (tokenizer_bytes != 0) {
        memcpy(bytes + offsets[SECTION_TOKENIZER], tokenizer, tokenizer_bytes);
    }
    return TP_OK;
}

tp_status tp__image_file_write(const struct tp_quantised_model *model,
                               const struct tp_manifest *manifest, const uint8_t *tokenizer,
                               size_t tokenizer_bytes, const char *path, struct tp_error *error)
{
    assert(model->payload != NULL);
    struct tp_bytes rest = {0};
    uint8_t digest[TP_DIGEST_BYTES];
    char *text = NULL;
    tp_status status = tp__manifest_write(manifest, &text, error);
    status =
        status == TP_OK ? make_rest(model, text, tokenizer, tokenizer_bytes, &rest, error) : status;
    free(text);
    if (status == TP_OK) {
        status =
            tp__digest(model->payload, model->payload_bytes, rest.data + AT_PAYLOAD_DIGEST, error);
    }
    status = status == TP_OK ? digest_rest(rest.data, rest.size, digest, error) : status;
    if (status == TP_OK) {
        memcpy(rest.data + AT_REST_DIGEST, digest, sizeof digest);
        struct tp_file_writer writer;
        tp__writer_open(&writer, path, error);
        tp__writer_put(&writer, rest.data, rest.size);
        tp__writer_put(&writer, model->payload, model->payload_bytes);
        status = tp__writer_close(&writer, TP_OK);
    }
    tp__bytes_free(&rest);
    return status;
}
