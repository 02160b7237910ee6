/* SPDX-License-Identifier: Apache-2.0
 * The socket that gdb connects to. */
#include "debug/connection.h"

#include "base/text.h"
#include "host/unix_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A debugger asks one thing at a time, so that its buffers hold our answer; whoever runs
 * this thread, and with it perhaps a console, must not wait long for others. */
#define SEND_PATIENCE_MS 500

static int listen_tcp(struct connection *connection, const char *spec, struct error *err)
{
    char host[64];
    uint64_t port;
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *colon = strrchr(spec, ':');
    size_t length = colon ? (size_t)(colon - spec) : 0;
    int one = 1;

    if (!colon || length >= sizeof(host) || !text_parse_u64(colon + 1, 65535, &port))
        return error_set(err, -EINVAL, "--gdb 'tcp:%s': tcp:ADDRESS:PORT is wanted", spec);
    memcpy(host, spec, length);
    host[length] = 0;
    address.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, length ? host : "127.0.0.1", &address.sin_addr) != 1)
        return error_set(err, -EINVAL, "--gdb 'tcp:%s': '%s' is not an IPv4 address", spec, host);
    connection->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (connection->listen_fd >= 0)
        setsockopt(connection->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (connection->listen_fd < 0 ||
        bind(connection->listen_fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_set(err, -errno, "--gdb 'tcp:%s': cannot listen there: %s", spec,
                         strerror(errno));
    return 0;
}

static int listen_unix(struct connection *connection, const char *path, struct error *err)
{
    connection->listen_fd = unix_listen(path, SOCK_STREAM, "--gdb", err);
    if (connection->listen_fd < 0)
        return connection->listen_fd;
    place_open(&connection->place, path);
    return 0;
}

int connection_open(struct connection *connection, const char *spec, struct error *err)
{
    int result;

    *connection = (struct connection){.listen_fd = -1, .client_fd = -1};
    if (text_starts_with(spec, "tcp:"))
        result = listen_tcp(connection, spec + 4, err);
    else if (text_starts_with(spec, "unix:") && spec[5])
        result = listen_unix(connection, spec + 5, err);
    else
        result =
            error_set(err, -EINVAL, "--gdb '%s': tcp:ADDRESS:PORT or unix:PATH is wanted", spec);
    if (result == 0 && listen(connection->listen_fd, 1) < 0)
        result =
            error_set(err, -errno, "--gdb '%s': cannot listen there: %s", spec, strerror(errno));
    if (result < 0)
        connection_close(connection);
    return result;
}

void connection_abandon(struct connection *connection)
{
    connection_drop(connection);
    if (connection->listen_fd >= 0)
        close(connection->listen_fd);
    connection->listen_fd = -1;
    place_forget(&connection->place);
}

void connection_close(struct connection *connection)
{
    place_remove(&connection->place);
    connection_abandon(connection);
}

void connection_drop(struct connection *connection)
{
    if (connection->client_fd >= 0)
        close(connection->client_fd);
    connection->client_fd = -1;
}

/* A new client may be seen before the end of the one it follows. */
static bool has_left(const struct connection *connection)
{
    struct pollfd p = {.fd = connection->client_fd, .events = POLLRDHUP};

    return poll(&p, 1, 0) == 1;
}

bool connection_accept(struct connection *connection, void (*left)(void *owner), void *owner)
{
    int fd = accept4(connection->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    int one = 1;

    if (fd < 0)
        return false;
    if (connection->client_fd >= 0 && has_left(connection)) {
        left(owner);
        connection_drop(connection);
    }
    if (connection->client_fd >= 0) {
        close(fd);
        return false;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    connection->client_fd = fd;
    return true;
}

ssize_t connection_receive(struct connection *connection, void *to, size_t size)
{
    ssize_t count = recv(connection->client_fd, to, size, MSG_DONTWAIT);

    if (count > 0)
        return count;
    return count < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

void connection_send(struct connection *connection, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size && connection->client_fd >= 0) {
        ssize_t sent = send(connection->client_fd, at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            at += sent;
            size -= (size_t)sent;
            continue;
        }
        if (sent < 0 && errno == EINTR)
            continue;
        struct pollfd p = {.fd = connection->client_fd, .events = POLLOUT};
        /* A client that does not read is as good as gone; reading notices. */
        if (sent < 0 && (errno != EAGAIN || poll(&p, 1, SEND_PATIENCE_MS) != 1)) {
            shutdown(connection->client_fd, SHUT_RDWR);
            return;
        }
    }
}
