/* SPDX-License-Identifier: Apache-2.0
 * Unit tests as sentences, over cmocka. One file is one program:
 *
 *     TEST(plic, claim_returns_the_highest_priority) { CHECK_EQ(...); }
 *     TEST_MAIN(TESTS(plic, claim_returns_the_highest_priority),
 *               TESTS(plic, ...))
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define TEST(module, behaviour) \
    static void test_##module##_##behaviour(void **state_unused_ __attribute__((unused)))

#define TESTS(module, behaviour)                                               \
    {                                                                          \
#module ": " #behaviour, test_##module##_##behaviour, NULL, NULL, NULL \
    }

#define TEST_MAIN(...)                                    \
    int main(void)                                        \
    {                                                     \
        const struct CMUnitTest tests[] = {__VA_ARGS__};  \
        cmocka_set_message_output(CM_OUTPUT_TAP);         \
        return cmocka_run_group_tests(tests, NULL, NULL); \
    }

#define CHECK(condition)            assert_true(condition)
#define CHECK_EQ(actual, expected)  assert_int_equal((uintmax_t)(actual), (uintmax_t)(expected))
#define CHECK_STR(actual, expected) assert_string_equal(actual, expected)
