/* SPDX-License-Identifier: Apache-2.0
 * Ways to the ssh server of a machine's guest. */
#include "manager/reach.h"

#include "backend/net/net.h"
#include "base/text.h"
#include "host/clock.h"
#include "host/file.h"
#include "host/unix_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)
#define TRY_MS    1000 /* for a guest that may have no vsock at all */
#define BANNER_MS 3000 /* a server that is there says what it is at once */
#define LINE_MOST 64u
#define WAY       "ssh-way"
#define WAY_VSOCK "vsock"
#define WAY_PORT  "port"
#define PORT      "ssh-port"

/* ---- lines ---- */

/* Reads a byte; -ETIMEDOUT, or -ECONNREFUSED: the end. */
static int read_byte(int fd, uint64_t deadline, char *to)
{
    for (;;) {
        uint64_t now = clock_monotonic_ns();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (now >= deadline)
            return -ETIMEDOUT;
        int count = poll(&p, 1, (int)((deadline - now) / NS_PER_MS) + 1);
        if (count < 0 && errno != EINTR)
            return -errno;
        if (count != 1)
            continue;
        ssize_t size = read(fd, to, 1);
        if (size == 1)
            return 0;
        if (size == 0 || errno != EINTR)
            return -ECONNREFUSED;
    }
}

/* Whether what comes begins with `wanted`; reads no more than its line. */
static int expect_line(int fd, const char *wanted, unsigned timeout_ms)
{
    uint64_t deadline = clock_monotonic_ns() + timeout_ms * NS_PER_MS;
    char line[LINE_MOST] = "";

    for (size_t size = 0; size + 1 < sizeof(line); size++) {
        int result = read_byte(fd, deadline, line + size);
        if (result < 0)
            return result;
        if (line[size] == '\n')
            break;
    }
    return text_starts_with(line, wanted) ? 0 : -ECONNREFUSED;
}

/* ---- ways ---- */

int reach_vsock(const struct record *record, unsigned port, unsigned timeout_ms)
{
    char path[PATH_MAX];
    char request[32];
    int result = path_join(path, NULL, record->sockets, "vsock.sock", NULL);

    if (result < 0)
        return result;
    int fd = unix_connect(path);
    if (fd < 0)
        return fd;
    int length = snprintf(request, sizeof(request), "CONNECT %u\n", port);
    result = file_put(fd, request, (size_t)length);
    if (result == 0)
        result = expect_line(fd, "OK ", timeout_ms);
    if (result == 0)
        return fd;
    close(fd);
    return result;
}

unsigned reach_host_port(const struct record *record)
{
    json_int_t port = json_integer_value(json_object_get(record->json, PORT));

    return port > 0 && port <= UINT16_MAX ? (unsigned)port : 0;
}

static struct sockaddr_in loopback(unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int reach_port(const struct record *record)
{
    unsigned port = reach_host_port(record);
    struct sockaddr_in address = loopback(port);
    int fd = port ? socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;

    if (!port)
        return -ECONNREFUSED;
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int result = -errno;
    close(fd);
    return result;
}

int reach_ssh(const struct record *record, unsigned timeout_ms)
{
    const char *way = record_text(record, WAY);
    /* A guest without vsock is not waited for when there is another way. */
    bool is_only = !reach_host_port(record) || strcmp(way, WAY_VSOCK) == 0;
    int fd = -ECONNREFUSED;

    if (strcmp(way, WAY_PORT) != 0)
        fd = reach_vsock(record, REACH_SSH_PORT, is_only ? timeout_ms : TRY_MS);
    return fd < 0 && reach_host_port(record) ? reach_port(record) : fd;
}

/* Whether it is ssh that answers; closes `fd`. */
static bool is_ssh(int fd)
{
    bool is = fd >= 0 && expect_line(fd, "SSH-", BANNER_MS) == 0;

    if (fd >= 0)
        close(fd);
    return is;
}

/* Whether ssh answers by this way, which is noted then. */
static bool try_way(const struct record *record, const char *way, int fd)
{
    if (!is_ssh(fd))
        return false;
    json_object_set_new(record->json, WAY, json_string(way));
    return true;
}

static bool try_vsock(const struct record *record)
{
    return try_way(record, WAY_VSOCK, reach_vsock(record, REACH_SSH_PORT, TRY_MS));
}

static bool try_port(const struct record *record)
{
    return try_way(record, WAY_PORT, reach_port(record));
}

bool reach_try(const struct record *record)
{
    /* systemd listens on vsock long before cloud-init has done its work; the server of the network waits for that. */
    if (json_is_true(json_object_get(record->json, "cloud-init")))
        return try_port(record) || try_vsock(record);
    return try_vsock(record) || try_port(record);
}

/* ---- the port of the host ---- */

/* Whether the machine will have the network that ports can be led through. */
static bool has_user_network(const struct record *record)
{
    json_t *option;
    size_t i;
    bool is_given = false;

    json_array_foreach(json_object_get(record->json, "options"), i, option) {
        const char *text = json_string_value(option);
        if (strcmp(text, "--net=user") == 0)
            return true;
        is_given |= text_starts_with(text, "--net=");
    }
    return !is_given && net_user_is_available();
}

/* Whether it is free now: `port`, or any if that is 0. Returns it, or 0. */
static unsigned find_port(unsigned port)
{
    struct sockaddr_in address = loopback(port);
    socklen_t size = sizeof(address);
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_free = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
                   bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                   getsockname(fd, (struct sockaddr *)&address, &size) == 0;

    if (fd >= 0)
        close(fd);
    return is_free ? ntohs(address.sin_port) : 0;
}

int reach_prepare(const struct record *record, struct error *err)
{
    unsigned before = reach_host_port(record);
    unsigned port = before ? find_port(before) : 0;

    json_object_del(record->json, WAY);
    json_object_del(record->json, PORT);
    if (!has_user_network(record))
        return 0;
    if (!port)
        port = find_port(0);
    if (!port)
        return error_set(err, -EADDRINUSE, "there is no free port at 127.0.0.1 for ssh");
    json_object_set_new(record->json, PORT, json_integer(port));
    return 0;
}
