/* SPDX-License-Identifier: Apache-2.0
 * Signals by gdb's numbers, which are the same on all systems (gdb's
 * include/gdb/signals.def), and by Linux's. */
#pragma once

/* 0 for what has no counterpart. */
unsigned gdb_signal_from_linux(int signal);
int gdb_signal_to_linux(unsigned signal);
