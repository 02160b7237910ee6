/* SPDX-License-Identifier: Apache-2.0
 * The subcommand `doppel boot`. */
#pragma once

/* argv[0] is "boot". Returns the exit status. */
int cmd_boot(int argc, char **argv);
