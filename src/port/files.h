/* SPDX-License-Identifier: Apache-2.0
 * Asynchronous requests to a file server: messages of the FUSE protocol, which only
 * the server reads. No pointer of one side outlives a call on the other. */
#pragma once

#include "base/types.h"

#define FILES_TAG_SIZE 36

struct files_segment {
    const uint8_t *bytes; /* guest RAM */
    size_t size;
};

struct files_request {
    /* Called exactly once with the device lock held, possibly from inside submit():
     * the reply, at most writable_size bytes and 0 for messages that have none. It
     * is valid during the call. */
    void (*done)(struct files_request *request, const uint8_t *reply, size_t size);
    void *owner;
    size_t writable_size; /* room for the reply */
};

struct files_port {
    /* Takes the message in `segments`, `size` bytes in all, which it copies. The
     * request must stay in place until done(). False: no room now; the handler's
     * ready() tells when it is worth another try. Device lock held. */
    bool (*submit)(void *owner, struct files_request *request, const struct files_segment *segments,
                   unsigned segment_count);
    void *owner;
};

/* What a device offers to the server's side. Device lock held. */
struct files_handler {
    void (*ready)(void *device);
    void *device;
};
