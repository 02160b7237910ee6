/* SPDX-License-Identifier: Apache-2.0
 * What stands behind a serial line: the user's terminal, a file, a pseudo
 * terminal or a unix socket.
 *
 * Output is kept in a bounded ring and written by the loop thread, so that a
 * reader who does not read slows the guest's serial line and nothing else. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "host/loop.h"
#include "host/place.h"
#include "port/lock.h"
#include "port/stream.h"

struct stream;

struct stream_config {
    /* stdio | none | pty | file:PATH | unix:PATH; behind it may stand ",log=FILE", which keeps the end
     * of what was printed */
    const char *spec;
    const char *what; /* "serial", for messages */
    struct loop *loop;
    struct lock_port device_lock;
    /* The user typed Ctrl-] on a raw terminal (stdio). Loop thread. */
    void (*escape)(void *owner);
    void *owner;
};

/* Loop thread; on success the caller owns *out (stream_close). */
MUST_CHECK int stream_open(const struct stream_config *config, struct stream **out,
                           struct error *err);
/* What stream_close will remove: a unix socket, or, until it is connected, a file that is new. Whoever forgets it has it
 * removed otherwise. NULL: nothing. Accepts NULL. */
struct place *stream_place(struct stream *stream, bool *is_socket);
/* The user wants us to end now: closing waits for no reader. Accepts NULL. */
void stream_hurry(struct stream *stream);
/* Writes what is still in the ring, waiting for a slow reader at most a second
 * without progress; gives the terminal back. Accepts NULL. */
void stream_close(struct stream *stream);

/* What the device writes to. Its functions are called with the device lock
 * held, on any thread. */
struct stream_port stream_port(struct stream *stream);
/* Whom to give input to, once the device exists; input before that waits. */
void stream_connect(struct stream *stream, const struct stream_handler *handler);
/* To be called on the loop thread after a loop_wake: new output, or room for
 * input. */
void stream_service(struct stream *stream);
