/* SPDX-License-Identifier: Apache-2.0
 * The code cache: memory for host code, the table of entries, guest pages and
 * their units, and giving all of it up when it is full. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/map.h"
#include "mem/space.h"
#include "port/user_memory.h"
#include "translator/listing.h"

#define DEFAULT_CACHE_BYTES (UINT64_C(128) << 20)
/* Of the cache; what accesses and jumps need in the cold part is a bit less than
 * what they need in the hot part. */
#define HOT_SHARE(size)     ((size) / 16 * 9)
#define THUNK_BYTES         8192
/* Room one unit may need in either part. */
#define UNIT_ROOM           (UINT64_C(64) << 10)
/* Accesses, and jumps, of a unit at the most. */
#define MAX_SITES           400
#define SETTLE_STEP         (1u << 20)
/* Bytes of a block that are in use when it is joined: small programs do without. */
#define JOIN_AFTER          (CODE_MAP_BLOCK / 2)
/* Slots of the table of entries, as powers of two. Programs start small and quickly. */
#define USER_ENTRY_BITS     15
#define ENTRY_BITS          18
#define MAX_ENTRY_BITS      22

#define PAGE_LINKS  (1u << 21)
/* A host instruction that accesses memory takes three bytes, but most do something else. */
#define FAULT_BYTES 8

static int create_user(struct translator *t, struct error *err)
{
    t->fault_room = t->hot_end / FAULT_BYTES;
    t->page_link_room = PAGE_LINKS;
    t->page_link_count = 1;
    t->faults = map_lazy(t->fault_room * sizeof(*t->faults), "access sites", err);
    if (!t->faults)
        return -ENOMEM;
    t->page_links = map_lazy(PAGE_LINKS * sizeof(*t->page_links), "jump sites", err);
    return t->page_links ? 0 : -ENOMEM;
}

static size_t table_bytes(const struct translator *t)
{
    return sizeof(*t->entries) << t->entry_bits;
}

int cache_create(struct translator *t, struct error *err)
{
    size_t size = t->options.cache_bytes ? t->options.cache_bytes : DEFAULT_CACHE_BYTES;
    int result = code_map_create(&t->map, size, err);

    if (result < 0)
        return result;
    t->entry_bits = t->options.user ? USER_ENTRY_BITS : ENTRY_BITS;
    t->entries = map_lazy(table_bytes(t), "code entries", err);
    if (!t->entries)
        return -ENOMEM;
    t->hot_start = THUNK_BYTES;
    t->hot_at = t->hot_start;
    t->hot_end = HOT_SHARE(t->map.size);
    t->cold_at = t->hot_end;
    t->cold_end = t->map.size;
    return t->options.user ? create_user(t, err) : 0;
}

/* Keys are never removed while harts run, so that a search ends at the first free
 * slot whoever writes meanwhile. */
bool cache_insert(struct translator *t, uint64_t key, uint32_t code)
{
    uint32_t at = entry_hash(t, key);
    size_t slots = (size_t)1 << t->entry_bits;

    if (t->entry_count > slots - slots / 4)
        return false;
    for (;; at = entry_next(t, at)) {
        struct entry_slot *slot = &t->entries[at];
        uint64_t found = atomic_load_explicit(&slot->key, memory_order_relaxed);
        if (found != key && found != 0)
            continue;
        atomic_store_explicit(&slot->code, code, memory_order_release);
        if (found == 0) {
            atomic_store_explicit(&slot->key, key, memory_order_release);
            t->entry_count++;
        }
        return true;
    }
}

static void remove_entry(struct translator *t, uint64_t key, const struct unit *unit)
{
    for (uint32_t at = entry_hash(t, key);; at = entry_next(t, at)) {
        struct entry_slot *slot = &t->entries[at];
        uint64_t found = atomic_load_explicit(&slot->key, memory_order_relaxed);
        if (found == 0)
            return;
        if (found != key)
            continue;
        uint32_t code = atomic_load_explicit(&slot->code, memory_order_relaxed);
        if (code >= unit->code && code < unit->code + unit->code_size)
            atomic_store_explicit(&slot->code, 0, memory_order_release);
        return;
    }
}

static void lock_links(struct translator *t)
{
    while (atomic_exchange_explicit(&t->links, 1, memory_order_acquire))
        __builtin_ia32_pause();
}

static void unlock_links(struct translator *t)
{
    atomic_store_explicit(&t->links, 0, memory_order_release);
}

static void unlink_jumps(struct translator *t, const struct unit *unit)
{
    for (unsigned i = 0; i < unit->link_count; i++)
        emit_patch(cache_write_address(t, unit->links[i].site),
                   cache_write_address(t, unit->links[i].stub));
}

/* Any unit of the page may lead to one that is gone; of a process VM, any unit. */
static void unlink_page(struct translator *t, struct guest_page *page)
{
    lock_links(t);
    for (struct unit *unit = page->units; unit; unit = unit->next)
        unlink_jumps(t, unit);
    for (uint32_t i = page->incoming; i;) {
        struct page_link *link = &t->page_links[i];
        emit_patch(cache_write_address(t, link->site), cache_write_address(t, link->stub));
        link->is_linked = false;
        i = link->next;
    }
    page->incoming = 0;
    unlock_links(t);
}

static void kill_unit(struct translator *t, const struct guest_page *page, struct unit *unit)
{
    uint64_t killed = t->killed_count;

    for (unsigned i = 0; i < unit->entry_count; i++) {
        remove_entry(t, entry_key(page->gpa + unit->entries[i], unit->context), unit);
        atomic_store_explicit(&t->killed[killed++ % KILL_LOG], page->gpa + unit->entries[i],
                              memory_order_relaxed);
    }
    atomic_store_explicit(&t->killed_count, killed, memory_order_release);
    t->stats.units_killed++;
    free(unit);
}

static bool is_unchanged(const struct translator *t, const struct guest_page *page,
                         const struct unit *unit)
{
    uint8_t now[PAGE_SIZE];
    size_t size = (size_t)(unit->last - unit->first);

    if (t->options.user) {
        /* Up to the end of the page, and what follows of an instruction that crosses it. */
        size_t in_page = MIN(size, PAGE_SIZE - unit->first);
        return t->user->fetch(t->user->owner, page->gpa + unit->first, now, in_page) &&
               memcmp(unit->source, now, in_page) == 0 &&
               (size == in_page ||
                (t->user->fetch(t->user->owner, page->gpa + PAGE_SIZE, now, size - in_page) &&
                 memcmp(unit->source + in_page, now, size - in_page) == 0));
    }
    return memcmp(unit->source, page->ram + unit->first, (size_t)(unit->last - unit->first)) == 0;
}

/* Kills the units that have something in [first, last) of the page and have changed, or with
 * `all` any of them; whether there were any. */
static bool kill_range(struct translator *t, struct guest_page *page, uint64_t first, uint64_t last,
                       bool all)
{
    struct unit **link = &page->units;
    bool changed = false;

    while (*link) {
        struct unit *unit = *link;
        if (unit->last <= first || unit->first >= last || (!all && is_unchanged(t, page, unit))) {
            link = &unit->next;
            continue;
        }
        *link = unit->next;
        kill_unit(t, page, unit);
        changed = true;
    }
    if (changed)
        unlink_page(t, page);
    return changed;
}

/* The same for all whose code has changed. */
static bool check_page(struct translator *t, struct guest_page *page)
{
    t->stats.pages_checked++;
    return kill_range(t, page, 0, UINT64_MAX, false);
}

void cache_invalidate(struct translator *t, gva_t first, gva_t last, bool all)
{
    bool changed = false;
    /* The last instruction of the page before may end in the range. */
    gva_t page_first = (first & ~PAGE_MASK) - (first >= PAGE_SIZE ? PAGE_SIZE : 0);
    bool by_bucket = (last - page_first) / PAGE_SIZE > PAGE_BUCKETS;

    for (gva_t at = page_first; !by_bucket && at < last; at += PAGE_SIZE) {
        struct guest_page *page = cache_find_page(t, at);
        if (page)
            changed |= kill_range(t, page, at < first ? first - at : 0, last - at, all);
    }
    for (unsigned i = 0; by_bucket && i < PAGE_BUCKETS; i++)
        for (struct guest_page *page = t->pages[i]; page; page = page->next)
            if (page->gpa >= page_first && page->gpa < last)
                changed |= kill_range(t, page, page->gpa < first ? first - page->gpa : 0,
                                      last - page->gpa, all);
    if (changed)
        atomic_fetch_add(&t->kill_epoch, 1);
}

void cache_drop_units(struct translator *t, struct guest_page *page, unsigned offset,
                      unsigned context)
{
    struct unit **link = &page->units;

    while (*link) {
        struct unit *unit = *link;
        if (unit->context != context || offset < unit->first || offset >= unit->last) {
            link = &unit->next;
            continue;
        }
        *link = unit->next;
        kill_unit(t, page, unit);
    }
    unlink_page(t, page);
}

/* ---- suspects ----
 *
 * fence.i must not compare all code with memory. A page that no hart can store to
 * without asking (its TLB entry lacks the leave) needs no comparison; when one
 * asks, the page becomes a suspect, and stays one until every hart has dropped its
 * leaves since. */

static void suspect(struct translator *t, struct guest_page *page, uint64_t now)
{
    page->stored_at = now;
    atomic_store(&t->newest_suspect, now);
    if (page->is_suspect)
        return;
    page->is_suspect = true;
    page->next_suspect = t->suspects;
    t->suspects = page;
}

static void suspect_all(struct translator *t, uint64_t now)
{
    for (unsigned i = 0; i < PAGE_BUCKETS; i++)
        for (struct guest_page *page = t->pages[i]; page; page = page->next)
            suspect(t, page, now);
}

/* Turns what runtime_page_stored has collected into suspects. */
static void take_stored(struct translator *t, uint64_t now)
{
    gpa_t stored[MAX_STORED];

    lock_links(t);
    unsigned count = t->stored_count;
    bool overflow = t->stored_overflow;
    memcpy(stored, t->stored, count * sizeof(stored[0]));
    t->stored_count = 0;
    t->stored_overflow = false;
    unlock_links(t);
    for (unsigned i = 0; i < count; i++) {
        struct guest_page *page = cache_find_page(t, stored[i]);
        if (page)
            suspect(t, page, now);
    }
    if (overflow)
        suspect_all(t, now);
}

struct guest_page *cache_page(struct translator *t, gpa_t gpa, const uint8_t *ram)
{
    struct guest_page **bucket = &t->pages[(gpa >> PAGE_SHIFT) % PAGE_BUCKETS];
    struct guest_page *page = cache_find_page(t, gpa);

    if (page)
        return page;
    page = calloc(1, sizeof(*page));
    if (!page)
        return NULL;
    page->gpa = gpa;
    page->ram = ram;
    page->next = *bucket;
    /* Light functions look for pages without a lock. */
    __atomic_store_n(bucket, page, __ATOMIC_RELEASE);
    if (t->options.user)
        return page;
    /* Whoever has leave to store to it by now did not say so. */
    space_watch_page(t->space, gpa, true);
    suspect(t, page, atomic_fetch_add(&t->time, 1) + 1);
    return page;
}

/* When the hart that was last to do so has dropped its leaves to store. */
static uint64_t oldest_drop(const struct translator *t)
{
    uint64_t oldest = UINT64_MAX;

    for (const struct translated_hart *th = t->harts; th; th = th->next)
        if (th->has_run)
            oldest = MIN(oldest, th->dropped);
    return oldest;
}

/* For tlb_drop_stores. */
static bool is_watched(void *owner, const uint8_t *page)
{
    const struct translator *t = owner;

    return space_is_watched(t->space, page);
}

void cache_drop_stores(struct translator *t, struct translated_hart *th)
{
    uint64_t now = atomic_fetch_add(&t->time, 1) + 1;

    tlb_drop_stores(&th->hart, is_watched, t);
    th->dropped = now;
}

/* fence.i of a process VM, which has flush_icache for what happens often. */
static void fence_user(struct translator *t)
{
    bool changed = false;

    for (unsigned i = 0; i < PAGE_BUCKETS; i++)
        for (struct guest_page *page = t->pages[i]; page; page = page->next)
            changed |= check_page(t, page);
    if (changed)
        atomic_fetch_add(&t->kill_epoch, 1);
}

void cache_fence(struct translator *t, struct translated_hart *th)
{
    bool changed = false;

    if (t->options.user) {
        fence_user(t);
        return;
    }
    if (atomic_load(&t->newest_suspect) > th->dropped || t->stored_count)
        cache_drop_stores(t, th);
    take_stored(t, atomic_fetch_add(&t->time, 1) + 1);
    uint64_t dropped = oldest_drop(t);
    struct guest_page **link = &t->suspects;
    while (*link) {
        struct guest_page *page = *link;
        /* From here on a store makes it a suspect again; what was stored before is
         * seen by the comparison. */
        bool is_watchable = space_watch_page(t->space, page->gpa, true);
        changed |= check_page(t, page);
        if (is_watchable && page->stored_at < dropped) {
            page->is_suspect = false;
            *link = page->next_suspect;
        } else {
            link = &page->next_suspect;
        }
    }
    t->kill_epoch += changed;
}

static bool has_entry_room(const struct translator *t)
{
    return t->entry_count <= (size_t)1 << (t->entry_bits - 1);
}

bool cache_has_room(const struct translator *t)
{
    return t->hot_end - t->hot_at >= UNIT_ROOM && t->cold_end - t->cold_at >= UNIT_ROOM &&
           has_entry_room(t) &&
           (!t->options.user || (t->fault_room - t->fault_count > MAX_SITES &&
                                 t->page_link_room - t->page_link_count > MAX_SITES));
}

/* Large programs miss the instruction TLB all the time. */
static void join_blocks(struct translator *t)
{
    while (t->hot_at >= t->joined + JOIN_AFTER && t->joined + CODE_MAP_BLOCK <= t->hot_end) {
        code_map_join(&t->map, t->joined);
        t->joined += CODE_MAP_BLOCK;
    }
}

void cache_settle(struct translator *t)
{
    size_t used = t->hot_at + (t->cold_at - t->hot_end);
    size_t cold_start = bits_align_up(t->hot_end, PAGE_SIZE);

    join_blocks(t);
    if (used - t->settled < SETTLE_STEP)
        return;
    t->settled = used;
    code_map_forget_writes(&t->map, 0, t->hot_at & ~PAGE_MASK);
    if (t->cold_at > cold_start)
        code_map_forget_writes(&t->map, cold_start, (t->cold_at & ~PAGE_MASK) - cold_start);
}

static void free_pages(struct translator *t)
{
    for (unsigned i = 0; i < PAGE_BUCKETS; i++) {
        while (t->pages[i]) {
            struct guest_page *page = t->pages[i];
            t->pages[i] = page->next;
            if (t->space)
                space_watch_page(t->space, page->gpa, false);
            while (page->units) {
                struct unit *unit = page->units;
                page->units = unit->next;
                free(unit);
            }
            free(page);
        }
    }
}

/* Waits until no hart executes host code; none begins to until flush_wanted is cleared. */
static void stop_harts(struct translator *t)
{
    atomic_store(&t->flush_wanted, 1);
    for (struct translated_hart *th = t->harts; th; th = th->next)
        while (atomic_load(&th->in_code)) {
            hart_kick(&th->hart);
            sched_yield();
        }
}

bool cache_grow(struct translator *t)
{
    struct error err = {0};
    struct entry_slot *old = t->entries;
    size_t old_bytes = table_bytes(t);

    if (has_entry_room(t) || t->entry_bits == MAX_ENTRY_BITS)
        return false;
    struct entry_slot *grown = map_lazy(2 * old_bytes, "code entries", &err);
    if (!grown)
        return false;
    stop_harts(t);
    t->entries = grown;
    t->entry_bits++;
    t->entry_count = 0;
    for (size_t i = 0; i < old_bytes / sizeof(*old); i++) {
        uint32_t code = atomic_load_explicit(&old[i].code, memory_order_relaxed);
        if (code)
            cache_insert(t, atomic_load_explicit(&old[i].key, memory_order_relaxed), code);
    }
    map_free(old, old_bytes);
    atomic_store(&t->flush_wanted, 0);
    return cache_has_room(t);
}

void cache_flush(struct translator *t)
{
    stop_harts(t);
    free_pages(t);
    t->suspects = NULL;
    t->stored_count = 0;
    t->stored_overflow = false;
    map_clear(t->entries, table_bytes(t));
    listing_clear(t);
    t->entry_count = 0;
    atomic_store(&t->fault_count, 0);
    t->page_link_count = 1;
    t->hot_at = t->hot_start;
    t->cold_at = t->hot_end;
    t->settled = 0;
    t->joined = 0;
    t->stats.flushes++;
    atomic_fetch_add(&t->flush_epoch, 1);
    atomic_store(&t->flush_wanted, 0);
}

void cache_enter(struct translator *t, struct translated_hart *th)
{
    for (;;) {
        /* Sequentially consistent with flush_wanted: one of the two sees the other. */
        atomic_store(&th->in_code, 1);
        if (LIKELY(!atomic_load(&t->flush_wanted)))
            return;
        atomic_store(&th->in_code, 0);
        pthread_mutex_lock(&t->mutex); /* held by whoever flushes */
        pthread_mutex_unlock(&t->mutex);
    }
}

void cache_leave(struct translated_hart *th)
{
    atomic_store(&th->in_code, 0);
}

int cache_renew(struct translator *t, struct error *err)
{
    struct code_map map;
    int result = code_map_create(&map, t->map.size, err);

    if (result < 0)
        return result;
    /* The parent's is not mapped here. What was malloc'd for it stays, untouched: most
     * children soon execute another program. */
    t->map = map;
    memset(t->pages, 0, sizeof(t->pages));
    map_clear(t->entries, table_bytes(t));
    t->entry_count = 0;
    atomic_store(&t->fault_count, 0);
    t->page_link_count = 1;
    t->hot_at = t->hot_start;
    t->cold_at = t->hot_end;
    t->settled = 0;
    t->joined = 0;
    atomic_fetch_add(&t->flush_epoch, 1);
    return 0;
}

void cache_destroy(struct translator *t)
{
    free_pages(t);
    if (t->faults)
        map_free(t->faults, t->fault_room * sizeof(*t->faults));
    if (t->page_links)
        map_free(t->page_links, PAGE_LINKS * sizeof(*t->page_links));
    if (t->entries)
        map_free(t->entries, table_bytes(t));
    code_map_free(&t->map);
}
