/* SPDX-License-Identifier: Apache-2.0
 * Creating, resetting, saving and loading a machine. */
#include "base/bytes.h"
#include "host/map.h"
#include "machine/machine_internal.h"
#include "mem/dma.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void machine_lock_devices(struct machine *machine)
{
    pthread_mutex_lock(&machine->device_lock);
}

void machine_unlock_devices(struct machine *machine)
{
    pthread_mutex_unlock(&machine->device_lock);
}

/* A back end may write to RAM until its requests are done. */
static void drain_disks(const struct machine *machine)
{
    for (unsigned i = 0; i < machine->config.disk_count; i++) {
        const struct block_port *port = &machine->config.disks[i].port;
        if (port->drain)
            port->drain(port->owner);
    }
}

static void reset_harts(struct machine *machine)
{
    bool only_first = machine->config.boot.mode == FIRMWARE_BUILTIN;

    for (unsigned i = 0; i < machine->config.cpus; i++) {
        hart_reset(machine->harts[i].hart);
        machine->harts[i].sbi_timer = ALARM_NEVER;
        atomic_store(&machine->harts[i].power, only_first && i > 0 ? HART_STOPPED : HART_STARTED);
    }
}

int machine_reset(struct machine *machine, struct error *err)
{
    int result = boot_check(machine, err);

    if (result < 0)
        return result;
    drain_disks(machine);
    if (machine->translator)
        translator_forget(machine->translator);
    board_reset(machine); /* what devices have under way reaches memory no more */
    map_clear(machine->ram, machine->config.memory_bytes);
    map_clear(machine->rom, BOARD_ROM_SIZE);
    reset_harts(machine);
    result = boot_load(machine, err);
    pthread_mutex_lock(&machine->state_mutex);
    machine->power_pending = false;
    machine->event_count = 0;
    pthread_mutex_unlock(&machine->state_mutex);
    return result;
}

static int build(struct machine *machine, struct error *err)
{
    int result = harts_create(machine, err);

    if (result == 0)
        result = board_create(machine, err);
    if (result == 0)
        result = boot_prepare(machine, err);
    if (result < 0)
        return result;
    board_add_htif(machine);
    result = machine_reset(machine, err);
    boot_release(machine);
    return result < 0 ? result : harts_start(machine, err);
}

int machine_create(const struct machine_config *config, struct machine **out, struct error *err)
{
    struct machine *machine = calloc(1, sizeof(*machine));

    if (!machine)
        return error_set(err, -ENOMEM, "cannot create the machine: out of memory");
    machine->config = *config;
    pthread_mutex_init(&machine->device_lock, NULL);
    pthread_mutex_init(&machine->state_mutex, NULL);
    pthread_cond_init(&machine->state_changed, NULL);
    machine->clock.is_stopped = true;
    int result = build(machine, err);
    if (result < 0) {
        machine_destroy(machine);
        return result;
    }
    *out = machine;
    return 0;
}

void machine_destroy(struct machine *machine)
{
    if (!machine)
        return;
    harts_stop(machine);
    drain_disks(machine); /* a request that ends interrupts a hart */
    harts_destroy(machine);
    boot_free(machine);
    board_destroy(machine);
    pthread_cond_destroy(&machine->state_changed);
    pthread_mutex_destroy(&machine->state_mutex);
    pthread_mutex_destroy(&machine->device_lock);
    free(machine);
}

struct machine_event machine_take_event(struct machine *machine)
{
    struct machine_event event = {.kind = MACHINE_EVENT_NONE};

    pthread_mutex_lock(&machine->state_mutex);
    if (machine->event_count) {
        event = machine->events[0];
        machine->event_count--;
        memmove(machine->events, machine->events + 1,
                machine->event_count * sizeof(machine->events[0]));
    }
    pthread_mutex_unlock(&machine->state_mutex);
    return event;
}

struct stream_handler machine_serial_handler(struct machine *machine)
{
    return ns16550_handler(&machine->uart);
}

struct stream_handler machine_console_handler(struct machine *machine)
{
    return virtio_console_handler(&machine->console);
}

struct stream_handler machine_htif_handler(struct machine *machine)
{
    return machine->has_htif ? htif_handler(&machine->htif) : (struct stream_handler){0};
}

struct files_handler machine_share_handler(struct machine *machine, unsigned index)
{
    return virtio_fs_handler(&machine->shares[index].fs);
}

struct net_handler machine_net_handler(struct machine *machine, unsigned index)
{
    return virtio_net_handler(&machine->nets[index].net);
}

struct vsock_handler machine_vsock_handler(struct machine *machine)
{
    return virtio_vsock_handler(&machine->vsock);
}

bool machine_set_memory_target(struct machine *machine, uint64_t bytes)
{
    uint64_t memory = machine->config.memory_bytes;

    if (!machine->config.balloon)
        return false;
    machine_lock_devices(machine);
    virtio_balloon_set_target(&machine->balloon, memory - MIN(bytes, memory));
    machine_unlock_devices(machine);
    return true;
}

struct machine_memory machine_memory(struct machine *machine)
{
    const struct virtio_balloon *balloon = &machine->balloon;
    uint64_t memory = machine->config.memory_bytes;

    if (!machine->config.balloon)
        return (struct machine_memory){.target = memory, .actual = memory};
    machine_lock_devices(machine);
    struct machine_memory figures = {
        .target = memory - ((uint64_t)balloon->target_pages << PAGE_SHIFT),
        .actual = memory - MIN((uint64_t)balloon->actual_pages << PAGE_SHIFT, memory),
        .free = balloon->stats[BALLOON_FREE],
        .available = balloon->stats[BALLOON_AVAILABLE],
        .returned = balloon->discarded_bytes,
    };
    virtio_balloon_ask_stats(&machine->balloon);
    machine_unlock_devices(machine);
    return figures;
}

unsigned machine_hart_count(const struct machine *machine)
{
    return machine->config.cpus;
}

struct hart *machine_hart(struct machine *machine, unsigned index)
{
    return machine->harts[index].hart;
}

/* RAM itself, also where a device such as HTIF lies over it. */
static uint8_t *ram_at(struct machine *machine, gpa_t at, uint64_t size)
{
    uint64_t offset = at - MACHINE_RAM_BASE;

    if (offset >= machine->config.memory_bytes || size > machine->config.memory_bytes - offset)
        return NULL;
    return machine->ram + offset;
}

void machine_press_power_button(struct machine *machine)
{
    machine_lock_devices(machine);
    if (machine->config.power_button)
        virtio_input_press(&machine->power_button);
    machine_unlock_devices(machine);
}

bool machine_read_ram(struct machine *machine, gpa_t at, void *to, uint64_t size)
{
    const uint8_t *from = ram_at(machine, at, size);

    if (from)
        memcpy(to, from, size);
    return from;
}

bool machine_write_ram(struct machine *machine, gpa_t at, const void *from, uint64_t size)
{
    uint8_t *to = ram_at(machine, at, size);

    if (!to)
        return false;
    memcpy(to, from, size);
    dma_written(&machine->space, at, size);
    for (unsigned i = 0; i < machine->config.cpus; i++)
        hart_request(machine->harts[i].hart, HART_REQUEST_FENCE_I);
    return true;
}

bool machine_find_symbol(const struct machine *machine, const char *name, gpa_t *value)
{
    for (unsigned i = 0; i < MAX_SYMBOL_NAMES; i++) {
        const struct boot_symbol *symbol = &machine->boot.symbols[i];
        if (symbol->exists && strcmp(symbol->name, name) == 0) {
            *value = symbol->value;
            return true;
        }
    }
    return false;
}

struct machine_stats machine_stats(const struct machine *machine)
{
    struct machine_stats stats = {.run_ns = machine->run_ns, .translates = machine->translator};

    if (machine->translator)
        stats.translator = translator_stats(machine->translator);

    for (unsigned i = 0; i < machine->config.cpus; i++) {
        stats.instructions += machine->harts[i].hart->icount;
        stats.traps += machine->harts[i].hart->traps;
    }
    return stats;
}

/* ---- saved state ---- */

/* What is neither a hart's nor a device's. */
struct machine_core {
    uint64_t memory_bytes;
    uint64_t ticks;
    uint32_t cpus;
    uint32_t device_count;
    uint32_t power[MACHINE_MAX_HARTS];
    uint64_t start_address[MACHINE_MAX_HARTS];
    uint64_t start_opaque[MACHINE_MAX_HARTS];
    uint64_t sbi_timer[MACHINE_MAX_HARTS];
};

static const struct state_field core_fields[] = {
    STATE_FIELD(struct machine_core, memory_bytes), STATE_FIELD(struct machine_core, ticks),
    STATE_FIELD(struct machine_core, cpus),         STATE_FIELD(struct machine_core, device_count),
    STATE_ARRAY(struct machine_core, power),        STATE_ARRAY(struct machine_core, start_address),
    STATE_ARRAY(struct machine_core, start_opaque), STATE_ARRAY(struct machine_core, sbi_timer),
};
static const struct state_table core_state = STATE_TABLE("machine", 1, core_fields);

/* RAM is saved page by page, without the pages that are all zero: page number,
 * then its bytes; the number after the last page ends the list. */
static void save_ram(const struct machine *machine, struct writer *w)
{
    static const uint8_t zero[PAGE_SIZE];
    uint64_t pages = machine->config.memory_bytes / PAGE_SIZE;

    for (uint64_t i = 0; i < pages; i++) {
        const uint8_t *page = machine->ram + i * PAGE_SIZE;
        if (memcmp(page, zero, PAGE_SIZE) == 0)
            continue;
        writer_le64(w, i);
        writer_bytes(w, page, PAGE_SIZE);
    }
    writer_le64(w, pages);
    writer_bytes(w, machine->rom, BOARD_ROM_SIZE);
}

static int load_ram(struct machine *machine, struct reader *r, struct error *err)
{
    uint64_t pages = machine->config.memory_bytes / PAGE_SIZE;

    map_clear(machine->ram, machine->config.memory_bytes);
    for (;;) {
        uint64_t i = reader_le64(r);
        if (r->bad || i > pages)
            return error_set(err, -EPROTO, "saved state: the memory image is damaged");
        if (i == pages)
            break;
        reader_copy(r, machine->ram + i * PAGE_SIZE, PAGE_SIZE);
    }
    reader_copy(r, machine->rom, BOARD_ROM_SIZE);
    return r->bad ? error_set(err, -EPROTO, "saved state: the memory image ends early") : 0;
}

void machine_save(struct machine *machine, struct writer *w)
{
    struct machine_core core = {
        .memory_bytes = machine->config.memory_bytes,
        .ticks = machine_ticks(machine),
        .cpus = machine->config.cpus,
        .device_count = machine->device_count,
    };

    drain_disks(machine);
    for (unsigned i = 0; i < core.cpus; i++) {
        core.power[i] = atomic_load(&machine->harts[i].power);
        core.start_address[i] = machine->harts[i].start_address;
        core.start_opaque[i] = machine->harts[i].start_opaque;
        core.sbi_timer[i] = machine->harts[i].sbi_timer;
    }
    state_save(&core_state, &core, w);
    for (unsigned i = 0; i < core.cpus; i++)
        state_save(&hart_state, machine->harts[i].hart, w);
    machine_lock_devices(machine);
    for (unsigned i = 0; i < machine->device_count; i++)
        if (machine->devices[i].ops->state)
            state_save(machine->devices[i].ops->state, machine->devices[i].object, w);
    machine_unlock_devices(machine);
    save_ram(machine, w);
}

static int load_core(struct machine *machine, struct reader *r, struct error *err,
                     struct machine_core *core)
{
    int result = state_load(&core_state, core, r, err);

    if (result < 0)
        return result;
    if (core->memory_bytes != machine->config.memory_bytes || core->cpus != machine->config.cpus ||
        core->device_count != machine->device_count)
        return error_set(
            err, -EPROTO, "saved state: it is of a machine with %u harts, %llu MiB and %u devices",
            core->cpus, (unsigned long long)(core->memory_bytes >> 20), core->device_count);
    for (unsigned i = 0; i < core->cpus; i++)
        if (core->power[i] > HART_SUSPENDED || core->power[i] == 3)
            return error_set(err, -EPROTO, "saved state: hart %u is in no possible state", i);
    return 0;
}

static int load_devices(struct machine *machine, struct reader *r, struct error *err)
{
    int result = 0;

    machine_lock_devices(machine);
    for (unsigned i = 0; result == 0 && i < machine->device_count; i++)
        if (machine->devices[i].ops->state)
            result = state_load(machine->devices[i].ops->state, machine->devices[i].object, r, err);
    machine_unlock_devices(machine);
    return result;
}

/* Once memory is there too: rings are mapped, lines and alarms set again. */
static int devices_loaded(struct machine *machine, struct error *err)
{
    int result = 0;

    machine_lock_devices(machine);
    for (unsigned i = 0; result == 0 && i < machine->device_count; i++)
        if (machine->devices[i].ops->loaded)
            result = machine->devices[i].ops->loaded(machine->devices[i].object, err);
    machine_unlock_devices(machine);
    return result;
}

int machine_load(struct machine *machine, struct reader *r, struct error *err)
{
    struct machine_core core;
    drain_disks(machine);
    int result = load_core(machine, r, err, &core);

    for (unsigned i = 0; result == 0 && i < core.cpus; i++) {
        struct hart_thread *thread = &machine->harts[i];
        atomic_store(&thread->power, core.power[i]);
        thread->start_address = core.start_address[i];
        thread->start_opaque = core.start_opaque[i];
        thread->sbi_timer = core.sbi_timer[i];
        result = state_load(&hart_state, machine->harts[i].hart, r, err);
    }
    if (result == 0)
        result = load_devices(machine, r, err);
    if (result == 0)
        result = load_ram(machine, r, err);
    if (machine->translator)
        translator_forget(machine->translator);
    machine_clock_set(machine, core.ticks);
    for (unsigned i = 0; result == 0 && i < core.cpus; i++)
        result = hart_loaded(machine->harts[i].hart, err);
    if (result == 0)
        result = devices_loaded(machine, err);
    return result;
}
