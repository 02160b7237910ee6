/* SPDX-License-Identifier: Apache-2.0
 * The split ring (virtio 1.2, section 2.7).
 *
 *     available ring: flags, idx, ring[size], used_event     (driver area)
 *     used ring:      flags, idx, {id, len}[size], avail_event (device area) */
#include "dev/virtio/queue_internal.h"
#include "mem/dma.h"

enum {
    AVAIL_FLAGS = 0,
    AVAIL_INDEX = 2,
    AVAIL_RING = 4,
    AVAIL_NO_INTERRUPT = 1,
    USED_INDEX = 2,
    USED_RING = 4,
    USED_ELEMENT = 8,
};

void split_fetch(const uint8_t *table, uint32_t index, struct descriptor *out)
{
    uint8_t bytes[DESCRIPTOR_SIZE];

    memcpy(bytes, table + (size_t)index * DESCRIPTOR_SIZE, sizeof(bytes));
    /* Keeps the compiler from reading guest memory a second time. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *out = (struct descriptor){load_le64(bytes), load_le32(bytes + 8), load_le16(bytes + 12),
                               load_le16(bytes + 14)};
}

/* Ends because chain_add takes at most VIRTIO_CHAIN_MAX. */
static const char *walk_table(const struct virtqueue *queue, struct virtio_chain *chain,
                              const struct descriptor *indirect)
{
    const uint8_t *table;
    uint32_t entries;
    struct descriptor descriptor = {.flags = DESCRIPTOR_NEXT};

    const char *why = chain_table(queue, indirect, &table, &entries);
    while (!why && (descriptor.flags & DESCRIPTOR_NEXT)) {
        if (descriptor.link >= entries)
            return "indirect descriptor index out of range";
        split_fetch(table, descriptor.link, &descriptor);
        if (descriptor.flags & DESCRIPTOR_INDIRECT)
            return "indirect descriptor in an indirect table";
        why = chain_add(queue, chain, &descriptor);
    }
    return why;
}

static const char *walk(const struct virtqueue *queue, struct virtio_chain *chain, uint16_t head)
{
    struct descriptor descriptor = {.flags = DESCRIPTOR_NEXT, .link = head};

    for (unsigned steps = 0; descriptor.flags & DESCRIPTOR_NEXT; steps++) {
        if (steps == queue->size)
            return "descriptor loop";
        if (descriptor.link >= queue->size)
            return "descriptor index out of range";
        split_fetch(queue->descriptor_bytes, descriptor.link, &descriptor);
        const char *why = descriptor.flags & DESCRIPTOR_INDIRECT
                              ? walk_table(queue, chain, &descriptor)
                              : chain_add(queue, chain, &descriptor);
        if (why)
            return why;
    }
    return NULL;
}

static uint16_t available(const struct virtqueue *queue)
{
    return (uint16_t)(ring_load(queue->driver_bytes + AVAIL_INDEX) - queue->next_avail);
}

/* Asks for a notification of the next chain; looks again, because one may have
 * come before the driver could see that. */
static uint16_t available_after_asking(const struct virtqueue *queue)
{
    uint64_t avail_event = USED_RING + (uint64_t)USED_ELEMENT * queue->size;

    if (!queue->event_index)
        return 0; /* we never suppress notifications then */
    ring_store(queue->device_bytes + avail_event, queue->next_avail);
    dma_written(queue->space, queue->device_area + avail_event, 2);
    ring_fence();
    return available(queue);
}

enum virtqueue_result split_pop(struct virtqueue *queue, struct virtio_chain *chain,
                                const char **why)
{
    uint16_t waiting = available(queue);

    if (waiting == 0)
        waiting = available_after_asking(queue);
    if (waiting == 0)
        return VIRTQUEUE_EMPTY;
    *why = "available index jumped";
    if (waiting > queue->size)
        return VIRTQUEUE_BROKEN;
    *why = "more chains in flight than the queue has slots";
    if (queue->in_flight >= queue->size)
        return VIRTQUEUE_BROKEN;
    uint32_t slot = queue->next_avail & (queue->size - 1u);
    uint16_t head = ring_load(queue->driver_bytes + AVAIL_RING + (size_t)2 * slot);
    *why = walk(queue, chain, head);
    if (*why)
        return VIRTQUEUE_BROKEN;
    chain->token.id = head;
    chain->token.count = 1;
    queue->next_avail++;
    return VIRTQUEUE_TAKEN;
}

static void write_used(struct virtqueue *queue, uint16_t at, const struct virtio_used *used)
{
    uint32_t element = USED_RING + USED_ELEMENT * (at & (queue->size - 1u));

    store_le32(queue->device_bytes + element, used->token.id);
    store_le32(queue->device_bytes + element + 4, used->written);
    dma_written(queue->space, queue->device_area + element, USED_ELEMENT);
}

void split_push(struct virtqueue *queue, const struct virtio_used *used, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        write_used(queue, queue->next_used++, &used[i]);
    ring_store(queue->device_bytes + USED_INDEX, queue->next_used);
    dma_written(queue->space, queue->device_area + USED_INDEX, 2);
}

bool split_wants_interrupt(const struct virtqueue *queue, unsigned since)
{
    if (!queue->event_index)
        return !(ring_load(queue->driver_bytes + AVAIL_FLAGS) & AVAIL_NO_INTERRUPT);
    uint16_t used_event = ring_load(queue->driver_bytes + AVAIL_RING + (size_t)2 * queue->size);
    /* Wanted once the entry at used_event is among the last `since`. */
    uint16_t distance = (uint16_t)(queue->next_used - used_event);
    return distance >= 1 && distance <= since;
}
