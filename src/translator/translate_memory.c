/* SPDX-License-Identifier: Apache-2.0
 * Loads and stores: finding the page inline, everything else in the cold part. In
 * the first-level TLB, one unsigned compare of (address - tag) tests the hit and
 * that the access stays in its page. */
#include "translator/translate.h"

struct memory_row {
    uint8_t size;  /* bytes; 0: not an access */
    uint8_t op;    /* enum x86_op: load or store */
    uint8_t width; /* of op */
    bool is_store;
    bool is_signed;
    bool is_fp;
};

/* clang-format off */
static const struct memory_row rows[OP_COUNT] = {
    [OP_lb]  = {1, X86_MOVSX8,  8, false, true, false},
    [OP_lh]  = {2, X86_MOVSX16, 8, false, true, false},
    [OP_lw]  = {4, X86_MOVSXD,  8, false, true, false},
    [OP_ld]  = {8, X86_MOV,     8, false, false, false},
    [OP_lbu] = {1, X86_MOVZX8,  4, false, false, false},
    [OP_lhu] = {2, X86_MOVZX16, 4, false, false, false},
    [OP_lwu] = {4, X86_MOV,     4, false, false, false},
    [OP_sb]  = {1, X86_MOV_STORE, 1, true, false, false},
    [OP_sh]  = {2, X86_MOV_STORE, 2, true, false, false},
    [OP_sw]  = {4, X86_MOV_STORE, 4, true, false, false},
    [OP_sd]  = {8, X86_MOV_STORE, 8, true, false, false},
    [OP_flw] = {4, X86_VMOVD_LOAD, 4, false, false, true},
    [OP_fld] = {8, X86_VMOVQ_LOAD, 8, false, false, true},
    [OP_fsw] = {4, X86_VMOVD_STORE, 4, true, false, true},
    [OP_fsd] = {8, X86_VMOVQ_STORE, 8, true, false, true},
};
/* clang-format on */

static unsigned log2_size(unsigned size)
{
    return size == 8 ? 3 : size == 4 ? 2 : size - 1;
}

static uint32_t access_info(const struct translation *tr, unsigned size, bool is_store)
{
    return info_of(tr) | log2_size(size) << INFO_SIZE_SHIFT | (is_store ? INFO_STORE : 0);
}

static int64_t tlb_field(const struct translation *tr, size_t member)
{
    unsigned index = tr->context & CONTEXT_INDEX;

    return (int64_t)(offsetof(struct hart, tlb) + index * sizeof(((struct hart *)0)->tlb[0]) +
                     member) -
           HART_BIAS;
}

static struct host_memory slot_field(const struct translation *tr, unsigned reg, bool is_store,
                                     size_t member)
{
    unsigned index = tr->context & CONTEXT_INDEX;
    size_t slot = (index * 2 + is_store) * TLB_SLOTS + reg;

    return at_register(HART_REG, (int64_t)(offsetof(struct hart, slots) +
                                           slot * sizeof(struct tlb_slot) + member) -
                                     HART_BIAS);
}

_Static_assert(sizeof(struct tlb_entry) == 32, "the look-up scales by it");

void note_access(struct translation *tr)
{
    if (tr->is_user)
        tr->accesses[tr->access_count++] =
            (struct access_site){tr->e.out->at, tr->insns[tr->at].offset};
}

/* ---- planning ----
 *
 * HASHED looks the page up in the first-level TLB. SLOT compares it with the page
 * last accessed through the same base register, which takes two thirds of the
 * instructions, and goes on as HASHED in the cold part when it differs; that is for
 * bases that stay in a page for a while; an access that turns out to miss its slot
 * all the time is translated again as HASHED. Several accesses off one unchanged base
 * make a group: its LEADER checks the span of all of them, and for the MEMBERs that
 * follow nothing is left to do. Translations change only where a unit is left, so
 * what the leader found stays right. A group that does not lie in one page that may
 * be accessed so, is executed in a variant of the unit without groups. */

#define MAX_SPAN 2048
#define NO_INSN  UINT16_MAX

struct open_group {
    uint16_t leader; /* index, NO_INSN: none */
    uint16_t members;
    int low;
    int high;
    bool has_store;
};

/* What defined a register last within the unit: addresses that were just loaded or
 * computed from two registers jump about. */
struct planner {
    struct translation *tr;
    struct open_group groups[32];
    bool jumps_about[32];
};

static void close_group(struct planner *planner, unsigned reg)
{
    struct open_group *group = &planner->groups[reg];

    if (group->leader != NO_INSN && group->members > 1) {
        struct translated_insn *leader = &planner->tr->insns[group->leader];
        leader->way = ACCESS_LEADER;
        leader->low = (int16_t)group->low;
        leader->high = (int16_t)group->high;
        leader->in_stores = group->has_store;
    }
    group->leader = NO_INSN;
}

/* Members learn only now whether the group has stores. */
static void mark_members(struct planner *planner)
{
    struct translation *tr = planner->tr;
    bool in_stores[32] = {0};
    bool is_hashed[32] = {0};

    for (unsigned i = 0; i < tr->count; i++) {
        struct translated_insn *slot = &tr->insns[i];
        if (slot->way == ACCESS_LEADER) {
            in_stores[slot->insn.rs1] = slot->in_stores;
            is_hashed[slot->insn.rs1] = slot->is_hashed;
        } else if (slot->way == ACCESS_MEMBER) {
            slot->in_stores = in_stores[slot->insn.rs1];
            slot->is_hashed = is_hashed[slot->insn.rs1];
        }
    }
}

static void plan_access(struct planner *planner, unsigned index)
{
    struct translated_insn *slot = &planner->tr->insns[index];
    const struct memory_row *row = &rows[slot->insn.op];
    struct open_group *group = &planner->groups[slot->insn.rs1];
    int low = slot->insn.imm;
    int high = low + row->size;

    slot->is_hashed =
        planner->jumps_about[slot->insn.rs1] || is_marked(&planner->tr->page->jumpy, slot->offset);
    slot->way = slot->is_hashed ? ACCESS_HASHED : ACCESS_SLOT;
    slot->in_stores = row->is_store;
    if (group->leader != NO_INSN && MAX(high, group->high) - MIN(low, group->low) <= MAX_SPAN) {
        slot->way = ACCESS_MEMBER;
        group->low = MIN(low, group->low);
        group->high = MAX(high, group->high);
        group->has_store |= row->is_store;
        group->members++;
        return;
    }
    close_group(planner, slot->insn.rs1);
    *group = (struct open_group){(uint16_t)index, 1, low, high, row->is_store};
}

static bool jumps_about(const struct planner *planner, const struct insn *insn)
{
    uint32_t flags = isa_ops[insn->op].flags;

    if (flags & IS_LOAD)
        return true;
    return insn->op == OP_addi && insn->rs1 != insn->rd && planner->jumps_about[insn->rs1];
}

static bool can_inline(const struct translation *tr, const struct insn *insn)
{
    return !rows[insn->op].is_fp || (tr->fp_on && tr->features->avx);
}

void plan_memory(struct translation *tr)
{
    struct planner planner = {.tr = tr};

    if (tr->is_user) {
        for (unsigned i = 0; i < tr->count; i++)
            tr->insns[i].way = ACCESS_DIRECT;
        return;
    }
    for (unsigned reg = 0; reg < 32; reg++)
        planner.groups[reg].leader = NO_INSN;
    for (unsigned i = 0; i < tr->count; i++) {
        struct translated_insn *slot = &tr->insns[i];
        const struct insn *insn = &slot->insn;
        uint32_t flags = isa_ops[insn->op].flags;
        slot->way = ACCESS_HASHED;
        if (slot->is_entry || (flags & IS_SYSTEM))
            for (unsigned reg = 0; reg < 32; reg++) {
                close_group(&planner, reg);
                planner.jumps_about[reg] &= !slot->is_entry;
            }
        if (rows[insn->op].size && !(tr->context & CONTEXT_UNGROUPED) &&
            !tr->t->options.no_fast_memory && can_inline(tr, insn))
            plan_access(&planner, i);
        if ((flags & X_RD) && insn->rd != 0) {
            close_group(&planner, insn->rd);
            planner.jumps_about[insn->rd] = jumps_about(&planner, insn);
        }
    }
    for (unsigned reg = 0; reg < 32; reg++)
        close_group(&planner, reg);
    mark_members(&planner);
}

/* ---- finding the page ---- */

static void emit_index(struct translation *tr, unsigned ea)
{
    struct emitter *e = &tr->e;

    if (tr->features->bmi2) {
        emit_rri(e, X86_RORX, 8, RCX, ea, 7);
    } else {
        emit_rr(e, X86_MOV, 8, RCX, ea);
        emit_ri(e, X86_SHR_IMM, 8, RCX, 7);
    }
    emit_rr(e, X86_MOV, 8, RDX, ea);
    emit_ri(e, X86_AND_IMM, 4, RCX, (TLB_SIZE - 1) * (int)sizeof(struct tlb_entry));
}

/* rcx = addend of the page of `ea`; returns the jump to where it is not known. */
static uint8_t *emit_hashed(struct translation *tr, unsigned ea, unsigned size, bool is_store)
{
    struct emitter *e = &tr->e;
    size_t tag =
        is_store ? offsetof(struct tlb_entry, store_tag) : offsetof(struct tlb_entry, load_tag);

    emit_index(tr, ea);
    emit_rm(e, X86_SUB, 8, RDX, at_index(HART_REG, RCX, 0, tlb_field(tr, tag)));
    emit_ri(e, X86_CMP_IMM, 8, RDX, (int32_t)(PAGE_SIZE - size));
    uint8_t *slow = tr->t->options.no_fast_memory ? emit_jmp(e, NULL) : emit_jcc(e, IF_ABOVE, NULL);
    emit_rm(e, X86_MOV, 8, RCX,
            at_index(HART_REG, RCX, 0, tlb_field(tr, offsetof(struct tlb_entry, addend))));
    return slow;
}

void emit_retry(struct translation *tr, const struct insn *insn, const uint8_t *start)
{
    struct emitter *e = &tr->e;

    if (local_x(tr, insn->rs1) != NO_REGISTER) {
        emit_jcc(e, IF_EQUAL, start);
        return;
    }
    uint8_t *done = emit_jcc_short(e, IF_NOT_EQUAL);
    copy_x(tr, RAX, insn->rs1);
    emit_jmp(e, start);
    emit_patch_short(e, done);
}

struct lookup emit_lookup(struct translation *tr, const struct insn *insn, unsigned size,
                          bool is_store, bool must_align)
{
    struct emitter *e = &tr->e;
    unsigned base = get_x(tr, insn->rs1, RAX);
    struct lookup place = {.start = e->out->at, .ea = RAX};

    if (insn->imm)
        emit_rm(e, X86_LEA, 8, RAX, at_register(base, insn->imm));
    else
        place.ea = base;
    if (must_align && size > 1) {
        emit_ri(e, X86_TEST_IMM, 1, place.ea, (int32_t)size - 1);
        place.slow_aligned = emit_jcc(e, IF_NOT_EQUAL, NULL);
    }
    if (!tr->is_user)
        place.slow = emit_hashed(tr, place.ea, size, is_store);
    return place;
}

void emit_place(struct translation *tr, const struct lookup *place)
{
    if (tr->is_user)
        emit_rr(&tr->e, X86_MOV, 8, RCX, place->ea);
    else
        emit_rm(&tr->e, X86_LEA, 8, RCX, at_index(place->ea, RCX, 0, 0));
}

/* An access under way: what is to be emitted for it, and where. */
struct memory_access {
    const struct insn *insn;
    const struct memory_row *row;
    const struct translated_insn *plan;
    unsigned base;            /* host register with the base */
    struct host_memory place; /* in host memory; rcx is part of it */
    uint8_t *start;           /* to try again */
    uint8_t *miss;            /* jumps to the cold part */
    uint8_t *second_miss;
};

/* Compares the page of base + `offset` with the slot; `size` a power of two to
 * which it must be aligned. */
static uint8_t *emit_slot_check(struct translation *tr, const struct memory_access *access,
                                int offset, unsigned size)
{
    struct emitter *e = &tr->e;

    emit_rm(e, X86_LEA, 8, RDX, at_register(access->base, offset));
    emit_ri(e, X86_AND_IMM, 8, RDX, -(int32_t)PAGE_SIZE | (int32_t)(size - 1));
    emit_rm(
        e, X86_CMP, 8, RDX,
        slot_field(tr, access->insn->rs1, access->plan->in_stores, offsetof(struct tlb_slot, tag)));
    return emit_jcc(e, IF_NOT_EQUAL, NULL);
}

static void emit_slot_addend(struct translation *tr, const struct memory_access *access)
{
    if (access->plan->is_hashed) {
        emit_rm(&tr->e, X86_MOV, 8, RCX, TH_FIELD(group[access->insn->rs1]));
        return;
    }
    emit_rm(&tr->e, X86_MOV, 8, RCX,
            slot_field(tr, access->insn->rs1, access->plan->in_stores,
                       offsetof(struct tlb_slot, addend)));
}

/* The last byte of a group must lie in the page of its first, which is in rdx. */
static uint8_t *emit_span_check(struct translation *tr, const struct memory_access *access)
{
    struct emitter *e = &tr->e;

    emit_rm(e, X86_LEA, 8, RCX, at_register(access->base, access->plan->high - 1));
    emit_ri(e, X86_AND_IMM, 8, RCX, -(int32_t)PAGE_SIZE);
    emit_rr(e, X86_CMP, 8, RCX, RDX);
    return emit_jcc(e, IF_NOT_EQUAL, NULL);
}

/* Of a group whose base jumps about: finds its page as HASHED does and keeps it
 * where only the members look. */
static void emit_hashed_leader(struct translation *tr, struct memory_access *access)
{
    const struct translated_insn *plan = access->plan;
    struct emitter *e = &tr->e;

    emit_rm(e, X86_LEA, 8, RAX, at_register(access->base, plan->low));
    access->miss = emit_hashed(tr, RAX, (unsigned)(plan->high - plan->low), plan->in_stores);
    emit_rm(e, X86_MOV_STORE, 8, RCX, TH_FIELD(group[access->insn->rs1]));
    access->place = at_index(RAX, RCX, 0, access->insn->imm - plan->low);
}

static struct memory_access begin_access(struct translation *tr, const struct insn *insn)
{
    struct memory_access access = {
        .insn = insn,
        .row = &rows[insn->op],
        .plan = &tr->insns[tr->at],
    };

    if (access.plan->way == ACCESS_HASHED) {
        struct lookup place = emit_lookup(tr, insn, access.row->size, access.row->is_store, false);
        access.start = place.start;
        access.miss = place.slow;
        access.base = place.ea;
        access.place = at_index(place.ea, RCX, 0, 0);
        return access;
    }
    access.base = get_x(tr, insn->rs1, RAX);
    access.start = tr->e.out->at;
    access.place = at_index(access.base, RCX, 0, insn->imm);
    switch ((enum access_way)access.plan->way) {
    case ACCESS_DIRECT:
        access.place = at_register(access.base, insn->imm);
        return access;
    case ACCESS_HASHED:
    case ACCESS_SLOT:
        access.miss = emit_slot_check(tr, &access, insn->imm, access.row->size);
        break;
    case ACCESS_LEADER:
        if (access.plan->is_hashed) {
            emit_hashed_leader(tr, &access);
            return access;
        }
        access.miss = emit_slot_check(tr, &access, access.plan->low, 1);
        access.second_miss = emit_span_check(tr, &access);
        break;
    case ACCESS_MEMBER:
        break;
    }
    emit_slot_addend(tr, &access);
    return access;
}

/* The cold part of a slot that holds another page: finds the page as HASHED does
 * and keeps it. rax = address of the access. */
static uint8_t *emit_slot_refill(struct translation *tr, const struct memory_access *access,
                                 unsigned size)
{
    struct emitter *e = &tr->e;
    bool in_stores = access->plan->in_stores;
    unsigned reg = access->insn->rs1;

    uint8_t *slow = emit_hashed(tr, RAX, size, in_stores);
    emit_rr(e, X86_MOV, 8, RDX, RAX);
    emit_ri(e, X86_AND_IMM, 8, RDX, -(int32_t)PAGE_SIZE);
    emit_rm(e, X86_MOV_STORE, 8, RDX,
            slot_field(tr, reg, in_stores, offsetof(struct tlb_slot, tag)));
    emit_rm(e, X86_MOV_STORE, 8, RCX,
            slot_field(tr, reg, in_stores, offsetof(struct tlb_slot, addend)));
    return slow;
}

static void emit_reload_base(struct translation *tr, const struct memory_access *access)
{
    if (access->base == RAX)
        copy_x(tr, RAX, access->insn->rs1);
}

/* Misses of a slot are counted: too many of them in a slice, and we get another way. */
static void emit_patience(struct translation *tr)
{
    struct emitter *e = &tr->e;
    unsigned site = PATIENCE_SITE(tr->insns[tr->at].offset);

    emit_mi(e, X86_SUB_IMM, 2, TH_FIELD(patience[site]), 1);
    uint8_t *patient = emit_jcc_short(e, IF_NOT_EQUAL);
    emit_constant(e, RCX, info_of(tr));
    emit_jmp(e, tr->t->thunks.jumpy);
    emit_patch_short(e, patient);
}

/* Fills the first-level TLB for the leader's own access and starts over, or goes on
 * apart when that is no use. */
static void emit_leader_apart(struct translation *tr, const struct memory_access *access,
                              const uint8_t *again)
{
    struct emitter *e = &tr->e;

    if (again) {
        unsigned base = get_x(tr, access->insn->rs1, RAX);
        emit_rm(e, X86_LEA, 8, RAX, at_register(base, access->insn->imm));
        emit_constant(e, RCX, access_info(tr, access->row->size, access->row->is_store));
        emit_call(e, tr->t->thunks.refill);
        emit_jcc(e, IF_EQUAL, again);
    }
    emit_goto_variant(tr, CONTEXT_UNGROUPED);
}

/* As emit_hashed_leader once more, after a refill, so that what fails then ends
 * apart. */
static void emit_hashed_leader_miss(struct translation *tr, const struct memory_access *access,
                                    const uint8_t *hot)
{
    struct emitter *e = &tr->e;
    struct memory_access second = *access;

    to_cold(tr);
    const uint8_t *again = e->out->at;
    second.base = get_x(tr, access->insn->rs1, RAX);
    emit_hashed_leader(tr, &second);
    emit_jmp(e, hot);
    emit_patch(access->miss, e->out->at);
    emit_leader_apart(tr, access, again);
    emit_patch(second.miss, e->out->at);
    emit_leader_apart(tr, access, NULL);
    to_hot(tr);
}

/* Where a leader goes whose group is not in the page of the slot. */
static void emit_leader_miss(struct translation *tr, const struct memory_access *access,
                             const uint8_t *hot)
{
    struct emitter *e = &tr->e;

    if (access->plan->is_hashed) {
        emit_hashed_leader_miss(tr, access, hot);
        return;
    }
    to_cold(tr);
    emit_patch(access->miss, e->out->at);
    emit_patience(tr);
    emit_rm(e, X86_LEA, 8, RAX, at_register(access->base, access->plan->low));
    uint8_t *slow = emit_slot_refill(tr, access, 1);
    emit_reload_base(tr, access);
    uint8_t *crosses = emit_span_check(tr, access);
    emit_slot_addend(tr, access);
    emit_jmp(e, hot);
    emit_patch(slow, e->out->at);
    emit_patch(crosses, e->out->at);
    emit_patch(access->second_miss, e->out->at);
    emit_leader_apart(tr, access, NULL);
    to_hot(tr);
}

/* Begins the cold part of an access, up to where rax = address, ecx = info for a
 * thunk; `hot` is the instruction that accesses. False: there is none. */
static bool begin_cold(struct translation *tr, const struct memory_access *access,
                       const uint8_t *hot, uint32_t info)
{
    struct emitter *e = &tr->e;
    uint8_t *slow = access->miss;

    if (access->plan->way == ACCESS_MEMBER || access->plan->way == ACCESS_DIRECT)
        return false;
    if (access->plan->way == ACCESS_LEADER) {
        emit_leader_miss(tr, access, hot);
        return false;
    }
    to_cold(tr);
    if (access->plan->way == ACCESS_SLOT) {
        emit_patch(access->miss, e->out->at);
        emit_patience(tr);
        emit_rm(e, X86_LEA, 8, RAX, at_register(access->base, access->insn->imm));
        slow = emit_slot_refill(tr, access, access->row->size);
        emit_reload_base(tr, access);
        emit_jmp(e, hot);
        emit_patch(slow, e->out->at);
    } else {
        emit_patch(slow, e->out->at);
        if (access->base != RAX)
            emit_rr(e, X86_MOV, 8, RAX, access->base);
    }
    emit_constant(e, RCX, info);
    return true;
}

/* ---- accesses ---- */

static void emit_load(struct translation *tr, const struct insn *insn)
{
    struct emitter *e = &tr->e;
    struct memory_access access = begin_access(tr, insn);
    const struct memory_row *row = access.row;
    uint32_t info = access_info(tr, row->size, false) | (row->is_signed ? INFO_SIGNED : 0);
    unsigned target = target_x(tr, insn->rd, RAX);

    const uint8_t *hot = e->out->at;
    note_access(tr);
    emit_rm(e, (enum x86_op)row->op, row->width, target, access.place);
    const uint8_t *have_value = e->out->at;
    tr->puts_last = true;
    put_x(tr, insn->rd, target);
    if (!begin_cold(tr, &access, hot, info))
        return;
    emit_call(e, tr->t->thunks.load);
    emit_retry(tr, insn, access.start);
    if (target != RAX)
        emit_rr(e, X86_MOV, 8, target, RAX);
    emit_jmp(e, have_value);
    to_hot(tr);
}

static void emit_store(struct translation *tr, const struct insn *insn)
{
    struct emitter *e = &tr->e;
    struct memory_access access = begin_access(tr, insn);
    const struct memory_row *row = access.row;

    const uint8_t *hot = e->out->at;
    unsigned value = get_x(tr, insn->rs2, RDX);
    note_access(tr);
    emit_rm(e, (enum x86_op)row->op, row->width, value, access.place);
    const uint8_t *done = e->out->at;
    if (!begin_cold(tr, &access, hot, access_info(tr, row->size, true)))
        return;
    copy_x(tr, RDX, insn->rs2);
    emit_call(e, tr->t->thunks.store);
    emit_retry(tr, insn, access.start);
    emit_jmp(e, done);
    to_hot(tr);
}

/* flw makes a NaN-boxed single: all upper bits ones. */
static void emit_box(struct translation *tr, unsigned xmm)
{
    emit_rrm(&tr->e, X86_VORPS, 4, xmm, xmm, TH_FIELD(constants.box));
}

static void emit_fp_load(struct translation *tr, const struct insn *insn)
{
    struct emitter *e = &tr->e;
    struct memory_access access = begin_access(tr, insn);
    const struct memory_row *row = access.row;
    unsigned xmm = pinned_f(insn->rd) == NO_XMM ? 0 : pinned_f(insn->rd);
    bool is_single = row->size == 4;

    const uint8_t *hot = e->out->at;
    note_access(tr);
    emit_rm(e, (enum x86_op)row->op, row->width, xmm, access.place);
    if (is_single)
        emit_box(tr, xmm);
    const uint8_t *have_value = e->out->at;
    if (xmm == 0)
        emit_rm(e, X86_VMOVQ_STORE, 8, 0, guest_f(insn->rd));
    uint32_t info = access_info(tr, row->size, false) | (is_single ? INFO_BOX : 0);
    if (begin_cold(tr, &access, hot, info)) {
        emit_call(e, tr->t->thunks.load);
        emit_retry(tr, insn, access.start);
        emit_rr(e, X86_VMOVQ_FROM_R, 8, xmm, RAX);
        emit_jmp(e, have_value);
        to_hot(tr);
    }
    if (is_single)
        tr->known_boxed |= 1u << insn->rd;
    else
        tr->known_boxed &= ~(1u << insn->rd);
}

static void emit_fp_store(struct translation *tr, const struct insn *insn)
{
    struct emitter *e = &tr->e;
    struct memory_access access = begin_access(tr, insn);
    const struct memory_row *row = access.row;
    unsigned xmm = pinned_f(insn->rs2);

    const uint8_t *hot = e->out->at;
    if (xmm != NO_XMM) {
        note_access(tr);
        emit_rm(e, (enum x86_op)row->op, row->width, xmm, access.place);
    } else {
        emit_rm(e, X86_MOV, 8, RDX, guest_f(insn->rs2));
        note_access(tr);
        emit_rm(e, X86_MOV_STORE, row->size, RDX, access.place);
    }
    const uint8_t *done = e->out->at;
    if (!begin_cold(tr, &access, hot, access_info(tr, row->size, true)))
        return;
    if (xmm != NO_XMM)
        emit_rr(e, X86_VMOVQ_TO_R, 8, RDX, xmm);
    else
        emit_rm(e, X86_MOV, 8, RDX, guest_f(insn->rs2));
    emit_call(e, tr->t->thunks.store);
    emit_retry(tr, insn, access.start);
    emit_jmp(e, done);
    to_hot(tr);
}

/* Clears a block of a page that may be stored to; whatever else there is to it, and
 * leave to do it that is not there, is the interpreter's. */
static bool emit_cbo_zero(struct translation *tr, const struct insn *insn)
{
    struct emitter *e = &tr->e;
    unsigned privilege = (tr->context >> CONTEXT_PRIVILEGE_SHIFT) & 3;

    if (privilege != PRIV_S || !tr->features->avx || tr->t->options.no_fast_memory)
        return false;
    emit_mi(e, X86_TEST_IMM, 1, HART_FIELD(menvcfg), ENVCFG_CBZE);
    uint8_t *forbidden = emit_jcc(e, IF_EQUAL, NULL);
    copy_x(tr, RAX, insn->rs1);
    emit_ri(e, X86_AND_IMM, 8, RAX, -CBO_BLOCK_SIZE);
    uint8_t *slow = emit_hashed(tr, RAX, CBO_BLOCK_SIZE, true);
    emit_rrr(e, X86_VXORPS, 4, 0, 0, 0);
    for (int at = 0; at < CBO_BLOCK_SIZE; at += 16)
        emit_rm(e, X86_VMOVAPS_STORE, 4, 0, at_index(RAX, RCX, 0, at));
    const uint8_t *done = e->out->at;
    to_cold(tr);
    emit_patch(forbidden, e->out->at);
    emit_patch(slow, e->out->at);
    emit_cold_fallback(tr, insn, done);
    to_hot(tr);
    return true;
}

bool translate_memory(struct translation *tr, const struct insn *insn)
{
    const struct memory_row *row = &rows[insn->op];

    if (insn->op == OP_cbo_zero)
        return emit_cbo_zero(tr, insn);

    if (row->size == 0)
        return false;
    if (!can_inline(tr, insn) || (tr->is_user && tr->t->options.no_fast_memory))
        return false;
    if (row->is_fp) {
        if (row->is_store)
            emit_fp_store(tr, insn);
        else
            emit_fp_load(tr, insn);
    } else if (row->is_store) {
        emit_store(tr, insn);
    } else {
        emit_load(tr, insn);
    }
    return true;
}
