/* SPDX-License-Identifier: Apache-2.0
 * Whole files. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

/* A file's content, or a part of memory that someone gave. */
struct file_bytes {
    uint8_t *bytes;
    size_t size;
};

/* Reads the regular file at `path`, at most `most` bytes. On success the caller
 * owns *out (file_bytes_free). Errors name `what` and the path. */
MUST_CHECK int file_read(const char *path, const char *what, uint64_t most, struct file_bytes *out,
                         struct error *err);
void file_bytes_free(struct file_bytes *file);

/* Replaces `path` by `size` bytes atomically: written beside it, then renamed. A
 * device, FIFO or terminal is written to instead. */
MUST_CHECK int file_write(const char *path, const void *bytes, size_t size, struct error *err);
