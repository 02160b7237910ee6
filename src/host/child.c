/* SPDX-License-Identifier: Apache-2.0
 * Programs of our own that run beside this process. */
#include "host/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* "<before>/<name>" at `path`, when that can be executed. */
static bool is_at(const char *before, const char *name, char *path, size_t size)
{
    int length = snprintf(path, size, "%s/%s", before, name);

    return length > 0 && (size_t)length < size && access(path, X_OK) == 0;
}

bool child_find(const char *name, char *path, size_t size)
{
    char folder[4096];
    char libexec[sizeof(folder) + 32];
    const char *given = getenv("DOPPEL_LIBEXEC");

    if (given)
        return is_at(given, name, path, size);
    ssize_t length = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
    if (length <= 0)
        return false;
    folder[length] = 0;
    char *slash = strrchr(folder, '/');
    if (!slash)
        return false;
    *slash = 0;
    snprintf(libexec, sizeof(libexec), "%s/../libexec/doppel", folder);
    return is_at(folder, name, path, size) || is_at(libexec, name, path, size);
}

static int add_actions(posix_spawn_file_actions_t *actions, const int *fds, unsigned fd_count,
                       bool keeps_stderr)
{
    int result = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);

    if (result == 0)
        result = posix_spawn_file_actions_adddup2(actions, STDIN_FILENO, STDOUT_FILENO);
    if (result == 0 && !keeps_stderr)
        result = posix_spawn_file_actions_adddup2(actions, STDIN_FILENO, STDERR_FILENO);
    for (unsigned i = 0; result == 0 && i < fd_count; i++)
        result = posix_spawn_file_actions_adddup2(actions, fds[i], CHILD_FIRST_FD + (int)i);
    return result;
}

static int spawn(char *const argv[], const int *fds, unsigned fd_count, bool keeps_stderr,
                 pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all;
    sigset_t none;

    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    int result = add_actions(&actions, fds, fd_count, keeps_stderr);
    if (result == 0)
        result = posix_spawn(pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -result;
}

int child_start(const struct child_config *config, pid_t *pid, struct error *err)
{
    int high[CHILD_MAX_FDS] = {0};
    int result = 0;
    unsigned opened = 0;

    /* Above all targets, so that putting one in place overwrites none that still waits. */
    for (; opened < config->fd_count && result == 0; opened++) {
        high[opened] = fcntl(config->fds[opened], F_DUPFD_CLOEXEC, CHILD_FIRST_FD + CHILD_MAX_FDS);
        result = high[opened] < 0 ? -errno : 0;
    }
    if (result == 0)
        result = spawn(config->argv, high, config->fd_count, config->keeps_stderr, pid);
    for (unsigned i = 0; i < opened; i++)
        if (high[i] >= 0)
            close(high[i]);
    if (result < 0)
        error_set(err, result, "cannot start '%s': %s", config->argv[0], strerror(-result));
    return result;
}

void child_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}
