/* SPDX-License-Identifier: Apache-2.0
 * The decision trees that tools/gen_decode.c prints, and the parts of decoding
 * that 32-bit and 16-bit encodings share. */
#pragma once

#include "isa/insn.h"
#include "isa/ops.h"

/* A step: the `width` bits of the encoding from `shift` choose one of the slots
 * from `first`. A slot below DECODE_NODE is the start of a list of rows, in the
 * order of the table and ended by 0; any other is the next step. */
struct decode_node {
    uint8_t shift;
    uint8_t width;
    uint16_t first;
};

#define DECODE_NODE 0x8000

struct decode_tree {
    const struct decode_node *nodes;
    const uint16_t *slots;
    const uint16_t *lists;
    const struct encoding *encodings; /* indexed by row number; row 0 is "none" */
};

/* The rows that `word` can be, best first, ended by 0. */
static inline const uint16_t *decode_candidates(const struct decode_tree *tree, uint32_t word)
{
    unsigned slot = DECODE_NODE;
    while (slot & DECODE_NODE) {
        const struct decode_node *node = &tree->nodes[slot & (DECODE_NODE - 1)];
        slot = tree->slots[node->first + ((word >> node->shift) & ((1u << node->width) - 1))];
    }
    return &tree->lists[slot];
}

/* isa_decode for the encodings whose two low bits are not 11. */
struct insn decode_compressed(uint32_t word, const struct extension_set *extensions);
