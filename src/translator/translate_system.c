/* SPDX-License-Identifier: Apache-2.0
 * Instructions that touch CSRs. What changes the context or may trap is left to
 * the interpreter. */
#include "translator/translate.h"

bool translate_system(struct translation *tr, const struct insn *insn)
{
    (void)tr;
    (void)insn;
    return false;
}
