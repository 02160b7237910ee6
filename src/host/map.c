/* SPDX-License-Identifier: Apache-2.0
 * Memory mappings. */
#include "host/map.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *map_lazy(size_t size, const char *what, struct error *err)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);

    if (at == MAP_FAILED) {
        error_set(err, -errno, "cannot map %zu MiB of %s: %s", size >> 20, what, strerror(errno));
        return NULL;
    }
    madvise(at, size, MADV_DONTDUMP);
    return at;
}

void map_free(void *at, size_t size)
{
    if (at)
        munmap(at, size);
}

void map_clear(void *at, size_t size)
{
    madvise(at, size, MADV_DONTNEED);
}

void map_clear_within(void *at, size_t size)
{
    uint8_t *bytes = at;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t before = (size_t)(-(uintptr_t)at & (page - 1));

    if (size < before + page) {
        memset(at, 0, size);
        return;
    }
    size_t whole = (size - before) & ~(page - 1);
    memset(bytes, 0, before);
    map_clear(bytes + before, whole);
    memset(bytes + before + whole, 0, size - before - whole);
}
