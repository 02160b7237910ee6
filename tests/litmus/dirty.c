/* SPDX-License-Identifier: Apache-2.0
 * A and D bits while other harts change the same page-table entry: no change of
 * either is lost, no entry comes back, and what was stored is dirty. With the bits
 * set by hardware (Svadu) and by software (Svade). */
#include "litmus.h"

#define VA     0x40000000ul
#define TIMES  1000000
#define ENOUGH 20000 /* times that a store came in between, if it can be had */
#define RSW    (1ul << 8)
#define V      (1ul << 0)
#define RW     (3ul << 1)
#define A      (1ul << 6)
#define D      (1ul << 7)

static volatile uint64_t root[512] __attribute__((aligned(4096)));
static volatile uint64_t middle[512] __attribute__((aligned(4096)));
static volatile uint64_t last[512] __attribute__((aligned(4096)));
static volatile uint64_t page[512] __attribute__((aligned(4096)));
static volatile uint64_t clears; /* odd: hart 0 is taking A and D away */
static volatile uint64_t wrong;
static volatile uint64_t done;

#define ENTRY (&last[0])

static uint64_t pte(const volatile void *at, uint64_t flags)
{
    return (uint64_t)at >> 12 << 10 | flags;
}

/* Stores as S-mode would. False: a page fault. */
static bool store_translated(uint64_t va, uint64_t value)
{
    uint64_t faulted = 1;

    __asm__ volatile("la t0, 1f\n"
                     "csrrw t0, mtvec, t0\n"
                     "csrc mstatus, %[mpp]\n"
                     "csrs mstatus, %[as_s]\n"
                     "sd %[value], 0(%[va])\n"
                     "li %[faulted], 0\n"
                     ".balign 4\n"
                     "1: csrc mstatus, %[mprv]\n"
                     "csrw mtvec, t0\n"
                     : [faulted] "+&r"(faulted)
                     : [mpp] "r"(MSTATUS_MPP), [as_s] "r"(MSTATUS_MPRV | 1ul << 11),
                       [mprv] "r"(MSTATUS_MPRV), [value] "r"(value), [va] "r"(va)
                     : "memory", "t0");
    return !faulted;
}

static uint64_t amo_and(volatile uint64_t *at, uint64_t value)
{
    return __atomic_fetch_and(at, value, __ATOMIC_SEQ_CST);
}

static void note_wrong(void)
{
    amo_add(&wrong, 1);
}

/* Every hart sets up its own translation; hart 0 the tables. */
static void begin(unsigned hart, bool by_hardware, uint64_t flags)
{
    barrier();
    if (hart == 0) {
        root[VA >> 30] = pte(middle, V);
        middle[0] = pte(last, V);
        *ENTRY = pte(page, flags);
        clears = wrong = done = 0;
        for (unsigned i = 0; i < 512; i++)
            page[i] = 0;
    }
    csr_write(pmpaddr0, -1ul);
    csr_write(pmpcfg0, 0x1f);
    csr_write(CSR_menvcfg, by_hardware ? MENVCFG_ADUE : 0);
    csr_write(satp, 8ul << 60 | (uint64_t)root >> 12);
    sfence();
    barrier();
}

static void end(const char *name, unsigned hart)
{
    barrier();
    csr_write(satp, 0);
    sfence();
    if (hart == 0)
        check(name, wrong, 0);
}

/* Hart 0 toggles a bit of the entry and takes A and D away, the others store. Each
 * toggle is found the next time, and D is there after a store unless hart 0 was
 * about. */
static void updates_are_atomic(unsigned hart)
{
    uint64_t seen = 0;

    begin(hart, true, V | RW);
    if (hart == 0) {
        for (uint64_t i = 0; i < TIMES || (seen < ENOUGH && i < 30 * TIMES); i++) {
            uint64_t old = __atomic_fetch_xor(ENTRY, RSW, __ATOMIC_SEQ_CST);
            if ((old & RSW) != (i & 1) * RSW ||
                (old | A | D | RSW) != pte(page, V | RW | A | D | RSW))
                note_wrong();
            amo_add(&clears, 1);
            seen += (amo_and(ENTRY, ~(A | D)) & D) != 0;
            amo_add(&clears, 1);
        }
        fence();
        done = 1;
        put_text("# found dirty: ");
        put_hex(seen);
        put_text("\n");
    } else {
        for (uint64_t i = 0; !done; i++) {
            sfence();
            fence();
            uint64_t before = clears;
            fence();
            if (!store_translated(VA + 8 * hart, i))
                note_wrong();
            fence();
            uint64_t entry = *ENTRY;
            fence();
            if (before == clears && !(before & 1) && (entry & (A | D)) != (A | D))
                note_wrong();
        }
    }
    end("updates of A and D are atomic", hart);
}

/* Hart 0 takes the entry out while the others store for the first time: it stays
 * out, and who got through made it dirty. */
static void what_was_stored_is_dirty(unsigned hart, unsigned harts)
{
    uint64_t got_through = 0;
    uint64_t old = 0;

    begin(hart, true, V | RW);
    for (uint64_t i = 1; i <= TIMES / 500; i++) {
        barrier();
        if (hart == 0) {
            for (uint64_t wait = 0; wait < i * 7 % 1000; wait++)
                __asm__ volatile("nop");
            old = __atomic_exchange_n(ENTRY, 0, __ATOMIC_SEQ_CST);
        } else {
            sfence();
            store_translated(VA + 8 * hart, i);
        }
        barrier();
        if (hart != 0)
            continue;
        bool stored = false;
        for (unsigned other = 1; other < harts; other++)
            stored |= page[other] == i;
        if (*ENTRY != 0 || stored != ((old & D) != 0))
            note_wrong();
        got_through += stored;
        *ENTRY = pte(page, V | RW);
    }
    if (hart == 0) {
        put_text("# stored in time: ");
        put_hex(got_through);
        put_text("\n");
    }
    end("what was stored is dirty, and what was taken out stays out", hart);
}

/* Svade: nobody but software writes the entry, and stores to clean pages fault. */
static void software_sets_them(unsigned hart)
{
    begin(hart, false, V | RW | A);
    if (hart == 0) {
        for (uint64_t i = 0; i < TIMES; i++) {
            uint64_t old = __atomic_fetch_xor(ENTRY, RSW, __ATOMIC_SEQ_CST);
            if (old != pte(page, V | RW | A | (i & 1) * RSW))
                note_wrong();
        }
        fence();
        done = 1;
    } else {
        while (!done) {
            sfence();
            if (store_translated(VA + 8 * hart, 1) || page[hart] != 0)
                note_wrong();
        }
    }
    end("with Svade nothing is set and nothing stored", hart);
}

/* Svade as kernels use it: who faults sets D, and hart 0 takes it away. */
static void software_handles_faults(unsigned hart)
{
    begin(hart, false, V | RW | A);
    if (hart == 0) {
        for (uint64_t i = 0; i < TIMES; i++) {
            uint64_t old = __atomic_fetch_xor(ENTRY, RSW, __ATOMIC_SEQ_CST);
            if ((old & RSW) != (i & 1) * RSW)
                note_wrong();
            amo_and(ENTRY, ~D);
        }
        fence();
        done = 1;
    } else {
        for (uint64_t i = 1; !done; i++) {
            sfence();
            while (!store_translated(VA + 8 * hart, i)) {
                __atomic_fetch_or(ENTRY, D, __ATOMIC_SEQ_CST);
                sfence();
            }
            if (page[hart] != i)
                note_wrong();
        }
    }
    end("with Svade each store gets through in the end", hart);
}

void run_tests(unsigned hart, unsigned harts)
{
    updates_are_atomic(hart);
    what_was_stored_is_dirty(hart, harts);
    software_sets_them(hart);
    software_handles_faults(hart);
}
