/* SPDX-License-Identifier: Apache-2.0
 * The interpreter: fetching, dispatch and the loop round them. It stays for good
 * as the reference that a translator is compared with. */
#include "base/endian.h"
#include "riscv/fetch.h"
#include "riscv/interp_internal.h"

/* Instructions between two looks at the clock and the outside: about 50 us. */
#define SLICE              16384
/* Predecoded pages are compared with memory at least this often, so that even
 * stores which no fence.i follows reach the fetch in the end (Ziccid). */
#define RECHECK_CODE_SHIFT 22
/* Traps that a run takes without retiring an instruction before it gives the
 * machine a turn: a guest may trap in its trap handler for ever. */
#define MAX_TURNS          256

static interp_handler slot_undecoded, slot_page_end, slot_straddle, slot_breakpoint, slot_resume,
    slot_stop;

interp_handler *const interp_handlers[ID_COUNT] = {
    [OP_illegal] = op_illegal,
#define INSN(id, ...) [OP_##id] = op_##id,
#include "isa/insns.def"
#undef INSN
    [ID_UNDECODED] = slot_undecoded,   [ID_PAGE_END] = slot_page_end, [ID_STRADDLE] = slot_straddle,
    [ID_BREAKPOINT] = slot_breakpoint, [ID_RESUME] = slot_resume,     [ID_STOP] = slot_stop,
};

/* Goes on with `op` without retiring anything. */
static inline const struct code_op *go(struct hart *hart, const struct code_op *op, uint64_t icount)
{
#if defined(DOPPEL_DEBUG) || !defined(__OPTIMIZE__)
    hart->icount = icount;
    return op;
#else
    TAIL interp_handlers[op->id](hart, op, icount);
#endif
}

static const struct code_op *enter_at(struct hart *hart, uint64_t target, uint64_t icount,
                                      bool polls)
{
    hart->pc = target;
    hart->icount = icount;
    if (UNLIKELY(hart->is_single)) {
        hart->goes_on = !polls;
        return NULL;
    }
    if (polls && interp_must_leave(hart, icount))
        return NULL;
    const struct code_op *op = fetch_op(hart);
    if (!op)
        return NULL;
    TAIL_OTHER go(hart, op, icount);
}

const struct code_op *interp_jump(struct hart *hart, uint64_t target, uint64_t icount, bool polls)
{
    TAIL_OTHER enter_at(hart, target, icount + 1, polls);
}

static const struct code_op *slot_undecoded(struct hart *hart, const struct code_op *op,
                                            uint64_t icount)
{
    hart->pc = PC;
    hart->icount = icount;
    fetch_decode(hart, op);
    TAIL go(hart, op, icount);
}

static const struct code_op *slot_page_end(struct hart *hart, const struct code_op *op,
                                           uint64_t icount)
{
    TAIL_OTHER enter_at(hart, PC, icount, false);
}

static const struct code_op *slot_resume(struct hart *hart, const struct code_op *op,
                                         uint64_t icount)
{
    TAIL_OTHER enter_at(hart, PC, icount, false);
}

static const struct code_op *slot_stop(struct hart *hart, const struct code_op *op, uint64_t icount)
{
    SYNC();
    hart->goes_on = true;
    return NULL;
}

static const struct code_op *slot_straddle(struct hart *hart, const struct code_op *op,
                                           uint64_t icount)
{
    SYNC();
    const struct code_op *single = fetch_single(hart, ID_RESUME);
    if (!single)
        return NULL;
    TAIL go(hart, single, icount);
}

static bool is_breakpoint(const struct hart *hart, gva_t pc)
{
    for (unsigned i = 0; i < hart->debug.breakpoint_count; i++)
        if (hart->debug.breakpoints[i] == pc)
            return true;
    return false;
}

static const struct code_op *slot_breakpoint(struct hart *hart, const struct code_op *op,
                                             uint64_t icount)
{
    SYNC();
    if (is_breakpoint(hart, hart->pc)) {
        hart->debug.stop = HART_STOP_BREAKPOINT;
        hart->leave = true;
        hart->exit_reason = HART_EXIT_DEBUG;
        return NULL;
    }
    const struct code_op *single = fetch_single(hart, ID_RESUME);
    if (!single)
        return NULL;
    TAIL go(hart, single, icount);
}

static void run_chain(struct hart *hart, const struct code_op *op)
{
#if defined(DOPPEL_DEBUG) || !defined(__OPTIMIZE__)
    while (op)
        op = interp_handlers[op->id](hart, op, hart->icount);
#else
    interp_handlers[op->id](hart, op, hart->icount);
#endif
}

bool hart_has_left(struct hart *hart, enum hart_exit *reason)
{
    if (UNLIKELY(hart->debug.stop != HART_STOP_NONE)) {
        hart->leave = false;
        *reason = HART_EXIT_DEBUG;
        return true;
    }
    if (!hart->leave)
        return false;
    hart->leave = false;
    *reason = hart->exit_reason;
    return true;
}

/* The instruction under a breakpoint that the debugger continues from. */
static bool step_over_breakpoint(struct hart *hart)
{
    const struct code_op *op = fetch_single(hart, ID_STOP);

    hart->debug.skip_breakpoint = false;
    if (op)
        run_chain(hart, op);
    return op;
}

static void recheck_code(struct hart *hart)
{
    uint64_t period = hart->icount >> RECHECK_CODE_SHIFT;

    if (LIKELY(period == hart->code_period))
        return;
    hart->code_period = period;
    tlb_recheck_code(hart);
}

void hart_begin_run(struct hart *hart, uint64_t slice)
{
    /* Nothing happens to a process VM after a number of instructions. */
    uint64_t end = hart->config.user ? UINT64_MAX : MIN(hart->icount + slice, hart->stop_at);

    /* The exchange orders this store before the loads of what others have asked
     * for: either we see the request here, or the kick sets limit to zero after
     * us. Pairs with hart_kick. */
    atomic_exchange(&hart->limit, end);
    hart_serve_requests(hart);
    recheck_code(hart);
    hart_mip(hart);
}

enum hart_exit hart_run(struct hart *hart)
{
    enum hart_exit reason = HART_EXIT_POLL;

    hart_begin_run(hart, SLICE);
    if (UNLIKELY(hart->debug.skip_breakpoint)) {
        step_over_breakpoint(hart);
        if (hart_has_left(hart, &reason))
            return reason;
    }
    for (unsigned turn = 0; turn < MAX_TURNS; turn++) {
        hart_take_interrupt(hart);
        const struct code_op *op = fetch_op(hart);
        if (op)
            run_chain(hart, op);
        if (hart_has_left(hart, &reason))
            return reason;
        if (interp_must_leave(hart, hart->icount))
            break;
    }
    return HART_EXIT_POLL;
}

static bool execute(struct hart *hart, const struct code_op *op)
{
    hart->goes_on = false;
    hart->is_single = true;
    if (op)
        run_chain(hart, op);
    hart->is_single = false;
    return hart->goes_on;
}

enum hart_exit hart_step(struct hart *hart, bool interrupts)
{
    enum hart_exit reason = HART_EXIT_POLL;

    hart_serve_requests(hart);
    hart_mip(hart);
    hart->debug.skip_breakpoint = false;
    if (!interrupts || !hart_take_interrupt(hart))
        hart_execute_fetched(hart);
    hart_has_left(hart, &reason);
    return reason;
}

bool hart_execute(struct hart *hart, uint32_t raw)
{
    return execute(hart, code_decode_single(hart, raw, ID_STOP));
}

bool hart_execute_fetched(struct hart *hart)
{
    return execute(hart, fetch_single(hart, ID_STOP));
}
