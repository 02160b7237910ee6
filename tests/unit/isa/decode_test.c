/* SPDX-License-Identifier: Apache-2.0
 * isa_decode and isa_encode of 32-bit instructions. */
#include "harness/harness.h"

#include "isa/insn.h"
#include "isa/ops.h"
#include "random.h"

static struct extension_set all_but(enum extension ext)
{
    struct extension_set set = extension_set_all();
    set.bits &= ~BIT(ext);
    return set;
}

/* Row `op` with random bits where the pattern has dots, and a valid rm. */
static uint32_t random_encoding(unsigned op, uint64_t *state)
{
    struct encoding encoding = isa_op_encoding(op);
    uint32_t word = encoding.match | (random_word(state) & ~encoding.mask);

    if (isa_formats[isa_ops[op].format].fields & HAS_RM)
        word = (word & ~0x7000u) | random_word(state) % 5 << 12;
    return word;
}

TEST(decode, every_row_survives_decode_and_encode)
{
    const struct extension_set all = extension_set_all();
    uint64_t state = 1;

    for (unsigned op = OP_illegal + 1; op < OP_COUNT; op++) {
        for (int i = 0; i < 2000; i++) {
            uint32_t word = random_encoding(op, &state);
            struct insn insn = isa_decode(word, &all);
            CHECK_EQ(insn.length, 4);
            CHECK_EQ(insn.raw, word);
            CHECK_EQ(isa_encode(&insn), word);
            /* A more specific row may win: prefetch.* of ori, pause of fence. */
            if (insn.op != op) {
                CHECK(isa_ops[insn.op].flags & IS_HINT);
                struct insn plain = isa_decode(word, &(struct extension_set){BIT(EXT_I)});
                CHECK_EQ(plain.op, op);
            }
        }
    }
}

TEST(decode, any_word_decodes_and_encodes_to_itself)
{
    const struct extension_set all = extension_set_all();
    uint64_t state = 2;

    for (int i = 0; i < 2000000; i++) {
        uint32_t word = random_word(&state) | 3;
        struct insn insn = isa_decode(word, &all);
        CHECK(insn.op < OP_COUNT);
        CHECK(insn.rd < 32 && insn.rs1 < 32 && insn.rs2 < 32 && insn.rs3 < 32 && insn.rm < 8);
        CHECK_EQ(isa_encode(&insn), word);
    }
}

TEST(decode, fields_the_format_lacks_are_zero)
{
    const struct extension_set all = extension_set_all();
    uint64_t state = 3;

    for (unsigned op = OP_illegal + 1; op < OP_COUNT; op++) {
        struct insn insn = isa_decode(random_encoding(op, &state), &all);
        const struct format_info *format = &isa_formats[isa_ops[insn.op].format];
        CHECK((format->fields & HAS_RD) || insn.rd == 0);
        CHECK((format->fields & HAS_RS1) || insn.rs1 == 0);
        CHECK((format->fields & HAS_RS2) || insn.rs2 == 0);
        CHECK((format->fields & HAS_RS3) || insn.rs3 == 0);
        CHECK((format->fields & (HAS_RM | HAS_AQRL)) || insn.rm == 0);
        CHECK(format->imm != IMM_NONE || insn.imm == 0);
    }
}

TEST(decode, register_use_matches_the_format)
{
    for (unsigned op = OP_illegal + 1; op < OP_COUNT; op++) {
        unsigned flags = isa_ops[op].flags;
        unsigned fields = isa_formats[isa_ops[op].format].fields;
        /* One file per operand, and only operands that have a field. */
        CHECK((flags & (X_RD | F_RD)) != (X_RD | F_RD));
        CHECK((flags & (X_RS1 | F_RS1)) != (X_RS1 | F_RS1));
        CHECK((flags & (X_RS2 | F_RS2)) != (X_RS2 | F_RS2));
        CHECK(!(flags & (X_RD | F_RD)) || (fields & HAS_RD));
        CHECK(!(flags & (X_RS1 | F_RS1)) || (fields & HAS_RS1));
        CHECK(!(flags & (X_RS2 | F_RS2)) || (fields & HAS_RS2));
        CHECK(!(flags & F_RS3) == !(fields & HAS_RS3));
        if (isa_ops[op].format != FORMAT_FENCE && isa_ops[op].format != FORMAT_CSRI) {
            CHECK(!(fields & HAS_RD) || (flags & (X_RD | F_RD)));
            CHECK(!(fields & HAS_RS1) || (flags & (X_RS1 | F_RS1)));
            CHECK(!(fields & HAS_RS2) || (flags & (X_RS2 | F_RS2)));
        }
    }
}

TEST(decode, a_row_without_its_extension_is_illegal_or_the_row_behind)
{
    uint64_t state = 4;

    for (unsigned op = OP_illegal + 1; op < OP_COUNT; op++) {
        struct extension_set without = all_but(isa_ops[op].extension);
        uint32_t word = random_encoding(op, &state);
        struct insn insn = isa_decode(word, &without);
        switch (op) {
        case OP_prefetch_i:
        case OP_prefetch_r:
        case OP_prefetch_w:
            CHECK_EQ(insn.op, OP_ori);
            break;
        case OP_pause:
            CHECK_EQ(insn.op, OP_fence);
            break;
        default:
            CHECK_EQ(insn.op, OP_illegal);
        }
        CHECK_EQ(insn.length, 4);
    }
}

TEST(decode, immediates_have_their_final_scale)
{
    static const struct {
        uint32_t word;
        unsigned op;
        int32_t imm;
    } cases[] = {
        {0x80000013, OP_addi, -2048},
        {0x7ff00013, OP_addi, 2047},
        {0xfe000fa3, OP_sb, -1},
        {0x80000023, OP_sb, -2048},
        {0x7e000fa3, OP_sb, 2047},
        {0x80000063, OP_beq, -4096},
        {0x7e000fe3, OP_beq, 4094},
        {0xfe000ee3, OP_beq, -4},
        {0x000000e3, OP_beq, 2048},
        {0xfffff037, OP_lui, -4096},
        {0x7ffff037, OP_lui, 0x7ffff000},
        {0x8000006f, OP_jal, -1048576},
        {0x7ffff06f, OP_jal, 1048574},
        {0x0010006f, OP_jal, 2048},
        {0x00001 << 12 | 0x6f, OP_jal, 4096},
        {0x03f01013, OP_slli, 63},
        {0x43f05013, OP_srai, 63},
        {0x01f0101b, OP_slliw, 31},
        {0xfff01073, OP_csrrw, 4095},
        {0xfff0000f, OP_fence, 4095},
        {0xfe306013, OP_prefetch_w, -32},
    };
    const struct extension_set all = extension_set_all();

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct insn insn = isa_decode(cases[i].word, &all);
        CHECK_EQ(insn.op, cases[i].op);
        CHECK_EQ(insn.imm, cases[i].imm);
        CHECK_EQ(isa_encode(&insn), cases[i].word);
    }
}

TEST(decode, registers_and_modes_come_from_their_places)
{
    const struct extension_set all = extension_set_all();
    /* fmadd.d f1, f2, f3, f4, rup */
    struct insn insn = isa_decode(0x223130c3, &all);
    CHECK_EQ(insn.op, OP_fmadd_d);
    CHECK_EQ(insn.rd, 1);
    CHECK_EQ(insn.rs1, 2);
    CHECK_EQ(insn.rs2, 3);
    CHECK_EQ(insn.rs3, 4);
    CHECK_EQ(insn.rm, 3);
    /* amoadd.w.aq x1, x2, (x3): aq is 2 */
    insn = isa_decode(0x0421a0af, &all);
    CHECK_EQ(insn.op, OP_amoadd_w);
    CHECK_EQ(insn.rs1, 3);
    CHECK_EQ(insn.rs2, 2);
    CHECK_EQ(insn.rm, 2);
}

TEST(decode, reserved_encodings_are_illegal)
{
    static const uint32_t words[] = {
        0xffffffff,
        0x00000003 | 7 << 12,  /* load of funct3 7 */
        0x02001013 | 1u << 26, /* slli with bit 26 */
        0x0200101b,            /* slliw by 32 */
        0x00005053 | 0 << 25,  /* fadd.s, rm 5 */
        0x00006053,            /* fadd.s, rm 6 */
        0x1010202f,            /* lr.w with rs2 */
        0x00000073 | 1 << 7,   /* ecall with rd */
        0x12000073 | 1 << 7,   /* sfence.vma with rd */
        0x00004073,            /* system of funct3 4 */
        0x00002063,            /* branch of funct3 2 */
        0x08a5453b,            /* pack: only zext.h of it is there */
    };
    const struct extension_set all = extension_set_all();

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct insn insn = isa_decode(words[i], &all);
        CHECK_EQ(insn.op, OP_illegal);
        CHECK_EQ(insn.length, 4);
        CHECK_EQ(insn.raw, words[i]);
    }
}

TEST(decode, operands_out_of_range_are_truncated_by_encode)
{
    struct insn insn = {.op = OP_addi, .length = 4, .rd = 0xff, .rs1 = 0xff, .imm = 0x12345};
    CHECK_EQ(isa_encode(&insn), 0x345f8f93);
}

TEST(decode, names_come_from_the_table)
{
    CHECK_STR(isa_op_name(OP_lr_w), "lr.w");
    CHECK_STR(isa_op_name(OP_illegal), "illegal");
    CHECK_STR(isa_op_name(OP_COUNT + 5), "illegal");
}

TEST_MAIN(TESTS(decode, every_row_survives_decode_and_encode),
          TESTS(decode, any_word_decodes_and_encodes_to_itself),
          TESTS(decode, fields_the_format_lacks_are_zero),
          TESTS(decode, register_use_matches_the_format),
          TESTS(decode, a_row_without_its_extension_is_illegal_or_the_row_behind),
          TESTS(decode, immediates_have_their_final_scale),
          TESTS(decode, registers_and_modes_come_from_their_places),
          TESTS(decode, reserved_encodings_are_illegal),
          TESTS(decode, operands_out_of_range_are_truncated_by_encode),
          TESTS(decode, names_come_from_the_table))
