/* SPDX-License-Identifier: Apache-2.0
 * The threads of a machine that wait for its disks. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "port/lock.h"

struct io_pool;

#define IO_POOL_THREADS 4

struct io_pool_config {
    unsigned threads; /* 1 to IO_POOL_THREADS; 0: as many */
    struct lock_port device_lock;
    /* Called first on each thread, which does nothing else before; may be NULL. */
    void (*enter)(void *owner);
    void *owner;
};

/* On success the caller owns *out (io_pool_destroy). Its threads do not exist yet. */
MUST_CHECK int io_pool_create(const struct io_pool_config *config, struct io_pool **out,
                              struct error *err);
/* Starts the threads, before the first request. Nothing is allocated afterwards. */
MUST_CHECK int io_pool_start(struct io_pool *pool, struct error *err);
/* All disks are closed. Accepts NULL. */
void io_pool_destroy(struct io_pool *pool);
