/* SPDX-License-Identifier: Apache-2.0
 * Frames from and to the machine. */
#include "net_helper/wire.h"

#include "backend/net/frame_ring.h"
#include "port/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    BATCH = 16,
    ROUNDS = 4,
};

struct wire {
    int fd;
    struct frame_ring output;
    uint8_t input[BATCH][NET_FRAME_MOST];
};

struct wire *wire_create(int fd)
{
    struct wire *wire = calloc(1, sizeof(*wire));

    if (!wire || frame_ring_init(&wire->output) < 0) {
        fprintf(stderr, "doppel-net: out of memory\n");
        exit(EXIT_FAILURE);
    }
    wire->fd = fd;
    return wire;
}

void wire_put(struct wire *wire, const uint8_t *frame, size_t size)
{
    bool was_empty;

    if (size < NET_HEADER_SIZE || size > NET_FRAME_MOST)
        return;
    if (frame_ring_put(&wire->output, frame, size, &was_empty))
        return;
    wire_flush(wire);
    /* Else it is lost, as on any wire, and TCP sends it again. */
    (void)frame_ring_put(&wire->output, frame, size, &was_empty);
}

static void prepare(struct mmsghdr *messages, struct iovec *parts, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        messages[i] =
            (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}, .msg_len = 0};
}

void wire_flush(struct wire *wire)
{
    struct frame frames[BATCH];
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];

    for (;;) {
        unsigned count = frame_ring_peek(&wire->output, frames, BATCH);
        if (count == 0)
            return;
        for (unsigned i = 0; i < count; i++)
            parts[i] = (struct iovec){frames[i].bytes, frames[i].size};
        prepare(messages, parts, count);
        int sent = sendmmsg(wire->fd, messages, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0)
            return; /* no room, or nobody: the end is seen when reading */
        frame_ring_drop(&wire->output, frames, (unsigned)sent);
    }
}

bool wire_has_output(const struct wire *wire)
{
    return !frame_ring_is_empty(&wire->output);
}

bool wire_is_busy(const struct wire *wire)
{
    return !frame_ring_has_room(&wire->output);
}

bool wire_read(struct wire *wire, void (*take)(void *owner, const uint8_t *frame, size_t size),
               void *owner)
{
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < BATCH; i++)
            parts[i] = (struct iovec){wire->input[i], NET_FRAME_MOST};
        prepare(messages, parts, BATCH);
        int count = recvmmsg(wire->fd, messages, BATCH, MSG_DONTWAIT, NULL);
        if (count < 0)
            return errno == EAGAIN || errno == EINTR;
        for (int i = 0; i < count; i++) {
            if (messages[i].msg_len == 0)
                return false; /* the end */
            if (messages[i].msg_len >= NET_HEADER_SIZE)
                take(owner, wire->input[i], messages[i].msg_len);
        }
        if (count < BATCH)
            return true;
    }
    return true;
}
