/* SPDX-License-Identifier: Apache-2.0
 * The sandbox's files. Trees of the host's are taken while it is still there, as mounts
 * that have no place yet; then an empty file system becomes the root, and they get their
 * places in it. So no path is ever looked up in files of the host and of the sandbox at
 * once. Interfaces: mount_setattr(2), move_mount(2), open_tree(2), fsopen(2), which need
 * Linux 5.12. */
#include "process/sandbox.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

static int failed(struct error *err, const char *what, const char *path)
{
    return error_set(err, -errno, "--sandbox: %s '%s': %s", what, path, strerror(errno));
}

/* ---- mounts ---- */

/* A new file system of `type` with `option` ("mode=0755"), as a mount that has no place yet.
 * Returns its descriptor or -1. */
static int make_fs(const char *type, const char *option, unsigned attributes)
{
    char name[64];
    size_t length = strcspn(option, "=");
    int fs = fsopen(type, FSOPEN_CLOEXEC);
    int fd = -1;

    if (fs < 0)
        return -1;
    snprintf(name, sizeof(name), "%.*s", (int)length, option);
    if ((!*option || fsconfig(fs, FSCONFIG_SET_STRING, name,
                              option + length + (option[length] == '='), 0) == 0) &&
        fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, attributes);
    close(fs);
    return fd;
}

static int attach(int fd, const char *path)
{
    return move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
}

static int mount_new(const char *type, const char *option, unsigned attributes, const char *path)
{
    int fd = make_fs(type, option, attributes);
    int result = fd < 0 ? -1 : attach(fd, path);

    if (fd >= 0)
        close(fd);
    return result;
}

/* ---- taking ---- */

static struct sandbox_mount *add(struct sandbox_plan *plan, const char *guest, struct error *err)
{
    struct sandbox_mount *mount = &plan->mounts[plan->mount_count];

    if (plan->mount_count == SANDBOX_MOUNTS) {
        error_set(err, -E2BIG, "--sandbox: there are too many files at the top of the sysroot");
        return NULL;
    }
    mount->fd = -1;
    mount->guest = strdup(guest);
    if (!mount->guest) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    plan->mount_count++;
    return mount;
}

/* Takes what `path`, relative to `folder`, leads to. `attributes`: MOUNT_ATTR_ bits. */
static int take(struct sandbox_plan *plan, int folder, const char *path, const char *guest,
                uint64_t attributes, struct error *err)
{
    struct sandbox_mount *mount = add(plan, guest, err);
    struct mount_attr attr = {.attr_set = attributes};
    struct stat status;

    if (!mount)
        return err->code;
    mount->fd = open_tree(folder, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (mount->fd < 0 || fstat(mount->fd, &status) < 0)
        return failed(err, "cannot take", path);
    mount->is_directory = S_ISDIR(status.st_mode);
    mount->is_writable = !(attributes & MOUNT_ATTR_RDONLY);
    if (mount_setattr(mount->fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
        return failed(err, "cannot protect", path);
    return 0;
}

static int take_link(struct sandbox_plan *plan, int folder, const char *name, const char *guest,
                     struct error *err)
{
    char target[PATH_MAX];
    ssize_t length = readlinkat(folder, name, target, sizeof(target));

    if (length < 0 || length == sizeof(target))
        return failed(err, "cannot read the link", name);
    struct sandbox_mount *mount = add(plan, guest, err);
    if (!mount)
        return err->code;
    mount->target = strndup(target, (size_t)length);
    return mount->target ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static bool is_empty(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd >= 0 ? fdopendir(fd) : NULL;
    unsigned count = 0;

    if (!entries) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    while (count < 3 && readdir(entries))
        count++;
    closedir(entries);
    return count == 2; /* "." and ".." */
}

/* An entry at the top of the sysroot. Empty folders are left to be made: something can be
 * put into them then. */
static int take_entry(struct sandbox_plan *plan, int folder, const char *name, struct error *err)
{
    static const char *const ours[] = {".", "..", "dev", "proc", "run", "sys", "tmp"};
    char guest[NAME_MAX + 2];
    struct stat status;

    for (unsigned i = 0; i < ARRAY_LEN(ours); i++)
        if (strcmp(name, ours[i]) == 0)
            return 0;
    snprintf(guest, sizeof(guest), "/%s", name);
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return failed(err, "cannot look at", name);
    if (S_ISLNK(status.st_mode))
        return take_link(plan, folder, name, guest, err);
    if (S_ISDIR(status.st_mode) && is_empty(folder, name)) {
        struct sandbox_mount *mount = add(plan, guest, err);
        if (!mount)
            return err->code;
        mount->is_directory = true;
        return 0;
    }
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
        return 0;
    return take(plan, folder, name, guest, SAFE | MOUNT_ATTR_RDONLY, err);
}

static int take_sysroot(struct sandbox_plan *plan, const char *path, struct error *err)
{
    DIR *entries = opendir(path);
    int result = 0;

    if (!entries)
        return failed(err, "cannot open the sysroot", path);
    for (const struct dirent *entry; result == 0 && (entry = readdir(entries));)
        result = take_entry(plan, dirfd(entries), entry->d_name, err);
    closedir(entries);
    return result;
}

static int take_devices(struct sandbox_plan *plan, struct error *err)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random",
                                          "/dev/urandom"};
    int result = 0;

    for (unsigned i = 0; result == 0 && i < ARRAY_LEN(devices); i++)
        result = take(plan, AT_FDCWD, devices[i], devices[i], MOUNT_ATTR_NOSUID, err);
    return result;
}

/* By its path: what /proc/self/exe leads to is of the namespace that we have left. */
static int take_self(struct sandbox_plan *plan, struct error *err)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

    if (length < 0)
        return failed(err, "cannot find doppel itself by", "/proc/self/exe");
    path[length] = '\0';
    return take(plan, AT_FDCWD, path, SANDBOX_SELF, SAFE | MOUNT_ATTR_RDONLY, err);
}

/* Of the processes in here; the kernel makes a new one only while an old one is in sight,
 * with nothing mounted over parts of it. Programs can do without. To those files that root
 * may write the kernel would let root write, from in here, too: root sees only processes. */
static void make_proc(struct sandbox_plan *plan)
{
    plan->proc_fd = make_fs("proc", plan->uid == 0 ? "subset=pid" : "", SAFE | MOUNT_ATTR_NOEXEC);
    if (plan->proc_fd < 0)
        log_info("process", "the sandbox has no /proc: %s", strerror(errno));
}

int sandbox_gather(struct sandbox_plan *plan, struct error *err)
{
    const struct process_config *config = plan->config;
    int result = 0;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return failed(err, "no rights in the new namespaces; cannot change", "/");
    make_proc(plan);
    if (config->sysroot)
        result = take_sysroot(plan, config->sysroot, err);
    if (result == 0)
        result = take_devices(plan, err);
    if (result == 0)
        result = take_self(plan, err);
    if (result == 0 && plan->has_program &&
        strncmp(plan->guest_program, SANDBOX_PROGRAM "/", sizeof(SANDBOX_PROGRAM)) == 0)
        result =
            take(plan, AT_FDCWD, plan->program, plan->guest_program, SAFE | MOUNT_ATTR_RDONLY, err);
    for (unsigned i = 0; result == 0 && i < config->share_count; i++) {
        const struct process_share *share = &config->shares[i];
        result = take(plan, AT_FDCWD, share->host, share->guest,
                      SAFE | (share->read_only ? MOUNT_ATTR_RDONLY : 0), err);
    }
    return result;
}

/* ---- putting together ---- */

/* An empty root. It is put together where some folder of the host is, no matter which. */
static int enter_root(struct error *err)
{
    static const char *const folders[] = {"/tmp", "/mnt", "/run", "/proc", "/dev"};

    for (unsigned i = 0; i < ARRAY_LEN(folders); i++) {
        if (mount_new("tmpfs", "mode=0755", SAFE, folders[i]) < 0)
            continue;
        if (chdir(folders[i]) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
            umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
            return failed(err, "cannot make a root of", folders[i]);
        return 0;
    }
    return failed(err, "no rights in the new namespaces; cannot mount at", folders[0]);
}

/* Makes the folders that lead to `path`, an absolute one. */
static int make_parents(const char *path)
{
    char folder[PATH_MAX];

    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        size_t length = (size_t)(slash - path);
        if (length >= sizeof(folder))
            return -1;
        memcpy(folder, path, length);
        folder[length] = '\0';
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

/* Makes something at `path` to mount on. */
static int make_place(const char *path, bool is_directory)
{
    if (access(path, F_OK) == 0)
        return 0;
    if (make_parents(path) < 0)
        return -1;
    if (is_directory)
        return mkdir(path, 0755) < 0 && errno != EEXIST ? -1 : 0;
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

static int put_mount(const struct sandbox_mount *mount, struct error *err)
{
    if (mount->target)
        return symlink(mount->target, mount->guest) < 0 ? failed(err, "cannot make", mount->guest)
                                                        : 0;
    if (make_place(mount->guest, mount->is_directory) < 0)
        return failed(err, "there is no place, and none can be made, for", mount->guest);
    if (mount->fd >= 0 && attach(mount->fd, mount->guest) < 0)
        return failed(err, "cannot mount at", mount->guest);
    return 0;
}

/* Files by which the kernel as a whole is set up, for those who may. */
static int protect_proc(const char *path)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    int result = mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr));
    if (result == 0)
        result = attach(fd, path);
    close(fd);
    return result;
}

static int place_proc(const struct sandbox_plan *plan, struct error *err)
{
    static const char *const kernels[] = {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq",
                                          "/proc/bus", "/proc/fs"};

    if (mkdir("/proc", 0555) < 0)
        return failed(err, "cannot make", "/proc");
    if (plan->proc_fd < 0)
        return 0;
    if (attach(plan->proc_fd, "/proc") < 0)
        return failed(err, "cannot mount at", "/proc");
    for (unsigned i = 0; i < ARRAY_LEN(kernels); i++)
        if (protect_proc(kernels[i]) < 0)
            return failed(err, "cannot protect", kernels[i]);
    return 0;
}

static int make_system(const struct sandbox_plan *plan, struct error *err)
{
    static const struct {
        const char *target, *path;
    } links[] = {
        {"/proc/self/fd", "/dev/fd"},
        {"/proc/self/fd/0", "/dev/stdin"},
        {"/proc/self/fd/1", "/dev/stdout"},
        {"/proc/self/fd/2", "/dev/stderr"},
    };

    if (mkdir("/dev", 0755) < 0 || mkdir("/dev/shm", 0755) < 0 || mkdir("/tmp", 0755) < 0 ||
        mkdir("/run", 0755) < 0)
        return failed(err, "cannot make folders in", "/");
    if (mount_new("tmpfs", "mode=1777", SAFE, "/tmp") < 0)
        return failed(err, "cannot mount at", "/tmp");
    if (mount_new("tmpfs", "mode=1777", SAFE | MOUNT_ATTR_NOEXEC, "/dev/shm") < 0)
        return failed(err, "cannot mount at", "/dev/shm");
    for (unsigned i = 0; i < ARRAY_LEN(links); i++)
        if (symlink(links[i].target, links[i].path) < 0)
            return failed(err, "cannot make", links[i].path);
    return place_proc(plan, err);
}

int sandbox_assemble(struct sandbox_plan *plan, struct error *err)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    int result = enter_root(err);

    if (result == 0)
        result = make_system(plan, err);
    for (unsigned i = 0; result == 0 && i < plan->mount_count; i++)
        result = put_mount(&plan->mounts[i], err);
    if (result == 0 && mount_setattr(AT_FDCWD, "/", 0, &attr, sizeof(attr)) < 0)
        result = failed(err, "cannot protect", "/");
    return result;
}
