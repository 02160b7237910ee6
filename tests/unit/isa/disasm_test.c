/* SPDX-License-Identifier: Apache-2.0
 * isa_disassemble: one word per alias and operand kind. The full comparison with
 * objdump is tests/differential/objdump_compare.py. */
#include "harness/harness.h"

#include <string.h>

#include "isa/insn.h"
#include "isa/regs.h"
#include "random.h"

static void check_text(uint32_t word, const char *expected)
{
    const struct extension_set all = extension_set_all();
    char text[128];
    struct insn insn = isa_decode(word, &all);

    size_t length = isa_disassemble(&insn, 0x10000, text, sizeof(text));
    CHECK_STR(text, expected);
    CHECK_EQ(length, strlen(expected));
}

TEST(disasm, aliases_are_those_of_objdump)
{
    check_text(0x00000013, "nop");
    check_text(0x00a00513, "li\ta0,10");
    check_text(0x00050513, "mv\ta0,a0");
    check_text(0xff010113, "add\tsp,sp,-16");
    check_text(0xfff54513, "not\ta0,a0");
    check_text(0x0ff57513, "zext.b\ta0,a0");
    check_text(0x0005051b, "sext.w\ta0,a0");
    check_text(0x40a00533, "neg\ta0,a0");
    check_text(0x00153513, "seqz\ta0,a0");
    check_text(0x00a03533, "snez\ta0,a0");
    check_text(0x00008067, "ret");
    check_text(0x00408067, "jr\t4(ra)");
    check_text(0x000500e7, "jalr\ta0");
    check_text(0xc0001073, "unimp");
    check_text(0xc0002573, "rdcycle\ta0");
    check_text(0x30002573, "csrr\ta0,mstatus");
    check_text(0x8c002573, "csrr\ta0,0x8c0");
    check_text(0x1001d073, "csrw\tsstatus,3");
    check_text(0x20a50553, "fmv.s\tfa0,fa0");
    check_text(0x0805c53b, "zext.h\ta0,a1");
    check_text(0x12000073, "sfence.vma");
    check_text(0x0000, "unimp");
    check_text(0x0005, "c.nop\t1");
    check_text(0x852e, "mv\ta0,a1");
}

TEST(disasm, operands_are_written_by_kind)
{
    check_text(0x00813503, "ld\ta0,8(sp)");
    check_text(0xfe113c23, "sd\tra,-8(sp)");
    check_text(0xfffff5b7, "lui\ta1,0xfffff");
    check_text(0xfe000ee3, "beqz\tzero,fffc");
    check_text(0x0000006f, "j\t10000");
    check_text(0x03f51513, "sll\ta0,a0,0x3f");
    check_text(0x00c59553, "fadd.s\tfa0,fa1,fa2,rtz");
    check_text(0x00c5f553, "fadd.s\tfa0,fa1,fa2");
    check_text(0x223130c3, "fmadd.d\tft1,ft2,ft3,ft4,rup");
    check_text(0x1605a52f, "lr.w.aqrl\ta0,(a1)");
    check_text(0x04b5252f, "amoadd.w.aq\ta0,a1,(a0)");
    check_text(0x0330000f, "fence\trw,rw");
    check_text(0x0ff0000f, "fence");
    check_text(0x8330000f, "fence.tso");
    check_text(0x02056013, "prefetch.i\t32(a0)");
    check_text(0x0045200f, "cbo.zero\t(a0)");
    check_text(0x0000007b, ".4byte\t0x7b");
    check_text(0x8002, ".2byte\t0x8002");
}

TEST(disasm, a_short_buffer_gets_a_prefix_and_the_full_length)
{
    const struct extension_set all = extension_set_all();
    struct insn insn = isa_decode(0x223130c3, &all);
    char full[128], part[128];
    size_t length = isa_disassemble(&insn, 0, full, sizeof(full));

    for (size_t size = 0; size <= length + 1; size++) {
        memset(part, '#', sizeof(part));
        CHECK_EQ(isa_disassemble(&insn, 0, part, size), length);
        CHECK_EQ(part[size], '#');
        if (size != 0) {
            CHECK_EQ(strlen(part), size - 1);
            CHECK(strncmp(part, full, size - 1) == 0);
        }
    }
}

TEST(disasm, any_word_has_a_text)
{
    const struct extension_set all = extension_set_all();
    uint64_t state = 5;
    char text[128];

    for (int i = 0; i < 500000; i++) {
        struct insn insn = isa_decode(random_word(&state), &all);
        size_t length = isa_disassemble(&insn, random_word(&state), text, sizeof(text));
        CHECK(length > 1 && length < 64);
    }
}

TEST(disasm, csr_rows_are_unique)
{
    static const struct {
        unsigned number;
        const char *name;
    } rows[] = {
#define CSR(id, number, name, ...) {number, name},
#include "isa/csrs.def"
#undef CSR
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK(rows[i].number < 4096);
        CHECK_STR(isa_csr_name(rows[i].number), rows[i].name);
    }
    CHECK_EQ(CSR_mstatus, 0x300);
    CHECK(isa_csr_name(0x8c0) == NULL);
}

TEST_MAIN(TESTS(disasm, aliases_are_those_of_objdump), TESTS(disasm, operands_are_written_by_kind),
          TESTS(disasm, a_short_buffer_gets_a_prefix_and_the_full_length),
          TESTS(disasm, any_word_has_a_text), TESTS(disasm, csr_rows_are_unique))
