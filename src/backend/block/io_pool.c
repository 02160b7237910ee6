/* SPDX-License-Identifier: Apache-2.0
 * The threads of a machine that wait for its disks.
 *
 *     submit (disk.c) --ready--> take_request --> disk_perform --finished--> report
 *
 * Whoever finishes a request when no other waits to be reported takes the device lock and
 * reports all that are finished by then; meanwhile others go on with their work. So the
 * lock is contended by one thread at most, and a burst costs it little. */
#include "backend/block/io_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend/block/io_pool_internal.h"
#include "host/clock.h"
#include "host/thread.h"

void request_list_push(struct request_list *list, struct block_request *request)
{
    request->next = NULL;
    if (list->tail)
        list->tail->next = request;
    else
        list->head = request;
    list->tail = request;
}

struct block_request *request_list_pop(struct request_list *list)
{
    struct block_request *request = list->head;

    if (request) {
        list->head = request->next;
        if (!list->head)
            list->tail = NULL;
        request->next = NULL;
    }
    return request;
}

void io_pool_wake(struct io_pool *pool)
{
    if (pool->parked)
        pthread_cond_signal(&pool->work);
}

void io_pool_make_ready(struct io_pool *pool, struct block_request *request)
{
    request_list_push(&pool->ready, request);
    io_pool_wake(pool);
}

/* ---- reporting ---- */

static struct block_request *reverse(struct block_request *list)
{
    struct block_request *reversed = NULL;

    while (list) {
        struct block_request *next = list->next;
        list->next = reversed;
        reversed = list;
        list = next;
    }
    return reversed;
}

/* A request belongs to the device again once done() is called; the disk may be gone once it
 * has none in flight. */
static void report(struct io_pool *pool)
{
    lock_acquire(&pool->config.device_lock);
    /* acquire: pairs with the release in finish() */
    struct block_request *list =
        reverse(atomic_exchange_explicit(&pool->finished, NULL, memory_order_acquire));
    while (list) {
        struct block_request *request = list;
        struct disk *disk = request->disk;
        list = list->next;
        request->done(request, request->result);
        atomic_fetch_sub(&disk->in_flight, 1);
    }
    lock_release(&pool->config.device_lock);
    pthread_mutex_lock(&pool->lock);
    if (pool->drainers)
        pthread_cond_broadcast(&pool->idle);
    pthread_mutex_unlock(&pool->lock);
}

/* True: nobody is about to report it, so the caller has to. */
static bool finish(struct io_pool *pool, struct block_request *request)
{
    struct block_request *head = atomic_load_explicit(&pool->finished, memory_order_relaxed);

    do
        request->next = head;
    while (!atomic_compare_exchange_weak_explicit(&pool->finished, &head, request,
                                                  memory_order_release, memory_order_relaxed));
    return head == NULL;
}

/* ---- threads ---- */

static void serve(struct io_pool *pool, struct block_request *request)
{
    struct disk *disk = request->disk;
    struct block_request *list = disk_begin(disk, request);
    bool has_to_report = false;

    pthread_mutex_unlock(&pool->lock);
    int result = disk_perform(disk, request);
    for (struct block_request *each = list; each; each = each->next)
        each->result = result;
    pthread_mutex_lock(&pool->lock);
    list = disk_end(disk, list);
    pthread_mutex_unlock(&pool->lock);
    while (list) {
        struct block_request *next = list->next;
        has_to_report |= finish(pool, list);
        list = next;
    }
    if (has_to_report)
        report(pool);
    pthread_mutex_lock(&pool->lock);
}

static void serve_waiting(struct io_pool *pool, uint64_t *deadline_ns)
{
    *deadline_ns = UINT64_MAX;
    if (pool->waiting_disks == 0)
        return;
    uint64_t now_ns = clock_monotonic_ns();
    for (struct disk *disk = pool->disks; disk; disk = disk->next) {
        uint64_t next_ns = disk_serve_waiting(disk, now_ns);
        *deadline_ns = MIN(*deadline_ns, next_ns);
    }
}

static void park(struct io_pool *pool, uint64_t deadline_ns)
{
    struct timespec deadline = {
        .tv_sec = (time_t)(deadline_ns / UINT64_C(1000000000)),
        .tv_nsec = (long)(deadline_ns % UINT64_C(1000000000)),
    };

    pool->parked++;
    if (deadline_ns == UINT64_MAX || pool->has_timer) {
        pthread_cond_wait(&pool->work, &pool->lock);
    } else {
        pool->has_timer = true;
        pthread_cond_timedwait(&pool->work, &pool->lock, &deadline);
        pool->has_timer = false;
    }
    pool->parked--;
}

/* The next request to carry out; NULL: the thread has to end. Pool's lock held. */
static struct block_request *take_request(struct io_pool *pool)
{
    for (;;) {
        uint64_t deadline_ns;
        serve_waiting(pool, &deadline_ns);
        struct block_request *request = request_list_pop(&pool->ready);
        if (request) {
            /* It may block: let another one look at the rest. */
            if (pool->ready.head)
                io_pool_wake(pool);
            return request;
        }
        if (pool->quits)
            return NULL;
        park(pool, deadline_ns);
    }
}

static void *io_thread_main(void *argument)
{
    struct io_pool *pool = argument;
    struct block_request *request;

    if (pool->config.enter)
        pool->config.enter(pool->config.owner);
    pthread_mutex_lock(&pool->lock);
    while ((request = take_request(pool)))
        serve(pool, request);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int io_pool_create(const struct io_pool_config *config, struct io_pool **out, struct error *err)
{
    struct io_pool *pool = calloc(1, sizeof(*pool));
    pthread_condattr_t attributes;

    if (!pool)
        return error_set(err, -ENOMEM, "cannot start threads for disks: out of memory");
    pool->config = *config;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->work, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_cond_init(&pool->idle, NULL);
    *out = pool;
    return 0;
}

int io_pool_start(struct io_pool *pool, struct error *err)
{
    unsigned threads = pool->config.threads ? pool->config.threads : IO_POOL_THREADS;
    int result = 0;

    for (unsigned i = 0; i < threads && result == 0; i++) {
        char name[] = "io0";
        name[2] = (char)('0' + i);
        result = thread_start(&pool->threads[i], name, io_thread_main, pool, err);
        pool->thread_count += result == 0;
    }
    return result;
}

void io_pool_destroy(struct io_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->quits = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->idle);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
