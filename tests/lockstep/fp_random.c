/* SPDX-License-Identifier: Apache-2.0
 * Random floating-point code, executed by the interpreter and by the translator
 * from the same states, which are compared after each block.
 *
 *     fp_random [--seed N] [--count INSTRUCTIONS] [--long] [--plant]
 *
 * A block that differs is cut down to the shortest beginning that does. Operands
 * are what rounding, ranges, NaNs and boxing can go wrong with, mostly. Every mode
 * of the translator below takes its turn; --long is a hundred times as much. --plant
 * makes a result wrong, to show that it is found; then finding it is success. */
#include "base/endian.h"
#include "host/cpu.h"
#include "isa/insn.h"
#include "isa/ops.h"
#include "mem/dma.h"
#include "mem/space.h"
#include "riscv/code.h"
#include "riscv/fp.h"
#include "riscv/hart.h"
#include "translator/translator.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CODE       UINT64_C(0x80000000)
#define CODE_SIZE  (16 * PAGE_SIZE)
#define DATA       (CODE + CODE_SIZE)
#define DATA_SIZE  PAGE_SIZE
#define DONE       (DATA + DATA_SIZE)
#define RAM_SIZE   (CODE_SIZE + DATA_SIZE + PAGE_SIZE)
#define CODE_PAGES 32

#define BLOCK_INSNS 16
#define BLOCK_SIZE  ((size_t)4 * (BLOCK_INSNS + 1))
#define BLOCKS      ((unsigned)(CODE_SIZE / BLOCK_SIZE))
#define STATES      40 /* that a block is executed from */

#define WFI        0x10500073u
#define RM_DYNAMIC 7
#define PLANTED_OP OP_fnmsub_d
#define POINTER    8  /* x registers that point into the data, one of which the */
#define POINTER2   18 /* translator keeps in a host register */

/* ---- what is random ---- */

static uint64_t random_state;

/* splitmix64 */
static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static unsigned below(unsigned limit)
{
    return (unsigned)((next_random() >> 33) % limit);
}

static const uint32_t special32[] = {
    0x00000000, 0x00000001, 0x007fffff, 0x00800000, 0x00800001, 0x7f7fffff, 0x7f800000, 0x7f800001,
    0x7fbfffff, 0x7fc00000, 0x7fc00001, 0x7fffffff, 0x3f800000, 0x3f000000, 0x3effffff, 0x3f7fffff,
    0x3fc00000, 0x40200000, 0x4b000000, 0x4b800000, 0x4effffff, 0x4f000000, 0x4f7fffff, 0x4f800000,
    0x5effffff, 0x5f000000, 0x5f7fffff, 0x5f800000, 0x00ffffff, 0x1f800000, 0x5f000001, 0x33800000,
};

static const uint64_t special64[] = {
    0x0000000000000000, 0x0000000000000001, 0x000fffffffffffff, 0x0010000000000000,
    0x7fefffffffffffff, 0x7ff0000000000000, 0x7ff0000000000001, 0x7ff7ffffffffffff,
    0x7ff8000000000000, 0x7ff8000000000001, 0x3ff0000000000000, 0x3fe0000000000000,
    0x3fdfffffffffffff, 0x3ff8000000000000, 0x4004000000000000, 0x41dfffffffc00000,
    0x41dfffffffe00000, 0x41e0000000000000, 0x41e0000000100000, 0x41e0000000200000,
    0x41efffffffe00000, 0x41effffffff00000, 0x41f0000000000000, 0x4330000000000000,
    0x4340000000000000, 0x43dfffffffffffff, 0x43e0000000000000, 0x43e0000000000001,
    0x43efffffffffffff, 0x43f0000000000000, 0x36a0000000000000, 0x47efffffe0000000,
    0x47effffff0000000, 0x380fffffffffffff, 0x3810000000000000, 0x41e0000000080000,
};

static uint32_t random_single(void)
{
    uint32_t value = (uint32_t)next_random();
    uint32_t sign = (uint32_t)next_random() & FP32_SIGN;

    switch (below(8)) {
    case 0:
    case 1:
        return special32[below(ARRAY_LEN(special32))] ^ sign;
    case 2: /* a few steps from such a value */
        return (special32[below(ARRAY_LEN(special32))] + below(5) - 2) ^ sign;
    case 3: /* exponents near one, so that operands meet; few bits */
        return (value & 0x00f00000) | (124 + below(8)) << 23 | sign;
    case 4:
        return (value & 0x007fffff) | (124 + below(8)) << 23 | sign;
    case 5: /* about integers: ties, ranges */
        return (value & 0x007f8000) | (126 + below(70)) << 23 | sign;
    case 6: /* products and quotients about the ends of the range */
        return (value & 0x007fffff) | (60 + below(136)) << 23 | sign;
    default:
        return value;
    }
}

static uint64_t random_double(void)
{
    uint64_t value = next_random();
    uint64_t sign = next_random() & FP64_SIGN;

    switch (below(8)) {
    case 0:
    case 1:
        return special64[below(ARRAY_LEN(special64))] ^ sign;
    case 2:
        return (special64[below(ARRAY_LEN(special64))] + below(5) - 2) ^ sign;
    case 3:
        return (value & 0x000f000000000000) | (uint64_t)(1020 + below(8)) << 52 | sign;
    case 4:
        return (value & bits_mask(52)) | (uint64_t)(1020 + below(8)) << 52 | sign;
    case 5: /* about integers, with fractions of few bits */
        return (value & (bits_mask(52) << (16 + below(36))) & bits_mask(52)) |
               (uint64_t)(1022 + below(68)) << 52 | sign;
    case 6: /* about the ends of the range, of singles, too */
        return (value & bits_mask(52)) |
               (uint64_t)(below(2) ? 512 + below(1024) : 870 + below(300)) << 52 | sign;
    default:
        return value;
    }
}

/* Most blocks are about one format, or nearly all singles would be unboxed. */
enum flavour { SINGLES, DOUBLES, BOTH };

static uint64_t random_float(enum flavour flavour)
{
    uint64_t single = fp32_box(random_single());

    if (flavour != BOTH && below(30))
        return flavour == SINGLES ? single : random_double();
    switch (below(16)) {
    case 0: /* nearly boxed */
        return single ^ UINT64_C(1) << (32 + below(32));
    case 1:
        return next_random();
    case 2 ... 8:
        return single;
    default:
        return random_double();
    }
}

static uint64_t random_integer(void)
{
    uint64_t value = next_random();

    switch (below(7)) {
    case 0:
        return value & 0xff;
    case 1:
        return (uint64_t) - (int64_t)(value & 0xff);
    case 2:
        return (UINT64_C(1) << (value & 63)) + below(5) - 2;
    case 3: /* ties of conversions */
        return (value | UINT64_C(1) << 63) & ~bits_mask(below(40)) & UINT64_MAX << below(12);
    case 4:
        return (uint64_t)(int64_t)(int32_t)value;
    case 5:
        return random_float(BOTH);
    default:
        return value;
    }
}

/* ---- blocks ---- */

static uint16_t fp_ops[OP_COUNT];
static unsigned fp_op_count;

static void find_fp_ops(void)
{
    for (unsigned op = 1; op < OP_COUNT; op++)
        if ((isa_ops[op].extension == EXT_F || isa_ops[op].extension == EXT_D) &&
            !(isa_ops[op].flags & (IS_LOAD | IS_STORE)))
            fp_ops[fp_op_count++] = (uint16_t)op;
}

/* Few registers, so that they alias; half of a block's are any. */
static uint8_t choose_register(const uint8_t few[4])
{
    return (uint8_t)(below(4) ? few[below(4)] : below(32));
}

static uint8_t choose_target(const uint8_t few[4])
{
    uint8_t reg = choose_register(few);

    return reg == POINTER || reg == POINTER2 ? 10 : reg;
}

static uint8_t choose_rm(void)
{
    unsigned n = below(200);

    return (uint8_t)(n == 0 ? 5 + below(2) : n < 90 ? RM_DYNAMIC : below(5));
}

/* Of the conversions from one format to the other, each block has some. */
static uint16_t choose_op(enum flavour flavour)
{
    for (;;) {
        uint16_t op = fp_ops[below(fp_op_count)];
        bool is_single = isa_ops[op].extension == EXT_F;
        if (flavour == BOTH || is_single == (flavour == SINGLES) || below(30) == 0)
            return op;
    }
}

static struct insn fp_insn(enum flavour flavour, const uint8_t few[4], const uint8_t few_x[4])
{
    struct insn insn = {.op = choose_op(flavour), .length = 4, .rm = choose_rm()};
    uint32_t flags = isa_ops[insn.op].flags;

    insn.rd = flags & F_RD ? choose_register(few) : choose_target(few_x);
    insn.rs1 = choose_register(flags & F_RS1 ? few : few_x);
    insn.rs2 = choose_register(few);
    insn.rs3 = choose_register(few);
    return insn;
}

static struct insn memory_insn(enum flavour flavour, const uint8_t few[4])
{
    static const uint16_t ops[] = {OP_flw, OP_fsw, OP_fld, OP_fsd};

    return (struct insn){
        .op = ops[flavour == BOTH ? below(4) : 2 * (unsigned)flavour + below(2)],
        .length = 4,
        .rd = choose_register(few),
        .rs1 = below(2) ? POINTER : POINTER2,
        .rs2 = choose_register(few),
        .imm = (int32_t)(below(8) ? 8 * below(64) : below(512)),
    };
}

/* fflags, frm and fcsr read and written, mostly with modes that exist. */
static struct insn csr_insn(const uint8_t few_x[4])
{
    struct insn insn = {.length = 4, .rd = choose_target(few_x)};

    insn.op = (uint16_t)(below(2) ? OP_csrrwi : OP_csrrsi);
    insn.imm = 1 + (int32_t)below(2);
    insn.rs1 = (uint8_t)(insn.op == OP_csrrsi ? 0 : insn.imm == 2 ? below(5) : below(32));
    if (below(4) == 0) {
        insn.op = OP_csrrs;
        insn.imm = 3;
        insn.rs1 = 0;
    }
    return insn;
}

static uint32_t random_insn(enum flavour flavour, const uint8_t few[4], const uint8_t few_x[4],
                            bool is_last)
{
    struct insn insn;

    switch (below(20)) {
    case 0:
        insn = memory_insn(flavour, few);
        break;
    case 1:
        insn = csr_insn(few_x);
        break;
    case 2: /* over the next one, or not: what follows is entered from two places */
        insn = (struct insn){.op = OP_blt,
                             .length = 4,
                             .rs1 = choose_register(few_x),
                             .rs2 = choose_register(few_x),
                             .imm = is_last ? 4 : 8};
        break;
    default:
        insn = fp_insn(flavour, few, few_x);
        break;
    }
    return isa_encode(&insn);
}

static void random_block(uint32_t *words, enum flavour flavour)
{
    static const uint8_t pinned[] = {10, 11, 12, 15, 0, 1, 8, 9};
    uint8_t few[4];
    uint8_t few_x[4];

    for (unsigned i = 0; i < 4; i++) {
        few[i] = (uint8_t)(below(2) ? pinned[below(ARRAY_LEN(pinned))] : below(32));
        few_x[i] = (uint8_t)below(32);
    }
    for (unsigned i = 0; i < BLOCK_INSNS; i++)
        words[i] = random_insn(flavour, few, few_x, i == BLOCK_INSNS - 1);
    words[BLOCK_INSNS] = WFI;
}

/* What a block starts from. */
struct state {
    uint64_t x[32];
    uint64_t f[32];
    uint64_t data[DATA_SIZE / 8];
    uint64_t fs; /* mstatus.FS */
    uint32_t fflags;
    uint32_t frm;
};

static void random_start(struct state *state, enum flavour flavour)
{
    state->x[0] = 0;
    for (unsigned i = 0; i < 32; i++) {
        state->x[i] = i ? random_integer() : 0;
        state->f[i] = random_float(flavour);
    }
    state->x[POINTER] = DATA + 8 * (uint64_t)below(64);
    state->x[POINTER2] = DATA + 1024;
    for (unsigned i = 0; i < ARRAY_LEN(state->data); i++)
        state->data[i] = random_float(flavour);
    state->fs = below(30) ? MSTATUS_FS : (uint64_t)below(4) * (MSTATUS_FS & -MSTATUS_FS);
    state->fflags = below(4) ? 0 : below(32);
    state->frm = below(5) ? below(4) : below(8);
}

/* ---- machines ---- */

struct side {
    struct space space;
    struct hart *hart;
    struct translator *translator; /* NULL: the interpreter */
    uint8_t *ram;
};

static void nothing(void *owner)
{
    (void)owner;
}

static uint64_t no_time(void *owner)
{
    (void)owner;
    return 0;
}

static void *pages(size_t size)
{
    size = bits_align_up(size, PAGE_SIZE);
    void *bytes = aligned_alloc(PAGE_SIZE, size);

    if (!bytes)
        abort();
    memset(bytes, 0, size);
    return bytes;
}

static void create_side(struct side *side, const struct translator_options *options)
{
    struct error err = {0};

    *side = (struct side){.space = {.device_lock = {nothing, nothing, NULL}}};
    side->ram = pages(RAM_SIZE);
    space_add_ram(&side->space, CODE, RAM_SIZE, side->ram);
    store_le32(side->ram + (DONE - CODE), WFI);
    side->hart = pages(translator_hart_size());
    struct hart_config config = {
        .extensions = extension_set_all(),
        .widest_satp = SATP_SV39,
        .reset_pc = DONE,
        .space = &side->space,
        .ports = {no_time, NULL},
        .code_memory = pages(code_cache_size(CODE_PAGES)),
        .code_pages = CODE_PAGES,
    };
    hart_init(side->hart, &config);
    side->hart->mtvec = DONE;
    if (!options)
        return;
    if (translator_create(options, &side->translator, &err) < 0) {
        fprintf(stderr, "fp_random: %s\n", err.text);
        exit(2);
    }
    translator_connect(side->translator, &side->space);
    translator_attach(side->translator, side->hart);
}

static void destroy_side(struct side *side)
{
    translator_destroy(side->translator);
    free(side->hart->config.code_memory);
    free(side->hart);
    free(side->ram);
}

static void write_code(struct side *side, gpa_t at, const uint32_t *words, size_t size)
{
    if (!dma_write(&side->space, at, words, size))
        abort();
    hart_request(side->hart, HART_REQUEST_FENCE_I);
    hart_serve_requests(side->hart);
}

/* To the wfi at the end of the block, or of the handler of traps. */
static void run_side(struct side *side, gpa_t pc, const struct state *state)
{
    struct hart *hart = side->hart;
    enum hart_exit reason = HART_EXIT_POLL;

    memcpy(hart->x, state->x, sizeof(state->x));
    memcpy(hart->f, state->f, sizeof(state->f));
    memcpy(side->ram + (DATA - CODE), state->data, DATA_SIZE);
    hart->fflags = state->fflags;
    hart->frm = state->frm;
    hart->mstatus = (hart->mstatus & ~MSTATUS_FS) | state->fs;
    hart->pc = pc;
    hart_set_privilege(hart, PRIV_M);
    for (unsigned i = 0; i < 100 && reason != HART_EXIT_WFI; i++)
        reason = side->translator ? translator_run(side->translator, hart) : hart_run(hart);
    if (reason != HART_EXIT_WFI)
        abort();
}

/* ---- comparing ---- */

static bool differs(bool print, const char *name, unsigned number, uint64_t expected, uint64_t seen)
{
    if (expected != seen && print)
        printf("#   %s%u: interpreter %016" PRIx64 ", translator %016" PRIx64 "\n", name, number,
               expected, seen);
    return expected != seen;
}

static bool states_differ(const struct side *a, const struct side *b, bool print)
{
    const struct hart *left = a->hart;
    const struct hart *right = b->hart;
    bool result = differs(print, "pc", 0, left->pc, right->pc) |
                  differs(print, "icount", 0, left->icount, right->icount) |
                  differs(print, "mepc", 0, left->mepc, right->mepc) |
                  differs(print, "traps", 0, left->traps, right->traps) |
                  differs(print, "mstatus", 0, left->mstatus, right->mstatus) |
                  differs(print, "fflags", 0, left->fflags, right->fflags) |
                  differs(print, "frm", 0, left->frm, right->frm);

    for (unsigned i = 0; i < 32; i++) {
        result |= differs(print, "x", i, left->x[i], right->x[i]);
        result |= differs(print, "f", i, left->f[i], right->f[i]);
    }
    return result | (memcmp(a->ram, b->ram, RAM_SIZE) != 0);
}

static bool plants;

/* The result of a block with that instruction is wrong when --plant says so. */
static void plant(struct side *side, const uint32_t *words, unsigned count)
{
    struct extension_set all = extension_set_all();
    bool has_op = false;

    for (unsigned i = 0; i < count && plants; i++)
        has_op |= isa_decode(words[i], &all).op == PLANTED_OP;
    if (has_op)
        side->hart->f[13] ^= 1u << 17;
}

/* Runs the first `count` instructions of a block. */
static bool beginning_differs(struct side sides[2], const uint32_t *words, unsigned count,
                              const struct state *state, bool print)
{
    uint32_t cut[BLOCK_INSNS + 2];

    memcpy(cut, words, 4 * (size_t)count);
    cut[count] = WFI;
    cut[count + 1] = WFI; /* where a branch at the end leads */
    for (unsigned i = 0; i < 2; i++) {
        write_code(&sides[i], CODE, cut, 4 * (size_t)(count + 2));
        run_side(&sides[i], CODE, state);
    }
    plant(&sides[1], words, count);
    return states_differ(&sides[0], &sides[1], print);
}

static void print_operands(const struct insn *insn, const struct hart *hart)
{
    const uint8_t registers[] = {insn->rs1, insn->rs2, insn->rs3};

    for (unsigned i = 0; i < 3; i++)
        printf("#   rs%u: f%u %016" PRIx64 ", x%u %016" PRIx64 "\n", i + 1, registers[i],
               hart->f[registers[i]], registers[i], hart->x[registers[i]]);
    printf("#   frm %u, fflags %u\n", hart->frm, hart->fflags);
}

/* Returns the op of the instruction that makes the difference; OP_illegal: none does
 * without the blocks before. */
static unsigned report(struct side sides[2], const uint32_t *words, const struct state *state)
{
    struct extension_set all = extension_set_all();
    unsigned count = 1;

    while (count <= BLOCK_INSNS && !beginning_differs(sides, words, count, state, false))
        count++;
    if (count > BLOCK_INSNS) {
        printf("# alone, the block does not differ\n");
        return OP_illegal;
    }
    for (unsigned i = 0; i < count; i++) {
        char text[80];
        struct insn insn = isa_decode(words[i], &all);
        isa_disassemble(&insn, CODE, text, sizeof(text));
        printf("#   %s\n", text);
    }
    struct insn last = isa_decode(words[count - 1], &all);
    beginning_differs(sides, words, count - 1, state, false);
    printf("# the last one's operands, and what differs:\n");
    print_operands(&last, sides[0].hart);
    beginning_differs(sides, words, count, state, true);
    return last.op;
}

/* ---- modes ---- */

struct mode {
    const char *name;
    const char *features; /* to do without */
    unsigned unit_limit;
    bool no_inline;
    unsigned share; /* of the instructions */
};

static const struct mode modes[] = {
    {"everything", "", 0, false, 6},
    {"without FMA", "-fma", 0, false, 2},
    {"without AVX-512 and AVX2", "-avx2,-avx512", 0, false, 1},
    {"without BMI", "-bmi1,-bmi2", 0, false, 1},
    {"without AVX", "-avx", 0, false, 1},
    {"without any feature", "none", 0, false, 1},
    {"units of one instruction", "", 1, false, 1},
    {"nothing inline", "", 0, true, 1},
};
#define SHARES 14

/* Runs all blocks that the code has room for; false: a difference, made by `op`. */
static bool run_batch(struct side sides[2], unsigned *op)
{
    static uint32_t words[BLOCKS][BLOCK_INSNS + 1];
    static struct state state;

    for (unsigned i = 0; i < BLOCKS; i++)
        random_block(words[i], (enum flavour)(i % 3));
    for (unsigned i = 0; i < 2; i++)
        write_code(&sides[i], CODE, words[0], sizeof(words));
    for (unsigned block = 0; block < BLOCKS; block++)
        for (unsigned n = 0; n < STATES; n++) {
            gpa_t pc = CODE + (uint64_t)block * BLOCK_SIZE;
            random_start(&state, (enum flavour)(block % 3));
            run_side(&sides[0], pc, &state);
            run_side(&sides[1], pc, &state);
            plant(&sides[1], words[block], BLOCK_INSNS);
            if (states_differ(&sides[0], &sides[1], false)) {
                *op = report(sides, words[block], &state);
                return false;
            }
        }
    return true;
}

static bool run_mode(const struct mode *mode, uint64_t count, unsigned *op)
{
    struct translator_options options = {
        .features = cpu_features_detect(),
        .unit_limit = mode->unit_limit,
        .no_inline = mode->no_inline,
    };
    struct error err = {0};
    struct side sides[2];
    bool good = true;

    if (cpu_features_restrict(&options.features, mode->features, &err) < 0)
        abort();
    create_side(&sides[0], NULL);
    create_side(&sides[1], &options);
    while (good && sides[0].hart->icount < count)
        good = run_batch(sides, op);
    struct translator_stats stats = translator_stats(sides[1].translator);
    printf("# %" PRIu64 " instructions, %" PRIu64 " by the interpreter\n", sides[1].hart->icount,
           stats.fallbacks);
    destroy_side(&sides[0]);
    destroy_side(&sides[1]);
    return good;
}

static bool parse(int argc, char **argv, uint64_t *count)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--long") == 0)
            *count *= 100;
        else if (strcmp(argv[i], "--plant") == 0)
            plants = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            random_state = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
            *count = strtoull(argv[++i], NULL, 0);
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct cpu_features features = cpu_features_detect();
    uint64_t count = 4500000;
    bool good = true;

    random_state = (uint64_t)time(NULL) << 20;
    if (!parse(argc, argv, &count)) {
        fprintf(stderr, "usage: fp_random [--seed N] [--count INSTRUCTIONS] [--long] [--plant]\n");
        return 2;
    }
    if (!translator_is_supported(&features)) {
        printf("1..0 # SKIP no translator for this host\n");
        return 77;
    }
    find_fp_ops();
    size_t mode_count = plants ? 1 : ARRAY_LEN(modes);
    printf("1..%zu\n# seed %" PRIu64 "\n", mode_count, random_state);
    for (unsigned i = 0; i < mode_count; i++) {
        unsigned op = OP_illegal;
        fflush(stdout);
        bool same = run_mode(&modes[i], count / SHARES * modes[i].share, &op);
        /* A planted fault must be found, and narrowed down to its instruction. */
        bool right = plants ? !same && op == PLANTED_OP : same;
        printf("%sok %u - random floating point, %s%s\n", right ? "" : "not ", i + 1, modes[i].name,
               plants ? ", with a planted fault" : "");
        good &= right;
    }
    return !good;
}
