// SPDX-License-Identifier: Apache-2.0
//
// The ledger of cycles.

#include "accounts.h"

#include <inttypes.h>
#include <stdio.h>

double multiplier_use(const struct tp_ledger *ledger, uint32_t groups)
{
    double lanes = (double)groups * LANES_OF_GROUP;
    return ledger->cycles == 0 ? 0 : (double)ledger->products / (lanes * (double)ledger->cycles);
}

int account_steps(tp_forecast *forecast, struct tp_step *steps, size_t count, uint64_t predicted,
                  struct tp_ledger *ledger)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t cycles = tp_forecast_add(forecast, &steps[i], ledger);
        if (cycles == 0 || (steps[i].cycles != 0 && steps[i].cycles != cycles)) {
            fprintf(stderr,
                    "tokproc: step %" PRIu32 " took %" PRIu32 " cycles, its schedule %" PRIu32 "\n",
                    steps[i].number, steps[i].cycles, cycles);
            return EXIT_FAILED;
        }
        steps[i].cycles = cycles;
    }
    if (ledger->cycles != predicted) {
        fprintf(stderr, "tokproc: the ledger has %" PRIu64 " cycles, the steps took %" PRIu64 "\n",
                ledger->cycles, predicted);
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

uint32_t cycles_at(tp_forecast *forecast, uint32_t slots, uint32_t context,
                   struct tp_ledger *ledger)
{
    const uint32_t all = (1u << slots) - 1;
    struct tp_step step = {.active = all, .logits = all, .fast = all};
    for (uint32_t s = 0; s < slots; s++) {
        step.positions[s] = context - 1;
    }
    *ledger = (struct tp_ledger){0};
    return tp_forecast_add(forecast, &step, ledger);
}

uint32_t add_first_steps(tp_forecast *forecast, uint32_t positions, struct tp_ledger *ledger)
{
    struct tp_step step = {.active = 1, .logits = 1, .fast = 1};
    for (step.positions[0] = 0; step.positions[0] < positions; step.positions[0]++) {
        (void)tp_forecast_add(forecast, &step, ledger);
    }
    return positions;
}

static uint64_t sum_of(const struct tp_ledger_line *line)
{
    return line->busy + line->filling + line->draining + line->waiting;
}

static struct tp_ledger_line total_of(const struct tp_ledger *ledger)
{
    struct tp_ledger_line total = {0};
    for (int work = 0; work < TP_WORK_COUNT; work++) {
        const struct tp_ledger_line *line = &ledger->lines[work];
        total.instructions += line->instructions;
        total.busy += line->busy;
        total.filling += line->filling;
        total.draining += line->draining;
        total.waiting += line->waiting;
    }
    return total;
}

static void print_line(const char *name, const struct tp_ledger_line *line, double tokens,
                       double cycles)
{
    printf("  %-12s %8.1f %8.1f %8.1f %8.1f %8.1f %6.1f %%\n", name, (double)line->busy / tokens,
           (double)line->filling / tokens, (double)line->draining / tokens,
           (double)line->waiting / tokens, (double)sum_of(line) / tokens,
           100 * (double)sum_of(line) / cycles);
}

void print_ledger(const struct tp_ledger *ledger)
{
    double tokens = ledger->tokens == 0 ? 1 : (double)ledger->tokens;
    double cycles = ledger->cycles == 0 ? 1 : (double)ledger->cycles;
    struct tp_ledger_line total = total_of(ledger);
    printf("ledger, cycles per token\n  %-12s %8s %8s %8s %8s %8s\n", "", "busy", "filling",
           "draining", "waiting", "sum");
    for (int work = 0; work < TP_WORK_COUNT; work++) {
        const struct tp_ledger_line *line = &ledger->lines[work];
        if (line->instructions != 0 || sum_of(line) != 0) {
            print_line(tp_work_name((tp_work)work), line, tokens, cycles);
        }
    }
    print_line("sum", &total, tokens, cycles);
    printf("units taken  ");
    for (int unit = 0; unit < TP_UNIT_COUNT; unit++) {
        printf("%s %s %.1f %%", unit == 0 ? "" : ",", tp_unit_name((tp_unit)unit),
               100 * (double)ledger->occupied[unit] / cycles);
    }
    printf("\n");
}

static json_t *line_to_json(const struct tp_ledger_line *line)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "instructions", (json_int_t)line->instructions,
                     "busy", (json_int_t)line->busy, "filling", (json_int_t)line->filling,
                     "draining", (json_int_t)line->draining, "waiting", (json_int_t)line->waiting);
}

json_t *ledger_to_json(const struct tp_ledger *ledger)
{
    struct tp_ledger_line total = total_of(ledger);
    json_t *lines = json_object();
    json_t *units = json_object();
    for (int work = 0; work < TP_WORK_COUNT; work++) {
        (void)json_object_set_new(lines, tp_work_name((tp_work)work),
                                  line_to_json(&ledger->lines[work]));
    }
    for (int unit = 0; unit < TP_UNIT_COUNT; unit++) {
        (void)json_object_set_new(units, tp_unit_name((tp_unit)unit),
                                  json_integer((json_int_t)ledger->occupied[unit]));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "steps", (json_int_t)ledger->steps,
                     "tokens", (json_int_t)ledger->tokens, "cycles", (json_int_t)ledger->cycles,
                     "products", (json_int_t)ledger->products, "work", lines, "sum",
                     line_to_json(&total), "units", units);
}
