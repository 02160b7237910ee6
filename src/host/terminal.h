/* SPDX-License-Identifier: Apache-2.0
 * The user's terminal in raw mode, given back whatever happens. */
#pragma once

#include "base/types.h"

/* Puts the terminal behind standard input into raw mode, if it is one. From then
 * on every way out of the process restores it: terminal_restore, exit, and
 * deadly signals. (SIGKILL cannot be caught; a shell restores its terminal
 * itself then.) True: it was a terminal and is raw now. */
bool terminal_make_raw(void);
void terminal_restore(void);
