/* SPDX-License-Identifier: Apache-2.0
 * vsock connections behind unix sockets, by the convention that microVMs have:
 *
 *     host -> guest    connect to PATH, write "CONNECT PORT\n", read "OK HOSTPORT\n", then the stream
 *     guest -> host    a connection to CID 2, port PORT, goes to whoever listens at PATH_PORT
 *
 * Bounded: connections, and what waits in each direction. Loop thread, but for what the port does. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "host/loop.h"
#include "host/place.h"
#include "port/lock.h"
#include "port/vsock.h"

#define VSOCK_MAX_CONNECTIONS 64

struct vsock;

struct vsock_config {
    const char *path; /* for this call */
    struct loop *loop;
    struct lock_port device_lock;
    /* Connects to PATH_`port`: a descriptor, which is the caller's, or -1. NULL: as if nobody listened. */
    int (*connect)(void *owner, uint32_t port);
    /* A port that is served here: what guests send to it; size 0: the end of a connection. 0: none. Loop thread. */
    uint32_t own_port;
    void (*receive)(void *owner, const uint8_t *bytes, size_t size);
    void *owner;
};

/* Listens at the path. On success the caller owns *out (vsock_close). */
MUST_CHECK int vsock_open(const struct vsock_config *config, struct vsock **out, struct error *err);
/* Accepts NULL. No hart runs any more. */
void vsock_close(struct vsock *vsock);

/* What the device calls. */
struct vsock_port vsock_port(struct vsock *vsock);
void vsock_attach(struct vsock *vsock, const struct vsock_handler *handler);
/* After a loop_wake: what the guest sent goes on. Accepts NULL. */
void vsock_service(struct vsock *vsock);
/* Of the socket, which vsock_close removes unless it is forgotten. NULL: nothing. Accepts NULL. */
struct place *vsock_place(struct vsock *vsock);
