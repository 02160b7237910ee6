/* SPDX-License-Identifier: Apache-2.0
 * Limits as token buckets. */
#include "backend/block/throttle.h"

#define NS_PER_S  INT64_C(1000000000)
#define BURST_NS  (NS_PER_S / 10)
/* Tokens are kept in 1/1024 of a byte or operation. The limits keep sums far below 2^63. */
#define UNIT      INT64_C(1024)
#define MOST_RATE (UINT64_C(1) << 33)
#define MOST_TAKE (UINT64_C(1) << 32)
#define MOST_S    UINT64_C(1000)

static int64_t tokens_in(const struct throttle_bucket *bucket, uint64_t ns)
{
    return (int64_t)((unsigned __int128)ns * bucket->rate * UNIT / NS_PER_S);
}

static int64_t most_tokens(const struct throttle_bucket *bucket)
{
    return tokens_in(bucket, BURST_NS) + UNIT; /* at least one operation */
}

static void bucket_set(struct throttle_bucket *bucket, uint64_t rate, uint64_t now_ns)
{
    *bucket = (struct throttle_bucket){.rate = MIN(rate, MOST_RATE), .at_ns = now_ns};
    bucket->tokens = most_tokens(bucket);
}

static void bucket_count(struct throttle_bucket *bucket, uint64_t now_ns)
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

static uint64_t bucket_ready_ns(struct throttle_bucket *bucket, uint64_t now_ns)
{
    if (bucket->rate == 0)
        return 0;
    bucket_count(bucket, now_ns);
    if (bucket->tokens > 0)
        return 0;
    unsigned __int128 missing = (unsigned __int128)(1 - bucket->tokens) * NS_PER_S;
    return bucket->at_ns + (uint64_t)(missing / ((unsigned __int128)bucket->rate * UNIT)) + 1;
}

void throttle_set(struct throttle *throttle, uint64_t bytes_rate, uint64_t operations_rate,
                  uint64_t now_ns)
{
    bucket_set(&throttle->bytes, bytes_rate, now_ns);
    bucket_set(&throttle->operations, operations_rate, now_ns);
}

bool throttle_is_limited(const struct throttle *throttle)
{
    return throttle->bytes.rate || throttle->operations.rate;
}

uint64_t throttle_ready_ns(struct throttle *throttle, uint64_t now_ns)
{
    uint64_t bytes = bucket_ready_ns(&throttle->bytes, now_ns);
    uint64_t operations = bucket_ready_ns(&throttle->operations, now_ns);

    return MAX(bytes, operations);
}

static void bucket_take(struct throttle_bucket *bucket, uint64_t amount)
{
    if (bucket->rate)
        bucket->tokens -= (int64_t)MIN(amount, MOST_TAKE) * UNIT;
}

void throttle_take(struct throttle *throttle, uint64_t bytes)
{
    bucket_take(&throttle->bytes, bytes);
    bucket_take(&throttle->operations, 1);
}
