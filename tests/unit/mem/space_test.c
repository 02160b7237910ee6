/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/space.h"

#include "harness/harness.h"

#include <string.h>

#define RAM_BASE UINT64_C(0x80000000)
#define RAM_SIZE (8 * PAGE_SIZE)
#define TOP_BASE (UINT64_MAX - 2 * PAGE_SIZE + 1) /* ends one page below 2^64 */

/* A device that remembers its last access. */
struct probe {
    uint64_t offset;
    uint64_t value;
    unsigned size;
    unsigned count;
};

struct bench {
    struct space space;
    struct probe probe;
    struct probe other;
    int locks_held;
    unsigned locks;
    uint8_t ram[RAM_SIZE];
    uint8_t top[PAGE_SIZE];
};

static uint64_t probe_read(void *device, uint64_t offset, unsigned size)
{
    struct probe *probe = device;

    probe->offset = offset;
    probe->size = size;
    probe->count++;
    return probe->value;
}

static void probe_write(void *device, uint64_t offset, uint64_t value, unsigned size)
{
    probe_read(device, offset, size);
    ((struct probe *)device)->value = value;
}

static const struct mmio_ops any_size = {probe_read, probe_write, MMIO_ANY};
static const struct mmio_ops words_only = {probe_read, probe_write, MMIO_4};

static void acquire(void *owner)
{
    struct bench *bench = owner;

    CHECK_EQ(bench->locks_held++, 0);
    bench->locks++;
}

static void release(void *owner)
{
    ((struct bench *)owner)->locks_held--;
}

static void setup(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    bench->space.device_lock = (struct lock_port){acquire, release, bench};
    space_add_ram(&bench->space, RAM_BASE, RAM_SIZE, bench->ram);
    space_add_mmio(&bench->space, 0x10001000, PAGE_SIZE, &words_only, &bench->other);
    space_add_mmio(&bench->space, 0x10000000, PAGE_SIZE, &any_size, &bench->probe);
    for (unsigned i = 0; i < RAM_SIZE; i++)
        bench->ram[i] = (uint8_t)(i ^ i >> 8);
}

TEST(space, ram_is_read_and_written_in_all_sizes)
{
    struct bench bench;
    uint64_t value;

    setup(&bench);
    for (unsigned size = 1; size <= 8; size *= 2) {
        gpa_t at = RAM_BASE + PAGE_SIZE - size + 1; /* unaligned, across pages */
        CHECK(space_write(&bench.space, at, size, UINT64_C(0x8877665544332211)));
        CHECK(space_read(&bench.space, at, size, &value));
        CHECK_EQ(value, UINT64_C(0x8877665544332211) & (UINT64_MAX >> (64 - 8 * size)));
    }
    CHECK_EQ(bench.locks, 0);
}

TEST(space, ram_ends_where_it_ends)
{
    struct bench bench;
    uint64_t value = 42;

    setup(&bench);
    CHECK(space_ram(&bench.space, RAM_BASE, RAM_SIZE) == bench.ram);
    CHECK(!space_ram(&bench.space, RAM_BASE, RAM_SIZE + 1));
    CHECK(!space_ram(&bench.space, RAM_BASE - 1, 1));
    CHECK(space_ram(&bench.space, RAM_BASE + RAM_SIZE - 1, 1) == bench.ram + RAM_SIZE - 1);
    CHECK(!space_ram(&bench.space, RAM_BASE + RAM_SIZE, 1));
    CHECK(!space_read(&bench.space, RAM_BASE + RAM_SIZE - 4, 8, &value));
    CHECK(!space_write(&bench.space, RAM_BASE + RAM_SIZE - 1, 2, 0));
    CHECK_EQ(value, 42);
}

TEST(space, sizes_and_addresses_that_overflow_find_nothing)
{
    struct bench bench;
    uint64_t value = 42;

    setup(&bench);
    CHECK(!space_ram(&bench.space, RAM_BASE, UINT64_MAX));
    CHECK(!space_ram(&bench.space, RAM_BASE + 8, UINT64_MAX - 4));
    CHECK(!space_ram(&bench.space, UINT64_MAX, 2));
    CHECK(!space_ram(&bench.space, UINT64_MAX, UINT64_MAX));
    CHECK(!space_read(&bench.space, UINT64_MAX - 3, 8, &value));
    CHECK(!space_write(&bench.space, UINT64_MAX, 1, 0));
    CHECK_EQ(value, 42);
}

TEST(space, ram_near_the_top_of_the_address_space_works)
{
    struct bench bench;

    setup(&bench);
    space_add_ram(&bench.space, TOP_BASE, PAGE_SIZE, bench.top);
    CHECK(space_ram(&bench.space, TOP_BASE, PAGE_SIZE) == bench.top);
    CHECK(!space_ram(&bench.space, TOP_BASE, 2 * PAGE_SIZE));
    CHECK(!space_ram(&bench.space, TOP_BASE + PAGE_SIZE - 1, UINT64_MAX));
}

TEST(space, a_range_over_two_regions_is_not_ram_of_one)
{
    struct bench bench;

    setup(&bench);
    space_add_ram(&bench.space, RAM_BASE + RAM_SIZE, PAGE_SIZE, bench.top);
    CHECK(!space_ram(&bench.space, RAM_BASE + RAM_SIZE - 1, 2));
    CHECK(space_ram(&bench.space, RAM_BASE + RAM_SIZE, 1) == bench.top);
}

TEST(space, mmio_hides_ram_page_by_page)
{
    struct bench bench;
    uint64_t value = 0;
    gpa_t hidden = RAM_BASE + 2 * PAGE_SIZE;

    setup(&bench);
    bench.probe.value = 0x55;
    space_add_mmio(&bench.space, hidden, PAGE_SIZE, &any_size, &bench.probe);
    CHECK(space_ram(&bench.space, hidden - 1, 1));
    CHECK(!space_ram(&bench.space, hidden - 1, 2));
    CHECK(!space_ram(&bench.space, hidden, 1));
    CHECK(!space_ram(&bench.space, hidden + PAGE_SIZE - 1, 2));
    CHECK(space_ram(&bench.space, hidden + PAGE_SIZE, PAGE_SIZE));
    CHECK(!space_ram(&bench.space, RAM_BASE, RAM_SIZE));
    CHECK(space_read(&bench.space, hidden + 16, 8, &value) && value == 0x55);
    /* Neither half of an access across the border happens. */
    CHECK(!space_write(&bench.space, hidden - 4, 8, UINT64_MAX));
    CHECK_EQ(bench.probe.count, 1);
}

TEST(space, devices_get_offsets_under_the_lock)
{
    struct bench bench;
    uint64_t value;

    setup(&bench);
    CHECK(space_write(&bench.space, 0x10000ff8, 8, UINT64_C(0x123456789)));
    CHECK_EQ(bench.probe.offset, 0xff8);
    CHECK_EQ(bench.probe.size, 8);
    CHECK_EQ(bench.probe.value, UINT64_C(0x123456789));
    CHECK(space_read(&bench.space, 0x10001004, 4, &value));
    CHECK_EQ(bench.other.offset, 4);
    CHECK_EQ(bench.locks, 2);
    CHECK_EQ(bench.locks_held, 0);
}

TEST(space, devices_are_found_from_first_to_last_byte)
{
    struct bench bench;

    setup(&bench);
    CHECK(!space_find_mmio(&bench.space, 0));
    CHECK(!space_find_mmio(&bench.space, 0x0fffffff));
    CHECK(space_find_mmio(&bench.space, 0x10000000)->device == &bench.probe);
    CHECK(space_find_mmio(&bench.space, 0x10000fff)->device == &bench.probe);
    CHECK(space_find_mmio(&bench.space, 0x10001000)->device == &bench.other);
    CHECK(!space_find_mmio(&bench.space, 0x10002000));
    CHECK(!space_find_mmio(&bench.space, UINT64_MAX));
}

TEST(space, any_order_of_adding_gives_the_same_devices)
{
    struct bench bench;
    static struct probe probes[50];
    static gpa_t bases[ARRAY_LEN(probes)];

    setup(&bench);
    for (unsigned i = 0; i < ARRAY_LEN(probes); i++) {
        bases[i] = 0x20000000 + (UINT64_C(37) * i % ARRAY_LEN(probes)) * 2 * PAGE_SIZE;
        space_add_mmio(&bench.space, bases[i], PAGE_SIZE, &any_size, &probes[i]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(probes); i++) {
        CHECK(space_find_mmio(&bench.space, bases[i] + 5)->device == &probes[i]);
        CHECK(!space_find_mmio(&bench.space, bases[i] + PAGE_SIZE));
    }
}

TEST(space, accesses_a_device_does_not_take_are_faults)
{
    struct bench bench;
    uint64_t value = 42;

    setup(&bench);
    CHECK(!space_read(&bench.space, 0x10001000, 1, &value));
    CHECK(!space_read(&bench.space, 0x10001000, 8, &value));
    CHECK(!space_write(&bench.space, 0x10001000, 2, 0));
    CHECK(!space_read(&bench.space, 0x10001002, 4, &value)); /* misaligned */
    CHECK(!space_write(&bench.space, 0x10000001, 8, 0));
    CHECK(!space_read(&bench.space, 0x10000ffc, 8, &value)); /* over the end, too */
    CHECK(!space_read(&bench.space, 0x30000000, 4, &value)); /* nothing there */
    CHECK_EQ(value, 42);
    CHECK_EQ(bench.probe.count + bench.other.count + bench.locks, 0);
}

TEST_MAIN(TESTS(space, ram_is_read_and_written_in_all_sizes), TESTS(space, ram_ends_where_it_ends),
          TESTS(space, sizes_and_addresses_that_overflow_find_nothing),
          TESTS(space, ram_near_the_top_of_the_address_space_works),
          TESTS(space, a_range_over_two_regions_is_not_ram_of_one),
          TESTS(space, mmio_hides_ram_page_by_page),
          TESTS(space, devices_get_offsets_under_the_lock),
          TESTS(space, devices_are_found_from_first_to_last_byte),
          TESTS(space, any_order_of_adding_gives_the_same_devices),
          TESTS(space, accesses_a_device_does_not_take_are_faults))
