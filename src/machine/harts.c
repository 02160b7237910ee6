/* SPDX-License-Identifier: Apache-2.0
 * The threads that run harts: the heart of the machine is hart_thread_main.
 *
 *     GOAL_PAUSE --machine_resume--> GOAL_RUN --machine_pause, event--> GOAL_PAUSE
 *          any --machine_destroy--> GOAL_QUIT
 *
 * A hart looks at the goal between two calls of hart_run; whoever changes it
 * wakes all harts. */
#include "host/clock.h"
#include "host/map.h"
#include "machine/machine_internal.h"
#include "riscv/code.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Pages of predecoded code per hart: 256 for 64 harts, more for fewer; memory is
 * taken as it is used. */
#define CODE_PAGES            1024
#define CODE_PAGES_MANY_HARTS 256
#define MANY_HARTS            8

void hart_thread_wake(struct hart_thread *thread)
{
    hart_kick(thread->hart);
    /* Ordered after the kick and whatever it announces; pairs with the store in
     * sleep_until. */
    if (atomic_load(&thread->sleeping))
        parker_wake(&thread->parker);
}

void machine_wake_all(struct machine *machine)
{
    for (unsigned i = 0; i < machine->config.cpus; i++)
        hart_thread_wake(&machine->harts[i]);
}

void machine_post_event(struct machine *machine, const struct machine_event *event)
{
    pthread_mutex_lock(&machine->state_mutex);
    bool is_repeat = event->kind == MACHINE_EVENT_POWER && machine->power_pending;
    if (!is_repeat && machine->event_count < MACHINE_MAX_EVENTS)
        machine->events[machine->event_count++] = *event;
    if (event->kind == MACHINE_EVENT_POWER)
        machine->power_pending = true;
    if (atomic_load(&machine->goal) == GOAL_RUN)
        atomic_store(&machine->goal, GOAL_PAUSE);
    pthread_mutex_unlock(&machine->state_mutex);
    machine_wake_all(machine);
    machine->config.notify(machine->config.owner);
}

static bool has_goal_run(const struct machine *machine)
{
    return atomic_load(&machine->goal) == GOAL_RUN;
}

/* Waits for the goal to be GOAL_RUN; false: quit. */
static bool wait_to_run(struct machine *machine)
{
    pthread_mutex_lock(&machine->state_mutex);
    machine->parked++;
    pthread_cond_broadcast(&machine->state_changed);
    while (atomic_load(&machine->goal) == GOAL_PAUSE)
        pthread_cond_wait(&machine->state_changed, &machine->state_mutex);
    machine->parked--;
    bool run = atomic_load(&machine->goal) == GOAL_RUN;
    pthread_mutex_unlock(&machine->state_mutex);
    return run;
}

static bool has_work(struct hart_thread *thread)
{
    if (!has_goal_run(thread->machine) || atomic_load(&thread->hart->requests))
        return true;
    uint32_t power = atomic_load(&thread->power);
    if (power == HART_STOPPED)
        return false;
    return power == HART_START_PENDING || hart_has_wakeup(thread->hart);
}

static void sleep_until(struct hart_thread *thread, uint64_t host_deadline)
{
    atomic_store(&thread->sleeping, true);
    if (!has_work(thread))
        parker_wait(&thread->parker, host_deadline);
    atomic_store(&thread->sleeping, false);
}

void hart_thread_wait_for_interrupt(struct hart_thread *thread)
{
    struct machine *machine = thread->machine;
    uint64_t deadline = machine_next_deadline(thread);

    if (hart_has_wakeup(thread->hart))
        return;
    if (machine->config.virtual_time && deadline != UINT64_MAX) {
        uint64_t now = machine_ticks(machine);
        machine->clock.skew_ticks += deadline > now ? deadline - now : 0;
        return;
    }
    sleep_until(thread, machine_host_deadline(machine, deadline));
}

/* Stopped harts still serve their timers: hart 0 has the machine's. */
static uint64_t stopped_deadline(const struct hart_thread *thread)
{
    struct machine *machine = thread->machine;
    uint64_t deadline = atomic_load(&thread->mtimer);

    if (thread->index == 0)
        deadline = MIN(deadline, atomic_load(&machine->rtc_deadline));
    return machine_host_deadline(machine, deadline);
}

/* A hart that SBI stopped, or suspended without keeping its registers. */
static void wait_for_start(struct hart_thread *thread)
{
    struct hart *hart = thread->hart;
    uint32_t suspended = HART_SUSPENDED;

    if (atomic_load(&thread->power) == HART_STOPPED)
        sleep_until(thread, stopped_deadline(thread));
    if (atomic_load(&thread->power) == HART_SUSPENDED) {
        hart_thread_wait_for_interrupt(thread);
        if (hart_has_wakeup(hart))
            atomic_compare_exchange_strong(&thread->power, &suspended, HART_START_PENDING);
    }
    hart_serve_requests(hart);
    uint32_t pending = HART_START_PENDING;
    if (!atomic_compare_exchange_strong(&thread->power, &pending, HART_STARTED))
        return;
    hart_set_privilege(hart, PRIV_S);
    hart->satp = 0;
    hart->mstatus &= ~MSTATUS_SIE;
    tlb_flush(hart);
    hart->pc = thread->start_address;
    hart->x[10] = thread->index;
    hart->x[11] = thread->start_opaque;
}

static void report_debug_stop(struct hart_thread *thread)
{
    struct machine_event event = {.kind = MACHINE_EVENT_DEBUG, .hart = thread->index};

    machine_post_event(thread->machine, &event);
}

/* On virtual time a run must end exactly where the next timer fires. */
static void set_stop(struct hart_thread *thread, uint64_t most)
{
    struct machine *machine = thread->machine;
    struct hart *hart = thread->hart;
    uint64_t deadline = machine_next_deadline(thread);
    uint64_t now = machine_ticks(machine);
    /* Of the tick in which this run begins, so that the end is the same wherever in
     * the tick that is. */
    uint64_t passed = (hart->icount + hart->traps) % VIRTUAL_INSTRUCTIONS_PER_TICK;
    uint64_t stop;

    if (deadline <= now)
        stop = hart->icount + 1;
    else if (__builtin_mul_overflow(deadline - now, (uint64_t)VIRTUAL_INSTRUCTIONS_PER_TICK,
                                    &stop) ||
             __builtin_add_overflow(stop, hart->icount - passed, &stop))
        stop = UINT64_MAX;
    hart->stop_at = MIN(stop, most);
}

static enum hart_exit run_hart(struct hart_thread *thread)
{
    struct translator *translator = thread->machine->translator;
    const struct governor_port *governor = &thread->machine->config.governor;

    enum hart_exit exit =
        translator ? translator_run(translator, thread->hart) : hart_run(thread->hart);
    if (governor->after)
        governor->after(governor->owner, thread->index);
    return exit;
}

/* Whether the hart may have a CPU now; if not, it has rested. */
static bool may_run(struct hart_thread *thread)
{
    const struct governor_port *governor = &thread->machine->config.governor;
    uint64_t rest_until = governor->before ? governor->before(governor->owner, thread->index) : 0;

    if (!rest_until)
        return true;
    /* Also when there is an interrupt for it: only a new goal ends the rest early. */
    atomic_store(&thread->sleeping, true);
    if (has_goal_run(thread->machine))
        parker_wait(&thread->parker, rest_until);
    atomic_store(&thread->sleeping, false);
    return false;
}

/* Once through hart_run; on virtual time not past `most` instructions. */
static void run_once(struct hart_thread *thread, uint64_t most)
{
    machine_serve_alarms(thread);
    if (atomic_load_explicit(&thread->power, memory_order_acquire) != HART_STARTED) {
        wait_for_start(thread);
        return;
    }
    if (thread->machine->config.virtual_time)
        set_stop(thread, most);
    if (!may_run(thread))
        return;
    switch (run_hart(thread)) {
    case HART_EXIT_POLL:
        break;
    case HART_EXIT_WFI:
        hart_thread_wait_for_interrupt(thread);
        break;
    case HART_EXIT_YIELD:
        if (thread->machine->config.cpus > 1)
            sched_yield();
        break;
    case HART_EXIT_SBI:
        sbi_call(thread);
        break;
    case HART_EXIT_DEBUG:
        report_debug_stop(thread);
        break;
    case HART_EXIT_TRAP: /* of process VMs only */
    case HART_EXIT_FAULT:
        break;
    }
}

static void *hart_thread_main(void *argument)
{
    struct hart_thread *thread = argument;

    atomic_store(&thread->thread_id, thread_id());
    if (thread->machine->config.enter)
        thread->machine->config.enter(thread->machine->config.owner);
    for (;;) {
        if (!has_goal_run(thread->machine) && !wait_to_run(thread->machine))
            return NULL;
        run_once(thread, UINT64_MAX);
    }
}

static uint64_t read_time(void *owner)
{
    const struct hart_thread *thread = owner;

    return machine_ticks(thread->machine);
}

int harts_create(struct machine *machine, struct error *err)
{
    const struct machine_config *config = &machine->config;
    size_t pages = config->cpus > MANY_HARTS ? CODE_PAGES_MANY_HARTS : CODE_PAGES;

    size_t hart_size = config->translate ? translator_hart_size() : sizeof(struct hart);

    if (config->translate) {
        int result = translator_create(&config->translator, &machine->translator, err);
        if (result < 0)
            return result;
    }
    for (unsigned i = 0; i < config->cpus; i++) {
        struct hart_thread *thread = &machine->harts[i];
        thread->machine = machine;
        thread->index = i;
        parker_init(&thread->parker);
        atomic_store(&thread->mtimer, ALARM_NEVER);
        thread->sbi_timer = ALARM_NEVER;
        if (posix_memalign((void **)&thread->hart, 64, hart_size) != 0)
            return error_set(err, -ENOMEM, "cannot create hart %u: out of memory", i);
        thread->code_memory = map_lazy(code_cache_size(pages), "predecoded code", err);
        if (!thread->code_memory)
            return -ENOMEM;
        struct hart_config hart_config = {
            .id = i,
            .extensions = config->extensions,
            .widest_satp = config->widest_satp,
            .reset_pc = MACHINE_RAM_BASE,
            .space = &machine->space,
            .ports = {.read_time = read_time, .owner = thread},
            .sbi_in_host = config->boot.mode == FIRMWARE_BUILTIN,
            .code_memory = thread->code_memory,
            .code_pages = pages,
        };
        hart_init(thread->hart, &hart_config);
        if (machine->translator)
            translator_attach(machine->translator, thread->hart);
    }
    return 0;
}

int harts_start(struct machine *machine, struct error *err)
{
    for (unsigned i = 0; i < machine->config.cpus; i++) {
        struct hart_thread *thread = &machine->harts[i];
        char name[16] = "hart";
        name[4] = (char)('0' + i / 10);
        name[5] = (char)('0' + i % 10);
        int result = thread_start(&thread->thread, name, hart_thread_main, thread, err);
        if (result < 0)
            return result;
        thread->is_started = true;
    }
    return 0;
}

void harts_stop(struct machine *machine)
{
    pthread_mutex_lock(&machine->state_mutex);
    atomic_store(&machine->goal, GOAL_QUIT);
    pthread_cond_broadcast(&machine->state_changed);
    pthread_mutex_unlock(&machine->state_mutex);
    for (unsigned i = 0; i < machine->config.cpus; i++) {
        struct hart_thread *thread = &machine->harts[i];
        if (!thread->is_started)
            continue;
        hart_thread_wake(thread);
        pthread_join(thread->thread, NULL);
    }
}

void harts_destroy(struct machine *machine)
{
    for (unsigned i = 0; i < machine->config.cpus; i++) {
        struct hart_thread *thread = &machine->harts[i];
        if (!thread->hart)
            continue;
        size_t pages = thread->hart->config.code_pages;
        map_free(thread->code_memory, pages ? code_cache_size(pages) : 0);
        free(thread->hart);
        parker_fini(&thread->parker);
    }
    translator_destroy(machine->translator);
}

void machine_resume(struct machine *machine)
{
    pthread_mutex_lock(&machine->state_mutex);
    if (atomic_load(&machine->goal) == GOAL_PAUSE) {
        /* An event may have asked for a stop that is still under way. */
        while (machine->parked < machine->config.cpus)
            pthread_cond_wait(&machine->state_changed, &machine->state_mutex);
        machine_clock_run(machine, true);
        machine->resumed_at_ns = clock_monotonic_ns();
        atomic_store(&machine->goal, GOAL_RUN);
        pthread_cond_broadcast(&machine->state_changed);
    }
    pthread_mutex_unlock(&machine->state_mutex);
}

void machine_pause(struct machine *machine)
{
    pthread_mutex_lock(&machine->state_mutex);
    if (atomic_load(&machine->goal) == GOAL_RUN)
        atomic_store(&machine->goal, GOAL_PAUSE);
    pthread_mutex_unlock(&machine->state_mutex);
    machine_wake_all(machine);
    pthread_mutex_lock(&machine->state_mutex);
    while (machine->parked < machine->config.cpus)
        pthread_cond_wait(&machine->state_changed, &machine->state_mutex);
    if (!machine->clock.is_stopped) {
        machine_clock_run(machine, false);
        machine->run_ns += clock_monotonic_ns() - machine->resumed_at_ns;
    }
    pthread_mutex_unlock(&machine->state_mutex);
}

bool machine_is_running(const struct machine *machine)
{
    return has_goal_run(machine);
}

int machine_hart_thread_id(const struct machine *machine, unsigned index)
{
    return atomic_load(&machine->harts[index].thread_id);
}

void machine_run(struct machine *machine, unsigned index, uint64_t instructions)
{
    struct hart_thread *thread = &machine->harts[index];
    uint64_t end = thread->hart->icount + instructions;

    while (thread->hart->icount < end && machine->event_count == 0)
        run_once(thread, end);
}

void machine_step(struct machine *machine, unsigned index)
{
    struct hart_thread *thread = &machine->harts[index];

    machine_serve_alarms(thread);
    if (hart_step(thread->hart, false) == HART_EXIT_SBI)
        sbi_call(thread);
}
