/* SPDX-License-Identifier: Apache-2.0
 * The control protocol: QMP as QEMU speaks it (docs/man/doppel-qmp.7), over any stream of bytes.
 * Greeting, negotiation, checks of arguments, replies, events. Knows neither sockets nor
 * machines. One thread. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

#include <jansson.h>

enum control_command_id {
#define COMMAND(id, name, arguments, result, help) CONTROL_##id,
#include "control/commands.def"
#undef COMMAND
    CONTROL_COMMAND_COUNT,
};

enum control_event_id {
#define EVENT(id, name, data, help) CONTROL_EVENT_##id,
#include "control/events.def"
#undef EVENT
    CONTROL_EVENT_COUNT,
};

struct control_command {
    const char *name;
    const char *arguments;
    const char *result;
    const char *help;
};

struct control_event {
    const char *name;
    const char *data;
    const char *help;
};

extern const struct control_command control_commands[CONTROL_COMMAND_COUNT];
extern const struct control_event control_events[CONTROL_EVENT_COUNT];

/* Serves a command. `arguments` is an object whose members have been checked against the table.
 * On success *result may be set to a new reference; nothing stands for an empty object.
 * Returns 0, or -errno with the text for the client in `err`; -ENODEV is DeviceNotFound there,
 * -EAGAIN DeviceNotActive, everything else GenericError. */
typedef int control_handler(void *owner, json_t *arguments, json_t **result, struct error *err);

struct control_service {
    /* Those of the protocol itself, qmp_capabilities and query-{version,commands,qmp-schema},
     * are served here and have none. */
    control_handler *const *handlers; /* CONTROL_COMMAND_COUNT */
    const char *version;              /* of doppel */
    void *owner;
};

/* One client. */
struct control_session;

/* Where a session's output goes; not called from inside control_create. */
typedef void control_output(void *owner, const char *bytes, size_t size);

/* NULL: out of memory. The service must live as long. */
struct control_session *control_create(const struct control_service *service,
                                       control_output *output, void *owner);
void control_destroy(struct control_session *session);

/* Sends the greeting. */
void control_greet(struct control_session *session);
/* Bytes from the client; serves what they ask for. */
void control_receive(struct control_session *session, const char *bytes, size_t size);
/* Tells the client, if it has ended the negotiation. `data` is borrowed, NULL: none. */
void control_send_event(struct control_session *session, enum control_event_id event,
                        const json_t *data);

/* ---- the parts ---- */

/* schema.c: a new reference to the answer of query-qmp-schema. */
json_t *control_schema(void);
/* Checks `arguments` (an object) against "name:type ?name:type". Returns 0 or -EINVAL with the text for
 * the client. */
MUST_CHECK int control_check(const char *wanted, json_t *arguments, struct error *err);
