/* SPDX-License-Identifier: Apache-2.0
 * Commands that tell about machines: as text for people, or as JSON. */
#include "cmd/list.h"

#include "cmd/machine.h"
#include "host/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of one machine, when many are asked. */
#define LOOK_MS 2000
#define TOP_MS  2000
#define CTRL_C  3 /* a key like others on a raw terminal */

static const struct option_row output_rows[] = {{'o', "output", "json", "as JSON"}};

/* The option's value, which is at `index`. False, with a line printed, if it is no format. */
static bool wants_json(const struct cmd_words *words, unsigned index, bool *json)
{
    const char *value = words->values[index];

    *json = value != NULL;
    if (!value || strcmp(value, "json") == 0)
        return true;
    fprintf(stderr, "doppel %s: --output '%s': json is the only other form\n", words->command,
            value);
    return false;
}

static void print_json(json_t *take_value)
{
    json_dumpf(take_value, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(take_value);
}

/* ---- what a machine says of itself ---- */

/* Adds the members of the answer to `to`; nothing if there is none. */
static void ask(struct client *client, const char *command, json_t *to)
{
    json_t *answer = NULL;

    if (client_call(client, command, NULL, LOOK_MS, &answer, NULL) == 0)
        json_object_update_missing(to, answer);
    json_decref(answer);
}

/* All that is known; a new reference. */
static json_t *describe(const struct record *record, bool with_stats)
{
    struct client *client = NULL;
    char path[PATH_MAX];
    char word[32];
    pid_t pid;
    enum machine_state state = record_state(record, &pid);
    json_t *machine = json_pack("{s:s}", "name", record->name);

    json_object_set_new(machine, "state", json_string(cmd_machine_word(record, state, word)));
    json_object_set(machine, "image", json_object_get(record->json, "image"));
    json_object_set(machine, "uuid", json_object_get(record->json, "uuid"));
    json_object_set(machine, "created", json_object_get(record->json, "created"));
    json_object_set(machine, "directory", json_object_get(record->json, "directory"));
    json_object_set(machine, "options", json_object_get(record->json, "options"));
    /* Of foreign images alone; what there is not is not set. */
    json_object_set(machine, "user", json_object_get(record->json, "user"));
    json_object_set(machine, "ssh-port", json_object_get(record->json, "ssh-port"));
    json_object_set_new(machine, "folder", json_string(record->folder));
    if (state != MACHINE_LIVE)
        return machine;
    json_object_set_new(machine, "sockets", json_string(record->sockets));
    if (path_join(path, NULL, record->sockets, "qmp.sock", NULL) == 0 &&
        client_open(path, LOOK_MS, &client, NULL) == 0) {
        ask(client, "x-doppel-query", machine);
        if (with_stats)
            ask(client, "x-doppel-stats", machine);
    }
    client_close(client);
    return machine;
}

/* Those named, or all; a new reference. NULL: one was named that is not there, which was printed. */
static json_t *describe_all(const struct cmd_words *words, bool with_stats)
{
    struct paths paths;
    struct error err = {0};
    json_t *machines = json_array();
    json_t *names = NULL;
    json_t *name;
    size_t i;
    int result = paths_find(&paths, &err);

    if (result == 0 && words->count == 0)
        names = record_names(&paths);
    else
        names = json_array();
    for (i = 0; i < words->count; i++)
        json_array_append_new(names, json_string(words->plain[i]));
    json_array_foreach(names, i, name) {
        struct record record = {0};
        struct error reason = {0};
        int loaded =
            result < 0 ? result : record_load(&paths, json_string_value(name), &record, &reason);
        if (loaded == 0)
            json_array_append_new(machines, describe(&record, with_stats));
        else if (words->count && result == 0)
            result = error_set(&err, loaded, "%s", reason.text);
        else if (result == 0)
            json_array_append_new(machines,
                                  json_pack("{s:O, s:s}", "name", name, "state", "record damaged"));
        record_fini(&record);
    }
    json_decref(names);
    if (result == 0)
        return machines;
    cmd_report(words->command, &err);
    json_decref(machines);
    return NULL;
}

/* ---- text ---- */

static const char *text_of(json_t *object, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : otherwise;
}

/* "3 d 2 h", "5 min", "12 s"; "-" if it does not run. */
static const char *format_time(json_t *seconds, char *to, size_t size)
{
    double value = json_number_value(seconds);

    if (!seconds)
        snprintf(to, size, "-");
    else if (value < 120)
        snprintf(to, size, "%.0f s", value);
    else if (value < 7200)
        snprintf(to, size, "%.0f min", value / 60);
    else if (value < 172800)
        snprintf(to, size, "%.0f h", value / 3600);
    else
        snprintf(to, size, "%.0f d", value / 86400);
    return to;
}

static const char *format_size(json_t *bytes, char *to, size_t size)
{
    double value = json_number_value(bytes);

    if (!bytes)
        snprintf(to, size, "-");
    else if (value < 1024.0 * 1024 * 1024)
        snprintf(to, size, "%.0f MiB", value / (1024.0 * 1024));
    else
        snprintf(to, size, "%.1f GiB", value / (1024.0 * 1024 * 1024));
    return to;
}

/* The machines that the words name; *json: printed as JSON. Returns a negative number, or the exit status where there is
 * nothing to print. */
static int take(struct cmd_words *words, int argc, char **argv, bool with_stats, bool *json,
                json_t **machines)
{
    int status = cmd_words_parse(words, argc, argv);

    if (status >= 0)
        return status;
    if (!wants_json(words, 0, json))
        return CMD_BAD_OPTIONS;
    *machines = describe_all(words, with_stats);
    return *machines ? -1 : CMD_FAILED;
}

/* As JSON, or by `print`, which borrows the list. */
static int list_all(struct cmd_words *words, int argc, char **argv, bool with_stats,
                    void (*print)(json_t *machines))
{
    bool json;
    json_t *machines;
    int status = take(words, argc, argv, with_stats, &json, &machines);

    if (status >= 0)
        return status;
    if (json) {
        print_json(machines);
        return CMD_OK;
    }
    print(machines);
    json_decref(machines);
    return CMD_OK;
}

static void print_ports(json_t *ports)
{
    json_t *port;
    size_t i;

    if (json_array_size(ports) == 0)
        putchar('-');
    json_array_foreach(ports, i, port)
        printf("%s%s", i ? ", " : "", json_string_value(port));
    putchar('\n');
}

static void print_list(json_t *machines)
{
    json_t *machine;
    size_t i;

    printf("%-16s %-14s %-14s %4s %9s %8s %s\n", "NAME", "STATE", "IMAGE", "CPUS", "MEMORY", "UP",
           "PORTS");
    json_array_foreach(machines, i, machine) {
        char cpus[16] = "-";
        char memory[16];
        char up[16];
        json_t *count = json_object_get(machine, "cpus");
        if (count)
            snprintf(cpus, sizeof(cpus), "%d", (int)json_integer_value(count));
        printf("%-16s %-14s %-14s %4s %9s %8s ", text_of(machine, "name", "?"),
               text_of(machine, "state", "?"), text_of(machine, "image", "-"), cpus,
               format_size(json_object_get(machine, "memory"), memory, sizeof(memory)),
               format_time(json_object_get(machine, "uptime"), up, sizeof(up)));
        print_ports(json_object_get(machine, "ports"));
    }
}

int cmd_ls(int argc, char **argv)
{
    struct cmd_words words = {.command = "ls",
                              .usage = "[NAME...] [-o json]",
                              .help = "Lists machines.",
                              .rows = output_rows,
                              .row_count = ARRAY_LEN(output_rows),
                              .most = ARRAY_LEN(words.plain)};

    return list_all(&words, argc, argv, false, print_list);
}

/* "key: value" lines, arrays as words. */
static void print_members(json_t *object)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value) {
        json_t *element;
        size_t i;
        if (json_is_null(value))
            continue;
        printf("%-14s", key);
        if (json_is_string(value))
            printf(" %s", json_string_value(value));
        else if (json_is_integer(value))
            printf(" %" JSON_INTEGER_FORMAT, json_integer_value(value));
        else if (json_is_real(value))
            printf(" %.3f", json_real_value(value));
        else if (json_is_boolean(value))
            printf(" %s", json_is_true(value) ? "yes" : "no");
        json_array_foreach(value, i, element)
            printf(" %s", json_is_string(element) ? json_string_value(element) : "?");
        putchar('\n');
    }
}

static int describe_one(struct cmd_words *words, int argc, char **argv, bool with_stats)
{
    bool json;
    json_t *machines;
    int status = take(words, argc, argv, with_stats, &json, &machines);

    if (status >= 0)
        return status;
    json_t *machine = json_incref(json_array_get(machines, 0));
    json_decref(machines);
    if (json) {
        print_json(machine);
        return CMD_OK;
    }
    print_members(machine);
    json_decref(machine);
    return CMD_OK;
}

int cmd_info(int argc, char **argv)
{
    struct cmd_words words = {.command = "info",
                              .usage = "NAME [-o json]",
                              .help = "Tells all that is known of a machine.",
                              .rows = output_rows,
                              .row_count = ARRAY_LEN(output_rows),
                              .least = 1,
                              .most = 1};

    return describe_one(&words, argc, argv, false);
}

/* ---- figures ---- */

static double number_of(json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void print_stats(json_t *machines)
{
    json_t *machine;
    size_t i;

    printf("%-16s %-10s %10s %16s %10s %10s %10s %10s\n", "NAME", "STATE", "CPU TIME",
           "INSTRUCTIONS", "RESIDENT", "MEMORY", "READ", "WRITTEN");
    json_array_foreach(machines, i, machine) {
        char resident[16];
        char memory[16];
        char read[16];
        char written[16];
        printf("%-16s %-10s %8.1f s %16.0f %10s %10s %10s %10s\n", text_of(machine, "name", "?"),
               text_of(machine, "state", "?"), number_of(machine, "cpu-seconds"),
               number_of(machine, "instructions"),
               format_size(json_object_get(machine, "resident"), resident, sizeof(resident)),
               format_size(json_object_get(machine, "memory"), memory, sizeof(memory)),
               format_size(json_object_get(machine, "disk-read"), read, sizeof(read)),
               format_size(json_object_get(machine, "disk-written"), written, sizeof(written)));
    }
}

int cmd_stats(int argc, char **argv)
{
    struct cmd_words words = {.command = "stats",
                              .usage = "[NAME...] [-o json]",
                              .help = "Figures of machines since they started.",
                              .rows = output_rows,
                              .row_count = ARRAY_LEN(output_rows),
                              .most = ARRAY_LEN(words.plain)};

    return list_all(&words, argc, argv, true, print_stats);
}

/* The same machine in an earlier list; borrowed, or NULL. */
static json_t *find_machine(json_t *machines, const char *name)
{
    json_t *machine;
    size_t i;

    json_array_foreach(machines, i, machine)
        if (strcmp(text_of(machine, "name", ""), name) == 0)
            return machine;
    return NULL;
}

static void print_top(json_t *machines, json_t *before)
{
    json_t *machine;
    size_t i;

    printf("\033[H\033[J%-16s %-10s %6s %12s %10s %9s %9s %8s\n", "NAME", "STATE", "CPU", "MIPS",
           "RESIDENT", "READ/s", "WRITE/s", "UP");
    json_array_foreach(machines, i, machine) {
        json_t *old = find_machine(before, text_of(machine, "name", ""));
        double seconds = number_of(machine, "uptime") - number_of(old, "uptime");
        double cpu = number_of(machine, "cpu-seconds") - number_of(old, "cpu-seconds");
        double instructions = number_of(machine, "instructions") - number_of(old, "instructions");
        double read = number_of(machine, "disk-read") - number_of(old, "disk-read");
        double written = number_of(machine, "disk-written") - number_of(old, "disk-written");
        char resident[16];
        char up[16];
        if (!(seconds > 0) || !json_object_get(machine, "uptime"))
            seconds = cpu = instructions = 0;
        printf("%-16s %-10s %5.0f%% %12.0f %10s %7.1f M %7.1f M %8s\n",
               text_of(machine, "name", "?"), text_of(machine, "state", "?"),
               seconds > 0 ? 100 * cpu / seconds : 0,
               seconds > 0 ? instructions / seconds / 1e6 : 0,
               format_size(json_object_get(machine, "resident"), resident, sizeof(resident)),
               seconds > 0 ? read / seconds / (1 << 20) : 0,
               seconds > 0 ? written / seconds / (1 << 20) : 0,
               format_time(json_object_get(machine, "uptime"), up, sizeof(up)));
    }
    fflush(stdout);
}

int cmd_top(int argc, char **argv)
{
    struct cmd_words words = {
        .command = "top",
        .usage = "[NAME...]",
        .help = "Shows every two seconds what machines do. Ctrl-C or q leaves it.",
        .most = ARRAY_LEN(words.plain)};
    int status = cmd_words_parse(&words, argc, argv);
    json_t *before = NULL;

    if (status >= 0)
        return status;
    if (!isatty(STDOUT_FILENO)) {
        fprintf(stderr, "doppel top: standard output is no terminal; use 'doppel stats'\n");
        return CMD_FAILED;
    }
    terminal_make_raw();
    for (;;) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        json_t *machines = describe_all(&words, true);
        char key;
        if (!machines)
            break;
        print_top(machines, before);
        json_decref(before);
        before = machines;
        if (poll(&input, 1, TOP_MS) == 1 &&
            (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == CTRL_C))
            break;
    }
    terminal_restore();
    json_decref(before);
    return CMD_OK;
}
