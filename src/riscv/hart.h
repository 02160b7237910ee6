/* SPDX-License-Identifier: Apache-2.0
 * One hart: the architectural state of a RISC-V CPU and what makes running it
 * fast (soft TLB, predecoded code). Specification: RISC-V unprivileged and
 * privileged architecture (20240411 and later).
 *
 * A hart belongs to one thread. Other threads may only call the functions that
 * say so, which touch the atomic members. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "isa/extension.h"
#include "riscv/encoding.h"
#include "riscv/tlb.h"

#include <stdatomic.h>

struct space;
struct code_cache;
struct state_table;
struct user_memory_port;

#define HART_PMP_ENTRIES     16
#define HART_MAX_BREAKPOINTS 64
#define HART_MAX_WATCHPOINTS 16
#define CBO_BLOCK_SIZE       64

/* Why hart_run came back. */
enum hart_exit {
    HART_EXIT_POLL,  /* a kick, or the end of the slice: look at requests */
    HART_EXIT_WFI,   /* waits for an interrupt */
    HART_EXIT_YIELD, /* spins in pause or wrs: let others run */
    HART_EXIT_SBI,   /* ecall from S-mode and sbi_in_host is set; pc is at it */
    HART_EXIT_DEBUG, /* break- or watchpoint, or a step done: see debug */
    /* Of a process VM only: */
    HART_EXIT_TRAP,  /* an exception: its cause and value are in mcause and mtval, pc is at it */
    HART_EXIT_FAULT, /* the host faulted in the access at pc: whoever handles that knows more */
};

enum hart_stop {
    HART_STOP_NONE,
    HART_STOP_STEP,
    HART_STOP_BREAKPOINT,  /* pc is at a breakpoint */
    HART_STOP_WATCH_WRITE, /* the instruction at pc is about to access watch_address */
    HART_STOP_WATCH_READ,
};

struct hart_watchpoint {
    gva_t address;
    uint64_t size;
    bool on_read;
    bool on_write;
};

/* What a debugger asked for. Changed only while the hart is stopped. */
struct hart_debug {
    unsigned breakpoint_count;
    unsigned watchpoint_count;
    gva_t breakpoints[HART_MAX_BREAKPOINTS];
    struct hart_watchpoint watchpoints[HART_MAX_WATCHPOINTS];
    uint64_t break_offsets[32]; /* bit per halfword of a page that has a breakpoint */
    bool stop_on_ebreak;
    bool skip_breakpoint; /* at the start of a run: step over the one under pc */
    enum hart_stop stop;
    gva_t watch_address;
};

/* What the board connects to a hart. */
struct hart_ports {
    uint64_t (*read_time)(void *owner); /* mtime, ticks; any thread */
    void *owner;
};

struct hart_config {
    unsigned id;
    struct extension_set extensions;
    enum satp_mode widest_satp; /* SATP_SV39, SV48 or SV57 */
    gpa_t reset_pc;
    struct space *space;
    /* A process VM instead of a space: the hart stays in U-mode, addresses are those of
     * this, and exceptions leave hart_run. The memory of the hart must be zeroed. */
    const struct user_memory_port *user;
    struct hart_ports ports;
    bool sbi_in_host; /* S-mode ecalls leave hart_run instead of trapping to M */
    /* Memory for predecoded code, at least code_cache_size(pages) bytes, zeroed,
     * owned by the caller for the life of the hart. */
    void *code_memory;
    size_t code_pages;
};

struct pmp_entry {
    gpa_t first; /* inclusive range; first > last: matches nothing */
    gpa_t last;
};

struct hart {
    /* Hot: the interpreter reads these at every instruction. */
    uint64_t x[33];                /* x[0] stays 0; x[32] swallows writes to x0 */
    uint64_t pc;                   /* exact only outside the handlers of the interpreter */
    gva_t page;                    /* virtual address of the page being executed */
    uint64_t icount;               /* instructions retired since reset; exact as pc is */
    _Atomic uint64_t limit;        /* leave when icount reaches it; 0: someone kicked */
    struct tlb_entry *data_tlb;    /* of the current mmu index */
    struct fetch_entry *fetch_tlb; /* of the current privilege */
    uint64_t f[32];                /* singles are NaN-boxed */
    uint64_t mstatus;              /* without SD, which is derived */
    uint32_t fflags;
    uint32_t frm;
    uint64_t slow_value; /* result of a slow-path load */
    enum privilege privilege;
    enum mmu_index data_index;
    enum hart_exit exit_reason;
    bool leave;       /* a handler asked to leave hart_run with exit_reason */
    bool is_single;   /* hart_execute: the chain ends after one instruction */
    bool goes_on;     /* hart_execute: it ended where nothing is looked at */
    bool stip;        /* Sstc: time had reached stimecmp when last looked at */
    uint8_t ialign;   /* address bits that must be zero in a jump target: 1 with C, else 3 */
    uint64_t stop_at; /* hart_run leaves when icount reaches it; for machines on virtual time */

    /* LR/SC: the pair succeeds when the memory still holds the value that LR
     * read (compare and swap; see ADR 0004). */
    uintptr_t reserved_at; /* host address; 0: none */
    uint64_t reserved_value;

    /* Machine-mode state */
    uint64_t mtvec;
    uint64_t mepc;
    uint64_t mcause;
    uint64_t mtval;
    uint64_t mscratch;
    uint64_t medeleg;
    uint64_t mideleg;
    uint64_t mie;
    uint64_t mcounteren;
    uint64_t menvcfg;
    uint64_t mcountinhibit;
    uint64_t minstret_offset; /* minstret = offset + icount, or offset while inhibited */
    uint64_t mcycle_offset;
    uint64_t traps; /* taken since reset: they pass time, too */

    /* Supervisor-mode state */
    uint64_t stvec;
    uint64_t sepc;
    uint64_t scause;
    uint64_t stval;
    uint64_t sscratch;
    uint64_t scounteren;
    uint64_t senvcfg;
    uint64_t satp;
    uint64_t stimecmp;

    uint8_t pmpcfg[HART_PMP_ENTRIES];
    uint64_t pmpaddr[HART_PMP_ENTRIES];
    struct pmp_entry pmp[HART_PMP_ENTRIES]; /* derived from the two above */
    unsigned pmp_active;                    /* entries that are not OFF; derived */

    /* Written by any thread */
    _Atomic uint64_t irq_lines; /* MSIP MTIP MEIP SEIP as the interrupt controllers drive them */
    _Atomic uint64_t mip;       /* the writable bits SSIP STIP SEIP */
    _Atomic uint32_t requests;  /* HART_REQUEST_* */

    struct hart_debug debug;
    struct hart_config config;
    struct code_cache *code;
    uint64_t code_generation; /* raised by fence.i: older predecoded pages are checked again */
    uint64_t code_period;     /* icount >> RECHECK_CODE_SHIFT at the last periodic raise */

    /* Translations. Whoever keeps bindings of virtual addresses to code elsewhere
     * drops them when fetch_epoch has changed, and tags them with the ASID: a
     * change of that alone does not count. */
    uint64_t fetch_epoch;
    bool fetch_nonglobal_s;       /* S-mode has fetched from a page that is not global */
    bool data_nonglobal_s;        /* the same for MMU_S */
    bool tlb_is_clear[MMU_COUNT]; /* nothing was entered since the last flush */
    bool fetch_is_clear[PRIV_M + 1];
    uint64_t fetch_filter[TLB_FETCH_FILTER / 64]; /* hashes of pages that were fetched from */
    struct tlb_large_range fetch_large[PRIV_M + 1];
    /* Leaves of data: up to 2 MiB as hashes of their 2 MiB, those of the lower and
     * of the upper half of the address space; and above as a range. */
    uint64_t large_filter[2][TLB_LARGE_FILTER / 64];
    struct tlb_large_range huge;
    struct fetch_entry fetch[PRIV_M + 1][FETCH_TLB_SIZE];
    struct tlb_slot slots[MMU_COUNT][2][TLB_SLOTS]; /* [index][is store][base register] */
    struct tlb_entry tlb[MMU_COUNT][TLB_SIZE];
    struct tlb2 tlb2;
};

/* What others ask of a hart; done before its next instruction. */
enum {
    HART_REQUEST_FENCE_I = 1 << 0,
    HART_REQUEST_SFENCE = 1 << 1,
    HART_REQUEST_LOOK = 1 << 2, /* leaves hart_run: whoever runs it has something to do */
};

/* Sets up and resets; no allocation. */
void hart_init(struct hart *hart, const struct hart_config *config);
/* Power-on state: M-mode at config.reset_pc, all CSRs as the specification has
 * them at reset. */
void hart_reset(struct hart *hart);

/* Runs until something wants attention. Owner thread only. */
enum hart_exit hart_run(struct hart *hart);
/* Executes one instruction or takes its exception; with `interrupts`, takes a
 * pending interrupt instead. Debuggers step without: the next timer tick would
 * lead every step into its handler. */
enum hart_exit hart_step(struct hart *hart, bool interrupts);

/* ---- for engines: what hart_run is made of ----
 *
 * All engines look at the outside (limit, interrupts) at the same points of a
 * program: after taken jumps backwards or to themselves, after every jalr, and
 * after instructions that trap or may change translation, privilege or pending
 * interrupts. So they execute the same instructions between the same events. */

/* Starts a run of at most `slice` instructions: sets limit, serves requests,
 * looks at the clock. */
void hart_begin_run(struct hart *hart, uint64_t slice);
/* Whether something asked to leave hart_run, and why; forgets it. */
bool hart_has_left(struct hart *hart, enum hart_exit *reason);
/* Executes the instruction `raw`, of which hart->pc, hart->page and hart->icount
 * tell where it is, as if it had been fetched there. True: go on at hart->pc
 * without looking at the outside. */
bool hart_execute(struct hart *hart, uint32_t raw);
/* The same for whatever stands at hart->pc, also across two pages. */
bool hart_execute_fetched(struct hart *hart);

/* Any thread: drives an interrupt line (one of the IRQ_ bits). Returns true when
 * the level changed, and the hart should then be woken. */
bool hart_set_irq_line(struct hart *hart, uint64_t irq, bool level);
/* Any thread: sets bits of mip (SSIP for an IPI). */
void hart_raise(struct hart *hart, uint64_t mip_bits);
/* Any thread: makes hart_run return soon. Does not wake a sleeping thread. */
void hart_kick(struct hart *hart);
/* Any thread: asks for HART_REQUEST_ bits; the hart clears each when done. */
void hart_request(struct hart *hart, uint32_t requests);
/* Owner thread (or stopped hart): does what was requested. */
void hart_serve_requests(struct hart *hart);

/* Whether an interrupt is pending and enabled, whatever mstatus says: what ends
 * a WFI. Owner thread. */
bool hart_has_wakeup(struct hart *hart);
/* Time (mtime ticks) of the next timer interrupt the hart itself makes (Sstc),
 * UINT64_MAX for none. */
uint64_t hart_next_deadline(const struct hart *hart);

/* ---- traps (trap.c) ---- */

/* Takes an exception at hart->pc: enters the handler of M- or S-mode. */
void hart_exception(struct hart *hart, enum cause cause, uint64_t tval);
/* Takes the highest-priority enabled interrupt, if any. */
bool hart_take_interrupt(struct hart *hart);
/* Pending interrupts: lines, software bits, and Sstc's comparison. */
uint64_t hart_mip(struct hart *hart);
/* mret and sret; privilege was checked. */
void hart_mret(struct hart *hart);
void hart_sret(struct hart *hart);
/* After a change of privilege or of mstatus: selects the TLBs. */
void hart_update_mode(struct hart *hart);
void hart_set_privilege(struct hart *hart, enum privilege privilege);

/* ---- CSRs (csr.c) ---- */

enum csr_result {
    CSR_OK,
    CSR_ILLEGAL,
    CSR_REFETCH, /* done; translation or interrupts may have changed */
};
/* `write` false: only reads. Checks privilege and existence. The hart's pc and
 * icount are exact. */
enum csr_result csr_access(struct hart *hart, unsigned number, bool write, uint64_t value,
                           uint64_t *old);
/* As csr_access, with `set` bits set and `clear` bits cleared of the register
 * itself (which for mip is not what a read returns). */
enum csr_result csr_modify(struct hart *hart, unsigned number, uint64_t set, uint64_t clear,
                           uint64_t *old);
/* For debuggers: reads or writes without any check of privilege. */
bool csr_peek(struct hart *hart, unsigned number, uint64_t *value);
bool csr_poke(struct hart *hart, unsigned number, uint64_t value);
uint64_t csr_sstatus_mask(void);

/* ---- memory (mmu.c, pmp.c, tlb.c) ---- */

struct mmu_result {
    gpa_t pa;
    uint64_t leaf_size; /* bytes the page-table leaf maps; 0 without translation */
    enum cause cause;   /* when it failed */
    bool is_global;     /* the same in all address spaces */
    bool is_user;       /* the leaf has U */
    bool is_writable;   /* the leaf lets stores pass without another look at it */
};

/* Physical address of `va` for one access within a page, made as `index` would.
 * Sets A and D bits (or faults) as the walk of the specification does. PMP is
 * checked for the walk and for the access. */
MUST_CHECK bool mmu_translate(struct hart *hart, gva_t va, unsigned size, enum access access,
                              enum mmu_index index, struct mmu_result *result);
/* The mmu index that instructions are fetched with. */
enum mmu_index mmu_fetch_index(enum privilege privilege);
/* Debugger's view: no side effect, no permission check. */
MUST_CHECK bool mmu_peek(struct hart *hart, gva_t va, gpa_t *pa);

/* Loads `size` bytes into hart->slow_value, zero-extended; any alignment, also
 * across pages and to devices. False: the exception was taken. */
bool hart_load(struct hart *hart, gva_t va, unsigned size);
bool hart_store(struct hart *hart, gva_t va, unsigned size, uint64_t value);
/* Host address for an aligned atomic access to RAM; NULL: exception taken.
 * `access` LOAD for LR, STORE for the rest. */
void *hart_atomic_address(struct hart *hart, gva_t va, unsigned size, enum access access);

bool pmp_allows(const struct hart *hart, gpa_t pa, uint64_t size, enum access access,
                enum privilege privilege);
/* Whether all of the 4 KiB page at `pa` falls to the same PMP rule. */
bool pmp_page_is_uniform(const struct hart *hart, gpa_t pa);
void pmp_update(struct hart *hart);

/* Makes the first-level entry for an access hit that will be made right now, as
 * data_index. False when there can be none (the access crosses pages, is to a
 * device, watched or not permitted, PMP divides the page): takes no exception,
 * and sets A and D only when the access is permitted. Owner thread. */
bool hart_tlb_refill(struct hart *hart, gva_t va, unsigned size, enum access access);
/* The same for an instruction that will be fetched from `va` right now: *page is the
 * guest-physical page. */
bool hart_fetch_refill(struct hart *hart, gva_t va, gpa_t *page);
/* The same, but only with what is known already; and entering what mmu_translate
 * has found out for an access as data_index to a page which is whole in RAM, under
 * one PMP rule and not watched. `host` is where `va` lies. */
bool tlb_refill_from_second(struct hart *hart, gva_t va, enum access access);
void tlb_fill(struct hart *hart, gva_t va, const struct mmu_result *result, const uint8_t *host);

/* Makes zeroed arrays empty ones, touching little of them. */
void tlb_init_zeroed(struct hart *hart);
/* Dropping translations. Of the pages of guest-physical memory nothing is
 * dropped; see code_generation for that. Owner thread. */
void tlb_flush(struct hart *hart);
void tlb_flush_page(struct hart *hart, gva_t va);
/* What sfence.vma with an ASID drops: global translations stay. */
void tlb_flush_asid(struct hart *hart, unsigned asid);
void tlb_flush_page_asid(struct hart *hart, gva_t va, unsigned asid);
void tlb_flush_fetch(struct hart *hart);
/* fence.i: whatever was made of code must be checked before it is executed again.
 * Raises code_generation. */
void tlb_recheck_code(struct hart *hart);
/* Takes from the first level the leave to store to those pages for which `drop`
 * says so; the next store to one asks again (space_note_store). */
void tlb_drop_stores(struct hart *hart, bool (*drop)(void *owner, const uint8_t *page),
                     void *owner);
/* Writes satp, whose mode is supported, and drops what the write makes wrong. */
void tlb_switch(struct hart *hart, uint64_t satp);
/* Notes that a fetch of the current privilege used a translation. */
void tlb_note_fetch(struct hart *hart, gva_t va, const struct mmu_result *result);

/* ---- debugging ---- */

bool hart_add_breakpoint(struct hart *hart, gva_t address);
bool hart_remove_breakpoint(struct hart *hart, gva_t address);
bool hart_add_watchpoint(struct hart *hart, const struct hart_watchpoint *watch);
bool hart_remove_watchpoint(struct hart *hart, const struct hart_watchpoint *watch);

/* ---- saved state ---- */
extern const struct state_table hart_state;
/* After state_load: checks the values and derives what is not saved. */
MUST_CHECK int hart_loaded(struct hart *hart, struct error *err);
