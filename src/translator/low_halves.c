/* SPDX-License-Identifier: Apache-2.0
 * Low halves of guest registers in scratch registers. RV64's instructions for words extend
 * signs each time, which takes the host an instruction more and, in a chain of them, a cycle
 * more each. So a word is computed in a scratch register and extended from there into the
 * place of its guest register, and what wants only its low half takes it from the scratch
 * register, without waiting. All guest registers are where they belong, as ever. Only in
 * process VMs, whose accesses leave scratch registers alone. */
#include "translator/translate.h"

/* Instructions that are looked at for one that wants a low half. */
#define LOOKAHEAD 12

static const uint8_t hosts[LOW_COUNT] = {RDX, RCX};

static unsigned find(const struct translation *tr, unsigned reg)
{
    for (unsigned i = 0; i < LOW_COUNT && reg; i++)
        if (tr->low_of[i] == reg)
            return hosts[i];
    return NO_REGISTER;
}

bool low_is_held(const struct translation *tr, unsigned reg)
{
    return find(tr, reg) != NO_REGISTER;
}

bool low_is_wanted(const struct translation *tr, unsigned reg)
{
    unsigned end = MIN(tr->count, tr->at + 1 + LOOKAHEAD);

    if (!tr->is_user || reg == 0)
        return false;
    for (unsigned i = tr->at + 1; i < end && !tr->insns[i].is_entry; i++) {
        const struct insn *insn = &tr->insns[i].insn;
        if (integer_reads_low(insn, reg))
            return true;
        if (ends_unit(insn) || ((isa_ops[insn->op].flags & X_RD) && insn->rd == reg))
            return false;
    }
    return false;
}

unsigned low_get(struct translation *tr, unsigned reg, unsigned scratch)
{
    unsigned host = find(tr, reg);

    if (host == NO_REGISTER)
        host = local_x(tr, reg);
    if (host != NO_REGISTER)
        return host;
    if (rax_holds(tr, reg))
        return RAX;
    if (scratch == NO_REGISTER)
        return NO_REGISTER;
    if (reg == 0)
        emit_rr(&tr->e, X86_XOR, 4, scratch, scratch);
    else
        emit_rm(&tr->e, X86_MOV, 4, scratch, guest_x(reg));
    return scratch;
}

unsigned low_target(const struct translation *tr, unsigned rd, unsigned a, unsigned b)
{
    unsigned best = NO_REGISTER;

    for (unsigned i = 0; i < LOW_COUNT; i++) {
        bool is_operand = hosts[i] == a || hosts[i] == b;
        if (tr->low_of[i] == rd && !is_operand)
            return hosts[i];
        if (!is_operand && (best == NO_REGISTER || tr->low_of[i] == 0))
            best = hosts[i];
    }
    return best != NO_REGISTER ? best : a;
}

void low_put(struct translation *tr, unsigned rd, unsigned host)
{
    for (unsigned i = 0; i < LOW_COUNT; i++)
        if (hosts[i] == host) {
            tr->low_of[i] = (uint8_t)rd;
            tr->low_new |= 1u << i;
        }
}

void low_settle(struct translation *tr, const struct insn *insn)
{
    bool writes = isa_ops[insn->op].flags & X_RD;

    for (unsigned i = 0; i < LOW_COUNT; i++)
        if (!(tr->low_new >> i & 1) &&
            ((tr->e.touched >> hosts[i] & 1) || (writes && tr->low_of[i] == insn->rd)))
            tr->low_of[i] = 0;
    tr->low_new = 0;
    tr->e.touched = 0;
}

void low_forget(struct translation *tr)
{
    for (unsigned i = 0; i < LOW_COUNT; i++)
        tr->low_of[i] = 0;
    tr->low_new = 0;
    tr->e.touched = 0;
}
