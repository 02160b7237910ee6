/* SPDX-License-Identifier: Apache-2.0
 * A disk image: bytes in a file of some format.
 *
 * Functions may be called by several threads at once, and block. What they do to
 * ranges that overlap at the same time comes out in some order. */
#pragma once

#include <sys/uio.h>

#include "backend/block/block_file.h"
#include "backend/block/probe.h"
#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "format/overlay.h"

struct disk_image;

/* 0 or a negative errno; ranges lie within the disk. */
struct disk_image_ops {
    /* The vectors may be changed. */
    int (*read)(struct disk_image *image, struct iovec *vectors, unsigned count, uint64_t offset);
    /* The next three are NULL in formats that are only read. */
    int (*write)(struct disk_image *image, struct iovec *vectors, unsigned count, uint64_t offset);
    int (*discard)(struct disk_image *image, uint64_t offset, uint64_t size);
    int (*write_zeroes)(struct disk_image *image, uint64_t offset, uint64_t size);
    /* What calls that have returned wrote is on stable storage. NULL: nothing to do. */
    int (*flush)(struct disk_image *image);
    /* Frees all; nobody else uses the image any more. */
    void (*close)(struct disk_image *image);
};

struct disk_image {
    const struct disk_image_ops *ops;
    uint64_t size_bytes; /* of the disk; a multiple of 512 */
    enum disk_format format;
    bool read_only;
    /* To know it again as a base; see disk_image_identify for what is not of overlays. */
    struct overlay_base_identity identity;
};

struct disk_image_options {
    enum disk_format format; /* what the file must be, if format_given; else it is looked at */
    bool format_given;
    bool read_only;
    /* Below a qcow2 image that names a backing file; NULL: such an image is refused. */
    const char *backing;
    const struct block_file_ops *ops; /* NULL: the kernel's */
    unsigned depth;                   /* images above this one */
    bool identify;                    /* an overlay is to be made over it */
};

/* Opens the image at `path`, and those below it, which are opened read-only. On success
 * the caller owns *out (disk_image_close). Returns 0, or -errno with the reason in `err`:
 * -EBUSY when another process holds one of the files. May block on file I/O. */
MUST_CHECK int disk_image_open(const char *path, const struct disk_image_options *options,
                               struct disk_image **out, struct error *err);

/* Writes what is left to write. Accepts NULL. No call may be under way. */
void disk_image_close(struct disk_image *image);

/* Convenience for whoever has one buffer. */
MUST_CHECK int disk_image_read(struct disk_image *image, void *to, size_t size, uint64_t offset);
MUST_CHECK int disk_image_write(struct disk_image *image, const void *from, size_t size,
                                uint64_t offset);
MUST_CHECK int disk_image_flush(struct disk_image *image);

/* Of what another image leaves to the one below it: behind the end of that one, or if it is
 * NULL, there are zeroes. */
MUST_CHECK int disk_image_read_below(struct disk_image *below, struct iovec *vectors,
                                     unsigned count, uint64_t offset);

/* For formats without an identity of their own: a hash of the file's first 4 MiB, last
 * 64 KiB and 256 places between. It finds a file that was replaced, or that a machine has
 * written to. Reads at most 6 MiB. */
MUST_CHECK int disk_image_identify(const struct block_file *file, uint64_t size_bytes,
                                   struct overlay_base_identity *out);
