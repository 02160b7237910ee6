/* SPDX-License-Identifier: Apache-2.0
 * Attributes of files. */
#include "backend/files/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MODE_BITS 07777u

/* A symbolic link has no attributes of its own on the host; it belongs to whom its folder
 * does, so that no walk along it crosses owners. */
static void link_owner(const struct share *share, int folder_fd, struct owner *owner)
{
    struct statx stx;
    struct owner folder;

    if (statx(folder_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) < 0)
        return;
    owner_read(share, folder_fd, NULL, &stx, &folder);
    owner->uid = folder.uid;
    owner->gid = folder.gid;
}

void attr_owner(struct share *share, struct node *folder, int fd, const char *name,
                const struct statx *stx, struct owner *owner)
{
    int folder_fd;

    owner_read(share, fd, name, stx, owner);
    if (!S_ISLNK(stx->stx_mode))
        return;
    if (name) {
        link_owner(share, fd, owner);
    } else if (folder && node_fd(share, folder, &folder_fd) == 0) {
        link_owner(share, folder_fd, owner);
        node_fd_done(share, folder);
    }
}

/* Files of other mounts get numbers that no file of the root's has. */
static uint64_t guest_ino(const struct share *share, const struct statx *stx)
{
    uint64_t device = (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor;

    if (device == share->root_device)
        return stx->stx_ino;
    return stx->stx_ino ^ (device * UINT64_C(0x9e3779b97f4a7c15) | 1) << 40;
}

void attr_fill(const struct share *share, const struct statx *stx, const struct owner *owner,
               struct fuse_attr *attr)
{
    *attr = (struct fuse_attr){
        .ino = guest_ino(share, stx),
        .size = stx->stx_size,
        .blocks = stx->stx_blocks,
        .atime = (uint64_t)stx->stx_atime.tv_sec,
        .mtime = (uint64_t)stx->stx_mtime.tv_sec,
        .ctime = (uint64_t)stx->stx_ctime.tv_sec,
        .atime_ns = stx->stx_atime.tv_nsec,
        .mtime_ns = stx->stx_mtime.tv_nsec,
        .ctime_ns = stx->stx_ctime.tv_nsec,
        .mode = owner->mode,
        .link_count = stx->stx_nlink,
        .uid = owner->uid,
        .gid = owner->gid,
        .rdev = owner->rdev,
        .block_size = stx->stx_blksize,
    };
}

void entry_fill(const struct share *share, const struct node *node, const struct statx *stx,
                const struct owner *owner, struct fuse_entry_out *entry)
{
    *entry = (struct fuse_entry_out){
        .node = node_id(node),
        .generation = node->generation,
        .entry_valid = VALID_S,
        .attr_valid = VALID_S,
    };
    attr_fill(share, stx, owner, &entry->attr);
}

/* ---- reading ---- */

static int reply_attr(struct call *call, const struct statx *stx, const struct owner *owner)
{
    struct fuse_attr_out *out = reply_take(call, sizeof(*out));

    if (!out)
        return -EINVAL;
    out->valid = VALID_S;
    attr_fill(call->share, stx, owner, &out->attr);
    return 0;
}

/* The node of an open file, which has a descriptor whatever became of its name. */
static int getattr_handle(struct call *call, uint64_t fh)
{
    struct handle *handle;
    struct owner owner;
    struct statx stx;
    int result = handle_get(call->share, fh, false, &handle);

    if (result < 0)
        return result;
    if (statx(handle->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) < 0) {
        result = -errno;
    } else {
        owner_read(call->share, handle->fd, NULL, &stx, &owner);
        result = reply_attr(call, &stx, &owner);
    }
    handle_put(call->share, handle);
    return result;
}

/* The folder of a node that has one, and a use of it. */
static struct node *folder_of(struct share *share, struct node *node)
{
    pthread_mutex_lock(&share->lock);
    struct node *folder = node->parent;
    if (folder)
        folder->uses++;
    pthread_mutex_unlock(&share->lock);
    return folder;
}

/* What is behind `fd`, the node's. */
static int reply_node(struct call *call, struct node *node, int fd)
{
    struct node *folder = folder_of(call->share, node);
    struct owner owner;
    struct statx stx;
    int result = statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) < 0 ? -errno : 0;

    if (result == 0) {
        attr_owner(call->share, folder, fd, NULL, &stx, &owner);
        result = reply_attr(call, &stx, &owner);
    }
    node_put(call->share, folder);
    return result;
}

int op_getattr(struct call *call)
{
    const struct fuse_getattr_in *in = call->args;
    struct share *share = call->share;
    struct node *node;
    struct owner owner;
    struct look look;

    if (in->flags & FUSE_GETATTR_FH)
        return getattr_handle(call, in->fh);
    int result = node_get(share, call->header.node, &node);
    if (result < 0)
        return result;
    result = node_look(share, node, &look);
    if (result == 0) {
        struct node *folder = folder_of(share, node);
        attr_owner(share, folder, look.fd, look.name[0] ? look.name : NULL, &look.stx, &owner);
        node_put(share, folder);
        result = reply_attr(call, &look.stx, &owner);
        node_look_end(share, &look);
    }
    node_put(share, node);
    return result;
}

int op_access(struct call *call)
{
    struct node *node;
    struct look look;
    int result = node_get(call->share, call->header.node, &node);

    /* Rights are checked by the guest, which asked for that by how it mounts. */
    if (result < 0)
        return result;
    result = node_look(call->share, node, &look);
    if (result == 0)
        node_look_end(call->share, &look);
    node_put(call->share, node);
    return result;
}

/* ---- changing ---- */

/* As Linux does it for a file that is written to or changes hands. */
static uint32_t without_suid(uint32_t mode)
{
    if (!S_ISREG(mode))
        return mode;
    mode &= ~(uint32_t)S_ISUID;
    return mode & S_IXGRP ? mode & ~(uint32_t)S_ISGID : mode;
}

void attr_kill_privileges(struct share *share, struct node *node, int fd, bool suid_too)
{
    struct owner owner;
    struct statx stx;

    if (atomic_exchange(&node->may_have_capability, false))
        xattr_remove_capability(share, fd);
    if (!suid_too || !atomic_exchange(&node->may_have_suid, false) || !share->has_xattrs ||
        statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) < 0)
        return;
    owner_read(share, fd, NULL, &stx, &owner);
    uint32_t mode = without_suid(owner.mode);
    if (mode == owner.mode)
        return;
    owner.mode = mode;
    if (owner_write(share, fd, &stx, &owner) < 0)
        atomic_store(&node->may_have_suid, true);
}

static int set_owner(struct share *share, struct node *node, int fd,
                     const struct fuse_setattr_in *in)
{
    struct owner owner;
    struct statx stx;

    if (!(in->valid & (FUSE_SET_MODE | FUSE_SET_UID | FUSE_SET_GID)) || S_ISLNK(node->type))
        return 0;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) < 0)
        return -errno;
    owner_read(share, fd, NULL, &stx, &owner);
    if (in->valid & (FUSE_SET_UID | FUSE_SET_GID)) {
        owner.mode = without_suid(owner.mode);
        atomic_store(&node->may_have_capability, false);
        xattr_remove_capability(share, fd);
    }
    if (in->valid & FUSE_SET_MODE) {
        owner.mode = (owner.mode & S_IFMT) | (in->mode & MODE_BITS);
        atomic_store(&node->may_have_suid, true);
    }
    if (in->valid & FUSE_SET_UID)
        owner.uid = in->uid;
    if (in->valid & FUSE_SET_GID)
        owner.gid = in->gid;
    return owner_write(share, fd, &stx, &owner);
}

static int set_size(struct share *share, struct node *node, int fd,
                    const struct fuse_setattr_in *in)
{
    struct handle *handle = NULL;
    int result = 0;

    if (!(in->valid & FUSE_SET_SIZE))
        return 0;
    if (!S_ISREG(node->type))
        return S_ISDIR(node->type) ? -EISDIR : -EINVAL;
    if (in->size > INT64_MAX)
        return -EFBIG;
    attr_kill_privileges(share, node, fd, in->valid & FUSE_SET_KILL_PRIVILEGES);
    if (in->valid & FUSE_SET_FH) {
        result = handle_get(share, in->fh, false, &handle);
        if (result < 0)
            return result;
    }
    if ((!handle || ftruncate(handle->fd, (off_t)in->size) < 0) &&
        truncate(fd_path(share, fd).text, (off_t)in->size) < 0)
        result = -errno;
    if (handle)
        handle_put(share, handle);
    return result;
}

static struct timespec new_time(uint32_t valid, uint32_t set, uint32_t now, uint64_t s, uint32_t ns)
{
    if (valid & now)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    if (!(valid & set))
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    return (struct timespec){.tv_sec = (time_t)s, .tv_nsec = ns};
}

static int set_times(const struct share *share, int fd, const struct fuse_setattr_in *in)
{
    const struct timespec times[2] = {
        new_time(in->valid, FUSE_SET_ATIME, FUSE_SET_ATIME_NOW, in->atime, in->atime_ns),
        new_time(in->valid, FUSE_SET_MTIME, FUSE_SET_MTIME_NOW, in->mtime, in->mtime_ns),
    };

    if (!(in->valid & (FUSE_SET_ATIME | FUSE_SET_MTIME | FUSE_SET_ATIME_NOW | FUSE_SET_MTIME_NOW)))
        return 0;
    return utimensat(AT_FDCWD, fd_path(share, fd).text, times, 0) < 0 ? -errno : 0;
}

int op_setattr(struct call *call)
{
    const struct fuse_setattr_in *in = call->args;
    struct share *share = call->share;
    struct node *node;
    int fd;
    int result = node_get(share, call->header.node, &node);

    if (result < 0)
        return result;
    result = node_fd(share, node, &fd);
    if (result == 0) {
        result = set_owner(share, node, fd, in);
        if (result == 0)
            result = set_size(share, node, fd, in);
        if (result == 0)
            result = set_times(share, fd, in);
        if (result == 0)
            result = reply_node(call, node, fd);
        node_fd_done(share, node);
    }
    node_put(share, node);
    return result;
}
