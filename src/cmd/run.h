/* SPDX-License-Identifier: Apache-2.0
 * The subcommand `doppel run`, and what it shares with the drop-in for qemu-riscv64:
 * a struct process_config in the making, and running it. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "options/engine.h"
#include "process/process.h"

/* Exit statuses besides the program's own, as of a shell and of env. */
enum run_exit {
    RUN_EXIT_BAD_OPTIONS = 2,
    RUN_EXIT_FAILED = 125,  /* doppel did */
    RUN_EXIT_NO_EXEC = 126, /* the program cannot be executed */
    RUN_EXIT_NOT_FOUND = 127,
};

#define RUN_MAX_OWN_WORDS 64

struct run {
    struct process_config config;
    struct engine_options engine;
    char *sysroot;      /* owned; what config.sysroot points at */
    char *program_path; /* owned; NULL: what config.program points at is borrowed */
    char gdb[160];      /* what config.gdb points at */
    bool logs;          /* --log was given */
    /* For programs that this one executes: the words of this command line that are
     * inherited, up to and without "--". What is put behind them is
     * `-0 ARGV0 -- PATH ARGS...`. */
    char *own_words[RUN_MAX_OWN_WORDS + 1];
    unsigned own_word_count;
};

/* The `first` words are the way to this command: "doppel", "run". */
void run_init(struct run *run, const char *const *first, unsigned count);
void run_fini(struct run *run);

/* Adds inherited words; `value` NULL: none. -E2BIG: there are too many. */
MUST_CHECK int run_inherit(struct run *run, const char *word, const char *value, struct error *err);

/* "NAME=VALUE" into the environment, a name out of it. */
MUST_CHECK int run_set_environment(const char *text, struct error *err);
MUST_CHECK int run_unset_environment(const char *name, struct error *err);

/* --self-fd: what process_config.self_fd wants. */
MUST_CHECK int run_set_self_fd(struct run *run, const char *value, struct error *err);

/* Absolute from now on. -ENOENT and the like when there is no such folder. */
MUST_CHECK int run_set_sysroot(struct run *run, const char *path, struct error *err);

/* --gdb: a bare number is a port of 127.0.0.1. */
MUST_CHECK int run_set_gdb(struct run *run, const char *value, struct error *err);

/* Becomes the program `words[0]`, whose arguments are the others, NULL at the end. Returns
 * only when that failed: the exit status, with one line on stderr that `name` begins. */
int run_program(struct run *run, char *const *words, const char *name);

/* argv[0] is "run". Returns an exit status only when the program did not start. */
int cmd_run(int argc, char **argv);
