/* SPDX-License-Identifier: Apache-2.0
 * A machine's sandbox: which of its threads and processes keep what (docs/design/sandbox.md). */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "sandbox/sandbox.h"

struct vm;
struct server_config;

/* Makes the filters and gives up the rights of the process: everything is open, and there is one thread. Nothing
 * happens if the user does not want a sandbox. */
MUST_CHECK int jail_enter(struct vm *vm, struct error *err);
/* The loop's thread, last of all. */
MUST_CHECK int jail_seal_loop(struct vm *vm, struct error *err);

/* First calls of threads: they end the process if they fail. `owner` is the struct vm. */
void jail_seal_hart(void *owner);
void jail_seal_io(void *owner);
void jail_seal_files(void *owner);
/* First call of a process that serves shared folders. */
MUST_CHECK int jail_enter_server(void *owner, const struct server_config *config);
