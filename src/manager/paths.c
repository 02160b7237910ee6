/* SPDX-License-Identifier: Apache-2.0
 * Where things are kept. */
#include "manager/paths.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Descriptors that removing a tree may use at a time. */
#define REMOVE_DEPTH 32

static int too_long(struct error *err, const char *path)
{
    return error_set(err, -ENAMETOOLONG, "the path '%.64s...' is too long", path);
}

static int print_path(char to[PATH_MAX], struct error *err, const char *format, ...)
    PRINTF_LIKE(3, 4);

static int print_path(char to[PATH_MAX], struct error *err, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int length = vsnprintf(to, PATH_MAX, format, arguments);
    va_end(arguments);
    return length < 0 || length >= PATH_MAX ? too_long(err, to) : 0;
}

/* The variable's value if it is an absolute path, as the specification wants it. */
static const char *absolute(const char *variable)
{
    const char *value = getenv(variable);

    return value && value[0] == '/' ? value : NULL;
}

/* Whether a folder is ours alone. */
static bool is_private(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
           (status.st_mode & 077) == 0;
}

/* Without a login there is no XDG_RUNTIME_DIR. */
static int find_runtime(struct paths *paths, struct error *err)
{
    const char *given = absolute("XDG_RUNTIME_DIR");
    char folder[64];

    if (given)
        return print_path(paths->runtime, err, "%s/doppel", given);
    snprintf(folder, sizeof(folder), "/run/user/%u", geteuid());
    if (is_private(folder))
        return print_path(paths->runtime, err, "%s/doppel", folder);
    snprintf(folder, sizeof(folder), "/tmp/doppel-%u", geteuid());
    if (path_exists(folder) && !is_private(folder))
        return error_set(err, -EPERM,
                         "'%s' is not a folder of this user alone; set XDG_RUNTIME_DIR to one",
                         folder);
    return print_path(paths->runtime, err, "%s", folder);
}

int paths_find(struct paths *paths, struct error *err)
{
    const char *data = absolute("XDG_DATA_HOME");
    const char *home = absolute("HOME");

    if (!data && !home)
        return error_set(err, -ENOENT,
                         "neither XDG_DATA_HOME nor HOME says where to keep "
                         "machines");
    int result = data ? print_path(paths->data, err, "%s/doppel", data)
                      : print_path(paths->data, err, "%s/.local/share/doppel", home);
    return result < 0 ? result : find_runtime(paths, err);
}

int path_join(char to[PATH_MAX], struct error *err, const char *folder, ...)
{
    va_list parts;
    size_t length = strlen(folder);
    const char *part;

    if (length >= PATH_MAX)
        return too_long(err, folder);
    memcpy(to, folder, length + 1);
    va_start(parts, folder);
    while ((part = va_arg(parts, const char *))) {
        int added = snprintf(to + length, PATH_MAX - length, "/%s", part);
        length += (size_t)added;
        if (length >= PATH_MAX)
            break;
    }
    va_end(parts);
    return length >= PATH_MAX ? too_long(err, to) : 0;
}

int path_make_folder(const char *path, struct error *err)
{
    char part[PATH_MAX];
    size_t length = strlen(path);

    if (length >= sizeof(part))
        return too_long(err, path);
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (part[i] != '/' && part[i])
            continue;
        char end = part[i];
        part[i] = 0;
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return error_set(err, -errno, "cannot make the folder '%s': %s", part, strerror(errno));
        part[i] = end;
    }
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)place;
    return (kind == FTW_DP ? rmdir(path) : unlink(path)) < 0 && errno != ENOENT ? -1 : 0;
}

int path_remove(const char *path, struct error *err)
{
    if (nftw(path, remove_entry, REMOVE_DEPTH, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT)
        return 0;
    return error_set(err, -errno, "cannot remove '%s': %s", path, strerror(errno));
}

bool path_exists(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}
