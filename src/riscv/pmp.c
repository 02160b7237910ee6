/* SPDX-License-Identifier: Apache-2.0
 * Physical memory protection (privileged architecture, "Physical Memory
 * Protection"): sixteen entries of four-byte granularity. Ranges are derived
 * once when a CSR changes, because the look-up is on the path of every TLB
 * miss. */
#include "riscv/hart.h"

#define PMP_R       0x01
#define PMP_W       0x02
#define PMP_X       0x04
#define PMP_L       0x80
#define PMP_A_SHIFT 3

enum pmp_mode {
    PMP_OFF,
    PMP_TOR,
    PMP_NA4,
    PMP_NAPOT,
};

static struct pmp_entry entry_range(const struct hart *hart, unsigned i)
{
    static const struct pmp_entry nothing = {1, 0};
    gpa_t address = hart->pmpaddr[i] << 2;

    switch ((enum pmp_mode)((hart->pmpcfg[i] >> PMP_A_SHIFT) & 3)) {
    case PMP_OFF:
        return nothing;
    case PMP_TOR: {
        gpa_t below = i ? hart->pmpaddr[i - 1] << 2 : 0;
        return below < address ? (struct pmp_entry){below, address - 1} : nothing;
    }
    case PMP_NA4:
        return (struct pmp_entry){address, address + 3};
    case PMP_NAPOT: {
        /* pmpaddr ends in 0 and ones: 2^(ones + 3) bytes. */
        uint64_t low = hart->pmpaddr[i] ^ (hart->pmpaddr[i] + 1);
        gpa_t base = (hart->pmpaddr[i] & ~low) << 2;
        return (struct pmp_entry){base, base + ((low << 2) | 3)};
    }
    }
    return nothing;
}

void pmp_update(struct hart *hart)
{
    hart->pmp_active = 0;
    for (unsigned i = 0; i < HART_PMP_ENTRIES; i++) {
        hart->pmp[i] = entry_range(hart, i);
        hart->pmp_active += hart->pmp[i].first <= hart->pmp[i].last;
    }
    tlb_flush(hart);
}

/* The entry that decides over [pa, pa + size): -1 none, -2 one that matches only
 * a part, which fails the access. */
static int find_entry(const struct hart *hart, gpa_t pa, uint64_t size)
{
    gpa_t last = pa + size - 1;

    for (int i = 0; i < HART_PMP_ENTRIES; i++) {
        const struct pmp_entry *entry = &hart->pmp[i];
        if (entry->first > last || entry->last < pa || entry->first > entry->last)
            continue;
        return entry->first <= pa && last <= entry->last ? i : -2;
    }
    return -1;
}

bool pmp_allows(const struct hart *hart, gpa_t pa, uint64_t size, enum access access,
                enum privilege privilege)
{
    static const uint8_t needed[] = {
        [ACCESS_LOAD] = PMP_R, [ACCESS_STORE] = PMP_W, [ACCESS_FETCH] = PMP_X};

    if (hart->pmp_active == 0)
        return privilege == PRIV_M;
    int i = find_entry(hart, pa, size);
    if (i == -2)
        return false;
    if (i == -1)
        return privilege == PRIV_M;
    if (privilege == PRIV_M && !(hart->pmpcfg[i] & PMP_L))
        return true;
    return hart->pmpcfg[i] & needed[access];
}

bool pmp_page_is_uniform(const struct hart *hart, gpa_t pa)
{
    return hart->pmp_active == 0 || find_entry(hart, pa & ~PAGE_MASK, PAGE_SIZE) != -2;
}
