/* SPDX-License-Identifier: Apache-2.0
 * CPU features: what the compiler's runtime finds, what the operating system's part
 * in it is, and switching them off. */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "harness/harness.h"
#include "host/cpu.h"

/* A CPU that has all, and an operating system that saves all. */
static const struct cpu_words everything = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX};

struct text {
    char is[sizeof(((struct error *)NULL)->text)];
};

static struct text names(struct cpu_features features)
{
    struct text text;

    cpu_features_print(&features, text.is, sizeof(text.is));
    return text;
}

/* What is left of everything after `list`, or why nothing is. */
static struct text without(const char *list)
{
    struct cpu_features features = cpu_features_from_words(&everything);
    struct error err = {0};
    struct text text;

    if (cpu_features_restrict(&features, list, &err) == 0)
        return names(features);
    snprintf(text.is, sizeof(text.is), "%s", err.text);
    return text;
}

TEST(cpu, detects_what_the_compilers_runtime_detects)
{
#ifdef __x86_64__
    struct cpu_features features = cpu_features_detect();

    __builtin_cpu_init();
    CHECK_EQ(features.sse41, __builtin_cpu_supports("sse4.1") != 0);
    CHECK_EQ(features.popcnt, __builtin_cpu_supports("popcnt") != 0);
    CHECK_EQ(features.bmi1, __builtin_cpu_supports("bmi") != 0);
    CHECK_EQ(features.bmi2, __builtin_cpu_supports("bmi2") != 0);
    CHECK_EQ(features.pclmul, __builtin_cpu_supports("pclmul") != 0);
    CHECK_EQ(features.avx, __builtin_cpu_supports("avx") != 0);
    CHECK_EQ(features.avx2, __builtin_cpu_supports("avx2") != 0);
    CHECK_EQ(features.fma, __builtin_cpu_supports("fma") != 0);
    CHECK_EQ(features.avx512,
             __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"));
#else
    CHECK_STR(names(cpu_features_detect()).is, "none");
#endif
}

TEST(cpu, agrees_with_the_kernel_where_it_lists_flags)
{
    /* Not lzcnt: there are virtual machines whose kernel does not list what their CPU has. */
    static const char *const flags[][2] = {{"movbe", " movbe "},
                                           {"cx16", " cx16 "},
                                           {"f16c", " f16c "},
                                           {"bmi2", " bmi2 "},
                                           {"pclmul", " pclmulqdq "}};
    char line[8192] = "";
    FILE *info = fopen("/proc/cpuinfo", "r");

    while (info && fgets(line, sizeof(line) - 1, info) && strncmp(line, "flags", 5) != 0)
        line[0] = '\0';
    if (info)
        fclose(info);
    if (!line[0])
        skip();
    *strchr(line, '\n') = ' ';
    char ours[sizeof(struct text) + 2];
    snprintf(ours, sizeof(ours), " %s ", names(cpu_features_detect()).is);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        char name[16];
        snprintf(name, sizeof(name), " %s ", flags[i][0]);
        CHECK_EQ(strstr(ours, name) != NULL, strstr(line, flags[i][1]) != NULL);
    }
}

TEST(cpu, wide_registers_count_only_where_the_system_saves_them)
{
    struct cpu_words words = everything;

    CHECK_STR(names(cpu_features_from_words(&words)).is,
              "sse41 popcnt lzcnt bmi1 bmi2 movbe pclmul cx16 avx avx2 f16c fma avx512");
    words.saved_by_xsave = 0x7; /* no upper halves, no masks */
    CHECK_STR(names(cpu_features_from_words(&words)).is,
              "sse41 popcnt lzcnt bmi1 bmi2 movbe pclmul cx16 avx avx2 f16c fma");
    words.saved_by_xsave = 0xe3; /* AVX-512 state without AVX state */
    CHECK_STR(names(cpu_features_from_words(&words)).is,
              "sse41 popcnt lzcnt bmi1 bmi2 movbe pclmul cx16");
    words = everything;
    words.leaf1_ecx &= ~(uint32_t)BIT(27); /* no xgetbv: the value is not one */
    CHECK_STR(names(cpu_features_from_words(&words)).is,
              "sse41 popcnt lzcnt bmi1 bmi2 movbe pclmul cx16");
    words = everything;
    words.leaf7_ebx &= ~(uint32_t)BIT(31); /* AVX-512 without 128-bit forms is of no use */
    CHECK(!cpu_features_from_words(&words).avx512);
    CHECK_STR(names(cpu_features_from_words(&(struct cpu_words){0})).is, "none");
}

TEST(cpu, features_are_switched_off_by_name)
{
    CHECK_STR(without("-bmi2,-fma").is,
              "sse41 popcnt lzcnt bmi1 movbe pclmul cx16 avx avx2 f16c avx512");
    CHECK_STR(without("-sse41,-popcnt,-lzcnt,-bmi1,-movbe,-pclmul,-cx16").is,
              "bmi2 avx avx2 f16c fma avx512");
    CHECK_STR(without("none").is, "none");
    CHECK_STR(without("").is, names(cpu_features_from_words(&everything)).is);
}

TEST(cpu, what_needs_a_feature_goes_with_it)
{
    CHECK_STR(without("-avx").is, "sse41 popcnt lzcnt bmi1 bmi2 movbe pclmul cx16");
    CHECK_STR(without("-avx2").is, "sse41 popcnt lzcnt bmi1 bmi2 movbe pclmul cx16 avx f16c fma");
}

TEST(cpu, a_feature_that_is_missing_can_be_switched_off_but_not_on)
{
    struct cpu_features features = {.popcnt = true};
    struct error err = {0};

    CHECK_EQ(cpu_features_restrict(&features, "-avx,-popcnt", &err), 0);
    CHECK_STR(names(features).is, "none");
    CHECK_EQ(cpu_features_restrict(&features, "+avx", &err), (uintmax_t)-EINVAL);
    CHECK_STR(names(features).is, "none");
}

TEST(cpu, bad_lists_change_nothing_and_say_what_is_bad)
{
    static const char *const bad[] = {"bmi2",        "-",         ",",      "-bmi2,",
                                      "-bmi2,,-fma", "-bmi",      "-BMI2",  " none",
                                      "-none",       "none,-fma", "-bmi22", "-avx512 "};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct cpu_features features = cpu_features_from_words(&everything);
        struct error err = {0};

        CHECK_EQ(cpu_features_restrict(&features, bad[i], &err), (uintmax_t)-EINVAL);
        CHECK(err.text[0]);
        CHECK_STR(names(features).is, names(cpu_features_from_words(&everything)).is);
    }
    CHECK_STR(without("-fma,-bmi").is,
              "'-bmi' is not a CPU feature to switch off; -bmi2 would be one");
}

TEST(cpu, names_are_cut_where_the_room_ends)
{
    struct cpu_features features = {.sse41 = true, .popcnt = true};
    char text[9] = "????????";

    cpu_features_print(&features, text, 8);
    CHECK_STR(text, "sse41 p");
    CHECK_EQ(text[8], '\0');
}

TEST_MAIN(TESTS(cpu, detects_what_the_compilers_runtime_detects),
          TESTS(cpu, agrees_with_the_kernel_where_it_lists_flags),
          TESTS(cpu, wide_registers_count_only_where_the_system_saves_them),
          TESTS(cpu, features_are_switched_off_by_name),
          TESTS(cpu, what_needs_a_feature_goes_with_it),
          TESTS(cpu, a_feature_that_is_missing_can_be_switched_off_but_not_on),
          TESTS(cpu, bad_lists_change_nothing_and_say_what_is_bad),
          TESTS(cpu, names_are_cut_where_the_room_ends))
