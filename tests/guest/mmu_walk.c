/* SPDX-License-Identifier: Apache-2.0
 * The walk of Sv39, Sv48 and Sv57: every level, every kind of entry, canonical
 * addresses, tables in strange places (privileged architecture, "Virtual Address
 * Translation Process"). */
#include "guest.h"

#define VA   0x1555440000ul /* canonical in all modes, unused by mmu_start */
#define GIGA (1ul << 30)
#define MEGA (1ul << 21)

static uint64_t data[2 * PAGE / 8] __attribute__((aligned(4096)));

static void three(const char *name, enum mode mode, uint64_t va)
{
    put_text(name);
    show_call(" load", mode, probe_ld, va, 0);
    put_text(name);
    show_call(" store", mode, probe_sd, va, 0x00008067);
    put_text(name);
    show_call(" fetch", mode, probe_jump, va, 0);
}

/* QEMU makes page faults of them. */
static void access_faults(const char *name, uint64_t va)
{
    check(name, outcome(S, probe_ld, va, 0), BY_M(5));
    check("tval of load", last_tval(), va);
    check(name, outcome(S, probe_sd, va, 0), BY_M(7));
    check("tval of store", last_tval(), va);
    check(name, outcome(S, probe_jump, va, 0), BY_M(1));
    check("tval of fetch", last_tval(), va);
}

/* All 32 combinations of V, R, W, X and U, one bit of the result each. Accessed
 * and dirty entries only: mmu_update.c has the rest. */
static void flag_matrix(unsigned level, uint64_t pa)
{
    static const void *const probes[] = {probe_ld, probe_sd, probe_jump};
    uint64_t *entry;

    for (unsigned access = 0; access < 3; access++) {
        for (unsigned who = 0; who < 4; who++) { /* U, S, S with SUM, S with MXR */
            uint64_t ends = 0;
            csr_clear(mstatus, MSTATUS_SUM | MSTATUS_MXR);
            csr_set(mstatus, who == 2 ? MSTATUS_SUM : who == 3 ? MSTATUS_MXR : 0);
            for (unsigned flags = 0; flags < 32; flags++) {
                mmu_map(VA, pa, level, flags | PTE_A | PTE_D);
                entry = mmu_entry(VA, level);
                sfence();
                data[0] = 0x00008067;
                fence_i();
                const void *probe = who == 0 ? user(probes[access]) : probes[access];
                uint64_t end = outcome(who == 0 ? U : S, probe, VA, 0x00008067);
                area()->exit = (uint64_t)exit_call;
                ends = ends << 1 | (end == RETURNED);
                if (end != RETURNED && last_tval() != VA)
                    show("wrong tval", last_tval());
                static const uint64_t faults[] = {13, 15, 12};
                if (end != RETURNED && end != BY_M(faults[access]))
                    show("another cause", flags << 16 | end);
            }
            put_text("level ");
            put_hex(level);
            put_text(" access ");
            put_hex(access);
            put_text(" who ");
            put_hex(who);
            show(":", ends);
        }
    }
    csr_clear(mstatus, MSTATUS_SUM | MSTATUS_MXR);
    *entry = 0;
}

static void superpages(unsigned levels)
{
    for (unsigned level = 1; level < levels; level++) {
        uint64_t size = PAGE << 9 * level;
        uint64_t base = (uint64_t)data & ~(size - 1);
        uint64_t offset = (uint64_t)data & (size - 1);
        uint64_t va = (VA & ~(size - 1)) + offset;
        if (level >= 3)
            va = (3ul << (12 + 9 * level)) + offset; /* a slot nobody else uses */

        show("superpage level", level);
        *mmu_entry(va, level) = 0;
        mmu_map(va, base, level, PTE_ALL);
        sfence();
        data[0] = 0x00008067;
        three(" aligned", S, va);
        show_call(" last byte", S, probe_lb, (va | (size - 1)) - (level >= 2 ? size / 2 : 0), 0);
        /* A misaligned one is a page fault, whichever low bit is set. */
        for (unsigned bit = 0; bit < 9 * level; bit += 4) {
            mmu_map(va, base | PAGE << bit, level, PTE_ALL);
            sfence();
            show(" misaligned", outcome(S, probe_ld, va, 0));
        }
        *mmu_entry(va, level) = 0;
        sfence();
    }
}

static void pointers(void)
{
    /* Reserved bits of a pointer, a pointer at the last level, no pointer. */
    for (unsigned bit = 4; bit < 64; bit++) {
        if (bit >= 8 && bit < 54)
            continue;
        if (bit == 5)
            continue; /* G is allowed */
        mmu_map(VA, (uint64_t)data, 0, PTE_ALL);
        *mmu_entry(VA, 1) |= BIT(bit);
        sfence();
        check("reserved bit of a pointer", outcome(S, probe_ld, VA, 0), BY_M(13));
        *mmu_entry(VA, 1) &= ~BIT(bit);
    }
    for (unsigned bit = 54; bit < 61; bit++) {
        mmu_map(VA, (uint64_t)data, 0, PTE_ALL | BIT(bit));
        sfence();
        check("reserved bit of a leaf", outcome(S, probe_ld, VA, 0), BY_M(13));
    }
    for (unsigned bits = 8; bits < 10; bits++) { /* RSW is ours */
        mmu_map(VA, (uint64_t)data, 0, PTE_ALL | BIT(bits));
        sfence();
        show("software bit", outcome(S, probe_ld, VA, 0));
    }
    mmu_map(VA, (uint64_t)data, 0, PTE_V);
    sfence();
    three("pointer at the last level", S, VA);
    uint64_t *pointer = mmu_entry(VA, 1);
    uint64_t saved = *pointer;
    *pointer &= ~(uint64_t)PTE_V;
    sfence();
    three("no pointer", S, VA);
    /* Tables where there is no RAM. */
    *pointer = NOTHING >> 12 << 10 | PTE_V;
    sfence();
    access_faults("table nowhere", VA);
    *pointer = BIT(43) << 10 | PTE_V;
    sfence();
    access_faults("table beyond", VA);
    *pointer = saved;
    sfence();
}

static void self_map(unsigned levels)
{
    /* The root's entry points to the root: the last level sees pointers. */
    unsigned top = levels - 1;
    uint64_t slot = 7;
    uint64_t *root = (uint64_t *)mmu_root();
    uint64_t va = 0;

    root[slot] = mmu_root() >> 12 << 10 | PTE_V;
    sfence();
    for (unsigned level = 0; level <= top; level++)
        va |= slot << (12 + 9 * level);
    three("self map", S, va);
    root[slot] = 0;
    sfence();
}

static void canonical(unsigned levels)
{
    unsigned bits = 12 + 9 * levels;
    uint64_t high = -1ul << (bits - 1);

    mmu_map(high, (uint64_t)data, 0, PTE_ALL);
    mmu_map(-PAGE, (uint64_t)data, 0, PTE_ALL);
    sfence();
    data[0] = 0x00008067;
    three("highest half", S, high);
    show_call("last bytes", S, probe_ld, -8ul, 0);
    three("hole below", S, high - 8);
    three("hole above", S, 1ul << (bits - 1));
    for (unsigned bit = bits; bit < 64; bit += 3) {
        mmu_map(VA, (uint64_t)data, 0, PTE_ALL);
        show_call("non-canonical", S, probe_ld, VA | BIT(bit), 0);
    }
    show_call("non-canonical fetch", S, probe_jump, VA | BIT(63), 0);
    show_call("non-canonical amo", S, probe_lr_d, VA | BIT(62), 0);
}

static void no_root(unsigned levels)
{
    uint64_t saved = csr_read(satp);

    csr_write(satp, (uint64_t)(levels + 5) << 60 | NOTHING >> 12);
    sfence();
    check("root nowhere", outcome(S, probe_nothing, 0, 0), BY_M(1));
    check("its tval", last_tval(), (uint64_t)probe_nothing);
    csr_write(satp, saved);
    sfence();
}

/* A translation may be remembered until the fence. The fence of another address
 * or mode does not matter here: only that after the right one the new entry rules. */
static void fences(void)
{
    uint64_t *entry;

    data[0] = 0x11;
    data[PAGE / 8] = 0x22;
    mmu_map(VA, (uint64_t)data, 0, PTE_ALL);
    entry = mmu_entry(VA, 0);
    sfence();
    call_in(S, probe_ld, VA, 0);
    show("first page", area()->m.a0);
    mmu_map(VA, (uint64_t)data + PAGE, 0, PTE_ALL);
    __asm__ volatile("sfence.vma %0, zero" ::"r"(VA) : "memory");
    call_in(S, probe_ld, VA, 0);
    show("second page", area()->m.a0);
    *entry &= ~(uint64_t)PTE_W;
    __asm__ volatile("sfence.vma %0, zero" ::"r"(VA + 8) : "memory");
    show("store after W was taken", outcome(S, probe_sd, VA, 0));
    *entry = 0;
    __asm__ volatile("sfence.vma zero, zero" ::: "memory");
    show("load after V was taken", outcome(S, probe_ld, VA, 0));
    mmu_map(VA, (uint64_t)data, 0, PTE_ALL);
    __asm__ volatile("sfence.vma zero, %0" ::"r"(0ul) : "memory");
    show("load after it came back", outcome(S, probe_ld, VA, 0));
    /* One address of a large leaf drops all of it. */
    uint64_t mega = VA + 64 * MEGA;
    mmu_map(mega, RAM, 1, PTE_ALL);
    sfence();
    for (uint64_t at = 0; at < MEGA; at += MEGA / 8)
        outcome(S, probe_ld, (mega & ~(MEGA - 1)) + at, 0);
    *mmu_entry(mega, 1) = 0;
    __asm__ volatile("sfence.vma %0, zero" ::"r"((mega & ~(MEGA - 1)) + MEGA / 2) : "memory");
    for (uint64_t at = 0; at < MEGA; at += MEGA / 8)
        show("large leaf gone", outcome(S, probe_ld, (mega & ~(MEGA - 1)) + at, 0));
    /* The same by fetches. */
    data[0] = 0x00008067;
    fence_i();
    mmu_map(VA, (uint64_t)data, 0, PTE_ALL);
    sfence();
    show("fetch", outcome(S, probe_jump, VA, 0));
    *mmu_entry(VA, 0) &= ~(uint64_t)PTE_X;
    __asm__ volatile("sfence.vma %0, zero" ::"r"(VA) : "memory");
    show("fetch after X was taken", outcome(S, probe_jump, VA, 0));
}

int main(void)
{
    for (unsigned levels = 3; levels <= 5; levels++) {
        put_text("Sv");
        put_hex(levels == 3 ? 0x39 : levels == 4 ? 0x48 : 0x57);
        put_text("\n");
        mmu_start(levels);
        for (unsigned level = 0; level < 3; level++)
            flag_matrix(level, level == 0 ? (uint64_t)data : RAM);
        three("mapped by nothing", S, VA);
        superpages(levels);
        mmu_start(levels);
        pointers();
        self_map(levels);
        canonical(levels);
        fences();
        no_root(levels);
        restore();
    }
    return 0;
}
