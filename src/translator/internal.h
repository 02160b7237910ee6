/* SPDX-License-Identifier: Apache-2.0
 * The translator as the files of this folder see it.
 *
 * A *unit* is the translation of a stretch of one guest page for one context. It
 * has several entries; the table `entries` leads from (guest-physical address,
 * context) to host code. Nothing in host code depends on the virtual address.
 *
 * Host registers while host code runs: see registers.h.
 *
 * Locks: `mutex` is held to translate, to check pages and to flush; `links`, a
 * spin lock, to patch jumps. mutex before links. Host code runs without locks. */
#pragma once

#include "host/code_map.h"
#include "jit/emit.h"
#include "translator/translator.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- contexts: what a translation depends on besides the code ---- */

enum {
    CONTEXT_INDEX = 3 << 0,      /* enum mmu_index of data accesses */
    CONTEXT_PRIVILEGE_SHIFT = 2, /* enum privilege */
    CONTEXT_FP_ON = 1 << 4,      /* mstatus.FS is dirty: FP needs no look at it */
    CONTEXT_RM_SHIFT = 5,        /* enum rounding_class of frm */
    /* Variant of a unit whose accesses are each checked by themselves. Not part of
     * the state of a hart. */
    CONTEXT_UNGROUPED = 1 << 7,
};
#define CONTEXT_TAG_SHIFT 57 /* contexts stand above the virtual address in jump tags */

enum rounding_class {
    ROUNDING_RNE,
    ROUNDING_HOST, /* the host's rounding control can do it */
    ROUNDING_SOFT, /* RMM and reserved: dynamic rounding goes to the interpreter */
};

/* The context of most code of a process VM. */
#define CONTEXT_USER (MMU_U | PRIV_U << CONTEXT_PRIVILEGE_SHIFT | CONTEXT_FP_ON)

/* Of process VMs; 0 for most code. */
static inline uint64_t context_user_tag(unsigned context)
{
    return (uint64_t)(context ^ CONTEXT_USER) << CONTEXT_TAG_SHIFT;
}

/* ---- per hart ---- */

#define JUMP_CACHE_SIZE       4096
/* Of process VMs, which clear it seldom and whose programs jump about a lot. */
#define USER_JUMP_CACHE_SIZE  16384
#define PATIENCE_SITES        256
#define PATIENCE              256
#define PATIENCE_SITE(offset) ((offset) / 2 % PATIENCE_SITES)

struct jump_entry {
    uint64_t tag;  /* virtual address ^ context_tag */
    uint64_t code; /* host address */
};

#define NO_TAG UINT64_MAX

struct hart_counters {
    uint64_t exits_find;
    uint64_t exits_poll;
    uint64_t fallbacks;
    uint64_t jump_misses;
    uint64_t tlb_refills;
    uint64_t slow_accesses;
};

/* Operands of vector instructions, and a table. */
struct fp_constants {
    _Alignas(16) uint64_t box[2]; /* the upper half of a boxed single */
    uint64_t sign64[2];
    uint64_t sign32[2];
    uint64_t nan64[2];  /* canonical */
    uint64_t nan32[2];  /* canonical and boxed */
    uint64_t two63[2];  /* 2^63 as a double, as a single in the upper half */
    uint8_t fflags[64]; /* for the six flags of MXCSR */
};

struct translated_hart {
    struct hart hart; /* must be first */
    struct fp_constants constants;
    uint64_t context_tag;
    uint32_t context;
    uint32_t mxcsr;          /* to run host code with; then what it left */
    uint64_t address;        /* of the access that left host code */
    uint64_t value;          /* to store, or loaded */
    uint32_t info;           /* INFO_ of it */
    uint32_t reason;         /* enum leave_reason, of a light function that returned NULL */
    uint32_t wanted_variant; /* CONTEXT_UNGROUPED, or 0: of the code for hart.pc */
    uint32_t host_mxcsr;     /* of C code */
    uint64_t stack;          /* rsp of host code, above the returns of process VMs */
    uint64_t stack_floor;    /* lowest rsp with room for another return */
    /* Addends of the pages of groups whose base jumps about, by base register. */
    uint64_t group[32];
    /* Counts down the misses of slots in a slice, by site. */
    uint16_t patience[PATIENCE_SITES];
    struct translator *translator;
    struct translated_hart *next;
    uint64_t fetch_epoch;     /* of hart when the jump cache was last right */
    uint64_t flush_epoch;     /* of translator, likewise */
    uint64_t code_generation; /* of hart, at its last fence of code */
    uint64_t kill_epoch;      /* of translator, likewise */
    uint64_t killed_seen;     /* translator.killed_count, likewise */
    uint64_t dropped;         /* time of translator when it last dropped leaves to store */
    bool has_run;             /* may have such leaves */
    uint64_t asid_high;       /* bits of the ASID that jump tags have no room for */
    _Atomic uint32_t in_code; /* may execute host code: flushes wait */
    struct hart_counters counters;
    struct jump_entry jumps[USER_JUMP_CACHE_SIZE]; /* last: machines do not touch all of it */
};

static inline struct translated_hart *of_hart(struct hart *hart)
{
    return (struct translated_hart *)(void *)hart;
}

/* ---- units and pages ---- */

/* A patchable jump out of a unit. */
struct link {
    uint32_t site; /* of its displacement, from the start of the cache */
    uint32_t stub; /* where it leads while unlinked */
};

struct unit {
    struct unit *next; /* in its page */
    uint8_t context;
    uint16_t first; /* the guest bytes it was made from: [first, last) of the page */
    uint16_t last;
    uint32_t code;      /* in the cache */
    uint32_t code_size; /* of the hot part */
    uint32_t cold;
    uint32_t cold_size;
    uint16_t guest_count;
    uint16_t entry_count;
    uint16_t link_count;
    uint16_t *entries; /* offsets in the page */
    struct link *links;
    uint8_t *source; /* copy of [first, last) */
};

/* One bit per halfword of a page. */
struct marks {
    uint64_t bits[PAGE_SIZE / 2 / 64];
};

static inline void mark(struct marks *marks, unsigned offset)
{
    marks->bits[offset / 128] |= BIT(offset / 2 % 64);
}

static inline bool is_marked(const struct marks *marks, unsigned offset)
{
    return (marks->bits[offset / 128] >> (offset / 2 % 64)) & 1;
}

struct guest_page {
    struct guest_page *next; /* in its bucket */
    gpa_t gpa;
    const uint8_t *ram;
    /* A hart may store to it without our knowledge: must be compared at fences of
     * code, until all harts have dropped such leave after `stored_at`. */
    bool is_suspect;
    uint64_t stored_at; /* translator->time */
    struct guest_page *next_suspect;
    struct marks entered; /* offsets that some context may have code for */
    struct marks jumpy;   /* accesses whose base changes its page all the time */
    struct unit *units;
    uint32_t incoming; /* process VMs: page_link that leads here, 0: none */
};

struct entry_slot {
    _Atomic uint64_t key;  /* gpa | context << 56; 0: free */
    _Atomic uint32_t code; /* in the cache; 0: none any more */
};

#define PAGE_BUCKETS 4096
#define MAX_STORED   512

/* Of process VMs: a host instruction that accesses guest memory. */
struct fault_site {
    gva_t pc;        /* of the guest instruction */
    uint32_t code;   /* in the cache, as the next */
    uint32_t resume; /* where to go on when it faults */
};

/* Of process VMs: a jump between units, which may be of different pages. Kept until the
 * cache is flushed, so that the jump can be undone when its target is gone. */
struct page_link {
    uint32_t site; /* as in struct link */
    uint32_t stub;
    uint32_t next; /* in the target's page: index, 0: none */
    bool is_linked;
};

/* Of process VMs: the stack holds a frame for each call (translate_jump.c), as far as there is
 * room. Threads have stacks of 256 KiB at the least, and C code needs some of it. */
#define RETURN_FRAME  16
#define RETURNS_BYTES (32 << 10)

/* Why host code returned to the dispatcher. */
enum leave_reason {
    LEAVE_FIND,  /* hart->pc has no code that is known here */
    LEAVE_POLL,  /* look at the outside */
    LEAVE_JUMPY, /* the access at hart->pc wants another way to find its page */
    LEAVE_ECALL, /* of a process VM */
    LEAVE_FAULT, /* the host faulted in the access at hart->pc */
};

/* Code that units call or jump to; made once. */
struct thunks {
    unsigned (*enter)(struct hart *hart, const uint8_t *code); /* enum leave_reason */
    const uint8_t *exit_find;                                  /* hart->pc set */
    const uint8_t *exit_poll;                                  /* hart->pc set */
    const uint8_t *poll_here;                                  /* ecx: offset in the page */
    const uint8_t *jumpy;                                      /* ecx: info */
    const uint8_t *poll_at;                                    /* rax: pc */
    const uint8_t *jump_miss;                                  /* rax: pc */
    const uint8_t *jump_user;       /* rax: pc, bit 0 to be cleared; looks at the limit */
    const uint8_t *return_base;     /* returned to */
    const uint8_t *link;            /* called; followed by struct link_data */
    const uint8_t *load;            /* called; rax: address, ecx: info */
    const uint8_t *store;           /* called; rax: address, rdx: value, ecx: info */
    const uint8_t *refill;          /* called; rax: address, ecx: info */
    const uint8_t *execute;         /* called; eax: raw instruction, ecx: info */
    const uint8_t *csr;             /* called; edx: enum csr_code, rax: operand, ecx: info */
    const uint8_t *csr_fp;          /* the same for fflags, frm, fcsr */
    const uint8_t *csr_saved;       /* the same for what may call anything: clocks */
    const uint8_t *sfence;          /* th->address, ecx: info; r15 exact */
    const uint8_t *ecall;           /* ecx: info; r15 exact */
    const uint8_t *sret;            /* likewise */
    const uint8_t *execute_fetched; /* ecx: offset; r15 exact */
    const uint8_t *exit_ecall;      /* rax: pc */
    const uint8_t *exit_fault;      /* hart->pc set; all registers as at the access */
};

struct translation;

#define KILL_LOG 4096

struct translator {
    struct translator_options options;
    struct code_map map;
    size_t hot_start; /* after the thunks */
    size_t hot_at;
    size_t hot_end;
    size_t cold_at;
    size_t cold_end;
    size_t settled; /* bytes in use when cache_settle last did something */
    size_t joined;  /* of the hot part, in blocks of the TLB */
    struct thunks thunks;

    pthread_mutex_t mutex;
    pthread_cond_t flushed;
    _Atomic uint32_t links; /* spin lock */
    _Atomic uint32_t flush_wanted;
    _Atomic uint64_t flush_epoch;
    _Atomic uint64_t time;           /* of events of cache.c */
    _Atomic uint64_t newest_suspect; /* stored_at of the newest */
    _Atomic uint64_t kill_epoch;     /* raised when units are killed */
    /* Process VMs: entries of the units killed last, and how many there ever were. */
    _Atomic gva_t killed[KILL_LOG];
    _Atomic uint64_t killed_count;
    struct guest_page *suspects;
    struct space *space;
    /* Pages that became PAGE_STORED and are no suspects yet; guarded by `links`. */
    gpa_t stored[MAX_STORED];
    unsigned stored_count;
    bool stored_overflow; /* there were more: all pages are suspects */
    struct translated_hart *harts;

    /* The table of entries: 2^entry_bits slots, at most half of them used. Another one only
     * while no hart executes host code. */
    struct entry_slot *entries;
    unsigned entry_bits;
    size_t entry_count;
    /* Process VMs only. */
    const struct user_memory_port *user;
    struct fault_site *faults; /* in the order of their code, which is that of time */
    _Atomic size_t fault_count;
    size_t fault_room;
    struct page_link *page_links; /* [0] unused */
    uint32_t page_link_count;
    uint32_t page_link_room;
    struct guest_page *pages[PAGE_BUCKETS];
    struct translation *translation; /* work space; guarded by mutex */
    struct translator_stats stats;   /* guarded by mutex, but for what harts count */
    struct perf_map *perf_map;       /* names of units; NULL: not wanted */
    struct gdb_jit *gdb_jit;         /* likewise */
};

/* Operands of slow paths, in 32 bits: what is needed to make pc and icount exact. */
#define INFO_OFFSET_MASK   0xfffu
#define INFO_PENDING_SHIFT 12 /* instructions retired since r15 was updated: 8 bits */
#define INFO_SIZE_SHIFT    20 /* log2 of the size: 2 bits */
#define INFO_SIGNED        (1u << 22)
#define INFO_BOX           (1u << 23) /* NaN-box the loaded single */
#define INFO_STORE         (1u << 24)
#define INFO_RS1_SHIFT     25 /* number of a register */

/* Behind a call of thunks.link, which may end anywhere. */
struct PACKED link_data {
    uint32_t site; /* of a process VM: index of the page_link */
    /* Of the target in the page of the hart; CONTEXT_UNGROUPED << PAGE_SHIFT. Of a
     * process VM: the target's address. */
    uint64_t target;
};

/* ---- cache.c ---- */
MUST_CHECK int cache_create(struct translator *t, struct error *err);
void cache_destroy(struct translator *t);
static inline uint64_t entry_key(gpa_t gpa, unsigned context)
{
    /* Bit 0 of an instruction's address is zero: it tells a key from a free slot. */
    return gpa | 1 | (uint64_t)context << 56;
}
/* Where the search for a key begins. The entries of a page lie in one page of the table:
 * programs that start, and children of forks, touch few of them. The page's number and the
 * context are multiplied by 2^64 over the golden ratio. */
#define REGION_BITS 8
static inline uint32_t entry_hash(const struct translator *t, uint64_t key)
{
    uint64_t page = (key >> PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t region = (uint32_t)(page >> (64 - (t->entry_bits - REGION_BITS)));
    uint32_t offset = (uint32_t)(key >> 1 ^ key >> 9) & ((1u << REGION_BITS) - 1);

    return region << REGION_BITS | offset;
}

static inline uint32_t entry_next(const struct translator *t, uint32_t at)
{
    return (at + 1) & ((1u << t->entry_bits) - 1);
}
/* Host code for a key, NULL when there is none. Light, no lock. */
const uint8_t *cache_find(const struct translator *t, uint64_t key);
/* All under mutex. */
bool cache_insert(struct translator *t, uint64_t key, uint32_t code);
/* NULL: there is none. */
struct guest_page *cache_find_page(struct translator *t, gpa_t gpa);
struct guest_page *cache_page(struct translator *t, gpa_t gpa, const uint8_t *ram);
/* A fence of code by `th`: kills the units whose code has changed. */
void cache_fence(struct translator *t, struct translated_hart *th);
/* Drops the units of a context that hold the instruction at `offset`. */
void cache_drop_units(struct translator *t, struct guest_page *page, unsigned offset,
                      unsigned context);
bool cache_has_room(const struct translator *t);
/* Whether it has none only because the table of entries is full, and has made a larger one.
 * The caller is not in host code. */
bool cache_grow(struct translator *t);
/* After a unit was made: lets go of the writable view of code that is no longer new. */
void cache_settle(struct translator *t);
/* Waits for all harts to leave host code and forgets everything. The caller is
 * not in host code. */
void cache_flush(struct translator *t);
/* Makes the hart ask again before it stores to pages of which there is code. */
void cache_drop_stores(struct translator *t, struct translated_hart *th);
/* A hart's way in and out of host code: waits while a flush is under way. */
void cache_enter(struct translator *t, struct translated_hart *th);
void cache_leave(struct translated_hart *th);
/* Patches a jump, unless something changes links right now. Light. */
void cache_link(struct translator *t, uint32_t site, const uint8_t *code);
/* The same of a process VM, to the code of `key` at `pc`. Light. */
void cache_link_page(struct translator *t, uint32_t index, gva_t pc, uint64_t key);
/* Kills units of a process VM in [first, last): those that have changed, or all. */
void cache_invalidate(struct translator *t, gva_t first, gva_t last, bool all);
/* In the child of a fork: a new and empty cache. */
MUST_CHECK int cache_renew(struct translator *t, struct error *err);
/* Makes an empty jump cache of zeroed memory. */
static inline void cache_init_jumps(struct translated_hart *th)
{
    /* Zero is the tag of address 0, which only the first entry can have. */
    th->jumps[0].tag = NO_TAG;
}

static inline uint8_t *cache_write_address(const struct translator *t, uint32_t at)
{
    return t->map.write + at;
}

/* ---- thunks.c ---- */
void thunks_make(struct translator *t);

/* ---- context.c: light ---- */
/* After any change of mode: recomputes context and context_tag. */
void context_update(struct translated_hart *th);
/* Drops what fences of translation have made wrong. */
void context_sync(struct translated_hart *th);
void context_clear_jumps(struct translated_hart *th);
/* Hook of struct space. */
void runtime_page_stored(void *owner, gpa_t page);

/* ---- runtime.c: called by thunks. Light ones touch no vector register. ---- */
const uint8_t *runtime_find(struct translated_hart *th, gva_t pc);
const uint8_t *runtime_link(struct translated_hart *th, const struct link_data *data);
bool runtime_refill(struct translated_hart *th, gva_t va, uint32_t info);
/* Executes an access to one of csr_is_light; the old value goes to th->value. */
unsigned runtime_csr(struct translated_hart *th, uint64_t operand, uint32_t code);
unsigned runtime_csr_fp(struct translated_hart *th, uint64_t operand, uint32_t code);
/* Environment calls of U-mode, and sret: host code of where they lead, or NULL and
 * th->reason. */
const uint8_t *runtime_ecall(struct translated_hart *th, uint32_t info);
const uint8_t *runtime_sret(struct translated_hart *th, uint32_t info);
/* sfence.vma of the page of th->address, in any address space. */
const uint8_t *runtime_sfence(struct translated_hart *th, uint32_t info);
/* fflags for the six flags of MXCSR. */
uint32_t runtime_flags_of(uint32_t mxcsr);
/* These run with all guest state in struct hart. */
bool runtime_load(struct translated_hart *th);
bool runtime_store(struct translated_hart *th);
/* Returns 0: go on behind; else enum leave_reason + 1. */
unsigned runtime_execute(struct translated_hart *th, uint32_t raw);
unsigned runtime_execute_fetched(struct translated_hart *th);

/* What runtime_csr is asked to do: the number of the register, and how. */
enum csr_code {
    CSR_CODE_NUMBER = 0xfff,
    CSR_CODE_WRITE = 1 << 12,
    CSR_CODE_SET = 2 << 12,
    CSR_CODE_CLEAR = 3 << 12,
    CSR_CODE_READ = 0 << 12,
    CSR_CODE_HOW = 3 << 12,
};
/* What runtime_csr says. */
enum csr_answer {
    CSR_ANSWER_GO_ON,
    CSR_ANSWER_FIND, /* in another context */
    CSR_ANSWER_POLL,
    CSR_ANSWER_ILLEGAL, /* nothing was done */
};

/* ---- translate.c ---- */
/* Translates from `offset` of `page`. NULL: the cache is full. Under mutex. */
const uint8_t *translate_unit(struct translator *t, struct guest_page *page, unsigned offset,
                              unsigned context, const struct extension_set *extensions);
