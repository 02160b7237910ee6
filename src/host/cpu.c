/* SPDX-License-Identifier: Apache-2.0
 * CPU features. Where the bits are: Intel SDM volume 2, CPUID; volume 1 §14.3 and
 * §15.2 say what has to be asked before AVX and AVX-512 are used. */
#include "host/cpu.h"

#include <errno.h>
#include <string.h>
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include "base/bits.h"
#include "base/format.h"

enum {
    XCR0_YMM = 0x6,  /* SSE and AVX state */
    XCR0_ZMM = 0xe6, /* and masks, upper halves, registers 16-31 */
};

enum { BIT_OSXSAVE = 27 };

/* `base`: the member without which this feature cannot be. */
struct feature {
    const char *name;
    size_t at;
    size_t base;
};

#define NO_BASE    SIZE_MAX
#define AT(member) offsetof(struct cpu_features, member)

/* A base stands before what needs it. */
static const struct feature features_by_name[] = {
    {"sse41", AT(sse41), NO_BASE},    {"popcnt", AT(popcnt), NO_BASE},
    {"lzcnt", AT(lzcnt), NO_BASE},    {"bmi1", AT(bmi1), NO_BASE},
    {"bmi2", AT(bmi2), NO_BASE},      {"movbe", AT(movbe), NO_BASE},
    {"pclmul", AT(pclmul), NO_BASE},  {"cx16", AT(cx16), NO_BASE},
    {"avx", AT(avx), NO_BASE},        {"avx2", AT(avx2), AT(avx)},
    {"f16c", AT(f16c), AT(avx)},      {"fma", AT(fma), AT(avx)},
    {"avx512", AT(avx512), AT(avx2)},
};

_Static_assert(ARRAY_LEN(features_by_name) == sizeof(struct cpu_features) / sizeof(bool),
               "a feature has no name");

static bool *member(struct cpu_features *features, size_t at)
{
    return (bool *)((char *)features + at);
}

static void drop_what_lacks_its_base(struct cpu_features *features)
{
    for (size_t i = 0; i < ARRAY_LEN(features_by_name); i++) {
        const struct feature *feature = &features_by_name[i];
        if (feature->base != NO_BASE && !*member(features, feature->base))
            *member(features, feature->at) = false;
    }
}

struct cpu_features cpu_features_from_words(const struct cpu_words *words)
{
    uint32_t ecx = words->leaf1_ecx;
    uint32_t ebx = words->leaf7_ebx;
    uint64_t saved = ecx & BIT(BIT_OSXSAVE) ? words->saved_by_xsave : 0;
    uint64_t avx512 = BIT(16) | BIT(17) | BIT(30) | BIT(31);
    struct cpu_features features = {
        .sse41 = ecx & BIT(19),
        .popcnt = ecx & BIT(23),
        .lzcnt = words->extended_ecx & BIT(5),
        .bmi1 = ebx & BIT(3),
        .bmi2 = ebx & BIT(8),
        .movbe = ecx & BIT(22),
        .pclmul = ecx & BIT(1),
        .cx16 = ecx & BIT(13),
        .avx = (ecx & BIT(28)) && (saved & XCR0_YMM) == XCR0_YMM,
        .avx2 = ebx & BIT(5),
        .f16c = ecx & BIT(29),
        .fma = ecx & BIT(12),
        .avx512 = (ebx & avx512) == avx512 && (saved & XCR0_ZMM) == XCR0_ZMM,
    };

    drop_what_lacks_its_base(&features);
    return features;
}

#ifdef __x86_64__
static uint64_t read_xcr0(void)
{
    uint32_t low;
    uint32_t high;

    /* Not the intrinsic: that one wants the whole file compiled with -mxsave. */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

struct cpu_features cpu_features_detect(void)
{
    struct cpu_words words = {0};
    uint32_t a = 0;
    uint32_t b = 0;
    uint32_t c = 0;
    uint32_t d = 0;

    if (__get_cpuid(1, &a, &b, &c, &d))
        words.leaf1_ecx = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        words.leaf7_ebx = b;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
        words.extended_ecx = c;
    if (words.leaf1_ecx & BIT(BIT_OSXSAVE))
        words.saved_by_xsave = read_xcr0();
    return cpu_features_from_words(&words);
}
#else
struct cpu_features cpu_features_detect(void)
{
    return (struct cpu_features){0};
}
#endif

static const struct feature *find(const char *name, size_t length)
{
    for (size_t i = 0; i < ARRAY_LEN(features_by_name); i++)
        if (strlen(features_by_name[i].name) == length &&
            memcmp(features_by_name[i].name, name, length) == 0)
            return &features_by_name[i];
    return NULL;
}

int cpu_features_restrict(struct cpu_features *features, const char *text, struct error *err)
{
    struct cpu_features left = *features;

    if (strcmp(text, "none") == 0) {
        *features = (struct cpu_features){0};
        return 0;
    }
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, ",");
        const struct feature *feature = *at == '-' ? find(at + 1, length - 1) : NULL;
        if (!feature)
            return error_set(err, -EINVAL,
                             "'%.*s' is not a CPU feature to switch off; -bmi2 would be one",
                             (int)MIN(length, 64), at);
        *member(&left, feature->at) = false;
        at += length;
        if (*at == ',' && *++at == '\0')
            return error_set(err, -EINVAL, "a CPU feature is missing at the end of '%.64s'", text);
    }
    drop_what_lacks_its_base(&left);
    *features = left;
    return 0;
}

void cpu_features_print(const struct cpu_features *features, char *to, size_t size)
{
    struct cpu_features copy = *features;
    size_t used = 0;

    for (size_t i = 0; i < ARRAY_LEN(features_by_name); i++)
        if (*member(&copy, features_by_name[i].at) && used < size)
            used += format_text(to + used, size - used, "%s%s", used ? " " : "",
                                features_by_name[i].name);
    if (!used)
        format_text(to, size, "none");
}
