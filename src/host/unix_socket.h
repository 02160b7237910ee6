/* SPDX-License-Identifier: Apache-2.0
 * Sockets in the file system, for this user only. Any thread. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

/* Binds a socket of `type` (SOCK_STREAM, SOCK_DGRAM ...) at `path`, mode 0600, and listens if it is a stream's.
 * What a dead process left there is replaced; a path where somebody listens is not. Returns the descriptor
 * (close-on-exec, non-blocking), which the caller closes and whose path it unlinks, or -errno with the
 * reason in `err`, which names `what`. Changes the process's umask for a moment: set-up only. */
MUST_CHECK int unix_listen(const char *path, int type, const char *what, struct error *err);

/* Connects to a stream socket; may block as long as the other side's queue is full. Returns the
 * descriptor (close-on-exec) or -errno: -ECONNREFUSED and -ENOENT mean that nobody listens. */
MUST_CHECK int unix_connect(const char *path);
