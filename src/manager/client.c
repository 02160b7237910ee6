/* SPDX-License-Identifier: Apache-2.0
 * A client of a machine's control socket. */
#include "manager/client.h"

#include "host/clock.h"
#include "host/unix_socket.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The longest line a machine sends, by far: its schema. */
#define LINE_MOST (1u << 20)
#define NS_PER_MS UINT64_C(1000000)

struct client {
    int fd;
    char *line; /* LINE_MOST bytes: what was received and not yet used */
    size_t size;
    client_event *on_event;
    void *owner;
};

void client_close(struct client *client)
{
    if (!client)
        return;
    close(client->fd);
    free(client->line);
    free(client);
}

void client_on_event(struct client *client, client_event *callback, void *owner)
{
    client->on_event = callback;
    client->owner = owner;
}

static uint64_t deadline_in(unsigned timeout_ms)
{
    return clock_monotonic_ns() + timeout_ms * NS_PER_MS;
}

/* More bytes behind those there are. */
static int receive(struct client *client, uint64_t deadline, struct error *err)
{
    struct pollfd p = {.fd = client->fd, .events = POLLIN};
    uint64_t now = clock_monotonic_ns();
    int wait_ms = now < deadline ? (int)((deadline - now + NS_PER_MS - 1) / NS_PER_MS) : 0;

    int ready = poll(&p, 1, wait_ms);
    if (ready < 0 && errno == EINTR)
        return 0;
    if (ready == 0)
        return error_set(err, -ETIMEDOUT, "the machine does not answer");
    ssize_t count = recv(client->fd, client->line + client->size, LINE_MOST - client->size, 0);
    if (count < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (count <= 0)
        return error_set(err, -EPIPE, "the machine has ended");
    client->size += (size_t)count;
    return 0;
}

/* The next message; a new reference in *out. */
static int next_message(struct client *client, uint64_t deadline, json_t **out, struct error *err)
{
    json_error_t error;
    char *end;

    while (!(end = memchr(client->line, '\n', client->size))) {
        if (client->size == LINE_MOST)
            return error_set(err, -EPROTO, "the machine's answer is too long");
        int result = receive(client, deadline, err);
        if (result < 0)
            return result;
    }
    size_t length = (size_t)(end - client->line) + 1;
    *out = json_loadb(client->line, length, 0, &error);
    client->size -= length;
    memmove(client->line, client->line + length, client->size);
    return *out ? 0 : error_set(err, -EPROTO, "the machine's answer is no JSON: %s", error.text);
}

/* Reports `message` if it is an event, and lets go of it. */
static bool take_event(struct client *client, json_t *take_message)
{
    const char *event = json_string_value(json_object_get(take_message, "event"));

    if (!event)
        return false;
    if (client->on_event)
        client->on_event(client->owner, event, json_object_get(take_message, "data"));
    json_decref(take_message);
    return true;
}

static int take_reply(json_t *take_message, json_t **result, struct error *err)
{
    json_t *value = json_object_get(take_message, "return");
    const char *text =
        json_string_value(json_object_get(json_object_get(take_message, "error"), "desc"));
    int code = 0;

    if (value && result)
        *result = json_incref(value);
    if (!value)
        code = error_set(err, -EREMOTEIO, "%s", text ? text : "the machine refused");
    json_decref(take_message);
    return code;
}

int client_call(struct client *client, const char *command, json_t *arguments, unsigned timeout_ms,
                json_t **result, struct error *err)
{
    uint64_t deadline = deadline_in(timeout_ms);
    json_t *message = json_pack("{s:s, s:O*}", "execute", command, "arguments", arguments);
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

    json_decref(message);
    if (!text)
        return error_set(err, -ENOMEM, "out of memory");
    ssize_t sent = send(client->fd, text, strlen(text), MSG_NOSIGNAL);
    bool is_sent = sent == (ssize_t)strlen(text);
    free(text);
    if (!is_sent)
        return error_set(err, -EPIPE, "the machine has ended");
    for (;;) {
        int code = next_message(client, deadline, &message, err);
        if (code < 0)
            return code;
        if (!take_event(client, message))
            return take_reply(message, result, err);
    }
}

int client_wait(struct client *client, unsigned timeout_ms, struct error *err)
{
    uint64_t deadline = deadline_in(timeout_ms);
    json_t *message;

    for (;;) {
        int code = next_message(client, deadline, &message, err);
        if (code < 0)
            return code;
        if (take_event(client, message))
            return 0;
        json_decref(message); /* an answer that came too late */
    }
}

int client_open(const char *path, unsigned timeout_ms, struct client **out, struct error *err)
{
    json_t *greeting = NULL;
    int fd = unix_connect(path);

    if (fd < 0)
        return error_set(err, fd, "cannot reach the machine at '%s': %s", path, strerror(-fd));
    struct client *client = calloc(1, sizeof(*client));
    char *line = malloc(LINE_MOST);
    if (!client || !line) {
        free(client);
        free(line);
        close(fd);
        return error_set(err, -ENOMEM, "out of memory");
    }
    client->fd = fd;
    client->line = line;
    int result = next_message(client, deadline_in(timeout_ms), &greeting, err);
    json_decref(greeting);
    if (result == 0)
        result = client_call(client, "qmp_capabilities", NULL, timeout_ms, NULL, err);
    if (result < 0) {
        client_close(client);
        return result;
    }
    *out = client;
    return 0;
}
