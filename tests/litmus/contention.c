/* SPDX-License-Identifier: Apache-2.0
 * No update is lost when all harts change one place, by AMO, by LR/SC and under
 * locks made of them; LR/SC makes progress. */
#include "litmus.h"

#define TIMES 200000

static volatile uint64_t word __attribute__((aligned(64)));
static volatile uint64_t lock __attribute__((aligned(64)));
static volatile uint64_t ticket __attribute__((aligned(64)));
static volatile uint64_t serving __attribute__((aligned(64)));
static volatile uint64_t plain __attribute__((aligned(64)));
static volatile uint64_t plain2 __attribute__((aligned(64)));

static void add_d(unsigned hart)
{
    (void)hart;
    __asm__ volatile("amoadd.d x0, %0, (%1)" ::"r"(1ul), "r"(&word) : "memory");
}

static void add_w_upper(unsigned hart)
{
    (void)hart;
    __asm__ volatile("amoadd.w x0, %0, (%1)" ::"r"(1ul), "r"((uint64_t)&word + 4) : "memory");
}

/* Each half by other harts: neither may disturb the other. */
static void add_halves(unsigned hart)
{
    __asm__ volatile("amoadd.w x0, %0, (%1)" ::"r"(1ul), "r"((uint64_t)&word + 4 * (hart & 1))
                     : "memory");
}

static void lr_sc_d(unsigned hart)
{
    (void)hart;
    __asm__ volatile("1: lr.d t0, (%0)\naddi t0, t0, 1\nsc.d t1, t0, (%0)\nbnez t1, 1b" ::"r"(&word)
                     : "memory", "t0", "t1");
}

static void lr_sc_w(unsigned hart)
{
    (void)hart;
    __asm__ volatile(
        "1: lr.w.aq t0, (%0)\naddi t0, t0, 1\nsc.w.rl t1, t0, (%0)\nbnez t1, 1b" ::"r"(&word)
        : "memory", "t0", "t1");
}

/* Even harts by AMO, odd ones by LR/SC. */
static void mixed(unsigned hart)
{
    if (hart & 1)
        lr_sc_d(hart);
    else
        add_d(hart);
}

static void xor_bits(unsigned hart)
{
    __asm__ volatile("amoxor.d x0, %0, (%1)" ::"r"(1ul << (hart * 8)), "r"(&word) : "memory");
}

static void maximum(unsigned hart)
{
    static volatile uint64_t next[MAX_HARTS][8];
    uint64_t mine = ++next[hart][0];

    __asm__ volatile("amomaxu.d x0, %0, (%1)" ::"r"(mine * 4 + hart), "r"(&word) : "memory");
}

static void spinlock(unsigned hart)
{
    uint64_t was;

    (void)hart;
    do {
        __asm__ volatile("amoswap.d.aq %0, %1, (%2)" : "=r"(was) : "r"(1ul), "r"(&lock) : "memory");
        if (was)
            relax();
    } while (was);
    plain = plain + 1;
    word = plain;
    __asm__ volatile("amoswap.d.rl x0, x0, (%0)" ::"r"(&lock) : "memory");
}

static void ticket_lock(unsigned hart)
{
    uint64_t mine = amo_add(&ticket, 1);

    (void)hart;
    while (serving != mine)
        relax();
    fence();
    plain = plain + 1;
    plain2 = plain2 + 1;
    word = plain == plain2 ? plain : 0;
    fence();
    serving = mine + 1;
}

/* A lock of LR/SC, released by a plain store after a fence. */
static void lr_sc_lock(unsigned hart)
{
    (void)hart;
    uint64_t failed;
    do {
        __asm__ volatile("li %0, 1\nlr.w.aq t0, (%1)\nbnez t0, 1f\nsc.w.aq %0, %2, (%1)\n1:"
                         : "=&r"(failed)
                         : "r"(&lock), "r"(1ul)
                         : "memory", "t0");
        if (failed)
            relax();
    } while (failed);
    plain = plain + 1;
    word = plain;
    __asm__ volatile("fence rw, w" ::: "memory");
    store32((uint64_t)&lock, 0);
}

static const struct {
    const char *name;
    void (*once)(unsigned hart);
    unsigned times;
} tests[] = {
    {"amoadd.d", add_d, TIMES},
    {"amoadd.w of the upper half", add_w_upper, TIMES},
    {"amoadd.w of both halves", add_halves, TIMES},
    {"lr.d and sc.d", lr_sc_d, TIMES},
    {"lr.w and sc.w", lr_sc_w, TIMES},
    {"LR/SC and AMO", mixed, TIMES},
    {"amoxor.d", xor_bits, TIMES + 1},
    {"amomaxu.d", maximum, TIMES},
    {"spinlock", spinlock, TIMES / 20},
    {"ticket lock", ticket_lock, TIMES / 200},
    {"LR/SC lock", lr_sc_lock, TIMES / 20},
};

static uint64_t wanted(unsigned test, uint64_t harts)
{
    uint64_t all = harts * tests[test].times;

    if (tests[test].once == add_w_upper)
        return all << 32;
    if (tests[test].once == add_halves)
        return all / 2 << 32 | all / 2;
    if (tests[test].once == xor_bits)
        return 0x01010101 & ((1ul << 8 * harts) - 1);
    if (tests[test].once == maximum)
        return tests[test].times * 4ul + harts - 1;
    return all;
}

void run_tests(unsigned hart, unsigned harts)
{
    for (unsigned test = 0; test < ARRAY_LEN(tests); test++) {
        if (hart == 0)
            word = lock = ticket = serving = plain = plain2 = 0;
        barrier();
        for (unsigned i = 0; i < tests[test].times; i++)
            tests[test].once(hart);
        barrier();
        if (hart == 0)
            check(tests[test].name, word, wanted(test, harts));
        barrier();
    }
}
