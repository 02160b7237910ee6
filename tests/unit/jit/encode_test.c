/* SPDX-License-Identifier: Apache-2.0
 * Every row of the instruction table, in every form that its kind has, decoded again
 * by Zydis: mnemonic, operands, sizes, and whether the encoding is as short as it can
 * be. What is expected comes from what was asked for, never from the bytes. */
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "harness/harness.h"
#include "jit/emit.h"

enum operand_type { NOTHING, GENERAL, XMM, MEMORY, CONSTANT };

struct operand {
    enum operand_type type;
    unsigned size; /* bytes; 0: not checked */
    unsigned reg;
    struct host_memory memory;
    int64_t constant;
};

#define MOST_OPERANDS 4

/* One instruction as it was asked for. */
struct wanted {
    enum x86_op op;
    unsigned width;
    struct operand operands[MOST_OPERANDS];
    unsigned count;
};

static ZydisDecoder decoder;
static uint8_t hot[2 * EMIT_MAX_LENGTH]; /* for a prefix and an instruction */
static uint8_t cold[EMIT_MAX_LENGTH];
static unsigned long checked;

static void start(struct emitter *e)
{
    memset(hot, 0xcc, sizeof(hot));
    emitter_init(e, hot, sizeof(hot), cold, sizeof(cold));
}

static struct operand general(unsigned size, unsigned reg)
{
    return (struct operand){.type = GENERAL, .size = size, .reg = reg};
}

static struct operand memory(unsigned size, struct host_memory at)
{
    return (struct operand){.type = MEMORY, .size = size, .memory = at};
}

static struct operand constant(unsigned size, int64_t value)
{
    return (struct operand){.type = CONSTANT, .size = size, .constant = value};
}

/* The number an emitter calls a general register by; 99: it is none, or ah to bh. */
static unsigned number_of(ZydisRegister reg, unsigned size)
{
    static const ZydisRegisterClass classes[9] = {
        [2] = ZYDIS_REGCLASS_GPR16, [4] = ZYDIS_REGCLASS_GPR32, [8] = ZYDIS_REGCLASS_GPR64};

    if (size == 1) {
        if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BL)
            return reg - ZYDIS_REGISTER_AL;
        if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
            return reg - ZYDIS_REGISTER_SPL + 4u;
        return 99;
    }
    return ZydisRegisterGetClass(reg) == classes[size] ? (unsigned)ZydisRegisterGetId(reg) : 99;
}

static bool is_same_memory(const ZydisDecodedOperand *got, const struct operand *want)
{
    const struct host_memory *at = &want->memory;
    bool has_index = at->index != NO_REGISTER;

    if (got->type != ZYDIS_OPERAND_TYPE_MEMORY || (want->size && got->size != want->size * 8))
        return false;
    if (number_of(got->mem.base, 8) != at->base || got->mem.disp.value != at->displacement)
        return false;
    if (got->mem.segment !=
        (at->base == RSP || at->base == RBP ? ZYDIS_REGISTER_SS : ZYDIS_REGISTER_DS))
        return false;
    if (!has_index)
        return got->mem.index == ZYDIS_REGISTER_NONE;
    return number_of(got->mem.index, 8) == at->index && got->mem.scale == 1 << at->scale;
}

static bool is_same_operand(const ZydisDecodedOperand *got, const struct operand *want)
{
    unsigned bits = want->size * 8;
    uint64_t difference;

    switch (want->type) {
    case GENERAL:
        return got->type == ZYDIS_OPERAND_TYPE_REGISTER && got->size == bits &&
               number_of(got->reg.value, want->size) == want->reg;
    case XMM:
        return got->type == ZYDIS_OPERAND_TYPE_REGISTER &&
               ZydisRegisterGetClass(got->reg.value) == ZYDIS_REGCLASS_XMM &&
               (unsigned)ZydisRegisterGetId(got->reg.value) == want->reg;
    case MEMORY:
        return is_same_memory(got, want);
    case CONSTANT:
        difference = got->imm.value.u ^ (uint64_t)want->constant;
        return got->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && !got->imm.is_relative &&
               (bits == 64 ? difference : difference & ((UINT64_C(1) << bits) - 1)) == 0;
    case NOTHING:
        break;
    }
    return false;
}

/* Whether the displacement takes no more bytes than it has to. */
static bool is_displacement_short(const ZydisDecodedInstruction *got, const struct wanted *want)
{
    for (unsigned i = 0; i < want->count; i++) {
        const struct host_memory *at = &want->operands[i].memory;
        if (want->operands[i].type != MEMORY)
            continue;
        bool fits = at->displacement == (int8_t)at->displacement;
        bool needs_none = at->displacement == 0 && at->base != RBP && at->base != R13;
        return got->raw.disp.size == (needs_none ? 0 : fits ? 8 : 32);
    }
    return got->raw.disp.size == 0;
}

static const char *mismatch(const ZydisDecodedInstruction *got, const ZydisDecodedOperand *operands,
                            const struct wanted *want, size_t length)
{
    if (got->length != length)
        return "length";
    if (strcmp(ZydisMnemonicGetString(got->mnemonic), x86_rows[want->op].mnemonic) != 0)
        return "mnemonic";
    if (got->operand_count_visible != want->count)
        return "number of operands";
    for (unsigned i = 0; i < want->count; i++)
        if (!is_same_operand(&operands[i], &want->operands[i]))
            return "operand";
    if (!is_displacement_short(got, want))
        return "length of the displacement";
    return NULL;
}

/* Bytes that a form of its own could save, which the table does without: those of rax,
 * of shifts by one, of a register in the opcode, of moves with the operands swapped;
 * and imul's of a constant of one byte. */
static unsigned spare(enum x86_op op)
{
    unsigned kind = x86_rows[op].kind;

    if (kind == X86_KIND_RMI32)
        return 3;
    return kind == X86_KIND_MI || kind == X86_KIND_MI32 || kind == X86_KIND_MI8 || op == X86_XCHG ||
           op == X86_PUSH || op == X86_POP || strncmp(x86_rows[op].mnemonic, "vmov", 4) == 0;
}

/* Whether the encoder of Zydis finds none shorter. */
static bool is_short(const ZydisDecodedInstruction *got, const ZydisDecodedOperand *operands,
                     const struct wanted *want)
{
    ZydisEncoderRequest request;
    uint8_t bytes[ZYDIS_MAX_INSTRUCTION_LENGTH];
    ZyanUSize length = sizeof(bytes);

    if (!ZYAN_SUCCESS(ZydisEncoderDecodedInstructionToEncoderRequest(
            got, operands, got->operand_count_visible, &request)) ||
        !ZYAN_SUCCESS(ZydisEncoderEncodeInstruction(&request, bytes, &length)))
        return false;
    return got->length <= length + spare(want->op);
}

/* Whether `touched` has all general registers that the instruction names, or changes, but rsp,
 * which push and call move and nobody asks for. */
static bool is_touched(const ZydisDecodedInstruction *got, const ZydisDecodedOperand *operands,
                       uint32_t touched)
{
    for (unsigned i = 0; i < got->operand_count; i++) {
        bool is_named = operands[i].visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT;
        if (!is_named && !(operands[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
            continue;
        const ZydisRegister named[] = {operands[i].reg.value, operands[i].mem.base,
                                       operands[i].mem.index};
        bool is_memory = operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY;
        bool is_register = operands[i].type == ZYDIS_OPERAND_TYPE_REGISTER;
        for (unsigned k = is_memory; k < (is_memory ? 3u : is_register); k++) {
            ZydisRegister wide =
                ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, named[k]);
            if (ZydisRegisterGetClass(wide) == ZYDIS_REGCLASS_GPR64 && wide != ZYDIS_REGISTER_RSP &&
                !(touched >> ZydisRegisterGetId(wide) & 1))
                return false;
        }
    }
    return true;
}

static void check(const struct emitter *e, const struct wanted *want)
{
    ZydisDecodedInstruction got;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    size_t length = (size_t)(e->hot.at - hot);
    const char *wrong = "no instruction";

    if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, hot, sizeof(hot), &got, operands))) {
        wrong = mismatch(&got, operands, want, length);
        if (!wrong && !is_touched(&got, operands, e->touched))
            wrong = "registers it touches";
        if (!wrong && !is_short(&got, operands, want))
            wrong = "an encoding that is too long";
    }
    checked++;
    if (!wrong && !e->overflow)
        return;
    char text[3 * EMIT_MAX_LENGTH + 1] = "";
    for (size_t i = 0; i < length && i < sizeof(hot); i++)
        snprintf(text + 3 * i, 4, " %02x", hot[i]);
    fail_msg("row %u, %s, width %u:%s: wrong %s", want->op, x86_rows[want->op].mnemonic,
             want->width, text, wrong ? wrong : "end of the stream");
}

static bool has(enum x86_op op, unsigned flag)
{
    return x86_rows[op].flags & flag;
}

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text);

    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* Bytes of memory where an xmm register could be: the manuals' m32, m64 or m128. */
static unsigned xmm_memory_size(const char *mnemonic)
{
    if (strncmp(mnemonic, "vcvt", 4) == 0) {
        const char *from = mnemonic + (mnemonic[4] == 't' ? 5 : 4);
        return strncmp(from, "ss", 2) == 0 ? 4 : 8;
    }
    if (ends_in(mnemonic, "ss") || strcmp(mnemonic, "vmovd") == 0)
        return 4;
    return ends_in(mnemonic, "sd") || strcmp(mnemonic, "vmovq") == 0 ? 8 : 16;
}

/* The width of a general register in the r/m place, and of memory there. */
static unsigned rm_size(enum x86_op op, unsigned width)
{
    if (x86_rows[op].kind == X86_KIND_VM)
        return 4;
    if (has(op, X86_FLAG_RM8))
        return 1;
    if (has(op, X86_FLAG_RM16))
        return 2;
    return has(op, X86_FLAG_RM32) ? 4 : width;
}

static struct operand reg_operand(enum x86_op op, unsigned width, unsigned reg)
{
    return has(op, X86_FLAG_XREG) ? (struct operand){.type = XMM, .reg = reg} : general(width, reg);
}

static struct operand second_operand(enum x86_op op, unsigned width, unsigned reg)
{
    return has(op, X86_FLAG_XV) ? (struct operand){.type = XMM, .reg = reg} : general(width, reg);
}

static struct operand rm_register(enum x86_op op, unsigned width, unsigned reg)
{
    return has(op, X86_FLAG_XRM) ? (struct operand){.type = XMM, .reg = reg}
                                 : general(rm_size(op, width), reg);
}

static struct operand rm_memory(enum x86_op op, unsigned width, struct host_memory at)
{
    if (op == X86_LEA) /* an address, not an access */
        return memory(0, at);
    return memory(
        has(op, X86_FLAG_XRM) ? xmm_memory_size(x86_rows[op].mnemonic) : rm_size(op, width), at);
}

/* The widths that a row has: a bit mask of 1, 2, 4 and 8. */
static unsigned widths_of(enum x86_op op)
{
    unsigned kind = x86_rows[op].kind;

    if (has(op, X86_FLAG_BYTE))
        return 1 | 2 | 4 | 8;
    if (has(op, X86_FLAG_NO_W | X86_FLAG_RM32 | X86_FLAG_W1))
        return 8;
    if (has(op, X86_FLAG_W0) || kind == X86_KIND_VM)
        return 4;
    if (has(op, X86_FLAG_RM8))
        return kind == X86_KIND_M ? 1 : 4 | 8;
    if (kind >= X86_KIND_VRM || has(op, X86_FLAG_RM16) || kind == X86_KIND_RMI32)
        return 4 | 8;
    return 2 | 4 | 8;
}

/* Spreads registers and constants over long loops: the same ones in every run. */
static unsigned varied(unsigned long n, unsigned count)
{
    return (unsigned)((n * UINT64_C(0x9e3779b97f4a7c15)) >> 33) % count;
}

static const int32_t displacements[] = {0, 1, -1, 127, -128, 128, -129, 4096, INT32_MAX, INT32_MIN};

#define INDEX_FORMS ((size_t)61) /* none; 15 registers with 4 scales */
#define MEMORIES    (ARRAY_LEN(displacements) * INDEX_FORMS * 16)

/* The n-th of all pairs of base and index with every scale and kind of displacement. */
static struct host_memory memory_form(unsigned n)
{
    int32_t displacement = displacements[n % ARRAY_LEN(displacements)];
    n /= ARRAY_LEN(displacements);
    unsigned base = n % 16;
    n /= 16;
    if (n == 0)
        return at_register(base, displacement);
    unsigned index = (n - 1) % 15;
    return at_index(base, index < RSP ? index : index + 1, (n - 1) / 15, displacement);
}

static const int32_t constants[] = {
    0,   1,      2,       42,     127,    -1,     -128,    128,        255,       -129,
    256, 0x7fff, -0x8000, 0x8000, 0xffff, -32769, 0x10000, 0x12345678, INT32_MAX, INT32_MIN};

/* Whether an emitter takes the constant at this width: -2^(n-1) to 2^n - 1. */
static bool is_constant_of(int32_t value, unsigned size)
{
    return size >= 4 || (value >= -(1 << (size * 8 - 1)) && value < 1 << (size * 8));
}

static unsigned constant_size(enum x86_op op, unsigned width)
{
    unsigned kind = x86_rows[op].kind;

    return kind == X86_KIND_MI || kind == X86_KIND_MI32 || kind == X86_KIND_RMI32 ? width : 1;
}

/* The n-th constant, or a later one that the row takes. */
static int32_t constant_form(enum x86_op op, unsigned width, unsigned n)
{
    while (!is_constant_of(constants[n % ARRAY_LEN(constants)], constant_size(op, width)))
        n++;
    return constants[n % ARRAY_LEN(constants)];
}

/* reg, r/m and r/m, reg */
static void check_two(enum x86_op op, unsigned width)
{
    unsigned kind = x86_rows[op].kind;
    bool stores = kind == X86_KIND_MR || kind == X86_KIND_VMR;

    for (unsigned pair = 0; pair < 256 && !has(op, X86_FLAG_NO_REG); pair++) {
        unsigned reg = pair % 16;
        unsigned rm = pair / 16;
        struct wanted want = {
            op, width, {reg_operand(op, width, reg), rm_register(op, width, rm)}, 2};
        struct emitter e;
        start(&e);
        if (stores) {
            want.operands[0] = rm_register(op, width, rm);
            want.operands[1] = reg_operand(op, width, reg);
        }
        emit_rr(&e, op, width, stores ? rm : reg, stores ? reg : rm);
        check(&e, &want);
    }
    for (unsigned n = 0; n < MEMORIES && !has(op, X86_FLAG_REG_ONLY); n++) {
        unsigned reg = varied(n, 16);
        struct host_memory at = memory_form(n);
        struct operand of_reg = reg_operand(op, width, reg);
        struct operand of_memory = rm_memory(op, width, at);
        struct wanted want = {
            op, width, {stores ? of_memory : of_reg, stores ? of_reg : of_memory}, 2};
        struct emitter e;
        start(&e);
        emit_rm(&e, op, width, reg, at);
        check(&e, &want);
    }
}

/* r/m alone, or with cl */
static void check_one(enum x86_op op, unsigned width)
{
    const struct x86_row *row = &x86_rows[op];
    bool by_cl = row->map == 0 && (row->opcode | 1) == 0xd3;
    struct wanted want = {op, width, {[1] = general(1, RCX)}, by_cl ? 2 : 1};

    for (unsigned rm = 0; rm < 16 && row->kind == X86_KIND_M; rm++) {
        struct emitter e;
        start(&e);
        want.operands[0] = rm_register(op, width, rm);
        emit_r(&e, op, width, rm);
        check(&e, &want);
    }
    for (unsigned n = 0; n < MEMORIES; n++) {
        struct emitter e;
        start(&e);
        want.operands[0] = rm_memory(op, width, memory_form(n));
        emit_m(&e, op, width, memory_form(n));
        check(&e, &want);
    }
}

/* r/m, constant */
static void check_one_constant(enum x86_op op, unsigned width)
{
    struct wanted want = {op, width, {{0}}, 2};

    for (unsigned n = 0; n < ARRAY_LEN(constants) * 16; n++) {
        int32_t value = constant_form(op, width, n / 16);
        struct emitter e;
        start(&e);
        want.operands[0] = rm_register(op, width, n % 16);
        want.operands[1] = constant(constant_size(op, width), value);
        emit_ri(&e, op, width, n % 16, value);
        check(&e, &want);
    }
    for (unsigned n = 0; n < MEMORIES; n++) {
        int32_t value = constant_form(op, width, varied(n, ARRAY_LEN(constants)));
        struct emitter e;
        start(&e);
        want.operands[0] = rm_memory(op, width, memory_form(n));
        want.operands[1] = constant(constant_size(op, width), value);
        emit_mi(&e, op, width, memory_form(n), value);
        check(&e, &want);
    }
}

/* reg, r/m, constant and r/m, reg, constant */
static void check_two_constant(enum x86_op op, unsigned width)
{
    bool stores = x86_rows[op].kind == X86_KIND_VMRI;

    for (unsigned n = 0; n < ARRAY_LEN(constants) * 256; n++) {
        unsigned reg = n % 16;
        unsigned rm = n / 16 % 16;
        int32_t value = constant_form(op, width, n / 256);
        struct operand of_reg = reg_operand(op, width, reg);
        struct operand of_rm = rm_register(op, width, rm);
        struct wanted want = {op,
                              width,
                              {stores ? of_rm : of_reg, stores ? of_reg : of_rm,
                               constant(constant_size(op, width), value)},
                              3};
        struct emitter e;
        start(&e);
        emit_rri(&e, op, width, stores ? rm : reg, stores ? reg : rm, value);
        check(&e, &want);
    }
}

/* reg, vvvv, r/m and reg, r/m, vvvv */
static void check_three(enum x86_op op, unsigned width)
{
    bool rm_is_second = x86_rows[op].kind == X86_KIND_VRMV;
    bool has_constant = x86_rows[op].kind == X86_KIND_VRVMI;
    unsigned at_rm = rm_is_second ? 1 : 2;
    unsigned at_vvvv = rm_is_second ? 2 : 1;

    for (unsigned n = 0; n < 16 * 16 * 16; n++) {
        unsigned places[3] = {n % 16, n / 16 % 16, n / 256};
        unsigned value = varied(n, 256);
        struct wanted want = {op, width, {reg_operand(op, width, places[0])}, has_constant ? 4 : 3};
        struct emitter e;
        start(&e);
        want.operands[at_rm] = rm_register(op, width, places[at_rm]);
        want.operands[at_vvvv] = second_operand(op, width, places[at_vvvv]);
        want.operands[3] = constant(1, value);
        if (has_constant)
            emit_rrri(&e, op, places[0], places[1], places[2], (uint8_t)value);
        else
            emit_rrr(&e, op, width, places[0], places[1], places[2]);
        check(&e, &want);
    }
    for (unsigned n = 0; n < MEMORIES && !has_constant; n++) {
        unsigned reg = varied(n, 16);
        unsigned vvvv = varied(n + 1, 16);
        struct host_memory at = memory_form(n);
        struct wanted want = {op, width, {reg_operand(op, width, reg)}, 3};
        struct emitter e;
        start(&e);
        want.operands[at_rm] = rm_memory(op, width, at);
        want.operands[at_vvvv] = second_operand(op, width, vvvv);
        emit_rrm(&e, op, width, reg, vvvv, at);
        check(&e, &want);
    }
}

/* vvvv, r/m, constant */
static void check_vvvv_constant(enum x86_op op, unsigned width)
{
    for (unsigned n = 0; n < ARRAY_LEN(constants) * 256; n++) {
        unsigned vvvv = n % 16;
        unsigned rm = n / 16 % 16;
        int32_t value = constant_form(op, width, n / 256);
        struct wanted want = {
            op,
            width,
            {second_operand(op, width, vvvv), rm_register(op, width, rm), constant(1, value)},
            3};
        struct emitter e;
        start(&e);
        emit_rri(&e, op, width, vvvv, rm, value);
        check(&e, &want);
    }
}

static void check_row(enum x86_op op, unsigned width)
{
    switch ((enum x86_kind)x86_rows[op].kind) {
    case X86_KIND_RM:
    case X86_KIND_MR:
    case X86_KIND_VRM:
    case X86_KIND_VMR:
        check_two(op, width);
        break;
    case X86_KIND_M:
    case X86_KIND_VM:
        check_one(op, width);
        break;
    case X86_KIND_MI:
    case X86_KIND_MI32:
    case X86_KIND_MI8:
        check_one_constant(op, width);
        break;
    case X86_KIND_RMI32:
    case X86_KIND_VRMI:
    case X86_KIND_VMRI:
        check_two_constant(op, width);
        break;
    case X86_KIND_VRVM:
    case X86_KIND_VRMV:
    case X86_KIND_VRVMI:
        check_three(op, width);
        break;
    case X86_KIND_VVMI:
        check_vvvv_constant(op, width);
        break;
    }
}

TEST(encode, every_form_of_every_row_is_what_was_asked_for)
{
    for (unsigned op = 0; op < X86_COUNT; op++)
        for (unsigned width = 1; width <= 8; width *= 2) {
            unsigned long before = checked;
            if (!(widths_of((enum x86_op)op) & width))
                continue;
            check_row((enum x86_op)op, width);
            CHECK(checked >= before + 16); /* a kind without a check is a fault */
        }
    print_message("# %lu instructions\n", checked);
}

/* The one instruction in `e`, which takes all the bytes that were emitted. */
static ZydisDecodedInstruction only(const struct emitter *e,
                                    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT])
{
    ZydisDecodedInstruction got;

    CHECK(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, hot, sizeof(hot), &got, operands)));
    CHECK_EQ(got.length, e->hot.at - hot);
    CHECK(!e->overflow);
    return got;
}

TEST(encode, instructions_without_a_row)
{
    static const struct {
        void (*emit)(struct emitter *e);
        ZydisMnemonic mnemonic;
    } cases[] = {{emit_ret, ZYDIS_MNEMONIC_RET},
                 {emit_trap, ZYDIS_MNEMONIC_UD2},
                 {emit_rdtsc, ZYDIS_MNEMONIC_RDTSC}};
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct emitter e;
        start(&e);
        cases[i].emit(&e);
        CHECK_EQ(only(&e, operands).mnemonic, cases[i].mnemonic);
    }
    struct emitter e;
    start(&e);
    emit_cdq(&e, 4);
    CHECK_EQ(only(&e, operands).mnemonic, ZYDIS_MNEMONIC_CDQ);
    start(&e);
    emit_cdq(&e, 8);
    CHECK_EQ(only(&e, operands).mnemonic, ZYDIS_MNEMONIC_CQO);
}

TEST(encode, bswap_has_the_register_in_its_opcode)
{
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

    for (unsigned reg = 0; reg < 16; reg++) {
        struct emitter e;
        start(&e);
        emit_bswap(&e, reg);
        CHECK_EQ(only(&e, operands).mnemonic, ZYDIS_MNEMONIC_BSWAP);
        CHECK_EQ(number_of(operands[0].reg.value, 8), reg);
    }
}

TEST(encode, lock_is_a_prefix_of_what_follows)
{
    static const enum x86_op lockable[] = {X86_XADD,     X86_CMPXCHG,   X86_ADD_STORE,
                                           X86_OR_STORE, X86_AND_STORE, X86_XOR_STORE,
                                           X86_SUB_STORE};
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

    for (size_t i = 0; i < ARRAY_LEN(lockable); i++)
        for (unsigned width = 1; width <= 8; width *= 2) {
            struct emitter e;
            start(&e);
            emit_lock(&e);
            emit_rm(&e, lockable[i], width, R13, at_index(R12, R14, 2, 0x1000));
            ZydisDecodedInstruction got = only(&e, operands);
            CHECK_STR(ZydisMnemonicGetString(got.mnemonic), x86_rows[lockable[i]].mnemonic);
            CHECK(got.attributes & ZYDIS_ATTRIB_HAS_LOCK);
            CHECK_EQ(operands[0].size, width * 8);
            CHECK_EQ(number_of(operands[1].reg.value, width), R13);
        }
}

TEST(encode, constants_take_the_shortest_move)
{
    static const struct {
        uint64_t value;
        size_t length; /* without the REX prefix that r8-r15 need for a 32-bit move */
    } cases[] = {{0, 5},
                 {1, 5},
                 {0x7fffffff, 5},
                 {0x80000000, 5},
                 {0xffffffff, 5},
                 {UINT64_MAX, 7},
                 {(uint64_t)INT64_C(-128), 7},
                 {0xffffffff80000000, 7},
                 {0xffffffff7fffffff, 10},
                 {0x100000000, 10},
                 {0x123456789abcdef0, 10},
                 {0x8000000000000000, 10},
                 {INT64_MAX, 10}};
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (unsigned reg = 0; reg < 16; reg++) {
            struct emitter e;
            start(&e);
            emit_constant(&e, reg, cases[i].value);
            ZydisDecodedInstruction got = only(&e, operands);
            unsigned size = operands[0].size / 8;
            CHECK_EQ(got.mnemonic, ZYDIS_MNEMONIC_MOV); /* flags stay */
            CHECK_EQ(got.length, cases[i].length + (cases[i].length == 5 && reg >= R8));
            CHECK(size == 8 || size == 4); /* 4: the upper half becomes zero */
            CHECK_EQ(number_of(operands[0].reg.value, size), reg);
            CHECK_EQ(operands[1].imm.value.u & (size == 4 ? UINT32_MAX : UINT64_MAX),
                     cases[i].value);
        }
}

/* Skips nops, then decodes the jump. */
static const uint8_t *decode_jump(const uint8_t *at, const struct emitter *e,
                                  ZydisDecodedInstruction *got, uint64_t *target)
{
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

    for (;; at += got->length) {
        CHECK(ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(&decoder, at, (size_t)(e->out->at - at), got, operands)));
        if (got->mnemonic != ZYDIS_MNEMONIC_NOP)
            break;
    }
    CHECK(operands[0].imm.is_relative);
    CHECK(
        ZYAN_SUCCESS(ZydisCalcAbsoluteAddress(got, &operands[0], (uint64_t)(uintptr_t)at, target)));
    CHECK_EQ(at + got->length - e->out->at, 0);
    return at;
}

static const ZydisMnemonic jumps[] = {
    ZYDIS_MNEMONIC_JO,  ZYDIS_MNEMONIC_JNO, ZYDIS_MNEMONIC_JB,  ZYDIS_MNEMONIC_JNB,
    ZYDIS_MNEMONIC_JZ,  ZYDIS_MNEMONIC_JNZ, ZYDIS_MNEMONIC_JBE, ZYDIS_MNEMONIC_JNBE,
    ZYDIS_MNEMONIC_JS,  ZYDIS_MNEMONIC_JNS, ZYDIS_MNEMONIC_JP,  ZYDIS_MNEMONIC_JNP,
    ZYDIS_MNEMONIC_JL,  ZYDIS_MNEMONIC_JNL, ZYDIS_MNEMONIC_JLE, ZYDIS_MNEMONIC_JNLE,
    ZYDIS_MNEMONIC_JMP, ZYDIS_MNEMONIC_CALL};

static uint8_t *emit_jump(struct emitter *e, unsigned kind, const uint8_t *target)
{
    if (jumps[kind] == ZYDIS_MNEMONIC_JMP)
        return emit_jmp(e, target);
    if (jumps[kind] == ZYDIS_MNEMONIC_CALL)
        return emit_call(e, target);
    return emit_jcc(e, (enum condition)kind, target);
}

/* One cache line and what an instruction may need behind it. */
static _Alignas(64) uint8_t lines[64 * 4];

TEST(encode, jumps_have_their_displacement_in_one_cache_line_wherever_they_start)
{
    for (unsigned kind = 0; kind < ARRAY_LEN(jumps); kind++)
        for (unsigned offset = 0; offset < 64; offset++) {
            struct emitter e;
            ZydisDecodedInstruction got;
            uint64_t target = 0;
            const uint8_t *back = lines + 7;
            const uint8_t *ahead = lines + 200;

            emitter_init(&e, lines, sizeof(lines), cold, sizeof(cold));
            e.hot.at = lines + offset;
            uint8_t *site = emit_jump(&e, kind, back);
            CHECK((uintptr_t)site / 64 == ((uintptr_t)site + 3) / 64);
            const uint8_t *at = decode_jump(lines + offset, &e, &got, &target);
            CHECK(at - (lines + offset) <= 3);
            CHECK_EQ(got.mnemonic, jumps[kind]);
            CHECK_EQ(got.raw.imm[0].offset, site - at);
            CHECK_EQ(got.raw.imm[0].size, 32);
            CHECK_EQ(target, (uintptr_t)back);
            CHECK(emit_target_of(site) == back);
            emit_patch(site, ahead);
            decode_jump(lines + offset, &e, &got, &target);
            CHECK_EQ(target, (uintptr_t)ahead);
            CHECK(emit_target_of(site) == ahead);
        }
}

TEST(encode, a_jump_without_a_target_leads_behind_itself)
{
    for (unsigned kind = 0; kind < ARRAY_LEN(jumps); kind++) {
        struct emitter e;
        start(&e);
        ZydisDecodedInstruction got;
        uint64_t target = 0;
        uint8_t *site = emit_jump(&e, kind, NULL);

        decode_jump(hot, &e, &got, &target);
        CHECK_EQ(target, (uintptr_t)e.hot.at);
        CHECK(emit_target_of(site) == e.hot.at);
    }
}

TEST(encode, short_jumps_lead_to_where_they_are_patched)
{
    for (unsigned kind = 0; kind <= IF_GREATER + 1; kind++)
        for (unsigned between = 0; between <= 120; between += 4) {
            struct emitter e;
            ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
            ZydisDecodedInstruction got;
            uint64_t target = 0;

            emitter_init(&e, lines, sizeof(lines), cold, sizeof(cold));
            uint8_t *site =
                kind > IF_GREATER ? emit_jmp_short(&e) : emit_jcc_short(&e, (enum condition)kind);
            for (unsigned i = 0; i < between; i += 4)
                emit_u32(&e, 0xcccccccc);
            emit_patch_short(&e, site);
            CHECK(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, lines, 15, &got, operands)));
            CHECK_EQ(got.mnemonic, kind > IF_GREATER ? ZYDIS_MNEMONIC_JMP : jumps[kind]);
            CHECK_EQ(got.length, 2);
            CHECK(ZYAN_SUCCESS(
                ZydisCalcAbsoluteAddress(&got, &operands[0], (uint64_t)(uintptr_t)lines, &target)));
            CHECK_EQ(target, (uintptr_t)e.hot.at);
            CHECK_EQ(target, (uintptr_t)(lines + 2 + between));
        }
}

TEST(encode, negating_a_condition_gives_its_opposite)
{
    for (unsigned condition = 0; condition < 16; condition += 2) {
        CHECK_EQ(condition_not((enum condition)condition), condition + 1);
        CHECK_EQ(condition_not((enum condition)(condition + 1)), condition);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TESTS(encode, every_form_of_every_row_is_what_was_asked_for),
        TESTS(encode, instructions_without_a_row),
        TESTS(encode, bswap_has_the_register_in_its_opcode),
        TESTS(encode, lock_is_a_prefix_of_what_follows),
        TESTS(encode, constants_take_the_shortest_move),
        TESTS(encode, jumps_have_their_displacement_in_one_cache_line_wherever_they_start),
        TESTS(encode, a_jump_without_a_target_leads_behind_itself),
        TESTS(encode, short_jumps_lead_to_where_they_are_patched),
        TESTS(encode, negating_a_condition_gives_its_opposite),
    };

    if (!ZYAN_SUCCESS(ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
        return 1;
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
