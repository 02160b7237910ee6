/* SPDX-License-Identifier: Apache-2.0
 * Commands that change whether a machine runs. */
#include "cmd/lifecycle.h"

#include "cmd/machine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A guest on a loaded host. */
#define START_PATIENCE_S 300
#define STOP_PATIENCE_S  120
/* Its loop ends at once, unless the process hangs. */
#define QUIT_PATIENCE_S  5

/* ---- start ---- */

static int start_one(const char *command, const char *name, unsigned wait_s)
{
    struct cmd_machine machine;
    char word[32];
    int status = cmd_machine_open(&machine, command, name);

    if (status == CMD_OK && machine.state == MACHINE_LIVE) {
        fprintf(stderr, "doppel %s: the machine '%s' is %s already\n", command, name,
                cmd_machine_word(&machine.record, machine.state, word));
        status = CMD_FAILED;
    }
    /* Only guests of images promise to say that they are ready. */
    if (status == CMD_OK)
        status = cmd_machine_start(&machine, command,
                                   *record_text(&machine.record, "image") ? wait_s : 0);
    cmd_machine_close(&machine);
    return status;
}

int cmd_start(int argc, char **argv)
{
    static const struct option_row rows[] = {
        {0, "wait", "SECONDS", "for the guest to be ready (300); 0: only for the machine to run"}};
    struct cmd_words words = {.command = "start",
                              .usage = "NAME [--wait SECONDS]",
                              .help = "Starts a machine that is stopped.",
                              .rows = rows,
                              .row_count = ARRAY_LEN(rows),
                              .least = 1,
                              .most = 1};
    unsigned wait_s = START_PATIENCE_S;
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    if (words.values[0] && !cmd_parse_seconds("start", "wait", words.values[0], &wait_s))
        return CMD_BAD_OPTIONS;
    return start_one("start", words.plain[0], wait_s);
}

/* ---- stop ---- */

/* Ends the process, as a power cut does. */
static int end_machine(struct cmd_machine *machine, const char *command)
{
    struct error err = {0};

    if (machine->client)
        (void)!client_call(machine->client, "quit", NULL, QUIT_PATIENCE_S * 1000, NULL, &err);
    if (cmd_machine_wait_end(machine, machine->client ? QUIT_PATIENCE_S : 0))
        return CMD_OK;
    /* A descriptor, so that no other process that got the number is hit: it is the machine's if the
     * lock says so still once we have it. */
    int fd = (int)syscall(SYS_pidfd_open, machine->pid, 0);
    pid_t pid;
    if (fd >= 0 && record_state(&machine->record, &pid) == MACHINE_LIVE && pid == machine->pid)
        syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    if (fd >= 0)
        close(fd);
    if (cmd_machine_wait_end(machine, QUIT_PATIENCE_S))
        return CMD_OK;
    fprintf(stderr, "doppel %s: process %d of the machine '%s' does not end\n", command,
            machine->pid, machine->record.name);
    return CMD_FAILED;
}

/* A machine that is paused cannot do anything; of others the control protocol knows better. */
static bool runs(struct cmd_machine *machine)
{
    json_t *status = NULL;
    bool is_paused =
        client_call(machine->client, "query-status", NULL, CMD_CALL_MS, &status, NULL) == 0 &&
        json_is_false(json_object_get(status, "running"));

    json_decref(status);
    return !is_paused;
}

static int stop_one(const char *command, const char *name, unsigned wait_s, bool force)
{
    struct cmd_machine machine;
    int status = cmd_machine_connect(&machine, command, name);

    if (status == CMD_OK && !runs(&machine)) {
        fprintf(
            stderr,
            "doppel %s: the machine '%s' is paused, so that its guest cannot shut down; 'doppel "
            "resume %s' first, or 'doppel kill %s'\n",
            command, name, name, name);
        status = CMD_FAILED;
    }
    if (status == CMD_OK)
        status = cmd_machine_call(&machine, command, "system_powerdown", NULL, NULL);
    if (status == CMD_OK && !cmd_machine_wait_end(&machine, wait_s)) {
        fprintf(stderr, "doppel %s: the guest of '%s' did not shut down within %u s; %s\n", command,
                name, wait_s,
                force ? "ending the machine" : "'doppel kill' ends the machine as it is");
        status = force ? end_machine(&machine, command) : CMD_FAILED;
    }
    cmd_machine_close(&machine);
    return status;
}

static const struct option_row stop_rows[] = {
    {'t', "time", "SECONDS", "for the guest to shut down (120)"},
    {'f', "force", NULL, "end the machine if it has not by then"},
};

static int parse_stop(struct cmd_words *words, int argc, char **argv, unsigned *wait_s)
{
    int status = cmd_words_parse(words, argc, argv);

    *wait_s = STOP_PATIENCE_S;
    if (status < 0 && words->values[0] &&
        !cmd_parse_seconds(words->command, "time", words->values[0], wait_s))
        return CMD_BAD_OPTIONS;
    return status;
}

int cmd_stop(int argc, char **argv)
{
    struct cmd_words words = {.command = "stop",
                              .usage = "NAME [--time SECONDS] [--force]",
                              .help = "Has a machine's guest shut down, and waits for it.",
                              .rows = stop_rows,
                              .row_count = ARRAY_LEN(stop_rows),
                              .least = 1,
                              .most = 1};
    unsigned wait_s;
    int status = parse_stop(&words, argc, argv, &wait_s);

    return status >= 0 ? status : stop_one("stop", words.plain[0], wait_s, words.values[1] != NULL);
}

int cmd_restart(int argc, char **argv)
{
    struct cmd_words words = {.command = "restart",
                              .usage = "NAME [--time SECONDS] [--force]",
                              .help = "Has a machine's guest shut down, and starts it again.",
                              .rows = stop_rows,
                              .row_count = ARRAY_LEN(stop_rows),
                              .least = 1,
                              .most = 1};
    unsigned wait_s;
    int status = parse_stop(&words, argc, argv, &wait_s);

    if (status >= 0)
        return status;
    status = stop_one("restart", words.plain[0], wait_s, words.values[1] != NULL);
    return status == CMD_OK ? start_one("restart", words.plain[0], START_PATIENCE_S) : status;
}

/* ---- one command of the control protocol ---- */

static int call_one(struct cmd_words *words, int argc, char **argv, const char *qmp_command)
{
    struct cmd_machine machine;
    int status = cmd_words_parse(words, argc, argv);

    if (status >= 0)
        return status;
    status = cmd_machine_connect(&machine, words->command, words->plain[0]);
    if (status == CMD_OK)
        status = cmd_machine_call(&machine, words->command, qmp_command, NULL, NULL);
    cmd_machine_close(&machine);
    return status;
}

int cmd_pause(int argc, char **argv)
{
    struct cmd_words words = {.command = "pause",
                              .usage = "NAME",
                              .help = "Has all harts of a machine stand still.",
                              .least = 1,
                              .most = 1};

    return call_one(&words, argc, argv, "stop");
}

int cmd_resume(int argc, char **argv)
{
    struct cmd_words words = {.command = "resume",
                              .usage = "NAME",
                              .help = "Lets a machine that was paused go on.",
                              .least = 1,
                              .most = 1};

    return call_one(&words, argc, argv, "cont");
}

int cmd_kill(int argc, char **argv)
{
    struct cmd_words words = {
        .command = "kill",
        .usage = "NAME",
        .help = "Ends a machine at once, as a power cut does. What its guest has not\n"
                "flushed to its disks is lost.",
        .least = 1,
        .most = 1};
    struct cmd_machine machine;
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    status = cmd_machine_open(&machine, "kill", words.plain[0]);
    if (status == CMD_OK && machine.state != MACHINE_LIVE) {
        fprintf(stderr, "doppel kill: the machine '%s' does not run\n", words.plain[0]);
        status = CMD_FAILED;
    } else if (status == CMD_OK) {
        char path[PATH_MAX];
        if (path_join(path, NULL, machine.record.sockets, "qmp.sock", NULL) == 0)
            (void)!client_open(path, QUIT_PATIENCE_S * 1000, &machine.client, NULL);
        status = end_machine(&machine, "kill");
    }
    cmd_machine_close(&machine);
    return status;
}

/* ---- rm ---- */

/* One that is not live, or has just been ended. */
static int forget(const struct record *record)
{
    struct file_lock lock = {0};
    struct error err = {0};
    int result = record_lock(record, &lock, &err);

    if (result == 0)
        result = record_remove(record, &err);
    file_lock_release(&lock);
    return result < 0 ? cmd_report("rm", &err) : CMD_OK;
}

static int remove_one(const char *name, bool force)
{
    struct cmd_machine machine = {0};
    struct error err = {0};
    int result = paths_find(&machine.paths, &err);

    if (result == 0)
        result = record_load(&machine.paths, name, &machine.record, &err);
    /* A machine whose record cannot be read can still be forgotten. */
    if (result < 0 && !(result == -EINVAL && force && record_is_name(name)))
        return cmd_report("rm", &err);
    machine.state = record_state(&machine.record, &machine.pid);
    int status = CMD_OK;
    if (machine.state == MACHINE_LIVE && !force) {
        char word[32];
        fprintf(stderr, "doppel rm: the machine '%s' is %s; 'doppel stop %s' first, or rm -f\n",
                name, cmd_machine_word(&machine.record, machine.state, word), name);
        status = CMD_FAILED;
    } else if (machine.state == MACHINE_LIVE) {
        status = end_machine(&machine, "rm");
    }
    if (status == CMD_OK)
        status = forget(&machine.record);
    cmd_machine_close(&machine);
    return status;
}

int cmd_rm(int argc, char **argv)
{
    static const struct option_row rows[] = {{'f', "force", NULL, "also while it runs"}};
    struct cmd_words words = {.command = "rm",
                              .usage = "[-f] NAME...",
                              .help = "Forgets machines, with their disks.",
                              .rows = rows,
                              .row_count = ARRAY_LEN(rows),
                              .least = 1,
                              .most = ARRAY_LEN(words.plain)};
    int status = cmd_words_parse(&words, argc, argv);

    if (status >= 0)
        return status;
    status = CMD_OK;
    for (unsigned i = 0; i < words.count; i++) {
        int one = remove_one(words.plain[i], words.values[0] != NULL);
        status = one == CMD_OK ? status : one;
    }
    return status;
}
