/* SPDX-License-Identifier: Apache-2.0
 * Which breakpoints a debugger has set: it may repeat itself, and when it
 * vanishes they have to go. */
#pragma once

#include "base/attributes.h"
#include "gdb/target.h"

#define GDB_BREAKPOINTS_MAX 256

struct gdb_breakpoint {
    enum gdb_breakpoint_kind kind;
    gva_t at;
    size_t size; /* bytes watched; for breakpoints the instruction's length */
};

/* Zeroed memory is an empty list. */
struct gdb_breakpoints {
    size_t count;
    struct gdb_breakpoint list[GDB_BREAKPOINTS_MAX];
};

/* Inserts into the target unless it is there already. Returns 0, -ENOSPC, or
 * the target's error. */
MUST_CHECK int gdb_breakpoints_insert(struct gdb_breakpoints *all, const struct gdb_target *target,
                                      struct gdb_breakpoint wanted);
/* Removing what is not there succeeds, as gdb asks for. */
MUST_CHECK int gdb_breakpoints_remove(struct gdb_breakpoints *all, const struct gdb_target *target,
                                      struct gdb_breakpoint wanted);
void gdb_breakpoints_remove_all(struct gdb_breakpoints *all, const struct gdb_target *target);
