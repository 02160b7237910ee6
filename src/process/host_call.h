/* SPDX-License-Identifier: Apache-2.0
 * How the handler of host signals treats a thread that is about to make a system call. */
#pragma once

#include "base/types.h"

/* Where a thread goes on that a signal has found at `rip` with `rcx`, else 0. */
uintptr_t host_call_fixup(uintptr_t rip, uintptr_t rcx);
