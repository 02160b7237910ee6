// SPDX-License-Identifier: Apache-2.0
/*
 * Parallel rows, for two harts. The work of par-two is twice that of par-one: with
 * two harts that do not disturb each other both take the same time.
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* One thread's own data: nothing is shared. */
static void *work(void *argument)
{
    enum { SIZE = 4096 };
    uint64_t rounds = *(uint64_t *)argument;
    uint32_t *numbers = bench_alloc(SIZE * sizeof(*numbers));
    uint64_t random = 89;
    uint64_t sum = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < SIZE; i++)
            numbers[i] += (uint32_t)bench_random(&random);
        for (uint32_t i = 1; i < SIZE; i++) {
            if (numbers[i] % 8 < numbers[i - 1] % 8)
                sum += numbers[i] >> 3;
            else
                sum ^= numbers[i];
        }
    }
    free(numbers);
    *(uint64_t *)argument = sum;
    return NULL;
}

static uint64_t run_both(void *(*function)(void *), void *first, void *second)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, function, second) != 0)
        bench_fail("thread");
    function(first);
    pthread_join(thread, NULL);
    return 0;
}

static uint64_t one(uint32_t scale)
{
    uint64_t argument = scale * 1000ull;
    work(&argument);
    return argument;
}

static uint64_t two(uint32_t scale)
{
    uint64_t arguments[] = {scale * 1000ull, scale * 1000ull};
    run_both(work, &arguments[0], &arguments[1]);
    return arguments[0] + arguments[1];
}

struct shared {
    _Atomic uint64_t counter;
    _Atomic uint32_t lock;
    uint64_t guarded;
    uint64_t rounds;
};

static void *contend(void *argument)
{
    struct shared *shared = argument;
    for (uint64_t i = 0; i < shared->rounds; i++) {
        atomic_fetch_add(&shared->counter, 1);
        uint64_t seen = atomic_load(&shared->counter);
        while (!atomic_compare_exchange_weak(&shared->counter, &seen, seen + 2))
            ;
    }
    return NULL;
}

/* Two harts that want the same cache line. */
static uint64_t atomics(uint32_t scale)
{
    struct shared shared = {.rounds = scale * 250000ull};
    run_both(contend, &shared, &shared);
    return shared.counter;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void *lock_often(void *argument)
{
    struct shared *shared = argument;
    for (uint64_t i = 0; i < shared->rounds; i++) {
        pthread_mutex_lock(&mutex);
        shared->guarded++;
        pthread_mutex_unlock(&mutex);
        for (uint32_t pause = 0; pause < 50; pause++)
            bench_opaque(&pause);
    }
    return NULL;
}

/* A mutex: mostly free, sometimes waited for. */
static uint64_t locks(uint32_t scale)
{
    struct shared shared = {.rounds = scale * 30000ull};
    run_both(lock_often, &shared, &shared);
    return shared.guarded;
}

const struct bench_row bench_parallel[] = {
    {"par-one", one}, {"par-two", two}, {"par-atomic", atomics}, {"par-mutex", locks}, {NULL, NULL},
};
