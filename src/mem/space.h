/* SPDX-License-Identifier: Apache-2.0
 * The guest-physical address space of one machine: RAM and memory-mapped
 * devices.
 *
 * Regions are added before the harts start and never change while they run, so
 * look-ups take no lock. MMIO handlers run under the device lock, which the
 * space takes; RAM is accessed directly by all harts at once. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"
#include "port/lock.h"

#include <stdatomic.h>

#define SPACE_MAX_RAM  4
#define SPACE_MAX_MMIO 64

/* Access sizes a device takes, ORed: an access of another size, or one that is
 * not naturally aligned, is an access fault for the guest. */
enum {
    MMIO_1 = 1,
    MMIO_2 = 2,
    MMIO_4 = 4,
    MMIO_8 = 8,
    MMIO_ANY = MMIO_1 | MMIO_2 | MMIO_4 | MMIO_8,
};

/* `offset` is relative to the region, `size` 1, 2, 4 or 8 and allowed by
 * `sizes`; offset + size lies within the region. Device lock held. */
struct mmio_ops {
    uint64_t (*read)(void *device, uint64_t offset, unsigned size);
    void (*write)(void *device, uint64_t offset, uint64_t value, unsigned size);
    unsigned sizes; /* MMIO_* */
};

struct ram_region {
    gpa_t base;
    uint64_t size;
    uint8_t *bytes;         /* host mapping, owned by whoever added it */
    bool has_mmio;          /* some MMIO region hides a part of it; derived */
    _Atomic uint8_t *watch; /* PAGE_ bits, one byte a page; NULL: nobody watches here */
};

struct mmio_region {
    gpa_t base;
    uint64_t size;
    const struct mmio_ops *ops;
    void *device;
};

struct space {
    struct ram_region ram[SPACE_MAX_RAM];
    unsigned ram_count;
    unsigned mmio_count;
    struct mmio_region mmio[SPACE_MAX_MMIO]; /* sorted by base, disjoint */
    struct lock_port device_lock;            /* taken round every MMIO handler */
    /* Called when a watched page becomes PAGE_STORED. Any thread; must touch no
     * vector register where translated code runs. */
    void (*page_stored)(void *owner, gpa_t page);
    void *page_stored_owner;
};

/* Whoever keeps something that was made from the contents of a page, such as
 * translated code, watches it: the page becomes PAGE_STORED when someone writes
 * it, or gets leave to write it without asking again. Coarse on purpose: a hart
 * whose TLB lets it store says so once. */
enum {
    PAGE_WATCHED = 1 << 0,
    PAGE_STORED = 1 << 1,
};

/* Regions are page-aligned, and do not overlap others of their kind; an MMIO
 * region may lie over RAM and then hides it page by page. Ours to get right:
 * asserts otherwise. */
void space_add_ram(struct space *space, gpa_t base, uint64_t size, uint8_t *bytes);
void space_add_mmio(struct space *space, gpa_t base, uint64_t size, const struct mmio_ops *ops,
                    void *device);

/* Host address of guest RAM [at, at + size), or NULL when any byte of it is not
 * RAM of one region or is hidden by MMIO. Any thread. */
uint8_t *space_ram(const struct space *space, gpa_t at, uint64_t size);

/* Gives the RAM region at `base` memory for watching: a zeroed byte for each of
 * its pages, owned by the caller. Before the harts start. */
void space_enable_watch(struct space *space, gpa_t base, _Atomic uint8_t *bytes);
/* Starts or ends watching a page, which counts as not stored to. False: nobody can
 * watch it. Any thread. */
bool space_watch_page(struct space *space, gpa_t page, bool on);
/* Whether the page that holds the host address `at` is watched. */
bool space_is_watched(const struct space *space, const uint8_t *at);
/* The host address `at` of RAM is about to be written, or was. Any thread. */
void space_note_store(const struct space *space, const uint8_t *at);

/* The region that holds `at`, NULL when none. */
const struct mmio_region *space_find_mmio(const struct space *space, gpa_t at);

/* One access of 1, 2, 4 or 8 bytes to RAM or a device, as a hart makes it.
 * False: access fault; *value is untouched then. Hart threads. */
MUST_CHECK bool space_read(struct space *space, gpa_t at, unsigned size, uint64_t *value);
MUST_CHECK bool space_write(struct space *space, gpa_t at, unsigned size, uint64_t value);
