/* SPDX-License-Identifier: Apache-2.0
 * What the programs on several harts share, on top of the runtime of tests/guest. */
#pragma once

#include "guest.h"

#define TICKS_PER_S 10000000ul

/* All harts of the machine run this at the same time. */
void run_tests(unsigned hart, unsigned harts);

/* Waits for all harts. */
void barrier(void);
/* A hint that this hart only waits. */
static inline void relax(void)
{
    __asm__ volatile(".4byte 0x0100000f" ::: "memory"); /* pause */
}
static inline void fence(void)
{
    __asm__ volatile("fence rw, rw" ::: "memory");
}
static inline uint64_t amo_add(volatile uint64_t *at, uint64_t value)
{
    return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);
}

extern volatile uint64_t total; /* for a sum over the harts */
