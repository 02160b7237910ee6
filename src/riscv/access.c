/* SPDX-License-Identifier: Apache-2.0
 * Data accesses that miss the soft TLB: translation, devices, page crossings and
 * watchpoints. What can be repeated without us is put into the TLB. */
#include "base/endian.h"
#include "mem/space.h"
#include "port/user_memory.h"
#include "riscv/hart.h"

static bool is_watched_page(const struct hart *hart, gva_t va)
{
    for (unsigned i = 0; i < hart->debug.watchpoint_count; i++) {
        const struct hart_watchpoint *watch = &hart->debug.watchpoints[i];
        if (watch->address >> PAGE_SHIFT <= va >> PAGE_SHIFT &&
            (watch->address + watch->size - 1) >> PAGE_SHIFT >= va >> PAGE_SHIFT)
            return true;
    }
    return false;
}

/* A watched access is reported before it happens, as debuggers of RISC-V expect:
 * they take the watchpoint out, step over the instruction, and put it back. */
static bool hits_watchpoint(struct hart *hart, gva_t va, unsigned size, enum access access)
{
    for (unsigned i = 0; i < hart->debug.watchpoint_count; i++) {
        const struct hart_watchpoint *watch = &hart->debug.watchpoints[i];
        if (va >= watch->address + watch->size || va + size <= watch->address)
            continue;
        if (access == ACCESS_STORE ? !watch->on_write : !watch->on_read)
            continue;
        hart->debug.stop = access == ACCESS_STORE ? HART_STOP_WATCH_WRITE : HART_STOP_WATCH_READ;
        hart->debug.watch_address = MAX(va, watch->address);
        return true;
    }
    return false;
}

/* Whether accesses to the page at `pa` may go on without us. */
static bool is_plain(const struct hart *hart, gpa_t pa)
{
    return pmp_page_is_uniform(hart, pa) &&
           space_ram(hart->config.space, pa & ~PAGE_MASK, PAGE_SIZE);
}

bool hart_tlb_refill(struct hart *hart, gva_t va, unsigned size, enum access access)
{
    struct mmu_result result;

    if ((va & PAGE_MASK) > PAGE_SIZE - size)
        return false;
    if (LIKELY(tlb_refill_from_second(hart, va, access)))
        return true;
    if (hart->debug.watchpoint_count && is_watched_page(hart, va))
        return false;
    if (!mmu_translate(hart, va, size, access, hart->data_index, &result) ||
        !is_plain(hart, result.pa))
        return false;
    tlb_fill(hart, va, &result, space_ram(hart->config.space, result.pa, size));
    return true;
}

bool hart_fetch_refill(struct hart *hart, gva_t va, gpa_t *page)
{
    struct fetch_entry *entry = &hart->fetch_tlb[(va >> PAGE_SHIFT) % FETCH_TLB_SIZE];
    struct mmu_result result;

    if (LIKELY(entry->pa_tag == (va & ~PAGE_MASK))) {
        *page = entry->gpa;
        return true;
    }
    if (!mmu_translate(hart, va, 2, ACCESS_FETCH, mmu_fetch_index(hart->privilege), &result) ||
        !is_plain(hart, result.pa))
        return false;
    *page = result.pa & ~PAGE_MASK;
    *entry = (struct fetch_entry){.tag = TLB_NO_PAGE, .pa_tag = va & ~PAGE_MASK, .gpa = *page};
    tlb_note_fetch(hart, va, &result);
    return true;
}

/* One access within a page: where it goes. *host NULL: a device at *pa. False: an
 * exception was taken, or the debugger wants to know first. */
static bool resolve(struct hart *hart, gva_t va, unsigned size, enum access access, gpa_t *pa,
                    uint8_t **host)
{
    struct mmu_result result;

    if (tlb_refill_from_second(hart, va, access)) {
        const struct tlb_entry *entry = &hart->data_tlb[(va >> PAGE_SHIFT) % TLB_SIZE];
        *pa = 0;                                            /* RAM: nobody asks */
        *host = (uint8_t *)(uintptr_t)(va + entry->addend); /* NOLINT(performance-no-int-to-ptr) */
        return true;
    }
    if (!mmu_translate(hart, va, size, access, hart->data_index, &result)) {
        hart_exception(hart, result.cause, va);
        return false;
    }
    *pa = result.pa;
    *host = space_ram(hart->config.space, result.pa, size);
    if (!*host)
        return true;
    if (hart->debug.watchpoint_count && is_watched_page(hart, va)) {
        return !hits_watchpoint(hart, va, size, access);
    }
    if (is_plain(hart, result.pa))
        tlb_fill(hart, va, &result, *host);
    return true;
}

/* Of a process VM: the pages of an access that crosses them are one range. */
static bool user_load(struct hart *hart, gva_t va, unsigned size)
{
    const struct user_memory_port *user = hart->config.user;

    if (hart->debug.watchpoint_count && hits_watchpoint(hart, va, size, ACCESS_LOAD))
        return false;
    hart->slow_value = 0;
    if (user->load(user->owner, va, &hart->slow_value, size))
        return true;
    hart_exception(hart, CAUSE_LOAD_PAGE, va);
    return false;
}

static bool user_store(struct hart *hart, gva_t va, unsigned size, uint64_t value)
{
    const struct user_memory_port *user = hart->config.user;

    if (hart->debug.watchpoint_count && hits_watchpoint(hart, va, size, ACCESS_STORE))
        return false;
    if (user->store(user->owner, va, &value, size))
        return true;
    hart_exception(hart, CAUSE_STORE_PAGE, va);
    return false;
}

static void *user_atomic_address(struct hart *hart, gva_t va, unsigned size, enum access access)
{
    const struct user_memory_port *user = hart->config.user;

    if (hart->debug.watchpoint_count && hits_watchpoint(hart, va, size, access))
        return NULL;
    if (user->probe(user->owner, va, size, access == ACCESS_STORE))
        return (void *)(uintptr_t)va; /* NOLINT(performance-no-int-to-ptr) */
    hart_exception(hart, access == ACCESS_LOAD ? CAUSE_LOAD_PAGE : CAUSE_STORE_PAGE, va);
    return NULL;
}

static bool load_in_page(struct hart *hart, gva_t va, unsigned size, uint64_t *value)
{
    gpa_t pa;
    uint8_t *host;

    if (!resolve(hart, va, size, ACCESS_LOAD, &pa, &host))
        return false;
    if (host) {
        switch (size) { /* one host access, so that other harts never see it torn */
        case 1:
            *value = *host;
            return true;
        case 2:
            *value = load_le16(host);
            return true;
        case 4:
            *value = load_le32(host);
            return true;
        case 8:
            *value = load_le64(host);
            return true;
        default:
            *value = 0;
            memcpy(value, host, size);
            return true;
        }
    }
    if (!space_read(hart->config.space, pa, size, value)) {
        hart_exception(hart, CAUSE_LOAD_ACCESS, va);
        return false;
    }
    return true;
}

bool hart_load(struct hart *hart, gva_t va, unsigned size)
{
    unsigned in_first = (unsigned)MIN(size, PAGE_SIZE - (va & PAGE_MASK));
    uint64_t low = 0;
    uint64_t high = 0;

    if (hart->config.user)
        return user_load(hart, va, size);
    if (!load_in_page(hart, va, in_first, &low))
        return false;
    if (in_first < size && !load_in_page(hart, va + in_first, size - in_first, &high))
        return false;
    hart->slow_value = in_first < size ? low | high << (8 * in_first) : low;
    return true;
}

static bool store_resolved(struct hart *hart, gva_t va, unsigned size, gpa_t pa, uint8_t *host,
                           uint64_t value)
{
    if (host) {
        switch (size) {
        case 1:
            *host = (uint8_t)value;
            return true;
        case 2:
            store_le16(host, (uint16_t)value);
            return true;
        case 4:
            store_le32(host, (uint32_t)value);
            return true;
        case 8:
            store_le64(host, value);
            return true;
        default:
            memcpy(host, &value, size);
            return true;
        }
    }
    if (!space_write(hart->config.space, pa, size, value)) {
        hart_exception(hart, CAUSE_STORE_ACCESS, va);
        return false;
    }
    return true;
}

bool hart_store(struct hart *hart, gva_t va, unsigned size, uint64_t value)
{
    unsigned in_first = (unsigned)MIN(size, PAGE_SIZE - (va & PAGE_MASK));
    gpa_t pa[2];
    uint8_t *host[2];

    if (hart->config.user)
        return user_store(hart, va, size, value);
    if (!resolve(hart, va, in_first, ACCESS_STORE, &pa[0], &host[0]))
        return false;
    if (in_first == size)
        return store_resolved(hart, va, size, pa[0], host[0], value);
    /* Both halves are checked before either is written: the trap is precise. */
    if (!resolve(hart, va + in_first, size - in_first, ACCESS_STORE, &pa[1], &host[1]))
        return false;
    return store_resolved(hart, va, in_first, pa[0], host[0], value & bits_mask(8 * in_first)) &&
           store_resolved(hart, va + in_first, size - in_first, pa[1], host[1],
                          value >> (8 * in_first));
}

void *hart_atomic_address(struct hart *hart, gva_t va, unsigned size, enum access access)
{
    gpa_t pa;
    uint8_t *host;

    if (va & (size - 1)) {
        hart_exception(hart, access == ACCESS_LOAD ? CAUSE_LOAD_MISALIGNED : CAUSE_STORE_MISALIGNED,
                       va);
        return NULL;
    }
    if (hart->config.user)
        return user_atomic_address(hart, va, size, access);
    if (!resolve(hart, va, size, access, &pa, &host))
        return NULL;
    if (!host && hart->debug.stop == HART_STOP_NONE)
        hart_exception(hart, access == ACCESS_LOAD ? CAUSE_LOAD_ACCESS : CAUSE_STORE_ACCESS, va);
    return host;
}
