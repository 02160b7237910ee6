/* SPDX-License-Identifier: Apache-2.0
 * The CSR space: which numbers exist for whom, which bits can be written, and the
 * forms of the instructions that do not write (privileged architecture, "CSR
 * Address Mapping Conventions"; unprivileged, "Zicsr"). */
#include "guest.h"

#define CSRRW(rd, csr, rs1)  ((uint32_t)(csr) << 20 | (rs1) << 15 | 1 << 12 | (rd) << 7 | 0x73)
#define CSRRS(rd, csr, rs1)  ((uint32_t)(csr) << 20 | (rs1) << 15 | 2 << 12 | (rd) << 7 | 0x73)
#define CSRRC(rd, csr, rs1)  ((uint32_t)(csr) << 20 | (rs1) << 15 | 3 << 12 | (rd) << 7 | 0x73)
#define CSRRSI(rd, csr, imm) (CSRRS(rd, csr, imm) | 4 << 12)
#define CSRRCI(rd, csr, imm) (CSRRC(rd, csr, imm) | 4 << 12)
#define A0                   10

struct range {
    unsigned first;
    unsigned last;
};

/* RV64GC with M, S, U, Sstc, the counters, sixteen PMP entries and the triggers'
 * registers; in order. */
static const struct range present[] = {
    {0x001, 0x003}, {0x100, 0x100}, {0x104, 0x106}, {0x10a, 0x10a}, {0x140, 0x144},
    {0x14d, 0x14d}, {0x180, 0x180}, {0x300, 0x306}, {0x30a, 0x30a}, {0x320, 0x320},
    {0x323, 0x33f}, {0x340, 0x344}, {0x3a0, 0x3a0}, {0x3a2, 0x3a2}, {0x3b0, 0x3bf},
    {0x7a0, 0x7a4}, {0xb00, 0xb00}, {0xb02, 0xb1f}, {0xc00, 0xc1f}, {0xf11, 0xf15},
};

static bool exists(unsigned csr)
{
    for (unsigned i = 0; i < ARRAY_LEN(present); i++)
        if (csr >= present[i].first && csr <= present[i].last)
            return true;
    return false;
}

/* Numbers where the outcome of `word(csr)` in `mode` is not as it must be. */
static void scan(const char *name, enum mode mode, bool write)
{
    unsigned wrong = 0;
    unsigned first = 0;

    for (unsigned csr = 0; csr < 4096; csr++) {
        bool allowed = exists(csr) && (csr >> 8 & 3) <= mode && !(write && csr >> 10 == 3);
        if (allowed && write)
            continue; /* would change it; reads tell enough */
        uint64_t end = outcome_of_word(mode, write ? CSRRW(0, csr, 0) : CSRRS(A0, csr, 0));
        if (end != (allowed ? RETURNED : BY_M(2)) && !wrong++)
            first = csr;
    }
    check(name, wrong ? (uint64_t)wrong << 16 | first : 0, 0);
}

static void forms(void)
{
    /* Read-only registers may be named by csrrs with x0, and nothing else. */
    show("csrrs x0", outcome_of_word(M, CSRRS(A0, 0xf14, 0)));
    show("csrrc x0", outcome_of_word(M, CSRRC(A0, 0xf14, 0)));
    show("csrrsi 0", outcome_of_word(M, CSRRSI(A0, 0xf14, 0)));
    show("csrrci 0", outcome_of_word(M, CSRRCI(A0, 0xf14, 0)));
    /* Even when the register holds 0, which QEMU takes for no write. */
    check("csrrs", outcome_of_word(M, CSRRS(A0, 0xf14, A0)), BY_M(2));
    check("csrrc", outcome_of_word(M, CSRRC(A0, 0xf14, A0)), BY_M(2));
    show("csrrsi", outcome_of_word(M, CSRRSI(A0, 0xf14, 1)));
    show("csrrw", outcome_of_word(M, CSRRW(0, 0xf14, 0)));
    /* rd = rs1, and x0 as the destination. */
    uint32_t word = CSRRW(A0, 0x140, A0);
    call_in(S, code_of(&word, 1), 0x5678, 0);
    show("swap old is the area's", area()->m.a0 == (uint64_t)area());
    show("swap new", csr_read(sscratch));
    static const uint32_t set_clear[] = {CSRRW(0, 0x140, 11),  CSRRS(A0, 0x140, A0),
                                         CSRRC(A0, 0x140, A0), CSRRSI(11, 0x140, 31),
                                         CSRRCI(0, 0x140, 5),  0x00b54533 /* xor a0,a0,a1 */};
    call_in(S, code_of(set_clear, 6), 0xf0f, 0xffff0000);
    show("set and clear a0", area()->m.a0);
    show("set and clear", csr_read(sscratch));
}

/* Writes ones and zeros and prints what stays, in the bits of `mask`. */
#define WARL(csr, mask)                      \
    do {                                     \
        uint64_t saved_ = csr_read(csr);     \
        csr_write(csr, -1);                  \
        uint64_t ones_ = csr_read(csr);      \
        csr_write(csr, 0);                   \
        uint64_t zeros_ = csr_read(csr);     \
        csr_write(csr, saved_);              \
        show(#csr " ones", ones_ &(mask));   \
        show(#csr " zeros", zeros_ &(mask)); \
    } while (0)
#define CHECK_WARL(csr, name, ones, zeros)          \
    do {                                            \
        uint64_t saved_ = csr_read(csr);            \
        csr_write(csr, -1);                         \
        check(name " ones", csr_read(csr), ones);   \
        csr_write(csr, 0);                          \
        check(name " zeros", csr_read(csr), zeros); \
        csr_write(csr, saved_);                     \
    } while (0)

static void writable_bits(void)
{
    WARL(sscratch, -1ul);
    CHECK_WARL(sepc, "sepc", -2ul, 0);
    CHECK_WARL(mepc, "mepc", -2ul, 0);
    WARL(stval, -1ul);
    WARL(mtval, -1ul);
    WARL(scounteren, 7ul);
    WARL(mcounteren, 7ul);
    WARL(fcsr, -1ul);
    WARL(fflags, -1ul);
    WARL(frm, -1ul);
    WARL(mcountinhibit, 5ul);
    WARL(sstatus, 0x80000000000de122ul);
    CHECK_WARL(mie, "mie", 0xaaa, 0);
    CHECK_WARL(mideleg, "mideleg", 0x222, 0);
    CHECK_WARL(0x10a, "senvcfg", 0xf1, 0);
    CHECK_WARL(0x30a, "menvcfg", 0xe0000000000000f1, 0);
    CHECK_WARL(stvec, "stvec", ~2ul, 0);
    check("misa", csr_read(misa), 0x800000000014112dul);
    csr_write(misa, 0);
    check("misa is read-only", csr_read(misa), 0x800000000014112dul);
    /* CBIE 2 is reserved. */
    csr_write(0x30a, 0);
    csr_write(0x30a, 2 << 4);
    check("menvcfg.CBIE is never 2", (csr_read(0x30a) >> 4 & 3) == 2, 0);
    csr_write(0x30a, 0);
    csr_clear(mstatus, MSTATUS_MPRV);
    uint64_t mstatus = csr_read(mstatus);
    show("UXL SXL", mstatus >> 32 & 15);
    csr_clear(mstatus, MSTATUS_FS);
    show("no SD", csr_read(mstatus) >> 63);
    csr_set(mstatus, MSTATUS_FS);
    show("SD", csr_read(mstatus) >> 63);
}

/* sstatus, sie and sip are windows; sie and sip through mideleg. */
static void windows(void)
{
    csr_write(mideleg, 0);
    csr_write(mie, 0xaaa);
    show("sie without delegation", csr_read(sie));
    csr_write(sie, 0);
    show("mie after sie without delegation", csr_read(mie));
    csr_write(mideleg, 0x22);
    show("sie", csr_read(sie));
    csr_write(sie, 0);
    show("mie after sie", csr_read(mie));
    csr_write(mideleg, 0x222);
    csr_write(mip, 0x222);
    show("mip", csr_read(mip) & 0x222);
    show("sip", csr_read(sip));
    csr_write(sip, 0);
    show("mip after sip", csr_read(mip) & 0x222);
    csr_write(mideleg, 0);
    csr_write(mip, 0x002);
    csr_write(sip, 0);
    show("mip after sip without delegation", csr_read(mip) & 0x222);
    csr_write(mip, 0);
    csr_write(mie, 0);
    csr_set(sstatus, MSTATUS_MXR | MSTATUS_SUM);
    show("mstatus after sstatus", csr_read(mstatus) & (MSTATUS_MXR | MSTATUS_SUM));
    csr_write(sstatus, MSTATUS_FS | MSTATUS_MPRV | MSTATUS_TVM);
    show("mstatus after sstatus 2",
         csr_read(mstatus) & (MSTATUS_MXR | MSTATUS_SUM | MSTATUS_MPRV | MSTATUS_TVM | MSTATUS_FS));
    restore();
}

/* satp: an unsupported mode makes the whole write void. */
static void translation_modes(void)
{
    for (uint64_t mode = 0; mode < 16; mode++) {
        csr_write(satp, 0);
        csr_write(satp, mode << 60 | 0x5aul << 44 | 0x80123);
        uint64_t satp = csr_read(satp);
        csr_write(satp, 0);
        put_text("satp mode ");
        put_hex(mode);
        show("", mode == 0 ? satp >> 60 : satp);
    }
}

static void numbered_modes(void)
{
    scan("reads in M", M, false);
    scan("reads in S", S, false);
    scan("writes in M", M, true);
    scan("writes in S", S, true);
    scan("writes in U", U, true);
    scan("reads in U", U, false);
}

int main(void)
{
    csr_write(mcounteren, -1);
    csr_write(scounteren, -1);
    csr_write(0x30a, MENVCFG_STCE);
    forms();
    numbered_modes();
    writable_bits();
    windows();
    translation_modes();
    return 0;
}
