/* SPDX-License-Identifier: Apache-2.0
 * tools/gen_decode.c refuses bad tables: each test plants one fault. The program
 * to run is in $GEN_DECODE. */
#include "harness/harness.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADD "INSN(add, \"add\", R, \"0000000 ..... ..... 000 ..... 0110011\", I, 0)\n"

/* Runs the generator over `table`; `output` gets what it wrote to both streams.
 * Returns true when it accepted the table. */
static bool accepts(const char *table, char *output, size_t size)
{
    char path[] = "/tmp/gen_decode_test.XXXXXX";
    char command[4096];
    const char *program = getenv("GEN_DECODE");

    assert_non_null(program);
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, table, strlen(table)), strlen(table));
    close(fd);
    snprintf(command, sizeof(command), "'%s' %s INSN x 2>&1", program, path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t length = fread(output, 1, size - 1, pipe);
    output[length] = '\0';
    while (fgetc(pipe) != EOF)
        ;
    int status = pclose(pipe);
    unlink(path);
    return status == 0;
}

static void check_refused(const char *table, const char *reason)
{
    char output[4096];

    CHECK(!accepts(table, output, sizeof(output)));
    if (!strstr(output, reason))
        fail_msg("'%s' does not say '%s'", output, reason);
}

TEST(gen_decode, a_good_table_is_accepted)
{
    char output[4096];
    CHECK(accepts(ADD, output, sizeof(output)));
    assert_non_null(strstr(output, "{0x00000033, 0xfe00707f}, /* add */"));
}

TEST(gen_decode, equal_rows_overlap)
{
    check_refused(ADD "INSN(mul, \"mul\", R, \"0000000 ..... ..... 000 ..... 0110011\", M, 0)\n",
                  ":2: add and mul overlap");
}

TEST(gen_decode, crossing_rows_overlap)
{
    check_refused("INSN(a, \"a\", R, \"0000000 00000 ..... 000 ..... 0110011\", I, 0)\n"
                  "INSN(b, \"b\", R, \"0000000 ..... 00000 000 ..... 0110011\", I, 0)\n",
                  "a and b overlap");
}

TEST(gen_decode, a_special_case_stands_before_the_general_row)
{
    static const char special[] =
        "INSN(mv, \"mv\", R, \"0000000 00000 ..... 000 ..... 0110011\", I, 0)\n";
    char table[1024];
    char output[4096];

    snprintf(table, sizeof(table), "%s%s", special, ADD);
    CHECK(accepts(table, output, sizeof(output)));
    snprintf(table, sizeof(table), "%s%s", ADD, special);
    check_refused(table, "add and mv overlap");
}

TEST(gen_decode, patterns_have_32_bits_of_three_kinds)
{
    check_refused("INSN(a, \"a\", R, \"0000000 ..... ..... 000 .... 0110011\", I, 0)\n",
                  "a: the pattern has 31 bits");
    check_refused("INSN(a, \"a\", R, \"0000000 ..... ..... 000 ..... 01100112\", I, 0)\n",
                  "a: stray character '2'");
    check_refused("INSN(a, \"a\", R, \"0000000 ..... ..... 000 ..... 0110001\", I, 0)\n",
                  "a: the two lowest bits contradict the width");
}

TEST(gen_decode, dots_need_a_field)
{
    check_refused("INSN(a, \"a\", R1, \"0000000 ..... ..... 000 ..... 0110011\", I, 0)\n",
                  "a: format R1 has no field for the dots at 0x01f00000");
    check_refused("INSN(a, \"a\", R9, \"0000000 ..... ..... 000 ..... 0110011\", I, 0)\n",
                  "no format 'R9'");
}

TEST(gen_decode, ids_are_unique_and_rows_readable)
{
    check_refused(ADD "INSN(add, \"x\", R, \"0100000 ..... ..... 000 ..... 0110011\", I, 0)\n",
                  ":2: add is there twice");
    check_refused("INSN(add)\n", "cannot split this row");
    check_refused("INSN(add, \"add\", R, x, I, 0)\n", "no pattern");
    check_refused("\n", "no INSN rows");
}

TEST_MAIN(TESTS(gen_decode, a_good_table_is_accepted), TESTS(gen_decode, equal_rows_overlap),
          TESTS(gen_decode, crossing_rows_overlap),
          TESTS(gen_decode, a_special_case_stands_before_the_general_row),
          TESTS(gen_decode, patterns_have_32_bits_of_three_kinds),
          TESTS(gen_decode, dots_need_a_field), TESTS(gen_decode, ids_are_unique_and_rows_readable))
