/* SPDX-License-Identifier: Apache-2.0
 * Guest memory as devices see it. */
#include "mem/dma.h"

#include "base/memory.h"
#include "mem/space.h"

uint8_t *dma_map(const struct space *space, gpa_t at, uint64_t size)
{
    return space_ram(space, at, size);
}

void dma_written(const struct space *space, gpa_t at, uint64_t size)
{
    for (gpa_t page = at & ~PAGE_MASK; page < at + size; page += PAGE_SIZE)
        space_note_store(space, space_ram(space, page, PAGE_SIZE));
}

bool dma_read(const struct space *space, gpa_t at, void *to, uint64_t size)
{
    const uint8_t *from = space_ram(space, at, size);

    if (!from)
        return false;
    memcpy(to, from, size);
    return true;
}

bool dma_write(const struct space *space, gpa_t at, const void *from, uint64_t size)
{
    uint8_t *to = space_ram(space, at, size);

    if (!to)
        return false;
    memcpy(to, from, size);
    dma_written(space, at, size);
    return true;
}
