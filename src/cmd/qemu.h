/* SPDX-License-Identifier: Apache-2.0
 * doppel in place of qemu-riscv64, for those who have it in scripts, in containers, or
 * as an interpreter of binfmt_misc. */
#pragma once

#include "base/types.h"

/* Whether this process was started as qemu-riscv64[-static], or by binfmt_misc. */
bool qemu_is_wanted(const char *argv0);

/* argv[0] is the name of the program. Returns an exit status only when the guest program
 * did not start. */
int cmd_qemu(int argc, char **argv);
