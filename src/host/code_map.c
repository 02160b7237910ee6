/* SPDX-License-Identifier: Apache-2.0
 * Code memory: one anonymous file, mapped twice. */
#include "host/code_map.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/bits.h"

/* Since Linux 6.3; not in the headers of older systems. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static int open_memory(void)
{
    unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("doppel-code", flags | MFD_EXEC);

    if (fd < 0 && errno == EINVAL) /* a kernel before the flag */
        fd = memfd_create("doppel-code", flags);
    else if (fd < 0 && errno == EACCES)
        /* vm.memfd_noexec=2: the file must not be run as a program. It never is, and
         * mapping it is another right. */
        fd = memfd_create("doppel-code", flags | MFD_NOEXEC_SEAL);
    return fd;
}

/* Since Linux 6.1. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* A place where pages of the host's tables can map CODE_MAP_BLOCK at once. */
static uint8_t *find_place(size_t size)
{
    uint8_t *area = mmap(NULL, size + CODE_MAP_BLOCK, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (area == MAP_FAILED)
        return NULL;
    size_t before = (size_t)(-(uintptr_t)area & (CODE_MAP_BLOCK - 1));
    if (before)
        munmap(area, before);
    munmap(area + before + size, CODE_MAP_BLOCK - before);
    return area + before;
}

static uint8_t *map_memory(int fd, size_t size, int protection)
{
    uint8_t *place = find_place(size);
    uint8_t *at = place ? mmap(place, size, protection, MAP_SHARED | MAP_FIXED, fd, 0) : MAP_FAILED;

    if (at == MAP_FAILED)
        return NULL;
    madvise(at, size, MADV_DONTDUMP);
    madvise(at, size, MADV_HUGEPAGE); /* fewer misses of the instruction TLB, where it works */
    return at;
}

/* Shared with a child, the child would write its parent's code. */
static int keep_from_children(const struct code_map *map)
{
    if (madvise(map->write, map->size, MADV_DONTFORK) < 0 ||
        madvise(map->exec, map->size, MADV_DONTFORK) < 0)
        return -errno;
    return 0;
}

/* The same without a file: processes may have no descriptor left, or be allowed files of
 * some size only. A shared mapping that is moved but keeps its size of zero stays. */
static int fill_anonymous(struct code_map *map)
{
    uint8_t *first = find_place(map->size);
    uint8_t *second = find_place(map->size);

    if (!first || !second)
        return -ENOMEM;
    if (mmap(first, map->size, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
        return -errno;
    map->write = first;
    if (mremap(first, 0, map->size, MREMAP_MAYMOVE | MREMAP_FIXED, second) == MAP_FAILED)
        return -errno;
    map->exec = second;
    if (mprotect(second, map->size, PROT_READ | PROT_EXEC) < 0)
        return -errno;
    return keep_from_children(map);
}

static bool may_have_file(size_t size)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur >= size;
}

static int fill(int fd, struct code_map *map)
{
    if (ftruncate(fd, (off_t)map->size) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return -errno;
    map->write = map_memory(fd, map->size, PROT_READ | PROT_WRITE);
    if (!map->write)
        return -errno;
    map->exec = map_memory(fd, map->size, PROT_READ | PROT_EXEC);
    if (!map->exec)
        return -errno;
    return keep_from_children(map);
}

int code_map_create(struct code_map *map, size_t size, struct error *err)
{
    ASSERT(size != 0 && size <= SIZE_MAX / 4);
    struct code_map made = {.size = bits_align_up(size, page_size())};
    int fd = may_have_file(made.size) ? open_memory() : -1;
    int result = fd < 0 ? fill_anonymous(&made) : fill(fd, &made);

    /* Not kept: without it nobody can map the memory a third time. */
    if (fd >= 0)
        close(fd);
    if (result < 0) {
        code_map_free(&made);
        return error_set(err, result, "cannot map %zu KiB of memory for code: %s", size >> 10,
                         strerror(-result));
    }
    *map = made;
    return 0;
}

void code_map_free(struct code_map *map)
{
    if (map->write)
        munmap(map->write, map->size);
    if (map->exec)
        munmap(map->exec, map->size);
    *map = (struct code_map){0};
}

static void check_range(const struct code_map *map, size_t offset, size_t size)
{
    ASSERT(((offset | size) & (page_size() - 1)) == 0);
    ASSERT(offset <= map->size && size <= map->size - offset);
}

void code_map_discard(struct code_map *map, size_t offset, size_t size)
{
    check_range(map, offset, size);
    /* Punches a hole into the file. Where that fails the memory stays, but not what
     * was in it. */
    if (size != 0 && madvise(map->write + offset, size, MADV_REMOVE) < 0)
        memset(map->write + offset, 0, size);
}

void code_map_join(const struct code_map *map, size_t offset)
{
    check_range(map, offset, CODE_MAP_BLOCK);
    /* Where it fails, the instruction TLB misses more often. */
    madvise(map->exec + offset, CODE_MAP_BLOCK, MADV_COLLAPSE);
}

void code_map_forget_writes(struct code_map *map, size_t offset, size_t size)
{
    check_range(map, offset, size);
    /* Of a shared mapping, this drops what is mapped and not what is in the file. Where
     * it fails, nothing is lost but memory. */
    if (size != 0)
        madvise(map->write + offset, size, MADV_DONTNEED);
}
