/* SPDX-License-Identifier: Apache-2.0
 * From a program counter to a predecoded instruction. */
#pragma once

#include "riscv/code.h"

struct hart;

/* The op at hart->pc, with hart->page set. NULL: the exception was taken, pc is
 * at its handler. */
const struct code_op *fetch_op(struct hart *hart);

/* Decodes the op at hart->pc, which lies in a page that was fetched from. */
void fetch_decode(struct hart *hart, const struct code_op *op);

/* The instruction at hart->pc as one that is followed by an op with id `after`,
 * whatever page it lies in. NULL: the exception was taken. */
const struct code_op *fetch_single(struct hart *hart, uint16_t after);
