/* SPDX-License-Identifier: Apache-2.0
 * Paths of the program, looked up in the sysroot (-L): a directory that holds the files
 * of a riscv64 system. An absolute path that exists there means the file there, except
 * for those below directories that belong to the running system.
 *
 * The lookup walks the path itself, one readlink for each component, because a link in
 * the sysroot whose target is absolute (/lib64 -> /usr/lib64, all of /etc/alternatives)
 * means something in the sysroot, too, and the kernel would follow it elsewhere. It
 * opens no descriptors, which other threads of the program would notice. This is a
 * convenience and no sandbox: `..` and relative paths go where they lead. */
#include "process/calls.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#define MAX_LINKS 40 /* as the kernel */

/* Whether the path is one of, or below, what a sysroot never replaces. */
static bool is_of_the_host(const char *path)
{
    static const char *const directories[] = {"/proc", "/sys", "/dev", "/tmp", "/run", "/var/tmp"};

    while (path[0] == '/' && path[1] == '/')
        path++;
    for (unsigned i = 0; i < ARRAY_LEN(directories); i++) {
        const size_t length = strlen(directories[i]);
        if (strncmp(path, directories[i], length) == 0 &&
            (path[length] == '/' || path[length] == '\0'))
            return true;
    }
    return false;
}

/* A path that is being looked up. */
struct walk {
    size_t root_length; /* of the sysroot, without a slash at its end */
    char *at;           /* what has been found: sysroot and components */
    size_t length;
    char rest[PATH_MAX]; /* what is still to be looked up is in here */
    unsigned links;
};

static void leave_directory(struct walk *walk)
{
    while (walk->length > walk->root_length && walk->at[--walk->length] != '/')
        ;
    walk->at[walk->length] = '\0';
}

static bool enter(struct walk *walk, const char *name, size_t length)
{
    if (walk->length + 1 + length >= PATH_MAX)
        return false;
    walk->at[walk->length] = '/';
    memcpy(walk->at + walk->length + 1, name, length);
    walk->length += 1 + length;
    walk->at[walk->length] = '\0';
    return true;
}

/* Puts the target of a link before the rest, of which `next` is the beginning. */
static bool follow_link(struct walk *walk, const char *target, size_t length, const char *next)
{
    const size_t rest_length = strlen(next);

    if (++walk->links > MAX_LINKS || length + 1 + rest_length >= sizeof(walk->rest))
        return false;
    memmove(walk->rest + length + 1, next, rest_length + 1);
    memcpy(walk->rest, target, length);
    walk->rest[length] = '/';
    if (rest_length == 0)
        walk->rest[length] = '\0';
    return true;
}

enum step {
    STEP_DONE,   /* this component is found */
    STEP_LINK,   /* go on at the start of the rest */
    STEP_HOST,   /* the rest is a path of the host */
    STEP_ABSENT, /* there is no such file in the sysroot */
};

/* Looks up the component of `length` bytes at `name`. */
static enum step walk_component(struct walk *walk, const char *name, size_t length, bool follow)
{
    NOT_CLEARED char target[PATH_MAX];
    const size_t before = walk->length;

    if (length == 1 && name[0] == '.')
        return STEP_DONE;
    if (length == 2 && name[0] == '.' && name[1] == '.') {
        leave_directory(walk);
        return STEP_DONE;
    }
    if (!enter(walk, name, length))
        return STEP_ABSENT;
    const int64_t size = host_syscall_quick(
        __NR_readlink,
        (const uint64_t[6]){host_argument(walk->at), host_argument(target), sizeof(target) - 1});
    if (size == -EINVAL)
        return STEP_DONE; /* exists and is no link */
    if (size < 0)
        return STEP_ABSENT;
    if (!follow && name[length] == '\0')
        return STEP_DONE;
    if (!follow_link(walk, target, (size_t)size, name + length))
        return STEP_ABSENT;
    walk->length = target[0] == '/' ? walk->root_length : before;
    walk->at[walk->length] = '\0';
    return target[0] == '/' && is_of_the_host(walk->rest) ? STEP_HOST : STEP_LINK;
}

/* Whether there is a file `from` in the sysroot; `to` is its path on the host. */
static bool walk_sysroot(const char *sysroot, const char *from, bool follow, char to[PATH_MAX])
{
    NOT_CLEARED struct walk walk;

    walk.at = to;
    walk.links = 0;
    walk.length = strlen(sysroot);
    while (walk.length > 0 && sysroot[walk.length - 1] == '/')
        walk.length--;
    walk.root_length = walk.length;
    if (walk.length >= PATH_MAX || strlen(from) >= PATH_MAX)
        return false;
    memcpy(to, sysroot, walk.length);
    to[walk.length] = '\0';
    memcpy(walk.rest, from, strlen(from) + 1);

    for (const char *next = walk.rest + strspn(walk.rest, "/"); *next != '\0';
         next += strspn(next, "/")) {
        const size_t length = strcspn(next, "/");
        switch (walk_component(&walk, next, length, follow)) {
        case STEP_DONE:
            next += length;
            break;
        case STEP_LINK:
            next = walk.rest;
            break;
        case STEP_HOST:
            memcpy(to, walk.rest, strlen(walk.rest) + 1);
            return true;
        case STEP_ABSENT:
            return false;
        }
    }
    /* A slash at the end says that it must be a directory. */
    const bool has_slash = from[0] != '\0' && from[strlen(from) - 1] == '/';
    return (!has_slash && walk.length > 0) || enter(&walk, "", 0);
}

/* A path that begins with the sysroot comes from getcwd or the like: what is behind. */
static const char *without_sysroot(const char *sysroot, const char *path)
{
    size_t length = strlen(sysroot);

    while (length > 0 && sysroot[length - 1] == '/')
        length--;
    return strncmp(path, sysroot, length) == 0 && path[length] == '/' ? path + length : path;
}

static void resolve(const struct process *process, const char *from, bool follow, char to[PATH_MAX])
{
    const char *sysroot = process->config.sysroot;

    if (sysroot != NULL && from[0] == '/') {
        const char *inside = without_sysroot(sysroot, from);
        if ((inside != from || !is_of_the_host(from)) && walk_sysroot(sysroot, inside, follow, to))
            return;
    }
    const size_t length = strnlen(from, PATH_MAX - 1);
    memcpy(to, from, length);
    to[length] = '\0';
}

void path_resolve(const struct process *process, const char *from, char to[PATH_MAX])
{
    resolve(process, from, true, to);
}

int path_read_as(struct task *task, uint64_t at, bool follow, char path[PATH_MAX])
{
    NOT_CLEARED char from[PATH_MAX];
    const bool has_sysroot = task->process->config.sysroot != NULL;
    const int64_t length = guest_read_string(has_sysroot ? from : path, at, PATH_MAX);

    if (length < 0)
        return (int)length;
    if (has_sysroot)
        resolve(task->process, from, follow, path);
    return 0;
}

int path_read(struct task *task, uint64_t at, char path[PATH_MAX])
{
    return path_read_as(task, at, true, path);
}
