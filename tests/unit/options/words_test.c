/* SPDX-License-Identifier: Apache-2.0
 * Command lines against a small table of options. */
#include "harness/harness.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "options/words.h"

enum { FLAG, VALUE, OPTIONAL, LIST };

static const struct option_row rows[] = {
    {'f', "flag", NULL, "a flag"},
    {'v', "value", "TEXT", "with a value"},
    {0, "optional", "[json]", "perhaps with a value"},
    {'l', "list", "TEXT", "repeatable"},
};

static struct error err;

/* `words` ends with NULL. */
static struct option_words start(const char **words)
{
    struct option_words all = {
        .command = "doppel test",
        .rows = rows,
        .row_count = ARRAY_LEN(rows),
        .repeatable = BIT(LIST),
        .argv = (char **)(uintptr_t)words,
        .at = 1,
    };

    while (words[all.argc])
        all.argc++;
    err = (struct error){0};
    return all;
}

#define WORDS(...)                \
    (const char *[])              \
    {                             \
        "test", __VA_ARGS__, NULL \
    }

static void check_next(struct option_words *words, int index, const char *value)
{
    CHECK_EQ(option_words_next(words, &err), index);
    if (value)
        CHECK_STR(words->value, value);
    else
        assert_null(words->value);
}

static void check_refused(struct option_words words, const char *reason)
{
    int result;

    do
        result = option_words_next(&words, &err);
    while (result >= 0 && result != OPTION_WORD_END);
    CHECK_EQ(result, -EINVAL);
    assert_non_null(strstr(err.text, reason));
}

TEST(words, values_follow_or_are_attached)
{
    struct option_words words =
        start(WORDS("--value", "a", "--list=b", "-lc", "-l", "--flag", "-f"));

    check_next(&words, VALUE, "a");
    check_next(&words, LIST, "b");
    check_next(&words, LIST, "c");
    check_next(&words, LIST, "--flag");
    check_next(&words, FLAG, NULL);
    check_next(&words, OPTION_WORD_END, NULL);
}

TEST(words, optional_values_need_an_equals_sign)
{
    struct option_words words = start(WORDS("--optional", "json"));

    check_next(&words, OPTIONAL, NULL);
    check_next(&words, OPTION_WORD_PLAIN, "json");
    words = start(WORDS("--optional=json"));
    check_next(&words, OPTIONAL, "json");
}

TEST(words, empty_values_are_values)
{
    struct option_words words = start(WORDS("--value=", "-l", ""));

    check_next(&words, VALUE, "");
    check_next(&words, LIST, "");
}

TEST(words, the_rest_is_the_callers)
{
    struct option_words words = start(WORDS("-f", "--", "--flag"));

    check_next(&words, FLAG, NULL);
    check_next(&words, OPTION_WORD_DASHES, NULL);
    CHECK_STR(words.argv[words.at], "--flag");
    words = start(WORDS("-", "-h"));
    check_next(&words, OPTION_WORD_PLAIN, "-");
    check_next(&words, OPTION_WORD_HELP, NULL);
}

TEST(words, what_is_wrong_is_said)
{
    check_refused(start(WORDS("--unknown=1")), "unknown option '--unknown'; 'doppel test --help'");
    check_refused(start(WORDS("-x")), "unknown option '-x'");
    check_refused(start(WORDS("-fx")), "unknown option '-fx'");
    check_refused(start(WORDS("--flag=1")), "--flag takes no value");
    check_refused(start(WORDS("--value")), "--value wants TEXT");
    check_refused(start(WORDS("-v")), "--value wants TEXT");
    check_refused(start(WORDS("-f", "--flag")), "--flag is given twice");
}

TEST(words, qemu_has_long_names_with_one_dash)
{
    struct option_words words = start(WORDS("-value", "a", "--list", "b", "-list", "c", "-flag=1"));

    words.long_names_only = true;
    check_next(&words, VALUE, "a");
    check_next(&words, LIST, "b");
    check_next(&words, LIST, "c");
    check_refused(words, "unknown option '-flag=1'");
}

TEST_MAIN(TESTS(words, values_follow_or_are_attached),
          TESTS(words, optional_values_need_an_equals_sign), TESTS(words, empty_values_are_values),
          TESTS(words, the_rest_is_the_callers), TESTS(words, what_is_wrong_is_said),
          TESTS(words, qemu_has_long_names_with_one_dash))
