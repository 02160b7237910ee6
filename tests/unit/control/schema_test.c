/* SPDX-License-Identifier: Apache-2.0
 * Checks of arguments, and the tables as clients see them. */
#include "harness/harness.h"

#include <errno.h>
#include <string.h>

#include "control/control.h"

/* "" if the arguments are as wanted, else the reason. */
static const char *check(const char *wanted, const char *arguments)
{
    static struct error err;
    json_t *json = json_loads(arguments, 0, NULL);

    err = (struct error){0};
    assert_non_null(json);
    int result = control_check(wanted, json, &err);
    json_decref(json);
    CHECK((result == 0 && !err.text[0]) || (result == -EINVAL && err.text[0]));
    return err.text;
}

TEST(schema, arguments_are_checked_by_name_and_type)
{
    CHECK_STR(check("", "{}"), "");
    CHECK_STR(check("a:str", "{\"a\": \"x\"}"), "");
    CHECK_STR(check("a:str", "{}"), "Parameter 'a' is missing");
    CHECK_STR(check("a:str", "{\"a\": 1}"), "Invalid parameter type for 'a', expected: str");
    CHECK_STR(check("", "{\"b\": 1}"), "Parameter 'b' is unexpected");
    CHECK_STR(check("a:str", "{\"a\": \"x\", \"ab\": 1}"), "Parameter 'ab' is unexpected");
    CHECK_STR(check("?a:int b:bool", "{\"b\": true}"), "");
    CHECK_STR(check("?a:int b:bool", "{\"a\": null, \"b\": true}"),
              "Invalid parameter type for 'a', expected: int");
}

TEST(schema, every_type_takes_its_own_values_only)
{
    static const char *const types[] = {"str", "int", "number", "bool", "object", "array", "any"};
    static const struct {
        const char *json;
        unsigned accepted; /* bits: types */
    } values[] = {
        {"\"\"", 0x41}, {"1", 0x46},  {"1.5", 0x44},  {"true", 0x48},
        {"{}", 0x50},   {"[]", 0x60}, {"null", 0x40},
    };

    for (unsigned t = 0; t < ARRAY_LEN(types); t++)
        for (unsigned v = 0; v < ARRAY_LEN(values); v++) {
            char wanted[16];
            char arguments[32];
            snprintf(wanted, sizeof(wanted), "a:%s", types[t]);
            snprintf(arguments, sizeof(arguments), "{\"a\": %s}", values[v].json);
            CHECK_EQ(check(wanted, arguments)[0] == 0, values[v].accepted >> t & 1);
        }
}

/* Every row of the tables is well-formed: its checks end, and accept what they want. */
TEST(schema, the_tables_say_what_clients_are_told)
{
    json_t *schema = control_schema();
    unsigned commands = 0;
    unsigned events = 0;
    json_t *row;
    size_t i;

    json_array_foreach(schema, i, row) {
        const char *kind = json_string_value(json_object_get(row, "meta-type"));
        const char *arguments = json_string_value(json_object_get(row, "arg-type"));
        assert_non_null(kind);
        CHECK(json_is_string(json_object_get(row, "name")));
        commands += strcmp(kind, "command") == 0;
        events += strcmp(kind, "event") == 0;
        if (!arguments)
            continue;
        bool found = false;
        json_t *other;
        size_t k;
        json_array_foreach(schema, k, other)
            found |= strcmp(json_string_value(json_object_get(other, "name")), arguments) == 0;
        CHECK(found);
    }
    CHECK_EQ(commands, CONTROL_COMMAND_COUNT);
    CHECK_EQ(events, CONTROL_EVENT_COUNT);
    json_decref(schema);
}

TEST_MAIN(TESTS(schema, arguments_are_checked_by_name_and_type),
          TESTS(schema, every_type_takes_its_own_values_only),
          TESTS(schema, the_tables_say_what_clients_are_told))
