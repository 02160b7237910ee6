/* SPDX-License-Identifier: Apache-2.0
 * What a hart remembers of its page tables: a small first level that is indexed
 * by address and looked up by every load and store, and a larger second level
 * that survives changes of the address space.
 *
 * All of it belongs to the hart's thread. Part of struct hart; use hart.h. */
#pragma once

#include "base/types.h"

struct code_page;

#define TLB_SIZE         1024
#define FETCH_TLB_SIZE   256
#define TLB2_WAYS        4
#define TLB2_SETS        4096
#define TLB2_ASID_SLOTS  256
#define TLB_FETCH_FILTER 1024 /* bits */
#define TLB_LARGE_FILTER 512  /* bits */

/* Who the data accesses are made as: the index of a TLB. SUM makes S-mode two. */
enum mmu_index {
    MMU_U,
    MMU_S,
    MMU_S_SUM,
    MMU_M,
    MMU_COUNT,
};

enum access {
    ACCESS_LOAD,
    ACCESS_STORE, /* and AMO, SC, and the check that a cbo.zero needs */
    ACCESS_FETCH,
};

/* One page a hart has translated. A tag is the virtual page address; an invalid
 * one is an address that cannot index this entry, so that one unsigned compare
 * of (address - tag) tests hit and page crossing at once. */
struct tlb_entry {
    uint64_t load_tag;
    uint64_t store_tag;
    uintptr_t addend; /* host address minus virtual address */
    uint64_t pad;
};

/* A page that was last accessed through some base register, for translated code,
 * which finds it without computing an index. One for loads and one for stores of
 * each register. Filled from first-level entries. */
struct tlb_slot {
    uint64_t tag; /* virtual page address, or TLB_NO_SLOT */
    uintptr_t addend;
};
#define TLB_SLOTS   32
#define TLB_NO_SLOT UINT64_C(0x800) /* no page has it, nor an aligned access */

/* A page that instructions are fetched from. The tags are its virtual address or
 * TLB_NO_PAGE; `tag` is never valid without `pa_tag`. */
struct fetch_entry {
    uint64_t tag;           /* of `page` */
    struct code_page *page; /* the interpreter's */
    uint64_t pa_tag;        /* of `gpa` */
    gpa_t gpa;              /* page address */
};
#define TLB_NO_PAGE UINT64_C(1)

/* Virtual addresses between which leaves of some size were translated. One such
 * leaf fills many entries, and a fence for any of its addresses must drop them
 * all. */
struct tlb_large_range {
    gva_t first;
    gva_t last; /* first > last: none */
};

/* Low bits of the tag of a second-level entry; the rest is the page address. */
enum {
    TLB2_VALID = 1 << 0,
    TLB2_USER = 1 << 1,  /* the leaf has U */
    TLB2_STORE = 1 << 2, /* stores are permitted, and D is set */
};

struct tlb2_entry {
    uint64_t tag;
    /* Whose it is (an ASID, or everyone's) and when it was made: an entry of
     * another context does not exist. */
    uint64_t context;
    uintptr_t addend;
};

struct tlb2 {
    uint64_t asid_context;   /* of the current ASID */
    uint64_t global_context; /* of global leaves */
    uint64_t counter;        /* of flushes */
    uint64_t generation;     /* counter at the last flush of everything */
    uint64_t victim;
    /* counter at the last flush of an ASID with this number modulo the size */
    uint64_t asid_generation[TLB2_ASID_SLOTS];
    struct tlb2_entry entries[TLB2_SETS][TLB2_WAYS];
};
