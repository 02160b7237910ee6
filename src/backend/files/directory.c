/* SPDX-License-Identifier: Apache-2.0
 * Listing folders. The offset of an entry is the host's, so that a listing goes on where
 * it was even when the folder changes. */
#include "backend/files/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    ENTRIES_SIZE = 0x8000, /* read from the host at once, at most */
    PLUS_FACTOR = 5,       /* an entry with attributes is that much larger, about */
    ENTRIES_LEAST = 1024,
};

int op_opendir(struct call *call)
{
    struct fuse_open_out *out = reply_take(call, sizeof(*out));
    struct share *share = call->share;
    struct node *node;
    uint64_t fh;
    int path_fd;

    if (!out)
        return -EINVAL;
    int result = node_get(share, call->header.node, &node);
    if (result < 0)
        return result;
    result = S_ISDIR(node->type) ? node_fd(share, node, &path_fd) : -ENOTDIR;
    if (result == 0) {
        result = file_reopen(share, path_fd, O_RDONLY | O_DIRECTORY);
        node_fd_done(share, node);
    }
    if (result >= 0)
        result = handle_create(share, node, result, true, &fh);
    node_put(share, node);
    if (result < 0)
        return result;
    out->fh = fh;
    return 0;
}

int op_releasedir(struct call *call)
{
    const struct fuse_release_in *in = call->args;

    handle_close(call->share, in->fh);
    return 0;
}

int op_fsyncdir(struct call *call)
{
    const struct fuse_fsync_in *in = call->args;
    struct handle *handle;
    int result = handle_get(call->share, in->fh, true, &handle);

    if (result < 0)
        return result;
    result = fsync(handle->fd) < 0 ? -errno : 0;
    handle_put(call->share, handle);
    return result;
}

/* ---- entries ---- */

static bool is_dots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* The numbers in the guest of the folder itself and of the one above, which may be
 * outside. */
static uint64_t dots_ino(const struct handle *handle, const struct dirent64 *entry)
{
    return entry->d_name[1] && !handle->node->parent ? handle->node->ino : entry->d_ino;
}

/* A device is a regular file on the host. */
static uint32_t entry_type(const struct share *share, const struct handle *handle,
                           const struct dirent64 *entry)
{
    struct statx stx = {.stx_mode = S_IFREG};
    struct owner owner;

    if (entry->d_type != DT_REG || !share->has_xattrs)
        return entry->d_type;
    owner_read(share, handle->fd, entry->d_name, &stx, &owner);
    return IFTODT(owner.mode);
}

static void put_dirent(struct fuse_dirent *to, const struct dirent64 *entry, uint64_t ino,
                       uint32_t type)
{
    size_t length = strlen(entry->d_name);

    to->ino = ino;
    to->next = (uint64_t)entry->d_off;
    to->name_size = (uint32_t)length;
    to->type = type;
    memcpy(to + 1, entry->d_name, length);
}

static size_t padded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

/* False: no room. */
static bool add_entry(struct call *call, const struct handle *handle, const struct dirent64 *entry)
{
    size_t size = padded(sizeof(struct fuse_dirent) + strlen(entry->d_name));
    struct fuse_dirent *out = reply_take(call, size);
    uint64_t ino = is_dots(entry->d_name) ? dots_ino(handle, entry) : entry->d_ino;

    if (!out)
        return false;
    put_dirent(out, entry, ino, entry_type(call->share, handle, entry));
    return true;
}

/* With attributes, and a lookup. A name that is gone meanwhile, or cannot be had, is
 * listed without. */
static bool add_entry_plus(struct call *call, const struct handle *handle,
                           const struct dirent64 *entry)
{
    struct share *share = call->share;
    size_t size = padded(sizeof(struct fuse_direntplus) + strlen(entry->d_name));
    struct fuse_direntplus *out = reply_take(call, size);
    struct owner owner;
    struct statx stx;
    struct node *node;

    if (!out)
        return false;
    if (is_dots(entry->d_name)) {
        put_dirent(&out->dirent, entry, dots_ino(handle, entry), DT_DIR);
        return true;
    }
    put_dirent(&out->dirent, entry, entry->d_ino, entry->d_type);
    if (statx(handle->fd, entry->d_name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME,
              &stx) < 0 ||
        node_found(share, handle->node, entry->d_name, &stx, &node) < 0)
        return true;
    attr_owner(share, NULL, handle->fd, entry->d_name, &stx, &owner);
    entry_fill(share, node, &stx, &owner, &out->entry);
    out->dirent.ino = out->entry.attr.ino;
    out->dirent.type = IFTODT(owner.mode);
    node_put(share, node);
    return true;
}

typedef bool entry_adder(struct call *call, const struct handle *handle,
                         const struct dirent64 *entry);

/* Fills the reply from where the descriptor stands; handle->position becomes where the
 * next entry is that did not fit. */
static int list(struct call *call, struct handle *handle, entry_adder *add, size_t read_size)
{
    _Alignas(8) uint8_t bytes[ENTRIES_SIZE];

    for (;;) {
        ssize_t size = getdents64(handle->fd, bytes, read_size);
        if (size <= 0)
            return size < 0 && call->size == 0 ? -errno : 0;
        for (size_t at = 0; at < (size_t)size;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(bytes + at);
            at += entry->d_reclen;
            if (strnlen(entry->d_name, NAME_MOST + 1) > NAME_MOST)
                continue;
            if (!add(call, handle, entry)) {
                lseek(handle->fd, (off_t)handle->position, SEEK_SET);
                return call->size ? 0 : -EINVAL;
            }
            handle->position = (uint64_t)entry->d_off;
        }
    }
}

static int read_folder(struct call *call, entry_adder *add, size_t read_size)
{
    const struct fuse_read_in *in = call->args;
    struct handle *handle;
    int result = handle_get(call->share, in->fh, true, &handle);

    if (result < 0)
        return result;
    call->room = MIN(call->room, in->size);
    pthread_mutex_lock(&handle->lock);
    if (in->offset != handle->position) {
        if (lseek(handle->fd, (off_t)in->offset, SEEK_SET) < 0)
            result = -errno;
        else
            handle->position = in->offset;
    }
    if (result == 0)
        result = list(call, handle, add, MAX(MIN(read_size, ENTRIES_SIZE), ENTRIES_LEAST));
    pthread_mutex_unlock(&handle->lock);
    handle_put(call->share, handle);
    return result;
}

int op_readdir(struct call *call)
{
    return read_folder(call, add_entry,
                       MIN(call->room, ((const struct fuse_read_in *)call->args)->size));
}

int op_readdirplus(struct call *call)
{
    size_t size = MIN(call->room, ((const struct fuse_read_in *)call->args)->size);

    return read_folder(call, add_entry_plus, size / PLUS_FACTOR);
}
