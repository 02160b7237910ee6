/* SPDX-License-Identifier: Apache-2.0
 * What disks and the threads that serve them share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "backend/block/disk.h"
#include "backend/block/disk_image.h"
#include "backend/block/io_pool.h"
#include "backend/block/throttle.h"
#include "port/block.h"

struct disk;

/* First in, first out, by the requests' `next`. */
struct request_list {
    struct block_request *head;
    struct block_request *tail;
};

struct io_pool {
    struct io_pool_config config;
    pthread_mutex_t lock;
    pthread_cond_t work; /* something for parked threads */
    pthread_cond_t idle; /* a disk may have become idle */

    /* guarded by lock: */
    struct request_list ready;
    struct disk *disks;
    unsigned waiting_disks; /* with requests that limits hold back */
    unsigned parked;
    unsigned drainers;
    bool has_timer; /* a parked thread will wake when a limit lets a request go */
    bool quits;

    /* Requests that are carried out but not yet reported, newest first. */
    _Atomic(struct block_request *) finished;

    unsigned thread_count;
    pthread_t threads[IO_POOL_THREADS];
};

/* Of one kind of request. */
struct disk_count {
    uint64_t operations; /* that succeeded */
    uint64_t failed;
    uint64_t bytes; /* of those that succeeded */
    uint64_t ns;    /* from submit to their end, of all */
};

struct disk {
    struct disk_image *image;
    struct io_pool *pool;
    struct disk *next; /* of the pool */
    struct block_port port;
    struct disk_errors errors; /* what is done about them */

    /* guarded by failure_lock, below the pool's: */
    pthread_mutex_t failure_lock;
    struct request_list held;        /* failed, and kept to be carried out again */
    struct disk_failure failures[2]; /* of writes, and reads, that were not taken; result 0: none */

    atomic_uint in_flight;
    /* guarded by the pool's lock: */
    struct throttle throttle;
    struct request_list waiting; /* for tokens */
    struct request_list flushes; /* for the one that is under way to end */
    bool flush_is_active;        /* one is ready, or carried out */
    bool drains;                 /* limits do not count, and nothing is held */
    struct disk_count counts[BLOCK_WRITE_ZEROES + 1];
};

void request_list_push(struct request_list *list, struct block_request *request);
struct block_request *request_list_pop(struct request_list *list);

/* Pool's lock held. Wakes a thread if none would see the request soon. */
void io_pool_make_ready(struct io_pool *pool, struct block_request *request);
/* Pool's lock held: something besides requests has changed. */
void io_pool_wake(struct io_pool *pool);

/* Carries a request out, on the calling thread. */
int disk_perform(struct disk *disk, const struct block_request *request);
/* Pool's lock held. Takes what has to be carried out together with `request`: a list of
 * requests, itself first. */
struct block_request *disk_begin(struct disk *disk, struct block_request *request);
/* Pool's lock held: the requests of disk_begin, all of one disk, have results. Returns those that are done; the others
 * are held. */
struct block_request *disk_end(struct disk *disk, struct block_request *requests);
/* Pool's lock held. Makes ready what limits allow by now; returns when they allow more,
 * UINT64_MAX: nothing waits. */
uint64_t disk_serve_waiting(struct disk *disk, uint64_t now_ns);
