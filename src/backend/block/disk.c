/* SPDX-License-Identifier: Apache-2.0
 * A machine's disk.
 *
 * At most one flush of a disk is carried out at a time. Those that are submitted meanwhile
 * wait, and are then served by one: it begins after all of them were submitted. */
#include "backend/block/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/io_pool_internal.h"
#include "backend/block/overlay.h"
#include "host/clock.h"

static unsigned make_vectors(const struct block_request *request, struct iovec *vectors)
{
    for (unsigned i = 0; i < request->segment_count; i++)
        vectors[i] = (struct iovec){request->segments[i].bytes, request->segments[i].size};
    return request->segment_count;
}

int disk_perform(struct disk *disk, const struct block_request *request)
{
    struct disk_image *image = disk->image;
    struct iovec vectors[BLOCK_MAX_SEGMENTS];

    if (disk->port.read_only && request->op != BLOCK_READ && request->op != BLOCK_FLUSH)
        return -EROFS;
    switch (request->op) {
    case BLOCK_READ:
        return image->ops->read(image, vectors, make_vectors(request, vectors), request->offset);
    case BLOCK_WRITE:
        return image->ops->write(image, vectors, make_vectors(request, vectors), request->offset);
    case BLOCK_FLUSH:
        return disk_image_flush(image);
    case BLOCK_DISCARD:
        return image->ops->discard(image, request->offset, request->size);
    case BLOCK_WRITE_ZEROES:
        return image->ops->write_zeroes(image, request->offset, request->size);
    }
    return -EINVAL;
}

/* ---- failures ---- */

static bool is_full(int result)
{
    return result == -ENOSPC || result == -EDQUOT;
}

/* The guest's mistake, or what the image never does: there is nothing to be told or tried again. */
static bool is_refusal(int result)
{
    return result == -EROFS || result == -ENOTSUP || result == -EINVAL;
}

static void wake_owner(const struct disk *disk)
{
    if (disk->errors.failed)
        disk->errors.failed(disk->errors.owner);
}

/* Notes a failure. True: the request is held, and not the caller's any more. */
static bool note_failure(struct disk *disk, struct block_request *request)
{
    bool is_read = request->op == BLOCK_READ;
    enum disk_error_action action = is_read ? disk->errors.on_read : disk->errors.on_write;
    bool is_held = !disk->drains &&
                   (action == DISK_STOP || (action == DISK_ENOSPC && is_full(request->result)));

    if (is_refusal(request->result))
        return false;
    pthread_mutex_lock(&disk->failure_lock);
    struct disk_failure *failure = &disk->failures[is_read];
    failure->result = request->result;
    failure->is_read = is_read;
    failure->is_held |= is_held;
    if (is_held)
        request_list_push(&disk->held, request);
    pthread_mutex_unlock(&disk->failure_lock);
    wake_owner(disk);
    return is_held;
}

/* The caller owns what was held; what was noted is forgotten. */
static struct request_list take_held(struct disk *disk)
{
    pthread_mutex_lock(&disk->failure_lock);
    struct request_list held = disk->held;
    disk->held = (struct request_list){0};
    memset(disk->failures, 0, sizeof(disk->failures));
    pthread_mutex_unlock(&disk->failure_lock);
    return held;
}

bool disk_take_failure(struct disk *disk, struct disk_failure *out)
{
    bool found = false;

    pthread_mutex_lock(&disk->failure_lock);
    for (unsigned i = 0; i < ARRAY_LEN(disk->failures) && !found; i++) {
        found = disk->failures[i].result < 0;
        if (found) {
            *out = disk->failures[i];
            disk->failures[i] = (struct disk_failure){0};
        }
    }
    pthread_mutex_unlock(&disk->failure_lock);
    return found;
}

bool disk_holds(struct disk *disk)
{
    pthread_mutex_lock(&disk->failure_lock);
    bool holds = disk->held.head != NULL;
    pthread_mutex_unlock(&disk->failure_lock);
    return holds;
}

/* ---- requests, with the pool's lock held ---- */

struct block_request *disk_begin(struct disk *disk, struct block_request *request)
{
    if (request->op == BLOCK_FLUSH) {
        request->next = disk->flushes.head;
        disk->flushes = (struct request_list){0};
    }
    return request;
}

static void count(struct disk *disk, const struct block_request *request, uint64_t now_ns)
{
    struct disk_count *counts = &disk->counts[request->op];

    counts->ns += now_ns - request->begun_ns;
    if (request->result < 0) {
        counts->failed++;
        return;
    }
    counts->operations++;
    counts->bytes += request->op == BLOCK_FLUSH ? 0 : request->size;
}

struct block_request *disk_end(struct disk *disk, struct block_request *requests)
{
    bool is_flush = requests->op == BLOCK_FLUSH;
    uint64_t now_ns = clock_monotonic_ns();
    struct request_list done = {0};

    while (requests) {
        struct block_request *next = requests->next;
        count(disk, requests, now_ns);
        if (requests->result >= 0 || !note_failure(disk, requests))
            request_list_push(&done, requests);
        requests = next;
    }
    struct block_request *next = is_flush ? request_list_pop(&disk->flushes) : NULL;
    if (is_flush)
        disk->flush_is_active = next;
    if (next)
        io_pool_make_ready(disk->pool, next);
    return done.head;
}

static uint64_t moved_bytes(const struct block_request *request)
{
    return request->op == BLOCK_READ || request->op == BLOCK_WRITE ? request->size : 0;
}

uint64_t disk_serve_waiting(struct disk *disk, uint64_t now_ns)
{
    while (disk->waiting.head) {
        uint64_t ready_ns = disk->drains ? 0 : throttle_ready_ns(&disk->throttle, now_ns);
        if (ready_ns > now_ns)
            return ready_ns;
        struct block_request *request = request_list_pop(&disk->waiting);
        disk->pool->waiting_disks -= !disk->waiting.head;
        throttle_take(&disk->throttle, moved_bytes(request));
        io_pool_make_ready(disk->pool, request);
    }
    return UINT64_MAX;
}

static void submit_flush(struct disk *disk, struct block_request *request)
{
    if (disk->flush_is_active) {
        request_list_push(&disk->flushes, request);
        return;
    }
    disk->flush_is_active = true;
    io_pool_make_ready(disk->pool, request);
}

static void submit_limited(struct disk *disk, struct block_request *request)
{
    bool is_first = !disk->waiting.head;

    disk->pool->waiting_disks += is_first;
    request_list_push(&disk->waiting, request);
    /* All look, as one of them may wait for something later. */
    if (is_first && disk_serve_waiting(disk, clock_monotonic_ns()) != UINT64_MAX)
        pthread_cond_broadcast(&disk->pool->work);
}

static void submit(void *owner, struct block_request *request)
{
    struct disk *disk = owner;
    struct io_pool *pool = disk->pool;

    request->disk = disk;
    request->next = NULL;
    request->begun_ns = clock_monotonic_ns();
    atomic_fetch_add(&disk->in_flight, 1);
    pthread_mutex_lock(&pool->lock);
    if (request->op == BLOCK_FLUSH)
        submit_flush(disk, request);
    else if (throttle_is_limited(&disk->throttle) && !disk->drains)
        submit_limited(disk, request);
    else
        io_pool_make_ready(pool, request);
    pthread_mutex_unlock(&pool->lock);
}

/* The counts have no lock then: one thread at a time is in the devices. Nor do they have a time, which would not be the
 * guest's. */
static void submit_synchronously(void *owner, struct block_request *request)
{
    struct disk *disk = owner;

    request->begun_ns = 0;
    request->result = disk_perform(disk, request);
    count(disk, request, 0);
    if (request->result >= 0 || !note_failure(disk, request))
        request->done(request, request->result);
}

/* ---- what is held ---- */

static void retry_synchronously(struct disk *disk, struct request_list *held)
{
    struct block_request *request;

    lock_acquire(&disk->errors.device_lock);
    while ((request = request_list_pop(held)))
        submit_synchronously(disk, request);
    lock_release(&disk->errors.device_lock);
}

void disk_retry(struct disk *disk)
{
    struct request_list held = take_held(disk);
    struct block_request *request;
    uint64_t now_ns = clock_monotonic_ns();

    if (!disk->pool) {
        retry_synchronously(disk, &held);
        return;
    }
    /* Limits have counted them already. */
    pthread_mutex_lock(&disk->pool->lock);
    while ((request = request_list_pop(&held))) {
        request->begun_ns = now_ns;
        if (request->op == BLOCK_FLUSH)
            submit_flush(disk, request);
        else
            io_pool_make_ready(disk->pool, request);
    }
    pthread_mutex_unlock(&disk->pool->lock);
}

/* They end with the error that they had. */
static void fail_held(struct disk *disk)
{
    struct request_list held = take_held(disk);
    struct block_request *request;

    if (!held.head)
        return;
    lock_acquire(&disk->errors.device_lock);
    while ((request = request_list_pop(&held))) {
        request->done(request, request->result);
        if (disk->pool)
            atomic_fetch_sub(&disk->in_flight, 1);
    }
    lock_release(&disk->errors.device_lock);
}

/* ---- life ---- */

static int open_image(const char *path, const struct disk_options *options, struct disk_image **out,
                      struct error *err)
{
    struct disk_image_options image_options = {
        .format = options->format,
        .format_given = options->format_given,
        .read_only = options->read_only || options->snapshot,
        .backing = options->backing,
    };
    struct disk_image *image = NULL;
    int result = disk_image_open(path, &image_options, &image, err);

    if (result == 0 && options->snapshot && !options->read_only) {
        struct disk_image *base = image;
        result = overlay_open_unnamed(base, &block_file_kernel, &image, err);
        if (result < 0)
            disk_image_close(base);
    }
    if (result == 0)
        *out = image;
    return result;
}

static void drain(void *owner)
{
    disk_drain(owner);
}

int disk_open(const char *path, const struct disk_options *options, struct io_pool *pool,
              struct disk **out, struct error *err)
{
    struct disk *disk = calloc(1, sizeof(*disk));

    if (!disk)
        return error_set(err, -ENOMEM, "%s: out of memory", path);
    int result = open_image(path, options, &disk->image, err);
    if (result < 0 || !disk->image) {
        free(disk);
        return result;
    }
    disk->pool = pool;
    disk->errors = options->errors;
    pthread_mutex_init(&disk->failure_lock, NULL);
    disk->port = (struct block_port){
        .size_bytes = disk->image->size_bytes,
        .read_only = options->read_only,
        .can_discard = !options->read_only,
        .submit = pool ? submit : submit_synchronously,
        .owner = disk,
        .drain = drain,
    };
    if (pool) {
        disk_set_limits(disk, &options->limits);
        pthread_mutex_lock(&pool->lock);
        disk->next = pool->disks;
        pool->disks = disk;
        pthread_mutex_unlock(&pool->lock);
    }
    *out = disk;
    return 0;
}

void disk_close(struct disk *disk)
{
    if (!disk)
        return;
    disk_drain(disk);
    if (disk->pool) {
        pthread_mutex_lock(&disk->pool->lock);
        struct disk **link = &disk->pool->disks;
        while (*link != disk)
            link = &(*link)->next;
        *link = disk->next;
        pthread_mutex_unlock(&disk->pool->lock);
    }
    disk_image_close(disk->image);
    pthread_mutex_destroy(&disk->failure_lock);
    free(disk);
}

const struct block_port *disk_port(const struct disk *disk)
{
    return &disk->port;
}

enum disk_format disk_format(const struct disk *disk)
{
    return disk->image->format;
}

void disk_set_limits(struct disk *disk, const struct disk_limits *limits)
{
    if (!disk->pool)
        return;
    pthread_mutex_lock(&disk->pool->lock);
    throttle_set(&disk->throttle, limits->bytes, limits->operations, clock_monotonic_ns());
    pthread_cond_broadcast(&disk->pool->work);
    pthread_mutex_unlock(&disk->pool->lock);
}

static void lock_pool(struct disk *disk)
{
    if (disk->pool)
        pthread_mutex_lock(&disk->pool->lock);
}

static void unlock_pool(struct disk *disk)
{
    if (disk->pool)
        pthread_mutex_unlock(&disk->pool->lock);
}

static struct disk_figures figures(const struct disk *disk, enum block_op op)
{
    const struct disk_count *counts = &disk->counts[op];

    return (struct disk_figures){counts->operations, counts->failed, counts->bytes, counts->ns};
}

struct disk_stats disk_stats(struct disk *disk)
{
    lock_pool(disk);
    struct disk_figures zeroes = figures(disk, BLOCK_WRITE_ZEROES);
    struct disk_stats stats = {
        .reads = figures(disk, BLOCK_READ),
        .writes = figures(disk, BLOCK_WRITE),
        .flushes = figures(disk, BLOCK_FLUSH),
        .discards = figures(disk, BLOCK_DISCARD),
        .in_flight = atomic_load(&disk->in_flight),
    };
    unlock_pool(disk);
    stats.writes.operations += zeroes.operations;
    stats.writes.failed += zeroes.failed;
    stats.writes.bytes += zeroes.bytes;
    stats.writes.ns += zeroes.ns;
    return stats;
}

void disk_drain(struct disk *disk)
{
    struct io_pool *pool = disk->pool;

    if (!pool) {
        disk->drains = true;
        fail_held(disk);
        disk->drains = false;
        return;
    }
    pthread_mutex_lock(&pool->lock);
    disk->drains = true;
    pool->drainers++;
    pthread_cond_broadcast(&pool->work);
    /* What was submitted before must go, too, if all threads are parked. */
    disk_serve_waiting(disk, clock_monotonic_ns());
    /* From here on nothing is held any more. */
    pthread_mutex_unlock(&pool->lock);
    fail_held(disk);
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&disk->in_flight))
        pthread_cond_wait(&pool->idle, &pool->lock);
    pool->drainers--;
    disk->drains = false;
    pthread_mutex_unlock(&pool->lock);
    /* What failed meanwhile concerns nobody. */
    (void)take_held(disk);
}
