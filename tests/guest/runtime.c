/* SPDX-License-Identifier: Apache-2.0
 * Calls into other modes and what became of them. */
#include "guest.h"

__attribute__((weak)) void secondary(uint64_t hart)
{
    (void)hart;
}

void unexpected_trap(const struct hart_area *hart);
void unexpected_trap(const struct hart_area *hart)
{
    put_text("unexpected trap: cause ");
    put_hex(hart->m.cause);
    put_text(" epc ");
    put_hex(hart->m.epc);
    put_text(" tval ");
    put_hex(hart->m.tval);
    put_text("\n");
    fail("trap");
}

struct hart_area *area(void)
{
    return (struct hart_area *)csr_read(mscratch);
}

static bool put_distance(const char *from, uint64_t base, uint64_t value, uint64_t window)
{
    uint64_t distance = value - base;

    if (distance + window > 2 * window)
        return false;
    put_text(from);
    if (distance >> 63) {
        put_text("-");
        distance = -distance;
    } else {
        put_text("+");
    }
    put_hex(distance);
    return true;
}

static void put_address(uint64_t value, const void *fn, uint64_t a)
{
    if (put_distance("a", a, value, PAGE) || put_distance("fn", (uint64_t)fn, value, 64))
        return;
    if (value >= RAM && value < (uint64_t)_end)
        put_text("program"); /* an address that depends on the compiler */
    else
        put_hex(value);
}

static bool has_returned(void)
{
    const struct hart_area *hart = area();

    return !hart->s_taken && hart->m.epc == hart->exit &&
           (hart->m.cause == 8 || hart->m.cause == 9 || hart->m.cause == 11);
}

void show_end(const char *name, const void *fn, uint64_t a)
{
    const struct hart_area *hart = area();
    const struct trap *trap = hart->s_taken ? &hart->s : &hart->m;

    put_text(name);
    if (has_returned()) {
        put_text(": returned ");
        put_address(hart->m.a0, fn, a);
        put_text("\n");
        return;
    }
    put_text(hart->s_taken ? ": S cause " : ": M cause ");
    put_hex(trap->cause);
    put_text(" epc ");
    put_address(trap->epc, fn, a);
    put_text(" tval ");
    if (trap->cause == 2) /* the instruction */
        put_hex(trap->tval);
    else
        put_address(trap->tval, fn, a);
    put_text("\n");
}

void show_call(const char *name, enum mode mode, const void *fn, uint64_t a, uint64_t b)
{
    call_in(mode, fn, a, b);
    show_end(name, fn, a);
}

uint64_t outcome(enum mode mode, const void *fn, uint64_t a, uint64_t b)
{
    const struct hart_area *hart = area();

    call_in(mode, fn, a, b);
    if (has_returned())
        return RETURNED;
    return hart->s_taken ? BY_S(hart->s.cause) : BY_M(hart->m.cause);
}

uint64_t last_tval(void)
{
    return area()->s_taken ? area()->s.tval : area()->m.tval;
}

const void *code_of(const uint32_t *words, unsigned count)
{
    static uint32_t buffer[64] __attribute__((aligned(256)));

    for (unsigned i = 0; i < count; i++)
        buffer[i] = words[i];
    buffer[count] = 0x00008067; /* ret */
    fence_i();
    return buffer;
}

uint64_t outcome_of_word(enum mode mode, uint32_t word)
{
    return outcome(mode, code_of(&word, 1), 0, 0);
}

void restore(void)
{
    csr_write(satp, 0);
    csr_write(medeleg, 0);
    csr_write(mideleg, 0);
    csr_write(mie, 0);
    csr_clear(mstatus, MSTATUS_MIE | MSTATUS_SIE | MSTATUS_MPRV | MSTATUS_SUM | MSTATUS_MXR |
                           MSTATUS_TVM | MSTATUS_TW | MSTATUS_TSR);
    csr_write(pmpcfg0, 0x1f);
    csr_write(pmpaddr0, -1);
    csr_write(mtvec, machine_trap);
    area()->exit = (uint64_t)exit_call;
    area()->keep_stvec = 0;
    sfence();
}
