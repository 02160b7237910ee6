/* SPDX-License-Identifier: Apache-2.0
 * ISA strings. */
#include "harness/harness.h"

#include <string.h>

#include "base/error.h"
#include "isa/extension.h"

static void check_reads_as(const char *text, const char *expected)
{
    struct extension_set set;
    struct error err = {0};
    char printed[256];

    CHECK_EQ(extension_set_parse(text, &set, &err), 0);
    CHECK_EQ(extension_set_print(&set, printed, sizeof(printed)), strlen(expected));
    CHECK_STR(printed, expected);
}

static void check_refused(const char *text, const char *reason)
{
    struct extension_set set = {0x1234};
    struct error err = {0};

    CHECK(extension_set_parse(text, &set, &err) < 0);
    CHECK_STR(err.text, reason);
    CHECK_EQ(set.bits, 0x1234);
}

TEST(extension, strings_are_read_and_printed_in_canonical_order)
{
    check_reads_as("rv64i", "rv64i");
    check_reads_as("rv64gc", "rv64imafdc_zicsr_zifencei");
    check_reads_as("RV64GC_Zbs_ZBA", "rv64imafdc_zicsr_zifencei_zba_zbs");
    check_reads_as("rv64imaczba", "rv64imac_zba");
    check_reads_as("rv64ib", "rv64i_zba_zbb_zbs");
    check_reads_as("rv64id", "rv64ifd_zicsr");
}

TEST(extension, changes_apply_in_order)
{
    check_reads_as("rv64gc,+zba,-c", "rv64imafd_zicsr_zifencei_zba");
    check_reads_as("rv64gc,-f", "rv64imac_zicsr_zifencei");
    check_reads_as("rv64i,+d,-zicsr", "rv64i");
    check_reads_as("rv64i,-m,+m", "rv64im");
}

TEST(extension, a_list_of_changes_starts_from_everything)
{
    struct extension_set set;
    struct extension_set all = extension_set_all();

    CHECK_EQ(extension_set_parse("max", &set, NULL), 0);
    CHECK_EQ(set.bits, all.bits);
    CHECK_EQ(extension_set_parse("-zbc", &set, NULL), 0);
    CHECK_EQ(set.bits, all.bits & ~BIT(EXT_Zbc));
}

TEST(extension, the_bad_word_is_named)
{
    check_refused("rv64gcv", "unknown ISA extension 'v'");
    check_refused("rv64gc_zfoo", "unknown ISA extension 'zfoo'");
    check_refused("rv64gc,+zfoo", "unknown ISA extension '+zfoo'");
    check_refused("rv64gc,zba", "ISA: expected +extension or -extension, not 'zba'");
    check_refused("rv64gc,", "ISA: expected +extension or -extension, not ''");
    check_refused("rv32gc", "ISA 'rv32gc' is neither 'max' nor rv64...");
    check_refused("", "ISA '' is neither 'max' nor rv64...");
    check_refused("rv64e", "ISA 'rv64e' has no base: rv64i or rv64g");
    check_refused("rv64gc_", "unknown ISA extension '_'");
    check_refused("max,-i", "'-i': the base ISA cannot be taken away");
    check_refused("max,-g", "'-g': the base ISA cannot be taken away");
    check_refused("max,+", "ISA: expected +extension or -extension, not '+'");
}

TEST(extension, the_list_form_ends_each_name_with_nul)
{
    struct extension_set set = {BIT(EXT_I) | BIT(EXT_M) | BIT(EXT_Zba)};
    char list[16];

    memset(list, '#', sizeof(list));
    CHECK_EQ(extension_set_print_list(&set, list, sizeof(list)), 8);
    CHECK(memcmp(list, "i\0m\0zba\0#", 9) == 0);
    CHECK_EQ(extension_set_print_list(&set, list, 3), 8);
}

TEST(extension, a_short_buffer_is_terminated)
{
    struct extension_set all = extension_set_all();
    char text[8];

    CHECK(extension_set_print(&all, text, sizeof(text)) > 100);
    CHECK_STR(text, "rv64ima");
}

TEST(extension, names_lead_back_to_their_rows)
{
    for (unsigned i = 0; i < EXT_COUNT; i++) {
        const char *name = extension_name(i);
        CHECK_EQ(extension_find(name, strlen(name)), i);
    }
    CHECK_EQ(extension_find("zb", 2), EXT_COUNT);
}

TEST_MAIN(TESTS(extension, strings_are_read_and_printed_in_canonical_order),
          TESTS(extension, changes_apply_in_order),
          TESTS(extension, a_list_of_changes_starts_from_everything),
          TESTS(extension, the_bad_word_is_named),
          TESTS(extension, the_list_form_ends_each_name_with_nul),
          TESTS(extension, a_short_buffer_is_terminated),
          TESTS(extension, names_lead_back_to_their_rows))
