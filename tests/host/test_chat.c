// SPDX-License-Identifier: Apache-2.0
//
// Claims about chat templates: each form is recognised by its marks and writes the text that its
// makers' program writes; the ranges that are the template's own hold nothing of a message; a text
// behind another one has no start token, and behind an answer begins with that one's end; texts
// that do not fit, unknown names, unknown templates and roles out of turn are refused with the
// names of what there is.
//
// The programs themselves are run beside in tests/system/test_chat_reference.py.

#include "chat.h"
#include "check_main.h"
#include "encode.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1024, RANGES = 32 };

/* A small tokenizer.json: letters are not needed to write texts. */
static const char json[] =
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]},"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":"
    "\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}]},"
    "\"added_tokens\":[{\"id\":1,\"content\":\"<s>\",\"special\":true},"
    "{\"id\":2,\"content\":\"</s>\",\"special\":true}]}";

static struct tp_tokenizer tokenizer;

static void open_tokenizer(void)
{
    struct tp_error error = {0};
    tp_status status =
        tp__tokenizer_parse(json, sizeof json - 1, "tokenizer.json", &tokenizer, &error);
    ck_assert_msg(status == TP_OK, "%s", error.text);
    ck_assert(tokenizer.add_bos);
}

static void close_tokenizer(void)
{
    tp__tokenizer_free(&tokenizer);
}

static void set_template(const char *text)
{
    struct tp_error error;
    free(tokenizer.chat_system);
    tokenizer.chat_system = NULL;
    struct tp_string template = {text, strlen(text)};
    ck_assert_int_eq(tp__tokenizer_set_chat(&tokenizer, template, &error), TP_OK);
}

/* ---- writing ---- */

static const struct tp_chat_message talk[] = {
    {"system", "S"}, {"user", " U<s>\n"}, {"assistant", "A "}, {"user", "V"}};

static char text[TEXT_MAX];
static struct tp_range ranges[RANGES];

static tp_status write(const char *name, const struct tp_chat_message *messages, size_t count,
                       enum tp_chat_place place, struct tp_chat_text *out, struct tp_error *error)
{
    *out = (struct tp_chat_text){
        .text = text, .max = TEXT_MAX - 1, .ranges = ranges, .range_max = RANGES};
    tp_status status = tp__chat_write(&tokenizer, name, messages, count, true, place, out, error);
    text[out->size] = '\0';
    return status;
}

START_TEST(chat_forms_are_written_by_name)
{
    static const struct {
        const char *name;
        const char *text;
        const char *continued;
    } cases[] = {
        {"plain", "S\n U<s>\n\nA \nV\n", NULL},
        {"chatml",
         "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n U<s>\n<|im_end|>\n"
         "<|im_start|>assistant\nA <|im_end|>\n<|im_start|>user\nV<|im_end|>\n"
         "<|im_start|>assistant\n",
         NULL},
        {"llama2", "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\n U<s> [/INST] A </s><s>[INST] V [/INST]",
         "<s>[INST] V [/INST]"},
        {"llama3",
         "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
         "<|start_header_id|>user<|end_header_id|>\n\nU<s><|eot_id|>"
         "<|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|>"
         "<|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>"
         "<|start_header_id|>assistant<|end_header_id|>\n\n",
         "<|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>"
         "<|start_header_id|>assistant<|end_header_id|>\n\n"},
        {"mistral", "<s>[INST] S\n\n U<s>\n [/INST]A </s>[INST] V [/INST]", "[INST] V [/INST]"},
        {"mistral-v2", "<s> [INST] S\n\n U<s>\n [/INST] A </s> [INST] V [/INST]", NULL},
        {"mistral-v3", "<s>[INST]  U<s>\n[/INST] A </s>[INST] S\n\nV[/INST]", "[INST] V[/INST]"},
        {"zephyr",
         "<|system|>\nS</s>\n<|user|>\n U<s>\n</s>\n<|assistant|>\nA </s>\n<|user|>\nV</s>\n"
         "<|assistant|>\n",
         NULL},
    };
    struct tp_chat_text out;
    struct tp_error error;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        ck_assert_int_eq(write(cases[c].name, talk, 4, TP_CHAT_AT_START, &out, &error), TP_OK);
        ck_assert_str_eq(text, cases[c].text);
        // What a message says is in no range, whatever it looks like.
        size_t covered = 0;
        for (size_t r = 0; r < out.range_count; r++) {
            ck_assert(ranges[r].start < ranges[r].end && ranges[r].end <= out.size);
            ck_assert(r == 0 || ranges[r - 1].end < ranges[r].start);
            covered += ranges[r].end - ranges[r].start;
            const char *said = strstr(text, "U<s>");
            size_t place = (size_t)(said - text);
            ck_assert(ranges[r].end <= place || ranges[r].start >= place + 4);
        }
        ck_assert_uint_le(out.size - covered, 10);
        ck_assert_uint_ge(out.size - covered, 7);
        if (cases[c].continued == NULL) continue;
        ck_assert_int_eq(write(cases[c].name, talk + 3, 1, TP_CHAT_BEHIND_MESSAGES, &out, &error),
                         TP_OK);
        ck_assert_str_eq(text, cases[c].continued);
    }
}
END_TEST

START_TEST(chat_forms_are_recognised_by_marks)
{
    static const struct {
        const char *template;
        const char *name;
        const char *system;
    } cases[] = {
        {"", NULL, NULL},
        {"{{ messages[0]['content'] }}", NULL, NULL},
        {"<|user|> eos_token <|end|>", NULL, NULL},
        {"[INST]", NULL, NULL},
        {"'<|im_start|>' + role", "chatml", NULL},
        {"'<|im_start|>system\\n' + x + '<|im_end|>'", "chatml", NULL},
        {"'<|im_start|>system\\nBe kind.<|im_end|>'", "chatml", "Be kind."},
        {"'<|im_start|>system\nBe kind.<|im_end|>'", "chatml", "Be kind."},
        {"'<|im_start|>system\\n' + x '<|im_start|>system\\nHi<|im_end|>'", "chatml", "Hi"},
        {"'<|im_start|>system\\nTwo\\nlines<|im_end|>'", NULL, NULL},
        {"'<|im_start|>system\\nBe\xff<|im_end|>'", NULL, NULL},
        {"<|im_start|>system", "chatml", NULL},
        {"<|start_header_id|>", "llama3", NULL},
        {"<|start_header_id|> Cutting Knowledge Date", "llama3.1", NULL},
        {"<<SYS>> [INST]", "llama2", NULL},
        {"' [INST] '", "mistral-v2", NULL},
        {"'[INST] ' ' [/INST]'", "mistral", NULL},
        {"\"[INST] \" \"[/INST]\"", "mistral-v3", NULL},
        {"<|user|> eos_token", "zephyr", NULL},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        set_template(cases[c].template);
        const char *name = tp__chat_name((enum tp_chat)tokenizer.chat);
        ck_assert_msg((name == NULL) == (cases[c].name == NULL), "case %zu", c);
        if (name != NULL) ck_assert_str_eq(name, cases[c].name);
        ck_assert((tokenizer.chat_system == NULL) == (cases[c].system == NULL));
        if (cases[c].system != NULL) ck_assert_str_eq(tokenizer.chat_system, cases[c].system);
    }
}
END_TEST

START_TEST(chat_adds_the_system_text_of_the_file)
{
    struct tp_chat_text out;
    struct tp_error error;
    set_template("bos_token '<|im_start|>system\\nBe kind.<|im_end|>'");
    ck_assert_int_eq(write(NULL, talk + 3, 1, TP_CHAT_AT_START, &out, &error), TP_OK);
    ck_assert_str_eq(text, "<s><|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nV"
                           "<|im_end|>\n<|im_start|>assistant\n");
    ck_assert_int_eq(write(NULL, talk, 2, TP_CHAT_AT_START, &out, &error), TP_OK);
    ck_assert_ptr_null(strstr(text, "kind"));
    ck_assert_int_eq(write(NULL, talk + 3, 1, TP_CHAT_BEHIND_MESSAGES, &out, &error), TP_OK);
    ck_assert_ptr_null(strstr(text, "kind"));
    ck_assert_ptr_null(strstr(text, "<s>"));
}
END_TEST

START_TEST(chat_refuses_what_it_cannot_write)
{
    struct tp_chat_text out;
    struct tp_error error;
    set_template("");
    ck_assert_int_eq(write(NULL, talk, 4, TP_CHAT_AT_START, &out, &error), TP_ERROR_NOT_FOUND);
    ck_assert_ptr_nonnull(strstr(error.text, "plain, chatml"));
    set_template("something else");
    ck_assert_int_eq(write(NULL, talk, 4, TP_CHAT_AT_START, &out, &error), TP_ERROR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.text, "plain, chatml"));
    ck_assert_int_eq(write("vicuna", talk, 4, TP_CHAT_AT_START, &out, &error),
                     TP_ERROR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(error.text, "\"vicuna\"; there are plain"));
    ck_assert_int_eq(write("llama2", talk + 2, 1, TP_CHAT_AT_START, &out, &error),
                     TP_ERROR_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "message 0 is the assistant's"));
    const struct tp_chat_message odd[] = {{"tool", "x"}, {"user", NULL}, {"user", "a\xff"}};
    ck_assert_int_eq(write("chatml", odd, 1, TP_CHAT_AT_START, &out, &error), TP_ERROR_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "\"tool\""));
    ck_assert_int_eq(write("chatml", odd + 1, 1, TP_CHAT_AT_START, &out, &error), TP_ERROR_INVALID);
    ck_assert_int_eq(write("chatml", odd + 2, 1, TP_CHAT_AT_START, &out, &error), TP_ERROR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.text, "message 0 is not valid UTF-8: byte 1"));
    ck_assert_int_eq(
        write("chatml", talk, TP_CHAT_MESSAGES_MAX + 1, TP_CHAT_AT_START, &out, &error),
        TP_ERROR_TOO_LARGE);
    // Too small a text: the size is told all the same.
    ck_assert_int_eq(write("chatml", talk, 4, TP_CHAT_AT_START, &out, &error), TP_OK);
    size_t size = out.size;
    for (size_t max = 0; max < size; max++) {
        memset(text, '#', sizeof text);
        struct tp_chat_text small = {.text = text, .max = max};
        ck_assert_int_eq(
            tp__chat_write(&tokenizer, "chatml", talk, 4, true, TP_CHAT_AT_START, &small, &error),
            TP_ERROR_FULL);
        ck_assert_uint_eq(small.size, size);
        ck_assert(text[max] == '#');
    }
}
END_TEST

START_TEST(chat_goes_on_behind_an_answer_as_the_whole_talk_does)
{
    static const struct {
        const char *name;
        const char *text;
    } cases[] = {
        {"plain", "\nV\n"},
        {"chatml", "<|im_end|>\n<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n"},
        {"llama2", " </s><s>[INST] V [/INST]"},
        {"llama3", "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>"
                   "<|start_header_id|>assistant<|end_header_id|>\n\n"},
        {"llama3.1", "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|>"
                     "<|start_header_id|>assistant<|end_header_id|>\n\n"},
        {"mistral", "</s>[INST] V [/INST]"},
        {"mistral-v2", "</s> [INST] V [/INST]"},
        {"mistral-v3", "</s>[INST] V[/INST]"},
        {"zephyr", "</s>\n<|user|>\nV</s>\n<|assistant|>\n"},
    };
    struct tp_chat_text out;
    struct tp_error error;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        ck_assert_int_eq(write(cases[c].name, talk + 3, 1, TP_CHAT_BEHIND_ANSWER, &out, &error),
                         TP_OK);
        ck_assert_str_eq(text, cases[c].text);
        ck_assert_int_eq(write(cases[c].name, talk + 1, 3, TP_CHAT_AT_START, &out, &error), TP_OK);
        size_t size = strlen(cases[c].text);
        ck_assert_uint_gt(out.size, size);
        ck_assert_str_eq(text + out.size - size, cases[c].text);
    }
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("chat");
    TCase *forms = tcase_create("forms");
    tcase_add_checked_fixture(forms, open_tokenizer, close_tokenizer);
    tcase_add_test(forms, chat_forms_are_written_by_name);
    tcase_add_test(forms, chat_forms_are_recognised_by_marks);
    tcase_add_test(forms, chat_adds_the_system_text_of_the_file);
    tcase_add_test(forms, chat_refuses_what_it_cannot_write);
    tcase_add_test(forms, chat_goes_on_behind_an_answer_as_the_whole_talk_does);
    suite_add_tcase(suite, forms);
    return suite;
}
