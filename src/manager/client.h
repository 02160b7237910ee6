/* SPDX-License-Identifier: Apache-2.0
 * A client of a machine's control socket. One thread; blocks, but never longer than asked. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

#include <jansson.h>

struct client;

/* Called for events that come while a call waits. `data` may be NULL. */
typedef void client_event(void *owner, const char *event, json_t *data);

/* Connects to the socket at `path` and negotiates. Returns 0; -ECONNREFUSED or -ENOENT when nobody listens; -ETIMEDOUT.
 * On success the caller owns *out (client_close). */
MUST_CHECK int client_open(const char *path, unsigned timeout_ms, struct client **out,
                           struct error *err);
/* Accepts NULL. */
void client_close(struct client *client);
void client_on_event(struct client *client, client_event *callback, void *owner);

/* Gives a command. `arguments` is borrowed, NULL: none. *result, if it is asked for, is a new reference.
 * Returns 0; -EREMOTEIO with the machine's words in `err`; -ETIMEDOUT; -EPIPE: the machine is gone. */
MUST_CHECK int client_call(struct client *client, const char *command, json_t *arguments,
                           unsigned timeout_ms, json_t **result, struct error *err);

/* Waits for an event, which is reported as any; -ETIMEDOUT, -EPIPE. */
MUST_CHECK int client_wait(struct client *client, unsigned timeout_ms, struct error *err);
