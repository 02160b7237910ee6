/* SPDX-License-Identifier: Apache-2.0
 * Traps: exceptions, interrupts, delegation and the returns from them
 * (privileged architecture, chapters "Machine-Level ISA" and "Supervisor-Level
 * ISA"). */
#include "riscv/hart.h"

void hart_update_mode(struct hart *hart)
{
    enum privilege privilege = hart->privilege;

    if (privilege == PRIV_M && (hart->mstatus & MSTATUS_MPRV))
        privilege = (enum privilege)bits_extract(hart->mstatus, MSTATUS_MPP_SHIFT, 2);
    if (privilege == PRIV_M)
        hart->data_index = MMU_M;
    else if (privilege == PRIV_U)
        hart->data_index = MMU_U;
    else
        hart->data_index = hart->mstatus & MSTATUS_SUM ? MMU_S_SUM : MMU_S;
    hart->data_tlb = hart->tlb[hart->data_index];
    hart->fetch_tlb = hart->fetch[hart->privilege];
}

void hart_set_privilege(struct hart *hart, enum privilege privilege)
{
    hart->privilege = privilege;
    hart_update_mode(hart);
}

static uint64_t vector(uint64_t tvec, uint64_t cause)
{
    uint64_t base = tvec & ~UINT64_C(3);
    bool vectored = (tvec & 3) == 1 && (cause & CAUSE_INTERRUPT);

    return vectored ? base + 4 * (cause & ~CAUSE_INTERRUPT) : base;
}

static void enter_supervisor(struct hart *hart, uint64_t cause, uint64_t tval)
{
    uint64_t status = hart->mstatus;

    hart->scause = cause;
    hart->sepc = hart->pc;
    hart->stval = tval;
    status &= ~(MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_SIE);
    if (hart->mstatus & MSTATUS_SIE)
        status |= MSTATUS_SPIE;
    if (hart->privilege == PRIV_S)
        status |= MSTATUS_SPP;
    hart->mstatus = status;
    hart->pc = vector(hart->stvec, cause);
    hart_set_privilege(hart, PRIV_S);
}

static void enter_machine(struct hart *hart, uint64_t cause, uint64_t tval)
{
    uint64_t status = hart->mstatus;

    hart->mcause = cause;
    hart->mepc = hart->pc;
    hart->mtval = tval;
    status &= ~(MSTATUS_MPIE | MSTATUS_MIE);
    if (hart->mstatus & MSTATUS_MIE)
        status |= MSTATUS_MPIE;
    hart->mstatus = bits_deposit(status, MSTATUS_MPP_SHIFT, 2, hart->privilege);
    hart->pc = vector(hart->mtvec, cause);
    hart_set_privilege(hart, PRIV_M);
}

static void enter_trap(struct hart *hart, uint64_t cause, uint64_t delegated, uint64_t tval)
{
    bool to_supervisor = hart->privilege != PRIV_M && ((delegated >> (cause & 63)) & 1);

    hart->reserved_at = 0;
    hart->traps++;
    if (hart->config.user) {
        hart->mcause = cause;
        hart->mtval = tval;
        hart->leave = true;
        hart->exit_reason = HART_EXIT_TRAP;
        return;
    }
    /* On virtual time, traps pass time: let the machine look at its timers. */
    if (UNLIKELY(hart->stop_at != UINT64_MAX))
        atomic_store_explicit(&hart->limit, 0, memory_order_relaxed);
    if (to_supervisor)
        enter_supervisor(hart, cause, tval);
    else
        enter_machine(hart, cause, tval);
}

void hart_exception(struct hart *hart, enum cause cause, uint64_t tval)
{
    enter_trap(hart, cause, hart->medeleg, tval);
}

uint64_t hart_mip(struct hart *hart)
{
    uint64_t mip = atomic_load_explicit(&hart->mip, memory_order_acquire) |
                   atomic_load_explicit(&hart->irq_lines, memory_order_acquire);

    if (hart->menvcfg & MENVCFG_STCE) {
        hart->stip = hart->config.ports.read_time(hart->config.ports.owner) >= hart->stimecmp;
        mip = (mip & ~IRQ_STIP) | (hart->stip ? IRQ_STIP : 0);
    }
    return mip;
}

/* As hart_mip, but with the comparison of the last look at the clock: the
 * interpreter looks once a slice. */
static uint64_t pending_now(const struct hart *hart)
{
    uint64_t mip = atomic_load_explicit(&hart->mip, memory_order_acquire) |
                   atomic_load_explicit(&hart->irq_lines, memory_order_acquire);

    if (hart->menvcfg & MENVCFG_STCE)
        mip = (mip & ~IRQ_STIP) | (hart->stip ? IRQ_STIP : 0);
    return mip & hart->mie;
}

bool hart_take_interrupt(struct hart *hart)
{
    /* Decreasing priority within each mode. */
    static const unsigned order[] = {11, 3, 7, 9, 1, 5};
    uint64_t pending = pending_now(hart);

    if (LIKELY(!pending))
        return false;
    bool machine_enabled = hart->privilege < PRIV_M || (hart->mstatus & MSTATUS_MIE);
    bool supervisor_enabled =
        hart->privilege < PRIV_S || (hart->privilege == PRIV_S && (hart->mstatus & MSTATUS_SIE));
    uint64_t enabled = machine_enabled ? pending & ~hart->mideleg : 0;
    if (!enabled && supervisor_enabled)
        enabled = pending & hart->mideleg;
    for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
        if ((enabled >> order[i]) & 1) {
            enter_trap(hart, CAUSE_INTERRUPT | order[i], hart->mideleg, 0);
            return true;
        }
    }
    return false;
}

bool hart_has_wakeup(struct hart *hart)
{
    return (hart_mip(hart) & hart->mie) != 0;
}

void hart_mret(struct hart *hart)
{
    uint64_t status = hart->mstatus;
    enum privilege previous = (enum privilege)bits_extract(status, MSTATUS_MPP_SHIFT, 2);

    status &= ~(MSTATUS_MIE | MSTATUS_MPP | MSTATUS_MPIE);
    if (hart->mstatus & MSTATUS_MPIE)
        status |= MSTATUS_MIE;
    status |= MSTATUS_MPIE;
    if (previous != PRIV_M)
        status &= ~MSTATUS_MPRV;
    hart->mstatus = status;
    hart->pc = hart->mepc & ~(uint64_t)hart->ialign;
    hart_set_privilege(hart, previous);
}

void hart_sret(struct hart *hart)
{
    uint64_t status = hart->mstatus;
    enum privilege previous = status & MSTATUS_SPP ? PRIV_S : PRIV_U;

    status &= ~(MSTATUS_SIE | MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_MPRV);
    if (hart->mstatus & MSTATUS_SPIE)
        status |= MSTATUS_SIE;
    status |= MSTATUS_SPIE;
    hart->mstatus = status;
    hart->pc = hart->sepc & ~(uint64_t)hart->ialign;
    hart_set_privilege(hart, previous);
}
