/* SPDX-License-Identifier: Apache-2.0
 * What a machine's processes keep of their user's rights: nothing they have no use for (docs/design/sandbox.md).
 *
 *     sandbox_prepare   still with everything; makes the filters
 *     sandbox_enter     one thread; all files and sockets are open
 *     sandbox_seal      each thread that exists then, or when it begins
 *
 * What the guest may have taken over is then left with the descriptors that were opened for it. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

#include <sys/types.h>

/* Who makes system calls, by bits in calls.def. */
enum sandbox_role {
    SANDBOX_HART,   /* guest code */
    SANDBOX_IO,     /* disks */
    SANDBOX_LOOP,   /* sockets, the end */
    SANDBOX_FILES,  /* the machine's side of shared folders */
    SANDBOX_SERVER, /* the process that serves them */
    SANDBOX_NET,    /* the process with the user-mode network */
    SANDBOX_ROLE_COUNT,
};

#define SANDBOX_MAX_FOLDERS  16
#define SANDBOX_MAX_READABLE 4

/* What is enforced; some hosts lack some. */
struct sandbox_layers {
    bool namespaces;    /* user, mount, network, IPC, UTS, cgroup; an empty root */
    int landlock;       /* version of its interface; 0: the kernel has none */
    bool write_or_exec; /* PR_SET_MDWE */
    bool filter;        /* seccomp; always */
};

struct sandbox_config {
    /* Folders that all may be done with: shared ones; `shared_read_only` of them only read. Descriptors; borrowed until
     * sandbox_enter. */
    int shared[SANDBOX_MAX_FOLDERS];
    bool shared_read_only[SANDBOX_MAX_FOLDERS];
    unsigned shared_count;
    /* Files, and folders of files, that are read by path. Borrowed as well. */
    int readable[SANDBOX_MAX_READABLE];
    unsigned readable_count;
    /* Threads of SANDBOX_HART carry out requests to disks and folders themselves (virtual time). */
    bool harts_do_everything;
    /* The process keeps its working folder, and with the rights of root those to all files: to serve folders of many
     * users. */
    bool serves_files;
    /* The process keeps the host's network, with ports below 1024 if it has a right to them, and with it paths: there
     * are no namespaces, and Landlock leaves what is `readable`. */
    bool keeps_network;
};

struct sandbox;

/* Makes the filters of the roles in `roles` (bits). On success the caller owns *out (sandbox_destroy). */
MUST_CHECK int sandbox_prepare(const struct sandbox_config *config, unsigned roles,
                               struct sandbox **out, struct error *err);
/* Accepts NULL. */
void sandbox_destroy(struct sandbox *sandbox);

/* Gives up rights of the whole process, which has one thread. Namespaces and Landlock are left out where the host has
 * none; whatever else fails is an error, and the process must end. */
MUST_CHECK int sandbox_enter(struct sandbox *sandbox, struct sandbox_layers *layers,
                             struct error *err);

/* From now on the calling thread makes the system calls of its role, or ends the process. Any thread. */
MUST_CHECK int sandbox_seal(const struct sandbox *sandbox, enum sandbox_role role,
                            struct error *err);

/* ---- the parts, each of the calling thread and what it starts later ---- */

/* namespaces.c: 0; -ENOSYS: the host does not allow them. */
MUST_CHECK int sandbox_unshare(const struct sandbox_config *config, struct error *err);
/* An empty folder becomes the root. */
MUST_CHECK int sandbox_empty_root(const struct sandbox_config *config, struct error *err);
/* rights.c */
MUST_CHECK int sandbox_drop_capabilities(const struct sandbox_config *config, struct error *err);
MUST_CHECK int sandbox_restrict_files(const struct sandbox_config *config, int *version,
                                      struct error *err);
/* calls.c: a filter for seccomp(2); the caller frees *filter. */
struct sock_filter;
MUST_CHECK int sandbox_make_filter(const struct sandbox_config *config, enum sandbox_role role,
                                   struct sock_filter **filter, size_t *count, struct error *err);
