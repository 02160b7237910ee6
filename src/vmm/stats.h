/* SPDX-License-Identifier: Apache-2.0
 * The figures of --stats. */
#pragma once

#include "machine/machine.h"
#include "vmm/config.h"

/* Prints them to stderr: a few lines, or one object whose members (but for the first
 * four) are those of struct translator_stats. Nothing for STATS_NONE. */
void stats_print(const struct machine_stats *stats, enum vm_stats form);
