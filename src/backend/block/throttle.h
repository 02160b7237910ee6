/* SPDX-License-Identifier: Apache-2.0
 * Limits as token buckets: bytes and operations a second. Pure arithmetic; the caller
 * says what time it is. */
#pragma once

#include "base/types.h"

struct throttle_bucket {
    uint64_t rate;  /* a second; 0: no limit */
    int64_t tokens; /* in 1/1024; below 0: a debt */
    uint64_t at_ns; /* when tokens were counted */
};

struct throttle {
    struct throttle_bucket bytes;
    struct throttle_bucket operations;
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
