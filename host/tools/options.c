// SPDX-License-Identifier: Apache-2.0
//
// The option table, its parser, and the help made from it.

#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    KIND_TEXT,
    KIND_COUNT,
    KIND_SEED,
    KIND_REAL,
    KIND_FLAG,
    KIND_FORMAT,
    KIND_DEVICE,
    KIND_KEEP,
    KIND_PROMPT,
    KIND_STOP
};

struct option {
    char letter;  // in verb.options; also the short form when has_short
    bool has_short;
    const char *name;      // long form without the dashes
    const char *argument;  // name of the value in the help, or NULL
    enum kind kind;
    size_t offset;  // of the field in struct options
    double least;   // numbers: range
    double most;
    const char *text;
};

#define FIELD(field) offsetof(struct options, field)
static const struct option table[] = {
    {'m', true, "model", "FILE", KIND_TEXT, FIELD(model), 0, 0,
     "model: llama2.c, GGUF, a folder with config.json and safetensors, or an image"},
    {'z', false, "tokenizer", "FILE", KIND_TEXT, FIELD(tokenizer), 0, 0,
     "tokenizer; default: inside or beside the model, or MODEL's name with -tok.bin"},
    {'d', true, "device", "NAME", KIND_DEVICE, 0, 0, 0,
     "emu, sim, usb, serial:PATH, tcp:HOST:PORT, or a name of `tokproc devices`;\n"
     "                             default: sim when it was built, else emu"},
    {'C', false, "config", "NAME", KIND_TEXT, FIELD(config), 0, 0,
     "configuration of the device; default: the first that holds the model"},
    {'c', true, "context", "N", KIND_COUNT, FIELD(context), 1, 65535,
     "positions of a session; default: as many as fit"},
    {'p', true, "prompt", "TEXT", KIND_PROMPT, 0, 0, 0, "text to continue; default: none"},
    {'7', false, "parallel", "N", KIND_COUNT, FIELD(parallel), 1, 1024,
     "N sessions at a time: of one prompt, with seeds from --seed on; of several (--prompt\n"
     "                             again, --prompts) one each, and the next joins when one ends;\n"
     "                             more than the device has slots take turns"},
    {'8', false, "prompts", "FILE", KIND_TEXT, FIELD(prompts_file), 0, 0,
     "prompts, one a line, a session for each"},
    {'H', false, "chat", "NAME", KIND_TEXT, FIELD(chat), 0, 0,
     "answer the prompt as a chat does; auto: the model's template, else a name: plain, chatml"},
    {'Y', false, "system", "TEXT", KIND_TEXT, FIELD(system), 0, 0,
     "with --chat: what the model is told before the prompt"},
    {'n', true, "tokens", "N", KIND_COUNT, FIELD(tokens), 1, 4e9,
     "most tokens to generate (eval: to score); default 256 (eval: all)"},
    {'F', false, "format", "NAME", KIND_FORMAT, FIELD(format), 0, 0,
     "weights: q8, fp4, nf4, int4, ternary, fp4-all, nf4-all, int4-all, auto; default q8"},
    {'o', true, "output", "FILE", KIND_TEXT, FIELD(output), 0, 0, "file to write"},
    {'K', false, "keep", "TENSOR=FORMAT", KIND_KEEP, 0, 0, 0,
     "another format for embedding, classifier, query, key, value, output, gate or down, or\n"
     "                             for those of a layer: 3.down=q8; may be repeated"},
    {'B', false, "fit", "CONFIG", KIND_TEXT, FIELD(fit), 0, 0,
     "configuration that the image must fit; with --format auto, the default then, q8 for\n"
     "                             as much as its memory holds"},
    {'N', false, "plain", NULL, KIND_FLAG, FIELD(plain), 0, 0,
     "round each weight to the nearest, also with --calibrate"},
    {'E', false, "export", "gguf", KIND_TEXT, FIELD(export_format), 0, 0,
     "write what the quantised weights stand for, as a GGUF file of float32; MODEL may be\n"
     "                             an image then"},
    {'f', false, "force", NULL, KIND_FLAG, FIELD(force), 0, 0, "replace the file that is there"},
    {'t', false, "temp", "T", KIND_REAL, FIELD(temperature), 0, 100,
     "temperature, 0 = greedy; default 0.8"},
    {'k', false, "top-k", "K", KIND_COUNT, FIELD(top_k), 0, 64, "candidates, 0 = all; default 0"},
    {'r', false, "repeat-penalty", "P", KIND_REAL, FIELD(repeat_penalty), 1, 3.9,
     "makes the last 64 tokens less likely, 1 = off; default 1"},
    {'u', false, "top-p", "P", KIND_REAL, FIELD(top_p), 0, 1,
     "of the top-k (64) the likeliest that reach P together, 1 = off; default 1"},
    {'v', false, "min-p", "P", KIND_REAL, FIELD(min_p), 0, 1,
     "of these all that have P times the first one's probability; default 0 = off"},
    {'l', false, "logprobs", "N", KIND_COUNT, FIELD(logprobs), 0, 64,
     "log probabilities of each token and of the N likeliest; default 0 = none"},
    {'s', true, "seed", "N", KIND_SEED, FIELD(seed), 0, 0, "of the random stream; default 1"},
    {'S', false, "stop", "TEXT", KIND_STOP, 0, 0, 0,
     "end the answer before this text; up to 8 times"},
    {'i', false, "ignore-eos", NULL, KIND_FLAG, FIELD(ignore_eos), 0, 0,
     "go on after the end-of-text token"},
    {'j', true, "sessions", "N", KIND_COUNT, FIELD(sessions), 1, 8,
     "sessions that run side by side; default 1"},
    {'#', false, "prefill-slots", "N", KIND_COUNT, FIELD(prefill_slots), 1, 8,
     "slots of a step that the prompt of one session may have while no other session needs\n"
     "                             them; default: all, 1: its own"},
    {'%', false, "prompt-tokens", "N", KIND_COUNT, FIELD(prompt_tokens), 1, 65535,
     "measure a prompt of N tokens of one session, with its first token of an answer"},
    {'9', false, "parallel", "LIST", KIND_TEXT, FIELD(parallel_list), 0, 0,
     "a table of sessions side by side, which take turns where they are more than the slots:\n"
     "                             --parallel 1,2,4,8"},
    {'x', false, "text", "FILE", KIND_TEXT, FIELD(text), 0, 0,
     "texts to score, separated by lines <|endoftext|>"},
    {'a', false, "calibrate", "FILE", KIND_TEXT, FIELD(calibrate), 0, 0,
     "text for the format's constants; default: text that the model generates"},
    {'R', false, "reference", "MODEL", KIND_TEXT, FIELD(reference), 0, 0,
     "the model whose float32 predictions are right; default: the model of -m itself"},
    {'V', false, "compare", "LIST", KIND_TEXT, FIELD(compare), 0, 0,
     "a table of formats: --compare q8,fp4,nf4,int4; beside Q8_0 and Q4_0 rounding"},
    {'W', false, "skip", "N", KIND_COUNT, FIELD(skip), 0, 4e9,
     "first texts that are not scored; default: those that --calibrate uses of the same file"},
    {'P', false, "program", NULL, KIND_FLAG, FIELD(program), 0, 0, "print the compiled program"},
    {'L', false, "layers", NULL, KIND_FLAG, FIELD(layers), 0, 0,
     "ranges, saturations and clips of each layer, counted by the device"},
    {'b', false, "board", "NAME", KIND_TEXT, FIELD(board), 0, 0,
     "board with a bitstream: ulx3s-85f, ulx3s-45f; plan knows smaller ones too"},
    {'g', false, "ledger", NULL, KIND_FLAG, FIELD(ledger), 0, 0,
     "where the cycles go: busy, filling, draining, waiting, by kind of instruction"},
    {'X', false, "contexts", NULL, KIND_FLAG, FIELD(contexts), 0, 0,
     "cycles and use at several contexts, for one slot and for all, predicted"},
    {'O', false, "bitstreams", "DIR", KIND_TEXT, FIELD(bitstreams), 0, 0,
     "bitstreams with their manifests; default: \"bitstreams\" of the tree, or where installed"},
    {'G', false, "cable", "SERIAL", KIND_TEXT, FIELD(cable), 0, 0,
     "serial number of the board's USB bridge; default: the only one"},
    {'M', false, "permanent", NULL, KIND_FLAG, FIELD(permanent), 0, 0,
     "write the flash, from which the board starts, instead of the configuration itself"},
    {'Z', false, "dry-run", NULL, KIND_FLAG, FIELD(dry_run), 0, 0,
     "check everything, but write nothing"},
    {'I', false, "map", "FILE", KIND_TEXT, FIELD(map), 0, 0,
     "map of the design; default: that of --board, else the file \"map\" beside the bitstream"},
    {'U', false, "no-map", NULL, KIND_FLAG, FIELD(no_map), 0, 0, "take no map"},
    {'Q', false, "memory", "NAME", KIND_TEXT, FIELD(memory), 0, 0,
     "memories whose names contain this; default: all"},
    {'1', false, "full", NULL, KIND_FLAG, FIELD(full), 0, 0,
     "the board's whole bitstream, with the model in its block RAMs; the default"},
    {'2', false, "partial", NULL, KIND_FLAG, FIELD(partial), 0, 0,
     "the model's block RAMs alone, for a board that has its bitstream"},
    {'3', false, "from", "FILE", KIND_TEXT, FIELD(from), 0, 0,
     "of these, the block RAMs that differ from FILE, which the board has"},
    {'4', false, "boot", "FILE", KIND_TEXT, FIELD(boot), 0, 0,
     "bitstream that the simulated device boots from, with the model in it or without"},
    {'5', false, "reconfigure", "[FILE]@N", KIND_TEXT, FIELD(reconfigure), 0, 0,
     "behind N tokens of each session the model of --new-model, by the partial bitstream FILE,\n"
     "                             else by the link"},
    {'6', false, "new-model", "MODEL", KIND_TEXT, FIELD(new_model), 0, 0,
     "what --reconfigure brings; default: the model of -m"},
    {'w', false, "wave", "FILE", KIND_TEXT, FIELD(wave), 0, 0,
     "wave (FST) of the step of --step, from a device that was built with tracing"},
    {'e', false, "step", "N", KIND_COUNT, FIELD(step), 0, 4e9,
     "with --wave: which step, 0 is the first; default 0"},
    {'+', false, "steps-log", "FILE", KIND_TEXT, FIELD(steps_log), 0, 0,
     "writes a line of JSON for each step: slots, positions, cycles; for trace --replay"},
    {'@', false, "replay", "FILE", KIND_TEXT, FIELD(replay), 0, 0,
     "no run but the steps of such a log, whose cycles are predicted again: exit status 1 where\n"
     "                             they differ; of the configuration of --config"},
    {'A', false, "listen", "HOST:PORT", KIND_TEXT, FIELD(listen), 0, 0,
     "where others reach the device, port 0: a free one; default 127.0.0.1:0"},
    {'T', false, "pty", NULL, KIND_FLAG, FIELD(pty), 0, 0,
     "a pseudo terminal in its place, to be opened as a serial port"},
    {'J', false, "json", NULL, KIND_FLAG, FIELD(json), 0, 0,
     "one line of JSON, the last on standard output; before it, of chat one for each token and\n"
     "                             turn, of run --parallel for each session"},
    {'q', true, "quiet", NULL, KIND_FLAG, FIELD(quiet), 0, 0, "no progress and no figures"},
    {'D', false, "device-folder", "DIR", KIND_TEXT, FIELD(device_folder), 0, 0,
     "where simulated devices lie; default: \"sim\" beside the program, or where installed"},
};
enum { OPTIONS = sizeof table / sizeof *table };

static void print_option(const struct option *option)
{
    char head[64];
    int size = option->has_short
                   ? snprintf(head, sizeof head, "-%c, --%s", option->letter, option->name)
                   : snprintf(head, sizeof head, "    --%s", option->name);
    if (option->argument != NULL && size > 0) {
        (void)snprintf(head + size, sizeof head - (size_t)size, " %s", option->argument);
    }
    printf("  %-26s %s\n", head, option->text);
}

void options_help(const struct verb *verb)
{
    printf("usage: tokproc %s%s%s [options]\n\n%s\n\n", verb->name,
           verb->arguments != NULL ? " " : "", verb->arguments != NULL ? verb->arguments : "",
           verb->text);
    for (int i = 0; i < OPTIONS; i++) {
        if (strchr(verb->options, table[i].letter) != NULL) {
            print_option(&table[i]);
        }
    }
    printf("  %-26s %s\n", "-h, --help", "this text");
}

// How bash completes the value of an option.
static void complete_value(const struct option *option)
{
    printf("    --%s", option->name);
    if (option->has_short) {
        printf("|-%c", option->letter);
    }
    bool is_path = strcmp(option->argument, "FILE") == 0 || strcmp(option->argument, "DIR") == 0;
    printf(") COMPREPLY=($(compgen %s", is_path ? "-f" : "-W \"");
    if (option->kind == KIND_FORMAT) {
        for (int i = 0; i < TP_FORMAT_COUNT; i++) {
            printf("%s ", tp_format_name((tp_format)i));
        }
    }
    if (option->kind == KIND_DEVICE) {
        printf("emu sim usb");
    }
    printf("%s -- \"$word\")); return ;;\n", is_path ? "" : "\"");
}

void options_complete(const struct verb *verbs, int count)
{
    printf("# bash completion of tokproc %s\n_tokproc() {\n"
           "  local word=${COMP_WORDS[COMP_CWORD]} options=\"--help\"\n"
           "  if [ \"$COMP_CWORD\" = 1 ]; then\n    COMPREPLY=($(compgen -W \"",
           tp_version());
    for (int i = 0; i < count; i++) {
        printf("%s ", verbs[i].name);
    }
    printf("--help --version\" -- \"$word\")); return\n  fi\n"
           "  case ${COMP_WORDS[COMP_CWORD-1]} in\n");
    for (int i = 0; i < OPTIONS; i++) {
        if (table[i].argument != NULL) {
            complete_value(&table[i]);
        }
    }
    printf("  esac\n  case ${COMP_WORDS[1]} in\n");
    for (int i = 0; i < count; i++) {
        printf("    %s) options=\"", verbs[i].name);
        for (int j = 0; j < OPTIONS; j++) {
            if (strchr(verbs[i].options, table[j].letter) != NULL) {
                printf("--%s ", table[j].name);
            }
        }
        printf("--help\" ;;\n");
    }
    printf("  esac\n  COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n}\n"
           "complete -o filenames -F _tokproc tokproc\n");
}

static int usage(const struct verb *verb, const char *what, const char *which)
{
    fprintf(stderr, "tokproc %s: %s%s%s - try: tokproc %s --help\n", verb->name, what,
            which[0] != 0 ? " " : "", which, verb->name);
    return EXIT_USAGE;
}

static const struct option *find(const struct verb *verb, const char *argument, size_t size)
{
    for (int i = 0; i < OPTIONS; i++) {
        const struct option *option = &table[i];
        bool is_short =
            option->has_short && size == 2 && argument[0] == '-' && argument[1] == option->letter;
        bool is_long = size > 2 && strncmp(argument, "--", 2) == 0 &&
                       strlen(option->name) == size - 2 &&
                       strncmp(argument + 2, option->name, size - 2) == 0;
        if ((is_short || is_long) && strchr(verb->options, option->letter) != NULL) {
            return option;
        }
    }
    return NULL;
}

static bool parse_real(const char *text, double least, double most, double *value)
{
    char *end = NULL;
    errno = 0;
    *value = strtod(text, &end);
    return end != text && *end == 0 && errno == 0 && isfinite(*value) && *value >= least &&
           *value <= most;
}

static bool parse_seed(const char *text, uint64_t *value)
{
    char *end = NULL;
    errno = 0;
    *value = strtoull(text, &end, 0);
    return end != text && *end == 0 && errno == 0 && text[0] != '-';
}

// Stores one value. False: it is not of the option's kind or range.
static bool store(const struct option *option, const char *value, struct options *options)
{
    char *field = (char *)options + option->offset;
    double number = 0;
    switch (option->kind) {
    case KIND_TEXT:
        memcpy(field, &value, sizeof value);
        return value[0] != 0;
    case KIND_COUNT: {
        if (!parse_real(value, option->least, option->most, &number) || number != floor(number)) {
            return false;
        }
        uint32_t count = (uint32_t)number;
        memcpy(field, &count, sizeof count);
        options->tokens_given = options->tokens_given || option->letter == 'n';
        options->skip_given = options->skip_given || option->letter == 'W';
        return true;
    }
    case KIND_SEED:
        return parse_seed(value, (uint64_t *)(void *)field);
    case KIND_REAL:
        return parse_real(value, option->least, option->most, (double *)(void *)field) &&
               (options->temperature == 0 || options->temperature >= 0.01);
    case KIND_FLAG:
        *(bool *)field = true;
        return true;
    case KIND_FORMAT:
        options->format = tp_format_find(value);
        options->format_given = true;
        return options->format != TP_FORMAT_COUNT;
    case KIND_KEEP:
        if (options->keep_count == OPTION_KEEPS_MAX) {
            return false;
        }
        options->keeps[options->keep_count++] = value;
        return true;
    case KIND_PROMPT:
        if (options->prompt_count == OPTION_PROMPTS_MAX) {
            return false;
        }
        options->prompt = value;
        options->prompts[options->prompt_count++] = value;
        return true;
    case KIND_DEVICE:
        if (options->device_count == OPTION_DEVICES_MAX) {
            return false;
        }
        options->devices[options->device_count++] = value;
        return true;
    default:
        if (options->stop_string_count == TP_STOP_STRINGS_MAX || value[0] == 0 ||
            strlen(value) >= TP_STOP_BYTES_MAX) {
            return false;
        }
        options->stop_strings[options->stop_string_count++] = value;
        return true;
    }
}

int options_parse(const struct verb *verb, int argc, char **argv, struct options *options)
{
    *options = (struct options){.tokens = 256,
                                .temperature = 0.8,
                                .repeat_penalty = 1,
                                .top_p = 1,
                                .seed = 1,
                                .sessions = 1};
    for (int i = 0; i < argc; i++) {
        const char *equals = strncmp(argv[i], "--", 2) == 0 ? strchr(argv[i], '=') : NULL;
        size_t size = equals != NULL ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        const struct option *option = find(verb, argv[i], size);
        if (verb->arguments != NULL && argv[i][0] != '-' &&
            options->argument_count < OPTION_ARGUMENTS_MAX) {
            options->arguments[options->argument_count++] = argv[i];
            continue;
        }
        if (option == NULL) {
            return usage(verb, "unknown option", argv[i]);
        }
        const char *value = equals != NULL ? equals + 1 : NULL;
        if (option->argument == NULL && value != NULL) {
            return usage(verb, "this option takes no value:", argv[i]);
        }
        if (option->argument != NULL && value == NULL) {
            if (i + 1 == argc) {
                return usage(verb, "a value is missing after", argv[i]);
            }
            value = argv[++i];
        }
        if (!store(option, value, options)) {
            char message[96];
            (void)snprintf(message, sizeof message, "--%s cannot be", option->name);
            return usage(verb, message, value);
        }
    }
    return EXIT_OK;
}
