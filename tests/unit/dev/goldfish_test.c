/* SPDX-License-Identifier: Apache-2.0
 * The real-time clock. */
#include "dev/rtc/goldfish.h"
#include "unit/dev/bench.h"

struct fixture {
    struct wires wires;
    struct clock clock;
    struct goldfish rtc;
};

static void make(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    f->clock.now = UINT64_C(0x1122334455667788);
    goldfish_init(&f->rtc, &(struct goldfish_config){wire(&f->wires, 0), clock_port(&f->clock)});
}

static uint32_t get(struct fixture *f, uint64_t at)
{
    return (uint32_t)goldfish_mmio.read(&f->rtc, at, 4);
}

static void put(struct fixture *f, uint64_t at, uint32_t value)
{
    goldfish_mmio.write(&f->rtc, at, value, 4);
}

static void set_alarm(struct fixture *f, uint64_t at)
{
    put(f, 0x0c, (uint32_t)(at >> 32));
    put(f, 0x08, (uint32_t)at);
}

TEST(goldfish, low_word_latches_the_high_one)
{
    struct fixture f;

    make(&f);
    CHECK_EQ(get(&f, 0), 0x55667788);
    f.clock.now += UINT64_C(1) << 32;
    CHECK_EQ(get(&f, 4), 0x11223344);
}

TEST(goldfish, alarm_interrupts_when_enabled)
{
    struct fixture f;

    make(&f);
    put(&f, 0x10, 1);
    set_alarm(&f, f.clock.now + 1000);
    CHECK_EQ(get(&f, 0x18), 1);
    CHECK_EQ(f.clock.deadline[0], f.clock.now + 1000);
    f.clock.now += 1000;
    goldfish_alarm(&f.rtc, 0);
    CHECK(f.wires.level[0]);
    CHECK_EQ(get(&f, 0x18), 0);
    put(&f, 0x1c, 0);
    CHECK(!f.wires.level[0]);
    set_alarm(&f, 1); /* long past */
    CHECK(f.wires.level[0]);
    put(&f, 0x10, 0);
    CHECK(!f.wires.level[0]);
}

TEST(goldfish, a_cleared_alarm_does_not_ring)
{
    struct fixture f;

    make(&f);
    put(&f, 0x10, 1);
    set_alarm(&f, f.clock.now + 10);
    put(&f, 0x14, 1);
    CHECK_EQ(f.clock.deadline[0], ALARM_NEVER);
    f.clock.now += 100;
    goldfish_alarm(&f.rtc, 0);
    CHECK(!f.wires.level[0]);
}

TEST(goldfish, the_guest_sets_the_clock_and_reset_keeps_it)
{
    struct fixture f;

    make(&f);
    put(&f, 4, 0x100);
    put(&f, 0, 5);
    CHECK_EQ(get(&f, 0), 5);
    CHECK_EQ(get(&f, 4), 0x100);
    goldfish_ops.reset(&f.rtc);
    CHECK_EQ(get(&f, 0), 5);
}

TEST(goldfish, goes_on_after_save_and_load)
{
    struct fixture f;
    struct fixture g;

    make(&f);
    make(&g);
    put(&f, 0x10, 1);
    put(&f, 0, 0);
    set_alarm(&f, UINT64_C(0x1122334400000100));
    move_state(&goldfish_ops, &f.rtc, &g.rtc);
    CHECK_EQ(get(&g, 0), 0);
    CHECK_EQ(g.clock.deadline[0], g.clock.now + 0x100);
    g.clock.now += 0x100;
    goldfish_alarm(&g.rtc, 0);
    CHECK(g.wires.level[0]);
}

TEST_MAIN(TESTS(goldfish, low_word_latches_the_high_one),
          TESTS(goldfish, alarm_interrupts_when_enabled),
          TESTS(goldfish, a_cleared_alarm_does_not_ring),
          TESTS(goldfish, the_guest_sets_the_clock_and_reset_keeps_it),
          TESTS(goldfish, goes_on_after_save_and_load))
