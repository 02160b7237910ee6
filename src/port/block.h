/* SPDX-License-Identifier: Apache-2.0
 * Asynchronous requests to a disk back end. */
#pragma once

#include "base/types.h"

#define BLOCK_SECTOR_SIZE  512u
#define BLOCK_MAX_SEGMENTS 128u

enum block_op {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_FLUSH,        /* everything completed before is on stable storage */
    BLOCK_DISCARD,      /* content becomes undefined, space may be freed */
    BLOCK_WRITE_ZEROES, /* reads as zero afterwards */
};

struct block_segment {
    uint8_t *bytes; /* guest RAM */
    size_t size;
};

struct block_request {
    enum block_op op;
    uint64_t offset; /* bytes; within the disk together with `size` (checked by the device) */
    uint64_t size;   /* bytes; sum of the segments for reads and writes */
    unsigned segment_count;
    struct block_segment segments[BLOCK_MAX_SEGMENTS];
    /* Called exactly once with the device lock held, possibly from inside
     * submit(): result 0 or a negative errno. */
    void (*done)(struct block_request *request, int result);
    void *owner;

    /* The back end's, between submit() and done(). */
    struct block_request *next;
    void *disk;
    int result;
    uint64_t begun_ns;
};

struct block_port {
    uint64_t size_bytes; /* multiple of BLOCK_SECTOR_SIZE */
    bool read_only;
    bool can_discard;
    /* Starts the request; it must stay in place until done(). Device lock held. */
    void (*submit)(void *owner, struct block_request *request);
    void *owner;
    /* Returns once all requests are done, and limits are not waited for. Nobody submits
     * new ones but done(). Device lock not held; may block. NULL: they always are. */
    void (*drain)(void *owner);
};
