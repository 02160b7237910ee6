/* SPDX-License-Identifier: Apache-2.0
 * Sockets in the file system. */
#include "host/unix_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* False: the path is too long for a socket. */
static bool make_address(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address->sun_path))
        return false;
    memcpy(address->sun_path, path, strlen(path) + 1);
    return true;
}

int unix_connect(const char *path)
{
    struct sockaddr_un address;

    if (!make_address(path, &address))
        return -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int result = -errno;
    close(fd);
    return result;
}

/* Whether a socket at `path` belongs to nobody any more. */
static bool is_abandoned(const struct sockaddr_un *address, int type)
{
    struct stat status;

    if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
                   errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int bind_private(int fd, const struct sockaddr_un *address)
{
    mode_t before = umask(0177);
    int result = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

    umask(before);
    return result;
}

int unix_listen(const char *path, int type, const char *what, struct error *err)
{
    struct sockaddr_un address;

    if (!make_address(path, &address))
        return error_set(err, -ENAMETOOLONG,
                         "%s 'unix:%s': the path is too long: %zu characters are the most", what,
                         path, sizeof(address.sun_path) - 1);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result = fd < 0 ? -errno : bind_private(fd, &address);
    if (result == -EADDRINUSE && is_abandoned(&address, type)) {
        unlink(path);
        result = bind_private(fd, &address);
    }
    if (result == 0 && type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0)
        result = -errno;
    if (result == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return error_set(err, result, "%s 'unix:%s': cannot listen there: %s", what, path,
                     strerror(-result));
}
