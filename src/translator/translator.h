/* SPDX-License-Identifier: Apache-2.0
 * The translator: executes harts by translating RISC-V instructions to x86-64.
 *
 * One translator per machine; its code cache is shared by all harts. A hart
 * behaves exactly as under the interpreter (riscv/), down to the number of
 * instructions between two events. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "host/cpu.h"
#include "riscv/hart.h"

struct translator;

/* Ways to make the translator work harder than it must, for tests. */
struct translator_options {
    size_t cache_bytes; /* at least TRANSLATOR_MIN_CACHE; 0: the default */
    struct cpu_features features;
    bool no_chaining;    /* every jump goes through the dispatcher */
    bool no_fast_memory; /* every access misses the inline look-up */
    bool no_inline;      /* every instruction that has one takes its fallback */
    unsigned unit_limit; /* guest instructions per unit; 0: the default */
    bool perf_map;       /* names of units for perf, in a file */
    bool gdb;            /* and for a gdb that debugs this process */
};

#define TRANSLATOR_MIN_CACHE (UINT64_C(1) << 20)
#define TRANSLATOR_MAX_CACHE (UINT64_C(1) << 30)
#define TRANSLATOR_MAX_UNIT  191u

struct translator_stats {
    uint64_t units;              /* translated since the start */
    uint64_t guest_instructions; /* translated, not executed */
    uint64_t host_bytes;
    uint64_t translate_ns;
    uint64_t flushes;       /* of the whole cache */
    uint64_t units_killed;  /* because the guest changed their code */
    uint64_t pages_checked; /* compared with memory */
    uint64_t links;         /* jumps patched */
    uint64_t cache_used;    /* bytes now */
    uint64_t exits_find;    /* to the dispatcher for a target without code */
    uint64_t exits_poll;    /* for requests, interrupts, the end of a slice, traps */
    uint64_t fallbacks;     /* instructions executed by the interpreter */
    uint64_t jump_misses;   /* of the jump cache */
    uint64_t tlb_refills;   /* first-level misses that hit behind it or were walked */
    uint64_t slow_accesses; /* devices, page crossings, faults */
};

/* Bytes of memory that a hart and what the translator keeps with it take; the
 * struct hart lies at its beginning. Aligned to 64. */
size_t translator_hart_size(void);

/* Whether this host can run it. */
bool translator_is_supported(const struct cpu_features *features);

MUST_CHECK int translator_create(const struct translator_options *options, struct translator **out,
                                 struct error *err);
/* No hart may be running. Accepts NULL. */
void translator_destroy(struct translator *translator);

/* Makes the translator learn of stores to pages of which it has code. Once, before
 * harts run. */
void translator_connect(struct translator *translator, struct space *space);

/* Forgets all code: memory has changed behind its back. No hart may be running. */
void translator_forget(struct translator *translator);

/* Adds a hart, whose memory has translator_hart_size() bytes, after hart_init. */
void translator_attach(struct translator *translator, struct hart *hart);

/* As hart_run. Owner thread of the hart. */
enum hart_exit translator_run(struct translator *translator, struct hart *hart);

/* Any thread; figures of running harts are approximate. */
struct translator_stats translator_stats(struct translator *translator);
