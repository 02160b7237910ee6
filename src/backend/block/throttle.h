/* SPDX-License-Identifier: Apache-2.0
 * Limits of a disk: bytes and operations a second. Pure arithmetic; the caller says what
 * time it is. */
#pragma once

#include "backend/bucket.h"
#include "base/types.h"

struct throttle {
    struct bucket bytes;
    struct bucket operations;
};

/* A bucket starts full: with what comes in a tenth of a second. */
void throttle_set(struct throttle *throttle, uint64_t bytes_rate, uint64_t operations_rate,
                  uint64_t now_ns);
bool throttle_is_limited(const struct throttle *throttle);
/* When the next request may start; `now_ns` or earlier: at once. */
uint64_t throttle_ready_ns(struct throttle *throttle, uint64_t now_ns);
/* A request starts. What it takes beyond the tokens that are there the next ones wait
 * for. */
void throttle_take(struct throttle *throttle, uint64_t bytes);
