/* SPDX-License-Identifier: Apache-2.0
 * Writes that are forgotten: an anonymous temporary file over a disk image,
 * copied on write by clusters of 64 KiB. */
#pragma once

#include <sys/uio.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

struct overlay_file;

/* What lies below. read() fills all of `to` or returns a negative errno. */
struct overlay_base {
    uint64_t size_bytes;
    int (*read)(void *owner, void *to, size_t size, uint64_t offset);
    void *owner;
};

/* On success the caller owns *out (overlay_file_destroy). The file lies in
 * $TMPDIR, else in /var/tmp or /tmp, and has no name. */
MUST_CHECK int overlay_file_create(const struct overlay_base *base, struct overlay_file **out,
                                   struct error *err);
void overlay_file_destroy(struct overlay_file *overlay);

/* 0 or a negative errno; the ranges lie within size_bytes. May block. */
MUST_CHECK int overlay_file_read(struct overlay_file *overlay, const struct iovec *vectors,
                                 unsigned count, uint64_t offset);
MUST_CHECK int overlay_file_write(struct overlay_file *overlay, const struct iovec *vectors,
                                  unsigned count, uint64_t offset);
MUST_CHECK int overlay_file_write_zeroes(struct overlay_file *overlay, uint64_t offset,
                                         uint64_t size);
