/* SPDX-License-Identifier: Apache-2.0
 * A hart as gdb's target: registers, break- and watchpoints, and why it has stopped. The
 * hart stands still; any thread. */
#pragma once

#include "base/attributes.h"
#include "gdb/target.h"

struct hart;

/* As gdb_target.read_register and write_register. */
MUST_CHECK int debug_read_register(struct hart *hart, unsigned number, uint64_t *value);
MUST_CHECK int debug_write_register(struct hart *hart, unsigned number, uint64_t value);

/* Inserts or removes. False: there is no room, or no such point. */
MUST_CHECK bool debug_change_point(struct hart *hart, enum gdb_breakpoint_kind kind, gva_t at,
                                   size_t size, bool insert);
/* Gives `to` the points of `from`. False: there is no room. */
MUST_CHECK bool debug_copy_points(struct hart *to, const struct hart *from);

/* What the hart reports, which is forgotten; `index` is its number for gdb. */
struct gdb_stop debug_take_stop(struct hart *hart, unsigned index);
