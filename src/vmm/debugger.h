/* SPDX-License-Identifier: Apache-2.0
 * The gdb stub: a socket in front, a machine behind, the protocol of gdb/ in
 * between. Loop thread only. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "host/loop.h"
#include "host/place.h"
#include "machine/machine.h"

struct debugger;

/* Listens at `spec` (tcp:ADDR:PORT or unix:PATH). On success the caller owns *out
 * (debugger_destroy, which accepts NULL). */
MUST_CHECK int debugger_create(struct loop *loop, const char *spec, struct debugger **out,
                               struct error *err);
void debugger_destroy(struct debugger *debugger);
/* Once, before the loop runs. `running`: the machine will be started at once; `resumes` is called before the debugger
 * lets it go on. Accepts a debugger that is NULL, as does the next. */
void debugger_attach(struct debugger *debugger, struct machine *machine, bool running,
                     void (*resumes)(void *owner), void *owner);
/* Of its unix socket, which debugger_destroy removes unless it is forgotten. NULL: nothing. */
struct place *debugger_place(struct debugger *debugger);

/* The machine reported MACHINE_EVENT_DEBUG of `hart`. */
void debugger_on_stop(struct debugger *debugger, unsigned hart);
/* The machine ends with `status`; accepts NULL. */
void debugger_on_exit(struct debugger *debugger, int status);
