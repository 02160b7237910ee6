/* SPDX-License-Identifier: Apache-2.0
 * Registers of one unit. All code agrees on ten guest registers that have host registers
 * (registers.h); a loop that uses others more gets those, and its unit puts everything
 * back where it is left. Only in process VMs, whose accesses leave host registers free and
 * whose faults find their way to a stub of the unit. */
#include "translator/translate.h"

/* One use in a loop counts as this many elsewhere. */
#define LOOP_WEIGHT     8
#define MOST_WEIGHT     64
/* Uses in the loop that pay for a load and a store on the way in and out, and for two. */
#define WORTH_FREE      (2 * LOOP_WEIGHT)
#define WORTH_EXCHANGED (3 * LOOP_WEIGHT)

void clear_locals(struct translation *tr)
{
    tr->local_count = 0;
    for (unsigned reg = 0; reg < 32; reg++)
        tr->map[reg] = (uint8_t)pinned_x(reg);
}

void enter_unit(struct translation *tr)
{
    for (unsigned i = 0; i < tr->local_count; i++) {
        const struct local_register *local = &tr->locals[i];
        if (local->away)
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
        if (local->away)
            emit_rm(&tr->e, X86_MOV, 8, local->host, guest_x(local->away));
    }
}

/* ---- planning ---- */

struct register_use {
    unsigned weight[32];
    bool is_written[32];
};

/* What leaves the unit and comes back to it. */
static bool is_detour(const struct insn *insn)
{
    if (isa_ops[insn->op].flags & IS_SYSTEM)
        return true;
    return insn->op == OP_jalr || (insn->op == OP_jal && insn->rd) || insn->op == OP_illegal;
}

/* Index of the first instruction of the loop that `at` jumps back to, -1: none. */
static int loop_start(const struct translation *tr, unsigned at)
{
    const struct translated_insn *slot = &tr->insns[at];
    const struct insn *insn = &slot->insn;

    if (!(isa_ops[insn->op].flags & IS_BRANCH) && (insn->op != OP_jal || insn->rd))
        return -1;
    int64_t target = (int64_t)slot->offset + insn->imm;
    for (unsigned i = 0; i <= at; i++)
        if ((int64_t)tr->insns[i].offset == target)
            return (int)i;
    return -1;
}

/* Adds the loops of the unit to the weights of their instructions; whether there are any. */
static bool weigh(const struct translation *tr, uint8_t weights[UNIT_MAX_INSNS])
{
    bool any = false;

    for (unsigned at = 0; at < tr->count; at++) {
        int start = loop_start(tr, at);
        bool is_loop = start >= 0;
        for (unsigned i = (unsigned)start; is_loop && i <= at; i++)
            is_loop = !is_detour(&tr->insns[i].insn);
        for (unsigned i = (unsigned)start; is_loop && i <= at; i++)
            weights[i] = (uint8_t)MIN(weights[i] + LOOP_WEIGHT, MOST_WEIGHT);
        any |= is_loop;
    }
    return any;
}

static void count_uses(const struct translation *tr, const uint8_t weights[UNIT_MAX_INSNS],
                       struct register_use *use)
{
    for (unsigned i = 0; i < tr->count; i++) {
        const struct insn *insn = &tr->insns[i].insn;
        uint32_t flags = isa_ops[insn->op].flags;
        unsigned weight = weights[i] + 1;
        if (flags & X_RD) {
            use->weight[insn->rd] += weight;
            use->is_written[insn->rd] = true;
        }
        if (flags & X_RS1)
            use->weight[insn->rs1] += weight;
        if (flags & X_RS2)
            use->weight[insn->rs2] += weight;
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

    for (unsigned i = 0; i < PINNED_COUNT; i++) {
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
    tr->map[away] = NO_REGISTER; /* x0 has none anyway */
}

void plan_registers(struct translation *tr)
{
    uint8_t weights[UNIT_MAX_INSNS] = {0};
    struct register_use use = {0};

    if (!tr->is_user || tr->t->options.no_local_registers || !weigh(tr, weights))
        return;
    count_uses(tr, weights, &use);
    unsigned home = most_used(tr, &use);
    if (use.weight[home] < WORTH_FREE)
        return;
    give(tr, ICOUNT, 0, home, &use); /* there are no instructions to be counted */
    while (tr->local_count < MAX_LOCALS) {
        home = most_used(tr, &use);
        unsigned away = least_used(tr, &use);
        if (away == 0 || use.weight[home] < 2 * use.weight[away] + WORTH_EXCHANGED)
            break;
        give(tr, tr->map[away], away, home, &use);
    }
}
