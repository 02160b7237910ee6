/* SPDX-License-Identifier: Apache-2.0
 * Runs without a C library: decodes an instruction and prints it to memory. */
#include "base/memory.h"
#include "isa/insn.h"

int freestanding_main(void);

int freestanding_main(void)
{
    char text[64];
    struct extension_set all = extension_set_all();
    struct insn insn = isa_decode(0x00150513, &all); /* addi a0,a0,1 */

    isa_disassemble(&insn, 0, text, sizeof(text));
    return strcmp(text, "add\ta0,a0,1") != 0;
}
