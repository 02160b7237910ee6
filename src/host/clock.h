/* SPDX-License-Identifier: Apache-2.0
 * The host's clocks. Any thread. */
#pragma once

#include "base/types.h"

uint64_t clock_monotonic_ns(void);
/* CPU time of the calling thread. */
uint64_t clock_thread_cpu_ns(void);
/* CPU time of all threads of this process. */
uint64_t clock_process_cpu_ns(void);
/* Nanoseconds since 1970-01-01 UTC. */
uint64_t clock_realtime_ns(void);
