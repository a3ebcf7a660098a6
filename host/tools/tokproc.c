// SPDX-License-Identifier: Apache-2.0
//
// tokproc: the command line of the token processor.

#include <stdio.h>
#include <string.h>

#include "verbs.h"

static const struct verb verbs[] = {
    {"run",
     "Generates text and streams it, token by token; with --parallel or several prompts from\n"
     "sessions side by side, whose texts come one behind the other.",
     "mzdCcp78HYnFtkruvlsSi#a456bIO+fJqD", verb_run, NULL},
    {"chat",
     "Talks, turn by turn, with a model that keeps what was said; /help in it lists commands.\n"
     "Ctrl-C ends an answer, at the prompt the talk; so does Ctrl-D.",
     "mzdCcHYnFtkruvlsSi#aJqD", verb_chat, NULL},
    {"eval",
     "Scores texts: cross entropy, divergence and agreement of the top token beside the float32\n"
     "reference. The device is the emulator unless -d names one.",
     "mzdCcnFxaKNRVWLJqD", verb_eval, NULL},
    {"bench",
     "Measures cycles per token, use of the multipliers and speed; with --board those of its\n"
     "bitstream, which must be of this tree; with --parallel by numbers of sessions; with\n"
     "--prompt-tokens of a prompt.",
     "mzdbCcpnFtkruvlsj#%9agXOJqD", verb_bench, NULL},
    {"trace",
     "Writes the schedule of the steps that a run made, checked against the cycles that the "
     "device\n"
     "counted, for ui.perfetto.dev or chrome://tracing; with --replay checks the steps of a log.",
     "mzdCcpnFtkruvlsjaowe@fJqD", verb_trace, NULL},
    {"verify",
     "Runs one prompt on two devices (-d twice; default sim and emu) and compares; before that\n"
     "the memories of each with the model, where it can read them back.",
     "mzdCcpnFtkruvlsaJqD", verb_verify, NULL},
    {"quantize", "Writes a model as an image: numbers for the device, tokenizer, origin, loss.",
     "mzoFaKBNEfJqD", verb_quantize, NULL},
    {"info", "Describes a model and what it costs, and with --program what it compiles to.",
     "mzdCcFaPJqD", verb_info, NULL},
    {"plan",
     "Says where a model fits, what is short where it does not, and how fast it will be on a "
     "board\n"
     "or configuration; without --board and --config, on all boards.",
     "mzbCFcjgOJ", verb_plan, NULL},
    {"simulate",
     "Runs a simulated device that other commands open, one at a time, until Ctrl-C.\n"
     "Its name for them is printed. Without --config it is the first of `tokproc devices`.",
     "dCAT4bIOJD", verb_simulate, NULL},
    {"reconfigure",
     "Hands a partial bitstream to a device that simulate --boot runs, whoever has it open, as a\n"
     "programmer would to a board. It takes all of it or nothing, between runs.",
     "dJq", verb_reconfigure, "FILE"},
    {"flash",
     "Writes a board's bitstream through its cable, by openFPGALoader, and reads the device's "
     "hello.\n"
     "Nothing is written unless the FPGA is the bitstream's. The board is the one that is there\n"
     "unless --board names one, the device the one behind the cable unless -d does. --partial "
     "FILE\n"
     "plays a bitstream of pack --partial instead; that is unproven on silicon.",
     "dbOGM2IZJqD", verb_flash, "[FILE]"},
    {"doctor",
     "Goes from the cable to the first token and says which step fails, and what to do.\n"
     "With -d it begins at that device. The model is the shipped one, in the first of q8, nf4,\n"
     "nf4-all that fits.",
     "mdbOGFaJD", verb_doctor, NULL},
    {"pack",
     "Writes a model as a bitstream of a board: what is written over the link else, in the block "
     "RAMs.\n"
     "Nothing was loaded into a board yet; docs/bitstream.md says what the link still has to "
     "write.",
     "mzbCcFaoI123fOJq", verb_pack, NULL},
    {"bitstream",
     "Looks into a bitstream: info (what it is), check (everything in it, or why it is refused), "
     "diff\n"
     "(what differs between two), read (the words of its memories, by the map of its design).",
     "bOIUQJq", verb_bitstream, "info|check|diff|read FILE [FILE]"},
    {"devices", "Lists the devices.", "JD", verb_devices, NULL},
};
enum { VERBS = sizeof verbs / sizeof *verbs };

static int help(FILE *file, int status)
{
    fprintf(file, "usage: tokproc VERB [options]\n\n");
    for (int i = 0; i < VERBS; i++) {
        fprintf(file, "  %-9s %s\n", verbs[i].name, verbs[i].text);
    }
    fprintf(file, "\ntokproc VERB --help lists the options of a verb; tokproc --version tells the "
                  "version,\ntokproc --completion-bash prints completion for bash.\n"
                  "Results go to standard output, everything else to standard error.\n"
                  "Exit status: 0 done, 1 failed, 2 wrong use, 130 interrupted.\n");
    return status;
}

// For the build: what manual pages and completion are made from.
static bool describe(int argc, char **argv)
{
    const char *last = argv[argc - 1];
    if (strcmp(last, "--completion-bash") == 0) {
        options_complete(verbs, VERBS);
    } else if (strcmp(last, "--verbs") == 0) {
        for (int i = 0; i < VERBS; i++) {
            printf("%s\n", verbs[i].name);
        }
    } else if (strcmp(last, "--summary") == 0) {
        const char *text = "streams tokens through a token processor";
        for (int i = 0; i < VERBS; i++) {
            text = strcmp(argv[1], verbs[i].name) == 0 ? verbs[i].text : text;
        }
        printf("%.*s\n", (int)strcspn(text, "\n"), text);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        return help(stderr, EXIT_USAGE);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return help(stdout, EXIT_OK);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("tokproc %s\n", tp_version());
        return EXIT_OK;
    }
    if (describe(argc, argv)) {
        return EXIT_OK;
    }
    for (int i = 0; i < VERBS; i++) {
        if (strcmp(argv[1], verbs[i].name) != 0) {
            continue;
        }
        for (int j = 2; j < argc; j++) {
            if (strcmp(argv[j], "--help") == 0 || strcmp(argv[j], "-h") == 0) {
                options_help(&verbs[i]);
                return EXIT_OK;
            }
        }
        struct options options;
        int status = options_parse(&verbs[i], argc - 2, argv + 2, &options);
        if (status != EXIT_OK) {
            return status;
        }
        catch_interrupt();
        return verbs[i].run(&options);
    }
    fprintf(stderr, "tokproc: there is no verb '%s'\n", argv[1]);
    return help(stderr, EXIT_USAGE);
}
