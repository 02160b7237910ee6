/* SPDX-License-Identifier: Apache-2.0
 * User-mode network: frames go to a process of its own, doppel-net, which has
 * libslirp, no file and no guest memory (ADR 0031).
 *
 *     ASLEEP --first frame, or forwards--> STARTING --USER_READY--> UP
 *     STARTING, UP --it ends (lost)--> BROKEN --timer (start)--> STARTING
 *
 * The guest sees the cable pulled while it is BROKEN. A machine whose guest has no
 * network driver never starts it. */
#include "backend/net/link.h"
#include "backend/net/user_protocol.h"
#include "base/log.h"
#include "host/child.h"
#include "host/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define PROGRAM "doppel-net"

enum {
    MTU = 65520,
    SOCKET_BUFFER = 4 << 20, /* as much of it as the host allows */
    START_LIMIT_MS = 5000,
    ANSWER_LIMIT_MS = 1000,
    RESTART_FIRST_MS = 20,
    RESTART_MOST_MS = 5000,
    /* Whoever lived this long is started again at once when it ends. */
    LONG_LIFE_MS = 10000,
    BATCH_MOST = 16,
};

enum user_state {
    USER_ASLEEP,
    USER_STARTING,
    USER_UP,
    USER_BROKEN,
};

struct user {
    struct link link;
    struct loop *loop;
    struct child_port children;
    char path[4096]; /* of the program */
    char name[64];   /* of the machine */
    uint8_t address[NET_ADDRESS_SIZE];
    enum user_state state;
    pid_t pid;
    int frames_fd;     /* -1: none */
    int control_fd;    /* -1: none */
    int timer_fd;      /* for the next start; -1: none yet */
    unsigned watched;  /* events of frames_fd */
    unsigned pause_ms; /* before the next start */
    uint64_t started_ns;
    unsigned restarts;
    uint32_t sequence; /* of the last question */
    struct net_forward forwards[NET_MAX_FORWARDS];
    unsigned forward_count;
};

static struct user *user_of(struct link *link)
{
    return CONTAINER_OF(link, struct user, link);
}

static void on_frames(void *owner, unsigned events);
static void on_control(void *owner, unsigned events);
static void lost(struct user *user);

/* ---- the process ---- */

static void close_sockets(struct user *user)
{
    int *const fds[] = {&user->frames_fd, &user->control_fd};

    for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
        if (*fds[i] < 0)
            continue;
        loop_remove(user->loop, *fds[i]);
        close(*fds[i]);
        *fds[i] = -1;
    }
}

static void end_process(struct user *user)
{
    if (user->pid > 0 && user->children.kill)
        user->children.kill(user->children.owner, user->pid);
    else if (user->pid > 0)
        child_kill(user->pid);
    user->pid = 0;
    close_sockets(user);
}

static int open_pair(int pair[2], struct error *err)
{
    const int size = SOCKET_BUFFER;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return error_set(err, -errno, "cannot start %s: %s", PROGRAM, strerror(errno));
    for (unsigned i = 0; i < 2; i++)
        setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return 0;
}

static int spawn(struct user *user, const int theirs[2], struct error *err)
{
    char parent[16];
    char *const argv[] = {user->path, parent, NULL};

    const struct child_port *children = &user->children;
    struct child_config config = {argv, theirs, 2, log_enabled("net", LOG_DEBUG)};

    snprintf(parent, sizeof(parent), "%d",
             (int)(children->parent ? children->parent(children->owner) : getpid()));
    return children->start ? children->start(children->owner, &config, &user->pid, err)
                           : child_start(&config, &user->pid, err);
}

static bool send_message(const struct user *user, struct user_message *message)
{
    message->size = sizeof(*message);
    return send(user->control_fd, message, sizeof(*message), MSG_NOSIGNAL) ==
           (ssize_t)sizeof(*message);
}

/* Questions that are not answered yet wait in the socket: nobody is waited for. */
static int configure(struct user *user, struct error *err)
{
    struct user_message message = {.kind = USER_CONFIGURE, .mtu = MTU};
    bool is_sent;

    snprintf(message.text, sizeof(message.text), "%s", user->name);
    memcpy(message.address, user->address, sizeof(message.address));
    is_sent = send_message(user, &message);
    for (unsigned i = 0; i < user->forward_count; i++) {
        struct user_message add = {.kind = USER_ADD, .forward = user->forwards[i]};
        is_sent = is_sent && send_message(user, &add);
    }
    return is_sent ? 0 : error_set(err, -EPIPE, "%s does not take its configuration", PROGRAM);
}

static int start(struct user *user, struct error *err)
{
    int frames[2];
    int control[2];
    int result = open_pair(frames, err);

    if (result < 0)
        return result;
    result = open_pair(control, err);
    if (result < 0) {
        close(frames[0]);
        close(frames[1]);
        return result;
    }
    user->frames_fd = frames[0];
    user->control_fd = control[0];
    result = spawn(user, (const int[2]){frames[1], control[1]}, err);
    close(frames[1]);
    close(control[1]);
    user->watched = LOOP_READ;
    if (result == 0 && (loop_add(user->loop, user->frames_fd, LOOP_READ, on_frames, user) < 0 ||
                        loop_add(user->loop, user->control_fd, LOOP_READ, on_control, user) < 0))
        result = error_set(err, -EMFILE, "cannot watch %s", PROGRAM);
    if (result == 0)
        result = configure(user, err);
    if (result < 0) {
        end_process(user);
        return result;
    }
    user->started_ns = clock_monotonic_ns();
    user->state = USER_STARTING;
    return 0;
}

/* ---- its end ---- */

static void start_again(struct user *user)
{
    struct error err = {0};

    user->restarts++;
    if (start(user, &err) < 0) {
        log_warn("net", "%s", err.text);
        lost(user);
    }
}

static void on_timer(void *owner, unsigned events)
{
    struct user *user = owner;
    uint64_t count;

    (void)events;
    if (read(user->timer_fd, &count, sizeof(count)) == (ssize_t)sizeof(count) &&
        user->state == USER_BROKEN)
        start_again(user);
}

static void set_timer(struct user *user, unsigned ms)
{
    struct itimerspec when = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}};

    if (user->timer_fd < 0) {
        user->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (user->timer_fd < 0 ||
            loop_add(user->loop, user->timer_fd, LOOP_READ, on_timer, user) < 0) {
            log_warn("net", "%s ended and cannot be started again", PROGRAM);
            return;
        }
    }
    timerfd_settime(user->timer_fd, 0, &when, NULL);
}

static void lost(struct user *user)
{
    bool lived_long = clock_monotonic_ns() - user->started_ns > (uint64_t)LONG_LIFE_MS * 1000000;

    end_process(user);
    user->state = USER_BROKEN;
    user->pause_ms =
        lived_long || !user->pause_ms ? RESTART_FIRST_MS : MIN(user->pause_ms * 2, RESTART_MOST_MS);
    log_warn("net", "%s ended; it is started again in %u ms", PROGRAM, user->pause_ms);
    set_timer(user, user->pause_ms);
    net_set_link(user->link.net, false);
}

/* ---- messages ---- */

static void on_ready(struct user *user)
{
    bool was_lost = user->restarts != 0;

    user->state = USER_UP;
    log_debug("net", "%s is there after %llu us", PROGRAM,
              (unsigned long long)((clock_monotonic_ns() - user->started_ns) / 1000));
    if (!was_lost)
        return;
    net_set_link(user->link.net, true);
    net_ready(user->link.net, LOOP_WRITE);
}

static void note_answer(const struct user_message *message)
{
    char text[NET_FORWARD_TEXT];

    if (message->result < 0)
        log_warn("net", "cannot publish %s: %s", net_forward_text(&message->forward, text),
                 strerror(-message->result));
}

/* Takes one message. False: there is none now, or it was no message. */
static bool take_message(struct user *user, struct user_message *message)
{
    ssize_t size = recv(user->control_fd, message, sizeof(*message), 0);

    if (size != (ssize_t)sizeof(*message) || message->size != sizeof(*message))
        return false;
    message->text[sizeof(message->text) - 1] = 0;
    message->result = MAX(MIN(message->result, 0), -4095);
    if (message->kind == USER_READY)
        on_ready(user);
    if (message->kind == USER_LOG)
        log_debug("net", "%s: %s", PROGRAM, message->text);
    if (message->kind == USER_ENDS)
        log_warn("net", "%s: %s", PROGRAM, message->text);
    return true;
}

static void on_hangup(struct user *user)
{
    struct user_message message;

    if (user->state == USER_BROKEN)
        return;
    /* Why it ended. */
    for (unsigned i = 0; i < BATCH_MOST && take_message(user, &message); i++) {
    }
    lost(user);
    net_ready(user->link.net, LOOP_WRITE); /* what waits is dropped */
}

static void on_control(void *owner, unsigned events)
{
    struct user *user = owner;
    struct user_message message;

    for (unsigned i = 0; i < BATCH_MOST && take_message(user, &message); i++)
        if (message.kind == USER_ANSWER)
            note_answer(&message);
    if (events & LOOP_HANGUP)
        on_hangup(user);
}

/* Waits for a message of `kind` to the question `sequence`. */
static int wait_for(struct user *user, enum user_message_kind kind, uint32_t sequence,
                    unsigned limit_ms, struct user_message *message)
{
    uint64_t end_ns = clock_monotonic_ns() + (uint64_t)limit_ms * 1000000;

    for (;;) {
        uint64_t now_ns = clock_monotonic_ns();
        struct pollfd p = {.fd = user->control_fd, .events = POLLIN};
        if (now_ns >= end_ns)
            return -ETIMEDOUT;
        poll(&p, 1, (int)((end_ns - now_ns) / 1000000) + 1);
        while (take_message(user, message))
            if (message->kind == (uint32_t)kind && message->sequence == sequence)
                return 0;
        if (p.revents & (POLLHUP | POLLERR))
            return -EPIPE;
    }
}

static int no_answer(int result, struct error *err)
{
    return error_set(err, result, result == -EPIPE ? "%s ended" : "%s does not answer", PROGRAM);
}

static int ask(struct user *user, enum user_message_kind kind, const struct net_forward *forward,
               struct error *err)
{
    struct user_message message = {
        .kind = (uint32_t)kind, .sequence = ++user->sequence, .forward = *forward};
    char text[NET_FORWARD_TEXT];

    if (user->state == USER_BROKEN || !send_message(user, &message))
        return error_set(err, -EAGAIN, "%s is being started again; try once more", PROGRAM);
    int result = wait_for(user, USER_ANSWER, user->sequence,
                          user->state == USER_UP ? ANSWER_LIMIT_MS : START_LIMIT_MS, &message);
    if (result < 0)
        return no_answer(result, err);
    if (message.result < 0)
        return error_set(err, message.result, "cannot %s %s: %s",
                         kind == USER_ADD ? "publish" : "unpublish",
                         net_forward_text(forward, text), strerror(-message.result));
    return 0;
}

/* ---- the link ---- */

static int user_connect(struct link *link, struct error *err)
{
    struct user *user = user_of(link);
    struct user_message message;

    if (user->state == USER_ASLEEP)
        return 0;
    int result = wait_for(user, USER_READY, 0, START_LIMIT_MS, &message);
    for (unsigned i = 0; result == 0 && i < user->forward_count; i++) {
        char text[NET_FORWARD_TEXT];
        result = wait_for(user, USER_ANSWER, 0, START_LIMIT_MS, &message);
        if (result == 0 && message.result < 0)
            return error_set(err, message.result, "cannot publish %s: %s",
                             net_forward_text(&message.forward, text), strerror(-message.result));
    }
    return result < 0 ? no_answer(result, err) : 0;
}

static unsigned user_send(struct link *link, const struct frame *frames, unsigned count)
{
    struct user *user = user_of(link);
    struct error err = {0};
    struct mmsghdr messages[BATCH_MOST] = {0};
    struct iovec parts[BATCH_MOST];

    if (user->state == USER_ASLEEP && start(user, &err) < 0) {
        log_warn("net", "%s", err.text);
        lost(user);
    }
    if (user->frames_fd < 0)
        return count; /* there is nobody */
    count = MIN(count, BATCH_MOST);
    for (unsigned i = 0; i < count; i++) {
        parts[i] = (struct iovec){frames[i].bytes, frames[i].size};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int sent = sendmmsg(user->frames_fd, messages, count, MSG_NOSIGNAL);
    if (sent >= 0)
        return (unsigned)sent;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    return count; /* it ended: on_frames will hear of it */
}

static unsigned user_receive(struct link *link, struct frame *frames, unsigned count)
{
    struct user *user = user_of(link);
    struct mmsghdr messages[BATCH_MOST] = {0};
    struct iovec parts[BATCH_MOST];
    unsigned good = 0;

    if (user->frames_fd < 0)
        return 0;
    count = MIN(count, BATCH_MOST);
    for (unsigned i = 0; i < count; i++) {
        parts[i] = (struct iovec){frames[i].bytes, frames[i].size};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int received = recvmmsg(user->frames_fd, messages, count, MSG_DONTWAIT, NULL);
    for (int i = 0; i < received; i++) {
        /* An end of file looks like frames of no bytes. */
        if (messages[i].msg_len == 0)
            break;
        frames[i].size = messages[i].msg_len;
        good++;
    }
    return good;
}

static void user_watch(struct link *link, unsigned events)
{
    struct user *user = user_of(link);

    if (user->frames_fd < 0 || events == user->watched)
        return;
    loop_change(user->loop, user->frames_fd, events);
    user->watched = events;
}

static void on_frames(void *owner, unsigned events)
{
    struct user *user = owner;

    if (events & LOOP_HANGUP)
        on_hangup(user);
    else
        net_ready(user->link.net, events);
}

static int find_forward(const struct user *user, const struct net_forward *forward)
{
    for (unsigned i = 0; i < user->forward_count; i++)
        if (net_forward_is_same(&user->forwards[i], forward))
            return (int)i;
    return -1;
}

static int user_add_forward(struct link *link, const struct net_forward *forward, struct error *err)
{
    struct user *user = user_of(link);
    char text[NET_FORWARD_TEXT];

    if (find_forward(user, forward) >= 0)
        return error_set(err, -EEXIST, "%s is published already", net_forward_text(forward, text));
    if (user->forward_count == NET_MAX_FORWARDS)
        return error_set(err, -ENOSPC, "at most %u ports can be published", NET_MAX_FORWARDS);
    int result = user->state == USER_ASLEEP ? start(user, err) : 0;
    if (result == 0)
        result = ask(user, USER_ADD, forward, err);
    if (result == 0)
        user->forwards[user->forward_count++] = *forward;
    return result;
}

static int user_remove_forward(struct link *link, const struct net_forward *forward,
                               struct error *err)
{
    struct user *user = user_of(link);
    int at = find_forward(user, forward);
    char text[NET_FORWARD_TEXT];

    if (at < 0)
        return error_set(err, -ENOENT, "%s is not published", net_forward_text(forward, text));
    int result = ask(user, USER_REMOVE, forward, err);
    if (result == 0)
        user->forwards[at] = user->forwards[--user->forward_count];
    return result;
}

static unsigned user_forwards(const struct link *link, const struct net_forward **out)
{
    const struct user *user = (const struct user *)(const void *)link;

    *out = user->forwards;
    return user->forward_count;
}

static unsigned user_restarts(const struct link *link)
{
    return ((const struct user *)(const void *)link)->restarts;
}

static void user_close(struct link *link)
{
    struct user *user = user_of(link);

    end_process(user);
    if (user->timer_fd >= 0) {
        loop_remove(user->loop, user->timer_fd);
        close(user->timer_fd);
    }
    free(user);
}

_Static_assert(offsetof(struct user, link) == 0, "a link of this kind is a struct user");

static const struct link_ops user_ops = {
    .send = user_send,
    .receive = user_receive,
    .watch = user_watch,
    .connect = user_connect,
    .close = user_close,
    .add_forward = user_add_forward,
    .remove_forward = user_remove_forward,
    .forwards = user_forwards,
    .restarts = user_restarts,
};

/* ---- opening ---- */

bool net_user_is_available(void)
{
    char path[4096];

    return child_find(PROGRAM, path, sizeof(path));
}

static int take_forwards(struct user *user, const struct net_config *config, struct error *err)
{
    for (unsigned i = 0; i < config->forward_count; i++) {
        char text[NET_FORWARD_TEXT];
        if (find_forward(user, &config->forwards[i]) >= 0)
            return error_set(err, -EINVAL, "--publish: %s is given twice",
                             net_forward_text(&config->forwards[i], text));
        int result = net_forward_probe(&config->forwards[i], err);
        if (result < 0)
            return result;
        user->forwards[user->forward_count++] = config->forwards[i];
    }
    return 0;
}

int user_open(const struct net_config *config, struct link **out, struct error *err)
{
    struct user *user = calloc(1, sizeof(*user));

    if (!user)
        return error_set(err, -ENOMEM, "--net user: out of memory");
    user->link =
        (struct link){.ops = &user_ops, .traits = {.mtu = MTU, .checksums_are_good = true}};
    user->loop = config->loop;
    user->children = config->children;
    user->frames_fd = user->control_fd = user->timer_fd = -1;
    snprintf(user->name, sizeof(user->name), "%s", config->machine);
    memcpy(user->address, config->address, sizeof(user->address));
    int result = 0;
    if (!child_find(PROGRAM, user->path, sizeof(user->path)))
        result = error_set(err, -ENOENT,
                           "--net user: the program %s is missing; build it with libslirp "
                           "(libslirp-dev) or set DOPPEL_LIBEXEC to its folder",
                           PROGRAM);
    if (result == 0)
        result = take_forwards(user, config, err);
    /* Ports of the host must be had before the guest runs; nothing else is in a hurry. */
    if (result == 0 && user->forward_count)
        result = start(user, err);
    if (result < 0) {
        user_close(&user->link);
        return result;
    }
    *out = &user->link;
    return 0;
}
