// SPDX-License-Identifier: Apache-2.0
/*
 * The rows of the benchmark program. Each is one kind of work that real programs
 * do, written as such programs write it and not for any emulator; bench/README.md
 * says what the figures are used for.
 */
#pragma once

#include <stdint.h>

/*
 * One row. run() does `scale` units of work and returns a checksum, which is the
 * same on every correct machine that runs the same binary. A unit is a tenth of
 * what the row does by default: 0.3 to 1 second under the slower emulators.
 */
struct bench_row {
    const char *name; /* group's prefix and what it does: "int-sieve" */
    uint64_t (*run)(uint32_t scale);
};

/* A group ends with a row without a name. */
extern const struct bench_row bench_integer[];
extern const struct bench_row bench_code[]; /* the second half of the integer rows */
extern const struct bench_row bench_fp[];
extern const struct bench_row bench_memory[];
extern const struct bench_row bench_system[];
extern const struct bench_row bench_parallel[];
extern const struct bench_row bench_block[]; /* of machines that have a disk */
extern const struct bench_row bench_net[];   /* of machines in a user-mode network */

/* Leaves out of the row's time what came before: its preparation. */
void bench_begin(void);

/* Ends the program with the row's name, `what` and errno. */
_Noreturn void bench_fail(const char *what);

/* Zeroed memory; ends the program when there is none. free() releases it. */
void *bench_alloc(uint64_t size_bytes);

/* xorshift64*: the same numbers everywhere. The state must not be zero. */
static inline uint64_t bench_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1d;
}

/* Adds a value to a checksum, in which the order counts. */
static inline uint64_t bench_mix(uint64_t sum, uint64_t value)
{
    return (sum << 7 | sum >> 57) ^ value * 0x9e3779b97f4a7c15;
}

/* Stands for code that the compiler cannot see: it must assume `p` was changed. */
static inline void bench_opaque(void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}
