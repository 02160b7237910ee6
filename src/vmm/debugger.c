/* SPDX-License-Identifier: Apache-2.0
 * The gdb stub: connection and machine of the gdb server. */
#include "vmm/debugger.h"

#include "base/text.h"
#include "gdb/server.h"
#include "isa/regs.h"
#include "riscv/hart.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_CSRS         512
/* A debugger asks one thing at a time, so that its buffers hold our answer; the
 * loop, and with it the console and signals, must not wait long for others. */
#define SEND_PATIENCE_MS 500

struct debugger {
    struct machine *machine;
    struct loop *loop;
    int listen_fd;
    int client_fd;
    char *unlink_path;
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
    struct hart *hart = hart_of(owner, index);

    if (number < GDB_REGISTER_PC)
        *value = hart->x[number];
    else if (number == GDB_REGISTER_PC)
        *value = hart->pc;
    else if (number < GDB_REGISTER_CSR0)
        *value = hart->f[number - GDB_REGISTER_F0];
    else if (number < GDB_REGISTER_PRIV)
        return csr_peek(hart, number - GDB_REGISTER_CSR0, value) ? 0 : -ENOENT;
    else if (number == GDB_REGISTER_PRIV)
        *value = hart->privilege;
    else
        return -ENOENT;
    return 0;
}

static int write_register(void *owner, unsigned index, unsigned number, uint64_t value)
{
    struct hart *hart = hart_of(owner, index);

    if (number == 0)
        return 0;
    if (number < GDB_REGISTER_PC)
        hart->x[number] = value;
    else if (number == GDB_REGISTER_PC)
        hart->pc = value & ~UINT64_C(1);
    else if (number < GDB_REGISTER_CSR0)
        hart->f[number - GDB_REGISTER_F0] = value;
    else if (number < GDB_REGISTER_PRIV)
        return csr_poke(hart, number - GDB_REGISTER_CSR0, value) ? 0 : -ENOENT;
    else if (number == GDB_REGISTER_PRIV && (value == PRIV_U || value == PRIV_S || value == PRIV_M))
        hart_set_privilege(hart, (enum privilege)value);
    else
        return -ENOENT;
    return 0;
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

static bool change_point(struct hart *hart, enum gdb_breakpoint_kind kind, gva_t at, size_t size,
                         bool insert)
{
    struct hart_watchpoint watch = {
        .address = at,
        .size = size,
        .on_read = kind == GDB_WATCH_READ || kind == GDB_WATCH_ACCESS,
        .on_write = kind == GDB_WATCH_WRITE || kind == GDB_WATCH_ACCESS,
    };

    if (kind == GDB_BREAK_SOFTWARE || kind == GDB_BREAK_HARDWARE)
        return insert ? hart_add_breakpoint(hart, at) : hart_remove_breakpoint(hart, at);
    return insert ? hart_add_watchpoint(hart, &watch) : hart_remove_watchpoint(hart, &watch);
}

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
        if (!change_point(hart_of(debugger, i), kind, at, size, insert))
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

static struct gdb_stop describe_stop(struct debugger *debugger, unsigned index)
{
    struct hart *hart = hart_of(debugger, index);
    struct gdb_stop stop = {.reason = GDB_STOP_SIGNAL, .signal = GDB_SIGNAL_TRAP, .hart = index};

    switch (hart->debug.stop) {
    case HART_STOP_BREAKPOINT:
        stop.reason = GDB_STOP_BREAK_SOFTWARE;
        break;
    case HART_STOP_WATCH_WRITE:
        stop.reason = GDB_STOP_WATCH_WRITE;
        stop.address = hart->debug.watch_address;
        break;
    case HART_STOP_WATCH_READ:
        stop.reason = GDB_STOP_WATCH_READ;
        stop.address = hart->debug.watch_address;
        break;
    case HART_STOP_NONE:
    case HART_STOP_STEP:
        break;
    }
    hart->debug.stop = HART_STOP_NONE;
    return stop;
}

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
        machine_resume(debugger->machine);
        return;
    }
    for (unsigned i = 0; i < debugger->target.hart_count; i++) {
        if (actions[i] != GDB_STEP)
            continue;
        machine_step(debugger->machine, i);
        stepped = i;
    }
    struct gdb_stop stop = describe_stop(debugger, stepped);
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
    struct gdb_stop stop = describe_stop(debugger, hart);
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

static void drop_client(struct debugger *debugger)
{
    loop_remove(debugger->loop, debugger->client_fd);
    close(debugger->client_fd);
    debugger->client_fd = -1;
    gdb_server_reset(&debugger->server);
}

static void send_bytes(void *owner, const void *bytes, size_t size)
{
    struct debugger *debugger = owner;
    const uint8_t *at = bytes;

    while (size && debugger->client_fd >= 0) {
        ssize_t sent = send(debugger->client_fd, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            at += sent;
            size -= (size_t)sent;
            continue;
        }
        if (sent < 0 && errno == EINTR)
            continue;
        struct pollfd p = {.fd = debugger->client_fd, .events = POLLOUT};
        /* A client that does not read is as good as gone; reading notices. */
        if (sent < 0 && (errno != EAGAIN || poll(&p, 1, SEND_PATIENCE_MS) != 1)) {
            shutdown(debugger->client_fd, SHUT_RDWR);
            return;
        }
    }
}

static void on_client(void *owner, unsigned events)
{
    struct debugger *debugger = owner;
    uint8_t bytes[4096];

    (void)events;
    ssize_t count = recv(debugger->client_fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        drop_client(debugger);
        return;
    }
    gdb_server_receive(&debugger->server, bytes, (size_t)count);
}

/* A new client may be seen before the end of the one it follows. */
static void drop_client_that_left(struct debugger *debugger)
{
    struct pollfd p = {.fd = debugger->client_fd, .events = POLLRDHUP};

    if (debugger->client_fd >= 0 && poll(&p, 1, 0) == 1)
        drop_client(debugger);
}

static void on_connect(void *owner, unsigned events)
{
    struct debugger *debugger = owner;
    int fd = accept4(debugger->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    int one = 1;

    (void)events;
    if (fd < 0)
        return;
    drop_client_that_left(debugger);
    if (debugger->client_fd >= 0 ||
        loop_add(debugger->loop, fd, LOOP_READ, on_client, debugger) < 0) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    debugger->client_fd = fd;
}

static int listen_tcp(struct debugger *debugger, const char *spec, struct error *err)
{
    char host[64];
    uint64_t port;
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *colon = strrchr(spec, ':');
    size_t length = colon ? (size_t)(colon - spec) : 0;
    int one = 1;

    if (!colon || length >= sizeof(host) || !text_parse_u64(colon + 1, 65535, &port))
        return error_set(err, -EINVAL, "--gdb 'tcp:%s': tcp:ADDRESS:PORT is wanted", spec);
    memcpy(host, spec, length);
    host[length] = 0;
    address.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, length ? host : "127.0.0.1", &address.sin_addr) != 1)
        return error_set(err, -EINVAL, "--gdb 'tcp:%s': '%s' is not an IPv4 address", spec, host);
    debugger->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (debugger->listen_fd >= 0)
        setsockopt(debugger->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (debugger->listen_fd < 0 ||
        bind(debugger->listen_fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_set(err, -errno, "--gdb 'tcp:%s': cannot listen there: %s", spec,
                         strerror(errno));
    return 0;
}

static int listen_unix(struct debugger *debugger, const char *path, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, -ENAMETOOLONG, "--gdb 'unix:%s': the path is too long", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    debugger->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (debugger->listen_fd < 0 ||
        bind(debugger->listen_fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_set(err, -errno, "--gdb 'unix:%s': cannot listen there: %s", path,
                         strerror(errno));
    debugger->unlink_path = strdup(path);
    return 0;
}

static int start_listening(struct debugger *debugger, const char *spec, struct error *err)
{
    int result;

    if (text_starts_with(spec, "tcp:"))
        result = listen_tcp(debugger, spec + 4, err);
    else if (text_starts_with(spec, "unix:") && spec[5])
        result = listen_unix(debugger, spec + 5, err);
    else
        result =
            error_set(err, -EINVAL, "--gdb '%s': tcp:ADDRESS:PORT or unix:PATH is wanted", spec);
    if (result < 0)
        return result;
    if (listen(debugger->listen_fd, 1) < 0 ||
        loop_add(debugger->loop, debugger->listen_fd, LOOP_READ, on_connect, debugger) < 0)
        return error_set(err, -errno, "--gdb '%s': cannot listen there: %s", spec, strerror(errno));
    return 0;
}

int debugger_create(struct machine *machine, struct loop *loop, const char *spec, bool running,
                    struct debugger **out, struct error *err)
{
    struct debugger *debugger = calloc(1, sizeof(*debugger));

    if (!debugger)
        return error_set(err, -ENOMEM, "cannot create the gdb stub: out of memory");
    debugger->machine = machine;
    debugger->loop = loop;
    debugger->listen_fd = debugger->client_fd = -1;
    int result = start_listening(debugger, spec, err);
    if (result < 0) {
        debugger_destroy(debugger);
        return result;
    }
    fill_target(debugger);
    gdb_server_init(&debugger->server, &debugger->target, running, send_bytes, debugger);
    *out = debugger;
    return 0;
}

void debugger_on_exit(struct debugger *debugger, int status)
{
    struct gdb_stop stop = {.reason = GDB_STOP_EXITED, .signal = (unsigned)status};

    if (debugger && debugger->client_fd >= 0 && debugger->server.running)
        gdb_server_stopped(&debugger->server, &stop);
}

void debugger_destroy(struct debugger *debugger)
{
    if (!debugger)
        return;
    if (debugger->client_fd >= 0) {
        loop_remove(debugger->loop, debugger->client_fd);
        close(debugger->client_fd);
    }
    if (debugger->listen_fd >= 0) {
        loop_remove(debugger->loop, debugger->listen_fd);
        close(debugger->listen_fd);
    }
    if (debugger->unlink_path)
        unlink(debugger->unlink_path);
    free(debugger->unlink_path);
    free(debugger);
}
