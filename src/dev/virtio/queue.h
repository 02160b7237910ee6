/* SPDX-License-Identifier: Apache-2.0
 * Virtqueues, device side: split and packed rings, indirect descriptors, event
 * index (virtio 1.2, sections 2.7 and 2.8). */
#pragma once

#include "base/attributes.h"
#include "base/types.h"
#include "state/field.h"

struct space;

#define VIRTQUEUE_MAX_SIZE 256

/* Descriptors one chain may use, an indirect table's included. The same as
 * BLOCK_MAX_SEGMENTS, so that a chain always fits a block request. */
#define VIRTIO_CHAIN_MAX 128

/* One piece of a chain: guest RAM in place. */
struct virtio_segment {
    uint8_t *bytes;
    gpa_t at;      /* for dma_written */
    uint32_t size; /* never 0 */
};

/* What is needed to give a chain back. */
struct virtio_token {
    uint16_t id;    /* head descriptor (split) or buffer id (packed) */
    uint16_t count; /* ring slots it takes */
    uint32_t epoch; /* of the queue when it was taken */
};

/* A chain to give back, with the bytes written from the start of its writable part. */
struct virtio_used {
    struct virtio_token token;
    uint32_t written;
};

/* A chain of buffers the driver made available: first what the device reads,
 * then what it writes. */
struct virtio_chain {
    struct virtio_token token;
    unsigned readable_count;
    unsigned count; /* of segments; the writable ones begin at readable_count */
    uint64_t readable_size;
    uint64_t writable_size;
    struct virtio_segment segments[VIRTIO_CHAIN_MAX];
};

struct virtqueue {
    /* Set by the driver while the queue is not ready. */
    gpa_t descriptors; /* descriptor table or packed ring */
    gpa_t driver_area; /* available ring or driver event suppression */
    gpa_t device_area; /* used ring or device event suppression */
    uint16_t size;
    bool ready;

    /* Running state. Split: free-running indices. Packed: ring positions with
     * their wrap counters. */
    uint16_t next_avail;
    uint16_t next_used;
    bool avail_wrap;
    bool used_wrap;
    bool packed; /* layout and options negotiated when it became ready */
    bool indirect;
    bool event_index;
    uint16_t in_flight;         /* ring slots taken and not given back; 0 when saved */
    uint16_t used_since_signal; /* slots given back since the last interrupt decision */

    /* Counts every (un)readying: a token of an earlier epoch is stale. */
    uint32_t epoch;

    /* Derived when ready: the rings in host memory. */
    uint8_t *descriptor_bytes;
    uint8_t *driver_bytes;
    uint8_t *device_bytes;

    /* Wiring. */
    uint16_t max_size;
    const struct space *space;
};

enum virtqueue_result {
    VIRTQUEUE_BROKEN = -1, /* the driver broke a rule; virtqueue.h names it in *why */
    VIRTQUEUE_EMPTY = 0,
    VIRTQUEUE_TAKEN = 1,
};

extern const struct state_table virtqueue_state;

void virtqueue_init(struct virtqueue *queue, const struct space *space, uint16_t max_size);

/* Not ready, size max_size; tokens out there become stale. */
void virtqueue_reset(struct virtqueue *queue);

/* Makes the queue ready with the layout that `features` say. NULL, or the rule
 * that sizes or addresses break; the queue is not ready then. */
MUST_CHECK const char *virtqueue_start(struct virtqueue *queue, uint64_t features);

/* After state_load: maps the rings of a ready queue again. NULL or the reason. */
MUST_CHECK const char *virtqueue_resume(struct virtqueue *queue);

/* Takes the next available chain. All descriptors are read once, into `chain`;
 * its segments are RAM. On VIRTQUEUE_BROKEN *why is a constant text. When the
 * queue turns out empty the driver is asked to notify again. */
enum virtqueue_result virtqueue_pop(struct virtqueue *queue, struct virtio_chain *chain,
                                    const char **why);

/* Takes back the pop of the chain popped last: it will be popped again. */
void virtqueue_unpop(struct virtqueue *queue, const struct virtio_token *token);

/* Gives the chain back; `written` bytes of its writable part were written, from
 * its start. False: the token is stale and nothing was done. */
bool virtqueue_push(struct virtqueue *queue, const struct virtio_token *token, uint32_t written);

/* The same for `count` chains (at least one), in the order in which they were taken: the
 * driver sees all of them or none. */
bool virtqueue_push_all(struct virtqueue *queue, const struct virtio_used *used, unsigned count);

/* Whether the driver wants an interrupt for what was pushed since the last
 * question. */
bool virtqueue_wants_interrupt(struct virtqueue *queue);

/* Copies between bytes and the readable or writable part of a chain, from byte
 * `offset` of that part on. Returns how many bytes there were to copy. */
size_t virtio_chain_read(const struct virtio_chain *chain, uint64_t offset, void *to, size_t size);
size_t virtio_chain_write(const struct virtio_chain *chain, const struct space *space,
                          uint64_t offset, const void *from, size_t size);
