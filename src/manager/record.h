/* SPDX-License-Identifier: Apache-2.0
 * Machines on this computer: what is written down of them, and what state they are in. There is no daemon: the
 * folders are the registry, and a lock that a machine's process holds says whether it runs. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "host/file.h"
#include "manager/paths.h"

#include <jansson.h>
#include <sys/types.h>

#define RECORD_NAME_MAX 63

enum machine_state {
    MACHINE_STOPPED,
    MACHINE_CRASHED, /* its process ended without saying so; it can be started */
    MACHINE_LIVE,    /* a process has it; the control protocol knows more */
};

struct record {
    char name[RECORD_NAME_MAX + 1];
    char folder[PATH_MAX];  /* of what it keeps */
    char sockets[PATH_MAX]; /* of its sockets */
    /* Owned: name, uuid, image, created, directory, options, append; of foreign images also foreign, user,
     * cloud-init, ssh-port, ssh-way. */
    json_t *json;
};

/* Whether `name` can be a machine's: a host name, lower case. */
bool record_is_name(const char *name);

/* A new machine with a folder of its own. `image` may be NULL; `options`, an array of strings, is borrowed.
 * On success the caller owns what is in `record` (record_fini). -EEXIST: there is one of that name. */
MUST_CHECK int record_create(const struct paths *paths, const char *name, const char *image,
                             json_t *options, struct record *record, struct error *err);
/* Writes `json` down, atomically. */
MUST_CHECK int record_save(const struct record *record, struct error *err);
/* -ENOENT: there is none, and `err` says how to find those there are. */
MUST_CHECK int record_load(const struct paths *paths, const char *name, struct record *record,
                           struct error *err);
/* Accepts a zeroed one. */
void record_fini(struct record *record);
/* Forgets a machine that is not live, with its disks and logs. */
MUST_CHECK int record_remove(const struct record *record, struct error *err);

/* Keeps others from starting or forgetting the machine meanwhile; file_lock_release, or the end of the process, ends
 * that. -EBUSY: another process does one of the two. */
MUST_CHECK int record_lock(const struct record *record, struct file_lock *lock, struct error *err);

/* Names of all machines, sorted; a new reference, or NULL: out of memory. */
json_t *record_names(const struct paths *paths);

/* *pid: of its process if it is live. */
enum machine_state record_state(const struct record *record, pid_t *pid);

/* A string of the record; "" if it has none. */
const char *record_text(const struct record *record, const char *key);
