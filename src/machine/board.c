/* SPDX-License-Identifier: Apache-2.0
 * The board: which devices there are, where they lie and how they are wired. */
#include "host/map.h"
#include "machine/machine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- wires ---- */

static void set_hart_line(void *owner, unsigned irq, bool level)
{
    struct hart_thread *thread = owner;

    if (hart_set_irq_line(thread->hart, BIT(irq), level) && level)
        hart_thread_wake(thread);
}

static struct irq_line hart_line(struct hart_thread *thread, unsigned irq)
{
    return (struct irq_line){.set = set_hart_line, .owner = thread, .number = irq};
}

static struct irq_line plic_source(struct machine *machine, unsigned source)
{
    return (struct irq_line){.set = plic_set_source, .owner = &machine->plic, .number = source};
}

static uint64_t ticks_now(void *owner)
{
    return machine_ticks(owner);
}

static void set_mtimer(void *owner, unsigned hart, uint64_t deadline)
{
    struct machine *machine = owner;

    atomic_store(&machine->harts[hart].mtimer, deadline);
    if (machine->harts[hart].hart)
        hart_thread_wake(&machine->harts[hart]);
}

static void set_ticks(void *owner, uint64_t ticks)
{
    machine_clock_set(owner, ticks);
}

static uint64_t rtc_now(void *owner)
{
    return machine_rtc_ns(owner);
}

static void set_rtc_alarm(void *owner, unsigned id, uint64_t deadline_ns)
{
    struct machine *machine = owner;
    uint64_t deadline = ALARM_NEVER;
    uint64_t now = machine_rtc_ns(machine);

    (void)id;
    if (deadline_ns != ALARM_NEVER)
        deadline = machine_ticks(machine) +
                   (deadline_ns > now ? (deadline_ns - now) / BOARD_NS_PER_TICK + 1 : 0);
    atomic_store(&machine->rtc_deadline, deadline);
    if (machine->harts[0].hart)
        hart_thread_wake(&machine->harts[0]);
}

static void power_request(void *owner, enum power_event event, unsigned code)
{
    struct machine_event report = {.kind = MACHINE_EVENT_POWER, .power = event, .code = code};

    machine_post_event(owner, &report);
}

static void acquire_devices(void *owner)
{
    machine_lock_devices(owner);
}

static void release_devices(void *owner)
{
    machine_unlock_devices(owner);
}

/* ---- devices ---- */

static void list_device(struct machine *machine, const char *name, const struct device_ops *ops,
                        void *object)
{
    struct device *device = &machine->devices[machine->device_count++];

    snprintf(device->name, sizeof(device->name), "%s", name);
    device->ops = ops;
    device->object = object;
}

static void create_interrupt_controllers(struct machine *machine)
{
    unsigned cpus = machine->config.cpus;

    for (unsigned i = 0; i < cpus; i++) {
        machine->msip[i] = hart_line(&machine->harts[i], 3);
        machine->mtip[i] = hart_line(&machine->harts[i], 7);
        machine->plic_outputs[2 * (size_t)i] = hart_line(&machine->harts[i], 11);
        machine->plic_outputs[2 * (size_t)i + 1] = hart_line(&machine->harts[i], 9);
    }
    plic_init(&machine->plic, &(struct plic_config){.source_count = IRQ_COUNT,
                                                    .context_count = 2 * cpus,
                                                    .outputs = machine->plic_outputs});
    aclint_init(&machine->aclint, &(struct aclint_config){.hart_count = cpus,
                                                          .msip = machine->msip,
                                                          .mtip = machine->mtip,
                                                          .alarm = {ticks_now, set_mtimer, machine},
                                                          .set_now = set_ticks,
                                                          .set_now_owner = machine});
    list_device(machine, "plic", &plic_ops, &machine->plic);
    list_device(machine, "aclint", &aclint_ops, &machine->aclint);
}

static void create_simple_devices(struct machine *machine)
{
    struct power_port power = {power_request, machine};

    ns16550_init(&machine->uart, &(struct ns16550_config){.irq = plic_source(machine, IRQ_UART),
                                                          .output = machine->config.serial});
    goldfish_init(&machine->rtc,
                  &(struct goldfish_config){.irq = plic_source(machine, IRQ_RTC),
                                            .alarm = {rtc_now, set_rtc_alarm, machine}});
    finisher_init(&machine->finisher, &power);
    list_device(machine, "uart0", &ns16550_ops, &machine->uart);
    list_device(machine, "rtc", &goldfish_ops, &machine->rtc);
    list_device(machine, "finisher", &finisher_ops, &machine->finisher);
}

static void create_pci(struct machine *machine)
{
    struct pci_host_config config = {.windows = {BOARD_PCI_MMIO_BASE, machine->pci_high_base}};

    for (unsigned i = 0; i < PCI_INTX_LINES; i++)
        config.intx[i] = plic_source(machine, IRQ_PCI_FIRST + i);
    pci_host_init(&machine->pci, &config);
    list_device(machine, "pci", &pci_host_ops, &machine->pci);
}

static void create_shares(struct machine *machine, unsigned slot)
{
    const struct machine_config *config = &machine->config;
    char name[24];

    for (unsigned i = 0; i < config->share_count; i++) {
        struct machine_share_device *share = &machine->shares[i];
        struct virtio_fs_config fs = {.space = &machine->space, .files = config->shares[i].port};
        memcpy(fs.tag, config->shares[i].tag, MIN(strlen(config->shares[i].tag), sizeof(fs.tag)));
        virtio_fs_init(&share->fs, &fs);
        virtio_pci_init(&share->pci, &share->fs.virtio, &machine->pci, slot++);
        snprintf(name, sizeof(name), "share%u", i);
        list_device(machine, name, &virtio_fs_ops, &share->fs);
        snprintf(name, sizeof(name), "share%u:pci", i);
        list_device(machine, name, &virtio_pci_ops, &share->pci);
    }
}

static unsigned create_nets(struct machine *machine, unsigned slot)
{
    for (unsigned i = 0; i < machine->config.net_count; i++) {
        const struct machine_net *config = &machine->config.nets[i];
        struct machine_net_device *net = &machine->nets[i];
        struct virtio_net_config virtio = {.space = &machine->space,
                                           .link = config->port,
                                           .mtu = config->mtu,
                                           .checksums_are_good = config->checksums_are_good};
        char name[24];
        memcpy(virtio.address, config->address, sizeof(virtio.address));
        virtio_net_init(&net->net, &virtio);
        virtio_pci_init(&net->pci, &net->net.virtio, &machine->pci, slot++);
        snprintf(name, sizeof(name), "net%u", i);
        list_device(machine, name, &virtio_net_ops, &net->net);
        snprintf(name, sizeof(name), "net%u:pci", i);
        list_device(machine, name, &virtio_pci_ops, &net->pci);
    }
    return slot;
}

static void discard_memory(void *owner, uint8_t *bytes, size_t size)
{
    (void)owner;
    map_clear(bytes, size);
}

static void create_balloon(struct machine *machine, unsigned slot)
{
    virtio_balloon_init(&machine->balloon,
                        &(struct virtio_balloon_config){.space = &machine->space,
                                                        .memory = {discard_memory, NULL}});
    virtio_pci_init(&machine->balloon_pci, &machine->balloon.virtio, &machine->pci, slot);
    list_device(machine, "balloon", &virtio_balloon_ops, &machine->balloon);
    list_device(machine, "balloon:pci", &virtio_pci_ops, &machine->balloon_pci);
}

/* Slot numbers are handed out in order, so that a guest finds the same devices
 * in the same places whenever the same options are given. */
static void create_virtio(struct machine *machine)
{
    unsigned slot = 1;
    unsigned mmio_slot = 0;
    const struct machine_config *config = &machine->config;
    char name[24];

    virtio_rng_init(&machine->rng, &(struct virtio_rng_config){.space = &machine->space,
                                                               .entropy = config->entropy});
    virtio_pci_init(&machine->rng_pci, &machine->rng.virtio, &machine->pci, slot++);
    list_device(machine, "rng", &virtio_rng_ops, &machine->rng);
    list_device(machine, "rng:pci", &virtio_pci_ops, &machine->rng_pci);
    if (config->console.write) {
        virtio_console_init(
            &machine->console,
            &(struct virtio_console_config){.space = &machine->space, .output = config->console});
        virtio_pci_init(&machine->console_pci, &machine->console.virtio, &machine->pci, slot++);
        list_device(machine, "console", &virtio_console_ops, &machine->console);
        list_device(machine, "console:pci", &virtio_pci_ops, &machine->console_pci);
    }
    for (unsigned i = 0; i < config->disk_count; i++) {
        struct machine_disk_device *disk = &machine->disks[i];
        struct virtio_blk_config blk = {.space = &machine->space, .disk = config->disks[i].port};
        memcpy(blk.serial, config->disks[i].serial,
               MIN(strlen(config->disks[i].serial), sizeof(blk.serial)));
        virtio_blk_init(&disk->blk, &blk);
        snprintf(name, sizeof(name), "disk%u", i);
        list_device(machine, name, &virtio_blk_ops, &disk->blk);
        if (config->disks[i].on_mmio) {
            struct irq_line irq = plic_source(machine, IRQ_VIRTIO_FIRST + mmio_slot);
            virtio_mmio_init(&machine->mmio[mmio_slot++], &disk->blk.virtio, &irq);
            continue;
        }
        virtio_pci_init(&disk->pci, &disk->blk.virtio, &machine->pci, slot++);
        snprintf(name, sizeof(name), "disk%u:pci", i);
        list_device(machine, name, &virtio_pci_ops, &disk->pci);
    }
    create_shares(machine, slot);
    slot = create_nets(machine, slot + config->share_count);
    if (config->vsock.receive) {
        virtio_vsock_init(&machine->vsock,
                          &(struct virtio_vsock_config){.space = &machine->space,
                                                        .port = config->vsock,
                                                        .guest_cid = config->vsock_cid});
        virtio_pci_init(&machine->vsock_pci, &machine->vsock.virtio, &machine->pci, slot++);
        list_device(machine, "vsock", &virtio_vsock_ops, &machine->vsock);
        list_device(machine, "vsock:pci", &virtio_pci_ops, &machine->vsock_pci);
    }
    if (config->balloon)
        create_balloon(machine, slot++);
    if (config->power_button) {
        virtio_input_init(&machine->power_button, &machine->space);
        virtio_pci_init(&machine->power_button_pci, &machine->power_button.virtio, &machine->pci,
                        slot++);
        list_device(machine, "power-button", &virtio_input_ops, &machine->power_button);
        list_device(machine, "power-button:pci", &virtio_pci_ops, &machine->power_button_pci);
    }
    for (unsigned i = 0; i < BOARD_VIRTIO_SLOTS; i++) {
        struct irq_line irq = plic_source(machine, IRQ_VIRTIO_FIRST + i);
        if (i >= mmio_slot)
            virtio_mmio_init(&machine->mmio[i], NULL, &irq);
        snprintf(name, sizeof(name), "virtio-mmio%u", i);
        list_device(machine, name, &virtio_mmio_ops, &machine->mmio[i]);
    }
}

static void create_htif(struct machine *machine)
{
    gpa_t tohost = 0;
    gpa_t fromhost = 0;

    if (machine->config.boot.mode != FIRMWARE_NONE ||
        !machine_find_symbol(machine, "tohost", &tohost) || (tohost & 7))
        return;
    if (!machine_find_symbol(machine, "fromhost", &fromhost) || (fromhost & 7))
        fromhost = 0;
    gpa_t base = tohost & ~PAGE_MASK;
    uint8_t *bytes = space_ram(&machine->space, base, PAGE_SIZE);
    if (!bytes)
        return;
    htif_init(&machine->htif, &(struct htif_config){.space = &machine->space,
                                                    .base = base,
                                                    .size = PAGE_SIZE,
                                                    .bytes = bytes,
                                                    .tohost = tohost,
                                                    .fromhost = fromhost,
                                                    .power = {power_request, machine},
                                                    .console = machine->config.htif});
    space_add_mmio(&machine->space, base, PAGE_SIZE, &htif_mmio, &machine->htif);
    list_device(machine, "htif", &htif_ops, &machine->htif);
    machine->has_htif = true;
}

/* ---- the memory map ---- */

static void map_devices(struct machine *machine)
{
    const struct {
        gpa_t base;
        uint64_t size;
        const struct mmio_ops *ops;
        void *device;
    } map[] = {
        {BOARD_FINISHER_BASE, BOARD_FINISHER_SIZE, &finisher_mmio, &machine->finisher},
        {BOARD_RTC_BASE, BOARD_RTC_SIZE, &goldfish_mmio, &machine->rtc},
        {BOARD_CLINT_BASE, BOARD_CLINT_SIZE, &aclint_mmio, &machine->aclint},
        {BOARD_PCI_PIO_BASE, BOARD_PCI_PIO_SIZE, &pci_pio_mmio, &machine->pci},
        {BOARD_PLIC_BASE, BOARD_PLIC_SIZE, &plic_mmio, &machine->plic},
        {BOARD_UART_BASE, BOARD_UART_SIZE, &ns16550_mmio, &machine->uart},
        {BOARD_ECAM_BASE, BOARD_ECAM_SIZE, &pci_ecam_mmio, &machine->pci},
        {BOARD_PCI_MMIO_BASE, BOARD_PCI_MMIO_SIZE, &pci_window_mmio, &machine->pci.windows[0]},
        {machine->pci_high_base, BOARD_PCI_HIGH_SIZE, &pci_window_mmio, &machine->pci.windows[1]},
    };

    for (unsigned i = 0; i < ARRAY_LEN(map); i++)
        space_add_mmio(&machine->space, map[i].base, map[i].size, map[i].ops, map[i].device);
    for (unsigned i = 0; i < BOARD_VIRTIO_SLOTS; i++)
        space_add_mmio(&machine->space, BOARD_VIRTIO_BASE + i * BOARD_VIRTIO_SIZE,
                       BOARD_VIRTIO_SIZE, &virtio_mmio_mmio, &machine->mmio[i]);
}

int board_create(struct machine *machine, struct error *err)
{
    uint64_t memory = machine->config.memory_bytes;

    machine->space.device_lock = (struct lock_port){acquire_devices, release_devices, machine};
    machine->ram = map_lazy(memory, "guest memory", err);
    if (!machine->ram)
        return -ENOMEM;
    machine->rom = map_lazy(BOARD_ROM_SIZE, "boot ROM", err);
    if (!machine->rom)
        return -ENOMEM;
    machine->disks = calloc(MAX(machine->config.disk_count, 1), sizeof(*machine->disks));
    if (!machine->disks)
        return error_set(err, -ENOMEM, "cannot create the disks: out of memory");
    machine->shares = calloc(MAX(machine->config.share_count, 1), sizeof(*machine->shares));
    if (!machine->shares)
        return error_set(err, -ENOMEM, "cannot create shared folders: out of memory");
    machine->nets = calloc(MAX(machine->config.net_count, 1), sizeof(*machine->nets));
    if (!machine->nets)
        return error_set(err, -ENOMEM, "cannot create the networks: out of memory");
    space_add_ram(&machine->space, MACHINE_RAM_BASE, memory, machine->ram);
    space_add_ram(&machine->space, BOARD_ROM_BASE, BOARD_ROM_SIZE, machine->rom);
    if (machine->translator) {
        machine->ram_watch = map_lazy(memory / PAGE_SIZE, "page states", err);
        if (!machine->ram_watch)
            return -ENOMEM;
        space_enable_watch(&machine->space, MACHINE_RAM_BASE, machine->ram_watch);
        translator_connect(machine->translator, &machine->space);
    }
    machine->pci_high_base = bits_align_up(MACHINE_RAM_BASE + memory, BOARD_PCI_HIGH_SIZE);
    atomic_store(&machine->rtc_deadline, ALARM_NEVER);
    create_interrupt_controllers(machine);
    create_simple_devices(machine);
    create_pci(machine);
    create_virtio(machine);
    map_devices(machine);
    return 0;
}

/* Separate, because the symbol comes from the ELF that is loaded last. */
void board_add_htif(struct machine *machine)
{
    create_htif(machine);
}

void board_reset(struct machine *machine)
{
    machine_lock_devices(machine);
    for (unsigned i = 0; i < machine->device_count; i++)
        machine->devices[i].ops->reset(machine->devices[i].object);
    machine_unlock_devices(machine);
}

void board_destroy(struct machine *machine)
{
    free(machine->shares);
    free(machine->disks);
    free(machine->nets);
    map_free(machine->rom, BOARD_ROM_SIZE);
    map_free((void *)(uintptr_t)machine->ram_watch, machine->config.memory_bytes / PAGE_SIZE);
    map_free(machine->ram, machine->config.memory_bytes);
}
