/* SPDX-License-Identifier: Apache-2.0
 * Page tables for the tests of translation. */
#include "guest.h"

#define TABLES  48
#define ENTRIES 512

static uint64_t tables[TABLES][ENTRIES] __attribute__((aligned(4096)));
static unsigned used;
static unsigned levels;

static uint64_t *take_table(void)
{
    if (used == TABLES)
        fail("out of page tables");
    uint64_t *table = tables[used++];
    for (unsigned i = 0; i < ENTRIES; i++)
        table[i] = 0;
    return table;
}

static uint64_t pte(uint64_t pa, uint64_t flags)
{
    return pa >> 12 << 10 | flags;
}

uint64_t *mmu_entry(uint64_t va, unsigned level)
{
    uint64_t *table = tables[0];

    for (unsigned l = levels - 1; l > level; l--) {
        uint64_t *entry = &table[va >> (12 + 9 * l) & 511];
        if (!*entry)
            *entry = pte((uint64_t)take_table(), PTE_V);
        table = (uint64_t *)(*entry >> 10 << 12);
    }
    return &table[va >> (12 + 9 * level) & 511];
}

void mmu_map(uint64_t va, uint64_t pa, unsigned level, uint64_t flags)
{
    *mmu_entry(va, level) = pte(pa, flags);
}

uint64_t mmu_root(void)
{
    return (uint64_t)tables[0];
}

void mmu_start(unsigned count)
{
    used = 0;
    levels = count;
    take_table();
    for (uint64_t gib = 0; gib < 4; gib++)
        mmu_map(gib << 30, gib << 30, 2, PTE_ALL);
    mmu_map(USER_ALIAS, RAM, 2, PTE_ALL | PTE_U);
    csr_write(satp, (uint64_t)(count + 5) << 60 | mmu_root() >> 12);
    sfence();
}

const void *user(const void *fn)
{
    area()->exit = (uint64_t)exit_call - RAM + USER_ALIAS;
    return (const void *)((uint64_t)fn - RAM + USER_ALIAS);
}
