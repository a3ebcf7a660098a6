// SPDX-License-Identifier: Apache-2.0
//
// Claims about image files: what is written is read again, number for number; the same model gives
// the same bytes, and the same tensors from any kind of file the same payload; a file that is cut
// anywhere or changed in any byte is refused, and each kind of defect, also behind right checksums,
// has its own message that names field and offset. No bytes at all crash the reader.
//
// Models of random weights with biases and norms of heads. Not covered: time and memory of large
// images (docs/image.md).

#include "image_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "compile.h"
#include "dequantise.h"
#include "frame.h"
#include "internal.h"
#include "manifest.h"
#include "model_files.h"
#include "model_folders.h"
#include "payload.h"
#include "random.h"

enum { FORMATS_MAX = 32, TOKENIZER_BYTES = 100, VECTORS_MAX = 256 };
enum { AT_PAYLOAD_DIGEST = 32, AT_REST_DIGEST = 64, AT_SECTIONS = 96, ENTRY_BYTES = 24 };
enum { SHAPE, MANIFEST, TOKENIZER, PAYLOAD };

static const tp_context context;
static struct tp_error error;
static uint8_t tokenizer[TOKENIZER_BYTES];
static float vectors[5][VECTORS_MAX];
static struct tp_manifest manifest;
static struct tp_quantised_model model;
static uint8_t *file;  // of the sound image, at an address that suits doubles
static size_t file_size;
static struct tp_image_file image;

static const struct tp_test_model made = {.dim = 48,
                                          .hidden = 50,
                                          .layers = 2,
                                          .heads = 6,
                                          .kv_heads = 2,
                                          .vocab = 33,
                                          .context = 48,
                                          .seed = 5};

static void load_source(struct tp_source_model *source)
{
    struct tp_test_bytes bytes = {NULL, 0, 0};
    struct tp_test_model own = made;
    tp_test_write_llama2c(&own, 1, &bytes);
    ck_assert_int_eq(tp__source_model_parse(bytes.data, bytes.size, "m.bin", source, &error),
                     TP_OK);
    tp_test_bytes_free(&bytes);
}

// Biases and norms of heads, which these files cannot hold.
static void add_vectors(struct tp_source_model *source)
{
    source->shape.has_bias = true;
    source->shape.has_head_norm = true;
    for (uint32_t i = 0; i < 5; i++) {
        for (uint32_t k = 0; k < VECTORS_MAX; k++) {
            vectors[i][k] = 0.5f + (float)(k % 7) / 8.0f;
        }
        for (uint32_t layer = 0; layer < source->shape.layers; layer++) {
            source->tensors[TP_TENSOR_QUERY_BIAS + i + layer * TP_TENSOR_PER_LAYER] = vectors[i];
        }
    }
}

static void quantise(const struct tp_source_model *source, struct tp_quantised_model *quantised)
{
    static const char *const keep[] = {"down=q8", "1.query=fp4", "value=int4"};
    tp_format formats[FORMATS_MAX];
    ck_assert_uint_le(tp__matrix_count(&source->shape), FORMATS_MAX);
    ck_assert_int_eq(tp__choose_formats(&source->shape, TP_FORMAT_NF4, keep, 3, formats, &error),
                     TP_OK);
    ck_assert_int_eq(tp__quantise_model(&context, source, formats, NULL, NULL, quantised, &error),
                     TP_OK);
}

// A sound image in `file`, of the model in `model`.
static void setup(void)
{
    struct tp_source_model source;
    struct tp_bytes bytes;
    struct tp_test_bytes none = {tokenizer, 1, 1};
    char path[512];
    load_source(&source);
    add_vectors(&source);
    quantise(&source, &model);
    tp__source_model_free(&source);
    memset(tokenizer, 7, sizeof tokenizer);
    manifest = (struct tp_manifest){.name = "m.bin",
                                    .architecture = "llama",
                                    .file_format = "llama2.c version 1",
                                    .method = "nearest",
                                    .measured_on = "t.txt",
                                    .score = {.tokens = 5, .nats = 1.25, .top_agreement = 0.5}};
    tp_test_write_file(&none, path, sizeof path);
    ck_assert_msg(
        tp__image_file_write(&model, &manifest, tokenizer, sizeof tokenizer, path, &error) == TP_OK,
        "%s", error.text);
    ck_assert_int_eq(tp__file_read(path, 1 << 24, &bytes, &error), TP_OK);
    (void)unlink(path);
    file = bytes.data;
    file_size = bytes.size;
}

static void teardown(void)
{
    tp__quantised_model_free(&model);
    free(file);
}

static size_t section_offset(int section)
{
    return (size_t)tp__load_u64(file + AT_SECTIONS + ENTRY_BYTES * section + 8);
}

// Makes both checksums right again after a change.
static void repair(void)
{
    uint8_t digest[TP_DIGEST_BYTES];
    size_t payload = section_offset(PAYLOAD);
    ck_assert_int_eq(tp__digest(file + payload, file_size - payload, digest, &error), TP_OK);
    memcpy(file + AT_PAYLOAD_DIGEST, digest, sizeof digest);
    memset(file + AT_REST_DIGEST, 0, sizeof digest);
    ck_assert_int_eq(tp__digest(file, payload, digest, &error), TP_OK);
    memcpy(file + AT_REST_DIGEST, digest, sizeof digest);
}

// The file is refused, and the message has these two parts.
static void check_refused(const char *what, const char *where)
{
    error.text[0] = 0;
    tp_status status = tp__image_file_parse(file, file_size, "bad.tpi", &image, &error);
    ck_assert_msg(status != TP_OK, "taken, but: %s", what);
    ck_assert_msg(strstr(error.text, "bad.tpi") != NULL, "%s", error.text);
    ck_assert_msg(strstr(error.text, what) != NULL, "'%s' is not in: %s", what, error.text);
    ck_assert_msg(strstr(error.text, where) != NULL, "'%s' is not in: %s", where, error.text);
}

// ---- sound files ----

START_TEST(what_was_written_is_read_again)
{
    ck_assert_msg(tp__image_file_parse(file, file_size, "m.tpi", &image, &error) == TP_OK, "%s",
                  error.text);
    ck_assert_uint_eq(image.model.payload_bytes, model.payload_bytes);
    ck_assert_mem_eq(image.model.payload, model.payload, model.payload_bytes);
    ck_assert_uint_eq(image.tokenizer_bytes, sizeof tokenizer);
    ck_assert_mem_eq(image.tokenizer, tokenizer, sizeof tokenizer);
    ck_assert_str_eq(image.manifest.name, manifest.name);
    ck_assert_str_eq(image.manifest.measured_on, manifest.measured_on);
    ck_assert_uint_eq(image.manifest.score.tokens, 5);
    ck_assert(image.manifest.score.nats == 1.25 && image.manifest.score.top_agreement == 0.5);
    const struct tp_model_shape *shape = &image.model.shape;
    ck_assert_uint_eq(shape->dim, model.shape.dim);
    ck_assert_uint_eq(shape->context, model.shape.context);
    ck_assert(shape->has_bias && shape->has_head_norm && shape->tied == model.shape.tied);
    ck_assert(shape->norm_epsilon == model.shape.norm_epsilon);
    for (uint32_t i = 0; i < tp__matrix_count(shape); i++) {
        ck_assert_int_eq(image.model.formats[i], model.formats[i]);
        ck_assert_int_eq(image.model.matrices[i].shift, model.matrices[i].shift);
        ck_assert_uint_eq(image.model.matrices[i].bound, model.matrices[i].bound);
    }
    tp__image_file_close(&image);
}
END_TEST

START_TEST(files_are_mapped)
{
    struct tp_test_bytes bytes = {file, file_size, file_size};
    char path[512];
    tp_test_write_file(&bytes, path, sizeof path);
    ck_assert(tp__image_file_is_at(path));
    ck_assert_msg(tp__image_file_open(path, &image, &error) == TP_OK, "%s", error.text);
    ck_assert_ptr_nonnull(image.mapping);
    ck_assert_mem_eq(image.model.payload, model.payload, model.payload_bytes);
    tp__image_file_close(&image);
    (void)unlink(path);
    ck_assert(!tp__image_file_is_at(path));
    ck_assert_int_eq(tp__image_file_open(path, &image, &error), TP_ERROR_IO);
    ck_assert_int_eq(tp__image_file_open("/", &image, &error), TP_ERROR_IO);
}
END_TEST

// Distance of de-quantised weights from those of the source, relative.
START_TEST(dequantised_weights_are_near_the_source)
{
    static const enum tp_tensor tensors[] = {TP_TENSOR_EMBEDDING, TP_TENSOR_QUERY,  TP_TENSOR_KEY,
                                             TP_TENSOR_VALUE,     TP_TENSOR_OUTPUT, TP_TENSOR_GATE,
                                             TP_TENSOR_UP,        TP_TENSOR_DOWN};
    struct tp_source_model source;
    struct tp_source_model back;
    load_source(&source);
    add_vectors(&source);
    ck_assert_int_eq(tp__dequantise(&model, "back", "llama", &back, &error), TP_OK);
    for (size_t t = 0; t < sizeof tensors / sizeof *tensors; t++) {
        uint32_t rows = 0;
        uint32_t columns = 0;
        tp__tensor_size(&source.shape, tensors[t], &rows, &columns);
        const float *a = tp__source_tensor(&source, tensors[t], 1);
        const float *b = tp__source_tensor(&back, tensors[t], 1);
        double errors = 0;
        double squares = 0;
        for (size_t i = 0; i < (size_t)rows * columns; i++) {
            errors += (double)(a[i] - b[i]) * (double)(a[i] - b[i]);
            squares += (double)a[i] * (double)a[i];
        }
        ck_assert_msg(errors < 0.02 * squares, "tensor %d: %g of %g", tensors[t], errors, squares);
    }
    for (int t = TP_TENSOR_QUERY_BIAS; t <= TP_TENSOR_KEY_NORM; t++) {
        uint32_t rows = 0;
        uint32_t columns = 0;
        tp__tensor_size(&source.shape, (enum tp_tensor)t, &rows, &columns);
        ck_assert_mem_eq(tp__source_tensor(&back, (enum tp_tensor)t, 1),
                         tp__source_tensor(&source, (enum tp_tensor)t, 1),
                         (size_t)rows * columns * sizeof(float));
    }
    tp__source_model_free(&source);
    tp__source_model_free(&back);
}
END_TEST

// Number kind of three files with the same tensors.
static void load_kind(int kind, const struct tp_test_model *own, struct tp_source_model *sources)
{
    static const struct tp_test_gguf options = {.version = 3};
    struct tp_test_bytes bytes = {NULL, 0, 0};
    char folder[512];
    tp_status status = TP_OK;
    if (kind == 2) {
        tp_test_folder_make(folder, sizeof folder);
        tp_test_save_source(&sources[0], folder);
        status = tp__source_model_load(folder, &sources[2], &error);
        tp_test_folder_remove(folder);
    } else {
        if (kind == 0) {
            tp_test_write_llama2c(own, own->is_untied ? 1 : 0, &bytes);
        } else {
            tp_test_write_gguf(own, &options, &bytes, NULL, NULL);
        }
        status = tp__source_model_parse(bytes.data, bytes.size, "m", &sources[kind], &error);
        tp_test_bytes_free(&bytes);
    }
    ck_assert_msg(status == TP_OK, "%s", error.text);
}

START_TEST(same_tensors_give_the_same_payload)
{
    struct tp_test_model own = made;
    struct tp_source_model sources[3];
    struct tp_quantised_model quantised[3];
    own.is_untied = _i == 1;
    for (int i = 0; i < 3; i++) {
        load_kind(i, &own, sources);
        sources[i].shape.context += (uint32_t)i;  // what a file claims does not count
        quantise(&sources[i], &quantised[i]);
        ck_assert_uint_eq(quantised[0].payload_bytes, quantised[i].payload_bytes);
        ck_assert_mem_eq(quantised[0].payload, quantised[i].payload, quantised[0].payload_bytes);
    }
    for (int i = 0; i < 3; i++) {
        tp__quantised_model_free(&quantised[i]);
        tp__source_model_free(&sources[i]);
    }
}
END_TEST

// ---- damaged files ----

START_TEST(cut_anywhere_it_is_refused)
{
    for (size_t size = 0; size < file_size; size += size < 4096 ? 1 : 61) {
        // At its own end, so that the sanitizer sees a byte too many.
        uint8_t *part = malloc(size + 1);
        ck_assert_ptr_nonnull(part);
        memcpy(part, file, size);
        part = realloc(part, size == 0 ? 1 : size);
        ck_assert_ptr_nonnull(part);
        ck_assert_msg(tp__image_file_parse(part, size, "cut", &image, &error) == TP_ERROR_FORMAT,
                      "%zu bytes", size);
        free(part);
    }
}
END_TEST

START_TEST(any_changed_byte_is_refused)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 1);
    for (int i = 0; i < 500; i++) {
        size_t at = tp_random_below(&random, (uint32_t)file_size);
        uint8_t old = file[at];
        file[at] = (uint8_t)(old ^ (1u << tp_random_below(&random, 8)));
        ck_assert_msg(tp__image_file_parse(file, file_size, "bad", &image, &error) != TP_OK,
                      "byte %zu", at);
        file[at] = old;
    }
    ck_assert_int_eq(tp__image_file_parse(file, file_size, "good", &image, &error), TP_OK);
    tp__image_file_close(&image);
}
END_TEST

// Behind right checksums: sound, or refused with a message; the sanitizers watch.
START_TEST(no_bytes_crash_the_reader)
{
    struct tp_random random;
    tp_random_init(&random, tp_test_seed(_i), 2);
    size_t payload = section_offset(PAYLOAD);
    uint8_t *sound = malloc(file_size);
    ck_assert_ptr_nonnull(sound);
    memcpy(sound, file, file_size);
    for (int i = 0; i < 300; i++) {
        for (uint32_t k = tp_random_below(&random, 4) + 1; k != 0; k--) {
            size_t start = tp_random_below(&random, 2) == 0 ? 0 : payload;
            size_t room = start == 0 ? 2048 : 4096;
            room = room < file_size - start ? room : file_size - start;
            file[start + tp_random_below(&random, (uint32_t)room)] =
                (uint8_t)tp_random_below(&random, 256);
        }
        if (section_offset(PAYLOAD) <= file_size) {
            repair();
        }
        error.text[0] = 0;
        if (tp__image_file_parse(file, file_size, "odd", &image, &error) == TP_OK) {
            tp__image_file_close(&image);
        } else {
            ck_assert_msg(strncmp(error.text, "odd: ", 5) == 0, "%s", error.text);
        }
        memcpy(file, sound, file_size);
    }
    free(sound);
}
END_TEST

// One field of the header: 4 or 8 bytes, and what the message says of it.
static const struct header_defect {
    size_t at;
    int bytes;
    uint64_t value;
    const char *what;
    const char *where;
} header_defects[] = {
    {0, 4, 0x12345678, "is no image", "byte 0"},
    {8, 4, 2, "version 2", "byte 8"},
    {12, 4, 5, "has 5 sections", "byte 12"},
    {16, 8, 1 << 30, "cut short", "byte 16"},
    {16, 8, 300, "something follows", "byte 16"},
    {24, 8, 1, "kept free", "byte 24"},
    {192, 4, 9, "end of the header", "byte 192"},
    {64, 4, 0, "SHA-256 of what goes before the payload", "byte 64"},
    {96, 4, 3, "section 0 is of kind 3", "byte 96"},
    {100, 4, 1, "section 0 is of kind 1", "byte 96"},
    {104, 8, 257, "section shape: offset 257 is no multiple", "byte 104"},
    {104, 8, 192, "section shape: at 192 it overlaps", "byte 104"},
    {104, 8, 320, "section shape: at 320 it leaves a gap", "byte 104"},
    {104, 8, (uint64_t)1 << 63, "reach past the end", "byte 104"},
    {112, 8, UINT64_MAX, "section shape: 18446744073709551615 bytes", "byte 104"},
    {112, 8, 65, "section manifest: at 320 it overlaps", "byte 128"},
    {120, 4, 1, "section 1 is of kind 1; it must be 2, manifest", "byte 120"},
    {128, 8, 256, "section manifest: at 256 it overlaps", "byte 128"},
    {152, 8, 320, "section tokenizer: at 320 it overlaps", "byte 152"},
    {176, 8, 384, "section payload: at 384 it overlaps", "byte 176"},
    {184, 8, 64, "the payload ends here", "byte"},
    {184, 8, UINT64_MAX - 64, "section payload", "reach past the end"},
};
enum { HEADER_DEFECTS = sizeof header_defects / sizeof *header_defects };

START_TEST(each_field_of_the_header_has_its_message)
{
    const struct header_defect *defect = &header_defects[_i];
    for (int i = 0; i < defect->bytes; i++) {
        file[defect->at + (size_t)i] = (uint8_t)(defect->value >> (8 * i));
    }
    check_refused(defect->what, defect->where);
}
END_TEST

START_TEST(checksum_of_the_payload_has_its_message)
{
    file[section_offset(PAYLOAD) + 100] ^= 1;
    check_refused("SHA-256 of the payload", "byte 32");
}
END_TEST

START_TEST(bytes_between_sections_are_zero)
{
    size_t manifest_bytes = (size_t)tp__load_u64(file + AT_SECTIONS + ENTRY_BYTES + 16);
    size_t at = section_offset(MANIFEST) + manifest_bytes;
    ck_assert_uint_ne(at % 64, 0);
    file[at] = 1;
    repair();
    char where[32];
    (void)snprintf(where, sizeof where, "byte %zu", at);
    check_refused("a byte between sections", where);
}
END_TEST

// Fields of the shape, behind right checksums.
static const struct header_defect shape_defects[] = {
    {0, 4, 0, "dimension is 0", ""},
    {0, 4, 1 << 30, "dimension", "limit"},
    {0, 4, 64, "has 33 x 48 weights; the shape asks for 33 x 64", "matrix 0.embedding"},
    {8, 4, 3, "the record is of matrix", "matrix 2.query"},
    {8, 4, 1 << 20, "number of layers", "limit"},
    {12, 4, 5, "5 heads cannot share 2", ""},
    {20, 4, 7, "head size 7 is odd", ""},
    {24, 4, 34, "the shape asks for 34 x 48", "matrix 0.embedding"},
    {32, 4, 0xffc00000, "epsilon of the norms is", "byte 288"},
    {32, 4, 0x40000000, "epsilon of the norms is 2", "byte 288"},
    {36, 4, 0x7f800000, "base of the rotation is inf", "byte 292"},
    {40, 4, 8, "flags 8 are unknown", "byte 296"},
    {44, 4, 1, "shape: the end", "byte 300"},
};
enum { SHAPE_DEFECTS = sizeof shape_defects / sizeof *shape_defects };

START_TEST(each_field_of_the_shape_has_its_message)
{
    const struct header_defect *defect = &shape_defects[_i];
    tp__put32(file + section_offset(SHAPE) + defect->at, (uint32_t)defect->value);
    repair();
    check_refused(defect->what, defect->where);
}
END_TEST

// Fields of records, by the number of the matrix: 2 is 0.query in 4 bits, 0 the embedding in 8.
static const struct record_defect {
    uint32_t matrix;
    size_t at;
    uint32_t value;
    const char *what;
} record_defects[] = {
    {2, 0, 3, "the record is of matrix 3 of layer 0"},
    {2, 4, 1, "the record is of matrix 2 of layer 1"},
    {2, 8, 4, "format 4 is none"},
    {2, 8, 99, "format 99 is none"},
    {2, 8, 0, "the payload has"},
    {2, 8, 1, "which format fp4 cannot have"},
    {2, 12, 0, "has 0 x 48 weights"},
    {2, 16, 32, "x 32 weights"},
    {2, 20, 61, "T is 61"},
    {2, 20, (uint32_t)-25, "T is -25"},
    {2, 24, 1, "the bound of a row is"},
    {2, 28, 1, "the bound of a row is"},
    {2, 32, 1, "code 0 has value 1"},
    {0, 32, 1, "code 0 has value 1, which format q8 cannot have"},
    {2, 48, 0, "codes are at 0 of the payload"},
    {2, 52, 1, "codes are at"},
    {2, 56, 64, "scales are at 64 of the payload"},
};
enum { RECORD_DEFECTS = sizeof record_defects / sizeof *record_defects };

START_TEST(each_field_of_a_record_has_its_message)
{
    const struct record_defect *defect = &record_defects[_i];
    size_t record = section_offset(PAYLOAD) + TP_PAYLOAD_RECORD_BYTES * defect->matrix;
    tp__put32(file + record + defect->at, defect->value);
    repair();
    check_refused(defect->what, "byte");
}
END_TEST

// Places of the payload, from the sound model.
enum number {
    NUMBER_GAIN,
    NUMBER_HEAD_GAIN,
    NUMBER_BIAS,
    NUMBER_MEAN,
    NUMBER_FREQUENCY,
    NUMBER_EXPONENT,
    NUMBER_PADDING,
    NUMBER_VALUE,
    NUMBER_STRAY,
    NUMBER_STRAY_VALUE,
    NUMBER_SCALE,
    NUMBERS
};

static const void *place_of(enum number number)
{
    const struct tp_quantised_matrix *key = tp__quantised_matrix(&model, TP_MATRIX_KEY, 0);
    const struct tp_quantised_matrix *down = tp__quantised_matrix(&model, TP_MATRIX_DOWN, 1);
    switch (number) {
    case NUMBER_GAIN:
        return model.norm_gains + 3;
    case NUMBER_HEAD_GAIN:
        return model.head_gains + 1;
    case NUMBER_BIAS:
        return model.biases + 2;
    case NUMBER_MEAN:
        return model.key_means;
    case NUMBER_FREQUENCY:
        return model.frequencies + 1;
    case NUMBER_EXPONENT:
        return model.exponent_max + 4;
    case NUMBER_PADDING:
        return model.exponent_max + tp__edge_count(&model.shape);
    case NUMBER_VALUE:
        return down->codes + 5;
    case NUMBER_STRAY:
        return key->codes + 24;  // 48 columns end there, the row at 32
    case NUMBER_STRAY_VALUE:
        return down->codes + 50;  // hidden is 50
    default:
        return key->scales;
    }
}

START_TEST(each_kind_of_number_has_its_message)
{
    static const char *const messages[NUMBERS] = {"norm gains: number 3 is not finite",
                                                  "norm gains of heads: number 1 is not finite",
                                                  "biases: number 2 is not finite",
                                                  "means of keys: number 0 is not finite",
                                                  "rotation of pair 1",
                                                  "exponent of edge 4 is 255; the largest is 25",
                                                  "lies between two arrays",
                                                  "a value is -128",
                                                  "there is a code behind the last column",
                                                  "there is a code behind the last column",
                                                  "the bound of a row is"};
    size_t offset = section_offset(PAYLOAD) +
                    (size_t)((const uint8_t *)place_of((enum number)_i) - model.payload);
    char where[32];
    bool is_code = _i == NUMBER_VALUE;
    bool is_bound = _i == NUMBER_SCALE;
    (void)snprintf(where, sizeof where, "byte %zu", offset);
    memset(file + offset, is_code ? 0x80 : 0xff,
           _i <= NUMBER_MEAN        ? 4
           : _i == NUMBER_FREQUENCY ? 8
                                    : 1);
    repair();
    check_refused(messages[_i], is_bound ? "0.key" : where);
}
END_TEST

// ---- manifest ----

static const struct text_defect {
    const char *json;
    const char *what;
} text_defects[] = {
    {"", "is no JSON object"},
    {"[]", "is no JSON object"},
    {"{\"origin\":", "is no JSON object"},
    {"{} x", "is no JSON object"},
    {"{\"origin\":{\"name\":5}}", "origin.name is no text"},
    {"{\"origin\":{\"name\":\"a\\u001bb\"}}", "origin.name has a control character"},
    {"{\"origin\":{\"architecture\":\"0123456789012345678901234567890123456789012345678901234567890"
     "123456789\"}}",
     "origin.architecture is no text, or too long"},
    {"{\"quality\":{\"tokens\":-1}}", "quality.tokens is no count"},
    {"{\"quality\":{\"tokens\":1.5}}", "quality.tokens is no count"},
    {"{\"quality\":{\"nats\":\"1\"}}", "quality.nats is no number"},
    {"{\"a\":1,\"a\":2}", "is no JSON object"},
};
enum { TEXT_DEFECTS = sizeof text_defects / sizeof *text_defects };

START_TEST(each_defect_of_the_manifest_has_its_message)
{
    const struct text_defect *defect = &text_defects[_i];
    struct tp_manifest read;
    error.text[0] = 0;
    ck_assert_int_eq(tp__manifest_read((const uint8_t *)defect->json, strlen(defect->json), 320,
                                       "m.tpi", &read, &error),
                     TP_ERROR_FORMAT);
    ck_assert_msg(strstr(error.text, defect->what) != NULL, "%s", error.text);
    ck_assert_msg(strstr(error.text, "byte 3") != NULL, "%s", error.text);
}
END_TEST

START_TEST(unknown_fields_of_the_manifest_are_left_alone)
{
    static const char json[] = "{\"origin\":{\"name\":\"x\",\"moon\":[1]},\"later\":{}}";
    struct tp_manifest read;
    ck_assert_int_eq(
        tp__manifest_read((const uint8_t *)json, sizeof json - 1, 0, "m.tpi", &read, &error),
        TP_OK);
    ck_assert_str_eq(read.name, "x");
    ck_assert_uint_eq(read.score.tokens, 0);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("image_file");
    TCase *tc = tcase_create("image_file");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, what_was_written_is_read_again);
    tcase_add_test(tc, files_are_mapped);
    tcase_add_test(tc, dequantised_weights_are_near_the_source);
    tcase_add_loop_test(tc, same_tensors_give_the_same_payload, 0, 2);
    tcase_add_test(tc, cut_anywhere_it_is_refused);
    tcase_add_loop_test(tc, any_changed_byte_is_refused, 0, 2);
    tcase_add_loop_test(tc, no_bytes_crash_the_reader, 0, 4);
    tcase_add_loop_test(tc, each_field_of_the_header_has_its_message, 0, HEADER_DEFECTS);
    tcase_add_test(tc, checksum_of_the_payload_has_its_message);
    tcase_add_test(tc, bytes_between_sections_are_zero);
    tcase_add_loop_test(tc, each_field_of_the_shape_has_its_message, 0, SHAPE_DEFECTS);
    tcase_add_loop_test(tc, each_field_of_a_record_has_its_message, 0, RECORD_DEFECTS);
    tcase_add_loop_test(tc, each_kind_of_number_has_its_message, 0, NUMBERS);
    tcase_add_loop_test(tc, each_defect_of_the_manifest_has_its_message, 0, TEXT_DEFECTS);
    tcase_add_test(tc, unknown_fields_of_the_manifest_are_left_alone);
    suite_add_tcase(suite, tc);
    return suite;
}
