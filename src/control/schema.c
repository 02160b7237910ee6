/* SPDX-License-Identifier: Apache-2.0
 * What the tables of commands and events say, for checks and for query-qmp-schema (QEMU's
 * introspection of QAPI: meta-types command, event, object, array, builtin). */
#include "control/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct control_command control_commands[CONTROL_COMMAND_COUNT] = {
#define COMMAND(id, name, arguments, result, help) {name, arguments, result, help},
#include "control/commands.def"
#undef COMMAND
};

const struct control_event control_events[CONTROL_EVENT_COUNT] = {
#define EVENT(id, name, data, help) {name, data, help},
#include "control/events.def"
#undef EVENT
};

/* Types of the tables: what QEMU calls them, and what JSON has for them. */
static const struct {
    const char *name;
    const char *json_type; /* NULL: not a builtin of QAPI */
} types[] = {
    {"str", "string"}, {"int", "int"},   {"number", "number"}, {"bool", "boolean"},
    {"null", "null"},  {"any", "value"}, {"object", NULL},     {"array", NULL},
};

static bool has_type(const json_t *value, const char *type, size_t length)
{
    const struct {
        const char *type;
        bool is;
    } answers[] = {
        {"str", json_is_string(value)},
        {"int", json_is_integer(value)},
        {"number", json_is_number(value)},
        {"bool", json_is_boolean(value)},
        {"object", json_is_object(value)},
        {"array", json_is_array(value)},
        {"any", true},
    };

    for (unsigned i = 0; i < ARRAY_LEN(answers); i++)
        if (strlen(answers[i].type) == length && strncmp(answers[i].type, type, length) == 0)
            return answers[i].is;
    return false;
}

/* One "name:type" of a list. */
struct member {
    char name[48];
    const char *type;
    size_t type_length;
    bool is_optional;
};

/* Reads the next member at *at. False: there is none. */
static bool next_member(const char **at, struct member *member)
{
    const char *text = *at + strspn(*at, " ");

    if (!*text)
        return false;
    member->is_optional = *text == '?';
    text += member->is_optional;
    size_t length = strcspn(text, ":");
    snprintf(member->name, sizeof(member->name), "%.*s", (int)length, text);
    member->type = text + length + 1;
    member->type_length = strcspn(member->type, " ");
    *at = member->type + member->type_length;
    return true;
}

static bool is_wanted(const char *wanted, const char *name)
{
    struct member member;

    while (next_member(&wanted, &member))
        if (strcmp(member.name, name) == 0)
            return true;
    return false;
}

int control_check(const char *wanted, json_t *arguments, struct error *err)
{
    struct member member;
    const char *name;
    json_t *value;

    json_object_foreach(arguments, name, value)
        if (!is_wanted(wanted, name))
            return error_set(err, -EINVAL, "Parameter '%.64s' is unexpected", name);
    for (const char *at = wanted; next_member(&at, &member);) {
        value = json_object_get(arguments, member.name);
        if (!value && member.is_optional)
            continue;
        if (!value)
            return error_set(err, -EINVAL, "Parameter '%s' is missing", member.name);
        if (!has_type(value, member.type, member.type_length))
            return error_set(err, -EINVAL, "Invalid parameter type for '%s', expected: %.*s",
                             member.name, (int)member.type_length, member.type);
    }
    return 0;
}

/* ---- introspection ---- */

/* The object type of a list of members, called `name`. */
static json_t *object_type(const char *name, const char *members)
{
    json_t *list = json_array();
    struct member member;

    while (next_member(&members, &member)) {
        json_t *row =
            json_pack("{s:s, s:s%}", "name", member.name, "type", member.type, member.type_length);
        if (member.is_optional)
            json_object_set_new(row, "default", json_null());
        json_array_append_new(list, row);
    }
    return json_pack("{s:s, s:s, s:o}", "name", name, "meta-type", "object", "members", list);
}

static void add_builtins(json_t *schema)
{
    for (unsigned i = 0; i < ARRAY_LEN(types); i++)
        if (types[i].json_type)
            json_array_append_new(schema,
                                  json_pack("{s:s, s:s, s:s}", "name", types[i].name, "meta-type",
                                            "builtin", "json-type", types[i].json_type));
    json_array_append_new(schema, object_type("object", ""));
    json_array_append_new(schema, json_pack("{s:s, s:s, s:s}", "name", "array", "meta-type",
                                            "array", "element-type", "any"));
}

json_t *control_schema(void)
{
    json_t *schema = json_array();
    char type[80];

    add_builtins(schema);
    for (unsigned i = 0; i < CONTROL_COMMAND_COUNT; i++) {
        const struct control_command *command = &control_commands[i];
        const char *result = strcmp(command->result, "null") == 0 ? "object" : command->result;
        snprintf(type, sizeof(type), "%s-arguments", command->name);
        json_array_append_new(schema, object_type(type, command->arguments));
        json_array_append_new(schema,
                              json_pack("{s:s, s:s, s:s, s:s}", "name", command->name, "meta-type",
                                        "command", "arg-type", type, "ret-type", result));
    }
    for (unsigned i = 0; i < CONTROL_EVENT_COUNT; i++) {
        const struct control_event *event = &control_events[i];
        snprintf(type, sizeof(type), "%s-data", event->name);
        json_array_append_new(schema, object_type(type, event->data));
        json_array_append_new(schema, json_pack("{s:s, s:s, s:s}", "name", event->name, "meta-type",
                                                "event", "arg-type", type));
    }
    return schema;
}
