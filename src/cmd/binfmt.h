/* SPDX-License-Identifier: Apache-2.0
 * The subcommand `doppel binfmt`. */
#pragma once

/* argv[0] is "binfmt". Returns the exit status. */
int cmd_binfmt(int argc, char **argv);
