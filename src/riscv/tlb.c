/* SPDX-License-Identifier: Apache-2.0
 * Dropping cached translations. */
#include "riscv/hart.h"

static struct tlb_entry invalid_entry(size_t index)
{
    /* A page address that has another index can never hit this entry. */
    uint64_t tag = (uint64_t)(index ^ 1) << PAGE_SHIFT;
    return (struct tlb_entry){.load_tag = tag, .store_tag = tag};
}

static void flush_data(struct hart *hart, unsigned index)
{
    for (size_t i = 0; i < TLB_SIZE; i++)
        hart->tlb[index][i] = invalid_entry(i);
    hart->large[index] = (struct tlb_large_range){UINT64_MAX, 0};
}

static void flush_fetch(struct hart *hart, unsigned privilege)
{
    for (size_t i = 0; i < FETCH_TLB_SIZE; i++)
        hart->fetch[privilege][i].tag = TLB_NO_PAGE;
    hart->fetch_large[privilege] = (struct tlb_large_range){UINT64_MAX, 0};
}

void tlb_flush_fetch(struct hart *hart)
{
    flush_fetch(hart, PRIV_U);
    flush_fetch(hart, PRIV_S);
    flush_fetch(hart, PRIV_M);
}

void tlb_flush(struct hart *hart)
{
    for (unsigned i = 0; i < MMU_COUNT; i++)
        flush_data(hart, i);
    tlb_flush_fetch(hart);
}

void tlb_note_large(struct tlb_large_range *range, gva_t va, uint64_t leaf_size)
{
    if (leaf_size <= PAGE_SIZE)
        return;
    range->first = MIN(range->first, va & ~(leaf_size - 1));
    range->last = MAX(range->last, va | (leaf_size - 1));
}

static bool in_range(const struct tlb_large_range *range, gva_t va)
{
    return range->first <= va && va <= range->last;
}

void tlb_flush_page(struct hart *hart, gva_t va)
{
    static const enum privilege fetchers[] = {PRIV_U, PRIV_S};
    size_t slot = (va >> PAGE_SHIFT) % TLB_SIZE;

    for (unsigned i = MMU_U; i <= MMU_S_SUM; i++) {
        if (in_range(&hart->large[i], va))
            flush_data(hart, i);
        else
            hart->tlb[i][slot] = invalid_entry(slot);
    }
    for (unsigned i = 0; i < ARRAY_LEN(fetchers); i++) {
        if (in_range(&hart->fetch_large[fetchers[i]], va))
            flush_fetch(hart, fetchers[i]);
        else
            hart->fetch[fetchers[i]][(va >> PAGE_SHIFT) % FETCH_TLB_SIZE].tag = TLB_NO_PAGE;
    }
}
