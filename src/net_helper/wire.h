/* SPDX-License-Identifier: Apache-2.0
 * Frames from and to the machine, over one socket that keeps them whole. */
#pragma once

#include "base/types.h"

struct wire;

/* Exits when there is no memory. */
struct wire *wire_create(int fd);

/* Puts a frame in line; drops it when the line is full. */
void wire_put(struct wire *wire, const uint8_t *frame, size_t size);
/* Sends what can be sent. */
void wire_flush(struct wire *wire);
bool wire_has_output(const struct wire *wire);
/* So much waits that nothing should be made that adds to it. */
bool wire_is_busy(const struct wire *wire);

/* Reads frames and calls `take` for each; a bounded number. False: the machine is gone. */
bool wire_read(struct wire *wire, void (*take)(void *owner, const uint8_t *frame, size_t size),
               void *owner);
