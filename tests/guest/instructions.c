/* SPDX-License-Identifier: Apache-2.0
 * Every instruction of the table with operands at their edges. For each stub (one
 * choice of registers, immediate and rounding mode) all registers, flags and the
 * memory it touched go into a hash; a line has the hashes of an instruction's
 * stubs. `seen` words are the results of the first operands, for the reader. */
#include "guest.h"

/* ORDER KIND: gen_instructions.py */
enum kind {
    NOTHING_READ,
    INT,
    BRANCH,
    LINK,          /* rd is an address near the stub */
    JUMP_REGISTER, /* to imm bytes after the stub */
    LOAD,
    STORE,
    ATOMIC,
    FP,
    CHECKED, /* Zicond, which QEMU 7.2 has not got, and ctzw, which it gets wrong */
};
/* ORDER FLAG: gen_instructions.py */
enum {
    F_RS1 = 1,
    F_RS2 = 2,
    F_RS3 = 4,
    DOUBLE = 8,
    NEZ = 16,
    CTZW = 32,
};
#define RM_NONE    9
#define RM_DYNAMIC 7

struct test_case {
    const char *name;
    const char *stub;
    uint8_t kind, rd, rs1, rs2, rs3, flags, rm, pad;
    int64_t imm;
};
extern const struct test_case cases[];
extern const uint64_t case_count;

/* ORDER STATE: state.S */
struct state {
    uint64_t x[32];
    uint64_t f[32];
    uint64_t fcsr;
};
void run_state(const struct state *in, struct state *out, const void *stub);

static uint64_t memory[160] __attribute__((aligned(64)));
static struct state in, out;
static uint64_t hash;
static uint64_t seen[2];
static unsigned runs;

static const uint64_t integers[] = {
    0,
    1,
    2,
    63,
    64,
    -1ul,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0xffffffff80000000,
    0x7fffffffffffffff,
    0x8000000000000000,
    0x0123456789abcdef,
    0xfedcba9876543210,
};

static const uint64_t doubles[] = {
    0x0000000000000000, 0x8000000000000000, /* zeros */
    0x3ff0000000000000, 0xbff0000000000000, /* ones */
    0x3ff8000000000000, 0xc004000000000000, /* 1.5, -2.5 */
    0x7ff0000000000000, 0xfff0000000000000, /* infinities */
    0x7ff8000000000000, 0x7ff0000000000001, /* quiet, signalling */
    0xfff8000000000123, 0x7fefffffffffffff, /* NaN with payload, largest */
    0x0010000000000000, 0x000fffffffffffff, /* smallest normal, largest subnormal */
    0x0000000000000001, 0x8000000000000001, /* smallest */
    0x41dfffffffc00000, 0xc1e0000000000000, /* 2^31 - 1, -2^31 */
    0x43e0000000000000, 0x3fe0000000000000, /* 2^63, 0.5 */
    0x3ff0000000000001, 0x4340000000000001, /* 1 + ulp, 2^53 + 2 */
    0x36a0000000000000, 0x47efffffe0000000, /* smallest and largest of floats */
};

static const uint64_t floats[] = {
    0xffffffff00000000, 0xffffffff80000000, 0xffffffff3f800000, 0xffffffffbf800000,
    0xffffffff3fc00000, 0xffffffffc0200000, 0xffffffff7f800000, 0xffffffffff800000,
    0xffffffff7fc00000, 0xffffffff7f800001, 0xffffffffffc00123, 0xffffffff7f7fffff,
    0xffffffff00800000, 0xffffffff007fffff, 0xffffffff00000001, 0xffffffff80000001,
    0xffffffff4effffff, 0xffffffffcf000000, 0xffffffff5f000000, 0xffffffff3f000000,
    0xffffffff3f800001, 0xffffffff4b000001, 0x3ff000003f800000, 0xfffffffe3f800000, /* not boxed */
};
#define FP_VALUES ARRAY_LEN(doubles)
_Static_assert(ARRAY_LEN(floats) == FP_VALUES, "one loop for both");

static void mix(uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
}

static void fresh_state(void)
{
    for (unsigned i = 0; i < 32; i++) {
        in.x[i] = i * 0x0101010101010101;
        in.f[i] = 0xffffffff40000000 + i;
    }
    in.x[0] = 0;
    in.fcsr = 0;
}

static void fresh_memory(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(memory); i++)
        memory[i] = 0xf0e1d2c3b4a59687 * (i + 1);
}

static void run_case(const struct test_case *test)
{
    bool touches_memory = test->kind >= LOAD && test->kind <= ATOMIC;
    bool links = test->kind == LINK || test->kind == JUMP_REGISTER;

    run_state(&in, &out, test->stub);
    for (unsigned i = 0; i < 32; i++) {
        uint64_t value = out.x[i];
        if (links && i == test->rd && i != 0)
            mix(value - (uint64_t)test->stub);
        else
            mix(value == in.x[i] ? i : value);
        mix(out.f[i]);
    }
    mix(out.fcsr);
    if (touches_memory)
        for (unsigned i = 0; i < ARRAY_LEN(memory); i++)
            mix(memory[i]);
    if (runs < 2 && !links)
        seen[runs] = test->kind == FP && !(test->flags & F_RS1) ? out.f[test->rd] : out.x[test->rd];
    runs++;
}

static void integer_case(const struct test_case *test)
{
    for (unsigned i = 0; i < ARRAY_LEN(integers); i++) {
        for (unsigned j = 0; j < ARRAY_LEN(integers); j++) {
            in.x[test->rs2] = integers[j];
            in.x[test->rs1] = integers[i];
            in.x[0] = 0;
            run_case(test);
            if (!test->rs2 || test->rs1 == test->rs2)
                break;
        }
    }
}

static uint64_t expected(const struct test_case *test)
{
    uint64_t a = in.x[test->rs1];

    if (test->flags & CTZW) {
        for (unsigned i = 0; i < 32; i++)
            if (a >> i & 1)
                return i;
        return 32;
    }
    return (in.x[test->rs2] == 0) == ((test->flags & NEZ) != 0) ? a : 0;
}

/* Returns how many registers were wrong. */
static uint64_t checked_case(const struct test_case *test)
{
    uint64_t wrong = 0;

    for (unsigned i = 0; i < ARRAY_LEN(integers); i++) {
        for (unsigned j = 0; j < ARRAY_LEN(integers); j++) {
            in.x[test->rs2] = integers[j];
            in.x[test->rs1] = integers[i];
            in.x[0] = 0;
            run_state(&in, &out, test->stub);
            uint64_t want = test->rd ? expected(test) : 0;
            for (unsigned r = 0; r < 32; r++)
                wrong += out.x[r] != (r == test->rd ? want : in.x[r]);
        }
    }
    return wrong;
}

static void memory_case(const struct test_case *test)
{
    for (unsigned offset = 0; offset < 16; offset++) {
        fresh_memory();
        in.x[test->rs2] = integers[12] * (offset + 1);
        in.f[test->rs2] = integers[13] * (offset + 1);
        in.x[test->rs1] = (uint64_t)memory + offset - (uint64_t)test->imm;
        in.x[0] = 0;
        run_case(test);
    }
}

static void atomic_case(const struct test_case *test)
{
    for (unsigned i = 0; i < ARRAY_LEN(integers); i++) {
        for (unsigned j = 0; j < ARRAY_LEN(integers); j++) {
            fresh_memory();
            memory[8] = integers[i];
            in.x[test->rs2] = integers[j];
            in.x[test->rs1] = (uint64_t)&memory[8];
            in.x[0] = 0;
            run_case(test);
        }
    }
}

static uint64_t fp_value(const struct test_case *test, unsigned i)
{
    return test->flags & DOUBLE ? doubles[i] : floats[i];
}

static void fp_operands(const struct test_case *test)
{
    bool two = test->flags & F_RS2;
    bool three = test->flags & F_RS3;
    unsigned values = test->flags & F_RS1 ? FP_VALUES : ARRAY_LEN(integers);

    for (unsigned i = 0; i < values; i++) {
        for (unsigned j = 0; j < (two ? values : 1); j++) {
            for (unsigned k = 0; k < (three ? values : 1); k += three ? 5 : 1) {
                uint64_t fcsr = in.fcsr;
                fresh_state();
                in.fcsr = fcsr;
                if (three)
                    in.f[test->rs3] = fp_value(test, (k + i + j) % values);
                if (two)
                    in.f[test->rs2] = fp_value(test, j);
                if (test->flags & F_RS1)
                    in.f[test->rs1] = fp_value(test, i);
                else
                    in.x[test->rs1] = test->rs1 ? integers[i] : 0;
                run_case(test);
            }
        }
    }
}

static void fp_case(const struct test_case *test)
{
    unsigned modes = test->rm == RM_DYNAMIC && test->rd == 5 && test->rs1 == 6 ? 5 : 1;

    for (unsigned frm = 0; frm < modes; frm++) {
        /* A static mode must not look at frm: RMM there. Flags stay set. */
        in.fcsr = test->rm == RM_DYNAMIC ? frm << 5 : test->rm == RM_NONE ? 0x10 : 4 << 5;
        fp_operands(test);
    }
}

static void jump_case(const struct test_case *test)
{
    in.x[test->rs1] = (uint64_t)test->stub + (uint64_t)test->imm;
    run_case(test);
}

static void any_case(const struct test_case *test)
{
    fresh_state();
    switch ((enum kind)test->kind) {
    case NOTHING_READ:
    case LINK:
        run_case(test);
        break;
    case INT:
    case BRANCH:
        integer_case(test);
        break;
    case JUMP_REGISTER:
        jump_case(test);
        break;
    case LOAD:
    case STORE:
        memory_case(test);
        break;
    case ATOMIC:
        atomic_case(test);
        break;
    case FP:
        fp_case(test);
        break;
    case CHECKED:
        if (outcome(M, (const void *)checked_case, (uint64_t)test, 0) != RETURNED)
            area()->m.a0 = -1ul;
        check(test->name, area()->m.a0, 0);
        break;
    }
}

int main(void)
{
    uint64_t total = 0;

    for (uint64_t i = 0; i < case_count; i++) {
        const struct test_case *test = &cases[i];
        bool is_first = i == 0 || cases[i - 1].name != test->name;
        if (is_first) {
            if (test->kind != CHECKED)
                put_text(test->name);
            runs = 0;
            hash = 0;
        } else {
            runs = 2;
        }
        any_case(test);
        if (test->kind == CHECKED)
            continue;
        put_text(" ");
        put_hex(hash >> 40);
        bool is_last = i + 1 == case_count || cases[i + 1].name != test->name;
        total += is_last;
        if (is_last) {
            put_text(" seen ");
            put_hex(seen[0]);
            put_text(" ");
            put_hex(seen[1]);
            put_text("\n");
        }
    }
    show("instructions", total);
    return 0;
}
