// SPDX-License-Identifier: Apache-2.0
//
// Claims about images of 10 MB: opening one, with all checks, takes at most 50 ms of processor time
// and at most 1.2 times the file's size of memory.
//
// With random numbers in a layout of 17 million weights, half in 4 and half in 8 bits. Memory is
// the file's pages plus the heap. Prints both figures; docs/image.md quotes them.

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check_main.h"
#include "image_file.h"
#include "model_files.h"
#include "payload.h"
#include "random.h"

enum { FORMATS_MAX = 64, RUNS = 5 };

static const struct tp_model_shape shape = {.dim = 384,
                                            .hidden = 1024,
                                            .layers = 8,
                                            .heads = 6,
                                            .kv_heads = 6,
                                            .head_size = 64,
                                            .vocab = 4096,
                                            .context = 1024,
                                            .rope_base = 10000.0f,
                                            .norm_epsilon = 1e-5f,
                                            .tied = true};

// Codes and scales at random; bounds as the reader wants them.
static void fill(struct tp_quantised_matrix *matrix, struct tp_random *random)
{
    size_t blocks = (size_t)matrix->rows * matrix->blocks;
    uint64_t largest = 0;
    for (size_t row = 0; row < matrix->rows; row++) {
        uint64_t bound = 0;
        for (uint32_t block = 0; block < matrix->blocks; block++) {
            size_t index = row * matrix->blocks + block;
            size_t bytes = TP_WEIGHT_BLOCK / 2 * (size_t)matrix->planes;
            int8_t values[TP_WEIGHT_BLOCK];
            uint64_t sum = 0;
            for (size_t i = 0; i < bytes; i++) {
                matrix->codes[index * bytes + i] = (uint8_t)tp_random_below(random, 128);
            }
            matrix->scales[index] = (uint8_t)tp_random_below(random, 128);
            tp__quantised_block(matrix, (uint32_t)row, block, values);
            for (int i = 0; i < TP_WEIGHT_BLOCK; i++) {
                sum += (uint64_t)abs(values[i]);
            }
            uint32_t scale = matrix->scales[index];
            bound += sum * 127 * ((uint64_t)(16 + (scale & 15)) << (scale >> 4));
        }
        largest = bound > largest ? bound : largest;
    }
    ck_assert_uint_ne(blocks, 0);
    matrix->bound = largest;
}

static void make_model(struct tp_quantised_model *model)
{
    static const char *const keep[] = {"down=q8", "gate=q8"};
    struct tp_error error = {.status = TP_OK};
    struct tp_random random;
    tp_format formats[FORMATS_MAX];
    tp_random_init(&random, 3, 4);
    ck_assert_uint_le(tp__matrix_count(&shape), FORMATS_MAX);
    ck_assert_int_eq(tp__choose_formats(&shape, TP_FORMAT_NF4, keep, 2, formats, &error), TP_OK);
    ck_assert_int_eq(tp__quantised_outline(&shape, formats, model, &error), TP_OK);
    model->payload = calloc(1, model->payload_bytes);
    model->owns_payload = true;
    ck_assert_ptr_nonnull(model->payload);
    (void)tp__payload_lay_out(model, model->payload);
    for (uint32_t i = 0; i < tp__matrix_count(&shape); i++) {
        if (model->matrices[i].rows != 0) {
            fill(&model->matrices[i], &random);
        }
    }
    tp__payload_write_table(model);
}

START_TEST(images_open_quickly_and_in_place)
{
    static const struct tp_manifest manifest = {.name = "random"};
    struct tp_error error = {.status = TP_OK};
    struct tp_test_bytes start = {(uint8_t *)(uintptr_t) "x", 1, 1};
    struct tp_quantised_model model;
    struct tp_image_file image;
    char path[512];
    make_model(&model);
    tp_test_write_file(&start, path, sizeof path);
    ck_assert_msg(tp__image_file_write(&model, &manifest, NULL, 0, path, &error) == TP_OK, "%s",
                  error.text);
    tp__quantised_model_free(&model);
    double best = 1e9;
    double heap = 0;
    double size = 0;
    for (int i = 0; i < RUNS; i++) {
        size_t before = mallinfo2().uordblks;
        clock_t begin = clock();
        ck_assert_msg(tp__image_file_open(path, &image, &error) == TP_OK, "%s", error.text);
        double took = 1e3 * (double)(clock() - begin) / CLOCKS_PER_SEC;
        best = took < best ? took : best;
        heap = (double)(mallinfo2().uordblks - before);
        size = (double)image.size;
        tp__image_file_close(&image);
    }
    (void)unlink(path);
    printf("# image of %.1f MB: opened in %.1f ms, %.3f times its size in memory\n", size / 1e6,
           best, (size + heap) / size);
    ck_assert_msg(size > 10e6, "%g bytes", size);
    ck_assert_msg(best < 50.0, "%.1f ms", best);
    ck_assert_msg(size + heap < 1.2 * size, "%g bytes of heap", heap);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("image_speed");
    TCase *tc = tcase_create("image_speed");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, images_open_quickly_and_in_place);
    suite_add_tcase(suite, tc);
    return suite;
}
