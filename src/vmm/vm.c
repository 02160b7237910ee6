/* SPDX-License-Identifier: Apache-2.0
 * One machine in one process: opens what is outside, builds the machine, and
 * runs the event loop until something ends it. */
#include "vmm/vm.h"

#include "base/endian.h"
#include "base/log.h"
#include "host/clock.h"
#include "vmm/doorman.h"
#include "vmm/jail.h"
#include "vmm/nets.h"
#include "vmm/stats.h"
#include "vmm/vm_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Larger files cannot fit into any guest's memory. */
#define MAX_FILE_SIZE      (UINT64_C(4) << 30)
#define MAX_SIGNATURE_SIZE (UINT64_C(16) << 20)
#define SIGNATURE_LINE     9 /* eight digits and the end of the line */

/* ---- ends ---- */

void vm_end(struct vm *vm, int status, bool by_guest, const char *reason)
{
    if (!vm->is_ending)
        control_server_shutdown(vm->control, by_guest, reason);
    vm->is_ending = true;
    vm->exit_status = status;
    loop_stop(vm->loop);
}

/* Somebody outside wants it to end, now. */
static void leave(struct vm *vm, int status, const char *reason)
{
    stream_hurry(vm->serial);
    stream_hurry(vm->console);
    vm_end(vm, status, false, reason);
}

static void on_escape(void *owner)
{
    leave(owner, VM_EXIT_OK, "host-ui");
}

static void on_signal(void *owner, unsigned number)
{
    /* What a shell reports for a process that a signal ended. */
    leave(owner, 128 + (int)number, "host-signal");
}

void vm_pause(struct vm *vm)
{
    if (!machine_is_running(vm->machine))
        return;
    machine_pause(vm->machine);
    vm->has_io_error = false;
    control_server_event(vm->control, CONTROL_EVENT_STOP, NULL);
}

/* Before the machine goes on, whoever lets it. */
static void retry_disks(void *owner)
{
    struct vm *vm = owner;

    vm->has_io_error = false;
    for (unsigned i = 0; i < vm->config->disk_count; i++)
        disk_retry(vm->disks[i]);
}

int vm_resume(struct vm *vm, struct error *err)
{
    if (vm->is_ending)
        return error_set(err, -EAGAIN, "the machine is ending");
    if (machine_is_running(vm->machine))
        return 0;
    vm->has_run = true;
    retry_disks(vm);
    machine_resume(vm->machine);
    control_server_event(vm->control, CONTROL_EVENT_RESUME, NULL);
    return 0;
}

int vm_reset(struct vm *vm, bool by_guest, struct error *err)
{
    /* A guest that asked for it has stopped its harts already. */
    bool runs = by_guest || machine_is_running(vm->machine);

    machine_pause(vm->machine);
    int result = machine_reset(vm->machine, err);
    if (result < 0)
        return result;
    control_server_reset(vm->control, by_guest);
    vm->has_io_error = false;
    vm->has_run = runs;
    if (runs)
        machine_resume(vm->machine);
    return 0;
}

static void on_guest_reset(struct vm *vm)
{
    machine_pause(vm->machine);
    if (vm->config->no_reboot)
        vm_end(vm, VM_EXIT_OK, true, "guest-reset");
    else if (vm_reset(vm, true, &vm->failure) < 0)
        vm_end(vm, VM_EXIT_INTERNAL, true, "guest-reset");
}

/* An exit status has eight bits; a code that has none of them set must not look
 * like success. */
static int exit_status(unsigned code)
{
    return code & 0xff ? (int)(code & 0xff) : VM_EXIT_GUEST_FAILED;
}

static void on_power(struct vm *vm, const struct machine_event *event)
{
    switch (event->power) {
    case POWER_OFF:
        vm_end(vm, event->code ? exit_status(event->code) : VM_EXIT_OK, true, "guest-shutdown");
        break;
    case POWER_FAIL:
        vm_end(vm, exit_status(event->code), true, "guest-panic");
        break;
    case POWER_RESET:
        on_guest_reset(vm);
        break;
    }
}

/* ---- errors of disks ---- */

/* Of errors that only the guest is told of, which may make as many as it likes. */
#define ERROR_EVENT_NS UINT64_C(100000000)

static void send_failure(struct vm *vm, unsigned index, const struct disk_failure *failure)
{
    char name[16];

    snprintf(name, sizeof(name), "disk%u", index);
    json_t *data = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "device", name, "node-name", name,
                             "operation", failure->is_read ? "read" : "write", "action",
                             failure->is_held ? "stop" : "report", "nospace",
                             failure->result == -ENOSPC || failure->result == -EDQUOT, "reason",
                             strerror(-failure->result));
    control_server_event(vm->control, CONTROL_EVENT_BLOCK_IO_ERROR, data);
    json_decref(data);
}

static void on_failure(struct vm *vm, unsigned index, const struct disk_failure *failure)
{
    uint64_t now_ns = clock_monotonic_ns();

    if (!failure->is_held && now_ns - vm->error_told_ns[index] < ERROR_EVENT_NS)
        return;
    vm->error_told_ns[index] = now_ns;
    send_failure(vm, index, failure);
    if (!failure->is_held || !machine_is_running(vm->machine))
        return;
    log_warn("blk",
             "disk%u: a request to %s failed: %s; the machine stands still until it is told to "
             "go on",
             index, failure->is_read ? "read" : "write", strerror(-failure->result));
    vm_pause(vm);
    vm->has_io_error = true;
}

static void take_failures(struct vm *vm)
{
    struct disk_failure failure;

    for (unsigned i = 0; i < vm->config->disk_count; i++)
        while (disk_take_failure(vm->disks[i], &failure))
            on_failure(vm, i, &failure);
}

static void on_wake(void *owner, unsigned events)
{
    struct vm *vm = owner;

    (void)events;
    stream_service(vm->serial);
    stream_service(vm->console);
    vsock_service(vm->vsock);
    nets_service(&vm->nets);
    take_failures(vm);
    for (;;) {
        struct machine_event event = machine_take_event(vm->machine);
        if (event.kind == MACHINE_EVENT_NONE)
            break;
        if (event.kind == MACHINE_EVENT_POWER)
            on_power(vm, &event);
        else
            debugger_on_stop(vm->debugger, event.hart);
    }
    log_guest_refill();
}

/* ---- ports ---- */

/* Streams close also when there never was a machine. */
static void lock_devices(void *owner)
{
    struct vm *vm = owner;

    if (vm->machine)
        machine_lock_devices(vm->machine);
}

static void unlock_devices(void *owner)
{
    struct vm *vm = owner;

    if (vm->machine)
        machine_unlock_devices(vm->machine);
}

/* The machine is built before the streams are opened, so that whatever is wrong
 * with the guest leaves terminal and files untouched. */
static size_t write_stream(struct stream *stream, const uint8_t *bytes, size_t size)
{
    if (!stream)
        return size;
    struct stream_port port = stream_port(stream);
    return port.write(port.owner, bytes, size);
}

static void stream_is_readable(struct stream *stream)
{
    if (!stream)
        return;
    struct stream_port port = stream_port(stream);
    port.readable(port.owner);
}

static size_t write_serial(void *owner, const uint8_t *bytes, size_t size)
{
    return write_stream(((struct vm *)owner)->serial, bytes, size);
}

static void serial_readable(void *owner)
{
    stream_is_readable(((struct vm *)owner)->serial);
}

static size_t write_console(void *owner, const uint8_t *bytes, size_t size)
{
    return write_stream(((struct vm *)owner)->console, bytes, size);
}

static void console_readable(void *owner)
{
    stream_is_readable(((struct vm *)owner)->console);
}

static void notify(void *owner)
{
    struct vm *vm = owner;

    loop_wake(vm->loop);
}

static int open_stream(struct vm *vm, const char *spec, const char *what, struct stream **out,
                       struct error *err)
{
    struct stream_config config = {
        .spec = spec,
        .what = what,
        .loop = vm->loop,
        .device_lock = {lock_devices, unlock_devices, vm},
        .escape = on_escape,
        .owner = vm,
    };

    return stream_open(&config, out, err);
}

/* ---- files ---- */

static bool has_firmware_file(const struct vm_config *config)
{
    return config->firmware && strcmp(config->firmware, "none") != 0 &&
           strcmp(config->firmware, "builtin") != 0;
}

/* A root brings its kernel along, unless firmware is to find one. */
static int open_kernel_of_root(struct vm *vm, struct error *err)
{
    const struct vm_config *config = vm->config;

    if (!config->root || config->kernel || has_firmware_file(config))
        return 0;
    int result = vm_shares_open_kernel(&vm->shares, config, MAX_FILE_SIZE, &vm->kernel.file, err);
    return result < 0 ? result : file_read_open(&vm->kernel.file, &vm->kernel.bytes, err);
}

static int open_files(struct vm *vm, struct error *err)
{
    const struct vm_config *config = vm->config;
    const struct {
        const char *path;
        const char *what;
        struct boot_input *to;
    } files[] = {
        {config->kernel, "kernel", &vm->kernel},
        {config->initrd, "initrd", &vm->initrd},
        {config->dtb, "device tree", &vm->dtb},
        {has_firmware_file(config) ? config->firmware : NULL, "firmware", &vm->firmware},
    };

    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        if (!files[i].path)
            continue;
        struct boot_input *to = files[i].to;
        int result = file_open(files[i].path, files[i].what, MAX_FILE_SIZE, &to->file, err);
        if (result == 0)
            result = file_read_open(&to->file, &to->bytes, err);
        if (result < 0)
            return result;
    }
    return open_kernel_of_root(vm, err);
}

/* Before anything is in memory that their processes would keep. */
static int start_shares(struct vm *vm, struct error *err)
{
    const struct files_config wiring = {
        .cpus = vm->config->cpus,
        .device_lock = {lock_devices, unlock_devices, vm},
        .is_synchronous = vm->config->icount,
        .enter = jail_seal_files,
        .enter_jail = jail_enter_server,
        .owner = vm,
    };

    return vm_shares_start(&vm->shares, vm->config, &wiring, err);
}

static int open_disks(struct vm *vm, struct error *err)
{
    struct io_pool_config pool = {
        .device_lock = {lock_devices, unlock_devices, vm}, .enter = jail_seal_io, .owner = vm};

    /* On virtual time a request ends where it begins. */
    if (vm->config->disk_count && !vm->config->icount) {
        int result = io_pool_create(&pool, &vm->io_pool, err);
        if (result < 0)
            return result;
    }
    for (unsigned i = 0; i < vm->config->disk_count; i++) {
        const struct vm_disk_config *disk = &vm->config->disks[i];
        struct disk_options options = {
            .format = disk->format,
            .format_given = disk->format_given,
            .read_only = disk->read_only,
            .snapshot = disk->snapshot || vm->config->snapshot,
            .backing = disk->backing,
            .limits = vm->config->io_limits,
            .errors = {.on_read = disk->read_error,
                       .on_write = disk->write_error,
                       .failed = notify,
                       .owner = vm,
                       .device_lock = {lock_devices, unlock_devices, vm}},
        };
        int result = disk_open(disk->path, &options, vm->io_pool, &vm->disks[i], err);
        if (result < 0)
            return result;
    }
    return 0;
}

/* ---- the machine ---- */

static struct machine_file machine_file(struct boot_input *input)
{
    if (!input->bytes.bytes)
        return (struct machine_file){0};
    return (struct machine_file){input->file.path, input->bytes.bytes, input->bytes.size,
                                 file_port(&input->file)};
}

/* An ELF without further words is bare metal: M-mode, as conformance suites and
 * teaching kernels are built. Everything else wants an SBI. */
static enum machine_firmware firmware_mode(const struct vm *vm)
{
    const char *firmware = vm->config->firmware;

    if (firmware && strcmp(firmware, "none") == 0)
        return FIRMWARE_NONE;
    if (firmware && strcmp(firmware, "builtin") == 0)
        return FIRMWARE_BUILTIN;
    if (firmware)
        return FIRMWARE_FILE;
    bool is_elf = vm->kernel.bytes.size >= 4 && memcmp(vm->kernel.bytes.bytes, "\177ELF", 4) == 0;
    return is_elf ? FIRMWARE_NONE : FIRMWARE_BUILTIN;
}

static int add_disks(const struct vm *vm, struct machine_config *machine, struct error *err)
{
    static const char *const serials[MACHINE_MAX_DISKS] = {
        "disk0", "disk1", "disk2",  "disk3",  "disk4",  "disk5",  "disk6",  "disk7",
        "disk8", "disk9", "disk10", "disk11", "disk12", "disk13", "disk14", "disk15"};
    unsigned on_mmio = 0;

    for (unsigned i = 0; i < vm->config->disk_count; i++) {
        const struct vm_disk_config *disk = &vm->config->disks[i];
        machine->disks[i].port = *disk_port(vm->disks[i]);
        machine->disks[i].serial = serials[i];
        /* Bare-metal kernels look for virtio-mmio; they have no PCI driver. */
        machine->disks[i].on_mmio =
            disk->bus_given ? disk->on_mmio : machine->boot.mode == FIRMWARE_NONE;
        on_mmio += machine->disks[i].on_mmio;
    }
    machine->disk_count = vm->config->disk_count;
    if (on_mmio > MACHINE_MAX_MMIO_DISKS)
        return error_set(err, -EINVAL, "--disk: virtio-mmio has room for %u disks; use bus=pci",
                         MACHINE_MAX_MMIO_DISKS);
    return 0;
}

static int open_nets(struct vm *vm, struct error *err)
{
    struct vm_nets_config nets = {
        .config = vm->config,
        /* Bare metal seldom knows PCI, and on virtual time nothing comes from outside. */
        .may_default = firmware_mode(vm) != FIRMWARE_NONE && !vm->config->icount,
        .entropy = {random_fill, &vm->random},
        .loop = vm->loop,
        .device_lock = {lock_devices, unlock_devices, vm},
        .children = {jail_start_child, jail_kill_child, jail_parent, vm},
    };

    return nets_open(&vm->nets, &nets, &vm->machine_nets, err);
}

static int open_vsock(struct vm *vm, struct error *err)
{
    struct vsock_config vsock = {
        .path = vm->config->vsock,
        .loop = vm->loop,
        .device_lock = {lock_devices, unlock_devices, vm},
        .connect = jail_connect,
        .own_port = READY_PORT,
        .receive = ready_receive,
        .owner = vm,
    };

    return vsock_open(&vsock, &vm->vsock, err);
}

static int create_machine(struct vm *vm, struct error *err)
{
    const struct vm_config *config = vm->config;
    struct machine_config machine = {
        .cpus = config->cpus,
        .memory_bytes = config->memory_bytes,
        .extensions = config->extensions,
        .widest_satp = config->widest_satp,
        .translate = config->engine.translate,
        .translator = config->engine.translator,
        .boot = {.mode = firmware_mode(vm),
                 .firmware = machine_file(&vm->firmware),
                 .kernel = machine_file(&vm->kernel),
                 .initrd = machine_file(&vm->initrd),
                 .dtb = machine_file(&vm->dtb),
                 .append = config->append},
        .serial = {write_serial, serial_readable, vm},
        .htif = {write_serial, NULL, vm},
        .entropy = {random_fill, &vm->random},
        .power_button = config->qmp != NULL,
        .enter = jail_seal_hart,
        .balloon = !config->no_balloon,
        .virtual_time = config->icount,
        .notify = notify,
        .owner = vm,
    };

    if (vm->governor)
        machine.governor = governor_port(vm->governor);
    if (config->console)
        machine.console = (struct stream_port){write_console, console_readable, vm};
    vm_shares_add(&vm->shares, &machine);
    if (vm->vsock) {
        machine.vsock = vsock_port(vm->vsock);
        machine.vsock_cid = config->vsock_cid;
    }
    memcpy(machine.nets, vm->machine_nets.nets, sizeof(machine.nets));
    machine.net_count = vm->machine_nets.net_count;
    int result = add_disks(vm, &machine, err);
    if (result == 0)
        result = machine_create(&machine, &vm->machine, err);
    if (result == 0 && config->memory_target)
        machine_set_memory_target(vm->machine, config->memory_target);
    return result;
}

static void connect_streams(struct vm *vm)
{
    struct stream_handler serial = machine_serial_handler(vm->machine);

    stream_connect(vm->serial, &serial);
    if (vm->console) {
        struct stream_handler console = machine_console_handler(vm->machine);
        stream_connect(vm->console, &console);
    }
}

/* What has a path or an address. No thread is started. */
static int open_outside(struct vm *vm, struct error *err)
{
    const struct vm_config *config = vm->config;

    /* For the first object jansson opens /dev/urandom, which a sandbox has not. */
    json_object_seed(0);
    int result = config->lock ? file_lock_take(config->lock, &vm->lock, err) : 0;

    if (result == 0)
        result = jail_open(vm, err);
    if (result == 0)
        result = start_shares(vm, err);
    if (result == 0)
        result = open_files(vm, err);
    if (result == 0)
        result = open_disks(vm, err);
    if (result == 0)
        result = loop_create(&vm->loop, err);
    if (result == 0)
        result = loop_watch_signals(vm->loop, on_signal, vm, err);
    if (result == 0 && !config->icount)
        result = governor_create(&config->governor, &vm->governor, err);
    if (result == 0)
        result = open_nets(vm, err);
    if (result == 0 && config->gdb)
        result = debugger_create(vm->loop, config->gdb, &vm->debugger, err);
    if (result == 0 && config->qmp)
        result = control_server_create(vm, vm->loop, config->qmp, &vm->control, err);
    if (result == 0 && config->vsock)
        result = open_vsock(vm, err);
    if (result == 0 && config->console)
        result = open_stream(vm, config->console, "console", &vm->console, err);
    if (result == 0)
        result = open_stream(vm, config->serial, "serial", &vm->serial, err);
    vm->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    return result;
}

/* Everything that can fail; nothing outside is changed when it does. */
static int open_vm(struct vm *vm, struct error *err)
{
    const struct vm_config *config = vm->config;

    vm->random = config->has_seed ? random_from_seed(config->seed)
                 : config->icount ? random_from_seed(0)
                                  : random_from_host();
    int result = open_outside(vm, err);
    if (result == 0)
        result = jail_enter(vm, err);
    if (result == 0 && vm->io_pool)
        result = io_pool_start(vm->io_pool, err);
    if (result == 0)
        result = create_machine(vm, err);
    if (result < 0)
        return result;
    debugger_attach(vm->debugger, vm->machine, !config->start_paused, retry_disks, vm);
    if (vm->vsock) {
        struct vsock_handler handler = machine_vsock_handler(vm->machine);
        vsock_attach(vm->vsock, &handler);
    }
    result = nets_connect(&vm->nets, vm->machine, err);
    if (result < 0)
        return result;
    return vm_shares_connect(&vm->shares, vm->loop, vm->machine, err);
}

/* ---- at the end ---- */

/* The words of guest memory from `begin` on as text, one a line. */
static int print_words(struct vm *vm, gpa_t begin, size_t words, char *text, struct error *err)
{
    for (size_t i = 0; i < words; i++) {
        uint8_t bytes[4];
        if (!machine_read_ram(vm->machine, begin + 4 * i, bytes, sizeof(bytes)))
            return error_set(err, -EINVAL, "--signature: the signature lies outside RAM");
        snprintf(text + SIGNATURE_LINE * i, SIGNATURE_LINE + 1, "%08x\n", load_le32(bytes));
    }
    return 0;
}

static int write_signature(struct vm *vm, struct error *err)
{
    gpa_t begin;
    gpa_t end;

    if (!machine_find_symbol(vm->machine, "begin_signature", &begin) ||
        !machine_find_symbol(vm->machine, "end_signature", &end) || end < begin)
        return error_set(err, -EINVAL, "--signature: '%s' has no begin_signature and end_signature",
                         vm->config->kernel);
    if (end - begin > MAX_SIGNATURE_SIZE)
        return error_set(err, -EFBIG, "--signature: the signature is larger than 16 MiB");
    size_t words = (end - begin + 3) / 4;
    char *text = malloc(SIGNATURE_LINE * words + 1);
    if (!text)
        return error_set(err, -ENOMEM, "--signature: out of memory");
    int result = print_words(vm, begin, words, text, err);
    if (result == 0)
        result = file_write(vm->config->signature, text, SIGNATURE_LINE * words, err);
    free(text);
    return result;
}

static void print_stats(const struct vm *vm)
{
    struct machine_stats stats = machine_stats(vm->machine);
    struct disk_stats disks[MACHINE_MAX_DISKS];

    for (unsigned i = 0; i < vm->config->disk_count; i++)
        disks[i] = disk_stats(vm->disks[i]);
    stats_print(&stats, disks, vm->config->disk_count, vm->config->stats);
}

/* No hart runs any more: nobody writes to them. */
static void close_streams(struct vm *vm)
{
    stream_close(vm->serial);
    stream_close(vm->console);
    vm->serial = vm->console = NULL;
}

static void free_files(struct vm *vm)
{
    file_bytes_free(&vm->kernel.bytes);
    file_bytes_free(&vm->initrd.bytes);
    file_bytes_free(&vm->dtb.bytes);
    file_bytes_free(&vm->firmware.bytes);
}

static void close_files(struct vm *vm)
{
    free_files(vm);
    file_close(&vm->kernel.file);
    file_close(&vm->initrd.file);
    file_close(&vm->dtb.file);
    file_close(&vm->firmware.file);
}

static void close_vm(struct vm *vm)
{
    control_server_destroy(vm->control);
    debugger_destroy(vm->debugger);
    close_streams(vm);
    files_stop(vm->shares.files);
    machine_destroy(vm->machine);
    governor_destroy(vm->governor);
    vm_shares_close(&vm->shares);
    nets_close(&vm->nets);
    vsock_close(vm->vsock);
    for (unsigned i = 0; i < MACHINE_MAX_DISKS; i++)
        disk_close(vm->disks[i]);
    io_pool_destroy(vm->io_pool);
    loop_destroy(vm->loop);
    close_files(vm);
    if (vm->statm_fd > 0)
        close(vm->statm_fd);
    sandbox_destroy(vm->sandbox);
    doorman_end(vm->doorman, !vm->has_begun);
    file_lock_release(&vm->lock);
}

static void report(const struct error *err)
{
    fprintf(stderr, "doppel boot: %s\n", err->text);
}

/* The sandbox closes last; what cannot be sealed does not run. */
static void run_vm(struct vm *vm)
{
    struct error err = {0};

    if (jail_seal_loop(vm, &vm->failure) < 0) {
        vm->exit_status = VM_EXIT_INTERNAL;
        return;
    }
    vm->has_begun = true;
    free_files(vm); /* the machine reads them again for a reset */
    loop_set_wake(vm->loop, on_wake, vm);
    connect_streams(vm);
    vm->io_limits = vm->config->io_limits;
    vm->started_ns = clock_monotonic_ns();
    vm->has_run = !vm->config->start_paused;
    if (!vm->config->start_paused)
        machine_resume(vm->machine);
    loop_run(vm->loop);
    machine_pause(vm->machine);
    debugger_on_exit(vm->debugger, vm->exit_status);
    if (vm->config->signature && write_signature(vm, &err) < 0) {
        report(&err);
        vm->exit_status = VM_EXIT_INTERNAL;
    }
}

int vm_run(const struct vm_config *config)
{
    struct vm vm = {.config = config, .exit_status = VM_EXIT_OK};
    struct error err = {0};

    signal(SIGPIPE, SIG_IGN);
    if (open_vm(&vm, &err) < 0) {
        close_vm(&vm);
        report(&err);
        return err.code == -ENOMEM ? VM_EXIT_INTERNAL : VM_EXIT_BAD_OPTIONS;
    }
    run_vm(&vm);
    close_streams(&vm);
    if (vm.failure.text[0])
        report(&vm.failure);
    print_stats(&vm);
    close_vm(&vm);
    return vm.exit_status;
}
