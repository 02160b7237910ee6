/* SPDX-License-Identifier: Apache-2.0
 * Whole files, and files that are kept open to be read again. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"
#include "port/file.h"

#include <time.h>

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

/* A regular file that stays open, so that it can be read also when it was deleted. A
 * zeroed one is closed. */
struct open_file {
    const char *path; /* borrowed; NULL: it is closed */
    const char *what; /* borrowed */
    int fd;
    size_t size;              /* bytes, when it was opened; not 0 */
    struct timespec modified; /* likewise */
};

/* Opens the regular file at `path` of at most `most` bytes. On success the caller owns
 * *out (file_close), and `path` and `what`, for messages, must live as long. */
MUST_CHECK int file_open(const char *path, const char *what, uint64_t most, struct open_file *out,
                         struct error *err);
/* A path inside a folder: links within it lead nowhere else, and an absolute one begins
 * at the folder. */
struct file_inside {
    int folder_fd;
    const char *path;
    const char *name; /* for messages; must live as long as the open file */
};

MUST_CHECK int file_open_inside(const struct file_inside *where, const char *what, uint64_t most,
                                struct open_file *out, struct error *err);
/* Opens a folder or file there, with flags of open(2). Returns a descriptor or -errno. */
MUST_CHECK int file_open_path_inside(int folder_fd, const char *path, int flags);
/* Accepts a closed one. */
void file_close(struct open_file *file);
/* All of it; as file_read. */
MUST_CHECK int file_read_open(const struct open_file *file, struct file_bytes *out,
                              struct error *err);
/* Reads parts of it for whom the port is given to, and fails once the file's size or time
 * of change differ from those at its opening. The file must stay open and where it is. */
struct file_port file_port(struct open_file *file);

/* A lock that the process holds, not its children, and that the kernel lets go when it ends. */
struct file_lock {
    int fd; /* 0: not held */
};

/* Takes the lock of the file at `path`, which is made if it is not there. -EBUSY: another process has it, which
 * the text names. Nothing else in the process may open the file. */
MUST_CHECK int file_lock_take(const char *path, struct file_lock *lock, struct error *err);
/* Accepts a zeroed one. */
void file_lock_release(struct file_lock *lock);

/* Writes all of it to a descriptor that blocks. 0 or a negative errno; a part may be written. */
MUST_CHECK int file_put(int fd, const void *bytes, size_t size);

/* Replaces `path` by `size` bytes atomically: written beside it, then renamed. A
 * device, FIFO or terminal is written to instead. */
MUST_CHECK int file_write(const char *path, const void *bytes, size_t size, struct error *err);
