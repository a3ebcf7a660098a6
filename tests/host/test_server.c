// SPDX-License-Identifier: Apache-2.0
//
// Claims about devices behind a connection, with the emulator as the simulated device: tokens over
// TCP and over a serial port (a pseudo terminal) equal those of the device opened directly; a
// second program is sent away as long as there is a first; a device that ends in mid-run gives one
// clear error and no wrong token; a client that reads late loses no byte; a program that is cut off
// at any byte, or killed, leaves a device that serves the next one; a server without work sleeps;
// every address and port that cannot be opened gives its error.
//
// Not covered: the processes (tests/system/test_simulate.sh), rates of real ports.

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "address.h"
#include "check_main.h"
#include "frame.h"
#include "made_model.h"
#include "serial_ports.h"
#include "tokproc.h"

enum { VOCAB = 300, CONTEXT = 4000, TOKENS = 20, PATIENCE_MS = 20000 };

static tp_context *context;
static tp_model *model;
static struct tp_error error;

#define OK(call) ck_assert_msg((call) == TP_OK, "%s", error.text)

// ---- a story on a device ----

struct story {
    uint32_t tokens[CONTEXT];
    uint32_t count;
};

static const struct tp_session_options sampled = {
    .temperature = 1.0f, .seed = 5, .ignore_eos = true, .candidates = 3};

// What a program does with a device; ends at the first failure, with the tokens until then.
static tp_status tell(const char *name, uint32_t count, struct story *story)
{
    const struct tp_load_options load = {.sessions = 1};
    const uint32_t prompt[] = {1, 40, 50, 60};
    tp_device *device = NULL;
    tp_session *session = NULL;
    struct tp_token token = {.end = TP_END_NONE};
    story->count = 0;
    tp_status status = tp_device_open(context, name, &device, &error);
    if (status == TP_OK) {
        status = tp_device_load(device, model, &load, &error);
    }
    if (status == TP_OK) {
        status = tp_session_create(device, &sampled, &session, &error);
    }
    if (status == TP_OK) {
        status = tp_session_feed(session, prompt, 4, &error);
    }
    if (status == TP_OK) {
        status = tp_session_generate(session, count, &error);
    }
    while (status == TP_OK && token.end == TP_END_NONE) {
        status = tp_session_read(session, &token, PATIENCE_MS, &error);
        if (status == TP_OK && token.end == TP_END_NONE) {
            story->tokens[story->count++] = token.id;
        }
    }
    tp_session_destroy(session);
    tp_device_close(device);
    return status;
}

static struct story expected;
static struct story told;

// Once for all tests, which run in processes of their own.
static void setup(void)
{
    const struct tp_test_model made = {32, 64, 1, 2, 2, VOCAB, CONTEXT, false, 7};
    const struct tp_quantise_options quantise = {.format = TP_FORMAT_FP4, .plain = true};
    tp_model *exact = NULL;
    OK(tp_context_create(NULL, &context, &error));
    tp_test_open_made_model(context, &made, true, &exact);
    OK(tp_model_quantise(exact, &quantise, &model, &error));
    tp_model_close(exact);
    OK(tell("emu", TOKENS, &expected));
    ck_assert_uint_eq(expected.count, TOKENS);
}

static void teardown(void)
{
    tp_model_close(model);
    tp_context_destroy(context);
}

// The first tokens, or all of them, of the story.
static void check_tokens(const struct story *story)
{
    for (uint32_t i = 0; i < story->count && i < expected.count; i++) {
        ck_assert_uint_eq(story->tokens[i], expected.tokens[i]);
    }
}

static void check_story(const char *name)
{
    OK(tell(name, TOKENS, &told));
    ck_assert_uint_eq(told.count, TOKENS);
    check_tokens(&told);
}

// ---- servers and clients ----

struct served {
    tp_server *server;
    pthread_t thread;
    tp_status status;
};

static void *serve(void *user)
{
    struct served *served = user;
    struct tp_error own;
    served->status = tp_server_run(served->server, &own);
    return NULL;
}

// address NULL: a pseudo terminal.
static const char *begin(struct served *served, const char *address)
{
    OK(tp_server_open(context, "emu", address, &served->server, &error));
    ck_assert_int_eq(pthread_create(&served->thread, NULL, serve, served), 0);
    return tp_server_name(served->server);
}

static void end(struct served *served)
{
    tp_server_stop(served->server);
    ck_assert_int_eq(pthread_join(served->thread, NULL), 0);
    ck_assert_int_eq(served->status, TP_OK);
    tp_server_close(served->server);
}

static uint16_t port_of(const char *name)
{
    return (uint16_t)strtoul(strrchr(name, ':') + 1, NULL, 10);
}

static struct sockaddr_in local(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connect_raw(uint16_t port)
{
    const struct sockaddr_in address = local(port);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(client, 0);
    ck_assert_int_eq(connect(client, (const struct sockaddr *)&address, sizeof address), 0);
    return client;
}

static int listen_raw(int backlog, uint16_t *port)
{
    struct sockaddr_in address = local(0);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(listener, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(listener, backlog), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return listener;
}

// ---- stories ----

// A pseudo terminal, and addresses of both families; %d is a free port.
static const char *const places[] = {NULL, "127.0.0.1:0", "localhost:0", "[::1]:0"};

START_TEST(tokens_equal_those_of_the_device_opened_directly)
{
    struct served served;
    const char *place = places[_i];
    if (place != NULL && place[0] == '[') {
        struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
        int probe = socket(AF_INET6, SOCK_STREAM, 0);
        if (probe < 0 || bind(probe, (struct sockaddr *)&address, sizeof address) != 0) {
            tp_test_skip("this machine has no IPv6");
            return;
        }
        (void)close(probe);
    }
    const char *name = begin(&served, place);
    ck_assert_int_eq(strncmp(name, place == NULL ? "serial:/dev/" : "tcp:", 4), 0);
    check_story(name);
    end(&served);
}
END_TEST

START_TEST(a_device_without_a_clock_is_known_for_that)
{
    struct served served;
    struct tp_device_info info;
    tp_device *device = NULL;
    OK(tp_device_open(context, begin(&served, "127.0.0.1:0"), &device, &error));
    OK(tp_device_get_info(device, &info));
    ck_assert(!info.counts_cycles);
    tp_device_close(device);
    end(&served);
}
END_TEST

START_TEST(a_second_program_is_sent_away_and_the_first_goes_on)
{
    struct served served;
    tp_device *second = NULL;
    const char *name = begin(&served, _i == 0 ? "127.0.0.1:0" : NULL);
    int first = _i == 0 ? connect_raw(port_of(name)) : -1;
    uint8_t bytes[TP_FRAME_BYTES_MAX];
    if (_i == 0) {
        const struct tp_frame hello = {.type = TP_FRAME_HELLO, .sequence = 9};
        size_t size = tp__frame_encode(&hello, bytes);
        ck_assert_int_eq(send(first, bytes, size, 0), (ssize_t)size);
        ck_assert_int_eq(recv(first, bytes, 1, 0), 1);
        ck_assert_int_eq(tp_device_open(context, name, &second, &error), TP_ERROR_BUSY);
        ck_assert_ptr_nonnull(strstr(error.text, "busy with another program"));
        // The rest of the answer, and another one.
        ck_assert_int_eq(recv(first, bytes + 1, 48, MSG_WAITALL), 48);
        ck_assert_int_eq(bytes[2], 9);
        size = tp__frame_encode(&hello, bytes);
        ck_assert_int_eq(send(first, bytes, size, 0), (ssize_t)size);
        ck_assert_int_eq(recv(first, bytes, 49, MSG_WAITALL), 49);
        (void)close(first);
    } else {
        tp_device *device = NULL;
        OK(tp_device_open(context, name, &device, &error));
        ck_assert_int_eq(tp_device_open(context, name, &second, &error), TP_ERROR_BUSY);
        ck_assert_ptr_nonnull(strstr(error.text, "another program has it open"));
        tp_device_close(device);
    }
    check_story(name);
    end(&served);
}
END_TEST

START_TEST(a_device_that_ends_in_mid_run_gives_one_error)
{
    struct served served;
    const struct tp_load_options load = {.sessions = 1};
    const uint32_t prompt[] = {1, 40, 50, 60};
    tp_device *device = NULL;
    tp_session *session = NULL;
    struct tp_token token = {.end = TP_END_NONE};
    OK(tp_device_open(context, begin(&served, _i == 0 ? "127.0.0.1:0" : NULL), &device, &error));
    OK(tp_device_load(device, model, &load, &error));
    OK(tp_session_create(device, &sampled, &session, &error));
    OK(tp_session_feed(session, prompt, 4, &error));
    OK(tp_session_generate(session, CONTEXT - 4, &error));
    OK(tp_session_read(session, &token, PATIENCE_MS, &error));
    end(&served);
    told.count = 0;
    tp_status status = TP_OK;
    while (status == TP_OK) {
        ck_assert_int_eq(token.end, TP_END_NONE);
        told.tokens[told.count++] = token.id;
        status = tp_session_read(session, &token, PATIENCE_MS, &error);
    }
    ck_assert_int_eq(status, TP_ERROR_DEVICE);
    ck_assert_ptr_nonnull(strstr(error.text, _i == 0 ? "connection was closed" : "was unplugged"));
    check_tokens(&told);
    tp_session_destroy(session);
    tp_device_close(device);
}
END_TEST

// ---- bytes ----

START_TEST(a_client_that_reads_late_loses_no_byte)
{
    enum { FRAMES = 20000, REPLY_BYTES = TP_FRAME_OVERHEAD + 56 };
    struct served served;
    int client = connect_raw(port_of(begin(&served, "127.0.0.1:0")));
    struct tp_frame_decoder decoder = {.count = 0};
    struct tp_frame frame;
    static uint8_t bytes[FRAMES * TP_FRAME_OVERHEAD];
    size_t size = 0;
    for (uint32_t i = 0; i < FRAMES; i++) {
        frame = (struct tp_frame){.type = TP_FRAME_STATISTICS, .sequence = (uint8_t)i};
        size += tp__frame_encode(&frame, bytes + size);
    }
    // As much as goes in while nobody reads the answers, then both.
    size_t done = 0;
    uint32_t answers = 0;
    bool reads = false;
    while (answers < FRAMES) {
        struct pollfd state = {
            .fd = client, .events = (short)((done < size ? POLLOUT : 0) | (reads ? POLLIN : 0))};
        if (poll(&state, 1, reads ? PATIENCE_MS : 200) == 0) {
            ck_assert_msg(!reads, "answers are missing");
            reads = true;
        }
        if (state.revents & POLLOUT) {
            ssize_t sent = send(client, bytes + done, size - done, MSG_DONTWAIT);
            done += sent > 0 ? (size_t)sent : 0;
        }
        uint8_t answer[4096];
        ssize_t got = reads ? recv(client, answer, sizeof answer, MSG_DONTWAIT) : 0;
        for (ssize_t i = 0; i < got; i++) {
            if (tp__frame_decode(&decoder, answer[i], &frame)) {
                ck_assert_uint_eq(frame.type, TP_FRAME_STATISTICS_REPLY);
                ck_assert_uint_eq(frame.sequence, (uint8_t)answers);
                answers++;
            }
        }
        reads = reads || done == size;
    }
    ck_assert_uint_eq(decoder.bad, 0);
    (void)close(client);
    end(&served);
}
END_TEST

// A program that tells when it is in the middle of a run.
static void run_long(const char *name, int notice)
{
    const struct tp_load_options load = {.sessions = 1};
    const uint32_t prompt[] = {1, 40, 50, 60};
    tp_device *device = NULL;
    tp_session *session = NULL;
    struct tp_token token;
    OK(tp_device_open(context, name, &device, &error));
    OK(tp_device_load(device, model, &load, &error));
    OK(tp_session_create(device, &sampled, &session, &error));
    OK(tp_session_feed(session, prompt, 4, &error));
    OK(tp_session_generate(session, CONTEXT - 4, &error));
    OK(tp_session_read(session, &token, PATIENCE_MS, &error));
    ck_assert_int_eq(write(notice, "", 1), 1);
    (void)pause();
}

START_TEST(a_program_that_is_killed_leaves_a_device_for_the_next)
{
    struct served served;
    const char *name = begin(&served, _i == 0 ? "127.0.0.1:0" : NULL);
    for (uint32_t i = 0; i < 3; i++) {
        int notice[2];
        char byte;
        ck_assert_int_eq(pipe(notice), 0);
        pid_t program = fork();
        ck_assert_int_ge(program, 0);
        if (program == 0) {
            run_long(name, notice[1]);
        }
        ck_assert_int_eq(read(notice[0], &byte, 1), 1);
        ck_assert_int_eq(kill(program, SIGKILL), 0);
        ck_assert_int_eq(waitpid(program, NULL, 0), program);
        (void)close(notice[0]);
        (void)close(notice[1]);
        check_story(name);
    }
    end(&served);
}
END_TEST

// A line between a program and a device that is cut after some bytes.
struct line {
    int listener;
    uint16_t port;
    uint16_t target;
    size_t most[2];  // bytes of the program, of the device
    size_t moved[2];
};

static void *carry(void *user)
{
    struct line *line = user;
    int ends[2] = {accept(line->listener, NULL, NULL), connect_raw(line->target)};
    bool is_whole = true;
    ck_assert_int_ge(ends[0], 0);
    line->moved[0] = line->moved[1] = 0;
    while (is_whole && line->moved[0] < line->most[0] && line->moved[1] < line->most[1]) {
        struct pollfd states[2] = {{ends[0], POLLIN, 0}, {ends[1], POLLIN, 0}};
        ck_assert_int_gt(poll(states, 2, PATIENCE_MS), 0);
        for (uint32_t i = 0; i < 2 && is_whole; i++) {
            uint8_t bytes[4096];
            size_t room = line->most[i] - line->moved[i];
            if (states[i].revents != 0) {
                ssize_t got = recv(ends[i], bytes, room < sizeof bytes ? room : sizeof bytes, 0);
                is_whole = got > 0 && send(ends[1 - i], bytes, (size_t)got, MSG_NOSIGNAL) == got;
                line->moved[i] += got > 0 ? (size_t)got : 0;
            }
        }
    }
    (void)close(ends[0]);
    (void)close(ends[1]);
    return NULL;
}

static tp_status tell_over(struct line *line)
{
    char name[TP_DEVICE_NAME_BYTES];
    pthread_t thread;
    (void)snprintf(name, sizeof name, "tcp:127.0.0.1:%u", line->port);
    ck_assert_int_eq(pthread_create(&thread, NULL, carry, line), 0);
    tp_status status = tell(name, TOKENS, &told);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    return status;
}

START_TEST(a_program_that_is_cut_off_leaves_a_device_for_the_next)
{
    enum { CUTS = 16 };
    struct served served;
    const char *name = begin(&served, "127.0.0.1:0");
    struct line line = {.target = port_of(name), .most = {SIZE_MAX, SIZE_MAX}};
    line.listener = listen_raw(1, &line.port);
    OK(tell_over(&line));
    const size_t whole = line.moved[_i];
    ck_assert_uint_gt(whole, 1000);
    for (size_t cut = 0; cut < CUTS; cut++) {
        // Odd steps, so that a frame is cut at another place each time.
        line.most[_i] = cut * (whole / CUTS | 1);
        tp_status status = tell_over(&line);
        ck_assert_msg(status == TP_ERROR_DEVICE || status == TP_ERROR_BUSY, "%s", error.text);
        check_tokens(&told);
        check_story(name);
    }
    (void)close(line.listener);
    end(&served);
}
END_TEST

// A server that spins would use the processor for most of the time.
static void check_sleeps(pthread_t thread)
{
    clockid_t clock;
    struct timespec before;
    struct timespec after;
    ck_assert_int_eq(pthread_getcpuclockid(thread, &clock), 0);
    ck_assert_int_eq(clock_gettime(clock, &before), 0);
    (void)poll(NULL, 0, 300);
    ck_assert_int_eq(clock_gettime(clock, &after), 0);
    ck_assert_double_lt((double)(after.tv_sec - before.tv_sec) +
                            1e-9 * (double)(after.tv_nsec - before.tv_nsec),
                        0.03);
}

START_TEST(a_server_without_work_sleeps)
{
    struct served served;
    tp_device *device = NULL;
    OK(tp_device_open(context, begin(&served, _i == 0 ? "127.0.0.1:0" : NULL), &device, &error));
    check_sleeps(served.thread);
    tp_device_close(device);
    check_sleeps(served.thread);
    end(&served);
}
END_TEST

// ---- what cannot be opened ----

START_TEST(addresses_are_taken_apart)
{
    static const struct {
        const char *address;
        const char *host;
        const char *port;
    } cases[] = {
        {"127.0.0.1:7000", "127.0.0.1", "7000"},
        {"board.lan:0", "board.lan", "0"},
        {"[::1]:65535", "::1", "65535"},
        {"[fe80::1%eth0]:1", "fe80::1%eth0", "1"},
        {"", NULL, NULL},
        {"7000", NULL, NULL},
        {":7000", NULL, NULL},
        {"[]:7000", NULL, NULL},
        {"host:", NULL, NULL},
        {"host:65536", NULL, NULL},
        {"host:100000", NULL, NULL},
        {"host:-1", NULL, NULL},
        {"host: 1", NULL, NULL},
        {"host:1x", NULL, NULL},
        {"host:http", NULL, NULL},
        {"::1:7000", NULL, NULL},
        {"[::1]", NULL, NULL},
    };
    char host[TP_HOST_BYTES];
    char port[TP_PORT_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool is_sound = tp__address_split(cases[i].address, host, port);
        ck_assert_msg(is_sound == (cases[i].host != NULL), "%s", cases[i].address);
        if (is_sound) {
            ck_assert_str_eq(host, cases[i].host);
            ck_assert_str_eq(port, cases[i].port);
        }
    }
    char long_name[TP_HOST_BYTES + 8];
    memset(long_name, 'a', sizeof long_name);
    memcpy(long_name + TP_HOST_BYTES, ":1", 3);
    ck_assert(!tp__address_split(long_name, host, port));
    ck_assert(tp__address_split(long_name + 1, host, port));
}
END_TEST

static void refused(const char *name, tp_status status, const char *text)
{
    tp_device *device = NULL;
    error.text[0] = 0;
    tp_status got = tp_device_open(context, name, &device, &error);
    ck_assert_msg(got == status, "%s: %s: %s", name, tp_status_name(got), error.text);
    ck_assert_msg(strstr(error.text, text) != NULL, "%s: %s", name, error.text);
    ck_assert_ptr_null(device);
}

START_TEST(what_cannot_be_opened_gives_its_error)
{
    char name[TP_DEVICE_NAME_BYTES];
    uint16_t port;
    refused("tcp", TP_ERROR_INVALID, "HOST:PORT");
    refused("tcp:here", TP_ERROR_INVALID, "HOST:PORT");
    refused("tcp:a..b:1", TP_ERROR_NOT_FOUND, "cannot be found");
    (void)close(listen_raw(1, &port));
    (void)snprintf(name, sizeof name, "tcp:127.0.0.1:%u", port);
    refused(name, TP_ERROR_NOT_FOUND, "try: tokproc simulate --listen 127.0.0.1:");
    refused("serial", TP_ERROR_INVALID, "PATH@BAUD");
    refused("serial:/dev/null@", TP_ERROR_INVALID, "PATH@BAUD");
    refused("serial:/dev/null@0", TP_ERROR_INVALID, "PATH@BAUD");
    refused("serial:/dev/null@9600x", TP_ERROR_INVALID, "PATH@BAUD");
    refused("serial:/dev/null@123456789", TP_ERROR_INVALID, "PATH@BAUD");
    refused("serial:/dev/no-such-port", TP_ERROR_NOT_FOUND, "plugged in");
    refused("serial:/dev/null/port", TP_ERROR_NOT_FOUND, "plugged in");
    refused("serial:/dev/null", TP_ERROR_DEVICE, "no serial port");
    refused("serial:/tmp", TP_ERROR_DEVICE, "no serial port");
}
END_TEST

START_TEST(a_machine_that_does_not_answer_is_a_time_out)
{
    // Linux lets one connection more than the backlog wait, and answers no other.
    char name[TP_DEVICE_NAME_BYTES];
    uint16_t port;
    int listener = listen_raw(0, &port);
    int first = connect_raw(port);
    (void)snprintf(name, sizeof name, "tcp:127.0.0.1:%u", port);
    refused(name, TP_ERROR_TIMEOUT, "no answer in 5 s");
    (void)close(first);
    (void)close(listener);
}
END_TEST

START_TEST(a_port_of_others_gives_its_error)
{
    struct served served;
    const char *name = begin(&served, NULL);
    const char *path = name + strlen("serial:");
    int other = open(path, O_RDWR | O_NOCTTY);
    ck_assert_int_ge(other, 0);
    ck_assert_int_eq(flock(other, LOCK_EX), 0);
    refused(name, TP_ERROR_BUSY, "another program has it open");
    (void)close(other);
    // The administrator may open everything, nobody else this.
    bool is_administrator = geteuid() == 0;
    ck_assert_int_eq(chmod(path, 0), 0);
    ck_assert(!is_administrator || seteuid(65534) == 0);
    refused(name, TP_ERROR_DEVICE, "try: sudo usermod -a -G ");
    ck_assert(!is_administrator || seteuid(0) == 0);
    end(&served);
}
END_TEST

START_TEST(what_cannot_be_served_gives_its_error)
{
    struct served served;
    char address[TP_DEVICE_NAME_BYTES];
    tp_server *server = NULL;
    const char *name = begin(&served, "127.0.0.1:0");
    (void)snprintf(address, sizeof address, "%s", name + strlen("tcp:"));
    ck_assert_int_eq(tp_server_open(context, "emu", address, &server, &error), TP_ERROR_BUSY);
    ck_assert_ptr_nonnull(strstr(error.text, "another program listens there"));
    // An address of a network for examples, RFC 5737.
    ck_assert_int_eq(tp_server_open(context, "emu", "192.0.2.1:0", &server, &error), TP_ERROR_IO);
    ck_assert_int_eq(tp_server_open(context, "emu", "7000", &server, &error), TP_ERROR_INVALID);
    ck_assert_int_eq(tp_server_open(context, name, "127.0.0.1:0", &server, &error),
                     TP_ERROR_INVALID);
    ck_assert_ptr_nonnull(strstr(error.text, "not a simulated device"));
    ck_assert_int_eq(tp_server_open(context, "toaster", NULL, &server, &error), TP_ERROR_NOT_FOUND);
    ck_assert_int_eq(tp_server_open(context, "emu:toaster", NULL, &server, &error),
                     TP_ERROR_NOT_FOUND);
    ck_assert_int_eq(tp_server_open(NULL, "emu", NULL, &server, &error), TP_ERROR_INVALID);
    ck_assert_int_eq(tp_server_run(NULL, &error), TP_ERROR_INVALID);
    ck_assert_ptr_null(server);
    tp_server_close(NULL);
    end(&served);
}
END_TEST

// ---- the list of ports ----

static void put_text(const char *folder, const char *file, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_ge(fputs(text, out), 0);
    ck_assert_int_eq(fclose(out), 0);
}

// A port as the kernel shows it: the class has a link to the port, below its USB device.
static void put_port(const char *room, uint32_t number, const char *vendor, const char *product)
{
    char device[256];
    char port[384];
    char link[384];
    char command[2048];
    (void)snprintf(device, sizeof device, "%s/devices/1-%u", room, number);
    (void)snprintf(port, sizeof port, "%s/1-%u:1.0/ttyUSB%u/tty/ttyUSB%u", device, number, number,
                   number);
    (void)snprintf(link, sizeof link, "%s/class/ttyUSB%u", room, number);
    (void)snprintf(command, sizeof command,
                   "mkdir -p %s/class %s && ln -s ../../../ttyUSB%u %s/device && ln -s %s %s", room,
                   port, number, port, port, link);
    ck_assert_int_eq(system(command), 0);
    put_text(device, "idVendor", vendor);
    put_text(device, "idProduct", product);
}

START_TEST(ports_with_the_bridge_of_a_board_are_listed)
{
    char room[] = "/tmp/tokproc-test-XXXXXX";
    char folder[512];
    struct tp_serial_port ports[2];
    ck_assert_ptr_nonnull(mkdtemp(room));
    put_port(room, 3, "0403\n", "6015\n");
    put_port(room, 1, "0403\n", "6001\n");
    put_port(room, 2, "1a86\n", "6015\n");
    put_port(room, 0, "0403\n", "6015\n");
    (void)snprintf(folder, sizeof folder, "%s/devices/1-0", room);
    put_text(folder, "product", "ULX3S FPGA 85K v3.0.8\n");
    put_text(folder, "serial", "D00084\n");
    (void)snprintf(folder, sizeof folder, "%s/class", room);
    ck_assert_uint_eq(tp__serial_ports(folder, NULL, 0), 2);
    ck_assert_uint_eq(tp__serial_ports(folder, ports, 2), 2);
    ck_assert_str_eq(ports[0].name, "ttyUSB0");
    ck_assert_str_eq(ports[0].text, "serial port: ULX3S FPGA 85K v3.0.8, number D00084");
    ck_assert_str_eq(ports[1].name, "ttyUSB3");
    ck_assert_str_eq(ports[1].text, "serial port: FT231X");
    ck_assert_uint_eq(tp__serial_ports("/no/such/folder", ports, 2), 0);
    (void)snprintf(folder, sizeof folder, "rm -r %s", room);
    ck_assert_int_eq(system(folder), 0);
}
END_TEST

Suite *tp_test_suite(void)
{
    Suite *suite = suite_create("server");
    TCase *tc = tcase_create("server");
    tcase_add_unchecked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, tokens_equal_those_of_the_device_opened_directly, 0, 4);
    tcase_add_test(tc, a_device_without_a_clock_is_known_for_that);
    tcase_add_loop_test(tc, a_second_program_is_sent_away_and_the_first_goes_on, 0, 2);
    tcase_add_loop_test(tc, a_device_that_ends_in_mid_run_gives_one_error, 0, 2);
    tcase_add_test(tc, a_client_that_reads_late_loses_no_byte);
    tcase_add_loop_test(tc, a_program_that_is_killed_leaves_a_device_for_the_next, 0, 2);
    tcase_add_loop_test(tc, a_program_that_is_cut_off_leaves_a_device_for_the_next, 0, 2);
    tcase_add_loop_test(tc, a_server_without_work_sleeps, 0, 2);
    tcase_add_test(tc, addresses_are_taken_apart);
    tcase_add_test(tc, what_cannot_be_opened_gives_its_error);
    tcase_add_test(tc, a_machine_that_does_not_answer_is_a_time_out);
    tcase_add_test(tc, a_port_of_others_gives_its_error);
    tcase_add_test(tc, what_cannot_be_served_gives_its_error);
    tcase_add_test(tc, ports_with_the_bridge_of_a_board_are_listed);
    suite_add_tcase(suite, tc);
    return suite;
}
