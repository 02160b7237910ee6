// SPDX-License-Identifier: Apache-2.0
/*
 * bench ROW|GROUP SCALE     runs, and prints "bench ROW CHECKSUM SECONDS" each
 * bench list                prints "GROUP ROW" each
 * bench idle [SCALE]        waits for ever
 * bench nothing             ends at once, for the row that starts programs
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct bench_group {
    const char *name;
    const struct bench_row *rows;
} groups[] = {
    {"integer", bench_integer}, {"integer", bench_code},  {"fp", bench_fp},
    {"memory", bench_memory},   {"system", bench_system}, {"parallel", bench_parallel},
    {"block", bench_block},     {"net", bench_net},
};

enum { GROUPS = sizeof(groups) / sizeof(groups[0]) };

static const char *running = "bench";
static double begin_s;

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void bench_begin(void)
{
    begin_s = now_s();
}

void bench_fail(const char *what)
{
    fprintf(stderr, "bench: %s: %s: %s\n", running, what, strerror(errno));
    exit(1);
}

void *bench_alloc(uint64_t size_bytes)
{
    void *memory = calloc(1, size_bytes);
    if (!memory)
        bench_fail("memory");
    return memory;
}

static void run(const struct bench_row *row, uint32_t scale)
{
    running = row->name;
    bench_begin();
    uint64_t sum = row->run(scale);
    double seconds = now_s() - begin_s;
    printf("bench %s %016llx %.6f\n", row->name, (unsigned long long)sum, seconds);
    fflush(stdout);
}

/* Runs the rows that are named so, or are of the group; returns their number. */
static unsigned run_named(const char *name, uint32_t scale)
{
    unsigned count = 0;
    for (unsigned i = 0; i < GROUPS; i++) {
        for (const struct bench_row *row = groups[i].rows; row->name; row++) {
            if (strcmp(name, groups[i].name) == 0 || strcmp(name, row->name) == 0) {
                run(row, scale);
                count++;
            }
        }
    }
    return count;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "nothing") == 0)
        return 0;
    while (strcmp(name, "idle") == 0)
        pause();
    if (strcmp(name, "list") == 0) {
        for (unsigned i = 0; i < GROUPS; i++) {
            for (const struct bench_row *row = groups[i].rows; row->name; row++)
                printf("%s %s\n", groups[i].name, row->name);
        }
        return 0;
    }

    char *end = "";
    unsigned long scale = argc == 3 ? strtoul(argv[2], &end, 10) : 0;
    if (scale == 0 || scale > 1000 || *end) {
        fprintf(stderr, "usage: bench ROW|GROUP SCALE(1-1000) | list | idle | nothing\n");
        return 2;
    }
    if (run_named(name, (uint32_t)scale) == 0) {
        fprintf(stderr, "bench: no row or group '%s'; see: bench list\n", name);
        return 2;
    }
    return 0;
}
