/* SPDX-License-Identifier: Apache-2.0
 * What commands about a machine have in common. */
#include "cmd/machine.h"

#include "base/bits.h"
#include "base/text.h"
#include "host/clock.h"
#include "manager/start.h"
#include "vmm/config.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of whoever answers quickly, when many are asked. */
#define LOOK_MS      2000
#define POLL_MS      20
#define MOST_SECONDS 86400

int cmd_report(const char *command, const struct error *err)
{
    fprintf(stderr, "doppel %s: %s\n", command, err->text);
    if (err->code == -EINVAL || err->code == -ENAMETOOLONG)
        return CMD_BAD_OPTIONS;
    return err->code == -ENOMEM ? CMD_INTERNAL : CMD_FAILED;
}

/* ---- words ---- */

static void print_help(const struct cmd_words *words)
{
    printf("usage: doppel %s %s\n\n%s\n", words->command, words->usage, words->help);
    if (words->row_count)
        printf("\n");
    option_rows_print(words->rows, words->row_count, stdout);
}

static int usage_error(const struct cmd_words *words, const char *text)
{
    fprintf(stderr, "doppel %s: %s; usage: doppel %s %s\n", words->command, text, words->command,
            words->usage);
    return CMD_BAD_OPTIONS;
}

static int take_rest(struct cmd_words *words, const struct option_words *options)
{
    words->rest = options->argv + options->at;
    words->rest_count = options->argc - options->at;
    return OPTION_WORD_END;
}

int cmd_words_parse(struct cmd_words *words, int argc, char **argv)
{
    char name[64];
    struct error err = {0};
    struct option_words options = {
        .command = name,
        .rows = words->rows,
        .row_count = words->row_count,
        .argc = argc,
        .argv = argv,
        .at = 1,
    };
    int word;

    snprintf(name, sizeof(name), "doppel %s", words->command);
    do {
        word = option_words_next(&options, &err);
        if (word < 0)
            return cmd_report(words->command, &err);
        if (word < OPTION_ROWS_MAX)
            words->values[word] = options.value ? options.value : "";
        else if (word == OPTION_WORD_HELP)
            return print_help(words), CMD_OK;
        else if (word == OPTION_WORD_DASHES)
            word = take_rest(words, &options);
        else if (word == OPTION_WORD_PLAIN && words->count == words->most)
            return usage_error(words, "there are too many words");
        else if (word == OPTION_WORD_PLAIN)
            words->plain[words->count++] = options.value;
    } while (word != OPTION_WORD_END);
    if (words->count < words->least)
        return usage_error(words, "something is missing");
    return -1;
}

bool cmd_parse_seconds(const char *command, const char *option, const char *text, unsigned *out)
{
    uint64_t seconds;

    if (!text_parse_u64(text, MOST_SECONDS, &seconds)) {
        fprintf(stderr, "doppel %s: --%s '%s': a number of seconds up to %d is wanted\n", command,
                option, text, MOST_SECONDS);
        return false;
    }
    *out = (unsigned)seconds;
    return true;
}

/* ---- machines ---- */

int cmd_machine_open(struct cmd_machine *machine, const char *command, const char *name)
{
    struct error err = {0};

    *machine = (struct cmd_machine){0};
    int result = paths_find(&machine->paths, &err);
    if (result == 0)
        result = record_load(&machine->paths, name, &machine->record, &err);
    if (result < 0)
        return cmd_report(command, &err);
    machine->state = record_state(&machine->record, &machine->pid);
    return CMD_OK;
}

static int connect_client(const struct record *record, unsigned timeout_ms, struct client **out,
                          struct error *err)
{
    char path[PATH_MAX];
    int result = path_join(path, err, record->sockets, "qmp.sock", NULL);

    return result < 0 ? result : client_open(path, timeout_ms, out, err);
}

int cmd_machine_connect(struct cmd_machine *machine, const char *command, const char *name)
{
    struct error err = {0};
    int status = cmd_machine_open(machine, command, name);

    if (status != CMD_OK)
        return status;
    if (machine->state != MACHINE_LIVE) {
        fprintf(stderr, "doppel %s: the machine '%s' is %s; 'doppel start %s' starts it\n", command,
                name, machine->state == MACHINE_CRASHED ? "stopped (it crashed)" : "stopped", name);
        return CMD_FAILED;
    }
    if (connect_client(&machine->record, CMD_CALL_MS, &machine->client, &err) < 0)
        return cmd_report(command, &err);
    return CMD_OK;
}

void cmd_machine_close(struct cmd_machine *machine)
{
    client_close(machine->client);
    record_fini(&machine->record);
}

int cmd_machine_call(struct cmd_machine *machine, const char *command, const char *qmp_command,
                     json_t *arguments, json_t **result)
{
    struct error err = {0};

    if (client_call(machine->client, qmp_command, arguments, CMD_CALL_MS, result, &err) < 0) {
        fprintf(stderr, "doppel %s: the machine '%s': %s\n", command, machine->record.name,
                err.text);
        return CMD_FAILED;
    }
    return CMD_OK;
}

const char *cmd_machine_word(const struct record *record, enum machine_state state, char to[32])
{
    struct client *client = NULL;
    json_t *status = NULL;
    const char *word = state == MACHINE_CRASHED ? "crashed" : "stopped";

    if (state == MACHINE_LIVE) {
        word = "not answering";
        if (connect_client(record, LOOK_MS, &client, NULL) == 0 &&
            client_call(client, "query-status", NULL, LOOK_MS, &status, NULL) == 0)
            word = json_string_value(json_object_get(status, "status"));
        client_close(client);
    }
    snprintf(to, 32, "%s", word ? word : "not answering");
    json_decref(status);
    return to;
}

bool cmd_machine_wait_end(const struct cmd_machine *machine, unsigned seconds)
{
    uint64_t deadline = clock_monotonic_ns() + seconds * UINT64_C(1000000000);
    pid_t pid;

    while (record_state(&machine->record, &pid) == MACHINE_LIVE && pid == machine->pid) {
        if (clock_monotonic_ns() >= deadline)
            return false;
        poll(NULL, 0, POLL_MS);
    }
    return true;
}

/* ---- starting ---- */

int cmd_machine_check(const struct paths *paths, const struct record *record, struct error *err)
{
    struct vm_config config;
    struct words words;
    int result = start_words(paths, record, &words, err);

    if (result < 0)
        return result;
    vm_config_init(&config);
    result = vm_config_parse(&config, (int)words.count - 1, words.list + 1, err);
    vm_config_fini(&config);
    words_fini(&words);
    return result > 0 ? error_set(err, -EINVAL, "--help cannot be kept") : result;
}

struct progress {
    const char *name;
    bool on_terminal;
    uint64_t begin_ns;
};

static void show_progress(void *owner, const char *text)
{
    const struct progress *progress = owner;
    double seconds = (double)(clock_monotonic_ns() - progress->begin_ns) / 1e9;

    if (!progress->on_terminal)
        return;
    /* To the end of the line: what stood there is erased. */
    fprintf(stderr, "\r%s: %.60s (%.0f s)\033[K", progress->name, text, seconds);
    fflush(stderr);
}

int cmd_machine_start(struct cmd_machine *machine, const char *command, unsigned wait_s)
{
    struct progress progress = {machine->record.name, isatty(STDERR_FILENO) == 1,
                                clock_monotonic_ns()};
    struct start_options options = {wait_s, show_progress, &progress};
    struct error err = {0};
    int result = machine_start(&machine->paths, &machine->record, &options, &err);

    if (progress.on_terminal)
        fprintf(stderr, "\r\033[K");
    machine->has_run = result == 0 || result == -EAGAIN || result == -EPIPE;
    return result < 0 ? cmd_report(command, &err) : CMD_OK;
}
