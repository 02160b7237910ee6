/* SPDX-License-Identifier: Apache-2.0
 * Several address spaces, and what may be remembered of them: changes of satp with
 * and without ASIDs, global pages, and each form of sfence.vma (privileged
 * architecture, "Supervisor Memory-Management Fence Instruction"). Only what every
 * implementation must show is looked at. */
#include "guest.h"

#define VA        0x1555440000ul /* a page of its own in each space */
#define GLOBAL_VA 0x1555441000ul /* the same page in all */
#define SPACES    3
#define SV39      (8ul << 60)

static uint64_t roots[SPACES][512] __attribute__((aligned(4096)));
static uint64_t middles[SPACES][512] __attribute__((aligned(4096)));
static uint64_t lasts[SPACES][512] __attribute__((aligned(4096)));
static uint64_t lows[512] __attribute__((aligned(4096)));
static uint64_t pages[8][PAGE / 8] __attribute__((aligned(4096)));

static uint64_t pte(const void *at, uint64_t flags)
{
    return (uint64_t)at >> 12 << 10 | flags;
}

static uint64_t *leaf(unsigned space, uint64_t va)
{
    return &lasts[space][va >> 12 & 511];
}

/* li a0, number; ret: to be read or called. */
static uint64_t text_of(unsigned number)
{
    return 0x00000513ul | (uint64_t)number << 20 | 0x00008067ul << 32;
}

/* Space i maps VA to page i, which holds the number 1 + i. */
static void make_spaces(uint64_t identity, uint64_t flags)
{
    mmu_start(3);
    for (unsigned i = 0; i < 8; i++)
        pages[i][0] = text_of(1 + i);
    fence_i();
    for (unsigned s = 0; s < SPACES; s++) {
        const uint64_t *first = (const uint64_t *)mmu_root();
        for (unsigned i = 0; i < 512; i++) {
            roots[s][i] = first[i] ? first[i] | identity : 0;
            middles[s][i] = lasts[s][i] = 0;
        }
        roots[s][VA >> 30 & 511] = pte(middles[s], PTE_V);
        middles[s][VA >> 21 & 511] = pte(lasts[s], PTE_V);
        *leaf(s, VA) = pte(pages[s], flags);
        *leaf(s, GLOBAL_VA) = pte(pages[7], flags | PTE_G);
    }
}

static void enter(unsigned space, uint64_t asid)
{
    csr_write(satp, SV39 | asid << 44 | (uint64_t)roots[space] >> 12);
}

static uint64_t load(uint64_t va)
{
    uint64_t end = outcome(S, probe_ld, va, 0);

    return end == RETURNED ? area()->m.a0 : end;
}

static uint64_t run(uint64_t va)
{
    call_in(S, (const void *)va, 0, 0);
    return area()->m.a0;
}

static void fence_va(uint64_t va)
{
    __asm__ volatile("sfence.vma %0, zero" ::"r"(va) : "memory");
}

static void fence_asid(uint64_t asid)
{
    __asm__ volatile("sfence.vma zero, %0" ::"r"(asid) : "memory");
}

static void fence_both(uint64_t va, uint64_t asid)
{
    __asm__ volatile("sfence.vma %0, %1" ::"r"(va), "r"(asid) : "memory");
}

/* ---- address spaces with an ASID each need no fence ---- */

static void round_trips(uint64_t a, uint64_t b)
{
    for (unsigned i = 0; i < 4; i++) {
        enter(0, a);
        check("first: load", load(VA), text_of(1));
        check("first: fetch", run(VA), 1);
        check("first: global", load(GLOBAL_VA), text_of(8));
        outcome(S, probe_sd, VA + 64, i);
        enter(1, b);
        check("second: load", load(VA), text_of(2));
        check("second: fetch", run(VA), 2);
        check("second: global", run(GLOBAL_VA), 8);
        outcome(S, probe_sd, VA + 64, 100 + i);
        check("stores went apart", pages[0][8] << 8 | pages[1][8], i << 8 | (100 + i));
    }
}

/* Rights belong to an address space as addresses do. */
static void rights(uint64_t a, uint64_t b)
{
    *leaf(1, VA) &= ~(uint64_t)PTE_W;
    fence_both(VA, b);
    for (unsigned i = 0; i < 3; i++) {
        enter(0, a);
        check("writable here", outcome(S, probe_sd, VA + 8, 0), RETURNED);
        enter(1, b);
        check("readable there", load(VA), text_of(2));
        check("not writable there", outcome(S, probe_sd, VA + 8, 0), BY_M(15));
    }
    *leaf(1, VA) |= PTE_W;
    fence_both(VA, b);
    check("writable there", outcome(S, probe_sd, VA + 8, 0), RETURNED);
}

/* ---- each fence makes its part be looked at again ---- */

enum fence_kind {
    ALL,
    BY_ADDRESS,
    BY_ASID,
    BY_BOTH,
    FENCES,
};

static void fence_of(enum fence_kind kind, uint64_t va, uint64_t asid)
{
    switch (kind) {
    case ALL:
        sfence();
        break;
    case BY_ADDRESS:
        fence_va(va + 16);
        break;
    case BY_ASID:
        fence_asid(asid);
        break;
    case BY_BOTH:
        fence_both(va + 24, asid);
        break;
    case FENCES:
        break;
    }
}

/* The entry of space 0 changes while space `current` is in force. */
static void changes(enum fence_kind kind, unsigned current, uint64_t a, uint64_t b)
{
    enter(0, a);
    check("before: load", load(VA), text_of(1));
    check("before: fetch", run(VA), 1);
    enter(1, b);
    check("other space", load(VA), text_of(2));
    enter(current, current == 0 ? a : b);
    *leaf(0, VA) = pte(pages[4], PTE_ALL);
    fence_of(kind, VA, a);
    enter(0, a);
    check("after: load", load(VA), text_of(5));
    check("after: fetch", run(VA), 5);
    enter(1, b);
    check("other space still", run(VA), 2);
    *leaf(0, VA) = 0;
    fence_of(kind, VA, a);
    enter(0, a);
    check("gone: load", load(VA), BY_M(13));
    check("gone: store", outcome(S, probe_sd, VA, 0), BY_M(15));
    check("gone: fetch", outcome(S, (const void *)VA, 0, 0), BY_M(12));
    *leaf(0, VA) = pte(pages[0], PTE_ALL);
    fence_of(kind, VA, a);
    check("back", load(VA), text_of(1));
}

/* Global pages: fences without an ASID. */
static void global_changes(enum fence_kind kind, uint64_t a, uint64_t b)
{
    enter(0, a);
    load(GLOBAL_VA);
    run(GLOBAL_VA);
    enter(1, b);
    load(GLOBAL_VA);
    for (unsigned s = 0; s < SPACES; s++)
        *leaf(s, GLOBAL_VA) = pte(pages[5], PTE_ALL | PTE_G);
    fence_of(kind, GLOBAL_VA, 0);
    check("global: load", load(GLOBAL_VA), text_of(6));
    enter(0, a);
    check("global: fetch", run(GLOBAL_VA), 6);
    for (unsigned s = 0; s < SPACES; s++)
        *leaf(s, GLOBAL_VA) = pte(pages[7], PTE_ALL | PTE_G);
    fence_of(kind, GLOBAL_VA, 0);
}

/* ---- one ASID for all: a fence with each change of satp ---- */

static void without_asids(uint64_t asid)
{
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned s = 0; s < SPACES; s++) {
            enter(s, asid);
            if (i == 0)
                sfence();
            else
                fence_asid(asid);
            check("one ASID: load", load(VA), text_of(1 + s));
            check("one ASID: fetch", run(VA), 1 + s);
        }
    }
}

/* ---- Bare and back takes effect at once ---- */

static void modes(void)
{
    for (unsigned i = 0; i < 512; i++)
        lows[i] = 0;
    lows[NOTHING >> 21 & 511] = pte(lasts[2], PTE_V);
    roots[2][NOTHING >> 30 & 511] = pte(lows, PTE_V);
    lasts[2][NOTHING >> 12 & 511] = pte(pages[6], PTE_ALL);
    sfence();
    for (unsigned i = 0; i < 3; i++) {
        enter(2, 3);
        check("translated", load(NOTHING), text_of(7));
        check("translated fetch", run(NOTHING), 7);
        csr_write(satp, 0);
        check("bare", load(NOTHING), BY_M(5));
        check("bare fetch", outcome(S, (const void *)NOTHING, 0, 0), BY_M(1));
    }
}

/* ---- pages of users, seen by supervisors with SUM ---- */

static void users(uint64_t a, uint64_t b)
{
    *leaf(0, VA) |= PTE_U;
    *leaf(1, VA) |= PTE_U;
    sfence();
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned s = 0; s < 2; s++) {
            enter(s, s == 0 ? a : b);
            const void *probe = user(probe_ld);
            uint64_t end = outcome(U, probe, VA, 0);
            area()->exit = (uint64_t)exit_call;
            check("user", end == RETURNED ? area()->m.a0 : end, text_of(1 + s));
            check("supervisor", load(VA), BY_M(13));
            csr_set(mstatus, MSTATUS_SUM);
            check("supervisor with SUM", load(VA), text_of(1 + s));
            check("its fetch", outcome(S, (const void *)VA, 0, 0), BY_M(12));
            csr_clear(mstatus, MSTATUS_SUM);
        }
    }
}

/* ---- D belongs to an entry, not to a page ---- */

static void dirty(uint64_t a, uint64_t b)
{
    csr_write(0x30a, MENVCFG_ADUE);
    for (unsigned s = 0; s < 2; s++)
        *leaf(s, VA) = pte(pages[0], PTE_V | PTE_R | PTE_W | PTE_X);
    sfence();
    enter(0, a);
    outcome(S, probe_sd, VA + 8, 0);
    enter(1, b);
    load(VA);
    check("stored", *leaf(0, VA) & (PTE_A | PTE_D), PTE_A | PTE_D);
    check("loaded", *leaf(1, VA) & (PTE_A | PTE_D), PTE_A);
    outcome(S, probe_sd, VA + 8, 0);
    check("stored there", *leaf(1, VA) & (PTE_A | PTE_D), PTE_A | PTE_D);
    csr_write(0x30a, 0);
    *leaf(1, VA) &= ~(uint64_t)PTE_D;
    fence_both(VA, b);
    enter(0, a);
    check("dirty here", outcome(S, probe_sd, VA + 8, 0), RETURNED);
    enter(1, b);
    check("clean there", load(VA), text_of(1));
    check("store to clean", outcome(S, probe_sd, VA + 8, 0), BY_M(15));
    check("not set", *leaf(1, VA) & PTE_D, 0);
    *leaf(1, VA) |= PTE_D;
    fence_both(VA, b);
    check("store to dirty", outcome(S, probe_sd, VA + 8, 0), RETURNED);
}

static void all(uint64_t identity, uint64_t a, uint64_t b)
{
    put_text("ASIDs ");
    put_hex(a);
    put_text(" ");
    put_hex(b);
    put_text("\n");
    make_spaces(identity, PTE_ALL);
    sfence();
    round_trips(a, b);
    rights(a, b);
    for (unsigned kind = ALL; kind < FENCES; kind++) {
        changes(kind, 0, a, b);
        changes(kind, 1, a, b);
        if (kind == ALL || kind == BY_ADDRESS)
            global_changes(kind, a, b);
    }
    users(a, b);
    dirty(a, b);
}

int main(void)
{
    static const uint64_t asids[][2] = {{1, 2}, {1, 0x101}, {0xffff, 0x7fff}, {5, 0}};

    for (unsigned i = 0; i < ARRAY_LEN(asids); i++) {
        all(0, asids[i][0], asids[i][1]);
        all(PTE_G, asids[i][0], asids[i][1]);
    }
    put_text("one ASID\n");
    make_spaces(PTE_G, PTE_ALL);
    sfence();
    without_asids(0);
    without_asids(9);
    modes();
    restore();
    return 0;
}
