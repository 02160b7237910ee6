/* SPDX-License-Identifier: Apache-2.0
 * Guest time. Real: the host's monotonic clock, standing still while the machine
 * is paused. Virtual: executed instructions, and what waits skip. */
#include "host/clock.h"
#include "machine/machine_internal.h"

/* 2025-01-01, where the real-time clock of a virtual-time machine starts. */
#define VIRTUAL_EPOCH_NS (UINT64_C(1735689600) * 1000000000u)

static uint64_t virtual_ticks(const struct machine *machine)
{
    const struct hart *hart = machine->harts[0].hart;

    return (hart->icount + hart->traps) / VIRTUAL_INSTRUCTIONS_PER_TICK + machine->clock.skew_ticks;
}

uint64_t machine_ticks(const struct machine *machine)
{
    const struct machine_clock *clock = &machine->clock;

    if (machine->config.virtual_time)
        return virtual_ticks(machine);
    if (clock->is_stopped)
        return clock->base_ticks;
    return clock->base_ticks + (clock_monotonic_ns() - clock->base_ns) / BOARD_NS_PER_TICK;
}

void machine_clock_set(struct machine *machine, uint64_t ticks)
{
    struct machine_clock *clock = &machine->clock;

    if (machine->config.virtual_time) {
        clock->skew_ticks += ticks - virtual_ticks(machine);
        return;
    }
    clock->base_ns = clock_monotonic_ns();
    clock->base_ticks = ticks;
}

void machine_clock_run(struct machine *machine, bool run)
{
    machine_clock_set(machine, machine_ticks(machine));
    machine->clock.is_stopped = !run;
}

uint64_t machine_rtc_ns(const struct machine *machine)
{
    if (machine->config.virtual_time)
        return VIRTUAL_EPOCH_NS + machine_ticks(machine) * BOARD_NS_PER_TICK;
    return clock_realtime_ns();
}

uint64_t machine_host_deadline(const struct machine *machine, uint64_t ticks)
{
    uint64_t now = machine_ticks(machine);
    uint64_t wait;
    uint64_t deadline;

    if (ticks == UINT64_MAX)
        return UINT64_MAX;
    if (ticks <= now)
        return 0;
    /* Rounded up by the tick that is running: waking early would spin. */
    if (__builtin_mul_overflow(ticks - now + 1, (uint64_t)BOARD_NS_PER_TICK, &wait) ||
        __builtin_add_overflow(clock_monotonic_ns(), wait, &deadline))
        return UINT64_MAX;
    return deadline;
}

uint64_t machine_next_deadline(const struct hart_thread *thread)
{
    uint64_t deadline = hart_next_deadline(thread->hart);
    uint64_t mtimer = atomic_load(&thread->mtimer);

    deadline = MIN(deadline, MIN(mtimer, thread->sbi_timer));
    if (thread->index == 0)
        deadline = MIN(deadline, atomic_load(&thread->machine->rtc_deadline));
    return deadline;
}

void machine_serve_alarms(struct hart_thread *thread)
{
    struct machine *machine = thread->machine;
    uint64_t mtimer = atomic_load(&thread->mtimer);
    uint64_t rtc = thread->index == 0 ? atomic_load(&machine->rtc_deadline) : ALARM_NEVER;

    if (MIN(MIN(mtimer, rtc), thread->sbi_timer) == ALARM_NEVER)
        return;
    uint64_t now = machine_ticks(machine);
    if (now >= thread->sbi_timer) {
        thread->sbi_timer = ALARM_NEVER;
        hart_raise(thread->hart, IRQ_STIP);
    }
    if (now < mtimer && now < rtc)
        return;
    machine_lock_devices(machine);
    /* Compared again under the lock: the guest may have moved the deadline. */
    if (now >= mtimer && atomic_compare_exchange_strong(&thread->mtimer, &mtimer, ALARM_NEVER))
        aclint_alarm(&machine->aclint, thread->index);
    if (now >= rtc && atomic_compare_exchange_strong(&machine->rtc_deadline, &rtc, ALARM_NEVER))
        goldfish_alarm(&machine->rtc, 0);
    machine_unlock_devices(machine);
}
