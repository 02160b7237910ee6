/* SPDX-License-Identifier: Apache-2.0
 * A token bucket: so many bytes a second, in bursts of a twentieth of that. What is
 * let through may be larger than what is in the bucket, which then is in debt: so the
 * rate is kept in the mean however large the pieces are. */
#pragma once

#include "base/types.h"

struct bucket {
    uint64_t rate;      /* bytes a second; 0: no limit */
    int64_t tokens;     /* bytes */
    uint64_t filled_ns; /* when they were counted; monotonic */
};

/* Also while it is used; 0: no limit. */
void bucket_set_rate(struct bucket *bucket, uint64_t rate, uint64_t now_ns);
/* Nanoseconds until something may pass; 0: now. */
uint64_t bucket_wait_ns(struct bucket *bucket, uint64_t now_ns);
/* `bytes` pass. */
void bucket_take(struct bucket *bucket, uint64_t bytes);
