/* SPDX-License-Identifier: Apache-2.0
 * A machine's disk: an image whose requests are carried out by other threads than the one
 * that submits them, within limits.
 *
 *     io_pool_create -> disk_open ... -> machine_create(disk_port)
 *     machine_destroy (drains the port) -> disk_close ... -> io_pool_destroy
 *
 * A flush covers every request that was done before it was submitted. */
#pragma once

#include "backend/block/io_pool.h"
#include "backend/block/probe.h"
#include "base/attributes.h"
#include "base/error.h"
#include "port/block.h"

struct disk;

/* A second; 0: no limit. A tenth of a second's worth may come at once. */
struct disk_limits {
    uint64_t bytes;      /* of reads and writes */
    uint64_t operations; /* of all but flushes */
};

struct disk_options {
    enum disk_format format; /* what the file must be, if format_given */
    bool format_given;
    bool read_only;
    /* Keep writes in an unnamed temporary file, and forget them at the end. */
    bool snapshot;
    const char *backing; /* for a qcow2 image that names a backing file; NULL: none */
    struct disk_limits limits;
};

struct disk_stats {
    uint64_t reads;
    uint64_t writes;
    uint64_t flushes;
    uint64_t discards; /* and zeroes */
    uint64_t read_bytes;
    uint64_t written_bytes;
    uint64_t errors;
    unsigned in_flight;
};

/* Opens the image at `path` as a disk. `pool` NULL: requests are carried out within submit(),
 * for runs that have to be the same every time, and limits are ignored. On success the
 * caller owns *out (disk_close). Returns 0, or -errno with the reason in `err`: -EBUSY when
 * another process holds the image or what it is based on. Loop thread; may block. */
MUST_CHECK int disk_open(const char *path, const struct disk_options *options, struct io_pool *pool,
                         struct disk **out, struct error *err);
/* Drains. What was not flushed is written, but not lost either way if we are not killed.
 * Accepts NULL. */
void disk_close(struct disk *disk);

/* Valid until disk_close. */
const struct block_port *disk_port(const struct disk *disk);
enum disk_format disk_format(const struct disk *disk);

/* Any thread, while the machine runs. */
void disk_set_limits(struct disk *disk, const struct disk_limits *limits);
struct disk_stats disk_stats(struct disk *disk);

/* Returns when no request is in flight. The machine is paused, and the device lock not held:
 * it is needed. */
void disk_drain(struct disk *disk);
