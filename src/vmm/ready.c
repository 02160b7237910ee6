/* SPDX-License-Identifier: Apache-2.0
 * What a guest's init says of itself: lines "NAME=VALUE". Hostile: it ends up in messages and on terminals. */
#include "vmm/ready.h"

#include "base/text.h"
#include "vmm/vm_internal.h"

#include <stdio.h>
#include <string.h>

/* What is no printable ASCII becomes a question mark. */
static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            *text = '?';
}

static void report_status(struct vm *vm, const char *text)
{
    struct ready *ready = &vm->ready;

    snprintf(ready->status, sizeof(ready->status), "%s", text);
    clean(ready->status);
    json_t *data = json_pack("{s:s}", "text", ready->status);
    control_server_event(vm->control, CONTROL_EVENT_STATUS, data);
    json_decref(data);
}

static void take_line(struct vm *vm, const char *line)
{
    if (strcmp(line, "READY=1") == 0 && !vm->ready.is_ready) {
        vm->ready.is_ready = true;
        control_server_event(vm->control, CONTROL_EVENT_READY, NULL);
    } else if (text_starts_with(line, "STATUS=")) {
        report_status(vm, line + strlen("STATUS="));
    } else if (text_starts_with(line, "X_SYSTEMD_UNIT_ACTIVE=")) {
        report_status(vm, line + strlen("X_SYSTEMD_UNIT_ACTIVE="));
    }
}

void ready_receive(void *owner, const uint8_t *bytes, size_t size)
{
    struct vm *vm = owner;
    struct ready *ready = &vm->ready;

    /* Each message comes by a connection of its own, and the last line may have no end. */
    if (size == 0)
        ready_receive(owner, (const uint8_t *)"\n", 1);
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != '\n' && bytes[i] != 0) {
            /* What is too long is cut off. */
            if (ready->length < sizeof(ready->line) - 1)
                ready->line[ready->length++] = (char)bytes[i];
            continue;
        }
        ready->line[ready->length] = 0;
        ready->length = 0;
        take_line(vm, ready->line);
    }
}
