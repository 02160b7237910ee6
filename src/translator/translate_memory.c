/* SPDX-License-Identifier: Apache-2.0
 * Loads and stores: the soft-TLB look-up inline, everything else in the cold
 * part. One unsigned compare of (address - tag) tests the hit and that the access
 * stays in its page, so misaligned accesses within a page are as fast as others. */
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

_Static_assert(sizeof(struct tlb_entry) == 32, "the look-up scales by it");

struct lookup emit_lookup(struct translation *tr, const struct insn *insn, unsigned size,
                          bool is_store, bool must_align)
{
    struct emitter *e = &tr->e;
    struct lookup place = {.start = e->out->at, .ea = RAX};
    size_t tag =
        is_store ? offsetof(struct tlb_entry, store_tag) : offsetof(struct tlb_entry, load_tag);

    unsigned base = get_x(tr, insn->rs1, RAX);
    if (insn->imm)
        emit_rm(e, X86_LEA, 8, RAX, at_register(base, insn->imm));
    else
        place.ea = base;
    if (must_align && size > 1) {
        emit_ri(e, X86_TEST_IMM, 1, place.ea, (int32_t)size - 1);
        place.slow_aligned = emit_jcc(e, IF_NOT_EQUAL, NULL);
    }
    if (tr->features->bmi2) {
        emit_rri(e, X86_RORX, 8, RCX, place.ea, 7);
    } else {
        emit_rr(e, X86_MOV, 8, RCX, place.ea);
        emit_ri(e, X86_SHR_IMM, 8, RCX, 7);
    }
    emit_rr(e, X86_MOV, 8, RDX, place.ea);
    emit_ri(e, X86_AND_IMM, 4, RCX, (TLB_SIZE - 1) * (int)sizeof(struct tlb_entry));
    emit_rm(e, X86_SUB, 8, RDX, at_index(HART_REG, RCX, 0, tlb_field(tr, tag)));
    emit_ri(e, X86_CMP_IMM, 8, RDX, (int32_t)(PAGE_SIZE - size));
    place.slow = emit_jcc(e, IF_ABOVE, NULL);
    emit_rm(e, X86_MOV, 8, RCX,
            at_index(HART_REG, RCX, 0, tlb_field(tr, offsetof(struct tlb_entry, addend))));
    return place;
}

/* Begins the slow path in the cold part: rax = address, ecx = info. */
static void begin_slow(struct translation *tr, const struct lookup *place, uint32_t info)
{
    to_cold(tr);
    emit_patch(place->slow, tr->e.out->at);
    if (place->ea != RAX)
        emit_rr(&tr->e, X86_MOV, 8, RAX, place->ea);
    emit_constant(&tr->e, RCX, info);
}

static void emit_load(struct translation *tr, const struct insn *insn)
{
    const struct memory_row *row = &rows[insn->op];
    struct emitter *e = &tr->e;
    struct lookup place = emit_lookup(tr, insn, row->size, false, false);
    uint32_t info = access_info(tr, row->size, false) | (row->is_signed ? INFO_SIGNED : 0);
    unsigned target = target_x(insn->rd, RAX);

    emit_rm(e, (enum x86_op)row->op, row->width, target, at_index(place.ea, RCX, 0, 0));
    const uint8_t *have_value = e->out->at;
    put_x(tr, insn->rd, target);
    begin_slow(tr, &place, info);
    emit_call(e, tr->t->thunks.load);
    emit_jcc(e, IF_EQUAL, place.start);
    if (target != RAX)
        emit_rr(e, X86_MOV, 8, target, RAX);
    emit_jmp(e, have_value);
    to_hot(tr);
}

static void emit_store(struct translation *tr, const struct insn *insn)
{
    const struct memory_row *row = &rows[insn->op];
    struct emitter *e = &tr->e;
    struct lookup place = emit_lookup(tr, insn, row->size, true, false);

    unsigned value = get_x(tr, insn->rs2, RDX);
    emit_rm(e, (enum x86_op)row->op, row->width, value, at_index(place.ea, RCX, 0, 0));
    const uint8_t *done = e->out->at;
    begin_slow(tr, &place, access_info(tr, row->size, true));
    copy_x(tr, RDX, insn->rs2);
    emit_call(e, tr->t->thunks.store);
    emit_jcc(e, IF_EQUAL, place.start);
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
    const struct memory_row *row = &rows[insn->op];
    struct emitter *e = &tr->e;
    struct lookup place = emit_lookup(tr, insn, row->size, false, false);
    unsigned xmm = pinned_f(insn->rd) == NO_XMM ? 0 : pinned_f(insn->rd);

    emit_rm(e, (enum x86_op)row->op, row->width, xmm, at_index(place.ea, RCX, 0, 0));
    if (row->size == 4)
        emit_box(tr, xmm);
    const uint8_t *have_value = e->out->at;
    if (xmm == 0)
        emit_rm(e, X86_VMOVQ_STORE, 8, 0, guest_f(insn->rd));
    begin_slow(tr, &place, access_info(tr, row->size, false) | (row->size == 4 ? INFO_BOX : 0));
    emit_call(e, tr->t->thunks.load);
    emit_jcc(e, IF_EQUAL, place.start);
    emit_rr(e, X86_VMOVQ_FROM_R, 8, xmm, RAX);
    emit_jmp(e, have_value);
    to_hot(tr);
    if (row->size == 4)
        tr->known_boxed |= 1u << insn->rd;
    else
        tr->known_boxed &= ~(1u << insn->rd);
}

static void emit_fp_store(struct translation *tr, const struct insn *insn)
{
    const struct memory_row *row = &rows[insn->op];
    struct emitter *e = &tr->e;
    struct lookup place = emit_lookup(tr, insn, row->size, true, false);
    unsigned xmm = pinned_f(insn->rs2);

    if (xmm != NO_XMM) {
        emit_rm(e, (enum x86_op)row->op, row->width, xmm, at_index(place.ea, RCX, 0, 0));
    } else {
        emit_rm(e, X86_MOV, 8, RDX, guest_f(insn->rs2));
        emit_rm(e, X86_MOV_STORE, row->size, RDX, at_index(place.ea, RCX, 0, 0));
    }
    const uint8_t *done = e->out->at;
    begin_slow(tr, &place, access_info(tr, row->size, true));
    if (xmm != NO_XMM)
        emit_rr(e, X86_VMOVQ_TO_R, 8, RDX, xmm);
    else
        emit_rm(e, X86_MOV, 8, RDX, guest_f(insn->rs2));
    emit_call(e, tr->t->thunks.store);
    emit_jcc(e, IF_EQUAL, place.start);
    emit_jmp(e, done);
    to_hot(tr);
}

bool translate_memory(struct translation *tr, const struct insn *insn)
{
    const struct memory_row *row = &rows[insn->op];

    if (row->size == 0)
        return false;
    if (row->is_fp) {
        if (!tr->fp_on || !tr->features->avx)
            return false;
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
