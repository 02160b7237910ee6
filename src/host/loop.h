/* SPDX-License-Identifier: Apache-2.0
 * The event loop of the main thread: file descriptors, signals, and calls that
 * other threads ask for. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

struct loop;

enum {
    LOOP_READ = 1,
    LOOP_WRITE = 2,
    LOOP_HANGUP = 4, /* always reported: the other side is gone, or an error */
};

/* `events` are LOOP_ bits. Loop thread. */
typedef void loop_callback(void *owner, unsigned events);

MUST_CHECK int loop_create(struct loop **out, struct error *err);
void loop_destroy(struct loop *loop);

/* One callback per descriptor; the caller keeps owning `fd` and removes it
 * before closing. Returns -EPERM for what cannot be waited for (regular files).
 * Loop thread only, as are the next two. */
MUST_CHECK int loop_add(struct loop *loop, int fd, unsigned events, loop_callback *callback,
                        void *owner);
void loop_change(struct loop *loop, int fd, unsigned events);
void loop_remove(struct loop *loop, int fd);

/* Calls `callback(owner, signal)` in the loop for each SIGINT, SIGTERM, SIGHUP
 * and SIGQUIT from now on, instead of the default action. */
MUST_CHECK int loop_watch_signals(struct loop *loop, loop_callback *callback, void *owner,
                                  struct error *err);

/* Makes the loop call `callback(owner, 0)` soon; any thread, also the loop's.
 * Wakes coalesce. */
void loop_set_wake(struct loop *loop, loop_callback *callback, void *owner);
void loop_wake(struct loop *loop);

/* Dispatches until loop_stop. */
void loop_run(struct loop *loop);
/* Loop thread. */
void loop_stop(struct loop *loop);
