/* SPDX-License-Identifier: Apache-2.0
 * Names in folders: looking up, making, renaming and removing them. Each operation gives
 * the kernel a descriptor of the folder and one name, whose last component is never
 * followed when it is a symbolic link. */
#include "backend/files/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A folder with its descriptor, for the length of an operation. */
struct folder {
    struct node *node;
    int fd;
};

static int folder_begin(struct share *share, uint64_t id, struct folder *folder)
{
    int result = node_get(share, id, &folder->node);

    if (result < 0)
        return result;
    result = S_ISDIR(folder->node->type) ? node_fd(share, folder->node, &folder->fd) : -ENOTDIR;
    if (result < 0)
        node_put(share, folder->node);
    return result;
}

static void folder_end(struct share *share, const struct folder *folder)
{
    node_fd_done(share, folder->node);
    node_put(share, folder->node);
}

static int stat_name(const struct folder *folder, const char *name, struct statx *stx)
{
    if (statx(folder->fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, stx) < 0)
        return -errno;
    return 0;
}

/* ---- looking up ---- */

/* Replies with the entry; *node, if wanted, has a use that the caller gives back. */
static int reply_entry(struct call *call, const struct folder *folder, const char *name,
                       struct node **node)
{
    struct share *share = call->share;
    struct fuse_entry_out *out = reply_take(call, sizeof(*out));
    struct owner owner;
    struct node *found = NULL;
    struct statx stx;
    int result = out ? stat_name(folder, name, &stx) : -EINVAL;

    if (result == 0)
        result = node_found(share, folder->node, name, &stx, &found);
    if (result < 0)
        return result;
    attr_owner(share, NULL, folder->fd, name, &stx, &owner);
    entry_fill(share, found, &stx, &owner, out);
    if (node)
        *node = found;
    else
        node_put(share, found);
    return 0;
}

int op_lookup(struct call *call)
{
    struct folder folder;
    int result = folder_begin(call->share, call->header.node, &folder);

    if (result < 0)
        return result;
    result = reply_entry(call, &folder, call->names[0], NULL);
    folder_end(call->share, &folder);
    if (result != -ENOENT || call->size != sizeof(struct fuse_entry_out))
        return result;
    struct fuse_entry_out *out = (struct fuse_entry_out *)(void *)call->reply;
    *out = (struct fuse_entry_out){.entry_valid = VALID_S};
    return 0;
}

int op_forget(struct call *call)
{
    const struct fuse_forget_in *in = call->args;

    node_forget(call->share, call->header.node, in->lookups);
    return 0;
}

int op_batch_forget(struct call *call)
{
    const struct fuse_batch_forget_in *in = call->args;
    struct fuse_forget_one one;

    for (size_t i = 0; i < in->count && (i + 1) * sizeof(one) <= call->data_size; i++) {
        memcpy(&one, call->data + i * sizeof(one), sizeof(one));
        node_forget(call->share, one.node, one.lookups);
    }
    return 0;
}

int op_readlink(struct call *call)
{
    struct node *node;
    int fd;
    int result = node_get(call->share, call->header.node, &node);

    if (result < 0)
        return result;
    result = S_ISLNK(node->type) ? node_fd(call->share, node, &fd) : -EINVAL;
    if (result == 0) {
        ssize_t size = call->room ? readlinkat(fd, "", (char *)call->reply, call->room) : 0;
        if (size < 0)
            result = -errno;
        else
            call->size = (size_t)size;
        node_fd_done(call->share, node);
    }
    node_put(call->share, node);
    return result;
}

/* ---- making ---- */

/* What the caller's new file in `folder` belongs to, with `mode`. */
static struct owner new_owner(const struct call *call, const struct folder *folder, uint32_t mode)
{
    struct owner owner = {.uid = call->header.uid, .gid = call->header.gid, .mode = mode};
    struct owner parent;
    struct statx stx;

    if (statx(folder->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) < 0)
        return owner;
    owner_read(call->share, folder->fd, NULL, &stx, &parent);
    if (parent.mode & S_ISGID) {
        owner.gid = parent.gid;
        owner.mode |= S_ISDIR(mode) ? S_ISGID : 0;
    }
    return owner;
}

/* Gives what was just made its owner. */
static int own(const struct share *share, int fd, const struct owner *owner)
{
    struct statx stx;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) < 0)
        return -errno;
    return owner_write(share, fd, &stx, owner);
}

/* The mode of open(2) for a file of the guest's. */
static mode_t host_mode(const struct share *share, const struct owner *owner)
{
    return owner_host_mode(share, owner->mode);
}

/* Makes a regular file, which stands for whatever `owner` says that it is. */
static int make_file(const struct call *call, const struct folder *folder,
                     const struct owner *owner, int flags, int *out)
{
    const char *name = call->names[0];
    int fd = openat(folder->fd, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | flags,
                    host_mode(call->share, owner));

    if (fd < 0)
        return -errno;
    int result = own(call->share, fd, owner);
    if (result < 0) {
        unlinkat(folder->fd, name, 0);
        close(fd);
        return result;
    }
    *out = fd;
    return 0;
}

static int make_folder(const struct call *call, const struct folder *folder,
                       const struct owner *owner)
{
    const char *name = call->names[0];

    if (mkdirat(folder->fd, name, host_mode(call->share, owner)) < 0)
        return -errno;
    int fd = openat(folder->fd, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 ? -errno : own(call->share, fd, owner);
    if (fd >= 0)
        close(fd);
    if (result < 0)
        unlinkat(folder->fd, name, AT_REMOVEDIR);
    return result;
}

int op_mknod(struct call *call)
{
    const struct fuse_mknod_in *in = call->args;
    struct folder folder;
    uint32_t type = in->mode & S_IFMT;
    int fd = -1;

    if (type != S_IFREG && type != S_IFCHR && type != S_IFBLK && type != S_IFIFO &&
        type != S_IFSOCK)
        return -EINVAL;
    int result = folder_begin(call->share, call->header.node, &folder);
    if (result < 0)
        return result;
    struct owner owner = new_owner(call, &folder, type | (in->mode & 07777));
    owner.rdev = in->rdev;
    result = make_file(call, &folder, &owner, O_WRONLY, &fd);
    if (result == 0) {
        close(fd);
        result = reply_entry(call, &folder, call->names[0], NULL);
    }
    folder_end(call->share, &folder);
    return result;
}

int op_mkdir(struct call *call)
{
    const struct fuse_mkdir_in *in = call->args;
    struct folder folder;
    int result = folder_begin(call->share, call->header.node, &folder);

    if (result < 0)
        return result;
    struct owner owner = new_owner(call, &folder, S_IFDIR | (in->mode & 07777));
    result = make_folder(call, &folder, &owner);
    if (result == 0)
        result = reply_entry(call, &folder, call->names[0], NULL);
    folder_end(call->share, &folder);
    return result;
}

int op_symlink(struct call *call)
{
    struct folder folder;
    int result = folder_begin(call->share, call->header.node, &folder);

    if (result < 0)
        return result;
    result = symlinkat(call->names[1], folder.fd, call->names[0]) < 0 ? -errno : 0;
    if (result == 0)
        result = reply_entry(call, &folder, call->names[0], NULL);
    folder_end(call->share, &folder);
    return result;
}

static int reply_open(struct call *call, struct node *node, int take_fd)
{
    uint64_t fh = 0;
    int result = handle_create(call->share, node, take_fd, false, &fh);

    if (result < 0)
        return result;
    struct fuse_open_out *out = reply_take(call, sizeof(*out));
    if (!out) {
        handle_close(call->share, fh);
        return -EINVAL;
    }
    out->fh = fh;
    out->open_flags = handle_open_flags(call->share);
    return 0;
}

/* Opens what has that name already, as the guest did not mind. */
static int create_existing(struct call *call, const struct folder *folder, int access, int *out)
{
    struct share *share = call->share;
    struct statx stx;
    int fd;
    int result = stat_name(folder, call->names[0], &stx);

    if (result == 0 && !S_ISREG(stx.stx_mode))
        result = -EEXIST;
    if (result < 0)
        return result;
    int path = openat(folder->fd, call->names[0], O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (path < 0)
        return -errno;
    fd = file_reopen(share, path, access);
    close(path);
    if (fd < 0)
        return fd;
    *out = fd;
    return 0;
}

int op_create(struct call *call)
{
    const struct fuse_create_in *in = call->args;
    int access = (int)(in->flags & O_ACCMODE);
    struct folder folder;
    struct node *node = NULL;
    int fd = -1;
    int result = folder_begin(call->share, call->header.node, &folder);

    if (result < 0)
        return result;
    struct owner owner = new_owner(call, &folder, S_IFREG | (in->mode & 07777));
    result = make_file(call, &folder, &owner, access, &fd);
    if (result == -EEXIST && !(in->flags & O_EXCL))
        result = create_existing(call, &folder, access, &fd);
    if (result == 0)
        result = reply_entry(call, &folder, call->names[0], &node);
    if (result == 0) {
        result = reply_open(call, node, fd);
        if (result < 0)
            node_forget(call->share, node_id(node), 1);
        node_put(call->share, node);
    } else if (fd >= 0) {
        close(fd);
    }
    folder_end(call->share, &folder);
    return result;
}

/* The reply for a file that has no name. */
static int reply_nameless(struct call *call, int take_fd)
{
    struct share *share = call->share;
    struct fuse_entry_out *out = reply_take(call, sizeof(*out));
    struct owner owner;
    struct node *node = NULL;
    struct statx stx;
    int result = out ? 0 : -EINVAL;

    if (result == 0 && statx(take_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &stx) < 0)
        result = -errno;
    if (result == 0)
        result = node_found_nameless(share, &stx, take_fd, &node);
    if (result < 0) {
        close(take_fd);
        return result;
    }
    owner_read(share, take_fd, NULL, &stx, &owner);
    entry_fill(share, node, &stx, &owner, out);
    uint64_t id = node_id(node);
    result = reply_open(call, node, take_fd);
    node_put(share, node);
    if (result < 0)
        node_forget(share, id, 1);
    return result;
}

int op_tmpfile(struct call *call)
{
    const struct fuse_create_in *in = call->args;
    struct folder folder;
    int result = folder_begin(call->share, call->header.node, &folder);

    if (result < 0)
        return result;
    int access = (in->flags & O_ACCMODE) == O_WRONLY ? O_WRONLY : O_RDWR;
    struct owner owner = new_owner(call, &folder, S_IFREG | (in->mode & 07777));
    int fd = open(fd_path(call->share, folder.fd).text,
                  O_TMPFILE | O_CLOEXEC | access | (int)(in->flags & O_EXCL),
                  host_mode(call->share, &owner));
    result = fd < 0 ? -errno : own(call->share, fd, &owner);
    if (result == 0)
        result = reply_nameless(call, fd);
    else if (fd >= 0)
        close(fd);
    folder_end(call->share, &folder);
    return result;
}

int op_link(struct call *call)
{
    const struct fuse_link_in *in = call->args;
    struct share *share = call->share;
    struct folder folder;
    struct node *node;
    int fd;
    int result = node_get(share, in->node, &node);

    if (result < 0)
        return result;
    result = folder_begin(share, call->header.node, &folder);
    if (result == 0) {
        result = node_fd(share, node, &fd);
        if (result == 0) {
            if (linkat(AT_FDCWD, fd_path(share, fd).text, folder.fd, call->names[0],
                       AT_SYMLINK_FOLLOW) < 0)
                result = -errno;
            node_fd_done(share, node);
        }
        if (result == 0) {
            node_renamed(share, node, folder.node, call->names[0]);
            result = reply_entry(call, &folder, call->names[0], NULL);
        }
        folder_end(share, &folder);
    }
    node_put(share, node);
    return result;
}

/* ---- removing and renaming ---- */

/* The node of what is to lose its name, with a descriptor that outlasts that. NULL: the
 * guest does not know the file, or there is none. */
static struct node *begin_unname(struct share *share, const struct folder *folder, const char *name,
                                 struct statx *stx)
{
    if (stat_name(folder, name, stx) < 0)
        return NULL;
    struct node *node = node_known(share, stx);
    if (node)
        node_pin(share, node);
    return node;
}

static bool is_last_name(const struct statx *stx)
{
    return S_ISDIR(stx->stx_mode) || stx->stx_nlink <= 1;
}

static void end_unname(struct share *share, const struct folder *folder, const char *name,
                       const struct statx *stx, struct node *node, bool is_done)
{
    if (!node)
        return;
    if (is_done)
        node_unnamed(share, node, folder->node, name, is_last_name(stx));
    else
        node_unnamed(share, node, NULL, "", false);
    node_put(share, node);
}

static int unlink_name(struct call *call, int flags)
{
    struct share *share = call->share;
    const char *name = call->names[0];
    struct folder folder;
    struct statx stx;
    int result = folder_begin(share, call->header.node, &folder);

    if (result < 0)
        return result;
    struct node *node = begin_unname(share, &folder, name, &stx);
    result = unlinkat(folder.fd, name, flags) < 0 ? -errno : 0;
    end_unname(share, &folder, name, &stx, node, result == 0);
    folder_end(share, &folder);
    return result;
}

int op_unlink(struct call *call)
{
    return unlink_name(call, 0);
}

int op_rmdir(struct call *call)
{
    return unlink_name(call, AT_REMOVEDIR);
}

static int do_rename(struct share *share, const struct folder *from, const struct folder *to,
                     const char *const names[2], unsigned flags)
{
    struct statx stx;
    struct statx target_stx;
    struct node *target = begin_unname(share, to, names[1], &target_stx);
    struct node *node = stat_name(from, names[0], &stx) == 0 ? node_known(share, &stx) : NULL;
    int result = renameat2(from->fd, names[0], to->fd, names[1], flags) < 0 ? -errno : 0;
    /* Two names of one file: rename(2) leaves both. */
    bool is_same = node && node == target;

    if (result == 0 && node && !is_same)
        node_renamed(share, node, to->node, names[1]);
    if (result == 0 && target && (flags & RENAME_EXCHANGE))
        node_renamed(share, target, from->node, names[0]);
    end_unname(share, to, names[1], &target_stx, target,
               result == 0 && !is_same && !(flags & RENAME_EXCHANGE));
    node_put(share, node);
    return result;
}

static int rename_names(struct call *call, uint64_t to_id, uint32_t flags)
{
    struct share *share = call->share;
    struct folder from;
    struct folder to;

    /* RENAME_WHITEOUT would make a device on the host. */
    if (flags & ~(uint32_t)(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    int result = folder_begin(share, call->header.node, &from);
    if (result < 0)
        return result;
    result = folder_begin(share, to_id, &to);
    if (result == 0) {
        result = do_rename(share, &from, &to, call->names, flags);
        folder_end(share, &to);
    }
    folder_end(share, &from);
    return result;
}

int op_rename(struct call *call)
{
    const struct fuse_rename_in *in = call->args;

    return rename_names(call, in->folder, 0);
}

int op_rename2(struct call *call)
{
    const struct fuse_rename2_in *in = call->args;

    return rename_names(call, in->folder, in->flags);
}
