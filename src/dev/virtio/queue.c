/* SPDX-License-Identifier: Apache-2.0
 * Virtqueues: life, chains, and what does not depend on the ring layout. */
#include "dev/virtio/queue.h"

#include "base/assert.h"
#include "base/bits.h"
#include "dev/virtio/device.h"
#include "dev/virtio/queue_internal.h"
#include "mem/dma.h"

/* Sizes and alignments of the three areas (2.7, 2.8). */
struct area_rule {
    uint32_t fixed;
    uint32_t per_slot;
    uint32_t alignment;
};

static const struct area_rule area_rules[2][3] = {
    /* split */ {{0, 16, 16}, {6, 2, 2}, {6, 8, 4}},
    /* packed */ {{0, 16, 16}, {4, 0, 4}, {4, 0, 4}},
};

void virtqueue_init(struct virtqueue *queue, const struct space *space, uint16_t max_size)
{
    ASSERT(max_size <= VIRTQUEUE_MAX_SIZE && bits_is_power_of_two(max_size));
    *queue = (struct virtqueue){.size = max_size, .max_size = max_size, .space = space};
}

void virtqueue_reset(struct virtqueue *queue)
{
    *queue = (struct virtqueue){
        .size = queue->max_size,
        .epoch = queue->epoch + 1,
        .max_size = queue->max_size,
        .space = queue->space,
    };
}

static uint8_t *map_area(const struct virtqueue *queue, unsigned area, gpa_t at)
{
    const struct area_rule *rule = &area_rules[queue->packed][area];

    if (at & (rule->alignment - 1))
        return NULL;
    return dma_map(queue->space, at, rule->fixed + (uint64_t)rule->per_slot * queue->size);
}

static const char *map_rings(struct virtqueue *queue)
{
    if (queue->size == 0 || queue->size > queue->max_size)
        return "queue size out of range";
    if (!queue->packed && !bits_is_power_of_two(queue->size))
        return "queue size is no power of two";
    queue->descriptor_bytes = map_area(queue, 0, queue->descriptors);
    queue->driver_bytes = map_area(queue, 1, queue->driver_area);
    queue->device_bytes = map_area(queue, 2, queue->device_area);
    if (!queue->descriptor_bytes || !queue->driver_bytes || !queue->device_bytes)
        return "ring misaligned or outside of RAM";
    return NULL;
}

const char *virtqueue_start(struct virtqueue *queue, uint64_t features)
{
    queue->packed = (features & VIRTIO_F_RING_PACKED) != 0;
    queue->indirect = (features & VIRTIO_F_INDIRECT_DESC) != 0;
    queue->event_index = (features & VIRTIO_F_EVENT_IDX) != 0;
    queue->avail_wrap = true;
    queue->used_wrap = true;
    queue->epoch++;
    const char *why = map_rings(queue);
    if (why)
        return why;
    if (queue->packed) {
        /* Always ask for notifications: flags ENABLE (2.8.10). */
        store_le32(queue->device_bytes, 0);
        dma_written(queue->space, queue->device_area, 4);
    }
    queue->ready = true;
    return NULL;
}

const char *virtqueue_resume(struct virtqueue *queue)
{
    queue->in_flight = 0;
    queue->epoch++;
    if (!queue->ready)
        return NULL;
    if (queue->packed && (queue->next_avail >= queue->size || queue->next_used >= queue->size))
        return "ring position out of range";
    return map_rings(queue);
}

const char *chain_add(const struct virtqueue *queue, struct virtio_chain *chain,
                      const struct descriptor *descriptor)
{
    bool writable = (descriptor->flags & DESCRIPTOR_WRITE) != 0;

    if (chain->count == VIRTIO_CHAIN_MAX)
        return "descriptor chain too long";
    if (descriptor->size == 0)
        return "descriptor of no bytes";
    if (!writable && chain->readable_count != chain->count)
        return "readable descriptor behind a writable one";
    if (chain->readable_size + chain->writable_size + descriptor->size > UINT32_MAX)
        return "chain of 4 GiB or more";
    uint8_t *bytes = dma_map(queue->space, descriptor->at, descriptor->size);
    if (!bytes)
        return "descriptor outside of RAM";
    chain->segments[chain->count++] =
        (struct virtio_segment){bytes, descriptor->at, descriptor->size};
    if (writable) {
        chain->writable_size += descriptor->size;
    } else {
        chain->readable_size += descriptor->size;
        chain->readable_count = chain->count;
    }
    return NULL;
}

const char *chain_table(const struct virtqueue *queue, const struct descriptor *descriptor,
                        const uint8_t **table, uint32_t *entries)
{
    if (!queue->indirect)
        return "indirect descriptor without the feature";
    if (descriptor->flags & DESCRIPTOR_NEXT)
        return "indirect descriptor with a successor";
    if (descriptor->size == 0 || descriptor->size % DESCRIPTOR_SIZE != 0)
        return "indirect table of odd size";
    *table = dma_map(queue->space, descriptor->at, descriptor->size);
    if (!*table)
        return "indirect table outside of RAM";
    *entries = descriptor->size / DESCRIPTOR_SIZE;
    return NULL;
}

enum virtqueue_result virtqueue_pop(struct virtqueue *queue, struct virtio_chain *chain,
                                    const char **why)
{
    if (!queue->ready)
        return VIRTQUEUE_EMPTY;
    chain->token.epoch = queue->epoch;
    chain->readable_count = 0;
    chain->count = 0;
    chain->readable_size = 0;
    chain->writable_size = 0;
    enum virtqueue_result result =
        queue->packed ? packed_pop(queue, chain, why) : split_pop(queue, chain, why);
    if (result == VIRTQUEUE_TAKEN)
        queue->in_flight = (uint16_t)(queue->in_flight + chain->token.count);
    return result;
}

void virtqueue_unpop(struct virtqueue *queue, const struct virtio_token *token)
{
    if (token->epoch != queue->epoch)
        return;
    ASSERT(queue->in_flight >= token->count);
    queue->in_flight = (uint16_t)(queue->in_flight - token->count);
    if (queue->packed && queue->next_avail < token->count) {
        queue->next_avail = (uint16_t)(queue->next_avail + queue->size - token->count);
        queue->avail_wrap = !queue->avail_wrap;
    } else {
        queue->next_avail = (uint16_t)(queue->next_avail - token->count);
    }
}

bool virtqueue_push(struct virtqueue *queue, const struct virtio_token *token, uint32_t written)
{
    return virtqueue_push_all(queue, &(struct virtio_used){*token, written}, 1);
}

bool virtqueue_push_all(struct virtqueue *queue, const struct virtio_used *used, unsigned count)
{
    unsigned slots = 0;

    for (unsigned i = 0; i < count; i++) {
        if (used[i].token.epoch != queue->epoch)
            return false;
        slots += used[i].token.count;
    }
    ASSERT(queue->in_flight >= slots);
    queue->in_flight = (uint16_t)(queue->in_flight - slots);
    if (queue->packed)
        packed_push(queue, used, count);
    else
        split_push(queue, used, count);
    queue->used_since_signal = (uint16_t)MIN(queue->used_since_signal + slots, 0xffff);
    return true;
}

bool virtqueue_wants_interrupt(struct virtqueue *queue)
{
    unsigned since = queue->used_since_signal;

    if (!queue->ready || since == 0)
        return false;
    queue->used_since_signal = 0;
    ring_fence();
    return queue->packed ? packed_wants_interrupt(queue, since)
                         : split_wants_interrupt(queue, since);
}

size_t virtio_chain_read(const struct virtio_chain *chain, uint64_t offset, void *to, size_t size)
{
    size_t done = 0;

    for (unsigned i = 0; i < chain->readable_count && done < size; i++) {
        const struct virtio_segment *segment = &chain->segments[i];
        if (offset >= segment->size) {
            offset -= segment->size;
            continue;
        }
        size_t part = (size_t)MIN(segment->size - offset, size - done);
        memcpy((uint8_t *)to + done, segment->bytes + offset, part);
        done += part;
        offset = 0;
    }
    return done;
}

size_t virtio_chain_write(const struct virtio_chain *chain, const struct space *space,
                          uint64_t offset, const void *from, size_t size)
{
    size_t done = 0;

    for (unsigned i = chain->readable_count; i < chain->count && done < size; i++) {
        const struct virtio_segment *segment = &chain->segments[i];
        if (offset >= segment->size) {
            offset -= segment->size;
            continue;
        }
        size_t part = (size_t)MIN(segment->size - offset, size - done);
        memcpy(segment->bytes + offset, (const uint8_t *)from + done, part);
        dma_written(space, segment->at + offset, part);
        done += part;
        offset = 0;
    }
    return done;
}

static const struct state_field virtqueue_fields[] = {
    STATE_FIELD(struct virtqueue, descriptors),       STATE_FIELD(struct virtqueue, driver_area),
    STATE_FIELD(struct virtqueue, device_area),       STATE_FIELD(struct virtqueue, size),
    STATE_RANGE(struct virtqueue, ready, 1),          STATE_FIELD(struct virtqueue, next_avail),
    STATE_FIELD(struct virtqueue, next_used),         STATE_RANGE(struct virtqueue, avail_wrap, 1),
    STATE_RANGE(struct virtqueue, used_wrap, 1),      STATE_RANGE(struct virtqueue, packed, 1),
    STATE_RANGE(struct virtqueue, indirect, 1),       STATE_RANGE(struct virtqueue, event_index, 1),
    STATE_FIELD(struct virtqueue, used_since_signal),
};
const struct state_table virtqueue_state = STATE_TABLE("virtqueue", 1, virtqueue_fields);
