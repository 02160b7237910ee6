/* SPDX-License-Identifier: Apache-2.0
 * virtio block device (virtio 1.2, section 5.2). */
#pragma once

#include "dev/device.h"
#include "dev/virtio/device.h"
#include "port/block.h"

#define VIRTIO_BLK_QUEUE_SIZE  128
#define VIRTIO_BLK_SERIAL_SIZE 20

struct virtio_blk_config {
    const struct space *space;
    struct block_port disk;
    char serial[VIRTIO_BLK_SERIAL_SIZE]; /* ASCII, padded with NULs */
};

struct virtio_blk;

/* One request from pop to push; lives in the pool below. */
struct virtio_blk_request {
    struct block_request block; /* owner points back here */
    struct virtio_blk *blk;
    struct virtio_token token;
    struct virtio_segment status; /* one byte */
    uint32_t written;             /* used length */
    uint16_t next_free;
    bool flush_after; /* write-through: a flush follows the write */
    gpa_t data_at[BLOCK_MAX_SEGMENTS];
};

struct virtio_blk {
    struct virtio_device virtio;
    unsigned in_flight;  /* requests a back end holds */
    bool starved;        /* chains wait because orphans of a reset hold the pool */
    uint16_t first_free; /* head of the free list, VIRTIO_BLK_QUEUE_SIZE: none */
    struct virtio_blk_request requests[VIRTIO_BLK_QUEUE_SIZE];
    struct virtio_blk_config config;
};

void virtio_blk_init(struct virtio_blk *blk, const struct virtio_blk_config *config);

/* True when no request is with the back end: the only time to save. */
bool virtio_blk_is_idle(const struct virtio_blk *blk);

/* The disk has another size now (multiple of 512): the driver is told. */
void virtio_blk_resize(struct virtio_blk *blk, uint64_t size_bytes);

extern const struct device_ops virtio_blk_ops;
