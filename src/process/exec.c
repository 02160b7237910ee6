/* SPDX-License-Identifier: Apache-2.0
 * Executing another program: riscv64 ones by executing ourselves with the program as an
 * argument, so that nothing needs to be registered with the kernel; others as they are. */
#include "process/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SELF           "/proc/self/exe"
#define MAX_SCRIPTS    5
#define MAX_STRINGS    (1u << 20)
#define OWN_WORDS      64
#define FD_PATH_SIZE   32
/* Their numbers on RISC-V. */
#define GUEST_EXECVE   221
#define GUEST_EXECVEAT 281

/* Arguments for the host: pointers to the program's strings, or to ours. */
struct vector {
    uint64_t *words;
    size_t count;
};

struct execution {
    struct task *task;
    char path[PATH_MAX];  /* of the file that will be executed */
    char named[PATH_MAX]; /* as the program named it */
    uint64_t number;      /* of the call, for --strace */
    const uint64_t *args;
    const char *program; /* one of these: what we load in its place */
    char line[MAX_SCRIPTS][PROGRAM_SCRIPT_LINE];
    uint64_t scripts[MAX_SCRIPTS * 3]; /* words that go before the arguments */
    size_t script_count;
    bool is_script;
    struct vector arguments;
    struct vector environment;
};

/* Copies the pointers at `at`, of which there are as many as stand before a NULL. */
static int read_vector(uint64_t at, struct vector *vector)
{
    size_t room = 64;

    vector->words = malloc(room * sizeof(*vector->words));
    if (!vector->words)
        return -ENOMEM;
    vector->words[0] = 0;
    for (; at; at += 8) {
        uint64_t word;
        if (guest_read(&word, at, sizeof(word)) < 0 || !guest_pointer(word))
            return -EFAULT;
        vector->words[vector->count] = word;
        if (!word)
            return 0;
        if (++vector->count == MAX_STRINGS)
            return -E2BIG;
        if (vector->count == room) {
            room *= 2;
            uint64_t *grown = realloc(vector->words, room * sizeof(*grown));
            if (!grown)
                return -ENOMEM;
            vector->words = grown;
        }
    }
    return 0;
}

static uint64_t word_of(const char *text)
{
    return (uint64_t)(uintptr_t)text;
}

/* `#! interpreter argument`: these and the script go before the arguments but the first. */
static int follow_script(struct execution *execution, unsigned depth)
{
    char *interpreter;
    char *argument;
    int result = program_script(execution->path, execution->line[depth], &interpreter, &argument);

    if (result < 0)
        return result;
    size_t added = argument ? 2 : 1;
    memmove(execution->scripts + added, execution->scripts,
            execution->script_count * sizeof(execution->scripts[0]));
    execution->scripts[0] = word_of(interpreter);
    if (argument)
        execution->scripts[1] = word_of(argument);
    execution->script_count += added;
    execution->is_script = true;
    path_resolve(execution->task->process, interpreter, execution->path);
    return 0;
}

static int follow_scripts(struct execution *execution)
{
    for (unsigned depth = 0;; depth++) {
        int kind = program_kind(execution->path);
        if (kind != PROGRAM_SCRIPT)
            return kind;
        if (depth == MAX_SCRIPTS)
            return -ELOOP;
        if (depth == 0)
            execution->scripts[execution->script_count++] = word_of(execution->named);
        int result = follow_script(execution, depth);
        if (result < 0)
            return result;
    }
}

static int64_t exec_host(struct execution *execution, const char *path, uint64_t *words)
{
    struct process *process = execution->task->process;
    const uint64_t plain[6] = {word_of(path), (uint64_t)(uintptr_t)words,
                               (uint64_t)(uintptr_t)execution->environment.words};
    const uint64_t by_fd[6] = {(uint64_t)process->self_fd, word_of(""), plain[1], plain[2],
                               AT_EMPTY_PATH};
    bool use_fd = strcmp(path, SELF) == 0 && process->self_fd >= 0;

    if (!signals_before_exec(execution->task))
        return SYSCALL_AGAIN;
    if (process->config.strace)
        trace_executed(execution->task, execution->number, execution->args);
    int64_t result =
        use_fd ? host_syscall_quick(SYS_execveat, by_fd) : host_syscall_quick(SYS_execve, plain);
    signals_after_exec(execution->task);
    return result;
}

/* Our own kernel takes it from here, scripts of its own programs included. */
static int64_t exec_other(struct execution *execution)
{
    const struct vector *arguments = &execution->arguments;
    uint64_t *words = calloc(execution->script_count + arguments->count + 2, sizeof(*words));
    size_t at = 0;

    if (!words)
        return -ENOMEM;
    for (size_t i = 0; i < execution->script_count; i++)
        words[at++] = execution->scripts[i];
    for (size_t i = execution->is_script ? 1 : 0; i < arguments->count; i++)
        words[at++] = arguments->words[i];
    int64_t result = exec_host(execution, execution->path, words);
    free(words);
    return result;
}

/* Puts together: our own words, "-0" and the name, "--", the file, the arguments. */
static int64_t exec_guest(struct execution *execution)
{
    struct process *process = execution->task->process;
    const struct vector *arguments = &execution->arguments;
    char self_fd[16];
    size_t at = 0;
    uint64_t *words = calloc(OWN_WORDS + arguments->count + 8, sizeof(*words));

    if (!words)
        return -ENOMEM;
    for (char *const *own = process->config.own_words; *own && at < OWN_WORDS; own++) {
        if (strcmp(*own, "-L") == 0 && own[1] && !process->config.sysroot)
            own++;
        else
            words[at++] = word_of(*own);
    }
    if (process->self_fd >= 0) {
        snprintf(self_fd, sizeof(self_fd), "%d", process->self_fd);
        words[at++] = word_of("--self-fd");
        words[at++] = word_of(self_fd);
        fcntl(process->self_fd, F_SETFD, 0);
    }
    words[at++] = word_of("-0");
    words[at++] = arguments->count ? arguments->words[0] : word_of("");
    words[at++] = word_of("--");
    words[at++] = word_of(execution->program); /* a script leads to its interpreter again */
    for (size_t i = 1; i < arguments->count; i++)
        words[at++] = arguments->words[i];
    int64_t result = exec_host(execution, SELF, words);
    /* Nothing leads to ourselves: the kernel may know what to do, if we are registered. */
    if (result == -ENOENT && process->self_fd < 0 && access(SELF, F_OK) < 0)
        result = exec_other(execution);
    if (process->self_fd >= 0)
        fcntl(process->self_fd, F_SETFD, FD_CLOEXEC);
    free(words);
    return result;
}

static int64_t execute(struct execution *execution, uint64_t argv, uint64_t envp)
{
    int64_t result = read_vector(argv, &execution->arguments);

    if (result == 0)
        result = read_vector(envp, &execution->environment);
    if (result == 0)
        result = follow_scripts(execution);
    if (result == PROGRAM_OTHER)
        return exec_other(execution);
    if (result == PROGRAM_GUEST)
        result = program_check(execution->task->process, execution->path);
    return result < 0 ? result : exec_guest(execution);
}

/* `named` and `path` are set. */
static int64_t run(struct execution *execution, uint64_t argv, uint64_t envp)
{
    int64_t result = execute(execution, argv, envp);
    free(execution->arguments.words);
    free(execution->environment.words);
    return result;
}

int64_t sys_execve(struct task *task, const uint64_t args[6])
{
    struct execution *execution = calloc(1, sizeof(*execution));

    if (!execution)
        return -ENOMEM;
    execution->task = task;
    execution->number = GUEST_EXECVE;
    execution->args = args;
    int64_t result = guest_read_string(execution->named, args[0], sizeof(execution->named));
    if (result == 0)
        result = -ENOENT;
    if (result > 0) {
        path_resolve(task->process, execution->named, execution->path);
        execution->program = execution->named;
        /* That is us; the program means itself. */
        if (strcmp(execution->path, SELF) == 0) {
            memcpy(execution->path, task->process->executable, sizeof(execution->path));
            execution->program = execution->path;
        }
        result = run(execution, args[1], args[2]);
    }
    free(execution);
    return result;
}

/* A file that has no name any more, or none that is known: by a descriptor which the new
 * program's loader still finds open. */
static int64_t name_descriptor(struct execution *execution, int fd)
{
    char link[FD_PATH_SIZE];
    struct stat by_fd;
    struct stat by_path;

    if (fcntl(fd, F_GETFD) < 0)
        return -EBADF;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, execution->path, sizeof(execution->path) - 1);
    if (length < 0)
        return -errno;
    execution->path[length] = 0;
    memcpy(execution->named, link, sizeof(link));
    if (fstat(fd, &by_fd) == 0 && stat(execution->path, &by_path) == 0 &&
        by_fd.st_ino == by_path.st_ino && by_fd.st_dev == by_path.st_dev)
        return 0;
    int kept = fcntl(fd, F_DUPFD, 0);
    if (kept < 0)
        return -errno;
    snprintf(execution->path, sizeof(execution->path), "/proc/self/fd/%d", kept);
    return kept;
}

static bool is_link(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

int64_t sys_execveat(struct task *task, const uint64_t args[6])
{
    struct execution *execution = calloc(1, sizeof(*execution));
    int fd = (int)args[0];
    int64_t kept = 0;

    if (args[4] & ~(uint64_t)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) {
        free(execution);
        return -EINVAL;
    }
    if (!execution)
        return -ENOMEM;
    execution->task = task;
    execution->number = GUEST_EXECVEAT;
    execution->args = args;
    int64_t result = guest_read_string(execution->named, args[1], sizeof(execution->named));
    if (result == 0 && !(args[4] & AT_EMPTY_PATH))
        result = -ENOENT;
    else if (result == 0)
        kept = name_descriptor(execution, fd);
    else if (result > 0 && (execution->named[0] == '/' || fd == AT_FDCWD))
        path_resolve(task->process, execution->named, execution->path);
    else if (result > 0 && snprintf(execution->path, sizeof(execution->path), "/proc/self/fd/%d/%s",
                                    fd, execution->named) >= (int)sizeof(execution->path))
        result = -ENAMETOOLONG;
    if (kept < 0)
        result = kept;
    if (result > 0 && (args[4] & AT_SYMLINK_NOFOLLOW) && is_link(execution->path))
        result = -ELOOP;
    bool is_named = execution->named[0] == '/' || (fd == AT_FDCWD && execution->named[0]);
    execution->program = is_named && strncmp(execution->named, "/proc/self/fd/", 14) != 0
                             ? execution->named
                             : execution->path;
    if (result >= 0)
        result = run(execution, args[2], args[3]);
    if (kept > 0)
        close((int)kept);
    free(execution);
    return result;
}
