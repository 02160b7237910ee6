/* SPDX-License-Identifier: Apache-2.0
 * The tables behind isa/regs.h (RISC-V ELF psABI, "Register Convention"). */
#include "isa/regs.h"

static const char x_names[32][5] = {
    "zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
    "a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
    "s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};
static const char f_names[32][5] = {
    "ft0", "ft1", "ft2", "ft3", "ft4",  "ft5",  "ft6", "ft7", "fs0",  "fs1",  "fa0",
    "fa1", "fa2", "fa3", "fa4", "fa5",  "fa6",  "fa7", "fs2", "fs3",  "fs4",  "fs5",
    "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
};

static const struct {
    uint16_t number;
    const char *name;
} csrs[] = {
#define CSR(id, number, name, ...) {number, name},
#include "isa/csrs.def"
#undef CSR
};

const char *isa_x_name(unsigned number)
{
    return x_names[number & 31];
}

const char *isa_f_name(unsigned number)
{
    return f_names[number & 31];
}

const char *isa_csr_name(unsigned number)
{
    for (size_t i = 0; i < ARRAY_LEN(csrs); i++)
        if (csrs[i].number == number)
            return csrs[i].name;
    return NULL;
}
