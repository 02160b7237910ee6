/* SPDX-License-Identifier: Apache-2.0
 * The file or block device that a disk image lies in. */
#include "backend/block/block_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block/lock_holder.h"
#include "backend/block/vectors.h"
#include "base/log.h"

/* Files that are always "not ready now" do not exist; if one does, we do not spin. */
#define MOST_TRIES 1000u

static ssize_t kernel_read(void *owner, int fd, const struct iovec *vectors, int count,
                           uint64_t offset)
{
    (void)owner;
    ssize_t moved = preadv(fd, vectors, count, (off_t)offset);
    return moved < 0 ? -errno : moved;
}

static ssize_t kernel_write(void *owner, int fd, const struct iovec *vectors, int count,
                            uint64_t offset)
{
    (void)owner;
    ssize_t moved = pwritev(fd, vectors, count, (off_t)offset);
    return moved < 0 ? -errno : moved;
}

static int kernel_sync(void *owner, int fd)
{
    (void)owner;
    return fdatasync(fd) < 0 ? -errno : 0;
}

static int kernel_allocate(void *owner, int fd, int mode, uint64_t offset, uint64_t size)
{
    (void)owner;
    return fallocate(fd, mode, (off_t)offset, (off_t)size) < 0 ? -errno : 0;
}

const struct block_file_ops block_file_kernel = {
    .read = kernel_read,
    .write = kernel_write,
    .sync = kernel_sync,
    .allocate = kernel_allocate,
};

static int transfer(const struct block_file *file, struct iovec *vectors, unsigned count,
                    uint64_t offset,
                    ssize_t (*move)(void *owner, int fd, const struct iovec *vectors, int count,
                                    uint64_t offset))
{
    unsigned first = vectors_advance(vectors, 0, count, 0);
    unsigned tries = 0;

    while (first < count) {
        int batch = (int)MIN(count - first, IOV_MAX);
        ssize_t moved = move(file->ops->owner, file->fd, vectors + first, batch, offset);
        if ((moved == -EINTR || moved == -EAGAIN) && ++tries < MOST_TRIES)
            continue;
        if (moved < 0)
            return (int)moved;
        if (moved == 0) /* the end of the file, or a device that takes no more */
            return -EIO;
        tries = 0;
        offset += (uint64_t)moved;
        first = vectors_advance(vectors, first, count, (size_t)moved);
    }
    return 0;
}

int block_file_read(const struct block_file *file, struct iovec *vectors, unsigned count,
                    uint64_t offset)
{
    return transfer(file, vectors, count, offset, file->ops->read);
}

int block_file_write(const struct block_file *file, struct iovec *vectors, unsigned count,
                     uint64_t offset)
{
    return transfer(file, vectors, count, offset, file->ops->write);
}

int block_file_read_bytes(const struct block_file *file, void *to, size_t size, uint64_t offset)
{
    struct iovec vector = {to, size};

    return block_file_read(file, &vector, 1, offset);
}

int block_file_write_bytes(const struct block_file *file, const void *from, size_t size,
                           uint64_t offset)
{
    struct iovec vector = {(void *)(uintptr_t)from, size};

    return block_file_write(file, &vector, 1, offset);
}

/* 0, -EOPNOTSUPP when the file or device has no such operation, or an error. */
static int allocate(const struct block_file *file, int mode, uint64_t offset, uint64_t size)
{
    unsigned tries = 0;
    int result;

    do
        result = file->ops->allocate(file->ops->owner, file->fd, mode | FALLOC_FL_KEEP_SIZE, offset,
                                     size);
    while ((result == -EINTR || result == -EAGAIN) && ++tries < MOST_TRIES);
    bool missing = result == -EOPNOTSUPP || result == -ENOSYS || result == -ENODEV;
    return missing ? -EOPNOTSUPP : result;
}

int block_file_punch(const struct block_file *file, uint64_t offset, uint64_t size)
{
    return allocate(file, FALLOC_FL_PUNCH_HOLE, offset, size);
}

int block_file_reserve(const struct block_file *file, uint64_t offset, uint64_t size)
{
    int result = allocate(file, 0, offset, size);

    return result == -EOPNOTSUPP ? 0 : result;
}

static int write_zeroes(const struct block_file *file, uint64_t offset, uint64_t size)
{
    static const uint8_t zeroes[0x10000];
    int result = 0;

    while (size && result == 0) {
        size_t part = (size_t)MIN(size, sizeof(zeroes));
        result = block_file_write_bytes(file, zeroes, part, offset);
        offset += part;
        size -= part;
    }
    return result;
}

int block_file_zero(const struct block_file *file, uint64_t offset, uint64_t size)
{
    /* A hole reads as zeroes; on block devices only ZERO_RANGE promises it. */
    int mode = file->is_device ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;
    int result = allocate(file, mode, offset, size);

    return result == -EOPNOTSUPP ? write_zeroes(file, offset, size) : result;
}

int block_file_sync(const struct block_file *file)
{
    unsigned tries = 0;
    int result;

    do
        result = file->ops->sync(file->ops->owner, file->fd);
    while (result == -EINTR && ++tries < MOST_TRIES);
    return result;
}

/* ---- opening ---- */

static int is_directory(const char *path, struct error *err)
{
    return error_set(err, -EISDIR,
                     "disk image '%s' is a directory; give a file, or share it with -v", path);
}

/* The size of a file or block device; refuses everything else. */
static int examine(struct block_file *file, const char *path, struct error *err)
{
    struct stat status;

    if (fstat(file->fd, &status) < 0)
        return error_set(err, -errno, "cannot examine disk image '%s': %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return is_directory(path, err);
    file->is_device = S_ISBLK(status.st_mode);
    if (!file->is_device && !S_ISREG(status.st_mode))
        return error_set(err, -EINVAL, "disk image '%s' is neither a file nor a block device",
                         path);
    file->size = (uint64_t)status.st_size;
    file->modified_ns =
        (uint64_t)status.st_mtim.tv_sec * UINT64_C(1000000000) + (uint64_t)status.st_mtim.tv_nsec;
    if (file->is_device && ioctl(file->fd, BLKGETSIZE64, &file->size) < 0)
        return error_set(err, -errno, "cannot find the size of '%s': %s", path, strerror(errno));
    if (file->size == 0)
        return error_set(err, -EINVAL,
                         "disk image '%s' is empty; give it a size first, for example: "
                         "truncate -s 4G '%s'",
                         path, path);
    return 0;
}

static int is_busy(const struct block_file *file, const char *path, struct error *err)
{
    char holder[128];

    lock_holder_find(file->fd, holder, sizeof(holder));
    return error_set(err, -EBUSY,
                     "disk image '%s' is in use by %s; stop that one, or open the image readonly "
                     "in both",
                     path, holder);
}

/* Open file description locks end with the descriptor, whoever closes other
 * ones on the same file. */
static int lock(const struct block_file *file, const char *path, bool shared, struct error *err)
{
    struct flock wanted = {.l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(file->fd, F_OFD_SETLK, &wanted) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return is_busy(file, path, err);
    if (errno == EINVAL || errno == ENOLCK || errno == EOPNOTSUPP) {
        log_warn("blk", "disk image '%s' cannot be locked: %s; nothing keeps others from using it",
                 path, strerror(errno));
        return 0;
    }
    return error_set(err, -errno, "cannot lock disk image '%s': %s", path, strerror(errno));
}

static int open_path(const char *path, bool read_only, struct error *err)
{
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd;

    do
        fd = open(path, flags);
    while (fd < 0 && errno == EINTR);
    if (fd >= 0)
        return fd;
    if (errno == EISDIR)
        return is_directory(path, err);
    bool may_read = !read_only && (errno == EACCES || errno == EROFS || errno == EPERM);
    return error_set(err, -errno, "cannot open disk image '%s': %s%s", path, strerror(errno),
                     may_read ? "; add readonly or snapshot to use it without writing" : "");
}

static int open_examined(const char *path, bool read_only, const struct block_file_ops *ops,
                         struct block_file *out, struct error *err)
{
    struct block_file file = {.fd = open_path(path, read_only, err), .ops = ops};

    if (file.fd < 0)
        return file.fd;
    int result = examine(&file, path, err);
    if (result < 0) {
        close(file.fd);
        return result;
    }
    *out = file;
    return 0;
}

int block_file_open_unlocked(const char *path, struct block_file *out, struct error *err)
{
    return open_examined(path, true, &block_file_kernel, out, err);
}

int block_file_open(const char *path, bool read_only, const struct block_file_ops *ops,
                    struct block_file *out, struct error *err)
{
    struct block_file file;
    int result = open_examined(path, read_only, ops, &file, err);

    if (result < 0)
        return result;
    result = lock(&file, path, read_only, err);
    if (result < 0) {
        close(file.fd);
        return result;
    }
    *out = file;
    return 0;
}

void block_file_close(struct block_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}
