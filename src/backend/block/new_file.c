/* SPDX-License-Identifier: Apache-2.0
 * Files that appear whole or not at all. */
#include "backend/block/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder that `path` lies in: "." for a bare name. The caller frees it. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static int exists(const char *path, struct error *err)
{
    return error_set(err, -EEXIST, "'%s' exists already; remove it first, or choose another name",
                     path);
}

static int open_hidden(struct new_file *file, const char *folder)
{
    size_t size = strlen(folder) + sizeof("/.doppel-XXXXXX");

    file->temporary = malloc(size);
    if (!file->temporary)
        return -ENOMEM;
    snprintf(file->temporary, size, "%s/.doppel-XXXXXX", folder);
    int fd = mkostemp(file->temporary, O_CLOEXEC);
    if (fd >= 0)
        return fd;
    int code = -errno;
    free(file->temporary);
    file->temporary = NULL;
    return code;
}

int new_file_open(const char *path, struct new_file *out, struct error *err)
{
    struct new_file file = {.path = path, .file = {.ops = &block_file_kernel}};

    if (access(path, F_OK) == 0)
        return exists(path, err);
    char *folder = folder_of(path);
    if (!folder)
        return error_set(err, -ENOMEM, "%s: out of memory", path);
    file.file.fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (file.file.fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
        file.file.fd = open_hidden(&file, folder);
    else if (file.file.fd < 0)
        file.file.fd = -errno;
    if (file.file.fd < 0)
        error_set(err, file.file.fd, "cannot make '%s': %s", path, strerror(-file.file.fd));
    free(folder);
    if (file.file.fd < 0)
        return file.file.fd;
    *out = file;
    return 0;
}

/* The name, too, has to be on stable storage. */
static int sync_folder(const char *path)
{
    char *folder = folder_of(path);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int result = fd < 0 || fsync(fd) < 0 ? -errno : 0;

    if (fd >= 0)
        close(fd);
    free(folder);
    return result == -EINVAL || result == -EROFS ? 0 : result; /* folders that cannot be synced */
}

static int give_name(struct new_file *file)
{
    char link_path[64];

    if (file->temporary) {
        mode_t mask = umask(0);
        umask(mask);
        if (fchmod(file->file.fd, 0666 & ~mask) < 0 || link(file->temporary, file->path) < 0)
            return -errno;
        unlink(file->temporary);
        free(file->temporary);
        file->temporary = NULL;
        return 0;
    }
    snprintf(link_path, sizeof(link_path), "/proc/self/fd/%d", file->file.fd);
    return linkat(AT_FDCWD, link_path, AT_FDCWD, file->path, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

int new_file_finish(struct new_file *file, struct error *err)
{
    int result = fsync(file->file.fd) < 0 ? -errno : 0;

    if (result == 0)
        result = give_name(file);
    if (result == 0)
        result = sync_folder(file->path);
    if (result == -EEXIST)
        exists(file->path, err);
    else if (result < 0)
        error_set(err, result, "cannot write '%s': %s", file->path, strerror(-result));
    new_file_abandon(file);
    return result;
}

void new_file_abandon(struct new_file *file)
{
    block_file_close(&file->file);
    if (file->temporary)
        unlink(file->temporary);
    free(file->temporary);
    file->temporary = NULL;
}
