/* SPDX-License-Identifier: Apache-2.0
 * Programs of our own that run beside this process. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

#include <sys/types.h>

#define CHILD_MAX_FDS  8
#define CHILD_FIRST_FD 3

/* Finds the program `name`: in $DOPPEL_LIBEXEC, else beside this executable, else in
 * ../libexec/doppel of it. False: it is nowhere. */
bool child_find(const char *name, char *path, size_t size);

struct child_config {
    char *const *argv; /* ends with NULL */
    const int *fds;    /* its numbers 3, 4, ...; at most CHILD_MAX_FDS */
    unsigned fd_count;
    bool keeps_stderr; /* messages go where ours go, not to /dev/null */
};

/* Starts `argv[0]` with these descriptors and nothing else: input and output are /dev/null. It
 * has default signals and a process group of its own, so that keys at the terminal do not reach
 * it. */
MUST_CHECK int child_start(const struct child_config *config, pid_t *pid, struct error *err);

/* Who starts programs instead, for a process that may not do it itself any more. Zeroed: we do. */
struct child_port {
    /* As child_start, child_kill. */
    int (*start)(void *owner, const struct child_config *config, pid_t *pid, struct error *err);
    void (*kill)(void *owner, pid_t pid);
    pid_t (*parent)(void *owner); /* of what start() starts */
    void *owner;
};

/* Ends it at once and waits for that. */
void child_kill(pid_t pid);
