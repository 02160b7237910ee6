/* SPDX-License-Identifier: Apache-2.0
 * What host code calls without giving up its registers: it keeps guest registers
 * in xmm registers, so nothing here, nor anything called from here, may use one.
 * The build compiles this file for general registers only. */
#include "port/user_memory.h"
#include "riscv/hart.h"
#include "translator/run.h"

#define VA_BITS_BARE    56
#define SRET_ENCODING   0x10200073 /* what a trap tells of it */
#define SFENCE_ENCODING 0x12000073 /* with both registers x0 */

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
    if (th->translator->options.user) {
        th->context_tag = context_user_tag(context);
        return;
    }
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
    context_clear_jumps(th);
}

void context_clear_jumps(struct translated_hart *th)
{
    if (th->translator->options.user) {
        for (unsigned i = 0; i < USER_JUMP_CACHE_SIZE; i++)
            th->jumps[i] = (struct jump_entry){0, 0};
        cache_init_jumps(th);
        return;
    }
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
    uint32_t at = entry_hash(t, key);

    for (;; at = entry_next(t, at)) {
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

void cache_link_page(struct translator *t, uint32_t index, gva_t pc, uint64_t key)
{
    struct page_link *link = &t->page_links[index];
    struct guest_page *page = cache_find_page(t, pc & ~PAGE_MASK);

    if (t->options.no_chaining || !page ||
        atomic_exchange_explicit(&t->links, 1, memory_order_acquire))
        return;
    /* Looked for again: whoever kills a unit first takes its entries away, then undoes
     * the links under this lock. */
    const uint8_t *code = cache_find(t, key);
    if (code && !link->is_linked) {
        emit_patch(cache_write_address(t, link->site),
                   cache_write_address(t, (uint32_t)(code - t->map.exec)));
        link->is_linked = true;
        link->next = page->incoming;
        page->incoming = index;
        t->stats.links++;
    }
    atomic_store_explicit(&t->links, 0, memory_order_release);
}

struct guest_page *cache_find_page(struct translator *t, gpa_t gpa)
{
    struct guest_page *page = t->pages[(gpa >> PAGE_SHIFT) % PAGE_BUCKETS];

    while (page && page->gpa != gpa)
        page = page->next;
    return page;
}

/* Host code for `pc` in the hart's context, where it is executed next. */
static const uint8_t *find(struct translated_hart *th, gva_t pc, unsigned variant)
{
    gpa_t page = pc & ~PAGE_MASK;

    if (th->translator->options.user) {
        if (pc >= USER_MEMORY_END)
            return NULL;
    } else if (!hart_fetch_refill(&th->hart, pc, &page)) {
        return NULL;
    }
    return cache_find(th->translator, entry_key(page + (pc & PAGE_MASK), th->context | variant));
}

const uint8_t *runtime_find(struct translated_hart *th, gva_t pc)
{
    const uint8_t *code = find(th, pc, 0);

    th->counters.jump_misses++;
    if (!code) {
        th->hart.pc = pc;
        return NULL;
    }
    unsigned size = th->translator->options.user ? USER_JUMP_CACHE_SIZE : JUMP_CACHE_SIZE;
    if (!th->translator->options.no_chaining)
        th->jumps[(pc >> 1) % size] =
            (struct jump_entry){pc ^ th->context_tag, (uint64_t)(uintptr_t)code};
    th->hart.page = pc & ~PAGE_MASK;
    return code;
}

const uint8_t *runtime_link(struct translated_hart *th, const struct link_data *data)
{
    bool is_user = th->translator->options.user;
    unsigned variant = is_user ? 0 : (unsigned)(data->target >> PAGE_SHIFT);
    gva_t pc = is_user ? data->target : th->hart.page + (data->target & PAGE_MASK);
    const uint8_t *code = find(th, pc, variant);

    if (!code) {
        th->hart.pc = pc;
        th->wanted_variant = variant;
        return NULL;
    }
    if (is_user) {
        cache_link_page(th->translator, data->site, pc, entry_key(pc, th->context));
        return code;
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

/* ---- privileged instructions ---- */

#define MXCSR_BASE     0x1f80u /* all exceptions masked, none raised */
#define MXCSR_RC_SHIFT 13

/* fflags for the six flags of MXCSR: invalid, denormal (RISC-V has none), divide,
 * overflow, underflow, precision. */
uint32_t runtime_flags_of(uint32_t mxcsr)
{
    return (mxcsr & 1) << 4 | (mxcsr & 4) << 1 | (mxcsr & 8) >> 1 | (mxcsr & 16) >> 3 |
           (mxcsr & 32) >> 5;
}

void runtime_take_flags(struct translated_hart *th)
{
    th->hart.fflags |= runtime_flags_of(th->mxcsr);
}

void runtime_give_rounding(struct translated_hart *th)
{
    /* RNE RTZ RDN RUP as the host numbers them; soft classes never use it. */
    static const uint8_t control[] = {0, 3, 1, 2, 0, 0, 0, 0};

    th->mxcsr = MXCSR_BASE | (uint32_t)control[th->hart.frm & 7] << MXCSR_RC_SHIFT;
}

/* Whether the run loop must look at the hart before its next instruction. May say
 * so for nothing. */
static bool must_poll(const struct translated_hart *th, uint64_t icount)
{
    const struct hart *hart = &th->hart;
    uint64_t pending = atomic_load_explicit(&hart->mip, memory_order_acquire) |
                       atomic_load_explicit(&hart->irq_lines, memory_order_acquire) |
                       (hart->stip ? IRQ_STIP : 0);

    return (pending & hart->mie) || icount >= atomic_load(&hart->limit) ||
           hart->fetch_epoch != th->fetch_epoch || hart->code_generation != th->code_generation;
}

unsigned runtime_csr(struct translated_hart *th, uint64_t operand, uint32_t code)
{
    struct hart *hart = &th->hart;
    unsigned number = code & CSR_CODE_NUMBER;
    uint32_t context = th->context;
    enum csr_result result = CSR_ILLEGAL;

    switch (code & CSR_CODE_HOW) {
    case CSR_CODE_READ:
        result = csr_access(hart, number, false, 0, &th->value);
        break;
    case CSR_CODE_WRITE:
        result = csr_access(hart, number, true, operand, &th->value);
        break;
    case CSR_CODE_SET:
        result = csr_modify(hart, number, operand, 0, &th->value);
        break;
    case CSR_CODE_CLEAR:
        result = csr_modify(hart, number, 0, operand, &th->value);
        break;
    default:
        break;
    }
    if (result == CSR_ILLEGAL)
        return CSR_ANSWER_ILLEGAL;
    context_update(th);
    if (result == CSR_REFETCH && must_poll(th, hart->icount + 1))
        return CSR_ANSWER_POLL;
    return th->context == context ? CSR_ANSWER_GO_ON : CSR_ANSWER_FIND;
}

unsigned runtime_csr_fp(struct translated_hart *th, uint64_t operand, uint32_t code)
{
    runtime_take_flags(th);
    unsigned answer = runtime_csr(th, operand, code);
    runtime_give_rounding(th);
    return answer;
}

/* Where a trap or its return leads. */
static const uint8_t *go_on(struct translated_hart *th)
{
    struct hart *hart = &th->hart;

    th->reason = LEAVE_POLL;
    if (must_poll(th, hart->icount))
        return NULL;
    context_update(th);
    th->reason = LEAVE_FIND;
    th->wanted_variant = 0;
    const struct jump_entry *entry = &th->jumps[(hart->pc >> 1) % JUMP_CACHE_SIZE];
    if (entry->tag != (hart->pc ^ th->context_tag))
        return runtime_find(th, hart->pc);
    hart->page = hart->pc & ~PAGE_MASK;
    return (const uint8_t *)(uintptr_t)entry->code; /* NOLINT(performance-no-int-to-ptr) */
}

const uint8_t *runtime_ecall(struct translated_hart *th, uint32_t info)
{
    struct hart *hart = &th->hart;

    hart->pc = hart->page + (info & INFO_OFFSET_MASK);
    hart_exception(hart, CAUSE_ECALL_U, 0);
    return go_on(th);
}

const uint8_t *runtime_sret(struct translated_hart *th, uint32_t info)
{
    struct hart *hart = &th->hart;

    hart->pc = hart->page + (info & INFO_OFFSET_MASK);
    if (hart->privilege == PRIV_S && (hart->mstatus & MSTATUS_TSR)) {
        hart_exception(hart, CAUSE_ILLEGAL_INSTRUCTION, SRET_ENCODING);
    } else {
        hart_sret(hart);
        hart->icount++;
    }
    return go_on(th);
}

const uint8_t *runtime_sfence(struct translated_hart *th, uint32_t info)
{
    struct hart *hart = &th->hart;

    hart->pc = hart->page + (info & INFO_OFFSET_MASK);
    if (hart->privilege == PRIV_S && (hart->mstatus & MSTATUS_TVM)) {
        hart_exception(hart, CAUSE_ILLEGAL_INSTRUCTION,
                       info >> INFO_RS1_SHIFT << 15 | SFENCE_ENCODING);
    } else {
        tlb_flush_page(hart, th->address);
        hart->pc += 4;
        hart->icount++;
    }
    return go_on(th);
}
