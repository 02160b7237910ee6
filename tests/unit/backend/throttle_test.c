/* SPDX-License-Identifier: Apache-2.0
 * Token buckets, with a clock that is moved. */
#include "backend/block/throttle.h"
#include "harness/harness.h"

#define SECOND UINT64_C(1000000000)

/* Requests that start within `seconds` when each comes as soon as the last one has started. */
static uint64_t started(uint64_t bytes_rate, uint64_t operations_rate, uint64_t size,
                        uint64_t seconds)
{
    struct throttle throttle;
    uint64_t now = 123456789;
    uint64_t end = now + seconds * SECOND;
    uint64_t count = 0;

    throttle_set(&throttle, bytes_rate, operations_rate, now);
    while (count < 100000000) {
        uint64_t ready = throttle_ready_ns(&throttle, now);
        now = MAX(now, ready);
        if (now >= end)
            break;
        throttle_take(&throttle, size);
        count++;
    }
    return count;
}

static bool is_near(uint64_t value, uint64_t wanted, unsigned percent)
{
    return value * 100 >= wanted * (100 - percent) && value * 100 <= wanted * (100 + percent);
}

TEST(throttle, operations_a_second_hold)
{
    static const uint64_t rates[] = {1, 7, 500, 20000, 1000000};

    for (unsigned i = 0; i < ARRAY_LEN(rates); i++)
        CHECK(is_near(started(0, rates[i], 4096, 10), rates[i] * 10, i ? 3 : 20));
}

TEST(throttle, bytes_a_second_hold_for_small_and_large_requests)
{
    static const uint64_t sizes[] = {512, 4096, 65536, 1 << 20};

    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++)
        CHECK(is_near(started(10 << 20, 0, sizes[i], 20) * sizes[i], UINT64_C(200) << 20, 3));
}

TEST(throttle, the_tighter_limit_counts)
{
    CHECK(is_near(started(1 << 20, 1000, 4096, 10), 2560, 3));
    CHECK(is_near(started(100 << 20, 1000, 4096, 10), 10000, 3));
}

TEST(throttle, a_request_larger_than_a_second_s_worth_passes_and_is_paid_for)
{
    struct throttle throttle;

    throttle_set(&throttle, 1000, 0, SECOND);
    CHECK(throttle_ready_ns(&throttle, SECOND) <= SECOND);
    throttle_take(&throttle, 5100);
    uint64_t ready = throttle_ready_ns(&throttle, SECOND);
    CHECK(is_near(ready, 6 * SECOND, 1));
    CHECK(throttle_ready_ns(&throttle, ready) <= ready);
}

TEST(throttle, being_asked_often_loses_nothing)
{
    struct throttle throttle;
    unsigned count = 0;

    throttle_set(&throttle, 0, 100, 0);
    for (uint64_t now = 0; now < 10 * SECOND; now += 1000) {
        if (throttle_ready_ns(&throttle, now) <= now) {
            throttle_take(&throttle, 1);
            count++;
        }
    }
    CHECK(is_near(count, 1010, 2));
}

TEST(throttle, no_limit_is_none)
{
    struct throttle throttle;

    throttle_set(&throttle, 0, 0, 0);
    CHECK(!throttle_is_limited(&throttle));
    for (unsigned i = 0; i < 1000000; i++)
        throttle_take(&throttle, UINT64_MAX);
    CHECK_EQ(throttle_ready_ns(&throttle, 5), 0);
}

TEST_MAIN(TESTS(throttle, operations_a_second_hold),
          TESTS(throttle, bytes_a_second_hold_for_small_and_large_requests),
          TESTS(throttle, the_tighter_limit_counts),
          TESTS(throttle, a_request_larger_than_a_second_s_worth_passes_and_is_paid_for),
          TESTS(throttle, being_asked_often_loses_nothing), TESTS(throttle, no_limit_is_none))
