/* SPDX-License-Identifier: Apache-2.0
 * Opening files, asking about them, and fcntl. Some files of /proc tell about this
 * process where the program expects itself; proc_files.c knows them. */
#include "process/calls.h"

#include "process/convert.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The mode of open flags that follow no last link. */
static bool follows(uint64_t flags)
{
    return (flags & O_NOFOLLOW) == 0 && (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
}

int64_t sys_openat(struct task *task, const uint64_t args[6])
{
    NOT_CLEARED char path[PATH_MAX];
    const int err = path_read_as(task, args[1], follows(args[2]), path);

    if (err != 0)
        return err;
    const int fd = proc_open(task, (int)args[0], path, (int)args[2]);
    if (fd != -ENOTSUP)
        return fd;
    return HOST_SYSCALL(task, __NR_openat, args[0], host_argument(path), args[2], args[3]);
}

int64_t sys_openat2(struct task *task, const uint64_t args[6])
{
    NOT_CLEARED char path[PATH_MAX];
    struct open_how how = {0};
    const uint64_t size = args[3];

    if (size < sizeof(how))
        return -EINVAL;
    int err = guest_read(&how, args[2], sizeof(how));
    if (err != 0)
        return err;
    /* Members that later kernels have are left to the host's, where they are. */
    const uint64_t how_at = size == sizeof(how) ? host_argument(&how) : args[2];
    if (how.resolve != 0)
        return HOST_SYSCALL(task, __NR_openat2, args[0], args[1], how_at, size);
    err = path_read_as(task, args[1], follows(how.flags), path);
    if (err != 0)
        return err;
    const int fd = proc_open(task, (int)args[0], path, (int)how.flags);
    if (fd != -ENOTSUP)
        return fd;
    return HOST_SYSCALL(task, __NR_openat2, args[0], host_argument(path), how_at, size);
}

int64_t sys_readlinkat(struct task *task, const uint64_t args[6])
{
    NOT_CLEARED char path[PATH_MAX];
    NOT_CLEARED char target[PATH_MAX];
    const int size = (int)args[3];

    if (size <= 0)
        return -EINVAL;
    const int err = path_read_as(task, args[1], false, path);
    if (err != 0)
        return err;
    int64_t length = proc_readlink(task, (int)args[0], path, target, sizeof(target));
    if (length == -ENOTSUP)
        return HOST_SYSCALL(task, __NR_readlinkat, args[0], host_argument(path), args[2], args[3]);
    if (length < 0)
        return length;
    length = MIN(length, size);
    const int write_err = guest_write(args[2], target, (size_t)length);
    return write_err != 0 ? write_err : length;
}

/* Follows /proc/self/exe, which leads to our executable, to the program's. Looks at
 * nothing whose name is another: this is on the way of every stat. */
static void follow_proc_link(struct task *task, uint64_t dirfd, char path[PATH_MAX])
{
    NOT_CLEARED char target[PATH_MAX];
    const size_t length = strlen(path);

    if (length < 3 || strcmp(path + length - 3, "exe") != 0)
        return;
    const int64_t size = proc_readlink(task, (int)dirfd, path, target, sizeof(target));
    if (size <= 0 || size >= PATH_MAX)
        return;
    memcpy(path, target, (size_t)size);
    path[size] = '\0';
}

/* Reads the path of a call that is about a file's metadata. */
static int metadata_path(struct task *task, uint64_t dirfd, uint64_t at, uint64_t flags,
                         char path[PATH_MAX])
{
    const bool follow = (flags & AT_SYMLINK_NOFOLLOW) == 0;
    const int err = path_read_as(task, at, follow, path);

    if (err == 0 && follow)
        follow_proc_link(task, dirfd, path);
    return err;
}

static int64_t finish_stat(int64_t result, const struct stat *status, uint64_t to)
{
    if (result != 0)
        return result;
    return convert_write(STRUCT_stat, to, status);
}

int64_t sys_newfstatat(struct task *task, const uint64_t args[6])
{
    NOT_CLEARED char path[PATH_MAX];
    struct stat status;
    uint64_t path_at = 0;

    /* A null pointer: about the descriptor, with AT_EMPTY_PATH and a kernel that can. */
    if (args[1] != 0) {
        const int err = metadata_path(task, args[0], args[1], args[3], path);
        if (err != 0)
            return err;
        path_at = host_argument(path);
    }
    const int64_t result =
        HOST_SYSCALL(task, __NR_newfstatat, args[0], path_at, host_argument(&status), args[3]);
    return finish_stat(result, &status, args[2]);
}

int64_t sys_fstat(struct task *task, const uint64_t args[6])
{
    struct stat status;
    const int64_t result = HOST_SYSCALL(task, __NR_fstat, args[0], host_argument(&status));

    return finish_stat(result, &status, args[1]);
}

int64_t sys_statx(struct task *task, const uint64_t args[6])
{
    NOT_CLEARED char path[PATH_MAX];
    uint64_t path_at = 0;

    if (args[1] != 0) {
        const int err = metadata_path(task, args[0], args[1], args[2], path);
        if (err != 0)
            return err;
        path_at = host_argument(path);
    }
    return HOST_SYSCALL(task, __NR_statx, args[0], path_at, args[2], args[3], args[4]);
}

/* After these, /proc may be out of reach or another one. */
/* In another root the sysroot has another name, or none: what was looked up there is now
 * where it should be. */
static int64_t without_sysroot(struct task *task, int64_t result)
{
    if (result == 0)
        task->process->config.sysroot = NULL;
    return result;
}

int64_t sys_chroot(struct task *task, const uint64_t args[6])
{
    own_fds_keep_self(task->process);
    return without_sysroot(task, syscall_direct(task, __NR_chroot, "s", args));
}

int64_t sys_pivot_root(struct task *task, const uint64_t args[6])
{
    own_fds_keep_self(task->process);
    return without_sysroot(task, syscall_direct(task, __NR_pivot_root, "ss", args));
}

int64_t sys_setns(struct task *task, const uint64_t args[6])
{
    own_fds_keep_self(task->process);
    return host_syscall(task, __NR_setns, args);
}

/* What the third argument of fcntl is. */
enum fcntl_kind {
    FCNTL_UNKNOWN,
    FCNTL_VALUE,
    FCNTL_POINTER, /* to what contains no pointers */
};

/* linux/fcntl.h of later kernels */
#define DUPFD_QUERY   1027
#define CREATED_QUERY 1028

static enum fcntl_kind fcntl_kind(int command)
{
    switch (command) {
    case F_DUPFD:
    case F_GETFD:
    case F_SETFD:
    case F_GETFL:
    case F_SETFL:
    case F_SETOWN:
    case F_GETOWN:
    case F_SETSIG:
    case F_GETSIG:
    case F_SETLEASE:
    case F_GETLEASE:
    case F_NOTIFY:
    case DUPFD_QUERY:
    case CREATED_QUERY:
    case F_DUPFD_CLOEXEC:
    case F_SETPIPE_SZ:
    case F_GETPIPE_SZ:
    case F_ADD_SEALS:
    case F_GET_SEALS:
        return FCNTL_VALUE;
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
    case F_SETOWN_EX:
    case F_GETOWN_EX:
    case 17: /* F_GETOWNER_UIDS, which has no name for programs */
    case F_GET_RW_HINT:
    case F_SET_RW_HINT:
    case F_GET_FILE_RW_HINT:
    case F_SET_FILE_RW_HINT:
        return FCNTL_POINTER;
    default:
        return FCNTL_UNKNOWN;
    }
}

int64_t sys_fcntl(struct task *task, const uint64_t args[6])
{
    const enum fcntl_kind kind = fcntl_kind((int)args[1]);

    if (kind == FCNTL_UNKNOWN)
        return error_unless_bad_fd(args[0], -EINVAL);
    if (kind == FCNTL_POINTER)
        return HOST_SYSCALL(task, __NR_fcntl, args[0], args[1], guest_argument(args[2]));
    return host_syscall(task, __NR_fcntl, args);
}
