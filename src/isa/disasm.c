/* SPDX-License-Identifier: Apache-2.0
 * struct insn to text, as objdump of binutils 2.40 prints it without symbols.
 * The operands are little programs of one letter each; see formats.def. */
#include "isa/insn.h"

#include "base/bits.h"
#include "base/format.h"
#include "isa/ops.h"
#include "isa/regs.h"

enum alias_condition {
    RD_0 = 1 << 0,
    RD_1 = 1 << 1,
    RS1_0 = 1 << 2,
    RS1_1 = 1 << 3,
    RS2_0 = 1 << 4,
    RS1_IS_RS2 = 1 << 5,
    RM_0 = 1 << 6,
    IMM_IS = 1 << 7,
    RAW_IS = 1 << 8,
    SHORT = 1 << 9, /* a 16-bit encoding */
    LONG = 1 << 10,
    SHORT_LI = 1 << 11,  /* the encoding c.li, */
    SHORT_ADD = 1 << 12, /* c.add: what they stand for leaves it open */
};

struct alias {
    uint16_t op;
    uint16_t conditions; /* enum alias_condition */
    uint32_t value;
    const char *name;
    const char *operands;
};

static const struct alias aliases[] = {
#define ALIAS(op, conditions, value, name, operands) \
    {OP_##op, conditions, (uint32_t)(value), name, operands},
#include "isa/aliases.def"
#undef ALIAS
};

/* Text that never runs over its buffer and knows its full length. */
struct output {
    char *to;
    size_t size;
    size_t length;
};

/* The end of `out`, for format_text; its room is output_room(). */
static char *output_end(struct output *out)
{
    return out->length < out->size ? out->to + out->length : NULL;
}

static size_t output_room(const struct output *out)
{
    return out->length < out->size ? out->size - out->length : 0;
}

#define PUT(out, ...) ((out)->length += format_text(output_end(out), output_room(out), __VA_ARGS__))

static bool conditions_hold(const struct insn *insn, const struct alias *alias)
{
    unsigned which = alias->conditions;

    return !((which & RD_0) && insn->rd != 0) && !((which & RD_1) && insn->rd != 1) &&
           !((which & RS1_0) && insn->rs1 != 0) && !((which & RS1_1) && insn->rs1 != 1) &&
           !((which & RS2_0) && insn->rs2 != 0) &&
           !((which & RS1_IS_RS2) && insn->rs1 != insn->rs2) &&
           !((which & RM_0) && insn->rm != 0) &&
           !((which & IMM_IS) && (uint32_t)insn->imm != alias->value) &&
           !((which & RAW_IS) && insn->raw != alias->value) &&
           !((which & SHORT) && insn->length != 2) && !((which & LONG) && insn->length != 4) &&
           !((which & SHORT_LI) && (insn->length != 2 || (insn->raw & 0xe003) != 0x4001)) &&
           !((which & SHORT_ADD) && (insn->length != 2 || (insn->raw & 0xf003) != 0x9002));
}

static const struct alias *find_alias(const struct insn *insn)
{
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (aliases[i].op == insn->op && conditions_hold(insn, &aliases[i]))
            return &aliases[i];
    return NULL;
}

static void put_register(struct output *out, unsigned number, bool is_float)
{
    PUT(out, "%s", is_float ? isa_f_name(number) : isa_x_name(number));
}

static void put_csr(struct output *out, unsigned number)
{
    const char *name = isa_csr_name(number);

    if (name)
        PUT(out, "%s", name);
    else
        PUT(out, "0x%x", number);
}

/* Dynamic rounding goes without saying. */
static void put_rounding(struct output *out, unsigned rm)
{
    static const char names[8][8] = {"rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown", ""};

    if (rm != 7)
        PUT(out, ",%s", names[rm & 7]);
}

static void put_fence_set(struct output *out, unsigned set)
{
    static const char letters[] = "iorw";

    if (set == 0)
        PUT(out, "unknown");
    for (unsigned i = 0; i < 4; i++)
        if (set & (8u >> i))
            PUT(out, "%c", letters[i]);
}

static void put_operand(struct output *out, const struct insn *insn, char letter, uint64_t pc)
{
    unsigned flags = isa_ops[insn->op].flags;

    switch (letter) {
    case 'd':
        put_register(out, insn->rd, flags & F_RD);
        break;
    case '1':
        put_register(out, insn->rs1, flags & F_RS1);
        break;
    case '2':
        put_register(out, insn->rs2, flags & F_RS2);
        break;
    case '3':
        put_register(out, insn->rs3, flags & F_RS3);
        break;
    case 'i':
        PUT(out, "%d", insn->imm);
        break;
    case 'x':
        PUT(out, "0x%x", (unsigned)insn->imm);
        break;
    case 'u':
        PUT(out, "0x%x", (uint32_t)insn->imm >> 12);
        break;
    case 't':
        PUT(out, "%llx", (unsigned long long)(pc + (uint64_t)(int64_t)insn->imm));
        break;
    case 'o':
        PUT(out, "%d(%s)", insn->imm, isa_x_name(insn->rs1));
        break;
    case 'a':
        PUT(out, "(%s)", isa_x_name(insn->rs1));
        break;
    case 'c':
        put_csr(out, (unsigned)insn->imm);
        break;
    case 'z':
        PUT(out, "%u", (unsigned)insn->rs1);
        break;
    case 'm':
        put_rounding(out, insn->rm);
        break;
    case 'f':
        put_fence_set(out, (unsigned)insn->imm >> 4 & 0xf);
        PUT(out, ",");
        put_fence_set(out, (unsigned)insn->imm & 0xf);
        break;
    default: /* punctuation */
        PUT(out, "%c", letter);
    }
}

size_t isa_disassemble(const struct insn *insn, uint64_t pc, char *to, size_t size)
{
    struct output out = {to, size, 0};

    if (insn->op == OP_illegal || insn->op >= OP_COUNT) {
        if (insn->length == 2 && insn->raw == 0)
            return PUT(&out, "unimp");
        return PUT(&out, ".%ubyte\t0x%x", (unsigned)insn->length, insn->raw);
    }

    const struct op_info *info = &isa_ops[insn->op];
    const struct format_info *format = &isa_formats[info->format];
    const struct alias *alias = find_alias(insn);
    const char *operands = alias ? alias->operands : format->operands;

    PUT(&out, "%s", alias ? alias->name : info->name);
    if (format->fields & HAS_AQRL)
        PUT(&out, "%s%s%s", insn->rm != 0 ? "." : "", insn->rm & 2 ? "aq" : "",
            insn->rm & 1 ? "rl" : "");
    if (*operands != '\0')
        PUT(&out, "\t");
    for (; *operands != '\0'; operands++)
        put_operand(&out, insn, *operands, pc);
    return out.length;
}
