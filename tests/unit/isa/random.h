/* SPDX-License-Identifier: Apache-2.0
 * Reproducible random words for the tests of this folder. */
#pragma once

#include <stdint.h>

/* xorshift64*; *state is not 0. */
static inline uint32_t random_word(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)(*state * UINT64_C(0x2545f4914f6cdd1d) >> 32);
}
