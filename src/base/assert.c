/* SPDX-License-Identifier: Apache-2.0
 * Reports a broken invariant and ends the process with SIGILL; one machine is
 * one process, so this never takes another machine down. */
#include "base/assert.h"

#include "base/log.h"

void assert_failed(const char *condition, const char *file, int line)
{
    log_error("assert", "%s:%d: %s does not hold; this is a bug in doppel", file, line, condition);
    __builtin_trap();
}
