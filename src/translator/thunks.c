/* SPDX-License-Identifier: Apache-2.0
 * Code that units share: entering and leaving host code, and calling C from it.
 * Made by the emitter at the beginning of the cache. */
#include "translator/registers.h"

/* A thunk is a few hundred bytes at most. */
#define THUNK_ROOM 1024

struct maker {
    struct emitter e;
    struct translator *t;
};

static const uint8_t *here(const struct maker *m)
{
    return m->e.out->at;
}

static bool is_lost_in_calls(unsigned host)
{
    return host == RSI || host == RDI || (host >= R8 && host <= R11);
}

static void move_pinned(struct maker *m, enum x86_op op, bool all)
{
    for (unsigned i = 0; i < pinned_count(m->t->options.user); i++)
        if (all || is_lost_in_calls(pinned_registers[i].host))
            emit_rm(&m->e, op, 8, pinned_registers[i].host, guest_x(pinned_registers[i].guest));
}

static void move_fp(struct maker *m, enum x86_op op)
{
    if (!m->t->options.features.avx)
        return;
    for (unsigned i = 0; i < PINNED_FP_COUNT; i++)
        emit_rm(&m->e, op, 8, PINNED_FP_FIRST + i, guest_f(pinned_fp[i]));
}

/* Process VMs count no instructions. */
static void store_icount(struct maker *m)
{
    if (!m->t->options.user)
        emit_rm(&m->e, X86_MOV_STORE, 8, ICOUNT, HART_FIELD(icount));
}

static void load_icount(struct maker *m)
{
    if (!m->t->options.user)
        emit_rm(&m->e, X86_MOV, 8, ICOUNT, HART_FIELD(icount));
}

static void store_all(struct maker *m)
{
    move_pinned(m, X86_MOV_STORE, true);
    move_fp(m, X86_VMOVQ_STORE);
    store_icount(m);
    if (m->t->options.features.avx) {
        emit_m(&m->e, X86_STMXCSR, 4, TH_FIELD(mxcsr));
        emit_m(&m->e, X86_LDMXCSR, 4, TH_FIELD(host_mxcsr));
    }
}

static void load_all(struct maker *m)
{
    move_pinned(m, X86_MOV, true);
    move_fp(m, X86_VMOVQ_LOAD);
    load_icount(m);
    if (m->t->options.features.avx)
        emit_m(&m->e, X86_LDMXCSR, 4, TH_FIELD(mxcsr));
}

static void call_c(struct maker *m, uintptr_t function)
{
    emit_constant(&m->e, RAX, function);
    emit_r(&m->e, X86_CALL_R, 8, RAX);
}

static void hart_argument(struct maker *m)
{
    emit_rm(&m->e, X86_LEA, 8, RDI, at_register(HART_REG, -HART_BIAS));
}

static const unsigned saved_by_callee[] = {RBX, RBP, R12, R13, R14, R15};

/* Of process VMs: the last return on the stack, which stays there. Whoever finds it matches by
 * chance goes where the address that it compared says. */
static const uint8_t *make_return_base(struct maker *m)
{
    const uint8_t *start = here(m);

    emit_rm(&m->e, X86_MOV, 8, RAX, at_register(RSP, 0));
    emit_ri(&m->e, X86_SUB_IMM, 8, RSP, 8);
    emit_jmp(&m->e, m->t->thunks.jump_user);
    return start;
}

static void push_return_base(struct maker *m)
{
    struct translator *t = m->t;

    emit_rm(&m->e, X86_LEA, 8, RCX, at_register(RSP, -RETURNS_BYTES));
    emit_rm(&m->e, X86_MOV_STORE, 8, RCX, TH_FIELD(stack_floor));
    emit_constant(&m->e, RCX, 0);
    emit_r(&m->e, X86_PUSH, 8, RCX);
    emit_constant(&m->e, RCX,
                  (uint64_t)(uintptr_t)(t->map.exec + (t->thunks.return_base - t->map.write)));
    emit_r(&m->e, X86_PUSH, 8, RCX);
}

static void make_enter(struct maker *m)
{
    for (unsigned i = 0; i < ARRAY_LEN(saved_by_callee); i++)
        emit_r(&m->e, X86_PUSH, 8, saved_by_callee[i]);
    emit_ri(&m->e, X86_SUB_IMM, 8, RSP, 8);
    emit_rm(&m->e, X86_LEA, 8, HART_REG, at_register(RDI, HART_BIAS));
    emit_rr(&m->e, X86_MOV, 8, RAX, RSI);
    emit_rm(&m->e, X86_MOV_STORE, 8, RSP, TH_FIELD(stack));
    if (m->t->options.user)
        push_return_base(m);
    load_all(m);
    emit_r(&m->e, X86_JMP_R, 8, RAX);
}

/* eax: the reason. Guest state is in struct hart. */
static void make_exit_stored(struct maker *m)
{
    emit_rm(&m->e, X86_MOV, 8, RSP, TH_FIELD(stack));
    emit_ri(&m->e, X86_ADD_IMM, 8, RSP, 8);
    for (unsigned i = ARRAY_LEN(saved_by_callee); i-- > 0;)
        emit_r(&m->e, X86_POP, 8, saved_by_callee[i]);
    emit_ret(&m->e);
}

static const uint8_t *make_exit(struct maker *m, enum leave_reason reason, const uint8_t *stored)
{
    const uint8_t *start = here(m);

    store_all(m);
    emit_constant(&m->e, RAX, reason);
    emit_jmp(&m->e, stored);
    return start;
}

/* Calls a light function that returns host code or NULL, and goes there. */
static void make_light_jump(struct maker *m, uintptr_t function, const uint8_t *exit_find)
{
    emit_rr(&m->e, X86_MOV, 8, RCX, RAX);
    move_pinned(m, X86_MOV_STORE, false);
    hart_argument(m);
    emit_rr(&m->e, X86_MOV, 8, RSI, RCX);
    call_c(m, function);
    move_pinned(m, X86_MOV, false);
    emit_rr(&m->e, X86_TEST, 8, RAX, RAX);
    emit_jcc(&m->e, IF_EQUAL, exit_find);
    emit_r(&m->e, X86_JMP_R, 8, RAX);
}

/* As make_light_jump, for functions that take info in ecx and need the icount: they
 * say themselves why there is no code. */
static const uint8_t *make_trap(struct maker *m, uintptr_t function, const uint8_t *stored)
{
    const uint8_t *start = here(m);

    store_icount(m);
    move_pinned(m, X86_MOV_STORE, false);
    hart_argument(m);
    emit_rr(&m->e, X86_MOV, 4, RSI, RCX);
    call_c(m, function);
    move_pinned(m, X86_MOV, false);
    emit_rm(&m->e, X86_MOV, 8, ICOUNT, HART_FIELD(icount));
    emit_rr(&m->e, X86_TEST, 8, RAX, RAX);
    uint8_t *none = emit_jcc_short(&m->e, IF_EQUAL);
    emit_r(&m->e, X86_JMP_R, 8, RAX);
    emit_patch_short(&m->e, none);
    store_all(m);
    emit_rm(&m->e, X86_MOV, 4, RAX, TH_FIELD(reason));
    emit_jmp(&m->e, stored);
    return start;
}

/* Returns the old value in rax and an enum csr_answer in edx. */
static const uint8_t *make_csr(struct maker *m, bool is_fp, bool saves)
{
    const uint8_t *start = here(m);

    store_icount(m);
    move_pinned(m, X86_MOV_STORE, false);
    if (is_fp)
        emit_m(&m->e, X86_STMXCSR, 4, TH_FIELD(mxcsr));
    if (saves)
        move_fp(m, X86_VMOVQ_STORE);
    emit_ri(&m->e, X86_SUB_IMM, 8, RSP, 8);
    hart_argument(m);
    emit_rr(&m->e, X86_MOV, 8, RSI, RAX);
    call_c(m, is_fp ? (uintptr_t)runtime_csr_fp : (uintptr_t)runtime_csr);
    emit_ri(&m->e, X86_ADD_IMM, 8, RSP, 8);
    emit_rr(&m->e, X86_MOV, 4, RDX, RAX);
    emit_rm(&m->e, X86_MOV, 8, RAX, TH_FIELD(value));
    if (is_fp)
        emit_m(&m->e, X86_LDMXCSR, 4, TH_FIELD(mxcsr));
    if (saves)
        move_fp(m, X86_VMOVQ_LOAD);
    move_pinned(m, X86_MOV, false);
    emit_ret(&m->e);
    return start;
}

/* Called with rax: address, ecx: info. Leaves al: whether to try again. */
static void refill(struct maker *m)
{
    move_pinned(m, X86_MOV_STORE, false);
    emit_ri(&m->e, X86_SUB_IMM, 8, RSP, 8);
    hart_argument(m);
    emit_rr(&m->e, X86_MOV, 8, RSI, RAX);
    emit_rr(&m->e, X86_MOV, 4, RDX, RCX);
    call_c(m, (uintptr_t)runtime_refill);
    emit_ri(&m->e, X86_ADD_IMM, 8, RSP, 8);
    move_pinned(m, X86_MOV, false);
    emit_rr(&m->e, X86_TEST, 1, RAX, RAX);
}

/* Returns with ZF set to try again, clear when done and the value in rax. */
static const uint8_t *make_access(struct maker *m, uintptr_t function, const uint8_t *stored)
{
    const uint8_t *start = here(m);

    emit_rm(&m->e, X86_MOV_STORE, 8, RAX, TH_FIELD(address));
    emit_rm(&m->e, X86_MOV_STORE, 4, RCX, TH_FIELD(info));
    if (function == (uintptr_t)runtime_store)
        emit_rm(&m->e, X86_MOV_STORE, 8, RDX, TH_FIELD(value));
    refill(m);
    uint8_t *slow = emit_jcc_short(&m->e, IF_EQUAL);
    emit_rr(&m->e, X86_XOR, 4, RAX, RAX);
    emit_ret(&m->e);
    emit_patch_short(&m->e, slow);

    store_all(m);
    emit_ri(&m->e, X86_SUB_IMM, 8, RSP, 8);
    hart_argument(m);
    call_c(m, function);
    emit_ri(&m->e, X86_ADD_IMM, 8, RSP, 8);
    emit_rr(&m->e, X86_TEST, 1, RAX, RAX);
    emit_constant(&m->e, RAX, LEAVE_POLL);
    emit_jcc(&m->e, IF_EQUAL, stored);
    emit_rr(&m->e, X86_MOV, 8, RCX, ICOUNT); /* the exact one was for the call only */
    load_all(m);
    emit_rr(&m->e, X86_MOV, 8, ICOUNT, RCX);
    emit_rm(&m->e, X86_MOV, 8, RAX, TH_FIELD(value));
    emit_rr(&m->e, X86_TEST, 8, RSP, RSP);
    emit_ret(&m->e);
    return start;
}

static const uint8_t *make_refill(struct maker *m)
{
    const uint8_t *start = here(m);

    refill(m);
    emit_ri(&m->e, X86_XOR_IMM, 1, RAX, 1); /* ZF: try again */
    emit_ret(&m->e);
    return start;
}

static const uint8_t *make_execute(struct maker *m, const uint8_t *stored)
{
    const uint8_t *start = here(m);

    emit_rm(&m->e, X86_MOV_STORE, 4, RCX, TH_FIELD(info));
    store_all(m);
    emit_ri(&m->e, X86_SUB_IMM, 8, RSP, 8);
    hart_argument(m);
    emit_rr(&m->e, X86_MOV, 4, RSI, RAX);
    call_c(m, (uintptr_t)runtime_execute);
    emit_ri(&m->e, X86_ADD_IMM, 8, RSP, 8);
    emit_ri(&m->e, X86_SUB_IMM, 4, RAX, 1);
    emit_jcc(&m->e, IF_ABOVE_EQUAL, stored);
    load_all(m);
    emit_ret(&m->e);
    return start;
}

static const uint8_t *make_execute_fetched(struct maker *m, const uint8_t *stored)
{
    const uint8_t *start = here(m);

    emit_rm(&m->e, X86_MOV_STORE, 4, RCX, TH_FIELD(info));
    store_all(m);
    hart_argument(m);
    call_c(m, (uintptr_t)runtime_execute_fetched);
    emit_ri(&m->e, X86_SUB_IMM, 4, RAX, 1);
    emit_jmp(&m->e, stored);
    return start;
}

static const uint8_t *make_jumpy(struct maker *m, const uint8_t *stored)
{
    const uint8_t *start = here(m);

    emit_rm(&m->e, X86_MOV_STORE, 4, RCX, TH_FIELD(info));
    store_all(m);
    emit_constant(&m->e, RAX, LEAVE_JUMPY);
    emit_jmp(&m->e, stored);
    return start;
}

/* rax: pc of an ecall. */
static const uint8_t *make_exit_ecall(struct maker *m, const uint8_t *stored)
{
    const uint8_t *start = here(m);

    emit_rm(&m->e, X86_MOV_STORE, 8, RAX, HART_FIELD(pc));
    store_all(m);
    emit_constant(&m->e, RAX, LEAVE_ECALL);
    emit_jmp(&m->e, stored);
    return start;
}

static const uint8_t *make_polls(struct maker *m, struct thunks *thunks)
{
    const uint8_t *start = here(m);

    emit_rm(&m->e, X86_MOV, 8, RAX, HART_FIELD(page));
    emit_rr(&m->e, X86_ADD, 8, RAX, RCX);
    thunks->poll_at = here(m);
    emit_rm(&m->e, X86_MOV_STORE, 8, RAX, HART_FIELD(pc));
    emit_jmp(&m->e, thunks->exit_poll);
    return start;
}

void thunks_make(struct translator *t)
{
    struct maker m = {.t = t};
    struct thunks *thunks = &t->thunks;
    uint8_t spare[EMIT_MAX_LENGTH];

    emitter_init(&m.e, t->map.write, t->hot_start, spare, sizeof(spare));
    /* Functions are called through the executable mapping; jumps within the cache
     * are relative, so the writable addresses serve for them. */
    const uint8_t *stored = here(&m);
    make_exit_stored(&m);
    thunks->exit_find = make_exit(&m, LEAVE_FIND, stored);
    thunks->exit_poll = make_exit(&m, LEAVE_POLL, stored);
    thunks->poll_here = make_polls(&m, thunks);
    thunks->jump_user = here(&m);
    emit_ri(&m.e, X86_AND_IMM, 8, RAX, -2);
    emit_mi(&m.e, X86_CMP_IMM, 8, HART_FIELD(limit), 0);
    emit_jcc(&m.e, IF_EQUAL, thunks->poll_at);
    thunks->jump_miss = here(&m);
    make_light_jump(&m, (uintptr_t)runtime_find, thunks->exit_find);
    thunks->return_base = make_return_base(&m);
    thunks->enter = (unsigned (*)(struct hart *, const uint8_t *))(
        uintptr_t)(t->map.exec + (here(&m) - t->map.write));
    make_enter(&m);
    thunks->link = here(&m);
    emit_r(&m.e, X86_POP, 8, RAX);
    make_light_jump(&m, (uintptr_t)runtime_link, thunks->exit_find);
    thunks->load = make_access(&m, (uintptr_t)runtime_load, stored);
    thunks->store = make_access(&m, (uintptr_t)runtime_store, stored);
    thunks->refill = make_refill(&m);
    thunks->execute = make_execute(&m, stored);
    thunks->execute_fetched = make_execute_fetched(&m, stored);
    thunks->jumpy = make_jumpy(&m, stored);
    thunks->exit_ecall = make_exit_ecall(&m, stored);
    thunks->exit_fault = make_exit(&m, LEAVE_FAULT, stored);
    thunks->csr = make_csr(&m, false, false);
    thunks->csr_fp = make_csr(&m, true, false);
    thunks->csr_saved = make_csr(&m, false, true);
    thunks->sfence = make_trap(&m, (uintptr_t)runtime_sfence, stored);
    thunks->ecall = make_trap(&m, (uintptr_t)runtime_ecall, stored);
    thunks->sret = make_trap(&m, (uintptr_t)runtime_sret, stored);
}
