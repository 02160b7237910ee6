/* SPDX-License-Identifier: Apache-2.0
 * Names of generated code for a gdb that debugs doppel itself: gdb's JIT interface.
 * (The guest's debugger is gdb/.) Breakpoints in code of a code_map are set with hbreak:
 * the pages that execute cannot be written, by a debugger neither. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

struct gdb_jit;

/* Remembers at most `most` regions, about 1 KiB each, all allocated here. The caller
 * owns *out (gdb_jit_destroy). Several may exist; all functions may be called on any
 * thread, and wait for each other briefly. A gdb that is attached stops the process
 * for a moment at each change. */
MUST_CHECK int gdb_jit_create(struct gdb_jit **out, size_t most, struct error *err);
/* Takes all its names back. NULL is allowed. */
void gdb_jit_destroy(struct gdb_jit *jit);

/* Names [start, start + size), where the code executes. The name is cut after 63 bytes.
 * The oldest region is forgotten when there are too many. */
void gdb_jit_add(struct gdb_jit *jit, const void *start, size_t size, const char *name);
/* Takes back the names of all regions that touch [start, start + size). */
void gdb_jit_remove(struct gdb_jit *jit, const void *start, size_t size);
