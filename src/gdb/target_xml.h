/* SPDX-License-Identifier: Apache-2.0
 * The target description: which registers a hart has, as the XML that gdb asks
 * for (gdb manual, "RISC-V Features"). */
#pragma once

#include "gdb/target.h"

/* Copies at most `size` bytes of the document from `offset` on to `to` and
 * returns how many: fewer than `size` at its end, 0 past it. The document is
 * written anew for each piece, so that it needs no memory. */
size_t gdb_target_xml_read(const struct gdb_target *target, size_t offset, void *to, size_t size);
