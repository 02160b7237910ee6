/* SPDX-License-Identifier: Apache-2.0
 * Code that changes, lies across pages, or is somewhere strange: fence.i, jumps
 * to odd, unmapped and device addresses (unprivileged, "Zifencei"; robustness
 * row 24). */
#include "guest.h"

#define LI_A0(n)   (0x00000513u | (uint32_t)(n) << 20)
#define RET        0x00008067u
#define C_RET      0x8082u
#define C_LI_A0(n) (0x4501u | ((n)&31u) << 2)

static uint32_t code[3 * PAGE / 4] __attribute__((aligned(4096)));

static uint64_t run(enum mode mode, const volatile void *at)
{
    call_in(mode, (const void *)(uintptr_t)at, 0, 0);
    return area()->m.cause == (mode == M ? 11 : 8 + mode) ? area()->m.a0 : -area()->m.cause;
}

/* An instruction is replaced before each run, with fence.i between. */
static void modified(void)
{
    uint64_t sum = 0;

    code[1] = RET;
    for (unsigned i = 0; i < 2000; i++) {
        *(volatile uint32_t *)code = LI_A0(i & 0x7ff);
        fence_i();
        sum = sum * 3 + run(M, code);
    }
    show("modified code", sum);
    sum = 0;
    for (unsigned i = 0; i < 500; i++) {
        *(volatile uint32_t *)code = LI_A0(i & 0x7ff);
        fence_i();
        sum = sum * 3 + run(i & 1 ? U : S, code);
    }
    show("modified code, other modes", sum);
}

/* Code that writes the next instruction itself and falls into it after fence.i. */
static void in_place(void)
{
    static const uint32_t program[] = {
        0x00b52823, /* sw a1, 16(a0) */
        0x0000100f, /* fence.i */
        0x00000013, /* nop */
        0x00000013, /* nop */
        0x00000013, /* replaced: addi a0, x0, n */
        RET,
    };

    for (unsigned n = 1; n < 5; n++) {
        const void *fn = code_of(program, 6);
        call_in(M, fn, (uint64_t)fn, LI_A0(n * 100));
        show("in place", area()->m.a0);
    }
}

/* The same bytes as four-byte and as two-byte instructions. */
static void overlapping(void)
{
    volatile uint16_t *half = (volatile uint16_t *)code;

    half[0] = 0x0513; /* li a0, 0x450: its upper half is c.li a0, 0 ... */
    half[1] = C_LI_A0(9);
    half[2] = C_RET;
    fence_i();
    show("from the start", run(M, code));
    show("from the middle", run(M, &half[1]));
    show("from the start again", run(M, code));
    half[0] = C_LI_A0(3); /* the first becomes short */
    half[1] = C_RET;
    fence_i();
    show("short", run(M, code));
    half[0] = 0x0513;
    half[1] = 0x1230;
    fence_i();
    show("long", run(M, code));
}

static void page_end(void)
{
    volatile uint16_t *half = (volatile uint16_t *)code;
    unsigned last = PAGE / 2 - 1;

    half[last] = 0x0513;
    half[last + 1] = 0x1230;
    half[last + 2] = C_RET;
    for (unsigned n = 0; n < 4; n++) {
        half[last + 1] = (uint16_t)(n << 12);
        fence_i();
        show("across", run(M, &half[last]));
        show("across in U", run(U, &half[last]));
    }
    /* Falls off the end by two and by four bytes. */
    half[last] = C_LI_A0(7);
    half[last + 1] = C_RET;
    fence_i();
    show("off the end by two", run(M, &half[last]));
    half[last - 1] = 0x0513;
    half[last] = 0x0550;
    fence_i();
    show("off the end by four", run(M, &half[last - 1]));
    /* A jump and a branch that lie across. */
    half[last] = 0x006f; /* j +8 */
    half[last + 1] = 0x0080;
    half[last + 2] = C_LI_A0(1);
    half[last + 3] = C_RET;
    half[last + 4] = C_LI_A0(2);
    half[last + 5] = C_RET;
    fence_i();
    show("jump across", run(M, &half[last]));
    half[last] = 0x0463; /* beq x0, x0, +8 */
    half[last + 1] = 0x0000;
    fence_i();
    show("branch across", run(M, &half[last]));
    half[last] = 0x00e7; /* jalr ra, 0(ra): returns, leaves ra behind */
    half[last + 1] = 0x0000 | 0x8;
    fence_i();
    show("ecall across", run(M, &half[last]));
    half[last] = 0x0073; /* ecall */
    half[last + 1] = 0x0000;
    fence_i();
    call_in(U, (const void *)(uintptr_t)&half[last], 0, 0);
    show("ecall across pages", area()->m.cause);
    show("its epc", area()->m.epc - (uint64_t)code);
}

/* What an uncached look at memory would show without fence.i is not asked; but
 * in the end stores must reach the fetch (Ziccid). */
static void without_fence(void)
{
    uint64_t tries = 0;

    code[0] = LI_A0(1);
    code[1] = RET;
    fence_i();
    run(M, code);
    *(volatile uint32_t *)code = LI_A0(2);
    while (run(M, code) != 2 && tries < 1000000)
        tries++;
    check("stores reach the fetch in the end", tries < 1000000, 1);
    fence_i();
}

static void strange_jumps(void)
{
    static const uint64_t targets[] = {NOTHING,        NOTHING + 1,
                                       NOTHING + 2,    UART,
                                       CLINT + 0xbff8, PLIC,
                                       0x100000,       0,
                                       RAM - 2,        RAM + (256ul << 20),
                                       BIT(40),        BIT(56) | RAM,
                                       -2ul,           0x7ffffffffffffffe};

    for (unsigned i = 0; i < ARRAY_LEN(targets); i++) {
        check("jump", outcome(M, probe_jump, targets[i], 0), BY_M(1));
        check("its epc", area()->m.epc, targets[i] & ~1ul);
        check("its tval", last_tval(), targets[i] & ~1ul);
        check("jump in U", outcome(U, probe_jump, targets[i], 0), BY_M(1));
    }
    /* jalr clears bit 0. */
    code[0] = LI_A0(5);
    code[1] = RET;
    fence_i();
    check("odd mepc", run(M, (const char *)code + 1), 5);
    call_in(M, probe_jump, (uint64_t)code + 1, 0);
    show("odd jump", area()->m.a0);
    /* mepc loses its bit 0, too. */
    csr_write(mepc, (uint64_t)code | 1);
    check("mepc", csr_read(mepc) - (uint64_t)code, 0);
}

/* More pages of code than any cache of ours holds. */
static void many_pages(void)
{
    uint64_t base = RAM + (64ul << 20);
    uint64_t sum = 0;

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 1500; i++) {
            volatile uint32_t *at = (volatile uint32_t *)(base + i * PAGE + (i & 63) * 32);
            at[0] = LI_A0((i + round) & 0x7ff);
            at[1] = RET;
        }
        fence_i();
        for (unsigned i = 0; i < 1500; i++)
            sum = sum * 5 + run(i % 3 == 0 ? U : M, (void *)(base + i * PAGE + (i & 63) * 32));
    }
    show("many pages", sum);
}

int main(void)
{
    modified();
    in_place();
    overlapping();
    page_end();
    without_fence();
    strange_jumps();
    many_pages();
    return 0;
}
