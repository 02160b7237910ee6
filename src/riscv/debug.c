/* SPDX-License-Identifier: Apache-2.0
 * Break- and watchpoints of a debugger. They are virtual addresses, while
 * predecoded code is physical: a slot whose offset in the page has a breakpoint
 * compares the whole pc when it is executed. */
#include "base/memory.h"
#include "riscv/code.h"
#include "riscv/hart.h"

static void update_offsets(struct hart *hart)
{
    struct hart_debug *debug = &hart->debug;

    memset(debug->break_offsets, 0, sizeof(debug->break_offsets));
    for (unsigned i = 0; i < debug->breakpoint_count; i++) {
        unsigned offset = debug->breakpoints[i] & PAGE_MASK;
        debug->break_offsets[offset / 128] |= BIT(offset / 2 % 64);
    }
    code_cache_flush(hart);
}

bool hart_add_breakpoint(struct hart *hart, gva_t address)
{
    struct hart_debug *debug = &hart->debug;

    if (debug->breakpoint_count == HART_MAX_BREAKPOINTS)
        return false;
    debug->breakpoints[debug->breakpoint_count++] = address;
    update_offsets(hart);
    return true;
}

bool hart_remove_breakpoint(struct hart *hart, gva_t address)
{
    struct hart_debug *debug = &hart->debug;

    for (unsigned i = 0; i < debug->breakpoint_count; i++) {
        if (debug->breakpoints[i] != address)
            continue;
        debug->breakpoints[i] = debug->breakpoints[--debug->breakpoint_count];
        update_offsets(hart);
        return true;
    }
    return false;
}

bool hart_add_watchpoint(struct hart *hart, const struct hart_watchpoint *watch)
{
    struct hart_debug *debug = &hart->debug;

    if (debug->watchpoint_count == HART_MAX_WATCHPOINTS || watch->size == 0)
        return false;
    debug->watchpoints[debug->watchpoint_count++] = *watch;
    tlb_flush(hart);
    return true;
}

bool hart_remove_watchpoint(struct hart *hart, const struct hart_watchpoint *watch)
{
    struct hart_debug *debug = &hart->debug;

    for (unsigned i = 0; i < debug->watchpoint_count; i++) {
        const struct hart_watchpoint *have = &debug->watchpoints[i];
        if (have->address != watch->address || have->size != watch->size ||
            have->on_read != watch->on_read || have->on_write != watch->on_write)
            continue;
        debug->watchpoints[i] = debug->watchpoints[--debug->watchpoint_count];
        return true;
    }
    return false;
}
