/* SPDX-License-Identifier: Apache-2.0
 * Making one unit: the state of its translation, and the helpers that the
 * translators of single instructions (translate_*.c) are written with. */
#pragma once

#include "isa/insn.h"
#include "isa/ops.h"
#include "translator/registers.h"

#define UNIT_MAX_INSNS 192
#define UNIT_MAX_LINKS (2 * UNIT_MAX_INSNS + 4) /* a branch or a group, and what follows */
/* What one instruction may add to r15's debt before it is paid. */
#define MAX_PENDING    200

/* Scratch registers that may hold low halves: see low_halves.c. */
#define LOW_COUNT 2

/* How a load or store finds its page: see translate_memory.c. */
enum access_way {
    ACCESS_HASHED,
    ACCESS_SLOT,
    ACCESS_LEADER, /* of a group: checks for all of it */
    ACCESS_MEMBER,
    ACCESS_DIRECT, /* of a process VM: guest addresses are the host's */
};

struct translated_insn {
    struct insn insn;
    uint8_t way;    /* enum access_way */
    bool in_stores; /* uses the slot for stores */
    bool is_hashed; /* leaders and members: without a slot */
    /* Leaders: what the group accesses, relative to the base register. */
    int16_t low;
    int16_t high;
    uint16_t offset; /* in the page */
    bool is_loop;    /* jumped to from behind */
    bool is_entry;   /* jumped to: nothing is known before it */
    bool is_select;  /* a branch over one move, which is translated with it */
    bool is_low;     /* nobody looks at the upper half of rd */
    uint8_t *label;  /* once translated */
    uint8_t *code;   /* for listings: where its host code begins, */
    uint8_t *cold;   /* and the cold part of it */
};

/* A jump to an instruction of the unit that has no label yet. */
struct fixup {
    uint8_t *site;
    uint16_t target; /* index */
};

/* A stub to be written to the cold part: leads on through the linker. */
struct pending_link {
    uint8_t *site;
    uint64_t target; /* struct link_data.target */
};

/* A host register that holds another guest register than usual while the unit is
 * executed. */
struct local_register {
    uint8_t host;
    uint8_t away; /* what it holds elsewhere, in memory meanwhile */
    uint8_t home; /* what it holds here */
    bool is_written;
};
#define MAX_LOCALS 8

/* A host instruction that accesses guest memory directly. */
struct access_site {
    const uint8_t *at;
    uint16_t offset; /* of the guest instruction in its page */
};

_Static_assert(UNIT_MAX_INSNS <= UINT8_MAX, "index_at holds it");

struct translation {
    struct emitter e;
    struct translator *t;
    bool is_user; /* of a process VM: see translator_options.user */
    const struct cpu_features *features;
    const struct extension_set *extensions;
    struct guest_page *page;
    unsigned context; /* with variant */
    bool fp_on;
    bool has_compressed; /* jump targets need only be even */
    unsigned count;
    unsigned at;      /* index of the instruction being translated */
    unsigned pending; /* instructions retired before it since r15 was updated */
    bool ended;       /* control does not reach what follows */
    unsigned fixup_count;
    unsigned link_count;
    /* rax holds guest register `rax_guest` (of those without a host register) where
     * hot code ends at `rax_at`: behind anything emitted since, it may not. */
    unsigned rax_guest;
    /* ZF tells whether guest register `flags_of` is zero where hot code ends at `flags_at`. */
    unsigned flags_of;
    const uint8_t *flags_at;
    bool puts_last; /* the current instruction ends with put_x, on all ways */
    const uint8_t *rax_at;
    /* Integer registers that hold a sign-extended word, bit each; and one whose upper half
     * the current instruction has not made, because the next does not look at it. */
    unsigned known_words;
    unsigned half_made;
    /* Low halves (low_halves.c): the guest register whose low half each of the scratch
     * registers holds, 0: none; and of those, a bit for each that the current instruction has put there. */
    uint8_t low_of[LOW_COUNT];
    unsigned low_new;
    unsigned known_boxed; /* FP registers that hold a NaN-boxed single, bit each */
    struct translated_insn insns[UNIT_MAX_INSNS];
    struct fixup fixups[UNIT_MAX_LINKS];
    struct pending_link pending_links[UNIT_MAX_LINKS];
    struct link links[UNIT_MAX_LINKS];
    /* The host register of each guest register in this unit, or NO_REGISTER. */
    uint8_t map[32];
    struct local_register locals[MAX_LOCALS];
    unsigned local_count;
    struct access_site accesses[2 * UNIT_MAX_INSNS];
    unsigned access_count;
    const uint8_t *fault_stub; /* NULL: the thunk */
    /* The page as it is translated; of a process VM also the halfword behind it, if that
     * is code. */
    uint8_t source[PAGE_SIZE + 2];
    unsigned source_size;
    /* By half an offset: which of insns is there, if that is what its offset says, too. */
    uint8_t index_at[PAGE_SIZE / 2];
    /* Instructions of the page that have been decoded, by half their offset: most are looked
     * at more than once. */
    struct marks is_decoded;
    struct insn decoded[PAGE_SIZE / 2];
};

/* Translates one instruction; false: leave it to the interpreter. What it emitted
 * before saying so must be nothing. */
typedef bool translate_function(struct translation *tr, const struct insn *insn);

translate_function translate_integer, translate_memory, translate_fp, translate_atomic;
/* These count the instruction themselves. */
translate_function translate_csr, translate_trap, translate_jump;

/* ---- guest registers ---- */

/* The host register that holds guest register `reg` now: its own, or `scratch`
 * after a load. */
unsigned get_x(struct translation *tr, unsigned reg, unsigned scratch);
/* The host register to compute guest register `rd` in; put_x afterwards. */
unsigned target_x(const struct translation *tr, unsigned rd, unsigned scratch);
/* `host` becomes the value of guest register `rd`. */
void put_x(struct translation *tr, unsigned rd, unsigned host);
/* Whether rax holds `reg` now. */
bool rax_holds(const struct translation *tr, unsigned reg);
/* Whether `insn` is one that takes its operand `reg` from rax, when it is there, and
 * overwrites it, and can not trap. */
bool integer_consumes(const struct insn *insn, unsigned reg);
/* Whether `insn` makes its result of the low half of `reg` only. */
bool integer_reads_low(const struct insn *insn, unsigned reg);
/* Whether `insn` only copies a register, or its low half with its sign, or zero into rd. */
bool integer_is_move(const struct insn *insn);
/* Whether `insn` makes a sign-extended word, if `known` are those registers that hold one. */
bool integer_makes_word(const struct insn *insn, unsigned known);
/* Whether the translation of `insn` changes nothing but rd, and never leaves host code. */
bool integer_is_pure(const struct translation *tr, const struct insn *insn);
/* The instruction that is executed right after the current one, whatever happens,
 * if that one ends with put_x; else NULL. */
const struct insn *next_insn(const struct translation *tr);
/* Makes that one the current one, too: both are translated together. */
void take_next(struct translation *tr);
/* Copies guest register `reg` into `host`. */
void copy_x(struct translation *tr, unsigned host, unsigned reg);
/* op host, guest register (which may be in memory). Not for x0. */
void with_x(struct translation *tr, enum x86_op op, unsigned width, unsigned host, unsigned reg);

/* The host register that holds guest integer register `reg` in this unit, or NO_REGISTER. */
static inline unsigned local_x(const struct translation *tr, unsigned reg)
{
    return tr->map[reg];
}

/* ---- low halves (low_halves.c) ---- */

/* Whether a later instruction, certain to be executed soon, is computed from the low half of
 * what the current one makes. */
bool low_is_wanted(const struct translation *tr, unsigned reg);
/* The host register that holds the low half of guest register `reg`: a scratch register that
 * has it earlier, or its own, or `scratch` after a load. The former must not be changed. */
unsigned low_get(struct translation *tr, unsigned reg, unsigned scratch);
/* Whether a scratch register holds it. */
bool low_is_held(const struct translation *tr, unsigned reg);
/* A scratch register for the low half of what the current instruction makes from host registers
 * `a` and `b`: neither of them, unless both are scratch registers; then `a`. */
unsigned low_target(const struct translation *tr, unsigned rd, unsigned a, unsigned b);
/* `host`, one of those, holds the low half of `rd`, zero-extended. */
void low_put(struct translation *tr, unsigned rd, unsigned host);
/* After an instruction: forgets what no longer holds. */
void low_settle(struct translation *tr, const struct insn *insn);
void low_forget(struct translation *tr);

/* ---- which instructions (collect.c) ---- */

/* Fills insns with those of the unit for `offset`, which is one of them unless no whole
 * instruction is there; marks entries, loops and selects. */
void collect_unit(struct translation *tr, unsigned offset);
/* Whether control does not reach what follows the instruction. */
bool ends_unit(const struct insn *insn);
/* Whether it may jump backwards, to where pc + imm is. */
bool is_backward(const struct insn *insn);
static inline bool is_near(int64_t offset)
{
    return offset >= 0 && offset < (int64_t)PAGE_SIZE;
}

/* ---- what they are translated as (simplify.c) ---- */

/* Replaces instructions of the unit by others that come to the same. */
void simplify_unit(struct translation *tr);

/* ---- registers of the unit (unit_registers.c) ---- */

/* Decides which guest registers have host registers in this unit: in loops of process
 * VMs, those that the loop uses most. */
void plan_registers(struct translation *tr);
/* The registers as all other code has them. */
void clear_locals(struct translation *tr);
/* Moves guest registers to where the unit has them, and back to where all other code
 * does. Change no flags and no scratch register. */
void enter_unit(struct translation *tr);
void leave_unit(struct translation *tr);

/* ---- flow ---- */

/* Everything retired so far is counted in r15. Changes the flags. */
void pay_pending(struct translation *tr);
/* For what slow paths need to know about the current instruction. */
uint32_t info_of(const struct translation *tr);
/* Index of the unit's instruction at `offset`, -1 if it has none there. */
int find_insn(const struct translation *tr, int64_t offset);
/* Emits the call that leaves the current instruction to the interpreter. */
void emit_fallback(struct translation *tr, const struct insn *insn);
/* The same in the cold part, for an instruction whose fast path went wrong; comes
 * back to `resume`. */
void emit_cold_fallback(struct translation *tr, const struct insn *insn, const uint8_t *resume);
/* Jumps to the instruction at `offset` of this page, or of a process VM relative to it;
 * r15 is exact. `condition` negative: always. */
void emit_goto(struct translation *tr, int condition, int64_t offset);
/* Compares with the limit; the condition of going on. Leaves registers alone. */
enum condition emit_limit_check(struct translation *tr);
/* Whether a jump to `offset` of this page can be patched to lead straight there. */
static inline bool is_linkable(const struct translation *tr, int64_t offset)
{
    return tr->is_user || is_near(offset);
}
/* The jump or call at `site` leads to `offset` of this page, outside of the unit: through a
 * stub that patches it. */
void add_link(struct translation *tr, uint8_t *site, int64_t offset);
/* A host call of the unit's instruction number `index`. */
void call_insn(struct translation *tr, unsigned index);
/* Before thunks that take an offset in the page: hart->page is right. Changes rax. */
void emit_page(struct translation *tr);
/* Jumps from the cold part to a variant of this unit that begins with the current
 * instruction. */
void emit_goto_variant(struct translation *tr, unsigned variant);
/* Jumps to the virtual address in rax, after leave_unit; r15 is exact. With `polls`,
 * looks at the limit first. */
void emit_jump_rax(struct translation *tr, bool polls);
/* rax = virtual address of `offset` relative to this page. */
void emit_address(struct translation *tr, unsigned host, int64_t offset);

static inline void to_cold(struct translation *tr)
{
    tr->e.out = &tr->e.cold;
}

static inline void to_hot(struct translation *tr)
{
    tr->e.out = &tr->e.hot;
}

/* A jump to the cold part, whose code begins right where that part is now. Leaves
 * the emitter there. */
void emit_jcc_cold(struct translation *tr, enum condition condition);

/* ---- memory (translate_memory.c) ---- */

/* Of a process VM: the host instruction emitted next accesses guest memory for the
 * current one, with all guest registers at their places. */
void note_access(struct translation *tr);

/* Decides the way of each access of the unit. */
void plan_memory(struct translation *tr);

/* Emits the look-up of rs1 + imm: afterwards [rax + rcx] (or [*ea + rcx]) is the
 * place in host memory. Returns the patch sites and labels for the slow path. */
struct lookup {
    uint8_t *start;        /* to try again: the base register is in its place */
    unsigned ea;           /* host register with the address */
    uint8_t *slow;         /* jump to the slow path; NULL: there is none */
    uint8_t *slow_aligned; /* second one, for misaligned atomics, or NULL */
};
/* In the cold part: tries again when ZF is set. */
void emit_retry(struct translation *tr, const struct insn *insn, const uint8_t *start);
struct lookup emit_lookup(struct translation *tr, const struct insn *insn, unsigned size,
                          bool is_store, bool must_align);
/* rcx = the place itself. */
void emit_place(struct translation *tr, const struct lookup *place);
