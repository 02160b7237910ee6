/* SPDX-License-Identifier: Apache-2.0
 * Creation, reset and what other threads may do to a hart. */
#include "riscv/hart.h"

#include "base/assert.h"
#include "base/memory.h"
#include "riscv/code.h"

/* What Linux gives a program: floating point, the clock, cbo.zero. */
static void reset_user(struct hart *hart)
{
    hart->mstatus = MSTATUS_FS;
    hart->mcounteren = hart->scounteren = COUNTER_TM;
    hart->menvcfg = hart->senvcfg = ENVCFG_CBZE;
    tlb_init_zeroed(hart);
}

void hart_init(struct hart *hart, const struct hart_config *config)
{
    if (!config->user)
        memset(hart, 0, sizeof(*hart));
    hart->config = *config;
    hart->code = config->code_memory;
    ASSERT(config->code_pages >= CODE_WAYS);
    code_cache_init(hart->code, config->code_pages);
    hart_reset(hart);
}

void hart_reset(struct hart *hart)
{
    struct hart_config config = hart->config;
    /* What follows fetch_is_clear of a process VM is as it was in zeroed memory: threads
     * start quickly. */
    size_t cleared = config.user ? offsetof(struct hart, fetch) : sizeof(*hart);
    struct hart_debug debug = hart->debug;
    struct code_cache *code = hart->code;
    uint64_t fetch_epoch = hart->fetch_epoch; /* these two never come back */
    uint64_t code_generation = hart->code_generation;

    memset(hart, 0, cleared);
    hart->config = config;
    hart->debug = debug;
    hart->code = code;
    hart->fetch_epoch = fetch_epoch;
    hart->code_generation = code_generation + 1;
    hart->pc = config.reset_pc;
    hart->stimecmp = UINT64_MAX;
    hart->stop_at = UINT64_MAX;
    hart->ialign = extension_set_has(&config.extensions, EXT_C) ? 1 : 3;
    /* Left to the implementation: kernels of one address space, which never heard
     * of menvcfg, expect the hardware to set A and D bits. */
    if (extension_set_has(&config.extensions, EXT_Svadu))
        hart->menvcfg = MENVCFG_ADUE;
    if (config.user)
        reset_user(hart);
    pmp_update(hart);
    code_cache_flush(hart);
    hart_set_privilege(hart, config.user ? PRIV_U : PRIV_M);
}

bool hart_set_irq_line(struct hart *hart, uint64_t irq, bool level)
{
    uint64_t before =
        level ? atomic_fetch_or(&hart->irq_lines, irq) : atomic_fetch_and(&hart->irq_lines, ~irq);

    if (!(before & irq) == !level)
        return false;
    if (level)
        hart_kick(hart);
    return true;
}

void hart_raise(struct hart *hart, uint64_t mip_bits)
{
    atomic_fetch_or(&hart->mip, mip_bits);
    hart_kick(hart);
}

void hart_kick(struct hart *hart)
{
    /* After whatever was asked for; pairs with the exchange in hart_run. */
    atomic_store(&hart->limit, 0);
}

void hart_request(struct hart *hart, uint32_t requests)
{
    atomic_fetch_or(&hart->requests, requests);
    hart_kick(hart);
}

void hart_serve_requests(struct hart *hart)
{
    uint32_t requests = atomic_load_explicit(&hart->requests, memory_order_acquire);

    if (LIKELY(!requests))
        return;
    if (requests & HART_REQUEST_FENCE_I) {
        tlb_recheck_code(hart);
    }
    if (requests & HART_REQUEST_SFENCE)
        tlb_flush(hart);
    if (requests & HART_REQUEST_LOOK)
        atomic_store(&hart->limit, 0);
    /* Cleared only now: who asked waits for it. */
    atomic_fetch_and(&hart->requests, ~requests);
}

uint64_t hart_next_deadline(const struct hart *hart)
{
    return hart->menvcfg & MENVCFG_STCE ? hart->stimecmp : UINT64_MAX;
}
