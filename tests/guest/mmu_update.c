/* SPDX-License-Identifier: Apache-2.0
 * A and D bits: set by the walk with menvcfg.ADUE (Svadu), faults without
 * (Svade). QEMU 7.2 has no ADUE and always sets them. */
#include "guest.h"

#define VA      0x1555440000ul
#define USER_VA 0x1666440000ul

static uint64_t data[2 * PAGE / 8] __attribute__((aligned(4096)));

static const struct {
    const char *name;
    const void *probe;
    uint64_t cause;
    bool dirties;
} accesses[] = {
    {"load", probe_ld, 13, false},    {"store", probe_sd, 15, true},
    {"fetch", probe_jump, 12, false}, {"amo", probe_amoadd_d, 15, true},
    {"lr", probe_lr_d, 13, false},    {"sc", probe_sc_d, 15, true},
    {"fld", probe_fld, 13, false},    {"fsd", probe_fsd, 15, true},
};

static void one(unsigned i, enum mode mode, uint64_t va, unsigned before, bool adue)
{
    bool needs_a = !(before & PTE_A);
    bool needs_d = accesses[i].dirties && !(before & PTE_D);
    uint64_t flags = PTE_V | PTE_R | PTE_W | PTE_X | (mode == U ? PTE_U : 0) | before;

    data[0] = 0x00008067;
    fence_i();
    mmu_map(va, (uint64_t)data, 0, flags);
    sfence();
    const void *probe = mode == U ? user(accesses[i].probe) : accesses[i].probe;
    uint64_t end = outcome(mode, probe, va, 0x00008067);
    area()->exit = (uint64_t)exit_call;
    bool faults = !adue && (needs_a || needs_d);
    check(accesses[i].name, end, faults ? BY_M(accesses[i].cause) : RETURNED);
    uint64_t want = before;
    if (adue)
        want |= PTE_A | (accesses[i].dirties ? PTE_D : 0);
    check(" A and D", *mmu_entry(va, 0) & (PTE_A | PTE_D), want);
}

static void matrix(bool adue)
{
    static const unsigned before[] = {0, PTE_A, PTE_D, PTE_A | PTE_D};

    put_text(adue ? "by hardware\n" : "by software\n");
    csr_write(0x30a, adue ? MENVCFG_ADUE : 0);
    for (unsigned i = 0; i < ARRAY_LEN(accesses); i++) {
        for (unsigned b = 0; b < ARRAY_LEN(before); b++) {
            one(i, S, VA, before[b], adue);
            one(i, U, USER_VA, before[b], adue);
        }
    }
}

/* A page that a load made known is not dirty by that: the first store must look
 * again. */
static void store_after_load(void)
{
    csr_write(0x30a, MENVCFG_ADUE);
    mmu_map(VA, (uint64_t)data, 0, PTE_V | PTE_R | PTE_W);
    sfence();
    show("load", outcome(S, probe_ld, VA, 0));
    show("A after load", *mmu_entry(VA, 0) & (PTE_A | PTE_D));
    show("store", outcome(S, probe_sd, VA, 0));
    show("D after store", *mmu_entry(VA, 0) & (PTE_A | PTE_D));
    csr_write(0x30a, 0);
    mmu_map(VA, (uint64_t)data, 0, PTE_V | PTE_R | PTE_W | PTE_A);
    sfence();
    check("load of a clean page", outcome(S, probe_ld, VA, 0), RETURNED);
    check("store to it", outcome(S, probe_sd, VA, 0), BY_M(15));
    check("load again", outcome(S, probe_ld, VA, 0), RETURNED);
}

/* A failing access sets nothing. */
static void no_update_on_fault(void)
{
    csr_write(0x30a, MENVCFG_ADUE);
    mmu_map(VA, (uint64_t)data, 0, PTE_V | PTE_R);
    sfence();
    show("store to a read-only page", outcome(S, probe_sd, VA, 0));
    show("A and D", *mmu_entry(VA, 0) & (PTE_A | PTE_D));
    mmu_map(VA, (uint64_t)data, 0, PTE_V | PTE_R | PTE_W | PTE_U);
    sfence();
    show("load of a user page", outcome(S, probe_ld, VA, 0));
    show("A and D", *mmu_entry(VA, 0) & (PTE_A | PTE_D));
    /* Superpages have the bits, too. */
    mmu_map(VA, RAM, 1, PTE_V | PTE_R | PTE_W);
    sfence();
    show("superpage store", outcome(S, probe_sd, VA | 0x1ff000, 0));
    show("A and D", *mmu_entry(VA, 1) & (PTE_A | PTE_D));
    /* A pointer's A, D and U stay clear. */
    *mmu_entry(VA, 1) = 0;
    sfence();
    mmu_map(VA, (uint64_t)data, 0, PTE_V | PTE_R | PTE_W);
    sfence();
    show("store", outcome(S, probe_sd, VA, 0));
    show("pointer", *mmu_entry(VA, 1) & 0xff);
}

int main(void)
{
    csr_write(0x30a, MENVCFG_ADUE);
    mmu_start(3);
    matrix(true);
    matrix(false);
    store_after_load();
    no_update_on_fault();
    restore();
    return 0;
}
