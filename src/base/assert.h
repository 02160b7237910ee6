/* SPDX-License-Identifier: Apache-2.0
 * Assertions: statements about ourselves. Nothing a guest, a file or a user does
 * may reach one; those are modelled as hardware or returned as errors. */
#pragma once

#include "base/attributes.h"

NORETURN void assert_failed(const char *condition, const char *file, int line) COLD;

#define ASSERT(condition) \
    (LIKELY(condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__))

/* For hot paths: checked in sanitizer builds (-DDOPPEL_DEBUG) only. */
#ifdef DOPPEL_DEBUG
#define DEBUG_ASSERT(condition) ASSERT(condition)
#else
#define DEBUG_ASSERT(condition) ((void)sizeof(!(condition)))
#endif

#define UNREACHABLE() assert_failed("unreachable", __FILE__, __LINE__)
