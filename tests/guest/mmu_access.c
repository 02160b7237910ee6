/* SPDX-License-Identifier: Apache-2.0
 * Who may access what: MPRV, SUM and MXR together, accesses across two pages,
 * Svnapot, Svpbmt, devices behind translation, page faults delegated. */
#include "guest.h"

#define VA      0x1555440000ul
#define USER_VA 0x1666440000ul
#define PTE_N   BIT(63)
#define PBMT(n) ((uint64_t)(n) << 61)

static uint64_t data[16 * PAGE / 8] __attribute__((aligned(65536)));

static void modified_privilege(void)
{
    mmu_map(VA, (uint64_t)data, 0, PTE_ALL);
    mmu_map(USER_VA, (uint64_t)data, 0, PTE_ALL | PTE_U);
    mmu_map(VA + PAGE, (uint64_t)data, 0, PTE_V | PTE_X | PTE_A | PTE_D);
    sfence();
    for (unsigned mpp = 0; mpp < 4; mpp++) {
        if (mpp == 2)
            continue;
        for (unsigned sum = 0; sum < 2; sum++) {
            for (unsigned mxr = 0; mxr < 2; mxr++) {
                /* call_in sets MPP = M, so MPRV is set inside. */
                static const uint32_t load[] = {
                    0x300022f3, /* csrr t0, mstatus */
                    0x3005a073, /* csrs mstatus, a1 */
                    0x00053503, /* ld a0, 0(a0) */
                    0x30029073, /* csrw mstatus, t0 */
                };
                uint64_t bits = MSTATUS_MPRV | (uint64_t)mpp << 11 | (sum ? MSTATUS_SUM : 0) |
                                (mxr ? MSTATUS_MXR : 0);
                static const uint64_t at[] = {VA, USER_VA, VA + PAGE, RAM, VA + 0x10000};
                uint64_t ends = 0;
                for (unsigned i = 0; i < ARRAY_LEN(at); i++) {
                    csr_clear(mstatus, MSTATUS_MPP);
                    /* In M-mode mret leaves MPP = U; the code adds what it wants. */
                    ends = ends << 16 | outcome(M, code_of(load, 4), at[i], bits);
                    csr_clear(mstatus, MSTATUS_MPRV | MSTATUS_SUM | MSTATUS_MXR);
                }
                put_text("MPRV mpp ");
                put_hex(mpp);
                put_text(" sum ");
                put_hex(sum);
                put_text(" mxr ");
                put_hex(mxr);
                show(":", ends);
                show("  last", outcome(M, probe_nothing, 0, 0));
            }
        }
    }
    /* MPRV does not reach fetches: the code above ran at its physical address. */
}

static void fetch_from_user_pages(void)
{
    data[0] = 0x00008067;
    fence_i();
    csr_set(mstatus, MSTATUS_SUM);
    show_call("S fetches a user page with SUM", S, probe_jump, USER_VA, 0);
    show_call("S loads a user page with SUM", S, probe_lw, USER_VA, 0);
    csr_clear(mstatus, MSTATUS_SUM);
    show_call("S loads a user page", S, probe_lw, USER_VA, 0);
    const void *probe = user(probe_lw);
    show("U loads it", outcome(U, probe, USER_VA, 0));
    show("U loads S's", outcome(U, probe, VA, 0));
    area()->exit = (uint64_t)exit_call;
    /* SUM on and off again without any fence: both look-ups must differ. */
    for (unsigned i = 0; i < 4; i++) {
        if (i & 1)
            csr_set(mstatus, MSTATUS_SUM);
        else
            csr_clear(mstatus, MSTATUS_SUM);
        show("SUM flips", outcome(S, probe_lw, USER_VA, 0));
        if (i & 1)
            csr_set(mstatus, MSTATUS_MXR);
        else
            csr_clear(mstatus, MSTATUS_MXR);
        show("MXR flips", outcome(S, probe_lw, VA + PAGE, 0));
    }
    csr_clear(mstatus, MSTATUS_SUM | MSTATUS_MXR);
}

static void put_crossing(const char *what, unsigned size, unsigned first)
{
    put_text("crossing ");
    put_text(what);
    put_text(" size ");
    put_hex(size);
    put_text(" at -");
    put_hex(first);
}

/* Two neighbours that lie apart in memory, and one that is not there. */
static void crossing(void)
{
    static const struct {
        unsigned size;
        const void *load, *store;
    } sizes[] = {{2, probe_lhu, probe_sh}, {4, probe_lwu, probe_sw}, {8, probe_ld, probe_sd}};

    uint64_t va = VA + 0x100000;
    uint8_t *bytes = (uint8_t *)data;
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        for (unsigned before = 1; before < sizes[i].size; before++) {
            uint64_t at = va + PAGE - before;
            for (unsigned n = 0; n < 16; n++) {
                bytes[PAGE - 8 + n] = (uint8_t)(0x10 + n);
                bytes[3 * PAGE + n] = (uint8_t)(0xa0 + n);
            }
            mmu_map(va, (uint64_t)data, 0, PTE_ALL);
            mmu_map(va + PAGE, (uint64_t)data + 3 * PAGE, 0, PTE_ALL);
            sfence();
            put_crossing("load", sizes[i].size, before);
            show_call("", S, sizes[i].load, at, 0);
            put_crossing("store", sizes[i].size, before);
            show_call("", S, sizes[i].store, at, 0xf1f2f3f4f5f6f7f8);
            show("  first", data[PAGE / 8 - 1]);
            show("  second", data[3 * PAGE / 8]);
            show("  neighbour", data[PAGE / 8]);
            /* The second page faults: nothing of the first may change. */
            mmu_map(va + PAGE, 0, 0, 0);
            sfence();
            uint64_t kept = data[PAGE / 8 - 1];
            put_crossing("load, no second", sizes[i].size, before);
            show_call("", S, sizes[i].load, at, 0);
            put_crossing("store, no second", sizes[i].size, before);
            show_call("", S, sizes[i].store, at, 0);
            check("  nothing was written", data[PAGE / 8 - 1], kept);
            /* And the first, with the second there. */
            mmu_map(va + PAGE, (uint64_t)data + 3 * PAGE, 0, PTE_ALL);
            mmu_map(va, (uint64_t)data, 0, PTE_V | PTE_X | PTE_A);
            sfence();
            put_crossing("load, closed first", sizes[i].size, before);
            show_call("", S, sizes[i].load, at, 0);
            put_crossing("store, closed first", sizes[i].size, before);
            show_call("", S, sizes[i].store, at, 0);
        }
    }
    /* A fault by the second page with the first remembered for loads only. */
    mmu_map(va, (uint64_t)data, 0, PTE_ALL);
    mmu_map(va + PAGE, (uint64_t)data + 3 * PAGE, 0, PTE_V | PTE_R | PTE_A | PTE_D);
    sfence();
    show_call("load, read-only second", S, probe_ld, va + PAGE - 3, 0);
    show_call("store, read-only second", S, probe_sd, va + PAGE - 3, 0);
}

/* An instruction of four bytes across two pages. */
static void fetch_crossing(void)
{
    uint64_t va = VA + 0x200000;
    volatile uint16_t *code = (volatile uint16_t *)data;

    code[PAGE / 2 - 1] = 0x0513; /* addi a0, zero, 0x123 */
    code[2 * PAGE / 2] = 0x1230;
    code[2 * PAGE / 2 + 1] = 0x8082; /* ret */
    fence_i();
    mmu_map(va, (uint64_t)data, 0, PTE_ALL);
    mmu_map(va + PAGE, (uint64_t)data + 2 * PAGE, 0, PTE_ALL);
    sfence();
    show_call("fetch across", S, probe_jump, va + PAGE - 2, 0);
    mmu_map(va + PAGE, 0, 0, 0);
    sfence();
    show_call("fetch across, no second", S, probe_jump, va + PAGE - 2, 0);
    mmu_map(va + PAGE, (uint64_t)data + 2 * PAGE, 0, PTE_V | PTE_R | PTE_A);
    sfence();
    show_call("fetch across, second without X", S, probe_jump, va + PAGE - 2, 0);
    mmu_map(va + PAGE, (uint64_t)data + 2 * PAGE, 0, PTE_ALL);
    sfence();
    show_call("fetch across again", S, probe_jump, va + PAGE - 2, 0);
    code[2 * PAGE / 2] = 0x4560;
    fence_i();
    show_call("fetch across, second half changed", S, probe_jump, va + PAGE - 2, 0);
    /* The same virtual address, another second page. */
    code[5 * PAGE / 2] = 0x7890;
    code[5 * PAGE / 2 + 1] = 0x8082;
    fence_i();
    mmu_map(va + PAGE, (uint64_t)data + 5 * PAGE, 0, PTE_ALL);
    sfence();
    call_in(S, probe_jump, va + PAGE - 2, 0);
    show("fetch across, another second", area()->m.a0 & 0xfff);
}

static void napot(void)
{
    uint64_t va = 0x1777400000ul;

    for (unsigned i = 0; i < 16; i++)
        data[i * PAGE / 8] = 0x100 + i;
    for (unsigned i = 0; i < 16; i++)
        mmu_map(va + i * PAGE, ((uint64_t)data & ~0xfffful) | 0x8000, 0, PTE_ALL | PTE_N);
    sfence();
    for (unsigned i = 0; i < 16; i++) {
        call_in(S, probe_ld, va + i * PAGE, 0);
        show("NAPOT page", area()->m.a0);
    }
    /* All other sizes are reserved. */
    for (unsigned low = 0; low < 16; low++) {
        mmu_map(va, ((uint64_t)data & ~0xfffful) | (uint64_t)low << 12, 0, PTE_ALL | PTE_N);
        sfence();
        show("NAPOT low bits", outcome(S, probe_ld, va, 0));
    }
    mmu_map(va + 0x40000000, RAM, 1, PTE_ALL | PTE_N);
    sfence();
    show("NAPOT superpage", outcome(S, probe_ld, va + 0x40000000, 0));
    mmu_map(va + 0x40000000, RAM | 0x8000, 1, PTE_ALL | PTE_N);
    sfence();
    show("NAPOT superpage 2", outcome(S, probe_ld, va + 0x40000000, 0));
    *mmu_entry(va + 0x40000000, 1) = 0;
}

static void memory_types(void)
{
    uint64_t va = 0x1777800000ul;

    for (unsigned enabled = 0; enabled < 2; enabled++) {
        csr_write(0x30a, MENVCFG_ADUE | (enabled ? MENVCFG_PBMTE : 0));
        for (unsigned type = 0; type < 4; type++) {
            mmu_map(va, (uint64_t)data, 0, PTE_ALL | PBMT(type));
            sfence();
            uint64_t want = type == 0 || (enabled && type < 3) ? RETURNED : BY_M(13);
            check(enabled ? "PBMT on" : "PBMT off", outcome(S, probe_ld, va, 0), want);
            mmu_map(va + 0x40000000, RAM, 1, PTE_ALL | PBMT(type));
            sfence();
            check("  superpage", outcome(S, probe_ld, va + 0x40000000, 0), want);
            *mmu_entry(va + 0x40000000, 1) = 0;
        }
    }
    csr_write(0x30a, MENVCFG_ADUE);
}

static void devices(void)
{
    uint64_t va = 0x1777c00000ul;

    mmu_map(va, CLINT, 0, PTE_ALL);
    mmu_map(va + PAGE, NOTHING, 0, PTE_ALL);
    sfence();
    show_call("device load", S, probe_lw, va, 0);
    show_call("device store", S, probe_sw, va, 1);
    show("MSIP", load32(CLINT));
    store32(CLINT, 0);
    show_call("device fetch", S, probe_jump, va, 0);
    show_call("nothing load", S, probe_lw, va + PAGE, 0);
    show_call("nothing store", S, probe_sw, va + PAGE, 0);
    show_call("nothing fetch", S, probe_jump, va + PAGE, 0);
    check("AMO to a device", outcome(S, probe_amoadd_w, va, 0), BY_M(7));
    check("LR of a device", outcome(S, probe_lr_w, va, 0), BY_M(5));
}

static void delegated(void)
{
    csr_write(medeleg, BIT(12) | BIT(13) | BIT(15));
    show_call("S load fault to S", S, probe_ld, 0x1444000000, 0);
    show_call("S store fault to S", S, probe_sb, 0x1444000001, 0);
    show_call("S fetch fault to S", S, probe_jump, 0x1444000002, 0);
    show_call("U load fault to S", U, user(probe_ld), 0x1444000004, 0);
    show_call("U fetch fault to S", U, user(probe_jump), 0x1444000006, 0);
    area()->exit = (uint64_t)exit_call;
    csr_write(medeleg, 0);
}

int main(void)
{
    csr_write(0x30a, MENVCFG_ADUE);
    mmu_start(3);
    modified_privilege();
    fetch_from_user_pages();
    crossing();
    fetch_crossing();
    napot();
    memory_types();
    devices();
    delegated();
    restore();
    return 0;
}
