/* SPDX-License-Identifier: Apache-2.0
 * The figures of --stats. */
#pragma once

struct process;

/* On stderr, as config says. */
void process_stats_print(struct process *process);
