// SPDX-License-Identifier: Apache-2.0
//
// tokproc info: facts of a model, and the program that it compiles to.

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "verbs.h"

static void print_facts(const struct tp_model_info *m)
{
    printf("%s: %s, architecture %s, %" PRIu64 " parameters\n", m->name, m->file_format,
           m->architecture, m->parameters);
    printf("dim %" PRIu32 ", hidden %" PRIu32 ", %" PRIu32 " layers, %" PRIu32 " heads of %" PRIu32
           ", %" PRIu32 " KV heads, vocabulary %" PRIu32 ", %" PRIu32 " positions, classifier %s\n",
           m->dim, m->hidden, m->layers, m->heads, m->head_size, m->kv_heads, m->vocab, m->context,
           m->tied ? "tied to the embedding" : "of its own");
    if (m->window != 0) {
        printf("limited to its window of attention, %" PRIu32 " positions\n", m->window);
    }
    if (m->has_tokenizer) {
        printf("tokenizer: start %" PRIu32 ", end %" PRIu32 "; chat template: %s\n", m->bos, m->eos,
               m->chat != NULL ? m->chat : "none of the known ones (name one with --chat)");
    } else {
        printf("no tokenizer\n");
    }
}

// A device of the chosen configuration is needed for its limits only, so the emulator will do.
static void prefer_emulator(struct work *work)
{
    if (strncmp(work->device_name, "sim:", 4) == 0) {
        memmove(work->device_name, "emu:", 4);
    }
}

static int print_program(struct work *work)
{
    struct tp_error error = {.status = TP_OK};
    size_t size = 0;
    tp_status status = tp_device_listing(work->device, NULL, 0, &size, &error);
    char *text = status == TP_ERROR_FULL ? malloc(size) : NULL;
    if (text != NULL) {
        status = tp_device_listing(work->device, text, size, &size, &error);
    }
    if (status != TP_OK) {
        free(text);
        return failed(&error);
    }
    printf("%s", text);
    free(text);
    return EXIT_OK;
}

int verb_info(const struct options *options)
{
    struct work work;
    int status = work_open_model(&work, options);
    const struct tp_model_info *m = &work.model_info;
    if (status == EXIT_OK && !options->json) {
        print_facts(m);
        if (m->quantised) {
            print_image_facts(work.model);
        }
        if (!options->program) {
            print_costs(work.model, options);
        }
    }
    if (status == EXIT_OK && options->program) {
        status = work_choose_device(&work, options, 0, NULL);
        prefer_emulator(&work);
        status = status == EXIT_OK ? work_load(&work, options) : status;
        status = status == EXIT_OK ? print_program(&work) : status;
    }
    if (status == EXIT_OK && options->json) {
        json_t *object = json_pack(
            "{s:s, s:s, s:s, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:b, s:s?, "
            "s:o}",
            "name", m->name, "architecture", m->architecture, "file_format", m->file_format,
            "parameters", (json_int_t)m->parameters, "dim", (int)m->dim, "hidden", (int)m->hidden,
            "layers", (int)m->layers, "heads", (int)m->heads, "head_size", (int)m->head_size,
            "kv_heads", (int)m->kv_heads, "vocab", (int)m->vocab, "context", (int)m->context,
            "window", (int)m->window, "tied", (int)m->tied, "has_tokenizer", (int)m->has_tokenizer,
            "chat", m->chat, "costs", costs_of(work.model, options));
        if (m->quantised) {
            (void)json_object_update_new(object, facts_of_image(work.model));
        }
        status = print_json(object);
    }
    work_close(&work);
    return status;
}
