/* SPDX-License-Identifier: Apache-2.0
 * How much CPU a machine's harts use.
 *
 * The limit is a token bucket of CPU time of the whole process, filled as time passes. Hunger, for the group, is seen
 * without asking the kernel for more than clocks: a hart that executed for some time but had the CPU for less of it has
 * waited for one. */
#include "vmm/governor.h"

#include "host/clock.h"
#include "machine/machine.h"
#include "vmm/cpu_group.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* How often clocks are looked at. */
#define PERIOD_NS       1000000
#define GAP_NS          20000
/* What may be saved up: as much as is used in so long. */
#define BURST_NS        200000000
/* A rest for others; then one looks again. */
#define GROUP_REST_NS   2000000
/* Hungry: waited for more than a twentieth of the time, in about the last tenth of a second. */
#define HUNGER_NS       100000000
#define HUNGER_FRACTION 20

struct hart_clock {
    uint64_t begin_ns; /* of the stretch that is measured; 0: none */
    uint64_t begin_cpu_ns;
    uint64_t end_ns; /* of the last slice */
};

struct governor {
    _Atomic unsigned limit_milli;
    _Atomic unsigned shares;
    struct cpu_group *group;

    _Atomic uint64_t next_look_ns;
    _Atomic uint64_t rest_until_ns;

    /* Sums since the last look at hunger. */
    _Atomic uint64_t ran_ns;
    _Atomic uint64_t waited_ns;
    _Atomic bool has_rested; /* for the group's sake */

    pthread_mutex_t mutex;
    /* Guarded by it: */
    uint64_t filled_ns; /* up to when the bucket is filled */
    int64_t tokens_ns;
    uint64_t used_cpu_ns; /* of the process, when last looked at */
    uint64_t hunger_since_ns;
    bool is_hungry;

    struct hart_clock harts[MACHINE_MAX_HARTS]; /* each its thread's */
};

/* ---- the limit ---- */

/* How long to rest so that what was used is within the limit. Mutex held. */
static uint64_t rest_for_limit(struct governor *governor, uint64_t now_ns, uint64_t used_ns)
{
    unsigned limit = atomic_load(&governor->limit_milli);
    int64_t most = (int64_t)BURST_NS * limit / 1000;

    if (limit == 0)
        return 0;
    governor->tokens_ns += (int64_t)((now_ns - governor->filled_ns) * limit / 1000);
    governor->filled_ns = now_ns;
    governor->tokens_ns = MIN(governor->tokens_ns, most) - (int64_t)used_ns;
    return governor->tokens_ns < 0 ? (uint64_t)-governor->tokens_ns * 1000 / limit : 0;
}

/* ---- the group ---- */

static void look_at_hunger(struct governor *governor, uint64_t now_ns)
{
    if (now_ns - governor->hunger_since_ns < HUNGER_NS)
        return;
    uint64_t ran = atomic_exchange(&governor->ran_ns, 0);
    uint64_t waited = atomic_exchange(&governor->waited_ns, 0);
    bool rested = atomic_exchange(&governor->has_rested, false);

    governor->is_hungry = rested || (ran && waited > ran / HUNGER_FRACTION);
    governor->hunger_since_ns = now_ns;
}

static uint64_t rest_for_group(struct governor *governor, uint64_t now_ns, uint64_t used_ns)
{
    unsigned shares = atomic_load(&governor->shares);

    if (!governor->group)
        return 0;
    look_at_hunger(governor, now_ns);
    cpu_group_report(governor->group, now_ns, used_ns, shares, governor->is_hungry);
    if (!cpu_group_is_ahead(governor->group, now_ns, shares))
        return 0;
    atomic_store(&governor->has_rested, true);
    return GROUP_REST_NS;
}

/* ---- harts ---- */

static void look(struct governor *governor, uint64_t now_ns)
{
    uint64_t cpu_ns = clock_process_cpu_ns();
    uint64_t used_ns = cpu_ns - governor->used_cpu_ns;

    governor->used_cpu_ns = cpu_ns;
    uint64_t for_limit_ns = rest_for_limit(governor, now_ns, used_ns);
    uint64_t for_group_ns = rest_for_group(governor, now_ns, used_ns);
    uint64_t rest_ns = MAX(for_limit_ns, for_group_ns);
    if (rest_ns)
        atomic_store(&governor->rest_until_ns, now_ns + rest_ns);
    atomic_store(&governor->next_look_ns, now_ns + MAX(rest_ns, (uint64_t)PERIOD_NS));
}

static bool governs(const struct governor *governor)
{
    return governor->group || atomic_load_explicit(&governor->limit_milli, memory_order_relaxed);
}

/* Slices with nothing between them are measured together: asking for the thread's time costs as much as a hundredth of
 * one. Between others the hart waited, for an interrupt or for its turn. */
static void begin_stretch(struct hart_clock *clock, uint64_t now_ns)
{
    if (clock->begin_ns && now_ns - clock->end_ns < GAP_NS)
        return;
    clock->begin_ns = now_ns;
    clock->begin_cpu_ns = clock_thread_cpu_ns();
}

static uint64_t before_run(void *owner, unsigned hart)
{
    struct governor *governor = owner;

    if (!governs(governor))
        return 0;
    uint64_t now_ns = clock_monotonic_ns();
    if (now_ns >= atomic_load(&governor->next_look_ns) &&
        pthread_mutex_trylock(&governor->mutex) == 0) {
        if (now_ns >= atomic_load(&governor->next_look_ns))
            look(governor, now_ns);
        pthread_mutex_unlock(&governor->mutex);
    }
    uint64_t until_ns = atomic_load(&governor->rest_until_ns);
    if (until_ns > now_ns)
        return until_ns;
    if (governor->group)
        begin_stretch(&governor->harts[hart], now_ns);
    return 0;
}

static void after_run(void *owner, unsigned hart)
{
    struct governor *governor = owner;
    struct hart_clock *clock = &governor->harts[hart];

    if (!clock->begin_ns)
        return;
    clock->end_ns = clock_monotonic_ns();
    uint64_t ran_ns = clock->end_ns - clock->begin_ns;
    if (ran_ns < PERIOD_NS)
        return;
    uint64_t had_ns = clock_thread_cpu_ns() - clock->begin_cpu_ns;
    atomic_fetch_add(&governor->ran_ns, ran_ns);
    if (ran_ns > had_ns)
        atomic_fetch_add(&governor->waited_ns, ran_ns - had_ns);
    clock->begin_ns = 0;
}

struct governor_port governor_port(struct governor *governor)
{
    return (struct governor_port){before_run, after_run, governor};
}

/* ---- life ---- */

int governor_create(const struct governor_config *config, struct governor **out, struct error *err)
{
    struct governor *governor = calloc(1, sizeof(*governor));

    if (!governor)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&governor->mutex, NULL);
    atomic_store(&governor->limit_milli, config->limit_milli);
    atomic_store(&governor->shares, config->shares);
    governor->used_cpu_ns = clock_process_cpu_ns();
    governor->filled_ns = clock_monotonic_ns();
    int result = config->group ? cpu_group_join(config->group, &governor->group, err) : 0;
    if (result < 0) {
        governor_destroy(governor);
        return result;
    }
    *out = governor;
    return 0;
}

void governor_destroy(struct governor *governor)
{
    if (!governor)
        return;
    cpu_group_leave(governor->group);
    pthread_mutex_destroy(&governor->mutex);
    free(governor);
}

void governor_set_limit(struct governor *governor, unsigned limit_milli)
{
    pthread_mutex_lock(&governor->mutex);
    governor->tokens_ns = 0;
    governor->filled_ns = clock_monotonic_ns();
    atomic_store(&governor->limit_milli, limit_milli);
    atomic_store(&governor->rest_until_ns, 0);
    pthread_mutex_unlock(&governor->mutex);
}

void governor_set_shares(struct governor *governor, unsigned shares)
{
    atomic_store(&governor->shares, shares);
}

unsigned governor_limit(const struct governor *governor)
{
    return atomic_load(&governor->limit_milli);
}

unsigned governor_shares(const struct governor *governor)
{
    return atomic_load(&governor->shares);
}
