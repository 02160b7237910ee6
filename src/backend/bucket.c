/* SPDX-License-Identifier: Apache-2.0
 * A token bucket. */
#include "backend/bucket.h"

#define SECOND_NS       UINT64_C(1000000000)
#define BURSTS_A_SECOND 20

void bucket_set_rate(struct bucket *bucket, uint64_t rate, uint64_t now_ns)
{
    /* Sums below stay within 63 bits. */
    *bucket = (struct bucket){.rate = MIN(rate, UINT64_C(1) << 40), .filled_ns = now_ns};
}

static void fill(struct bucket *bucket, uint64_t now_ns)
{
    uint64_t passed_ns = MIN(now_ns - bucket->filled_ns, SECOND_NS);
    int64_t most = (int64_t)(bucket->rate / BURSTS_A_SECOND) + 1;
    uint64_t more = (uint64_t)((unsigned __int128)bucket->rate * passed_ns / SECOND_NS);

    bucket->tokens = MIN(bucket->tokens + (int64_t)more, most);
    /* The time of a part of a byte goes on counting. */
    bucket->filled_ns =
        now_ns - passed_ns + (uint64_t)((unsigned __int128)more * SECOND_NS / bucket->rate);
}

uint64_t bucket_wait_ns(struct bucket *bucket, uint64_t now_ns)
{
    if (bucket->rate == 0)
        return 0;
    fill(bucket, now_ns);
    if (bucket->tokens > 0)
        return 0;
    return (uint64_t)((unsigned __int128)(uint64_t)(1 - bucket->tokens) * SECOND_NS /
                      bucket->rate) +
           1;
}

void bucket_take(struct bucket *bucket, uint64_t bytes)
{
    if (bucket->rate)
        bucket->tokens -= (int64_t)bytes;
}
