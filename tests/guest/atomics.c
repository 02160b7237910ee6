/* SPDX-License-Identifier: Apache-2.0
 * LR and SC: what ends a reservation, what SC leaves and checks; AMO results
 * (unprivileged, "Load-Reserved/Store-Conditional Instructions"). */
#include "guest.h"

static uint64_t words[512] __attribute__((aligned(4096)));
#define AT ((uint64_t)words)

/* lr and sc by one asm statement with `between` in the middle; 0: stored. */
#define PAIR(width, between, at1, at2, value)                                                 \
    ({                                                                                        \
        uint64_t failed_, old_;                                                               \
        __asm__ volatile("lr." width " %1, (%2)\n" between "\nsc." width " %0, %4, (%3)"      \
                         : "=&r"(failed_), "=&r"(old_)                                        \
                         : "r"((uint64_t)(at1)), "r"((uint64_t)(at2)), "r"((uint64_t)(value)) \
                         : "memory", "t0", "t1");                                             \
        failed_;                                                                              \
    })

static uint64_t lone_sc(uint64_t at)
{
    uint64_t failed;

    __asm__ volatile("sc.d %0, %1, (%2)" : "=r"(failed) : "r"(99ul), "r"(at) : "memory");
    return failed;
}

static void pairs(void)
{
    words[0] = 0x1111111122222222;
    show("plain pair", PAIR("d", "", AT, AT, 5));
    show("memory", words[0]);
    show("second sc", lone_sc(AT));
    show("memory", words[0]);
    words[0] = 0xffffffff80000000;
    show("word pair", PAIR("w", "", AT, AT, 0x123456789));
    show("memory", words[0]);
    show("upper word pair", PAIR("w", "", AT + 4, AT + 4, 0x87654321));
    show("memory", words[0]);
    show("another address", PAIR("d", "", AT, AT + 8, 7));
    show("memory", words[1]);
    show("the same after a failed sc", lone_sc(AT));
    show("a load between", PAIR("d", "ld t0, 8(%2)", AT, AT, 8));
    show("arithmetic between", PAIR("d", "addi t0, x0, 1\nadd t0, t0, t0", AT, AT, 9));
    show("a branch between", PAIR("d", "beq x0, x0, 1f\nnop\n1:", AT, AT, 10));
    show("a store elsewhere between", PAIR("d", "sd x0, 1024(%2)", AT, AT, 11) <= 1);
    show("a changing store between", PAIR("d", "sd x0, 0(%2)", AT, AT, 12));
    show("memory", words[0]);
    words[0] = 1;
    show("a changing amo between", PAIR("d", "li t0, 1\namoadd.d x0, t0, (%2)", AT, AT, 13));
    show("memory", words[0]);
    show("second lr moves it", PAIR("d", "addi t0, %2, 8\nlr.d t1, (t0)", AT, AT, 14));
    show("second lr moves it there", PAIR("d", "addi t0, %2, 8\nlr.d t1, (t0)", AT, AT + 8, 15));
    show("memory", words[1]);
}

/* A trap ends the reservation here: the handler is somebody else. */
static void traps_between(void)
{
    static const uint32_t with_trap[] = {
        0x100532af, /* lr.d t0, (a0) */
        0x00000073, /* ecall */
    };
    static const uint32_t sc[] = {
        0x18b5352f, /* sc.d a0, a1, (a0) */
    };

    words[0] = 1;
    call_in(U, code_of(with_trap, 2), AT, 0);
    call_in(U, code_of(sc, 1), AT, 2);
    check("sc after a trap", area()->m.a0 & 1, 1);
    check("memory", words[0], 1);
}

/* SC checks its address even when it must fail. */
static void checks(void)
{
    lone_sc(AT);
    mmu_start(3);
    uint64_t va = 0x1555440000;
    mmu_map(va, AT, 0, PTE_V | PTE_R | PTE_A | PTE_D);
    sfence();
    check("failing sc to a read-only page", outcome(S, probe_sc_d, va, 0), BY_M(15));
    check("lr of a read-only page", outcome(S, probe_lr_d, va, 0), RETURNED);
    check("amo to a read-only page", outcome(S, probe_amoadd_d, va, 0), BY_M(15));
    mmu_map(va, AT, 0, PTE_V | PTE_X | PTE_A | PTE_D);
    sfence();
    check("lr of an execute-only page", outcome(S, probe_lr_d, va, 0), BY_M(13));
    check("amo to an execute-only page", outcome(S, probe_amoadd_d, va, 0), BY_M(15));
    check("failing sc to nothing", outcome(S, probe_sc_w, NOTHING, 0), BY_M(7));
    restore();
}

static void stress(void)
{
    uint64_t stored = 0;

    words[0] = 0;
    for (unsigned i = 0; i < 1000; i++)
        stored += PAIR("d", "addi %4, %1, 3", AT, AT, 0) == 0;
    /* Forward progress of simple pairs on one hart. */
    show("all stored", stored);
}

int main(void)
{
    pairs();
    traps_between();
    checks();
    stress();
    return 0;
}
