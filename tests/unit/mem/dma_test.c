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
    gpa_t written_at;
    uint64_t written_size;
    unsigned written_count;
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

static void note_written(void *owner, gpa_t at, uint64_t size)
{
    struct bench *bench = owner;

    bench->written_at = at;
    bench->written_size = size;
    bench->written_count++;
}

static void setup(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    space_add_ram(&bench->space, RAM_BASE, RAM_SIZE, bench->ram);
    space_add_mmio(&bench->space, DEVICE_AT, PAGE_SIZE, &device_ops, bench);
    bench->space.ram_written = note_written;
    bench->space.ram_written_owner = bench;
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
    CHECK(bench.written_count == 1 && bench.written_at == RAM_BASE + 10 && bench.written_size == 3);
    CHECK(dma_map(&bench.space, RAM_BASE, 8) == bench.ram);
    CHECK_EQ(bench.written_count, 1); /* mapping is not writing */
    dma_written(&bench.space, RAM_BASE, 8);
    CHECK_EQ(bench.written_count, 2);
}

TEST(dma, nobody_need_listen_to_writes)
{
    struct bench bench;

    setup(&bench);
    bench.space.ram_written = NULL;
    CHECK(dma_write(&bench.space, RAM_BASE, "abc", 3));
    dma_written(&bench.space, RAM_BASE, 3);
}

TEST(dma, what_is_partly_outside_is_not_copied_at_all)
{
    struct bench bench;
    uint8_t bytes[4] = {1, 2, 3, 4};

    setup(&bench);
    CHECK(!dma_write(&bench.space, RAM_BASE - 1, bytes, 4));
    CHECK(!dma_read(&bench.space, RAM_BASE - 2, bytes, 4));
    CHECK(!dma_write(&bench.space, RAM_BASE + RAM_SIZE - 2, bytes, 4));
    CHECK_EQ(bytes[0], 1);
    CHECK_EQ(bench.ram[0], 0);
    CHECK_EQ(bench.written_count, 0);
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
