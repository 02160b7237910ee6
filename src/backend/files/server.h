/* SPDX-License-Identifier: Apache-2.0
 * The processes that serve a machine's shared folders: a keeper, which starts a server
 * and tells the machine when it is gone, and the server, which has workers. */
#pragma once

#include "backend/files/channel.h"
#include "base/error.h"

#define SERVER_MAX_SHARES 8

struct server_share {
    int root_fd; /* O_PATH of the folder */
    bool read_only;
    bool has_locks; /* of the host's */
    uint32_t uid;   /* who owns what has no stored owner; its group, too */
};

struct server_config {
    struct server_share shares[SERVER_MAX_SHARES];
    unsigned share_count;
    bool may_spin; /* there are CPUs that the guest does not need */
    struct channel *channel;
    /* Called by each server before it serves: gives away what it does not need, and
     * keeps the descriptors of the shares and the working directory. Negative: the
     * server must not run. NULL: nothing to do. */
    int (*enter_jail)(void *owner, const struct server_config *config);
    void *owner;
};

/* What keeper and machine tell each other, one byte each. */
enum server_word {
    SERVER_GONE = 'g',  /* to the machine: the server has ended */
    SERVER_START = 's', /* from the machine: the channel is clean, start another */
};

/* The keeper; never returns. `control_fd` leads to the machine: when that end is closed, the
 * server and the keeper end. */
_Noreturn void server_keep(const struct server_config *config, int control_fd);
