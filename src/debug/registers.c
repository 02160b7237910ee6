/* SPDX-License-Identifier: Apache-2.0
 * A hart as gdb's target. */
#include "debug/registers.h"

#include "riscv/hart.h"

#include <errno.h>

int debug_read_register(struct hart *hart, unsigned number, uint64_t *value)
{
    if (number < GDB_REGISTER_PC)
        *value = hart->x[number];
    else if (number == GDB_REGISTER_PC)
        *value = hart->pc;
    else if (number < GDB_REGISTER_CSR0)
        *value = hart->f[number - GDB_REGISTER_F0];
    else if (number < GDB_REGISTER_PRIV)
        return csr_peek(hart, number - GDB_REGISTER_CSR0, value) ? 0 : -ENOENT;
    else if (number == GDB_REGISTER_PRIV)
        *value = hart->privilege;
    else
        return -ENOENT;
    return 0;
}

int debug_write_register(struct hart *hart, unsigned number, uint64_t value)
{
    if (number == 0)
        return 0;
    if (number < GDB_REGISTER_PC)
        hart->x[number] = value;
    else if (number == GDB_REGISTER_PC)
        hart->pc = value & ~UINT64_C(1);
    else if (number < GDB_REGISTER_CSR0)
        hart->f[number - GDB_REGISTER_F0] = value;
    else if (number < GDB_REGISTER_PRIV)
        return csr_poke(hart, number - GDB_REGISTER_CSR0, value) ? 0 : -ENOENT;
    else if (number == GDB_REGISTER_PRIV && (value == PRIV_U || value == PRIV_S || value == PRIV_M))
        hart_set_privilege(hart, (enum privilege)value);
    else
        return -ENOENT;
    return 0;
}

bool debug_change_point(struct hart *hart, enum gdb_breakpoint_kind kind, gva_t at, size_t size,
                        bool insert)
{
    struct hart_watchpoint watch = {
        .address = at,
        .size = size,
        .on_read = kind == GDB_WATCH_READ || kind == GDB_WATCH_ACCESS,
        .on_write = kind == GDB_WATCH_WRITE || kind == GDB_WATCH_ACCESS,
    };

    if (kind == GDB_BREAK_SOFTWARE || kind == GDB_BREAK_HARDWARE)
        return insert ? hart_add_breakpoint(hart, at) : hart_remove_breakpoint(hart, at);
    return insert ? hart_add_watchpoint(hart, &watch) : hart_remove_watchpoint(hart, &watch);
}

bool debug_copy_points(struct hart *to, const struct hart *from)
{
    bool fits = true;

    for (unsigned i = 0; fits && i < from->debug.breakpoint_count; i++)
        fits = hart_add_breakpoint(to, from->debug.breakpoints[i]);
    for (unsigned i = 0; fits && i < from->debug.watchpoint_count; i++)
        fits = hart_add_watchpoint(to, &from->debug.watchpoints[i]);
    return fits;
}

struct gdb_stop debug_take_stop(struct hart *hart, unsigned index)
{
    struct gdb_stop stop = {.reason = GDB_STOP_SIGNAL, .signal = GDB_SIGNAL_TRAP, .hart = index};

    switch (hart->debug.stop) {
    case HART_STOP_BREAKPOINT:
        stop.reason = GDB_STOP_BREAK_SOFTWARE;
        break;
    case HART_STOP_WATCH_WRITE:
        stop.reason = GDB_STOP_WATCH_WRITE;
        stop.address = hart->debug.watch_address;
        break;
    case HART_STOP_WATCH_READ:
        stop.reason = GDB_STOP_WATCH_READ;
        stop.address = hart->debug.watch_address;
        break;
    case HART_STOP_NONE:
    case HART_STOP_STEP:
        break;
    }
    hart->debug.stop = HART_STOP_NONE;
    return stop;
}
