/* SPDX-License-Identifier: Apache-2.0
 * Frames on their way from a device to the loop thread: a ring with one writer and
 * one reader that need no lock. Frames lie in one piece, so that the reader sends
 * them from where they are. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

#include <stdatomic.h>

struct frame {
    uint8_t *bytes;
    size_t size;
};

struct frame_ring {
    uint8_t *bytes; /* FRAME_RING_SIZE; owned */
    /* Bytes ever put and ever taken; they wrap at 4 GiB. */
    _Atomic uint32_t head; /* written by the writer */
    _Atomic uint32_t tail; /* written by the reader */
};

#define FRAME_RING_SIZE (UINT32_C(512) << 10)

MUST_CHECK int frame_ring_init(struct frame_ring *ring);
void frame_ring_fini(struct frame_ring *ring);

/* Writer: copies a frame of at most NET_FRAME_MOST bytes in. False: no room.
 * *was_empty: the reader may have stopped looking. */
bool frame_ring_put(struct frame_ring *ring, const uint8_t *frame, size_t size, bool *was_empty);

/* Reader: the oldest frames, at most `most`; how many there are. They stay where they are
 * until frame_ring_drop. */
unsigned frame_ring_peek(struct frame_ring *ring, struct frame *frames, unsigned most);
/* Reader: the oldest `count` frames, of those last peeked, are no more needed. */
void frame_ring_drop(struct frame_ring *ring, const struct frame *frames, unsigned count);
/* Either: at least half of it is free. */
bool frame_ring_has_room(const struct frame_ring *ring);
bool frame_ring_is_empty(const struct frame_ring *ring);
