/* SPDX-License-Identifier: Apache-2.0
 * From a program counter to a predecoded instruction: the fetch TLB and, behind
 * it, translation. */
#include "riscv/fetch.h"

#include "base/endian.h"
#include "mem/space.h"
#include "port/user_memory.h"
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

static struct fetch_entry *entry_of(struct hart *hart, gva_t va)
{
    return &hart->fetch_tlb[(va >> PAGE_SHIFT) % FETCH_TLB_SIZE];
}

/* Of a process VM: virtual addresses serve as physical ones. */
static bool user_fetch(struct hart *hart, gva_t va, void *to, size_t size)
{
    const struct user_memory_port *user = hart->config.user;

    if (user->fetch(user->owner, va, to, size))
        return true;
    hart_exception(hart, CAUSE_FETCH_PAGE, va);
    return false;
}

bool fetch_translate(struct hart *hart, gva_t va, gpa_t *pa)
{
    struct fetch_entry *entry = entry_of(hart, va);
    gva_t page = va & ~PAGE_MASK;
    struct mmu_result result;
    uint16_t half;

    if (hart->config.user) {
        *pa = va;
        return user_fetch(hart, va, &half, sizeof(half));
    }
    if (LIKELY(entry->pa_tag == page)) {
        *pa = entry->gpa | (va & PAGE_MASK);
        return true;
    }
    if (!translate(hart, va, &result))
        return false;
    if (!pmp_page_is_uniform(hart, result.pa)) {
        *pa = UINT64_MAX;
        return true;
    }
    if (!space_ram(hart->config.space, result.pa & ~PAGE_MASK, PAGE_SIZE)) {
        /* RAM whose page is shared with a device register can still be run. */
        *pa = UINT64_MAX;
        if (space_ram(hart->config.space, result.pa, 2))
            return true;
        hart_exception(hart, CAUSE_FETCH_ACCESS, va);
        return false;
    }
    *entry =
        (struct fetch_entry){.tag = TLB_NO_PAGE, .pa_tag = page, .gpa = result.pa & ~PAGE_MASK};
    tlb_note_fetch(hart, va, &result);
    *pa = result.pa;
    return true;
}

static const struct code_op *fetch_miss(struct hart *hart)
{
    gva_t pc = hart->pc;
    gpa_t pa;

    if (!fetch_translate(hart, pc, &pa))
        return NULL;
    if (pa == UINT64_MAX)
        return fetch_alone(hart);
    /* It is RAM, so there is a page, but the memory of programs can vanish at any time;
     * making it may drop others from the TLB. */
    struct code_page *page = code_page_get(hart, pa & ~PAGE_MASK);
    if (UNLIKELY(!page)) {
        hart_exception(hart, CAUSE_FETCH_PAGE, pc);
        return NULL;
    }
    hart->fetch_is_clear[hart->privilege] = false;
    struct fetch_entry *entry = entry_of(hart, pc);
    entry->page = page;
    entry->tag = pc & ~PAGE_MASK;
    hart->page = entry->tag;
    return &page->ops[(pc & PAGE_MASK) / 2];
}

const struct code_op *fetch_op(struct hart *hart)
{
    gva_t pc = hart->pc;
    const struct fetch_entry *entry = entry_of(hart, pc);

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

    if (hart->config.user) {
        uint8_t bytes[2];
        if (!user_fetch(hart, va, bytes, sizeof(bytes)))
            return false;
        *half = load_le16(bytes);
        return true;
    }
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
