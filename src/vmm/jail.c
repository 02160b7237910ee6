/* SPDX-License-Identifier: Apache-2.0
 * A machine's sandbox. */
#include "vmm/jail.h"

#include "backend/files/files.h"
#include "backend/files/server.h"
#include "base/log.h"
#include "vmm/doorman.h"
#include "vmm/vm_internal.h"

#include <stdlib.h>

#define ROLE(name) (1u << SANDBOX_##name)

/* What is at a place is removed by the doorman, from outside. */
static int start_doorman(struct vm *vm, struct error *err)
{
    bool is_socket[DOORMAN_MAX_PLACES] = {true, true};
    struct place *places[DOORMAN_MAX_PLACES] = {control_server_place(vm->control),
                                                debugger_place(vm->debugger)};
    unsigned count = 0;

    places[2] = stream_place(vm->serial, &is_socket[2]);
    places[3] = stream_place(vm->console, &is_socket[3]);
    for (unsigned i = 0; i < 4; i++) {
        if (!places[i])
            continue;
        is_socket[count] = is_socket[i];
        places[count++] = places[i];
    }
    return count ? doorman_start(places, is_socket, count, &vm->doorman, err) : 0;
}

static void allow_children(const struct vm *vm, struct sandbox_config *config)
{
    if (vm->shares.files)
        config->children[config->child_count++] = files_keeper(vm->shares.files);
}

/* What is known only when all is open. */
static struct sandbox_config describe(const struct vm *vm)
{
    struct sandbox_config config = {.harts_do_everything = vm->config->icount};

    allow_children(vm, &config);
    return config;
}

int jail_enter(struct vm *vm, struct error *err)
{
    struct sandbox_config config = describe(vm);

    if (vm->config->no_sandbox)
        return 0;
    int result = start_doorman(vm, err);
    if (result == 0)
        result = sandbox_prepare(&config, ROLE(HART) | ROLE(IO) | ROLE(LOOP) | ROLE(FILES),
                                 &vm->sandbox, err);
    if (result == 0)
        result = sandbox_enter(vm->sandbox, &vm->layers, err);
    if (result == 0 && !vm->layers.namespaces)
        log_info("sandbox", "this host allows no user namespaces: one layer is missing");
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
