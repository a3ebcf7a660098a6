// SPDX-License-Identifier: Apache-2.0
//
// The payload: the block of memory, and of an image file, that holds a model's numbers.
//
// Its layout follows from the shape and the formats alone (docs/image.md draws it): a table of the
// matrices, vectors, then codes and scales of each matrix; every array at a multiple of 64. Nothing
// in it depends on a device, on names, on the tokenizer or on the context that a file claims, so
// the same tensors and texts give the same bytes.

#ifndef TP_LIB_PAYLOAD_H
#define TP_LIB_PAYLOAD_H

#include "quantised.h"

enum { TP_PAYLOAD_ALIGN = 64, TP_PAYLOAD_RECORD_BYTES = 64 };

/** Sets the model's pointers into the payload at base (NULL: to NULL) and returns its size. The
 *  sizes of the matrices must be set. */
size_t tp__payload_lay_out(struct tp_quantised_model *model, uint8_t *base);

/** Writes the table of the matrices into the payload. */
void tp__payload_write_table(struct tp_quantised_model *model);

/** Makes a model of a payload that nobody has checked. The payload stays the caller's and must live
 *  as long as the model; nothing writes to it.
 *  in     shape   checked
 *         bytes   at a multiple of 8
 *         offset  of the payload in its file, for messages; name is the file's
 *  out    model   tp__quantised_model_free releases it
 *  error  TP_ERROR_FORMAT  names the field and its offset
 *         TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp__payload_read(const struct tp_model_shape *shape, const uint8_t *bytes,
                                       size_t size, size_t offset, const char *name,
                                       struct tp_quantised_model *model, struct tp_error *error);

#endif
