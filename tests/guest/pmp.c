/* SPDX-License-Identifier: Apache-2.0
 * Physical memory protection: matching, priority, locking, partial matches
 * (privileged architecture, "Physical Memory Protection CSRs"). */
#include "guest.h"

#define R     1u
#define W     2u
#define X     4u
#define TOR   (1u << 3)
#define NA4   (2u << 3)
#define NAPOT (3u << 3)
#define L     (1u << 7)

/* A region away from the program: entry 7 opens everything, lower ones decide. */
static uint8_t region[4 * PAGE] __attribute__((aligned(4 * PAGE)));
#define AREA ((uint64_t)region)

static void cfg(unsigned entry, unsigned value)
{
    uint64_t all = csr_read(pmpcfg0);

    csr_write(pmpcfg0, (all & ~(0xfful << 8 * entry)) | (uint64_t)value << 8 * entry);
    sfence();
}

static uint64_t napot(uint64_t base, uint64_t size)
{
    return (base | (size / 2 - 1)) >> 2;
}

static void open_all(void)
{
    csr_write(pmpcfg0, 0);
    csr_write(pmpaddr7, -1);
    csr_write(pmpaddr0, 0);
    csr_write(pmpaddr1, 0);
    csr_write(pmpaddr2, 0);
    cfg(7, NAPOT | R | W | X);
}

static void put_case(const char *name, const char *what)
{
    put_text(name);
    put_text(" ");
    put_text(what);
}

static void all_accesses(const char *name, enum mode mode, uint64_t at)
{
    put_case(name, "");
    show_call("load", mode, probe_ld, at, 0);
    put_case(name, "");
    show_call("store", mode, probe_sd, at, 0x8082808280828082);
    put_case(name, "");
    show("fetch", outcome(mode, probe_jump, at, 0));
    put_case(name, "");
    show("amo", outcome(mode, probe_amoadd_d, at, 0) != RETURNED);
    put_case(name, "");
    show("lr", outcome(mode, probe_lr_d, at, 0) != RETURNED);
}

static void fill_with_ret(void)
{
    for (unsigned i = 0; i < sizeof(region); i += 4)
        *(volatile uint32_t *)(region + i) = 0x00008067;
    fence_i();
}

static void permissions(void)
{
    static const unsigned legal[] = {0, R, X, R | W, R | X, R | W | X};

    for (unsigned i = 0; i < ARRAY_LEN(legal); i++) {
        open_all();
        fill_with_ret();
        csr_write(pmpaddr0, napot(AREA, PAGE));
        cfg(0, NAPOT | legal[i]);
        put_text("permission ");
        put_hex(legal[i]);
        put_text("\n");
        all_accesses(" U", U, AREA);
        fill_with_ret();
        all_accesses(" S", S, AREA + 0xff8);
        fill_with_ret();
        all_accesses(" M", M, AREA + 16);
        show(" outside", outcome(U, probe_ld, AREA + PAGE, 0));
    }
}

static void nothing_matches(void)
{
    open_all();
    csr_write(pmpaddr7, napot(RAM, 0x10000000));
    cfg(7, NAPOT | R | W | X);
    show("no entry: U load", outcome(U, probe_ld, 0x1000, 0));
    show("no entry: S load", outcome(S, probe_ld, 0x1000, 0));
    show("no entry: M load", outcome(M, probe_ld, 0x1000, 0));
    csr_write(pmpcfg0, 0);
    /* QEMU lets everything pass when no entry is on; the specification does not. */
    check("all off: S fetch", outcome(S, probe_nothing, 0, 0), BY_M(1));
    check("all off: U fetch", outcome(U, probe_nothing, 0, 0), BY_M(1));
    open_all();
}

static void ranges(void)
{
    static const uint64_t offsets[] = {0, 4, 8, 0xc, 0x10, 0x18, 0x1c, 0x20, 0xffc};

    open_all();
    csr_write(pmpaddr0, (AREA + 4) >> 2);
    csr_write(pmpaddr1, (AREA + 0x1c) >> 2);
    cfg(1, TOR | R);
    for (unsigned i = 0; i < ARRAY_LEN(offsets); i++)
        show_call("TOR load", S, probe_lw, AREA + offsets[i], 0);
    for (unsigned i = 0; i < ARRAY_LEN(offsets); i++)
        show("TOR store", outcome(S, probe_sw, AREA + offsets[i], 0));
    open_all();
    csr_write(pmpaddr1, (AREA + 8) >> 2);
    cfg(1, NA4);
    for (unsigned i = 0; i < ARRAY_LEN(offsets); i++)
        show("NA4 load", outcome(S, probe_lw, AREA + offsets[i], 0));
    open_all();
    csr_write(pmpaddr1, napot(AREA + 8, 8));
    cfg(1, NAPOT);
    for (unsigned i = 0; i < ARRAY_LEN(offsets); i++)
        show("NAPOT 8 load", outcome(S, probe_lw, AREA + offsets[i], 0));
    /* An empty TOR range matches nothing. */
    open_all();
    csr_write(pmpaddr0, (AREA + 0x100) >> 2);
    csr_write(pmpaddr1, AREA >> 2);
    cfg(1, TOR);
    show("empty TOR", outcome(S, probe_lw, AREA, 0));
    show("empty TOR 2", outcome(S, probe_lw, AREA + 0x80, 0));
    /* Entry 0 as TOR begins at 0. */
    open_all();
    csr_write(pmpaddr0, 0x2000 >> 2);
    cfg(0, TOR);
    show("TOR from 0", outcome(S, probe_lw, 0x1000, 0));
    show("TOR from 0, beyond", outcome(S, probe_lw, AREA, 0));
}

static void priority(void)
{
    open_all();
    csr_write(pmpaddr0, napot(AREA, 16));
    csr_write(pmpaddr1, napot(AREA, 64));
    csr_write(pmpaddr2, napot(AREA, PAGE));
    csr_write(pmpcfg0, csr_read(pmpcfg0) | (NAPOT | R) | (uint64_t)(NAPOT | R | W) << 8 |
                           (uint64_t)(NAPOT | X) << 16);
    sfence();
    for (uint64_t at = 0; at <= 128; at += 16) {
        show("priority load", outcome(U, probe_lw, AREA + at, 0));
        show("priority store", outcome(U, probe_sw, AREA + at, 0x8067));
    }
    fill_with_ret();
    show("priority fetch 0", outcome(U, probe_jump, AREA, 0));
    show("priority fetch 16", outcome(U, probe_jump, AREA + 16, 0));
    show("priority fetch 64", outcome(U, probe_jump, AREA + 64, 0));
}

/* An access that an entry matches only in part fails, whatever the entry says. */
static void partial_matches(void)
{
    open_all();
    csr_write(pmpaddr1, napot(AREA + 8, 8));
    cfg(1, NAPOT | R | W | X);
    check("partial misaligned load", outcome(S, probe_ld, AREA + 4, 0), BY_M(5));
    check("partial misaligned load 2", outcome(S, probe_ld, AREA + 12, 0), BY_M(5));
    check("partial misaligned store", outcome(S, probe_sd, AREA + 12, 0), BY_M(7));
    show("whole", outcome(S, probe_ld, AREA + 8, 0));
    csr_write(pmpaddr1, (AREA + 8) >> 2);
    cfg(1, NA4 | R | W | X);
    show("partial aligned load", outcome(S, probe_ld, AREA + 8, 0));
    show("partial aligned store", outcome(S, probe_sd, AREA + 8, 0));
    show("whole word", outcome(S, probe_lw, AREA + 8, 0));
    show("partial in M, not locked", outcome(M, probe_ld, AREA + 8, 0));
    /* An instruction of which only the first half may be fetched. */
    open_all();
    fill_with_ret();
    csr_write(pmpaddr0, (AREA + 0x40) >> 2);
    csr_write(pmpaddr1, (AREA + 0x80) >> 2);
    cfg(1, TOR | R | W);
    volatile uint16_t *code = (volatile uint16_t *)region;
    code[0x3e / 2] = 0x0513; /* li a0,1 across the limit */
    code[0x40 / 2] = 0x0010;
    fence_i();
    check("fetch of an instruction that ends in a closed range",
          outcome(S, probe_jump, AREA + 0x3e, 0), BY_M(1));
    show("fetch before it", outcome(S, probe_jump, AREA + 0x38, 0));
}

/* Page-table walks are S-mode loads. */
static void walks(void)
{
    open_all();
    mmu_start(3);
    mmu_map(0x1555440000, AREA, 0, PTE_ALL);
    uint64_t va = 0x1555440000;
    show("walk", outcome(S, probe_ld, va, 0));
    csr_write(pmpaddr0, napot(mmu_root(), PAGE));
    cfg(0, NAPOT | W);
    cfg(0, NAPOT);
    show("walk of a closed table", outcome(S, probe_ld, va, 0));
    show("  stval", last_tval());
    show("walk of a closed table, store", outcome(S, probe_sd, va, 0));
    show("walk of a closed table, fetch", outcome(S, probe_jump, va, 0));
    cfg(0, NAPOT | R);
    show("walk of a read-only table", outcome(S, probe_ld, va, 0));
    csr_write(0x30a, MENVCFG_ADUE);
    uint64_t *entry = mmu_entry(va, 0);
    csr_write(pmpaddr0, napot((uint64_t)entry & ~(PAGE - 1), PAGE));
    *entry &= ~(uint64_t)PTE_A;
    sfence();
    cfg(0, NAPOT | R);
    check("A bit in a read-only table", outcome(S, probe_ld, va, 0), BY_M(5));
    cfg(0, NAPOT | R | W);
    show("A bit in a writable table", outcome(S, probe_ld, va, 0));
    show("  A", *entry & PTE_A);
    csr_write(satp, 0);
    csr_write(0x30a, 0);
}

/* Last: locks stay until reset. */
static void locks(void)
{
    open_all();
    csr_write(pmpaddr2, AREA >> 2);
    csr_write(pmpaddr3, (AREA + PAGE) >> 2);
    cfg(3, L | TOR | R);
    all_accesses("locked read-only, M", M, AREA);
    all_accesses("locked read-only, S", S, AREA);
    cfg(3, 0);
    show("locked pmpcfg stays", csr_read(pmpcfg0) >> 24 & 0xff);
    csr_write(pmpaddr3, 0);
    show("locked pmpaddr stays", csr_read(pmpaddr3) == (AREA + PAGE) >> 2);
    csr_write(pmpaddr2, 0);
    show("the bottom of a locked TOR stays", csr_read(pmpaddr2) == AREA >> 2);
    csr_write(pmpaddr1, 0x1234);
    show("the one below does not", csr_read(pmpaddr1));
    cfg(0, L | NAPOT);
    csr_write(pmpaddr0, napot(AREA + 2 * PAGE, 16));
    show("locked before its address is set", csr_read(pmpaddr0) == 0);
    cfg(4, L); /* OFF and locked */
    csr_write(pmpaddr4, 0x77);
    show("locked OFF", csr_read(pmpaddr4));
    csr_write(pmpaddr3, 0);
    show("locked 3", csr_read(pmpcfg0) >> 24 & 0xff);
}

static void registers(void)
{
    csr_write(pmpcfg0, 0);
    csr_write(pmpaddr5, -1);
    check("pmpaddr has 54 bits", csr_read(pmpaddr5), 0x3ffffffffffffful);
    csr_write(pmpaddr5, 0x123456789);
    show("pmpaddr", csr_read(pmpaddr5));
    csr_write(pmpcfg0, 0x60ul << 40);
    check("reserved bits of pmpcfg", csr_read(pmpcfg0) >> 40 & 0xff, 0);
    csr_write(pmpcfg0, 0x02ul << 40);
    check("W without R is never there", (csr_read(pmpcfg0) >> 40 & 3) == 2, 0);
    csr_write(pmpcfg2, 0x0f0f0f0f0f0f0f0f);
    show("pmpcfg2", csr_read(pmpcfg2));
    csr_write(pmpcfg2, 0);
    csr_write(pmpaddr15, 0x55);
    show("pmpaddr15", csr_read(pmpaddr15));
}

int main(void)
{
    registers();
    permissions();
    nothing_matches();
    ranges();
    priority();
    partial_matches();
    walks();
    locks();
    return 0;
}
