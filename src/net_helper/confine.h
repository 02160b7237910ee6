/* SPDX-License-Identifier: Apache-2.0
 * What the process gives up before it looks at anything. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* Leaves the process with its two sockets, the host's network and the files that libslirp reads. 0 or a negative errno
 * with the reason in *err; the process must end then. -ESRCH: the machine, process `parent`, is gone already. */
MUST_CHECK int confine(pid_t parent, struct error *err);

/* The host's resolv.conf is another file than the one that confine() left: it cannot be read. Asks the host once a
 * second at most. */
bool confine_is_outdated(void);
