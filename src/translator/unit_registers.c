/* SPDX-License-Identifier: Apache-2.0
 * Registers of one unit. All code agrees on eleven guest registers that have host registers
 * (registers.h); a loop that uses others more gets those, and its unit puts everything
 * back where it is left. Only in process VMs, whose faults find their way to a stub of the
 * unit. What is gained and lost is weighed by how deep in loops it is (ADR 0042). */
#include "translator/translate.h"

#include <string.h>

/* One use in a loop counts as this many around it. */
#define LOOP_WEIGHT     8
#define MOST_WEIGHT     512
/* Uses in the loop that pay for two loads and two stores on the way in and out. */
#define WORTH_EXCHANGED (3 * LOOP_WEIGHT)

void clear_locals(struct translation *tr)
{
    tr->local_count = 0;
    memset(tr->map, NO_REGISTER, sizeof(tr->map));
    for (unsigned i = 0; i < pinned_count(tr->is_user); i++)
        tr->map[pinned_registers[i].guest] = pinned_registers[i].host;
}

void enter_unit(struct translation *tr)
{
    for (unsigned i = 0; i < tr->local_count; i++) {
        const struct local_register *local = &tr->locals[i];
        emit_rm(&tr->e, X86_MOV_STORE, 8, local->host, guest_x(local->away));
        emit_rm(&tr->e, X86_MOV, 8, local->host, guest_x(local->home));
    }
}

void leave_unit(struct translation *tr)
{
    for (unsigned i = 0; i < tr->local_count; i++) {
        const struct local_register *local = &tr->locals[i];
        if (local->is_written)
            emit_rm(&tr->e, X86_MOV_STORE, 8, local->host, guest_x(local->home));
        emit_rm(&tr->e, X86_MOV, 8, local->host, guest_x(local->away));
    }
}

/* ---- planning ---- */

struct register_use {
    unsigned weight[32];
    bool is_written[32];
    unsigned detours; /* weight of the ways out of the unit and back */
};

/* What leaves the unit and comes back to it. */
static bool is_detour(const struct insn *insn)
{
    if (isa_ops[insn->op].flags & IS_SYSTEM)
        return true;
    return insn->op == OP_jalr || (insn->op == OP_jal && insn->rd) || insn->op == OP_illegal;
}

/* Index of the first instruction of the loop that `at` jumps back to, -1: none here. */
static int loop_start(const struct translation *tr, unsigned at)
{
    const struct translated_insn *slot = &tr->insns[at];
    int start = find_insn(tr, (int64_t)slot->offset + slot->insn.imm);

    return start <= (int)at ? start : -1;
}

/* Weights of the instructions by the loops that they are in; whether there are any loops. */
static bool weigh(const struct translation *tr, uint16_t weights[UNIT_MAX_INSNS])
{
    uint16_t ends[UNIT_MAX_INSNS] = {0}; /* of the loop that begins there: behind its last */
    bool any = false;

    for (unsigned at = 0; at < tr->count; at++) {
        int start = is_backward(&tr->insns[at].insn) ? loop_start(tr, at) : -1;
        weights[at] = 1;
        if (start < 0)
            continue;
        ends[start] = (uint16_t)(at + 1);
        any = true;
    }
    for (unsigned start = 0; start < tr->count && any; start++)
        for (unsigned i = start; i < ends[start]; i++)
            weights[i] = (uint16_t)MIN(weights[i] * LOOP_WEIGHT, MOST_WEIGHT);
    return any;
}

static void count_uses(const struct translation *tr, const uint16_t weights[UNIT_MAX_INSNS],
                       struct register_use *use)
{
    for (unsigned i = 0; i < tr->count; i++) {
        const struct insn *insn = &tr->insns[i].insn;
        uint32_t flags = isa_ops[insn->op].flags;
        unsigned weight = weights[i];
        if (flags & X_RD) {
            use->weight[insn->rd] += weight;
            use->is_written[insn->rd] = true;
        }
        if (flags & X_RS1)
            use->weight[insn->rs1] += weight;
        if (flags & X_RS2)
            use->weight[insn->rs2] += weight;
        /* The loop that a jump back out of the unit closes is a larger one. */
        if (is_detour(insn) || (is_backward(insn) && loop_start(tr, i) < 0))
            use->detours += weight;
    }
    use->weight[0] = 0;
}

/* The guest register without a host register that is used most, of what is left. */
static unsigned most_used(const struct translation *tr, const struct register_use *use)
{
    unsigned best = 0;

    for (unsigned reg = 1; reg < 32; reg++)
        if (tr->map[reg] == NO_REGISTER && use->weight[reg] > use->weight[best])
            best = reg;
    return best;
}

/* The guest register that is used least of those with their usual host registers. */
static unsigned least_used(const struct translation *tr, const struct register_use *use)
{
    unsigned best = 0;

    for (unsigned i = 0; i < pinned_count(tr->is_user); i++) {
        unsigned reg = pinned_registers[i].guest;
        if (tr->map[reg] == pinned_registers[i].host &&
            (best == 0 || use->weight[reg] < use->weight[best]))
            best = reg;
    }
    return best;
}

static void give(struct translation *tr, unsigned host, unsigned away, unsigned home,
                 const struct register_use *use)
{
    tr->locals[tr->local_count++] =
        (struct local_register){(uint8_t)host, (uint8_t)away, (uint8_t)home, use->is_written[home]};
    tr->map[home] = (uint8_t)host;
    tr->map[away] = NO_REGISTER;
}

void plan_registers(struct translation *tr)
{
    uint16_t weights[UNIT_MAX_INSNS] = {0};
    struct register_use use = {0};

    if (!tr->is_user || tr->t->options.no_local_registers || !weigh(tr, weights))
        return;
    count_uses(tr, weights, &use);
    while (tr->local_count < MAX_LOCALS) {
        unsigned home = most_used(tr, &use);
        unsigned away = least_used(tr, &use);
        if (away == 0 ||
            use.weight[home] < 2 * use.weight[away] + WORTH_EXCHANGED + 4 * use.detours)
            break;
        give(tr, tr->map[away], away, home, &use);
    }
}
