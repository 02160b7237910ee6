/* SPDX-License-Identifier: Apache-2.0
 * Memory for generated code: the same pages at two places, one to write and one to
 * execute, so that no page is ever both (ADR 0012). */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

/* Byte n of `write` is byte n of `exec`. The distance between the two is a secret
 * worth keeping: it stays out of what guests and peers can read. */
struct code_map {
    uint8_t *write; /* readable and writable */
    uint8_t *exec;  /* readable and executable */
    size_t size;    /* bytes; a multiple of the host's page */
};

/* Code that one entry of the host's TLB can reach, at multiples of it in the map. */
#define CODE_MAP_BLOCK (UINT64_C(2) << 20)

/* Makes a map of at least `size` bytes (not 0), all zero, which takes host memory only
 * where it is touched, is left out of core dumps, and does not exist in forked
 * children. The caller owns it (code_map_free). Returns 0, or -errno with the reason
 * in `err` and *map untouched: no memory, or a host that forbids generated code. Any
 * thread. */
MUST_CHECK int code_map_create(struct code_map *map, size_t size, struct error *err);

/* Nothing may execute in the map any more. Zeroed and freed maps are allowed. */
void code_map_free(struct code_map *map);

/* Gives the memory of [offset, offset + size) back to the host; both are multiples of
 * the page and inside the map. The bytes read as zero then, and the range can be
 * written again. No thread may be executing in it, or get there. Any thread. */
void code_map_discard(struct code_map *map, size_t offset, size_t size);

/* Moves the block at `offset`, which is full of code or will be, to where one entry of the
 * instruction TLB serves all of it, if the host can. Takes a millisecond. Any thread, also
 * while others execute and write there. */
void code_map_join(const struct code_map *map, size_t offset);

/* Takes [offset, offset + size) of `write` out of this process; both are as above. The
 * bytes stay, and the next access to them maps them again: pages that are executed, but
 * written to no more, count once in the resident memory and not twice. Any thread, also
 * while others execute and write there. */
void code_map_forget_writes(struct code_map *map, size_t offset, size_t size);
