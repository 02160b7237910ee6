/* SPDX-License-Identifier: Apache-2.0
 * Commands that get into a guest. All return the exit status. */
#pragma once

int cmd_shell(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_cp(int argc, char **argv);
/* For ssh: the guest's port on standard input and output. */
int cmd_proxy(int argc, char **argv);
