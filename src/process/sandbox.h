/* SPDX-License-Identifier: Apache-2.0
 * --sandbox: the program gets the sysroot to read, its own file, and what -v names; no
 * network, no other processes, no rights. A program can overwrite doppel's memory, and so
 * do whatever doppel can: all of this is the kernel's to enforce, none of it ours.
 *
 *     doppel (waits, passes signals on)     outside
 *       `- init (reaps)                     pid 1 of the namespaces; all rules in force
 *            `- doppel (becomes the program)                 pid 2, inherits them */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "process/process.h"

#include <linux/limits.h>
#include <sys/types.h>

/* Before anything else of the process exists; it has one thread. Returns 0 in a child that
 * is inside, with `config` changed to what things are called there; the caller ends as that
 * child does. Otherwise -ECANCELED with the reason in `err`, and nothing runs inside. */
MUST_CHECK int process_sandbox_enter(struct process_config *config, struct error *err);

/* ---- the parts ---- */

#define SANDBOX_SELF    "/run/doppel/doppel" /* our own file in there */
#define SANDBOX_PROGRAM "/run/program" /* folder of the program's file, if it lies nowhere else */
#define SANDBOX_MOUNTS  192

/* A tree of mounts that waits for its place, or a symbolic link. */
struct sandbox_mount {
    int fd; /* -1: a link */
    bool is_directory;
    bool is_writable;
    char *guest;  /* owned */
    char *target; /* of a link; owned */
};

/* What is decided outside. */
struct sandbox_plan {
    const struct process_config *config;
    bool has_program;             /* the host has its file */
    char program[PATH_MAX];       /* there */
    char guest_program[PATH_MAX]; /* inside; if not has_program, as the user named it */
    char guest_folder[PATH_MAX];  /* the working folder inside */
    uid_t uid;                    /* the user, outside and inside */
    gid_t gid;
    int proc_fd; /* a mount that waits for its place; -1: there is none */
    struct sandbox_mount mounts[SANDBOX_MOUNTS];
    unsigned mount_count;
};

/* sandbox_files.c. The first: in the new mount namespace, still with the host's files. */
MUST_CHECK int sandbox_gather(struct sandbox_plan *plan, struct error *err);
/* Makes what was gathered the only files there are. */
MUST_CHECK int sandbox_assemble(struct sandbox_plan *plan, struct error *err);

/* sandbox_rules.c: takes all rights away that a program has no use for, from this thread
 * and all its descendants. */
MUST_CHECK int sandbox_restrict(const struct sandbox_plan *plan, struct error *err);
