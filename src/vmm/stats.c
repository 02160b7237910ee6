/* SPDX-License-Identifier: Apache-2.0
 * The figures of --stats. */
#include "vmm/stats.h"

#include <stdio.h>

#include "base/bits.h"

struct figure {
    const char *name;
    uint64_t value;
};

static double seconds_of(const struct machine_stats *stats)
{
    return (double)stats->run_ns / 1e9;
}

static double mips_of(const struct machine_stats *stats)
{
    return stats->run_ns ? (double)stats->instructions / (double)stats->run_ns * 1e3 : 0;
}

static double per(uint64_t value, uint64_t of)
{
    return of ? (double)value / (double)of : 0;
}

static void print_json(const struct machine_stats *stats)
{
    const struct translator_stats *t = &stats->translator;
    const struct figure figures[] = {
        {"units", t->units},
        {"guest_instructions", t->guest_instructions},
        {"host_bytes", t->host_bytes},
        {"translate_ns", t->translate_ns},
        {"cache_used", t->cache_used},
        {"flushes", t->flushes},
        {"units_killed", t->units_killed},
        {"pages_checked", t->pages_checked},
        {"links", t->links},
        {"jump_misses", t->jump_misses},
        {"exits_find", t->exits_find},
        {"exits_poll", t->exits_poll},
        {"fallbacks", t->fallbacks},
        {"tlb_refills", t->tlb_refills},
        {"slow_accesses", t->slow_accesses},
    };

    fprintf(stderr, "{\"instructions\": %llu, \"traps\": %llu, \"seconds\": %.3f, \"mips\": %.1f",
            (unsigned long long)stats->instructions, (unsigned long long)stats->traps,
            seconds_of(stats), mips_of(stats));
    if (stats->translates) {
        fprintf(stderr, ", \"translator\": {");
        for (unsigned i = 0; i < ARRAY_LEN(figures); i++)
            fprintf(stderr, "%s\"%s\": %llu", i ? ", " : "", figures[i].name,
                    (unsigned long long)figures[i].value);
        fprintf(stderr, "}");
    }
    fprintf(stderr, "}\n");
}

/* How often something came, per thousand executed instructions. */
static void print_rate(const struct machine_stats *stats, const char *what, uint64_t count)
{
    fprintf(stderr, "  %12llu %-12s %8.3f per 1000 instructions\n", (unsigned long long)count, what,
            1e3 * per(count, stats->instructions));
}

static void print_translator(const struct machine_stats *stats)
{
    const struct translator_stats *t = &stats->translator;

    fprintf(stderr,
            "translated: %llu units, %llu instructions to %.1f bytes each, in %.3f s: %.0f ns "
            "each\n",
            (unsigned long long)t->units, (unsigned long long)t->guest_instructions,
            per(t->host_bytes, t->guest_instructions), (double)t->translate_ns / 1e9,
            per(t->translate_ns, t->guest_instructions));
    fprintf(stderr,
            "code cache: %.1f MiB used, %llu flushes; %llu pages compared after fence.i, %llu "
            "units dropped; %llu jumps linked\n",
            (double)t->cache_used / (1 << 20), (unsigned long long)t->flushes,
            (unsigned long long)t->pages_checked, (unsigned long long)t->units_killed,
            (unsigned long long)t->links);
    fprintf(stderr, "left translated code:\n");
    print_rate(stats, "jump misses", t->jump_misses);
    print_rate(stats, "no code", t->exits_find);
    print_rate(stats, "polls", t->exits_poll);
    print_rate(stats, "interpreted", t->fallbacks);
    print_rate(stats, "TLB refills", t->tlb_refills);
    print_rate(stats, "slow access", t->slow_accesses);
}

void stats_print(const struct machine_stats *stats, enum vm_stats form)
{
    if (form == STATS_JSON) {
        print_json(stats);
    } else if (form == STATS_TEXT) {
        fprintf(stderr, "doppel: %llu instructions, %llu traps in %.3f s: %.1f million a second\n",
                (unsigned long long)stats->instructions, (unsigned long long)stats->traps,
                seconds_of(stats), mips_of(stats));
        if (stats->translates)
            print_translator(stats);
    }
}
