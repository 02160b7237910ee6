/* SPDX-License-Identifier: Apache-2.0
 * Cache-block instructions and their enables; hints (CMO specification, "Zicbom",
 * "Zicboz", "Zicbop"; Zawrs; Zihintpause). QEMU 7.2 has no cbo instructions, so
 * everything is checked. */
#include "guest.h"

#define CBO(n) (0x0005200fu | (uint32_t)(n) << 20) /* cbo.x (a0) */
#define INVAL  CBO(0)
#define CLEAN  CBO(1)
#define FLUSH  CBO(2)
#define ZERO   CBO(4)
#define VA     0x1555440000ul

static uint8_t block[2 * PAGE] __attribute__((aligned(4096)));

static void zero(void)
{
    for (unsigned offset = 0; offset < 64; offset += 9) {
        for (unsigned i = 0; i < 256; i++)
            block[i] = 0xa5;
        uint32_t word = ZERO;
        uint64_t end = outcome(M, code_of(&word, 1), (uint64_t)block + 64 + offset, 0);
        check("cbo.zero", end, RETURNED);
        unsigned zeros = 0, wrong = 0;
        for (unsigned i = 0; i < 256; i++) {
            zeros += block[i] == 0;
            wrong += (block[i] == 0) != (i >= 64 && i < 128);
        }
        check("zeros", zeros, 64);
        check("wrong bytes", wrong, 0);
    }
}

static uint64_t run(enum mode mode, uint32_t word, uint64_t at)
{
    const void *fn = code_of(&word, 1);

    return outcome(mode, mode == U && csr_read(satp) ? user(fn) : fn, at, 0);
}

static void enables(void)
{
    static const struct {
        const char *name;
        uint32_t word;
        uint64_t bits;
    } rows[] = {{"cbo.inval", INVAL, 1 << 4},
                {"cbo.inval as flush", INVAL, 3 << 4},
                {"cbo.clean", CLEAN, 1 << 6},
                {"cbo.flush", FLUSH, 1 << 6},
                {"cbo.zero", ZERO, 1 << 7}};

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        for (unsigned gate = 0; gate < 4; gate++) {
            csr_write(0x30a, gate & 1 ? rows[i].bits : 0);
            csr_write(0x10a, gate & 2 ? rows[i].bits : 0);
            put_text(rows[i].name);
            put_text("\n");
            check(" in M", run(M, rows[i].word, (uint64_t)block), RETURNED);
            check(" in S", run(S, rows[i].word, (uint64_t)block), gate & 1 ? RETURNED : BY_M(2));
            check(" in U", run(U, rows[i].word, (uint64_t)block), gate == 3 ? RETURNED : BY_M(2));
            if (gate == 0)
                check(" tval", last_tval(), rows[i].word);
        }
    }
}

static void faults(void)
{
    csr_write(0x30a, 0xf1 & ~1ul);
    csr_write(0x10a, 0xf0);
    mmu_start(3);
    static const uint32_t words[] = {INVAL, CLEAN, FLUSH};
    for (unsigned i = 0; i < 3; i++) {
        mmu_map(VA, (uint64_t)block, 0, PTE_V | PTE_R | PTE_A | PTE_D);
        sfence();
        check("readable page", run(S, words[i], VA + 100), RETURNED);
        mmu_map(VA, 0, 0, 0);
        sfence();
        check("no page", run(S, words[i], VA + 100), BY_M(15));
        /* CMO: the faulting address, somewhere in the block. */
        check(" tval", last_tval() & ~63ul, (VA + 100) & ~63ul);
        check("cbo where nothing is", run(S, words[i], NOTHING), BY_M(7));
    }
    mmu_map(VA, (uint64_t)block, 0, PTE_V | PTE_R | PTE_A | PTE_D);
    sfence();
    check("cbo.zero of a read-only page", run(S, ZERO, VA + 200), BY_M(15));
    check(" tval", last_tval() & ~63ul, (VA + 200) & ~63ul);
    mmu_map(VA, (uint64_t)block, 0, PTE_ALL);
    sfence();
    block[4095] = 1;
    check("cbo.zero of the last block", run(S, ZERO, VA + 4095), RETURNED);
    check("its last byte", block[4095], 0);
    restore();
}

static void hints(void)
{
    static const struct {
        const char *name;
        uint32_t word;
    } rows[] = {
        {"prefetch.i", 0x00056013}, {"prefetch.r", 0x00156013},
        {"prefetch.w", 0x00356013}, {"pause", 0x0100000f},
        {"wrs.sto", 0x01d00073},    {"wrs.nto", 0x00d00073},
        {"fence.tso", 0x8330000f},  {"fence", 0x0ff0000f},
        {"fence rw,w", 0x0310000f}, {"reserved fence", 0xf00fff8f & ~0x7000u},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        check(rows[i].name, outcome_of_word(U, rows[i].word), RETURNED);
        /* At an address that is not there: prefetches never fault. */
        check(rows[i].name, outcome(S, code_of(&rows[i].word, 1), NOTHING, 0), RETURNED);
    }
    csr_set(mstatus, MSTATUS_TW);
    check("wrs.nto with TW", outcome_of_word(S, 0x00d00073), BY_M(2));
    check("wrs.sto with TW", outcome_of_word(S, 0x01d00073), RETURNED);
    csr_clear(mstatus, MSTATUS_TW);
}

/* Svinval: who may execute its three instructions. */
static void invalidations(void)
{
    static const struct {
        const char *name;
        uint32_t word;
        bool tvm;
    } rows[] = {{"sinval.vma", 0x16b50073, true},
                {"sfence.w.inval", 0x18000073, false},
                {"sfence.inval.ir", 0x18100073, false}};

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        check(rows[i].name, outcome_of_word(M, rows[i].word), RETURNED);
        check(" in S", outcome_of_word(S, rows[i].word), RETURNED);
        check(" in U", outcome_of_word(U, rows[i].word), BY_M(2));
        csr_set(mstatus, MSTATUS_TVM);
        check(" in S with TVM", outcome_of_word(S, rows[i].word), rows[i].tvm ? BY_M(2) : RETURNED);
        csr_clear(mstatus, MSTATUS_TVM);
    }
}

int main(void)
{
    zero();
    enables();
    faults();
    hints();
    invalidations();
    return 0;
}
