/* SPDX-License-Identifier: Apache-2.0
 * Interrupt routing. */
#include "dev/irq/plic.h"
#include "unit/dev/bench.h"

enum {
    SOURCES = 96,
    CONTEXTS = 4,
};

struct fixture {
    struct wires wires;
    struct irq_line outputs[CONTEXTS];
    struct plic plic;
};

static void make(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    for (unsigned i = 0; i < CONTEXTS; i++)
        f->outputs[i] = wire(&f->wires, i);
    plic_init(&f->plic, &(struct plic_config){SOURCES, CONTEXTS, f->outputs});
}

static uint32_t get(struct fixture *f, uint64_t at)
{
    return (uint32_t)plic_mmio.read(&f->plic, at, 4);
}

static void put(struct fixture *f, uint64_t at, uint32_t value)
{
    plic_mmio.write(&f->plic, at, value, 4);
}

static uint64_t claim_at(unsigned context)
{
    return 0x200004 + 0x1000u * context;
}

static void enable(struct fixture *f, unsigned context, unsigned source, unsigned priority)
{
    uint64_t at = 0x2000 + 0x80u * context + source / 32 * 4;

    put(f, at, get(f, at) | 1u << source % 32);
    put(f, (uint64_t)source * 4, priority);
}

TEST(plic, claim_returns_the_highest_priority_then_the_lowest_number)
{
    struct fixture f;

    make(&f);
    enable(&f, 1, 10, 1);
    enable(&f, 1, 40, 3);
    enable(&f, 1, 33, 3);
    plic_set_source(&f.plic, 10, true);
    plic_set_source(&f.plic, 40, true);
    plic_set_source(&f.plic, 33, true);
    CHECK(f.wires.level[1] && !f.wires.level[0]);
    CHECK_EQ(get(&f, claim_at(1)), 33);
    CHECK_EQ(get(&f, claim_at(1)), 40);
    CHECK_EQ(get(&f, claim_at(1)), 10);
    CHECK(!f.wires.level[1]);
    CHECK_EQ(get(&f, claim_at(1)), 0);
}

TEST(plic, a_high_wire_is_forwarded_again_on_completion)
{
    struct fixture f;

    make(&f);
    enable(&f, 0, 5, 1);
    plic_set_source(&f.plic, 5, true);
    CHECK_EQ(get(&f, claim_at(0)), 5);
    CHECK(!f.wires.level[0]);
    plic_set_source(&f.plic, 5, true);
    CHECK(!f.wires.level[0]);
    put(&f, claim_at(0), 5);
    CHECK(f.wires.level[0]);
    CHECK_EQ(get(&f, claim_at(0)), 5);
    plic_set_source(&f.plic, 5, false);
    put(&f, claim_at(0), 5);
    CHECK(!f.wires.level[0]);
}

TEST(plic, pending_stays_latched_when_the_wire_falls)
{
    struct fixture f;

    make(&f);
    enable(&f, 0, 64, 2);
    plic_set_source(&f.plic, 64, true);
    plic_set_source(&f.plic, 64, false);
    CHECK_EQ(get(&f, 0x1008), 1);
    CHECK_EQ(get(&f, claim_at(0)), 64);
}

TEST(plic, a_pulse_while_in_work_interrupts_once_more)
{
    struct fixture f;

    make(&f);
    enable(&f, 0, 5, 1);
    enable(&f, 1, 5, 1);
    plic_set_source(&f.plic, 5, true);
    plic_set_source(&f.plic, 5, false);
    CHECK_EQ(get(&f, claim_at(0)), 5);
    for (unsigned i = 0; i < 2; i++) {
        plic_set_source(&f.plic, 5, true);
        plic_set_source(&f.plic, 5, false);
    }
    CHECK(!f.wires.level[0]);
    CHECK(!f.wires.level[1]);
    CHECK_EQ(get(&f, claim_at(1)), 0);
    put(&f, claim_at(0), 5);
    CHECK(f.wires.level[0]);
    CHECK_EQ(get(&f, claim_at(1)), 5);
    CHECK(!f.wires.level[0]);
    put(&f, claim_at(1), 5);
    CHECK(!f.wires.level[0]);
}

TEST(plic, threshold_masks_the_output_but_not_the_claim)
{
    struct fixture f;

    make(&f);
    enable(&f, 2, 7, 3);
    put(&f, 0x202000, 3);
    plic_set_source(&f.plic, 7, true);
    CHECK(!f.wires.level[2]);
    put(&f, 0x202000, 2);
    CHECK(f.wires.level[2]);
    put(&f, 0x202000, 7);
    CHECK_EQ(get(&f, claim_at(2)), 7);
}

TEST(plic, completion_needs_the_source_enabled)
{
    struct fixture f;

    make(&f);
    enable(&f, 0, 9, 1);
    plic_set_source(&f.plic, 9, true);
    CHECK_EQ(get(&f, claim_at(0)), 9);
    put(&f, claim_at(3), 9);
    CHECK(!f.wires.level[0]);
    put(&f, claim_at(0), 9);
    CHECK(f.wires.level[0]);
}

TEST(plic, registers_are_warl_and_source_zero_does_not_exist)
{
    struct fixture f;

    make(&f);
    put(&f, 4, 0xffffffff);
    CHECK_EQ(get(&f, 4), 7);
    put(&f, 0, 5);
    CHECK_EQ(get(&f, 0), 0);
    put(&f, 0x2000, 0xffffffff);
    CHECK_EQ(get(&f, 0x2000), 0xfffffffe);
    put(&f, 0x200c, 0xffffffff);
    CHECK_EQ(get(&f, 0x200c), 1); /* source 96 */
    put(&f, 0x200000, 0xff);
    CHECK_EQ(get(&f, 0x200000), 7);
    plic_set_source(&f.plic, 0, true);
    plic_set_source(&f.plic, 200, true);
    CHECK_EQ(get(&f, 0x1000), 0);
    put(&f, claim_at(0), 0xffffffff);
    CHECK_EQ(get(&f, claim_at(100)), 0);
}

TEST(plic, goes_on_after_save_and_load)
{
    struct fixture f;
    struct fixture g;

    make(&f);
    make(&g);
    enable(&f, 1, 10, 4);
    enable(&f, 1, 11, 5);
    plic_set_source(&f.plic, 10, true);
    plic_set_source(&f.plic, 11, true);
    CHECK_EQ(get(&f, claim_at(1)), 11);
    move_state(&plic_ops, &f.plic, &g.plic);
    CHECK(g.wires.level[1]);
    CHECK_EQ(get(&g, claim_at(1)), 10);
    put(&g, claim_at(1), 11);
    CHECK_EQ(get(&g, claim_at(1)), 11);
    plic_ops.reset(&g.plic);
    CHECK(!g.wires.level[1]);
    CHECK_EQ(get(&g, 0x1000), 0);
}

TEST_MAIN(TESTS(plic, claim_returns_the_highest_priority_then_the_lowest_number),
          TESTS(plic, a_high_wire_is_forwarded_again_on_completion),
          TESTS(plic, pending_stays_latched_when_the_wire_falls),
          TESTS(plic, a_pulse_while_in_work_interrupts_once_more),
          TESTS(plic, threshold_masks_the_output_but_not_the_claim),
          TESTS(plic, completion_needs_the_source_enabled),
          TESTS(plic, registers_are_warl_and_source_zero_does_not_exist),
          TESTS(plic, goes_on_after_save_and_load))
