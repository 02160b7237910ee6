/* SPDX-License-Identifier: Apache-2.0
 * One folder of the host served to a guest: FUSE requests in, replies out.
 *
 * Everything is done relative to descriptors, one name at a time, and no symbolic link
 * is followed: nothing outside the folder can be reached. Requests are hostile. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

struct share;

/* share_serve: the request waits for a lock and is to be served again, later. */
#define SHARE_LATER      SIZE_MAX
/* Requests of a share that may wait. */
#define SHARE_WAITS_MOST 16

struct share_config {
    int root_fd; /* O_PATH of the folder; borrowed */
    bool read_only;
    /* Who owns what has no stored owner (docs/design/shared-folders.md). */
    uint32_t uid;
    uint32_t gid;
    uint32_t umask;       /* rights that no file on the host gets */
    uint32_t incarnation; /* of the server: nodes of an earlier one are stale */
    unsigned nodes_most;
    unsigned open_most;    /* handles */
    unsigned folders_most; /* descriptors that are kept for looking up; at least 16 */
    unsigned pages_most;   /* of 4 KiB, in one read or write */
    /* Locks are the host's, not the guest's own. At most so many owners of locks; lock requests
     * that may still begin to wait, which all shares have in common, or NULL: none. */
    bool has_locks;
    unsigned lock_files_most;
    _Atomic int *waits_left;
    const char *self_fds; /* "/proc/self/fd/", or "" when that is the working directory */
};

/* Fails when the folder cannot be used. */
MUST_CHECK int share_create(const struct share_config *config, struct share **out,
                            struct error *err);
/* Accepts NULL. */
void share_destroy(struct share *share);

/* Whether owners and special files can be stored there. */
bool share_keeps_owners(const struct share *share);

/* Carries out one request and writes its reply, at most `room` bytes. Returns the size
 * of the reply, 0 when the message has none (or not even an error fits), SHARE_LATER. The request
 * and the reply do not overlap. Any thread, several at once; may block on file I/O. */
size_t share_serve(struct share *share, const uint8_t *request, size_t size, uint8_t *reply,
                   size_t room);
