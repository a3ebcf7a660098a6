// SPDX-License-Identifier: Apache-2.0
//
// The simulated RTL as a device: a shared object of build/sim, loaded at run time.
//
// A device that was built with tracing (make build/sim/CONFIG-trace.so, the device
// sim:CONFIG-trace) writes the FST file that the environment variable TP_SIM_WAVE names;
// TP_SIM_WAVE_STEP says of which step.

#include "sim_device.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

// Some milliseconds at the speed of a simulated device.
enum { CYCLES_OF_EXCHANGE = 4096, PATH_BYTES = 1200, SEED = 1 };

struct simulated {
    void *library;
    const struct tp_sim_entry *entry;
    struct tp_sim *sim;
    uint64_t cycles;  // of the last exchange
};

static void sim_close(void *state)
{
    struct simulated *s = state;
    if (s == NULL) {
        return;
    }
    if (s->sim != NULL) {
        s->entry->destroy(s->sim);
    }
    if (s->library != NULL) {
        (void)dlclose(s->library);
    }
    free(s);
}

static tp_status load(struct simulated *s, const char *name, const char *path,
                      struct tp_error *error)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        size_t size = strlen(name);
        bool is_traced = size > 6 && strcmp(name + size - 6, "-trace") == 0;
        return is_traced ? tp__fail(error, TP_ERROR_NOT_FOUND,
                                    "sim:%s was not built - try: make build/sim/%s.so", name, name)
                         : tp__fail(error, TP_ERROR_NOT_FOUND,
                                    "sim:%s: %s is not there - try: make build, or tokproc devices",
                                    name, tp__short_name(path));
    }
    (void)fclose(file);
    s->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (s->library == NULL) {
        return tp__fail(error, TP_ERROR_DEVICE, "sim:%s cannot be loaded: %s", name, dlerror());
    }
    s->entry = dlsym(s->library, TP_SIM_ENTRY);
    if (s->entry == NULL || s->entry->abi != TP_SIM_ABI) {
        return tp__fail(error, TP_ERROR_DEVICE,
                        "sim:%s was built for another version of the library - try: make build",
                        name);
    }
    const char *step = getenv("TP_SIM_WAVE_STEP");
    s->sim = s->entry->create(SEED, getenv("TP_SIM_WAVE"),
                              step != NULL ? (uint32_t)strtoul(step, NULL, 10) : 0);
    return s->sim != NULL ? TP_OK
                          : tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for sim:%s", name);
}

static tp_status sim_open(const char *name, const char *folder, void **state,
                          struct tp_error *error)
{
    char path[PATH_BYTES];
    if (name[0] == 0 || strchr(name, '/') != NULL) {
        return tp__fail(error, TP_ERROR_NOT_FOUND,
                        "sim needs the name of a configuration, sim:NAME - try: tokproc devices");
    }
    int size = snprintf(path, sizeof path, "%s/%s.so", folder, name);
    if (size < 0 || (size_t)size >= sizeof path) {
        return tp__fail(error, TP_ERROR_INVALID, "the name of the device folder is too long");
    }
    struct simulated *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return tp__fail(error, TP_ERROR_NO_MEMORY, "no memory for a simulated device");
    }
    tp_status status = load(s, name, path, error);
    if (status != TP_OK) {
        sim_close(s);
        return status;
    }
    *state = s;
    return TP_OK;
}

static tp_status sim_exchange(void *state, const uint8_t *out, size_t out_count, size_t *out_taken,
                              uint8_t *in, size_t in_max, size_t *in_count, struct tp_error *error)
{
    struct simulated *s = state;
    (void)error;
    s->cycles =
        s->entry->run(s->sim, CYCLES_OF_EXCHANGE, out, out_count, out_taken, in, in_max, in_count);
    return TP_OK;
}

// A device that has nothing to do ends an exchange early; so does one that gave bytes.
static bool sim_has_work(const void *state)
{
    const struct simulated *s = state;
    return s->cycles == CYCLES_OF_EXCHANGE;
}

// ---- the configuration port ----

// Maps name memories from the top of a board on, a simulated device has the core.
static const char *name_in_core(const struct tp_memory_place *place)
{
    static const char core[] = "u_core.";
    const char *found = strstr(place->name, core);
    return found != NULL ? found + sizeof core - 1 : "";
}

static bool sim_read_memory(void *state, const struct tp_memory_place *place, uint32_t word,
                            uint8_t value[TP_MEMORY_WORD_BYTES])
{
    struct simulated *s = state;
    return s->entry->memory(s->sim, name_in_core(place), word, value, TP_MEMORY_WORD_BYTES, false);
}

static void sim_write_memory(void *state, const struct tp_memory_place *place, uint32_t word,
                             const uint8_t value[TP_MEMORY_WORD_BYTES])
{
    struct simulated *s = state;
    uint8_t copy[TP_MEMORY_WORD_BYTES];
    memcpy(copy, value, sizeof copy);
    (void)s->entry->memory(s->sim, name_in_core(place), word, copy, sizeof copy, true);
}

static bool sim_is_quiescent(void *state)
{
    struct simulated *s = state;
    size_t taken = 0;
    size_t got = 0;
    // Without room for a byte, the device stops where it has one to give.
    s->cycles = s->entry->run(s->sim, CYCLES_OF_EXCHANGE, NULL, 0, &taken, NULL, 0, &got);
    return s->entry->is_idle(s->sim);
}

const struct tp_backend tp__backend_sim = {
    .kind = "sim",
    .open = sim_open,
    .close = sim_close,
    .exchange = sim_exchange,
    .has_work = sim_has_work,
    .read_memory = sim_read_memory,
    .write_memory = sim_write_memory,
    .is_quiescent = sim_is_quiescent,
};
