// SPDX-License-Identifier: Apache-2.0
//
// Command line options: one table for parsing and for the help text.

#ifndef TP_TOOLS_OPTIONS_H
#define TP_TOOLS_OPTIONS_H

#include "tokproc.h"

enum {
    OPTION_DEVICES_MAX = 2,
    OPTION_KEEPS_MAX = 64,
    OPTION_ARGUMENTS_MAX = 3,
    OPTION_PROMPTS_MAX = 64
};

/** What the command line said, with defaults where it said nothing. */
struct options {
    const char *arguments[OPTION_ARGUMENTS_MAX];  // of a verb that takes some, in their order
    uint32_t argument_count;
    const char *model;
    const char *tokenizer;
    const char *devices[OPTION_DEVICES_MAX];
    uint32_t device_count;
    const char *config;
    const char *device_folder;
    uint32_t context;
    const char *prompt;                       // the last
    const char *prompts[OPTION_PROMPTS_MAX];  // all
    uint32_t prompt_count;
    const char *prompts_file;
    uint32_t parallel;          // 0: not given
    const char *parallel_list;  // of bench
    const char *chat;
    const char *system;
    uint32_t tokens;
    bool tokens_given;
    tp_format format;
    bool format_given;
    const char *output;
    const char *keeps[OPTION_KEEPS_MAX];
    uint32_t keep_count;
    const char *fit;
    bool plain;
    bool force;
    const char *export_format;
    double temperature;
    uint32_t top_k;
    double repeat_penalty;
    double top_p;
    double min_p;
    uint32_t logprobs;
    uint64_t seed;
    const char *stop_strings[TP_STOP_STRINGS_MAX];
    uint32_t stop_string_count;
    bool ignore_eos;
    uint32_t sessions;
    uint32_t prefill_slots;  // 0: all
    uint32_t prompt_tokens;  // of bench; 0: it generates
    const char *text;
    const char *calibrate;
    const char *reference;
    const char *compare;
    uint32_t skip;
    bool skip_given;
    bool program;
    const char *board;
    const char *bitstreams;
    const char *cable;
    bool permanent;
    bool dry_run;
    bool ledger;
    bool contexts;
    const char *map;
    bool no_map;
    const char *memory;
    bool full;
    bool partial;
    const char *from;
    const char *boot;
    const char *reconfigure;
    const char *new_model;
    const char *wave;
    uint32_t step;
    bool step_given;
    const char *steps_log;  // that run writes
    const char *replay;     // that trace reads
    bool layers;
    const char *listen;
    bool pty;
    bool json;
    bool quiet;
};

/** One verb of the program. */
struct verb {
    const char *name;
    const char *text;     // one line
    const char *options;  // letters of the options that it takes
    int (*run)(const struct options *options);
    const char *arguments;  // before the options, "FILE"; NULL: it takes none
};

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/** Parses argv behind the verb. Returns EXIT_OK, or EXIT_USAGE after a message on standard error.
 */
int options_parse(const struct verb *verb, int argc, char **argv, struct options *options);

/** Prints a completion script for bash, made from the options of all verbs. */
void options_complete(const struct verb *verbs, int count);

/** Prints the help of one verb. */
void options_help(const struct verb *verb);

#endif
