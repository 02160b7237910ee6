/* SPDX-License-Identifier: Apache-2.0
 * Which instructions a unit takes: those that follow each other, and behind jumps what these
 * lead to, up to a limit. Units of process VMs hold loops as a whole (ADR 0042). */
#include "translator/translate.h"

#include "base/endian.h"

#define DEFAULT_UNIT_LIMIT 96
/* Of a process VM: whole loops profit from registers of their own. */
#define USER_UNIT_LIMIT    144
/* A unit whose accesses are each checked by themselves is left again soon. */
#define UNGROUPED_LIMIT    24

bool ends_unit(const struct insn *insn)
{
    switch (insn->op) {
    case OP_illegal:
    case OP_ecall:
    case OP_ebreak:
    case OP_mret:
    case OP_sret:
        return true;
    case OP_jal:
    case OP_jalr:
        return true;
    default:
        return false;
    }
}

/* Calls come back, most of the time. */
static bool is_call(const struct insn *insn)
{
    return (insn->op == OP_jal || insn->op == OP_jalr) && (insn->rd == 1 || insn->rd == 5);
}

/* Decodes from `offset` on; returns false where no whole instruction is left. */
static bool decode_at(struct translation *tr, unsigned offset, struct insn *insn)
{
    const uint8_t *at = tr->source + offset;
    uint32_t raw = load_le16(at);

    if (!is_marked(&tr->is_decoded, offset)) {
        if ((raw & 3) == 3) {
            if (offset + 4 > tr->source_size)
                return false;
            raw |= (uint32_t)load_le16(at + 2) << 16;
        }
        tr->decoded[offset / 2] = isa_decode(raw, tr->extensions);
        mark(&tr->is_decoded, offset);
    }
    *insn = tr->decoded[offset / 2];
    return true;
}

static int next_mark(const struct marks *marks, unsigned from)
{
    for (unsigned offset = from; offset < PAGE_SIZE; offset += 2)
        if (is_marked(marks, offset))
            return (int)offset;
    return -1;
}

static bool has_code(const struct translation *tr, unsigned offset)
{
    if (!is_marked(&tr->page->entered, offset))
        return false;
    return cache_find(tr->t, entry_key(tr->page->gpa + offset, tr->context)) != NULL;
}

/* Whether the instruction at `offset` is a branch over one move, for a conditional move. Only
 * process VMs do not count which of the two ways was taken. */
static bool may_select(struct translation *tr, unsigned offset, const struct insn *insn)
{
    struct insn move;

    return tr->is_user && (isa_ops[insn->op].flags & IS_BRANCH) && insn->imm > insn->length &&
           insn->imm <= insn->length + 4 && offset + insn->length < PAGE_SIZE &&
           decode_at(tr, offset + insn->length, &move) && insn->imm == insn->length + move.length &&
           integer_is_move(&move);
}

/* Of the branches that may, those select whose move nobody jumps to. Others are jumps as any. */
static void find_selects(struct translation *tr, struct marks *targets, const struct marks *loops)
{
    for (unsigned i = 0; i < tr->count; i++) {
        struct translated_insn *slot = &tr->insns[i];
        unsigned move = slot->offset + slot->insn.length;
        unsigned target = (unsigned)(slot->offset + slot->insn.imm);
        if (!slot->is_select)
            continue;
        slot->is_select = i + 1 < tr->count && tr->insns[i + 1].offset == move &&
                          !tr->insns[i + 1].is_entry && !is_marked(targets, move) &&
                          !is_marked(loops, move);
        if (!slot->is_select && is_near(target))
            mark(targets, target);
    }
}

static unsigned unit_limit(const struct translation *tr)
{
    unsigned limit = tr->t->options.unit_limit;

    if (limit == 0 || limit >= UNIT_MAX_INSNS)
        limit = tr->is_user ? USER_UNIT_LIMIT : DEFAULT_UNIT_LIMIT;
    return tr->context & CONTEXT_UNGROUPED ? MIN(limit, UNGROUPED_LIMIT) : limit;
}

/* Takes the instructions that follow each other in memory up to `end`, going on behind a jump
 * at the next of `targets`, to which jumps forwards add theirs, or where a call returns to. */
static void collect_from(struct translation *tr, unsigned offset, unsigned end,
                         struct marks *targets, struct marks *loops)
{
    unsigned limit = unit_limit(tr);
    bool after_jump = false;

    tr->count = 0;
    while (tr->count < limit && offset < end) {
        struct translated_insn *slot = &tr->insns[tr->count];
        if (tr->count && has_code(tr, offset))
            break;
        *slot = (struct translated_insn){.offset = (uint16_t)offset, .is_entry = after_jump};
        if (!decode_at(tr, offset, &slot->insn))
            break;
        const struct insn *insn = &slot->insn;
        tr->index_at[offset / 2] = (uint8_t)tr->count;
        tr->count++;
        int64_t target = (int64_t)offset + insn->imm;
        slot->is_select = may_select(tr, offset, insn);
        if ((isa_ops[insn->op].flags & (IS_BRANCH | IS_JUMP)) && insn->op != OP_jalr &&
            is_near(target) && !slot->is_select)
            mark(target > (int64_t)offset ? targets : loops, (unsigned)target);
        offset += insn->length;
        after_jump = false;
        if (!ends_unit(insn))
            continue;
        after_jump = true;
        if (is_call(insn))
            continue;
        int next = next_mark(targets, offset);
        if (next < 0 || (unsigned)next >= end)
            break;
        offset = (unsigned)next;
    }
}

/* Whether a loop begins where a jump has led past: it is then rotated, with its condition
 * below, and should be one unit with it. Marks such places as targets. */
static bool find_skipped_loops(const struct translation *tr, const struct marks *loops,
                               struct marks *targets)
{
    unsigned first = tr->insns[0].offset;
    unsigned last = tr->insns[tr->count - 1].offset;
    bool any = false;

    for (int at = next_mark(loops, first); at >= 0 && (unsigned)at < last;
         at = next_mark(loops, (unsigned)at + 2)) {
        if (find_insn(tr, at) >= 0)
            continue;
        mark(targets, (unsigned)at);
        any = true;
    }
    return any;
}

static unsigned length_at(const struct translation *tr, unsigned offset)
{
    return (tr->source[offset] & 3) == 3 ? 4 : 2;
}

/* Whether the instruction at `offset` has the encoding of a branch, or of a jump that leaves no
 * address: all are looked at, so that decoding them takes too long. */
static bool may_jump(const struct translation *tr, unsigned offset)
{
    unsigned raw = load_le16(tr->source + offset);

    if ((raw & 3) == 3)
        return (raw & 0x7f) == 0x63 || (raw & 0xfff) == 0x6f;
    return (raw & 3) == 1 && raw >> 13 >= 5;
}

/* Number of instructions from `first` up to `end`; -1 when none of them ends there. */
static int distance(const struct translation *tr, unsigned first, unsigned end)
{
    int count = 0;

    for (; first < end; count++)
        first += length_at(tr, first);
    return first == end ? count : -1;
}

static bool has_code_between(const struct translation *tr, unsigned first, unsigned end)
{
    for (unsigned offset = first; offset < end; offset += 2)
        if (has_code(tr, offset))
            return true;
    return false;
}

bool is_backward(const struct insn *insn)
{
    return insn->imm < 0 &&
           ((isa_ops[insn->op].flags & IS_BRANCH) || (insn->op == OP_jal && insn->rd == 0));
}

/* Whether the instruction at `offset` has the encoding of a call, another indirect jump, or a
 * trap: what a loop leaves its unit with. */
static bool may_leave(const struct translation *tr, unsigned offset)
{
    unsigned raw = load_le16(tr->source + offset);

    if ((raw & 3) == 3)
        return (raw & 0x7f) == 0x67 || (raw & 0x7f) == 0x73 ||
               ((raw & 0x7f) == 0x6f && (raw & 0xf80));
    return (raw & 0xe07f) == 0x8002; /* c.jr, c.jalr */
}

/* Whether the loop [first, end) is one that has a unit's registers to itself. */
static bool fits(const struct translation *tr, unsigned first, unsigned end)
{
    unsigned limit = unit_limit(tr);
    int count = end - first <= 4 * limit ? distance(tr, first, end) : -1;

    if (count < 0 || count > (int)limit)
        return false;
    for (; first < end; first += length_at(tr, first))
        if (may_leave(tr, first))
            return false;
    return true;
}

/* `head`, if a unit for `offset` may begin with the loop [head, end), else `first`. */
static unsigned first_with(const struct translation *tr, unsigned first, unsigned head,
                           unsigned offset, unsigned end)
{
    bool may =
        fits(tr, head, end) && distance(tr, head, offset) > 0 && !has_code_between(tr, head, first);

    return may ? head : first;
}

/* Where a unit begins and ends. */
struct extent {
    unsigned first;
    unsigned end;
};

/* Begins with the loop that `offset` is in, if the unit holds the end of it. */
static void include_loop(const struct translation *tr, struct extent *extent, unsigned offset)
{
    for (unsigned i = 0; i < tr->count; i++) {
        const struct translated_insn *slot = &tr->insns[i];
        unsigned end = (unsigned)(slot->offset + slot->insn.length);
        int64_t head = (int64_t)slot->offset + slot->insn.imm;
        if (is_backward(&slot->insn) && head >= 0 && head < (int64_t)extent->first)
            extent->first = first_with(tr, extent->first, (unsigned)head, offset, end);
    }
}

/* Ends before the first loop that would be cut off, if that fits into a unit of its own. */
static void exclude_loop(struct translation *tr, struct extent *extent, unsigned offset)
{
    unsigned limit = unit_limit(tr);
    unsigned last = tr->insns[tr->count - 1].offset;
    struct insn insn;

    for (unsigned at = last, count = 0; count < limit && at < PAGE_SIZE - 2; count++) {
        unsigned length = length_at(tr, at);
        if (may_jump(tr, at) && decode_at(tr, at, &insn) && is_backward(&insn)) {
            int64_t head = (int64_t)at + insn.imm;
            if (head > (int64_t)offset && head <= (int64_t)last && head < (int64_t)extent->end &&
                fits(tr, (unsigned)head, at + length))
                extent->end = (unsigned)head;
        }
        at += length;
    }
}

static void collect_extent(struct translation *tr, struct extent extent, struct marks *targets,
                           struct marks *loops)
{
    collect_from(tr, extent.first, extent.end, targets, loops);
    if (tr->is_user && tr->count && find_skipped_loops(tr, loops, targets))
        collect_from(tr, extent.first, extent.end, targets, loops);
}

/* A loop that fits into a unit is not torn apart. */
static void collect_loops(struct translation *tr, unsigned offset, struct marks *targets,
                          struct marks *loops)
{
    struct extent extent = {offset, PAGE_SIZE};

    if (tr->count == unit_limit(tr))
        exclude_loop(tr, &extent, offset);
    include_loop(tr, &extent, offset);
    if (extent.first == offset && extent.end == PAGE_SIZE)
        return;
    collect_extent(tr, extent, targets, loops);
    extent.first = offset;
    if (find_insn(tr, offset) < 0)
        collect_extent(tr, extent, targets, loops);
}

void collect_unit(struct translation *tr, unsigned offset)
{
    struct marks targets = {0}; /* of jumps forwards, and backwards */
    struct marks loops = {0};

    mark(&targets, offset);
    collect_extent(tr, (struct extent){offset, PAGE_SIZE}, &targets, &loops);
    if (tr->is_user && tr->count)
        collect_loops(tr, offset, &targets, &loops);
    find_selects(tr, &targets, &loops);
    for (unsigned i = 0; i < tr->count; i++) {
        struct translated_insn *slot = &tr->insns[i];
        slot->is_loop = is_marked(&loops, slot->offset);
        slot->is_entry |= i == 0 || slot->is_loop || is_marked(&targets, slot->offset);
    }
}
