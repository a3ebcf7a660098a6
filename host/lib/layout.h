// SPDX-License-Identifier: Apache-2.0
//
// The order of rows and columns of docs/architecture.md, section 3: it follows from the shape of a
// model alone. What a device adds, padding of rows to its groups, is in plan.h.

#ifndef TP_LIB_LAYOUT_H
#define TP_LIB_LAYOUT_H

#include "loader.h"

enum { TP_LAYOUT_WORD = 32 };  // elements of a KV or query word

/** Words of queries, keys and values. */
struct tp_layout {
    uint32_t head_log2;       // log2 of the padded head size
    uint32_t head_padded;     // 8 .. 1024; what a device can run is less
    uint32_t heads_per_word;  // KV heads of a 32-element word; 1 for heads of 32 and more
    uint32_t words_per_head;  // words of a head; 1 for heads up to 32
    uint32_t kv_words;        // words of K (and of V) of a position and layer
    uint32_t sets;            // query sets of a turn, 1 or 2
    uint32_t turns;           // query turns of a KV word
    uint32_t query_words;     // kv_words * turns * sets
};

/** The matrices that a machine multiplies with; those from TP_MATRIX_QUERY on once per layer. */
enum tp_matrix {
    TP_MATRIX_EMBEDDING,
    TP_MATRIX_CLASSIFIER,  // has no rows when it is the embedding
    TP_MATRIX_QUERY,
    TP_MATRIX_KEY,
    TP_MATRIX_VALUE,
    TP_MATRIX_OUTPUT,
    TP_MATRIX_GATE_UP,  // gate row i, then up row i
    TP_MATRIX_DOWN,
    TP_MATRIX_COUNT
};
enum { TP_MATRIX_PER_LAYER = TP_MATRIX_COUNT - TP_MATRIX_QUERY };

/** Quantised vectors that feed matrices: four of each layer, then the classifier's. */
enum tp_edge { TP_EDGE_ATTENTION_NORM, TP_EDGE_ATTENTION, TP_EDGE_FFN_NORM, TP_EDGE_FFN, TP_EDGES };

void tp__layout(const struct tp_model_shape *shape, struct tp_layout *layout);

/** KV head and query head of lane group `index` (0 .. heads_per_word - 1) of query word `word`;
 *  false when the layout has padding there. first is the first element of the head in the word. */
bool tp__layout_query_head(const struct tp_model_shape *shape, const struct tp_layout *layout,
                           uint32_t word, uint32_t index, uint32_t *head, uint32_t *first);

/** Row of the source tensor that row `row` of the queries, keys or values comes from; the columns
 *  of the output matrix go like rows of the queries. False for padding. */
bool tp__layout_head_row(const struct tp_model_shape *shape, enum tp_matrix matrix, uint32_t row,
                         uint32_t *source);

/** Matrices of a model, the absent classifier of a tied one counted; and the place of one. */
uint32_t tp__matrix_count(const struct tp_model_shape *shape);
uint32_t tp__matrix_index(enum tp_matrix matrix, uint32_t layer);
/** The other way round; layer is 0 for matrices that exist once. */
enum tp_matrix tp__matrix_at(uint32_t index, uint32_t *layer);

/** Edges of a model, and the one that feeds a matrix. The embedding, which is looked up and not
 *  multiplied with, has the classifier's. */
uint32_t tp__edge_count(const struct tp_model_shape *shape);
uint32_t tp__matrix_edge(const struct tp_model_shape *shape, enum tp_matrix matrix, uint32_t layer);

/** Rows and columns in the layout's order, without the padding of a device. */
void tp__matrix_size(const struct tp_model_shape *shape, enum tp_matrix matrix, uint32_t *rows,
                     uint32_t *columns);

/** Multiply-accumulates of a token with all matrices of a model, without any padding; the
 * classifier with logits. The numerator of the multiplier use. */
uint64_t tp__shape_products(const struct tp_model_shape *shape, bool logits);

/** "query", "3.down" ...: the names that users give. */
const char *tp__matrix_name(enum tp_matrix matrix);

/** log2(e) / sqrt(head size), which makes log2 units of scores. */
double tp__score_multiplier(const struct tp_model_shape *shape);

/** What is multiplied into a matrix when it is quantised: that of scores into the queries, unless
 *  a norm of heads follows, whose gains then take it. */
double tp__matrix_multiplier(const struct tp_model_shape *shape, enum tp_matrix matrix);

/** One matrix in the layout's order, padding zero.
 *  out    weights [rows][columns] of tp__matrix_size */
void tp__layout_matrix(const struct tp_source_model *model, enum tp_matrix matrix, uint32_t layer,
                       float *weights);

/** One number for each row of the queries, keys or values (matrix) in the layout's order.
 *  in     from  [heads or kv_heads][head_size]
 *  out    rows  [rows of the matrix]  padding zero */
void tp__layout_rows(const struct tp_model_shape *shape, enum tp_matrix matrix, const float *from,
                     float *rows);

#endif
