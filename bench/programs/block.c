// SPDX-License-Identifier: Apache-2.0
/*
 * A disk, /dev/vda, past the guest's page cache: long transfers one after the other, and
 * pages here and there, one at a time and many at once. The first row writes what the
 * others read.
 */
#include "bench.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    DISK_BYTES = 256 << 20,
    LONG_BYTES = 1 << 20,
    PAGE_BYTES = 4096,
    PAGES = DISK_BYTES / PAGE_BYTES,
    DEPTH = 32,
};

static int open_disk(void)
{
    int fd = open("/dev/vda", O_RDWR | O_DIRECT);
    if (fd < 0)
        bench_fail("/dev/vda");
    return fd;
}

static uint8_t *make_buffer(size_t size)
{
    void *buffer;
    if (posix_memalign(&buffer, PAGE_BYTES, size) != 0)
        bench_fail("memory");
    memset(buffer, 0, size);
    return buffer;
}

/* Begins each page of a buffer for the page `first` of the disk. */
static void mark(uint8_t *buffer, size_t size, uint64_t first)
{
    for (size_t at = 0; at < size; at += PAGE_BYTES) {
        uint64_t word = (first + at / PAGE_BYTES + 1) * 0x9e3779b97f4a7c15;
        memcpy(buffer + at, &word, sizeof(word));
    }
}

static uint64_t sum_marks(uint64_t sum, const uint8_t *buffer, size_t size)
{
    for (size_t at = 0; at < size; at += PAGE_BYTES) {
        uint64_t word;
        memcpy(&word, buffer + at, sizeof(word));
        sum = bench_mix(sum, word);
    }
    return sum;
}

static uint64_t move_long(uint32_t scale, int writes)
{
    int fd = open_disk();
    uint8_t *buffer = make_buffer(LONG_BYTES);
    uint64_t sum = 0;

    bench_begin();
    for (uint32_t i = 0; i < scale * 64; i++) {
        uint64_t at = (uint64_t)i * LONG_BYTES % DISK_BYTES;
        if (writes)
            mark(buffer, LONG_BYTES, at / PAGE_BYTES);
        ssize_t moved = writes ? pwrite(fd, buffer, LONG_BYTES, (off_t)at)
                               : pread(fd, buffer, LONG_BYTES, (off_t)at);
        if (moved != LONG_BYTES)
            bench_fail("a long transfer");
        if (!writes)
            sum = sum_marks(sum, buffer, LONG_BYTES);
    }
    if (writes && fdatasync(fd) < 0)
        bench_fail("fdatasync");
    close(fd);
    free(buffer);
    return writes ? scale : sum;
}

static uint64_t write_long(uint32_t scale)
{
    return move_long(scale, 1);
}

static uint64_t read_long(uint32_t scale)
{
    return move_long(scale, 0);
}

static uint64_t move_pages(uint32_t scale, int writes)
{
    int fd = open_disk();
    uint8_t *buffer = make_buffer(PAGE_BYTES);
    uint64_t random = 88172645463325252;
    uint64_t sum = 0;

    bench_begin();
    for (uint32_t i = 0; i < scale * 500; i++) {
        uint64_t page = bench_random(&random) % PAGES;
        if (writes)
            mark(buffer, PAGE_BYTES, page);
        ssize_t moved = writes ? pwrite(fd, buffer, PAGE_BYTES, (off_t)(page * PAGE_BYTES))
                               : pread(fd, buffer, PAGE_BYTES, (off_t)(page * PAGE_BYTES));
        if (moved != PAGE_BYTES)
            bench_fail("a page");
        sum = sum_marks(sum, buffer, PAGE_BYTES);
    }
    if (writes && fdatasync(fd) < 0)
        bench_fail("fdatasync");
    close(fd);
    free(buffer);
    return sum;
}

static uint64_t read_pages(uint32_t scale)
{
    return move_pages(scale, 0);
}

static uint64_t write_pages(uint32_t scale)
{
    return move_pages(scale, 1);
}

/* A page in flight. */
struct slot {
    struct iocb iocb;
    uint8_t *buffer;
};

static void submit(aio_context_t context, int fd, struct slot *slot, uint64_t page, int writes)
{
    struct iocb *iocb = &slot->iocb;

    if (writes)
        mark(slot->buffer, PAGE_BYTES, page);
    *iocb = (struct iocb){
        .aio_data = (uint64_t)(uintptr_t)slot,
        .aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
        .aio_fildes = (uint32_t)fd,
        .aio_buf = (uint64_t)(uintptr_t)slot->buffer,
        .aio_nbytes = PAGE_BYTES,
        .aio_offset = (int64_t)(page * PAGE_BYTES),
    };
    if (syscall(SYS_io_submit, context, 1, &iocb) != 1)
        bench_fail("io_submit");
}

/* DEPTH pages are always under way. What ends first is chance, so the sum has no order. */
static uint64_t move_many(uint32_t scale, int writes)
{
    int fd = open_disk();
    struct slot slots[DEPTH];
    struct io_event events[DEPTH];
    aio_context_t context = 0;
    uint64_t random = 88172645463325252;
    uint64_t sum = 0;
    uint32_t begun = 0;
    uint32_t total = scale * 2000;

    if (syscall(SYS_io_setup, DEPTH, &context) < 0)
        bench_fail("io_setup");
    for (int i = 0; i < DEPTH; i++)
        slots[i].buffer = make_buffer(PAGE_BYTES);
    bench_begin();
    for (; begun < DEPTH && begun < total; begun++)
        submit(context, fd, &slots[begun], bench_random(&random) % PAGES, writes);
    for (uint32_t ended = 0; ended < total;) {
        long count = syscall(SYS_io_getevents, context, 1, DEPTH, events, NULL);
        if (count <= 0)
            bench_fail("io_getevents");
        ended += (uint32_t)count;
        for (long i = 0; i < count; i++) {
            struct slot *slot = (struct slot *)(uintptr_t)events[i].data;
            if (events[i].res != PAGE_BYTES)
                bench_fail("a page");
            sum += sum_marks(0, slot->buffer, PAGE_BYTES);
            if (begun < total) {
                submit(context, fd, slot, bench_random(&random) % PAGES, writes);
                begun++;
            }
        }
    }
    if (writes && fdatasync(fd) < 0)
        bench_fail("fdatasync");
    for (int i = 0; i < DEPTH; i++)
        free(slots[i].buffer);
    syscall(SYS_io_destroy, context);
    close(fd);
    return sum;
}

static uint64_t read_many(uint32_t scale)
{
    return move_many(scale, 0);
}

static uint64_t write_many(uint32_t scale)
{
    return move_many(scale, 1);
}

const struct bench_row bench_block[] = {
    {"block-write-long", write_long},
    {"block-read-long", read_long},
    {"block-read-4k", read_pages},
    {"block-write-4k", write_pages},
    {"block-read-4k-many", read_many},
    {"block-write-4k-many", write_many},
    {0},
};
