// SPDX-License-Identifier: Apache-2.0
//
// Claims about talks that sessions are fed turn by turn: for every template and every way in which
// tokenizers put spaces in front of texts, the history becomes the tokens of the whole talk fed at
// once, whether an answer was cut off, ended with the template's token or with another stop token;
// a talk goes on behind it like one fed whole, in forks, restored sessions and behind rewinds too;
// what does not fit changes nothing.
//
// That the whole talk has the tokens of the makers' programs: tests/system/test_chat_reference.py.
// Not covered, as it cannot be so (docs/tokenizers.md): mistral-v3 with a system text, and answers
// whose tokens are not those of their text.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_main.h"
#include "model_files.h"
#include "session.h"
#include "session_file.h"

enum { CONTEXT = 512, PATH_BYTES = 512, SPECIALS = 7, BYTES = 256, PIECES = 3 };
enum { UNKNOWN, BOS, EOS, IM_START, IM_END, EOT, HEADER };

static const char *const specials[SPECIALS] = {
    "<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>"};

static tp_context *context;
static tp_model *model;
static tp_device *device;
static struct tp_error error;

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

// ---- tokenizers ----

static void put(struct tp_test_bytes *file, const char *text)
{
    tp_test_put(file, text, strlen(text));
}

static void put_piece(struct tp_test_bytes *file, const char *text, uint32_t id)
{
    char item[64];
    (void)snprintf(item, sizeof item, "%s\"%s\":%u", id > SPECIALS ? "," : "", text, (unsigned)id);
    put(file, item);
}

// The letter that stands for a byte in byte pairs, as JSON.
static void put_byte_letter(struct tp_test_bytes *file, uint32_t byte)
{
    bool is_own = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    uint32_t others = 0;
    char letter[16];
    for (uint32_t b = 0; b < byte; b++) {
        others += (b >= 33 && b <= 126) || (b >= 161 && b != 173) ? 0 : 1;
    }
    (void)snprintf(letter, sizeof letter, "\\u%04x", (unsigned)(is_own ? byte : 256 + others));
    put_piece(file, letter, SPECIALS + byte);
}

static void put_specials(struct tp_test_bytes *file)
{
    put(file, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
              "{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}]},\"added_tokens\":[");
    for (uint32_t i = 0; i < SPECIALS; i++) {
        char item[96];
        (void)snprintf(item, sizeof item, "%s{\"id\":%u,\"content\":\"%s\",\"special\":true}",
                       i == 0 ? "" : ",", (unsigned)i, specials[i]);
        put(file, item);
    }
    put(file, "]}");
}

static void write_byte_pairs(struct tp_test_bytes *file)
{
    put(file, "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"model\":"
              "{\"type\":\"BPE\",\"vocab\":{");
    for (uint32_t i = 0; i < BYTES; i++) {
        put_byte_letter(file, i);
    }
    put(file, "},\"merges\":[]},");
    put_specials(file);
}

// A line end with what follows is one piece, and so is a space with a bracket.
static void write_character_pairs(struct tp_test_bytes *file, const char *spaces)
{
    put(file, "{");
    put(file, spaces);
    put(file, ",\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"fuse_unk\":true,"
              "\"unk_token\":\"<unk>\",\"vocab\":{");
    for (uint32_t i = 0; i < BYTES; i++) {
        char piece[16];
        (void)snprintf(piece, sizeof piece, "<0x%02X>", (unsigned)i);
        put_piece(file, piece, SPECIALS + i);
    }
    static const char *const more[] = {"\\u2581", "\\n", "<", "[", "\\n<", "\\u2581["};
    for (uint32_t i = 0; i < sizeof more / sizeof *more; i++) {
        put_piece(file, more[i], SPECIALS + BYTES + i);
    }
    for (uint32_t i = 0; i < SPECIALS; i++) {
        char item[48];
        (void)snprintf(item, sizeof item, ",\"%s\":%u", specials[i], (unsigned)i);
        put(file, item);
    }
    put(file, "},\"merges\":[[\"\\n\",\"<\"],[\"\\u2581\",\"[\"]]},");
    put_specials(file);
}

static const struct {
    const char *name;
    const char *spaces;  // NULL: byte pairs
    uint32_t vocab;
} kinds[] = {
    {"byte pairs", NULL, SPECIALS + BYTES},
    {"a space in front of each part",
     "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":"
     "\"\\u2581\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]}",
     SPECIALS + BYTES + 6},
    {"a space in front of each part that has none",
     "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":"
     "\"always\",\"split\":false}",
     SPECIALS + BYTES + 6},
    {"a space in front of all",
     "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":"
     "\"first\",\"split\":false}",
     SPECIALS + BYTES + 6},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void open_kind(int kind)
{
    const struct tp_test_model made = {32, 64, 1, 4, 2, kinds[kind].vocab, CONTEXT, false, 7};
    struct tp_test_bytes file = {NULL, 0, 0};
    struct tp_test_bytes tokenizer = {NULL, 0, 0};
    char path[PATH_BYTES];
    char tokenizer_path[PATH_BYTES];
    tp_test_write_llama2c(&made, 0, &file);
    tp_test_write_file(&file, path, sizeof path);
    if (kinds[kind].spaces == NULL) {
        write_byte_pairs(&tokenizer);
    } else {
        write_character_pairs(&tokenizer, kinds[kind].spaces);
    }
    tp_test_write_file(&tokenizer, tokenizer_path, sizeof tokenizer_path);
    const struct tp_model_options options = {.path = path, .tokenizer_path = tokenizer_path};
    const struct tp_load_options load = {.format = TP_FORMAT_Q8, .context = CONTEXT};
    OK(tp_context_create(NULL, &context, &error));
    OK(tp_model_open(context, &options, &model, &error));
    OK(tp_device_open(context, "emu", &device, &error));
    OK(tp_device_load(device, model, &load, &error));
    (void)unlink(path);
    (void)unlink(tokenizer_path);
    tp_test_bytes_free(&file);
    tp_test_bytes_free(&tokenizer);
}

static void close_all(void)
{
    tp_device_close(device);
    tp_model_close(model);
    tp_context_destroy(context);
}

// ---- talks ----

static const struct {
    const char *name;
    uint32_t end;          // token that ends an answer; UNKNOWN: none
    uint32_t text_before;  // tokens of the template between the answer and it
    bool has_system;       // and may have a system text
} forms[] = {
    {"plain", UNKNOWN, 0, true},  {"chatml", IM_END, 0, true},   {"llama2", EOS, 1, true},
    {"llama3", EOT, 0, true},     {"llama3.1", EOT, 0, true},    {"mistral", EOS, 0, true},
    {"mistral-v2", EOS, 0, true}, {"mistral-v3", EOS, 0, false}, {"zephyr", EOS, 0, true},
};
enum { FORMS = sizeof forms / sizeof *forms };

static const struct tp_chat_message talk[] = {{"system", "Be s<s>."},   {"user", "One [a]"},
                                              {"assistant", "b [c] d"}, {"user", " two\n"},
                                              {"assistant", "e"},       {"user", "f<g"}};
enum { MESSAGES = sizeof talk / sizeof *talk };

static tp_session *open_session(void)
{
    // Of these only one is the tokenizer's own end of a turn.
    const struct tp_session_options options = {.stop_tokens = {EOT}, .stop_token_count = 1};
    tp_session *session = NULL;
    OK(tp_session_create(device, &options, &session, &error));
    return session;
}

static tp_session *open_whole(const char *name, uint32_t first, uint32_t end, bool answer)
{
    tp_session *session = open_session();
    OK(tp_session_feed_chat(session, name, talk + first, end - first, answer, &error));
    return session;
}

static void check_begins(const tp_session *whole, const tp_session *part, const char *what,
                         const char *name)
{
    ck_assert_msg(part->length <= whole->length &&
                      memcmp(whole->history, part->history, part->length * sizeof *part->history) ==
                          0,
                  "%s, %s: not the beginning of the whole talk", what, name);
}

// How an answer ends before the next turn is fed.
enum ending { CUT_OFF, TEMPLATES_OWN, OTHER_STOP, ENDINGS };

// The tokens of the answer that the session of the talk up to its end has behind the other one.
static void feed_answer(tp_session *session, const tp_session *closed, int form, enum ending ending)
{
    const uint32_t stop = ending == OTHER_STOP ? BOS : forms[form].end;
    uint32_t end = session->length;
    while (end < closed->length &&
           (forms[form].end == UNKNOWN || closed->history[end] != forms[form].end)) {
        end++;
    }
    ck_assert(forms[form].end == UNKNOWN || end < closed->length);
    end -= forms[form].text_before;
    ck_assert_uint_gt(end, session->length);
    OK(tp_session_feed(session, closed->history + session->length, end - session->length, &error));
    if (ending != CUT_OFF && stop != UNKNOWN) {
        OK(tp_session_feed(session, &stop, 1, &error));
    }
}

static void check_talk(int kind, int form, uint32_t first, enum ending ending)
{
    const char *name = forms[form].name;
    tp_session *whole = open_whole(name, first, MESSAGES, true);
    tp_session *session = open_whole(name, first, 2, true);
    check_begins(whole, session, kinds[kind].name, name);
    for (uint32_t m = 2; m < MESSAGES; m += 2) {
        tp_session *closed = open_whole(name, first, m + 1, false);
        feed_answer(session, closed, form, ending);
        OK(tp_session_feed_chat(session, name, talk + m + 1, 1, true, &error));
        check_begins(whole, session, kinds[kind].name, name);
        tp_session_destroy(closed);
    }
    ck_assert_uint_eq(session->length, whole->length);
    tp_session_destroy(whole);
    tp_session_destroy(session);
}

START_TEST(turn_by_turn_is_the_whole_talk)
{
    open_kind(_i);
    for (int form = 0; form < FORMS; form++) {
        for (uint32_t first = forms[form].has_system ? 0 : 1; first < 2; first++) {
            bool all = first != 0 && _i < 2;  // spaces and ends have little to do with each other
            for (int ending = all ? 0 : ENDINGS - 1; ending < ENDINGS; ending++) {
                check_talk(_i, form, first, (enum ending)ending);
            }
        }
    }
    close_all();
}
END_TEST

// ---- with answers that the model gives ----

static uint32_t answer(tp_session *session, uint32_t count, uint32_t *tokens, tp_end *end)
{
    struct tp_token token;
    uint32_t heard = 0;
    OK(tp_session_generate(session, count, &error));
    for (;;) {
        OK(tp_session_read(session, &token, -1, &error));
        if (token.end != TP_END_NONE) {
            *end = token.end;
            return heard;
        }
        tokens[heard++] = token.id;
    }
}

static void check_same(tp_session *a, tp_session *b)
{
    tp_end ends[2];
    uint32_t tokens[2][8];
    ck_assert_uint_eq(a->length, b->length);
    ck_assert_mem_eq(a->history, b->history, a->length * sizeof *a->history);
    uint32_t count = answer(a, 8, tokens[0], &ends[0]);
    ck_assert_uint_eq(answer(b, 8, tokens[1], &ends[1]), count);
    ck_assert_mem_eq(tokens[0], tokens[1], count * sizeof *tokens[0]);
}

// A session that was fed another one's tokens and nothing else.
static tp_session *open_copy(const tp_session *session, uint32_t length)
{
    tp_session *copy = NULL;
    OK(tp_session_create(device, &session->options, &copy, &error));
    OK(tp_session_feed(copy, session->history, length, &error));
    return copy;
}

START_TEST(a_stop_token_gives_way_to_the_end_of_the_template)
{
    uint32_t tokens[8];
    tp_end end;
    open_kind(0);
    tp_session *probe = open_whole("llama3", 1, 2, true);
    ck_assert_uint_eq(answer(probe, 3, tokens, &end), 3);
    // What comes third ends the answer now.
    const struct tp_session_options options = {.stop_tokens = {tokens[2]}, .stop_token_count = 1};
    tp_session *session = NULL;
    OK(tp_session_create(device, &options, &session, &error));
    OK(tp_session_feed_chat(session, "llama3", talk + 1, 1, true, &error));
    uint32_t length = session->length;
    uint32_t heard = answer(session, 8, tokens, &end);
    ck_assert_int_eq(end, TP_END_STOP);
    uint32_t processed = session->heard;
    OK(tp_session_feed_chat(session, "llama3", talk + 3, 1, true, &error));
    ck_assert_uint_eq(session->history[length + heard - 1], EOT);
    // The stop token was in no step yet, so nothing is computed again.
    ck_assert_uint_eq(session->heard, processed);
    ck_assert_uint_eq(session->processed, processed);
    tp_session *copy = open_copy(session, session->length);
    check_same(session, copy);
    // Also where it was: after a run that only fed it.
    tp_session *fed = open_whole("llama3", 1, 2, true);
    const uint32_t said[] = {SPECIALS + 'x', EOS};
    OK(tp_session_feed(fed, said, 2, &error));
    ck_assert_uint_eq(answer(fed, 0, tokens, &end), 0);
    ck_assert_uint_eq(fed->heard, fed->length);
    OK(tp_session_feed_chat(fed, "llama3", talk + 3, 1, true, &error));
    ck_assert_uint_eq(fed->history[length + 1], EOT);
    tp_session *again = open_copy(fed, fed->length);
    check_same(fed, again);
    tp_session_destroy(probe);
    tp_session_destroy(session);
    tp_session_destroy(copy);
    tp_session_destroy(fed);
    tp_session_destroy(again);
    close_all();
}
END_TEST

START_TEST(an_open_answer_is_kept_where_the_session_is)
{
    char path[PATH_BYTES];
    uint8_t byte = 0;
    const struct tp_test_bytes any = {&byte, 1, 1};
    tp_session *fork = NULL;
    tp_session *restored = NULL;
    const uint32_t said = SPECIALS + 'x';
    open_kind(1);
    tp_test_write_file(&any, path, sizeof path);
    tp_session *session = open_whole("zephyr", 1, 2, true);
    uint32_t begin = session->length;
    OK(tp_session_feed(session, &said, 1, &error));
    OK(tp_session_save(session, path, &error));
    OK(tp_session_restore(device, path, NULL, &restored, &error));
    // One that begins behind all tokens is none.
    uint32_t tokens[] = {said};
    const struct tp_session_file damaged = {.answer_at = 2, .token_count = 1, .tokens = tokens};
    OK(tp__session_file_write(&damaged, path, &error));
    ck_assert_int_eq(tp_session_restore(device, path, NULL, &fork, &error), TP_ERROR_FORMAT);
    ck_assert_ptr_nonnull(strstr(error.text, "an answer begins at token 2"));
    (void)unlink(path);
    OK(tp_session_fork(session, NULL, &fork, &error));
    OK(tp_session_feed_chat(session, "zephyr", talk + 3, 1, true, &error));
    ck_assert_uint_eq(session->history[begin + 1], EOS);
    OK(tp_session_feed_chat(fork, "zephyr", talk + 3, 1, true, &error));
    OK(tp_session_feed_chat(restored, "zephyr", talk + 3, 1, true, &error));
    check_same(session, fork);
    OK(tp_session_rewind(session, restored->length, &error));
    check_same(session, restored);
    // No messages only end the answer; a second time there is none.
    OK(tp_session_rewind(fork, begin + 1, &error));
    ck_assert_uint_eq(fork->answer_at, 0);
    OK(tp_session_feed_chat(fork, "zephyr", NULL, 0, true, &error));
    OK(tp_session_feed(fork, &said, 1, &error));
    uint32_t length = fork->length;
    OK(tp_session_feed_chat(fork, "zephyr", NULL, 0, false, &error));
    ck_assert_uint_eq(fork->history[length], EOS);
    uint32_t closed = fork->length;
    ck_assert_uint_gt(closed, length);
    OK(tp_session_feed_chat(fork, "zephyr", NULL, 0, false, &error));
    ck_assert_uint_eq(fork->length, closed);
    tp_session_destroy(session);
    tp_session_destroy(fork);
    tp_session_destroy(restored);
    close_all();
}
END_TEST

START_TEST(what_does_not_fit_changes_nothing)
{
    static char text[4 * CONTEXT];
    const struct tp_chat_message large = {"user", text};
    const struct tp_chat_message wrong = {"user", "\xff"};
    const uint32_t said[] = {SPECIALS + 'x', EOS};
    open_kind(1);
    memset(text, 'a', sizeof text - 1);
    tp_session *session = open_whole("chatml", 1, 2, true);
    OK(tp_session_feed(session, said, 2, &error));
    tp_session *copy = NULL;
    OK(tp_session_fork(session, NULL, &copy, &error));
    ck_assert_int_eq(tp_session_feed_chat(session, "chatml", &large, 1, true, &error),
                     TP_ERROR_FULL);
    text[CONTEXT] = 0;  // encoded, and then too long
    ck_assert_int_eq(tp_session_feed_chat(session, "chatml", &large, 1, true, &error),
                     TP_ERROR_FULL);
    ck_assert_int_eq(tp_session_feed_chat(session, "chatml", &wrong, 1, true, &error),
                     TP_ERROR_FORMAT);
    ck_assert_uint_eq(session->history[session->length - 1], EOS);
    OK(tp_session_feed_chat(session, "chatml", talk + 3, 1, true, &error));
    OK(tp_session_feed_chat(copy, "chatml", talk + 3, 1, true, &error));
    check_same(session, copy);
    tp_session_destroy(session);
    tp_session_destroy(copy);
    close_all();
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("feed");
    TCase *tc = tcase_create("feed");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, turn_by_turn_is_the_whole_talk, 0, KINDS);
    tcase_add_test(tc, a_stop_token_gives_way_to_the_end_of_the_template);
    tcase_add_test(tc, an_open_answer_is_kept_where_the_session_is);
    tcase_add_test(tc, what_does_not_fit_changes_nothing);
    suite_add_tcase(suite, tc);
    return suite;
}
