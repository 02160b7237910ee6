/* SPDX-License-Identifier: Apache-2.0
 * A machine's sandbox. */
#include "vmm/jail.h"

#include "backend/files/files.h"
#include "backend/files/server.h"
#include "base/log.h"
#include "host/child.h"
#include "host/unix_socket.h"
#include "vmm/doorman.h"
#include "vmm/vm_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROLE(name) (1u << SANDBOX_##name)

int jail_open(struct vm *vm, struct error *err)
{
    static const char helper[] = "doppel-net";

    if (vm->config->no_sandbox)
        return 0;
    bool has_helper = child_find(helper, vm->helper, sizeof(vm->helper));
    return doorman_start(has_helper ? vm->helper : NULL, &vm->doorman, err);
}

/* What is at a place is removed by the doorman, from outside. */
static int hand_places_over(struct vm *vm, struct error *err)
{
    struct stream *const streams[] = {vm->serial, vm->console};
    int result = doorman_take(vm->doorman, control_server_place(vm->control), DOORMAN_SOCKET, err);

    if (result == 0)
        result = doorman_take(vm->doorman, debugger_place(vm->debugger), DOORMAN_SOCKET, err);
    if (result == 0)
        result = doorman_take(vm->doorman, vsock_place(vm->vsock), DOORMAN_VSOCK, err);
    for (unsigned i = 0; i < vm->nets.count && result == 0; i++)
        result = doorman_take(vm->doorman, net_place(vm->nets.nets[i]), DOORMAN_SOCKET, err);
    for (unsigned i = 0; i < ARRAY_LEN(streams) && result == 0; i++) {
        bool is_socket = false;
        struct place *place = stream_place(streams[i], &is_socket);
        result =
            doorman_take(vm->doorman, place, is_socket ? DOORMAN_SOCKET : DOORMAN_NEW_FILE, err);
    }
    return result;
}

/* ---- helpers ---- */

int jail_start_child(void *owner, const struct child_config *config, pid_t *pid, struct error *err)
{
    struct vm *vm = owner;

    return vm->doorman ? doorman_spawn(vm->doorman, config, pid, err)
                       : child_start(config, pid, err);
}

void jail_kill_child(void *owner, pid_t pid)
{
    struct vm *vm = owner;

    if (vm->doorman)
        doorman_kill(vm->doorman, pid);
    else
        child_kill(pid);
}

pid_t jail_parent(void *owner)
{
    struct vm *vm = owner;

    return vm->doorman ? doorman_pid(vm->doorman) : getpid();
}

/* Without a sandbox there is nobody to ask. */
int jail_connect(void *owner, uint32_t port)
{
    struct vm *vm = owner;
    const struct place *place = vsock_place(vm->vsock);
    char path[PATH_MAX];

    if (vm->doorman)
        return doorman_connect(vm->doorman, port);
    if (!place || snprintf(path, sizeof(path), "/proc/self/fd/%d/%s_%u", place->folder, place->name,
                           port) >= (int)sizeof(path))
        return -1;
    int fd = unix_connect(path);
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* ---- rights ---- */

/* What is known only when all is open. */
static struct sandbox_config describe(const struct vm *vm)
{
    struct sandbox_config config = {.harts_do_everything = vm->config->icount};

    return config;
}

/* Filters are made at every start: only those that are needed. */
static unsigned roles_of(const struct vm *vm)
{
    return ROLE(HART) | ROLE(LOOP) | (vm->io_pool ? ROLE(IO) : 0) |
           (vm->shares.files ? ROLE(FILES) : 0);
}

int jail_enter(struct vm *vm, struct error *err)
{
    struct sandbox_config config = describe(vm);

    if (vm->config->no_sandbox)
        return 0;
    int result = hand_places_over(vm, err);
    if (result == 0)
        result = sandbox_prepare(&config, roles_of(vm), &vm->sandbox, err);
    if (result == 0)
        result = sandbox_enter(vm->sandbox, &vm->layers, err);
    if (result == 0 && !vm->layers.namespaces)
        log_warn("sandbox", "this host allows no user namespaces: the sandbox lacks that layer "
                            "('doppel doctor' tells more)");
    if (result == 0 && vm->layers.landlock == 0)
        log_warn("sandbox", "this host has no Landlock: the sandbox lacks that layer ('doppel "
                            "doctor' tells more)");
    return result;
}

/* There is no way on without: a thread that went on would have rights that nobody expects. */
static void seal(struct vm *vm, enum sandbox_role role)
{
    struct error err = {0};

    if (!vm->sandbox || sandbox_seal(vm->sandbox, role, &err) == 0)
        return;
    log_error("sandbox", "%s", err.text);
    abort();
}

void jail_seal_hart(void *owner)
{
    seal(owner, SANDBOX_HART);
}

void jail_seal_io(void *owner)
{
    seal(owner, SANDBOX_IO);
}

void jail_seal_files(void *owner)
{
    seal(owner, SANDBOX_FILES);
}

int jail_seal_loop(struct vm *vm, struct error *err)
{
    return vm->sandbox ? sandbox_seal(vm->sandbox, SANDBOX_LOOP, err) : 0;
}

int jail_enter_server(void *owner, const struct server_config *server)
{
    const struct vm *vm = owner;
    struct sandbox_config config = {.serves_files = true};
    struct sandbox_layers layers;
    struct sandbox *sandbox = NULL;
    struct error err = {0};

    if (vm->config->no_sandbox)
        return 0;
    for (unsigned i = 0; i < server->share_count; i++) {
        config.shared[i] = server->shares[i].root_fd;
        config.shared_read_only[i] = server->shares[i].read_only;
    }
    config.shared_count = server->share_count;
    int result = sandbox_prepare(&config, ROLE(SERVER), &sandbox, &err);
    if (result == 0)
        result = sandbox_enter(sandbox, &layers, &err);
    if (result == 0)
        result = sandbox_seal(sandbox, SANDBOX_SERVER, &err);
    if (result < 0)
        log_error("sandbox", "%s", err.text);
    sandbox_destroy(sandbox);
    return result;
}
