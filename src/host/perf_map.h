/* SPDX-License-Identifier: Apache-2.0
 * Names of generated code for perf: lines "START SIZE name", hexadecimal, in
 * /tmp/perf-PID.map, which perf reads when it reports. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

struct perf_map;

/* Makes this process's file, which nobody else may read; its path is fixed by perf.
 * It stays when the process ends: perf comes later. A file that is there already is
 * left alone, and an error. At most `most_bytes` are written to it. The caller owns
 * *out (perf_map_destroy). */
MUST_CHECK int perf_map_create(struct perf_map **out, uint64_t most_bytes, struct error *err);
/* Writes what is buffered. NULL is allowed. */
void perf_map_destroy(struct perf_map *map);

/* `start` is where the code executes; control characters in `name` become '?', and it is
 * cut after 200 bytes. Of two regions that overlap perf may take either. What cannot be
 * written, or no longer fits, is left out: a profile with fewer names. One thread at a
 * time; may block for a write to a file once in some hundred calls. */
void perf_map_add(struct perf_map *map, const void *start, size_t size, const char *name);

/* The file's path, until perf_map_destroy. */
const char *perf_map_path(const struct perf_map *map);
/* Regions that were left out. */
uint64_t perf_map_lost(const struct perf_map *map);
