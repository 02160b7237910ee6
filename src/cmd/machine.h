/* SPDX-License-Identifier: Apache-2.0
 * What commands about a machine that is named have in common. Functions print what is wrong themselves, one line on
 * standard error. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "manager/client.h"
#include "manager/record.h"
#include "options/words.h"

/* Exit statuses of all commands but those that pass a guest's on. */
enum {
    CMD_OK = 0,
    CMD_FAILED = 1,
    CMD_BAD_OPTIONS = 2,
    CMD_INTERNAL = 125,
};

/* How long a machine may take to answer; it does so from its event loop. */
#define CMD_CALL_MS 10000

/* "doppel COMMAND: text" of `err`. Returns the exit status for its code. */
int cmd_report(const char *command, const struct error *err);

/* A command's words: the options of a table, and plain words. */
struct cmd_words {
    const char *command; /* "stop" */
    const char *usage;   /* "NAME [--time SECONDS]" */
    const char *help;    /* what it does, sentences */
    const struct option_row *rows;
    unsigned row_count;
    unsigned least; /* plain words */
    unsigned most;

    /* What was found. */
    const char *plain[64];
    unsigned count;
    const char *values[OPTION_ROWS_MAX]; /* of options; flags: "" */
    char **rest;                         /* behind "--" */
    int rest_count;
};

/* Reads them. Returns -1: go on; else the exit status to end with (--help was printed, or what is wrong). */
int cmd_words_parse(struct cmd_words *words, int argc, char **argv);

/* A machine that was named, for as long as a command runs. */
struct cmd_machine {
    struct paths paths;
    struct record record;
    enum machine_state state;
    pid_t pid; /* of its process, if it is live */
    struct client *client;
    bool has_run; /* cmd_machine_start got as far as a process that runs */
};

/* Finds it. Returns 0; else the exit status. The caller closes it (cmd_machine_close) in both cases. */
int cmd_machine_open(struct cmd_machine *machine, const char *command, const char *name);
/* The same for one that has to be live, and connects to it. */
int cmd_machine_connect(struct cmd_machine *machine, const char *command, const char *name);
void cmd_machine_close(struct cmd_machine *machine);

/* Gives a command; *result may be NULL. Returns 0 or the exit status. */
int cmd_machine_call(struct cmd_machine *machine, const char *command, const char *qmp_command,
                     json_t *arguments, json_t **result);

/* "running", "paused", "stopped", "crashed" ...; a live one is asked. */
const char *cmd_machine_word(const struct record *record, enum machine_state state, char to[32]);

/* Whether `boot` will take what is written down of a machine; -EINVAL with its reason. */
MUST_CHECK int cmd_machine_check(const struct paths *paths, const struct record *record,
                                 struct error *err);

/* Waits for a live machine's process to end. False: it did not in `seconds`. */
bool cmd_machine_wait_end(const struct cmd_machine *machine, unsigned seconds);

/* A number of seconds from an option; false, with a line printed, if it is none. */
bool cmd_parse_seconds(const char *command, const char *option, const char *text, unsigned *out);

/* For start and launch: starts the machine and shows on a terminal what is waited for. */
int cmd_machine_start(struct cmd_machine *machine, const char *command, unsigned wait_s);
