/* SPDX-License-Identifier: Apache-2.0
 * What a guest's init says of itself: systemd's notifications, sd_notify(3), which it sends to the vsock port that the
 * credential vmm.notify_socket names. */
#pragma once

#include "base/types.h"

/* Of our vsock; systemd is told "vsock-stream:2:9999". */
#define READY_PORT 9999u

struct ready {
    bool is_ready;
    char status[128]; /* the last "STATUS=" or unit; "": none */
    char line[256];   /* under way */
    size_t length;
};

/* Bytes of the stream; `owner` is the struct vm. Loop thread. */
void ready_receive(void *owner, const uint8_t *bytes, size_t size);
