/* SPDX-License-Identifier: Apache-2.0
 * virtio file system device (virtio 1.2, section 5.11). */
#pragma once

#include "dev/device.h"
#include "dev/virtio/device.h"
#include "port/files.h"

#define VIRTIO_FS_QUEUE_SIZE 128
#define VIRTIO_FS_REQUESTS   (2 * VIRTIO_FS_QUEUE_SIZE)

struct virtio_fs_config {
    const struct space *space;
    struct files_port files;
    char tag[FILES_TAG_SIZE]; /* UTF-8, padded with NULs */
};

struct virtio_fs;

/* One request from pop to push; lives in the pool below. */
struct virtio_fs_request {
    struct files_request files; /* owner points back here */
    struct virtio_fs *fs;
    struct virtio_token token;
    uint16_t queue;
    uint16_t next_free;
    uint16_t reply_count;
    struct virtio_segment reply[VIRTIO_CHAIN_MAX]; /* where the answer goes */
};

struct virtio_fs {
    struct virtio_device virtio;
    unsigned in_flight;  /* requests that the server's side holds */
    bool is_refused;     /* chains wait until ready() */
    bool is_starved;     /* chains wait because orphans of a reset hold the pool */
    uint16_t first_free; /* head of the free list, VIRTIO_FS_REQUESTS: none */
    struct virtio_fs_request requests[VIRTIO_FS_REQUESTS];
    struct virtio_fs_config config;
};

void virtio_fs_init(struct virtio_fs *fs, const struct virtio_fs_config *config);
struct files_handler virtio_fs_handler(struct virtio_fs *fs);

/* True when no request is with the server: the only time to save. */
bool virtio_fs_is_idle(const struct virtio_fs *fs);

extern const struct device_ops virtio_fs_ops;
