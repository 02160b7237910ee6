/* SPDX-License-Identifier: Apache-2.0
 * What the host's CPU can do beyond the x86-64 base set (which has SSE2). Code
 * generators ask here and have another way for whatever is missing. Any thread;
 * nothing blocks. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

/* A feature is true when the CPU has it and the operating system saves the
 * registers that it uses. */
struct cpu_features {
    bool sse41;
    bool popcnt;
    bool lzcnt;
    bool bmi1; /* andn, blsr, tzcnt ... */
    bool bmi2; /* shlx, sarx, shrx, rorx, mulx ... */
    bool movbe;
    bool pclmul;
    bool cx16; /* cmpxchg16b */
    bool avx;
    bool avx2;
    bool f16c;
    bool fma;
    bool avx512; /* F, VL, DQ and BW: xmm16-31 and masks with 128-bit forms */
};

/* The words in which an x86-64 CPU says it; a member is 0 if there is none. */
struct cpu_words {
    uint32_t leaf1_ecx;      /* cpuid 1 */
    uint32_t leaf7_ebx;      /* cpuid 7, subleaf 0 */
    uint32_t extended_ecx;   /* cpuid 0x80000001 */
    uint64_t saved_by_xsave; /* XCR0, if OSXSAVE is set */
};

/* All false where the host is not x86-64. */
struct cpu_features cpu_features_detect(void);
struct cpu_features cpu_features_from_words(const struct cpu_words *words);

/* Switches features off, for tests of the other ways: `text` is "none", or names
 * with a minus and commas between, "-bmi2,-fma"; an empty text changes nothing. What
 * cannot be without a feature goes with it: "-avx" is also -avx2, -f16c, -fma and
 * -avx512. A feature can not be switched on. Returns 0; or -EINVAL, the reason in
 * `err` and *features as it was. */
MUST_CHECK int cpu_features_restrict(struct cpu_features *features, const char *text,
                                     struct error *err);

/* The names of those that are there, a space between, "none" if there are none: at
 * most `size` bytes with the NUL. 128 bytes hold all. */
void cpu_features_print(const struct cpu_features *features, char *to, size_t size);
