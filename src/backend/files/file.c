/* SPDX-License-Identifier: Apache-2.0
 * Content of files, and of the file system. */
#include "backend/files/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FALLOCATE_MODES                                                  \
    (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | \
     FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)

int file_reopen(const struct share *share, int path_fd, int flags)
{
    struct statx stx;

    /* Nothing else is ever opened: a device or FIFO would act, or make us wait. */
    if (statx(path_fd, "", AT_EMPTY_PATH, STATX_TYPE, &stx) < 0)
        return -errno;
    if (!S_ISREG(stx.stx_mode) && !S_ISDIR(stx.stx_mode))
        return -ENXIO;
    int fd = open(fd_path(share, path_fd).text, flags | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

int op_open(struct call *call)
{
    const struct fuse_open_in *in = call->args;
    struct share *share = call->share;
    int access = (int)(in->flags & O_ACCMODE);
    struct node *node;
    uint64_t fh;
    int path_fd;

    if (access != O_RDONLY && share->config.read_only)
        return -EROFS;
    struct fuse_open_out *out = reply_take(call, sizeof(*out));
    if (!out)
        return -EINVAL;
    int result = node_get(share, call->header.node, &node);
    if (result < 0)
        return result;
    result = S_ISREG(node->type) ? node_fd(share, node, &path_fd) : -ENXIO;
    if (result == 0) {
        result = file_reopen(share, path_fd, access);
        node_fd_done(share, node);
    }
    if (result >= 0)
        result = handle_create(share, node, result, false, &fh);
    node_put(share, node);
    if (result < 0)
        return result;
    out->fh = fh;
    out->open_flags = handle_open_flags(share);
    return 0;
}

int op_release(struct call *call)
{
    const struct fuse_release_in *in = call->args;

    handle_close(call->share, in->fh);
    locks_release(call->share, in->fh);
    return 0;
}

/* As much as there is, until an end or an error behind it. */
static ssize_t read_all(int fd, uint8_t *to, size_t size, off_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t got = pread(fd, to + done, size - done, offset + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && done == 0)
            return -errno;
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static ssize_t write_all(int fd, const uint8_t *from, size_t size, off_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t put = pwrite(fd, from + done, size - done, offset + (off_t)done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && done == 0)
            return -errno;
        if (put <= 0)
            break;
        done += (size_t)put;
    }
    return (ssize_t)done;
}

int op_read(struct call *call)
{
    const struct fuse_read_in *in = call->args;
    struct handle *handle;
    size_t size = MIN(in->size, call->room);

    if (in->offset > (uint64_t)INT64_MAX - size)
        return -EINVAL;
    int result = handle_get(call->share, in->fh, false, &handle);
    if (result < 0)
        return result;
    ssize_t got = read_all(handle->fd, call->reply, size, (off_t)in->offset);
    if (got < 0)
        result = (int)got;
    else
        call->size = (size_t)got;
    handle_put(call->share, handle);
    return result;
}

int op_write(struct call *call)
{
    const struct fuse_write_in *in = call->args;
    struct fuse_write_out *out = reply_take(call, sizeof(*out));
    struct handle *handle;

    if (!out || in->size > call->data_size)
        return -EINVAL;
    if (in->offset > (uint64_t)INT64_MAX - in->size)
        return -EFBIG;
    int result = handle_get(call->share, in->fh, false, &handle);
    if (result < 0)
        return result;
    attr_kill_privileges(call->share, handle->node, handle->fd,
                         in->write_flags & FUSE_WRITE_KILL_PRIVILEGES);
    ssize_t put = write_all(handle->fd, call->data, in->size, (off_t)in->offset);
    if (put < 0)
        result = (int)put;
    else
        out->size = (uint32_t)put;
    handle_put(call->share, handle);
    return result;
}

int op_fsync(struct call *call)
{
    const struct fuse_fsync_in *in = call->args;
    struct handle *handle;
    int result = handle_get(call->share, in->fh, false, &handle);

    if (result < 0)
        return result;
    result = in->flags & FUSE_FSYNC_DATA ? fdatasync(handle->fd) : fsync(handle->fd);
    result = result < 0 ? -errno : 0;
    handle_put(call->share, handle);
    return result;
}

int op_fallocate(struct call *call)
{
    const struct fuse_fallocate_in *in = call->args;
    struct handle *handle;

    if (in->mode & ~(uint32_t)FALLOCATE_MODES)
        return -EOPNOTSUPP;
    if (in->offset > INT64_MAX || in->length > INT64_MAX)
        return -EFBIG;
    int result = handle_get(call->share, in->fh, false, &handle);
    if (result < 0)
        return result;
    attr_kill_privileges(call->share, handle->node, handle->fd, true);
    if (fallocate(handle->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length) < 0)
        result = -errno;
    handle_put(call->share, handle);
    return result;
}

int op_lseek(struct call *call)
{
    const struct fuse_lseek_in *in = call->args;
    struct fuse_lseek_out *out = reply_take(call, sizeof(*out));
    struct handle *handle;

    if (!out || (in->whence != SEEK_DATA && in->whence != SEEK_HOLE) || in->offset > INT64_MAX)
        return -EINVAL;
    int result = handle_get(call->share, in->fh, false, &handle);
    if (result < 0)
        return result;
    off_t at = lseek(handle->fd, (off_t)in->offset, (int)in->whence);
    if (at < 0)
        result = -errno;
    else
        out->offset = (uint64_t)at;
    handle_put(call->share, handle);
    return result;
}

int op_copy_file_range(struct call *call)
{
    const struct fuse_copy_file_range_in *in = call->args;
    struct fuse_write_out *out = reply_take(call, sizeof(*out));
    struct handle *from;
    struct handle *to;
    off_t from_at = (off_t)in->offset_in;
    off_t to_at = (off_t)in->offset_out;
    /* One request must not keep a worker for ever, and the reply has 32 bits. */
    size_t size = MIN(in->length, 64 * MIB);

    if (!out || in->flags || in->offset_in > INT64_MAX || in->offset_out > INT64_MAX)
        return -EINVAL;
    int result = handle_get(call->share, in->fh_in, false, &from);
    if (result < 0)
        return result;
    result = handle_get(call->share, in->fh_out, false, &to);
    if (result == 0) {
        attr_kill_privileges(call->share, to->node, to->fd, true);
        ssize_t copied = copy_file_range(from->fd, &from_at, to->fd, &to_at, size, 0);
        if (copied < 0)
            result = -errno;
        else
            out->size = (uint32_t)copied;
        handle_put(call->share, to);
    }
    handle_put(call->share, from);
    return result;
}

/* ---- the file system ---- */

int op_statfs(struct call *call)
{
    struct fuse_statfs_out *out = reply_take(call, sizeof(*out));
    struct statvfs fs;

    if (!out)
        return -EINVAL;
    if (fstatvfs(call->share->config.root_fd, &fs) < 0)
        return -errno;
    out->blocks = fs.f_blocks;
    out->free = fs.f_bfree;
    out->available = fs.f_bavail;
    out->files = fs.f_files;
    out->files_free = fs.f_ffree;
    out->block_size = (uint32_t)fs.f_bsize;
    out->name_most = MIN((uint32_t)fs.f_namemax, NAME_MOST);
    out->fragment_size = (uint32_t)fs.f_frsize;
    return 0;
}

int op_syncfs(struct call *call)
{
    if (call->share->config.read_only)
        return 0;
    int fd = file_reopen(call->share, call->share->config.root_fd, O_RDONLY);
    if (fd < 0)
        return fd;
    int result = syncfs(fd) < 0 ? -errno : 0;
    close(fd);
    return result;
}
