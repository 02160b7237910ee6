/* SPDX-License-Identifier: Apache-2.0
 * Timer and software interrupts. */
#include "dev/timer/aclint.h"
#include "unit/dev/bench.h"

enum {
    HARTS = 3,
    MTIP = 100,
};

struct fixture {
    struct wires wires;
    struct clock clock;
    struct irq_line msip[HARTS];
    struct irq_line mtip[HARTS];
    struct aclint aclint;
};

static void set_now(void *owner, uint64_t ticks)
{
    ((struct clock *)owner)->now = ticks;
}

static void make(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    for (unsigned i = 0; i < HARTS; i++) {
        f->msip[i] = wire(&f->wires, i);
        f->mtip[i] = wire(&f->wires, MTIP + i);
    }
    aclint_init(&f->aclint, &(struct aclint_config){HARTS, f->msip, f->mtip, clock_port(&f->clock),
                                                    set_now, &f->clock});
}

static uint64_t get(struct fixture *f, uint64_t at, unsigned size)
{
    return aclint_mmio.read(&f->aclint, at, size);
}

static void put(struct fixture *f, uint64_t at, uint64_t value, unsigned size)
{
    aclint_mmio.write(&f->aclint, at, value, size);
}

TEST(aclint, msip_drives_its_hart)
{
    struct fixture f;

    make(&f);
    put(&f, 4, 0xffffffff, 4);
    CHECK(f.wires.level[1] && !f.wires.level[0]);
    CHECK_EQ(get(&f, 4, 4), 1);
    put(&f, 4, 0, 4);
    CHECK(!f.wires.level[1]);
    put(&f, UINT64_C(4) * HARTS, 1, 4);
    CHECK_EQ(get(&f, UINT64_C(4) * HARTS, 4), 0);
}

TEST(aclint, timer_rises_at_the_deadline_and_falls_on_rearming)
{
    struct fixture f;

    make(&f);
    f.clock.now = 50;
    put(&f, 0x4008, 100, 8);
    CHECK(!f.wires.level[MTIP + 1]);
    CHECK_EQ(f.clock.deadline[1], 100);
    f.clock.now = 100;
    aclint_alarm(&f.aclint, 1);
    CHECK(f.wires.level[MTIP + 1]);
    put(&f, 0x4008, 101, 8);
    CHECK(!f.wires.level[MTIP + 1]);
    put(&f, 0x4008, 0, 8);
    CHECK(f.wires.level[MTIP + 1]);
    CHECK_EQ(f.clock.deadline[1], ALARM_NEVER);
}

TEST(aclint, accepts_halves_of_64_bit_registers)
{
    struct fixture f;

    make(&f);
    f.clock.now = UINT64_C(0x123456789);
    CHECK_EQ(get(&f, 0xbff8, 8), 0x123456789);
    CHECK_EQ(get(&f, 0xbff8, 4), 0x23456789);
    CHECK_EQ(get(&f, 0xbffc, 4), 1);
    put(&f, 0x4000, 5, 4);
    put(&f, 0x4004, 7, 4);
    CHECK_EQ(get(&f, 0x4000, 8), UINT64_C(0x700000005));
    CHECK_EQ(get(&f, 0x4004, 4), 7);
}

TEST(aclint, writing_mtime_moves_the_clock_and_the_levels)
{
    struct fixture f;

    make(&f);
    put(&f, 0x4000, 100, 8);
    put(&f, 0xbff8, 200, 8);
    CHECK(f.wires.level[MTIP]);
    put(&f, 0xbff8, 10, 4);
    CHECK(!f.wires.level[MTIP]);
    CHECK_EQ(get(&f, 0xbff8, 8), 10);
}

TEST(aclint, goes_on_after_save_and_load)
{
    struct fixture f;
    struct fixture g;

    make(&f);
    make(&g);
    put(&f, 8, 1, 4);
    put(&f, 0x4010, 77, 8);
    move_state(&aclint_ops, &f.aclint, &g.aclint);
    CHECK(g.wires.level[2]);
    CHECK_EQ(g.clock.deadline[2], 77);
    aclint_ops.reset(&g.aclint);
    CHECK(!g.wires.level[2]);
    CHECK_EQ(g.clock.deadline[2], ALARM_NEVER);
}

TEST_MAIN(TESTS(aclint, msip_drives_its_hart),
          TESTS(aclint, timer_rises_at_the_deadline_and_falls_on_rearming),
          TESTS(aclint, accepts_halves_of_64_bit_registers),
          TESTS(aclint, writing_mtime_moves_the_clock_and_the_levels),
          TESTS(aclint, goes_on_after_save_and_load))
