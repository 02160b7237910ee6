/* SPDX-License-Identifier: Apache-2.0
 * What host code calls without giving up its registers: it keeps guest registers
 * in xmm registers, so nothing here, nor anything called from here, may use one.
 * The build compiles this file for general registers only. */
#include "riscv/hart.h"
#include "translator/internal.h"

#define VA_BITS_BARE 56

static unsigned rounding_class(const struct hart *hart)
{
    return hart->frm == 0 ? ROUNDING_RNE : hart->frm <= 3 ? ROUNDING_HOST : ROUNDING_SOFT;
}

static unsigned va_bits(uint64_t satp)
{
    uint64_t mode = satp >> SATP_MODE_SHIFT;

    return mode == SATP_BARE ? VA_BITS_BARE : 39 + 9 * (unsigned)(mode - SATP_SV39);
}

static uint64_t asid_of(uint64_t satp)
{
    return bits_extract(satp, 44, 16);
}

/* Tags of jumps in U-mode hold as much of the ASID as fits between the virtual
 * address and the context. S-mode code is mapped globally; where it is not, a
 * change of satp raises fetch_epoch. */
static uint64_t asid_tag(const struct hart *hart)
{
    if (hart->privilege != PRIV_U)
        return 0;
    unsigned bits = va_bits(hart->satp);
    return (asid_of(hart->satp) & bits_mask(CONTEXT_TAG_SHIFT - bits)) << (bits & 63);
}

void context_update(struct translated_hart *th)
{
    const struct hart *hart = &th->hart;
    unsigned context = hart->data_index | hart->privilege << CONTEXT_PRIVILEGE_SHIFT |
                       rounding_class(hart) << CONTEXT_RM_SHIFT;

    if ((hart->mstatus & MSTATUS_FS) == MSTATUS_FS)
        context |= CONTEXT_FP_ON;
    th->context = context;
    th->context_tag = (uint64_t)context << CONTEXT_TAG_SHIFT | asid_tag(hart);
}

void context_sync(struct translated_hart *th)
{
    struct hart *hart = &th->hart;
    struct translator *t = th->translator;
    uint64_t flush_epoch = atomic_load_explicit(&t->flush_epoch, memory_order_acquire);
    unsigned bits = va_bits(hart->satp);
    uint64_t asid_high = asid_of(hart->satp) >> (CONTEXT_TAG_SHIFT - bits);

    if (LIKELY(hart->fetch_epoch == th->fetch_epoch && flush_epoch == th->flush_epoch &&
               asid_high == th->asid_high)) {
        return;
    }
    th->fetch_epoch = hart->fetch_epoch;
    th->flush_epoch = flush_epoch;
    th->asid_high = asid_high;
    for (unsigned i = 0; i < PAGE_CACHE_SIZE; i++)
        th->pages[i].tag = NO_TAG;
    context_clear_jumps(th);
}

void context_clear_jumps(struct translated_hart *th)
{
    for (unsigned i = 0; i < JUMP_CACHE_SIZE; i++)
        th->jumps[i].tag = NO_TAG;
}

void runtime_page_stored(void *owner, gpa_t page)
{
    struct translator *t = owner;

    while (atomic_exchange_explicit(&t->links, 1, memory_order_acquire))
        __builtin_ia32_pause();
    if (t->stored_count < MAX_STORED)
        t->stored[t->stored_count++] = page;
    else
        t->stored_overflow = true;
    atomic_store_explicit(&t->links, 0, memory_order_release);
}

const uint8_t *cache_find(const struct translator *t, uint64_t key)
{
    uint32_t at = (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - 18));

    for (;; at = (at + 1) % ENTRY_SLOTS) {
        const struct entry_slot *slot = &t->entries[at];
        uint64_t found = atomic_load_explicit(&slot->key, memory_order_acquire);
        if (found == 0)
            return NULL;
        if (found != key)
            continue;
        uint32_t code = atomic_load_explicit(&slot->code, memory_order_acquire);
        return code ? t->map.exec + code : NULL;
    }
}

void cache_link(struct translator *t, uint32_t site, const uint8_t *code)
{
    if (t->options.no_chaining || atomic_exchange_explicit(&t->links, 1, memory_order_acquire))
        return;
    emit_patch(cache_write_address(t, site),
               cache_write_address(t, (uint32_t)(code - t->map.exec)));
    t->stats.links++;
    atomic_store_explicit(&t->links, 0, memory_order_release);
}

/* Host code for `pc` in the hart's context, if its page is known and checked. */
static const uint8_t *find(struct translated_hart *th, gva_t pc, unsigned variant)
{
    uint64_t tag = (pc & ~PAGE_MASK) ^ th->context_tag;
    const struct page_entry *entry = &th->pages[(pc >> PAGE_SHIFT) % PAGE_CACHE_SIZE];

    if (entry->tag != tag)
        return NULL;
    return cache_find(th->translator,
                      entry_key(entry->page->gpa + (pc & PAGE_MASK), th->context | variant));
}

const uint8_t *runtime_find(struct translated_hart *th, gva_t pc)
{
    const uint8_t *code = find(th, pc, 0);

    th->counters.jump_misses++;
    if (!code) {
        th->hart.pc = pc;
        return NULL;
    }
    if (!th->translator->options.no_chaining)
        th->jumps[(pc >> 1) % JUMP_CACHE_SIZE] =
            (struct jump_entry){pc ^ th->context_tag, (uint64_t)(uintptr_t)code};
    th->hart.page = pc & ~PAGE_MASK;
    return code;
}

const uint8_t *runtime_link(struct translated_hart *th, const struct link_data *data)
{
    gva_t pc = th->hart.page + (data->offset & PAGE_MASK);
    const uint8_t *code = find(th, pc, data->offset >> PAGE_SHIFT);

    if (!code) {
        th->hart.pc = pc;
        th->wanted_variant = data->offset >> PAGE_SHIFT;
        return NULL;
    }
    cache_link(th->translator, data->site, code);
    return code;
}

bool runtime_refill(struct translated_hart *th, gva_t va, uint32_t info)
{
    unsigned size = 1u << ((info >> INFO_SIZE_SHIFT) & 3);
    enum access access = info & INFO_STORE ? ACCESS_STORE : ACCESS_LOAD;

    th->counters.tlb_refills++;
    if (th->translator->options.no_fast_memory)
        return false;
    return hart_tlb_refill(&th->hart, va, size, access);
}
