// SPDX-License-Identifier: Apache-2.0
//
// Scaling of the rotation for long contexts: what files ask for becomes the table of frequencies.

#include "rope_scaling.h"

#include <math.h>

static const float divisor_min = 1e-3f;
static const float divisor_max = 1e6f;

tp_status tp__rope_kind_find(const char *place, struct tp_string name, enum tp_rope_kind *kind,
                             struct tp_error *error)
{
    static const struct {
        const char *name;
        enum tp_rope_kind kind;
    } kinds[] = {{"none", TP_ROPE_PLAIN},
                 {"default", TP_ROPE_PLAIN},
                 {"linear", TP_ROPE_LINEAR},
                 {"llama3", TP_ROPE_LLAMA3}};
    static const struct {
        const char *name;
        const char *reason;
    } refused[] = {{"yarn", "it changes the scale of attention too"},
                   {"dynamic", "its frequencies change with the length of the text"},
                   {"longrope", "its frequencies change with the length of the text"},
                   {"su", "its frequencies change with the length of the text"}};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!tp__string_is(name, kinds[i].name)) continue;
        *kind = kinds[i].kind;
        return TP_OK;
    }
    const char *reason = "it is not known to this program";
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (tp__string_is(name, refused[i].name)) reason = refused[i].reason;
    }
    return tp__fail(error, TP_ERROR_UNSUPPORTED,
                    "%s: scaling %.*s of the rotation is not supported: %s", place,
                    tp__string_width(name), name.text, reason);
}

/* Written so that a NaN is refused. */
static tp_status check_range(const char *place, const char *what, double value, double min,
                             double max, struct tp_error *error)
{
    if (value >= min && value <= max) return TP_OK;
    return tp__fail(error, TP_ERROR_RANGE, "%s: %s is %g; %g to %g is possible", place, what, value,
                    min, max);
}

/* By what Llama 3 divides a frequency. Rounded to float32, as files that hold the table have it. */
static float llama3_divisor(double frequency, const struct tp_rope_scaling *scaling)
{
    double waves = scaling->original_context * frequency / (2.0 * acos(-1.0));
    double low = (double)scaling->low_factor;
    double high = (double)scaling->high_factor;
    if (waves > high) return 1.0f;
    if (waves < low) return scaling->factor;
    double part = (waves - low) / (high - low);
    return (float)(1.0 / ((1.0 - part) / (double)scaling->factor + part));
}

static tp_status check_llama3(const char *place, const struct tp_rope_scaling *scaling,
                              struct tp_error *error)
{
    tp_status status =
        check_range(place, "low_freq_factor", (double)scaling->low_factor, 1e-3, 1e6, error);
    if (status != TP_OK) return status;
    status = check_range(place, "high_freq_factor", (double)scaling->high_factor, 1e-3, 1e6, error);
    if (status != TP_OK) return status;
    if (scaling->high_factor <= scaling->low_factor) {
        return tp__fail(error, TP_ERROR_RANGE,
                        "%s: high_freq_factor %g is not above low_freq_factor %g", place,
                        (double)scaling->high_factor, (double)scaling->low_factor);
    }
    return check_range(place, "original_max_position_embeddings", (double)scaling->original_context,
                       1, TP_MODEL_CONTEXT_MAX, error);
}

tp_status tp__rope_scale(struct tp_source_model *model, const char *place,
                         const struct tp_rope_scaling *scaling, struct tp_error *error)
{
    if (scaling->kind == TP_ROPE_PLAIN) return TP_OK;
    tp_status status = check_range(place, "factor", (double)scaling->factor, (double)divisor_min,
                                   (double)divisor_max, error);
    if (status == TP_OK && scaling->kind == TP_ROPE_LLAMA3) {
        status = check_llama3(place, scaling, error);
    }
    if (status != TP_OK) return status;
    for (uint32_t pair = 0; pair < model->shape.head_size / 2; pair++) {
        double *frequency = &model->rope_frequency[pair];
        float divisor =
            scaling->kind == TP_ROPE_LINEAR ? scaling->factor : llama3_divisor(*frequency, scaling);
        *frequency /= (double)divisor;
    }
    return TP_OK;
}

tp_status tp__rope_divide(struct tp_source_model *model, const char *place, const float *divisors,
                          struct tp_error *error)
{
    for (uint32_t pair = 0; pair < model->shape.head_size / 2; pair++) {
        tp_status status = check_range(place, "a divisor", (double)divisors[pair],
                                       (double)divisor_min, (double)divisor_max, error);
        if (status != TP_OK) return status;
        model->rope_frequency[pair] /= (double)divisors[pair];
    }
    return TP_OK;
}
