/* SPDX-License-Identifier: Apache-2.0
 * isa_decode of 16-bit instructions. Expected expansions were read off the
 * manual, chapter "C", one extreme immediate and register set per form. */
#include "harness/harness.h"

#include "isa/insn.h"
#include "isa/ops.h"

struct expansion {
    uint16_t word;
    uint16_t op;
    uint8_t rd;
    uint8_t rs1;
    uint8_t rs2;
    int32_t imm;
};

TEST(compressed, each_form_expands_as_the_manual_says)
{
    static const struct expansion cases[] = {
        {0x1ffc, OP_addi, 15, 2, 0, 1020},   /* c.addi4spn a5, 1020 */
        {0x0020, OP_addi, 8, 2, 0, 8},       /* c.addi4spn s0, 8 */
        {0x3ffc, OP_fld, 15, 15, 0, 248},    /* c.fld fa5, 248(a5) */
        {0x5ffc, OP_lw, 15, 15, 0, 124},     /* c.lw a5, 124(a5) */
        {0x4020, OP_lw, 8, 8, 0, 64},        /* c.lw s0, 64(s0) */
        {0x4040, OP_lw, 8, 8, 0, 4},         /* c.lw s0, 4(s0) */
        {0x7ffc, OP_ld, 15, 15, 0, 248},     /* c.ld a5, 248(a5) */
        {0xbc00, OP_fsd, 0, 8, 8, 56},       /* c.fsd fs0, 56(s0) */
        {0xc060, OP_sw, 0, 8, 8, 68},        /* c.sw s0, 68(s0) */
        {0xe060, OP_sd, 0, 8, 8, 192},       /* c.sd s0, 192(s0) */
        {0x0001, OP_addi, 0, 0, 0, 0},       /* c.nop */
        {0x1ffd, OP_addi, 31, 31, 0, -1},    /* c.addi t6, -1 */
        {0x1001, OP_addi, 0, 0, 0, -32},     /* hint */
        {0x2501, OP_addiw, 10, 10, 0, 0},    /* c.addiw a0, 0 */
        {0x557d, OP_addi, 10, 0, 0, -1},     /* c.li a0, -1 */
        {0x7101, OP_addi, 2, 2, 0, -512},    /* c.addi16sp -512 */
        {0x6141, OP_addi, 2, 2, 0, 16},      /* c.addi16sp 16 */
        {0x617d, OP_addi, 2, 2, 0, 496},     /* c.addi16sp 496 */
        {0x657d, OP_lui, 10, 0, 0, 0x1f000}, /* c.lui a0, 31 */
        {0x7501, OP_lui, 10, 0, 0, -131072}, /* c.lui a0, 0xfffe0 */
        {0x907d, OP_srli, 8, 8, 0, 63},      /* c.srli s0, 63 */
        {0x947d, OP_srai, 8, 8, 0, 63},      /* c.srai s0, 63 */
        {0x8401, OP_srai, 8, 8, 0, 0},       /* hint */
        {0x987d, OP_andi, 8, 8, 0, -1},      /* c.andi s0, -1 */
        {0x8f89, OP_sub, 15, 15, 10, 0},     /* c.sub a5, a0 */
        {0x8fa9, OP_xor, 15, 15, 10, 0},     {0x8fc9, OP_or, 15, 15, 10, 0},
        {0x8fe9, OP_and, 15, 15, 10, 0},     {0x9f89, OP_subw, 15, 15, 10, 0},
        {0x9fa9, OP_addw, 15, 15, 10, 0},    {0xb001, OP_jal, 0, 0, 0, -2048}, /* c.j -2048 */
        {0xaffd, OP_jal, 0, 0, 0, 2046},     {0xa011, OP_jal, 0, 0, 0, 4},
        {0xd001, OP_beq, 0, 8, 0, -256},  /* c.beqz s0, -256 */
        {0xeffd, OP_bne, 0, 15, 0, 254},  /* c.bnez a5, 254 */
        {0x157e, OP_slli, 10, 10, 0, 63}, /* c.slli a0, 63 */
        {0x3ffe, OP_fld, 31, 2, 0, 504},  /* c.fldsp ft11, 504(sp) */
        {0x50fe, OP_lw, 1, 2, 0, 252},    /* c.lwsp ra, 252(sp) */
        {0x70fe, OP_ld, 1, 2, 0, 504},    /* c.ldsp ra, 504(sp) */
        {0x8082, OP_jalr, 0, 1, 0, 0},    /* c.jr ra */
        {0x852e, OP_add, 10, 0, 11, 0},   /* c.mv a0, a1 */
        {0x9002, OP_ebreak, 0, 0, 0, 0},     {0x9502, OP_jalr, 1, 10, 0, 0}, /* c.jalr a0 */
        {0x952e, OP_add, 10, 10, 11, 0},                                     /* c.add a0, a1 */
        {0xbffe, OP_fsd, 0, 2, 31, 504}, /* c.fsdsp ft11, 504(sp) */
        {0xdffe, OP_sw, 0, 2, 31, 252},  /* c.swsp t6, 252(sp) */
        {0xfffe, OP_sd, 0, 2, 31, 504},  /* c.sdsp t6, 504(sp) */
    };
    const struct extension_set all = extension_set_all();

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct insn insn = isa_decode(cases[i].word | 0xabcd0000, &all);
        CHECK_EQ(insn.op, cases[i].op);
        CHECK_EQ(insn.length, 2);
        CHECK_EQ(insn.raw, cases[i].word);
        CHECK_EQ(insn.rd, cases[i].rd);
        CHECK_EQ(insn.rs1, cases[i].rs1);
        CHECK_EQ(insn.rs2, cases[i].rs2);
        CHECK_EQ(insn.imm, cases[i].imm);
    }
}

TEST(compressed, every_expansion_is_a_32_bit_instruction_of_the_same_meaning)
{
    const struct extension_set all = extension_set_all();
    unsigned legal = 0;

    for (uint32_t word = 0; word < 1u << 16; word++) {
        if ((word & 3) == 3)
            continue;
        struct insn insn = isa_decode(word, &all);
        CHECK_EQ(insn.length, 2);
        if (insn.op == OP_illegal)
            continue;
        legal++;
        struct insn wide = isa_decode(isa_encode(&insn), &all);
        CHECK_EQ(wide.op, insn.op);
        CHECK_EQ(wide.rd, insn.rd);
        CHECK_EQ(wide.rs1, insn.rs1);
        CHECK_EQ(wide.rs2, insn.rs2);
        CHECK_EQ(wide.imm, insn.imm);
    }
    /* All but 2409: what objdump refuses, 0x0000 and 0x6101. */
    CHECK_EQ(legal, 49152 - 2409);
}

TEST(compressed, reserved_encodings_are_illegal)
{
    static const uint16_t words[] = {
        0x0000,         /* all zero */
        0x0004,         /* c.addi4spn by 0 */
        0x8000,         /* quadrant 0, funct3 4 */
        0x2001,         /* c.addiw zero */
        0x6101,         /* c.addi16sp by 0 */
        0x6081,         /* c.lui by 0 */
        0x9c41,         /* the two free places beside c.subw */
        0x9c61, 0x4002, /* c.lwsp zero */
        0x6002,         /* c.ldsp zero */
        0x8002,         /* c.jr zero */
    };
    const struct extension_set all = extension_set_all();

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct insn insn = isa_decode(words[i], &all);
        CHECK_EQ(insn.op, OP_illegal);
        CHECK_EQ(insn.length, 2);
        CHECK_EQ(insn.raw, words[i]);
    }
}

TEST(compressed, nothing_is_legal_without_c_and_no_double_without_d)
{
    struct extension_set without_c = extension_set_all();
    struct extension_set without_d = extension_set_all();
    extension_set_remove(&without_c, EXT_C);
    extension_set_remove(&without_d, EXT_D);

    for (uint32_t word = 0; word < 1u << 16; word++) {
        if ((word & 3) == 3)
            continue;
        CHECK_EQ(isa_decode(word, &without_c).op, OP_illegal);
        CHECK_EQ(isa_decode(word, &without_c).length, 2);
        unsigned op = isa_decode(word, &without_d).op;
        CHECK(op != OP_fld && op != OP_fsd);
    }
}

TEST_MAIN(TESTS(compressed, each_form_expands_as_the_manual_says),
          TESTS(compressed, every_expansion_is_a_32_bit_instruction_of_the_same_meaning),
          TESTS(compressed, reserved_encodings_are_illegal),
          TESTS(compressed, nothing_is_legal_without_c_and_no_double_without_d))
