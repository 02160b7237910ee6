/* SPDX-License-Identifier: Apache-2.0
 * Cutting streams into messages, in pieces of every size. */
#include "harness/harness.h"

#include <stdlib.h>
#include <string.h>

#include "control/framer.h"

static struct framer framer;

/* What comes out of `text` when it arrives in pieces of `piece` bytes: messages with '|' behind each, '!' for
 * garbage, '#' for what is too long. */
static char *cut(const char *text, size_t piece)
{
    static char out[4096];
    size_t length = 0;
    size_t size = strlen(text);

    memset(&framer, 0, sizeof(framer));
    for (size_t from = 0; from < size; from += piece) {
        const char *at = text + from;
        size_t left = MIN(piece, size - from);
        enum framer_result result;
        while ((result = framer_take(&framer, &at, &left)) != FRAMER_MORE) {
            if (result == FRAMER_MESSAGE) {
                CHECK(length + framer.size + 1 < sizeof(out));
                memcpy(out + length, framer.text, framer.size);
                length += framer.size;
            }
            out[length++] = result == FRAMER_MESSAGE ? '|' : result == FRAMER_GARBAGE ? '!' : '#';
        }
        CHECK_EQ(left, 0);
    }
    out[length] = 0;
    return out;
}

static void check_all_pieces(const char *text, const char *wanted)
{
    for (size_t piece = 1; piece <= strlen(text); piece++)
        CHECK_STR(cut(text, piece), wanted);
}

TEST(framer, messages_are_cut_wherever_they_arrive)
{
    check_all_pieces("{}", "{}|");
    check_all_pieces(" {\"a\": [1, {}]}\r\n\t{\"b\": 2}{}", "{\"a\": [1, {}]}|{\"b\": 2}|{}|");
}

TEST(framer, brackets_in_strings_do_not_count)
{
    check_all_pieces("{\"a}\": \"]]{\\\"}\"}{}", "{\"a}\": \"]]{\\\"}\"}|{}|");
    check_all_pieces("{\"\\\\\": 1}{}", "{\"\\\\\": 1}|{}|");
}

TEST(framer, garbage_is_skipped_to_the_end_of_its_line)
{
    check_all_pieces("hello {}\n{}", "!{}|");
    check_all_pieces("[1]\n\n}{\n{\"x\":1}", "!!{\"x\":1}|");
}

TEST(framer, an_unfinished_message_gives_nothing)
{
    CHECK_STR(cut("{\"a\": {", 3), "");
    CHECK_STR(cut("", 1), "");
}

TEST(framer, messages_are_bounded)
{
    char *text = malloc(FRAMER_MOST + 64);

    assert_non_null(text);
    memset(text, ' ', FRAMER_MOST + 63);
    text[0] = '{';
    text[FRAMER_MOST - 1] = '}';
    text[FRAMER_MOST] = 0;
    const char *at = text;
    size_t left = FRAMER_MOST;
    memset(&framer, 0, sizeof(framer));
    CHECK_EQ(framer_take(&framer, &at, &left), FRAMER_MESSAGE);
    CHECK_EQ(framer.size, FRAMER_MOST);
    text[FRAMER_MOST - 1] = ' ';          /* one more than there is room for */
    strcpy(text + FRAMER_MOST, "}x\n{}"); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy) */
    CHECK_STR(cut(text, 1000), "#{}|");
    CHECK_STR(cut(text, 70000), "#{}|");
    free(text);
}

TEST_MAIN(TESTS(framer, messages_are_cut_wherever_they_arrive),
          TESTS(framer, brackets_in_strings_do_not_count),
          TESTS(framer, garbage_is_skipped_to_the_end_of_its_line),
          TESTS(framer, an_unfinished_message_gives_nothing), TESTS(framer, messages_are_bounded))
