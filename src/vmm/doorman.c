/* SPDX-License-Identifier: Apache-2.0
 * The machine's side of the doorman: messages over a socket, descriptors with them. */
#include "vmm/doorman.h"

#include "vmm/doorman_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* It never waits for anybody. */
#define ANSWER_MS 5000

struct doorman {
    pid_t pid;
    int fd;
};

int doorman_start(const char *helper, struct doorman **out, struct error *err)
{
    struct doorman *doorman = calloc(1, sizeof(*doorman));
    int ends[2];

    if (!doorman)
        return error_set(err, -ENOMEM, "out of memory");
    int result = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ? -errno : 0;
    doorman->pid = result == 0 ? fork() : -1;
    if (doorman->pid == 0)
        doorman_serve(helper, ends[0]);
    if (doorman->pid < 0) {
        result = error_set(err, -errno, "cannot start a process: %s", strerror(errno));
        free(doorman);
        return result;
    }
    close(ends[0]);
    doorman->fd = ends[1];
    *out = doorman;
    return 0;
}

static int receive_answer(struct doorman *doorman, struct doorman_answer *answer, int *fd)
{
    struct pollfd p = {.fd = doorman->fd, .events = POLLIN};

    if (poll(&p, 1, ANSWER_MS) != 1)
        return -ETIMEDOUT;
    unsigned count = 1;
    ssize_t size = doorman_receive(doorman->fd, answer, sizeof(*answer), fd, &count);
    if (count == 0)
        *fd = -1;
    return size == (ssize_t)sizeof(*answer) ? 0 : -EPIPE;
}

/* *fd: that came with the answer, or -1. */
static int ask(struct doorman *doorman, const struct doorman_question *question, const int *fds,
               unsigned fd_count, int *fd)
{
    struct doorman_answer answer;

    if (!doorman_send(doorman->fd, question, sizeof(*question), fds, fd_count))
        return -EPIPE;
    int result = receive_answer(doorman, &answer, fd);
    return result < 0 ? result : answer.result;
}

int doorman_take(struct doorman *doorman, struct place *place, enum doorman_place kind,
                 struct error *err)
{
    struct doorman_question question = {.word = DOORMAN_WORD_TAKE, .kind = kind};
    int fd;

    if (!place)
        return 0;
    memcpy(question.text, place->name, sizeof(place->name));
    int result = ask(doorman, &question, &place->folder, 1, &fd);
    if (result < 0)
        return error_set(err, result, "the sandbox: cannot hand a socket over: %s",
                         strerror(-result));
    place_forget(place);
    return 0;
}

int doorman_spawn(struct doorman *doorman, const struct child_config *config, pid_t *pid,
                  struct error *err)
{
    struct doorman_question question = {.word = DOORMAN_WORD_SPAWN, .kind = config->keeps_stderr};
    char *const *argv = config->argv;
    size_t length = 0;
    int fd;

    /* The program itself is the doorman's choice. */
    for (unsigned i = 1; argv[i]; i++) {
        size_t size = strlen(argv[i]) + 1;
        if (length + size > sizeof(question.text))
            return error_set(err, -E2BIG, "the words for '%s' are too long", argv[0]);
        memcpy(question.text + length, argv[i], size);
        length += size;
    }
    question.size = (uint32_t)length;
    int result = ask(doorman, &question, config->fds, config->fd_count, &fd);
    if (result < 0)
        return error_set(err, result, "cannot start '%s': %s", argv[0], strerror(-result));
    *pid = result;
    return 0;
}

void doorman_kill(struct doorman *doorman, pid_t pid)
{
    struct doorman_question question = {.word = DOORMAN_WORD_KILL, .size = (uint32_t)pid};
    int fd;

    (void)ask(doorman, &question, NULL, 0, &fd);
}

int doorman_connect(struct doorman *doorman, uint32_t port)
{
    struct doorman_question question = {.word = DOORMAN_WORD_CONNECT, .size = port};
    int fd = -1;

    return ask(doorman, &question, NULL, 0, &fd) < 0 ? -1 : fd;
}

void doorman_end(struct doorman *doorman, bool failed)
{
    struct doorman_question question = {.word = DOORMAN_WORD_END, .kind = failed};

    if (!doorman)
        return;
    if (doorman_send(doorman->fd, &question, sizeof(question), NULL, 0))
        while (waitpid(doorman->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    close(doorman->fd);
    free(doorman);
}

pid_t doorman_pid(const struct doorman *doorman)
{
    return doorman->pid;
}
