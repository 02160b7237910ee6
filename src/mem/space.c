/* SPDX-License-Identifier: Apache-2.0
 * The guest-physical address space: look-up and access. */
#include "mem/space.h"

#include "base/assert.h"
#include "base/endian.h"

static bool overlaps(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
    return a < b + b_size && b < a + a_size;
}

/* Whether any MMIO region touches [at, at + size). */
static bool is_hidden(const struct space *space, gpa_t at, uint64_t size)
{
    for (unsigned i = 0; i < space->mmio_count; i++)
        if (overlaps(at, size, space->mmio[i].base, space->mmio[i].size))
            return true;
    return false;
}

/* Look-ups are on the path of every TLB miss; almost no RAM is hidden. */
static void note_hidden(struct space *space)
{
    for (unsigned i = 0; i < space->ram_count; i++)
        space->ram[i].has_mmio = is_hidden(space, space->ram[i].base, space->ram[i].size);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the region writes through it */
void space_add_ram(struct space *space, gpa_t base, uint64_t size, uint8_t *bytes)
{
    ASSERT(space->ram_count < SPACE_MAX_RAM);
    ASSERT(size != 0 && ((base | size) & PAGE_MASK) == 0 && base + size > base);
    for (unsigned i = 0; i < space->ram_count; i++)
        ASSERT(!overlaps(base, size, space->ram[i].base, space->ram[i].size));
    space->ram[space->ram_count++] = (struct ram_region){base, size, bytes, false, NULL};
    note_hidden(space);
}

void space_add_mmio(struct space *space, gpa_t base, uint64_t size, const struct mmio_ops *ops,
                    void *device)
{
    ASSERT(space->mmio_count < SPACE_MAX_MMIO);
    ASSERT(size != 0 && ((base | size) & PAGE_MASK) == 0 && base + size > base);
    unsigned at = space->mmio_count;
    for (unsigned i = 0; i < space->mmio_count; i++)
        ASSERT(!overlaps(base, size, space->mmio[i].base, space->mmio[i].size));
    for (; at > 0 && space->mmio[at - 1].base > base; at--)
        space->mmio[at] = space->mmio[at - 1];
    space->mmio[at] = (struct mmio_region){base, size, ops, device};
    space->mmio_count++;
    note_hidden(space);
}

const struct mmio_region *space_find_mmio(const struct space *space, gpa_t at)
{
    unsigned low = 0;
    unsigned high = space->mmio_count;

    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (space->mmio[middle].base <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    const struct mmio_region *region = &space->mmio[low - 1];
    return at - region->base < region->size ? region : NULL;
}

uint8_t *space_ram(const struct space *space, gpa_t at, uint64_t size)
{
    for (unsigned i = 0; i < space->ram_count; i++) {
        const struct ram_region *ram = &space->ram[i];
        uint64_t offset = at - ram->base;
        if (offset >= ram->size || size > ram->size - offset)
            continue;
        return ram->has_mmio && is_hidden(space, at, size) ? NULL : ram->bytes + offset;
    }
    return NULL;
}

void space_enable_watch(struct space *space, gpa_t base, _Atomic uint8_t *bytes)
{
    for (unsigned i = 0; i < space->ram_count; i++)
        if (space->ram[i].base == base)
            space->ram[i].watch = bytes;
}

bool space_watch_page(struct space *space, gpa_t page, bool on)
{
    for (unsigned i = 0; i < space->ram_count; i++) {
        const struct ram_region *ram = &space->ram[i];
        uint64_t offset = page - ram->base;
        if (offset >= ram->size || !ram->watch)
            continue;
        atomic_store(&ram->watch[offset >> PAGE_SHIFT], on ? PAGE_WATCHED : 0);
        return true;
    }
    return false;
}

bool space_is_watched(const struct space *space, const uint8_t *at)
{
    for (unsigned i = 0; i < space->ram_count; i++) {
        const struct ram_region *ram = &space->ram[i];
        uint64_t offset = (uint64_t)(at - ram->bytes);
        if (offset < ram->size)
            return ram->watch && atomic_load_explicit(&ram->watch[offset >> PAGE_SHIFT],
                                                      memory_order_relaxed) != 0;
    }
    return false;
}

static void note_store(const struct space *space, const struct ram_region *ram, uint64_t offset)
{
    _Atomic uint8_t *watch = &ram->watch[offset >> PAGE_SHIFT];

    /* Almost no page that is stored to is watched, or not yet known to be. */
    if (LIKELY(atomic_load(watch) != PAGE_WATCHED))
        return;
    if (atomic_fetch_or(watch, PAGE_STORED) == PAGE_WATCHED)
        space->page_stored(space->page_stored_owner, ram->base + (offset & ~PAGE_MASK));
}

void space_note_store(const struct space *space, const uint8_t *at)
{
    for (unsigned i = 0; i < space->ram_count; i++) {
        const struct ram_region *ram = &space->ram[i];
        uint64_t offset = (uint64_t)(at - ram->bytes);
        if (offset < ram->size && ram->watch) {
            note_store(space, ram, offset);
            return;
        }
    }
}

static bool mmio_accepts(const struct mmio_region *region, gpa_t at, unsigned size)
{
    return region && (region->ops->sizes & size) && (at & (size - 1)) == 0;
}

bool space_read(struct space *space, gpa_t at, unsigned size, uint64_t *value)
{
    const uint8_t *ram = space_ram(space, at, size);

    if (ram) {
        uint64_t bytes = 0;
        memcpy(&bytes, ram, size);
        *value = bytes;
        return true;
    }
    const struct mmio_region *region = space_find_mmio(space, at);
    if (!mmio_accepts(region, at, size))
        return false;
    lock_acquire(&space->device_lock);
    *value = region->ops->read(region->device, at - region->base, size);
    lock_release(&space->device_lock);
    return true;
}

bool space_write(struct space *space, gpa_t at, unsigned size, uint64_t value)
{
    uint8_t *ram = space_ram(space, at, size);

    if (ram) {
        memcpy(ram, &value, size);
        return true;
    }
    const struct mmio_region *region = space_find_mmio(space, at);
    if (!mmio_accepts(region, at, size))
        return false;
    lock_acquire(&space->device_lock);
    region->ops->write(region->device, at - region->base, value, size);
    lock_release(&space->device_lock);
    return true;
}
