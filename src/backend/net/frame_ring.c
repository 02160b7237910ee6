/* SPDX-License-Identifier: Apache-2.0
 * Frames on their way from a device to the loop thread.
 *
 *     | size | frame, padded | size | frame ... | SKIP |      SKIP: go on at the start */
#include "backend/net/frame_ring.h"

#include "base/assert.h"
#include "base/bits.h"
#include "port/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD sizeof(uint32_t)
#define SKIP UINT32_MAX

_Static_assert(2 * (NET_FRAME_MOST + 2 * WORD) < FRAME_RING_SIZE / 2, "two frames fit in a half");

int frame_ring_init(struct frame_ring *ring)
{
    ring->bytes = malloc(FRAME_RING_SIZE);
    return ring->bytes ? 0 : -ENOMEM;
}

void frame_ring_fini(struct frame_ring *ring)
{
    free(ring->bytes);
    ring->bytes = NULL;
}

static void write_word(struct frame_ring *ring, uint32_t at, uint32_t word)
{
    memcpy(ring->bytes + at % FRAME_RING_SIZE, &word, WORD);
}

static uint32_t read_word(const struct frame_ring *ring, uint32_t at)
{
    uint32_t word;

    memcpy(&word, ring->bytes + at % FRAME_RING_SIZE, WORD);
    return word;
}

static uint32_t space_of(size_t size)
{
    return (uint32_t)(WORD + bits_align_up(size, WORD));
}

bool frame_ring_put(struct frame_ring *ring, const uint8_t *frame, size_t size, bool *was_empty)
{
    uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    uint32_t before = head;
    uint32_t to_end = FRAME_RING_SIZE - head % FRAME_RING_SIZE;
    uint32_t skipped = to_end < space_of(size) ? to_end : 0;

    ASSERT(size <= NET_FRAME_MOST);
    /* acquire: pairs with the reader's store, so that its reads come before our writes */
    uint32_t used = head - atomic_load_explicit(&ring->tail, memory_order_acquire);
    if (FRAME_RING_SIZE - used < skipped + space_of(size))
        return false;
    if (skipped)
        write_word(ring, head, SKIP);
    head += skipped;
    write_word(ring, head, (uint32_t)size);
    memcpy(ring->bytes + head % FRAME_RING_SIZE + WORD, frame, size);
    /* Sequentially consistent, as the load behind it: either we see that the reader has
     * taken all, or it sees the frame; pairs with frame_ring_drop and _is_empty. */
    atomic_store(&ring->head, head + space_of(size));
    *was_empty = atomic_load(&ring->tail) == before;
    return true;
}

unsigned frame_ring_peek(struct frame_ring *ring, struct frame *frames, unsigned most)
{
    uint32_t head = atomic_load(&ring->head);
    uint32_t at = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    unsigned count = 0;

    while (count < most && at != head) {
        uint32_t size = read_word(ring, at);
        if (size == SKIP) {
            at += FRAME_RING_SIZE - at % FRAME_RING_SIZE;
            continue;
        }
        frames[count++] = (struct frame){ring->bytes + at % FRAME_RING_SIZE + WORD, size};
        at += space_of(size);
    }
    return count;
}

void frame_ring_drop(struct frame_ring *ring, const struct frame *frames, unsigned count)
{
    uint32_t at = atomic_load_explicit(&ring->tail, memory_order_relaxed);

    for (unsigned i = 0; i < count; i++) {
        if (read_word(ring, at) == SKIP)
            at += FRAME_RING_SIZE - at % FRAME_RING_SIZE;
        at += space_of(frames[i].size);
    }
    atomic_store(&ring->tail, at);
}

static uint32_t used_bytes(const struct frame_ring *ring)
{
    uint32_t tail = atomic_load(&ring->tail);

    return atomic_load(&ring->head) - tail;
}

bool frame_ring_has_room(const struct frame_ring *ring)
{
    return used_bytes(ring) <= FRAME_RING_SIZE / 2;
}

bool frame_ring_is_empty(const struct frame_ring *ring)
{
    return used_bytes(ring) == 0;
}
