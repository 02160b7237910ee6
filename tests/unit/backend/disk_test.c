/* SPDX-License-Identifier: Apache-2.0
 * Disks: requests that end on other threads, flushes, limits, draining. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "backend/block/disk.h"
#include "backend/block/io_pool_internal.h"
#include "unit/backend/image_folder.h"

#define REQUESTS 128

/* The device lock, and what stands for the device. */
static pthread_mutex_t device_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t one_done = PTHREAD_COND_INITIALIZER;
static pthread_t lock_owner;
static bool is_locked;
static unsigned done_count;
static unsigned failed_count;

static void acquire(void *owner)
{
    (void)owner;
    pthread_mutex_lock(&device_lock);
    lock_owner = pthread_self();
    is_locked = true;
}

static void release(void *owner)
{
    (void)owner;
    is_locked = false;
    pthread_mutex_unlock(&device_lock);
}

static const struct lock_port lock = {acquire, release, NULL};

static void done(struct block_request *request, int result)
{
    if (!is_locked || !pthread_equal(lock_owner, pthread_self()))
        abort(); /* not under the device lock */
    *(int *)request->owner = result;
    done_count++;
    failed_count += result < 0;
    pthread_cond_broadcast(&one_done);
}

static struct io_pool *pool;
static struct disk *disk;
static struct block_request requests[REQUESTS];
static int results[REQUESTS];
static uint8_t bytes[REQUESTS][4096];

static void set_up(uint64_t size, struct disk_limits limits, bool synchronous)
{
    struct io_pool_config config = {.device_lock = lock};
    struct disk_options options = {.limits = limits};
    struct error err = {0};

    done_count = failed_count = 0;
    pool = NULL;
    if (!synchronous)
        CHECK_EQ(io_pool_create(&config, &pool, &err), 0);
    CHECK_EQ(disk_open(make_file("disk", size, NULL), &options, pool, &disk, &err), 0);
    if (pool)
        CHECK_EQ(io_pool_start(pool, &err), 0);
}

static void tear_down(void)
{
    disk_close(disk);
    io_pool_destroy(pool);
    remove_folder();
}

static void submit(unsigned i, enum block_op op, uint64_t offset, uint64_t size)
{
    requests[i] = (struct block_request){
        .op = op, .offset = offset, .size = size, .done = done, .owner = &results[i]};
    if (op == BLOCK_READ || op == BLOCK_WRITE) {
        requests[i].segment_count = 1;
        requests[i].segments[0] = (struct block_segment){bytes[i], (size_t)size};
    }
    results[i] = 1;
    disk_port(disk)->submit(disk_port(disk)->owner, &requests[i]);
}

/* The lock is held; waits for so many to be done. */
static void wait_for(unsigned count)
{
    while (done_count < count) {
        is_locked = false;
        pthread_cond_wait(&one_done, &device_lock);
    }
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

TEST(disk, requests_end_under_the_device_lock_with_their_data)
{
    set_up(1 << 20, (struct disk_limits){0}, false);
    for (unsigned round = 0; round < 50; round++) {
        acquire(NULL);
        done_count = 0;
        for (unsigned i = 0; i < REQUESTS; i++) {
            memset(bytes[i], (int)(i + round), 4096);
            submit(i, BLOCK_WRITE, i * UINT64_C(4096), 4096);
        }
        wait_for(REQUESTS);
        submit(0, BLOCK_FLUSH, 0, 0);
        wait_for(REQUESTS + 1);
        for (unsigned i = 0; i < REQUESTS; i++) {
            memset(bytes[i], 0xcc, 4096);
            submit(i, BLOCK_READ, i * UINT64_C(4096), 4096);
        }
        wait_for(2 * REQUESTS + 1);
        release(NULL);
        for (unsigned i = 0; i < REQUESTS; i++)
            CHECK(results[i] == 0 && bytes[i][0] == (uint8_t)(i + round) &&
                  bytes[i][4095] == (uint8_t)(i + round));
    }
    struct disk_stats stats = disk_stats(disk);
    CHECK_EQ(stats.reads.operations, 50 * REQUESTS);
    CHECK_EQ(stats.writes.bytes, UINT64_C(50) * REQUESTS * 4096);
    CHECK_EQ(stats.flushes.operations, 50);
    CHECK_EQ(stats.reads.failed + stats.writes.failed + stats.flushes.failed, 0);
    CHECK(stats.reads.ns > 0 && stats.flushes.ns > 0);
    tear_down();
}

/* ---- flushes ---- */

static atomic_uint syncs;
static atomic_bool sync_waits;
static atomic_uint writes_ended;
static atomic_uint writes_seen; /* when the last sync began */

static int slow_sync(void *owner, int fd)
{
    (void)owner;
    (void)fd;
    writes_seen = writes_ended;
    syncs++;
    while (sync_waits)
        usleep(100);
    return 0;
}

static ssize_t counted_write(void *owner, int fd, const struct iovec *vectors, int count,
                             uint64_t offset)
{
    ssize_t moved = block_file_kernel.write(owner, fd, vectors, count, offset);

    writes_ended++;
    return moved;
}

static struct block_file_ops slow_ops;

static void set_up_slow(void)
{
    struct disk_image_options options = {.ops = &slow_ops};
    struct error err = {0};

    set_up(1 << 20, (struct disk_limits){0}, false);
    slow_ops = block_file_kernel;
    slow_ops.sync = slow_sync;
    slow_ops.write = counted_write;
    disk_image_close(disk->image);
    CHECK_EQ(disk_image_open(in_folder("disk"), &options, &disk->image, &err), 0);
    syncs = writes_ended = writes_seen = 0;
}

TEST(disk, flushes_wait_for_one_another_and_are_served_together)
{
    set_up_slow();
    acquire(NULL);
    sync_waits = true;
    submit(0, BLOCK_FLUSH, 0, 0);
    while (!syncs)
        usleep(100);
    for (unsigned i = 1; i < 20; i++)
        submit(i, BLOCK_FLUSH, 0, 0);
    submit(20, BLOCK_WRITE, 4096, 4096); /* is not held up */
    wait_for(1);
    CHECK_EQ(results[20], 0);
    submit(21, BLOCK_FLUSH, 0, 0);
    sync_waits = false;
    wait_for(22);
    release(NULL);
    CHECK_EQ(syncs, 2);
    CHECK_EQ(writes_seen, 1); /* the flush behind the write has seen it */
    CHECK_EQ(failed_count, 0);
    tear_down();
}

TEST(disk, a_disk_that_hangs_does_not_hold_up_another)
{
    struct disk_options options = {0};
    struct error err = {0};
    struct disk *hanging;

    set_up_slow();
    hanging = disk;
    sync_waits = true;
    CHECK_EQ(disk_open(make_file("other", 1 << 20, NULL), &options, pool, &disk, &err), 0);
    struct disk *other = disk;
    acquire(NULL);
    disk = hanging;
    for (unsigned i = 0; i < 20; i++)
        submit(i, BLOCK_FLUSH, 0, 0);
    disk = other;
    submit(20, BLOCK_WRITE, 0, 4096);
    wait_for(1);
    CHECK_EQ(results[20], 0);
    sync_waits = false;
    wait_for(21);
    release(NULL);
    disk_close(other);
    disk = hanging;
    tear_down();
}

/* ---- limits ---- */

/* 20 requests in flight at all times, for a while: so many a second end. */
static double rate(double time_s)
{
    double start = seconds();
    unsigned begun = 0;
    unsigned ended_early;

    acquire(NULL);
    done_count = 0;
    for (; begun < 20; begun++)
        submit(begun, BLOCK_WRITE, begun * UINT64_C(4096), 4096);
    wait_for(1);
    while (seconds() - start < time_s) {
        unsigned next = done_count;
        for (unsigned i = 0; i < 20; i++) {
            if (results[i] != 1) {
                submit(i, BLOCK_WRITE, i * UINT64_C(4096), 4096);
                begun++;
            }
        }
        wait_for(next + 1);
    }
    ended_early = done_count;
    double took = seconds() - start;
    release(NULL);
    disk_drain(disk);
    return ended_early / took;
}

TEST(disk, limits_hold_and_can_be_changed_while_requests_are_in_flight)
{
    set_up(1 << 20, (struct disk_limits){.operations = 500}, false);
    /* What may come at once at the beginning is a tenth of a second's worth. */
    double first = rate(1.5);
    CHECK(first > 500 * 0.95 && first < 500 * 1.12);
    disk_set_limits(disk, &(struct disk_limits){.bytes = UINT64_C(4096) * 800});
    double second = rate(1.5);
    CHECK(second > 800 * 0.95 && second < 800 * 1.12);
    disk_set_limits(disk, &(struct disk_limits){0});
    CHECK(rate(0.3) > 3000);
    tear_down();
}

TEST(disk, draining_does_not_wait_for_limits)
{
    double start = seconds();

    set_up(1 << 20, (struct disk_limits){.operations = 1}, false);
    acquire(NULL);
    for (unsigned i = 0; i < REQUESTS; i++)
        submit(i, BLOCK_WRITE, i * UINT64_C(4096), 4096);
    release(NULL);
    disk_drain(disk);
    CHECK_EQ(done_count, REQUESTS);
    CHECK_EQ(disk_stats(disk).in_flight, 0);
    CHECK(seconds() - start < 10);
    tear_down();
}

TEST(disk, a_flush_does_not_wait_for_limits)
{
    set_up(1 << 20, (struct disk_limits){.operations = 1}, false);
    acquire(NULL);
    for (unsigned i = 0; i < 10; i++)
        submit(i, BLOCK_WRITE, 0, 4096);
    submit(10, BLOCK_FLUSH, 0, 0);
    while (results[10] == 1)
        wait_for(done_count + 1);
    CHECK(done_count < 10);
    release(NULL);
    tear_down();
}

TEST(disk, without_threads_requests_end_at_once)
{
    set_up(1 << 20, (struct disk_limits){.operations = 1}, true);
    acquire(NULL);
    for (unsigned i = 0; i < 10; i++) {
        submit(i, BLOCK_WRITE, 0, 4096);
        CHECK_EQ(results[i], 0);
    }
    submit(0, BLOCK_READ, 0, 4096);
    CHECK_EQ(results[0], 0);
    release(NULL);
    disk_drain(disk);
    CHECK_EQ(disk_stats(disk).writes.operations, 10);
    tear_down();
}

TEST(disk, errors_reach_the_device_and_others_go_on)
{
    set_up(1 << 20, (struct disk_limits){0}, false);
    CHECK_EQ(truncate(in_folder("disk"), 65536), 0);
    acquire(NULL);
    submit(0, BLOCK_READ, 0, 4096);
    submit(1, BLOCK_READ, 1 << 19, 4096);
    wait_for(2);
    CHECK_EQ(results[0], 0);
    CHECK_EQ(results[1], -EIO);
    release(NULL);
    CHECK_EQ(disk_stats(disk).reads.failed, 1);
    CHECK_EQ(disk_stats(disk).reads.operations, 1);
    tear_down();
}

/* ---- errors that stop the machine ---- */

static atomic_uint failures_told;

static void on_failure(void *owner)
{
    (void)owner;
    failures_told++;
}

/* A disk of 1 MiB whose file ends at 64 KiB, so that reading behind that fails. */
static void set_up_stopping(enum disk_error_action on_read, bool synchronous)
{
    struct io_pool_config config = {.device_lock = lock};
    struct disk_options options = {
        .errors = {.on_read = on_read, .failed = on_failure, .device_lock = lock}};
    struct error err = {0};

    done_count = failed_count = failures_told = 0;
    pool = NULL;
    if (!synchronous)
        CHECK_EQ(io_pool_create(&config, &pool, &err), 0);
    CHECK_EQ(disk_open(make_file("disk", 1 << 20, NULL), &options, pool, &disk, &err), 0);
    if (pool)
        CHECK_EQ(io_pool_start(pool, &err), 0);
    CHECK_EQ(truncate(in_folder("disk"), 65536), 0);
}

/* Reads 0 to 3 fail, and 4 succeeds. */
static void submit_reads(void)
{
    unsigned told = failures_told;

    acquire(NULL);
    unsigned done_before = done_count;
    for (unsigned i = 0; i < 4; i++)
        submit(i, BLOCK_READ, 524288 + 4096 * i, 4096);
    submit(4, BLOCK_READ, 0, 4096);
    wait_for(done_before + 1);
    release(NULL);
    while (failures_told < told + 4)
        sched_yield();
}

static void check_held_and_retried(bool synchronous)
{
    struct disk_failure failure = {0};

    set_up_stopping(DISK_STOP, synchronous);
    submit_reads();
    CHECK_EQ(done_count, 1);
    CHECK_EQ(results[4], 0);
    CHECK(disk_holds(disk));
    CHECK(disk_take_failure(disk, &failure));
    CHECK_EQ(failure.result, -EIO);
    CHECK(failure.is_read && failure.is_held);
    CHECK(!disk_take_failure(disk, &failure));

    /* Nothing has become better: all are held again. */
    disk_retry(disk);
    while (failures_told < 8)
        sched_yield();
    CHECK_EQ(done_count, 1);
    CHECK_EQ(disk_stats(disk).reads.failed, 8);

    CHECK_EQ(truncate(in_folder("disk"), 1 << 20), 0);
    disk_retry(disk);
    acquire(NULL);
    wait_for(5);
    release(NULL);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(results[i], 0);
    CHECK(!disk_holds(disk));
    CHECK(!disk_take_failure(disk, &failure));
    CHECK_EQ(failed_count, 0);
    disk_retry(disk); /* nothing to do */
    tear_down();
}

TEST(disk, what_fails_is_held_and_carried_out_again)
{
    check_held_and_retried(false);
    check_held_and_retried(true);
}

static void check_drained(bool synchronous)
{
    struct disk_failure failure = {0};

    set_up_stopping(DISK_STOP, synchronous);
    submit_reads();
    disk_drain(disk);
    CHECK_EQ(done_count, 5);
    CHECK_EQ(failed_count, 4);
    CHECK(!disk_holds(disk));
    CHECK(!disk_take_failure(disk, &failure));
    /* Afterwards it holds again. */
    submit_reads();
    CHECK_EQ(done_count, 6);
    CHECK(disk_holds(disk));
    disk_drain(disk);
    CHECK_EQ(disk_stats(disk).in_flight, 0);
    tear_down();
}

TEST(disk, draining_ends_what_is_held)
{
    check_drained(false);
    check_drained(true);
}

TEST(disk, only_a_full_host_stops_when_that_is_asked_for)
{
    struct disk_failure failure = {0};

    set_up_stopping(DISK_ENOSPC, false);
    submit_reads();
    acquire(NULL);
    wait_for(5);
    release(NULL);
    CHECK_EQ(failed_count, 4);
    CHECK(disk_take_failure(disk, &failure));
    CHECK(!failure.is_held);
    tear_down();
}

TEST(disk, pools_come_and_go)
{
    for (unsigned i = 0; i < 200; i++) {
        set_up(65536, (struct disk_limits){0}, false);
        acquire(NULL);
        for (unsigned r = 0; r < 8; r++)
            submit(r, r % 2 ? BLOCK_FLUSH : BLOCK_WRITE, 0, r % 2 ? 0 : 4096);
        release(NULL);
        disk_close(disk); /* drains */
        CHECK_EQ(done_count, 8);
        io_pool_destroy(pool);
    }
    remove_folder();
}

TEST_MAIN(TESTS(disk, requests_end_under_the_device_lock_with_their_data),
          TESTS(disk, flushes_wait_for_one_another_and_are_served_together),
          TESTS(disk, a_disk_that_hangs_does_not_hold_up_another),
          TESTS(disk, limits_hold_and_can_be_changed_while_requests_are_in_flight),
          TESTS(disk, draining_does_not_wait_for_limits),
          TESTS(disk, a_flush_does_not_wait_for_limits),
          TESTS(disk, without_threads_requests_end_at_once),
          TESTS(disk, errors_reach_the_device_and_others_go_on),
          TESTS(disk, what_fails_is_held_and_carried_out_again),
          TESTS(disk, draining_ends_what_is_held),
          TESTS(disk, only_a_full_host_stops_when_that_is_asked_for),
          TESTS(disk, pools_come_and_go))
