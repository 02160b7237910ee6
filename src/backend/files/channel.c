/* SPDX-License-Identifier: Apache-2.0
 * The memory that a machine's process and its file server share. */
#include "backend/files/channel.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HEADER_SIZE ((sizeof(struct channel) + PAGE_MASK) & ~PAGE_MASK)
#define TOTAL_SIZE  (HEADER_SIZE + CHANNEL_SLOTS * CHANNEL_SLOT_SIZE)

_Static_assert(CHANNEL_PAGES *PAGE_SIZE + UINT64_C(2) * CHANNEL_SMALL <= CHANNEL_SLOT_SIZE,
               "data, and what stands before it, fit");

struct channel *channel_create(struct error *err)
{
    /* Takes memory where it is touched. */
    void *at = mmap(NULL, TOTAL_SIZE, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED) {
        error_set(err, -errno, "cannot map memory for shared folders: %s", strerror(errno));
        return NULL;
    }
    madvise(at, TOTAL_SIZE, MADV_DONTDUMP);
    return at;
}

void channel_destroy(struct channel *channel)
{
    if (channel)
        munmap(channel, TOTAL_SIZE);
}

void channel_reset(struct channel *channel)
{
    atomic_store(&channel->submitted, 0);
    atomic_store(&channel->taken, 0);
    atomic_store(&channel->backlog, 0);
    atomic_store(&channel->is_first_looking, 0);
    atomic_store(&channel->is_first_idle, 0);
    atomic_store(&channel->idle_others, 0);
    atomic_store(&channel->reserved, 0);
    for (unsigned i = 0; i < CHANNEL_SLOTS; i++)
        atomic_store(&channel->finish_ring[i], 0);
}

uint8_t *channel_bytes(struct channel *channel, unsigned slot)
{
    return (uint8_t *)channel + HEADER_SIZE + slot * CHANNEL_SLOT_SIZE;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

/* Sleeping and waking: both sides store first and look afterwards, sequentially
 * consistent, so that one of them sees the other. */

static void wake_other(struct channel *channel)
{
    if (!atomic_load(&channel->idle_others))
        return;
    atomic_fetch_add(&channel->backlog, 1);
    futex_wake(&channel->backlog, 1);
}

void channel_submit(struct channel *channel, unsigned slot, uint32_t submitted)
{
    atomic_store_explicit(&channel->submit_ring[submitted % CHANNEL_SLOTS], slot,
                          memory_order_relaxed);
    /* Also release: pairs with the acquire in channel_take. */
    atomic_store(&channel->submitted, submitted + 1);
    if (atomic_load(&channel->is_first_looking))
        return;
    if (atomic_load(&channel->is_first_idle))
        futex_wake(&channel->submitted, 1);
    else
        wake_other(channel);
}

int64_t channel_collect(struct channel *channel, uint32_t collected)
{
    _Atomic uint32_t *place = &channel->finish_ring[collected % CHANNEL_SLOTS];
    /* Pairs with the store in channel_finish. */
    uint32_t entry = atomic_load(place);

    if (entry == 0)
        return -1;
    atomic_store_explicit(place, 0, memory_order_relaxed);
    return (int64_t)entry - 1;
}

uint32_t channel_moment(struct channel *channel)
{
    return atomic_load(&channel->finished);
}

void channel_await(struct channel *channel, uint32_t moment)
{
    atomic_store(&channel->is_awaited, 1);
    futex_wait(&channel->finished, moment);
    atomic_store(&channel->is_awaited, 0);
}

void channel_wake(struct channel *channel)
{
    atomic_fetch_add(&channel->finished, 1);
    futex_wake(&channel->finished, INT_MAX);
}

int channel_take(struct channel *channel)
{
    uint32_t taken = atomic_load(&channel->taken);

    while (taken != atomic_load(&channel->submitted)) {
        uint32_t slot = atomic_load_explicit(&channel->submit_ring[taken % CHANNEL_SLOTS],
                                             memory_order_relaxed);
        if (!atomic_compare_exchange_strong(&channel->taken, &taken, taken + 1))
            continue;
        /* What else there is must not wait for this one. */
        if (atomic_load(&channel->submitted) != taken + 1)
            wake_other(channel);
        return (int)(slot % CHANNEL_SLOTS);
    }
    return -1;
}

void channel_sleep(struct channel *channel, bool is_first)
{
    _Atomic uint32_t *word = is_first ? &channel->submitted : &channel->backlog;
    _Atomic uint32_t *idle = is_first ? &channel->is_first_idle : &channel->idle_others;

    atomic_fetch_add(idle, 1);
    uint32_t value = atomic_load(word);
    if (atomic_load(&channel->submitted) == atomic_load(&channel->taken))
        futex_wait(word, value);
    atomic_fetch_sub(idle, 1);
}

void channel_finish(struct channel *channel, unsigned slot)
{
    uint32_t place = atomic_fetch_add(&channel->reserved, 1);

    atomic_store(&channel->finish_ring[place % CHANNEL_SLOTS], slot + 1);
    atomic_fetch_add(&channel->finished, 1);
    if (atomic_load(&channel->is_awaited) && !atomic_load(&channel->is_polled))
        futex_wake(&channel->finished, 1);
}
