/* SPDX-License-Identifier: Apache-2.0
 * Cached translations: entering and dropping them (privileged architecture,
 * "Supervisor Memory-Management Fence Instruction").
 *
 * Flushes are frequent, so they touch little: first-level arrays that nothing
 * was entered into are left alone, and the second level is flushed by making its
 * entries belong to a context that is no more.
 *
 * Translated code calls some of this while it keeps the guest's FP registers in
 * the host's: compiled without vector registers, and calls nothing that may use
 * them (tools/check_no_vector.py). */
#include "mem/space.h"
#include "riscv/hart.h"

#define REGION_SHIFT 21 /* the leaves that large_filter knows are at most this large */
#define REGION_PAGES BIT(REGION_SHIFT - PAGE_SHIFT)

/* ---- contexts of the second level ---- */

static unsigned current_asid(const struct hart *hart)
{
    return (unsigned)bits_extract(hart->satp, SATP_ASID_SHIFT, SATP_ASID_BITS);
}

/* Generation, ASID, and a bit that no ASID's context has. */
static uint64_t make_context(uint64_t generation, unsigned asid, bool is_global)
{
    return generation << (SATP_ASID_BITS + 1) | (uint64_t)asid << 1 | is_global;
}

static uint64_t asid_context(const struct tlb2 *tlb, unsigned asid)
{
    uint64_t generation =
        MAX(tlb->generation, tlb->asid_generation[asid % ARRAY_LEN(tlb->asid_generation)]);

    return make_context(generation, asid, false);
}

static void update_contexts(struct hart *hart)
{
    hart->tlb2.asid_context = asid_context(&hart->tlb2, current_asid(hart));
    hart->tlb2.global_context = make_context(hart->tlb2.generation, 0, true);
}

static void flush_tlb2(struct hart *hart)
{
    hart->tlb2.generation = ++hart->tlb2.counter;
    update_contexts(hart);
}

static void flush_tlb2_asid(struct hart *hart, unsigned asid)
{
    hart->tlb2.asid_generation[asid % TLB2_ASID_SLOTS] = ++hart->tlb2.counter;
    update_contexts(hart);
}

/* Neighbours lie in neighbouring sets, so that those of 2 MiB are all different;
 * what is above spreads address spaces of equal layout. */
static struct tlb2_entry *set_of(struct hart *hart, gva_t va)
{
    uint64_t page = va >> PAGE_SHIFT;

    return hart->tlb2.entries[(page ^ page >> 11 ^ page >> 22) % TLB2_SETS];
}

/* ---- leaves larger than a page ---- */

static unsigned region_bit(gva_t va)
{
    uint64_t region = va >> REGION_SHIFT;

    return (unsigned)((region ^ region >> 9 ^ region >> 18) % TLB_LARGE_FILTER);
}

static void note_large(struct hart *hart, gva_t va, uint64_t leaf_size)
{
    unsigned bit = region_bit(va);

    if (leaf_size <= PAGE_SIZE)
        return;
    if (leaf_size <= BIT(REGION_SHIFT)) {
        hart->large_filter[va >> 63][bit / 64] |= BIT(bit % 64);
        return;
    }
    hart->huge.first = MIN(hart->huge.first, va & ~(leaf_size - 1));
    hart->huge.last = MAX(hart->huge.last, va | (leaf_size - 1));
}

static bool may_be_large(const struct hart *hart, gva_t va)
{
    unsigned bit = region_bit(va);

    return (hart->large_filter[va >> 63][bit / 64] >> (bit % 64)) & 1;
}

static bool in_range(const struct tlb_large_range *range, gva_t va)
{
    return range->first <= va && va <= range->last;
}

/* ---- dropping data translations ---- */

/* A page address that has another index can never hit this entry. */
static uint64_t invalid_tag(size_t index)
{
    return (uint64_t)(index ^ 1) << PAGE_SHIFT;
}

static void flush_slots(struct hart *hart, unsigned index)
{
    for (unsigned i = 0; i < TLB_SLOTS; i++) {
        hart->slots[index][0][i].tag = TLB_NO_SLOT;
        hart->slots[index][1][i].tag = TLB_NO_SLOT;
    }
}

static void flush_data(struct hart *hart, unsigned index)
{
    if (hart->tlb_is_clear[index])
        return;
    for (size_t i = 0; i < TLB_SIZE; i++) {
        uint64_t tag = invalid_tag(i);
        hart->tlb[index][i].load_tag = tag;
        hart->tlb[index][i].store_tag = tag;
    }
    flush_slots(hart, index);
    hart->tlb_is_clear[index] = true;
}

static void flush_all_data(struct hart *hart)
{
    for (unsigned i = 0; i < MMU_COUNT; i++)
        flush_data(hart, i);
    for (unsigned i = 0; i < ARRAY_LEN(hart->large_filter[0]); i++)
        hart->large_filter[0][i] = hart->large_filter[1][i] = 0;
    hart->huge = (struct tlb_large_range){UINT64_MAX, 0};
    hart->data_nonglobal_s = false;
    flush_tlb2(hart);
}

/* What belongs to the current address space only. */
static void flush_nonglobal_data(struct hart *hart)
{
    flush_data(hart, MMU_U);
    flush_data(hart, MMU_S_SUM);
    if (hart->data_nonglobal_s)
        flush_data(hart, MMU_S);
    hart->data_nonglobal_s = false;
}

/* The bits of an address that translations to be dropped have in common with it,
 * and in the second level their context, if it is not any. */
struct victims {
    gva_t va;
    uint64_t mask;
    uint64_t context; /* 0: any */
};

static bool is_victim(const struct victims *victims, gva_t page)
{
    return ((page ^ victims->va) & victims->mask) == 0;
}

static void drop_in_slot(struct hart *hart, const struct victims *victims, size_t slot)
{
    for (unsigned i = MMU_U; i <= MMU_S_SUM; i++)
        if (is_victim(victims, hart->tlb[i][slot].load_tag))
            hart->tlb[i][slot].load_tag = hart->tlb[i][slot].store_tag = invalid_tag(slot);
}

static void drop_in_slots(struct hart *hart, const struct victims *victims)
{
    for (unsigned i = MMU_U; i <= MMU_S_SUM; i++) {
        if (hart->tlb_is_clear[i])
            continue;
        for (unsigned reg = 0; reg < TLB_SLOTS; reg++)
            for (unsigned kind = 0; kind < 2; kind++)
                if (is_victim(victims, hart->slots[i][kind][reg].tag))
                    hart->slots[i][kind][reg].tag = TLB_NO_SLOT;
    }
}

static void drop_in_set(struct tlb2_entry *set, const struct victims *victims)
{
    for (unsigned way = 0; way < TLB2_WAYS; way++)
        if (is_victim(victims, set[way].tag) &&
            (victims->context == 0 || set[way].context == victims->context))
            set[way].tag = 0;
}

/* Drops what the leaf that maps `va` may have been entered as: from the second
 * level, and if `first_level` also from the first. */
static void drop_data(struct hart *hart, gva_t va, uint64_t context, bool first_level)
{
    struct victims victims = {va, ~PAGE_MASK, context};
    gva_t from = va;
    size_t pages = 1;

    if (in_range(&hart->huge, va)) {
        flush_all_data(hart);
        return;
    }
    if (may_be_large(hart, va)) {
        victims.mask = ~bits_mask(REGION_SHIFT);
        from = va & victims.mask;
        pages = REGION_PAGES;
    }
    if (first_level)
        drop_in_slots(hart, &victims);
    for (size_t i = 0; i < pages; i++) {
        gva_t page = from + i * PAGE_SIZE;
        if (first_level)
            drop_in_slot(hart, &victims, (page >> PAGE_SHIFT) % TLB_SIZE);
        drop_in_set(set_of(hart, page), &victims);
    }
}

void tlb_init_zeroed(struct hart *hart)
{
    /* Zero is the tag of page 0, which only the first entry can have. */
    for (unsigned i = 0; i < MMU_COUNT; i++) {
        hart->tlb[i][0].load_tag = hart->tlb[i][0].store_tag = invalid_tag(0);
        hart->tlb_is_clear[i] = true;
    }
    for (unsigned privilege = 0; privilege <= PRIV_M; privilege++) {
        hart->fetch[privilege][0].tag = hart->fetch[privilege][0].pa_tag = TLB_NO_PAGE;
        hart->fetch_is_clear[privilege] = true;
    }
}

/* ---- fetches ---- */

static unsigned fetch_bit(gva_t va)
{
    uint64_t page = va >> PAGE_SHIFT;

    return (unsigned)((page ^ page >> 10 ^ page >> 20) % TLB_FETCH_FILTER);
}

static void drop_fetch(struct fetch_entry *entry)
{
    entry->tag = TLB_NO_PAGE;
    entry->pa_tag = TLB_NO_PAGE;
}

static void flush_fetch(struct hart *hart, unsigned privilege)
{
    if (hart->fetch_is_clear[privilege])
        return;
    for (size_t i = 0; i < FETCH_TLB_SIZE; i++)
        drop_fetch(&hart->fetch[privilege][i]);
    hart->fetch_is_clear[privilege] = true;
    hart->fetch_large[privilege] = (struct tlb_large_range){UINT64_MAX, 0};
}

void tlb_flush_fetch(struct hart *hart)
{
    flush_fetch(hart, PRIV_U);
    flush_fetch(hart, PRIV_S);
    flush_fetch(hart, PRIV_M);
    for (unsigned i = 0; i < ARRAY_LEN(hart->fetch_filter); i++)
        hart->fetch_filter[i] = 0;
    hart->fetch_nonglobal_s = false;
    hart->fetch_epoch++;
}

void tlb_recheck_code(struct hart *hart)
{
    hart->code_generation++;
    for (unsigned privilege = 0; privilege <= PRIV_M; privilege++)
        if (!hart->fetch_is_clear[privilege])
            for (size_t i = 0; i < FETCH_TLB_SIZE; i++)
                hart->fetch[privilege][i].tag = TLB_NO_PAGE;
}

void tlb_drop_stores(struct hart *hart, bool (*drop)(void *owner, const uint8_t *page), void *owner)
{
    for (unsigned index = 0; index < MMU_COUNT; index++) {
        if (hart->tlb_is_clear[index])
            continue;
        for (size_t i = 0; i < TLB_SIZE; i++) {
            struct tlb_entry *entry = &hart->tlb[index][i];
            const uint8_t *page = (const uint8_t *)(entry->store_tag + entry->addend); /* NOLINT */
            if (entry->store_tag != invalid_tag(i) && drop(owner, page))
                entry->store_tag = invalid_tag(i);
        }
        for (unsigned i = 0; i < TLB_SLOTS; i++)
            hart->slots[index][1][i].tag = TLB_NO_SLOT;
    }
}

static void flush_nonglobal_fetch(struct hart *hart)
{
    flush_fetch(hart, PRIV_U);
    if (hart->fetch_nonglobal_s)
        flush_fetch(hart, PRIV_S);
    hart->fetch_nonglobal_s = false;
}

/* The filter says what was fetched from since all of it was last dropped, in any
 * address space, so also what is bound elsewhere. */
static void drop_fetch_page(struct hart *hart, gva_t va)
{
    static const enum privilege fetchers[] = {PRIV_U, PRIV_S};
    size_t slot = (va >> PAGE_SHIFT) % FETCH_TLB_SIZE;
    unsigned bit = fetch_bit(va);
    bool found = (hart->fetch_filter[bit / 64] >> (bit % 64)) & 1;

    for (unsigned i = 0; i < ARRAY_LEN(fetchers); i++) {
        if (in_range(&hart->fetch_large[fetchers[i]], va)) {
            flush_fetch(hart, fetchers[i]);
            found = true;
        } else if (found) {
            drop_fetch(&hart->fetch[fetchers[i]][slot]);
        }
    }
    if (found)
        hart->fetch_epoch++;
}

void tlb_note_fetch(struct hart *hart, gva_t va, const struct mmu_result *result)
{
    struct tlb_large_range *range = &hart->fetch_large[hart->privilege];
    unsigned bit = fetch_bit(va);

    hart->fetch_filter[bit / 64] |= BIT(bit % 64);
    hart->fetch_is_clear[hart->privilege] = false;
    if (hart->privilege == PRIV_S && !result->is_global)
        hart->fetch_nonglobal_s = true;
    if (result->leaf_size > PAGE_SIZE) {
        range->first = MIN(range->first, va & ~(result->leaf_size - 1));
        range->last = MAX(range->last, va | (result->leaf_size - 1));
    }
}

/* ---- what others flush ---- */

void tlb_flush(struct hart *hart)
{
    flush_all_data(hart);
    tlb_flush_fetch(hart);
}

void tlb_flush_page(struct hart *hart, gva_t va)
{
    drop_data(hart, va, 0, true);
    drop_fetch_page(hart, va);
}

void tlb_flush_asid(struct hart *hart, unsigned asid)
{
    flush_tlb2_asid(hart, asid);
    if (asid == current_asid(hart)) {
        flush_nonglobal_data(hart);
        flush_nonglobal_fetch(hart);
    }
    hart->fetch_epoch++;
}

void tlb_flush_page_asid(struct hart *hart, gva_t va, unsigned asid)
{
    drop_data(hart, va, asid_context(&hart->tlb2, asid), asid == current_asid(hart));
    drop_fetch_page(hart, va);
}

void tlb_switch(struct hart *hart, uint64_t satp)
{
    uint64_t old = hart->satp;
    unsigned old_asid = current_asid(hart);

    if (satp == old)
        return;
    hart->satp = satp;
    unsigned asid = current_asid(hart);
    if (satp >> SATP_MODE_SHIFT != old >> SATP_MODE_SHIFT) {
        tlb_flush(hart);
        hart->code_generation++;
        return;
    }
    /* Kernels that use ASIDs say what they change. Others change the root of ASID
     * 0, and may never have heard of fence.i either: looking at the code again
     * costs a compare per page used. */
    bool says_what = asid != 0 && asid != old_asid;
    if (!says_what) {
        flush_tlb2_asid(hart, asid);
        hart->code_generation++;
    }
    if (!says_what || hart->fetch_nonglobal_s)
        hart->fetch_epoch++;
    flush_nonglobal_data(hart);
    flush_nonglobal_fetch(hart);
    update_contexts(hart);
}

/* ---- entering ---- */

static void fill_first(struct hart *hart, gva_t va, bool can_store, uintptr_t addend)
{
    size_t slot = (va >> PAGE_SHIFT) % TLB_SIZE;
    gva_t page = va & ~PAGE_MASK;

    if (can_store)
        space_note_store(hart->config.space, (const uint8_t *)(page + addend)); /* NOLINT */
    hart->data_tlb[slot] = (struct tlb_entry){
        .load_tag = page,
        .store_tag = can_store ? page : invalid_tag(slot),
        .addend = addend,
    };
    hart->tlb_is_clear[hart->data_index] = false;
}

static bool is_translated(const struct hart *hart)
{
    return hart->data_index != MMU_M && hart->satp >> SATP_MODE_SHIFT != SATP_BARE;
}

/* The bits in which a tag must be what it is for `va` as data_index, and what it
 * is: with SUM, S-mode has the pages of both. */
static uint64_t wanted_tag(const struct hart *hart, gva_t va, enum access access, uint64_t *mask)
{
    uint64_t tag = (va & ~PAGE_MASK) | TLB2_VALID;

    *mask = ~PAGE_MASK | TLB2_VALID;
    if (hart->data_index != MMU_S_SUM)
        *mask |= TLB2_USER;
    if (hart->data_index == MMU_U)
        tag |= TLB2_USER;
    if (access == ACCESS_STORE) {
        *mask |= TLB2_STORE;
        tag |= TLB2_STORE;
    }
    return tag;
}

static bool refill_from_second(struct hart *hart, gva_t va, enum access access)
{
    const struct tlb2_entry *set = set_of(hart, va);
    uint64_t mask;
    uint64_t wanted = wanted_tag(hart, va, access, &mask);

    for (unsigned way = 0; way < TLB2_WAYS; way++) {
        const struct tlb2_entry *entry = &set[way];
        bool is_global = entry->context == hart->tlb2.global_context;
        if ((entry->tag ^ wanted) & mask ||
            (!is_global && entry->context != hart->tlb2.asid_context))
            continue;
        fill_first(hart, va, entry->tag & TLB2_STORE, entry->addend);
        if (!is_global && hart->data_index == MMU_S)
            hart->data_nonglobal_s = true;
        return true;
    }
    return false;
}

static bool is_live(const struct tlb2 *tlb, const struct tlb2_entry *entry)
{
    unsigned asid = (unsigned)bits_extract(entry->context, 1, SATP_ASID_BITS);

    return entry->tag != 0 &&
           (entry->context == tlb->global_context || entry->context == asid_context(tlb, asid));
}

/* Where an entry for `page` goes: over an older one of its own, else over one
 * that cannot hit any more, else over any. */
static struct tlb2_entry *second_victim(struct hart *hart, gva_t page, bool is_user)
{
    struct tlb2 *tlb = &hart->tlb2;
    struct tlb2_entry *set = set_of(hart, page);
    struct tlb2_entry *dead = NULL;

    for (unsigned way = 0; way < TLB2_WAYS; way++) {
        struct tlb2_entry *entry = &set[way];
        if (!is_live(tlb, entry))
            dead = entry;
        else if ((entry->tag & ~PAGE_MASK) == page && !(entry->tag & TLB2_USER) == !is_user &&
                 (entry->context == tlb->asid_context || entry->context == tlb->global_context))
            return entry;
    }
    return dead ? dead : &set[tlb->victim++ % TLB2_WAYS];
}

static void fill_second(struct hart *hart, gva_t va, const struct mmu_result *result,
                        uintptr_t addend)
{
    gva_t page = va & ~PAGE_MASK;
    uint64_t flags = TLB2_VALID;

    if (result->is_user)
        flags |= TLB2_USER;
    if (result->is_writable)
        flags |= TLB2_STORE;
    *second_victim(hart, page, result->is_user) = (struct tlb2_entry){
        .tag = page | flags,
        .context = result->is_global ? hart->tlb2.global_context : hart->tlb2.asid_context,
        .addend = addend,
    };
}

void tlb_fill(struct hart *hart, gva_t va, const struct mmu_result *result, const uint8_t *host)
{
    uintptr_t addend = (uintptr_t)host - va;

    note_large(hart, va, result->leaf_size);
    fill_first(hart, va, result->is_writable, addend);
    if (!is_translated(hart))
        return;
    if (!result->is_global && hart->data_index == MMU_S)
        hart->data_nonglobal_s = true;
    fill_second(hart, va, result, addend);
}

bool tlb_refill_from_second(struct hart *hart, gva_t va, enum access access)
{
    return is_translated(hart) && refill_from_second(hart, va, access);
}
