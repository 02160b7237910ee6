/* SPDX-License-Identifier: Apache-2.0
 * Bit fields, sign extension and alignment of integers. */
#pragma once

#include "base/types.h"

#define BIT(n) (UINT64_C(1) << (n))
/* The low `count` bits set; count 0-64. */
static inline uint64_t bits_mask(unsigned count)
{
    return count >= 64 ? UINT64_MAX : BIT(count) - 1;
}

/* Bits [low, low + count) of `value`, right-aligned; low 0-63, count 1-64. */
static inline uint64_t bits_extract(uint64_t value, unsigned low, unsigned count)
{
    return (value >> low) & bits_mask(count);
}

/* `value` with bits [low, low + count) replaced by the low bits of `field`. */
static inline uint64_t bits_deposit(uint64_t value, unsigned low, unsigned count, uint64_t field)
{
    uint64_t mask = bits_mask(count) << low;
    return (value & ~mask) | ((field << low) & mask);
}

/* The low `count` bits (1-64) taken as a two's complement number. */
static inline int64_t bits_sign_extend(uint64_t value, unsigned count)
{
    return (int64_t)(value << (64 - count)) >> (64 - count);
}

static inline uint64_t bits_align_down(uint64_t value, uint64_t alignment)
{
    return value & ~(alignment - 1);
}

/* Wraps at 2^64; callers with hostile values check first. */
static inline uint64_t bits_align_up(uint64_t value, uint64_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

static inline bool bits_is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}
