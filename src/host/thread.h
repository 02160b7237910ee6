/* SPDX-License-Identifier: Apache-2.0
 * Threads, and a place where one thread sleeps until others wake it. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

#include <pthread.h>

/* Starts `run(argument)` on a new thread named `name` (15 bytes show) with all
 * signals blocked, so that they reach the main thread. Returns 0 or -errno. */
MUST_CHECK int thread_start(pthread_t *thread, const char *name, void *(*run)(void *),
                            void *argument, struct error *err);

/* The kernel's number of the calling thread. */
int thread_id(void);

/* A latch: a wake that comes before the sleep ends it at once. */
struct parker {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool is_woken;
};

void parker_init(struct parker *parker);
void parker_fini(struct parker *parker);
/* Sleeps until woken or clock_monotonic_ns() reaches `deadline_ns` (UINT64_MAX:
 * no deadline), then forgets the wake. One thread. */
void parker_wait(struct parker *parker, uint64_t deadline_ns);
/* Any thread. */
void parker_wake(struct parker *parker);
