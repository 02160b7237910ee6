/* SPDX-License-Identifier: Apache-2.0
 * What translations are kept, and what fences and changes of satp drop. The tests
 * change page tables behind the hart's back: what it still knows, it knew. */
#include "base/memory.h"
#include "harness/harness.h"
#include "mem/space.h"
#include "riscv/code.h"
#include "riscv/fetch.h"
#include "riscv/hart.h"

#include <stdlib.h>

#define RAM       UINT64_C(0x80000000)
#define RAM_SIZE  (UINT64_C(16) << 20)
#define ROOT_A    RAM
#define ROOT_B    (RAM + UINT64_C(0x10000))
#define DATA      (RAM + UINT64_C(0x100000))
#define MEGA_DATA (RAM + UINT64_C(0x400000))
#define VA        UINT64_C(0x40001000)
#define MEGA_VA   UINT64_C(0x40400000)
#define FLAGS     (PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D)
#define MANY      (UINT64_C(4) * TLB_SIZE)

static uint8_t ram[RAM_SIZE] __attribute__((aligned(4096)));
static struct space space;
static struct hart hart __attribute__((aligned(64)));
static uint64_t *next_table;

static uint64_t *at(gpa_t pa)
{
    return (uint64_t *)(void *)(ram + (pa - RAM));
}

static gpa_t pa_of(const uint64_t *table)
{
    return RAM + (gpa_t)((const uint8_t *)table - ram);
}

/* The entry of `level` for `va`, with the tables above it. */
static uint64_t *entry_of(gpa_t root, gva_t va, unsigned level)
{
    uint64_t *table = at(root);

    for (unsigned i = 2; i > level; i--) {
        uint64_t *entry = &table[bits_extract(va, PAGE_SHIFT + 9 * i, 9)];
        if (!*entry) {
            *entry = pa_of(next_table) >> PAGE_SHIFT << PTE_PPN_SHIFT | PTE_V;
            next_table += PAGE_SIZE / 8;
        }
        table = at(bits_extract(*entry, PTE_PPN_SHIFT, 44) << PAGE_SHIFT);
    }
    return &table[bits_extract(va, PAGE_SHIFT + 9 * level, 9)];
}

static void map(gpa_t root, gva_t va, gpa_t pa, unsigned level, uint64_t flags)
{
    *entry_of(root, va, level) = pa >> PAGE_SHIFT << PTE_PPN_SHIFT | flags;
}

static uint64_t satp(gpa_t root, unsigned asid)
{
    return (uint64_t)SATP_SV39 << SATP_MODE_SHIFT | (uint64_t)asid << SATP_ASID_SHIFT |
           root >> PAGE_SHIFT;
}

static uint64_t no_time(void *owner)
{
    (void)owner;
    return 0;
}

/* S-mode with Sv39, ASID 1, VA mapped to DATA. */
static void make(void)
{
    static void *code;
    struct hart_config config = {.widest_satp = SATP_SV39,
                                 .reset_pc = RAM,
                                 .space = &space,
                                 .ports = {.read_time = no_time},
                                 .code_pages = CODE_WAYS};

    memset(ram, 0, sizeof(ram));
    memset(&space, 0, sizeof(space));
    space_add_ram(&space, RAM, RAM_SIZE, ram);
    next_table = at(RAM + 0x20000);
    if (!code)
        code = calloc(1, code_cache_size(CODE_WAYS));
    config.code_memory = code;
    hart_init(&hart, &config);
    hart.pmpcfg[0] = 0x1f; /* all of it, by NAPOT */
    hart.pmpaddr[0] = bits_mask(54);
    pmp_update(&hart);
    tlb_switch(&hart, satp(ROOT_A, 1));
    hart_set_privilege(&hart, PRIV_S);
    map(ROOT_A, VA, DATA, 0, FLAGS);
    for (unsigned i = 0; i < 64; i++)
        *at(DATA + i * PAGE_SIZE) = 0x1000 + i;
}

static bool refill(gva_t va, enum access access)
{
    return hart_tlb_refill(&hart, va, 8, access);
}

/* What the hart thinks is at `va`; 0: nothing. */
static uint64_t load(gva_t va)
{
    const struct tlb_entry *entry = &hart.data_tlb[(va >> PAGE_SHIFT) % TLB_SIZE];

    if (va - entry->load_tag > PAGE_SIZE - 8 && !refill(va, ACCESS_LOAD))
        return 0;
    return *(const uint64_t *)(uintptr_t)(va + entry->addend);
}

static bool hits_first(gva_t va)
{
    return va - hart.data_tlb[(va >> PAGE_SHIFT) % TLB_SIZE].load_tag <= PAGE_SIZE - 8;
}

/* Loads from so many other pages that the first level forgets `va`. */
static void crowd_out(gva_t va)
{
    hart.data_tlb[(va >> PAGE_SHIFT) % TLB_SIZE].load_tag = ~UINT64_C(0) << 1;
    CHECK(!hits_first(va));
}

TEST(tlb, the_second_level_remembers_what_the_first_has_lost)
{
    make();
    CHECK_EQ(load(VA), 0x1000);
    *entry_of(ROOT_A, VA, 0) = 0;
    crowd_out(VA);
    CHECK_EQ(load(VA), 0x1000);
    tlb_flush(&hart);
    CHECK_EQ(load(VA), 0);
}

TEST(tlb, the_second_level_holds_more_than_the_first)
{
    unsigned known = 0;

    make();
    for (gva_t i = 0; i < MANY; i++)
        map(ROOT_A, VA + i * PAGE_SIZE, DATA + i % 64 * PAGE_SIZE, 0, FLAGS);
    for (gva_t i = 0; i < MANY; i++)
        CHECK_EQ(load(VA + i * PAGE_SIZE), 0x1000 + i % 64);
    for (gva_t i = 0; i < MANY; i++)
        *entry_of(ROOT_A, VA + i * PAGE_SIZE, 0) = 0;
    for (gva_t i = 0; i < MANY; i++)
        known += load(VA + i * PAGE_SIZE) == 0x1000 + i % 64;
    CHECK_EQ(known, MANY);
}

TEST(tlb, a_load_brings_the_right_to_store_when_the_page_is_dirty)
{
    make();
    CHECK_EQ(load(VA), 0x1000);
    CHECK_EQ(hart.data_tlb[(VA >> PAGE_SHIFT) % TLB_SIZE].store_tag, VA);
    map(ROOT_A, VA, DATA, 0, FLAGS & ~PTE_D);
    tlb_flush(&hart);
    CHECK_EQ(load(VA), 0x1000);
    CHECK(hart.data_tlb[(VA >> PAGE_SHIFT) % TLB_SIZE].store_tag != VA);
    CHECK(!refill(VA, ACCESS_STORE)); /* Svade: the kernel must set D */
    CHECK_EQ(*entry_of(ROOT_A, VA, 0) & PTE_D, 0);
    hart.menvcfg |= MENVCFG_ADUE;
    CHECK(refill(VA, ACCESS_STORE));
    CHECK(*entry_of(ROOT_A, VA, 0) & PTE_D);
}

TEST(tlb, refill_takes_no_exception_and_sets_nothing_for_what_is_refused)
{
    uint64_t traps;

    make();
    hart.menvcfg |= MENVCFG_ADUE;
    traps = hart.traps;
    CHECK(!refill(VA + PAGE_SIZE, ACCESS_LOAD)); /* not mapped */
    CHECK(!refill(VA + PAGE_SIZE - 4, ACCESS_LOAD));
    map(ROOT_A, VA, DATA, 0, PTE_V | PTE_R);
    CHECK(!refill(VA, ACCESS_STORE));
    map(ROOT_A, VA, DATA, 0, PTE_V | PTE_R | PTE_W | PTE_U);
    CHECK(!refill(VA, ACCESS_LOAD)); /* a user's page */
    CHECK_EQ(*entry_of(ROOT_A, VA, 0) & (PTE_A | PTE_D), 0);
    /* PMP lets the page be read only: D must not be set. */
    map(ROOT_A, VA, DATA, 0, PTE_V | PTE_R | PTE_W);
    hart.pmpaddr[0] = DATA >> 2 | bits_mask(9);
    hart.pmpaddr[1] = bits_mask(54);
    hart.pmpcfg[0] = 0x19;
    hart.pmpcfg[1] = 0x1f;
    pmp_update(&hart);
    CHECK(!refill(VA, ACCESS_STORE));
    CHECK_EQ(*entry_of(ROOT_A, VA, 0) & PTE_D, 0);
    CHECK(refill(VA, ACCESS_LOAD));
    CHECK(!refill(VA, ACCESS_STORE));
    CHECK_EQ(hart.traps, traps);
    CHECK_EQ(hart.pc, RAM);
}

TEST(tlb, pages_that_pmp_divides_or_that_are_watched_are_not_entered)
{
    struct hart_watchpoint watch = {VA + 64, 8, true, true};

    make();
    hart.pmpaddr[0] = (DATA + 0x800) >> 2 | bits_mask(3);
    hart.pmpaddr[1] = bits_mask(54);
    hart.pmpcfg[0] = 0x1f;
    hart.pmpcfg[1] = 0x1f;
    pmp_update(&hart);
    CHECK(!refill(VA, ACCESS_LOAD));
    hart.pmpcfg[0] = 0;
    pmp_update(&hart);
    CHECK(refill(VA, ACCESS_LOAD));
    CHECK(hart_add_watchpoint(&hart, &watch));
    CHECK(!refill(VA, ACCESS_LOAD));
    CHECK(hart_remove_watchpoint(&hart, &watch));
    CHECK(refill(VA, ACCESS_LOAD));
}

TEST(tlb, sum_lets_supervisors_use_what_users_entered)
{
    make();
    map(ROOT_A, VA, DATA, 0, FLAGS | PTE_U);
    hart_set_privilege(&hart, PRIV_U);
    CHECK_EQ(load(VA), 0x1000);
    *entry_of(ROOT_A, VA, 0) = 0;
    hart_set_privilege(&hart, PRIV_S);
    CHECK_EQ(load(VA), 0);
    hart.mstatus |= MSTATUS_SUM;
    hart_update_mode(&hart);
    CHECK_EQ(load(VA), 0x1000);
}

TEST(tlb, address_spaces_come_back_warm)
{
    make();
    map(ROOT_B, VA, DATA + PAGE_SIZE, 0, FLAGS);
    CHECK_EQ(load(VA), 0x1000);
    tlb_switch(&hart, satp(ROOT_B, 2));
    CHECK_EQ(load(VA), 0x1001);
    *entry_of(ROOT_A, VA, 0) = 0;
    *entry_of(ROOT_B, VA, 0) = 0;
    tlb_switch(&hart, satp(ROOT_A, 1));
    CHECK_EQ(load(VA), 0x1000);
    tlb_switch(&hart, satp(ROOT_B, 2));
    CHECK_EQ(load(VA), 0x1001);
}

TEST(tlb, asid_zero_and_a_new_root_come_back_cold)
{
    uint64_t generation;

    make();
    map(ROOT_B, VA, DATA + PAGE_SIZE, 0, FLAGS);
    tlb_switch(&hart, satp(ROOT_A, 0));
    CHECK_EQ(load(VA), 0x1000);
    generation = hart.code_generation;
    tlb_switch(&hart, satp(ROOT_B, 0));
    CHECK_EQ(load(VA), 0x1001);
    CHECK(hart.code_generation > generation);
    *entry_of(ROOT_A, VA, 0) = 0;
    tlb_switch(&hart, satp(ROOT_A, 0));
    CHECK_EQ(load(VA), 0);
    tlb_switch(&hart, satp(ROOT_B, 7));
    CHECK_EQ(load(VA), 0x1001);
    tlb_switch(&hart, satp(ROOT_A, 7));
    CHECK_EQ(load(VA), 0);
}

TEST(tlb, global_pages_stay_and_a_global_pointer_makes_them)
{
    make();
    *entry_of(ROOT_A, VA, 1) |= PTE_G;
    CHECK_EQ(load(VA), 0x1000);
    tlb_switch(&hart, satp(ROOT_B, 2));
    CHECK(hits_first(VA));
    crowd_out(VA);
    CHECK_EQ(load(VA), 0x1000);
    tlb_flush_asid(&hart, 2);
    CHECK_EQ(load(VA), 0x1000);
    tlb_switch(&hart, satp(ROOT_B, 0));
    CHECK_EQ(load(VA), 0x1000);
    tlb_flush_page(&hart, VA);
    CHECK_EQ(load(VA), 0);
}

TEST(tlb, supervisor_pages_that_are_not_global_go)
{
    make();
    CHECK_EQ(load(VA), 0x1000);
    tlb_switch(&hart, satp(ROOT_B, 2));
    CHECK(!hits_first(VA));
    CHECK_EQ(load(VA), 0);
    /* The same when they came from the second level. */
    tlb_switch(&hart, satp(ROOT_A, 1));
    CHECK_EQ(load(VA), 0x1000);
    tlb_switch(&hart, satp(ROOT_B, 2));
    CHECK_EQ(load(VA), 0);
}

TEST(tlb, writing_the_same_satp_drops_nothing)
{
    uint64_t epoch;

    make();
    CHECK_EQ(load(VA), 0x1000);
    epoch = hart.fetch_epoch;
    tlb_switch(&hart, hart.satp);
    CHECK(hits_first(VA));
    CHECK_EQ(hart.fetch_epoch, epoch);
}

TEST(tlb, a_fence_of_a_page_drops_that_page_only)
{
    make();
    map(ROOT_A, VA + PAGE_SIZE, DATA + PAGE_SIZE, 0, FLAGS);
    CHECK_EQ(load(VA), 0x1000);
    CHECK_EQ(load(VA + PAGE_SIZE), 0x1001);
    *entry_of(ROOT_A, VA, 0) = 0;
    *entry_of(ROOT_A, VA + PAGE_SIZE, 0) = 0;
    tlb_flush_page(&hart, VA + 123);
    CHECK_EQ(load(VA), 0);
    CHECK(hits_first(VA + PAGE_SIZE));
    crowd_out(VA + PAGE_SIZE);
    CHECK_EQ(load(VA + PAGE_SIZE), 0x1001);
}

TEST(tlb, a_fence_of_a_page_and_an_asid_leaves_the_others)
{
    make();
    map(ROOT_B, VA, DATA + PAGE_SIZE, 0, FLAGS);
    CHECK_EQ(load(VA), 0x1000);
    tlb_switch(&hart, satp(ROOT_B, 2));
    CHECK_EQ(load(VA), 0x1001);
    *entry_of(ROOT_A, VA, 0) = 0;
    *entry_of(ROOT_B, VA, 0) = 0;
    tlb_flush_page_asid(&hart, VA, 1);
    CHECK(hits_first(VA));
    crowd_out(VA);
    CHECK_EQ(load(VA), 0x1001);
    tlb_switch(&hart, satp(ROOT_A, 1));
    CHECK_EQ(load(VA), 0);
    tlb_switch(&hart, satp(ROOT_B, 2));
    CHECK_EQ(load(VA), 0x1001);
    tlb_flush_page_asid(&hart, VA, 2);
    CHECK_EQ(load(VA), 0);
}

TEST(tlb, a_fence_of_an_asid_leaves_the_others)
{
    make();
    map(ROOT_B, VA, DATA + PAGE_SIZE, 0, FLAGS);
    CHECK_EQ(load(VA), 0x1000);
    tlb_switch(&hart, satp(ROOT_B, 2));
    CHECK_EQ(load(VA), 0x1001);
    *entry_of(ROOT_A, VA, 0) = 0;
    *entry_of(ROOT_B, VA, 0) = 0;
    tlb_flush_asid(&hart, 1);
    CHECK(hits_first(VA));
    tlb_switch(&hart, satp(ROOT_A, 1));
    CHECK_EQ(load(VA), 0);
    tlb_switch(&hart, satp(ROOT_B, 2));
    CHECK_EQ(load(VA), 0x1001);
    tlb_flush_asid(&hart, 2);
    CHECK_EQ(load(VA), 0);
}

TEST(tlb, a_fence_within_a_large_leaf_drops_all_of_it)
{
    make();
    map(ROOT_A, MEGA_VA, MEGA_DATA, 1, FLAGS);
    CHECK_EQ(load(VA), 0x1000);
    for (gva_t i = 0; i < 512; i++)
        *at(MEGA_DATA + i * PAGE_SIZE) = 0x2000 + i;
    for (gva_t i = 0; i < 512; i++)
        CHECK_EQ(load(MEGA_VA + i * PAGE_SIZE), 0x2000 + i);
    *entry_of(ROOT_A, MEGA_VA, 1) = 0;
    *entry_of(ROOT_A, VA, 0) = 0;
    for (gva_t i = 0; i < 512; i += 2)
        crowd_out(MEGA_VA + i * PAGE_SIZE);
    tlb_flush_page(&hart, MEGA_VA + 77 * PAGE_SIZE);
    for (gva_t i = 0; i < 512; i++)
        CHECK_EQ(load(MEGA_VA + i * PAGE_SIZE), 0);
    CHECK_EQ(load(VA), 0x1000);
}

TEST(tlb, a_fence_within_a_gigabyte_leaf_drops_all_of_it)
{
    gva_t giga = UINT64_C(0x80000000);

    make();
    map(ROOT_A, giga, RAM, 2, FLAGS);
    CHECK_EQ(load(giga + (DATA - RAM)), 0x1000);
    *entry_of(ROOT_A, giga, 2) = 0;
    tlb_flush_page(&hart, giga + 5 * PAGE_SIZE);
    CHECK_EQ(load(giga + (DATA - RAM)), 0);
}

TEST(tlb, only_fences_of_pages_that_were_fetched_from_count_for_fetches)
{
    uint64_t epoch;
    gpa_t pa;

    make();
    map(ROOT_A, VA + PAGE_SIZE, DATA + PAGE_SIZE, 0, FLAGS | PTE_G);
    CHECK(fetch_translate(&hart, VA + PAGE_SIZE + 2, &pa));
    CHECK_EQ(pa, DATA + PAGE_SIZE + 2);
    epoch = hart.fetch_epoch;
    CHECK_EQ(load(VA), 0x1000);
    tlb_flush_page(&hart, VA);
    CHECK_EQ(hart.fetch_epoch, epoch);
    *entry_of(ROOT_A, VA + PAGE_SIZE, 0) = 0;
    CHECK(fetch_translate(&hart, VA + PAGE_SIZE, &pa));
    tlb_flush_page_asid(&hart, VA + PAGE_SIZE, 9);
    CHECK(hart.fetch_epoch > epoch);
    CHECK(!fetch_translate(&hart, VA + PAGE_SIZE, &pa));
    CHECK_EQ(hart.mcause, CAUSE_FETCH_PAGE);
}

TEST(tlb, a_change_of_asid_alone_keeps_the_epoch_of_fetches)
{
    uint64_t epoch;
    gpa_t pa;

    make();
    map(ROOT_A, VA, DATA, 0, FLAGS | PTE_G);
    CHECK(fetch_translate(&hart, VA, &pa));
    epoch = hart.fetch_epoch;
    tlb_switch(&hart, satp(ROOT_B, 2));
    CHECK_EQ(hart.fetch_epoch, epoch);
    CHECK(fetch_translate(&hart, VA, &pa));
    tlb_switch(&hart, satp(ROOT_B, 0));
    CHECK(hart.fetch_epoch > epoch);
    epoch = hart.fetch_epoch;
    /* Supervisor code that is not global. */
    map(ROOT_A, VA + PAGE_SIZE, DATA, 0, FLAGS);
    tlb_switch(&hart, satp(ROOT_A, 1));
    CHECK_EQ(hart.fetch_epoch, epoch);
    CHECK(fetch_translate(&hart, VA + PAGE_SIZE, &pa));
    tlb_switch(&hart, satp(ROOT_B, 2));
    CHECK(hart.fetch_epoch > epoch);
    CHECK(!fetch_translate(&hart, VA + PAGE_SIZE, &pa));
}

TEST(tlb, a_reset_drops_everything_and_moves_the_epoch_on)
{
    uint64_t epoch;

    make();
    CHECK_EQ(load(VA), 0x1000);
    epoch = hart.fetch_epoch;
    hart_reset(&hart);
    CHECK(hart.fetch_epoch > epoch);
    CHECK_EQ(load(0), 0);
    CHECK_EQ(load(DATA), 0x1000);
    CHECK_EQ(load(VA), 0);
}

TEST_MAIN(TESTS(tlb, the_second_level_remembers_what_the_first_has_lost),
          TESTS(tlb, the_second_level_holds_more_than_the_first),
          TESTS(tlb, a_load_brings_the_right_to_store_when_the_page_is_dirty),
          TESTS(tlb, refill_takes_no_exception_and_sets_nothing_for_what_is_refused),
          TESTS(tlb, pages_that_pmp_divides_or_that_are_watched_are_not_entered),
          TESTS(tlb, sum_lets_supervisors_use_what_users_entered),
          TESTS(tlb, address_spaces_come_back_warm),
          TESTS(tlb, asid_zero_and_a_new_root_come_back_cold),
          TESTS(tlb, global_pages_stay_and_a_global_pointer_makes_them),
          TESTS(tlb, supervisor_pages_that_are_not_global_go),
          TESTS(tlb, writing_the_same_satp_drops_nothing),
          TESTS(tlb, a_fence_of_a_page_drops_that_page_only),
          TESTS(tlb, a_fence_of_a_page_and_an_asid_leaves_the_others),
          TESTS(tlb, a_fence_of_an_asid_leaves_the_others),
          TESTS(tlb, a_fence_within_a_large_leaf_drops_all_of_it),
          TESTS(tlb, a_fence_within_a_gigabyte_leaf_drops_all_of_it),
          TESTS(tlb, only_fences_of_pages_that_were_fetched_from_count_for_fetches),
          TESTS(tlb, a_change_of_asid_alone_keeps_the_epoch_of_fetches),
          TESTS(tlb, a_reset_drops_everything_and_moves_the_epoch_on))
