/* SPDX-License-Identifier: Apache-2.0
 * Commands that tell about machines. All return the exit status. */
#pragma once

int cmd_ls(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_top(int argc, char **argv);
