/* SPDX-License-Identifier: Apache-2.0
 * Limits of CPU: a hart that always has work, on a clock of its own. */
#include "harness/harness.h"

#include <stdlib.h>
#include <unistd.h>

#include "unit/vmm/fake_clock.h"
#include "vmm/governor.h"

#define SLICE_NS UINT64_C(100000)
#define SECOND   UINT64_C(1000000000)

static struct governor *make(unsigned limit_milli)
{
    const struct governor_config config = {.limit_milli = limit_milli, .shares = 1024};
    struct governor *governor = NULL;
    struct error err = {0};

    CHECK_EQ(governor_create(&config, &governor, &err), 0);
    return governor;
}

/* CPU time that `harts` busy harts get within `span_ns`, each with a CPU of its own. */
static uint64_t run(struct governor *governor, unsigned harts, uint64_t span_ns)
{
    struct governor_port port = governor_port(governor);
    uint64_t begin_cpu = fake_process_cpu_ns;
    uint64_t end = fake_now_ns + span_ns;

    while (fake_now_ns < end) {
        unsigned ran = 0;
        uint64_t until = 0;
        for (unsigned hart = 0; hart < harts; hart++) {
            uint64_t rest = port.before(port.owner, hart);
            ran += rest == 0;
            until = rest > until ? rest : until;
        }
        CHECK(ran > 0 || until > fake_now_ns);
        fake_now_ns = ran ? fake_now_ns + SLICE_NS : until;
        fake_process_cpu_ns += ran * SLICE_NS;
        fake_thread_cpu_ns += ran ? SLICE_NS : 0;
        for (unsigned hart = 0; hart < harts && ran; hart++)
            port.after(port.owner, hart);
    }
    return fake_process_cpu_ns - begin_cpu;
}

static void check_limit(unsigned milli, unsigned harts)
{
    struct governor *governor = make(milli);
    uint64_t wanted = 10 * SECOND * milli / 1000;

    (void)run(governor, harts, 2 * SECOND);
    uint64_t had = run(governor, harts, 10 * SECOND);
    CHECK(had > wanted * 97 / 100 && had < wanted * 103 / 100);
    governor_destroy(governor);
}

TEST(governor, a_limit_is_what_a_busy_machine_gets)
{
    static const unsigned limits[] = {10, 50, 250, 500, 900};

    for (unsigned i = 0; i < ARRAY_LEN(limits); i++)
        check_limit(limits[i], 1);
    check_limit(500, 4);
    check_limit(1500, 2);
    check_limit(3000, 8);
}

TEST(governor, without_a_limit_nobody_rests)
{
    struct governor *governor = make(0);

    CHECK_EQ(run(governor, 1, SECOND), SECOND);
    CHECK_EQ(governor_limit(governor), 0);
    CHECK_EQ(governor_shares(governor), 1024);
    governor_destroy(governor);
    governor_destroy(NULL);
}

TEST(governor, an_idle_machine_saves_up_little)
{
    struct governor *governor = make(500);

    (void)run(governor, 1, SECOND);
    fake_now_ns += 100 * SECOND; /* it waits for interrupts */
    uint64_t had = run(governor, 1, SECOND);
    CHECK(had < SECOND * 65 / 100);
    governor_destroy(governor);
}

TEST(governor, limits_change_while_the_machine_runs)
{
    struct governor *governor = make(10);

    (void)run(governor, 1, SECOND);
    governor_set_limit(governor, 0);
    CHECK_EQ(run(governor, 1, SECOND), SECOND);
    governor_set_limit(governor, 500);
    (void)run(governor, 1, SECOND);
    uint64_t had = run(governor, 1, 10 * SECOND);
    CHECK(had > 10 * SECOND * 48 / 100 && had < 10 * SECOND * 52 / 100);
    governor_set_shares(governor, 7);
    CHECK_EQ(governor_shares(governor), 7);
    governor_destroy(governor);
}

TEST_MAIN(TESTS(governor, a_limit_is_what_a_busy_machine_gets),
          TESTS(governor, without_a_limit_nobody_rests),
          TESTS(governor, an_idle_machine_saves_up_little),
          TESTS(governor, limits_change_while_the_machine_runs))
