/* SPDX-License-Identifier: Apache-2.0
 * Random streams of user-mode instructions that end, stay in their buffer and
 * give the same result on every correct implementation. */
#pragma once

#include "stream.h"

#include "base/types.h"

#define UNIT_SIZE       40
#define MAX_UNITS       64
/* Longest code of a stream: the units, a value for x31, and the end. */
#define MAX_STREAM_SIZE (MAX_UNITS * UNIT_SIZE + 64)

/* One instruction with what it needs: an address before a load, a counter round a
 * loop. Units are replaced by no-ops as a whole. */
struct unit {
    uint8_t bytes[UNIT_SIZE];
    uint8_t size;
    uint8_t instructions;
    uint8_t jump_at;   /* offset of a jump to after the next `jump_over` units */
    uint8_t jump_over; /* 0: none */
    uint16_t op;       /* what the unit is about: enum op */
};

struct program {
    struct unit units[MAX_UNITS];
    unsigned unit_count;
    uint64_t x31;
    struct stream stream; /* but for code_at */
};

/* Deterministic: the same seed, the same program. */
void random_program(struct program *program, uint64_t seed);

/* Writes the code, at an even address; `keep` bit n clear makes unit n no-ops.
 * Returns its size. */
size_t program_code(const struct program *program, uint64_t keep, uint8_t *to);

/* Prints the code of a program with those units. */
void program_print(const struct program *program, uint64_t keep);
