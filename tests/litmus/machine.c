/* SPDX-License-Identifier: Apache-2.0
 * Starting the harts in M-mode, and their barrier. How many there are the build
 * says: HARTS. */
#include "litmus.h"

volatile uint64_t total;
static volatile uint64_t arrived;
static volatile uint64_t phase;

void barrier(void)
{
    uint64_t mine = phase;

    fence();
    if (amo_add(&arrived, 1) + 1 == HARTS) {
        arrived = 0;
        fence();
        phase = mine + 1;
    } else {
        while (phase == mine)
            relax();
    }
    fence();
}

void secondary(uint64_t hart)
{
    if (hart < HARTS) {
        barrier();
        run_tests((unsigned)hart, HARTS);
        barrier();
    }
    for (;;)
        __asm__ volatile("wfi");
}

int main(void)
{
    barrier();
    run_tests(0, HARTS);
    barrier();
    put_text("end\n");
    return 0;
}
