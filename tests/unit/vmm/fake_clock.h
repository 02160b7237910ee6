/* SPDX-License-Identifier: Apache-2.0
 * Clocks that stand still until a test moves them. */
#pragma once

#include "base/types.h"

extern uint64_t fake_now_ns;
extern uint64_t fake_process_cpu_ns;
extern uint64_t fake_thread_cpu_ns;
