/* SPDX-License-Identifier: Apache-2.0
 * What host code calls with all guest state written back to struct hart: accesses
 * that the inline look-up cannot make, and instructions left to the interpreter. */
#include "translator/internal.h"
#include "translator/run.h"

/* pc and icount of the instruction that `info` belongs to. */
static void make_exact(struct translated_hart *th, uint32_t info)
{
    th->hart.pc = th->hart.page + (info & INFO_OFFSET_MASK);
    th->hart.icount += (info >> INFO_PENDING_SHIFT) & 0xff;
}

bool runtime_load(struct translated_hart *th)
{
    uint32_t info = th->info;
    unsigned size = 1u << ((info >> INFO_SIZE_SHIFT) & 3);

    th->counters.slow_accesses++;
    make_exact(th, info);
    if (!hart_load(&th->hart, th->address, size))
        return false;
    uint64_t value = th->hart.slow_value;
    if (info & INFO_SIGNED)
        value = (uint64_t)bits_sign_extend(value, 8 * size);
    if (info & INFO_BOX)
        value |= UINT64_C(0xffffffff00000000);
    th->value = value;
    return true;
}

bool runtime_store(struct translated_hart *th)
{
    uint32_t info = th->info;

    th->counters.slow_accesses++;
    make_exact(th, info);
    return hart_store(&th->hart, th->address, 1u << ((info >> INFO_SIZE_SHIFT) & 3), th->value);
}

/* After one interpreted instruction: 0 to go on behind it in host code. */
static unsigned after(struct translated_hart *th, bool goes_on, gva_t expected)
{
    uint32_t context = th->context;

    if (!goes_on)
        return LEAVE_POLL + 1;
    context_update(th);
    if (th->context != context || th->hart.pc != expected)
        return LEAVE_FIND + 1;
    runtime_give_rounding(th);
    return 0;
}

unsigned runtime_execute(struct translated_hart *th, uint32_t raw)
{
    struct hart *hart = &th->hart;

    th->counters.fallbacks++;
    runtime_take_flags(th);
    make_exact(th, th->info);
    gva_t next = hart->pc + ((raw & 3) == 3 ? 4 : 2);
    th->mxcsr = 0;
    return after(th, hart_execute(hart, raw), next);
}

unsigned runtime_execute_fetched(struct translated_hart *th)
{
    th->counters.fallbacks++;
    runtime_take_flags(th);
    make_exact(th, th->info);
    th->mxcsr = 0;
    return hart_execute_fetched(&th->hart) ? LEAVE_FIND + 1 : LEAVE_POLL + 1;
}
