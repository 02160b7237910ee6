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
#include "port/lock.h"

struct disk;

/* A second; 0: no limit. A tenth of a second's worth may come at once. */
struct disk_limits {
    uint64_t bytes;      /* of reads and writes */
    uint64_t operations; /* of all but flushes */
};

/* What becomes of a request that fails. */
enum disk_error_action {
    DISK_REPORT, /* the guest sees an error */
    DISK_STOP,   /* it is held until disk_retry; the machine should stand still */
    DISK_ENOSPC, /* the same if there was no room, else DISK_REPORT */
};

struct disk_errors {
    enum disk_error_action on_read;
    enum disk_error_action on_write; /* and on all others but reads */
    /* disk_take_failure has something. Any thread; device lock perhaps held. NULL: nobody wants to know. */
    void (*failed)(void *owner);
    void *owner;
    struct lock_port device_lock; /* for what is held */
};

/* The last of those that failed since it was asked for. */
struct disk_failure {
    int result; /* negative errno */
    bool is_read;
    bool is_held; /* one of them */
};

struct disk_options {
    enum disk_format format; /* what the file must be, if format_given */
    bool format_given;
    bool read_only;
    /* Keep writes in an unnamed temporary file, and forget them at the end. */
    bool snapshot;
    const char *backing; /* for a qcow2 image that names a backing file; NULL: none */
    struct disk_limits limits;
    struct disk_errors errors;
};

/* Requests of one kind. */
struct disk_figures {
    uint64_t operations; /* that succeeded */
    uint64_t failed;     /* once for each time */
    uint64_t bytes;      /* of those that succeeded */
    uint64_t ns; /* from submit to end, waiting for limits included; of all; 0 without a pool */
};

struct disk_stats {
    struct disk_figures reads;
    struct disk_figures writes; /* and zeroes */
    struct disk_figures flushes;
    struct disk_figures discards;
    unsigned in_flight; /* and held */
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

/* Loop thread. False: no request failed since. Those that no image could carry out are not counted: writes to a disk
 * that is read-only, discards where there are none. */
bool disk_take_failure(struct disk *disk, struct disk_failure *out);
/* Whether requests are held. */
bool disk_holds(struct disk *disk);
/* Carries out again what is held; without a pool on this thread. Loop thread; device lock not held. */
void disk_retry(struct disk *disk);

/* Returns when no request is in flight; what is held fails. The machine is paused, and the device lock not held:
 * it is needed. */
void disk_drain(struct disk *disk);
