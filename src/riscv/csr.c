/* SPDX-License-Identifier: Apache-2.0
 * Control and status registers (privileged architecture, "CSRs", and the
 * chapters of each extension). One row per register: plain storage with a mask
 * of writable bits, or a pair of functions where a write does more. */
#include "riscv/hart.h"

#define CSR_NUMBERS 4096
/* mvendorid 0 and a marchid of our own, spelling "doppel". */
#define MARCHID     UINT64_C(0x646f7070656c)
#define MIMPID      UINT64_C(0x000100)

#define SSTATUS_MASK \
    (MSTATUS_SIE | MSTATUS_SPIE | MSTATUS_SPP | MSTATUS_FS | MSTATUS_SUM | MSTATUS_MXR)
#define MSTATUS_MASK                                                                        \
    (SSTATUS_MASK | MSTATUS_MIE | MSTATUS_MPIE | MSTATUS_MPP | MSTATUS_MPRV | MSTATUS_TVM | \
     MSTATUS_TW | MSTATUS_TSR)

/* Who may look, beyond what the number says. */
enum csr_gate {
    GATE_NONE,
    GATE_COUNTER, /* mcounteren, scounteren: bit = number & 31 */
    GATE_FP,      /* mstatus.FS */
    GATE_SATP,    /* mstatus.TVM */
    GATE_STIMECMP,
};

struct csr_row {
    bool exists;
    uint8_t gate;      /* enum csr_gate */
    uint8_t extension; /* enum extension that brings it */
    uint8_t read;      /* enum csr_row_function */
    uint8_t write;     /* enum csr_row_function */
    uint16_t offset;   /* in struct hart, when read is ROW_NULL; 0: reads as zero */
    uint64_t mask;     /* writable bits, when write is ROW_NULL */
};

uint64_t csr_sstatus_mask(void)
{
    return SSTATUS_MASK;
}

/* ---- status ---- */

static uint64_t read_mstatus(struct hart *hart, unsigned number)
{
    (void)number;
    bool dirty = (hart->mstatus & MSTATUS_FS) == MSTATUS_FS;
    return hart->mstatus | MSTATUS_UXL_64 | MSTATUS_SXL_64 | (dirty ? MSTATUS_SD : 0);
}

static uint64_t read_sstatus(struct hart *hart, unsigned number)
{
    return read_mstatus(hart, number) & (SSTATUS_MASK | MSTATUS_UXL_64 | MSTATUS_SD);
}

static enum csr_result set_status(struct hart *hart, uint64_t value, uint64_t mask)
{
    uint64_t old = hart->mstatus;

    if (!extension_set_has(&hart->config.extensions, EXT_F))
        mask &= ~MSTATUS_FS;
    if (bits_extract(value, MSTATUS_MPP_SHIFT, 2) == 2) /* reserved privilege */
        mask &= ~MSTATUS_MPP;
    hart->mstatus = (old & ~mask) | (value & mask);
    if ((old ^ hart->mstatus) & MSTATUS_MXR)
        tlb_flush(hart);
    hart_update_mode(hart);
    return CSR_REFETCH;
}

static enum csr_result write_mstatus(struct hart *hart, unsigned number, uint64_t value)
{
    (void)number;
    return set_status(hart, value, MSTATUS_MASK);
}

static enum csr_result write_sstatus(struct hart *hart, unsigned number, uint64_t value)
{
    (void)number;
    return set_status(hart, value, SSTATUS_MASK);
}

static uint64_t read_misa(struct hart *hart, unsigned number)
{
    static const struct {
        enum extension extension;
        char letter;
    } letters[] = {{EXT_I, 'i'}, {EXT_M, 'm'}, {EXT_A, 'a'},
                   {EXT_F, 'f'}, {EXT_D, 'd'}, {EXT_C, 'c'}};
    uint64_t misa = UINT64_C(2) << 62 | BIT('s' - 'a') | BIT('u' - 'a');

    (void)number;
    for (unsigned i = 0; i < ARRAY_LEN(letters); i++)
        if (extension_set_has(&hart->config.extensions, letters[i].extension))
            misa |= BIT(letters[i].letter - 'a');
    return misa;
}

/* ---- interrupts ---- */

static uint64_t read_mip(struct hart *hart, unsigned number)
{
    (void)number;
    return hart_mip(hart);
}

static uint64_t read_sip(struct hart *hart, unsigned number)
{
    (void)number;
    return hart_mip(hart) & hart->mideleg;
}

static uint64_t read_sie(struct hart *hart, unsigned number)
{
    (void)number;
    return hart->mie & hart->mideleg;
}

static enum csr_result write_mie(struct hart *hart, unsigned number, uint64_t value)
{
    (void)number;
    hart->mie = value & (IRQ_SUPERVISOR | IRQ_MACHINE);
    return CSR_REFETCH;
}

static enum csr_result write_sie(struct hart *hart, unsigned number, uint64_t value)
{
    return write_mie(hart, number, (hart->mie & ~hart->mideleg) | (value & hart->mideleg));
}

/* mip is also set by other harts, so bits are changed one by one, never stored
 * as a whole. */
static enum csr_result modify_mip(struct hart *hart, unsigned number, uint64_t set, uint64_t clear)
{
    uint64_t writable = number == 0x144 ? IRQ_SSIP & hart->mideleg : IRQ_SUPERVISOR;

    if (hart->menvcfg & MENVCFG_STCE)
        writable &= ~IRQ_STIP;
    atomic_fetch_and(&hart->mip, ~(clear & writable));
    atomic_fetch_or(&hart->mip, set & writable);
    return CSR_REFETCH;
}

static enum csr_result write_mip(struct hart *hart, unsigned number, uint64_t value)
{
    return modify_mip(hart, number, value, ~value);
}

/* ---- trap set-up ---- */

static enum csr_result write_mtvec(struct hart *hart, unsigned number, uint64_t value)
{
    (void)number;
    hart->mtvec = value & ~UINT64_C(2); /* modes 2 and 3 are reserved */
    return CSR_OK;
}

static enum csr_result write_stvec(struct hart *hart, unsigned number, uint64_t value)
{
    (void)number;
    hart->stvec = value & ~UINT64_C(2);
    return CSR_OK;
}

static uint64_t read_mepc(struct hart *hart, unsigned number)
{
    (void)number;
    return hart->mepc & ~(uint64_t)hart->ialign;
}

static uint64_t read_sepc(struct hart *hart, unsigned number)
{
    (void)number;
    return hart->sepc & ~(uint64_t)hart->ialign;
}

static enum csr_result write_mepc(struct hart *hart, unsigned number, uint64_t value)
{
    (void)number;
    hart->mepc = value & ~UINT64_C(1);
    return CSR_OK;
}

static enum csr_result write_sepc(struct hart *hart, unsigned number, uint64_t value)
{
    (void)number;
    hart->sepc = value & ~UINT64_C(1);
    return CSR_OK;
}

static enum csr_result write_mideleg(struct hart *hart, unsigned number, uint64_t value)
{
    (void)number;
    hart->mideleg = value & IRQ_SUPERVISOR;
    return CSR_REFETCH;
}

static uint64_t menvcfg_mask(const struct hart *hart)
{
    static const struct {
        enum extension extension;
        uint64_t bits;
    } rows[] = {
        {EXT_Zicbom, ENVCFG_CBIE | ENVCFG_CBCFE},
        {EXT_Zicboz, ENVCFG_CBZE},
        {EXT_Svadu, MENVCFG_ADUE},
        {EXT_Svpbmt, MENVCFG_PBMTE},
        {EXT_Sstc, MENVCFG_STCE},
    };
    uint64_t mask = ENVCFG_FIOM;

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (extension_set_has(&hart->config.extensions, rows[i].extension))
            mask |= rows[i].bits;
    return mask;
}

static uint64_t legal_envcfg(uint64_t old, uint64_t value, uint64_t mask)
{
    if (bits_extract(value, ENVCFG_CBIE_SHIFT, 2) == 2) /* reserved */
        mask &= ~ENVCFG_CBIE;
    return (old & ~mask) | (value & mask);
}

static enum csr_result write_menvcfg(struct hart *hart, unsigned number, uint64_t value)
{
    (void)number;
    hart->menvcfg = legal_envcfg(hart->menvcfg, value, menvcfg_mask(hart));
    hart_mip(hart);
    tlb_flush(hart);
    return CSR_REFETCH;
}

static enum csr_result write_senvcfg(struct hart *hart, unsigned number, uint64_t value)
{
    uint64_t mask = menvcfg_mask(hart) & (ENVCFG_FIOM | ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE);

    (void)number;
    hart->senvcfg = legal_envcfg(hart->senvcfg, value, mask);
    return CSR_OK;
}

/* ---- translation and protection ---- */

static enum csr_result write_satp(struct hart *hart, unsigned number, uint64_t value)
{
    uint64_t mode = value >> SATP_MODE_SHIFT;

    (void)number;
    /* A write with an unsupported mode has no effect at all. */
    if (mode != SATP_BARE && (mode < SATP_SV39 || mode > hart->config.widest_satp))
        return CSR_OK;
    tlb_switch(hart, value);
    return CSR_REFETCH;
}

static uint64_t read_pmpcfg(struct hart *hart, unsigned number)
{
    unsigned first = (number - 0x3a0) * 4;
    uint64_t value = 0;

    for (unsigned i = 0; i < 8 && first + i < HART_PMP_ENTRIES; i++)
        value |= (uint64_t)hart->pmpcfg[first + i] << (8 * i);
    return value;
}

static enum csr_result write_pmpcfg(struct hart *hart, unsigned number, uint64_t value)
{
    unsigned first = (number - 0x3a0) * 4;

    for (unsigned i = 0; i < 8 && first + i < HART_PMP_ENTRIES; i++) {
        uint8_t cfg = (value >> (8 * i)) & 0x9f;
        if (hart->pmpcfg[first + i] & 0x80)
            continue;
        if ((cfg & 3) == 2) /* W without R is reserved */
            cfg = (uint8_t)((cfg & ~3u) | (hart->pmpcfg[first + i] & 3));
        hart->pmpcfg[first + i] = cfg;
    }
    pmp_update(hart);
    return CSR_REFETCH;
}

static uint64_t read_pmpaddr(struct hart *hart, unsigned number)
{
    return hart->pmpaddr[number - 0x3b0];
}

static enum csr_result write_pmpaddr(struct hart *hart, unsigned number, uint64_t value)
{
    unsigned i = number - 0x3b0;
    bool next_locks = i + 1 < HART_PMP_ENTRIES && (hart->pmpcfg[i + 1] & 0x80) &&
                      (hart->pmpcfg[i + 1] & 0x18) == 0x08; /* TOR uses this one as its bottom */

    if ((hart->pmpcfg[i] & 0x80) || next_locks)
        return CSR_OK;
    hart->pmpaddr[i] = value & bits_mask(54);
    pmp_update(hart);
    return CSR_REFETCH;
}

/* ---- counters ---- */

static uint64_t counter_value(const struct hart *hart, uint64_t offset, uint64_t inhibit)
{
    return hart->mcountinhibit & inhibit ? offset : offset + hart->icount;
}

static uint64_t read_minstret(struct hart *hart, unsigned number)
{
    (void)number;
    return counter_value(hart, hart->minstret_offset, COUNTER_IR);
}

static uint64_t read_mcycle(struct hart *hart, unsigned number)
{
    (void)number;
    return counter_value(hart, hart->mcycle_offset, COUNTER_CY);
}

/* The next instruction must read what was written, so the writing instruction,
 * which is still to retire, is not counted. */
static uint64_t counter_offset(const struct hart *hart, uint64_t value, uint64_t inhibit)
{
    return hart->mcountinhibit & inhibit ? value : value - (hart->icount + 1);
}

static enum csr_result write_minstret(struct hart *hart, unsigned number, uint64_t value)
{
    (void)number;
    hart->minstret_offset = counter_offset(hart, value, COUNTER_IR);
    return CSR_OK;
}

static enum csr_result write_mcycle(struct hart *hart, unsigned number, uint64_t value)
{
    (void)number;
    hart->mcycle_offset = counter_offset(hart, value, COUNTER_CY);
    return CSR_OK;
}

/* Whether the writing instruction counts is decided by the state before it. */
static enum csr_result write_mcountinhibit(struct hart *hart, unsigned number, uint64_t value)
{
    uint64_t changed = (hart->mcountinhibit ^ value) & (COUNTER_CY | COUNTER_IR);
    uint64_t now = hart->icount + 1;

    (void)number;
    if (changed & COUNTER_IR)
        hart->minstret_offset += value & COUNTER_IR ? now : 0 - now;
    if (changed & COUNTER_CY)
        hart->mcycle_offset += value & COUNTER_CY ? now : 0 - now;
    hart->mcountinhibit = value & (COUNTER_CY | COUNTER_IR);
    return CSR_OK;
}

static uint64_t read_time(struct hart *hart, unsigned number)
{
    (void)number;
    return hart->config.ports.read_time(hart->config.ports.owner);
}

static enum csr_result write_stimecmp(struct hart *hart, unsigned number, uint64_t value)
{
    (void)number;
    hart->stimecmp = value;
    hart_mip(hart);
    atomic_store(&hart->limit, 0); /* the run may have to end earlier now */
    return CSR_REFETCH;
}

/* ---- floating point ---- */

static uint64_t read_fcsr(struct hart *hart, unsigned number)
{
    switch (number) {
    case 1:
        return hart->fflags;
    case 2:
        return hart->frm;
    default:
        return hart->frm << FCSR_RM_SHIFT | hart->fflags;
    }
}

static enum csr_result write_fcsr(struct hart *hart, unsigned number, uint64_t value)
{
    if (number != 2)
        hart->fflags = value & FCSR_FLAGS_MASK;
    if (number != 1)
        hart->frm = (number == 2 ? value : value >> FCSR_RM_SHIFT) & 7;
    hart->mstatus |= MSTATUS_FS;
    return CSR_OK;
}

/* ---- constants ---- */

static uint64_t read_id(struct hart *hart, unsigned number)
{
    switch (number) {
    case 0xf12:
        return MARCHID;
    case 0xf13:
        return MIMPID;
    case 0xf14:
        return hart->config.id;
    case 0x7a4:
        return 1; /* tinfo: no trigger here */
    default:
        return 0; /* mvendorid, mconfigptr */
    }
}

/* ---- the table ---- */

/* The functions of rows, by number. The table of all CSRs holds numbers, because pointers
 * in it would be relocated, page by page, at every start. */
/* clang-format off */
#define READERS(X) \
    X(read_fcsr) X(read_mcycle) X(read_time) X(read_minstret) X(read_sstatus) \
    X(read_sie) X(read_sepc) X(read_sip) X(read_id) X(read_mstatus) X(read_misa) \
    X(read_mepc) X(read_mip) X(read_pmpcfg) X(read_pmpaddr)
#define WRITERS(X) \
    X(write_fcsr) X(write_sstatus) X(write_sie) X(write_stvec) X(write_senvcfg) \
    X(write_sepc) X(write_mip) X(write_stimecmp) X(write_satp) X(write_mstatus) \
    X(write_mideleg) X(write_mie) X(write_mtvec) X(write_menvcfg) X(write_mcountinhibit) \
    X(write_mepc) X(write_pmpcfg) X(write_pmpaddr) X(write_mcycle) X(write_minstret)
/* clang-format on */

enum csr_row_function {
    ROW_NULL,
#define X(function) ROW_##function,
    READERS(X) WRITERS(X)
#undef X
};

static uint64_t (*const readers[])(struct hart *hart, unsigned number) = {
#define X(function) [ROW_##function] = (function),
    READERS(X)
#undef X
};

static enum csr_result (*const writers[])(struct hart *hart, unsigned number, uint64_t value) = {
#define X(function) [ROW_##function] = (function),
    WRITERS(X)
#undef X
};

#define PLAIN(member, bits)                                                     \
    {                                                                           \
        .exists = true, .offset = offsetof(struct hart, member), .mask = (bits) \
    }
#define FUNCTIONS(reader, writer)                                   \
    {                                                               \
        .exists = true, .read = ROW_##reader, .write = ROW_##writer \
    }
#define GATED(kind, ext, reader, writer)                                          \
    {                                                                             \
        .exists = true, .gate = (kind), .extension = (ext), .read = ROW_##reader, \
        .write = ROW_##writer                                                     \
    }
#define ZERO           \
    {                  \
        .exists = true \
    }
#define COUNTER_ZERO                                                 \
    {                                                                \
        .exists = true, .gate = GATE_COUNTER, .extension = EXT_Zihpm \
    }

/* The counters beyond instret exist and stay zero, as Zihpm allows. */
static const struct csr_row rows[CSR_NUMBERS] = {
    [0x001 ... 0x003] = GATED(GATE_FP, EXT_F, read_fcsr, write_fcsr),
    [0xc00] = GATED(GATE_COUNTER, EXT_Zicntr, read_mcycle, NULL),
    [0xc01] = GATED(GATE_COUNTER, EXT_Zicntr, read_time, NULL),
    [0xc02] = GATED(GATE_COUNTER, EXT_Zicntr, read_minstret, NULL),
    [0xc03 ... 0xc1f] = COUNTER_ZERO,

    [0x100] = FUNCTIONS(read_sstatus, write_sstatus),
    [0x104] = FUNCTIONS(read_sie, write_sie),
    [0x105] = {.exists = true, .offset = offsetof(struct hart, stvec), .write = ROW_write_stvec},
    [0x106] = PLAIN(scounteren, 0xffffffff),
    [0x10a] = {.exists = true,
               .offset = offsetof(struct hart, senvcfg),
               .write = ROW_write_senvcfg},
    [0x140] = PLAIN(sscratch, UINT64_MAX),
    [0x141] = FUNCTIONS(read_sepc, write_sepc),
    [0x142] = PLAIN(scause, UINT64_MAX),
    [0x143] = PLAIN(stval, UINT64_MAX),
    [0x144] = FUNCTIONS(read_sip, write_mip),
    [0x14d] = {.exists = true,
               .gate = GATE_STIMECMP,
               .extension = EXT_Sstc,
               .offset = offsetof(struct hart, stimecmp),
               .write = ROW_write_stimecmp},
    [0x180] = {.exists = true,
               .gate = GATE_SATP,
               .offset = offsetof(struct hart, satp),
               .write = ROW_write_satp},

    [0xf11 ... 0xf15] = FUNCTIONS(read_id, NULL),
    [0x300] = FUNCTIONS(read_mstatus, write_mstatus),
    [0x301] = FUNCTIONS(read_misa, NULL),
    [0x302] = PLAIN(medeleg, CAUSE_DELEGABLE),
    [0x303] = {.exists = true,
               .offset = offsetof(struct hart, mideleg),
               .write = ROW_write_mideleg},
    [0x304] = {.exists = true, .offset = offsetof(struct hart, mie), .write = ROW_write_mie},
    [0x305] = {.exists = true, .offset = offsetof(struct hart, mtvec), .write = ROW_write_mtvec},
    [0x306] = PLAIN(mcounteren, 0xffffffff),
    [0x30a] = {.exists = true,
               .offset = offsetof(struct hart, menvcfg),
               .write = ROW_write_menvcfg},
    [0x320] = {.exists = true,
               .offset = offsetof(struct hart, mcountinhibit),
               .write = ROW_write_mcountinhibit},
    [0x323 ... 0x33f] = ZERO,
    [0x340] = PLAIN(mscratch, UINT64_MAX),
    [0x341] = FUNCTIONS(read_mepc, write_mepc),
    [0x342] = PLAIN(mcause, UINT64_MAX),
    [0x343] = PLAIN(mtval, UINT64_MAX),
    [0x344] = FUNCTIONS(read_mip, write_mip),
    [0x3a0] = FUNCTIONS(read_pmpcfg, write_pmpcfg),
    [0x3a2] = FUNCTIONS(read_pmpcfg, write_pmpcfg),
    [0x3b0 ... 0x3bf] = FUNCTIONS(read_pmpaddr, write_pmpaddr),
    [0xb00] = FUNCTIONS(read_mcycle, write_mcycle),
    [0xb02] = FUNCTIONS(read_minstret, write_minstret),
    [0xb03 ... 0xb1f] = ZERO,

    /* tselect, tdata1-3, tinfo: there is no trigger (tdata1.type 0) */
    [0x7a0 ... 0x7a3] = ZERO,
    [0x7a4] = FUNCTIONS(read_id, NULL),
};

static bool counter_is_enabled(const struct hart *hart, unsigned number)
{
    uint64_t bit = BIT(number & 31);

    if (hart->privilege < PRIV_M && !(hart->mcounteren & bit))
        return false;
    return hart->privilege > PRIV_U || (hart->scounteren & bit);
}

static bool passes_gate(const struct hart *hart, const struct csr_row *row, unsigned number)
{
    switch ((enum csr_gate)row->gate) {
    case GATE_NONE:
        return true;
    case GATE_COUNTER:
        return counter_is_enabled(hart, number);
    case GATE_FP:
        return hart->mstatus & MSTATUS_FS;
    case GATE_SATP:
        return hart->privilege == PRIV_M || !(hart->mstatus & MSTATUS_TVM);
    case GATE_STIMECMP:
        return hart->privilege == PRIV_M ||
               ((hart->mcounteren & COUNTER_TM) && (hart->menvcfg & MENVCFG_STCE));
    }
    return false;
}

static const struct csr_row *find(const struct hart *hart, unsigned number)
{
    const struct csr_row *row = &rows[number % CSR_NUMBERS];

    if (!row->exists)
        return NULL;
    if (row->extension && !extension_set_has(&hart->config.extensions, row->extension))
        return NULL;
    return row;
}

static bool may_access(const struct hart *hart, const struct csr_row *row, unsigned number,
                       bool write)
{
    if (bits_extract(number, 8, 2) > hart->privilege)
        return false;
    if (write && bits_extract(number, 10, 2) == 3)
        return false;
    return passes_gate(hart, row, number);
}

static uint64_t read_row(struct hart *hart, const struct csr_row *row, unsigned number)
{
    if (row->read)
        return readers[row->read](hart, number);
    if (row->offset)
        return *(const uint64_t *)(const void *)((const char *)hart + row->offset);
    return 0;
}

static enum csr_result write_row(struct hart *hart, const struct csr_row *row, unsigned number,
                                 uint64_t value)
{
    if (row->write)
        return writers[row->write](hart, number, value);
    if (row->offset && row->mask) {
        uint64_t *storage = (uint64_t *)(void *)((char *)hart + row->offset);
        *storage = (*storage & ~row->mask) | (value & row->mask);
    }
    return CSR_OK;
}

enum csr_result csr_access(struct hart *hart, unsigned number, bool write, uint64_t value,
                           uint64_t *old)
{
    const struct csr_row *row = find(hart, number);

    if (!row || !may_access(hart, row, number, write))
        return CSR_ILLEGAL;
    *old = read_row(hart, row, number);
    return write ? write_row(hart, row, number, value) : CSR_OK;
}

enum csr_result csr_modify(struct hart *hart, unsigned number, uint64_t set, uint64_t clear,
                           uint64_t *old)
{
    const struct csr_row *row = find(hart, number);

    if (!row || !may_access(hart, row, number, true))
        return CSR_ILLEGAL;
    *old = read_row(hart, row, number);
    if (row->write == ROW_write_mip)
        return modify_mip(hart, number, set, clear);
    return write_row(hart, row, number, (*old & ~clear) | set);
}

bool csr_peek(struct hart *hart, unsigned number, uint64_t *value)
{
    const struct csr_row *row = find(hart, number);

    if (!row)
        return false;
    *value = read_row(hart, row, number);
    return true;
}

bool csr_poke(struct hart *hart, unsigned number, uint64_t value)
{
    const struct csr_row *row = find(hart, number);

    if (!row)
        return false;
    write_row(hart, row, number, value);
    return true;
}
