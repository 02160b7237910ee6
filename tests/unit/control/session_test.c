/* SPDX-License-Identifier: Apache-2.0
 * One client: what is sent, and what comes back, line by line. */
#include "harness/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"

static char output[1 << 16];
static size_t output_size;
static unsigned served;
static int next_code;

static void keep(void *owner, const char *bytes, size_t size)
{
    (void)owner;
    CHECK(bytes[size - 1] == '\n' && !memchr(bytes, '\n', size - 1));
    CHECK(output_size + size < sizeof(output));
    memcpy(output + output_size, bytes, size);
    output_size += size;
    output[output_size] = 0;
}

static int serve(void *owner, json_t *arguments, json_t **result, struct error *err)
{
    (void)owner;
    CHECK(json_is_object(arguments));
    served++;
    if (next_code == -EIO)
        return -EIO; /* without words */
    if (next_code)
        return error_set(err, next_code, "refused");
    *result = json_pack("{s:i}", "served", (int)served);
    return 0;
}

static struct control_session *begin(void)
{
    static control_handler *handlers[CONTROL_COMMAND_COUNT];
    static const struct control_service service = {handlers, "1.2.3", NULL};

    for (unsigned i = 0; i < CONTROL_COMMAND_COUNT; i++)
        handlers[i] = serve;
    served = 0;
    next_code = 0;
    output_size = 0;
    struct control_session *session = control_create(&service, keep, NULL);
    assert_non_null(session);
    return session;
}

/* What comes back. */
static const char *say(struct control_session *session, const char *text)
{
    output_size = 0;
    output[0] = 0;
    control_receive(session, text, strlen(text));
    return output;
}

static struct control_session *begin_negotiated(void)
{
    struct control_session *session = begin();

    CHECK_STR(say(session, "{\"execute\":\"qmp_capabilities\"}"), "{\"return\":{}}\n");
    return session;
}

TEST(session, greets_with_versions)
{
    struct control_session *session = begin();

    control_greet(session);
    json_t *greeting = json_loads(output, 0, NULL);
    json_t *version = json_object_get(json_object_get(greeting, "QMP"), "version");
    CHECK_STR(json_string_value(json_object_get(version, "package")), "doppel 1.2.3");
    CHECK(json_is_integer(json_object_get(json_object_get(version, "qemu"), "major")));
    CHECK_EQ(json_array_size(json_object_get(json_object_get(greeting, "QMP"), "capabilities")), 0);
    json_decref(greeting);
    control_destroy(session);
}

TEST(session, nothing_is_served_before_the_negotiation)
{
    struct control_session *session = begin();

    CHECK(strstr(say(session, "{\"execute\":\"stop\",\"id\":7}"), "CommandNotFound"));
    CHECK(strstr(output, "\"id\":7") && strstr(output, "qmp_capabilities"));
    control_send_event(session, CONTROL_EVENT_STOP, NULL);
    CHECK_EQ(strchr(output, '\n')[1], 0);
    CHECK(strstr(say(session, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[1]}}"),
                 "GenericError"));
    CHECK(strstr(say(session, "{\"execute\":\"stop\"}"), "CommandNotFound"));
    say(session, "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[]}}");
    CHECK_STR(output, "{\"return\":{}}\n");
    CHECK(strstr(say(session, "{\"execute\":\"qmp_capabilities\"}"), "already complete"));
    CHECK_EQ(served, 0);
    control_destroy(session);
}

TEST(session, ids_of_any_kind_come_back)
{
    static const char *const ids[] = {"1", "\"a\"", "{\"x\":[1]}", "[null]", "null", "1.5"};
    struct control_session *session = begin_negotiated();

    for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
        char text[96];
        char wanted[96];
        snprintf(text, sizeof(text), "{\"id\": %s, \"execute\": \"cont\"}", ids[i]);
        snprintf(wanted, sizeof(wanted), "{\"return\":{\"served\":%u},\"id\":%s}\n", i + 1, ids[i]);
        CHECK_STR(say(session, text), wanted);
    }
    control_destroy(session);
}

TEST(session, errors_have_the_classes_that_clients_know)
{
    struct control_session *session = begin_negotiated();

    next_code = -ENODEV;
    CHECK_STR(say(session, "{\"execute\":\"stop\"}"),
              "{\"error\":{\"class\":\"DeviceNotFound\",\"desc\":\"refused\"}}\n");
    next_code = -EAGAIN;
    CHECK(strstr(say(session, "{\"execute\":\"stop\"}"), "\"DeviceNotActive\""));
    next_code = -EINVAL;
    CHECK(strstr(say(session, "{\"execute\":\"stop\"}"), "\"GenericError\""));
    next_code = -EIO;
    CHECK(strstr(say(session, "{\"execute\":\"stop\"}"), strerror(EIO)));
    CHECK_EQ(served, 4);
    CHECK(strstr(say(session, "{\"execute\":\"fly\"}"), "\"CommandNotFound\""));
    CHECK(strstr(say(session, "{\"execute\":\"stop\",\"arguments\":{\"x\":1}}"), "unexpected"));
    CHECK(strstr(say(session, "{\"execute\":\"stop\",\"arguments\":[]}"), "expected: object"));
    CHECK(strstr(say(session, "{\"execute\":1}"), "expected: str"));
    CHECK(strstr(say(session, "{\"id\":1}"), "'execute' is missing"));
    CHECK(strstr(say(session, "{\"execute\":\"stop\",\"exec\":1}"), "'exec' is unexpected"));
    CHECK_EQ(served, 4);
    control_destroy(session);
}

/* Texts are cut to a length in bytes, which may lie within a character. */
TEST(session, a_reason_is_given_whatever_the_client_sent)
{
    struct control_session *session = begin_negotiated();
    char name[200] = "";
    char text[300];

    for (unsigned before = 0; before < 4; before++) {
        memset(name, 'a', before);
        name[before] = 0;
        for (unsigned i = 0; i < 40; i++)
            strcat(name, "\xe2\x82\xac"); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
        snprintf(text, sizeof(text), "{\"execute\":\"stop\",\"arguments\":{\"%s\":1}}", name);
        CHECK(strstr(say(session, text), "\"class\":\"GenericError\""));
        CHECK(strstr(output, "\"desc\":\""));
    }
    control_destroy(session);
}

TEST(session, garbage_is_answered_and_the_session_goes_on)
{
    static const char *const garbage[] = {
        "hello\n",
        "[]\n",
        "{\"execute\":}",
        "{\"a\":1,\"a\":2}",
        "{\"execute\":\"\\ud800\"}",
        "{]",
        "{\"execute\":\"stop\" \"id\"}",
        "{\"\xff\":1}",
        "{\"execute\":\"st\\u0000op\"}",
    };
    struct control_session *session = begin_negotiated();

    for (unsigned i = 0; i < ARRAY_LEN(garbage); i++) {
        CHECK(strstr(say(session, garbage[i]), "\"error\""));
        CHECK(strstr(say(session, "\n{\"execute\":\"cont\"}"), "\"served\""));
    }
    char *large = malloc(200000);
    assert_non_null(large);
    memset(large, '[', 199999);
    large[0] = '{';
    large[199999] = 0;
    CHECK(strstr(say(session, large), "65536"));
    CHECK(strstr(say(session, "\n{\"execute\":\"cont\"}"), "\"served\""));
    memset(large, '[', 60000);
    memcpy(large, "{\"a\":", 5);
    memset(large + 60000, ']', 60000 - 5);
    memcpy(large + 119995, "}\n", 3);
    say(session, large); /* deep, and too long at last */
    CHECK(strstr(say(session, "\n{\"execute\":\"cont\"}"), "\"served\""));
    free(large);
    control_destroy(session);
}

TEST(session, events_have_times_and_data)
{
    struct control_session *session = begin_negotiated();
    json_t *data = json_pack("{s:b}", "guest", 1);

    output_size = 0;
    control_send_event(session, CONTROL_EVENT_SHUTDOWN, data);
    json_t *event = json_loads(output, 0, NULL);
    CHECK_STR(json_string_value(json_object_get(event, "event")), "SHUTDOWN");
    CHECK(json_is_true(json_object_get(json_object_get(event, "data"), "guest")));
    json_t *stamp = json_object_get(event, "timestamp");
    CHECK(json_integer_value(json_object_get(stamp, "seconds")) > 1600000000);
    CHECK(json_integer_value(json_object_get(stamp, "microseconds")) < 1000000);
    json_decref(event);
    json_decref(data);
    control_destroy(session);
}

TEST(session, the_protocol_tells_about_itself)
{
    struct control_session *session = begin_negotiated();
    json_t *answer = json_loads(say(session, "{\"execute\":\"query-commands\"}"), 0, NULL);

    CHECK_EQ(json_array_size(json_object_get(answer, "return")), CONTROL_COMMAND_COUNT);
    json_decref(answer);
    answer = json_loads(say(session, "{\"execute\":\"query-qmp-schema\"}"), 0, NULL);
    CHECK(json_array_size(json_object_get(answer, "return")) > CONTROL_COMMAND_COUNT);
    json_decref(answer);
    CHECK(strstr(say(session, "{\"execute\":\"query-version\"}"), "doppel 1.2.3"));
    CHECK_EQ(served, 0);
    control_destroy(session);
    control_destroy(NULL);
}

TEST_MAIN(TESTS(session, greets_with_versions),
          TESTS(session, nothing_is_served_before_the_negotiation),
          TESTS(session, ids_of_any_kind_come_back),
          TESTS(session, errors_have_the_classes_that_clients_know),
          TESTS(session, a_reason_is_given_whatever_the_client_sent),
          TESTS(session, garbage_is_answered_and_the_session_goes_on),
          TESTS(session, events_have_times_and_data),
          TESTS(session, the_protocol_tells_about_itself))
