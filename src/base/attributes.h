/* SPDX-License-Identifier: Apache-2.0
 * Compiler attributes under readable names. The thread-safety ones are checked
 * by clang's -Wthread-safety and vanish elsewhere. */
#pragma once

#define MUST_CHECK                       __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#define COLD                             __attribute__((cold))
#define NOINLINE                         __attribute__((noinline))
#define ALWAYS_INLINE                    inline __attribute__((always_inline))
#define NORETURN                         _Noreturn
#define PACKED                           __attribute__((packed))
#define UNUSED                           __attribute__((unused))
#define FALLTHROUGH                      __attribute__((fallthrough))

#define LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
