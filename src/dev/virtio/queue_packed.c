/* SPDX-License-Identifier: Apache-2.0
 * The packed ring (virtio 1.2, section 2.8).
 *
 * One ring of descriptors serves both directions. A slot is available when its
 * AVAIL bit equals the driver's wrap counter and its USED bit does not; it is
 * used when both equal the device's. */
#include "dev/virtio/queue_internal.h"
#include "mem/dma.h"

enum {
    DESCRIPTOR_LENGTH_AT = 8,
    DESCRIPTOR_ID_AT = 12,
    DESCRIPTOR_FLAGS_AT = 14,
    DESCRIPTOR_AVAIL = 0x0080,
    DESCRIPTOR_USED = 0x8000,
    EVENT_POSITION = 0, /* offset in bits 0-14, wrap counter in bit 15 */
    EVENT_FLAGS = 2,
    EVENT_FLAGS_DISABLE = 1,
    EVENT_FLAGS_POSITION = 2,
};

void packed_fetch(const uint8_t *table, uint32_t index, struct descriptor *out)
{
    uint8_t bytes[DESCRIPTOR_SIZE];

    memcpy(bytes, table + (size_t)index * DESCRIPTOR_SIZE, sizeof(bytes));
    /* Keeps the compiler from reading guest memory a second time. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *out = (struct descriptor){load_le64(bytes), load_le32(bytes + DESCRIPTOR_LENGTH_AT),
                               load_le16(bytes + DESCRIPTOR_FLAGS_AT),
                               load_le16(bytes + DESCRIPTOR_ID_AT)};
}

/* All entries of the table belong to the chain; only WRITE counts (2.8.7). */
static const char *walk_table(const struct virtqueue *queue, struct virtio_chain *chain,
                              const struct descriptor *indirect)
{
    const uint8_t *table;
    uint32_t entries = 0;

    const char *why = chain_table(queue, indirect, &table, &entries);
    for (uint32_t i = 0; !why && i < entries; i++) {
        struct descriptor descriptor;
        packed_fetch(table, i, &descriptor);
        if (descriptor.flags & DESCRIPTOR_INDIRECT)
            return "indirect descriptor in an indirect table";
        why = chain_add(queue, chain, &descriptor);
    }
    return why;
}

static const char *walk(const struct virtqueue *queue, struct virtio_chain *chain)
{
    struct descriptor descriptor = {.flags = DESCRIPTOR_NEXT};
    unsigned slots = 0;

    for (; descriptor.flags & DESCRIPTOR_NEXT; slots++) {
        if (slots + queue->in_flight >= queue->size)
            return "descriptor chain longer than the queue";
        packed_fetch(queue->descriptor_bytes, (queue->next_avail + slots) % queue->size,
                     &descriptor);
        const char *why = descriptor.flags & DESCRIPTOR_INDIRECT
                              ? walk_table(queue, chain, &descriptor)
                              : chain_add(queue, chain, &descriptor);
        if (why)
            return why;
    }
    chain->token.id = descriptor.link; /* that of the last descriptor counts */
    chain->token.count = (uint16_t)slots;
    return NULL;
}

enum virtqueue_result packed_pop(struct virtqueue *queue, struct virtio_chain *chain,
                                 const char **why)
{
    const uint8_t *slot = queue->descriptor_bytes + (size_t)queue->next_avail * DESCRIPTOR_SIZE;
    uint16_t flags = ring_load(slot + DESCRIPTOR_FLAGS_AT);
    bool avail = (flags & DESCRIPTOR_AVAIL) != 0;
    bool used = (flags & DESCRIPTOR_USED) != 0;

    /* Every slot is out: what stands there is an old descriptor. */
    if (queue->in_flight >= queue->size || avail != queue->avail_wrap || used == queue->avail_wrap)
        return VIRTQUEUE_EMPTY;
    *why = walk(queue, chain);
    if (*why)
        return VIRTQUEUE_BROKEN;
    unsigned next = queue->next_avail + chain->token.count;
    if (next >= queue->size) {
        next -= queue->size;
        queue->avail_wrap = !queue->avail_wrap;
    }
    queue->next_avail = (uint16_t)next;
    return VIRTQUEUE_TAKEN;
}

static void write_used(const struct virtqueue *queue, uint16_t position, bool wrap,
                       const struct virtio_used *used)
{
    uint32_t at = (uint32_t)position * DESCRIPTOR_SIZE;
    uint8_t *slot = queue->descriptor_bytes + at;
    unsigned flags = wrap ? DESCRIPTOR_AVAIL | DESCRIPTOR_USED : 0;

    if (used->written)
        flags |= DESCRIPTOR_WRITE;
    store_le32(slot + DESCRIPTOR_LENGTH_AT, used->written);
    store_le16(slot + DESCRIPTOR_ID_AT, used->token.id);
    ring_store(slot + DESCRIPTOR_FLAGS_AT, (uint16_t)flags);
    dma_written(queue->space, queue->descriptors + at, DESCRIPTOR_SIZE);
}

static void advance_used(struct virtqueue *queue, unsigned slots)
{
    unsigned next = queue->next_used + slots;

    if (next >= queue->size) {
        next -= queue->size;
        queue->used_wrap = !queue->used_wrap;
    }
    queue->next_used = (uint16_t)next;
}

/* The driver looks at them in order, so the first is written last. */
void packed_push(struct virtqueue *queue, const struct virtio_used *used, unsigned count)
{
    uint16_t first = queue->next_used;
    bool first_wrap = queue->used_wrap;

    advance_used(queue, used[0].token.count);
    for (unsigned i = 1; i < count; i++) {
        write_used(queue, queue->next_used, queue->used_wrap, &used[i]);
        advance_used(queue, used[i].token.count);
    }
    write_used(queue, first, first_wrap, &used[0]);
}

bool packed_wants_interrupt(const struct virtqueue *queue, unsigned since)
{
    uint16_t flags = ring_load(queue->driver_bytes + EVENT_FLAGS) & 3;

    if (flags == EVENT_FLAGS_DISABLE)
        return false;
    if (flags != EVENT_FLAGS_POSITION || !queue->event_index)
        return true;
    uint16_t event = ring_load(queue->driver_bytes + EVENT_POSITION);
    bool same_round = (event >> 15) == queue->used_wrap;
    int distance = (int)queue->next_used - (event & 0x7fff) + (same_round ? 0 : (int)queue->size);
    return distance >= 1 && distance <= (int)since;
}
