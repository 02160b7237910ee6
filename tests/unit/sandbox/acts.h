/* SPDX-License-Identifier: Apache-2.0
 * What somebody may try who has taken over one of a machine's threads, and what there is outside to try it on. */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "sandbox/sandbox.h"

enum {
    NAMESPACES = 1, /* and capabilities */
    LANDLOCK = 2,
    FILTER = 4,
    ALL = 7,

    FAILED_TO_ENTER = 200,
    LAYER_MISSING = 201,
    SHARE_FD = 70,
    READ_ONLY_FD = 71,
    SOCKET_FD = 72, /* a connected stream, as all roles could have one */
    FILE_FD = 73,   /* a file of the share */
    NAMES_FD = 74,  /* what is read by its path */
};

/* Roles, as bits. */
#define EVERY  ((1u << SANDBOX_ROLE_COUNT) - 1)
#define SERVER (1u << SANDBOX_SERVER)
#define NET    (1u << SANDBOX_NET)

/* Outside: secret; share/file, share/link -> secret, share/up -> ../secret; readonly/file; names. */
extern char outside[], secret[64], share[64], readonly[64], path_socket[64], names[64];
extern pid_t victim;
extern uint16_t tcp_port;
extern int memory_id;

struct act {
    const char *name;
    int (*run)(void);  /* 0 when it succeeded, else the error number */
    unsigned layers;   /* that refuse it alone; FILTER: for the roles of `filtered` */
    unsigned filtered; /* roles */
    bool is_anybodys;  /* without a sandbox every user can do it: the act itself is in order */
    unsigned works;    /* roles whose work it is */
};

/* Of a listener that `connect_abstract` tries to reach. */
struct sockaddr_un abstract_name(void);

extern const struct act acts[];
extern const unsigned act_count;

static inline int got(long result)
{
    return result < 0 ? errno : 0;
}
