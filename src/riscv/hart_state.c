/* SPDX-License-Identifier: Apache-2.0
 * Which parts of a hart are saved. Everything else is derived from them or
 * cached: TLBs, predecoded code, PMP ranges, and an LR reservation, which may
 * fail at any time. */
#include "base/errno.h"
#include "riscv/code.h"
#include "riscv/hart.h"
#include "state/field.h"

static const struct state_field fields[] = {
    STATE_ARRAY(struct hart, x),
    STATE_FIELD(struct hart, pc),
    STATE_FIELD(struct hart, icount),
    STATE_ARRAY(struct hart, f),
    STATE_FIELD(struct hart, mstatus),
    STATE_RANGE(struct hart, fflags, FCSR_FLAGS_MASK),
    STATE_RANGE(struct hart, frm, 7),
    STATE_RANGE(struct hart, privilege, PRIV_M),
    STATE_FIELD(struct hart, mtvec),
    STATE_FIELD(struct hart, mepc),
    STATE_FIELD(struct hart, mcause),
    STATE_FIELD(struct hart, mtval),
    STATE_FIELD(struct hart, mscratch),
    STATE_FIELD(struct hart, medeleg),
    STATE_FIELD(struct hart, mideleg),
    STATE_FIELD(struct hart, mie),
    STATE_FIELD(struct hart, mcounteren),
    STATE_FIELD(struct hart, menvcfg),
    STATE_FIELD(struct hart, mcountinhibit),
    STATE_FIELD(struct hart, minstret_offset),
    STATE_FIELD(struct hart, mcycle_offset),
    STATE_FIELD(struct hart, traps),
    STATE_FIELD(struct hart, stvec),
    STATE_FIELD(struct hart, sepc),
    STATE_FIELD(struct hart, scause),
    STATE_FIELD(struct hart, stval),
    STATE_FIELD(struct hart, sscratch),
    STATE_FIELD(struct hart, scounteren),
    STATE_FIELD(struct hart, senvcfg),
    STATE_FIELD(struct hart, satp),
    STATE_FIELD(struct hart, stimecmp),
    STATE_ARRAY(struct hart, pmpcfg),
    STATE_ARRAY(struct hart, pmpaddr),
    STATE_FIELD(struct hart, irq_lines),
    STATE_FIELD(struct hart, mip),
};

const struct state_table hart_state = STATE_TABLE("hart", 1, fields);

int hart_loaded(struct hart *hart, struct error *err)
{
    uint64_t mode = hart->satp >> SATP_MODE_SHIFT;

    if (hart->x[0] != 0 || hart->privilege == 2)
        return error_set(err, -EPROTO, "saved state: hart %u is in no possible state",
                         hart->config.id);
    if (mode != SATP_BARE && (mode < SATP_SV39 || mode > hart->config.widest_satp))
        return error_set(err, -EPROTO, "saved state: hart %u uses satp mode %llu, not offered here",
                         hart->config.id, (unsigned long long)mode);
    hart->reserved_at = 0;
    hart->code_generation++;
    pmp_update(hart);
    code_cache_flush(hart);
    hart_update_mode(hart);
    return 0;
}
