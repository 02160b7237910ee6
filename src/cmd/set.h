/* SPDX-License-Identifier: Apache-2.0
 * `doppel set`: a machine's limits. Returns the exit status. */
#pragma once

int cmd_set(int argc, char **argv);
