/* SPDX-License-Identifier: Apache-2.0
 * Between doppel and doppel-net, the process with the user-mode network. It has two
 * sockets that keep messages whole (SOCK_SEQPACKET): one carries frames and nothing
 * else, the other struct user_message in both directions. Both are of one build. */
#pragma once

#include "backend/net/forward.h"
#include "port/net.h"

enum {
    USER_FRAMES_FD = 3,
    USER_CONTROL_FD = 4,
};

enum user_message_kind {
    USER_CONFIGURE = 1, /* the first: mtu, flags, address, text (the guest's host name) */
    USER_READY,         /* its answer */
    USER_ADD,           /* a forward; answered by USER_ANSWER with the same sequence */
    USER_REMOVE,
    USER_ANSWER, /* result: 0 or a negative errno */
    USER_LOG,    /* text: a line for the log */
    USER_ENDS,   /* the last; text: why */
};

enum {
    USER_RESTRICTED = 1, /* flags: nothing beyond the forwards is reached */
};

struct user_message {
    uint32_t size; /* of this struct: another build's has another */
    uint32_t kind;
    uint32_t sequence;
    int32_t result;
    uint32_t mtu;
    uint32_t flags;
    uint8_t address[NET_ADDRESS_SIZE]; /* of the guest's network device */
    struct net_forward forward;
    char text[200]; /* ends with a NUL */
};
