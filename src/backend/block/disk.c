/* SPDX-License-Identifier: Apache-2.0
 * A machine's disk.
 *
 * At most one flush of a disk is carried out at a time. Those that are submitted meanwhile
 * wait, and are then served by one: it begins after all of them were submitted. */
#include "backend/block/disk.h"

#include <errno.h>
#include <stdlib.h>

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

/* ---- requests, with the pool's lock held ---- */

struct block_request *disk_begin(struct disk *disk, struct block_request *request)
{
    if (request->op == BLOCK_FLUSH) {
        request->next = disk->flushes.head;
        disk->flushes = (struct request_list){0};
    }
    return request;
}

void disk_end(struct disk *disk, const struct block_request *requests)
{
    bool is_flush = requests->op == BLOCK_FLUSH;

    for (const struct block_request *each = requests; each; each = each->next) {
        disk->counts.operations[each->op]++;
        disk->counts.bytes[each->op] += each->op == BLOCK_FLUSH ? 0 : each->size;
        disk->counts.errors += each->result < 0;
    }
    if (!is_flush)
        return;
    struct block_request *next = request_list_pop(&disk->flushes);
    disk->flush_is_active = next;
    if (next)
        io_pool_make_ready(disk->pool, next);
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

/* The counts have no lock then: one thread at a time is in the devices. */
static void submit_synchronously(void *owner, struct block_request *request)
{
    struct disk *disk = owner;

    request->result = disk_perform(disk, request);
    disk->counts.operations[request->op]++;
    disk->counts.bytes[request->op] += request->op == BLOCK_FLUSH ? 0 : request->size;
    disk->counts.errors += request->result < 0;
    request->done(request, request->result);
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

struct disk_stats disk_stats(struct disk *disk)
{
    lock_pool(disk);
    const struct disk_counts *counts = &disk->counts;
    struct disk_stats stats = {
        .reads = counts->operations[BLOCK_READ],
        .writes = counts->operations[BLOCK_WRITE],
        .flushes = counts->operations[BLOCK_FLUSH],
        .discards = counts->operations[BLOCK_DISCARD] + counts->operations[BLOCK_WRITE_ZEROES],
        .read_bytes = counts->bytes[BLOCK_READ],
        .written_bytes = counts->bytes[BLOCK_WRITE],
        .errors = counts->errors,
        .in_flight = atomic_load(&disk->in_flight),
    };
    unlock_pool(disk);
    return stats;
}

void disk_drain(struct disk *disk)
{
    struct io_pool *pool = disk->pool;

    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    disk->drains = true;
    pool->drainers++;
    pthread_cond_broadcast(&pool->work);
    /* What was submitted before must go, too, if all threads are parked. */
    disk_serve_waiting(disk, clock_monotonic_ns());
    while (atomic_load(&disk->in_flight))
        pthread_cond_wait(&pool->idle, &pool->lock);
    pool->drainers--;
    disk->drains = false;
    pthread_mutex_unlock(&pool->lock);
}
