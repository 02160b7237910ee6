/* SPDX-License-Identifier: Apache-2.0
 * Whole files, and files that are kept open to be read again. */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int read_all(int fd, uint64_t at, uint8_t *to, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, to + done, size - done, (off_t)(at + done));
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

static int check_open(struct open_file *file, uint64_t most, struct error *err)
{
    const char *what = file->what;
    const char *path = file->path;
    struct stat st;

    if (fstat(file->fd, &st) < 0)
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
    file->size = (size_t)st.st_size;
    file->modified = st.st_mtim;
    return 0;
}

int file_open(const char *path, const char *what, uint64_t most, struct open_file *out,
              struct error *err)
{
    struct open_file file = {.path = path, .what = what};

    /* Non-blocking, so that a FIFO does not make us wait before it is refused. */
    file.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file.fd < 0)
        return error_set(err, -errno, "cannot open %s '%s': %s", what, path, strerror(errno));
    int result = check_open(&file, most, err);
    if (result < 0) {
        file_close(&file);
        return result;
    }
    *out = file;
    return 0;
}

int file_open_path_inside(int folder_fd, const char *path, int flags)
{
    struct open_how how = {
        .flags = (uint64_t)flags | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, folder_fd, path, &how, sizeof(how));

    return fd < 0 ? -errno : (int)fd;
}

int file_open_inside(const struct file_inside *where, const char *what, uint64_t most,
                     struct open_file *out, struct error *err)
{
    struct open_file file = {.path = where->name, .what = what};

    file.fd = file_open_path_inside(where->folder_fd, where->path, O_RDONLY | O_NONBLOCK);
    if (file.fd < 0)
        return error_set(err, file.fd, "cannot open %s '%s': %s", what, where->name,
                         strerror(-file.fd));
    int result = check_open(&file, most, err);
    if (result < 0) {
        file_close(&file);
        return result;
    }
    *out = file;
    return 0;
}

void file_close(struct open_file *file)
{
    if (file->path)
        close(file->fd);
    *file = (struct open_file){0};
}

int file_read_open(const struct open_file *file, struct file_bytes *out, struct error *err)
{
    uint8_t *bytes = malloc(MAX(file->size, 1));

    if (!bytes)
        return error_set(err, -ENOMEM, "cannot read %s '%s': out of memory", file->what,
                         file->path);
    int result = read_all(file->fd, 0, bytes, file->size);
    if (result < 0) {
        free(bytes);
        return error_set(err, result, "cannot read %s '%s': %s", file->what, file->path,
                         strerror(-result));
    }
    *out = (struct file_bytes){bytes, file->size};
    return 0;
}

static int read_again(void *owner, uint64_t at, void *to, size_t size, struct error *err)
{
    const struct open_file *file = owner;
    struct stat st;
    int result = fstat(file->fd, &st) < 0 ? -errno : 0;

    if (result == 0 &&
        ((size_t)st.st_size != file->size || st.st_mtim.tv_sec != file->modified.tv_sec ||
         st.st_mtim.tv_nsec != file->modified.tv_nsec))
        return error_set(err, -ESTALE, "cannot read %s '%s' again: it has changed since the start",
                         file->what, file->path);
    if (result == 0)
        result = read_all(file->fd, at, to, size);
    return result < 0 ? error_set(err, result, "cannot read %s '%s' again: %s", file->what,
                                  file->path, strerror(-result))
                      : 0;
}

struct file_port file_port(struct open_file *file)
{
    return (struct file_port){read_again, file};
}

int file_read(const char *path, const char *what, uint64_t most, struct file_bytes *out,
              struct error *err)
{
    struct open_file file = {0};
    int result = file_open(path, what, most, &file, err);

    if (result == 0)
        result = file_read_open(&file, out, err);
    file_close(&file);
    return result;
}

void file_bytes_free(struct file_bytes *file)
{
    free(file->bytes);
    *file = (struct file_bytes){0};
}

int file_put(int fd, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;

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
    int result = file_put(fd, from, size);
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
    int result = file_put(fd, from, size);
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

int file_lock_take(const char *path, struct file_lock *lock, struct error *err)
{
    struct flock region = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return error_set(err, -errno, "cannot open lock file '%s': %s", path, strerror(errno));
    /* Of the process: a record lock of the file description would live on in children. */
    if (fcntl(fd, F_SETLK, &region) == 0) {
        lock->fd = fd;
        return 0;
    }
    int result = -errno;
    if (fcntl(fd, F_GETLK, &region) < 0 || region.l_type == F_UNLCK)
        region.l_pid = 0;
    close(fd);
    if (result == -EAGAIN || result == -EACCES)
        return error_set(err, -EBUSY, "'%s' is locked by process %d", path, (int)region.l_pid);
    return error_set(err, result, "cannot lock '%s': %s", path, strerror(-result));
}

void file_lock_release(struct file_lock *lock)
{
    if (lock->fd > 0)
        close(lock->fd);
    lock->fd = 0;
}
