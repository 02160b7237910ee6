/* SPDX-License-Identifier: Apache-2.0
 * Our own SBI (RISC-V Supervisor Binary Interface 2.0), for machines without
 * firmware: base, TIME, IPI, RFENCE, HSM, SRST, DBCN, SUSP, PMU and the legacy
 * calls. Runs on the calling hart's thread. */
#include "base/endian.h"
#include "machine/machine_internal.h"
#include "mem/dma.h"

#include <sched.h>

#define SBI_VERSION_2_0            0x02000000
/* Not a registered number; spells "dop". */
#define SBI_IMPLEMENTATION_ID      0x646f70
#define SBI_IMPLEMENTATION_VERSION 1
#define PMU_COUNTERS               3 /* cycle, (time), instret: as their CSRs are numbered */

enum sbi_error {
    SBI_SUCCESS = 0,
    SBI_ERR_FAILED = -1,
    SBI_ERR_NOT_SUPPORTED = -2,
    SBI_ERR_INVALID_PARAM = -3,
    SBI_ERR_INVALID_ADDRESS = -5,
    SBI_ERR_ALREADY_AVAILABLE = -6,
};

struct sbi_result {
    int64_t error;
    uint64_t value;
};

typedef struct sbi_result sbi_function(struct hart_thread *thread, uint64_t function,
                                       const uint64_t *a);

static const struct sbi_result unsupported = {SBI_ERR_NOT_SUPPORTED, 0};
static const struct sbi_result invalid = {SBI_ERR_INVALID_PARAM, 0};

static struct sbi_result success(uint64_t value)
{
    return (struct sbi_result){SBI_SUCCESS, value};
}

static bool is_known_extension(uint64_t id);

static struct sbi_result base(struct hart_thread *thread, uint64_t function, const uint64_t *a)
{
    static const unsigned id_csrs[] = {0xf11, 0xf12, 0xf13};
    uint64_t value = 0;

    switch (function) {
    case 0:
        return success(SBI_VERSION_2_0);
    case 1:
        return success(SBI_IMPLEMENTATION_ID);
    case 2:
        return success(SBI_IMPLEMENTATION_VERSION);
    case 3:
        return success(is_known_extension(a[0]));
    case 4:
    case 5:
    case 6:
        if (!csr_peek(thread->hart, id_csrs[function - 4], &value))
            return unsupported;
        return success(value);
    default:
        return unsupported;
    }
}

/* ---- TIME ---- */

/* With Sstc the hart compares by itself; without, our alarm sets STIP. */
static void set_timer(struct hart_thread *thread, uint64_t deadline)
{
    struct hart *hart = thread->hart;

    hart->stimecmp = deadline;
    if (hart->menvcfg & MENVCFG_STCE)
        return;
    atomic_fetch_and(&hart->mip, ~IRQ_STIP);
    thread->sbi_timer = deadline;
}

static struct sbi_result time_call(struct hart_thread *thread, uint64_t function, const uint64_t *a)
{
    if (function != 0)
        return unsupported;
    set_timer(thread, a[0]);
    return success(0);
}

/* ---- hart masks ---- */

struct hart_set {
    uint64_t harts; /* bit per hart index */
    bool is_valid;
};

static struct hart_set hart_mask(const struct machine *machine, uint64_t mask, uint64_t base_hart)
{
    unsigned cpus = machine->config.cpus;

    if (base_hart == UINT64_MAX)
        return (struct hart_set){bits_mask(cpus), true};
    if (base_hart >= cpus)
        return (struct hart_set){0, false};
    uint64_t harts = mask << base_hart;
    bool fits = harts >> base_hart == mask && (harts & ~bits_mask(cpus)) == 0;
    return (struct hart_set){harts, fits};
}

static struct sbi_result send_ipi(struct machine *machine, struct hart_set set)
{
    if (!set.is_valid)
        return invalid;
    for (unsigned i = 0; i < machine->config.cpus; i++) {
        if (!((set.harts >> i) & 1))
            continue;
        hart_raise(machine->harts[i].hart, IRQ_SSIP);
        hart_thread_wake(&machine->harts[i]);
    }
    return success(0);
}

static struct sbi_result ipi(struct hart_thread *thread, uint64_t function, const uint64_t *a)
{
    if (function != 0)
        return unsupported;
    return send_ipi(thread->machine, hart_mask(thread->machine, a[0], a[1]));
}

/* ---- RFENCE ---- */

/* A hart that sleeps or is stopped does what is requested before its next
 * instruction, so nobody needs to wait for it. */
static bool must_wait_for(const struct hart_thread *target, uint32_t requests)
{
    return (atomic_load(&target->hart->requests) & requests) && !atomic_load(&target->sleeping);
}

static struct sbi_result remote_fence(struct hart_thread *thread, struct hart_set set,
                                      uint32_t requests)
{
    struct machine *machine = thread->machine;

    if (!set.is_valid)
        return invalid;
    for (unsigned i = 0; i < machine->config.cpus; i++) {
        if (!((set.harts >> i) & 1))
            continue;
        hart_request(machine->harts[i].hart, requests);
        if (i != thread->index)
            hart_thread_wake(&machine->harts[i]);
    }
    hart_serve_requests(thread->hart);
    for (unsigned i = 0; i < machine->config.cpus; i++) {
        while (((set.harts >> i) & 1) && must_wait_for(&machine->harts[i], requests)) {
            /* The other may be waiting for us; and a machine that is pausing
             * has parked it with its request noted. */
            hart_serve_requests(thread->hart);
            if (!machine_is_running(machine))
                break;
            sched_yield();
        }
    }
    return success(0);
}

static struct sbi_result rfence(struct hart_thread *thread, uint64_t function, const uint64_t *a)
{
    if (function > 2) /* the rest is for hypervisors */
        return unsupported;
    return remote_fence(thread, hart_mask(thread->machine, a[0], a[1]),
                        function == 0 ? HART_REQUEST_FENCE_I : HART_REQUEST_SFENCE);
}

/* ---- HSM ---- */

static bool is_ram_address(struct machine *machine, uint64_t address)
{
    return space_ram(&machine->space, address, 2) != NULL;
}

static struct sbi_result hart_start(struct machine *machine, const uint64_t *a)
{
    if (a[0] >= machine->config.cpus)
        return invalid;
    struct hart_thread *target = &machine->harts[a[0]];
    if (!is_ram_address(machine, a[1]))
        return (struct sbi_result){SBI_ERR_INVALID_ADDRESS, 0};
    if (atomic_load(&target->power) != HART_STOPPED)
        return (struct sbi_result){SBI_ERR_ALREADY_AVAILABLE, 0};
    machine_lock_devices(machine); /* two harts may start the same third */
    uint32_t stopped = HART_STOPPED;
    bool is_ours = atomic_load(&target->power) == stopped;
    if (is_ours) {
        target->start_address = a[1];
        target->start_opaque = a[2];
        atomic_store(&target->power, HART_START_PENDING);
    }
    machine_unlock_devices(machine);
    if (!is_ours)
        return (struct sbi_result){SBI_ERR_ALREADY_AVAILABLE, 0};
    hart_thread_wake(target);
    return success(0);
}

#define SUSPEND_RETENTIVE     0x00000000u
#define SUSPEND_NON_RETENTIVE 0x80000000u

/* Sleeps like WFI; the non-retentive kind then enters at the resume address. */
static struct sbi_result suspend(struct hart_thread *thread, uint64_t type, uint64_t address,
                                 uint64_t opaque)
{
    if (type == SUSPEND_RETENTIVE) {
        hart_thread_wait_for_interrupt(thread);
        return success(0);
    }
    if (type != SUSPEND_NON_RETENTIVE)
        return invalid;
    if (!is_ram_address(thread->machine, address))
        return (struct sbi_result){SBI_ERR_INVALID_ADDRESS, 0};
    thread->start_address = address;
    thread->start_opaque = opaque;
    atomic_store(&thread->power, HART_SUSPENDED);
    return success(0);
}

static struct sbi_result hsm(struct hart_thread *thread, uint64_t function, const uint64_t *a)
{
    struct machine *machine = thread->machine;

    switch (function) {
    case 0:
        return hart_start(machine, a);
    case 1:
        atomic_store(&thread->power, HART_STOPPED);
        return success(0);
    case 2:
        if (a[0] >= machine->config.cpus)
            return invalid;
        return success(atomic_load(&machine->harts[a[0]].power));
    case 3:
        return suspend(thread, (uint32_t)a[0], a[1], a[2]);
    default:
        return unsupported;
    }
}

/* ---- SRST, SUSP ---- */

static void request_power(struct machine *machine, enum power_event power, unsigned code)
{
    struct machine_event event = {.kind = MACHINE_EVENT_POWER, .power = power, .code = code};

    machine_post_event(machine, &event);
}

static struct sbi_result system_reset(struct hart_thread *thread, uint64_t function,
                                      const uint64_t *a)
{
    if (function != 0)
        return unsupported;
    if (a[0] > 2 || (a[1] > 1 && a[1] < 0xe0000000u))
        return invalid;
    if (a[0] == 0)
        request_power(thread->machine, a[1] ? POWER_FAIL : POWER_OFF, a[1] ? 1 : 0);
    else
        request_power(thread->machine, POWER_RESET, 0);
    return success(0);
}

static struct sbi_result system_suspend(struct hart_thread *thread, uint64_t function,
                                        const uint64_t *a)
{
    struct machine *machine = thread->machine;

    if (function != 0)
        return unsupported;
    if (a[0] != 0)
        return invalid;
    for (unsigned i = 0; i < machine->config.cpus; i++)
        if (i != thread->index && atomic_load(&machine->harts[i].power) != HART_STOPPED)
            return (struct sbi_result){SBI_ERR_FAILED, 0};
    return suspend(thread, SUSPEND_NON_RETENTIVE, a[1], a[2]);
}

/* ---- consoles ---- */

/* The debug console shares the UART's way out, past its registers. */
static size_t console_write(struct machine *machine, const uint8_t *bytes, size_t size)
{
    const struct stream_port *out = &machine->config.serial;

    if (!out->write)
        return size;
    machine_lock_devices(machine);
    size_t taken = out->write(out->owner, bytes, size);
    machine_unlock_devices(machine);
    return taken;
}

static struct sbi_result debug_console(struct hart_thread *thread, uint64_t function,
                                       const uint64_t *a)
{
    struct machine *machine = thread->machine;

    switch (function) {
    case 0: {
        uint64_t size = MIN(a[0], PAGE_SIZE);
        const uint8_t *bytes = a[2] == 0 ? dma_map(&machine->space, a[1], size) : NULL;
        if (!bytes)
            return invalid;
        return success(console_write(machine, bytes, size));
    }
    case 1: /* input belongs to the UART */
        return success(0);
    case 2: {
        uint8_t byte = (uint8_t)a[0];
        console_write(machine, &byte, 1);
        return success(0);
    }
    default:
        return unsupported;
    }
}

/* ---- PMU ---- */

#define PMU_EVENT_CYCLES       1
#define PMU_EVENT_INSTRUCTIONS 2
#define PMU_FLAG_SET_INITIAL   BIT(0)

static uint64_t counters_of_event(uint64_t event)
{
    return event == PMU_EVENT_CYCLES ? BIT(0) : event == PMU_EVENT_INSTRUCTIONS ? BIT(2) : 0;
}

static struct sbi_result pmu_start(struct hart_thread *thread, const uint64_t *a)
{
    uint64_t counters = a[0] < 64 ? a[1] << a[0] : 0;

    if (!counters || (counters & ~UINT64_C(5)))
        return invalid;
    for (unsigned i = 0; i < PMU_COUNTERS; i++)
        if ((counters >> i) & 1 && (a[2] & PMU_FLAG_SET_INITIAL))
            csr_poke(thread->hart, 0xb00 + i, a[3]);
    return success(0);
}

static struct sbi_result pmu(struct hart_thread *thread, uint64_t function, const uint64_t *a)
{
    switch (function) {
    case 0:
        return success(PMU_COUNTERS);
    case 1: /* bits 11:0 CSR, 17:12 width - 1 */
        if (a[0] >= PMU_COUNTERS || a[0] == 1)
            return invalid;
        return success((0xc00 + a[0]) | 63u << 12);
    case 2: {
        uint64_t wanted = a[0] < 64 ? a[1] << a[0] : 0;
        uint64_t found = wanted & counters_of_event(a[3]);
        return found ? success((uint64_t)__builtin_ctzll(found)) : unsupported;
    }
    case 3:
        return pmu_start(thread, a);
    case 4: /* they never stop; a stopped one is one nobody reads */
        return success(0);
    default:
        return unsupported;
    }
}

/* ---- legacy (SBI 0.1): the result is in a0 alone ---- */

enum legacy_call {
    LEGACY_SET_TIMER,
    LEGACY_PUTCHAR,
    LEGACY_GETCHAR,
    LEGACY_CLEAR_IPI,
    LEGACY_SEND_IPI,
    LEGACY_FENCE_I,
    LEGACY_SFENCE_VMA,
    LEGACY_SFENCE_VMA_ASID,
    LEGACY_SHUTDOWN,
};

/* The legacy calls pass the virtual address of a mask; 0 means all harts. */
static struct hart_set legacy_mask(struct hart_thread *thread, uint64_t address)
{
    struct machine *machine = thread->machine;
    uint64_t mask = 0;
    gpa_t pa;

    if (address == 0)
        return (struct hart_set){bits_mask(machine->config.cpus), true};
    if (!mmu_peek(thread->hart, address, &pa) ||
        !dma_read(&machine->space, pa, &mask, sizeof(mask)))
        return (struct hart_set){0, false};
    return (struct hart_set){mask & bits_mask(machine->config.cpus), true};
}

static int64_t legacy(struct hart_thread *thread, enum legacy_call call, const uint64_t *a)
{
    struct machine *machine = thread->machine;
    uint8_t byte = (uint8_t)a[0];

    switch (call) {
    case LEGACY_SET_TIMER:
        set_timer(thread, a[0]);
        return 0;
    case LEGACY_PUTCHAR:
        console_write(machine, &byte, 1);
        return 0;
    case LEGACY_GETCHAR: /* input belongs to the UART */
        return -1;
    case LEGACY_CLEAR_IPI:
        atomic_fetch_and(&thread->hart->mip, ~IRQ_SSIP);
        return 0;
    case LEGACY_SEND_IPI:
        return send_ipi(machine, legacy_mask(thread, a[0])).error;
    case LEGACY_FENCE_I:
        return remote_fence(thread, legacy_mask(thread, a[0]), HART_REQUEST_FENCE_I).error;
    case LEGACY_SFENCE_VMA:
    case LEGACY_SFENCE_VMA_ASID:
        return remote_fence(thread, legacy_mask(thread, a[0]), HART_REQUEST_SFENCE).error;
    case LEGACY_SHUTDOWN:
        request_power(machine, POWER_OFF, 0);
        return 0;
    }
    return SBI_ERR_NOT_SUPPORTED;
}

/* ---- dispatch ---- */

static const struct {
    uint64_t id;
    sbi_function *call;
} extensions[] = {
    {0x10, base},
    {0x54494d45, time_call},
    {0x735049, ipi},
    {0x52464e43, rfence},
    {0x48534d, hsm},
    {0x53525354, system_reset},
    {0x4442434e, debug_console},
    {0x53555350, system_suspend},
    {0x504d55, pmu},
};

static sbi_function *find_extension(uint64_t id)
{
    for (unsigned i = 0; i < ARRAY_LEN(extensions); i++)
        if (extensions[i].id == id)
            return extensions[i].call;
    return NULL;
}

static bool is_known_extension(uint64_t id)
{
    return id <= LEGACY_SHUTDOWN || find_extension(id);
}

void sbi_call(struct hart_thread *thread)
{
    struct hart *hart = thread->hart;
    uint64_t arguments[6];
    uint64_t id = hart->x[17];
    uint64_t function = hart->x[16];

    for (unsigned i = 0; i < ARRAY_LEN(arguments); i++)
        arguments[i] = hart->x[10 + i];
    hart->pc += 4;
    hart->icount++;
    if (id <= LEGACY_SHUTDOWN) {
        hart->x[10] = (uint64_t)legacy(thread, (enum legacy_call)id, arguments);
        return;
    }
    sbi_function *call = find_extension(id);
    struct sbi_result result = call ? call(thread, function, arguments) : unsupported;
    hart->x[10] = (uint64_t)result.error;
    hart->x[11] = result.value;
}
