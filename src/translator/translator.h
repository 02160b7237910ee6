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
    bool no_chaining;        /* every jump goes through the dispatcher */
    bool no_fast_memory;     /* every access misses the inline look-up */
    bool no_inline;          /* every instruction that has one takes its fallback */
    unsigned unit_limit;     /* guest instructions per unit; 0: the default */
    bool no_local_registers; /* units of process VMs keep to the usual registers */
    bool perf_map;           /* names of units for perf, in a file */
    bool gdb;                /* and for a gdb that debugs this process */
    /* For process VMs (hart_config.user): guest code accesses memory directly, counts no
     * instructions, and knows its virtual addresses. */
    bool user;
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

/* Of process VMs. The host has faulted at `rip` on the thread of `hart`. True: in
 * translated code; hart->pc is that of the guest instruction, and the thread has to go on
 * at *resume with all registers as they were, so that translator_run returns
 * HART_EXIT_FAULT. Async-signal-safe. */
bool translator_recover(const struct translator *translator, struct hart *hart, uintptr_t rip,
                        uintptr_t *resume);
/* Of process VMs: the code in [first, last) has been changed, or with `unmapped` is gone
 * or may no longer be executed. Harts notice before their next jump that may lead there
 * once this has returned. Any thread, in no translated code. */
void translator_invalidate(struct translator *translator, gva_t first, gva_t last, bool unmapped);
/* Takes a hart away before its memory is freed. */
void translator_detach(struct translator *translator, struct hart *hart);
/* Round a fork of the process: no other thread changes the translator meanwhile. The
 * child's copy begins empty, with the forking thread's hart only; -errno: it has none. */
void translator_before_fork(struct translator *translator);
void translator_after_fork(struct translator *translator);
MUST_CHECK int translator_after_fork_in_child(struct translator *translator, struct hart *hart,
                                              struct error *err);

/* Adds a hart, whose memory has translator_hart_size() bytes, after hart_init. */
void translator_attach(struct translator *translator, struct hart *hart);

/* As hart_run. Owner thread of the hart. */
enum hart_exit translator_run(struct translator *translator, struct hart *hart);

/* Any thread; figures of running harts are approximate. */
struct translator_stats translator_stats(struct translator *translator);
