/* SPDX-License-Identifier: Apache-2.0
 * The socket that gdb connects to: one client at a time. One thread. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "host/place.h"

#include <sys/types.h>

struct connection {
    int listen_fd;      /* -1: closed */
    int client_fd;      /* -1: nobody is there */
    struct place place; /* of a unix socket, removed at the end */
};

/* Listens at `spec`, tcp:ADDRESS:PORT or unix:PATH. On success the caller closes it. On
 * failure there is nothing to close, and `err` says why, calling it --gdb. */
MUST_CHECK int connection_open(struct connection *connection, const char *spec, struct error *err);
/* Accepts one that is closed. */
void connection_close(struct connection *connection);
/* In a child process: gives up the descriptors and leaves the path alone. */
void connection_abandon(struct connection *connection);

/* Takes the client who waits at listen_fd, if nobody is there yet; or sends it away. True:
 * client_fd is a new one. `left` is called with `owner` if there was a client, who turns
 * out to have left; then it is closed. */
bool connection_accept(struct connection *connection, void (*left)(void *owner), void *owner);
/* Closes the client. */
void connection_drop(struct connection *connection);

/* Bytes from the client. 0: there are none now; -1: the client is gone. */
ssize_t connection_receive(struct connection *connection, void *to, size_t size);
/* Sends all, or shuts a client down who does not read for a while. */
void connection_send(struct connection *connection, const void *bytes, size_t size);
