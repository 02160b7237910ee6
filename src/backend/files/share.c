/* SPDX-License-Identifier: Apache-2.0
 * A share, and the way of a request to the operation that it asks for. */
#include "backend/files/internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>

enum {
    /* Arguments and names: a link's target is the longest. */
    COPY_MOST = 8192,
    BACKGROUND_MOST = 12,
    PAGE = 4096,
};

#define WANTED_FEATURES                                                                            \
    (FUSE_HAS_ASYNC_READ | FUSE_HAS_BIG_WRITES | FUSE_HAS_AUTO_INVALIDATE | FUSE_HAS_READDIRPLUS | \
     FUSE_HAS_READDIRPLUS_AUTO | FUSE_HAS_ASYNC_DIO | FUSE_HAS_PARALLEL_DIROPS |                   \
     FUSE_HAS_MAX_PAGES | FUSE_HAS_KILL_PRIVILEGES_V2 | FUSE_HAS_INIT_EXTENSION)

/* ---- creating ---- */

static bool xattrs_work(const struct share *share)
{
    struct fd_path path = fd_path(share, share->config.root_fd);

    return getxattr(path.text, OWNER_XATTR, NULL, 0) >= 0 || errno == ENODATA;
}

int share_create(const struct share_config *config, struct share **out, struct error *err)
{
    struct share *share = calloc(1, sizeof(*share));
    struct statx stx;

    if (!share)
        return error_set(err, -ENOMEM, "cannot share a folder: out of memory");
    share->config = *config;
    pthread_mutex_init(&share->lock, NULL);
    int result = statx(config->root_fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &stx);
    if (result < 0) {
        result = error_set(err, -errno, "cannot read a shared folder: %m");
    } else {
        share->root_device = (uint64_t)stx.stx_dev_major << 32 | stx.stx_dev_minor;
        share->has_xattrs = xattrs_work(share);
        result = nodes_create(share, &stx);
        if (result < 0)
            error_set(err, result, "cannot share a folder: out of memory");
    }
    if (result < 0) {
        share_destroy(share);
        return result;
    }
    *out = share;
    return 0;
}

void share_destroy(struct share *share)
{
    if (!share)
        return;
    locks_drop_all(share);
    handles_destroy(share);
    nodes_destroy(share);
    pthread_mutex_destroy(&share->lock);
    free(share);
}

bool share_keeps_owners(const struct share *share)
{
    return share->has_xattrs;
}

struct fd_path fd_path(const struct share *share, int fd)
{
    struct fd_path path;

    snprintf(path.text, sizeof(path.text), "%s%d", share->config.self_fds, fd);
    return path;
}

/* ---- the session ---- */

static int op_init(struct call *call)
{
    const struct fuse_init_in *in = call->args;
    const struct share_config *config = &call->share->config;
    struct fuse_init_out *out = reply_take(call, sizeof(*out));
    uint64_t offered = in->flags;

    if (!out)
        return -EINVAL;
    out->major = FUSE_MAJOR;
    out->minor = FUSE_MINOR;
    /* An older one is refused; with a newer one the kernel asks again for ours. */
    if (in->major < FUSE_MAJOR || (in->major == FUSE_MAJOR && in->minor < 31))
        return -EPROTO;
    if (in->major > FUSE_MAJOR)
        return 0;
    locks_drop_all(call->share);
    handles_close_all(call->share);
    nodes_forget_all(call->share);
    if (offered & FUSE_HAS_INIT_EXTENSION)
        offered |= (uint64_t)in->flags2 << 32;
    uint64_t locks = config->has_locks ? FUSE_HAS_POSIX_LOCKS | FUSE_HAS_FLOCK_LOCKS : 0;
    uint64_t features = offered & (WANTED_FEATURES | locks);
    out->minor = MIN(in->minor, FUSE_MINOR);
    out->readahead_most = in->readahead_most;
    out->flags = (uint32_t)features;
    out->flags2 = (uint32_t)(features >> 32);
    out->background_most = BACKGROUND_MOST;
    out->congestion_at = BACKGROUND_MOST * 3 / 4;
    out->write_most = config->pages_most * PAGE;
    out->time_granularity = 1;
    out->pages_most = (uint16_t)config->pages_most;
    return 0;
}

static int op_destroy(struct call *call)
{
    locks_drop_all(call->share);
    handles_close_all(call->share);
    nodes_forget_all(call->share);
    return 0;
}

/* ---- the table ---- */

enum name_kind {
    NAME_NONE,
    NAME_ENTRY, /* of a folder: no slash, not "." or ".." */
    NAME_TEXT,  /* a link's target, or an attribute's name */
};

enum {
    WRITES = 1, /* refused when the share is read-only */
    NO_REPLY = 2,
};

struct operation_row {
    operation *run;
    uint16_t args_size; /* of the fixed part */
    uint8_t names[2];   /* enum name_kind */
    uint8_t flags;
};

/* A row is what a request of that opcode must consist of before `run` sees it. */
static const struct operation_row operations[FUSE_OPCODES] = {
    [FUSE_LOOKUP] = {op_lookup, 0, {NAME_ENTRY}, 0},
    [FUSE_FORGET] = {op_forget, sizeof(struct fuse_forget_in), {0}, NO_REPLY},
    [FUSE_GETATTR] = {op_getattr, sizeof(struct fuse_getattr_in), {0}, 0},
    [FUSE_SETATTR] = {op_setattr, sizeof(struct fuse_setattr_in), {0}, WRITES},
    [FUSE_READLINK] = {op_readlink, 0, {0}, 0},
    [FUSE_SYMLINK] = {op_symlink, 0, {NAME_ENTRY, NAME_TEXT}, WRITES},
    [FUSE_MKNOD] = {op_mknod, sizeof(struct fuse_mknod_in), {NAME_ENTRY}, WRITES},
    [FUSE_MKDIR] = {op_mkdir, sizeof(struct fuse_mkdir_in), {NAME_ENTRY}, WRITES},
    [FUSE_UNLINK] = {op_unlink, 0, {NAME_ENTRY}, WRITES},
    [FUSE_RMDIR] = {op_rmdir, 0, {NAME_ENTRY}, WRITES},
    [FUSE_RENAME] = {op_rename, sizeof(struct fuse_rename_in), {NAME_ENTRY, NAME_ENTRY}, WRITES},
    [FUSE_RENAME2] = {op_rename2, sizeof(struct fuse_rename2_in), {NAME_ENTRY, NAME_ENTRY}, WRITES},
    [FUSE_LINK] = {op_link, sizeof(struct fuse_link_in), {NAME_ENTRY}, WRITES},
    [FUSE_OPEN] = {op_open, sizeof(struct fuse_open_in), {0}, 0},
    [FUSE_READ] = {op_read, sizeof(struct fuse_read_in), {0}, 0},
    [FUSE_WRITE] = {op_write, sizeof(struct fuse_write_in), {0}, WRITES},
    [FUSE_STATFS] = {op_statfs, 0, {0}, 0},
    [FUSE_RELEASE] = {op_release, sizeof(struct fuse_release_in), {0}, 0},
    [FUSE_FSYNC] = {op_fsync, sizeof(struct fuse_fsync_in), {0}, 0},
    [FUSE_SETXATTR] = {op_setxattr, sizeof(struct fuse_setxattr_in), {NAME_TEXT}, WRITES},
    [FUSE_GETXATTR] = {op_getxattr, sizeof(struct fuse_getxattr_in), {NAME_TEXT}, 0},
    [FUSE_LISTXATTR] = {op_listxattr, sizeof(struct fuse_getxattr_in), {0}, 0},
    [FUSE_REMOVEXATTR] = {op_removexattr, 0, {NAME_TEXT}, WRITES},
    [FUSE_FLUSH] = {op_flush, sizeof(struct fuse_flush_in), {0}, 0},
    [FUSE_INIT] = {op_init, FUSE_INIT_IN_LEAST, {0}, 0},
    [FUSE_OPENDIR] = {op_opendir, sizeof(struct fuse_open_in), {0}, 0},
    [FUSE_READDIR] = {op_readdir, sizeof(struct fuse_read_in), {0}, 0},
    [FUSE_RELEASEDIR] = {op_releasedir, sizeof(struct fuse_release_in), {0}, 0},
    [FUSE_FSYNCDIR] = {op_fsyncdir, sizeof(struct fuse_fsync_in), {0}, 0},
    [FUSE_GETLK] = {op_getlk, sizeof(struct fuse_lock_in), {0}, 0},
    [FUSE_SETLK] = {op_setlk, sizeof(struct fuse_lock_in), {0}, 0},
    [FUSE_SETLKW] = {op_setlk, sizeof(struct fuse_lock_in), {0}, 0},
    [FUSE_ACCESS] = {op_access, sizeof(struct fuse_access_in), {0}, 0},
    [FUSE_CREATE] = {op_create, sizeof(struct fuse_create_in), {NAME_ENTRY}, WRITES},
    [FUSE_INTERRUPT] = {op_interrupt, sizeof(uint64_t), {0}, NO_REPLY},
    [FUSE_DESTROY] = {op_destroy, 0, {0}, 0},
    [FUSE_BATCH_FORGET] = {op_batch_forget, sizeof(struct fuse_batch_forget_in), {0}, NO_REPLY},
    [FUSE_FALLOCATE] = {op_fallocate, sizeof(struct fuse_fallocate_in), {0}, WRITES},
    [FUSE_READDIRPLUS] = {op_readdirplus, sizeof(struct fuse_read_in), {0}, 0},
    [FUSE_LSEEK] = {op_lseek, sizeof(struct fuse_lseek_in), {0}, 0},
    [FUSE_COPY_FILE_RANGE] = {op_copy_file_range,
                              sizeof(struct fuse_copy_file_range_in),
                              {0},
                              WRITES},
    [FUSE_SYNCFS] = {op_syncfs, sizeof(struct fuse_syncfs_in), {0}, 0},
    [FUSE_TMPFILE] = {op_tmpfile, sizeof(struct fuse_create_in), {NAME_TEXT}, WRITES},
};

/* ---- one request ---- */

void *reply_take(struct call *call, size_t size)
{
    if (call->room - call->size < size)
        return NULL;
    void *at = call->reply + call->size;
    memset(at, 0, size);
    call->size += size;
    return at;
}

static bool is_entry_name(const char *name, size_t size)
{
    if (size == 0 || size > NAME_MOST)
        return false;
    if (name[0] == '.' && (size == 1 || (size == 2 && name[1] == '.')))
        return false;
    for (size_t i = 0; i < size; i++)
        if (name[i] == '/')
            return false;
    return true;
}

/* Finds the names in the copied bytes behind the arguments. Returns where they end, or
 * 0: they are not as they have to be. */
static size_t find_names(struct call *call, const struct operation_row *row, const char *bytes,
                         size_t at, size_t size)
{
    for (unsigned i = 0; i < 2 && row->names[i]; i++) {
        size_t end = at;
        while (end < size && bytes[end])
            end++;
        if (end == size)
            return 0;
        if (row->names[i] == NAME_ENTRY ? !is_entry_name(bytes + at, end - at) : end - at >= PAGE)
            return 0;
        call->names[i] = bytes + at;
        at = end + 1;
    }
    return at;
}

/* `copy` holds the first bytes of the request. */
static int run(struct call *call, const uint8_t *copy, size_t copied, const uint8_t *request,
               size_t size)
{
    uint32_t opcode = call->header.opcode;
    const struct operation_row *row = &operations[opcode < FUSE_OPCODES ? opcode : 0];
    size_t at = sizeof(struct fuse_in_header) + row->args_size;

    if (!row->run)
        return -ENOSYS;
    if (size < at || call->header.size != size)
        return -EINVAL;
    if ((row->flags & WRITES) && call->share->config.read_only)
        return -EROFS;
    call->args = copy + sizeof(struct fuse_in_header);
    if (row->names[0]) {
        at = find_names(call, row, (const char *)copy, at, copied);
        if (!at)
            return -EINVAL;
    }
    call->data = request + at;
    call->data_size = size - at;
    return row->run(call);
}

size_t share_serve(struct share *share, const uint8_t *request, size_t size, uint8_t *reply,
                   size_t room)
{
    /* What is read more than once is read here: the request may change meanwhile. */
    _Alignas(8) uint8_t copy[COPY_MOST];
    struct fuse_out_header out = {.size = sizeof(out)};
    struct call call = {.share = share};
    size_t copied = MIN(size, sizeof(copy));

    if (size < sizeof(call.header))
        return 0;
    memset(copy, 0, sizeof(struct fuse_in_header) + sizeof(struct fuse_init_in));
    memcpy(copy, request, copied);
    memcpy(&call.header, copy, sizeof(call.header));
    if (room >= sizeof(out)) {
        call.reply = reply + sizeof(out);
        call.room = room - sizeof(out);
    }
    int result = run(&call, copy, copied, request, size);
    uint32_t opcode = call.header.opcode;
    if (opcode < FUSE_OPCODES && (operations[opcode].flags & NO_REPLY))
        return 0;
    if (result == SHARE_LATER_RESULT)
        return SHARE_LATER;
    if (room < sizeof(out))
        return 0;
    out.unique = call.header.unique;
    if (result < 0)
        out.error = result;
    else
        out.size += (uint32_t)call.size;
    memcpy(reply, &out, sizeof(out));
    return out.size;
}
