/* SPDX-License-Identifier: Apache-2.0
 * Programs of the host. */
#include "manager/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child that cannot execute the program ends with, as a shell's does. */
#define STATUS_NOT_FOUND 127

static void become(const struct words *words, const char *folder, int output)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (output >= 0)
        dup2(output, STDOUT_FILENO);
    close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
    if (!folder || chdir(folder) == 0)
        execvp(words->list[0], words->list);
    _exit(STATUS_NOT_FOUND);
}

/* Whether $PATH has the program; a name with a slash is a path. */
static bool is_installed(const char *name)
{
    const char *path = getenv("PATH");
    char candidate[4096];

    if (strchr(name, '/'))
        return access(name, X_OK) == 0;
    for (; path && *path; path += *path == ':') {
        size_t length = strcspn(path, ":");
        if (length + strlen(name) + 2 <= sizeof(candidate)) {
            memcpy(candidate, path, length);
            candidate[length] = '/';
            memcpy(candidate + length + 1, name, strlen(name) + 1);
            if (access(candidate, X_OK) == 0)
                return true;
        }
        path += length;
    }
    return false;
}

static pid_t start(const struct words *words, const char *package, const char *folder, int output,
                   struct error *err)
{
    if (words->is_broken)
        return error_set(err, -ENOMEM, "out of memory");
    if (!is_installed(words->list[0]))
        return error_set(err, -ENOENT, "'%s' is not installed; on Debian: apt-get install %s",
                         words->list[0], package);
    pid_t pid = fork();
    if (pid == 0)
        become(words, folder, output);
    if (pid < 0)
        return error_set(err, -errno, "cannot start '%s': %s", words->list[0], strerror(errno));
    return pid;
}

int program_wait(pid_t pid, const struct words *words, struct error *err)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_set(err, -errno, "cannot wait for '%s': %s", words->list[0],
                             strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFSIGNALED(status))
        return error_set(err, -EIO, "'%s' was ended by signal %d", words->list[0],
                         WTERMSIG(status));
    return error_set(err, -EIO, "'%s' failed with status %d", words->list[0], WEXITSTATUS(status));
}

int program_run(const struct words *words, const char *package, struct error *err)
{
    pid_t pid = start(words, package, NULL, -1, err);

    return pid < 0 ? pid : program_wait(pid, words, err);
}

pid_t program_start(const struct words *words, const char *package, const char *folder, int *output,
                    struct error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(err, -errno, "cannot make a pipe: %s", strerror(errno));
    pid_t pid = start(words, package, folder, ends[1], err);
    close(ends[1]);
    if (pid < 0)
        close(ends[0]);
    else
        *output = ends[0];
    return pid;
}

int program_read(const struct words *words, const char *package, size_t most, char **text,
                 struct error *err)
{
    int output;
    size_t size = 0;
    char *bytes = malloc(most + 1);

    if (!bytes)
        return error_set(err, -ENOMEM, "out of memory");
    pid_t pid = program_start(words, package, NULL, &output, err);
    if (pid < 0) {
        free(bytes);
        return pid;
    }
    for (ssize_t count; size < most; size += (size_t)count) {
        count = read(output, bytes + size, most - size);
        if (count < 0 && errno == EINTR)
            count = 0;
        else if (count <= 0)
            break;
    }
    close(output);
    bytes[size] = 0;
    int result = program_wait(pid, words, err);
    if (result < 0) {
        free(bytes);
        return result;
    }
    *text = bytes;
    return 0;
}
