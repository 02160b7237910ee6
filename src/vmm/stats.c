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

/* ---- disks ---- */

/* Kinds of requests as QEMU calls them. */
static const struct kind {
    const char *name;
    size_t offset; /* of struct disk_figures */
    bool has_bytes;
} kinds[] = {
    {"rd", offsetof(struct disk_stats, reads), true},
    {"wr", offsetof(struct disk_stats, writes), true},
    {"flush", offsetof(struct disk_stats, flushes), false},
    {"unmap", offsetof(struct disk_stats, discards), true},
};

static const struct disk_figures *figures_of(const struct disk_stats *disk, const struct kind *kind)
{
    return (const struct disk_figures *)(const void *)((const char *)disk + kind->offset);
}

static void set(json_t *object, const char *before, const char *kind, const char *after,
                uint64_t value)
{
    char name[40];

    snprintf(name, sizeof(name), "%s%s%s", before, kind, after);
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

json_t *stats_of_disk(const struct disk_stats *disk)
{
    json_t *object = json_object();

    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct disk_figures *figures = figures_of(disk, &kinds[i]);
        set(object, "", kinds[i].name, "_operations", figures->operations);
        if (kinds[i].has_bytes)
            set(object, "", kinds[i].name, "_bytes", figures->bytes);
        set(object, "", kinds[i].name, "_total_time_ns", figures->ns);
        set(object, "failed_", kinds[i].name, "_operations", figures->failed);
    }
    return object;
}

static void print_disks_json(const struct disk_stats *disks, unsigned count)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < count; i++)
        json_array_append_new(list, stats_of_disk(&disks[i]));
    fprintf(stderr, ", \"disks\": ");
    json_dumpf(list, stderr, 0);
    json_decref(list);
}

static void print_disk(unsigned index, const struct disk_stats *disk)
{
    const struct disk_figures *reads = &disk->reads;
    const struct disk_figures *writes = &disk->writes;
    uint64_t failed = reads->failed + writes->failed + disk->flushes.failed + disk->discards.failed;

    fprintf(stderr,
            "disk%u: %llu reads of %.1f MiB, %.0f us each; %llu writes of %.1f MiB, %.0f us each; "
            "%llu flushes, %llu discards, %llu failures\n",
            index, (unsigned long long)reads->operations, (double)reads->bytes / (1 << 20),
            per(reads->ns, reads->operations + reads->failed) / 1e3,
            (unsigned long long)writes->operations, (double)writes->bytes / (1 << 20),
            per(writes->ns, writes->operations + writes->failed) / 1e3,
            (unsigned long long)disk->flushes.operations,
            (unsigned long long)disk->discards.operations, (unsigned long long)failed);
}

/* ---- the machine ---- */

static void print_json(const struct machine_stats *stats, const struct disk_stats *disks,
                       unsigned disk_count)
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
    if (disk_count)
        print_disks_json(disks, disk_count);
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

void stats_print(const struct machine_stats *stats, const struct disk_stats *disks,
                 unsigned disk_count, enum vm_stats form)
{
    if (form == STATS_JSON) {
        print_json(stats, disks, disk_count);
    } else if (form == STATS_TEXT) {
        fprintf(stderr, "doppel: %llu instructions, %llu traps in %.3f s: %.1f million a second\n",
                (unsigned long long)stats->instructions, (unsigned long long)stats->traps,
                seconds_of(stats), mips_of(stats));
        if (stats->translates)
            print_translator(stats);
        for (unsigned i = 0; i < disk_count; i++)
            print_disk(i, &disks[i]);
    }
}
