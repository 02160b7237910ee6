/* SPDX-License-Identifier: Apache-2.0
 * Memory mappings. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

/* Zeroed memory that takes host pages only where it is touched, and that core
 * dumps leave out: guest RAM, code caches. `size` is rounded up to pages. NULL
 * with the reason in `err`, which calls the memory `what`. */
MUST_CHECK void *map_lazy(size_t size, const char *what, struct error *err);
void map_free(void *at, size_t size);
/* Gives the pages back: they read as zero again. */
void map_clear(void *at, size_t size);
/* The same for any part of such memory. */
void map_clear_within(void *at, size_t size);
