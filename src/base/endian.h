/* SPDX-License-Identifier: Apache-2.0
 * Loads and stores of fixed byte order at any alignment. */
#pragma once

#include "base/memory.h"
#include "base/types.h"

#define ENDIAN_ACCESSORS(bits)                                        \
    static inline uint##bits##_t load_le##bits(const void *from)      \
    {                                                                 \
        uint##bits##_t value;                                         \
        memcpy(&value, from, sizeof(value));                          \
        return value;                                                 \
    }                                                                 \
    static inline void store_le##bits(void *to, uint##bits##_t value) \
    {                                                                 \
        memcpy(to, &value, sizeof(value));                            \
    }                                                                 \
    static inline uint##bits##_t load_be##bits(const void *from)      \
    {                                                                 \
        return __builtin_bswap##bits(load_le##bits(from));            \
    }                                                                 \
    static inline void store_be##bits(void *to, uint##bits##_t value) \
    {                                                                 \
        store_le##bits(to, __builtin_bswap##bits(value));             \
    }

/* clang-format off */
ENDIAN_ACCESSORS(16)
ENDIAN_ACCESSORS(32)
ENDIAN_ACCESSORS(64)
/* clang-format on */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "hosts are little-endian");
