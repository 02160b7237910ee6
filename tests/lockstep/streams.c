/* SPDX-License-Identifier: Apache-2.0
 * A guest that executes random instructions in U- and S-mode: every row of
 * insns.def, any 16-bit word, anywhere in four pages, so that instructions lie
 * across pages and branches lead backwards and into the middle of others. Pages
 * come and go: a fault at any load, store or fetch is followed by the page, a
 * fence for it, and the same instruction again. Timer interrupts come in between,
 * and code is replaced.
 *
 * It has no expected result: two engines compare all state while it runs. Nothing
 * here may depend on more than the specification lets vary between them: code is
 * never stored to by the random instructions, and always followed by fence.i. */
#include "guest.h"

#include "stream_ops.h" /* struct op { match, mask, kind } ops[]; made by run.py */

#define CODE_PAGES 4
#define DATA_PAGES 4
#define USER       0x40000000ul /* U pages; the same again for S-mode */
#define SUPERVISOR (USER + 256 * PAGE)
#define DATA_AT    (16 * PAGE) /* behind the code, with a hole between */

struct stream_state {
    uint64_t x[32];
    uint64_t f[32];
    uint64_t fcsr;
    uint64_t pc;
    uint64_t saved[16];
};
void stream_enter(struct stream_state *state);

/* All that S- and U-mode may touch, for PMP. */
static struct {
    uint64_t root[512], middle[512], leaves[512];
    uint8_t code[CODE_PAGES][PAGE];
    uint8_t data[DATA_PAGES][PAGE];
} arena __attribute__((aligned(65536)));
_Static_assert(sizeof(arena) <= 65536, "pmp");

static struct stream_state state;
static uint64_t random_state = SEED;
static enum mode mode;

static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned below(unsigned limit)
{
    return (next_random() >> 33) % limit;
}

/* ---- code ---- */

/* These mostly keep an address: nothing but compressed instructions, and few others,
 * write them. */
static const uint8_t bases[] = {2, 8, 9, 10, 15, 20, 21, 28};

static uint32_t branch_offset(int32_t offset)
{
    uint32_t o = (uint32_t)offset;

    return (o >> 12 & 1) << 31 | (o >> 5 & 63) << 25 | (o >> 1 & 15) << 8 | (o >> 11 & 1) << 7;
}

static uint32_t jump_offset(int32_t offset)
{
    uint32_t o = (uint32_t)offset;

    return (o >> 20 & 1) << 31 | (o >> 1 & 1023) << 21 | (o >> 11 & 1) << 20 |
           (o >> 12 & 255) << 12;
}

static int32_t small_offset(void)
{
    return ((int32_t)below(160) - 60) * 2;
}

static uint32_t random_csr(void)
{
    static const uint16_t numbers[] = {0x001, 0x002, 0x003, 0x001, 0x002, 0x003, 0x100,
                                       0x140, 0x141, 0x142, 0x143, 0x105, 0xc00, 0xc01,
                                       0xc02, 0x104, 0x144, 0x106, 0x7c0, 0x180};
    return numbers[below(ARRAY_LEN(numbers))];
}

static const struct op *random_op(void)
{
    static const struct op *last = ops;

    if (last->kind != MEMORY || below(2))
        last = &ops[below(ARRAY_LEN(ops))];
    if (below(40) == 0)
        last = &ops[below(2) ? OP_ecall : OP_sret];
    return last;
}

static uint32_t random_word(void)
{
    const struct op *op = random_op();
    uint32_t word = (uint32_t)next_random();
    /* Accesses off one base, close together, follow each other. */
    static unsigned base = 2;

    if (below(4) == 0)
        base = bases[below(ARRAY_LEN(bases))];
    if (op->kind == MEMORY && below(2))
        word &= 0x03ffffff;
    if (below(200) == 0)
        return word | 3; /* whatever it is */
    for (unsigned i = 0; i < ARRAY_LEN(bases); i++)
        if ((word >> 7 & 31) == bases[i] && below(16))
            word ^= 5u << 7; /* another rd */
    if ((op->kind == MEMORY || op->kind == ATOMIC || op->kind == JALR) && below(16))
        word = (word & ~(31u << 15)) | base << 15;
    if (op->kind == BRANCH)
        word = (word & 0x01fff07f) | branch_offset(small_offset());
    if (op->kind == JAL)
        word = (word & 0xfff) | jump_offset(small_offset());
    if (op->kind == JALR)
        word &= 0x000fffff | below(64) << 22;
    if (op->kind == CSR)
        word = (word & 0xfffff) | random_csr() << 20;
    if (op->kind == ROUNDING && below(8)) /* few reserved modes */
        word = (word & ~(7u << 12)) | (below(2) ? 7u : below(5)) << 12;
    return (word & ~op->mask) | op->match;
}

static void put_half(unsigned at, uint32_t half)
{
    *(volatile uint16_t *)&arena.code[at / PAGE][at % PAGE] = (uint16_t)half;
}

/* One instruction at an even offset; its length. */
static unsigned put_random(unsigned at)
{
    if (below(3) == 0 || at + 4 > CODE_PAGES * PAGE) {
        uint32_t half = (uint32_t)next_random() & 0xffff;
        put_half(at, (half & 3) == 3 ? half - 1 - below(3) : half);
        return 2;
    }
    uint32_t word = random_word();
    put_half(at, word);
    put_half(at + 2, word >> 16);
    return 4;
}

static void replace_code(void)
{
    unsigned count = 1 + below(4);

    for (unsigned at = below(CODE_PAGES * PAGE / 2) * 2; count && at < CODE_PAGES * PAGE; count--)
        at += put_random(at);
    fence_i();
}

/* ---- pages ---- */

static uint64_t *leaf(uint64_t va)
{
    return &arena.leaves[va >> 12 & 511];
}

static uint64_t pte_of(const void *page, uint64_t flags)
{
    return (uint64_t)page >> 12 << 10 | flags | PTE_V | PTE_A | PTE_D;
}

/* The entry that belongs at `va`, 0 where nothing is. */
static uint64_t right_pte(uint64_t va)
{
    uint64_t user = va < SUPERVISOR ? PTE_U : 0;
    uint64_t at = va - (user ? USER : SUPERVISOR);

    if (at / PAGE < CODE_PAGES)
        return pte_of(arena.code[at / PAGE], PTE_R | PTE_X | user);
    if (at >= DATA_AT && at < DATA_AT + DATA_PAGES * PAGE)
        return pte_of(arena.data[(at - DATA_AT) / PAGE], PTE_R | PTE_W | user);
    return 0;
}

static void fence_page(uint64_t va)
{
    __asm__ volatile("sfence.vma %0" ::"r"(va) : "memory");
}

static void drop_page(void)
{
    uint64_t page = below(CODE_PAGES + DATA_PAGES);
    uint64_t va = page < CODE_PAGES ? page * PAGE : DATA_AT + (page - CODE_PAGES) * PAGE;

    va += mode == U ? USER : SUPERVISOR;
    *leaf(va) = below(4) ? 0 : right_pte(va) & ~(uint64_t)(PTE_W | PTE_X);
    fence_page(va);
}

/* True: something was missing there. */
static bool bring_page(uint64_t va)
{
    uint64_t pte = right_pte(va);

    if (va < USER || va >= USER + 512 * PAGE || !pte || *leaf(va) == pte)
        return false;
    *leaf(va) = pte;
    fence_page(va);
    return true;
}

static void start_pages(void)
{
    arena.root[USER >> 30] = (uint64_t)arena.middle >> 12 << 10 | PTE_V;
    arena.middle[0] = (uint64_t)arena.leaves >> 12 << 10 | PTE_V;
    for (unsigned i = 0; i < 512; i++)
        arena.leaves[i] = right_pte(USER + i * PAGE);
    csr_write(pmpaddr0, (uint64_t)&arena >> 2 | 0x1fff); /* 64 KiB */
    csr_write(pmpcfg0, 0x1f);
}

/* ---- running ---- */

static uint64_t random_value(uint64_t base)
{
    uint64_t value = next_random();

    switch (below(8)) {
    case 0:
        return (uint64_t)(int64_t)(int32_t)value;
    case 1:
        return 1ul << (value & 63);
    case 2:
        return base + below(CODE_PAGES * PAGE);
    case 3:
        return value & 0xff;
    case 4:
        return 0xffffffff00000000 | value; /* a boxed single */
    case 5:
        return 0x7ff0000000000000 | (value & 0x8008000000000001);
    case 6:
        return (value & 0x803fffffffffffff) | 0x3fc0000000000000;
    default:
        return value;
    }
}

/* Addresses of data, often where pages meet. */
static uint64_t random_address(uint64_t base)
{
    uint64_t at = DATA_AT + below(DATA_PAGES * PAGE);

    if (below(3) == 0)
        at = DATA_AT + below(DATA_PAGES + 1) * PAGE - 16 + below(32);
    if (below(3) == 0)
        at &= ~7ul;
    return base + at;
}

static void new_state(void)
{
    mode = below(4) ? U : S;
    uint64_t base = mode == U ? USER : SUPERVISOR;

    for (unsigned i = 0; i < 32; i++) {
        state.x[i] = random_value(base);
        state.f[i] = random_value(base);
    }
    for (unsigned i = 0; i < ARRAY_LEN(bases); i++)
        state.x[bases[i]] = random_address(base);
    state.fcsr = below(256);
    if (below(8))
        state.fcsr = state.fcsr % 32 | below(5) << 5;
    state.pc = base + below(CODE_PAGES * PAGE / 2) * 2;
    /* Sometimes S-mode takes traps of U-mode, and its own: in random code, too. */
    csr_write(medeleg, below(2) ? 0 : next_random() & 0xb3ff);
    csr_write(stvec, SUPERVISOR + below(CODE_PAGES * PAGE / 4) * 4);
    csr_write(sepc, USER + below(CODE_PAGES * PAGE / 2) * 2);
    csr_write(sstatus, (below(4) ? MSTATUS_FS : 0) | (below(2) ? MSTATUS_SUM : 0) |
                           (below(2) ? MSTATUS_MXR : 0) | (below(2) ? BIT(8) : 0) |
                           (below(2) ? BIT(5) : 0));
}

static void set_timer(void)
{
    uint64_t now = *(volatile uint64_t *)(CLINT + 0xbff8);

    store64(CLINT + 0x4000, now + 1 + (below(4) ? 8 + below(40) : below(4)));
}

static void enter(void)
{
    csr_write(satp, 8ul << 60 | (uint64_t)arena.root >> 12);
    csr_clear(mstatus, MSTATUS_MPP);
    csr_set(mstatus, (uint64_t)mode << 11);
    stream_enter(&state);
    mode = csr_read(mstatus) >> 11 & 3; /* sret may have changed it */
}

/* Behind the instruction at the pc, if that is in the code. */
static bool skip(void)
{
    uint64_t at = state.pc - (mode == U ? USER : SUPERVISOR);

    if (at >= CODE_PAGES * PAGE)
        return false;
    state.pc += (arena.code[at / PAGE][at % PAGE] & 3) == 3 ? 4 : 2;
    return true;
}

int main(void)
{
    uint64_t sum = 0;
    uint64_t causes[17] = {0};
    unsigned idle = 0;

    start_pages();
    for (unsigned at = 0; at < CODE_PAGES * PAGE;)
        at += put_random(at);
    fence_i();
    csr_write(mie, 1 << 7);
    csr_write(mcounteren, 7);
    csr_write(scounteren, 7);
    csr_write(CSR_menvcfg, MENVCFG_ADUE | MENVCFG_PBMTE | 0xf0);
    csr_write(CSR_senvcfg, 0xf0);
    new_state();
    for (unsigned traps = 0; traps < TRAPS; traps++) {
        set_timer();
        enter();
        uint64_t cause = csr_read(mcause);
        uint64_t tval = csr_read(mtval);
        for (unsigned i = 1; i < 32; i++)
            sum = (sum ^ state.x[i] ^ state.f[i] << 1) * 0x100000001b3;
        sum = (sum ^ tval ^ state.pc << 7 ^ state.fcsr << 50) * 0x100000001b3;
        causes[cause >> 63 ? 16 : cause & 15]++;
        idle = cause >> 63 ? idle + 1 : 0;
        bool goes_on;
        if (cause >> 63)
            goes_on = idle < 2;
        else if (bring_page(tval))
            goes_on = true;
        else
            goes_on = below(64) && skip();
        if (below(16) == 0)
            replace_code();
        if (below(STORM ? 1 : 6) == 0)
            drop_page();
        if (STORM)
            drop_page();
        if (!goes_on)
            new_state();
    }
    for (unsigned i = 0; i < ARRAY_LEN(causes); i++)
        if (causes[i])
            show("traps", causes[i] | (uint64_t)i << 32);
    show("sum", sum);
    return 0;
}
