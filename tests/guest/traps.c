/* SPDX-License-Identifier: Apache-2.0
 * Every exception cause from every mode, its delegation and what it leaves in the
 * trap CSRs (privileged architecture, "Machine Cause Register", "Machine Trap
 * Delegation Registers", "Trap-Return Instructions", "Virtualization Support"). */
#include "guest.h"

#define STATUS_STACK (MSTATUS_MPP | BIT(8) | BIT(7) | BIT(5) | BIT(3) | BIT(1))
#define ILLEGAL_WORD 0xffffffff /* longer than 32 bits: reserved */
#define MRET         0x30200073
#define SRET         0x10200073
#define WFI          0x10500073
#define SFENCE       0x12000073
#define READ_SATP    0x18002573
#define WRITE_SATP   0x18051073
#define RET          0x8067

static const char *const mode_names[] = {"U", "S", "", "M"};
static const enum mode modes[] = {U, S, M};

static struct {
    const char *name;
    const void *probe;
    uint64_t a;
    uint64_t cause; /* where QEMU 7.2 calls an AMO a load, or ignores alignment */
} const causes[] = {
    {"load nothing", probe_ld, NOTHING},
    {"load byte nothing", probe_lb, NOTHING + 1},
    {"store nothing", probe_sd, NOTHING + 8},
    {"store byte nothing", probe_sb, NOTHING + 3},
    {"amo nothing", probe_amoadd_w, NOTHING, 7},
    {"amo misaligned w", probe_amoadd_w, RAM + 0x100000 + 2, 6},
    {"amo misaligned d", probe_amoadd_d, RAM + 0x100000 + 4, 6},
    {"sc misaligned d", probe_sc_d, RAM + 0x100000 + 4, 6},
    {"lr misaligned w", probe_lr_w, RAM + 0x100000 + 1},
    {"lr misaligned d", probe_lr_d, RAM + 0x100000 + 4},
    {"jump nothing", probe_jump, NOTHING},
    {"jump odd nothing", probe_jump, NOTHING + 3},
    {"jump beyond physical", probe_jump, BIT(55)},
    {"ecall", probe_ecall, 0},
};

static void put_title(enum mode mode, const char *how)
{
    put_text(mode_names[mode]);
    put_text(how);
}

/* QEMU leaves 0 in tval for ebreak. */
static void breakpoints(enum mode mode, bool delegated)
{
    uint64_t end = outcome(mode, probe_ebreak, 0, 0);
    bool by_s = delegated && mode != M;

    check("ebreak cause", end, by_s ? BY_S(3) : BY_M(3));
    check("ebreak epc", by_s ? area()->s.epc : area()->m.epc, (uint64_t)probe_ebreak);
    check("ebreak tval", last_tval(), (uint64_t)probe_ebreak);
}

static void all_causes(uint64_t medeleg, const char *how)
{
    for (unsigned m = 0; m < ARRAY_LEN(modes); m++) {
        csr_write(medeleg, medeleg);
        for (unsigned i = 0; i < ARRAY_LEN(causes); i++) {
            const struct hart_area *hart = area();
            uint64_t cause = causes[i].cause;
            if (cause) {
                bool by_s = modes[m] != M && (medeleg >> cause & 1);
                uint64_t end = outcome(modes[m], causes[i].probe, causes[i].a, 0);
                check(causes[i].name, end, by_s ? BY_S(cause) : BY_M(cause));
                check("its tval", last_tval(), causes[i].a);
                continue;
            }
            put_title(modes[m], how);
            show_call(causes[i].name, modes[m], causes[i].probe, causes[i].a, 0);
            if (hart->s_taken)
                show("  sstatus stack", hart->s.status & (BIT(8) | BIT(5) | BIT(1)));
            else
                show("  mstatus stack", hart->m.status & STATUS_STACK);
        }
        uint32_t word = ILLEGAL_WORD;
        const void *code = code_of(&word, 1);
        put_title(modes[m], how);
        show_call("illegal", modes[m], code, 0, 0);
        word = 0x00005033 | 0x7f << 25; /* no such funct7 */
        code = code_of(&word, 1);
        put_title(modes[m], how);
        show_call("illegal 2", modes[m], code, 0, 0);
        word = 0; /* the compressed form of it: two bytes */
        code = code_of(&word, 1);
        put_title(modes[m], how);
        show_call("illegal 3", modes[m], code, 0, 0);
        breakpoints(modes[m], medeleg & BIT(3));
    }
}

/* One bit of medeleg moves one cause. */
static void single_delegation(void)
{
    for (unsigned bit = 0; bit < 16; bit++) {
        if (bit == 9 || bit == 11) /* leaving would loop; cannot be delegated */
            continue;
        csr_write(medeleg, BIT(bit));
        uint64_t ends = 0;
        for (unsigned i = 0; i < ARRAY_LEN(causes); i++)
            if (!causes[i].cause)
                ends = ends << 1 | (outcome(U, causes[i].probe, causes[i].a, 0) >= BY_S(0));
        put_text("delegated by bit ");
        put_hex(bit);
        show(":", ends);
    }
    csr_write(medeleg, -1);
    check("medeleg mask", csr_read(medeleg) & 0xffff & ~BIT(10), 0xb3ff);
    csr_write(medeleg, BIT(9));
    show("ecall from S to S", outcome(S, probe_ecall, 0, 0));
    csr_write(medeleg, 0);
}

static void privileged_instructions(void)
{
    static const struct {
        const char *name;
        uint32_t word;
    } rows[] = {{"mret", MRET},
                {"sret", SRET},
                {"sfence", SFENCE},
                {"read satp", READ_SATP},
                {"write satp", WRITE_SATP},
                {"wfi", WFI}};
    static const uint64_t traps[] = {0, MSTATUS_TVM, MSTATUS_TW, MSTATUS_TSR};

    for (unsigned t = 0; t < ARRAY_LEN(traps); t++) {
        csr_set(mstatus, traps[t]);
        csr_write(mie, BIT(3)); /* wfi must end: a pending, not enabled MSIP */
        store32(CLINT, 1);
        for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
            put_text("trap bit ");
            put_hex(t);
            put_text(" ");
            /* The return instructions would go anywhere: only that they trap. */
            if (i >= 2 || t == 3) {
                csr_write(sepc, RET);
                show(rows[i].name, i == 0 ? 0 : outcome_of_word(S, rows[i].word));
            } else {
                show(rows[i].name, outcome_of_word(U, rows[i].word));
            }
            csr_write(satp, 0);
        }
        csr_clear(mstatus, traps[t]);
        store32(CLINT, 0);
        csr_write(mie, 0);
    }
    check("mret in S", outcome_of_word(S, MRET), BY_M(2));
    check("mret in U", outcome_of_word(U, MRET), BY_M(2));
    check("sret in U", outcome_of_word(U, SRET), BY_M(2));
    check("sfence in U", outcome_of_word(U, SFENCE), BY_M(2));
    check("satp in U", outcome_of_word(U, READ_SATP), BY_M(2));
    check("wfi in U", outcome_of_word(U, WFI), BY_M(2));
    csr_set(mstatus, MSTATUS_TVM | MSTATUS_TSR | MSTATUS_TW);
    check("TVM has no force in M", outcome_of_word(M, READ_SATP), RETURNED);
    check("TVM sfence in M", outcome_of_word(M, SFENCE), RETURNED);
    restore();
}

/* sret and mret move the interrupt-enable and privilege stacks. */
static void returns(void)
{
    static const uint32_t sret_code[] = {
        0x14151073, /* csrw sepc, a0 */
        0x1005a073, /* csrs sstatus, a1 */
        SRET,
    };

    for (unsigned spp = 0; spp < 2; spp++) {
        for (unsigned spie = 0; spie < 2; spie++) {
            csr_clear(mstatus, BIT(8) | BIT(5) | BIT(1));
            call_in(S, code_of(sret_code, 3), (uint64_t)exit_call, spp << 8 | spie << 5);
            put_text("sret spp ");
            put_hex(spp);
            put_text(" spie ");
            put_hex(spie);
            show(" cause", area()->m.cause);
            show("  stack", area()->m.status & STATUS_STACK);
        }
    }
    for (unsigned mpie = 0; mpie < 2; mpie++) {
        csr_write(mie, 0);
        csr_clear(mstatus, BIT(7));
        csr_set(mstatus, (uint64_t)mpie << 7);
        call_in(M, probe_ecall, 0, 0);
        show("mret stack", area()->m.status & STATUS_STACK);
    }
    /* MPRV ends when the new mode is below M. */
    csr_set(mstatus, MSTATUS_MPRV);
    call_in(S, probe_nothing, 0, 0);
    check("mret to S clears MPRV", area()->m.status & MSTATUS_MPRV, 0);
    static const uint32_t sret_in_m[] = {
        0x14151073, /* csrw sepc, a0 */
        0x3005a073, /* csrs mstatus, a1 */
        SRET,
    };
    call_in(M, code_of(sret_in_m, 3), (uint64_t)exit_call, BIT(8) | MSTATUS_MPRV);
    check("sret in M clears MPRV", area()->m.status & MSTATUS_MPRV, 0);
    check("sret in M went to S", area()->m.cause, 9);
    restore();
}

/* MPP is WARL: it holds U, S and M, never 2. */
static void legal_privileges(void)
{
    csr_clear(mstatus, MSTATUS_MPP);
    csr_set(mstatus, 2ul << 11);
    check("MPP is never 2", (csr_read(mstatus) & MSTATUS_MPP) == 2ul << 11, 0);
    csr_set(mstatus, MSTATUS_MPP);
    show("MPP M", csr_read(mstatus) & MSTATUS_MPP);
    csr_clear(mstatus, MSTATUS_MPP);
    show("MPP U", csr_read(mstatus) & MSTATUS_MPP);
    csr_set(mstatus, 1ul << 11);
    show("MPP S", csr_read(mstatus) & MSTATUS_MPP);
}

static void no_floating_point(void)
{
    static const struct {
        const char *name;
        uint32_t word;
    } rows[] = {
        {"fadd.d", 0x02b57553},      {"fmv.x.d", 0xe2050553},   {"fmv.d.x", 0xf2050553},
        {"fclass.d", 0xe2051553},    {"csrr fcsr", 0x00302573}, {"csrr frm", 0x00202573},
        {"csrr fflags", 0x00102573}, {"fsgnj.d", 0x22b50553},   {"feq.s", 0xa0b52553},
        {"fld", 0x0005b507},         {"c.fld", 0x00012188}, /* c.fld fa0,0(a1); c.nop-like */
    };

    csr_clear(mstatus, MSTATUS_FS);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        show(rows[i].name, outcome_of_word(S, rows[i].word));
    csr_set(mstatus, MSTATUS_FS);
    csr_clear(mstatus, 2ul << 13); /* FS = initial */
    call_in(S, probe_fmv, 0, 0);
    show("FS after a move out", area()->m.status & (BIT(63) | MSTATUS_FS));
    show("  fmv.d.x", outcome_of_word(S, 0xf2050553));
    show("FS after a move in", area()->m.status & (BIT(63) | MSTATUS_FS));
    /* Reserved rounding modes. */
    show("rm 5", outcome_of_word(S, 0x02b55553));
    show("rm 6", outcome_of_word(S, 0x02b56553));
    for (uint64_t frm = 0; frm < 8; frm++) {
        csr_write(frm, frm);
        show("dynamic rm", outcome_of_word(S, 0x02b57553));
        /* An exact conversion has a rounding mode, too. */
        check("fcvt.d.w rm", outcome_of_word(S, 0xd2057553), frm > 4 ? BY_M(2) : RETURNED);
    }
    csr_write(fcsr, 0);
}

int main(void)
{
    all_causes(0, " ");
    all_causes(0xb1ff & ~BIT(8), " delegated ");
    restore();
    single_delegation();
    privileged_instructions();
    returns();
    legal_privileges();
    no_floating_point();
    return 0;
}
