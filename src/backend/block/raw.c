/* SPDX-License-Identifier: Apache-2.0
 * Raw disk images.
 *
 * A failed fdatasync is final: the kernel may have dropped the dirty pages, so every
 * later flush and write fails too until the image is opened again. */
#include "backend/block/raw.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/vectors.h"
#include "base/bits.h"
#include "base/log.h"
#include "port/block.h"

struct raw {
    struct disk_image image;
    struct block_file file;
    bool guard_magic;
    atomic_bool flush_failed; /* sticky, see above */
};

static struct raw *raw_of(struct disk_image *image)
{
    return CONTAINER_OF(image, struct raw, image);
}

/* The last sector of a file of odd size is padded with zeroes; anywhere before
 * that, an end of file means the file was truncated behind our back. */
static int raw_read(struct disk_image *image, struct iovec *vectors, unsigned count,
                    uint64_t offset)
{
    const struct raw *raw = raw_of(image);
    uint64_t end = offset + vectors_size(vectors, count);

    if (end <= raw->file.size)
        return block_file_read(&raw->file, vectors, count, offset);
    struct iovec inside[BLOCK_MAX_SEGMENTS];
    struct iovec behind[BLOCK_MAX_SEGMENTS];
    uint64_t length = raw->file.size - MIN(offset, raw->file.size);
    unsigned inside_count = vectors_slice(vectors, count, 0, length, inside);
    unsigned behind_count = vectors_slice(vectors, count, length, end - offset - length, behind);
    vectors_zero(behind, behind_count);
    return block_file_read(&raw->file, inside, inside_count, offset);
}

/* Guest memory may change while we look, so the first sector of a write is
 * copied, checked, and written from the copy. */
static int write_guarded(const struct raw *raw, struct iovec *vectors, unsigned count)
{
    struct iovec first[BLOCK_MAX_SEGMENTS];
    uint8_t sector[BLOCK_SECTOR_SIZE];
    size_t copied = (size_t)MIN(vectors_size(vectors, count), sizeof(sector));

    vectors_gather(first, vectors_slice(vectors, count, 0, copied, first), sector);
    if (probe_format(sector, copied) != FORMAT_RAW) {
        log_warn("blk", "the guest may not write the magic of a disk image format into sector 0; "
                        "give format=raw to allow it");
        return -EPERM;
    }
    int result = block_file_write_bytes(&raw->file, sector, copied, 0);
    if (result < 0)
        return result;
    unsigned next = vectors_advance(vectors, 0, count, copied);
    return block_file_write(&raw->file, vectors + next, count - next, copied);
}

static int raw_write(struct disk_image *image, struct iovec *vectors, unsigned count,
                     uint64_t offset)
{
    const struct raw *raw = raw_of(image);

    if (raw->flush_failed)
        return -EIO;
    if (raw->guard_magic && offset == 0)
        return write_guarded(raw, vectors, count);
    return block_file_write(&raw->file, vectors, count, offset);
}

static int raw_flush(struct disk_image *image)
{
    struct raw *raw = raw_of(image);

    if (raw->flush_failed)
        return -EIO;
    int result = image->read_only ? 0 : block_file_sync(&raw->file);
    if (result < 0) {
        raw->flush_failed = true;
        log_error("blk",
                  "flushing a disk image failed: %s; its content may be lost, further "
                  "writes are refused",
                  strerror(-result));
    }
    return result;
}

static int raw_discard(struct disk_image *image, uint64_t offset, uint64_t size)
{
    const struct raw *raw = raw_of(image);

    if (raw->flush_failed)
        return -EIO;
    int result = block_file_punch(&raw->file, offset, size);
    return result == -EOPNOTSUPP ? 0 : result; /* a hint: keeping the data is allowed */
}

static int raw_write_zeroes(struct disk_image *image, uint64_t offset, uint64_t size)
{
    const struct raw *raw = raw_of(image);

    return raw->flush_failed ? -EIO : block_file_zero(&raw->file, offset, size);
}

static void raw_close(struct disk_image *image)
{
    struct raw *raw = raw_of(image);

    block_file_close(&raw->file);
    free(raw);
}

static const struct disk_image_ops raw_ops = {
    .read = raw_read,
    .write = raw_write,
    .discard = raw_discard,
    .write_zeroes = raw_write_zeroes,
    .flush = raw_flush,
    .close = raw_close,
};

int raw_open(struct block_file *take_file, bool read_only, bool guard_magic,
             struct disk_image **out, struct error *err)
{
    struct raw *raw = calloc(1, sizeof(*raw));

    if (!raw)
        return error_set(err, -ENOMEM, "out of memory");
    raw->image = (struct disk_image){
        .ops = &raw_ops,
        .size_bytes = bits_align_up(take_file->size, BLOCK_SECTOR_SIZE),
        .format = FORMAT_RAW,
        .read_only = read_only,
    };
    raw->file = *take_file;
    raw->guard_magic = guard_magic;
    take_file->fd = -1;
    *out = &raw->image;
    return 0;
}
