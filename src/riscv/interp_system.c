/* SPDX-License-Identifier: Apache-2.0
 * Instructions that trap, touch CSRs or translation, wait, or act on the caches:
 * Zicsr, Zifencei, Zawrs, Zicbom, Zicboz, Svinval and the privileged ones. */
#include "base/endian.h"
#include "mem/space.h"
#include "riscv/interp_internal.h"

static uint32_t raw_of(const struct hart *hart, const struct code_op *op)
{
    const struct code_cache *code = hart->code;

    if (op == &code->single[0])
        return code->single_raw;
    const struct code_page *page = code_page_of(op);
    uint32_t low = load_le16(page->copy + op->offset);
    return (low & 3) == 3 ? load_le32(page->copy + op->offset) : low;
}

const struct code_op *interp_illegal(struct hart *hart, const struct code_op *op, uint64_t icount)
{
    SYNC();
    hart_exception(hart, CAUSE_ILLEGAL_INSTRUCTION, raw_of(hart, op));
    return NULL;
}

HANDLER(illegal)
{
    TAIL interp_illegal(hart, op, icount);
}

/* ---- Zicsr ---- */

/* The old value goes to hart->slow_value: a handler has no locals to point at. */
static NOINLINE enum csr_result csr_write(struct hart *hart, unsigned number, uint64_t value)
{
    return csr_access(hart, number, true, value, &hart->slow_value);
}

/* rs1 = x0 (or a zero immediate) only reads. */
static NOINLINE enum csr_result csr_change(struct hart *hart, const struct code_op *op,
                                           uint64_t set, uint64_t clear)
{
    unsigned number = (unsigned)op->imm;

    if (op->rs1 == 0)
        return csr_access(hart, number, false, 0, &hart->slow_value);
    return csr_modify(hart, number, set, clear, &hart->slow_value);
}

#define CSR_OP(id, access)                 \
    HANDLER(id)                            \
    {                                      \
        SYNC();                            \
        enum csr_result result = (access); \
        if (result == CSR_ILLEGAL)         \
            ILLEGAL();                     \
        X(rd) = hart->slow_value;          \
        if (result == CSR_REFETCH)         \
            LEAVE(PC + op->length);        \
        NEXT();                            \
    }

/* clang-format off */
CSR_OP(csrrw,  csr_write(hart, (unsigned)op->imm, X(rs1)))
CSR_OP(csrrwi, csr_write(hart, (unsigned)op->imm, op->rs1))
CSR_OP(csrrs,  csr_change(hart, op, X(rs1), 0))
CSR_OP(csrrsi, csr_change(hart, op, op->rs1, 0))
CSR_OP(csrrc,  csr_change(hart, op, 0, X(rs1)))
CSR_OP(csrrci, csr_change(hart, op, 0, op->rs1))
/* clang-format on */

/* ---- environment calls and returns ---- */

HANDLER(ecall)
{
    static const enum cause causes[] = {
        [PRIV_U] = CAUSE_ECALL_U, [PRIV_S] = CAUSE_ECALL_S, [PRIV_M] = CAUSE_ECALL_M};

    SYNC();
    if (hart->config.sbi_in_host && hart->privilege == PRIV_S) {
        hart->leave = true;
        hart->exit_reason = HART_EXIT_SBI;
        return NULL;
    }
    hart_exception(hart, causes[hart->privilege], 0);
    return NULL;
}

HANDLER(ebreak)
{
    SYNC();
    if (hart->debug.stop_on_ebreak) {
        hart->debug.stop = HART_STOP_BREAKPOINT;
        hart->leave = true;
        hart->exit_reason = HART_EXIT_DEBUG;
        return NULL;
    }
    hart_exception(hart, CAUSE_BREAKPOINT, hart->pc);
    return NULL;
}

HANDLER(mret)
{
    if (hart->privilege < PRIV_M)
        ILLEGAL();
    SYNC();
    hart_mret(hart);
    hart->icount++;
    return NULL;
}

HANDLER(sret)
{
    if (hart->privilege < PRIV_S || (hart->privilege == PRIV_S && (hart->mstatus & MSTATUS_TSR)))
        ILLEGAL();
    SYNC();
    hart_sret(hart);
    hart->icount++;
    return NULL;
}

/* ---- waiting ---- */

static const struct code_op *leave_for(struct hart *hart, const struct code_op *op, uint64_t icount,
                                       enum hart_exit reason)
{
    hart->leave = true;
    hart->exit_reason = reason;
    LEAVE(PC + op->length);
}

HANDLER(wfi)
{
    /* U-mode would wait for interrupts it cannot see: never bounded. */
    if (hart->privilege == PRIV_U || (hart->privilege == PRIV_S && (hart->mstatus & MSTATUS_TW)))
        ILLEGAL();
    return leave_for(hart, op, icount, HART_EXIT_WFI);
}

/* These may end at any time, and do: whoever spins should let others run. */
HANDLER(wrs_nto)
{
    if (hart->privilege < PRIV_M && (hart->mstatus & MSTATUS_TW))
        ILLEGAL();
    return leave_for(hart, op, icount, HART_EXIT_YIELD);
}

HANDLER(wrs_sto)
{
    return leave_for(hart, op, icount, HART_EXIT_YIELD);
}

HANDLER(pause)
{
    return leave_for(hart, op, icount, HART_EXIT_YIELD);
}

/* ---- fences of code and translation ---- */

HANDLER(fence_i)
{
    tlb_recheck_code(hart);
    LEAVE(PC + op->length);
}

static void fence(struct hart *hart, const struct code_op *op)
{
    unsigned asid = (unsigned)bits_extract(X(rs2), 0, SATP_ASID_BITS);

    if (op->rs1 && op->rs2)
        tlb_flush_page_asid(hart, X(rs1), asid);
    else if (op->rs1)
        tlb_flush_page(hart, X(rs1));
    else if (op->rs2)
        tlb_flush_asid(hart, asid);
    else
        tlb_flush(hart);
    /* A kernel without ASIDs may not know fence.i either: see tlb_switch. */
    if (!op->rs1 && !op->rs2 && bits_extract(hart->satp, SATP_ASID_SHIFT, SATP_ASID_BITS) == 0)
        hart->code_generation++;
}

static const struct code_op *fence_translation(struct hart *hart, const struct code_op *op,
                                               uint64_t icount)
{
    if (hart->privilege == PRIV_U || (hart->privilege == PRIV_S && (hart->mstatus & MSTATUS_TVM)))
        ILLEGAL();
    SYNC();
    fence(hart, op);
    LEAVE(PC + op->length);
}

HANDLER(sfence_vma)
{
    TAIL fence_translation(hart, op, icount);
}

HANDLER(sinval_vma)
{
    TAIL fence_translation(hart, op, icount);
}

/* sinval.vma has done everything already. */
HANDLER(sfence_w_inval)
{
    if (hart->privilege == PRIV_U)
        ILLEGAL();
    NEXT();
}

HANDLER(sfence_inval_ir)
{
    if (hart->privilege == PRIV_U)
        ILLEGAL();
    NEXT();
}

/* ---- cache blocks ---- */

/* Whether xenvcfg lets the current mode execute what `bits` controls. */
static bool envcfg_allows(const struct hart *hart, uint64_t bits)
{
    if (hart->privilege < PRIV_M && !(hart->menvcfg & bits))
        return false;
    return hart->privilege > PRIV_U || (hart->senvcfg & bits);
}

static bool is_there(const struct hart *hart, gpa_t pa)
{
    return space_ram(hart->config.space, pa, CBO_BLOCK_SIZE) ||
           space_find_mmio(hart->config.space, pa);
}

/* Memory is coherent, so cleaning, flushing and invalidating do nothing but
 * check the access: any permission will do, and the fault is a store's. False:
 * the exception was taken. */
static bool check_block(struct hart *hart, uint64_t address)
{
    gva_t va = address & ~(uint64_t)(CBO_BLOCK_SIZE - 1);
    struct mmu_result result;

    if (mmu_translate(hart, va, CBO_BLOCK_SIZE, ACCESS_LOAD, hart->data_index, &result) ||
        mmu_translate(hart, va, CBO_BLOCK_SIZE, ACCESS_STORE, hart->data_index, &result)) {
        if (is_there(hart, result.pa))
            return true;
        result.cause = CAUSE_STORE_ACCESS;
    }
    hart_exception(hart, result.cause, address);
    return false;
}

#define MANAGE_BLOCK_OP(id, permission)       \
    HANDLER(id)                               \
    {                                         \
        if (!envcfg_allows(hart, permission)) \
            ILLEGAL();                        \
        SYNC();                               \
        if (!check_block(hart, X(rs1)))       \
            return NULL;                      \
        NEXT();                               \
    }

/* clang-format off */
MANAGE_BLOCK_OP(cbo_clean, ENVCFG_CBCFE)
MANAGE_BLOCK_OP(cbo_flush, ENVCFG_CBCFE)
MANAGE_BLOCK_OP(cbo_inval, ENVCFG_CBIE)
/* clang-format on */

static bool zero_block(struct hart *hart, gva_t va)
{
    for (unsigned i = 0; i < CBO_BLOCK_SIZE; i += 8)
        if (!hart_store(hart, va + i, 8, 0))
            return false;
    return true;
}

HANDLER(cbo_zero)
{
    gva_t va = X(rs1) & ~(uint64_t)(CBO_BLOCK_SIZE - 1);

    if (!envcfg_allows(hart, ENVCFG_CBZE))
        ILLEGAL();
    SYNC();
    if (!zero_block(hart, va))
        return NULL;
    NEXT();
}
