/* SPDX-License-Identifier: Apache-2.0
 * The process VM: one riscv64 Linux program as this process. Guest memory is this
 * process's memory at the same addresses, a guest thread is a thread, and system
 * calls are made of the host's (docs/design/process-vm.md). */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "isa/extension.h"
#include "translator/translator.h"

/* What of the host's files a sandboxed program gets: -v HOST:GUEST[:ro]. */
struct process_share {
    const char *host;
    const char *guest; /* absolute */
    bool read_only;
};
#define PROCESS_MAX_SHARES 64

struct process_config {
    const char *program;       /* as the user named it: a path, or looked up in $PATH */
    int program_fd;            /* it is open already (binfmt_misc); -1: it is not */
    char *const *arguments;    /* behind the program's name, NULL at the end */
    char *const *environment;  /* NULL at the end */
    const char *argv0;         /* what the program sees as its name; NULL: as `program` */
    const char *sysroot;       /* absolute paths are looked up there first; NULL: nowhere */
    const char *uname_release; /* what uname tells as the kernel's; NULL: the host's */
    /* The words of our own command line up to the program, NULL at the end: put before
     * a program that this one executes, with `-0 ARGV0 -- PATH ARGUMENTS` behind them;
     * "--" is not among them. Owned by the caller. */
    char *const *own_words;
    bool strace;
    const char *gdb; /* tcp:ADDR:PORT, unix:PATH: wait for gdb there; NULL: no gdb */
    bool stats;
    bool stats_json;
    bool translate; /* else interpret */
    struct translator_options translator;
    struct extension_set extensions;
    int self_fd; /* of our own executable, where /proc is out of reach; -1 */
    bool sandbox;
    struct process_share shares[PROCESS_MAX_SHARES];
    unsigned share_count;
};

/* Loads the program and runs it on this thread. Returns only when that fails before
 * its first instruction: -errno with the reason in `err`; otherwise this process ends
 * as the program does. Once in a process, while it has one thread. */
int process_run(const struct process_config *config, struct error *err);
