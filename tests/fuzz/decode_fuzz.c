/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: decode, disassemble, encode, decode again. The first eight bytes
 * choose the extensions, every four after them are a word. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/endian.h"
#include "isa/insn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_word(uint32_t word, const struct extension_set *extensions)
{
    char text[96];
    struct insn insn = isa_decode(word, extensions);

    ASSERT(insn.op < OP_COUNT);
    ASSERT(insn.length == ((word & 3) == 3 ? 4 : 2));
    ASSERT(insn.raw == (insn.length == 4 ? word : (word & 0xffff)));
    size_t length = isa_disassemble(&insn, UINT64_C(0xfffffffffffff000), text, sizeof(text));
    ASSERT(length < sizeof(text) && length == strlen(text));
    if (insn.op == OP_illegal)
        return;

    uint32_t encoded = isa_encode(&insn);
    ASSERT(insn.length == 2 || encoded == word);
    struct insn again = isa_decode(encoded, extensions);
    ASSERT(again.op == insn.op && again.length == 4);
    ASSERT(again.rd == insn.rd && again.rs1 == insn.rs1 && again.rs2 == insn.rs2 &&
           again.rs3 == insn.rs3 && again.rm == insn.rm && again.imm == insn.imm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8)
        return 0;

    struct extension_set all = extension_set_all();
    struct extension_set some = {load_le64(data) & all.bits};
    for (size_t at = 8; at + 4 <= size; at += 4) {
        check_word(load_le32(data + at), &all);
        check_word(load_le32(data + at), &some);
    }
    return 0;
}
