/* SPDX-License-Identifier: Apache-2.0
 * The doorman's own side. The machine that asks may be in the hands of its guest. */
#include "host/child.h"
#include "vmm/doorman_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct door {
    const char *helper;
    struct place places[DOORMAN_MAX_PLACES];
    enum doorman_place kinds[DOORMAN_MAX_PLACES];
    unsigned place_count;
    pid_t children[DOORMAN_MAX_CHILDREN];
};

/* ---- messages ---- */

bool doorman_send(int socket, const void *message, size_t size, const int *fds, unsigned fd_count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * DOORMAN_MAX_FDS)];
    } control = {0};
    struct iovec part = {(void *)(uintptr_t)message, size};
    struct msghdr whole = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd_count) {
        whole.msg_control = control.bytes;
        whole.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * fd_count);
    }
    return sendmsg(socket, &whole, MSG_NOSIGNAL) == (ssize_t)size;
}

ssize_t doorman_receive(int socket, void *message, size_t size, int *fds, unsigned *fd_count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * DOORMAN_MAX_FDS)];
    } control;
    struct iovec part = {message, size};
    struct msghdr whole = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control.bytes,
                           .msg_controllen = sizeof(control.bytes)};
    unsigned room = *fd_count;
    ssize_t got;

    do
        got = recvmsg(socket, &whole, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    *fd_count = 0;
    if (got < 0)
        return got;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&whole); c; c = CMSG_NXTHDR(&whole, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count && c->cmsg_type == SCM_RIGHTS; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (*fd_count < room)
                fds[(*fd_count)++] = fd;
            else
                close(fd);
        }
    }
    return got;
}

/* ---- the questions ---- */

static int take(struct door *door, const struct doorman_question *question, int *fds,
                unsigned *fd_count)
{
    struct place *place = &door->places[door->place_count];
    const char *end = memchr(question->text, 0, sizeof(question->text));

    if (door->place_count == DOORMAN_MAX_PLACES || *fd_count != 1 || !end || !question->text[0] ||
        strchr(question->text, '/') || strcmp(question->text, "..") == 0 ||
        strcmp(question->text, ".") == 0 || question->kind > DOORMAN_NEW_FILE)
        return -EINVAL;
    place->folder = fds[0];
    *fd_count = 0; /* kept */
    memcpy(place->name, question->text, (size_t)(end - question->text) + 1);
    door->kinds[door->place_count++] = (enum doorman_place)question->kind;
    return 0;
}

/* A slot for one more, after whoever ended is forgotten. */
static pid_t *free_child(struct door *door)
{
    pid_t *slot = NULL;

    for (unsigned i = 0; i < DOORMAN_MAX_CHILDREN; i++) {
        if (door->children[i] && waitpid(door->children[i], NULL, WNOHANG) != 0)
            door->children[i] = 0;
        if (!door->children[i])
            slot = &door->children[i];
    }
    return slot;
}

static int spawn(struct door *door, const struct doorman_question *question, const int *fds,
                 unsigned fd_count)
{
    char text[DOORMAN_TEXT_SIZE + 1];
    char *argv[8] = {(char *)(uintptr_t)door->helper};
    unsigned count = 1;
    pid_t *slot = free_child(door);

    if (!door->helper || !slot || question->size > DOORMAN_TEXT_SIZE)
        return -EINVAL;
    memcpy(text, question->text, question->size);
    text[question->size] = 0;
    for (uint32_t at = 0; at < question->size && count < 7; at += (uint32_t)strlen(text + at) + 1)
        argv[count++] = text + at;
    int result =
        child_start(&(struct child_config){argv, fds, fd_count, question->kind}, slot, NULL);
    return result < 0 ? result : *slot;
}

static int end_child(struct door *door, pid_t pid)
{
    for (unsigned i = 0; i < DOORMAN_MAX_CHILDREN; i++) {
        if (!pid || door->children[i] != pid)
            continue;
        child_kill(pid);
        door->children[i] = 0;
        return 0;
    }
    return -ESRCH;
}

/* Paths of sockets are short; folders' descriptors are not. */
static int connect_beside(const struct place *place, uint32_t port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length =
        snprintf(address.sun_path, sizeof(address.sun_path), "%.90s_%u", place->name, port);

    if (strlen(place->name) > 90 || length < 0 || fchdir(place->folder) < 0)
        return -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int result = -errno;
    if (fd >= 0)
        close(fd);
    return result;
}

static int connect_to(const struct door *door, uint32_t port)
{
    for (unsigned i = 0; i < door->place_count; i++)
        if (door->kinds[i] == DOORMAN_VSOCK)
            return connect_beside(&door->places[i], port);
    return -ENOENT;
}

_Noreturn static void end(struct door *door, bool failed)
{
    for (unsigned i = 0; i < DOORMAN_MAX_CHILDREN; i++)
        if (door->children[i])
            child_kill(door->children[i]);
    for (unsigned i = 0; i < door->place_count; i++)
        if (failed || door->kinds[i] != DOORMAN_NEW_FILE)
            place_remove(&door->places[i]);
    _exit(0);
}

static void answer(struct door *door, int socket, const struct doorman_question *question, int *fds,
                   unsigned fd_count)
{
    struct doorman_answer reply = {.result = -EINVAL};
    int fd = -1;

    switch (question->word) {
    case DOORMAN_WORD_TAKE:
        reply.result = take(door, question, fds, &fd_count);
        break;
    case DOORMAN_WORD_SPAWN:
        reply.result = spawn(door, question, fds, fd_count);
        break;
    case DOORMAN_WORD_KILL:
        reply.result = end_child(door, (pid_t)question->size);
        break;
    case DOORMAN_WORD_CONNECT:
        fd = connect_to(door, question->size);
        reply.result = MIN(fd, 0);
        break;
    case DOORMAN_WORD_END:
        end(door, question->kind);
    }
    for (unsigned i = 0; i < fd_count; i++)
        close(fds[i]);
    doorman_send(socket, &reply, sizeof(reply), &fd, fd >= 0);
    if (fd >= 0)
        close(fd);
}

/* What it inherited is the machine's business; standard error stays, for helpers' messages. */
static int keep_only(int socket)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int kept = STDERR_FILENO + 1;

    for (int i = 0; i < STDERR_FILENO && null >= 0; i++)
        dup2(null, i);
    if (socket != kept && dup3(socket, kept, O_CLOEXEC) < 0)
        _exit(1);
    close_range((unsigned)kept + 1, ~0u, 0);
    return kept;
}

_Noreturn void doorman_serve(const char *helper, int socket)
{
    struct door door = {.helper = helper};
    struct doorman_question question;
    int fds[DOORMAN_MAX_FDS];
    sigset_t none;

    setsid(); /* a terminal's signals are not for us */
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_NAME, "doppel-doorman");
    socket = keep_only(socket);
    for (;;) {
        unsigned fd_count = DOORMAN_MAX_FDS;
        ssize_t size = doorman_receive(socket, &question, sizeof(question), fds, &fd_count);
        if (size <= 0)
            _exit(0); /* the machine crashed, and what it leaves says so; helpers follow us */
        if (size == (ssize_t)sizeof(question))
            answer(&door, socket, &question, fds, fd_count);
    }
}
