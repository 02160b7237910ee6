/* SPDX-License-Identifier: Apache-2.0
 * `doppel set`: a machine's limits, while it runs and for its later starts. */
#include "cmd/set.h"

#include "base/text.h"
#include "cmd/machine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One limit: our option, the argument of x-doppel-set, and the option of `boot` that later starts get. */
static const struct limit {
    struct option_row row;
    const char *argument;
    const char *boot_option;
    enum { NUMBER, COUNT, SIZE } kind;
} limits[] = {
    {{0, "cpus", "N", "CPUs of the host that the machine may use, such as 0.5; 0: no limit"},
     "cpus-limit",
     "cpus-limit",
     NUMBER},
    {{0, "cpu-shares", "N", "its part when machines want more CPU than there is (1024)"},
     "cpu-shares",
     "cpu-shares",
     COUNT},
    {{0, "io-bps", "SIZE", "bytes a second of each disk; 0: no limit"}, "io-bps", "io-bps", SIZE},
    {{0, "io-iops", "N", "operations a second of each disk; 0: no limit"},
     "io-iops",
     "io-iops",
     COUNT},
    {{0, "net-rate", "SIZE", "bytes a second, each way, of each network device; 0: no limit"},
     "net-rate",
     "net-rate",
     SIZE},
    {{0, "memory-target", "SIZE", "what the guest is asked to do with of its memory; 0: all"},
     "memory-target",
     "memory-target",
     SIZE},
};
#define LIMIT_COUNT ARRAY_LEN(limits)

/* A new reference; NULL, with a line printed: it is no such value. */
static json_t *parse_value(const struct limit *limit, const char *text)
{
    uint64_t count;
    char *end;
    double number = strtod(text, &end);

    if (limit->kind == NUMBER && *text && !*end && number >= 0 && isfinite(number))
        return json_real(number);
    if (limit->kind == COUNT && text_parse_u64(text, INT64_MAX, &count))
        return json_integer((json_int_t)count);
    if (limit->kind == SIZE && text_parse_size(text, &count) && count <= INT64_MAX)
        return json_integer((json_int_t)count);
    fprintf(stderr, "doppel set: --%s '%s': %s is wanted\n", limit->row.name, text,
            limit->row.argument);
    return NULL;
}

/* What was given, as the arguments of x-doppel-set; a new reference, or NULL. */
static json_t *parse_values(const struct cmd_words *words)
{
    json_t *arguments = json_object();

    for (unsigned i = 0; i < LIMIT_COUNT; i++) {
        if (!words->values[i])
            continue;
        json_t *value = parse_value(&limits[i], words->values[i]);
        if (!value) {
            json_decref(arguments);
            return NULL;
        }
        json_object_set_new(arguments, limits[i].argument, value);
    }
    return arguments;
}

/* Replaces "--NAME=..." among the options of later starts; a limit of 0 is none. */
static void remember(json_t *options, const struct limit *limit, const char *text)
{
    json_t *option;
    size_t length = strlen(limit->boot_option);
    size_t i;

    json_array_foreach(options, i, option)
    {
        const char *word = json_string_value(option);
        if (text_starts_with(word, "--") && strncmp(word + 2, limit->boot_option, length) == 0 &&
            word[2 + length] == '=') {
            json_array_remove(options, i);
            break;
        }
    }
    if (strtod(text, NULL) != 0)
        json_array_append_new(options, json_sprintf("--%s=%s", limit->boot_option, text));
}

/* What later starts would not take is not written down. */
static int save(struct cmd_machine *machine, const struct cmd_words *words)
{
    struct error err = {0};

    for (unsigned i = 0; i < LIMIT_COUNT; i++)
        if (words->values[i])
            remember(json_object_get(machine->record.json, "options"), &limits[i],
                     words->values[i]);
    int result = cmd_machine_check(&machine->paths, &machine->record, &err);
    if (result == 0)
        result = record_save(&machine->record, &err);
    return result < 0 ? cmd_report("set", &err) : CMD_OK;
}

int cmd_set(int argc, char **argv)
{
    struct option_row rows[LIMIT_COUNT];
    struct cmd_words words = {.command = "set",
                              .usage = "NAME [--cpus N] [--cpu-shares N] [--io-bps SIZE] ...",
                              .help = "Changes limits of a machine, at once and for later starts.",
                              .rows = rows,
                              .row_count = LIMIT_COUNT,
                              .least = 1,
                              .most = 1};
    struct cmd_machine machine;

    for (unsigned i = 0; i < LIMIT_COUNT; i++)
        rows[i] = limits[i].row;
    int status = cmd_words_parse(&words, argc, argv);
    if (status >= 0)
        return status;
    json_t *arguments = parse_values(&words);
    if (!arguments || json_object_size(arguments) == 0) {
        if (arguments)
            fprintf(stderr, "doppel set: nothing to set was given; 'doppel set --help' lists "
                            "what there is\n");
        json_decref(arguments);
        return CMD_BAD_OPTIONS;
    }
    status = cmd_machine_open(&machine, "set", words.plain[0]);
    if (status == CMD_OK && machine.state == MACHINE_LIVE) {
        cmd_machine_close(&machine);
        status = cmd_machine_connect(&machine, "set", words.plain[0]);
        if (status == CMD_OK)
            status = cmd_machine_call(&machine, "set", "x-doppel-set", arguments, NULL);
    }
    if (status == CMD_OK)
        status = save(&machine, &words);
    cmd_machine_close(&machine);
    json_decref(arguments);
    return status;
}
