/* SPDX-License-Identifier: Apache-2.0
 * Clocks that stand still until a test moves them, in place of host/clock.c. */
#include "unit/vmm/fake_clock.h"

#include "host/clock.h"

uint64_t fake_now_ns = UINT64_C(1000000000000);
uint64_t fake_process_cpu_ns;
uint64_t fake_thread_cpu_ns;

uint64_t clock_monotonic_ns(void)
{
    return fake_now_ns;
}

uint64_t clock_process_cpu_ns(void)
{
    return fake_process_cpu_ns;
}

uint64_t clock_thread_cpu_ns(void)
{
    return fake_thread_cpu_ns;
}
