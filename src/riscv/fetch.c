/* SPDX-License-Identifier: Apache-2.0
 * From a program counter to a predecoded instruction: the fetch TLB and, behind
 * it, translation. */
#include "riscv/fetch.h"

#include "base/endian.h"
#include "mem/space.h"
#include "riscv/hart.h"

/* Translates for a fetch of two bytes at `va`. */
static bool translate(struct hart *hart, gva_t va, struct mmu_result *result)
{
    if (mmu_translate(hart, va, 2, ACCESS_FETCH, mmu_fetch_index(hart->privilege), result))
        return true;
    hart_exception(hart, result->cause, va);
    return false;
}

/* An instruction of a page that has no slots of its own. */
static const struct code_op *fetch_alone(struct hart *hart)
{
    for (unsigned i = 0; i < hart->debug.breakpoint_count; i++)
        if (hart->debug.breakpoints[i] == hart->pc)
            return code_single_breakpoint(hart);
    return fetch_single(hart, ID_RESUME);
}

static const struct code_op *fetch_miss(struct hart *hart)
{
    gva_t pc = hart->pc;
    struct mmu_result result;

    if (!translate(hart, pc, &result))
        return NULL;
    if (!pmp_page_is_uniform(hart, result.pa))
        return fetch_alone(hart);
    struct code_page *page = code_page_get(hart, result.pa & ~PAGE_MASK);
    if (!page) {
        /* RAM whose page is shared with a device register can still be run. */
        if (space_ram(hart->config.space, result.pa, 2))
            return fetch_alone(hart);
        hart_exception(hart, CAUSE_FETCH_ACCESS, pc);
        return NULL;
    }
    hart->fetch_tlb[(pc >> PAGE_SHIFT) % FETCH_TLB_SIZE] =
        (struct fetch_entry){.tag = pc & ~PAGE_MASK, .page = page};
    tlb_note_large(&hart->fetch_large[hart->privilege], pc, result.leaf_size);
    hart->page = pc & ~PAGE_MASK;
    return &page->ops[(pc & PAGE_MASK) / 2];
}

const struct code_op *fetch_op(struct hart *hart)
{
    gva_t pc = hart->pc;
    struct fetch_entry *entry = &hart->fetch_tlb[(pc >> PAGE_SHIFT) % FETCH_TLB_SIZE];

    if (LIKELY(entry->tag == (pc & ~PAGE_MASK))) {
        hart->page = entry->tag;
        return &entry->page->ops[(pc & PAGE_MASK) / 2];
    }
    return fetch_miss(hart);
}

void fetch_decode(struct hart *hart, const struct code_op *op)
{
    code_decode_slot(hart, code_page_of(op), op->offset);
}

/* Two bytes of code at `va`. */
static bool fetch_half(struct hart *hart, gva_t va, uint32_t *half)
{
    struct mmu_result result;

    if (!translate(hart, va, &result))
        return false;
    const uint8_t *ram = space_ram(hart->config.space, result.pa, 2);
    if (!ram) {
        hart_exception(hart, CAUSE_FETCH_ACCESS, va);
        return false;
    }
    *half = load_le16(ram);
    return true;
}

const struct code_op *fetch_single(struct hart *hart, uint16_t after)
{
    uint32_t low = 0;
    uint32_t high = 0;

    if (!fetch_half(hart, hart->pc, &low))
        return NULL;
    if ((low & 3) == 3 && !fetch_half(hart, hart->pc + 2, &high))
        return NULL;
    return code_decode_single(hart, low | high << 16, after);
}
