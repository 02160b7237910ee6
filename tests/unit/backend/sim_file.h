/* SPDX-License-Identifier: Apache-2.0
 * A file in memory that knows what is on stable storage: block_file_ops that record writes
 * until the next sync, and fail when they are told to. */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/block_file.h"
#include "base/attributes.h"

#define SIM_PAGE   4096u
#define SIM_PAGES  1024u /* that can be touched */
#define SIM_SLOTS  4096u
#define SIM_WRITES 64u

/* Pages of a file; those that are not there are zero. */
struct sim_pages {
    unsigned count;
    uint32_t slots[SIM_SLOTS]; /* hash of a page number to an index + 1 */
    uint32_t numbers[SIM_PAGES];
    uint8_t bytes[SIM_PAGES][SIM_PAGE];
};

/* `bytes` NULL: zeroes. */
struct sim_write {
    uint64_t offset;
    uint64_t size;
    uint8_t *bytes;
};

enum sim_call {
    SIM_READ,
    SIM_WRITE,
    SIM_SYNC,
    SIM_ALLOCATE,
};

struct sim_file {
    struct sim_pages now;
    struct sim_pages stable;
    struct sim_write pending[SIM_WRITES];
    unsigned pending_count;
    uint64_t size;
    unsigned calls;
    unsigned fail_at;    /* the call that fails, counted from 1; 0: none */
    bool fails_for_good; /* and all of its kind behind it */
    int fail_with;       /* a negative errno; 1: only one byte is moved */
    unsigned failed;
    enum sim_call failed_call; /* the last one */
    bool has_no_holes;
    void (*before)(void *owner, enum sim_call call); /* may be NULL */
    void (*after)(void *owner, enum sim_call call);
    void *owner;
    struct block_file_ops ops;
};

UNUSED static uint8_t *sim_page(struct sim_pages *pages, uint64_t number, bool make)
{
    uint32_t slot = (uint32_t)(number * 2654435761u) % SIM_SLOTS;

    while (pages->slots[slot]) {
        if (pages->numbers[pages->slots[slot] - 1] == number)
            return pages->bytes[pages->slots[slot] - 1];
        slot = (slot + 1) % SIM_SLOTS;
    }
    if (!make)
        return NULL;
    if (pages->count == SIM_PAGES)
        abort();
    pages->slots[slot] = pages->count + 1;
    pages->numbers[pages->count] = (uint32_t)number;
    memset(pages->bytes[pages->count], 0, SIM_PAGE);
    return pages->bytes[pages->count++];
}

UNUSED static void sim_copy(struct sim_pages *to, const struct sim_pages *from)
{
    to->count = from->count;
    memcpy(to->slots, from->slots, sizeof(to->slots));
    memcpy(to->numbers, from->numbers, from->count * sizeof(to->numbers[0]));
    memcpy(to->bytes, from->bytes, from->count * sizeof(to->bytes[0]));
}

/* `from` NULL: zeroes. */
UNUSED static void sim_put(struct sim_pages *pages, uint64_t offset, const uint8_t *from,
                           uint64_t size)
{
    while (size) {
        size_t at = offset % SIM_PAGE;
        size_t part = (size_t)MIN(size, (uint64_t)(SIM_PAGE - at));
        uint8_t *page = sim_page(pages, offset / SIM_PAGE, from != NULL);
        if (page && from)
            memcpy(page + at, from, part);
        else if (page)
            memset(page + at, 0, part);
        if (from)
            from += part;
        offset += part;
        size -= part;
    }
}

UNUSED static void sim_get(struct sim_pages *pages, uint64_t offset, uint8_t *to, uint64_t size)
{
    while (size) {
        size_t at = offset % SIM_PAGE;
        size_t part = (size_t)MIN(size, (uint64_t)(SIM_PAGE - at));
        const uint8_t *page = sim_page(pages, offset / SIM_PAGE, false);
        if (page)
            memcpy(to, page + at, part);
        else
            memset(to, 0, part);
        to += part;
        offset += part;
        size -= part;
    }
}

/* 0: go on; 1: move one byte only; or the error. */
static int sim_count(struct sim_file *sim, enum sim_call call)
{
    bool is_it = ++sim->calls == sim->fail_at ||
                 (sim->fails_for_good && sim->fail_at && sim->calls > sim->fail_at);

    if (sim->before)
        sim->before(sim->owner, call);
    if (!is_it)
        return 0;
    sim->failed++;
    sim->failed_call = call;
    return sim->fail_with;
}

static void sim_record(struct sim_file *sim, uint64_t offset, const uint8_t *bytes, uint64_t size)
{
    if (sim->pending_count == SIM_WRITES)
        abort();
    struct sim_write *write = &sim->pending[sim->pending_count++];
    *write = (struct sim_write){offset, size, NULL};
    if (bytes) {
        write->bytes = malloc(size);
        memcpy(write->bytes, bytes, size);
    }
    sim_put(&sim->now, offset, bytes, size);
}

static ssize_t sim_move(struct sim_file *sim, enum sim_call call, const struct iovec *vectors,
                        int count, uint64_t offset)
{
    int result = sim_count(sim, call);
    ssize_t moved = 0;

    if (result < 0)
        return result;
    for (int i = 0; i < count; i++) {
        size_t size = result == 1 ? 1 : vectors[i].iov_len;
        if (call == SIM_READ && offset >= sim->size)
            break;
        if (call == SIM_READ)
            sim_get(&sim->now, offset, vectors[i].iov_base, size);
        else
            sim_record(sim, offset, vectors[i].iov_base, size);
        moved += (ssize_t)size;
        offset += size;
        if (result == 1)
            break;
    }
    if (sim->after)
        sim->after(sim->owner, call);
    return moved;
}

static ssize_t sim_read(void *owner, int fd, const struct iovec *vectors, int count,
                        uint64_t offset)
{
    (void)fd;
    return sim_move(owner, SIM_READ, vectors, count, offset);
}

static ssize_t sim_write(void *owner, int fd, const struct iovec *vectors, int count,
                         uint64_t offset)
{
    (void)fd;
    return sim_move(owner, SIM_WRITE, vectors, count, offset);
}

UNUSED static void sim_apply(struct sim_pages *pages, const struct sim_write *write)
{
    sim_put(pages, write->offset, write->bytes, write->size);
}

UNUSED static void sim_forget(struct sim_file *sim)
{
    for (unsigned i = 0; i < sim->pending_count; i++)
        free(sim->pending[i].bytes);
    sim->pending_count = 0;
}

static int sim_sync(void *owner, int fd)
{
    struct sim_file *sim = owner;
    int result = sim_count(sim, SIM_SYNC);

    (void)fd;
    if (result < 0)
        return result;
    for (unsigned i = 0; i < sim->pending_count; i++)
        sim_apply(&sim->stable, &sim->pending[i]);
    sim_forget(sim);
    if (sim->after)
        sim->after(sim->owner, SIM_SYNC);
    return 0;
}

static int sim_allocate(void *owner, int fd, int mode, uint64_t offset, uint64_t size)
{
    struct sim_file *sim = owner;
    int result = sim_count(sim, SIM_ALLOCATE);

    (void)fd;
    if (result < 0)
        return result;
    if (sim->has_no_holes)
        return -EOPNOTSUPP;
    if (mode & ~1) /* all but KEEP_SIZE: some way of zeroing */
        sim_record(sim, offset, NULL, size);
    if (sim->after)
        sim->after(sim->owner, SIM_ALLOCATE);
    return 0;
}

/* Also for one that was used: nothing is in it. */
UNUSED static void sim_init(struct sim_file *sim, uint64_t size)
{
    sim_forget(sim);
    memset(&sim->now, 0, offsetof(struct sim_pages, numbers));
    memset(&sim->stable, 0, offsetof(struct sim_pages, numbers));
    sim->size = size;
    sim->calls = sim->fail_at = sim->failed = 0;
    sim->fails_for_good = sim->has_no_holes = false;
    sim->before = sim->after = NULL;
    sim->ops = (struct block_file_ops){sim_read, sim_write, sim_sync, sim_allocate, sim};
}

UNUSED static struct block_file sim_block_file(struct sim_file *sim)
{
    return (struct block_file){.fd = -1, .size = sim->size, .ops = &sim->ops};
}
