/* SPDX-License-Identifier: Apache-2.0
 * Virtual memory: the page-table walk of Sv39, Sv48 and Sv57 with Svadu, Svnapot
 * and Svpbmt (privileged architecture, "Virtual Address Translation Process"). */
#include "mem/space.h"
#include "riscv/hart.h"

#define PTE_SIZE      8
#define VPN_BITS      9
/* Physical addresses have 56 bits. */
#define PHYSICAL_MASK bits_mask(56)
/* Svnapot: the only size there is, 64 KiB, says 1000 in the low PPN bits. */
#define NAPOT_BITS    4
#define NAPOT_64K     8

static const enum privilege index_privilege[MMU_COUNT] = {
    [MMU_U] = PRIV_U, [MMU_S] = PRIV_S, [MMU_S_SUM] = PRIV_S, [MMU_M] = PRIV_M};

static const enum cause page_fault[] = {[ACCESS_LOAD] = CAUSE_LOAD_PAGE,
                                        [ACCESS_STORE] = CAUSE_STORE_PAGE,
                                        [ACCESS_FETCH] = CAUSE_FETCH_PAGE};
static const enum cause access_fault[] = {[ACCESS_LOAD] = CAUSE_LOAD_ACCESS,
                                          [ACCESS_STORE] = CAUSE_STORE_ACCESS,
                                          [ACCESS_FETCH] = CAUSE_FETCH_ACCESS};

enum mmu_index mmu_fetch_index(enum privilege privilege)
{
    /* SUM does not extend to fetches: S-mode never executes user pages. */
    return privilege == PRIV_M ? MMU_M : privilege == PRIV_S ? MMU_S : MMU_U;
}

static unsigned satp_levels(uint64_t satp)
{
    switch (satp >> SATP_MODE_SHIFT) {
    case SATP_SV39:
        return 3;
    case SATP_SV48:
        return 4;
    case SATP_SV57:
        return 5;
    default:
        return 0;
    }
}

/* Step 3 and the reserved encodings: whether the PTE may be followed or used. */
static bool pte_is_valid(const struct hart *hart, uint64_t pte, unsigned level)
{
    if (!(pte & PTE_V) || (pte & (PTE_R | PTE_W)) == PTE_W || (pte & PTE_RESERVED))
        return false;
    bool is_leaf = pte & (PTE_R | PTE_X);
    if (!is_leaf)
        return !(pte & (PTE_D | PTE_A | PTE_U | PTE_N | PTE_PBMT)) && level > 0;
    if (pte & PTE_PBMT) {
        if (!(hart->menvcfg & MENVCFG_PBMTE) || (pte & PTE_PBMT) == PTE_PBMT)
            return false;
    }
    uint64_t ppn = bits_extract(pte, PTE_PPN_SHIFT, 44);
    if (pte & PTE_N)
        return extension_set_has(&hart->config.extensions, EXT_Svnapot) && level == 0 &&
               bits_extract(ppn, 0, NAPOT_BITS) == NAPOT_64K;
    return bits_extract(ppn, 0, MAX(level, 1) * VPN_BITS) == 0 || level == 0;
}

/* Step 5: permission of a leaf for the access. */
static bool pte_permits(const struct hart *hart, uint64_t pte, enum access access,
                        enum mmu_index index)
{
    bool user_page = pte & PTE_U;

    if (user_page != (index == MMU_U) && !(user_page && index == MMU_S_SUM))
        return false;
    switch (access) {
    case ACCESS_LOAD:
        return (pte & PTE_R) || ((hart->mstatus & MSTATUS_MXR) && (pte & PTE_X));
    case ACCESS_STORE:
        return pte & PTE_W;
    case ACCESS_FETCH:
        return pte & PTE_X;
    }
    return false;
}

/* A page-table entry as it was read, and where. */
struct pte_slot {
    uint64_t *at;
    gpa_t pa;
    uint64_t value;
};

enum pte_update {
    PTE_UPDATED, /* or nothing to do */
    PTE_CHANGED, /* another hart wrote the entry: read it again */
    PTE_FAULT,   /* see result->cause */
};

/* Steps 6 and 7: sets A, and D for stores, or faults when software must (Svade).
 * An access that PMP will not permit sets nothing. */
static enum pte_update update_accessed_dirty(struct hart *hart, const struct pte_slot *slot,
                                             unsigned size, enum access access,
                                             struct mmu_result *result)
{
    uint64_t expected = slot->value;
    uint64_t wanted = expected | PTE_A | (access == ACCESS_STORE ? PTE_D : 0);

    if (wanted == expected)
        return PTE_UPDATED;
    if (!(hart->menvcfg & MENVCFG_ADUE)) {
        result->cause = page_fault[access];
        return PTE_FAULT;
    }
    if (!pmp_allows(hart, slot->pa, PTE_SIZE, ACCESS_STORE, PRIV_S) ||
        !pmp_allows(hart, result->pa, size, access, PRIV_S)) {
        result->cause = access_fault[access];
        return PTE_FAULT;
    }
    space_note_store(hart->config.space, (const uint8_t *)slot->at);
    return __atomic_compare_exchange_n(slot->at, &expected, wanted, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST)
               ? PTE_UPDATED
               : PTE_CHANGED;
}

static gpa_t leaf_address(uint64_t pte, gva_t va, unsigned level)
{
    unsigned offset_bits = PAGE_SHIFT + level * VPN_BITS;

    if (pte & PTE_N)
        offset_bits = PAGE_SHIFT + NAPOT_BITS;
    gpa_t base = bits_extract(pte, PTE_PPN_SHIFT, 44) << PAGE_SHIFT;
    return (base & ~bits_mask(offset_bits)) | (va & bits_mask(offset_bits));
}

static void describe_leaf(uint64_t pte, gva_t va, unsigned level, struct mmu_result *result)
{
    result->pa = leaf_address(pte, va, level);
    result->leaf_size = PAGE_SIZE << (level * VPN_BITS);
    if (pte & PTE_N)
        result->leaf_size = PAGE_SIZE << NAPOT_BITS;
    result->is_user = pte & PTE_U;
    result->is_writable = (pte & (PTE_W | PTE_D)) == (PTE_W | PTE_D);
}

static bool walk(struct hart *hart, gva_t va, unsigned size, enum access access,
                 enum mmu_index index, struct mmu_result *result)
{
    unsigned levels = satp_levels(hart->satp);
    unsigned va_bits = PAGE_SHIFT + levels * VPN_BITS;
    gpa_t table = (hart->satp & SATP_PPN_MASK) << PAGE_SHIFT;
    uint64_t global = 0;

    result->cause = page_fault[access];
    if ((uint64_t)bits_sign_extend(va, va_bits) != va)
        return false;
    for (int level = (int)levels - 1; level >= 0;) {
        uint64_t vpn = bits_extract(va, PAGE_SHIFT + (unsigned)level * VPN_BITS, VPN_BITS);
        gpa_t pte_pa = table + vpn * PTE_SIZE;
        uint8_t *at = space_ram(hart->config.space, pte_pa, PTE_SIZE);
        if (!at || !pmp_allows(hart, pte_pa, PTE_SIZE, ACCESS_LOAD, PRIV_S)) {
            result->cause = access_fault[access];
            return false;
        }
        struct pte_slot slot = {.at = (uint64_t *)(void *)at, .pa = pte_pa};
        uint64_t pte = slot.value = __atomic_load_n(slot.at, __ATOMIC_ACQUIRE);
        if (!pte_is_valid(hart, pte, (unsigned)level))
            return false;
        if (!(pte & (PTE_R | PTE_X))) {
            global |= pte & PTE_G;
            table = bits_extract(pte, PTE_PPN_SHIFT, 44) << PAGE_SHIFT;
            level--;
            continue;
        }
        if (!pte_permits(hart, pte, access, index))
            return false;
        describe_leaf(pte, va, (unsigned)level, result);
        result->is_global = (global | pte) & PTE_G;
        enum pte_update update = update_accessed_dirty(hart, &slot, size, access, result);
        if (update == PTE_FAULT)
            return false;
        if (update == PTE_CHANGED)
            continue;
        return true;
    }
    return false;
}

bool mmu_translate(struct hart *hart, gva_t va, unsigned size, enum access access,
                   enum mmu_index index, struct mmu_result *result)
{
    enum privilege privilege = index_privilege[index];

    if (privilege == PRIV_M || satp_levels(hart->satp) == 0) {
        result->pa = va;
        result->leaf_size = 0;
        result->is_global = true;
        result->is_user = false;
        result->is_writable = true;
        if (va & ~PHYSICAL_MASK) {
            result->cause = access_fault[access];
            return false;
        }
    } else if (!walk(hart, va, size, access, index, result)) {
        return false;
    }
    if (!pmp_allows(hart, result->pa, size, access, privilege)) {
        result->cause = access_fault[access];
        return false;
    }
    if (access == ACCESS_STORE)
        result->is_writable = true;
    else if (result->is_writable)
        result->is_writable =
            pmp_allows(hart, result->pa & ~PAGE_MASK, PAGE_SIZE, ACCESS_STORE, privilege);
    return true;
}

bool mmu_peek(struct hart *hart, gva_t va, gpa_t *pa)
{
    unsigned levels = satp_levels(hart->satp);
    gpa_t table = (hart->satp & SATP_PPN_MASK) << PAGE_SHIFT;

    if (index_privilege[hart->data_index] == PRIV_M || levels == 0) {
        *pa = va;
        return true;
    }
    for (unsigned level = levels; level-- > 0;) {
        uint64_t vpn = bits_extract(va, PAGE_SHIFT + level * VPN_BITS, VPN_BITS);
        const uint8_t *at = space_ram(hart->config.space, table + vpn * PTE_SIZE, PTE_SIZE);
        if (!at)
            return false;
        uint64_t pte = __atomic_load_n((const uint64_t *)(const void *)at, __ATOMIC_RELAXED);
        if (!pte_is_valid(hart, pte, level))
            return false;
        if (pte & (PTE_R | PTE_X)) {
            *pa = leaf_address(pte, va, level);
            return true;
        }
        table = bits_extract(pte, PTE_PPN_SHIFT, 44) << PAGE_SHIFT;
    }
    return false;
}
