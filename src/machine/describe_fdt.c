/* SPDX-License-Identifier: Apache-2.0
 * The device tree that tells the guest what there is (Devicetree Specification
 * 0.4; Linux' bindings for RISC-V). libfdt writes the format. */
#include "machine/machine_internal.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FDT_MAX_SIZE 262144

/* phandles: harts' interrupt controllers are 1..64 */
enum {
    PHANDLE_PLIC = 100,
    PHANDLE_TEST,
};

/* A tree being written: the first failure sticks. */
struct tree {
    void *fdt;
    int result;
};

static void keep(struct tree *tree, int result)
{
    if (tree->result == 0)
        tree->result = result;
}

static void node(struct tree *tree, const char *name, uint64_t unit)
{
    char text[64];

    snprintf(text, sizeof(text), "%s@%llx", name, (unsigned long long)unit);
    keep(tree, fdt_begin_node(tree->fdt, text));
}

static void end(struct tree *tree)
{
    keep(tree, fdt_end_node(tree->fdt));
}

static void text(struct tree *tree, const char *name, const char *value)
{
    keep(tree, fdt_property(tree->fdt, name, value, (int)strlen(value) + 1));
}

static void number(struct tree *tree, const char *name, uint32_t value)
{
    keep(tree, fdt_property_u32(tree->fdt, name, value));
}

static void flag(struct tree *tree, const char *name)
{
    keep(tree, fdt_property(tree->fdt, name, NULL, 0));
}

static void cells(struct tree *tree, const char *name, const uint32_t *values, unsigned count)
{
    fdt32_t big[4 * 4 * 8 + 64 * 4];

    for (unsigned i = 0; i < count; i++)
        big[i] = cpu_to_fdt32(values[i]);
    keep(tree, fdt_property(tree->fdt, name, big, (int)(count * sizeof(big[0]))));
}

static void registers(struct tree *tree, uint64_t base, uint64_t size)
{
    uint32_t values[] = {(uint32_t)(base >> 32), (uint32_t)base, (uint32_t)(size >> 32),
                         (uint32_t)size};

    cells(tree, "reg", values, ARRAY_LEN(values));
}

static void interrupt(struct tree *tree, uint32_t irq)
{
    number(tree, "interrupt-parent", PHANDLE_PLIC);
    number(tree, "interrupts", irq);
}

/* A guest may want to know that its computer is a process: systemd then listens for ssh on vsock. */
static void describe_hypervisor(struct tree *tree)
{
    keep(tree, fdt_begin_node(tree->fdt, "hypervisor"));
    text(tree, "compatible", "doppel,hypervisor");
    keep(tree, fdt_end_node(tree->fdt));
}

static void describe_chosen(struct tree *tree, const struct machine *machine)
{
    char bootargs[2048];
    uint8_t seed[48];
    const char *append = machine->config.boot.append;

    snprintf(bootargs, sizeof(bootargs), "console=ttyS0%s%s", append ? " " : "",
             append ? append : "");
    keep(tree, fdt_begin_node(tree->fdt, "chosen"));
    text(tree, "bootargs", bootargs);
    text(tree, "stdout-path", "/soc/serial@10000000");
    machine->config.entropy.fill(machine->config.entropy.owner, seed, sizeof(seed));
    keep(tree, fdt_property(tree->fdt, "rng-seed", seed, sizeof(seed)));
    if (machine->boot.initrd_size) {
        keep(tree, fdt_property_u64(tree->fdt, "linux,initrd-start", machine->boot.initrd));
        keep(tree, fdt_property_u64(tree->fdt, "linux,initrd-end",
                                    machine->boot.initrd + machine->boot.initrd_size));
    }
    end(tree);
}

static void describe_cpu(struct tree *tree, const struct machine *machine, unsigned hart)
{
    const struct extension_set *extensions = &machine->config.extensions;
    char isa[512];
    char list[512];
    size_t list_size = extension_set_print_list(extensions, list, sizeof(list));
    static const char *const mmu[] = {"riscv,sv39", "riscv,sv48", "riscv,sv57"};

    extension_set_print(extensions, isa, sizeof(isa));
    node(tree, "cpu", hart);
    text(tree, "device_type", "cpu");
    number(tree, "reg", hart);
    text(tree, "status", "okay");
    text(tree, "compatible", "riscv");
    text(tree, "riscv,isa", isa);
    text(tree, "riscv,isa-base", "rv64i");
    keep(tree, fdt_property(tree->fdt, "riscv,isa-extensions", list, (int)list_size));
    text(tree, "mmu-type", mmu[machine->config.widest_satp - SATP_SV39]);
    if (extension_set_has(extensions, EXT_Zicbom))
        number(tree, "riscv,cbom-block-size", CBO_BLOCK_SIZE);
    if (extension_set_has(extensions, EXT_Zicboz))
        number(tree, "riscv,cboz-block-size", CBO_BLOCK_SIZE);
    if (extension_set_has(extensions, EXT_Zicbop))
        number(tree, "riscv,cbop-block-size", CBO_BLOCK_SIZE);
    keep(tree, fdt_begin_node(tree->fdt, "interrupt-controller"));
    number(tree, "#interrupt-cells", 1);
    flag(tree, "interrupt-controller");
    text(tree, "compatible", "riscv,cpu-intc");
    number(tree, "phandle", 1 + hart);
    end(tree);
    end(tree);
}

static void describe_cpus(struct tree *tree, const struct machine *machine)
{
    keep(tree, fdt_begin_node(tree->fdt, "cpus"));
    number(tree, "#address-cells", 1);
    number(tree, "#size-cells", 0);
    number(tree, "timebase-frequency", BOARD_TIMEBASE_HZ);
    for (unsigned i = 0; i < machine->config.cpus; i++)
        describe_cpu(tree, machine, i);
    end(tree);
}

/* Pairs of (hart's interrupt controller, first or second cause) for each hart. */
static void hart_interrupts(struct tree *tree, const struct machine *machine, uint32_t first,
                            uint32_t second)
{
    uint32_t values[4 * MACHINE_MAX_HARTS];

    for (unsigned i = 0; i < machine->config.cpus; i++) {
        uint32_t *of_hart = &values[4 * (size_t)i];
        of_hart[0] = of_hart[2] = 1 + i;
        of_hart[1] = first;
        of_hart[3] = second;
    }
    cells(tree, "interrupts-extended", values, 4 * machine->config.cpus);
}

static void describe_interrupt_controllers(struct tree *tree, const struct machine *machine)
{
    static const char clint[] = "sifive,clint0\0riscv,clint0";
    static const char plic[] = "sifive,plic-1.0.0\0riscv,plic0";

    node(tree, "clint", BOARD_CLINT_BASE);
    keep(tree, fdt_property(tree->fdt, "compatible", clint, sizeof(clint)));
    registers(tree, BOARD_CLINT_BASE, BOARD_CLINT_SIZE);
    hart_interrupts(tree, machine, 3, 7);
    end(tree);

    node(tree, "plic", BOARD_PLIC_BASE);
    keep(tree, fdt_property(tree->fdt, "compatible", plic, sizeof(plic)));
    registers(tree, BOARD_PLIC_BASE, BOARD_PLIC_SIZE);
    number(tree, "phandle", PHANDLE_PLIC);
    number(tree, "riscv,ndev", IRQ_COUNT);
    number(tree, "#interrupt-cells", 1);
    number(tree, "#address-cells", 0);
    flag(tree, "interrupt-controller");
    hart_interrupts(tree, machine, 11, 9);
    end(tree);
}

static void describe_power(struct tree *tree, const char *name, uint32_t value)
{
    static const char *const compatible[] = {"syscon-poweroff", "syscon-reboot"};

    keep(tree, fdt_begin_node(tree->fdt, name));
    text(tree, "compatible", compatible[strcmp(name, "reboot") == 0]);
    number(tree, "regmap", PHANDLE_TEST);
    number(tree, "offset", 0);
    number(tree, "value", value);
    end(tree);
}

static void describe_simple_devices(struct tree *tree)
{
    static const char finisher[] = "sifive,test1\0sifive,test0\0syscon";

    node(tree, "test", BOARD_FINISHER_BASE);
    keep(tree, fdt_property(tree->fdt, "compatible", finisher, sizeof(finisher)));
    registers(tree, BOARD_FINISHER_BASE, BOARD_FINISHER_SIZE);
    number(tree, "phandle", PHANDLE_TEST);
    end(tree);

    node(tree, "rtc", BOARD_RTC_BASE);
    text(tree, "compatible", "google,goldfish-rtc");
    registers(tree, BOARD_RTC_BASE, BOARD_RTC_SIZE);
    interrupt(tree, IRQ_RTC);
    end(tree);

    node(tree, "serial", BOARD_UART_BASE);
    text(tree, "compatible", "ns16550a");
    registers(tree, BOARD_UART_BASE, BOARD_UART_SIZE);
    number(tree, "clock-frequency", BOARD_UART_CLOCK_HZ);
    interrupt(tree, IRQ_UART);
    end(tree);

    for (unsigned i = 0; i < BOARD_VIRTIO_SLOTS; i++) {
        node(tree, "virtio_mmio", BOARD_VIRTIO_BASE + i * BOARD_VIRTIO_SIZE);
        text(tree, "compatible", "virtio,mmio");
        registers(tree, BOARD_VIRTIO_BASE + i * BOARD_VIRTIO_SIZE, BOARD_VIRTIO_SIZE);
        interrupt(tree, IRQ_VIRTIO_FIRST + i);
        end(tree);
    }
}

/* Slots repeat every four, so the map is masked to two bits of the slot. */
static void describe_pci_interrupts(struct tree *tree)
{
    uint32_t mask[] = {3u << 11, 0, 0, 7};
    uint32_t map[PCI_INTX_LINES * PCI_INTX_LINES * 6];
    unsigned at = 0;

    for (unsigned slot = 0; slot < PCI_INTX_LINES; slot++) {
        for (unsigned pin = 1; pin <= PCI_INTX_LINES; pin++) {
            map[at++] = slot << 11;
            map[at++] = 0;
            map[at++] = 0;
            map[at++] = pin;
            map[at++] = PHANDLE_PLIC;
            map[at++] = IRQ_PCI_FIRST + (slot + pin - 1) % PCI_INTX_LINES;
        }
    }
    cells(tree, "interrupt-map-mask", mask, ARRAY_LEN(mask));
    cells(tree, "interrupt-map", map, at);
}

static void describe_pci(struct tree *tree, const struct machine *machine)
{
    uint64_t high = machine->pci_high_base;
    uint32_t buses[] = {0, 0xff};
    /* space code, PCI address (2), CPU address (2), size (2) */
    uint32_t ranges[] = {0x01000000,
                         0,
                         0,
                         0,
                         (uint32_t)BOARD_PCI_PIO_BASE,
                         0,
                         (uint32_t)BOARD_PCI_PIO_SIZE,
                         0x02000000,
                         0,
                         (uint32_t)BOARD_PCI_MMIO_BASE,
                         0,
                         (uint32_t)BOARD_PCI_MMIO_BASE,
                         0,
                         (uint32_t)BOARD_PCI_MMIO_SIZE,
                         0x03000000,
                         (uint32_t)(high >> 32),
                         (uint32_t)high,
                         (uint32_t)(high >> 32),
                         (uint32_t)high,
                         (uint32_t)(BOARD_PCI_HIGH_SIZE >> 32),
                         (uint32_t)BOARD_PCI_HIGH_SIZE};

    node(tree, "pci", BOARD_ECAM_BASE);
    text(tree, "compatible", "pci-host-ecam-generic");
    text(tree, "device_type", "pci");
    registers(tree, BOARD_ECAM_BASE, BOARD_ECAM_SIZE);
    number(tree, "#address-cells", 3);
    number(tree, "#size-cells", 2);
    number(tree, "#interrupt-cells", 1);
    number(tree, "linux,pci-domain", 0);
    cells(tree, "bus-range", buses, ARRAY_LEN(buses));
    flag(tree, "dma-coherent");
    cells(tree, "ranges", ranges, ARRAY_LEN(ranges));
    describe_pci_interrupts(tree);
    end(tree);
}

static void describe_root(struct tree *tree, const struct machine *machine)
{
    static const char compatible[] = "riscv-virtio\0doppel,virt";

    keep(tree, fdt_begin_node(tree->fdt, ""));
    number(tree, "#address-cells", 2);
    number(tree, "#size-cells", 2);
    keep(tree, fdt_property(tree->fdt, "compatible", compatible, sizeof(compatible)));
    text(tree, "model", "riscv-virtio,doppel");
    describe_chosen(tree, machine);
    describe_hypervisor(tree);
    node(tree, "memory", MACHINE_RAM_BASE);
    text(tree, "device_type", "memory");
    registers(tree, MACHINE_RAM_BASE, machine->config.memory_bytes);
    end(tree);
    describe_cpus(tree, machine);
    describe_power(tree, "poweroff", 0x5555);
    describe_power(tree, "reboot", 0x7777);
    keep(tree, fdt_begin_node(tree->fdt, "soc"));
    number(tree, "#address-cells", 2);
    number(tree, "#size-cells", 2);
    text(tree, "compatible", "simple-bus");
    flag(tree, "ranges");
    describe_interrupt_controllers(tree, machine);
    describe_simple_devices(tree);
    describe_pci(tree, machine);
    end(tree);
    end(tree);
}

int describe_fdt(struct machine *machine, uint8_t **bytes, size_t *size, struct error *err)
{
    struct tree tree = {.fdt = malloc(FDT_MAX_SIZE)};

    if (!tree.fdt)
        return error_set(err, -ENOMEM, "cannot make the device tree: out of memory");
    keep(&tree, fdt_create(tree.fdt, FDT_MAX_SIZE));
    keep(&tree, fdt_finish_reservemap(tree.fdt));
    describe_root(&tree, machine);
    keep(&tree, fdt_finish(tree.fdt));
    if (tree.result < 0) {
        free(tree.fdt);
        return error_set(err, -ENOSPC, "cannot make the device tree: %s",
                         fdt_strerror(tree.result));
    }
    *bytes = tree.fdt;
    *size = fdt_totalsize(tree.fdt);
    return 0;
}

static int patch_chosen(struct machine *machine, void *fdt)
{
    int chosen = fdt_path_offset(fdt, "/chosen");
    int result = 0;

    if (chosen == -FDT_ERR_NOTFOUND)
        chosen = fdt_add_subnode(fdt, 0, "chosen");
    if (chosen < 0)
        return chosen;
    if (machine->config.boot.append)
        result = fdt_setprop(fdt, chosen, "bootargs", machine->config.boot.append,
                             (int)strlen(machine->config.boot.append) + 1);
    if (result == 0 && machine->boot.initrd_size) {
        result = fdt_setprop_u64(fdt, chosen, "linux,initrd-start", machine->boot.initrd);
        if (result == 0)
            result = fdt_setprop_u64(fdt, chosen, "linux,initrd-end",
                                     machine->boot.initrd + machine->boot.initrd_size);
    }
    return result;
}

int describe_fdt_patch(struct machine *machine, const struct machine_file *dtb, uint8_t **bytes,
                       size_t *size, struct error *err)
{
    if (fdt_check_full(dtb->bytes, dtb->size) != 0)
        return error_set(err, -EINVAL, "device tree '%s' is not a valid flattened device tree",
                         dtb->path);
    size_t room = dtb->size + 8192;
    void *fdt = malloc(room);
    if (!fdt)
        return error_set(err, -ENOMEM, "cannot load the device tree: out of memory");
    int result = fdt_open_into(dtb->bytes, fdt, (int)room);
    if (result == 0)
        result = patch_chosen(machine, fdt);
    if (result < 0) {
        free(fdt);
        return error_set(err, -EINVAL, "cannot change device tree '%s': %s", dtb->path,
                         fdt_strerror(result));
    }
    fdt_pack(fdt);
    *bytes = fdt;
    *size = fdt_totalsize(fdt);
    return 0;
}
