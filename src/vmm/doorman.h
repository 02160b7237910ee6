/* SPDX-License-Identifier: Apache-2.0
 * A process that stays outside of a machine's sandbox and removes its sockets in the end: to be able to do that itself the
 * machine would have to keep rights to folders. It knows what to remove, and takes one word from the machine. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "host/place.h"

struct doorman;

#define DOORMAN_MAX_PLACES 8

/* Before the process has threads. Takes the places over and forgets them here; those at which `is_socket` is false are
 * removed only if the machine fails to start. On success the caller owns *out (doorman_end). */
MUST_CHECK int doorman_start(struct place *const *places, const bool *is_socket, unsigned count,
                             struct doorman **out, struct error *err);
/* Has everything removed and waits for that; `failed`: the machine never ran. If the machine ends without this, its
 * sockets stay, which tells that it crashed. Accepts NULL. */
void doorman_end(struct doorman *doorman, bool failed);
/* The process; 0: none. */
int doorman_pid(const struct doorman *doorman);
