/* SPDX-License-Identifier: Apache-2.0
 * What is emitted, executed and compared with C; the ends of the streams; jumps that
 * are patched while they run. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "harness/harness.h"
#include "host/code_map.h"
#include "host/cpu.h"
#include "jit/emit.h"

/* Whether this machine can run what is emitted. */
#ifdef __x86_64__
#define CAN_RUN true
#else
#define CAN_RUN false
#endif

#define HOT_SIZE  (3 * (size_t)4096)
#define COLD_SIZE ((size_t)4096)

/* An emitter over code memory. */
struct bench {
    struct code_map map;
    struct emitter e;
};

static void open_bench(struct bench *bench)
{
    struct error err = {0};

    if (code_map_create(&bench->map, HOT_SIZE + COLD_SIZE, &err) < 0)
        fail_msg("%s", err.text);
    emitter_init(&bench->e, bench->map.write, HOT_SIZE, bench->map.write + HOT_SIZE, COLD_SIZE);
}

static void close_bench(struct bench *bench)
{
    CHECK(!bench->e.overflow);
    code_map_free(&bench->map);
}

/* Calls what stands at `at`, an address to write to, with the System V convention:
 * arguments in rdi and rsi, the result in rax. */
static uint64_t run(const struct bench *bench, const uint8_t *at, uint64_t a, uint64_t b)
{
    uint64_t (*function)(uint64_t, uint64_t);
    const uint8_t *code = bench->map.exec + (at - bench->map.write);

    memcpy(&function, &code, sizeof(function));
    return function(a, b);
}

static const uint64_t samples[] = {0,
                                   1,
                                   2,
                                   3,
                                   7,
                                   63,
                                   64,
                                   127,
                                   128,
                                   255,
                                   256,
                                   0x7fff,
                                   0x8000,
                                   0xffff,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   0x100000000,
                                   0x123456789abcdef0,
                                   0x7fffffffffffffff,
                                   0x8000000000000000,
                                   0xfedcba9876543210,
                                   0xffffffff80000000,
                                   UINT64_MAX};

/* The value of the low `width` bytes; what a register holds after a write of that
 * many: 4 clear the upper half, 1 and 2 keep the rest. */
static uint64_t low(uint64_t value, unsigned width)
{
    return width == 8 ? value : value & ((UINT64_C(1) << width * 8) - 1);
}

static uint64_t merged(uint64_t before, uint64_t value, unsigned width)
{
    return width >= 4 ? low(value, width) : (before & ~low(UINT64_MAX, width)) | low(value, width);
}

static int64_t as_signed(uint64_t value, unsigned width)
{
    return (int64_t)(value << (64 - width * 8)) >> (64 - width * 8);
}

static uint64_t add(uint64_t a, uint64_t b, unsigned width)
{
    (void)width;
    return a + b;
}

static uint64_t subtract(uint64_t a, uint64_t b, unsigned width)
{
    (void)width;
    return a - b;
}

static uint64_t conjunction(uint64_t a, uint64_t b, unsigned width)
{
    (void)width;
    return a & b;
}

static uint64_t disjunction(uint64_t a, uint64_t b, unsigned width)
{
    (void)width;
    return a | b;
}

static uint64_t exclusive_or(uint64_t a, uint64_t b, unsigned width)
{
    (void)width;
    return a ^ b;
}

static uint64_t multiply(uint64_t a, uint64_t b, unsigned width)
{
    (void)width;
    return a * b;
}

static uint64_t move(uint64_t a, uint64_t b, unsigned width)
{
    (void)a;
    (void)width;
    return b;
}

/* Counts are masked to 6 bits at width 8, else to 5. */
static unsigned masked(uint64_t count, unsigned width)
{
    return (unsigned)(count & (width == 8 ? 63 : 31));
}

static uint64_t shift_left(uint64_t a, uint64_t b, unsigned width)
{
    return a << masked(b, width);
}

static uint64_t shift_right(uint64_t a, uint64_t b, unsigned width)
{
    return low(a, width) >> masked(b, width);
}

static uint64_t shift_right_signed(uint64_t a, uint64_t b, unsigned width)
{
    return (uint64_t)(as_signed(a, width) >> masked(b, width));
}

static uint64_t rotate_right(uint64_t a, uint64_t b, unsigned width)
{
    unsigned bits = width * 8;
    unsigned count = masked(b, width) % bits;

    a = low(a, width);
    return count ? a >> count | a << (bits - count) : a;
}

static uint64_t rotate_left(uint64_t a, uint64_t b, unsigned width)
{
    unsigned count = masked(b, width) % (width * 8);

    return rotate_right(a, width * 8 - count, width);
}

static uint64_t and_not(uint64_t a, uint64_t b, unsigned width)
{
    (void)width;
    return ~a & b;
}

static uint64_t leading_zeros(uint64_t a, uint64_t b, unsigned width)
{
    (void)a;
    b = low(b, width);
    return b ? (unsigned)__builtin_clzll(b) - (64 - width * 8) : width * 8;
}

static uint64_t trailing_zeros(uint64_t a, uint64_t b, unsigned width)
{
    (void)a;
    b = low(b, width);
    return b ? (unsigned)__builtin_ctzll(b) : width * 8;
}

static uint64_t ones(uint64_t a, uint64_t b, unsigned width)
{
    (void)a;
    return (unsigned)__builtin_popcountll(low(b, width));
}

static uint64_t bits_of_width(unsigned width)
{
    return width * UINT64_C(8);
}

static uint64_t set_bit(uint64_t a, uint64_t b, unsigned width)
{
    return a | UINT64_C(1) << b % bits_of_width(width);
}

static uint64_t reset_bit(uint64_t a, uint64_t b, unsigned width)
{
    return a & ~(UINT64_C(1) << b % bits_of_width(width));
}

static uint64_t flip_bit(uint64_t a, uint64_t b, unsigned width)
{
    return a ^ UINT64_C(1) << b % bits_of_width(width);
}

typedef uint64_t meaning(uint64_t a, uint64_t b, unsigned width);

/* A row, the widths to run it with (a mask) and what it does to its destination `a`
 * with its other operand `b`. */
struct case_of_row {
    enum x86_op op;
    unsigned widths;
    meaning *is;
    size_t feature; /* in struct cpu_features; NEVER_MISSING */
};

#define NEVER_MISSING  SIZE_MAX
#define NEEDS(feature) offsetof(struct cpu_features, feature)

static bool is_missing(size_t feature)
{
    struct cpu_features features = cpu_features_detect();

    return feature != NEVER_MISSING && !((const bool *)&features)[feature / sizeof(bool)];
}

TEST(emit, instructions_of_two_registers_compute_what_c_does)
{
    static const struct case_of_row cases[] = {
        {X86_MOV, 15, move, NEVER_MISSING},
        {X86_MOV_STORE, 15, move, NEVER_MISSING},
        {X86_ADD, 15, add, NEVER_MISSING},
        {X86_ADD_STORE, 15, add, NEVER_MISSING},
        {X86_SUB, 15, subtract, NEVER_MISSING},
        {X86_SUB_STORE, 15, subtract, NEVER_MISSING},
        {X86_AND, 15, conjunction, NEVER_MISSING},
        {X86_AND_STORE, 15, conjunction, NEVER_MISSING},
        {X86_OR, 15, disjunction, NEVER_MISSING},
        {X86_OR_STORE, 15, disjunction, NEVER_MISSING},
        {X86_XOR, 15, exclusive_or, NEVER_MISSING},
        {X86_XOR_STORE, 15, exclusive_or, NEVER_MISSING},
        {X86_XCHG, 15, move, NEVER_MISSING},
        {X86_IMUL, 14, multiply, NEVER_MISSING},
        {X86_LZCNT, 14, leading_zeros, NEEDS(lzcnt)},
        {X86_TZCNT, 14, trailing_zeros, NEEDS(bmi1)},
        {X86_POPCNT, 14, ones, NEEDS(popcnt)},
        {X86_BTS, 14, set_bit, NEVER_MISSING},
        {X86_BTR, 14, reset_bit, NEVER_MISSING},
        {X86_BTC, 14, flip_bit, NEVER_MISSING},
    };
    struct bench bench;

    if (!CAN_RUN)
        skip();
    open_bench(&bench);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (unsigned width = 1; width <= 8; width *= 2) {
            const struct case_of_row *row = &cases[i];
            uint8_t *at = bench.e.hot.at = bench.map.write;
            if (!(row->widths & width) || is_missing(row->feature))
                continue;
            emit_rr(&bench.e, X86_MOV, 8, RAX, RDI);
            emit_rr(&bench.e, row->op, width, RAX, RSI);
            emit_ret(&bench.e);
            for (size_t n = 0; n < ARRAY_LEN(samples) * ARRAY_LEN(samples); n++) {
                uint64_t a = samples[n % ARRAY_LEN(samples)];
                uint64_t b = samples[n / ARRAY_LEN(samples)];
                CHECK_EQ(run(&bench, at, a, b), merged(a, row->is(a, b, width), width));
            }
        }
    close_bench(&bench);
}

TEST(emit, memory_operands_reach_the_bytes_they_name)
{
    struct bench bench;
    uint64_t cells[64];

    if (!CAN_RUN)
        skip();
    open_bench(&bench);
    for (unsigned width = 1; width <= 8; width *= 2)
        for (unsigned scale = 0; scale <= 3; scale++)
            for (int displacement = -128; displacement <= 128; displacement += 128) {
                uint8_t *at = bench.e.hot.at = bench.map.write;
                struct host_memory memory = at_index(RDI, RSI, scale, displacement);
                uint8_t *bytes = (uint8_t *)cells;
                uint64_t before = 0;
                for (size_t i = 0; i < sizeof(cells); i++)
                    bytes[i] = (uint8_t)(i * 37 + 11);
                size_t index = 9;
                uint8_t *hit = bytes + 256 + (index << scale) + displacement;
                memcpy(&before, hit, 8);

                emit_constant(&bench.e, RCX, 0x0123456789abcdef);
                emit_constant(&bench.e, RAX, UINT64_MAX);
                emit_rm(&bench.e, X86_MOV, width, RAX, memory);
                emit_rm(&bench.e, X86_ADD_STORE, width, RCX, memory);
                emit_ret(&bench.e);
                uint64_t got = run(&bench, at, (uint64_t)(uintptr_t)(bytes + 256), index);
                CHECK_EQ(got, merged(UINT64_MAX, before, width));
                uint64_t after = 0;
                memcpy(&after, hit, 8);
                uint64_t sum = low(before + 0x0123456789abcdef, width);
                CHECK_EQ(after, (before & ~low(UINT64_MAX, width)) | sum);
            }
    close_bench(&bench);
}

TEST(emit, shifts_and_rotations_compute_what_c_does)
{
    static const struct {
        enum x86_op by_cl;
        enum x86_op by_constant;
        meaning *is;
    } cases[] = {{X86_SHL_CL, X86_SHL_IMM, shift_left},
                 {X86_SHR_CL, X86_SHR_IMM, shift_right},
                 {X86_SAR_CL, X86_SAR_IMM, shift_right_signed},
                 {X86_ROR_CL, X86_ROR_IMM, rotate_right},
                 {X86_ROL_CL, X86_ROL_IMM, rotate_left}};
    struct bench bench;

    if (!CAN_RUN)
        skip();
    open_bench(&bench);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (unsigned width = 1; width <= 8; width *= 2)
            for (unsigned count = 0; count < 64; count++) {
                uint8_t *by_cl = bench.e.hot.at = bench.map.write;
                emit_rr(&bench.e, X86_MOV, 8, RAX, RDI);
                emit_rr(&bench.e, X86_MOV, 4, RCX, RSI);
                emit_r(&bench.e, cases[i].by_cl, width, RAX);
                emit_ret(&bench.e);
                uint8_t *by_constant = bench.e.hot.at;
                emit_rr(&bench.e, X86_MOV, 8, RAX, RDI);
                emit_ri(&bench.e, cases[i].by_constant, width, RAX, (int32_t)count);
                emit_ret(&bench.e);
                for (size_t n = 0; n < ARRAY_LEN(samples); n++) {
                    uint64_t a = samples[n];
                    uint64_t want = merged(a, cases[i].is(a, count, width), width);
                    CHECK_EQ(run(&bench, by_cl, a, count), want);
                    CHECK_EQ(run(&bench, by_constant, a, 0), want);
                }
            }
    close_bench(&bench);
}

TEST(emit, bmi_instructions_compute_what_c_does)
{
    static const struct case_of_row cases[] = {{X86_SHLX, 12, shift_left, NEEDS(bmi2)},
                                               {X86_SHRX, 12, shift_right, NEEDS(bmi2)},
                                               {X86_SARX, 12, shift_right_signed, NEEDS(bmi2)},
                                               {X86_ANDN, 12, and_not, NEEDS(bmi1)}};
    struct bench bench;

    if (!CAN_RUN)
        skip();
    open_bench(&bench);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (unsigned width = 4; width <= 8; width *= 2) {
            uint8_t *at = bench.e.hot.at = bench.map.write;
            if (is_missing(cases[i].feature))
                continue;
            emit_rrr(&bench.e, cases[i].op, width, RAX, RDI, RSI);
            emit_ret(&bench.e);
            for (size_t n = 0; n < ARRAY_LEN(samples) * ARRAY_LEN(samples); n++) {
                uint64_t a = samples[n % ARRAY_LEN(samples)];
                uint64_t b = samples[n / ARRAY_LEN(samples)];
                CHECK_EQ(run(&bench, at, a, b), low(cases[i].is(a, b, width), width));
            }
        }
    for (unsigned count = 0; count < 64 && !is_missing(NEEDS(bmi2)); count++) {
        uint8_t *at = bench.e.hot.at = bench.map.write;
        emit_rri(&bench.e, X86_RORX, 8, RAX, RDI, (int32_t)count);
        emit_ret(&bench.e);
        for (size_t n = 0; n < ARRAY_LEN(samples); n++)
            CHECK_EQ(run(&bench, at, samples[n], 0), rotate_right(samples[n], count, 8));
    }
    close_bench(&bench);
}

TEST(emit, constants_are_sign_extended_to_the_width)
{
    static const struct {
        enum x86_op op;
        meaning *is;
    } cases[] = {{X86_ADD_IMM, add},        {X86_SUB_IMM, subtract},     {X86_AND_IMM, conjunction},
                 {X86_OR_IMM, disjunction}, {X86_XOR_IMM, exclusive_or}, {X86_MOV_IMM, move}};
    static const int32_t constants[] = {0, 1, -1, 127, 128, -128, -129, INT32_MAX, INT32_MIN};
    struct bench bench;

    if (!CAN_RUN)
        skip();
    open_bench(&bench);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t c = 0; c < ARRAY_LEN(constants); c++)
            for (unsigned width = 4; width <= 8; width *= 2) {
                uint8_t *at = bench.e.hot.at = bench.map.write;
                emit_rr(&bench.e, X86_MOV, 8, RAX, RDI);
                emit_ri(&bench.e, cases[i].op, width, RAX, constants[c]);
                emit_ret(&bench.e);
                for (size_t n = 0; n < ARRAY_LEN(samples); n++) {
                    uint64_t b = (uint64_t)(int64_t)constants[c];
                    CHECK_EQ(run(&bench, at, samples[n], 0),
                             low(cases[i].is(samples[n], b, width), width));
                }
            }
    close_bench(&bench);
}

TEST(emit, extensions_take_the_low_bytes)
{
    static const struct {
        enum x86_op op;
        unsigned from;
        bool is_signed;
    } cases[] = {{X86_MOVZX8, 1, false},
                 {X86_MOVZX16, 2, false},
                 {X86_MOVSX8, 1, true},
                 {X86_MOVSX16, 2, true},
                 {X86_MOVSXD, 4, true}};
    struct bench bench;

    if (!CAN_RUN)
        skip();
    open_bench(&bench);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint8_t *at = bench.e.hot.at = bench.map.write;
        emit_rr(&bench.e, cases[i].op, 8, RAX, RSI); /* sil, not dh */
        emit_ret(&bench.e);
        for (size_t n = 0; n < ARRAY_LEN(samples); n++)
            CHECK_EQ(run(&bench, at, UINT64_MAX, samples[n]),
                     cases[i].is_signed ? (uint64_t)as_signed(samples[n], cases[i].from)
                                        : low(samples[n], cases[i].from));
    }
    close_bench(&bench);
}

/* What cmp a, b makes of each condition. */
static bool holds(unsigned condition, uint64_t a, uint64_t b)
{
    int64_t difference = (int64_t)(a - b);
    bool overflow = __builtin_sub_overflow((int64_t)a, (int64_t)b, &difference);
    bool is[] = {overflow,
                 a < b,
                 a == b,
                 a <= b,
                 difference < 0,
                 !(__builtin_popcount((uint8_t)(a - b)) & 1),
                 (int64_t)a < (int64_t)b,
                 (int64_t)a <= (int64_t)b};

    return is[condition / 2] ^ (condition & 1);
}

TEST(emit, conditions_jump_set_and_move_as_c_compares)
{
    static const struct {
        enum condition condition;
        enum x86_op set;
        enum x86_op move;
    } rows[] = {{IF_BELOW, X86_SETB, X86_CMOVB},         {IF_ABOVE_EQUAL, X86_SETAE, X86_CMOVAE},
                {IF_EQUAL, X86_SETE, X86_CMOVE},         {IF_NOT_EQUAL, X86_SETNE, X86_CMOVNE},
                {IF_BELOW_EQUAL, X86_SETBE, X86_CMOVBE}, {IF_ABOVE, X86_SETA, X86_CMOVA},
                {IF_NO_PARITY, X86_SETNP, X86_COUNT},    {IF_LESS, X86_SETL, X86_CMOVL},
                {IF_GREATER, X86_SETG, X86_CMOVG},       {IF_GREATER_EQUAL, X86_COUNT, X86_CMOVGE},
                {IF_LESS_EQUAL, X86_COUNT, X86_CMOVLE}};
    struct bench bench;

    if (!CAN_RUN)
        skip();
    open_bench(&bench);
    for (unsigned condition = 0; condition < 16; condition++) {
        uint8_t *at = bench.e.hot.at = bench.map.write;
        struct code_stream *cold = &bench.e.cold;
        emit_rr(&bench.e, X86_CMP, 8, RDI, RSI);
        emit_jcc(&bench.e, (enum condition)condition, cold->at);
        uint8_t *over = emit_jcc_short(&bench.e, (enum condition)condition);
        emit_constant(&bench.e, RAX, 0);
        emit_ret(&bench.e);
        emit_patch_short(&bench.e, over); /* never reached */
        emit_trap(&bench.e);
        bench.e.out = cold;
        emit_constant(&bench.e, RAX, 1);
        emit_ret(&bench.e);
        bench.e.out = &bench.e.hot;
        for (size_t n = 0; n < ARRAY_LEN(samples) * ARRAY_LEN(samples); n++) {
            uint64_t a = samples[n % ARRAY_LEN(samples)];
            uint64_t b = samples[n / ARRAY_LEN(samples)];
            CHECK_EQ(run(&bench, at, a, b), holds(condition, a, b));
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t *at = bench.e.hot.at = bench.map.write;
        emit_constant(&bench.e, RAX, 0);
        emit_constant(&bench.e, RCX, 1);
        emit_rr(&bench.e, X86_CMP, 8, RDI, RSI);
        if (rows[i].set != X86_COUNT)
            emit_r(&bench.e, rows[i].set, 1, RAX);
        else
            emit_rr(&bench.e, rows[i].move, 8, RAX, RCX);
        if (rows[i].set != X86_COUNT && rows[i].move != X86_COUNT) {
            emit_constant(&bench.e, R8, 2); /* flags stay */
            emit_rr(&bench.e, rows[i].move, 8, RAX, R8);
        }
        emit_ret(&bench.e);
        for (size_t n = 0; n < ARRAY_LEN(samples) * ARRAY_LEN(samples); n++) {
            uint64_t a = samples[n % ARRAY_LEN(samples)];
            uint64_t b = samples[n / ARRAY_LEN(samples)];
            unsigned both = rows[i].set != X86_COUNT && rows[i].move != X86_COUNT ? 2 : 1;
            CHECK_EQ(run(&bench, at, a, b), holds(rows[i].condition, a, b) ? both : 0);
        }
    }
    close_bench(&bench);
}

TEST(emit, wide_multiplication_and_division_use_rdx_and_rax)
{
    struct bench bench;

    if (!CAN_RUN)
        skip();
    open_bench(&bench);
    uint8_t *high_of[2];
    uint8_t *quotient_of[2];
    for (int is_signed = 0; is_signed < 2; is_signed++) {
        high_of[is_signed] = bench.e.hot.at;
        emit_rr(&bench.e, X86_MOV, 8, RAX, RDI);
        emit_r(&bench.e, is_signed ? X86_IMUL1 : X86_MUL, 8, RSI);
        emit_rr(&bench.e, X86_MOV, 8, RAX, RDX);
        emit_ret(&bench.e);
        quotient_of[is_signed] = bench.e.hot.at;
        emit_rr(&bench.e, X86_MOV, 8, RAX, RDI);
        if (is_signed)
            emit_cdq(&bench.e, 8);
        else
            emit_rr(&bench.e, X86_XOR, 4, RDX, RDX);
        emit_r(&bench.e, is_signed ? X86_IDIV : X86_DIV, 8, RSI);
        emit_rr(&bench.e, X86_XOR, 8, RAX, RDX); /* both results in one */
        emit_ret(&bench.e);
    }
    for (size_t n = 0; n < ARRAY_LEN(samples) * ARRAY_LEN(samples); n++) {
        uint64_t a = samples[n % ARRAY_LEN(samples)];
        uint64_t b = samples[n / ARRAY_LEN(samples)];
        __extension__ typedef unsigned __int128 wide;
        __extension__ typedef __int128 signed_wide;
        CHECK_EQ(run(&bench, high_of[0], a, b), (uint64_t)((wide)a * b >> 64));
        CHECK_EQ(run(&bench, high_of[1], a, b),
                 (uint64_t)((signed_wide)(int64_t)a * (int64_t)b >> 64));
        if (b == 0)
            continue;
        CHECK_EQ(run(&bench, quotient_of[0], a, b), (a / b) ^ (a % b));
        if ((int64_t)a != INT64_MIN || b != UINT64_MAX)
            CHECK_EQ(run(&bench, quotient_of[1], a, b),
                     (uint64_t)(((int64_t)a / (int64_t)b) ^ ((int64_t)a % (int64_t)b)));
    }
    close_bench(&bench);
}

static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static double double_of(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

TEST(emit, floating_point_computes_what_c_does)
{
    static const double numbers[] = {0.0, -0.0, 1.0, -1.5, 0.1, 3.0, 1e300, 5e-324, 1.0 / 3.0};
    static const enum x86_op ops[] = {X86_VADDSD, X86_VSUBSD, X86_VMULSD, X86_VDIVSD};
    struct bench bench;

    if (!CAN_RUN || is_missing(NEEDS(fma)))
        skip();
    open_bench(&bench);
    uint8_t *of_op[ARRAY_LEN(ops) + 1];
    for (size_t i = 0; i <= ARRAY_LEN(ops); i++) {
        of_op[i] = bench.e.hot.at;
        emit_rr(&bench.e, X86_VMOVQ_FROM_R, 8, 9, RDI); /* high registers too */
        emit_rr(&bench.e, X86_VMOVQ_FROM_R, 8, 14, RSI);
        if (i < ARRAY_LEN(ops))
            emit_rrr(&bench.e, ops[i], 8, 9, 9, 14);
        else /* xmm9 = xmm14 * xmm9 + xmm14 */
            emit_rrr(&bench.e, X86_VFMADD213SD, 8, 9, 14, 14);
        emit_rr(&bench.e, X86_VMOVQ_TO_R, 8, RAX, 9);
        emit_ret(&bench.e);
    }
    for (size_t n = 0; n < ARRAY_LEN(numbers) * ARRAY_LEN(numbers); n++) {
        double a = numbers[n % ARRAY_LEN(numbers)];
        double b = numbers[n / ARRAY_LEN(numbers)];
        double want[] = {a + b, a - b, a * b, b != 0 ? a / b : 0, fma(b, a, b)};
        for (size_t i = 0; i <= ARRAY_LEN(ops); i++) {
            double got = double_of(run(&bench, of_op[i], bits_of(a), bits_of(b)));
            if (ops[i % ARRAY_LEN(ops)] != X86_VDIVSD || b != 0)
                CHECK_EQ(bits_of(got), bits_of(want[i]));
        }
    }
    close_bench(&bench);
}

TEST(emit, locked_instructions_lose_no_update)
{
    struct bench bench;
    uint64_t cell = 40;

    if (!CAN_RUN)
        skip();
    open_bench(&bench);
    uint8_t *exchange_add = bench.e.hot.at;
    emit_rr(&bench.e, X86_MOV, 8, RAX, RSI);
    emit_lock(&bench.e);
    emit_rm(&bench.e, X86_XADD, 8, RAX, at_register(RDI, 0));
    emit_ret(&bench.e);
    uint8_t *compare = bench.e.hot.at; /* 42 -> rsi, and whether it did */
    emit_constant(&bench.e, RAX, 42);
    emit_lock(&bench.e);
    emit_rm(&bench.e, X86_CMPXCHG, 8, RSI, at_register(RDI, 0));
    emit_r(&bench.e, X86_SETE, 1, RAX);
    emit_rr(&bench.e, X86_MOVZX8, 4, RAX, RAX);
    emit_ret(&bench.e);
    CHECK_EQ(run(&bench, exchange_add, (uint64_t)(uintptr_t)&cell, 2), 40);
    CHECK_EQ(cell, 42);
    CHECK_EQ(run(&bench, compare, (uint64_t)(uintptr_t)&cell, 7), 1);
    CHECK_EQ(cell, 7);
    CHECK_EQ(run(&bench, compare, (uint64_t)(uintptr_t)&cell, 9), 0);
    CHECK_EQ(cell, 7);
    close_bench(&bench);
}

/* Calls code whose jump another thread patches. */
struct jumper {
    struct bench *bench;
    const uint8_t *at;
    atomic_bool stop;
    atomic_ulong seen[3]; /* how often each result came; 0: never */
};

static void *keep_jumping(void *argument)
{
    struct jumper *jumper = argument;

    while (!atomic_load_explicit(&jumper->stop, memory_order_relaxed)) {
        uint64_t result = run(jumper->bench, jumper->at, 0, 0);
        atomic_fetch_add_explicit(&jumper->seen[result < 3 ? result : 0], 1, memory_order_relaxed);
    }
    return NULL;
}

TEST(emit, a_jump_can_be_patched_while_it_is_executed)
{
    struct bench bench;

    if (!CAN_RUN)
        skip();
    open_bench(&bench);
    for (unsigned offset = 54; offset < 64; offset += 3) {
        bench.e.hot.at = bench.map.write + 1024 + offset;
        const uint8_t *one = bench.e.cold.at;
        bench.e.out = &bench.e.cold;
        emit_constant(&bench.e, RAX, 1);
        emit_ret(&bench.e);
        const uint8_t *two = bench.e.cold.at;
        emit_constant(&bench.e, RAX, 2);
        emit_ret(&bench.e);
        bench.e.out = &bench.e.hot;
        struct jumper jumper = {.bench = &bench, .at = bench.e.hot.at};
        uint8_t *site = emit_jmp(&bench.e, one);
        pthread_t thread;
        CHECK_EQ(pthread_create(&thread, NULL, keep_jumping, &jumper), 0);
        /* Long enough for the thread to have met both, many times. */
        for (unsigned n = 0; jumper.seen[1] < 2000 || jumper.seen[2] < 2000; n++)
            emit_patch(site, n % 2 ? one : two);
        emit_patch(site, one);
        atomic_store(&jumper.stop, true);
        pthread_join(thread, NULL);
        CHECK_EQ(jumper.seen[0], 0);
        CHECK_EQ(run(&bench, jumper.at, 0, 0), 1);
        emit_patch(site, two);
        CHECK_EQ(run(&bench, jumper.at, 0, 0), 2);
    }
    close_bench(&bench);
}

#define GUARD ((size_t)64)
#define MOST  ((size_t)96)

TEST(emit, nothing_is_written_past_the_end_of_a_stream)
{
    uint8_t bytes[2 * (GUARD + MOST + GUARD)];

    for (size_t size = EMIT_MAX_LENGTH; size <= MOST; size++)
        for (int is_cold = 0; is_cold < 2; is_cold++) {
            struct emitter e;
            uint8_t *hot = bytes + GUARD;
            uint8_t *cold = hot + MOST + 2 * GUARD;
            memset(bytes, 0xa5, sizeof(bytes));
            emitter_init(&e, hot, size, cold, size);
            e.out = is_cold ? &e.cold : &e.hot;
            uint8_t *mine = is_cold ? cold : hot;
            for (unsigned n = 0; n < 300; n++) {
                emit_mi(&e, X86_ADD_IMM, 8, at_index(R12, R13, 3, INT32_MAX), INT32_MIN);
                emit_jcc(&e, IF_EQUAL, hot);
                emit_constant(&e, R9, UINT64_MAX / 3);
                emit_call(&e, NULL);
                emit_u32(&e, n);
                CHECK(e.out->at > mine && e.out->at <= mine + size);
            }
            CHECK(e.overflow);
            for (uint8_t *at = bytes; at < bytes + sizeof(bytes); at++)
                CHECK((at >= mine && at < mine + size) || *at == 0xa5);
        }
}

TEST(emit, overflow_is_told_only_when_there_is_no_room_for_the_longest)
{
    uint8_t hot[EMIT_MAX_LENGTH + 5];
    uint8_t cold[EMIT_MAX_LENGTH];
    struct emitter e;

    emitter_init(&e, hot, sizeof(hot), cold, sizeof(cold));
    for (unsigned n = 0; n < 6; n++) {
        CHECK(!e.overflow);
        emit_ret(&e);
        CHECK_EQ(e.hot.at - hot, n + 1);
    }
    CHECK(!e.overflow);
    emit_ret(&e);
    CHECK(e.overflow);
    e.out = &e.cold;
    emit_ret(&e);
    CHECK_EQ(e.cold.at - cold, 1); /* each stream has its own end */
}

TEST_MAIN(TESTS(emit, instructions_of_two_registers_compute_what_c_does),
          TESTS(emit, memory_operands_reach_the_bytes_they_name),
          TESTS(emit, shifts_and_rotations_compute_what_c_does),
          TESTS(emit, bmi_instructions_compute_what_c_does),
          TESTS(emit, constants_are_sign_extended_to_the_width),
          TESTS(emit, extensions_take_the_low_bytes),
          TESTS(emit, conditions_jump_set_and_move_as_c_compares),
          TESTS(emit, wide_multiplication_and_division_use_rdx_and_rax),
          TESTS(emit, floating_point_computes_what_c_does),
          TESTS(emit, locked_instructions_lose_no_update),
          TESTS(emit, a_jump_can_be_patched_while_it_is_executed),
          TESTS(emit, nothing_is_written_past_the_end_of_a_stream),
          TESTS(emit, overflow_is_told_only_when_there_is_no_room_for_the_longest))
