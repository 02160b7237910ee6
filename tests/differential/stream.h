/* SPDX-License-Identifier: Apache-2.0
 * Streams of random instructions as they pass between the generator, our
 * interpreter and stream_guest, which runs them natively under qemu-riscv64.
 *
 *     input:  struct stream_header, the streams, the code of all of them
 *     output: one struct stream_result each
 *
 * The code lies at STREAM_CODE in both worlds, so that addresses are equal. A
 * stream ends with a jump to STREAM_DONE, with that address in x31. */
#pragma once

#include <stdint.h>

#define STREAM_CODE        0x40000000u
#define STREAM_CODE_SIZE   0x01000000u
#define STREAM_DATA        0x50000000u /* two pages; the buffer lies across them */
#define STREAM_DATA_SIZE   0x2000u
#define STREAM_BUFFER      (STREAM_DATA + 0x1000u - STREAM_BUFFER_SIZE / 2)
#define STREAM_BUFFER_SIZE 1024u
#define STREAM_DONE        0x60000000u

struct stream_state {
    uint64_t x[32]; /* x[31] is not loaded: it takes harnesses there and back */
    uint64_t f[32];
    uint64_t fcsr;
};

struct stream {
    uint64_t code_at; /* offset from STREAM_CODE */
    uint64_t seed;    /* of the buffer */
    struct stream_state state;
};

struct stream_header {
    uint64_t count;
    uint64_t code_size;
};

struct stream_result {
    struct stream_state state;
    uint64_t buffer_hash;
};

/* What the buffer holds before a stream. */
static inline void stream_fill(uint64_t *buffer, uint64_t seed)
{
    for (unsigned i = 0; i < STREAM_BUFFER_SIZE / 8; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        buffer[i] = seed ^ seed >> 29;
    }
}

static inline uint64_t stream_hash(const uint64_t *buffer)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (unsigned i = 0; i < STREAM_BUFFER_SIZE / 8; i++)
        hash = (hash ^ buffer[i]) * 0x100000001b3u;
    return hash;
}
