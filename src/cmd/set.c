/* SPDX-License-Identifier: Apache-2.0
 * `doppel set`: a machine's limits and published ports, while it runs and for its later starts. */
#include "cmd/set.h"

#include "backend/net/forward.h"
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

/* Rows behind those of limits. */
enum {
    PUBLISH = LIMIT_COUNT,
    UNPUBLISH,
    ROW_COUNT,
};
static const struct option_row port_rows[] = {
    {'p', "publish", "HOST:GUEST[/udp]",
     "a port of the host leads to the guest's; ADDR:HOST:GUEST for another address than 127.0.0.1, [ADDR]:HOST:GUEST for one of IPv6"},
    {0, "unpublish", "HOST[/udp]",
     "a port of the host leads nowhere any more; ADDR:HOST if it was published with an address"},
};

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

    json_array_foreach(options, i, option) {
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

/* ---- ports ---- */

/* What was given. */
struct ports {
    bool publishes;
    bool unpublishes;
    struct net_forward published;
    struct net_forward unpublished; /* the host's side */
};

static int parse_ports(const struct cmd_words *words, struct ports *ports)
{
    struct error err = {0};
    int result = 0;

    *ports = (struct ports){.publishes = words->values[PUBLISH] != NULL,
                            .unpublishes = words->values[UNPUBLISH] != NULL};
    if (ports->publishes)
        result = net_forward_parse(words->values[PUBLISH], &ports->published, &err);
    if (result == 0 && ports->unpublishes)
        result = net_forward_parse_host(words->values[UNPUBLISH], &ports->unpublished, &err);
    return result < 0 ? cmd_report("set", &err) : CMD_OK;
}

/* Which of the options publishes this port of the host; -1: none. */
static int find_port(json_t *options, const struct net_forward *wanted)
{
    static const char prefix[] = "--publish=";
    json_t *option;
    size_t i;

    json_array_foreach(options, i, option) {
        const char *word = json_string_value(option);
        struct net_forward forward;
        if (text_starts_with(word, prefix) &&
            net_forward_parse(word + strlen(prefix), &forward, NULL) == 0 &&
            net_forward_is_same(&forward, wanted))
            return (int)i;
    }
    return -1;
}

/* Changes the options of later starts; what a machine that is stopped cannot say itself is said here. */
static int remember_ports(const struct cmd_machine *machine, const struct cmd_words *words,
                          const struct ports *ports)
{
    json_t *options = json_object_get(machine->record.json, "options");
    bool is_live = machine->state == MACHINE_LIVE;
    char text[NET_FORWARD_TEXT];

    if (ports->unpublishes) {
        int at = find_port(options, &ports->unpublished);
        if (at < 0 && !is_live) {
            fprintf(stderr, "doppel set: %s is not published\n",
                    net_forward_text(&ports->unpublished, text));
            return CMD_FAILED;
        }
        if (at >= 0)
            json_array_remove(options, (size_t)at);
    }
    if (!ports->publishes)
        return CMD_OK;
    if (find_port(options, &ports->published) >= 0) {
        if (is_live)
            return CMD_OK;
        fprintf(stderr, "doppel set: %s is published already\n",
                net_forward_text(&ports->published, text));
        return CMD_FAILED;
    }
    json_array_append_new(options, json_sprintf("--publish=%s", words->values[PUBLISH]));
    return CMD_OK;
}

/* ---- the command ---- */

/* "port": `text`. */
static int call_with_port(struct cmd_machine *machine, const char *command, const char *text)
{
    json_t *arguments = json_pack("{s:s}", "port", text);
    int status = cmd_machine_call(machine, "set", command, arguments, NULL);

    json_decref(arguments);
    return status;
}

/* Tells the machine, if it is live. */
static int tell(struct cmd_machine *machine, const struct cmd_words *words, json_t *limits_given)
{
    int status = CMD_OK;

    if (json_object_size(limits_given))
        status = cmd_machine_call(machine, "set", "x-doppel-set", limits_given, NULL);
    if (status == CMD_OK && words->values[UNPUBLISH])
        status = call_with_port(machine, "x-doppel-unpublish", words->values[UNPUBLISH]);
    if (status == CMD_OK && words->values[PUBLISH])
        status = call_with_port(machine, "x-doppel-publish", words->values[PUBLISH]);
    return status;
}

/* What later starts would not take is not written down. */
static int save(struct cmd_machine *machine, const struct cmd_words *words,
                const struct ports *ports)
{
    struct error err = {0};

    for (unsigned i = 0; i < LIMIT_COUNT; i++)
        if (words->values[i])
            remember(json_object_get(machine->record.json, "options"), &limits[i],
                     words->values[i]);
    int status = remember_ports(machine, words, ports);
    if (status != CMD_OK)
        return status;
    int result = cmd_machine_check(&machine->paths, &machine->record, &err);
    if (result == 0)
        result = record_save(&machine->record, &err);
    return result < 0 ? cmd_report("set", &err) : CMD_OK;
}

static int change(const struct cmd_words *words, json_t *limits_given, const struct ports *ports)
{
    struct cmd_machine machine;
    int status = cmd_machine_open(&machine, "set", words->plain[0]);

    if (status == CMD_OK && machine.state == MACHINE_LIVE) {
        cmd_machine_close(&machine);
        status = cmd_machine_connect(&machine, "set", words->plain[0]);
        if (status == CMD_OK)
            status = tell(&machine, words, limits_given);
    }
    if (status == CMD_OK)
        status = save(&machine, words, ports);
    cmd_machine_close(&machine);
    return status;
}

int cmd_set(int argc, char **argv)
{
    struct option_row rows[ROW_COUNT];
    struct cmd_words words = {.command = "set",
                              .usage = "NAME [--cpus N] [--io-bps SIZE] [-p PORT:PORT] ...",
                              .help =
                                  "Changes limits and published ports of a machine, at once and "
                                  "for later starts.",
                              .rows = rows,
                              .row_count = ROW_COUNT,
                              .least = 1,
                              .most = 1};
    struct ports ports;

    for (unsigned i = 0; i < LIMIT_COUNT; i++)
        rows[i] = limits[i].row;
    for (unsigned i = 0; i < ARRAY_LEN(port_rows); i++)
        rows[PUBLISH + i] = port_rows[i];
    int status = cmd_words_parse(&words, argc, argv);
    if (status >= 0)
        return status;
    status = parse_ports(&words, &ports);
    if (status != CMD_OK)
        return status;
    json_t *arguments = parse_values(&words);
    if (!arguments)
        return CMD_BAD_OPTIONS;
    if (json_object_size(arguments) == 0 && !ports.publishes && !ports.unpublishes) {
        fprintf(stderr, "doppel set: nothing to set was given; 'doppel set --help' lists "
                        "what there is\n");
        status = CMD_BAD_OPTIONS;
    } else
        status = change(&words, arguments, &ports);
    json_decref(arguments);
    return status;
}
