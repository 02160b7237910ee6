/* SPDX-License-Identifier: Apache-2.0
 * A process that stays outside of a machine's sandbox and does what the machine may not do itself any more:
 * removes its sockets in the end, starts its helper again, connects it to a listener beside its vsock socket. It does these
 * three things, with what was named before the machine ran, and nothing else. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "host/child.h"
#include "host/place.h"

#include <sys/types.h>

struct doorman;

#define DOORMAN_MAX_PLACES   12
#define DOORMAN_MAX_CHILDREN 8

enum doorman_place {
    DOORMAN_SOCKET,   /* removed in the end */
    DOORMAN_VSOCK,    /* the same, and listeners beside it can be connected to */
    DOORMAN_NEW_FILE, /* removed if the machine fails to start */
};

/* Forks; before the process has threads. `helper` is the only program that it starts; NULL: none. On success the caller
 * owns *out (doorman_end). The rest is for the loop's thread, and blocks for an answer. */
MUST_CHECK int doorman_start(const char *helper, struct doorman **out, struct error *err);

/* Takes a place over, and forgets it here. Accepts NULL. */
MUST_CHECK int doorman_take(struct doorman *doorman, struct place *place, enum doorman_place kind,
                            struct error *err);

/* As child_start, for the helper; its parent is the doorman. */
MUST_CHECK int doorman_spawn(struct doorman *doorman, const struct child_config *config, pid_t *pid,
                             struct error *err);
/* Ends what doorman_spawn started. */
void doorman_kill(struct doorman *doorman, pid_t pid);

/* Connects to PATH_`port` where PATH is the place of DOORMAN_VSOCK: a descriptor, or -1. */
int doorman_connect(struct doorman *doorman, uint32_t port);

/* Has everything removed and waits for that; `failed`: the machine never ran. If the machine ends without this, its
 * sockets stay, which tells that it crashed. Accepts NULL. */
void doorman_end(struct doorman *doorman, bool failed);

/* The process. */
pid_t doorman_pid(const struct doorman *doorman);
