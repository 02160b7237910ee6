/* SPDX-License-Identifier: Apache-2.0
 * A file that keeps the end of what a serial line printed, whoever listens. Bounded: what is older than
 * TRANSCRIPT_MOST bytes goes; what comes faster than it can be written is counted, and the file says so. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "port/lock.h"

#define TRANSCRIPT_MOST (UINT64_C(1) << 20)

struct transcript;

/* Appends to the file at `path`. On success the caller owns *out (transcript_close). `lock` guards put(). */
MUST_CHECK int transcript_open(const char *path, const struct lock_port *lock,
                               struct transcript **out, struct error *err);
/* Writes what waits. Loop thread, like service(). Accepts NULL. */
void transcript_close(struct transcript *transcript);

/* Any thread, lock held. True: nothing waited before, so service() must be called. */
bool transcript_put(struct transcript *transcript, const uint8_t *bytes, size_t size);
/* Writes what waits to the file. */
void transcript_service(struct transcript *transcript);
