/* SPDX-License-Identifier: Apache-2.0
 * The control socket of a machine: clients of the control protocol on a unix socket. Clients that do
 * not read what they are sent are dropped. Loop thread. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "control/control.h"
#include "host/loop.h"
#include "host/place.h"

struct vm;
struct control_server;

/* Listens at `spec`, unix:PATH. On success the caller owns *out (control_server_destroy). */
MUST_CHECK int control_server_create(struct vm *vm, struct loop *loop, const char *spec,
                                     struct control_server **out, struct error *err);
/* Sends what waits, closes, removes the path. Accepts NULL. */
void control_server_destroy(struct control_server *server);

/* Of the socket, which control_server_destroy removes unless it is forgotten. NULL: nothing. Accepts NULL. */
struct place *control_server_place(struct control_server *server);

/* Tells all clients. `data` is borrowed, NULL: none. Accepts a server that is NULL, as do the next two. */
void control_server_event(struct control_server *server, enum control_event_id event,
                          const json_t *data);
/* SHUTDOWN and RESET; `reason` as QEMU's ShutdownCause. */
void control_server_shutdown(struct control_server *server, bool by_guest, const char *reason);
void control_server_reset(struct control_server *server, bool by_guest);
