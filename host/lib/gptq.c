// SPDX-License-Identifier: Apache-2.0
//
// GPTQ on blocks of 32 with one scale each.
//
// With H^-1 = U'U, U upper triangular, rounding column j costs ((w_j - v_j) / U_jj)^2, and the best
// reply of a later column k is w_k -= (w_j - v_j) / U_jj * U_jk. All columns are kept in the order
// in which they are rounded, which is not the order of the matrix: block by block.

#include "gptq.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "parallel.h"
#include "reader.h"

enum { BLOCK = TP_WEIGHT_BLOCK, DAMPING_TRIES = 12, SWEEPS_MAX = 8 };

/* Larger matrices are not worth the time that small ones get for the last percent. */
enum { THOROUGH_WEIGHTS_MAX = 1 << 20 };

/* Above the largest weight: corrected weights are larger. */
static const double headroom = 1.5;
/* A sweep's new block must be better by more than rounding noise. */
static const double gain_min = 1e-9;

/* A block in the order of rounding: its columns, and the factor of its part of the Hessian. */
struct block {
    uint32_t index;               // in the matrix
    uint32_t first;               // place of its first column in the order
    uint32_t count;               // of columns, 32 but for a short last one
    uint8_t element[BLOCK];       // column / 32 of each of the columns
    double factor[BLOCK][BLOCK];  // U of the block within all columns behind it
    double alone[BLOCK][BLOCK];   // U of the block with all other columns fixed
};

struct tp_gptq_edge {
    uint32_t columns;
    uint32_t blocks;
    double identity[BLOCK][BLOCK];
    struct block *block;  // [blocks]
    double *hessian;      // [columns][columns] in the order, damped
    double *factor;       // U in the order; 0 below the diagonal
};

/* ---- factors ---- */

/* The upper triangular R with R R' = matrix, in place; below the diagonal nothing is touched.
 * False when the matrix is not positive definite. */
static bool factorise(double *matrix, size_t n)
{
    // Backwards: the last column first. Row i of R behind column j is needed for column j.
    for (size_t j = n; j-- > 0;) {
        double *row_j = matrix + j * n;
        double sum = row_j[j];
        for (size_t k = j + 1; k < n; k++) sum -= row_j[k] * row_j[k];
        if (!(sum > 0.0)) return false;
        double diagonal = sqrt(sum);
        row_j[j] = diagonal;
        for (size_t i = 0; i < j; i++) {
            double *row_i = matrix + i * n;
            double dot = row_i[j];
            for (size_t k = j + 1; k < n; k++) dot -= row_i[k] * row_j[k];
            row_i[j] = dot / diagonal;
        }
    }
    return true;
}

/* The inverse of an upper triangular matrix, in place. */
static void invert(double *matrix, size_t n)
{
    // Row i of the inverse: e_i / R_ii minus R_ik / R_ii times the rows k below, which are done.
    for (size_t i = n; i-- > 0;) {
        double *row = matrix + i * n;
        double inverse = 1.0 / row[i];
        for (size_t j = i + 1; j < n; j++) row[j] *= -inverse;
        row[i] = inverse;
        for (size_t k = n; k-- > i + 1;) {  // backwards: row k is 0 before column k
            double factor = row[k];
            const double *below = matrix + k * n;
            row[k] = 0.0;
            for (size_t j = k; j < n; j++) row[j] += factor * below[j];
        }
    }
}

/* U of a symmetric matrix, of which the upper triangle is read; out may hold anything. */
static bool inverse_factor(const double *matrix, size_t stride, size_t n, double *out)
{
    for (size_t i = 0; i < n; i++) {
        memset(out + i * n, 0, i * sizeof *out);
        memcpy(out + i * n + i, matrix + i * stride + i, (n - i) * sizeof *out);
    }
    if (!factorise(out, n)) return false;
    invert(out, n);
    return true;
}

/* ---- an edge ---- */

static double diagonal_of(const double *hessian, uint32_t columns, uint32_t column)
{
    return hessian[(size_t)column * columns + column];
}

/* Weight of a block: the sum of its diagonal. */
static double importance(const double *hessian, uint32_t columns, uint32_t block)
{
    double sum = 0.0;
    for (uint32_t i = block * BLOCK; i < (block + 1) * BLOCK && i < columns; i++) {
        sum += diagonal_of(hessian, columns, i);
    }
    return sum;
}

/* Largest first, so that the errors that cost most are made up for by the most columns. */
static void order_blocks(const double *hessian, struct tp_gptq_edge *edge)
{
    for (uint32_t i = 0; i < edge->blocks; i++) {
        double own = importance(hessian, edge->columns, i);
        uint32_t at = i;
        for (; at > 0; at--) {
            uint32_t before = edge->block[at - 1].index;
            if (importance(hessian, edge->columns, before) >= own) break;
            edge->block[at].index = before;
        }
        edge->block[at].index = i;
    }
}

static void order_elements(const double *hessian, uint32_t columns, struct block *block)
{
    uint32_t first = block->index * BLOCK;
    block->count = columns - first < BLOCK ? columns - first : (uint32_t)BLOCK;
    for (uint32_t i = 0; i < block->count; i++) {
        double own = diagonal_of(hessian, columns, first + i);
        uint32_t at = i;
        for (; at > 0; at--) {
            uint8_t before = block->element[at - 1];
            if (diagonal_of(hessian, columns, first + before) >= own) break;
            block->element[at] = before;
        }
        block->element[at] = (uint8_t)i;
    }
}

static uint32_t column_of(const struct block *block, uint32_t i)
{
    return block->index * BLOCK + block->element[i];
}

/* The Hessian with rows and columns in the order of rounding, and the mean of its diagonal. */
static double reorder(const double *hessian, struct tp_gptq_edge *edge)
{
    size_t n = edge->columns;
    double sum = 0.0;
    for (uint32_t a = 0; a < edge->blocks; a++) {
        const struct block *rows = &edge->block[a];
        for (uint32_t b = 0; b < edge->blocks; b++) {
            const struct block *columns = &edge->block[b];
            for (uint32_t i = 0; i < rows->count; i++) {
                double *to = edge->hessian + (rows->first + i) * n + columns->first;
                size_t row = column_of(rows, i);
                for (uint32_t j = 0; j < columns->count; j++) {
                    size_t column = column_of(columns, j);
                    to[j] = row < column ? hessian[column * n + row] : hessian[row * n + column];
                }
            }
        }
    }
    for (size_t i = 0; i < n; i++) sum += edge->hessian[i * n + i];
    return sum / (double)n;
}

static void damp(struct tp_gptq_edge *edge, double amount)
{
    for (size_t i = 0; i < edge->columns; i++) edge->hessian[i * edge->columns + i] += amount;
}

static void fill_blocks(struct tp_gptq_edge *edge)
{
    size_t n = edge->columns;
    for (uint32_t b = 0; b < edge->blocks; b++) {
        struct block *block = &edge->block[b];
        double alone[BLOCK * BLOCK];
        const double *corner = edge->hessian + block->first * (n + 1);
        bool is_sound = inverse_factor(corner, n, block->count, alone);
        assert(is_sound);  // part of a matrix that is positive definite
        (void)is_sound;
        for (uint32_t i = 0; i < block->count; i++) {
            for (uint32_t j = i; j < block->count; j++) {
                block->factor[i][j] = edge->factor[(block->first + i) * n + block->first + j];
                block->alone[i][j] = alone[i * block->count + j];
            }
        }
    }
}

static bool take_edge(struct tp_gptq_edge *edge)
{
    size_t elements = 0;
    if (!tp__multiply(edge->columns, edge->columns, &elements)) return false;
    edge->block = calloc(edge->blocks, sizeof edge->block[0]);
    edge->hessian = calloc(elements, sizeof edge->hessian[0]);
    edge->factor = calloc(elements, sizeof edge->factor[0]);
    return edge->block != NULL && edge->hessian != NULL && edge->factor != NULL;
}

tp_status tp__gptq_edge_make(const double *hessian, uint32_t columns, double damping,
                             struct tp_gptq_edge **edge, struct tp_error *error)
{
    assert(columns > 0 && damping > 0.0);
    struct tp_gptq_edge *made = calloc(1, sizeof *made);
    if (made != NULL) {
        made->columns = columns;
        made->blocks = (columns - 1) / BLOCK + 1;
    }
    if (made == NULL || !take_edge(made)) {
        tp__gptq_edge_free(made);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory to round %u columns", columns);
    }
    order_blocks(hessian, made);
    uint32_t first = 0;
    for (uint32_t b = 0; b < made->blocks; b++) {
        made->block[b].first = first;
        order_elements(hessian, columns, &made->block[b]);
        first += made->block[b].count;
    }
    double mean = reorder(hessian, made);
    // Nothing is known: the identity, which makes it plain rounding.
    double amount = mean > 0.0 ? mean * damping : 1.0;
    bool is_sound = false;
    for (int i = 0; i < DAMPING_TRIES && !is_sound; i++) {
        damp(made, amount);
        is_sound = inverse_factor(made->hessian, columns, columns, made->factor);
        amount *= 10.0;
    }
    assert(is_sound);  // by now the diagonal outweighs all else
    fill_blocks(made);
    for (uint32_t i = 0; i < BLOCK; i++) made->identity[i][i] = 1.0;
    *edge = made;
    return TP_OK;
}

void tp__gptq_edge_free(struct tp_gptq_edge *edge)
{
    if (edge == NULL) return;
    free(edge->block);
    free(edge->hessian);
    free(edge->factor);
    free(edge);
}

void tp__gptq_solve(const struct tp_gptq_edge *edge, const double *in, double *middle, double *out)
{
    // The inverse of the Hessian is U'U, in the order of rounding.
    size_t n = edge->columns;
    for (uint32_t b = 0; b < edge->blocks; b++) {
        const struct block *block = &edge->block[b];
        for (uint32_t i = 0; i < block->count; i++) {
            middle[block->first + i] = in[column_of(block, i)];
        }
    }
    // Row i of U needs nothing before i, so U times in can take the place of in; U' the other way.
    for (size_t i = 0; i < n; i++) {
        const double *row = edge->factor + i * n;
        double sum = 0.0;
        for (size_t k = i; k < n; k++) sum += row[k] * middle[k];
        middle[i] = sum;
    }
    for (size_t i = n; i-- > 0;) {
        const double *row = edge->factor + i * n;
        double factor = middle[i];
        middle[i] = factor * row[i];
        for (size_t k = i + 1; k < n; k++) middle[k] += factor * row[k];
    }
    for (uint32_t b = 0; b < edge->blocks; b++) {
        const struct block *block = &edge->block[b];
        for (uint32_t i = 0; i < block->count; i++) {
            out[column_of(block, i)] = middle[block->first + i];
        }
    }
}

/* ---- one row ---- */

/* A block rounded with one scale; arrays in the order of rounding, weights in units of 2^-T. */
struct rounded {
    uint32_t scale;
    double cost;
    double values[BLOCK];  // of the grid, without the scale
    double errors[BLOCK];  // (weight - value * scale) / U_jj, with the corrections so far
};

/* What a thread works on. */
struct row {
    const struct tp_gptq_edge *edge;
    const struct tp_grid *grid;
    const double *weights;  // [columns] what is to be rounded, in the order
    double *open;           // [columns] the same, corrected by errors so far
    double *rounded;        // [columns] the result: value * scale
    double *gradient;       // [columns] hessian * (weights - rounded)
    double *values;         // [columns] of the grid
    uint32_t *scales;       // [blocks] in the order
};

/* Rounds the targets with one scale; gives up once the cost is not below limit. */
static bool round_block(const struct tp_grid *grid, const struct block *block,
                        const double factor[BLOCK][BLOCK], const double *targets, uint32_t scale,
                        double limit, struct rounded *result)
{
    double step = tp__scale_value(scale);
    double inverse = 1.0 / step;
    double open[BLOCK];
    double cost = 0.0;
    memcpy(open, targets, block->count * sizeof open[0]);
    for (uint32_t j = 0; j < block->count; j++) {
        const double *row = factor[j];
        double value = tp__grid_round(grid, open[j] * inverse);
        double error = (open[j] - value * step) / row[j];
        result->values[j] = value;
        result->errors[j] = error;
        cost += error * error;
        if (cost >= limit) return false;
#ifdef TP_PLANT_BUG
        error = -error;  // makes errors grow instead of making up for them
#endif
        for (uint32_t k = j + 1; k < block->count; k++) open[k] -= error * row[k];
    }
    result->scale = scale;
    result->cost = cost;
    return true;
}

/* The best of all scales for these targets, if one costs less than limit. */
static bool search_block(const struct tp_grid *grid, const struct block *block,
                         const double factor[BLOCK][BLOCK], const double *targets, double limit,
                         struct rounded *best)
{
    double scattered[BLOCK] = {0};
    bool any = false;
    bool found = false;
    for (uint32_t i = 0; i < block->count; i++) {
        scattered[i] = targets[i];
        any = any || targets[i] != 0.0;
    }
    uint32_t first = 0;
    uint32_t last = 0;
    if (any) tp__scales_of_block(grid, scattered, &first, &last);
    struct rounded tried;
    best->cost = limit;
    for (uint32_t scale = first; scale <= last; scale++) {
        if (!round_block(grid, block, factor, targets, scale, best->cost, &tried)) continue;
        *best = tried;
        found = true;
    }
    return found;
}

static void keep_block(struct row *row, uint32_t b, const struct rounded *rounded)
{
    const struct block *block = &row->edge->block[b];
    double step = tp__scale_value(rounded->scale);
    row->scales[b] = rounded->scale;
    for (uint32_t i = 0; i < block->count; i++) {
        row->values[block->first + i] = rounded->values[i];
        row->rounded[block->first + i] = rounded->values[i] * step;
    }
}

/* A start for the sweeps. GPTQ proper: all blocks in order, errors handed on. Plain: each weight by
 * itself. */
static void round_row(struct row *row, bool plain)
{
    const struct tp_gptq_edge *edge = row->edge;
    size_t n = edge->columns;
    memcpy(row->open, row->weights, n * sizeof row->open[0]);
    for (uint32_t b = 0; b < edge->blocks; b++) {
        const struct block *block = &edge->block[b];
        struct rounded best;
        bool found = search_block(row->grid, block, plain ? edge->identity : block->factor,
                                  row->open + block->first, INFINITY, &best);
        assert(found);
        (void)found;
        keep_block(row, b, &best);
        if (plain) continue;
        for (uint32_t i = 0; i < block->count; i++) {
            const double *factor = edge->factor + (block->first + i) * n;
            double error = best.errors[i];
            for (size_t k = block->first + block->count; k < n; k++) {
                row->open[k] -= error * factor[k];
            }
        }
    }
}

/* gradient = hessian * (weights - rounded) */
static void fill_gradient(struct row *row)
{
    size_t n = row->edge->columns;
    memset(row->gradient, 0, n * sizeof row->gradient[0]);
    for (size_t j = 0; j < n; j++) {
        double difference = row->weights[j] - row->rounded[j];
        const double *hessian = row->edge->hessian + j * n;
        for (size_t k = 0; k < n; k++) row->gradient[k] += difference * hessian[k];
    }
}

/* out = U' U in: the inverse of the block's part of the Hessian, times in. */
static void solve_block(const struct block *block, const double *in, double *out)
{
    double middle[BLOCK];
    for (uint32_t i = 0; i < block->count; i++) {
        middle[i] = 0.0;
        for (uint32_t j = i; j < block->count; j++) middle[i] += block->alone[i][j] * in[j];
    }
    memset(out, 0, block->count * sizeof out[0]);
    for (uint32_t i = 0; i < block->count; i++) {
        for (uint32_t j = i; j < block->count; j++) out[j] += block->alone[i][j] * middle[i];
    }
}

/* Rounds a block again with all others fixed; false when nothing better was found. */
static bool improve_block(struct row *row, uint32_t b)
{
    const struct block *block = &row->edge->block[b];
    size_t n = row->edge->columns;
    double targets[BLOCK];
    double cost = 0.0;
    solve_block(block, row->gradient + block->first, targets);
    // The cost is the distance to the targets in the block's Hessian: offset' H offset.
    for (uint32_t i = 0; i < block->count; i++) {
        cost += targets[i] * row->gradient[block->first + i];
    }
    for (uint32_t i = 0; i < block->count; i++) targets[i] += row->rounded[block->first + i];
    struct rounded best;
    if (!search_block(row->grid, block, block->alone, targets, cost * (1.0 - gain_min), &best)) {
        return false;
    }
    double step = tp__scale_value(best.scale);
    for (uint32_t i = 0; i < block->count; i++) {
        double change = best.values[i] * step - row->rounded[block->first + i];
        if (change == 0.0) continue;
        const double *hessian = row->edge->hessian + (block->first + i) * n;
        for (size_t k = 0; k < n; k++) row->gradient[k] -= change * hessian[k];
    }
    keep_block(row, b, &best);
    return true;
}

/* Returns the cost that is left. */
static double improve_row(struct row *row, int sweeps)
{
    fill_gradient(row);
    bool changed = true;
    for (int sweep = 0; sweep < sweeps && changed; sweep++) {
        changed = false;
        for (uint32_t b = 0; b < row->edge->blocks; b++) {
            changed = improve_block(row, b) || changed;
        }
    }
    double cost = 0.0;
    for (size_t i = 0; i < row->edge->columns; i++) {
        cost += (row->weights[i] - row->rounded[i]) * row->gradient[i];
    }
    return cost;
}

/* ---- a matrix ---- */

enum { STARTS = 2, ARRAYS = 1 + 4 * STARTS };

struct job {
    const struct tp_gptq_edge *edge;
    const struct tp_grid *grid;
    const float *weights;
    double factor;  // multiplier * 2^T
    struct tp_quantised *quantised;
    int sweeps[STARTS];
    double *memory;    // [threads][ARRAYS][columns]
    uint32_t *scales;  // [threads][STARTS][blocks]
};

static void load_row(const struct job *job, size_t index, double *weights)
{
    const float *from = job->weights + index * job->edge->columns;
    for (uint32_t b = 0; b < job->edge->blocks; b++) {
        const struct block *block = &job->edge->block[b];
        for (uint32_t i = 0; i < block->count; i++) {
            weights[block->first + i] = (double)from[column_of(block, i)] * job->factor;
        }
    }
}

static void store_row(const struct job *job, size_t index, const struct row *row)
{
    for (uint32_t b = 0; b < row->edge->blocks; b++) {
        const struct block *block = &row->edge->block[b];
        double values[BLOCK] = {0};
        bool is_zero = true;
        for (uint32_t i = 0; i < block->count; i++) {
            values[block->element[i]] = row->values[block->first + i];
            is_zero = is_zero && row->values[block->first + i] == 0.0;
        }
        if (is_zero) continue;  // the scale stays 0 too
        tp__quantised_set(job->quantised, job->grid, index * job->quantised->blocks + block->index,
                          values, (uint8_t)row->scales[b]);
    }
}

/* Every thread has each so-manieth row. */
static void round_rows(void *user, uint32_t thread, uint32_t threads)
{
    const struct job *job = user;
    size_t n = job->edge->columns;
    size_t blocks = job->edge->blocks;
    double *weights = job->memory + thread * n * ARRAYS;
    struct row rows[STARTS];
    for (uint32_t i = 0; i < STARTS; i++) {
        double *memory = weights + (1 + 4 * i) * n;
        rows[i] = (struct row){.edge = job->edge,
                               .grid = job->grid,
                               .weights = weights,
                               .open = memory,
                               .rounded = memory + n,
                               .gradient = memory + 2 * n,
                               .values = memory + 3 * n,
                               .scales = job->scales + (thread * STARTS + i) * blocks};
    }
    for (uint32_t r = thread; r < job->quantised->rows; r += threads) {
        load_row(job, r, weights);
        double costs[STARTS];
        for (uint32_t i = 0; i < STARTS; i++) {
            round_row(&rows[i], i != 0);
            costs[i] = improve_row(&rows[i], job->sweeps[i]);
        }
        store_row(job, r, &rows[costs[1] < costs[0] ? 1 : 0]);
    }
}

tp_status tp__quantise_gptq(const float *weights, uint32_t rows, uint32_t columns,
                            double multiplier, const struct tp_weight_format *format,
                            const struct tp_gptq_edge *edge, uint32_t threads, const char *name,
                            struct tp_quantised *quantised, struct tp_error *error)
{
    assert(edge->columns == columns && threads >= 1 && threads <= TP_THREADS_MAX);
    struct tp_grid grid;
    struct tp_quantised result;
    tp__grid_make(format, &grid);
    tp_status status =
        tp__quantised_open(weights, rows, columns, multiplier, grid.search_high * headroom, format,
                           &grid, name, &result, error);
    if (status != TP_OK) return status;
    size_t row_elements = (size_t)columns * ARRAYS;
    double *memory = calloc(row_elements * threads, sizeof *memory);
    size_t row_blocks = (size_t)edge->blocks * STARTS;
    uint32_t *scales = calloc(row_blocks * threads, sizeof *scales);
    if (memory == NULL || scales == NULL) {
        free(memory);
        free(scales);
        tp__quantised_free(&result);
        return tp__fail(error, TP_ERROR_NO_MEMORY, "tensor %s: no memory to round it", name);
    }
    bool thorough = (size_t)rows * columns <= THOROUGH_WEIGHTS_MAX;
    struct job job = {.edge = edge,
                      .grid = &grid,
                      .weights = weights,
                      .factor = multiplier * ldexp(1.0, result.shift),
                      .quantised = &result,
                      .sweeps = {thorough ? SWEEPS_MAX : 1, thorough ? SWEEPS_MAX : 0},
                      .memory = memory,
                      .scales = scales};
    tp__parallel(threads, round_rows, &job);
    free(memory);
    free(scales);
    (void)tp__quantised_finish(&result);
    *quantised = result;
    return TP_OK;
}
