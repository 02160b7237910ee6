/* SPDX-License-Identifier: Apache-2.0
 * F and D on the host's SSE and FMA units. */
#include "translator/translate.h"

bool translate_fp(struct translation *tr, const struct insn *insn)
{
    (void)tr;
    (void)insn;
    return false;
}
