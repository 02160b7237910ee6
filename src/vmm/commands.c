/* SPDX-License-Identifier: Apache-2.0
 * What the control protocol's commands do to a machine: one handler for each row of
 * control/commands.def, called on the loop thread (control/control.h has their contract). */
#include "base/text.h"
#include "host/clock.h"
#include "vmm/cpu_group.h"
#include "vmm/stats.h"
#include "vmm/vm_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S 1000000000.0

/* ---- state ---- */

static const char *status_word(const struct vm *vm)
{
    if (vm->is_ending)
        return "shutdown";
    if (machine_is_running(vm->machine))
        return "running";
    if (vm->has_io_error)
        return "io-error";
    return vm->has_run ? "paused" : "prelaunch";
}

static int query_status(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;

    (void)arguments;
    (void)err;
    *result = json_pack("{s:s, s:b, s:b}", "status", status_word(vm), "singlestep", 0, "running",
                        machine_is_running(vm->machine));
    return 0;
}

static int query_name(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;

    (void)arguments;
    (void)err;
    *result = json_pack("{s:s}", "name", vm->config->name);
    return 0;
}

static int query_uuid(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;

    (void)arguments;
    (void)err;
    *result = json_pack("{s:s}", "UUID", vm->config->uuid);
    return 0;
}

static int query_target(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    (void)owner;
    (void)arguments;
    (void)err;
    *result = json_pack("{s:s}", "arch", "riscv64");
    return 0;
}

static int query_kvm(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    (void)owner;
    (void)arguments;
    (void)err;
    *result = json_pack("{s:b, s:b}", "enabled", 0, "present", 0);
    return 0;
}

static int query_cpus_fast(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;
    char path[64];

    (void)arguments;
    (void)err;
    *result = json_array();
    for (unsigned i = 0; i < machine_hart_count(vm->machine); i++) {
        snprintf(path, sizeof(path), "/machine/hart[%u]", i);
        json_array_append_new(*result,
                              json_pack("{s:i, s:s, s:i, s:s, s:{s:i}}", "cpu-index", i, "qom-path",
                                        path, "thread-id", machine_hart_thread_id(vm->machine, i),
                                        "target", "riscv64", "props", "core-id", i));
    }
    return 0;
}

static int query_memory_size_summary(void *owner, json_t *arguments, json_t **result,
                                     struct error *err)
{
    struct vm *vm = owner;

    (void)arguments;
    (void)err;
    *result = json_pack("{s:I, s:I}", "base-memory", (json_int_t)vm->config->memory_bytes,
                        "plugged-memory", (json_int_t)0);
    return 0;
}

static int query_block(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;
    char name[16];

    (void)arguments;
    (void)err;
    *result = json_array();
    for (unsigned i = 0; i < vm->config->disk_count; i++) {
        const struct vm_disk_config *disk = &vm->config->disks[i];
        snprintf(name, sizeof(name), "disk%u", i);
        json_array_append_new(*result,
                              json_pack("{s:s, s:s, s:b, s:b, s:s, s:{s:s, s:b, s:s}}", "device",
                                        name, "qdev", name, "removable", 0, "locked", 0, "type",
                                        "unknown", "inserted", "file", disk->path, "ro",
                                        disk->read_only, "node-name", name));
    }
    return 0;
}

static int query_blockstats(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;
    char name[16];

    (void)arguments;
    (void)err;
    *result = json_array();
    for (unsigned i = 0; i < vm->config->disk_count; i++) {
        struct disk_stats stats = disk_stats(vm->disks[i]);
        snprintf(name, sizeof(name), "disk%u", i);
        json_array_append_new(*result,
                              json_pack("{s:s, s:s, s:s, s:o}", "device", name, "qdev", name,
                                        "node-name", name, "stats", stats_of_disk(&stats)));
    }
    return 0;
}

static int query_chardev(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;

    (void)arguments;
    (void)err;
    *result = json_array();
    json_array_append_new(*result, json_pack("{s:s, s:s, s:b}", "label", "serial0", "filename",
                                             vm->config->serial, "frontend-open", 1));
    if (vm->config->console)
        json_array_append_new(*result, json_pack("{s:s, s:s, s:b}", "label", "console0", "filename",
                                                 vm->config->console, "frontend-open", 1));
    return 0;
}

/* "127.0.0.1:8080->80/tcp" for each; a new reference. */
static json_t *port_texts(const struct vm *vm)
{
    const struct net_forward *ports;
    char text[NET_FORWARD_TEXT];
    unsigned count = nets_ports(&vm->nets, &ports);
    json_t *texts = json_array();

    for (unsigned i = 0; i < count; i++)
        json_array_append_new(texts, json_string(net_forward_arrow(&ports[i], text)));
    return texts;
}

static int x_doppel_query(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;

    (void)arguments;
    (void)err;
    *result =
        json_pack("{s:s, s:s, s:s, s:i, s:f, s:i, s:I, s:b, s:s, s:b, s:b, s:i, s:o}", "name",
                  vm->config->name, "uuid", vm->config->uuid, "status", status_word(vm), "pid",
                  getpid(), "uptime", (double)(clock_monotonic_ns() - vm->started_ns) / NS_PER_S,
                  "cpus", vm->config->cpus, "memory", (json_int_t)vm->config->memory_bytes, "ready",
                  vm->ready.is_ready, "guest-status", vm->ready.status, "sandbox",
                  vm->sandbox != NULL, "namespaces", vm->layers.namespaces, "landlock",
                  vm->layers.landlock, "ports", port_texts(vm));
    return 0;
}

/* Pages of this process in host memory. */
static json_int_t resident_bytes(const struct vm *vm)
{
    char text[128];
    long pages = 0;
    ssize_t size = vm->statm_fd > 0 ? pread(vm->statm_fd, text, sizeof(text) - 1, 0) : -1;

    text[size < 0 ? 0 : size] = 0;
    if (sscanf(text, "%*s %ld", &pages) != 1)
        pages = 0;
    return (json_int_t)pages * PAGE_SIZE;
}

/* Of all disks. */
static void sum_disks(const struct vm *vm, uint64_t *read_bytes, uint64_t *written_bytes)
{
    *read_bytes = *written_bytes = 0;
    for (unsigned i = 0; i < vm->config->disk_count; i++) {
        struct disk_stats stats = disk_stats(vm->disks[i]);
        *read_bytes += stats.reads.bytes;
        *written_bytes += stats.writes.bytes;
    }
}

static int x_doppel_stats(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;
    struct machine_stats stats = machine_stats(vm->machine);
    struct machine_memory memory = machine_memory(vm->machine);
    uint64_t read_bytes;
    uint64_t written_bytes;

    (void)arguments;
    (void)err;
    sum_disks(vm, &read_bytes, &written_bytes);
    *result = json_pack(
        "{s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "uptime",
        (double)(clock_monotonic_ns() - vm->started_ns) / NS_PER_S, "cpu-seconds",
        (double)clock_process_cpu_ns() / NS_PER_S, "instructions", (json_int_t)stats.instructions,
        "traps", (json_int_t)stats.traps, "resident", resident_bytes(vm), "memory",
        (json_int_t)vm->config->memory_bytes, "memory-target", (json_int_t)memory.target,
        "memory-actual", (json_int_t)memory.actual, "memory-free", (json_int_t)memory.free,
        "disk-read", (json_int_t)read_bytes, "disk-written", (json_int_t)written_bytes);
    return 0;
}

/* ---- running ---- */

static int stop(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    (void)arguments;
    (void)result;
    (void)err;
    vm_pause(owner);
    return 0;
}

static int cont(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    (void)arguments;
    (void)result;
    return vm_resume(owner, err);
}

static int system_powerdown(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;

    (void)arguments;
    (void)result;
    if (!machine_is_running(vm->machine))
        return error_set(err, -EAGAIN, "the machine is %s and cannot shut down; cont first",
                         status_word(vm));
    machine_press_power_button(vm->machine);
    control_server_event(vm->control, CONTROL_EVENT_POWERDOWN, NULL);
    return 0;
}

static int system_reset(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    (void)arguments;
    (void)result;
    return vm_reset(owner, false, err);
}

static int quit(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;

    (void)arguments;
    (void)result;
    (void)err;
    stream_hurry(vm->serial);
    stream_hurry(vm->console);
    vm_end(vm, VM_EXIT_OK, false, "host-qmp-quit");
    return 0;
}

/* Of all disks; what is not named stays. */
static int set_io_limits(struct vm *vm, json_t *arguments, struct error *err)
{
    json_t *bytes = json_object_get(arguments, "io-bps");
    json_t *operations = json_object_get(arguments, "io-iops");

    if (!bytes && !operations)
        return 0;
    if (!vm->io_pool)
        return error_set(err, -EINVAL, "the machine has no disk, or runs on virtual time");
    if ((bytes && json_integer_value(bytes) < 0) ||
        (operations && json_integer_value(operations) < 0))
        return error_set(err, -EINVAL,
                         "io-bps and io-iops: a number, or 0 for no limit, is wanted");
    if (bytes)
        vm->io_limits.bytes = (uint64_t)json_integer_value(bytes);
    if (operations)
        vm->io_limits.operations = (uint64_t)json_integer_value(operations);
    for (unsigned i = 0; i < vm->config->disk_count; i++)
        disk_set_limits(vm->disks[i], &vm->io_limits);
    return 0;
}

static int query_balloon(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;

    (void)arguments;
    if (vm->config->no_balloon)
        return error_set(err, -ENODEV, "the machine has no balloon (--balloon off)");
    *result = json_pack("{s:I}", "actual", (json_int_t)machine_memory(vm->machine).actual);
    return 0;
}

/* 0: all that it has. */
static int set_memory_target(struct vm *vm, json_int_t bytes, struct error *err)
{
    if (bytes < 0 || (bytes > 0 && bytes < (json_int_t)MIB))
        return error_set(err, -EINVAL, "memory-target: at least 1 MiB, or 0 for all, is wanted");
    if (!machine_set_memory_target(vm->machine, bytes ? (uint64_t)bytes : UINT64_MAX))
        return error_set(err, -ENODEV, "the machine has no balloon (--balloon off)");
    return 0;
}

static int balloon(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    json_int_t bytes = json_integer_value(json_object_get(arguments, "value"));

    (void)result;
    if (bytes <= 0)
        return error_set(err, -EINVAL, "value: a number of bytes is wanted");
    return set_memory_target(owner, bytes, err);
}

static int set_net_rate(struct vm *vm, json_int_t rate, struct error *err)
{
    if (rate < 0)
        return error_set(err, -EINVAL, "net-rate: bytes a second, or 0 for no limit, are wanted");
    for (unsigned i = 0; i < vm->nets.count; i++)
        net_set_rate(vm->nets.nets[i], (uint64_t)rate);
    return 0;
}

/* Checks all, then changes all. */
static int x_doppel_set(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;
    json_t *limit = json_object_get(arguments, "cpus-limit");
    json_t *shares = json_object_get(arguments, "cpu-shares");
    json_t *rate = json_object_get(arguments, "net-rate");
    json_t *target = json_object_get(arguments, "memory-target");
    unsigned milli = 0;

    (void)result;
    if (!vm->governor && (limit || shares))
        return error_set(err, -EINVAL, "the machine runs on virtual time (--icount)");
    if (limit && json_number_value(limit) != 0 &&
        !vm_parse_cpus_limit(json_number_value(limit), &milli))
        return error_set(err, -EINVAL, "cpus-limit: 0.01 to 64, or 0 for no limit, is wanted");
    if (shares && (json_integer_value(shares) < 1 || json_integer_value(shares) > CPU_SHARES_MOST))
        return error_set(err, -EINVAL, "cpu-shares: 1 to 262144 is wanted");
    if (set_io_limits(vm, arguments, err) < 0)
        return -EINVAL;
    if (rate && set_net_rate(vm, json_integer_value(rate), err) < 0)
        return -EINVAL;
    if (target && set_memory_target(vm, json_integer_value(target), err) < 0)
        return -EINVAL;
    if (limit)
        governor_set_limit(vm->governor, milli);
    if (shares)
        governor_set_shares(vm->governor, (unsigned)json_integer_value(shares));
    return 0;
}

/* ---- ports ---- */

static int x_doppel_publish(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;
    struct net_forward forward;

    (void)result;
    int code =
        net_forward_parse(json_string_value(json_object_get(arguments, "port")), &forward, err);
    return code < 0 ? code : nets_publish(&vm->nets, &forward, err);
}

static int x_doppel_unpublish(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;
    struct net_forward forward;

    (void)result;
    int code = net_forward_parse_host(json_string_value(json_object_get(arguments, "port")),
                                      &forward, err);
    return code < 0 ? code : nets_unpublish(&vm->nets, &forward, err);
}

static int x_doppel_query_ports(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    struct vm *vm = owner;
    const struct net_forward *ports;
    char address[NET_FORWARD_TEXT];
    unsigned count = nets_ports(&vm->nets, &ports);

    (void)arguments;
    (void)err;
    *result = json_array();
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(*result,
                              json_pack("{s:s, s:i, s:i, s:s}", "host-address",
                                        net_forward_address(&ports[i], address), "host-port",
                                        ports[i].host_port, "guest-port", ports[i].guest_port,
                                        "protocol", ports[i].is_udp ? "udp" : "tcp"));
    return 0;
}

/* ---- for humans ---- */

static json_t *status_line(struct vm *vm)
{
    return json_sprintf("VM status: %s\r\n", status_word(vm));
}

static json_t *name_line(struct vm *vm)
{
    return json_sprintf("%s\r\n", vm->config->name);
}

static json_t *version_line(struct vm *vm)
{
    (void)vm;
    return json_sprintf("doppel " DOPPEL_VERSION "\r\n");
}

static json_t *cpu_lines(struct vm *vm)
{
    char text[MACHINE_MAX_HARTS * 48];
    size_t length = 0;

    for (unsigned i = 0; i < machine_hart_count(vm->machine); i++)
        length +=
            (size_t)snprintf(text + length, sizeof(text) - length, "  CPU #%u: thread_id=%d\r\n", i,
                             machine_hart_thread_id(vm->machine, i));
    return json_string(text);
}

static int human_monitor_command(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    static const struct {
        const char *line;
        json_t *(*print)(struct vm *vm);
        control_handler *execute; /* instead */
    } rows[] = {
        {"info status", status_line, NULL},
        {"info name", name_line, NULL},
        {"info version", version_line, NULL},
        {"info cpus", cpu_lines, NULL},
        {"stop", NULL, stop},
        {"cont", NULL, cont},
        {"system_reset", NULL, system_reset},
        {"system_powerdown", NULL, system_powerdown},
        {"quit", NULL, quit},
    };
    const char *line = json_string_value(json_object_get(arguments, "command-line"));

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].line, line) != 0)
            continue;
        int code = rows[i].execute ? rows[i].execute(owner, arguments, result, err) : 0;
        if (code == 0)
            *result = rows[i].print ? rows[i].print(owner) : json_string("");
        return code;
    }
    *result = json_sprintf("unknown command: '%.200s'\r\n", line);
    if (!*result) /* cut within a character */
        *result = json_string("unknown command\r\n");
    return 0;
}

control_handler *const vm_command_handlers[CONTROL_COMMAND_COUNT] = {
#define qmp_capabilities                           NULL
#define query_version                              NULL
#define query_commands                             NULL
#define query_qmp_schema                           NULL
#define COMMAND(id, name, arguments, result, help) [CONTROL_##id] = id,
#include "control/commands.def"
#undef COMMAND
};
