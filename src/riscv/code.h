/* SPDX-License-Identifier: Apache-2.0
 * Predecoded code: for each guest-physical page that a hart executes, one slot
 * per halfword holding the decoded instruction that starts there.
 *
 * A page keeps a copy of the bytes it was decoded from. fence.i (and a change of
 * satp) only raises the hart's generation; a page of an older generation is
 * compared with memory when it is next entered, and decoded afresh only when it
 * differs. So nothing has to watch stores, and fence.i costs one compare per
 * page that is used again. The interpreter raises the generation now and then of
 * its own, for guests that rely on stores reaching the fetch in the end. */
#pragma once

#include "base/types.h"
#include "isa/insn.h"

struct hart;

#define CODE_SLOTS (PAGE_SIZE / 2)
#define CODE_WAYS  4

/* What a slot can hold besides an instruction. */
enum {
    ID_UNDECODED = OP_COUNT,
    ID_PAGE_END,   /* fell off the end: go on in the next page */
    ID_STRADDLE,   /* starts in the last halfword and ends in the next page */
    ID_BREAKPOINT, /* some breakpoint has this offset: compare all of pc */
    ID_RESUME,     /* after a single instruction: go on at the pc */
    ID_STOP,       /* after a single instruction: leave */
    ID_COUNT,
};

/* One predecoded instruction. 16 bytes, so that the next is found by adding. */
struct code_op {
    uint16_t id;     /* enum op, or ID_ below */
    uint16_t offset; /* in its page, bytes */
    uint8_t rd;      /* 32 where the instruction names x0 */
    uint8_t rs1;
    uint8_t rs2;
    uint8_t rs3;
    int32_t imm;
    uint8_t rm;
    uint8_t step; /* bytes from this op to the next in memory order: 16 or 32 */
    uint8_t near; /* the target of a direct jump lies in this page; jalr: look there */
    uint8_t length;
};
_Static_assert(sizeof(struct code_op) == 16, "the interpreter steps by whole ops");

struct code_page {
    gpa_t gpa;
    uint64_t generation;
    bool is_used; /* false: this entry holds nothing */
    uint8_t copy[PAGE_SIZE];
    struct code_op ops[CODE_SLOTS + 2]; /* then the end of the page, reached by 2 or 4 bytes */
};

struct code_cache {
    size_t sets;
    uint32_t next_victim;
    bool is_used; /* some page holds something */
    /* An instruction that is run by itself: across two pages, at a breakpoint,
     * single-stepped. The op after it comes back to us. */
    struct code_op single[3];
    uint32_t single_raw;
    struct code_page pages[];
};

/* Bytes for `pages` pages (a multiple of CODE_WAYS). */
size_t code_cache_size(size_t pages);
/* In zeroed memory, of which this touches the start only. */
void code_cache_init(struct code_cache *cache, size_t pages);
/* Forgets everything; for a change of breakpoints or of memory behind our back. */
void code_cache_flush(struct hart *hart);

/* The page at guest-physical `gpa` (page-aligned), checked against memory. NULL
 * when it is not RAM. */
struct code_page *code_page_get(struct hart *hart, gpa_t gpa);

/* The page that `op`, which is not in code_cache.single, belongs to. */
struct code_page *code_page_of(const struct code_op *op);

/* Fills the op of the slot at `offset` from the page's copy. */
void code_decode_slot(struct hart *hart, struct code_page *page, unsigned offset);

/* Puts the instruction `raw` at hart->pc into cache->single, followed by an op
 * with id `after`. */
const struct code_op *code_decode_single(struct hart *hart, uint32_t raw, uint16_t after);

/* An op at hart->pc that stops for the breakpoint there. */
const struct code_op *code_single_breakpoint(struct hart *hart);
