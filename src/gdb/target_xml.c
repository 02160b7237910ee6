/* SPDX-License-Identifier: Apache-2.0
 * The target description. gdb recognises the features and the register names by
 * their spelling; the register numbers are its own, repeated so that both
 * sides agree on the sparse CSR numbers. */
#include "gdb/target_xml.h"

#include "base/format.h"
#include "base/memory.h"

/* The piece of the document that was asked for. */
struct window {
    uint8_t *to;
    size_t size;
    size_t skip; /* document bytes before the piece that are still to come */
    size_t used;
};

/* "fp" rather than "s0": gdb's own name for x8. */
static const char *const integer_names[] = {
    "zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "fp", "s1", "a0",
    "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
    "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};
static const char *const float_names[] = {
    "ft0", "ft1", "ft2", "ft3", "ft4",  "ft5",  "ft6", "ft7", "fs0",  "fs1",  "fa0",
    "fa1", "fa2", "fa3", "fa4", "fa5",  "fa6",  "fa7", "fs2", "fs3",  "fs4",  "fs5",
    "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
};
_Static_assert(ARRAY_LEN(integer_names) == 32 && ARRAY_LEN(float_names) == 32, "x and f 0-31");

static void put(struct window *w, const char *text)
{
    size_t length = strlen(text);
    size_t skip = MIN(length, w->skip);
    size_t take = MIN(length - skip, w->size - w->used);

    w->skip -= skip;
    memcpy(w->to + w->used, text + skip, take);
    w->used += take;
}

static void put_register(struct window *w, const char *name, unsigned bits, const char *attributes,
                         unsigned number)
{
    char line[160];

    format_text(line, sizeof(line), "<reg name=\"%s\" bitsize=\"%u\" %s regnum=\"%u\"/>\n", name,
                bits, attributes, number);
    put(w, line);
}

static void put_integer_registers(struct window *w)
{
    put(w, "<feature name=\"org.gnu.gdb.riscv.cpu\">\n");
    for (unsigned i = 0; i < ARRAY_LEN(integer_names); i++) {
        const char *type = "type=\"int\"";
        if (i == 1)
            type = "type=\"code_ptr\"";
        else if (i >= 2 && i <= 4)
            type = "type=\"data_ptr\"";
        put_register(w, integer_names[i], 64, type, GDB_REGISTER_X0 + i);
    }
    put_register(w, "pc", 64, "type=\"code_ptr\"", GDB_REGISTER_PC);
    put(w, "</feature>\n");
}

static void put_float_registers(struct window *w)
{
    put(w, "<feature name=\"org.gnu.gdb.riscv.fpu\">\n");
    for (unsigned i = 0; i < ARRAY_LEN(float_names); i++)
        put_register(w, float_names[i], 64, "type=\"ieee_double\"", GDB_REGISTER_F0 + i);
    put_register(w, "fflags", 32, "type=\"int\"", GDB_REGISTER_FFLAGS);
    put_register(w, "frm", 32, "type=\"int\"", GDB_REGISTER_FRM);
    put_register(w, "fcsr", 32, "type=\"int\"", GDB_REGISTER_FCSR);
    put(w, "</feature>\n");
}

/* gdb must not restore CSRs after it called a function in the guest. */
static void put_csrs(struct window *w, const struct gdb_target *target)
{
    put(w, "<feature name=\"org.gnu.gdb.riscv.csr\">\n");
    for (size_t i = 0; i < target->csr_count && w->used < w->size; i++) {
        unsigned number = GDB_REGISTER_CSR0 + target->csrs[i].number;
        if (number >= GDB_REGISTER_FFLAGS && number <= GDB_REGISTER_FCSR)
            continue; /* listed with the floating-point registers */
        put_register(w, target->csrs[i].name, 64, "type=\"int\" save-restore=\"no\"", number);
    }
    put(w, "</feature>\n");
}

size_t gdb_target_xml_read(const struct gdb_target *target, size_t offset, void *to, size_t size)
{
    struct window w = {.to = to, .size = size, .skip = offset};

    put(&w, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
            "<target version=\"1.0\">\n<architecture>riscv:rv64</architecture>\n");
    if (target->osabi) {
        put(&w, "<osabi>");
        put(&w, target->osabi);
        put(&w, "</osabi>\n");
    }
    put_integer_registers(&w);
    if (target->has_fpu)
        put_float_registers(&w);
    put_csrs(&w, target);
    put(&w, "<feature name=\"org.gnu.gdb.riscv.virtual\">\n");
    put_register(&w, "priv", 64, "type=\"int\" save-restore=\"no\"", GDB_REGISTER_PRIV);
    put(&w, "</feature>\n</target>\n");
    return w.used;
}
