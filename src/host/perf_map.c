/* SPDX-License-Identifier: Apache-2.0
 * perf's map of generated code: tools/perf/Documentation/jit-interface.txt of Linux. */
#include "host/perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_NAME = 200, BUFFER_SIZE = 32 * 1024 };

struct perf_map {
    int fd;
    uint64_t room; /* bytes that may still go to the file */
    uint64_t lost;
    size_t used; /* of `buffer` */
    char path[64];
    char buffer[BUFFER_SIZE];
};

int perf_map_create(struct perf_map **out, uint64_t most_bytes, struct error *err)
{
    struct perf_map *map = calloc(1, sizeof(*map));

    if (!map)
        return error_set(err, -ENOMEM, "cannot make a perf map: out of memory");
    map->room = most_bytes;
    snprintf(map->path, sizeof(map->path), "/tmp/perf-%d.map", (int)getpid());
    /* Anybody can have put a file or a link there first. */
    map->fd = open(map->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (map->fd < 0) {
        int result =
            error_set(err, -errno, "cannot make the perf map '%s': %s%s", map->path,
                      strerror(errno), errno == EEXIST ? "; remove it if no process needs it" : "");
        free(map);
        return result;
    }
    *out = map;
    return 0;
}

static void flush(struct perf_map *map)
{
    for (size_t done = 0; done < map->used;) {
        ssize_t put = write(map->fd, map->buffer + done, map->used - done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            /* A full disk: half a line must not be followed by another. */
            map->room = 0;
            break;
        }
        done += (size_t)put;
    }
    map->used = 0;
}

void perf_map_destroy(struct perf_map *map)
{
    if (!map)
        return;
    flush(map);
    close(map->fd);
    free(map);
}

void perf_map_add(struct perf_map *map, const void *start, size_t size, const char *name)
{
    char line[MOST_NAME + 48];
    int length = snprintf(line, sizeof(line), "%" PRIxPTR " %zx %.*s\n", (uintptr_t)start, size,
                          MOST_NAME, name);

    for (int i = 0; i < length - 1; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = '?';
    if ((uint64_t)length > map->room) {
        map->lost++;
        return;
    }
    map->room -= (uint64_t)length;
    if (map->used + (size_t)length > sizeof(map->buffer))
        flush(map);
    memcpy(map->buffer + map->used, line, (size_t)length);
    map->used += (size_t)length;
}

const char *perf_map_path(const struct perf_map *map)
{
    return map->path;
}

uint64_t perf_map_lost(const struct perf_map *map)
{
    return map->lost;
}
