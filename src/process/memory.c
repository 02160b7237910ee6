/* SPDX-License-Identifier: Apache-2.0
 * The list of the program's mappings: an array, sorted by address. Programs have tens or
 * hundreds; changes move the tail of the array. */
#include "process/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "process/guest_memory.h"

#define FIRST_ROOM 256
/* More than one system call transfers. */
#define BEHIND_END (UINT64_C(4) << 30)
#define LOWEST     UINT64_C(0x10000) /* as vm.mmap_min_addr most often is */

int memory_init(struct memory *memory)
{
    *memory = (struct memory){.mmap_top = USER_MEMORY_END};
    if (pthread_rwlock_init(&memory->lock, NULL) != 0)
        return -ENOMEM;
    /* A range that begins below the end and is too long must not reach anything of ours:
     * where it fails, something is there already, and the kernel keeps its distance. */
    mmap(guest_host(USER_MEMORY_END), BEHIND_END, PROT_NONE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    memory->mappings = calloc(FIRST_ROOM, sizeof(*memory->mappings));
    memory->room = FIRST_ROOM;
    return memory->mappings ? 0 : -ENOMEM;
}

/* Index of the first mapping that ends behind `at`. */
static size_t find(const struct memory *memory, uint64_t at)
{
    size_t low = 0;
    size_t high = memory->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memory->mappings[middle].end <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct mapping *memory_at(const struct memory *memory, uint64_t at)
{
    size_t i = find(memory, at);

    return i < memory->count ? &memory->mappings[i] : NULL;
}

/* Shared ones stay apart: System V segments are detached by their beginning. */
static bool can_join(const struct mapping *a, const struct mapping *b)
{
    return a->end == b->start && a->protection == b->protection && !a->is_shared && !b->is_shared;
}

/* Puts `count` mappings in the place of those from `first` up to `last`. */
static int splice(struct memory *memory, size_t first, size_t last, const struct mapping *with,
                  size_t count)
{
    size_t kept = memory->count - last;
    size_t needed = first + count + kept;

    if (needed > memory->room) {
        size_t room = needed * 2;
        struct mapping *grown = realloc(memory->mappings, room * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        memory->mappings = grown;
        memory->room = room;
    }
    memmove(&memory->mappings[first + count], &memory->mappings[last],
            kept * sizeof(*memory->mappings));
    memcpy(&memory->mappings[first], with, count * sizeof(*with));
    memory->count = needed;
    return 0;
}

/* Joins what has become alike round the mappings [first, last]. */
static void join(struct memory *memory, size_t first, size_t last)
{
    for (size_t i = last + 1; i-- > first;) {
        if (i == 0 || i >= memory->count)
            continue;
        struct mapping *left = &memory->mappings[i - 1];
        if (!can_join(left, left + 1))
            continue;
        left->end = left[1].end;
        memmove(left + 1, left + 2, (memory->count - i - 1) * sizeof(*left));
        memory->count--;
    }
}

/* The range becomes `with`, or unmapped. */
static int replace(struct memory *memory, uint64_t start, uint64_t end, const struct mapping *with)
{
    size_t first = find(memory, start);
    size_t last = first;
    struct mapping pieces[3];
    size_t count = 0;

    if (start >= end)
        return 0;
    while (last < memory->count && memory->mappings[last].start < end)
        last++;
    if (first < last && memory->mappings[first].start < start) {
        pieces[count] = memory->mappings[first];
        pieces[count++].end = start;
    }
    if (with)
        pieces[count++] = *with;
    if (first < last && memory->mappings[last - 1].end > end) {
        pieces[count] = memory->mappings[last - 1];
        pieces[count++].start = end;
    }
    int result = splice(memory, first, last, pieces, count);
    if (result == 0)
        join(memory, first, first + count);
    return result;
}

int memory_note_map(struct memory *memory, uint64_t start, uint64_t end, uint32_t protection,
                    bool is_shared)
{
    struct mapping mapping = {start, end, protection, is_shared};

    return replace(memory, start, end, &mapping);
}

int memory_note_unmap(struct memory *memory, uint64_t start, uint64_t end)
{
    return replace(memory, start, end, NULL);
}

int memory_note_protect(struct memory *memory, uint64_t start, uint64_t end, uint32_t protection)
{
    while (start < end) {
        const struct mapping *at = memory_at(memory, start);
        if (!at || at->start > start)
            return 0;
        struct mapping piece = {start, at->end < end ? at->end : end, protection, at->is_shared};
        int result = replace(memory, piece.start, piece.end, &piece);
        if (result < 0)
            return result;
        start = piece.end;
    }
    return 0;
}

static bool is_free(const struct memory *memory, uint64_t start, uint64_t size)
{
    if (start < LOWEST || start > USER_MEMORY_END || size > USER_MEMORY_END - start)
        return false;
    const struct mapping *next = memory_at(memory, start);
    return !next || next->start >= start + size;
}

uint64_t memory_find(const struct memory *memory, uint64_t hint, uint64_t size, uint64_t align)
{
    uint64_t end = memory->mmap_top;

    if (hint && (hint & (align - 1)) == 0 && is_free(memory, hint, size))
        return hint;
    for (size_t i = memory->count; i-- > 0;) {
        const struct mapping *mapping = &memory->mappings[i];
        if (mapping->end <= end && end - mapping->end >= size) {
            uint64_t start = (end - size) & ~(align - 1);
            if (start >= mapping->end)
                return start;
        }
        if (mapping->start < end)
            end = mapping->start;
    }
    if (end < LOWEST || end - LOWEST < size)
        return 0;
    uint64_t start = (end - size) & ~(align - 1);
    return start >= LOWEST ? start : 0;
}

uint64_t memory_size(const struct memory *memory)
{
    uint64_t size = 0;

    for (size_t i = 0; i < memory->count; i++)
        size += memory->mappings[i].end - memory->mappings[i].start;
    return size;
}

static const struct mapping *code_at(const struct memory *memory, uint64_t at)
{
    const struct mapping *mapping = memory_at(memory, at);

    return mapping && mapping->start <= at && (mapping->protection & PROT_EXEC) ? mapping : NULL;
}

/* Code that the program may not read: for a moment it can. */
static bool fetch_hidden(struct memory *memory, uint64_t at, void *to, size_t size)
{
    void *page = guest_host(at & ~PAGE_MASK);

    pthread_rwlock_wrlock(&memory->lock);
    bool is_read = code_at(memory, at) && mprotect(page, PAGE_SIZE, PROT_READ) == 0;
    if (is_read) {
        is_read = guest_read(to, at, size) == 0;
        is_read = mprotect(page, PAGE_SIZE, PROT_NONE) == 0 && is_read;
    }
    pthread_rwlock_unlock(&memory->lock);
    return is_read;
}

bool memory_fetch(struct memory *memory, uint64_t at, void *to, size_t size)
{
    pthread_rwlock_rdlock(&memory->lock);
    const struct mapping *mapping = code_at(memory, at);
    bool is_code = mapping;
    bool is_hidden = is_code && !(mapping->protection & (PROT_READ | PROT_WRITE));
    pthread_rwlock_unlock(&memory->lock);
    if (!is_code)
        return false;
    return is_hidden ? fetch_hidden(memory, at, to, size) : guest_read(to, at, size) == 0;
}

bool memory_has_code(const struct memory *memory, uint64_t start, uint64_t end)
{
    for (size_t i = find(memory, start); i < memory->count; i++) {
        if (memory->mappings[i].start >= end)
            return false;
        if (memory->mappings[i].protection & PROT_EXEC)
            return true;
    }
    return false;
}
