/* SPDX-License-Identifier: Apache-2.0
 * Names of registers: ABI names of x and f, CSR numbers and names. */
#pragma once

#include "base/types.h"

/* CSR_<id> for each row of csrs.def. */
enum csr_number {
#define CSR(id, number, ...) CSR_##id = (number),
#include "isa/csrs.def"
#undef CSR
};

/* "zero", "ra" ... "t6" and "ft0" ... "ft11"; number 0-31. */
const char *isa_x_name(unsigned number);
const char *isa_f_name(unsigned number);

/* "mstatus", or NULL when csrs.def has no such row. */
const char *isa_csr_name(unsigned number);
