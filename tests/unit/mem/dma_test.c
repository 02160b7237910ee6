/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/dma.h"
#include "mem/space.h"

#include "harness/harness.h"

#include <string.h>

#define RAM_BASE  UINT64_C(0x80000000)
#define RAM_SIZE  (4 * PAGE_SIZE)
#define DEVICE_AT (RAM_BASE + 3 * PAGE_SIZE) /* over the last page of RAM */

struct bench {
    struct space space;
    unsigned device_accesses;
    _Atomic uint8_t watch[RAM_SIZE / PAGE_SIZE];
    gpa_t stored_page;
    unsigned stored_count;
    uint8_t ram[RAM_SIZE];
};

static uint64_t device_read(void *device, uint64_t offset, unsigned size)
{
    (void)offset;
    (void)size;
    ((struct bench *)device)->device_accesses++;
    return 0;
}

static void device_write(void *device, uint64_t offset, uint64_t value, unsigned size)
{
    (void)value;
    device_read(device, offset, size);
}

static const struct mmio_ops device_ops = {device_read, device_write, MMIO_ANY};

static void note_stored(void *owner, gpa_t page)
{
    struct bench *bench = owner;

    bench->stored_page = page;
    bench->stored_count++;
}

static void setup(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    space_add_ram(&bench->space, RAM_BASE, RAM_SIZE, bench->ram);
    space_add_mmio(&bench->space, DEVICE_AT, PAGE_SIZE, &device_ops, bench);
    space_enable_watch(&bench->space, RAM_BASE, bench->watch);
    bench->space.page_stored = note_stored;
    bench->space.page_stored_owner = bench;
}

TEST(dma, copies_to_and_from_ram)
{
    struct bench bench;
    uint8_t bytes[3] = {0};

    setup(&bench);
    CHECK(dma_write(&bench.space, RAM_BASE + PAGE_SIZE - 1, "abc", 3));
    CHECK(dma_read(&bench.space, RAM_BASE + PAGE_SIZE - 1, bytes, 3));
    CHECK(memcmp(bytes, "abc", 3) == 0);
}

TEST(dma, tells_of_what_it_wrote)
{
    struct bench bench;

    setup(&bench);
    CHECK(dma_write(&bench.space, RAM_BASE + 10, "abc", 3));
    CHECK_EQ(bench.stored_count, 0); /* nobody watches */
    CHECK(space_watch_page(&bench.space, RAM_BASE + PAGE_SIZE, true));
    CHECK(dma_write(&bench.space, RAM_BASE + 10, "abc", 3));
    CHECK_EQ(bench.stored_count, 0); /* another page */
    CHECK(dma_write(&bench.space, RAM_BASE + PAGE_SIZE - 1, "abc", 3));
    CHECK(bench.stored_count == 1 && bench.stored_page == RAM_BASE + PAGE_SIZE);
    dma_written(&bench.space, RAM_BASE + PAGE_SIZE, 8);
    CHECK_EQ(bench.stored_count, 1); /* it is known */
    CHECK(space_watch_page(&bench.space, RAM_BASE + PAGE_SIZE, true));
    CHECK(dma_map(&bench.space, RAM_BASE + PAGE_SIZE, 8) == bench.ram + PAGE_SIZE);
    CHECK_EQ(bench.stored_count, 1); /* mapping is not writing */
    dma_written(&bench.space, RAM_BASE + PAGE_SIZE, 8);
    CHECK_EQ(bench.stored_count, 2);
}

TEST(dma, nobody_need_listen_to_writes)
{
    struct bench bench;

    setup(&bench);
    bench.space.ram[0].watch = NULL;
    CHECK(!space_watch_page(&bench.space, RAM_BASE, true));
    CHECK(dma_write(&bench.space, RAM_BASE, "abc", 3));
    dma_written(&bench.space, RAM_BASE, 3);
}

TEST(dma, what_is_partly_outside_is_not_copied_at_all)
{
    struct bench bench;
    uint8_t bytes[4] = {1, 2, 3, 4};

    setup(&bench);
    for (unsigned i = 0; i < 4; i++)
        CHECK(space_watch_page(&bench.space, RAM_BASE + i * PAGE_SIZE, true));
    CHECK(!dma_write(&bench.space, RAM_BASE - 1, bytes, 4));
    CHECK(!dma_read(&bench.space, RAM_BASE - 2, bytes, 4));
    CHECK(!dma_write(&bench.space, RAM_BASE + RAM_SIZE - 2, bytes, 4));
    CHECK_EQ(bytes[0], 1);
    CHECK_EQ(bench.ram[0], 0);
    CHECK_EQ(bench.stored_count, 0);
}

TEST(dma, never_reaches_a_device)
{
    struct bench bench;
    uint8_t bytes[4] = {0};

    setup(&bench);
    CHECK(!dma_read(&bench.space, DEVICE_AT, bytes, 4));
    CHECK(!dma_write(&bench.space, DEVICE_AT, bytes, 4));
    CHECK(!dma_write(&bench.space, DEVICE_AT - 2, bytes, 4));
    CHECK(!dma_map(&bench.space, DEVICE_AT - 1, 2));
    CHECK_EQ(bench.device_accesses, 0);
}

TEST(dma, ranges_that_overflow_are_refused)
{
    struct bench bench;
    uint8_t byte = 0;

    setup(&bench);
    CHECK(!dma_map(&bench.space, RAM_BASE, UINT64_MAX));
    CHECK(!dma_map(&bench.space, RAM_BASE + 1, UINT64_MAX));
    CHECK(!dma_map(&bench.space, UINT64_MAX, UINT64_MAX));
    CHECK(!dma_read(&bench.space, UINT64_MAX, &byte, 1));
    CHECK(!dma_write(&bench.space, 0, &byte, 1));
}

TEST_MAIN(TESTS(dma, copies_to_and_from_ram), TESTS(dma, tells_of_what_it_wrote),
          TESTS(dma, nobody_need_listen_to_writes),
          TESTS(dma, what_is_partly_outside_is_not_copied_at_all),
          TESTS(dma, never_reaches_a_device), TESTS(dma, ranges_that_overflow_are_refused))
