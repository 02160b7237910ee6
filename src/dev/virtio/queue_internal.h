/* SPDX-License-Identifier: Apache-2.0
 * What the two ring layouts share; only for virtio/queue*.c.
 *
 * Harts write the rings while we read them. So every index and flag is one
 * atomic access, and a descriptor is copied once before anything is checked. */
#pragma once

#include "base/endian.h"
#include "dev/virtio/queue.h"

enum {
    DESCRIPTOR_SIZE = 16,
    DESCRIPTOR_NEXT = 1,
    DESCRIPTOR_WRITE = 2,
    DESCRIPTOR_INDIRECT = 4,
};

/* A descriptor of either layout after its one fetch. */
struct descriptor {
    gpa_t at;
    uint32_t size;
    uint16_t flags;
    uint16_t link; /* split: next; packed: buffer id */
};

/* Ring words are aligned: virtqueue_start checks it. */
static inline uint16_t ring_load(const uint8_t *at)
{
    return __atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_ACQUIRE);
}

static inline void ring_store(uint8_t *at, uint16_t value)
{
    uint16_t *word = (uint16_t *)(void *)at;

    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

/* Ours before theirs: orders our store of an index before our load of the
 * driver's (2.7.10, 2.7.13.4.1); pairs with the barrier every driver has. */
static inline void ring_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* The functions return NULL, or the rule that was broken. */
const char *chain_add(const struct virtqueue *queue, struct virtio_chain *chain,
                      const struct descriptor *descriptor);
/* The table behind an indirect descriptor, its number of entries in *entries. */
const char *chain_table(const struct virtqueue *queue, const struct descriptor *descriptor,
                        const uint8_t **table, uint32_t *entries);

void split_fetch(const uint8_t *table, uint32_t index, struct descriptor *out);
void packed_fetch(const uint8_t *table, uint32_t index, struct descriptor *out);

enum virtqueue_result split_pop(struct virtqueue *queue, struct virtio_chain *chain,
                                const char **why);
void split_push(struct virtqueue *queue, const struct virtio_used *used, unsigned count);
bool split_wants_interrupt(const struct virtqueue *queue, unsigned since);

enum virtqueue_result packed_pop(struct virtqueue *queue, struct virtio_chain *chain,
                                 const char **why);
void packed_push(struct virtqueue *queue, const struct virtio_used *used, unsigned count);
bool packed_wants_interrupt(const struct virtqueue *queue, unsigned since);
