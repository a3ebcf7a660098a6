// SPDX-License-Identifier: Apache-2.0
//
// Number types of model files: blocks of bytes to float32, by the arithmetic of the ggml library.

#include "ggml_formats.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 32, SUPER_BLOCK = 256, SCALE_BYTES = 12 };

static const struct tp_number_format formats[TP_NUMBER_COUNT] = {
    [TP_NUMBER_F32] = {"F32", 0, 1, 4},        [TP_NUMBER_F16] = {"F16", 1, 1, 2},
    [TP_NUMBER_BF16] = {"BF16", 30, 1, 2},     [TP_NUMBER_Q4_0] = {"Q4_0", 2, 32, 18},
    [TP_NUMBER_Q4_1] = {"Q4_1", 3, 32, 20},    [TP_NUMBER_Q5_0] = {"Q5_0", 6, 32, 22},
    [TP_NUMBER_Q5_1] = {"Q5_1", 7, 32, 24},    [TP_NUMBER_Q8_0] = {"Q8_0", 8, 32, 34},
    [TP_NUMBER_Q4_K] = {"Q4_K", 12, 256, 144}, [TP_NUMBER_Q5_K] = {"Q5_K", 13, 256, 176},
    [TP_NUMBER_Q6_K] = {"Q6_K", 14, 256, 210}, [TP_NUMBER_MXFP4] = {"MXFP4", 39, 32, 17},
};

const struct tp_number_format *tp__number_format(enum tp_number_type type)
{
    assert(type < TP_NUMBER_COUNT);
    return &formats[type];
}

bool tp__number_of_ggml(uint32_t ggml_type, enum tp_number_type *type)
{
    for (*type = 0; *type < TP_NUMBER_COUNT; (*type)++) {
        if (formats[*type].ggml_type == ggml_type) return true;
    }
    return false;
}

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float tp__float_of_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 31;
    uint32_t fraction = half & 1023;
    if (exponent == 0) {
        float size = (float)fraction * 0x1p-24f;
        return sign != 0 ? -size : size;
    }
    if (exponent == 31) return float_of_bits(sign | 0x7f800000u | fraction << 13);
    return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

uint16_t tp__half_of_float(float value)
{
    uint32_t bits = bits_of_float(value);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t size = bits & 0x7fffffff;
    if (size > 0x7f800000u) return (uint16_t)(sign | 0x7e00);
    uint32_t half;
    if (size < 113u << 23) {
        half = (uint32_t)lrintf(float_of_bits(size) * 0x1p24f);  // below the smallest normal half
    } else {
        // Half of the last place that stays, or a little less when that place is even.
        half = (size - (112u << 23) + 0xfff + (size >> 13 & 1)) >> 13;
    }
    return (uint16_t)(sign | (half < 0x7c00 ? half : 0x7c00));
}

static uint16_t load_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static uint32_t load_u32(const uint8_t *bytes)
{
    return load_u16(bytes) | (uint32_t)load_u16(bytes + 2) << 16;
}

static float load_half(const uint8_t *bytes)
{
    return tp__float_of_half(load_u16(bytes));
}

/* Number i of the 32 that 16 bytes of nibbles hold. */
static int nibble(const uint8_t *bytes, uint32_t i)
{
    return i < BLOCK / 2 ? bytes[i] & 15 : bytes[i - BLOCK / 2] >> 4;
}

static void expand_q4_0(const uint8_t *block, float *out)
{
    float scale = load_half(block);
    for (uint32_t i = 0; i < BLOCK; i++) out[i] = (float)(nibble(block + 2, i) - 8) * scale;
}

static void expand_q4_1(const uint8_t *block, float *out)
{
    float scale = load_half(block);
    float minimum = load_half(block + 2);
    for (uint32_t i = 0; i < BLOCK; i++) out[i] = (float)nibble(block + 4, i) * scale + minimum;
}

static void expand_q5_0(const uint8_t *block, float *out)
{
    float scale = load_half(block);
    uint32_t fifth = load_u32(block + 2);
    for (uint32_t i = 0; i < BLOCK; i++) {
        int code = nibble(block + 6, i) | (int)(fifth >> i & 1) << 4;
        out[i] = (float)(code - 16) * scale;
    }
}

static void expand_q5_1(const uint8_t *block, float *out)
{
    float scale = load_half(block);
    float minimum = load_half(block + 2);
    uint32_t fifth = load_u32(block + 4);
    for (uint32_t i = 0; i < BLOCK; i++) {
        int code = nibble(block + 8, i) | (int)(fifth >> i & 1) << 4;
        out[i] = (float)code * scale + minimum;
    }
}

static void expand_q8_0(const uint8_t *block, float *out)
{
    float scale = load_half(block);
    for (uint32_t i = 0; i < BLOCK; i++) out[i] = (float)(int8_t)block[2 + i] * scale;
}

/* Scale and minimum of sub-block i: 6 bits each, those of the last four split in two. */
static void unpack_scale(const uint8_t scales[SCALE_BYTES], uint32_t i, int *scale, int *minimum)
{
    if (i < 4) {
        *scale = scales[i] & 63;
        *minimum = scales[i + 4] & 63;
    } else {
        *scale = (scales[i + 4] & 15) | scales[i - 4] >> 6 << 4;
        *minimum = scales[i + 4] >> 4 | scales[i] >> 6 << 4;
    }
}

/* Q4_K, and Q5_K where fifth is not NULL: bit i of byte j belongs to number 32 i + j. */
static void expand_sub_blocks(const uint8_t *head, const uint8_t *fifth, const uint8_t *nibbles,
                              float *out)
{
    float scale_unit = load_half(head);
    float minimum_unit = load_half(head + 2);
    for (uint32_t sub = 0; sub < SUPER_BLOCK / BLOCK; sub++) {
        int scale_code;
        int minimum_code;
        unpack_scale(head + 4, sub, &scale_code, &minimum_code);
        float scale = scale_unit * (float)scale_code;
        float minimum = minimum_unit * (float)minimum_code;
        for (uint32_t i = 0; i < BLOCK; i++) {
            // Two sub-blocks share 32 bytes.
            int code = nibbles[sub / 2 * BLOCK + i] >> sub % 2 * 4 & 15;
            if (fifth != NULL) code |= (fifth[i] >> sub & 1) << 4;
            out[sub * BLOCK + i] = scale * (float)code - minimum;
        }
    }
}

static void expand_q6_k(const uint8_t *block, float *out)
{
    float unit = load_half(block + 208);
    for (uint32_t i = 0; i < SUPER_BLOCK; i++) {
        uint32_t half = i / 128;
        uint32_t quarter = i / BLOCK % 4;
        uint32_t column = i % BLOCK;
        int low = block[half * 64 + quarter % 2 * BLOCK + column] >> quarter / 2 * 4 & 15;
        int high = block[128 + half * BLOCK + column] >> 2 * quarter & 3;
        float scale = unit * (float)(int8_t)block[192 + i / 16];
        out[i] = scale * (float)((low | high << 4) - 32);
    }
}

/* 2^(exponent - 128); the format calls 255 not a number. */
static float power_of_two(uint8_t exponent)
{
    if (exponent == 255) return NAN;
    return float_of_bits(exponent < 2 ? 0x00200000u << exponent : (exponent - 1u) << 23);
}

static void expand_mxfp4(const uint8_t *block, float *out)
{
    static const int8_t doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    float scale = power_of_two(block[0]);
    for (uint32_t i = 0; i < BLOCK; i++) out[i] = (float)doubled[nibble(block + 1, i)] * scale;
}

static void expand_block(enum tp_number_type type, const uint8_t *block, float *out)
{
    switch (type) {
    case TP_NUMBER_F32:
        *out = float_of_bits(load_u32(block));
        break;
    case TP_NUMBER_F16:
        *out = load_half(block);
        break;
    case TP_NUMBER_BF16:
        *out = float_of_bits((uint32_t)load_u16(block) << 16);
        break;
    case TP_NUMBER_Q4_0:
        expand_q4_0(block, out);
        break;
    case TP_NUMBER_Q4_1:
        expand_q4_1(block, out);
        break;
    case TP_NUMBER_Q5_0:
        expand_q5_0(block, out);
        break;
    case TP_NUMBER_Q5_1:
        expand_q5_1(block, out);
        break;
    case TP_NUMBER_Q8_0:
        expand_q8_0(block, out);
        break;
    case TP_NUMBER_Q4_K:
        expand_sub_blocks(block, NULL, block + 16, out);
        break;
    case TP_NUMBER_Q5_K:
        expand_sub_blocks(block, block + 16, block + 48, out);
        break;
    case TP_NUMBER_Q6_K:
        expand_q6_k(block, out);
        break;
    case TP_NUMBER_MXFP4:
        expand_mxfp4(block, out);
        break;
    case TP_NUMBER_COUNT:
        assert(false);
        break;
    }
#ifdef TP_PLANT_BUG
    if (type == TP_NUMBER_Q6_K) out[255] = out[254];
#endif
}

void tp__number_expand(enum tp_number_type type, const uint8_t *blocks, size_t count, float *out)
{
    const struct tp_number_format *format = tp__number_format(type);
    assert(count % format->elements == 0);
    for (size_t i = 0; i < count; i += format->elements) {
        expand_block(type, blocks + i / format->elements * format->bytes, out + i);
    }
}

static void round_q8_0(const float in[BLOCK], uint8_t block[34])
{
    float largest = 0.0f;
    for (uint32_t i = 0; i < BLOCK; i++) largest = fmaxf(largest, fabsf(in[i]));
    float scale = largest / 127.0f;
    float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
    uint16_t half = tp__half_of_float(scale);
    block[0] = (uint8_t)half;
    block[1] = (uint8_t)(half >> 8);
    // A scale below the smallest float has an infinite inverse; then all codes are at the ends.
    for (uint32_t i = 0; i < BLOCK; i++) {
        float code = fmaxf(-127.0f, fminf(127.0f, roundf(in[i] * inverse)));
        block[2 + i] = (uint8_t)(int8_t)code;
    }
}

static void round_q4_0(const float in[BLOCK], uint8_t block[18])
{
    float extreme = 0.0f;
    for (uint32_t i = 0; i < BLOCK; i++) {
        if (fabsf(extreme) < fabsf(in[i])) extreme = in[i];
    }
    float scale = extreme / -8.0f;
    float inverse = scale != 0.0f ? 1.0f / scale : 0.0f;
    uint16_t half = tp__half_of_float(scale);
    block[0] = (uint8_t)half;
    block[1] = (uint8_t)(half >> 8);
    uint8_t codes[BLOCK];
    for (uint32_t i = 0; i < BLOCK; i++) {
        codes[i] = (uint8_t)fmaxf(0.0f, fminf(15.0f, truncf(in[i] * inverse + 8.5f)));
    }
    for (uint32_t i = 0; i < BLOCK / 2; i++) {
        block[2 + i] = (uint8_t)(codes[i] | codes[i + BLOCK / 2] << 4);
    }
}

static void round_row(enum tp_number_type type, const float *row, size_t count, float *out)
{
    for (size_t first = 0; first < count; first += BLOCK) {
        size_t size = count - first < BLOCK ? count - first : BLOCK;
        float numbers[BLOCK] = {0.0f};
        uint8_t block[34];
        memcpy(numbers, row + first, size * sizeof numbers[0]);
        if (type == TP_NUMBER_Q8_0) {
            round_q8_0(numbers, block);
        } else {
            round_q4_0(numbers, block);
        }
        expand_block(type, block, numbers);
        memcpy(out + first, numbers, size * sizeof numbers[0]);
    }
}

void tp__q8_0_round(const float *row, size_t count, float *out)
{
    round_row(TP_NUMBER_Q8_0, row, count, out);
}

void tp__q4_0_round(const float *row, size_t count, float *out)
{
    round_row(TP_NUMBER_Q4_0, row, count, out);
}
