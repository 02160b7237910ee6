/* SPDX-License-Identifier: Apache-2.0
 * What engines that keep code of their own get wrong: code that is written,
 * replaced, mapped elsewhere, and run at several addresses and in several modes
 * (unprivileged, "Zifencei"; privileged, "Supervisor Memory-Management Fence").
 *
 * Stores are made known by fence.i, mappings by sfence.vma: what runs in between
 * without them is not asked. */
#include "guest.h"

#define RET        0x00008067u
#define LI_A0(n)   (0x00000513u | (uint32_t)(n) << 20)
#define ADDI_A0(n) (0x00050513u | (uint32_t)(n) << 20)
#define AUIPC_A0   0x00000517u
#define VA         0x200000000ul /* S pages; the first 4 GiB are mapped one to one */
#define USER_VA    0x208000000ul /* U pages */
#define CODE_FLAGS (PTE_V | PTE_R | PTE_X | PTE_A)
#define SATP(asid) (8ul << 60 | (uint64_t)(asid) << 44 | mmu_root() >> 12)

static uint32_t pages[4][PAGE / 4] __attribute__((aligned(4096)));

static void fence_page(uint64_t va)
{
    __asm__ volatile("sfence.vma %0" ::"r"(va) : "memory");
}

static void put(unsigned page, unsigned at, uint32_t word)
{
    volatile uint16_t *half = (volatile uint16_t *)pages[page] + at / 2;

    half[0] = (uint16_t)word;
    half[1] = (uint16_t)(word >> 16);
}

static uint64_t run(enum mode mode, uint64_t at, uint64_t argument)
{
    call_in(mode, (const void *)at, argument, 0);
    return area()->m.a0;
}

static uint64_t call(uint64_t at, uint64_t argument)
{
    return ((uint64_t(*)(uint64_t))at)(argument);
}

static void map_code(uint64_t va, unsigned page)
{
    mmu_map(va, (uint64_t)pages[page], 0, CODE_FLAGS | (va >= USER_VA ? PTE_U : 0));
}

/* A small compiler: functions of changing length in the same buffer. */
static void reused_buffer(void)
{
    uint64_t got = 0;
    uint64_t want = 0;

    for (unsigned round = 0; round < 600; round++) {
        unsigned at = round * 52 % 1024;
        unsigned length = 1 + round * 7 % 40;
        uint64_t sum = round;
        for (unsigned i = 0; i < length; i++) {
            put(0, at + 4 * i, ADDI_A0((round + i * i) & 0x7ff));
            sum += (round + i * i) & 0x7ff;
        }
        put(0, at + 4 * length, RET);
        fence_i();
        for (unsigned i = 0; i < 3; i++) {
            got = got * 5 + call((uint64_t)pages[0] + at, round);
            want = want * 5 + sum;
        }
    }
    check("a buffer for code is used again and again", got, want);
}

/* A loop that replaces an instruction of its own body, ahead of it and behind. */
static void loop_patches_itself(void)
{
    static const uint32_t loop[] = {
        0x00000293, /*    li t0, 0 */
        0x00000013, /*    nop */
        0x00000013, /* 1: addi t0, t0, 1, replaced by addi t0, t0, n */
        0x00c5a023, /*    sw a2, 0(a1) */
        0x0000100f, /*    fence.i */
        0x00000013, /*    or here */
        0xfff50513, /*    addi a0, a0, -1 */
        0xfe0516e3, /*    bnez a0, 1b */
        0x00028513, /*    mv a0, t0 */
        RET,
    };
    uint64_t wrong = 0;

    for (unsigned back = 0; back < 2; back++) {
        for (unsigned n = 1; n < 50; n++) {
            for (unsigned i = 0; i < ARRAY_LEN(loop); i++)
                put(1, 4 * i, loop[i]);
            put(1, back ? 8 : 20, 0x00128293);
            fence_i();
            /* The first round executes what stood there if it lies before the store. */
            uint64_t at = (uint64_t)pages[1] + (back ? 8 : 20);
            uint64_t got = ((uint64_t(*)(uint64_t, uint64_t, uint64_t))(uint64_t)pages[1])(
                10, at, 0x00028293u | n << 20);
            wrong += got != (back ? 1 + 9 * n : 10 * n);
        }
    }
    check("a loop replaces its own instructions", wrong, 0);
}

/* Data in the same page as code, stored to all the time. */
static void data_beside_code(void)
{
    volatile uint32_t *counter = &pages[2][1000];
    uint64_t wrong = 0;

    *counter = 0;
    for (unsigned i = 0; i < 3000; i++) {
        unsigned at = i % 8 * 64;
        if (i % 16 < 8) {
            put(2, at, LI_A0(i & 0x7ff));
            put(2, at + 4, RET);
        }
        *counter += 1;
        fence_i();
        wrong += call((uint64_t)pages[2] + at, 0) != ((i % 16 < 8 ? i : i - 8) & 0x7ff);
    }
    check("data beside code", wrong, 0);
    check("and its value", *counter, 3000);
}

/* One physical page, several addresses and modes; the code knows where it runs. */
static void aliases(void)
{
    uint64_t wrong = 0;

    put(0, 0x100, AUIPC_A0);
    put(0, 0x104, RET);
    fence_i();
    mmu_start(3);
    for (unsigned i = 0; i < 64; i++) {
        map_code(VA + i * PAGE, 0);
        map_code(USER_VA + i * PAGE, 0);
    }
    area()->exit = (uint64_t)exit_call;
    sfence();
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 64; i++) {
            wrong += run(S, VA + i * PAGE + 0x100, 0) != VA + i * PAGE + 0x100;
            /* In U-mode the way back is a fault: exit_call is not mapped for it. */
            call_in(U, (const void *)(USER_VA + i * PAGE + 0x100), 0, 0);
            wrong += area()->m.a0 != USER_VA + i * PAGE + 0x100;
            wrong += area()->m.cause != 12;
            wrong += run(M, (uint64_t)pages[0] + 0x100, 0) != (uint64_t)pages[0] + 0x100;
        }
    check("one page at many addresses and in all modes", wrong, 0);
    /* Written through one, run through the others. */
    for (unsigned i = 0; i < 64; i++) {
        put(0, 0x100, LI_A0(i));
        fence_i();
        wrong += run(S, VA + i * PAGE + 0x100, 0) != i;
        wrong += run(S, VA + (63 - i) * PAGE + 0x100, 0) != i;
        call_in(U, (const void *)(USER_VA + i * PAGE + 0x100), 0, 0);
        wrong += area()->m.a0 != i;
    }
    check("and replaced in one place", wrong, 0);
    restore();
}

/* The same address leads to other pages after sfence.vma; called through a
 * register, in a loop, so that every kind of cache of jumps is warm. */
static void remapped(void)
{
    static const uint32_t caller[] = {
        0x00008313, /*    mv t1, ra */
        0x00000293, /*    li t0, 0 */
        0x000580e7, /* 1: jalr a1 */
        0x00a282b3, /*    add t0, t0, a0 */
        0xfff60613, /*    addi a2, a2, -1 */
        0xfe061ae3, /*    bnez a2, 1b */
        0x00028513, /*    mv a0, t0 */
        0x00030067, /*    jr t1 */
    };
    uint64_t wrong = 0;

    for (unsigned page = 0; page < 3; page++) {
        put(page, 0x200, LI_A0(page + 1));
        put(page, 0x204, RET);
    }
    for (unsigned i = 0; i < ARRAY_LEN(caller); i++)
        put(3, 4 * i, caller[i]);
    put(3, 0x40, 0x00500613); /* li a2, 5 */
    put(3, 0x44, 0xfbdff06f); /* j caller */
    fence_i();
    mmu_start(3);
    map_code(VA, 3);
    map_code(VA + PAGE, 0);
    area()->exit = (uint64_t)exit_call;
    sfence();
    for (unsigned round = 0; round < 300; round++) {
        unsigned page = round * 5 % 3;
        map_code(VA + PAGE, page);
        if (round & 1)
            fence_page(VA + PAGE + 0x200);
        else
            sfence();
        wrong += run(S, VA + PAGE + 0x200, 0) != page + 1;
        call_in(S, (const void *)(VA + 0x40), 0, VA + PAGE + 0x200);
        wrong += area()->m.a0 != 5 * (page + 1);
    }
    check("an address leads to other code after sfence.vma", wrong, 0);
    restore();
}

/* An instruction whose second half lies in a page that is replaced. */
static void straddling(void)
{
    uint64_t wrong = 0;

    put(0, PAGE - 4, 0x00010001);          /* c.nop, c.nop */
    put(0, PAGE - 2, (LI_A0(0) & 0xffff)); /* spills over; repaired below */
    for (unsigned page = 1; page < 4; page++) {
        volatile uint16_t *half = (volatile uint16_t *)pages[page];
        half[0] = (uint16_t)(LI_A0(page * 16) >> 16);
        half[1] = (uint16_t)RET;
        half[2] = (uint16_t)(RET >> 16);
    }
    fence_i();
    mmu_start(3);
    map_code(VA, 0);
    area()->exit = (uint64_t)exit_call;
    for (unsigned round = 0; round < 200; round++) {
        unsigned page = 1 + round * 7 % 3;
        map_code(VA + PAGE, page);
        fence_page(VA + PAGE);
        wrong += run(S, VA + PAGE - 4, 0) != page * 16;
        if (round % 10 == 0) {
            mmu_map(VA + PAGE, 0, 0, 0);
            fence_page(VA + PAGE);
            call_in(S, (const void *)(VA + PAGE - 4), 0, 0);
            wrong += area()->m.cause != 12 || area()->m.epc != VA + PAGE - 2 ||
                     area()->m.tval != VA + PAGE;
        }
    }
    check("the second page of an instruction is replaced", wrong, 0);
    restore();
}

/* Address spaces: the same address, other code, and no fence when satp changes. */
static void address_spaces(void)
{
    static const uint16_t asids[] = {1, 2, 3, 0x41, 0x401, 0x4001, 0x8001, 0xc001};
    uint64_t roots[ARRAY_LEN(asids)];
    uint64_t wrong = 0;
    static uint64_t tables[ARRAY_LEN(asids)][3][512] __attribute__((aligned(4096)));
    /* What the hart has of the sixteen bits. */
    csr_write(satp, 8ul << 60 | 0xfffful << 44);
    uint64_t mask = csr_read(satp) >> 44 & 0xffff;
    csr_write(satp, 0);

    for (unsigned page = 0; page < 4; page++) {
        put(page, 0x300, LI_A0(page + 100));
        put(page, 0x304, RET);
    }
    fence_i();
    for (unsigned i = 0; i < ARRAY_LEN(asids); i++) {
        uint64_t(*table)[512] = tables[i];
        for (unsigned n = 0; n < 512; n++)
            table[0][n] = table[1][n] = table[2][n] = 0;
        table[0][USER_VA >> 30] = (uint64_t)table[1] >> 2 | PTE_V;
        table[1][USER_VA >> 21 & 511] = (uint64_t)table[2] >> 2 | PTE_V;
        table[2][USER_VA >> 12 & 511] = (uint64_t)pages[i % 4] >> 2 | CODE_FLAGS | PTE_U;
        roots[i] = 8ul << 60 | (asids[i] & mask) << 44 | (uint64_t)table >> 12;
    }
    sfence();
    for (unsigned round = 0; round < 400; round++) {
        unsigned i = round * 3 % ARRAY_LEN(asids);
        csr_write(satp, roots[i]);
        if (mask != 0xffff)
            sfence(); /* two of them may be one */
        call_in(U, (const void *)(USER_VA + 0x300), 0, 0);
        wrong += area()->m.a0 != 100 + i % 4;
        wrong += area()->m.cause != 12; /* exit_call is not mapped */
    }
    check("other code in other address spaces", wrong, 0);
    restore();
}

int main(void)
{
    reused_buffer();
    loop_patches_itself();
    data_beside_code();
    aliases();
    remapped();
    straddling();
    address_spaces();
    return 0;
}
