/* SPDX-License-Identifier: Apache-2.0
 * A token bucket. */
#include "backend/bucket.h"

#define NS_PER_S  INT64_C(1000000000)
/* The limits keep sums below 2^62. */
#define UNIT      INT64_C(1024)
#define MOST_RATE (UINT64_C(1) << 40)
#define MOST_TAKE (UINT64_C(1) << 32)
#define MOST_S    UINT64_C(1000)

static int64_t tokens_in(const struct bucket *bucket, uint64_t ns)
{
    return (int64_t)((unsigned __int128)ns * bucket->rate * UNIT / NS_PER_S);
}

static int64_t most_tokens(const struct bucket *bucket)
{
    return tokens_in(bucket, bucket->burst_ns) + UNIT; /* at least one operation */
}

void bucket_set(struct bucket *bucket, uint64_t rate, uint64_t burst_ns, uint64_t now_ns)
{
    *bucket = (struct bucket){.rate = MIN(rate, MOST_RATE), .burst_ns = burst_ns, .at_ns = now_ns};
    bucket->tokens = most_tokens(bucket);
}

static void fill(struct bucket *bucket, uint64_t now_ns)
{
    uint64_t passed = now_ns > bucket->at_ns ? now_ns - bucket->at_ns : 0;
    int64_t gained = tokens_in(bucket, MIN(passed, MOST_S * NS_PER_S));

    /* Only the time that was counted is used up, so that no fraction gets lost. */
    bucket->at_ns = passed > MOST_S * NS_PER_S
                        ? now_ns
                        : bucket->at_ns + (uint64_t)((unsigned __int128)gained * NS_PER_S /
                                                     ((unsigned __int128)bucket->rate * UNIT));
    bucket->tokens = MIN(bucket->tokens + gained, most_tokens(bucket));
}

uint64_t bucket_ready_ns(struct bucket *bucket, uint64_t now_ns)
{
    if (bucket->rate == 0)
        return 0;
    fill(bucket, now_ns);
    if (bucket->tokens > 0)
        return 0;
    unsigned __int128 missing = (unsigned __int128)(1 - bucket->tokens) * NS_PER_S;
    return bucket->at_ns + (uint64_t)(missing / ((unsigned __int128)bucket->rate * UNIT)) + 1;
}

void bucket_take(struct bucket *bucket, uint64_t amount)
{
    if (bucket->rate)
        bucket->tokens -= (int64_t)MIN(amount, MOST_TAKE) * UNIT;
}
