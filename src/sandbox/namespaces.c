/* SPDX-License-Identifier: Apache-2.0
 * Namespaces of a process's own, and a root with nothing in it: namespaces(7), pivot_root(2). */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failed(struct error *err, const char *what)
{
    return error_set(err, -errno, "the sandbox: cannot %s: %s", what, strerror(errno));
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t written = fd < 0 ? -1 : write(fd, text, strlen(text));

    if (fd >= 0)
        close(fd);
    return written < 0 ? -1 : 0;
}

/* The user keeps their number and, from outside, their rights to files; there are no others inside. */
static int map_user(uid_t uid, gid_t gid, struct error *err)
{
    char text[64];

    if (write_file("/proc/self/setgroups", "deny") < 0 && errno != ENOENT)
        return failed(err, "set up the user namespace");
    snprintf(text, sizeof(text), "%u %u 1", uid, uid);
    if (write_file("/proc/self/uid_map", text) < 0)
        return failed(err, "map the user");
    snprintf(text, sizeof(text), "%u %u 1", gid, gid);
    if (write_file("/proc/self/gid_map", text) < 0)
        return failed(err, "map the group");
    return 0;
}

int sandbox_unshare(const struct sandbox_config *config, struct error *err)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    /* Root has rights to other users' files in its own user namespace only. */
    bool stays_root = config->serves_files && uid == 0;
    int flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET |
                (stays_root ? 0 : CLONE_NEWUSER);

    /* What is forbidden here, by a sysctl, an LSM or a filter of a container's, is no mistake. */
    if (unshare(flags) < 0)
        return -ENOSYS;
    return stays_root ? 0 : map_user(uid, gid, err);
}

static int replace_root(struct error *err)
{
    /* A mount needs a place; this one is never written to, and nobody else sees the mount. */
    static const char place[] = "/proc/self/fdinfo";

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return failed(err, "keep mounts to itself");
    if (mount("none", place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
              "size=4k,nr_inodes=2,mode=0500") < 0)
        return failed(err, "mount an empty root");
    if (chdir(place) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return failed(err, "change the root");
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return failed(err, "let go of the old root");
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return failed(err, "make the root read-only");
    return 0;
}

int sandbox_empty_root(const struct sandbox_config *config, struct error *err)
{
    int folder = config->serves_files ? open(".", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    int result = replace_root(err);

    if (result == 0 && config->serves_files && fchdir(folder) < 0)
        result = failed(err, "go back to the working folder");
    if (folder >= 0)
        close(folder);
    return result;
}
