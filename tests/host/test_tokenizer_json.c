// SPDX-License-Identifier: Apache-2.0
//
// Claims about tokenizer.json: what is read gives the tokens that it says; every step, model and
// token that this version does not do is refused by the name of its field; damaged files are
// refused with the place; tokenizer_config.json beside the file names start and end; each failing
// allocation of ours is reported; any damage of a file gives an error or a sound tokenizer.
//
// The makers' own program runs beside in tests/system/test_tokenizer_reference.py.
//
// TP_LINK: -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc

#define _POSIX_C_SOURCE 200809L

#include "allocation.h"
#include "chat.h"
#include "check_main.h"
#include "encode.h"
#include "model_files.h"
#include "random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { JSON_BYTES = 4096, TOKENS = 64, FUZZ_RUNS = 3000 };

/* ---- files ---- */

/* The fields of a file; NULL: as in a sound one. */
struct fields {
    const char *normalizer;
    const char *pre_tokenizer;
    const char *post_processor;
    const char *type;
    const char *more;  // in the model
    const char *vocab;
    const char *merges;
    const char *added;
};

static const char sound_vocab[] = "\"a\":0,\"b\":1,\"c\":2,\"\\u0120\":3,\"ab\":4,\"abc\":5,"
                                  "\"\\u0120a\":6";
static const char sound_merges[] = "\"a b\",[\"ab\",\"c\"],\"\\u0120 a\"";
static const char sound_added[] = "{\"id\":7,\"content\":\"<|endoftext|>\",\"special\":true},"
                                  "{\"id\":8,\"content\":\"<x>\",\"special\":false}";
static const char byte_level[] = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}";

static const char *or_else(const char *text, const char *other)
{
    return text != NULL ? text : other;
}

static size_t write_json(const struct fields *f, char text[JSON_BYTES])
{
    int size = snprintf(text, JSON_BYTES,
                        " {\"version\":\"1.0\",\"normalizer\":%s,\"pre_tokenizer\":%s,"
                        "\"post_processor\":%s,\"added_tokens\":[%s],"
                        "\"model\":{\"type\":\"%s\",%s\"vocab\":{%s},\"merges\":[%s]}}",
                        or_else(f->normalizer, "null"), or_else(f->pre_tokenizer, byte_level),
                        or_else(f->post_processor, "null"), or_else(f->added, sound_added),
                        or_else(f->type, "BPE"), or_else(f->more, ""),
                        or_else(f->vocab, sound_vocab), or_else(f->merges, sound_merges));
    ck_assert(size > 0 && size < JSON_BYTES);
    return (size_t)size;
}

static tp_status parse(const char *text, size_t size, struct tp_tokenizer *tokenizer,
                       struct tp_error *error)
{
    return tp__tokenizer_parse(text, size, "tokenizer.json", tokenizer, error);
}

/* ---- what is read ---- */

static void expect_tokens(const struct fields *fields, const char *text, const uint32_t *expected,
                          uint32_t expected_count)
{
    char json[JSON_BYTES];
    struct tp_tokenizer tokenizer;
    struct tp_encoder encoder;
    struct tp_error error = {0};
    uint32_t tokens[TOKENS];
    uint32_t count = 0;
    size_t size = write_json(fields, json);
    ck_assert_msg(parse(json, size, &tokenizer, &error) == TP_OK, "%s", error.text);
    ck_assert_int_eq(tp__encoder_open(&tokenizer, 100, &encoder, &error), TP_OK);
    tp_status status = tp__encode(&encoder, text, strlen(text), tokenizer.add_bos,
                                  tokenizer.add_space, tokens, TOKENS, &count, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    ck_assert_uint_eq(count, expected_count);
    ck_assert_mem_eq(tokens, expected, count * sizeof tokens[0]);
    tp__encoder_close(&encoder);
    tp__tokenizer_free(&tokenizer);
}

START_TEST(json_gives_the_tokens_that_it_says)
{
    const uint32_t pairs[] = {5, 6, 8, 4, 3};
    expect_tokens(&(struct fields){0}, "abc a<x>ab ", pairs, 5);
    const uint32_t started[] = {7, 0};
    expect_tokens(&(struct fields){.post_processor =
                                       "{\"type\":\"TemplateProcessing\",\"single\":["
                                       "{\"SpecialToken\":{\"id\":\"<|endoftext|>\"}},"
                                       "{\"Sequence\":{\"id\":\"A\"}}]}"},
                  "a", started, 2);
    // SentencePiece's form: a space in front, bytes for what has no piece.
    const struct fields marked = {
        .normalizer = "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"
                      "\"\\u2581\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
                      "\"content\":\"\\u2581\"}]}",
        .pre_tokenizer = "null",
        .more = "\"byte_fallback\":true,\"unk_token\":\"<unk>\",",
        .vocab = "\"<unk>\":0,\"</s>\":1,\"<0xC3>\":2,\"<0xA9>\":3,\"\\u2581\":4,\"a\":5,"
                 "\"\\u2581a\":6",
        .merges = "\"\\u2581 a\"",
        .added = "{\"id\":0,\"content\":\"<unk>\",\"special\":true},"
                 "{\"id\":1,\"content\":\"</s>\",\"special\":true}"};
    const uint32_t characters[] = {6, 2, 3, 6, 0};
    expect_tokens(&marked, "a\xc3\xa9 az", characters, 5);
    // A vocabulary that does not name every number.
    const uint32_t holes[] = {1, 0};
    expect_tokens(&(struct fields){.vocab = "\"a\":0,\"b\":1",
                                   .merges = "",
                                   .added = "{\"id\":4,\"content\":\"</s>\",\"special\":true}"},
                  "ba", holes, 2);
}
END_TEST

START_TEST(json_takes_start_and_end_from_the_file_beside)
{
    char folder[] = "/tmp/tp_test_XXXXXX";
    char path[2][64];
    char json[JSON_BYTES];
    static const char config[] =
        "{\"bos_token\":{\"content\":\"<s>\"},\"eos_token\":\"<e>\",\"add_bos_token\":true,"
        "\"chat_template\":[{\"name\":\"tool\",\"template\":\"x\"},"
        "{\"name\":\"default\",\"template\":\"<|start_header_id|>\"}]}";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path[0], sizeof path[0], "%s/tokenizer.json", folder);
    snprintf(path[1], sizeof path[1], "%s/tokenizer_config.json", folder);
    size_t size =
        write_json(&(struct fields){.added = "{\"id\":7,\"content\":\"<s>\",\"special\":true},"
                                             "{\"id\":8,\"content\":\"<e>\",\"special\":true}"},
                   json);
    FILE *file = fopen(path[0], "wb");
    ck_assert_uint_eq(fwrite(json, 1, size, file), size);
    fclose(file);
    struct tp_tokenizer tokenizer;
    struct tp_error error = {0};
    ck_assert_int_eq(tp__tokenizer_load(path[0], &tokenizer, &error), TP_ERROR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.text, "no tokenizer_config.json names it"));
    for (int damaged = 0; damaged < 2; damaged++) {
        file = fopen(path[1], "wb");
        fputs(config + damaged, file);
        fclose(file);
        tp_status status = tp__tokenizer_load(path[0], &tokenizer, &error);
        if (damaged == 1) {
            ck_assert_int_eq(status, TP_ERROR_FORMAT);
            ck_assert_ptr_nonnull(strstr(error.text, "of tokenizer_config.json"));
            continue;
        }
        ck_assert_msg(status == TP_OK, "%s", error.text);
        ck_assert_uint_eq(tokenizer.bos, 7);
        ck_assert_uint_eq(tokenizer.eos, 8);
        ck_assert(tokenizer.add_bos);
        ck_assert_int_eq((int)tokenizer.chat, TP_CHAT_LLAMA3);
        tp__tokenizer_free(&tokenizer);
    }
    unlink(path[0]);
    unlink(path[1]);
    rmdir(folder);
}
END_TEST

/* ---- what is refused ---- */

#define STEP(type, more)      "{\"type\":\"" type "\"" more "}"
#define SEQUENCE(list, steps) "{\"type\":\"Sequence\",\"" list "\":[" steps "]}"

START_TEST(json_refuses_what_it_does_not_do_by_name)
{
    static const struct {
        struct fields fields;
        tp_status status;
        const char *part;
    } cases[] = {
        {{.type = "Unigram"}, TP_ERROR_UNSUPPORTED, "model: \"Unigram\""},
        {{.type = "WordPiece"}, TP_ERROR_UNSUPPORTED, "model: \"WordPiece\""},
        {{.more = "\"dropout\":0.1,"}, TP_ERROR_UNSUPPORTED, "model.dropout"},
        {{.more = "\"end_of_word_suffix\":\"</w>\","}, TP_ERROR_UNSUPPORTED, "end_of_word_suffix"},
        {{.more = "\"continuing_subword_prefix\":\"##\","},
         TP_ERROR_UNSUPPORTED,
         "continuing_subword_prefix"},
        {{.more = "\"byte_fallback\":true,"}, TP_ERROR_UNSUPPORTED, "model.byte_fallback"},
        {{.normalizer = STEP("Lowercase", "")}, TP_ERROR_UNSUPPORTED, "normalizer: \"Lowercase\""},
        {{.normalizer = STEP("NFKC", "")}, TP_ERROR_UNSUPPORTED, "normalizer: \"NFKC\""},
        {{.normalizer = SEQUENCE("normalizers", SEQUENCE("normalizers", ""))},
         TP_ERROR_UNSUPPORTED,
         "normalizer: \"Sequence\""},
        {{.normalizer = STEP("Sequence", "")}, TP_ERROR_UNSUPPORTED, "normalizer: a Sequence"},
        {{.pre_tokenizer = "null"}, TP_ERROR_UNSUPPORTED, "pre_tokenizer: these steps"},
        {{.pre_tokenizer = STEP("Whitespace", "")}, TP_ERROR_UNSUPPORTED, "\"Whitespace\""},
        {{.pre_tokenizer = STEP("ByteLevel", "")}, TP_ERROR_UNSUPPORTED, "add_prefix_space"},
        {{.pre_tokenizer = STEP("ByteLevel", ",\"add_prefix_space\":false,\"use_regex\":false")},
         TP_ERROR_UNSUPPORTED,
         "use_regex"},
        {{.pre_tokenizer = STEP("Split", ",\"pattern\":{\"Regex\":\"(a+)+$\"},"
                                         "\"behavior\":\"Isolated\"")},
         TP_ERROR_UNSUPPORTED,
         "\"(a+)+$\"... is none of the known ones"},
        {{.pre_tokenizer = STEP("Split", ",\"pattern\":{\"String\":\" \"},"
                                         "\"behavior\":\"Removed\"")},
         TP_ERROR_UNSUPPORTED,
         "pre_tokenizer.Split"},
        {{.pre_tokenizer = STEP("Metaspace", ",\"replacement\":\"\\u2581\"")},
         TP_ERROR_UNSUPPORTED,
         "\"Metaspace\""},
        {{.pre_tokenizer = STEP("Metaspace", ",\"replacement\":\"\\u2581\",\"split\":false")},
         TP_ERROR_UNSUPPORTED,
         "model.byte_fallback"},
        {{.post_processor = STEP("BertProcessing", "")}, TP_ERROR_UNSUPPORTED, "post_processor"},
        {{.added = "{\"id\":7,\"content\":\"</s>\",\"special\":true,\"single_word\":true}"},
         TP_ERROR_FORMAT,
         "added_tokens.single_word: \"</s>\""},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        char json[JSON_BYTES];
        struct tp_tokenizer tokenizer;
        struct tp_error error = {0};
        tp_status status = parse(json, write_json(&cases[c].fields, json), &tokenizer, &error);
        ck_assert_msg(status == cases[c].status, "case %zu: %s", c, error.text);
        ck_assert_msg(strstr(error.text, cases[c].part) != NULL, "case %zu: %s", c, error.text);
    }
}
END_TEST

START_TEST(json_refuses_damage_with_its_place)
{
    static const struct {
        struct fields fields;
        const char *part;
    } cases[] = {
        {{.vocab = "\"a\":0,\"a\":1"}, "duplicate object key"},
        {{.vocab = "\"a\":0,\"b\":0,\"c\":2"}, "vocab: \"b\" has the number of another piece"},
        {{.vocab = "\"a\":-1"}, "model.vocab: \"a\" has an impossible number"},
        {{.vocab = "\"a\":1.5"}, "model.vocab: \"a\" has an impossible number"},
        {{.vocab = "\"a\":\"0\""}, "model.vocab: \"a\" has an impossible number"},
        {{.vocab = "\"a\":1048576"}, "model.vocab: \"a\" has an impossible number"},
        {{.vocab = "\"a\":1000000", .merges = ""}, "model.vocab: most numbers have no piece"},
        {{.vocab = "\"a\":99999999999999999999"}, "byte "},
        {{.added = "{\"id\":7,\"content\":\"</s>\"},{\"id\":7,\"content\":\"<s>\"}"},
         "added_tokens: \"<s>\" has the number of another piece"},
        {{.added = "{\"id\":0,\"content\":\"</s>\",\"special\":true}"},
         "added_tokens: \"</s>\" has the number of another piece"},
        {{.added = "{\"id\":7,\"content\":\"a\",\"special\":true}"},
         "added_tokens: \"a\" has the number of another piece"},
        {{.added = "{\"id\":7,\"content\":\"\"}"}, "added_tokens: \"\" has no text"},
        {{.added = "7"}, "added_tokens: \"\" has an impossible number"},
        {{.added = "{\"id\":7,\"content\":\"<x>\",\"special\":true}"},
         "none of them is the end of a text"},
        {{.merges = "\"a b\",\"a b\""}, "model.merges[1]: merge 1, of \"a\" and \"b\", is there"},
        {{.merges = "\"a q\""}, "has a part that is no piece"},
        {{.merges = "\"b a\""}, "makes no piece"},
        {{.merges = "\"ab\""}, "model.merges[0]: it is not two pieces"},
        {{.merges = "\"a b c\""}, "model.merges[0]: it is not two pieces"},
        {{.merges = "[\"a\"]"}, "model.merges[0]: it is not two pieces"},
        {{.merges = "[\"a\",\"\"]"}, "model.merges[0]: it is not two pieces"},
        {{.merges = "7"}, "model.merges[0]: it is not two pieces"},
        {{.merges = "\"a \\u20ac\""}, "model.merges[0]: a part is no piece"},
        {{.post_processor = "{\"type\":\"TemplateProcessing\",\"single\":["
                            "{\"SpecialToken\":{\"id\":\"<s>\"}}]}"},
         "post_processor.single[0]: its token is not an added one"},
        {{.post_processor = "{\"type\":\"TemplateProcessing\",\"single\":["
                            "{\"SpecialToken\":{}}]}"},
         "post_processor.single[0]: it names no token"},
    };
    char json[JSON_BYTES];
    struct tp_tokenizer tokenizer;
    struct tp_error error = {0};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        tp_status status = parse(json, write_json(&cases[c].fields, json), &tokenizer, &error);
        ck_assert_msg(status == TP_ERROR_FORMAT, "case %zu: %s", c, error.text);
        ck_assert_msg(strstr(error.text, cases[c].part) != NULL, "case %zu: %s", c, error.text);
    }
    static const char *const others[] = {"{}", "{\"model\":7}", "{\"model\":{\"merges\":[]}}",
                                         "{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        ck_assert_int_ne(parse(others[i], strlen(others[i]), &tokenizer, &error), TP_OK);
        ck_assert_msg(strstr(error.text, "model") != NULL, "%s", error.text);
    }
    // Cut anywhere.
    size_t size = write_json(&(struct fields){0}, json);
    for (size_t cut = 2; cut < size; cut++) {
        ck_assert_int_eq(parse(json, cut, &tokenizer, &error), TP_ERROR_FORMAT);
        ck_assert_msg(strstr(error.text, "byte ") != NULL, "%s", error.text);
    }
}
END_TEST

START_TEST(json_survives_random_damage)
{
    struct tp_random random;
    char json[JSON_BYTES];
    struct tp_tokenizer tokenizer;
    struct tp_error error;
    tp_random_init(&random, tp_test_seed(_i), 0);
    for (int run = 0; run < FUZZ_RUNS; run++) {
        size_t size = write_json(&(struct fields){0}, json);
        for (uint32_t i = 1 + tp_random_below(&random, 3); i > 0; i--) {
            static const char bytes[] = "0123456789{}[],:\"\\aAb\xc4\xff\n";
            json[tp_random_below(&random, (uint32_t)size)] =
                bytes[tp_random_below(&random, sizeof bytes - 1)];
        }
        if (parse(json, size, &tokenizer, &error) == TP_OK) tp__tokenizer_free(&tokenizer);
    }
}
END_TEST

START_TEST(json_reports_each_failing_allocation)
{
    char json[JSON_BYTES];
    struct tp_tokenizer tokenizer;
    struct tp_error error;
    size_t size = write_json(&(struct fields){0}, json);
    tp_status status = TP_ERROR_NO_MEMORY;
    uint64_t n = 0;
    for (; status != TP_OK; n++) {
        ck_assert_uint_lt(n, 100);
        tp_test_allocation_fails(n);
        status = parse(json, size, &tokenizer, &error);
        (void)tp_test_allocations_work();
        ck_assert(status == TP_OK || status == TP_ERROR_NO_MEMORY);
    }
    ck_assert_uint_ge(n, 10);
    tp__tokenizer_free(&tokenizer);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("tokenizer_json");
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 600);
    tcase_add_test(files, json_gives_the_tokens_that_it_says);
    tcase_add_test(files, json_takes_start_and_end_from_the_file_beside);
    tcase_add_test(files, json_refuses_what_it_does_not_do_by_name);
    tcase_add_test(files, json_refuses_damage_with_its_place);
    tcase_add_loop_test(files, json_survives_random_damage, 0, 2);
    tcase_add_test(files, json_reports_each_failing_allocation);
    suite_add_tcase(suite, files);
    return suite;
}
