// SPDX-License-Identifier: Apache-2.0
//
// Status codes of libtokproc and the error record that explains one failure in one line.

#ifndef TP_STATUS_H
#define TP_STATUS_H

#if defined(__GNUC__)
#define TP_MUST_USE __attribute__((warn_unused_result))
#else
#define TP_MUST_USE
#endif

/* The one list of codes: X(name, value, text). Values never change; new ones are added at the end.
 */
#define TP_STATUS_LIST(X)                                                                          \
    X(TP_OK, 0, "no error")                                                                        \
    X(TP_ERROR_INVALID, -1, "an argument is not allowed")                                          \
    X(TP_ERROR_NO_MEMORY, -2, "out of memory")                                                     \
    X(TP_ERROR_IO, -3, "a file cannot be read or written")                                         \
    X(TP_ERROR_FORMAT, -4, "the data is damaged or not of the expected form")                      \
    X(TP_ERROR_UNSUPPORTED, -5, "the data is sound, but of a kind that this version cannot use")   \
    X(TP_ERROR_TOO_LARGE, -6, "a limit of the device or of this build is exceeded")                \
    X(TP_ERROR_FULL, -7, "no room is left")                                                        \
    X(TP_ERROR_TIMEOUT, -8, "the device did not answer in time")                                   \
    X(TP_ERROR_LINK, -9, "the link to the device lost or damaged data")                            \
    X(TP_ERROR_DEVICE, -10, "the device reported an error")                                        \
    X(TP_ERROR_CANCELLED, -11, "the work was cancelled")                                           \
    X(TP_ERROR_MISMATCH, -12, "two things that must agree do not")                                 \
    X(TP_ERROR_RANGE, -13, "a number is outside its range")                                        \
    X(TP_ERROR_NOT_FOUND, -14, "there is nothing of that name")                                    \
    X(TP_ERROR_BUSY, -15, "it is in use")

#define TP_STATUS_MEMBER(name, value, text) name = (value),
/** 0 or a negative code. */
typedef enum tp_status { TP_STATUS_LIST(TP_STATUS_MEMBER) } tp_status;
#undef TP_STATUS_MEMBER

enum { TP_ERROR_TEXT_BYTES = 512 };

/** What went wrong: written by the call that fails, left alone by calls that succeed. */
struct tp_error {
    tp_status status;
    char text[TP_ERROR_TEXT_BYTES];  ///< one line: file, place, what is wrong, what to do
};

/** Name of a code, "TP_ERROR_IO"; "TP_ERROR_UNKNOWN" for numbers that are none. Never NULL. */
const char *tp_status_name(tp_status status);

/** The code in a few words. Never NULL. */
const char *tp_status_text(tp_status status);

#endif
