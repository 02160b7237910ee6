/* SPDX-License-Identifier: Apache-2.0
 * Whole files. */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, uint8_t *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, to + done, size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0) /* it shrank while we read */
            return -EIO;
        done += (size_t)got;
    }
    return 0;
}

static int read_open(int fd, const char *path, const char *what, uint64_t most,
                     struct file_bytes *out, struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return error_set(err, -errno, "cannot read %s '%s': %s", what, path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(err, -EISDIR, "cannot read %s '%s': it is a directory", what, path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, -EINVAL, "cannot read %s '%s': it is not a regular file", what, path);
    if (st.st_size == 0)
        return error_set(err, -EINVAL, "%s '%s' is empty", what, path);
    if ((uint64_t)st.st_size > most)
        return error_set(err, -EFBIG, "%s '%s' is too large: %lld bytes, at most %llu fit", what,
                         path, (long long)st.st_size, (unsigned long long)most);
    uint8_t *bytes = malloc((size_t)st.st_size);
    if (!bytes)
        return error_set(err, -ENOMEM, "cannot read %s '%s': out of memory", what, path);
    int result = read_all(fd, bytes, (size_t)st.st_size);
    if (result < 0) {
        free(bytes);
        return error_set(err, result, "cannot read %s '%s': %s", what, path, strerror(-result));
    }
    *out = (struct file_bytes){bytes, (size_t)st.st_size};
    return 0;
}

int file_read(const char *path, const char *what, uint64_t most, struct file_bytes *out,
              struct error *err)
{
    /* Non-blocking, so that a FIFO does not make us wait before it is refused. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return error_set(err, -errno, "cannot open %s '%s': %s", what, path, strerror(errno));
    int result = read_open(fd, path, what, most, out, err);
    close(fd);
    return result;
}

void file_bytes_free(struct file_bytes *file)
{
    free(file->bytes);
    *file = (struct file_bytes){0};
}

static int write_all(int fd, const uint8_t *from, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, from + done, size - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -errno;
        done += (size_t)put;
    }
    return 0;
}

/* A terminal, FIFO or device cannot be replaced by a file: it takes the bytes. */
static int write_special(const char *path, const uint8_t *from, size_t size)
{
    int fd = open(path, O_WRONLY | O_NOCTTY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int result = write_all(fd, from, size);
    if (close(fd) < 0 && result == 0)
        result = -errno;
    return result;
}

/* Beside the file first, so that it is whole or as it was. */
static int write_regular(const char *path, const uint8_t *from, size_t size)
{
    char temporary[4096];

    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.%d.tmp", path, (int)getpid()) >=
        sizeof(temporary))
        return -ENAMETOOLONG;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    int result = write_all(fd, from, size);
    if (close(fd) < 0 && result == 0)
        result = -errno;
    if (result == 0 && rename(temporary, path) < 0)
        result = -errno;
    if (result < 0)
        unlink(temporary);
    return result;
}

int file_write(const char *path, const void *bytes, size_t size, struct error *err)
{
    struct stat st;
    bool is_special = stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
    int result = is_special ? write_special(path, bytes, size) : write_regular(path, bytes, size);

    return result < 0 ? error_set(err, result, "cannot write '%s': %s", path, strerror(-result))
                      : 0;
}
