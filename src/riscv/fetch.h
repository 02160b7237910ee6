/* SPDX-License-Identifier: Apache-2.0
 * From a program counter to a predecoded instruction. */
#pragma once

#include "base/types.h"
#include "riscv/code.h"

struct hart;

/* The op at hart->pc, with hart->page set. NULL: the exception was taken, pc is
 * at its handler. */
const struct code_op *fetch_op(struct hart *hart);

/* Physical address of the instruction at `va`, whose page is whole in RAM and under
 * one PMP rule: *pa, and in the fetch TLB. *pa UINT64_MAX: the page is divided, and
 * this instruction must be executed alone (fetch_single). False: the exception of
 * a fetch of two bytes at `va` was taken, with hart->pc as its epc. */
bool fetch_translate(struct hart *hart, gva_t va, gpa_t *pa);

/* Decodes the op at hart->pc, which lies in a page that was fetched from. */
void fetch_decode(struct hart *hart, const struct code_op *op);

/* The instruction at hart->pc as one that is followed by an op with id `after`,
 * whatever page it lies in. NULL: the exception was taken. */
const struct code_op *fetch_single(struct hart *hart, uint16_t after);
