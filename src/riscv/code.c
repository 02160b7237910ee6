/* SPDX-License-Identifier: Apache-2.0
 * Predecoded code pages. */
#include "riscv/code.h"

#include "base/endian.h"
#include "isa/ops.h"
#include "mem/space.h"
#include "port/user_memory.h"
#include "riscv/hart.h"

size_t code_cache_size(size_t pages)
{
    return sizeof(struct code_cache) + pages * sizeof(struct code_page);
}

void code_cache_init(struct code_cache *cache, size_t pages)
{
    cache->sets = pages / CODE_WAYS;
}

static bool has_breakpoint_offset(const struct hart *hart, unsigned offset)
{
    return (hart->debug.break_offsets[offset / 128] >> (offset / 2 % 64)) & 1;
}

static void clear_slots(struct code_page *page)
{
    for (unsigned i = 0; i < CODE_SLOTS; i++)
        page->ops[i] = (struct code_op){.id = ID_UNDECODED, .offset = (uint16_t)(2 * i)};
    page->ops[CODE_SLOTS] = (struct code_op){.id = ID_PAGE_END, .offset = PAGE_SIZE};
    page->ops[CODE_SLOTS + 1] = (struct code_op){.id = ID_PAGE_END, .offset = PAGE_SIZE + 2};
}

void code_cache_flush(struct hart *hart)
{
    /* What was never used is not touched: under the translator that is all of it. */
    for (size_t i = 0; hart->code->is_used && i < hart->code->sets * CODE_WAYS; i++)
        hart->code->pages[i].is_used = false;
    hart->code->is_used = false;
    tlb_flush_fetch(hart);
}

/* No fetch TLB may keep a page that becomes another. */
static void forget(struct hart *hart, const struct code_page *page)
{
    for (unsigned privilege = 0; privilege <= PRIV_M; privilege++)
        for (unsigned i = 0; i < FETCH_TLB_SIZE; i++)
            if (hart->fetch[privilege][i].page == page)
                hart->fetch[privilege][i].tag = TLB_NO_PAGE;
}

/* Copies the page at `gpa`; false: it is not there, or not to be executed. */
static bool read_page(struct hart *hart, gpa_t gpa, uint8_t *to)
{
    const struct user_memory_port *user = hart->config.user;

    if (user)
        return user->fetch(user->owner, gpa, to, PAGE_SIZE);
    const uint8_t *ram = space_ram(hart->config.space, gpa, PAGE_SIZE);
    if (!ram)
        return false;
    memcpy(to, ram, PAGE_SIZE);
    return true;
}

static struct code_page *replace(struct hart *hart, struct code_page *set, gpa_t gpa)
{
    struct code_page *page = NULL;

    for (unsigned way = 0; way < CODE_WAYS && !page; way++)
        if (!set[way].is_used)
            page = &set[way];
    if (!page) {
        page = &set[hart->code->next_victim++ % CODE_WAYS];
        forget(hart, page);
    }
    hart->code->is_used = true;
    page->is_used = read_page(hart, gpa, page->copy);
    if (!page->is_used)
        return NULL;
    page->gpa = gpa;
    page->generation = hart->code_generation;
    clear_slots(page);
    return page;
}

/* Whether the page holds what memory does, once more. */
static bool refresh(struct hart *hart, struct code_page *page)
{
    uint8_t now[PAGE_SIZE];

    page->generation = hart->code_generation;
    if (!read_page(hart, page->gpa, now))
        return false;
    if (memcmp(page->copy, now, PAGE_SIZE) != 0) {
        memcpy(page->copy, now, PAGE_SIZE);
        clear_slots(page);
    }
    return true;
}

struct code_page *code_page_get(struct hart *hart, gpa_t gpa)
{
    size_t index = (size_t)(gpa >> PAGE_SHIFT) % hart->code->sets;
    struct code_page *set = &hart->code->pages[index * CODE_WAYS];

    for (unsigned way = 0; way < CODE_WAYS; way++) {
        struct code_page *page = &set[way];
        if (!page->is_used || page->gpa != gpa)
            continue;
        if (page->generation != hart->code_generation && !refresh(hart, page)) {
            page->is_used = false;
            return NULL;
        }
        return page;
    }
    return replace(hart, set, gpa);
}

static struct code_op make_op(const struct insn *insn, unsigned offset)
{
    int64_t target = (int64_t)offset + insn->imm;

    return (struct code_op){
        .id = insn->op,
        .offset = (uint16_t)offset,
        .rd = insn->rd == 0 && (isa_ops[insn->op].flags & X_RD) ? 32 : insn->rd,
        .rs1 = insn->rs1,
        .rs2 = insn->rs2,
        .rs3 = insn->rs3,
        .imm = insn->imm,
        .rm = insn->rm,
        .step = (uint8_t)(insn->length * 8),
        .near = insn->op == OP_jalr || (target >= 0 && target < (int64_t)PAGE_SIZE),
        .length = insn->length,
    };
}

struct code_page *code_page_of(const struct code_op *op)
{
    const struct code_op *first = op - op->offset / 2;

    /* Ops are const to handlers only; pages are ours to change. */
    return CONTAINER_OF((void *)(uintptr_t)first, struct code_page, ops); /* NOLINT */
}

void code_decode_slot(struct hart *hart, struct code_page *page, unsigned offset)
{
    struct code_op *op = &page->ops[offset / 2];
    uint32_t raw = load_le16(page->copy + offset);
    bool is_wide = (raw & 3) == 3;

    if (has_breakpoint_offset(hart, offset)) {
        op->id = ID_BREAKPOINT;
        return;
    }
    if (is_wide && offset == PAGE_SIZE - 2) {
        op->id = ID_STRADDLE;
        return;
    }
    if (is_wide)
        raw = load_le32(page->copy + offset);
    struct insn insn = isa_decode(raw, &hart->config.extensions);
    *op = make_op(&insn, offset);
}

const struct code_op *code_decode_single(struct hart *hart, uint32_t raw, uint16_t after)
{
    struct code_cache *code = hart->code;
    struct insn insn = isa_decode(raw, &hart->config.extensions);
    unsigned offset = hart->pc & PAGE_MASK;

    code->single[0] = make_op(&insn, offset);
    code->single[0].near = false; /* there is no page round it to jump in */
    code->single[0].step = sizeof(struct code_op);
    code->single[1] = (struct code_op){.id = after, .offset = (uint16_t)(offset + insn.length)};
    code->single_raw = raw;
    hart->page = hart->pc & ~PAGE_MASK;
    return &code->single[0];
}

const struct code_op *code_single_breakpoint(struct hart *hart)
{
    hart->code->single[0] =
        (struct code_op){.id = ID_BREAKPOINT, .offset = (uint16_t)(hart->pc & PAGE_MASK)};
    hart->page = hart->pc & ~PAGE_MASK;
    return &hart->code->single[0];
}
