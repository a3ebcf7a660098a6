// SPDX-License-Identifier: Apache-2.0
//
// What sessions are fed: tokens, texts, turns of a talk.
//
// A talk that is fed turn by turn becomes the tokens of the whole of it, written by its template
// and encoded at once. So the session notes where an answer begins, the next turn begins with the
// template's end of it, and what a tokenizer puts in front of a text is not put behind another one.

#include <string.h>

#include "schedule.h"

// Tokens that still fit behind so many. The history may be one longer than the context: its last
// token was sampled at the last position.
static uint32_t room_behind(const tp_session *session, uint32_t length)
{
    return length < session->context ? session->context - length : 0;
}

static uint32_t room_of(const tp_session *session)
{
    return room_behind(session, session->length);
}

tp_status tp_session_feed(tp_session *session, const uint32_t *tokens, size_t count,
                          struct tp_error *error)
{
    if (session == NULL || (tokens == NULL && count != 0)) {
        return tp__fail(error, TP_ERROR_INVALID, "tp_session_feed: an argument is NULL");
    }
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] >= session->vocab) {
            return tp__fail(error, TP_ERROR_RANGE, "token %u is not of the vocabulary (%u)",
                            (unsigned)tokens[i], (unsigned)session->vocab);
        }
    }
    tp_status status = tp__session_check_rest(session, error);
    if (status != TP_OK) {
        return status;
    }
    if (count > room_of(session)) {
        return tp__fail(error, TP_ERROR_FULL,
                        "the context has room for %u more tokens, %zu were given - try: a larger "
                        "context, or a shorter prompt",
                        (unsigned)room_of(session), count);
    }
    for (size_t i = 0; i < count; i++) {
        session->history[session->length++] = tokens[i];
    }
    session->prompt_tokens += count;
    return TP_OK;
}

static tp_status check_text(const tp_session *session, const char *call, bool has_arguments,
                            struct tp_error *error)
{
    if (session == NULL || !has_arguments) {
        return tp__fail(error, TP_ERROR_INVALID, "%s: an argument is NULL", call);
    }
    if (session->model->tokenizer == NULL) {
        return tp__fail(error, TP_ERROR_UNSUPPORTED, "the model has no tokenizer: feed tokens");
    }
    return tp__session_check_rest(session, error);
}

// Takes what was encoded behind the first tokens of the history, or says why not.
static tp_status take_text(tp_session *session, uint32_t length, tp_status status, uint32_t count,
                           struct tp_error *error)
{
    uint32_t room = room_behind(session, length);
    if (status == TP_ERROR_FULL) {
        return tp__fail(error, TP_ERROR_FULL,
                        "the text is %s%u tokens long, the context has room for %u - try: a "
                        "shorter prompt or a larger context",
                        count == TP_TOKEN_NONE ? "more than " : "",
                        (unsigned)(count == TP_TOKEN_NONE ? room : count), (unsigned)room);
    }
    if (status == TP_OK) {
        session->length = length + count;
        session->prompt_tokens += count;
    }
    return status;
}

tp_status tp_session_feed_text(tp_session *session, const char *text, struct tp_error *error)
{
    tp_status status = check_text(session, "tp_session_feed_text", text != NULL, error);
    if (status != TP_OK) {
        return status;
    }
    const struct tp_tokenizer *tokenizer = session->model->tokenizer;
    bool start = session->length == 0;
    uint32_t count = 0;
    status = tp__encode(&session->encoder, text, strlen(text), start && tokenizer->add_bos,
                        start && tokenizer->add_space, session->history + session->length,
                        room_of(session), &count, error);
    return take_text(session, session->length, status, count, error);
}

// Whether the template wrote the start token itself.
static bool has_start(const tp_session *session)
{
    const struct tp_tokenizer *tokenizer = session->model->tokenizer;
    const struct tp_chat_text *chat = &session->chat;
    struct tp_string bos = tp__tokenizer_piece(tokenizer, tokenizer->bos);
    return chat->range_count > 0 && chat->ranges[0].start == 0 && chat->ranges[0].end >= bos.size &&
           memcmp(chat->text, bos.text, bos.size) == 0;
}

// Tokens of the history that a talk goes on behind: the template's end of an answer comes in place
// of the stop token that ended it.
static uint32_t length_of_talk(const tp_session *session)
{
    uint32_t length = session->length;
    bool is_stopped = session->answer_at != 0 && length > session->answer_at &&
                      tp__session_is_stop(session, session->history[length - 1]);
    return length - (is_stopped ? 1 : 0);
}

static enum tp_chat_place place_of_talk(const tp_session *session)
{
    if (session->length == 0) {
        return TP_CHAT_AT_START;
    }
    return session->answer_at != 0 ? TP_CHAT_BEHIND_ANSWER : TP_CHAT_BEHIND_MESSAGES;
}

// Encodes what the template wrote behind the first tokens of the history.
static tp_status encode_chat(tp_session *session, uint32_t length, uint32_t *count,
                             struct tp_error *error)
{
    const struct tp_tokenizer *tokenizer = session->model->tokenizer;
    const struct tp_chat_text *chat = &session->chat;
    uint32_t room = room_behind(session, length);
    uint32_t *tokens = session->history + length;
    bool goes_on = length != 0 && tp__text_goes_on(tokenizer, tokens[-1]);
#ifdef TP_PLANT_BUG
    goes_on = false;  // each turn is encoded as though nothing were before it
#endif
    uint32_t bos =
        session->length == 0 && tokenizer->add_bos && !has_start(session) && room > 0 ? 1 : 0;
    if (bos == 1) {
        tokens[0] = tokenizer->bos;
    }
    tp_status status =
        tp__encode_template(&session->encoder, chat->text, chat->size, chat->ranges,
                            chat->range_count, goes_on, tokens + bos, room - bos, count, error);
    *count += *count != TP_TOKEN_NONE ? bos : 0;
    return status;
}

tp_status tp_session_feed_chat(tp_session *session, const char *name,
                               const struct tp_chat_message *messages, size_t count, bool answer,
                               struct tp_error *error)
{
    tp_status status =
        check_text(session, "tp_session_feed_chat", messages != NULL || count == 0, error);
    if (status != TP_OK) {
        return status;
    }
    uint32_t length = length_of_talk(session);
    bool is_stopped = length < session->length;
    const uint32_t stop = is_stopped ? session->history[length] : 0;
    uint32_t token_count = TP_TOKEN_NONE;
    status = tp__chat_write(session->model->tokenizer, name, messages, count, answer,
                            place_of_talk(session), &session->chat, error);
    if (status == TP_OK) {
        status = encode_chat(session, length, &token_count, error);
    }
    if (is_stopped && status == TP_OK) {
        pthread_mutex_lock(&session->device->mutex);
        session->read = length;
        tp__schedule_cut(session, length);
        pthread_mutex_unlock(&session->device->mutex);
    } else if (is_stopped) {
        session->history[length] = stop;
    }
    status = take_text(session, length, status, token_count, error);
    if (status == TP_OK) {
        session->answer_at = answer ? session->length : 0;
    }
    return status;
}
