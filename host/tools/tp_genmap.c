/* SPDX-License-Identifier: Apache-2.0
 *
 * tp_genmap: turns the shared lists into the files that the C side and the RTL read.
 *
 *   tp_genmap --header          host/include/tp_map.h
 *   tp_genmap --package         rtl/common/tp_map_pkg.sv
 *   tp_genmap --tables-header   host/model/tables.h
 *   tp_genmap --tables-source   host/model/tables.c
 *   tp_genmap --tables-package  rtl/common/tp_tables_pkg.sv
 *   tp_genmap --usb-header      host/include/tp_usb.h
 *   tp_genmap --usb-package     rtl/link/tp_usb_pkg.sv
 *   tp_genmap --configs         names of the configurations, one a line
 *   tp_genmap --verilator NAME  parameters of a configuration as Verilator flags
 *   tp_genmap --boards          names of the boards, one a line
 *   tp_genmap --board NAME      what a board's bitstream is built from, key=value a line
 */
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INSTRUCTION_BITS 192u

struct constant {
    const char *name;
    unsigned value;
    const char *text;
};
struct value {
    const char *group;
    const char *name;
    unsigned value;
    const char *text;
};
struct field {
    const char *op;
    const char *name;
    unsigned lsb;
    unsigned width;
    char sign;
    const char *text;
};
struct config {
    const char *name;
    unsigned values[18];
};

#define TP_CONSTANT(name, value, text) {#name, value, text},
#define TP_VALUE(group, name, value, text)
#define TP_FIELD(op, name, lsb, width, sign, text)
static const struct constant constants[] = {
#include "../include/tp_map.def"
};
#undef TP_CONSTANT
#undef TP_VALUE
#define TP_CONSTANT(name, value, text)
#define TP_VALUE(group, name, value, text) {#group, #name, value, text},
static const struct value values[] = {
#include "../include/tp_map.def"
};
#undef TP_VALUE
#undef TP_FIELD
#define TP_VALUE(group, name, value, text)
#define TP_FIELD(op, name, lsb, width, sign, text) {#op, #name, lsb, width, #sign[0], text},
static const struct field fields[] = {
#include "../include/tp_map.def"
};

#define TP_CONFIG(name, groups, slots, weight_beats, kv_rows, dim_max, query_max, hidden_max,      \
                  vocab_max, positions_max, program_max, gain_quads, constant_pairs, codebooks,    \
                  head_norm, head_log2_max, attention_lanes, top_k, read_back, text)               \
    {#name,                                                                                        \
     {groups, slots, weight_beats, kv_rows, dim_max, query_max, hidden_max, vocab_max,             \
      positions_max, program_max, gain_quads, constant_pairs, codebooks, head_norm, head_log2_max, \
      attention_lanes, top_k, read_back}},
static const struct config configs[] = {
#include "../include/tp_configs.def"
};
static const char *const config_parameters[18] = {
    "Groups",    "Slots",    "WeightBeats",  "KvRows",         "DimMax",    "QueryMax",
    "HiddenMax", "VocabMax", "PositionsMax", "ProgramMax",     "GainQuads", "ConstantPairs",
    "Codebooks", "HeadNorm", "HeadLog2Max",  "AttentionLanes", "TopK",      "ReadBack"};

struct board {
    const char *name;
    const char *configuration;
    const char *part;
    unsigned idcode;
    unsigned core_khz;
    unsigned target_khz;
    unsigned baud;
    unsigned usb;
    unsigned seed;
};

#define TP_BOARD(name, configuration, part, idcode, luts, block_rams, multipliers, plls, core_khz, \
                 target_khz, baud, usb, seed, text)                                                \
    {#name, #configuration, #part, idcode, core_khz, target_khz, baud, usb, seed},
static const struct board boards[] = {
#include "../include/tp_boards.def"
};

/* Fields of the USB descriptors name constants of their list, and the version of the link. */
#undef TP_CONSTANT
#undef TP_VALUE
#undef TP_FIELD
#define TP_CONSTANT(name, value, text) TP_##name = (value),
#define TP_VALUE(group, name, value, text)
#define TP_FIELD(op, name, lsb, width, sign, text)
#define TP_USB_CONSTANT(name, value, text) TP_USB_##name = (value),
#define TP_USB_FIELD(descriptor, bytes, value, text)
#define TP_USB_TEXT(descriptor, string, text)
enum {
#include "../include/tp_map.def"
#include "../include/tp_usb.def"
};
#undef TP_USB_CONSTANT
#define TP_USB_CONSTANT(name, value, text) {#name, value, text},
static const struct constant usb_constants[] = {
#include "../include/tp_usb.def"
};
struct usb_piece {
    const char *descriptor;
    unsigned bytes; /* 0: the characters of string, two bytes each */
    unsigned value;
    const char *string;
    const char *text;
};
#undef TP_USB_CONSTANT
#undef TP_USB_FIELD
#undef TP_USB_TEXT
#define TP_USB_CONSTANT(name, value, text)
#define TP_USB_FIELD(descriptor, bytes, value, text) {#descriptor, bytes, value, "", text},
#define TP_USB_TEXT(descriptor, string, text)        {#descriptor, 0, 0, string, text},
static const struct usb_piece usb_pieces[] = {
#include "../include/tp_usb.def"
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void lower(const char *from, char *to, size_t size)
{
    size_t i = 0;
    for (; from[i] != 0 && i + 1 < size; i++) {
        to[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] - 'A' + 'a' : from[i]);
    }
    to[i] = 0;
}

/* The opcodes that have fields, in the order of the list, without ANY. */
static size_t operations(const char *names[], size_t most)
{
    size_t count = 0;
    for (size_t i = 0; i < COUNT(fields); i++) {
        size_t j = 0;
        while (j < count && strcmp(names[j], fields[i].op) != 0) {
            j++;
        }
        if (j == count && strcmp(fields[i].op, "ANY") != 0 && count < most) {
            names[count++] = fields[i].op;
        }
    }
    return count;
}

static int belongs(const struct field *field, const char *op)
{
    return strcmp(field->op, op) == 0 || strcmp(field->op, "ANY") == 0;
}

/* Dies when two fields of an opcode overlap: the list itself is wrong then. */
static void check_fields(const char *op)
{
    char used[INSTRUCTION_BITS] = {0};
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (!belongs(&fields[i], op)) {
            continue;
        }
        for (unsigned bit = fields[i].lsb; bit < fields[i].lsb + fields[i].width; bit++) {
            if (bit >= INSTRUCTION_BITS || used[bit]) {
                fprintf(stderr, "tp_map.def: field %s of %s overlaps at bit %u\n", fields[i].name,
                        op, bit);
                exit(1);
            }
            used[bit] = 1;
        }
    }
}

static const char *c_type(const struct field *field)
{
    if (field->sign == 's') {
        return "int32_t";
    }
    return field->width > 32 ? "uint64_t" : "uint32_t";
}

static void print_c_operation(const char *op)
{
    char name[32];
    lower(op, name, sizeof name);
    printf("\nstruct tp_op_%s {\n", name);
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (belongs(&fields[i], op)) {
            printf("    %s %s; /* %s */\n", c_type(&fields[i]), fields[i].name, fields[i].text);
        }
    }
    printf("};\n\n/* Packs op into six words; asserts that every field fits. */\n"
           "static inline void tp_%s_pack(const struct tp_op_%s *op,\n"
           "                              uint32_t words[TP_INSTRUCTION_WORDS]) {\n"
           "    memset(words, 0, 4 * TP_INSTRUCTION_WORDS);\n",
           name, name);
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (belongs(&fields[i], op)) {
            printf("    tp__field_set(words, %u, %u, %s, (uint64_t)op->%s);\n", fields[i].lsb,
                   fields[i].width, fields[i].sign == 's' ? "true" : "false", fields[i].name);
        }
    }
    printf("}\n\nstatic inline void tp_%s_unpack(const uint32_t words[TP_INSTRUCTION_WORDS],\n"
           "                                struct tp_op_%s *op) {\n",
           name, name);
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (belongs(&fields[i], op)) {
            printf("    op->%s = (%s)tp__field_get(words, %u, %u, %s);\n", fields[i].name,
                   c_type(&fields[i]), fields[i].lsb, fields[i].width,
                   fields[i].sign == 's' ? "true" : "false");
        }
    }
    printf("}\n");
}

static void print_header(void)
{
    printf("/* SPDX-License-Identifier: Apache-2.0\n *\n"
           " * Generated by tp_genmap from tp_map.def. Do not edit.\n */\n"
           "/* clang-format off */\n"
           "#ifndef TP_MAP_H\n#define TP_MAP_H\n\n#include <assert.h>\n#include <stdbool.h>\n"
           "#include <stdint.h>\n#include <string.h>\n\n");
    for (size_t i = 0; i < COUNT(constants); i++) {
        printf("#define TP_%s %uu /* %s */\n", constants[i].name, constants[i].value,
               constants[i].text);
    }
    for (size_t i = 0; i < COUNT(values); i++) {
        if (i == 0 || strcmp(values[i].group, values[i - 1].group) != 0) {
            printf("\n");
        }
        printf("#define TP_%s_%s %uu /* %s */\n", values[i].group, values[i].name, values[i].value,
               values[i].text);
    }
    printf("\nstatic inline void tp__field_set(uint32_t *words, unsigned lsb, unsigned width,\n"
           "                                 bool is_signed, uint64_t value) {\n"
           "    if (is_signed) {\n"
           "        int64_t v = (int64_t)value;\n"
           "        assert(v >= -((int64_t)1 << (width - 1)) && v < ((int64_t)1 << (width - 1)));\n"
           "        (void)v;\n"
           "    } else {\n"
           "        assert(value >> width == 0);\n"
           "    }\n"
           "    for (unsigned i = 0; i < width; i++) {\n"
           "        unsigned bit = lsb + i;\n"
           "        words[bit / 32] |= (uint32_t)((value >> i) & 1u) << (bit %% 32);\n"
           "    }\n"
           "}\n\n"
           "static inline uint64_t tp__field_get(const uint32_t *words, unsigned lsb, unsigned "
           "width,\n"
           "                                     bool is_signed) {\n"
           "    uint64_t value = 0;\n"
           "    for (unsigned i = 0; i < width; i++) {\n"
           "        unsigned bit = lsb + i;\n"
           "        value |= (uint64_t)((words[bit / 32] >> (bit %% 32)) & 1u) << i;\n"
           "    }\n"
           "    if (is_signed && (value >> (width - 1)) != 0) {\n"
           "        value |= ~(uint64_t)0 << width;\n"
           "    }\n"
           "    return value;\n"
           "}\n");
    const char *names[16];
    size_t count = operations(names, COUNT(names));
    print_c_operation("ANY");
    for (size_t i = 0; i < count; i++) {
        check_fields(names[i]);
        print_c_operation(names[i]);
    }
    printf("\n#endif\n");
}

static int higher_first(const void *a, const void *b)
{
    const struct field *x = *(const struct field *const *)a;
    const struct field *y = *(const struct field *const *)b;
    return x->lsb < y->lsb ? 1 : -1;
}

static void print_sv_operation(const char *op)
{
    const struct field *own[COUNT(fields)];
    size_t count = 0;
    for (size_t i = 0; i < COUNT(fields); i++) {
        if (belongs(&fields[i], op)) {
            own[count++] = &fields[i];
        }
    }
    qsort(own, count, sizeof own[0], higher_first);
    char name[32];
    lower(op, name, sizeof name);
    printf("\n  typedef struct packed {\n");
    unsigned top = INSTRUCTION_BITS;
    unsigned gaps = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned end = own[i]->lsb + own[i]->width;
        if (end < top) {
            printf("    logic [%u:0] unused_%u;\n", top - end - 1, gaps++);
        }
        if (own[i]->width == 1) {
            printf("    logic %s;\n", own[i]->name);
        } else {
            printf("    logic %s[%u:0] %s;\n", own[i]->sign == 's' ? "signed " : "",
                   own[i]->width - 1, own[i]->name);
        }
        top = own[i]->lsb;
    }
    printf("  } %s_t;\n", name);
}

static unsigned width_of_group(const char *group)
{
    unsigned most = 0;
    for (size_t i = 0; i < COUNT(values); i++) {
        if (strcmp(values[i].group, group) == 0 && values[i].value > most) {
            most = values[i].value;
        }
    }
    /* Enumerations that an instruction field or a bus carries have that width. */
    if (strcmp(group, "OP") == 0 || strcmp(group, "SPACE") == 0) {
        return 4;
    }
    if (strcmp(group, "FRAME") == 0 || strcmp(group, "ACK") == 0 || strcmp(group, "REASON") == 0) {
        return 8;
    }
    if (strcmp(group, "REGISTER") == 0) {
        return 32;
    }
    unsigned width = 1;
    while (most >> width != 0) {
        width++;
    }
    return width;
}

static void print_package(void)
{
    printf("// SPDX-License-Identifier: Apache-2.0\n//\n"
           "// tp_map_pkg: generated by tp_genmap from tp_map.def. Do not edit.\n\n"
           "package tp_map_pkg;\n");
    for (size_t i = 0; i < COUNT(constants); i++) {
        printf("  // %s\n  localparam int unsigned TP_%s = %u;\n", constants[i].text,
               constants[i].name, constants[i].value);
    }
    for (size_t i = 0; i < COUNT(values); i++) {
        unsigned width = width_of_group(values[i].group);
        if (i == 0 || strcmp(values[i].group, values[i - 1].group) != 0) {
            printf("\n");
        }
        printf("  // %s\n  localparam logic [%u:0] TP_%s_%s = %u'd%u;\n", values[i].text, width - 1,
               values[i].group, values[i].name, width, values[i].value);
    }
    const char *names[16];
    size_t count = operations(names, COUNT(names));
    print_sv_operation("ANY");
    for (size_t i = 0; i < count; i++) {
        check_fields(names[i]);
        print_sv_operation(names[i]);
    }
    printf("endpackage\n");
}

/* ---- function tables of the contract (docs/numbers.md) ---- */

static double table_sine(unsigned i)
{
    return 32768.0 * sin(acos(-1.0) / 2.0 * i / 64.0);
}
static double table_sigmoid(unsigned i)
{
    return 65536.0 / (1.0 + exp(-(double)i / 8.0));
}
static double table_rsqrt(unsigned i)
{
    return 65536.0 / sqrt(i < 32 ? 1.0 + i / 32.0 : 2.0 + 2.0 * (i - 32.0) / 32.0);
}
static double table_reciprocal(unsigned i)
{
    return 65536.0 / (1.0 + i / 32.0);
}
static double table_exp2(unsigned i)
{
    double v = exp2(i / 64.0) * 128.0;
    return v > 255.0 ? 255.0 : v;
}
static double table_log2(unsigned i)
{
    return 4096.0 * log2(1.0 + i / 32.0);
}
static double table_power(unsigned i)
{
    return 4096.0 * (exp2(i / 32.0) - 1.0);
}
static double table_gumbel(unsigned i)
{
    double w = i / 64.0;
    return 4096.0 * log2(i == 0 ? 1.0 / log(2.0) : -log2(1.0 - w) / w);
}

static const struct table {
    const char *name;
    unsigned count;
    unsigned width;
    double (*function)(unsigned);
    const char *text;
} tables[] = {
    {"SINE", 65, 16, table_sine, "quarter wave, 32768 = 1.0"},
    {"SIGMOID", 129, 17, table_sigmoid, "of i / 8, 65536 = 1.0"},
    {"RSQRT", 65, 17, table_rsqrt, "of 1 + i / 32, then of 2 + (i - 32) / 16; 65536 = 1.0"},
    {"RECIPROCAL", 33, 17, table_reciprocal, "of 1 + i / 32, 65536 = 1.0"},
    {"EXP2", 64, 8, table_exp2, "2^(i / 64) * 128, at most 255"},
    {"LOG2", 33, 13, table_log2, "log2(1 + i / 32) * 4096"},
    {"POWER", 33, 13, table_power, "(2^(i / 32) - 1) * 4096"},
    {"GUMBEL", 33, 13, table_gumbel, "log2(-log2(1 - w) / w) * 4096, w = i / 64"},
};

static unsigned table_entry(const struct table *table, unsigned i)
{
    double v = floor(table->function(i) + 0.5);
    if (v < 0 || v >= exp2(table->width)) {
        fprintf(stderr, "table %s: entry %u does not fit %u bits\n", table->name, i, table->width);
        exit(1);
    }
    return (unsigned)v;
}

static void print_tables_header(void)
{
    printf("/* SPDX-License-Identifier: Apache-2.0\n *\n"
           " * Generated by tp_genmap: function tables of the number contract. Do not edit.\n */\n"
           "/* clang-format off */\n"
           "#ifndef TP_TABLES_H\n#define TP_TABLES_H\n\n#include <stdint.h>\n\n");
    for (size_t t = 0; t < COUNT(tables); t++) {
        printf("extern const int32_t TP_TABLE_%s[%u]; /* %s */\n", tables[t].name, tables[t].count,
               tables[t].text);
    }
    printf("\n#endif\n");
}

static void print_tables_source(void)
{
    printf("/* SPDX-License-Identifier: Apache-2.0\n *\n"
           " * Generated by tp_genmap: function tables of the number contract. Do not edit.\n */\n"
           "/* clang-format off */\n#include \"tables.h\"\n");
    for (size_t t = 0; t < COUNT(tables); t++) {
        printf("\nconst int32_t TP_TABLE_%s[%u] = {", tables[t].name, tables[t].count);
        for (unsigned i = 0; i < tables[t].count; i++) {
            printf("%s%u,", i % 10 == 0 ? "\n    " : " ", table_entry(&tables[t], i));
        }
        printf("\n};\n");
    }
}

static void print_tables_package(void)
{
    printf("// SPDX-License-Identifier: Apache-2.0\n//\n"
           "// tp_tables_pkg: generated by tp_genmap: function tables of the number contract.\n\n"
           "package tp_tables_pkg;\n");
    for (size_t t = 0; t < COUNT(tables); t++) {
        printf("  // %s\n  localparam logic [%u:0] TP_TABLE_%s[%u] = '{", tables[t].text,
               tables[t].width - 1, tables[t].name, tables[t].count);
        for (unsigned i = 0; i < tables[t].count; i++) {
            printf("%s%u'd%u%s", i % 8 == 0 ? "\n      " : " ", tables[t].width,
                   table_entry(&tables[t], i), i + 1 < tables[t].count ? "," : "");
        }
        printf("\n  };\n");
    }
    printf("endpackage\n");
}

/* ---- the USB device ---- */

static size_t piece_bytes(const struct usb_piece *piece)
{
    return piece->bytes != 0 ? piece->bytes : 2 * strlen(piece->string);
}

static unsigned piece_byte(const struct usb_piece *piece, size_t i)
{
    if (piece->bytes != 0) {
        return piece->value >> (8 * i) & 0xFF;
    }
    return i % 2 == 0 ? (unsigned char)piece->string[i / 2] : 0;
}

static int starts_descriptor(size_t p)
{
    return p == 0 || strcmp(usb_pieces[p].descriptor, usb_pieces[p - 1].descriptor) != 0;
}

/* Bytes of the descriptor that starts with piece p. */
static size_t descriptor_bytes(size_t p)
{
    size_t bytes = piece_bytes(&usb_pieces[p++]);
    while (p < COUNT(usb_pieces) && !starts_descriptor(p)) {
        bytes += piece_bytes(&usb_pieces[p++]);
    }
    return bytes;
}

/* Dies when a length in a descriptor is not the one that it has: the list itself is wrong then. */
static void check_descriptor(size_t p)
{
    const char *name = usb_pieces[p].descriptor;
    size_t total = descriptor_bytes(p);
    size_t begin = p;
    size_t at = 0;
    size_t next = 0; /* where the next inner descriptor has to begin */
    while (p < COUNT(usb_pieces) && (p == begin || !starts_descriptor(p))) {
        if (at == next) {
            next += usb_pieces[p].value;
        }
        int is_total = strcmp(usb_pieces[p].text, "wTotalLength") == 0;
        if (at > next || (is_total && usb_pieces[p].value != total)) {
            fprintf(stderr, "tp_usb.def: wrong length in %s at byte %zu (%s)\n", name, at,
                    usb_pieces[p].text);
            exit(1);
        }
        at += piece_bytes(&usb_pieces[p++]);
    }
    if (next != total) {
        fprintf(stderr, "tp_usb.def: %s has %zu bytes, its lengths say %zu\n", name, total, next);
        exit(1);
    }
}

static void print_usb_header(void)
{
    printf("/* SPDX-License-Identifier: Apache-2.0\n *\n"
           " * Generated by tp_genmap from tp_usb.def. Do not edit.\n */\n"
           "/* clang-format off */\n"
           "#ifndef TP_USB_H\n#define TP_USB_H\n\n#include <stdint.h>\n\n");
    for (size_t i = 0; i < COUNT(usb_constants); i++) {
        printf("#define TP_USB_%s 0x%02Xu /* %s */\n", usb_constants[i].name,
               usb_constants[i].value, usb_constants[i].text);
    }
    for (size_t p = 0; p < COUNT(usb_pieces); p++) {
        const struct usb_piece *piece = &usb_pieces[p];
        if (starts_descriptor(p)) {
            char name[32];
            lower(piece->descriptor, name, sizeof name);
            check_descriptor(p);
            printf("%s\n#define TP_USB_%s_BYTES %zuu\n"
                   "static const uint8_t tp_usb_%s[TP_USB_%s_BYTES] = {\n",
                   p == 0 ? "" : "};\n", piece->descriptor, descriptor_bytes(p), name,
                   piece->descriptor);
        }
        printf("    ");
        for (size_t i = 0; i < piece_bytes(piece); i++) {
            printf("0x%02X,%s", piece_byte(piece, i),
                   i % 12 == 11 && i + 1 < piece_bytes(piece) ? "\n    " : " ");
        }
        printf("/* %s */\n", piece->text);
    }
    printf("};\n\n#endif\n");
}

static void print_usb_package(void)
{
    size_t total = 0;
    printf("// SPDX-License-Identifier: Apache-2.0\n//\n"
           "// tp_usb_pkg: generated by tp_genmap from tp_usb.def. Do not edit.\n\n"
           "package tp_usb_pkg;\n");
    for (size_t i = 0; i < COUNT(usb_constants); i++) {
        printf("  // %s\n  localparam int unsigned TP_USB_%s = %u;\n", usb_constants[i].text,
               usb_constants[i].name, usb_constants[i].value);
    }
    printf("\n  // Where each descriptor begins in the bytes below, and its bytes.\n");
    for (size_t p = 0; p < COUNT(usb_pieces); p++) {
        if (starts_descriptor(p)) {
            check_descriptor(p);
            printf("  localparam int unsigned TP_USB_%s_OFFSET = %zu;\n"
                   "  localparam int unsigned TP_USB_%s_BYTES = %zu;\n",
                   usb_pieces[p].descriptor, total, usb_pieces[p].descriptor, descriptor_bytes(p));
            total += descriptor_bytes(p);
        }
    }
    printf("\n  localparam int unsigned TP_USB_DESCRIPTORS_BYTES = %zu;\n"
           "  // Byte 0 is [7:0].\n"
           "  localparam bit [%zu:0] TP_USB_DESCRIPTORS = {\n",
           total, 8 * total - 1);
    for (size_t p = COUNT(usb_pieces); p-- != 0;) {
        const struct usb_piece *piece = &usb_pieces[p];
        printf("    // %s: %s\n    ", piece->descriptor, piece->text);
        for (size_t i = piece_bytes(piece); i-- != 0;) {
            printf("8'h%02X%s", piece_byte(piece, i),
                   i != 0 ? (i % 12 == 0 ? ",\n    " : ", ") : (p != 0 ? ",\n" : "\n"));
        }
    }
    printf("  };\nendpackage\n");
}

static const struct config *find_config(const char *name)
{
    for (size_t i = 0; i < COUNT(configs); i++) {
        if (strcmp(configs[i].name, name) == 0) {
            return &configs[i];
        }
    }
    fprintf(stderr, "tp_genmap: no configuration is named '%s'; see --configs\n", name);
    return NULL;
}

static int print_verilator(const char *name)
{
    const struct config *config = find_config(name);
    if (config == NULL) {
        return 1;
    }
    for (size_t p = 0; p < COUNT(config_parameters); p++) {
        printf("%s-G%s=%u", p == 0 ? "" : " ", config_parameters[p], config->values[p]);
    }
    printf("\n");
    return 0;
}

/* Keys of RTL parameters begin with a capital. */
static int print_board(const char *name)
{
    const struct board *board = NULL;
    for (size_t i = 0; i < COUNT(boards); i++) {
        if (strcmp(boards[i].name, name) == 0) {
            board = &boards[i];
        }
    }
    if (board == NULL) {
        fprintf(stderr, "tp_genmap: no board is named '%s'; see --boards\n", name);
        return 1;
    }
    if (strcmp(board->configuration, "none") == 0) {
        fprintf(stderr, "tp_genmap: board '%s' has no configuration: the core does not fit it\n",
                name);
        return 1;
    }
    const struct config *config = find_config(board->configuration);
    if (config == NULL) {
        return 1;
    }
    printf("board=%s\nconfiguration=%s\npart=%s\nidcode=0x%08x\nseed=%u\ntarget_khz=%u\n",
           board->name, board->configuration, board->part, board->idcode, board->seed,
           board->target_khz);
    printf("CoreKhz=%u\nBaud=%u\nUsb=%u\n", board->core_khz, board->baud, board->usb);
    for (size_t p = 0; p < COUNT(config_parameters); p++) {
        printf("%s=%u\n", config_parameters[p], config->values[p]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--verilator") == 0) {
        return print_verilator(argv[2]);
    }
    if (argc == 3 && strcmp(argv[1], "--board") == 0) {
        return print_board(argv[2]);
    }
    const char *what = argc == 2 ? argv[1] : "";
    if (strcmp(what, "--header") == 0) {
        print_header();
    } else if (strcmp(what, "--package") == 0) {
        print_package();
    } else if (strcmp(what, "--tables-header") == 0) {
        print_tables_header();
    } else if (strcmp(what, "--tables-source") == 0) {
        print_tables_source();
    } else if (strcmp(what, "--tables-package") == 0) {
        print_tables_package();
    } else if (strcmp(what, "--usb-header") == 0) {
        print_usb_header();
    } else if (strcmp(what, "--usb-package") == 0) {
        print_usb_package();
    } else if (strcmp(what, "--configs") == 0) {
        for (size_t i = 0; i < COUNT(configs); i++) {
            printf("%s\n", configs[i].name);
        }
    } else if (strcmp(what, "--boards") == 0) {
        for (size_t i = 0; i < COUNT(boards); i++) {
            printf("%s\n", boards[i].name);
        }
    } else {
        fprintf(stderr,
                "usage: tp_genmap --header | --package | --tables-header | --tables-source |"
                " --tables-package | --usb-header | --usb-package | --configs | --verilator NAME |"
                " --boards | --board NAME\n");
        return 2;
    }
    return fflush(stdout) == 0 ? 0 : 1;
}
