/* SPDX-License-Identifier: Apache-2.0
 * Who has locked a file.
 *
 * The kernel does not tell the process of an open file description lock, as several can
 * share it. But /proc/PID/fdinfo lists the locks of each descriptor, for processes that
 * we may look into: those of the same user. A record of our own beside the image would be
 * stale after a crash. */
#include "backend/block/lock_holder.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Does descriptor `name` of the process have the file, and a lock of it? */
static bool has_lock(const char *pid, const char *name, const struct stat *wanted)
{
    char path[600];
    char line[256];
    struct stat status;
    bool found = false;

    snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, name);
    if (stat(path, &status) < 0 || status.st_dev != wanted->st_dev ||
        status.st_ino != wanted->st_ino)
        return false;
    snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof(line), file))
        found = strncmp(line, "lock:", 5) == 0;
    fclose(file);
    return found;
}

static bool process_has_lock(const char *pid, const struct stat *wanted)
{
    char path[300];
    const struct dirent *entry;
    bool found = false;

    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    DIR *folder = opendir(path);
    if (!folder)
        return false;
    while (!found && (entry = readdir(folder)))
        found = isdigit((unsigned char)entry->d_name[0]) && has_lock(pid, entry->d_name, wanted);
    closedir(folder);
    return found;
}

static void describe(const char *pid, char *to, size_t size)
{
    char path[300];
    char name[32] = "";

    if (strtol(pid, NULL, 10) == getpid()) {
        snprintf(to, size, "this process already");
        return;
    }
    snprintf(path, sizeof(path), "/proc/%s/comm", pid);
    FILE *file = fopen(path, "re");
    if (file) {
        if (fgets(name, sizeof(name), file))
            name[strcspn(name, "\n")] = 0;
        fclose(file);
    }
    for (char *at = name; *at; at++)
        if (!isprint((unsigned char)*at))
            *at = '?';
    snprintf(to, size, "process %s%s%s%s", pid, name[0] ? " (" : "", name, name[0] ? ")" : "");
}

void lock_holder_find(int fd, char *to, size_t size)
{
    struct stat wanted;
    const struct dirent *entry;

    snprintf(to, size, "another process");
    DIR *folder = opendir("/proc");
    if (!folder)
        return;
    while (fstat(fd, &wanted) == 0 && (entry = readdir(folder))) {
        if (!isdigit((unsigned char)entry->d_name[0]) || !process_has_lock(entry->d_name, &wanted))
            continue;
        describe(entry->d_name, to, size);
        break;
    }
    closedir(folder);
}
