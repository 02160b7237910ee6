/* SPDX-License-Identifier: Apache-2.0
 * Shared folders, as the machine's process sees them: it copies messages between guest
 * memory and the memory that it shares with the server's process (ADR 0034). */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "port/files.h"
#include "port/lock.h"

struct files;
struct server_config;
struct loop;

#define FILES_MAX_SHARES 8

struct files_share {
    const char *path; /* for messages, too; borrowed */
    bool read_only;
    bool has_locks; /* of the guest are locks of the host, too */
    uint32_t uid;   /* in the guest, of what has no stored owner */
};

struct files_config {
    struct files_share shares[FILES_MAX_SHARES];
    unsigned share_count;
    struct lock_port device_lock;
    /* Called first on the thread that answers; NULL: nothing to do. */
    void (*enter)(void *owner);
    /* Called by each server's process before it serves; server.h. */
    int (*enter_jail)(void *owner, const struct server_config *config);
    void *owner;
    /* Runs must be the same every time: a request is answered before submit returns. */
    bool is_synchronous;
    unsigned cpus; /* of the guest: where the host has more, waiting threads may spin a little */
};

/* Opens the folders and starts the processes; on success the caller owns *out. Before
 * the process has threads: it forks. */
MUST_CHECK int files_start(const struct files_config *config, struct files **out,
                           struct error *err);
/* For the device of share `index`; valid until files_close. */
struct files_port files_port(struct files *files, unsigned index);
/* Starts answering, with a handler for each share. Loop thread. */
MUST_CHECK int files_connect(struct files *files, struct loop *loop,
                             const struct files_handler *handlers, struct error *err);
/* No device is called any more. Loop thread, without the device lock. Accepts NULL. */
void files_stop(struct files *files);
/* Ends the processes, and stops. Accepts NULL. */
void files_close(struct files *files);
/* Of the keeper; 0: none. For tests. */
int files_keeper(const struct files *files);
