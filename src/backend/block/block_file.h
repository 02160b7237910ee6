/* SPDX-License-Identifier: Apache-2.0
 * The file or block device that a disk image lies in: transfers that are complete or
 * fail, and locks.
 *
 * Images are never mapped: a file that somebody truncates must cost an I/O error, not
 * a SIGBUS. All calls to the kernel go through a table, so that tests can make each of
 * them fail, or record them. */
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

/* As the system calls, but errors are returned as negative errnos. Any thread. */
struct block_file_ops {
    ssize_t (*read)(void *owner, int fd, const struct iovec *vectors, int count, uint64_t offset);
    ssize_t (*write)(void *owner, int fd, const struct iovec *vectors, int count, uint64_t offset);
    /* What was written, and what is needed to find it, is on stable storage. */
    int (*sync)(void *owner, int fd);
    /* fallocate */
    int (*allocate)(void *owner, int fd, int mode, uint64_t offset, uint64_t size);
    void *owner;
};

struct block_file {
    int fd; /* -1: closed */
    bool is_device;
    uint64_t size; /* bytes, when opened */
    uint64_t modified_ns;
    const struct block_file_ops *ops;
};

/* The kernel's. */
extern const struct block_file_ops block_file_kernel;

/* Opens the image at `path` and locks it: readers share, a writer is alone. On success
 * the caller owns *out (block_file_close). Returns 0, or -errno with the reason in
 * `err`: -EBUSY when it is locked by another. */
MUST_CHECK int block_file_open(const char *path, bool read_only, const struct block_file_ops *ops,
                               struct block_file *out, struct error *err);
/* To look at an image that may be in use: read-only, without a lock. */
MUST_CHECK int block_file_open_unlocked(const char *path, struct block_file *out,
                                        struct error *err);
void block_file_close(struct block_file *file);

/* 0 or a negative errno: everything was moved, or the range does not exist (-EIO when it
 * should). EINTR and short transfers go on where they stopped. The vectors are used up. */
MUST_CHECK int block_file_read(const struct block_file *file, struct iovec *vectors, unsigned count,
                               uint64_t offset);
MUST_CHECK int block_file_write(const struct block_file *file, struct iovec *vectors,
                                unsigned count, uint64_t offset);
MUST_CHECK int block_file_read_bytes(const struct block_file *file, void *to, size_t size,
                                     uint64_t offset);
MUST_CHECK int block_file_write_bytes(const struct block_file *file, const void *from, size_t size,
                                      uint64_t offset);
/* Fills [offset, offset + size) with zeroes, by a hole where that can be. */
MUST_CHECK int block_file_zero(const struct block_file *file, uint64_t offset, uint64_t size);
/* Makes a hole. -EOPNOTSUPP: the file has none; nothing has changed. */
MUST_CHECK int block_file_punch(const struct block_file *file, uint64_t offset, uint64_t size);
/* Takes room for the range, if the file system can; its content stays. */
MUST_CHECK int block_file_reserve(const struct block_file *file, uint64_t offset, uint64_t size);
/* A failure is final: the kernel may have dropped what it could not write, and would report
 * the next one as successful. */
MUST_CHECK int block_file_sync(const struct block_file *file);
