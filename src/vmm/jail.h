/* SPDX-License-Identifier: Apache-2.0
 * A machine's sandbox: which of its threads and processes keep what (docs/design/sandbox.md). */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "host/child.h"
#include "sandbox/sandbox.h"

struct vm;
struct server_config;

/* First of all: starts who stays outside. */
MUST_CHECK int jail_open(struct vm *vm, struct error *err);
/* Makes the filters and gives up the rights of the process: everything is open, and there is one thread. Nothing
 * happens if the user does not want a sandbox. */
MUST_CHECK int jail_enter(struct vm *vm, struct error *err);
/* The loop's thread, last of all. */
MUST_CHECK int jail_seal_loop(struct vm *vm, struct error *err);

/* Helpers and sockets, also from inside; `owner` is the struct vm. See struct child_port, vsock_config.connect. */
int jail_start_child(void *owner, const struct child_config *config, pid_t *pid, struct error *err);
void jail_kill_child(void *owner, pid_t pid);
pid_t jail_parent(void *owner);
int jail_connect(void *owner, uint32_t port);

/* First calls of threads: they end the process if they fail. `owner` is the struct vm. */
void jail_seal_hart(void *owner);
void jail_seal_io(void *owner);
void jail_seal_files(void *owner);
/* First call of a process that serves shared folders. */
MUST_CHECK int jail_enter_server(void *owner, const struct server_config *config);
