/* SPDX-License-Identifier: Apache-2.0
 * A TAP device of the host, made by whoever may: `ip tuntap add NAME mode tap user USER`. */
#include "backend/net/link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct tap {
    struct link link;
    struct loop *loop;
    int fd;
    unsigned watched;
};

static struct tap *tap_of(struct link *link)
{
    return CONTAINER_OF(link, struct tap, link);
}

static unsigned tap_send(struct link *link, const struct frame *frames, unsigned count)
{
    const struct tap *tap = tap_of(link);

    for (unsigned i = 0; i < count; i++) {
        ssize_t sent = write(tap->fd, frames[i].bytes, frames[i].size);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
            return i;
        /* Else the interface is down, or the frame too large for it: it is lost. */
    }
    return count;
}

static unsigned tap_receive(struct link *link, struct frame *frames, unsigned count)
{
    const struct tap *tap = tap_of(link);
    unsigned good = 0;

    while (good < count) {
        ssize_t size = read(tap->fd, frames[good].bytes, frames[good].size);
        if (size <= 0)
            break;
        frames[good++].size = (size_t)size;
    }
    return good;
}

static void on_tap(void *owner, unsigned events)
{
    struct tap *tap = owner;

    net_ready(tap->link.net, events);
}

static void tap_watch(struct link *link, unsigned events)
{
    struct tap *tap = tap_of(link);

    if (events == tap->watched)
        return;
    loop_change(tap->loop, tap->fd, events);
    tap->watched = events;
}

static void tap_close(struct link *link)
{
    struct tap *tap = tap_of(link);

    if (tap->fd >= 0) {
        loop_remove(tap->loop, tap->fd);
        close(tap->fd);
    }
    free(tap);
}

static const struct link_ops tap_ops = {
    .send = tap_send,
    .receive = tap_receive,
    .watch = tap_watch,
    .close = tap_close,
};

static int attach(struct tap *tap, const char *name, struct error *err)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

    if (strlen(name) >= sizeof(request.ifr_name))
        return error_set(err, -EINVAL, "--net 'tap:%s': the name of an interface is shorter", name);
    memcpy(request.ifr_name, name, strlen(name) + 1);
    tap->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap->fd < 0)
        return error_set(err, -errno, "--net 'tap:%s': cannot open /dev/net/tun: %s", name,
                         strerror(errno));
    if (ioctl(tap->fd, TUNSETIFF, &request) == 0)
        return 0;
    if (errno == EPERM)
        return error_set(err, -EPERM,
                         "--net 'tap:%s': not permitted; as root: ip tuntap add %s mode tap user "
                         "NAME, with your user's name",
                         name, name);
    return error_set(err, -errno, "--net 'tap:%s': %s", name,
                     errno == EBUSY ? "it is in use by another program" : strerror(errno));
}

int tap_open(const struct net_config *config, const char *name, struct link **out,
             struct error *err)
{
    struct tap *tap = calloc(1, sizeof(*tap));

    if (!tap)
        return error_set(err, -ENOMEM, "--net tap: out of memory");
    tap->link.ops = &tap_ops;
    tap->loop = config->loop;
    tap->fd = -1;
    int result = attach(tap, name, err);
    tap->watched = LOOP_READ;
    if (result == 0 && loop_add(tap->loop, tap->fd, LOOP_READ, on_tap, tap) < 0)
        result = error_set(err, -EMFILE, "--net 'tap:%s': it cannot be waited for", name);
    if (result < 0) {
        tap_close(&tap->link);
        return result;
    }
    *out = &tap->link;
    return 0;
}
