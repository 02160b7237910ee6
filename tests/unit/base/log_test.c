/* SPDX-License-Identifier: Apache-2.0
 * The log's level, filter and sink are globals, so each test sets all it uses. */
#include "base/log.h"

#include "harness/harness.h"

#include <string.h>

static char last[1024];
static enum log_level last_level;
static unsigned lines;

static void remember(enum log_level level, const char *line)
{
    snprintf(last, sizeof(last), "%s", line);
    last_level = level;
    lines++;
}

static void start(enum log_level level)
{
    log_set_sink(remember);
    CHECK(log_set_level(NULL, level));
    log_guest_refill();
    last[0] = 0;
    lines = 0;
}

TEST(log, lines_name_their_module)
{
    start(LOG_WARN);
    log_error("blk", "disk %d failed: %s", 3, "EIO");
    CHECK_STR(last, "blk: disk 3 failed: EIO");
    CHECK(last_level == LOG_ERROR);
}

TEST(log, lines_above_the_level_are_dropped)
{
    start(LOG_WARN);
    log_info("blk", "opened");
    log_debug("blk", "opened");
    CHECK_EQ(lines, 0);
    log_warn("blk", "slow");
    CHECK_EQ(lines, 1);
}

TEST(log, a_module_has_a_level_of_its_own)
{
    start(LOG_ERROR);
    CHECK(log_set_level("noisy", LOG_DEBUG));
    log_debug("noisy", "x");
    log_debug("noisy2", "x");
    CHECK_EQ(lines, 1);
    CHECK(log_set_level("noisy", LOG_ERROR)); /* the later setting counts */
    log_debug("noisy", "x");
    CHECK_EQ(lines, 1);
}

TEST(log, without_a_sink_lines_vanish)
{
    start(LOG_DEBUG);
    log_set_sink(NULL);
    log_error("a", "b");
    log_guest("a", "b");
    CHECK_EQ(lines, 0);
}

TEST(log, long_lines_are_cut)
{
    char text[900];

    start(LOG_INFO);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    log_info("m", "%s", text);
    CHECK(strlen(last) < 700 && strlen(last) > 100);
}

TEST(log, a_module_name_that_fills_the_line_is_cut)
{
    char name[900];

    start(LOG_INFO);
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = 0;
    log_info(name, "text");
    CHECK_EQ(lines, 1);
}

TEST(log_guest, is_limited_until_the_next_refill)
{
    start(LOG_INFO);
    for (int i = 0; i < 1000; i++)
        log_guest("dev", "bad register");
    CHECK_EQ(lines, LOG_GUEST_LINES);
    log_guest_refill();
    for (int i = 0; i < 1000; i++)
        log_guest("dev", "bad register");
    CHECK_EQ(lines, 2 * LOG_GUEST_LINES);
}

TEST(log_guest, is_silent_by_default_and_then_costs_no_budget)
{
    start(LOG_WARN);
    for (int i = 0; i < 1000; i++)
        log_guest("dev", "bad register");
    CHECK_EQ(lines, 0);
    CHECK(log_set_level(NULL, LOG_INFO));
    log_guest("dev", "bad register");
    CHECK_EQ(lines, 1);
}

TEST(log_guest, does_not_limit_our_own_lines)
{
    start(LOG_INFO);
    for (int i = 0; i < 100; i++)
        log_warn("dev", "ours");
    CHECK_EQ(lines, 100);
}

TEST(log, levels_have_names)
{
    enum log_level level = LOG_ERROR;

    CHECK(log_parse_level("debug,x", 5, &level));
    CHECK(level == LOG_DEBUG);
    CHECK(!log_parse_level("debug", 4, &level));
    CHECK(!log_parse_level("", 0, &level));
    CHECK(!log_parse_level("Warn", 4, &level));
    CHECK(level == LOG_DEBUG);
}

/* Last: the table of levels cannot be emptied. */
TEST(log, the_table_of_modules_has_an_end)
{
    unsigned more = 0;

    start(LOG_WARN);
    while (more < 1000 && log_set_level("many", LOG_DEBUG))
        more++;
    CHECK(more > 0 && more < 1000);
    CHECK(log_set_level(NULL, LOG_WARN));
}

TEST_MAIN(TESTS(log, lines_name_their_module), TESTS(log, lines_above_the_level_are_dropped),
          TESTS(log, a_module_has_a_level_of_its_own), TESTS(log, without_a_sink_lines_vanish),
          TESTS(log, long_lines_are_cut), TESTS(log, a_module_name_that_fills_the_line_is_cut),
          TESTS(log_guest, is_limited_until_the_next_refill),
          TESTS(log_guest, is_silent_by_default_and_then_costs_no_budget),
          TESTS(log_guest, does_not_limit_our_own_lines), TESTS(log, levels_have_names),
          TESTS(log, the_table_of_modules_has_an_end))
