// SPDX-License-Identifier: Apache-2.0
//
// Rounds of two steps: scales of all blocks for the values so far, values for these scales.

#include "learn_codebook.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

enum {
    BLOCK = TP_WEIGHT_BLOCK,
    BLOCKS_OF_MATRIX = 1024,  // looked at
    ROUNDS = 8,
    STEPS = 30,   // of k-means in a round
    BINS = 4096,  // of -1.5 .. 1.5 of the largest value
    VALUES = TP_CODEBOOK_SIZE
};

static const double bin_range = 1.5;
/* Blocks are scaled to this largest weight, so that all scales of the search exist. */
static const double block_size = 1 << 17;

struct tp_codebook_learner {
    double (*blocks)[BLOCK];  // largest |weight| is block_size
    double *importance;       // of each block: its size squared, relative to its matrix
    size_t count;
    double mass[BINS];
    double values[VALUES];  // ascending, 1 is the largest
    uint32_t zero;          // which of them is 0
};

tp_status tp__learner_make(struct tp_codebook_learner **learner, struct tp_error *error)
{
    *learner = calloc(1, sizeof **learner);
    if (*learner == NULL) return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a codebook");
    return TP_OK;
}

void tp__learner_free(struct tp_codebook_learner *learner)
{
    if (learner == NULL) return;
    free(learner->blocks);
    free(learner->importance);
    free(learner);
}

/* ---- weights ---- */

static bool grow(struct tp_codebook_learner *learner, size_t count)
{
    void *blocks = realloc(learner->blocks, count * sizeof learner->blocks[0]);
    if (blocks != NULL) learner->blocks = blocks;
    double *importance = realloc(learner->importance, count * sizeof importance[0]);
    if (importance != NULL) learner->importance = importance;
    return blocks != NULL && importance != NULL;
}

static void add_block(struct tp_codebook_learner *learner, const float *weights, uint32_t count,
                      double mean_square)
{
    double *block = learner->blocks[learner->count];
    double largest = 0.0;
    for (uint32_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)weights[i]));
    if (largest == 0.0) return;
    memset(block, 0, sizeof learner->blocks[0]);
    for (uint32_t i = 0; i < count; i++) block[i] = (double)weights[i] / largest * block_size;
    learner->importance[learner->count++] = largest * largest / mean_square;
}

tp_status tp__learner_add(struct tp_codebook_learner *learner, const float *weights, uint32_t rows,
                          uint32_t columns, struct tp_error *error)
{
    size_t of_row = (columns - 1) / BLOCK + 1;
    size_t all = rows * of_row;
    size_t taken = all < BLOCKS_OF_MATRIX ? all : BLOCKS_OF_MATRIX;
    double sum = 0.0;
    if (!grow(learner, learner->count + taken)) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a codebook");
    }
    for (size_t i = 0; i < (size_t)rows * columns; i++) {
        sum += (double)weights[i] * (double)weights[i];
    }
    for (size_t i = 0; i < taken && sum != 0.0; i++) {
        size_t index = i * all / taken;
        uint32_t first = (uint32_t)(index % of_row) * BLOCK;
        uint32_t count = columns - first < BLOCK ? columns - first : (uint32_t)BLOCK;
        add_block(learner, weights + index / of_row * columns + first, count,
                  sum / ((double)rows * columns));
    }
    return TP_OK;
}

/* ---- values ---- */

static double bin_centre(uint32_t bin)
{
    return ((bin + 0.5) / BINS * 2.0 - 1.0) * bin_range;
}

static void to_codebook(const struct tp_codebook_learner *learner, int8_t codebook[VALUES])
{
    uint32_t code = 1;
    memset(codebook, 0, VALUES);
    for (uint32_t i = 0; i < VALUES; i++) {
        if (i == learner->zero) continue;
        double value = floor(learner->values[i] * TP_Q8_MAX + 0.5);
        codebook[code++] = (int8_t)value;
    }
}

/* Where the mass lies in units of the scales that suit the values so far. */
static void fill_mass(struct tp_codebook_learner *learner)
{
    struct tp_weight_format format = {.is_8_bit = false};
    struct tp_grid grid;
    to_codebook(learner, format.codebook);
    tp__grid_make(&format, &grid);
    memset(learner->mass, 0, sizeof learner->mass);
    for (size_t b = 0; b < learner->count; b++) {
        double step = tp__scale_value(tp__best_scale(&grid, learner->blocks[b])) * TP_Q8_MAX;
        double mass = learner->importance[b] * (step / block_size) * (step / block_size);
        for (uint32_t i = 0; i < BLOCK; i++) {
            double at = (learner->blocks[b][i] / step / bin_range + 1.0) / 2.0 * BINS;
            int bin = at < 0.0 ? 0 : at >= BINS ? BINS - 1 : (int)at;
            if (learner->blocks[b][i] != 0.0) learner->mass[bin] += mass;
        }
    }
}

/* One step of k-means: each value but 0 goes to the mean of the mass that is nearest to it. */
static void move_values(struct tp_codebook_learner *learner)
{
    double sums[VALUES] = {0};
    double masses[VALUES] = {0};
    uint32_t nearest = 0;
    for (uint32_t bin = 0; bin < BINS; bin++) {
        double at = bin_centre(bin);
        while (nearest + 1 < VALUES &&
               at > (learner->values[nearest] + learner->values[nearest + 1]) / 2) {
            nearest++;
        }
        sums[nearest] += at * learner->mass[bin];
        masses[nearest] += learner->mass[bin];
    }
    for (uint32_t i = 0; i < VALUES; i++) {
        if (i != learner->zero && masses[i] > 0.0) learner->values[i] = sums[i] / masses[i];
    }
}

/* Only the shape of the values counts: scales take the rest. */
static void normalise(struct tp_codebook_learner *learner)
{
    double largest = fmax(-learner->values[0], learner->values[VALUES - 1]);
    for (uint32_t i = 0; i < VALUES; i++) learner->values[i] /= largest;
}

void tp__learner_finish(struct tp_codebook_learner *learner, int8_t codebook[TP_CODEBOOK_SIZE])
{
    // The start is NF4, whose values ascend from code 9 to 15, then from 0 to 8.
    const struct tp_weight_format start = tp__weight_format(TP_FORMAT_NF4);
    learner->zero = 7;
    for (uint32_t i = 0; i < VALUES; i++) {
        learner->values[i] = start.codebook[(i + 9) % VALUES] / (double)TP_Q8_MAX;
    }
    assert(learner->values[learner->zero] == 0.0);
    for (int round = 0; round < ROUNDS && learner->count != 0; round++) {
        fill_mass(learner);
        for (int step = 0; step < STEPS; step++) move_values(learner);
        normalise(learner);
    }
    to_codebook(learner, codebook);
}
