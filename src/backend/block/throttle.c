/* SPDX-License-Identifier: Apache-2.0
 * Limits of a disk. */
#include "backend/block/throttle.h"

#define BURST_NS UINT64_C(100000000)

void throttle_set(struct throttle *throttle, uint64_t bytes_rate, uint64_t operations_rate,
                  uint64_t now_ns)
{
    bucket_set(&throttle->bytes, bytes_rate, BURST_NS, now_ns);
    bucket_set(&throttle->operations, operations_rate, BURST_NS, now_ns);
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

void throttle_take(struct throttle *throttle, uint64_t bytes)
{
    bucket_take(&throttle->bytes, bytes);
    bucket_take(&throttle->operations, 1);
}
