/* SPDX-License-Identifier: Apache-2.0
 * A process that removes a machine's sockets. */
#include "vmm/doorman.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the machine says in the end. */
enum word {
    WORD_ENDED = 'e',
    WORD_FAILED = 'f',
};

struct doorman {
    pid_t pid;
    int fd; /* of the pipe to it */
};

/* Its descriptors are the pipe and the folders. */
static void close_others(struct place *const *places, unsigned count, int fd)
{
    int kept[DOORMAN_MAX_PLACES + 1];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int i = 0; i <= STDERR_FILENO && null >= 0; i++)
        dup2(null, i);
    for (unsigned i = 0; i < count; i++)
        kept[i] = places[i]->folder;
    kept[count] = fd;
    /* In their order: what lies between is closed. */
    unsigned from = STDERR_FILENO + 1;
    for (unsigned done = 0; done <= count; done++) {
        int next = -1;
        for (unsigned i = 0; i <= count; i++)
            if (kept[i] >= (int)from && (next < 0 || kept[i] < next))
                next = kept[i];
        if (next < 0)
            break;
        if ((unsigned)next > from)
            close_range(from, (unsigned)next - 1, 0);
        from = (unsigned)next + 1;
    }
    close_range(from, ~0u, 0);
}

_Noreturn static void serve(struct place *const *places, const bool *is_socket, unsigned count,
                            int fd)
{
    char word = 0;
    ssize_t size;

    setsid(); /* a terminal's signals are not for us */
    prctl(PR_SET_NAME, "doppel-doorman");
    close_others(places, count, fd);
    do
        size = read(fd, &word, 1);
    while (size < 0 && errno == EINTR);
    for (unsigned i = 0; i < count && size == 1; i++)
        if (is_socket[i] || word == WORD_FAILED)
            place_remove(places[i]);
    _exit(0);
}

int doorman_start(struct place *const *places, const bool *is_socket, unsigned count,
                  struct doorman **out, struct error *err)
{
    struct doorman *doorman = calloc(1, sizeof(*doorman));
    int ends[2];

    if (!doorman)
        return error_set(err, -ENOMEM, "out of memory");
    int result = pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0;
    doorman->pid = result == 0 ? fork() : -1;
    if (doorman->pid == 0)
        serve(places, is_socket, count, ends[0]);
    if (doorman->pid < 0) {
        result = error_set(err, -errno, "cannot start a process: %s", strerror(errno));
        free(doorman);
        return result;
    }
    close(ends[0]);
    doorman->fd = ends[1];
    for (unsigned i = 0; i < count; i++)
        place_forget(places[i]);
    *out = doorman;
    return 0;
}

void doorman_end(struct doorman *doorman, bool failed)
{
    char word = failed ? WORD_FAILED : WORD_ENDED;

    if (!doorman)
        return;
    if (write(doorman->fd, &word, 1) == 1)
        while (waitpid(doorman->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    close(doorman->fd);
    free(doorman);
}

int doorman_pid(const struct doorman *doorman)
{
    return doorman ? doorman->pid : 0;
}
