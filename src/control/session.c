/* SPDX-License-Identifier: Apache-2.0
 * One client of the control protocol.
 *
 *     greeting --qmp_capabilities--> commands and events
 *
 * Jansson may answer NULL when memory is short; then a client gets no reply, which is
 * all that is lost. */
#include "control/control.h"
#include "control/framer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The version of QEMU whose commands ours are like, for clients that look. */
enum { QEMU_MAJOR = 9, QEMU_MINOR = 0, QEMU_MICRO = 0 };

struct control_session {
    const struct control_service *service;
    control_output *output;
    void *owner;
    bool has_negotiated;
    struct framer framer;
};

struct control_session *control_create(const struct control_service *service,
                                       control_output *output, void *owner)
{
    struct control_session *session = calloc(1, sizeof(*session));

    if (!session)
        return NULL;
    session->service = service;
    session->output = output;
    session->owner = owner;
    return session;
}

void control_destroy(struct control_session *session)
{
    free(session);
}

/* ---- output ---- */

/* Takes the reference. */
static void send_message(struct control_session *session, json_t *take_message)
{
    char *text = json_dumps(take_message, JSON_COMPACT | JSON_ENSURE_ASCII);

    json_decref(take_message);
    if (!text)
        return;
    size_t size = strlen(text);
    text[size] = '\n'; /* in place of the NUL: one write per message */
    session->output(session->owner, text, size + 1);
    free(text);
}

static json_t *version(const struct control_session *session)
{
    return json_pack("{s:{s:i, s:i, s:i}, s:s+}", "qemu", "micro", QEMU_MICRO, "minor", QEMU_MINOR,
                     "major", QEMU_MAJOR, "package", "doppel ", session->service->version);
}

void control_greet(struct control_session *session)
{
    send_message(session,
                 json_pack("{s:{s:o, s:[]}}", "QMP", "version", version(session), "capabilities"));
}

/* `id` is borrowed, NULL: the client gave none. */
static void reply(struct control_session *session, json_t *id, const char *key, json_t *take_value)
{
    json_t *message = json_object();

    json_object_set_new(message, key, take_value ? take_value : json_object());
    if (id)
        json_object_set(message, "id", id);
    send_message(session, message);
}

static void reply_error(struct control_session *session, json_t *id, const char *class,
                        const char *text)
{
    json_t *desc = json_string(text);

    /* What a client sent may have been cut within a character. */
    if (!desc)
        desc = json_string("the reason cannot be told: it is no text in UTF-8");
    reply(session, id, "error", json_pack("{s:s, s:o}", "class", class, "desc", desc));
}

void control_send_event(struct control_session *session, enum control_event_id event,
                        const json_t *data)
{
    struct timespec now;

    if (!session->has_negotiated)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    json_t *message = json_pack("{s:s, s:{s:I, s:I}}", "event", control_events[event].name,
                                "timestamp", "seconds", (json_int_t)now.tv_sec, "microseconds",
                                (json_int_t)now.tv_nsec / 1000);
    if (data)
        json_object_set_new(message, "data", json_deep_copy(data));
    send_message(session, message);
}

/* ---- commands ---- */

static json_t *command_list(void)
{
    json_t *list = json_array();

    for (unsigned i = 0; i < CONTROL_COMMAND_COUNT; i++)
        json_array_append_new(list, json_pack("{s:s}", "name", control_commands[i].name));
    return list;
}

static const char *error_class(int code)
{
    return code == -ENODEV   ? "DeviceNotFound"
           : code == -EAGAIN ? "DeviceNotActive"
                             : "GenericError";
}

static int negotiate(struct control_session *session, json_t *arguments, struct error *err)
{
    const json_t *enable = json_object_get(arguments, "enable");

    if (json_array_size(enable) > 0)
        return error_set(err, -EINVAL, "no capability is offered, so that none can be enabled");
    session->has_negotiated = true;
    return 0;
}

static int serve(struct control_session *session, unsigned id, json_t *arguments, json_t **result,
                 struct error *err)
{
    const struct control_service *service = session->service;

    switch (id) {
    case CONTROL_qmp_capabilities:
        return negotiate(session, arguments, err);
    case CONTROL_query_version:
        *result = version(session);
        return 0;
    case CONTROL_query_commands:
        *result = command_list();
        return 0;
    case CONTROL_query_qmp_schema:
        *result = control_schema();
        return 0;
    default:
        return service->handlers[id](service->owner, arguments, result, err);
    }
}

/* The row of a command that may be given now; or the error was sent. */
static int find_command(struct control_session *session, json_t *id, const char *name)
{
    unsigned i = 0;

    while (i < CONTROL_COMMAND_COUNT && strcmp(control_commands[i].name, name) != 0)
        i++;
    bool negotiates = i == CONTROL_qmp_capabilities;
    if (i < CONTROL_COMMAND_COUNT && negotiates != session->has_negotiated)
        return (int)i;
    const char *text = "Capabilities negotiation is already complete, command ignored";
    if (!session->has_negotiated)
        text = "Expecting capabilities negotiation with 'qmp_capabilities'";
    else if (!negotiates)
        text = "The command has not been found";
    reply_error(session, id, "CommandNotFound", text);
    return -1;
}

static void execute(struct control_session *session, json_t *message)
{
    json_t *id = json_object_get(message, "id");
    const char *name = json_string_value(json_object_get(message, "execute"));
    json_t *arguments = json_object_get(message, "arguments");
    struct error err = {0};
    json_t *result = NULL;

    int checked = control_check("execute:str ?arguments:object ?id:any", message, &err);
    int command = checked < 0 ? -1 : find_command(session, id, name);
    if (checked < 0)
        reply_error(session, id, "GenericError", err.text);
    if (command < 0)
        return;
    arguments = arguments ? json_incref(arguments) : json_object();
    int code = control_check(control_commands[command].arguments, arguments, &err);
    if (code == 0)
        code = serve(session, (unsigned)command, arguments, &result, &err);
    json_decref(arguments);
    if (code < 0)
        reply_error(session, id, error_class(code), err.text[0] ? err.text : strerror(-code));
    else
        reply(session, id, "return", result);
}

static void receive_message(struct control_session *session)
{
    json_error_t error;
    json_t *message = json_loadb(session->framer.text, session->framer.size,
                                 JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

    if (!message) {
        reply_error(session, NULL, "GenericError", "JSON parse error: no valid object");
        return;
    }
    execute(session, message);
    json_decref(message);
}

void control_receive(struct control_session *session, const char *bytes, size_t size)
{
    for (;;) {
        switch (framer_take(&session->framer, &bytes, &size)) {
        case FRAMER_MORE:
            return;
        case FRAMER_MESSAGE:
            receive_message(session);
            break;
        case FRAMER_GARBAGE:
            reply_error(session, NULL, "GenericError", "JSON parse error: an object is wanted");
            break;
        case FRAMER_TOO_LONG:
            reply_error(session, NULL, "GenericError",
                        "JSON parse error: messages may have 65536 bytes");
            break;
        }
    }
}
