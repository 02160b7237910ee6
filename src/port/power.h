/* SPDX-License-Identifier: Apache-2.0
 * How the guest asks for the machine to end or start again. */
#pragma once

#include "base/types.h"

enum power_event {
    POWER_OFF,   /* orderly; `code` is the exit status the guest chose, 0-65535 */
    POWER_RESET, /* start again */
    POWER_FAIL,  /* the guest reports failure with `code` */
};

struct power_port {
    /* Takes effect after the current instruction; any hart thread. */
    void (*request)(void *owner, enum power_event event, unsigned code);
    void *owner;
};
