// SPDX-License-Identifier: Apache-2.0
//
// openFPGALoader, the program that talks JTAG to the FPGA.

#ifndef TP_TOOLS_PROGRAMMER_H
#define TP_TOOLS_PROGRAMMER_H

#include "cables.h"

enum { PROGRAMMER_TEXT_BYTES = 512, PROGRAMMER_OUTPUT_BYTES = 8192 };

/** What it said and how it ended. */
struct programmer_run {
    char output[PROGRAMMER_OUTPUT_BYTES];  // both streams, the last of it when it was more
    size_t output_bytes;
    int status;                        // of its exit; 128 + number after a signal
    char text[PROGRAMMER_TEXT_BYTES];  // where a call here fails: one line, why and what to do
};

/** Whether it is there.
 *  out    version  its first line, "openFPGALoader v0.10.0" */
bool programmer_find(char version[TP_NAME_BYTES], struct programmer_run *run);

/** Asks the only FPGA behind the cable for its IDCODE. */
bool programmer_detect(const struct options *options, const struct cable *cable, uint32_t *idcode,
                       struct programmer_run *run);

/** Writes bits into the configuration, until power-off or, with --permanent, into the flash, which
 *  it reads back; with --partial bits is a file of SVF, which it plays. Shows the program's own
 *  progress. */
bool programmer_write(const struct options *options, const struct cable *cable, const char *bits,
                      struct programmer_run *run);

/** The command line of programmer_write, for people. */
void programmer_command(const struct options *options, const struct cable *cable, const char *bits,
                        char *text, size_t size);

/** The last lines of the output on standard error. */
void programmer_show(const struct programmer_run *run);

#endif
