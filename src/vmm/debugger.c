/* SPDX-License-Identifier: Apache-2.0
 * The gdb stub: connection and machine of the gdb server. */
#include "vmm/debugger.h"

#include "debug/connection.h"
#include "debug/registers.h"
#include "gdb/server.h"
#include "isa/regs.h"
#include "riscv/hart.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CSRS 512

struct debugger {
    struct machine *machine;
    void (*resumes)(void *owner); /* before it goes on */
    void *owner;
    struct loop *loop;
    struct connection connection;
    struct gdb_server server;
    struct gdb_target target;
    struct gdb_csr csrs[MAX_CSRS];
};

static struct hart *hart_of(struct debugger *debugger, unsigned index)
{
    return machine_hart(debugger->machine, index);
}

/* ---- registers ---- */

static int read_register(void *owner, unsigned index, unsigned number, uint64_t *value)
{
    return debug_read_register(hart_of(owner, index), number, value);
}

static int write_register(void *owner, unsigned index, unsigned number, uint64_t value)
{
    return debug_write_register(hart_of(owner, index), number, value);
}

/* ---- memory: page by page, as the hart sees it ---- */

typedef bool access_page(struct debugger *debugger, gpa_t pa, uint8_t *bytes, size_t size);

static bool read_page(struct debugger *debugger, gpa_t pa, uint8_t *bytes, size_t size)
{
    return machine_read_ram(debugger->machine, pa, bytes, size);
}

static bool write_page(struct debugger *debugger, gpa_t pa, uint8_t *bytes, size_t size)
{
    return machine_write_ram(debugger->machine, pa, bytes, size);
}

static size_t access_memory(struct debugger *debugger, unsigned index, gva_t at, uint8_t *bytes,
                            size_t size, access_page *access)
{
    size_t done = 0;

    while (done < size) {
        gpa_t pa;
        size_t part = MIN(size - done, PAGE_SIZE - (at & PAGE_MASK));
        if (!mmu_peek(hart_of(debugger, index), at, &pa) ||
            !access(debugger, pa, bytes + done, part))
            break;
        done += part;
        at += part;
    }
    return done;
}

static size_t read_memory(void *owner, unsigned hart, gva_t at, void *to, size_t size)
{
    return access_memory(owner, hart, at, to, size, read_page);
}

static size_t write_memory(void *owner, unsigned hart, gva_t at, const void *from, size_t size)
{
    return access_memory(owner, hart, at, (uint8_t *)(uintptr_t)from, size, write_page);
}

/* ---- break- and watchpoints: the same on all harts ---- */

static int change_points(struct debugger *debugger, enum gdb_breakpoint_kind kind, gva_t at,
                         size_t size, bool insert)
{
    unsigned count = machine_hart_count(debugger->machine);
    bool was_running = machine_is_running(debugger->machine);
    int result = 0;

    /* The debugger may vanish while harts run. */
    if (was_running)
        machine_pause(debugger->machine);
    for (unsigned i = 0; i < count; i++)
        if (!debug_change_point(hart_of(debugger, i), kind, at, size, insert))
            result = insert ? -ENOSPC : -ENOENT;
    if (was_running)
        machine_resume(debugger->machine);
    return result;
}

static int insert_point(void *owner, enum gdb_breakpoint_kind kind, gva_t at, size_t size)
{
    return change_points(owner, kind, at, size, true);
}

static int remove_point(void *owner, enum gdb_breakpoint_kind kind, gva_t at, size_t size)
{
    return change_points(owner, kind, at, size, false);
}

/* ---- running ---- */

static bool has_step(const struct debugger *debugger, const enum gdb_action *actions)
{
    for (unsigned i = 0; i < debugger->target.hart_count; i++)
        if (actions[i] == GDB_STEP)
            return true;
    return false;
}

/* All harts go on together: "continue only this thread" would let a lock holder
 * wait for ever. A step executes one instruction of its hart while the others
 * stand still, so that it comes back at once. */
static void resume(void *owner, const enum gdb_action *actions)
{
    struct debugger *debugger = owner;
    unsigned stepped = 0;

    for (unsigned i = 0; i < debugger->target.hart_count; i++)
        hart_of(debugger, i)->debug.skip_breakpoint = true;
    if (!has_step(debugger, actions)) {
        debugger->resumes(debugger->owner);
        machine_resume(debugger->machine);
        return;
    }
    for (unsigned i = 0; i < debugger->target.hart_count; i++) {
        if (actions[i] != GDB_STEP)
            continue;
        machine_step(debugger->machine, i);
        stepped = i;
    }
    struct gdb_stop stop = debug_take_stop(hart_of(debugger, stepped), stepped);
    gdb_server_stopped(&debugger->server, &stop);
}

static void interrupt(void *owner)
{
    struct debugger *debugger = owner;
    struct gdb_stop stop = {.reason = GDB_STOP_SIGNAL, .signal = GDB_SIGNAL_INT};

    machine_pause(debugger->machine);
    gdb_server_stopped(&debugger->server, &stop);
}

void debugger_on_stop(struct debugger *debugger, unsigned hart)
{
    if (!debugger)
        return;
    machine_pause(debugger->machine);
    struct gdb_stop stop = debug_take_stop(hart_of(debugger, hart), hart);
    /* Another hart may have stopped for its own reason in the same moment; it
     * will do so again when it goes on. */
    for (unsigned i = 0; i < debugger->target.hart_count; i++)
        hart_of(debugger, i)->debug.stop = HART_STOP_NONE;
    if (!debugger->server.running) /* told already */
        return;
    gdb_server_stopped(&debugger->server, &stop);
}

static void detach(void *owner)
{
    (void)owner;
}

static void kill_machine(void *owner)
{
    struct debugger *debugger = owner;

    loop_stop(debugger->loop);
}

static void monitor(void *owner, const char *command, char *text, size_t size)
{
    struct debugger *debugger = owner;

    if (strcmp(command, "reset") == 0) {
        struct error err = {0};
        if (machine_reset(debugger->machine, &err) < 0)
            snprintf(text, size, "%s\n", err.text);
        else
            snprintf(text, size, "machine reset\n");
    } else {
        snprintf(text, size, "monitor commands: reset\n");
    }
}

static void describe_hart(void *owner, unsigned index, char *text, size_t size)
{
    static const char modes[] = "US?M";

    snprintf(text, size, "hart %u, %c-mode", index, modes[hart_of(owner, index)->privilege & 3]);
}

static void fill_target(struct debugger *debugger)
{
    struct hart *hart = hart_of(debugger, 0);
    size_t count = 0;
    uint64_t value;

    for (unsigned number = 0; number < 4096 && count < MAX_CSRS; number++) {
        const char *name = isa_csr_name(number);
        if (name && number > 3 && csr_peek(hart, number, &value))
            debugger->csrs[count++] = (struct gdb_csr){name, (uint16_t)number};
    }
    debugger->target = (struct gdb_target){
        .hart_count = machine_hart_count(debugger->machine),
        .has_fpu = extension_set_has(&hart->config.extensions, EXT_F),
        .csrs = debugger->csrs,
        .csr_count = count,
        .owner = debugger,
        .read_register = read_register,
        .write_register = write_register,
        .read_memory = read_memory,
        .write_memory = write_memory,
        .insert = insert_point,
        .remove = remove_point,
        .resume = resume,
        .interrupt = interrupt,
        .detach = detach,
        .kill = kill_machine,
        .monitor = monitor,
        .describe_hart = describe_hart,
    };
}

/* ---- the connection ---- */

static void forget_client(void *owner)
{
    struct debugger *debugger = owner;

    loop_remove(debugger->loop, debugger->connection.client_fd);
    gdb_server_reset(&debugger->server);
}

static void send_bytes(void *owner, const void *bytes, size_t size)
{
    struct debugger *debugger = owner;

    connection_send(&debugger->connection, bytes, size);
}

static void on_client(void *owner, unsigned events)
{
    struct debugger *debugger = owner;
    uint8_t bytes[4096];

    (void)events;
    ssize_t count = connection_receive(&debugger->connection, bytes, sizeof(bytes));
    if (count < 0) {
        forget_client(debugger);
        connection_drop(&debugger->connection);
    } else {
        gdb_server_receive(&debugger->server, bytes, (size_t)count);
    }
}

static void on_connect(void *owner, unsigned events)
{
    struct debugger *debugger = owner;
    struct connection *connection = &debugger->connection;

    (void)events;
    if (connection_accept(connection, forget_client, debugger) &&
        loop_add(debugger->loop, connection->client_fd, LOOP_READ, on_client, debugger) < 0)
        connection_drop(connection);
}

static int start_listening(struct debugger *debugger, const char *spec, struct error *err)
{
    int result = connection_open(&debugger->connection, spec, err);

    if (result < 0)
        return result;
    if (loop_add(debugger->loop, debugger->connection.listen_fd, LOOP_READ, on_connect, debugger) <
        0)
        return error_set(err, -errno, "--gdb '%s': cannot listen there: %s", spec, strerror(errno));
    return 0;
}

int debugger_create(struct loop *loop, const char *spec, struct debugger **out, struct error *err)
{
    struct debugger *debugger = calloc(1, sizeof(*debugger));

    if (!debugger)
        return error_set(err, -ENOMEM, "cannot create the gdb stub: out of memory");
    debugger->loop = loop;
    debugger->connection.listen_fd = debugger->connection.client_fd = -1;
    int result = start_listening(debugger, spec, err);
    if (result < 0) {
        debugger_destroy(debugger);
        return result;
    }
    *out = debugger;
    return 0;
}

void debugger_attach(struct debugger *debugger, struct machine *machine, bool running,
                     void (*resumes)(void *owner), void *owner)
{
    if (!debugger)
        return;
    debugger->resumes = resumes;
    debugger->owner = owner;
    debugger->machine = machine;
    fill_target(debugger);
    gdb_server_init(&debugger->server, &debugger->target, running, send_bytes, debugger);
}

struct place *debugger_place(struct debugger *debugger)
{
    return debugger && debugger->connection.place.name[0] ? &debugger->connection.place : NULL;
}

void debugger_on_exit(struct debugger *debugger, int status)
{
    struct gdb_stop stop = {.reason = GDB_STOP_EXITED, .signal = (unsigned)status};

    if (debugger && debugger->connection.client_fd >= 0 && debugger->server.running)
        gdb_server_stopped(&debugger->server, &stop);
}

void debugger_destroy(struct debugger *debugger)
{
    if (!debugger)
        return;
    if (debugger->connection.client_fd >= 0)
        loop_remove(debugger->loop, debugger->connection.client_fd);
    if (debugger->connection.listen_fd >= 0)
        loop_remove(debugger->loop, debugger->connection.listen_fd);
    connection_close(&debugger->connection);
    free(debugger);
}
