/* SPDX-License-Identifier: Apache-2.0
 * Creation, and the loop that runs a hart: finds host code for its pc, makes it
 * when there is none, executes it, and looks at the outside in between. */
#include "translator/translator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/map.h"
#include "mem/space.h"
#include "port/user_memory.h"
#include "riscv/fetch.h"
#include "translator/listing.h"
#include "translator/run.h"
#include "translator/translate.h"

/* Instructions between two looks at the clock: some 50 us. */
#define SLICE     65536
/* Traps without a retired instruction, or the like, before the machine gets a
 * turn. */
#define MAX_TURNS 256

size_t translator_hart_size(void)
{
    return sizeof(struct translated_hart);
}

bool translator_is_supported(const struct cpu_features *features)
{
    (void)features;
#ifdef __x86_64__
    return true;
#else
    return false;
#endif
}

int translator_create(const struct translator_options *options, struct translator **out,
                      struct error *err)
{
    struct translator *t = calloc(1, sizeof(*t));

    if (!t)
        return error_set(err, -ENOMEM, "cannot create the translator: out of memory");
    t->options = *options;
    pthread_mutex_init(&t->mutex, NULL);
    t->translation = calloc(1, sizeof(*t->translation));
    int result = t->translation ? cache_create(t, err) : -ENOMEM;
    if (result == 0)
        result = listing_create(t, err);
    if (result < 0) {
        translator_destroy(t);
        return result;
    }
    thunks_make(t);
    *out = t;
    return 0;
}

void translator_destroy(struct translator *t)
{
    if (!t)
        return;
    cache_destroy(t);
    listing_destroy(t);
    pthread_mutex_destroy(&t->mutex);
    free(t->translation);
    free(t);
}

void translator_attach(struct translator *t, struct hart *hart)
{
    struct translated_hart *th = of_hart(hart);

    /* A process VM's is zeroed, and starts without touching all of it. */
    if (!t->options.user)
        memset((char *)th + sizeof(th->hart), 0,
               offsetof(struct translated_hart, jumps) - sizeof(th->hart));
    th->translator = t;
    th->host_mxcsr = 0x1f80;
    th->flush_epoch = UINT64_MAX; /* fills the jump cache with invalid tags */
    th->constants = (struct fp_constants){
        .box = {UINT64_C(0xffffffff00000000), 0},
        .sign64 = {UINT64_C(1) << 63, 0},
        .sign32 = {UINT64_C(1) << 31, 0},
        .nan64 = {UINT64_C(0x7ff8000000000000), 0},
        .nan32 = {UINT64_C(0xffffffff7fc00000), 0},
        .two63 = {UINT64_C(0x43e0000000000000), UINT64_C(0x5f000000)},
    };
    for (unsigned i = 0; i < sizeof(th->constants.fflags); i++)
        th->constants.fflags[i] = (uint8_t)runtime_flags_of(i);
    if (t->options.user)
        cache_init_jumps(th);
    pthread_mutex_lock(&t->mutex);
    if (t->options.user) {
        t->user = hart->config.user;
        th->flush_epoch = atomic_load(&t->flush_epoch);
        th->kill_epoch = t->kill_epoch;
        th->killed_seen = t->killed_count;
        th->fetch_epoch = hart->fetch_epoch;
        th->code_generation = hart->code_generation;
    }
    th->next = t->harts;
    t->harts = th;
    pthread_mutex_unlock(&t->mutex);
}

void translator_detach(struct translator *t, struct hart *hart)
{
    struct translated_hart **link = &t->harts;

    /* Its thread may have ended anywhere, if it was another process's. */
    cache_leave(of_hart(hart));
    pthread_mutex_lock(&t->mutex);
    while (*link != of_hart(hart))
        link = &(*link)->next;
    *link = of_hart(hart)->next;
    pthread_mutex_unlock(&t->mutex);
}

void translator_connect(struct translator *t, struct space *space)
{
    t->space = space;
    space->page_stored = runtime_page_stored;
    space->page_stored_owner = t;
}

void translator_forget(struct translator *t)
{
    pthread_mutex_lock(&t->mutex);
    cache_flush(t);
    pthread_mutex_unlock(&t->mutex);
}

/* Makes code for the hart's pc, which is at `gpa`. The hart is marked as being in
 * code again before anyone can flush it. */
static const uint8_t *make_code(struct translated_hart *th, gpa_t gpa, unsigned variant)
{
    struct translator *t = th->translator;
    gpa_t page_gpa = gpa & ~PAGE_MASK;
    const uint8_t *ram =
        t->options.user ? NULL : space_ram(th->hart.config.space, page_gpa, PAGE_SIZE);
    unsigned context = th->context | variant;
    const uint8_t *code = NULL;

    cache_leave(th);
    pthread_mutex_lock(&t->mutex);
    struct guest_page *page = cache_page(t, page_gpa, ram);
    if (page)
        code = cache_find(t, entry_key(gpa, context));
    if (!code) {
        if (!page || (!cache_has_room(t) && !cache_grow(t))) {
            cache_flush(t);
            page = cache_page(t, page_gpa, ram);
        }
        if (page)
            code = translate_unit(t, page, gpa & PAGE_MASK, context, &th->hart.config.extensions);
        cache_settle(t);
    }
    atomic_store(&th->in_code, 1);
    context_sync(th);
    pthread_mutex_unlock(&t->mutex);
    return code;
}

/* Forgets the jumps to units that are gone, one by one; false: there were too many. */
static bool forget_killed(struct translated_hart *th)
{
    struct translator *t = th->translator;
    uint64_t count = atomic_load_explicit(&t->killed_count, memory_order_acquire);
    uint64_t seen = th->killed_seen;

    th->killed_seen = count;
    for (uint64_t i = seen; i < count && count - seen <= KILL_LOG / 2; i++) {
        gva_t pc = atomic_load_explicit(&t->killed[i % KILL_LOG], memory_order_relaxed);
        struct jump_entry *entry = &th->jumps[(pc >> 1) % USER_JUMP_CACHE_SIZE];
        *entry = (struct jump_entry){0, 0};
    }
    cache_init_jumps(th);
    /* Where it was overwritten meanwhile, we have read the wrong ones. */
    return atomic_load_explicit(&t->killed_count, memory_order_acquire) - seen <= KILL_LOG / 2;
}

/* Units are gone: no jump may be remembered to lead to them. */
static void see_kills(struct translated_hart *th)
{
    uint64_t epoch = atomic_load_explicit(&th->translator->kill_epoch, memory_order_acquire);

    if (LIKELY(th->kill_epoch == epoch))
        return;
    if (!th->translator->options.user || !forget_killed(th))
        context_clear_jumps(th);
    th->kill_epoch = epoch;
}

static void fence_code(struct translated_hart *th)
{
    struct translator *t = th->translator;

    cache_leave(th);
    pthread_mutex_lock(&t->mutex);
    th->code_generation = th->hart.code_generation;
    cache_fence(t, th);
    see_kills(th);
    atomic_store(&th->in_code, 1);
    pthread_mutex_unlock(&t->mutex);
}

enum found {
    FOUND,
    FOUND_NOTHING, /* go on at the pc, which has changed */
    FOUND_TURN,    /* a trap, or the like: look at the outside */
};

static enum found find_code(struct translated_hart *th, const uint8_t **code)
{
    struct hart *hart = &th->hart;
    unsigned variant = th->wanted_variant;
    gpa_t gpa;

    th->wanted_variant = 0;
    context_update(th);
    if (UNLIKELY(hart->code_generation != th->code_generation))
        fence_code(th);
    context_sync(th);
    if (!variant) {
        *code = runtime_find(th, hart->pc);
        if (*code)
            return FOUND;
    }
    if (!fetch_translate(hart, hart->pc, &gpa))
        return FOUND_TURN;
    *code = gpa == UINT64_MAX ? NULL : make_code(th, gpa, variant);
    if (!*code)
        return hart_execute_fetched(hart) ? FOUND_NOTHING : FOUND_TURN;
    hart->page = hart->pc & ~PAGE_MASK;
    return FOUND;
}

/* The access that left host code has missed its slot too often: from now on it is
 * translated without. */
static void change_way(struct translated_hart *th)
{
    struct translator *t = th->translator;
    struct hart *hart = &th->hart;
    gpa_t gpa;

    hart->pc = hart->page + (th->info & INFO_OFFSET_MASK);
    hart->icount += (th->info >> INFO_PENDING_SHIFT) & 0xff;
    th->patience[PATIENCE_SITE(hart->pc & PAGE_MASK)] = PATIENCE;
    if (!fetch_translate(hart, hart->pc, &gpa) || gpa == UINT64_MAX)
        return;
    cache_leave(th);
    pthread_mutex_lock(&t->mutex);
    struct guest_page *page = cache_find_page(t, gpa & ~PAGE_MASK);
    if (page) {
        mark(&page->jumpy, gpa & PAGE_MASK);
        cache_drop_units(t, page, gpa & PAGE_MASK, th->context);
    }
    context_clear_jumps(th);
    atomic_store(&th->in_code, 1);
    pthread_mutex_unlock(&t->mutex);
}

static void leave_for_fault(struct hart *hart)
{
    hart->reserved_at = 0;
    hart->leave = true;
    hart->exit_reason = HART_EXIT_FAULT;
}

/* Runs host code until it wants something. */
static void run_code(struct translated_hart *th)
{
    const uint8_t *code;

    for (;;) {
        switch (find_code(th, &code)) {
        case FOUND_TURN:
            return;
        case FOUND_NOTHING:
            continue;
        case FOUND:
            break;
        }
        runtime_give_rounding(th);
        unsigned reason = th->translator->thunks.enter(&th->hart, code);
        runtime_take_flags(th);
        if (reason == LEAVE_JUMPY) {
            change_way(th);
            continue;
        }
        if (reason == LEAVE_ECALL)
            hart_exception(&th->hart, CAUSE_ECALL_U, 0);
        if (reason == LEAVE_FAULT)
            leave_for_fault(&th->hart);
        if (reason == LEAVE_POLL || reason == LEAVE_ECALL || reason == LEAVE_FAULT) {
            th->counters.exits_poll++;
            return;
        }
        th->counters.exits_find++;
    }
}

static bool is_debugged(const struct hart *hart)
{
    const struct hart_debug *debug = &hart->debug;

    return debug->breakpoint_count || debug->watchpoint_count || debug->skip_breakpoint ||
           debug->stop_on_ebreak;
}

/* As translator_run: nothing here happens after a number of instructions. */
static enum hart_exit run_user(struct translator *t, struct hart *hart)
{
    struct translated_hart *th = of_hart(hart);
    enum hart_exit reason = HART_EXIT_POLL;

    hart_begin_run(hart, 0);
    cache_enter(t, th);
    /* After the limit was set: whoever kills units kicks all harts. */
    see_kills(th);
    run_code(th);
    hart_has_left(hart, &reason);
    cache_leave(th);
    return reason;
}

enum hart_exit translator_run(struct translator *t, struct hart *hart)
{
    struct translated_hart *th = of_hart(hart);
    enum hart_exit reason = HART_EXIT_POLL;

    /* The interpreter takes leave to store, too. */
    th->has_run = true;
    if (UNLIKELY(is_debugged(hart)))
        return hart_run(hart);
    if (t->options.user)
        return run_user(t, hart);
    hart_begin_run(hart, SLICE);
    if (UNLIKELY(atomic_load_explicit(&t->newest_suspect, memory_order_relaxed) > th->dropped))
        cache_drop_stores(t, th);
    for (unsigned i = 0; i < PATIENCE_SITES; i++)
        th->patience[i] = PATIENCE;
    cache_enter(t, th);
    for (unsigned turn = 0; turn < MAX_TURNS; turn++) {
        hart_take_interrupt(hart);
        run_code(th);
        if (hart_has_left(hart, &reason))
            break;
        if (hart->icount >= atomic_load_explicit(&hart->limit, memory_order_relaxed))
            break;
    }
    cache_leave(th);
    return reason;
}

/* ---- process VMs ---- */

bool translator_recover(const struct translator *t, struct hart *hart, uintptr_t rip,
                        uintptr_t *resume)
{
    uintptr_t start = (uintptr_t)t->map.exec;

    if (rip - start >= t->map.size)
        return false;
    uint32_t at = (uint32_t)(rip - start);
    size_t low = 0;
    /* acquire: pairs with publish_accesses */
    size_t high = atomic_load_explicit(&t->fault_count, memory_order_acquire);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->faults[middle].code < at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == t->fault_count || t->faults[low].code != at)
        return false;
    hart->pc = t->faults[low].pc;
    *resume = start + t->faults[low].resume;
    return true;
}

void translator_invalidate(struct translator *t, gva_t first, gva_t last, bool unmapped)
{
    pthread_mutex_lock(&t->mutex);
    uint64_t epoch = t->kill_epoch;
    cache_invalidate(t, first, last, unmapped);
    for (struct translated_hart *th = t->harts; epoch != t->kill_epoch && th; th = th->next)
        hart_kick(&th->hart);
    pthread_mutex_unlock(&t->mutex);
}

void translator_before_fork(struct translator *t)
{
    pthread_mutex_lock(&t->mutex);
}

void translator_after_fork(struct translator *t)
{
    pthread_mutex_unlock(&t->mutex);
}

int translator_after_fork_in_child(struct translator *t, struct hart *hart, struct error *err)
{
    struct translated_hart *th = of_hart(hart);

    pthread_mutex_init(&t->mutex, NULL);
    atomic_store(&t->links, 0);
    atomic_store(&t->flush_wanted, 0);
    /* Files and lists of names are the parent's. */
    t->perf_map = NULL;
    t->gdb_jit = NULL;
    t->harts = th;
    th->next = NULL;
    /* Copying the parent's code costs more in page faults than making again what children
     * need of it. */
    int result = cache_renew(t, err);
    if (result < 0)
        return result;
    thunks_make(t);
    /* Given back rather than cleared: the child gets to know its own. */
    map_clear_within(th->jumps, sizeof(th->jumps));
    cache_init_jumps(th);
    th->flush_epoch = atomic_load(&t->flush_epoch);
    return 0;
}

struct translator_stats translator_stats(struct translator *t)
{
    pthread_mutex_lock(&t->mutex);
    struct translator_stats stats = t->stats;
    stats.cache_used = t->hot_at - t->hot_start + t->cold_at - t->hot_end;
    for (const struct translated_hart *th = t->harts; th; th = th->next) {
        stats.exits_find += th->counters.exits_find;
        stats.exits_poll += th->counters.exits_poll;
        stats.fallbacks += th->counters.fallbacks;
        stats.jump_misses += th->counters.jump_misses;
        stats.tlb_refills += th->counters.tlb_refills;
        stats.slow_accesses += th->counters.slow_accesses;
    }
    pthread_mutex_unlock(&t->mutex);
    return stats;
}
