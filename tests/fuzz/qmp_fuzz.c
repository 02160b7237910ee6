/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: a client of the control protocol. The input is what it sends, in pieces whose sizes its first byte
 * gives; commands do nothing. What comes back has to be lines of JSON. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "control/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_line(void *owner, const char *bytes, size_t size)
{
    json_t *message = json_loadb(bytes, size, 0, NULL);

    ASSERT(size > 0 && bytes[size - 1] == '\n' && json_is_object(message));
    ASSERT(!json_object_get(message, "error") ||
           json_is_string(json_object_get(json_object_get(message, "error"), "desc")));
    json_decref(message);
    ++*(unsigned *)owner;
}

static int do_nothing(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    (void)owner;
    (void)result;
    (void)err;
    ASSERT(json_is_object(arguments));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static control_handler *handlers[CONTROL_COMMAND_COUNT];
    const struct control_service service = {handlers, "0", NULL};
    unsigned lines = 0;

    if (size == 0)
        return 0;
    for (unsigned i = 0; i < CONTROL_COMMAND_COUNT; i++)
        handlers[i] = do_nothing;
    struct control_session *session = control_create(&service, check_line, &lines);
    size_t piece = data[0] ? data[0] : 4096;
    ASSERT(session);
    control_greet(session);
    for (size_t at = 1; at < size; at += piece)
        control_receive(session, (const char *)data + at, MIN(piece, size - at));
    control_send_event(session, CONTROL_EVENT_STOP, NULL);
    control_destroy(session);
    ASSERT(lines <= size + 1);
    return 0;
}
