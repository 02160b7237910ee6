/* SPDX-License-Identifier: Apache-2.0
 * A token bucket: so many bytes, or operations, a second. Pure arithmetic; the caller says what time it is.
 *
 * What is let through may be more than what is in the bucket, which then is in debt: so the rate is kept in the mean
 * however large the pieces are. */
#pragma once

#include "base/types.h"

struct bucket {
    uint64_t rate;     /* a second; 0: no limit */
    uint64_t burst_ns; /* what comes in that time is all that gathers */
    int64_t tokens;    /* in 1/1024; below 0: a debt */
    uint64_t at_ns;    /* when they were counted */
};

/* Also while it is used. It starts full. Rates above 2^40 are taken for that. */
void bucket_set(struct bucket *bucket, uint64_t rate, uint64_t burst_ns, uint64_t now_ns);
/* When something may pass; `now_ns` or earlier: at once. */
uint64_t bucket_ready_ns(struct bucket *bucket, uint64_t now_ns);
/* `amount` pass. */
void bucket_take(struct bucket *bucket, uint64_t amount);
