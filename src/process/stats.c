/* SPDX-License-Identifier: Apache-2.0
 * The figures of --stats. */
#include "process/stats.h"

#include "host/clock.h"
#include "process/internal.h"

#include <stdio.h>

struct figure {
    const char *name;
    uint64_t value;
};

static void print_text(const struct figure *figures, size_t count, double seconds)
{
    fprintf(stderr, "doppel: %.3f s\n", seconds);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "  %12llu %s\n", (unsigned long long)figures[i].value, figures[i].name);
}

static void print_json(const struct figure *figures, size_t count, double seconds)
{
    fprintf(stderr, "{\"seconds\": %.3f", seconds);
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, ", \"%s\": %llu", figures[i].name, (unsigned long long)figures[i].value);
    fprintf(stderr, "}\n");
}

void process_stats_print(struct process *process)
{
    struct translator_stats t = {0};
    double seconds = (double)(clock_monotonic_ns() - process->started_ns) / 1e9;

    if (process->translator)
        t = translator_stats(process->translator);
    const struct figure figures[] = {
        {"units", t.units},
        {"guest_instructions", t.guest_instructions},
        {"host_bytes", t.host_bytes},
        {"translate_ns", t.translate_ns},
        {"cache_used", t.cache_used},
        {"flushes", t.flushes},
        {"units_killed", t.units_killed},
        {"pages_checked", t.pages_checked},
        {"links", t.links},
        {"jump_misses", t.jump_misses},
        {"exits_find", t.exits_find},
        {"exits_poll", t.exits_poll},
        {"fallbacks", t.fallbacks},
    };
    if (process->config.stats_json)
        print_json(figures, ARRAY_LEN(figures), seconds);
    else
        print_text(figures, ARRAY_LEN(figures), seconds);
}
