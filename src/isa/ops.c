/* SPDX-License-Identifier: Apache-2.0
 * The tables behind isa/ops.h. */
#include "isa/ops.h"

#include "isa/insn.h"

const struct op_info isa_ops[] = {
    [OP_illegal] = {.name = "illegal"},
#define INSN(id, mnemonic, format, pattern, extension, flags) \
    [OP_##id] = {mnemonic, FORMAT_##format, EXT_##extension, flags},
#include "isa/insns.def"
#undef INSN
};
_Static_assert(ARRAY_LEN(isa_ops) == OP_COUNT, "one entry per op");

const struct format_info isa_formats[] = {
#define FORMAT(id, fields, imm, operands) [FORMAT_##id] = {fields, imm, operands},
#include "isa/formats.def"
#undef FORMAT
};

const char *isa_op_name(unsigned op)
{
    return isa_ops[op < OP_COUNT ? op : OP_illegal].name;
}
