/* SPDX-License-Identifier: Apache-2.0
 * The control socket of a machine. */
#include "vmm/control_server.h"

#include "base/log.h"
#include "base/text.h"
#include "host/place.h"
#include "host/unix_socket.h"
#include "vmm/vm_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef DOPPEL_VERSION
#define DOPPEL_VERSION "unknown"
#endif

#define MAX_CLIENTS       16
/* Answers and events that a client has not read yet. */
#define MAX_PENDING       (1u << 20)
/* Of one client at a time, so that it cannot keep the loop from others. */
#define READ_SIZE         4096
#define CLOSE_PATIENCE_MS 200

struct client {
    struct control_server *server;
    int fd; /* -1: free */
    struct control_session *session;
    char *pending;
    size_t pending_size;
    size_t pending_sent;
    bool is_lost; /* too slow, or out of memory: to be dropped */
};

struct control_server {
    struct loop *loop;
    int listen_fd;
    struct place place;
    struct control_service service;
    struct client clients[MAX_CLIENTS];
};

static void drop(struct client *client)
{
    loop_remove(client->server->loop, client->fd);
    close(client->fd);
    control_destroy(client->session);
    free(client->pending);
    *client = (struct client){.server = client->server, .fd = -1};
}

/* Sends what the socket takes. */
static void flush(struct client *client)
{
    while (client->pending_sent < client->pending_size) {
        ssize_t sent =
            send(client->fd, client->pending + client->pending_sent,
                 client->pending_size - client->pending_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0) {
            client->is_lost = true;
            break;
        }
        client->pending_sent += (size_t)sent;
    }
    if (client->pending_sent == client->pending_size)
        client->pending_size = client->pending_sent = 0;
    loop_change(client->server->loop, client->fd,
                LOOP_READ | (client->pending_size ? LOOP_WRITE : 0));
}

static void output(void *owner, const char *bytes, size_t size)
{
    struct client *client = owner;
    size_t wanted = client->pending_size + size;

    if (client->is_lost)
        return;
    char *pending = wanted > MAX_PENDING ? NULL : realloc(client->pending, wanted);
    if (!pending) {
        client->is_lost = true;
        return;
    }
    client->pending = pending;
    memcpy(pending + client->pending_size, bytes, size);
    client->pending_size = wanted;
    flush(client);
}

static void on_client(void *owner, unsigned events)
{
    struct client *client = owner;
    char bytes[READ_SIZE];

    if (events & LOOP_WRITE)
        flush(client);
    if (events & (LOOP_READ | LOOP_HANGUP)) {
        ssize_t count = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (count > 0)
            control_receive(client->session, bytes, (size_t)count);
        else if (count == 0 || (errno != EAGAIN && errno != EINTR))
            client->is_lost = true;
    }
    if (client->is_lost)
        drop(client);
}

static struct client *find_free(struct control_server *server)
{
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (server->clients[i].fd < 0)
            return &server->clients[i];
    return NULL;
}

static void on_listen(void *owner, unsigned events)
{
    struct control_server *server = owner;
    int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        return;
    struct client *client = find_free(server);
    if (!client) {
        log_warn("control", "a client was sent away: there are %u already", MAX_CLIENTS);
        close(fd);
        return;
    }
    client->session = control_create(&server->service, output, client);
    if (!client->session || loop_add(server->loop, fd, LOOP_READ, on_client, client) < 0) {
        control_destroy(client->session);
        client->session = NULL;
        close(fd);
        return;
    }
    client->fd = fd;
    control_greet(client->session);
    if (client->is_lost)
        drop(client);
}

int control_server_create(struct vm *vm, struct loop *loop, const char *spec,
                          struct control_server **out, struct error *err)
{
    if (!text_starts_with(spec, "unix:") || !spec[5])
        return error_set(err, -EINVAL, "--qmp '%s': unix:PATH is wanted", spec);
    struct control_server *server = calloc(1, sizeof(*server));
    char *path = strdup(spec + 5);
    if (!server || !path) {
        free(server);
        free(path);
        return error_set(err, -ENOMEM, "--qmp: out of memory");
    }
    /* From a file, which a sandbox does not have. */
    json_object_seed(0);
    server->loop = loop;
    server->service = (struct control_service){vm_command_handlers, DOPPEL_VERSION, vm};
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        server->clients[i] = (struct client){.server = server, .fd = -1};
    int fd = unix_listen(path, SOCK_STREAM, "--qmp", err);
    if (fd < 0 || loop_add(loop, fd, LOOP_READ, on_listen, server) < 0) {
        if (fd >= 0) {
            unlink(path);
            close(fd);
        }
        free(path);
        free(server);
        return error_set(err, fd < 0 ? fd : -ENOMEM, "--qmp: cannot watch the socket");
    }
    server->listen_fd = fd;
    place_open(&server->place, path);
    free(path);
    *out = server;
    return 0;
}

/* The last words, as far as the client reads them at once. */
static void close_client(struct client *client)
{
    struct pollfd p = {.fd = client->fd, .events = POLLOUT};

    while (client->pending_size && !client->is_lost && poll(&p, 1, CLOSE_PATIENCE_MS) == 1)
        flush(client);
    drop(client);
}

void control_server_destroy(struct control_server *server)
{
    if (!server)
        return;
    for (unsigned i = 0; i < MAX_CLIENTS; i++)
        if (server->clients[i].fd >= 0)
            close_client(&server->clients[i]);
    loop_remove(server->loop, server->listen_fd);
    close(server->listen_fd);
    place_remove(&server->place);
    free(server);
}

struct place *control_server_place(struct control_server *server)
{
    return server && server->place.name[0] ? &server->place : NULL;
}

/* A client that turns out to be lost is dropped at its next event, which a broken or full
 * socket always brings. */
void control_server_event(struct control_server *server, enum control_event_id event,
                          const json_t *data)
{
    if (!server)
        return;
    for (unsigned i = 0; i < MAX_CLIENTS; i++) {
        struct client *client = &server->clients[i];
        if (client->fd < 0)
            continue;
        control_send_event(client->session, event, data);
        if (client->is_lost)
            shutdown(client->fd, SHUT_RDWR);
    }
}

static void send_cause(struct control_server *server, enum control_event_id event, bool by_guest,
                       const char *reason)
{
    if (!server)
        return;
    json_t *data = json_pack("{s:b, s:s}", "guest", by_guest, "reason", reason);

    control_server_event(server, event, data);
    json_decref(data);
}

void control_server_shutdown(struct control_server *server, bool by_guest, const char *reason)
{
    send_cause(server, CONTROL_EVENT_SHUTDOWN, by_guest, reason);
}

void control_server_reset(struct control_server *server, bool by_guest)
{
    send_cause(server, CONTROL_EVENT_RESET, by_guest,
               by_guest ? "guest-reset" : "host-qmp-system-reset");
}
