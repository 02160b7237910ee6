/* SPDX-License-Identifier: Apache-2.0
 * Interrupts between harts by the CLINT in M-mode: none is lost, none leaves a
 * hart asleep. A lost one shows as a machine that never ends. */
#include "litmus.h"

#define ROUNDS      4000
#define LIMIT_TICKS TICKS_PER_S
#define MSIP(hart)  (CLINT + 4 * (hart))

static volatile uint64_t mail[MAX_HARTS][8];
static volatile uint64_t go_on;
static volatile uint64_t finished;

static void wait_for_msip(unsigned hart)
{
    while (!(csr_read(mip) & BIT(3)))
        __asm__ volatile("wfi");
    store32(MSIP(hart), 0);
}

/* One token goes round; all others sleep. */
static void ring(unsigned hart, unsigned harts)
{
    uint64_t end = csr_read(time) + LIMIT_TICKS;
    uint64_t rounds = 0;

    csr_write(mie, BIT(3));
    if (hart == 0)
        go_on = 1;
    barrier();
    if (hart == 0) {
        for (;;) {
            if (rounds++ == ROUNDS || csr_read(time) > end)
                go_on = 0;
            uint64_t was = go_on;
            store32(MSIP(1), 1);
            wait_for_msip(0);
            if (!was)
                break;
        }
        check("ring of wake-ups", rounds > 0, 1);
        show("# rounds", rounds);
    } else {
        for (bool last = false; !last;) {
            wait_for_msip(hart);
            last = !go_on;
            store32(MSIP((hart + 1) % harts), 1);
        }
    }
    barrier();
}

/* Everybody sends to everybody: what is in the mail must be seen by a hart that
 * sleeps whenever it found nothing. */
static void storm(unsigned hart, unsigned harts)
{
    uint64_t sent = 0;
    uint64_t received = 0;
    uint64_t random = hart * 77 + 1;
    uint64_t end = csr_read(time) + LIMIT_TICKS;

    if (hart == 0)
        finished = 0;
    barrier();
    for (unsigned i = 0; i < ROUNDS && csr_read(time) < end; i++) {
        random = random * 6364136223846793005ul + 1442695040888963407ul;
        unsigned to = (unsigned)(random >> 40) % harts;
        amo_add(&mail[to][0], 1);
        store32(MSIP(to), 1);
        sent++;
        if (csr_read(mip) & BIT(3)) {
            store32(MSIP(hart), 0);
            received += __atomic_exchange_n(&mail[hart][0], 0, __ATOMIC_SEQ_CST);
        }
    }
    amo_add(&total, sent);
    /* The last to finish wakes the sleeping. */
    if (amo_add(&finished, 1) + 1 == harts)
        for (unsigned i = 0; i < harts; i++)
            store32(MSIP(i), 1);
    while (finished != harts)
        wait_for_msip(hart);
    store32(MSIP(hart), 0);
    barrier();
    received += __atomic_exchange_n(&mail[hart][0], 0, __ATOMIC_SEQ_CST);
    amo_add(&total, -received);
    barrier();
    if (hart == 0) {
        check("storm: sent is received", total, 0);
        total = 0;
    }
    barrier();
}

/* Interrupts in the middle of a loop, each taken as a trap. */
static void interrupting(unsigned hart, unsigned harts)
{
    uint64_t end = csr_read(time) + LIMIT_TICKS;

    (void)harts;
    if (hart == 0)
        go_on = 1;
    mail[hart][0] = 0;
    barrier();
    if (hart == 0) {
        uint64_t taken = 0;
        for (unsigned i = 0; i < ROUNDS && csr_read(time) < end; i++) {
            store32(MSIP(1), 1);
            while (mail[1][0] != i + 1)
                relax();
            taken++;
        }
        go_on = 0;
        store32(MSIP(1), 1);
        check("interrupts in a busy hart", taken > 0, 1);
        show("# taken", taken);
    } else if (hart == 1) {
        while (go_on) {
            csr_set(mstatus, BIT(7)); /* MIE after mret */
            call_in(M, probe_spin, 0, 0);
            store32(MSIP(1), 0);
            while (csr_read(mip) & BIT(3))
                relax();
            fence();
            mail[1][0] = mail[1][0] + 1;
        }
    }
    barrier();
    store32(MSIP(hart), 0);
    barrier();
}

void run_tests(unsigned hart, unsigned harts)
{
    ring(hart, harts);
    storm(hart, harts);
    interrupting(hart, harts);
}
