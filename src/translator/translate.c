/* SPDX-License-Identifier: Apache-2.0
 * From guest code to a unit: the order of translation, and the jumps between instructions and
 * units. */
#include "translator/translate.h"

#include <stdlib.h>
#include <string.h>

#include "host/clock.h"
#include "port/user_memory.h"
#include "translator/listing.h"

/* Of the first instruction of a loop: what the host fetches at a time. */
#define LOOP_ALIGNMENT 16

/* ---- guest registers ---- */

bool rax_holds(const struct translation *tr, unsigned reg)
{
    return reg != 0 && tr->rax_guest == reg && tr->rax_at == tr->e.out->at;
}

unsigned get_x(struct translation *tr, unsigned reg, unsigned scratch)
{
    unsigned host = local_x(tr, reg);

    if (host != NO_REGISTER)
        return host;
    copy_x(tr, scratch, reg);
    return scratch;
}

void copy_x(struct translation *tr, unsigned host, unsigned reg)
{
    unsigned pinned = local_x(tr, reg);

    if (reg == 0)
        emit_rr(&tr->e, X86_XOR, 4, host, host);
    else if (pinned == NO_REGISTER && rax_holds(tr, reg)) {
        if (host != RAX)
            emit_rr(&tr->e, X86_MOV, 8, host, RAX);
    } else if (pinned == NO_REGISTER)
        emit_rm(&tr->e, X86_MOV, 8, host, guest_x(reg));
    else if (pinned != host)
        emit_rr(&tr->e, X86_MOV, 8, host, pinned);
}

unsigned target_x(const struct translation *tr, unsigned rd, unsigned scratch)
{
    unsigned host = local_x(tr, rd);

    return host == NO_REGISTER ? scratch : host;
}

const struct insn *next_insn(const struct translation *tr)
{
    unsigned next = tr->at + 1;

    if (!tr->puts_last || next >= tr->count || tr->e.out != &tr->e.hot)
        return NULL;
    const struct translated_insn *slot = &tr->insns[next];
    bool follows =
        !slot->is_entry && slot->offset == tr->insns[tr->at].offset + tr->insns[tr->at].insn.length;
    return follows && tr->pending + 1 <= MAX_PENDING ? &slot->insn : NULL;
}

void take_next(struct translation *tr)
{
    tr->at++;
    tr->pending++;
    tr->insns[tr->at].code = tr->e.hot.at;
    tr->insns[tr->at].cold = tr->e.cold.at;
}

/* Whether the next instruction takes guest register `rd` from rax and overwrites it,
 * so that nobody will see what memory has of it. */
static bool is_overwritten(const struct translation *tr, unsigned rd)
{
    const struct insn *next = next_insn(tr);

    return next && integer_consumes(next, rd);
}

void put_x(struct translation *tr, unsigned rd, unsigned host)
{
    unsigned pinned = local_x(tr, rd);

    if (rd == 0)
        return;
    if (pinned != NO_REGISTER) {
        if (pinned != host)
            emit_rr(&tr->e, X86_MOV, 8, pinned, host);
        return;
    }
    if (host != RAX || !is_overwritten(tr, rd))
        emit_rm(&tr->e, X86_MOV_STORE, 8, host, guest_x(rd));
    if (host == RAX && tr->e.out == &tr->e.hot) {
        tr->rax_guest = rd;
        tr->rax_at = tr->e.hot.at;
    }
}

void with_x(struct translation *tr, enum x86_op op, unsigned width, unsigned host, unsigned reg)
{
    unsigned pinned = local_x(tr, reg);

    if (pinned != NO_REGISTER)
        emit_rr(&tr->e, op, width, host, pinned);
    else
        emit_rm(&tr->e, op, width, host, guest_x(reg));
}

/* ---- flow ---- */

void pay_pending(struct translation *tr)
{
    if (tr->pending && !tr->is_user)
        emit_ri(&tr->e, X86_ADD_IMM, 8, ICOUNT, (int32_t)tr->pending);
    tr->pending = 0;
}

uint32_t info_of(const struct translation *tr)
{
    unsigned pending = tr->is_user ? 0 : tr->pending;

    return tr->insns[tr->at].offset | pending << INFO_PENDING_SHIFT;
}

void emit_page(struct translation *tr)
{
    if (!tr->is_user)
        return;
    emit_constant(&tr->e, RAX, tr->page->gpa);
    emit_rm(&tr->e, X86_MOV_STORE, 8, RAX, HART_FIELD(page));
}

void emit_fallback(struct translation *tr, const struct insn *insn)
{
    leave_unit(tr);
    emit_page(tr);
    emit_constant(&tr->e, RAX, insn->raw);
    emit_constant(&tr->e, RCX, info_of(tr));
    emit_call(&tr->e, tr->t->thunks.execute);
    enter_unit(tr);
    /* The call has counted everything up to and with this instruction. */
    tr->pending = 0;
    tr->known_boxed = 0;
}

void emit_cold_fallback(struct translation *tr, const struct insn *insn, const uint8_t *resume)
{
    leave_unit(tr);
    emit_page(tr);
    emit_constant(&tr->e, RAX, insn->raw);
    emit_constant(&tr->e, RCX, info_of(tr));
    emit_call(&tr->e, tr->t->thunks.execute);
    enter_unit(tr);
    if (!tr->is_user)
        emit_ri(&tr->e, X86_SUB_IMM, 8, ICOUNT, (int32_t)tr->pending + 1);
    emit_jmp(&tr->e, resume);
    tr->rax_at = NULL; /* that way leads there with something else */
}

void emit_jcc_cold(struct translation *tr, enum condition condition)
{
    emit_jcc(&tr->e, condition, tr->e.cold.at);
    to_cold(tr);
}

int find_insn(const struct translation *tr, int64_t offset)
{
    if (offset < 0 || offset >= (int64_t)PAGE_SIZE)
        return -1;
    unsigned index = tr->index_at[offset / 2];
    return index < tr->count && (int64_t)tr->insns[index].offset == offset ? (int)index : -1;
}

static uint8_t *emit_jump(struct translation *tr, int condition, const uint8_t *target)
{
    return condition < 0 ? emit_jmp(&tr->e, target)
                         : emit_jcc(&tr->e, (enum condition)condition, target);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): patched through it later */
void add_link(struct translation *tr, uint8_t *site, int64_t offset)
{
    uint64_t base = tr->is_user ? tr->page->gpa : 0;

    tr->pending_links[tr->link_count++] = (struct pending_link){site, base + (uint64_t)offset};
}

/* Forward, or the limit has been looked at. */
static void goto_unpolled(struct translation *tr, int condition, int64_t offset)
{
    int index = find_insn(tr, offset);

    /* Out of the ungrouped variant every way is a good one. */
    if (index >= 0 && !tr->t->options.no_chaining && !(tr->context & CONTEXT_UNGROUPED)) {
        uint8_t *label = tr->insns[index].label;
        uint8_t *site = emit_jump(tr, condition, label);
        if (!label)
            tr->fixups[tr->fixup_count++] = (struct fixup){site, (uint16_t)index};
        return;
    }
    if (tr->local_count && condition >= 0) {
        emit_jcc_cold(tr, (enum condition)condition);
        leave_unit(tr);
        add_link(tr, emit_jmp(&tr->e, NULL), offset);
        to_hot(tr);
        return;
    }
    leave_unit(tr);
    add_link(tr, emit_jump(tr, condition, NULL), offset);
}

void call_insn(struct translation *tr, unsigned index)
{
    uint8_t *label = tr->insns[index].label;
    uint8_t *site = emit_call(&tr->e, label);

    if (!label)
        tr->fixups[tr->fixup_count++] = (struct fixup){site, (uint16_t)index};
}

/* Where the limit was reached on the way to `offset`. */
static void emit_poll(struct translation *tr, int64_t offset)
{
    emit_jmp(&tr->e, tr->e.cold.at);
    to_cold(tr);
    leave_unit(tr);
    if (tr->is_user) {
        emit_address(tr, RAX, offset);
        emit_jmp(&tr->e, tr->t->thunks.poll_at);
    } else {
        emit_constant(&tr->e, RCX, (uint64_t)offset);
        emit_jmp(&tr->e, tr->t->thunks.poll_here);
    }
    to_hot(tr);
}

/* Units of process VMs count nothing and may have something else in r15: for them the limit is
 * 0 or none. */
enum condition emit_limit_check(struct translation *tr)
{
    if (tr->is_user) {
        emit_mi(&tr->e, X86_CMP_IMM, 8, HART_FIELD(limit), 0);
        return IF_NOT_EQUAL;
    }
    emit_rm(&tr->e, X86_CMP, 8, ICOUNT, HART_FIELD(limit));
    return IF_BELOW;
}

void emit_goto(struct translation *tr, int condition, int64_t offset)
{
    if (offset > (int64_t)tr->insns[tr->at].offset) {
        goto_unpolled(tr, condition, offset);
        return;
    }
    uint8_t *over = NULL;
    if (condition >= 0)
        over = emit_jcc_short(&tr->e, condition_not((enum condition)condition));
    goto_unpolled(tr, emit_limit_check(tr), offset);
    emit_poll(tr, offset);
    if (over)
        emit_patch_short(&tr->e, over);
}

void emit_goto_variant(struct translation *tr, unsigned variant)
{
    if (tr->pending)
        emit_ri(&tr->e, X86_ADD_IMM, 8, ICOUNT, (int32_t)tr->pending);
    add_link(tr, emit_jmp(&tr->e, NULL),
             (int64_t)(tr->insns[tr->at].offset | variant << PAGE_SHIFT));
}

void emit_address(struct translation *tr, unsigned host, int64_t offset)
{
    if (tr->is_user) {
        emit_constant(&tr->e, host, tr->page->gpa + (uint64_t)offset);
        return;
    }
    emit_rm(&tr->e, X86_MOV, 8, host, HART_FIELD(page));
    if (offset)
        emit_ri(&tr->e, X86_ADD_IMM, 8, host, (int32_t)offset);
}

/* ---- translation ---- */

static bool translate_one(struct translation *tr, const struct insn *insn)
{
    uint32_t flags = isa_ops[insn->op].flags;

    if (flags & (IS_JUMP | IS_BRANCH))
        return translate_jump(tr, insn);
    if (tr->t->options.no_inline)
        return false;
    if (isa_ops[insn->op].extension == EXT_Zicsr)
        return translate_csr(tr, insn);
    if (insn->op == OP_ecall || insn->op == OP_sret || insn->op == OP_sfence_vma)
        return translate_trap(tr, insn);
    if (translate_integer(tr, insn) || translate_memory(tr, insn) || translate_fp(tr, insn) ||
        translate_atomic(tr, insn)) {
        if (!(flags & (X_RD | IS_LOAD)) || (flags & (F_RS1 | IS_ATOMIC)))
            tr->rax_at = NULL;
        tr->pending++;
        return true;
    }
    return false;
}

/* Goes on at `offset`, the next instruction in memory, which is not in the unit. */
static void emit_continue(struct translation *tr, unsigned offset)
{
    pay_pending(tr);
    if (is_linkable(tr, offset)) {
        goto_unpolled(tr, -1, offset);
        return;
    }
    emit_address(tr, RAX, offset);
    emit_jump_rax(tr, false);
}

/* A 32-bit instruction whose second half lies in the next page. */
static void emit_straddling(struct translation *tr, unsigned offset)
{
    pay_pending(tr);
    emit_page(tr);
    emit_constant(&tr->e, RCX, offset);
    emit_jmp(&tr->e, tr->t->thunks.execute_fetched);
}

static void learn_word(struct translation *tr, const struct translated_insn *slot)
{
    const struct insn *insn = &slot->insn;

    if (!(isa_ops[insn->op].flags & X_RD) || insn->rd == 0)
        return;
    bool is_word =
        integer_makes_word(insn, tr->known_words) && tr->half_made != insn->rd && !slot->is_low;
    tr->known_words = (tr->known_words & ~(1u << insn->rd)) | (unsigned)is_word << insn->rd;
}

static void translate_insns(struct translation *tr)
{
    for (tr->at = 0; tr->at < tr->count; tr->at++) {
        struct translated_insn *slot = &tr->insns[tr->at];
        slot->code = tr->e.hot.at;
        slot->cold = tr->e.cold.at;
        if (slot->is_entry) {
            pay_pending(tr);
            tr->known_boxed = 0;
            tr->known_words = 0;
            tr->rax_at = tr->flags_at = NULL;
            low_forget(tr);
            if (slot->is_loop)
                emit_align(&tr->e, LOOP_ALIGNMENT);
            slot->label = tr->e.out->at;
        } else if (tr->pending > MAX_PENDING) {
            pay_pending(tr);
        }
        tr->ended = false;
        tr->puts_last = false;
        tr->half_made = 0;
        if (!translate_one(tr, &slot->insn)) {
            emit_fallback(tr, &slot->insn);
            tr->ended = ends_unit(&slot->insn);
        }
        slot = &tr->insns[tr->at]; /* perhaps it was more than one */
        learn_word(tr, slot);
        low_settle(tr, &slot->insn);
        unsigned next = slot->offset + slot->insn.length;
        bool follows = tr->at + 1 < tr->count && tr->insns[tr->at + 1].offset == next;
        if (!follows && !tr->ended)
            emit_continue(tr, next);
    }
}

static void patch_fixups(struct translation *tr)
{
    for (unsigned i = 0; i < tr->fixup_count; i++)
        emit_patch(tr->fixups[i].site, tr->insns[tr->fixups[i].target].label);
}

static uint32_t cache_offset(const struct translation *tr, const uint8_t *at)
{
    return (uint32_t)(at - tr->t->map.write);
}

/* With registers of its own, a unit is entered by stubs, which stand behind its hot part. */
static void make_entry_stubs(struct translation *tr)
{
    for (unsigned i = 0; i < tr->count && tr->local_count; i++) {
        struct translated_insn *slot = &tr->insns[i];
        if (!slot->is_entry)
            continue;
        const uint8_t *label = slot->label;
        slot->label = tr->e.out->at;
        enter_unit(tr);
        emit_jmp(&tr->e, label);
    }
}

/* Where accesses that fault go on. */
static void make_fault_stub(struct translation *tr)
{
    tr->fault_stub = NULL;
    if (!tr->local_count || !tr->access_count)
        return;
    to_cold(tr);
    tr->fault_stub = tr->e.out->at;
    leave_unit(tr);
    emit_jmp(&tr->e, tr->t->thunks.exit_fault);
    to_hot(tr);
}

static void make_link_stubs(struct translation *tr)
{
    struct translator *t = tr->t;

    if (tr->is_user && t->page_link_count + tr->link_count > t->page_link_room)
        tr->e.overflow = true;
    to_cold(tr);
    for (unsigned i = 0; i < tr->link_count && !tr->e.overflow; i++) {
        const struct pending_link *link = &tr->pending_links[i];
        const uint8_t *stub = tr->e.out->at;
        uint32_t site = cache_offset(tr, link->site);
        uint32_t name = site;
        if (tr->is_user) {
            name = t->page_link_count++;
            t->page_links[name] = (struct page_link){site, cache_offset(tr, stub), 0, false};
        }
        emit_call(&tr->e, t->thunks.link);
        emit_u32(&tr->e, name);
        emit_u32(&tr->e, (uint32_t)link->target);
        emit_u32(&tr->e, (uint32_t)(link->target >> 32));
        emit_patch(link->site, stub);
        tr->links[i] = (struct link){site, cache_offset(tr, stub)};
    }
    to_hot(tr);
}

static unsigned count_entries(const struct translation *tr)
{
    unsigned count = 0;

    for (unsigned i = 0; i < tr->count; i++)
        count += tr->insns[i].is_entry;
    return count;
}

static struct unit *make_unit(const struct translation *tr)
{
    unsigned entries = count_entries(tr);
    unsigned first = PAGE_SIZE;
    unsigned last = 0;

    for (unsigned i = 0; i < tr->count; i++) {
        first = MIN(first, tr->insns[i].offset);
        last = MAX(last, tr->insns[i].offset + (unsigned)tr->insns[i].insn.length);
    }
    size_t links_at = (sizeof(struct unit) + 7) & ~(size_t)7;
    size_t entries_at = links_at + tr->link_count * sizeof(struct link);
    size_t source_at = entries_at + entries * sizeof(uint16_t);
    uint8_t *memory = malloc(source_at + (last - first));
    if (!memory)
        return NULL;
    struct unit *unit = (struct unit *)(void *)memory;
    *unit = (struct unit){
        .context = (uint8_t)tr->context,
        .first = (uint16_t)first,
        .last = (uint16_t)last,
        .code = cache_offset(tr, tr->e.hot.start),
        .code_size = (uint32_t)(tr->e.hot.at - tr->e.hot.start),
        .cold = cache_offset(tr, tr->e.cold.start),
        .cold_size = (uint32_t)(tr->e.cold.at - tr->e.cold.start),
        .guest_count = (uint16_t)tr->count,
        .link_count = tr->is_user ? 0 : (uint16_t)tr->link_count,
        .links = (struct link *)(void *)(memory + links_at),
        .entries = (uint16_t *)(void *)(memory + entries_at),
        .source = memory + source_at,
    };
    memcpy(unit->links, tr->links, tr->link_count * sizeof(struct link));
    memcpy(unit->source, tr->source + first, last - first);
    for (unsigned i = 0; i < tr->count; i++)
        if (tr->insns[i].is_entry)
            unit->entries[unit->entry_count++] = tr->insns[i].offset;
    return unit;
}

/* For the handler of host faults, which may be looking at older ones right now. */
static void publish_accesses(struct translation *tr)
{
    struct translator *t = tr->t;
    size_t count = atomic_load_explicit(&t->fault_count, memory_order_relaxed);

    uint32_t resume = cache_offset(tr, tr->fault_stub ? tr->fault_stub : t->thunks.exit_fault);
    for (unsigned i = 0; i < tr->access_count; i++)
        t->faults[count + i] = (struct fault_site){tr->page->gpa + tr->accesses[i].offset,
                                                   cache_offset(tr, tr->accesses[i].at), resume};
    /* release: pairs with the acquire in translator_recover */
    atomic_store_explicit(&t->fault_count, count + tr->access_count, memory_order_release);
}

static void publish(struct translation *tr, struct unit *unit)
{
    struct translator *t = tr->t;

    unit->next = tr->page->units;
    tr->page->units = unit;
    t->hot_at += unit->code_size;
    t->cold_at += unit->cold_size;
    for (unsigned i = 0; i < tr->count; i++)
        if (tr->insns[i].is_entry) {
            cache_insert(t, entry_key(tr->page->gpa + tr->insns[i].offset, tr->context),
                         cache_offset(tr, tr->insns[i].label));
            mark(&tr->page->entered, tr->insns[i].offset);
        }
    publish_accesses(tr);
    t->stats.units++;
    t->stats.guest_instructions += tr->count;
    t->stats.host_bytes += unit->code_size + unit->cold_size;
}

/* Copies the page: other harts may be writing it, and all that follows works on this
 * copy. False: the program cannot execute it any more. */
static bool read_source(struct translation *tr)
{
    const struct user_memory_port *user = tr->t->user;

    tr->source_size = PAGE_SIZE;
    if (!tr->is_user) {
        memcpy(tr->source, tr->page->ram, PAGE_SIZE);
        return true;
    }
    if (!user->fetch(user->owner, tr->page->gpa, tr->source, PAGE_SIZE))
        return false;
    if (user->fetch(user->owner, tr->page->gpa + PAGE_SIZE, tr->source + PAGE_SIZE, 2))
        tr->source_size += 2;
    return true;
}

static bool has_fault_room(const struct translation *tr)
{
    return tr->access_count <= tr->t->fault_room - tr->t->fault_count;
}

const uint8_t *translate_unit(struct translator *t, struct guest_page *page, unsigned offset,
                              unsigned context, const struct extension_set *extensions)
{
    struct translation *tr = t->translation;
    uint64_t start = clock_monotonic_ns();

    tr->t = t;
    tr->features = &t->options.features;
    tr->extensions = extensions;
    tr->page = page;
    tr->context = context;
    tr->fp_on = context & CONTEXT_FP_ON;
    tr->has_compressed = extension_set_has(extensions, EXT_C);
    tr->rax_at = tr->flags_at = NULL;
    tr->count = tr->pending = tr->fixup_count = tr->link_count = tr->known_boxed = 0;
    tr->known_words = 0;
    tr->access_count = 0;
    tr->is_user = t->options.user;
    tr->is_decoded = (struct marks){0};
    clear_locals(tr);
    if (!read_source(tr))
        return NULL;
    emitter_init(&tr->e, t->map.write + t->hot_at, t->hot_end - t->hot_at,
                 t->map.write + t->cold_at, t->cold_end - t->cold_at);
    collect_unit(tr, offset);
    if (tr->count == 0) {
        tr->insns[0] = (struct translated_insn){.offset = (uint16_t)offset, .is_entry = true};
        tr->insns[0].label = tr->insns[0].code = tr->e.out->at;
        tr->insns[0].cold = tr->e.cold.at;
        emit_straddling(tr, offset);
        tr->index_at[offset / 2] = 0;
        tr->count = 1;
        tr->insns[0].insn.length = 2;
    } else {
        simplify_unit(tr);
        plan_memory(tr);
        plan_registers(tr);
        translate_insns(tr);
    }
    patch_fixups(tr);
    make_entry_stubs(tr);
    make_fault_stub(tr);
    make_link_stubs(tr);
    struct unit *unit = tr->e.overflow || !has_fault_room(tr) ? NULL : make_unit(tr);
    if (!unit)
        return NULL;
    publish(tr, unit);
    listing_add(tr, unit);
    t->stats.translate_ns += clock_monotonic_ns() - start;
    return t->map.exec + cache_offset(tr, tr->insns[find_insn(tr, offset)].label);
}
