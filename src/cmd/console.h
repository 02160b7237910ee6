/* SPDX-License-Identifier: Apache-2.0
 * Commands about a machine's console. Both return the exit status. */
#pragma once

int cmd_console(int argc, char **argv);
int cmd_logs(int argc, char **argv);
