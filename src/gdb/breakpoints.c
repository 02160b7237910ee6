/* SPDX-License-Identifier: Apache-2.0
 * The list of a debugger's breakpoints. */
#include "gdb/breakpoints.h"

#include "base/errno.h"

/* Index of an equal breakpoint, all->count when there is none. */
static size_t find(const struct gdb_breakpoints *all, struct gdb_breakpoint wanted)
{
    size_t i = 0;

    while (i < all->count && (all->list[i].kind != wanted.kind || all->list[i].at != wanted.at ||
                              all->list[i].size != wanted.size))
        i++;
    return i;
}

int gdb_breakpoints_insert(struct gdb_breakpoints *all, const struct gdb_target *target,
                           struct gdb_breakpoint wanted)
{
    if (find(all, wanted) < all->count)
        return 0;
    if (all->count == GDB_BREAKPOINTS_MAX)
        return -ENOSPC;

    int r = target->insert(target->owner, wanted.kind, wanted.at, wanted.size);
    if (r < 0)
        return r;
    all->list[all->count++] = wanted;
    return 0;
}

int gdb_breakpoints_remove(struct gdb_breakpoints *all, const struct gdb_target *target,
                           struct gdb_breakpoint wanted)
{
    size_t i = find(all, wanted);

    if (i == all->count)
        return 0;
    all->list[i] = all->list[--all->count];
    return target->remove(target->owner, wanted.kind, wanted.at, wanted.size);
}

void gdb_breakpoints_remove_all(struct gdb_breakpoints *all, const struct gdb_target *target)
{
    /* Nobody is left to hear of an error. */
    while (all->count > 0) {
        struct gdb_breakpoint *last = &all->list[--all->count];
        (void)target->remove(target->owner, last->kind, last->at, last->size);
    }
}
