/* SPDX-License-Identifier: Apache-2.0
 * The subcommand `doppel disasm`. */
#pragma once

/* argv[0] is "disasm". Returns the exit status: 0, or 2 after one line on
 * stderr. */
int cmd_disasm(int argc, char **argv);
