// SPDX-License-Identifier: Apache-2.0
//
// libtokproc: stream tokens through a token processor.
//
// A context opens devices and models; a model is loaded into a device; a session on that device
// takes tokens or text and gives tokens. Devices are named "emu" (the golden model), "sim:CONFIG"
// (the Verilated RTL of a named configuration), "usb" (a board on USB), "serial:PATH" (a board at a
// serial port) or "tcp:HOST:PORT" (a device that another program simulates). Every device has a
// thread of its own, which moves its bytes; all calls here may come from any thread, but one
// session or model is used by one thread at a time. There is no global state: two contexts never
// meet.
//
// Every call that can fail returns a tp_status and, when `error` is not NULL, one line that says
// what went wrong and what to do. Handles are written only on TP_OK. Destroying NULL is allowed.
// After a session was created, feeding, generating and reading take no memory.

#ifndef TOKPROC_H
#define TOKPROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tp_status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TP_VERSION "0.2.0"

#define TP_NAME_BYTES        64
#define TP_DEVICE_NAME_BYTES 128
#define TP_TEXT_CHARS        128
#define TP_DIGEST_CHARS      65
#define TP_STOP_STRINGS_MAX  8
#define TP_STOP_BYTES_MAX    64

typedef struct tp_bitstream tp_bitstream;
typedef struct tp_context tp_context;
typedef struct tp_device tp_device;
typedef struct tp_model tp_model;
typedef struct tp_server tp_server;
typedef struct tp_session tp_session;

/** Called with progress of work that takes longer, from the thread that made the call.
 *  what   a few words, "calibrating"; fraction  0..1. Return false to cancel the work. */
typedef bool (*tp_progress)(void *user, const char *what, double fraction);

/** Version of the library that runs, "0.2.0"; TP_VERSION is that of the header. Never NULL. */
const char *tp_version(void);

// ---- context ----

struct tp_context_options {
    const char *device_folder;  ///< where simulated devices lie; NULL: the folder "sim" beside the
                                ///< library or program, else "tokproc" beside an installed library
    tp_progress progress;       ///< or NULL
    void *progress_user;
};

/** Opens a context. options may be NULL.
 *  owns   the caller; destroy devices, models and sessions first
 *  error  TP_ERROR_NO_MEMORY, TP_ERROR_INVALID (folder name too long) */
TP_MUST_USE tp_status tp_context_create(const struct tp_context_options *options,
                                        tp_context **context, struct tp_error *error);
void tp_context_destroy(tp_context *context);

// ---- devices ----

struct tp_device_info {
    char name[TP_DEVICE_NAME_BYTES];  ///< what tp_device_open takes
    char text[2 * TP_NAME_BYTES];
    uint32_t groups;  ///< groups of 32 lanes; 0 as all sizes: a board or port in a list
    uint32_t slots;   ///< sessions that share a step
    uint32_t weight_beats;
    uint32_t kv_rows;
    uint32_t dim_max;
    uint32_t query_max;  ///< elements of the padded queries of a position
    uint32_t hidden_max;
    uint32_t vocab_max;
    uint32_t positions_max;  ///< context of a session
    uint32_t program_max;
    uint32_t gain_quads;
    uint32_t constant_pairs;
    uint32_t codebooks;
    uint32_t head_norm;
    uint32_t head_log2_max;    ///< log2 of the largest head size
    uint32_t attention_lanes;  ///< elements that attention multiplies at a time: 64, 32, 16
    uint32_t top_k;            ///< the most that a session may ask for, and its candidates; 0: no
                               ///< session has top_k, top_p, min_p or candidates
    uint32_t read_back;        ///< 1: tp_device_verify can compare its memories with the model
    bool counts_cycles;        ///< false: an emulator, it has no clock
    uint32_t link_version;     ///< of docs/link.md; of an open device, as the next
    uint32_t build;            ///< tells its bitstream from others; 0: it has none
};

/** Lists the devices that can be opened here, preferred ones first: simulated ones, the emulator,
 *  boards on USB, serial ports with the bridge of a ULX3S; the last two are not opened for that.
 *  out    infos [min(max, *count)], count  how many there are
 *  error  TP_ERROR_INVALID */
TP_MUST_USE tp_status tp_device_list(tp_context *context, struct tp_device_info *infos, size_t max,
                                     size_t *count, struct tp_error *error);

/** Lists the named configurations, whether or not a device of them can be opened here.
 *  out    infos [min(max, count)]
 *  Returns the count. */
size_t tp_configuration_list(struct tp_device_info *infos, size_t max);

/** A board that a bitstream is built for, or that is known to be too small for one. */
struct tp_board_info {
    char name[TP_NAME_BYTES];
    char text[TP_NAME_BYTES];
    char configuration[TP_NAME_BYTES];  ///< of its bitstream; "none": there is none
    char part[TP_NAME_BYTES];
    uint32_t idcode;       ///< that JTAG reads from the part
    uint32_t luts;         ///< what the part holds
    uint32_t block_rams;   ///< of 18 kbit
    uint32_t multipliers;  ///< of 18 x 18 bits
    uint32_t clock_khz;    ///< of the core, that place and route must reach
    uint32_t baud;         ///< of the serial link
    bool has_usb;          ///< its bitstream has a USB device too
    uint32_t seed;         ///< of place and route
};

/** Lists the boards.
 *  out    infos [min(max, count)]
 *  Returns the count. */
size_t tp_board_list(struct tp_board_info *infos, size_t max);

/** What a bitstream reached in place and route. Nothing here was run on silicon. */
struct tp_bitstream_info {
    char configuration[TP_NAME_BYTES];
    double clock_required_mhz;
    double clock_achieved_mhz;
    uint32_t luts;  ///< used, as the others
    uint32_t flip_flops;
    uint32_t block_rams;
    uint32_t multipliers;
    char source_hash[TP_DIGEST_CHARS];
    uint32_t build;            ///< what its device tells of itself, tp_device_info.build
    char bits[TP_NAME_BYTES];  ///< name of the file, beside the manifest
    uint64_t bits_bytes;
    char bits_digest[TP_DIGEST_CHARS];  ///< SHA-256 of that file
};

/** Reads the manifest of a board's bitstream (bitstreams/README.md) and holds it against the
 *  sources and against the board and its configuration as this library knows them.
 *  in     folder  with a folder for each board
 *         root    of the tree that has the sources; NULL: there are none to compare with
 *  error  TP_ERROR_NOT_FOUND  no such board, or no bitstream was built for it
 *         TP_ERROR_FORMAT     no sound manifest of that board
 *         TP_ERROR_MISMATCH   the bitstream is of other sources, and which differ
 *         TP_ERROR_INVALID, TP_ERROR_TOO_LARGE, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_bitstream_read(const char *folder, const char *root, const char *board,
                                        struct tp_bitstream_info *info, struct tp_error *error);

/** Reads the bits of a board's bitstream and holds them against the manifest.
 *  in     folder  with a folder for each board; info  of tp_bitstream_read
 *  error  TP_ERROR_NOT_FOUND  the file is not there
 *         TP_ERROR_MISMATCH   it is not the one that the manifest describes
 *         TP_ERROR_INVALID, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_bitstream_check_bits(const char *folder, const char *board,
                                              const struct tp_bitstream_info *info,
                                              struct tp_error *error);

// ---- what is in a bitstream (docs/bitstream.md) ----

#define TP_BITSTREAM_BLOCK_IDS  1024  // ids of block RAMs
#define TP_BITSTREAM_WORD_BYTES 64    // of the widest memory

/** Reads a bitstream of an ECP5 and checks everything in it: commands, IDCODE, each CRC, its end.
 *  out    fault  a name for programs, "crc-frame", also of a success ("none"); NULL is allowed
 *  owns   the caller
 *  error  TP_ERROR_FORMAT       damaged or cut off; with the offset and what is wrong
 *         TP_ERROR_UNSUPPORTED  of another part, or frame addresses that nobody knows
 *         TP_ERROR_RANGE        frames or block RAMs that the part has not
 *         TP_ERROR_MISMATCH     for two parts
 *         TP_ERROR_INVALID, TP_ERROR_IO, TP_ERROR_TOO_LARGE, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_bitstream_open(const char *path, tp_bitstream **bitstream,
                                        const char **fault, struct tp_error *error);
void tp_bitstream_close(tp_bitstream *bitstream);

/** Holds the bitstream against the map of a design, which then gives its block RAMs names.
 *  out    fault  as tp_bitstream_open
 *  error  TP_ERROR_MISMATCH   another part, or another base design
 *         TP_ERROR_NOT_FOUND  a block RAM that is not in the map
 *         TP_ERROR_UNSUPPORTED  a partial stream that changes frames; TP_ERROR_INVALID
 *         TP_ERROR_FORMAT     a damaged map, or a partial stream that names no base
 *         TP_ERROR_IO, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_bitstream_use_map(tp_bitstream *bitstream, const char *path,
                                           const char **fault, struct tp_error *error);

struct tp_bitstream_facts {
    char part[TP_NAME_BYTES];
    char text[TP_TEXT_CHARS];    ///< first text of the header
    char base[TP_DIGEST_CHARS];  ///< hash of all frames; of a partial one: the base that it is for
    char board[TP_NAME_BYTES];   ///< of the map; "": none was used
    uint32_t idcode;
    uint32_t control;
    uint32_t usercode;
    bool partial;
    bool background;  ///< the control register allows partial bitstreams while the design runs
    bool compressed;
    bool canonical;  ///< ecppack would write these bytes
    uint32_t frames;
    uint32_t frames_of_part;
    uint32_t block_rams;
    uint32_t block_rams_of_part;
    uint32_t crcs;  ///< that were checked
    uint32_t commands;
    uint32_t memories;  ///< of the map
    uint64_t bytes;
};

void tp_bitstream_get_facts(const tp_bitstream *bitstream, struct tp_bitstream_facts *facts);

struct tp_bitstream_command {
    char text[TP_NAME_BYTES];  ///< "block RAM contents"
    uint64_t offset;
    uint64_t bytes;  ///< with data and CRCs
    uint32_t opcode;
    uint32_t flags;
    uint32_t count;
    uint32_t operand;
    uint32_t crcs;
};

/** error  TP_ERROR_RANGE  index is not below facts.commands */
TP_MUST_USE tp_status tp_bitstream_get_command(const tp_bitstream *bitstream, size_t index,
                                               struct tp_bitstream_command *command);

/** A memory of the design, in one or more block RAMs. */
struct tp_bitstream_memory {
    char name[TP_TEXT_CHARS];   ///< hierarchical
    char space[TP_NAME_BYTES];  ///< memory space of the link, "weight"; "-": none
    uint32_t index;             ///< which memory of the space
    uint32_t words;
    uint32_t bits;
    uint32_t block_rams;
    uint32_t block_rams_here;  ///< of them in the bitstream
};

/** error  TP_ERROR_RANGE  index is not below facts.memories */
TP_MUST_USE tp_status tp_bitstream_get_memory(const tp_bitstream *bitstream, size_t index,
                                              struct tp_bitstream_memory *memory);

/** One word of a memory.
 *  out    value  [TP_BITSTREAM_WORD_BYTES], bit 0 in the lowest bit of byte 0; 0 where the block
 *                RAM is not in the bitstream
 *  error  TP_ERROR_RANGE  no such memory or word */
TP_MUST_USE tp_status tp_bitstream_read_word(const tp_bitstream *bitstream, size_t memory,
                                             uint32_t word, uint8_t *value);

/** Where a block RAM stands. */
struct tp_bitstream_block {
    bool here;                 ///< in the bitstream
    char name[TP_TEXT_CHARS];  ///< of its memory; "": no map, or not in it
    char site[TP_NAME_BYTES];  ///< "X13/Y46/EBR2"
    uint32_t width;            ///< bits of a word in it
    uint32_t word;             ///< the memory's, its first one
    uint32_t bit;              ///< of these words, its lowest one
};

/** error  TP_ERROR_RANGE  id is not below TP_BITSTREAM_BLOCK_IDS */
TP_MUST_USE tp_status tp_bitstream_get_block(const tp_bitstream *bitstream, uint32_t id,
                                             struct tp_bitstream_block *block);

struct tp_bitstream_difference {
    bool control;
    bool usercode;
    uint32_t frames;
    uint32_t frame_first;
    uint32_t frame_last;
    uint32_t block_rams;
    uint16_t words[TP_BITSTREAM_BLOCK_IDS];  ///< of nine bits; 2048 where one has no such block RAM
};

/** What differs between two bitstreams of one part; of a partial one, what both have.
 *  error  TP_ERROR_MISMATCH  they are of two parts */
TP_MUST_USE tp_status tp_bitstream_compare(const tp_bitstream *a, const tp_bitstream *b,
                                           struct tp_bitstream_difference *difference,
                                           struct tp_error *error);

/** Writes a partial bitstream as SVF for JTAG programs (docs/bitstream.md; unproven on silicon).
 *  error  TP_ERROR_INVALID  an argument is NULL, or it is a whole bitstream
 *         TP_ERROR_IO, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_bitstream_write_svf(const tp_bitstream *bitstream, const char *path,
                                             struct tp_error *error);

enum { TP_SPACES_MAX = 16 };

struct tp_pack_options {
    const char *map;     ///< of the board's design
    const char *bits;    ///< the board's bitstream, which gets the contents; NULL: a partial stream
    const char *from;    ///< of a partial stream: a bitstream whose contents the board has; only
                         ///< block RAMs that differ are written. NULL: all that the model writes
    const char *output;  ///< the file to write; a partial one that ends in ".svf" is SVF
};

/** What a memory space of the link came to. */
struct tp_pack_space {
    char name[TP_NAME_BYTES];  ///< "weight"
    uint64_t words;            ///< that the model writes
    bool packed;               ///< false: no block RAM holds them; the host writes them as ever
};

struct tp_pack_report {
    char base[TP_DIGEST_CHARS];
    uint64_t bytes;
    uint32_t block_rams;  ///< with contents of the model; of a partial stream those that it has
    uint32_t space_count;
    double seconds;  ///< from the memory image to the bytes
    struct tp_pack_space spaces[TP_SPACES_MAX];
};

/** Writes what is loaded into the device as a bitstream of a board: the words that the library
 *  writes over the link, in the block RAMs where the map has them. The device must have the
 *  configuration of the board; an emulator will do.
 *  error  TP_ERROR_INVALID    nothing is loaded, an argument is NULL, both bits and from, a whole
 *                             bitstream as SVF
 *         TP_ERROR_RANGE      the map is of another configuration
 *         TP_ERROR_MISMATCH   bits or from are of another base than the map
 *         TP_ERROR_FORMAT, TP_ERROR_NOT_FOUND  bits, from or map are damaged, or not of each other
 *         TP_ERROR_IO, TP_ERROR_TOO_LARGE, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_device_pack(tp_device *device, const struct tp_pack_options *options,
                                     struct tp_pack_report *report, struct tp_error *error);

// ---- the configuration port of a device ----

/** What a device boots from. */
struct tp_boot_options {
    const char *bits;  ///< a whole bitstream
    const char *map;   ///< of its design
};

/** Configures a simulated device of this process from a bitstream, as its programmer would a board:
 *  the block RAMs get the contents that it has, with a model that tp_device_pack put there. From
 *  then on the device has a configuration port (docs/bitstream.md says what of it is simulated).
 *  out    fault  a name for programs, "crc-frame", also of a success ("none"); NULL is allowed
 *  error  TP_ERROR_UNSUPPORTED  the device is not simulated in this process, or the bitstream is of
 *                               a kind that is not
 *         TP_ERROR_MISMATCH     bits, map and device are not of one design
 *         TP_ERROR_FORMAT, TP_ERROR_NOT_FOUND  damaged; with offset and what is wrong
 *         TP_ERROR_INVALID      an argument is NULL, or the bitstream is a partial one
 *         TP_ERROR_BUSY         something is loaded, so its user believes to know the contents
 *         TP_ERROR_IO, TP_ERROR_TOO_LARGE, TP_ERROR_NO_MEMORY
 *  thread no other call on the device at the same time */
TP_MUST_USE tp_status tp_device_boot(tp_device *device, const struct tp_boot_options *options,
                                     const char **fault, struct tp_error *error);

/** Opens a device and says hello.
 *  in     name   "emu", "emu:CONFIG", "sim:CONFIG"; "usb", the only board there, or "usb:SERIAL",
 *                or "usb:BUS-PORT" ("usb:1-4.2"), where two have the same serial number;
 *                "serial:PATH" or "serial:PATH@BAUD", without a rate that of the boards;
 *                "tcp:HOST:PORT" or "tcp:[IPV6]:PORT", of tp_server_name
 *  owns   the caller; destroy its sessions first
 *  error  TP_ERROR_NOT_FOUND  no such device, or "usb" and several boards
 *         TP_ERROR_INVALID    the part behind the colon is not of its form
 *         TP_ERROR_UNSUPPORTED  boards on USB, in a library that was built without libusb
 *         TP_ERROR_DEVICE     it cannot be started, or speaks another protocol version
 *         TP_ERROR_BUSY       another program uses it
 *         TP_ERROR_TIMEOUT    no answer
 *         TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_device_open(tp_context *context, const char *name, tp_device **device,
                                     struct tp_error *error);
void tp_device_close(tp_device *device);

/** Facts of an open device. */
TP_MUST_USE tp_status tp_device_get_info(const tp_device *device, struct tp_device_info *info);

struct tp_device_statistics {
    uint64_t cycles_total;  ///< clock cycles; 0 on an emulator
    // Of the steps that the device told of:
    uint64_t cycles_steps;      ///< counted by the device
    uint64_t cycles_predicted;  ///< by the compiler; equal, or the device failed
    uint64_t steps;
    uint64_t tokens;    ///< positions processed, all sessions
    uint64_t products;  ///< multiply-accumulates of the models' matrices, without any padding

    uint64_t steps_lost;   ///< further steps, whose event was lost on the link, or is on its way
    uint64_t saturations;  ///< elements that were clamped, in all steps
    uint64_t clips;        ///< blocks that a quantiser clipped, in all steps
    uint64_t frames_bad;   ///< broken frames, both directions
    uint64_t frames_repeated;  ///< frames of the host that were sent again
    uint64_t recoveries;       ///< times that a session's run was begun anew behind a loss
    uint64_t prefix_tokens;    ///< fed tokens that were found in pages of the KV memory

    // Now:
    uint32_t pages;       ///< of 16 positions, that the KV memory has for the loaded model
    uint32_t pages_free;  ///< that hold nothing
    uint32_t pages_kept;  ///< that no session holds, but another one can go on from
    uint32_t sessions;    ///< that exist
    uint32_t sessions_in_runs;
    uint32_t sessions_waiting;  ///< of these, those that wait for a slot or for pages
};

/** Counters since the device was opened, and how its KV memory stands.
 *  error  TP_ERROR_TIMEOUT, TP_ERROR_DEVICE */
TP_MUST_USE tp_status tp_device_get_statistics(tp_device *device,
                                               struct tp_device_statistics *statistics,
                                               struct tp_error *error);

/** A step: one pass of the program for the slots that take part. */
struct tp_step {
    uint32_t number;        ///< 0 first after reset
    uint32_t cycles;        ///< counted by the device; 0 on an emulator
    uint32_t predicted;     ///< the same by the compiler; equal, or the device failed
    uint32_t active;        ///< bit s: slot s takes part
    uint32_t logits;        ///< bit s: slot s wants logits
    uint32_t list;          ///< bit s: its session samples from a sorted list
    uint32_t fast;          ///< bit s: only the largest logit counts; not together with list
    uint32_t positions[8];  ///< of the token that each slot processes
};

/** Notes the steps that follow, until max of them are there; again, or with steps NULL, to end it.
 *  owns   the caller keeps steps [max] until then
 *  error  TP_ERROR_INVALID */
TP_MUST_USE tp_status tp_device_record(tp_device *device, struct tp_step *steps, size_t max,
                                       struct tp_error *error);
/** How many steps were noted. */
size_t tp_device_recorded(tp_device *device);

/** Writes steps as a log, a line of JSON for each (docs/performance.md), from which the prediction
 *  can be made again: tp_forecast_step. A file of that name is replaced, whole or not at all.
 *  in     steps  [count]
 *  error  TP_ERROR_IO, TP_ERROR_NO_MEMORY, TP_ERROR_INVALID */
TP_MUST_USE tp_status tp_steps_write(const char *path, const struct tp_step *steps, size_t count,
                                     struct tp_error *error);

/** Reads such a log.
 *  out    steps  [*count], at least one
 *  owns   the caller, who ends it by free
 *  error  TP_ERROR_FORMAT     a line is none of a log; says which and why
 *         TP_ERROR_TOO_LARGE  a line, or the file
 *         TP_ERROR_IO, TP_ERROR_NO_MEMORY, TP_ERROR_INVALID */
TP_MUST_USE tp_status tp_steps_read(const char *path, struct tp_step **steps, size_t *count,
                                    struct tp_error *error);

/** Kinds of blocks that a section writes, index of the exponents below. */
typedef enum tp_edge_kind {
    TP_EDGE_KIND_NORM,       ///< the normed residual (before the norm's factor)
    TP_EDGE_KIND_ATTENTION,  ///< the output of the attention
    TP_EDGE_KIND_FFN,        ///< the product of gate and up
    TP_EDGE_KIND_COUNT
} tp_edge_kind;

/** What a part of the model has met on the device: ranges and losses. */
struct tp_section_statistics {
    char name[TP_NAME_BYTES];  ///< "embedding", "layer 3: attention", "layer 3: FFN", "classifier";
                               ///< the last: "steps of several slots", which are not told apart
    uint32_t saturations;      ///< elements that were clamped; stops at 16,777,215
    uint32_t clips;            ///< blocks that a quantiser clipped; stops likewise
    uint32_t exponent_max[TP_EDGE_KIND_COUNT];  ///< largest of the blocks: |x| < 2^(e + 7), Q16.16
    uint32_t exponent_cap[TP_EDGE_KIND_COUNT];  ///< where clipping begins; 0: writes no such block
};

/** Counts of each section of the loaded model since it was loaded or they were cleared.
 *  in     clear     forget them after reading
 *  out    sections  [min(max, *count)], count  how many there are
 *  error  TP_ERROR_INVALID  nothing is loaded
 *         TP_ERROR_BUSY     a session runs: sections are told between runs
 *         TP_ERROR_TIMEOUT, TP_ERROR_DEVICE */
TP_MUST_USE tp_status tp_device_get_sections(tp_device *device, bool clear,
                                             struct tp_section_statistics *sections, size_t max,
                                             size_t *count, struct tp_error *error);

// ---- servers: a simulated device that outlives the programs that use it ----

/** Starts a device that one other program at a time can open, under the name that tp_server_name
 *  tells. A program that comes meanwhile is sent away; the device stands still while there is none.
 *  in     device   "emu", "emu:CONFIG", "sim:CONFIG"
 *         address  "HOST:PORT" or "[IPV6]:PORT" to listen at, port 0: a free one; whoever reaches
 *                  it may use the device. NULL: a pseudo terminal, which stands for a serial port
 *  owns   the caller
 *  error  TP_ERROR_NOT_FOUND  no such device or host
 *         TP_ERROR_INVALID    no address, or a device that is not simulated
 *         TP_ERROR_BUSY       the address is in use
 *         TP_ERROR_DEVICE     the device cannot be started
 *         TP_ERROR_IO         no socket or pseudo terminal can be had there
 *         TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_server_open(tp_context *context, const char *device, const char *address,
                                     tp_server **server, struct tp_error *error);
/** Not before tp_server_run has returned. */
void tp_server_close(tp_server *server);

/** Configures the device from a bitstream, as tp_device_boot does; before tp_server_run. From then
 *  on it takes partial ones.
 *  out    fault  as tp_device_boot
 *  error  as tp_device_boot */
TP_MUST_USE tp_status tp_server_boot(tp_server *server, const struct tp_boot_options *options,
                                     const char **fault, struct tp_error *error);

/** Hands a partial bitstream to a device that another program serves, beside its link, as a
 *  programmer would to a board. A program that has the link open is not told: it finds other
 *  tokens, or other cycles than it predicted. tp_device_reconfigure is for a program that has it.
 *  in     name  "tcp:HOST:PORT", of tp_server_name
 *  out    fault       as tp_device_boot
 *         block_rams  that were written
 *  error  TP_ERROR_UNSUPPORTED  a device of another kind, or a bitstream that it does not take
 *         TP_ERROR_MISMATCH, TP_ERROR_FORMAT, TP_ERROR_NOT_FOUND, TP_ERROR_RANGE  as fault says;
 *                               nothing was written
 *         TP_ERROR_INVALID      an argument is NULL, the device was not booted from a bitstream, or
 *                               this is a whole one
 *         TP_ERROR_BUSY         a slot runs, or frames are on their way
 *         TP_ERROR_IO, TP_ERROR_TOO_LARGE, TP_ERROR_DEVICE, TP_ERROR_TIMEOUT, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_server_send_bitstream(const char *name, const char *path,
                                               const char **fault, uint32_t *block_rams,
                                               struct tp_error *error);

/** What tp_device_open takes: "tcp:127.0.0.1:7000", "serial:/dev/pts/3". Lives as long as the
 *  server. */
const char *tp_server_name(const tp_server *server);

/** Serves programs until tp_server_stop. Sleeps while there is nothing to do.
 *  error  TP_ERROR_INVALID, TP_ERROR_DEVICE, TP_ERROR_NO_MEMORY (the device failed) */
TP_MUST_USE tp_status tp_server_run(tp_server *server, struct tp_error *error);

/** Ends tp_server_run, also when it begins later.
 *  thread any, and signal handlers */
void tp_server_stop(tp_server *server);

// ---- scores ----

/** Adds up how far predictions are from those of a reference; docs/evaluation.md explains the
 *  figures. A scorer takes no memory after its creation; one thread at a time uses it. */
typedef struct tp_scorer tp_scorer;

/** Means over the tokens. Nats are natural logarithms. */
struct tp_score {
    uint64_t tokens;
    double nats;               ///< -ln of the probability of the token that came
    double reference_nats;     ///< the same of the reference
    double change;             ///< nats - reference_nats
    double change_error;       ///< standard error of change, from the differences of single tokens
    double perplexity_ratio;   ///< exp(change)
    double divergence;         ///< KL divergence from the reference's prediction, in nats
    double divergence_median;  ///< of single tokens, to 1 %
    double divergence_high;    ///< 99 % of the tokens have less, to 1 %
    double top_agreement;      ///< share of tokens where both find the same one most likely
};

/** error  TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_scorer_create(tp_scorer **scorer, struct tp_error *error);
void tp_scorer_destroy(tp_scorer *scorer);

/** Adds one prediction, of the token next.
 *  in     reference [vocab], logits [vocab]; next < vocab */
void tp_scorer_add(tp_scorer *scorer, const float *reference, const float *logits, uint32_t vocab,
                   uint32_t next);
/** The same with a device's logits, Q16.16. */
void tp_scorer_add_fixed(tp_scorer *scorer, const float *reference, const int32_t *logits,
                         uint32_t vocab, uint32_t next);

/** The means so far; all 0 without tokens. */
void tp_scorer_get(const tp_scorer *scorer, struct tp_score *score);

// ---- models ----

/** Formats of the weights. The 4-bit ones keep embedding and classifier in 8 bits, those with -all
 *  do not. Images hold these numbers. */
typedef enum tp_format {
    TP_FORMAT_Q8,
    TP_FORMAT_FP4,
    TP_FORMAT_NF4,
    TP_FORMAT_INT4,
    TP_FORMAT_FP4_ALL,
    TP_FORMAT_NF4_ALL,
    TP_FORMAT_INT4_ALL,
    TP_FORMAT_TERNARY,  ///< -1, 0, 1
    TP_FORMAT_LEARNED,  ///< 4 bits, values made for the model
    TP_FORMAT_AUTO,     ///< chosen for each matrix
    TP_FORMAT_COUNT
} tp_format;

/** "q8", "fp4", "fp4-all" ...; NULL when the number is none. */
const char *tp_format_name(tp_format format);
/** The format of that name; TP_FORMAT_COUNT when there is none. */
tp_format tp_format_find(const char *name);

struct tp_model_options {
    /// llama2.c, GGUF, safetensors as the folder with config.json (docs/models.md), or an image
    const char *path;
    /// llama2.c, GGUF or tokenizer.json; NULL: inside the file, in its folder, or PATH's "-tok.bin"
    const char *tokenizer_path;
};

struct tp_model_info {
    char name[TP_NAME_BYTES];
    char file_format[TP_NAME_BYTES];   ///< "GGUF version 3", "image version 1"
    char architecture[TP_NAME_BYTES];  ///< "llama", "mistral", "qwen2", "qwen3"
    uint32_t dim;
    uint32_t hidden;
    uint32_t layers;
    uint32_t heads;
    uint32_t kv_heads;
    uint32_t head_size;
    uint32_t vocab;
    uint32_t context;  ///< positions that the model was trained for, within its window
    uint32_t window;   ///< of attention, where it is shorter than the training's; else 0
    bool tied;         ///< the classifier is the embedding
    bool has_tokenizer;
    uint32_t bos;
    uint32_t eos;
    const char
        *chat;  ///< name of the file's chat template; NULL: it has none, or none of the known
    uint64_t parameters;

    bool quantised;                        ///< an image, or made by tp_model_quantise; the others
                                           ///< of what follows are of these only
    uint64_t matrix_bytes;                 ///< codes and scales
    char payload_digest[TP_DIGEST_CHARS];  ///< SHA-256 of all its numbers
    char origin[TP_TEXT_CHARS];            ///< name of the model's file
    char origin_digest[TP_DIGEST_CHARS];   ///< SHA-256 of that file
    char origin_format[TP_TEXT_CHARS];     ///< "GGUF version 3"
    char method[TP_TEXT_CHARS];            ///< how it was rounded
    char calibrated_on[TP_TEXT_CHARS];     ///< name of the text; empty: text of the model itself
    uint64_t calibrated_bytes;             ///< of that text, from its beginning
    char measured_on[TP_TEXT_CHARS];       ///< name of the text of quality
    struct tp_score quality;  ///< against the origin in float32; tokens 0: not measured
};

/** Reads a model and its tokenizer.
 *  owns   the caller; a device keeps no reference to it
 *  error  TP_ERROR_IO, TP_ERROR_FORMAT, TP_ERROR_UNSUPPORTED, TP_ERROR_MISMATCH (tokenizer of
 *         another vocabulary), TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_model_open(tp_context *context, const struct tp_model_options *options,
                                    tp_model **model, struct tp_error *error);
void tp_model_close(tp_model *model);
void tp_model_get_info(const tp_model *model, struct tp_model_info *info);

/** A matrix of a quantised model. */
struct tp_matrix_info {
    char name[TP_NAME_BYTES];  ///< "embedding", "3.down"
    tp_format format;
    uint32_t rows;  ///< as the device has them: heads padded, gate and up together
    uint32_t columns;
    uint64_t bytes;  ///< codes and scales
};

/** Facts of matrix number index, from 0 on. False: there are no more, or it is not quantised. */
bool tp_model_get_matrix(const tp_model *model, size_t index, struct tp_matrix_info *info);

struct tp_quantise_options {
    tp_format format;
    const char *const *keep;     ///< [keep_count] "TENSOR=FORMAT": other formats for embedding,
    size_t keep_count;           ///< classifier, query, key, value, output, gate, down; "3.down=q8"
                                 ///< for one layer; the last that names a matrix counts
    const char *calibrate_path;  ///< text; NULL: generated by the model
    const struct tp_device_info *fit;  ///< device that the result must fit, for TP_FORMAT_AUTO
                                       ///< the one it is chosen for; or NULL
    bool plain;                        ///< round each weight to the nearest, whatever the text says
};

/** Quantises a model: same input, same bytes, on every machine. With a text, the loss is measured
 *  on a part of it that was not used before.
 *  out    quantised  a model that can be loaded, saved and scored like any other; it keeps its
 *                    origin open
 *  owns   the caller
 *  error  TP_ERROR_INVALID    already quantised, keep names nothing, or automatic without fit
 *         TP_ERROR_TOO_LARGE  does not fit; names the limit
 *         TP_ERROR_RANGE      a weight is out of reach of the formats
 *         TP_ERROR_IO, TP_ERROR_FORMAT (text), TP_ERROR_UNSUPPORTED (text without tokenizer)
 *         TP_ERROR_CANCELLED  by the progress callback
 *         TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_model_quantise(tp_model *model, const struct tp_quantise_options *options,
                                        tp_model **quantised, struct tp_error *error);

/** Writes a quantised model as an image file (docs/image.md) with its tokenizer, which
 *  tp_model_open reads. The file appears whole or not at all.
 *  error  TP_ERROR_INVALID  not quantised
 *         TP_ERROR_IO, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_model_save(const tp_model *model, const char *path,
                                    struct tp_error *error);

/** Tokens of size bytes of UTF-8 text, without BOS. With tokens NULL only counts.
 *  out    tokens [max], count
 *  error  TP_ERROR_FORMAT   invalid UTF-8; the text names the byte
 *         TP_ERROR_FULL     more than max tokens; count says how many
 *         TP_ERROR_UNSUPPORTED  the model has no tokenizer */
TP_MUST_USE tp_status tp_model_encode(const tp_model *model, const char *text, size_t size,
                                      uint32_t *tokens, size_t max, size_t *count,
                                      struct tp_error *error);

enum { TP_CHAT_MESSAGES_MAX = 256 };

/** One message of a talk. */
struct tp_chat_message {
    const char *role;  ///< "system", "user" or "assistant"
    const char *text;  ///< UTF-8
};

/** Writes messages as the model was trained to see them, for a person to read: tp_session_feed_chat
 *  feeds them, with names of control tokens inside messages as plain text.
 *  in     name    of a template: plain, chatml, llama2, llama3, llama3.1, mistral, mistral-v2,
 *                 mistral-v3, zephyr; NULL: the one that the model's file has
 *         answer  end with the start of an answer
 *  out    text    [max], NUL-terminated
 *         size    bytes needed with the NUL, also when max is too small
 *  error  TP_ERROR_NOT_FOUND    name is NULL and the file has no template
 *         TP_ERROR_UNSUPPORTED  the file's template, or name, is not known; or no tokenizer
 *         TP_ERROR_INVALID      an argument is NULL, or a role is unknown or out of turn
 *         TP_ERROR_FORMAT       a message is not UTF-8
 *         TP_ERROR_FULL         text is too small */
TP_MUST_USE tp_status tp_model_chat(const tp_model *model, const char *name,
                                    const struct tp_chat_message *messages, size_t count,
                                    bool answer, char *text, size_t max, size_t *size,
                                    struct tp_error *error);

/** After each token of a text. logits [vocab], valid during the call. Return false to stop. */
typedef bool (*tp_reference_callback)(void *user, uint32_t position, const float *logits,
                                      uint32_t vocab);

/** Runs the plain float32 forward pass over a text: the reference that formats are measured
 *  against. Calls callback with the logits after each token, from the thread that made the call.
 *  in     tokens [count]  count at most the model's context
 *  error  TP_ERROR_INVALID    no tokens, or more than the context
 *         TP_ERROR_RANGE      a token is not of the vocabulary
 *         TP_ERROR_CANCELLED  by the callback
 *         TP_ERROR_NO_MEMORY
 *  thread any number may run references of the same model */
TP_MUST_USE tp_status tp_model_reference(const tp_model *model, const uint32_t *tokens,
                                         size_t count, tp_reference_callback callback, void *user,
                                         struct tp_error *error);

/** Says whether both models read texts alike, so that predictions of one can be judged by the
 *  other's: vocabularies of one size, and the same tokenizer where both have one.
 *  error  TP_ERROR_MISMATCH  what differs */
TP_MUST_USE tp_status tp_model_check_alike(const tp_model *model, const tp_model *reference,
                                           struct tp_error *error);

/** Writes the model's weights in float32, with its tokenizer, as a GGUF file of version 3, so that
 *  other programs can run the same numbers. The file appears whole or not at all.
 *  error  TP_ERROR_IO, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_model_export(const tp_model *model, const char *path,
                                      struct tp_error *error);

/** Number types of GGUF files that a model can be rounded to, for comparison. */
typedef enum tp_rounding { TP_ROUNDING_Q8_0, TP_ROUNDING_Q4_0, TP_ROUNDING_COUNT } tp_rounding;

/** A copy with every matrix, embedding and classifier too, rounded by the arithmetic of a GGUF
 *  number type and back to float32; norms and biases stay. It has no tokenizer.
 *  out    rounded  tp_model_close releases it; bytes  of the matrices in that type, or NULL
 *  error  TP_ERROR_INVALID, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_model_round(const tp_model *model, tp_rounding rounding,
                                     tp_model **rounded, uint64_t *bytes, struct tp_error *error);

/** Finds the next text in a file of texts that lines "<|endoftext|>" separate, without white space
 *  around it. Moves *offset, which starts at 0. False: there are no more. */
bool tp_text_next(const char *data, size_t size, size_t *offset, const char **text,
                  size_t *text_size);

struct tp_load_options {
    tp_format format;        ///< of a model that is not quantised; an image has its own
    uint32_t context;        ///< the most positions of a session; 0: the largest that fits
    uint32_t sessions;       ///< slots that are used: sessions that share a step, further ones take
                             ///< turns; 0: 1. The KV memory is for all sessions together
    uint32_t prefill_slots;  ///< slots of a step that the prompt of one session may have while no
                             ///< other session needs them, also beyond those of sessions
                             ///< (docs/sessions.md); 0, or more than there are: all. 1: its own
    const char
        *calibrate_path;  ///< text for K means and exponent caps; NULL: generated by the model
};

/** Compiles the model for the device and loads it; one that is not quantised is first, by rounding
 *  each weight to the nearest. Ends earlier sessions' right to run: destroy them.
 *  error  TP_ERROR_TOO_LARGE    which limit, and by how much
 *         TP_ERROR_UNSUPPORTED  the shape is not one that the device can run
 *         TP_ERROR_CANCELLED    by the progress callback
 *         TP_ERROR_TIMEOUT, TP_ERROR_DEVICE, TP_ERROR_NO_MEMORY, TP_ERROR_IO */
TP_MUST_USE tp_status tp_device_load(tp_device *device, tp_model *model,
                                     const struct tp_load_options *options, struct tp_error *error);

/** What tp_device_verify has compared. */
struct tp_verify_report {
    uint64_t words;  ///< that are right
    double seconds;  ///< that it took
    char space
        [TP_NAME_BYTES];  ///< memory space of the first wrong word, "weight"; "": none is wrong
    uint32_t address;     ///< of that word in its space (docs/link.md)
    uint32_t expected;    ///< the word of the model
    uint32_t found;       ///< the word of the device
};

/** Compares what the memories of a device hold with the model that is loaded, by checksums that the
 *  device computes: weights, program, gains, constants, frequencies. Not codebooks, page tables and
 *  registers, and not the second copy of the gains that a device with a head norm has.
 *  out    report  always; NULL is allowed
 *  error  TP_ERROR_MISMATCH     a word differs, and which
 *         TP_ERROR_UNSUPPORTED  the device cannot read its memories back
 *         TP_ERROR_BUSY         a session has a run
 *         TP_ERROR_INVALID      device is NULL, or nothing is loaded
 *         TP_ERROR_TIMEOUT, TP_ERROR_DEVICE, TP_ERROR_LINK
 *  thread no other call on the device */
TP_MUST_USE tp_status tp_device_verify(tp_device *device, struct tp_verify_report *report,
                                       struct tp_error *error);

/** How a device gets another model. */
struct tp_reconfigure_options {
    struct tp_load_options load;
    bool by_bitstream;  ///< through the configuration port; what no block RAM holds goes over the
                        ///< link. false: everything goes over the link
    const char *map;    ///< of the device's design; NULL: of the one that it was booted with
    const char *bits;   ///< a partial bitstream with the model; NULL: one is made, of what differs
    const char *from;   ///< a bitstream whose contents the device has; NULL: none is known, but
                        ///< for the model that is loaded
};

struct tp_reconfigure_report {
    const char *fault;        ///< of the bitstream, "none"; never NULL
    uint64_t bytes;           ///< of the bitstream; 0: none was sent
    uint32_t block_rams;      ///< that it wrote
    uint64_t link_words;      ///< that went over the link
    uint64_t words_verified;  ///< of the model that is there in the end, which the device holds
                              ///< right; 0: it cannot read them back
    uint32_t sessions_kept;   ///< whose tokens are computed again
    uint32_t sessions_ended;  ///< which the new model cannot go on with
    bool restored;            ///< of a failure: the old model was loaded again
    double seconds;           ///< during which the sessions stood still
};

/** Gives the device another model while it has sessions. Their turns are ended, the device gets the
 *  model, then their tokens are computed again under it and the runs go on: what follows is what a
 *  session of the new model with this history would have brought (logits are told of further
 *  positions only). A session ends with TP_END_MODEL, and can only be destroyed, where the tokens
 *  of the models are not the same, or its history does not fit the new context. After a failure the
 *  device has the old model again and the sessions go on as if nothing had been.
 *
 *  The contents of the bitstream are held against the model before anything is sent. What the
 *  device then holds is verified as by tp_device_verify, if it can read its memories back; a word
 *  that differs is a failure.
 *  out    report  always
 *  error  as tp_device_load before anything was changed
 *         TP_ERROR_UNSUPPORTED  by_bitstream: the device has no configuration port
 *         TP_ERROR_MISMATCH     bits do not hold this model, or are of another design than the map;
 *                               or the device did not hold the model when it had been loaded
 *         TP_ERROR_FORMAT, TP_ERROR_NOT_FOUND, TP_ERROR_RANGE  bits, from or map are damaged, or
 *                               not of each other
 *         TP_ERROR_TIMEOUT, TP_ERROR_DEVICE, TP_ERROR_LINK
 *  thread no other call on the device, and none on its sessions but tp_session_read */
TP_MUST_USE tp_status tp_device_reconfigure(tp_device *device, tp_model *model,
                                            const struct tp_reconfigure_options *options,
                                            struct tp_reconfigure_report *report,
                                            struct tp_error *error);

/** Positions of a page of the KV memory: sessions take it in whole pages. */
enum {
    TP_PAGE_POSITIONS = 16,
};

/** What a device was loaded with. */
struct tp_load_info {
    uint64_t matrix_bytes;   ///< codes and scales of all matrices, without the device's padding
    uint32_t weight_beats;   ///< of the device's weight memory
    uint32_t context;        ///< the most positions of a session
    uint32_t kv_positions;   ///< of the KV memory, for all sessions
    uint32_t sessions;       ///< slots that are used
    uint32_t prefill_slots;  ///< slots that a prompt may have
};

/** error  TP_ERROR_INVALID  nothing is loaded */
TP_MUST_USE tp_status tp_device_get_load(const tp_device *device, struct tp_load_info *info,
                                         struct tp_error *error);

/** Says whether the model fits a device of tp_device_list, without quantising it.
 *  error  as tp_device_load */
TP_MUST_USE tp_status tp_model_check(const tp_model *model, const struct tp_device_info *info,
                                     const struct tp_load_options *options, struct tp_error *error);

/** What a model costs on a device. */
struct tp_cost {
    uint64_t matrix_bytes;    ///< codes and scales
    uint32_t weight_beats;    ///< of the weight memory
    uint32_t instructions;    ///< of the program
    uint32_t context;         ///< the most positions of a session
    uint32_t kv_positions;    ///< of the KV memory, for all sessions
    uint64_t load_bytes;      ///< of the words that are loaded into the memories
    uint64_t link_bytes;      ///< of the frames that carry them
    uint32_t block_rams;      ///< that the model writes, in block RAMs of 512 words of 36 bits
    uint64_t stream_bytes;    ///< of a partial bitstream with them
    double cycles_per_token;  ///< predicted: mean of the first 256 positions of one session, greedy
};

/** Tells the cost, without quantising; quick also for large models.
 *  error  as tp_model_check */
TP_MUST_USE tp_status tp_model_get_cost(const tp_model *model, const struct tp_device_info *info,
                                        const struct tp_load_options *options, struct tp_cost *cost,
                                        struct tp_error *error);

/** A limit of a device beside what a model needs of it. */
struct tp_need {
    char what[TP_NAME_BYTES];  ///< "weights"
    char unit[TP_NAME_BYTES];  ///< "beats"
    uint64_t need;
    uint64_t have;  ///< less than need: this is why the model does not fit
};

/** Lists all that a model needs of a device of tp_device_list, whether or not it fits. The KV
 *  memory is counted for one session of the context of options; for context 0 for one page.
 *  out    needs  [min(max, *count)], count  how many there are
 *  error  TP_ERROR_INVALID, TP_ERROR_NO_MEMORY, or that of the formats (automatic ones) */
TP_MUST_USE tp_status tp_model_get_needs(const tp_model *model, const struct tp_device_info *info,
                                         const struct tp_load_options *options,
                                         struct tp_need *needs, size_t max, size_t *count,
                                         struct tp_error *error);

// ---- forecasts: where the cycles of a step go ----

/** The units that execute instructions. */
typedef enum tp_unit { TP_UNIT_MATRIX, TP_UNIT_ROTATION, TP_UNIT_ATTENTION, TP_UNIT_COUNT } tp_unit;

/** "matrix" ... */
const char *tp_unit_name(tp_unit unit);

/** What an instruction is for. */
typedef enum tp_work {
    TP_WORK_ROTATION,
    TP_WORK_EMBEDDING,
    TP_WORK_QUERY,
    TP_WORK_KEY,
    TP_WORK_VALUE,
    TP_WORK_ATTENTION,
    TP_WORK_OUTPUT,
    TP_WORK_GATE,
    TP_WORK_DOWN,
    TP_WORK_CLASSIFIER,
    TP_WORK_ISSUE,  ///< of the ledger: no instruction, the sequencer fetches and issues
    TP_WORK_COUNT
} tp_work;

/** "queries" ... */
const char *tp_work_name(tp_work work);

/** One instruction of one slot in a step. Cycles count from the beginning of the step. */
struct tp_item {
    const char *note;      ///< "layer 3: queries"; of the forecast
    uint32_t instruction;  ///< number in the program
    uint32_t slot;
    tp_unit unit;
    tp_work work;
    uint32_t issued;
    uint32_t free;       ///< first cycle in which the unit takes another instruction
    uint32_t completed;  ///< last cycle in which it is in flight
    uint32_t beats;      ///< weight beats that it multiplies with
};

/** Where cycles of the matrix unit went; docs/performance.md defines the four. Their sum over all
 *  kinds of work is the cycles of the steps, exactly. */
struct tp_ledger_line {
    uint64_t instructions;
    uint64_t busy;      ///< it multiplies: weight beats of this work
    uint64_t filling;   ///< it is taken by this work, but waits for the pace of others
    uint64_t draining;  ///< nothing to do until what it computed itself for this work is done
    uint64_t waiting;   ///< nothing to do until this work of another unit, or an issue, is done
};

/** Sums over steps. */
struct tp_ledger {
    uint64_t steps;
    uint64_t tokens;
    uint64_t cycles;
    uint64_t products;  ///< multiply-accumulates of the model's matrices, without any padding
    struct tp_ledger_line lines[TP_WORK_COUNT];
    uint64_t occupied[TP_UNIT_COUNT];  ///< cycles in which the unit is taken
};

/** The schedule that a device of some configuration keeps with a model: no device is needed. One
 *  thread at a time uses it. */
typedef struct tp_forecast tp_forecast;

/** Compiles the model without its numbers; quick also for large models.
 *  owns   the caller; the model may be closed before
 *  error  as tp_model_check */
TP_MUST_USE tp_status tp_forecast_create(const tp_model *model, const struct tp_device_info *info,
                                         const struct tp_load_options *options,
                                         tp_forecast **forecast, struct tp_error *error);
void tp_forecast_destroy(tp_forecast *forecast);

void tp_forecast_get_cost(const tp_forecast *forecast, struct tp_cost *cost);

/** Schedules a step.
 *  in     step   its cycles do not count
 *  out    items  [min(max, *count)] in the order of issue; may be NULL; count  how many there are
 *  Returns the cycles of the step; 0: it is none that the device could make. */
uint32_t tp_forecast_step(tp_forecast *forecast, const struct tp_step *step, struct tp_item *items,
                          size_t max, size_t *count);

/** Schedules a step and adds it to a ledger, which starts with all 0. Returns its cycles; 0: it is
 *  none that the device could make, and nothing was added. */
uint32_t tp_forecast_add(tp_forecast *forecast, const struct tp_step *step,
                         struct tp_ledger *ledger);

/** Writes the annotated listing of the loaded program to text, NUL-terminated.
 *  out    size  bytes needed with the NUL, also when max is too small (then TP_ERROR_FULL)
 *  error  TP_ERROR_INVALID  nothing is loaded */
TP_MUST_USE tp_status tp_device_listing(tp_device *device, char *text, size_t max, size_t *size,
                                        struct tp_error *error);

// ---- sessions ----

typedef enum tp_end {
    TP_END_NONE,       ///< a token follows
    TP_END_FED,        ///< the tokens were processed, none was asked for
    TP_END_LIMIT,      ///< the asked number of tokens was generated
    TP_END_STOP,       ///< a stop token
    TP_END_STOP_TEXT,  ///< a stop string; it is not part of the text
    TP_END_CONTEXT,    ///< the context is full
    TP_END_CANCEL,     ///< tp_session_cancel
    TP_END_FAILED,     ///< the device failed; only callbacks see it, tp_session_read fails instead
    TP_END_PAGES,      ///< no page is free, and the session does not wait; the next run goes on
    TP_END_MODEL       ///< tp_device_reconfigure: the new model cannot go on with the session
} tp_end;

/** "limit", "stop" ... */
const char *tp_end_name(tp_end end);

/** A token that could have come. */
struct tp_candidate {
    uint32_t id;
    float log_probability;
};

/** One token, or the end of a run. */
struct tp_token {
    tp_end end;  ///< TP_END_NONE: id is a token; else the run ended and id is meaningless
    uint32_t id;
    uint32_t position;  ///< of the token in the session
    uint32_t text_bytes;
    const char *text;  ///< whole UTF-8 characters, NUL-terminated, may be empty; of the session,
                       ///< valid until its next tp_session_read (or the end of the callback)
    float log_probability;  ///< of this token; NAN unless the session asked for candidates
    uint32_t candidate_count;
    const struct tp_candidate *candidates;  ///< the most likely tokens, falling; valid like text
};

/** From the device's thread, for each token and for the end of the run; must not call the session.
 */
typedef void (*tp_token_callback)(void *user, const struct tp_token *token);
/** From the device's thread, after each position. logits [vocab], Q16.16, valid during the call. */
typedef void (*tp_logits_callback)(void *user, uint32_t position, const int32_t *logits,
                                   uint32_t vocab);

/** How a session samples; all 0 is greedy. The settings work one after the other. First
 *  repetition_penalty: the logits of the last 64 tokens of the session are divided by it where they
 *  are positive, else multiplied with it, in greedy sampling too. Then top_k: the k most likely
 *  tokens stay; where it is 0 and top_p or min_p is not, as many as the device sorts. Then top_p:
 *  of these the most likely ones stay whose probabilities, at temperature 1 and among these, reach
 *  p together; and min_p: of these those stay that have at least min_p times the probability of the
 *  first. Last temperature: of what is left one token is drawn.
 *
 *  Log probabilities are natural logarithms, at temperature 1 over the whole vocabulary, after the
 *  penalty and before everything else. */
struct tp_session_options {
    float temperature;         ///< 0 = greedy: top_k, top_p, min_p do not count; else 0.01..100
    uint32_t top_k;            ///< 0 = all, else 1..top_k of the device, at most 64
    uint64_t seed;             ///< of the session's random stream
    float repetition_penalty;  ///< 0 or 1 = off, else 1..3.9
    float top_p;               ///< 0 or 1 = off, else below 1
    float min_p;               ///< 0 = off, else up to 1
    uint32_t candidates;       ///< 0..64: how many candidates each tp_token has; the session
                               ///< keeps 8 bytes for each of every position of its context
    bool ignore_eos;           ///< do not stop at the tokenizer's end tokens
    bool fails_without_pages;  ///< ends a run for which the KV memory has no page; else it waits
    uint32_t stop_tokens[8];
    uint32_t stop_token_count;
    const char *stop_strings[TP_STOP_STRINGS_MAX];
    uint32_t stop_string_count;
    tp_token_callback on_token;    ///< or NULL: read with tp_session_read
    tp_logits_callback on_logits;  ///< or NULL
    void *user;
};

/** A new session on the device. options may be NULL (greedy). There may be more sessions than slots
 *  and more than the KV memory holds: their runs take turns (docs/sessions.md).
 *  error  TP_ERROR_INVALID  no model is loaded, or an option is out of its range
 *         TP_ERROR_UNSUPPORTED  the device has no penalty, top-k, top-p, min-p and candidates
 *         TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_session_create(tp_device *device, const struct tp_session_options *options,
                                        tp_session **session, struct tp_error *error);
/** Cancels a run and waits for its end. Pages that others can go on from are kept until their space
 *  is needed. */
void tp_session_destroy(tp_session *session);

/** A new session with the history of another one, which it goes on from by itself. Nothing is
 *  copied on the device: full pages are shared, and the last, partly filled one is computed again.
 *  in     options  as tp_session_create, for another seed or another way of sampling; NULL: those
 *                  of session, with its callbacks. Logits are told of further positions only
 *  owns   the caller
 *  error  TP_ERROR_BUSY      a run of session is under way
 *         TP_ERROR_MISMATCH  as tp_session_generate
 *         as tp_session_create */
TP_MUST_USE tp_status tp_session_fork(tp_session *session, const struct tp_session_options *options,
                                      tp_session **fork, struct tp_error *error);

/** Takes tokens back: the first position tokens of the history stay, as though the last of them had
 *  just been fed. What is fed or generated then is what it were if the others had never been.
 *  in     position  0 .. tokens of the history, which are those fed and those generated
 *  error  TP_ERROR_BUSY      a run is under way
 *         TP_ERROR_MISMATCH  as tp_session_generate
 *         TP_ERROR_RANGE     the history is not so long */
TP_MUST_USE tp_status tp_session_rewind(tp_session *session, uint32_t position,
                                        struct tp_error *error);

/** Saves how the session samples and its tokens. Its keys and values are not saved: they are
 *  computed again, and are the same. A file of that name is replaced, whole or not at all.
 *  error  TP_ERROR_BUSY      a run is under way
 *         TP_ERROR_MISMATCH  as tp_session_generate
 *         TP_ERROR_IO, TP_ERROR_NO_MEMORY, TP_ERROR_INVALID */
TP_MUST_USE tp_status tp_session_save(const tp_session *session, const char *path,
                                      struct tp_error *error);

/** A saved session, which goes on with the tokens that it would have had, on any device with the
 *  same model in the same format. It is as though its last token had just been fed.
 *  in     options  as tp_session_create; NULL: those that were saved, without callbacks. Logits are
 *                  told of further positions only
 *  owns   the caller
 *  error  TP_ERROR_FORMAT       damaged, cut off, or no saved session
 *         TP_ERROR_UNSUPPORTED  of another version, or the device cannot sample so
 *         TP_ERROR_MISMATCH     saved with another model or format
 *         TP_ERROR_FULL         more tokens than the context of this device
 *         TP_ERROR_INVALID      no model is loaded, or an option is out of its range
 *         TP_ERROR_IO, TP_ERROR_TOO_LARGE, TP_ERROR_NO_MEMORY */
TP_MUST_USE tp_status tp_session_restore(tp_device *device, const char *path,
                                         const struct tp_session_options *options,
                                         tp_session **session, struct tp_error *error);

/** Appends tokens to the input of the next run.
 *  error  TP_ERROR_RANGE     a token is not of the vocabulary
 *         TP_ERROR_FULL      the context has no room; nothing was taken
 *         TP_ERROR_MISMATCH  as tp_session_generate
 *         TP_ERROR_BUSY      a run is under way */
TP_MUST_USE tp_status tp_session_feed(tp_session *session, const uint32_t *tokens, size_t count,
                                      struct tp_error *error);
/** Appends a text; puts BOS before it when the session is still empty and the tokenizer wants it.
 *  error  as tp_model_encode and tp_session_feed */
TP_MUST_USE tp_status tp_session_feed_text(tp_session *session, const char *text,
                                           struct tp_error *error);

/** Appends messages in the form of a chat template, with BOS before them when the session is still
 *  empty and the tokenizer wants it.
 *
 *  A talk may be fed turn by turn: with answer, what is generated or fed next is that answer, until
 *  the next call, which first ends it as the template does, in place of the stop token that ended
 *  it, if one did; count 0 only ends it. The history is then that of the whole talk in one call
 *  (docs/tokenizers.md says where it cannot be). Forks and saved sessions keep an open answer; a
 *  rewind to before it forgets it.
 *  in     name, messages, count, answer  as tp_model_chat takes them
 *  error  as tp_model_chat and tp_session_feed_text */
TP_MUST_USE tp_status tp_session_feed_chat(tp_session *session, const char *name,
                                           const struct tp_chat_message *messages, size_t count,
                                           bool answer, struct tp_error *error);

/** Starts a run: processes the fed tokens, then generates up to count tokens. Returns at once; what
 *  goes wrong on the device later, the reader hears.
 *  error  TP_ERROR_INVALID  nothing to process
 *         TP_ERROR_MISMATCH  the device got a model that cannot go on with the session
 *         TP_ERROR_BUSY     a run is under way
 *         TP_ERROR_FULL     the context is full; or fails_without_pages, and there are none
 *         TP_ERROR_TIMEOUT, TP_ERROR_DEVICE, TP_ERROR_LINK  the device has failed; also
 *                           TP_ERROR_MISMATCH */
TP_MUST_USE tp_status tp_session_generate(tp_session *session, uint32_t count,
                                          struct tp_error *error);

/** Takes the next token of the run, or its end.
 *  in     timeout_ms  -1 waits for ever, 0 does not wait
 *  error  TP_ERROR_TIMEOUT   none yet
 *         TP_ERROR_INVALID   no run, and nothing left to read
 *         TP_ERROR_MISMATCH  predicted and counted cycles differ; the device is unusable
 *         TP_ERROR_DEVICE    the device failed, is gone, or was reset
 *         TP_ERROR_LINK      losses on the link came faster than steps; the device is unusable */
TP_MUST_USE tp_status tp_session_read(tp_session *session, struct tp_token *token, int timeout_ms,
                                      struct tp_error *error);

/** A descriptor that is readable (poll, select) while tp_session_read would not wait. Do not read,
 *  write or close it. -1 when the session has a token callback. */
int tp_session_descriptor(const tp_session *session);

/** Ends the run at the end of the current step; the end arrives as TP_END_CANCEL. */
TP_MUST_USE tp_status tp_session_cancel(tp_session *session, struct tp_error *error);

struct tp_session_statistics {
    uint32_t position;          ///< positions processed
    uint64_t prompt_tokens;     ///< fed
    uint64_t generated_tokens;  ///< sampled
    double seconds_to_first;    ///< from the last generate to its first token
    double seconds_run;         ///< of the last run
    // Since the session was created:
    double seconds_queued;        ///< in a run, but waiting for a slot or for pages
    double seconds_between_mean;  ///< from a token of a run to its next one
    double seconds_between_max;
    uint64_t prefix_tokens;      ///< fed tokens that another session had processed
    uint64_t recomputed_tokens;  ///< positions that were processed again: their pages were given up
    uint64_t prefill_tokens;     ///< positions that were processed several in a step
};
void tp_session_get_statistics(const tp_session *session, struct tp_session_statistics *statistics);

#ifdef __cplusplus
}
#endif

#endif
