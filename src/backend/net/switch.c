/* SPDX-License-Identifier: Apache-2.0
 * A network between the machines of a host, without anything in the middle (ADR 0032):
 * a directory in which each machine has a socket that the others connect to. Each pair
 * of machines has one connection, and each machine is the switch for what it sends.
 *
 *     PATH/526b0f3c9a12.sock      the machine whose device has that address
 *
 * Joining, under a lock on the directory: take the place, then connect to all that are
 * there. So of two machines the later one connects, and neither can miss the other.
 * Who does not take frames loses them; who ends is seen at once, as its sockets close. */
#include "backend/net/link.h"
#include "base/endian.h"
#include "base/log.h"
#include "base/text.h"
#include "host/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    MAX_PEERS = 256,
    STATIONS = 1024, /* addresses that are remembered; power of two */
    SUFFIX_SIZE = 5,
    NAME_SIZE = 2 * NET_ADDRESS_SIZE + SUFFIX_SIZE + 1,
    SOCKET_BUFFER = 4 << 20,
    LOCK_LIMIT_MS = 1000,
    EVENTS = 16,
};

static const char suffix[] = ".sock";

_Static_assert(sizeof(suffix) == SUFFIX_SIZE + 1, "NAME_SIZE counts it");

/* Who sent frames from an address last. */
struct station {
    uint8_t address[NET_ADDRESS_SIZE];
    uint16_t peer; /* index + 1; 0: free */
};

struct lan {
    struct link link;
    struct loop *loop;
    int folder_fd; /* while joining */
    struct place place;
    int listen_fd;
    int epoll_fd; /* of all peers */
    bool has_place;
    bool is_watched; /* epoll_fd is in the loop */
    unsigned watched;
    char name[NAME_SIZE]; /* of our socket */
    int peers[MAX_PEERS]; /* -1: free */
    unsigned peer_end;    /* those behind are free */
    struct station stations[STATIONS];
};

static struct lan *lan_of(struct link *link)
{
    return CONTAINER_OF(link, struct lan, link);
}

/* ---- peers ---- */

static void remove_peer(struct lan *lan, unsigned index)
{
    close(lan->peers[index]); /* which takes it out of epoll, too */
    lan->peers[index] = -1;
    for (unsigned i = 0; i < STATIONS; i++)
        if (lan->stations[i].peer == index + 1)
            lan->stations[i].peer = 0;
    while (lan->peer_end > 0 && lan->peers[lan->peer_end - 1] < 0)
        lan->peer_end--;
    log_debug("net", "a machine left the switch");
}

/* Takes `fd` over. */
static void add_peer(struct lan *lan, int take_fd)
{
    const int size = SOCKET_BUFFER;
    unsigned index = 0;

    while (index < MAX_PEERS && index < lan->peer_end && lan->peers[index] >= 0)
        index++;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    if (index == MAX_PEERS || epoll_ctl(lan->epoll_fd, EPOLL_CTL_ADD, take_fd, &event) < 0) {
        log_warn("net", "a switch has at most %u machines", MAX_PEERS + 1u);
        close(take_fd);
        return;
    }
    setsockopt(take_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    lan->peers[index] = take_fd;
    lan->peer_end = MAX(lan->peer_end, index + 1);
    log_debug("net", "a machine joined the switch");
}

static void on_connect(void *owner, unsigned events)
{
    struct lan *lan = owner;
    int fd = accept4(lan->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd >= 0)
        add_peer(lan, fd);
}

/* ---- addresses ---- */

static struct station *station_at(struct lan *lan, const uint8_t *address)
{
    uint64_t number = (uint64_t)load_le32(address) << 16 | load_le16(address + 4);

    return &lan->stations[(number * UINT64_C(0x9e3779b97f4a7c15)) >> 54 & (STATIONS - 1)];
}

static void learn(struct lan *lan, const uint8_t *address, unsigned peer)
{
    struct station *station = station_at(lan, address);

    if (address[0] & 1)
        return;
    memcpy(station->address, address, NET_ADDRESS_SIZE);
    station->peer = (uint16_t)(peer + 1);
}

/* The index of the peer with that address, -1: nobody knows. */
static int find_peer(struct lan *lan, const uint8_t *address)
{
    const struct station *station = station_at(lan, address);

    if ((address[0] & 1) || station->peer == 0 ||
        memcmp(station->address, address, NET_ADDRESS_SIZE) != 0)
        return -1;
    return station->peer - 1;
}

/* ---- frames ---- */

static void send_to(struct lan *lan, unsigned peer, const struct frame *frame)
{
    ssize_t sent = send(lan->peers[peer], frame->bytes, frame->size, MSG_NOSIGNAL | MSG_DONTWAIT);

    /* No room: it is lost, as at a full port of any switch. */
    if (sent < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS && errno != EMSGSIZE)
        remove_peer(lan, peer);
}

static unsigned lan_send(struct link *link, const struct frame *frames, unsigned count)
{
    struct lan *lan = lan_of(link);

    for (unsigned i = 0; i < count; i++) {
        int peer = find_peer(lan, frames[i].bytes);
        if (peer >= 0) {
            send_to(lan, (unsigned)peer, &frames[i]);
            continue;
        }
        for (unsigned p = 0; p < lan->peer_end; p++)
            if (lan->peers[p] >= 0)
                send_to(lan, p, &frames[i]);
    }
    return count;
}

/* One frame of a peer. False: there is none, or it is none. */
static bool receive_from(struct lan *lan, unsigned peer, struct frame *frame)
{
    ssize_t size = recv(lan->peers[peer], frame->bytes, frame->size, MSG_TRUNC | MSG_DONTWAIT);

    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR)) {
        remove_peer(lan, peer);
        return false;
    }
    if (size < (ssize_t)NET_HEADER_SIZE || size > (ssize_t)NET_FRAME_MOST)
        return false;
    frame->size = (size_t)size;
    learn(lan, frame->bytes + NET_ADDRESS_SIZE, peer);
    return true;
}

/* Each peer that has something has its turn. */
static unsigned lan_receive(struct link *link, struct frame *frames, unsigned count)
{
    struct lan *lan = lan_of(link);
    struct epoll_event events[EVENTS];
    unsigned good = 0;

    for (unsigned rounds = 0; rounds < count && good < count; rounds++) {
        int ready = epoll_wait(lan->epoll_fd, events, MIN(EVENTS, (int)(count - good)), 0);
        if (ready <= 0)
            break;
        for (int i = 0; i < ready; i++) {
            unsigned peer = events[i].data.u32;
            if (lan->peers[peer] >= 0)
                good += receive_from(lan, peer, &frames[good]);
        }
    }
    return good;
}

static void on_frames(void *owner, unsigned events)
{
    struct lan *lan = owner;

    net_ready(lan->link.net, events);
}

static void lan_watch(struct link *link, unsigned events)
{
    struct lan *lan = lan_of(link);

    if (events == lan->watched)
        return;
    loop_change(lan->loop, lan->epoll_fd, events);
    lan->watched = events;
}

/* ---- joining ---- */

/* Through the descriptor of the directory, as a path to a socket has to be short. */
static void address_of(const struct lan *lan, const char *name, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/%s", lan->folder_fd,
             name);
}

/* A connection to a machine; -1 with errno. */
static int connect_to(const struct lan *lan, const char *name)
{
    struct sockaddr_un address;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    address_of(lan, name, &address);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int lock_folder(const struct lan *lan, const char *path, struct error *err)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)LOCK_LIMIT_MS * 1000000;

    while (flock(lan->folder_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_set(err, -errno, "cannot lock the switch '%s': %s", path, strerror(errno));
        if (clock_monotonic_ns() >= end_ns)
            return error_set(err, -EBUSY,
                             "the switch '%s' is locked by a process that does not go on", path);
        usleep(2000);
    }
    return 0;
}

/* Of a machine that was killed. */
static void remove_socket(const struct lan *lan, const char *name)
{
    struct stat st;

    if (fstatat(lan->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode))
        unlinkat(lan->folder_fd, name, 0);
}

static int take_place(struct lan *lan, const char *path, struct error *err)
{
    struct sockaddr_un address;
    int other = connect_to(lan, lan->name);

    if (other >= 0) {
        close(other);
        return error_set(err, -EADDRINUSE,
                         "a machine with the same address (%.12s) is in the switch '%s'; give this "
                         "one another --name",
                         lan->name, path);
    }
    remove_socket(lan, lan->name);
    address_of(lan, lan->name, &address);
    lan->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (lan->listen_fd < 0 ||
        bind(lan->listen_fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(lan->listen_fd, MAX_PEERS) < 0)
        return error_set(err, -errno, "cannot join the switch '%s': %s", path, strerror(errno));
    lan->has_place = true;
    return 0;
}

static bool is_place(const char *name)
{
    size_t length = strlen(name);

    return length == NAME_SIZE - 1 && strspn(name, "0123456789abcdef") == 2 * NET_ADDRESS_SIZE &&
           strcmp(name + length - SUFFIX_SIZE, suffix) == 0;
}

static int connect_to_all(struct lan *lan, const char *path, struct error *err)
{
    int fd = openat(lan->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;

    if (!folder)
        return error_set(err, -errno, "cannot read the switch '%s': %s", path, strerror(errno));
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (!is_place(entry->d_name) || strcmp(entry->d_name, lan->name) == 0)
            continue;
        int peer = connect_to(lan, entry->d_name);
        if (peer >= 0)
            add_peer(lan, peer);
        else if (errno == ECONNREFUSED)
            remove_socket(lan, entry->d_name);
        else
            log_warn("net", "cannot reach the machine at '%s/%s': %s", path, entry->d_name,
                     strerror(errno));
    }
    closedir(folder);
    return 0;
}

static int join(struct lan *lan, const char *path, struct error *err)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return error_set(err, -errno, "cannot create the switch '%s': %s", path, strerror(errno));
    lan->folder_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lan->folder_fd < 0)
        return error_set(err, -errno, "cannot open the switch '%s', which is a directory: %s", path,
                         strerror(errno));
    int result = lock_folder(lan, path, err);
    if (result < 0)
        return result;
    result = take_place(lan, path, err);
    if (result == 0)
        result = connect_to_all(lan, path, err);
    flock(lan->folder_fd, LOCK_UN);
    if (lan->has_place) {
        /* The folder has served its purpose: later machines connect to us. */
        lan->place.folder = lan->folder_fd;
        snprintf(lan->place.name, sizeof(lan->place.name), "%s", lan->name);
        lan->folder_fd = -1;
    }
    return result;
}

/* ---- life ---- */

static void lan_close(struct link *link)
{
    struct lan *lan = lan_of(link);

    place_remove(&lan->place);
    if (lan->is_watched) {
        loop_remove(lan->loop, lan->listen_fd);
        loop_remove(lan->loop, lan->epoll_fd);
    }
    for (unsigned i = 0; i < lan->peer_end; i++)
        if (lan->peers[i] >= 0)
            close(lan->peers[i]);
    const int fds[] = {lan->listen_fd, lan->epoll_fd, lan->folder_fd};
    for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(lan);
}

static struct place *lan_place(struct link *link)
{
    return &lan_of(link)->place;
}

static const struct link_ops lan_ops = {
    .place = lan_place,
    .send = lan_send,
    .receive = lan_receive,
    .watch = lan_watch,
    .close = lan_close,
};

int switch_open(const struct net_config *config, const char *path, struct link **out,
                struct error *err)
{
    const uint8_t *a = config->address;
    struct lan *lan = calloc(1, sizeof(*lan));

    if (!lan)
        return error_set(err, -ENOMEM, "--net socket: out of memory");
    lan->link.ops = &lan_ops;
    lan->loop = config->loop;
    lan->folder_fd = lan->listen_fd = -1;
    for (unsigned i = 0; i < MAX_PEERS; i++)
        lan->peers[i] = -1;
    snprintf(lan->name, sizeof(lan->name), "%02x%02x%02x%02x%02x%02x%s", a[0], a[1], a[2], a[3],
             a[4], a[5], suffix);
    lan->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int result = lan->epoll_fd < 0 ? error_set(err, -errno, "--net socket: %s", strerror(errno))
                                   : join(lan, path, err);
    if (result == 0) {
        lan->watched = LOOP_READ;
        lan->is_watched = loop_add(lan->loop, lan->epoll_fd, LOOP_READ, on_frames, lan) == 0 &&
                          loop_add(lan->loop, lan->listen_fd, LOOP_READ, on_connect, lan) == 0;
        if (!lan->is_watched)
            result = error_set(err, -EMFILE, "--net socket: the loop is full");
    }
    if (result < 0) {
        lan_close(&lan->link);
        return result;
    }
    *out = &lan->link;
    return 0;
}
