// SPDX-License-Identifier: Apache-2.0
//
// Main function of every Check test program.
//
// Tests run forked, each with a time limit, so that an abort (an assertion in the RTL or in C)
// fails one test and not the program. TP_TAP names the TAP file; skips go to the same name +
// ".skip".

#include "check_main.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MARKS = 1000 };

void tp_test_mark(const char *file, int line)
{
    static atomic_uint marks;  // of this test, since each runs forked; by all its threads
    unsigned count = ++marks;
    if (count <= MARKS || count % MARKS == 0) (_mark_point)(file, line);
}

void tp_test_skip(const char *reason)
{
    const char *tap = getenv("TP_TAP");
    printf("skipped: %s\n", reason);
    if (tap == NULL) return;
    char name[4096];
    snprintf(name, sizeof name, "%s.skip", tap);
    FILE *file = fopen(name, "a");
    if (file == NULL) return;
    fprintf(file, "%s\n", reason);
    fclose(file);
}

int main(void)
{
    // Check's own default of 4 s is too short for a sanitized test on a busy machine.
    setenv("CK_DEFAULT_TIMEOUT", "120", 0);
    const char *tap = getenv("TP_TAP");
    SRunner *runner = srunner_create(tp_test_suite());
    srunner_set_fork_status(runner, CK_FORK);
    if (tap != NULL) srunner_set_tap(runner, tap);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    int run = srunner_ntests_run(runner);
    srunner_free(runner);
    return failed == 0 && run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
