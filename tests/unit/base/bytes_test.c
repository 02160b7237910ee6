/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "harness/harness.h"

#include <string.h>

static const uint8_t fifteen[15] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

TEST(reader, reads_fields_in_little_endian)
{
    struct reader r = reader_make(fifteen, sizeof(fifteen));

    CHECK_EQ(reader_u8(&r), 1);
    CHECK_EQ(reader_le16(&r), 0x0302);
    CHECK_EQ(reader_le32(&r), 0x07060504);
    CHECK_EQ(reader_le64(&r), UINT64_C(0x0f0e0d0c0b0a0908));
    CHECK_EQ(reader_left(&r), 0);
    CHECK(!r.bad);
}

TEST(reader, past_the_end_is_zero_and_bad_for_good)
{
    struct reader r = reader_make(fifteen, 7);

    CHECK_EQ(reader_le64(&r), 0);
    CHECK(r.bad);
    CHECK_EQ(reader_left(&r), 0);
    CHECK_EQ(reader_u8(&r), 0); /* the seven bytes are gone too */
    CHECK(r.bad);
}

TEST(reader, hands_out_bytes_in_place_or_not_at_all)
{
    struct reader r = reader_make(fifteen, 4);

    CHECK(reader_bytes(&r, 3) == fifteen);
    CHECK(reader_bytes(&r, 2) == NULL);
    CHECK(r.bad);
}

TEST(reader, takes_the_largest_size_without_wrapping)
{
    struct reader r = reader_make(fifteen, 4);

    CHECK(reader_bytes(&r, SIZE_MAX) == NULL);
    CHECK(r.bad);
}

TEST(reader, zero_bytes_at_the_end_are_fine)
{
    struct reader r = reader_make(fifteen, 0);

    CHECK(reader_bytes(&r, 0) == fifteen);
    CHECK(!r.bad);
}

TEST(reader, copy_zeroes_what_it_cannot_fill)
{
    struct reader r = reader_make(fifteen, 3);
    uint8_t to[4] = {9, 9, 9, 9};

    reader_copy(&r, to, sizeof(to));
    CHECK(memcmp(to, "\0\0\0\0", 4) == 0);
    CHECK(r.bad);
}

TEST(writer, writes_fields_in_little_endian)
{
    uint8_t to[15];
    struct writer w = {.to = to, .capacity = sizeof(to)};

    writer_u8(&w, 1);
    writer_le16(&w, 0x0302);
    writer_le32(&w, 0x07060504);
    writer_le64(&w, UINT64_C(0x0f0e0d0c0b0a0908));
    CHECK(writer_is_complete(&w));
    CHECK(memcmp(to, fifteen, sizeof(to)) == 0);
}

TEST(writer, counts_without_a_buffer)
{
    struct writer w = {0};

    writer_le64(&w, 1);
    writer_bytes(&w, fifteen, 3);
    CHECK_EQ(w.length, 11);
    CHECK(!writer_is_complete(&w));
}

TEST(writer, writes_nothing_behind_what_did_not_fit)
{
    uint8_t to[5] = {0};
    struct writer w = {.to = to, .capacity = 4};

    writer_bytes(&w, fifteen, 3);
    writer_le16(&w, 0xffff);
    writer_u8(&w, 0xee);
    CHECK_EQ(w.length, 6);
    CHECK(!writer_is_complete(&w));
    CHECK(memcmp(to, "\1\2\3\0\0", 5) == 0);
}

TEST_MAIN(TESTS(reader, reads_fields_in_little_endian),
          TESTS(reader, past_the_end_is_zero_and_bad_for_good),
          TESTS(reader, hands_out_bytes_in_place_or_not_at_all),
          TESTS(reader, takes_the_largest_size_without_wrapping),
          TESTS(reader, zero_bytes_at_the_end_are_fine),
          TESTS(reader, copy_zeroes_what_it_cannot_fill),
          TESTS(writer, writes_fields_in_little_endian), TESTS(writer, counts_without_a_buffer),
          TESTS(writer, writes_nothing_behind_what_did_not_fit))
