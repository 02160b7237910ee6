/* SPDX-License-Identifier: Apache-2.0
 * Raw disk images.
 *
 * Requests are carried out at once, inside submit(). Images are never mapped: a
 * file that somebody truncates must cost an I/O error, not a SIGBUS.
 *
 * A failed fdatasync is final. The kernel may have dropped the dirty pages and
 * will report the next one as successful, so every later flush and write fails
 * too until the image is opened again. */
#include "backend/block/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "backend/block/overlay_file.h"
#include "backend/block/probe.h"
#include "base/bits.h"
#include "base/log.h"

struct raw {
    int fd;
    bool is_device;
    bool guard_magic;             /* the guest may not make sector 0 look like another format */
    bool flush_failed;            /* sticky, see above */
    uint64_t file_size;           /* bytes, when opened */
    struct overlay_file *overlay; /* NULL: writes go to the image */
    struct block_port port;
};

/* Moves part of `size` bytes; returns like preadv. */
typedef ssize_t transfer_function(int fd, const struct iovec *vectors, int count, off_t offset);

static unsigned make_vectors(const struct block_request *request, struct iovec *vectors)
{
    for (unsigned i = 0; i < request->segment_count; i++)
        vectors[i] = (struct iovec){request->segments[i].bytes, request->segments[i].size};
    return request->segment_count;
}

/* Drops the first `done` bytes. */
static unsigned advance(struct iovec *vectors, unsigned first, unsigned count, size_t done)
{
    while (first < count && done >= vectors[first].iov_len)
        done -= vectors[first++].iov_len;
    if (first < count) {
        vectors[first].iov_base = (uint8_t *)vectors[first].iov_base + done;
        vectors[first].iov_len -= done;
    }
    return first;
}

/* The last sector of a file of odd size is padded with zeroes; anywhere before
 * that, an end of file means the file was truncated behind our back. */
static int pad_with_zeroes(const struct raw *raw, uint64_t offset, const struct iovec *vectors,
                           unsigned count)
{
    if (offset < raw->file_size)
        return -EIO;
    for (unsigned i = 0; i < count; i++)
        memset(vectors[i].iov_base, 0, vectors[i].iov_len);
    return 0;
}

/* Everything or an error: EINTR and short transfers go on where they stopped. */
static int transfer(const struct raw *raw, struct iovec *vectors, unsigned count, uint64_t offset,
                    transfer_function *function)
{
    unsigned first = advance(vectors, 0, count, 0);

    while (first < count) {
        int batch = (int)MIN(count - first, IOV_MAX);
        ssize_t moved = function(raw->fd, vectors + first, batch, (off_t)offset);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved < 0)
            return -errno;
        if (moved == 0)
            return function == preadv ? pad_with_zeroes(raw, offset, vectors + first, count - first)
                                      : -EIO;
        offset += (uint64_t)moved;
        first = advance(vectors, first, count, (size_t)moved);
    }
    return 0;
}

static int read_image(void *owner, void *to, size_t size, uint64_t offset)
{
    struct iovec vector = {to, size};

    return transfer(owner, &vector, 1, offset, preadv);
}

/* Guest memory may change while we look, so the first sector of a write is
 * copied, checked, and written from the copy. */
static int write_guarded(const struct raw *raw, struct iovec *vectors, unsigned count)
{
    uint8_t sector[BLOCK_SECTOR_SIZE];
    size_t copied = 0;

    for (unsigned i = 0; i < count && copied < sizeof(sector); i++) {
        size_t part = MIN(vectors[i].iov_len, sizeof(sector) - copied);
        memcpy(sector + copied, vectors[i].iov_base, part);
        copied += part;
    }
    if (probe_format(sector, copied) != PROBE_RAW) {
        log_warn("blk", "the guest may not write the magic of a disk image format into sector 0; "
                        "give format=raw to allow it");
        return -EPERM;
    }
    struct iovec copy = {sector, copied};
    int result = transfer(raw, &copy, 1, 0, pwritev);
    if (result < 0)
        return result;
    unsigned first = advance(vectors, 0, count, copied);
    return transfer(raw, vectors + first, count - first, copied, pwritev);
}

static int do_read(struct raw *raw, const struct block_request *request)
{
    struct iovec vectors[BLOCK_MAX_SEGMENTS];
    unsigned count = make_vectors(request, vectors);

    if (raw->overlay)
        return overlay_file_read(raw->overlay, vectors, count, request->offset);
    return transfer(raw, vectors, count, request->offset, preadv);
}

static int do_write(struct raw *raw, const struct block_request *request)
{
    struct iovec vectors[BLOCK_MAX_SEGMENTS];
    unsigned count = make_vectors(request, vectors);

    if (raw->overlay)
        return overlay_file_write(raw->overlay, vectors, count, request->offset);
    if (raw->guard_magic && request->offset == 0)
        return write_guarded(raw, vectors, count);
    return transfer(raw, vectors, count, request->offset, pwritev);
}

static int do_flush(struct raw *raw)
{
    if (raw->overlay || raw->port.read_only)
        return 0; /* nothing of ours to keep */
    while (fdatasync(raw->fd) < 0) {
        if (errno == EINTR)
            continue;
        raw->flush_failed = true;
        log_error("blk",
                  "flushing a disk image failed: %s; its content may be lost, further "
                  "writes are refused",
                  strerror(errno));
        return -EIO;
    }
    return 0;
}

static int write_zero_bytes(const struct raw *raw, uint64_t offset, uint64_t size)
{
    static const uint8_t zeroes[0x10000];

    while (size) {
        size_t part = (size_t)MIN(size, sizeof(zeroes));
        ssize_t moved = pwrite(raw->fd, zeroes, part, (off_t)offset);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved <= 0)
            return moved < 0 ? -errno : -EIO;
        offset += (uint64_t)moved;
        size -= (uint64_t)moved;
    }
    return 0;
}

/* 0, -EOPNOTSUPP when the file or device has no such operation, or an error. */
static int punch(const struct raw *raw, int mode, uint64_t offset, uint64_t size)
{
    while (fallocate(raw->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) < 0) {
        if (errno == EINTR)
            continue;
        bool missing = errno == EOPNOTSUPP || errno == ENOSYS || errno == ENODEV;
        return missing ? -EOPNOTSUPP : -errno;
    }
    return 0;
}

static int do_discard(struct raw *raw, const struct block_request *request)
{
    if (raw->overlay)
        return 0;
    int result = punch(raw, FALLOC_FL_PUNCH_HOLE, request->offset, request->size);
    return result == -EOPNOTSUPP ? 0 : result; /* a hint: keeping the data is allowed */
}

static int do_write_zeroes(struct raw *raw, const struct block_request *request)
{
    if (raw->overlay)
        return overlay_file_write_zeroes(raw->overlay, request->offset, request->size);
    /* A hole reads as zeroes; on block devices only ZERO_RANGE promises it. */
    int mode = raw->is_device ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;
    int result = punch(raw, mode, request->offset, request->size);
    if (result != -EOPNOTSUPP)
        return result;
    return write_zero_bytes(raw, request->offset, request->size);
}

static int perform(struct raw *raw, const struct block_request *request)
{
    if (request->op == BLOCK_READ)
        return do_read(raw, request);
    if (request->op == BLOCK_FLUSH)
        return raw->flush_failed ? -EIO : do_flush(raw);
    if (raw->port.read_only)
        return -EROFS;
    if (raw->flush_failed)
        return -EIO;
    switch (request->op) {
    case BLOCK_WRITE:
        return do_write(raw, request);
    case BLOCK_DISCARD:
        return do_discard(raw, request);
    case BLOCK_WRITE_ZEROES:
        return do_write_zeroes(raw, request);
    case BLOCK_READ:
    case BLOCK_FLUSH:
        break;
    }
    return -EINVAL;
}

static void submit(void *owner, struct block_request *request)
{
    struct raw *raw = owner;

    request->done(request, perform(raw, request));
}

/* The size of a file or block device; refuses everything else. */
static int find_size(struct raw *raw, const char *path, struct error *err)
{
    struct stat status;

    if (fstat(raw->fd, &status) < 0)
        return error_set(err, -errno, "cannot examine disk image '%s': %s", path, strerror(errno));
    raw->is_device = S_ISBLK(status.st_mode);
    if (S_ISDIR(status.st_mode))
        return error_set(err, -EISDIR,
                         "disk image '%s' is a directory; give a file, or share it "
                         "with -v",
                         path);
    if (!raw->is_device && !S_ISREG(status.st_mode))
        return error_set(err, -EINVAL, "disk image '%s' is neither a file nor a block device",
                         path);
    raw->file_size = (uint64_t)status.st_size;
    if (raw->is_device && ioctl(raw->fd, BLKGETSIZE64, &raw->file_size) < 0)
        return error_set(err, -errno, "cannot find the size of '%s': %s", path, strerror(errno));
    if (raw->file_size == 0)
        return error_set(err, -EINVAL,
                         "disk image '%s' is empty; give it a size first, for example: "
                         "truncate -s 4G '%s'",
                         path, path);
    raw->port.size_bytes = bits_align_up(raw->file_size, BLOCK_SECTOR_SIZE);
    return 0;
}

/* Open file description locks end with the descriptor, whoever closes other
 * ones on the same file. Readers share, a writer is alone. */
static int lock_image(const struct raw *raw, const char *path, bool shared, struct error *err)
{
    struct flock lock = {.l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

    if (fcntl(raw->fd, F_OFD_SETLK, &lock) == 0)
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return error_set(err, -EBUSY,
                         "disk image '%s' is in use by another process; stop that one, or open "
                         "the image readonly in both",
                         path);
    if (errno == EINVAL || errno == ENOLCK || errno == EOPNOTSUPP) {
        log_warn("blk", "disk image '%s' cannot be locked: %s; nothing keeps others from using it",
                 path, strerror(errno));
        return 0;
    }
    return error_set(err, -errno, "cannot lock disk image '%s': %s", path, strerror(errno));
}

static int check_format(struct raw *raw, const char *path, const struct raw_options *options,
                        struct error *err)
{
    uint8_t head[BLOCK_SECTOR_SIZE];

    if (options->format_given)
        return 0;
    int result = read_image(raw, head, sizeof(head), 0);
    if (result < 0)
        return error_set(err, result, "cannot read disk image '%s': %s", path, strerror(-result));
    enum probe_result format = probe_format(head, sizeof(head));
    if (format != PROBE_RAW)
        return error_set(err, -EINVAL,
                         "disk image '%s' begins like a %s image; give format=%s to open it as "
                         "one, or format=raw if its bytes are the disk",
                         path, probe_name(format), probe_name(format));
    raw->guard_magic = true;
    return 0;
}

static int open_file(struct raw *raw, const char *path, bool read_only, struct error *err)
{
    int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

    do
        raw->fd = open(path, flags);
    while (raw->fd < 0 && errno == EINTR);
    if (raw->fd >= 0)
        return 0;
    if (errno == EISDIR)
        return error_set(err, -EISDIR,
                         "disk image '%s' is a directory; give a file, or share it "
                         "with -v",
                         path);
    if (errno == EACCES || errno == EROFS || errno == EPERM)
        return error_set(err, -errno, "cannot open disk image '%s': %s%s", path, strerror(errno),
                         read_only ? "" : "; add readonly or snapshot to use it without writing");
    return error_set(err, -errno, "cannot open disk image '%s': %s", path, strerror(errno));
}

int raw_open(const char *path, const struct raw_options *options, struct raw **out,
             struct error *err)
{
    bool image_read_only = options->read_only || options->snapshot;
    struct raw *raw = calloc(1, sizeof(*raw));

    if (!raw)
        return error_set(err, -ENOMEM, "%s: out of memory", path);
    raw->fd = -1;
    int result = open_file(raw, path, image_read_only, err);
    if (result == 0)
        result = find_size(raw, path, err);
    if (result == 0)
        result = lock_image(raw, path, image_read_only, err);
    if (result == 0)
        result = check_format(raw, path, options, err);
    if (result == 0 && options->snapshot && !options->read_only)
        result = overlay_file_create(&(struct overlay_base){raw->port.size_bytes, read_image, raw},
                                     &raw->overlay, err);
    if (result < 0) {
        raw_close(raw);
        return result;
    }
    raw->port.read_only = options->read_only;
    raw->port.can_discard = !options->read_only;
    raw->port.submit = submit;
    raw->port.owner = raw;
    *out = raw;
    return 0;
}

void raw_close(struct raw *raw)
{
    if (!raw)
        return;
    overlay_file_destroy(raw->overlay);
    if (raw->fd >= 0)
        close(raw->fd);
    free(raw);
}

const struct block_port *raw_port(const struct raw *raw)
{
    return &raw->port;
}
