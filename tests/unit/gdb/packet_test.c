/* SPDX-License-Identifier: Apache-2.0
 * Framing, checked on hand-written bytes. */
#include "gdb/packet.h"

#include <string.h>

#include "harness/harness.h"

/* The event of the last of `size` bytes. */
static enum gdb_packet_event feed(struct gdb_packet_parser *parser, const char *bytes, size_t size)
{
    enum gdb_packet_event event = GDB_PACKET_NONE;

    for (size_t i = 0; i < size; i++)
        event = gdb_packet_receive(parser, (uint8_t)bytes[i]);
    return event;
}

static struct gdb_packet_parser parser;
static struct gdb_packet packet;

TEST(packet, intact_packet_is_ready)
{
    memset(&parser, 0, sizeof(parser));
    CHECK_EQ(feed(&parser, "+noise$m4#a1", 12), GDB_PACKET_READY);
    CHECK_EQ(parser.length, 2);
    CHECK(memcmp(parser.payload, "m4", 2) == 0);
    CHECK_EQ(feed(&parser, "$m4#A1", 6), GDB_PACKET_READY);
}

TEST(packet, wrong_or_odd_checksum_is_damage)
{
    memset(&parser, 0, sizeof(parser));
    CHECK_EQ(feed(&parser, "$m4#a2", 6), GDB_PACKET_DAMAGED);
    CHECK_EQ(feed(&parser, "$m4#x1", 6), GDB_PACKET_DAMAGED);
    CHECK_EQ(feed(&parser, "$#00", 4), GDB_PACKET_READY);
    CHECK_EQ(parser.length, 0);
}

TEST(packet, dollar_starts_anew)
{
    memset(&parser, 0, sizeof(parser));
    CHECK_EQ(feed(&parser, "$lost}$m4#a1", 12), GDB_PACKET_READY);
    CHECK_EQ(parser.length, 2);
}

TEST(packet, escapes_are_undone)
{
    memset(&parser, 0, sizeof(parser));
    CHECK_EQ(feed(&parser, "$X}\x03#d8", 7), GDB_PACKET_READY);
    CHECK_EQ(parser.length, 2);
    CHECK_EQ(parser.payload[1], '#');
}

TEST(packet, interrupt_counts_only_between_packets)
{
    memset(&parser, 0, sizeof(parser));
    CHECK_EQ(feed(&parser, "\x03", 1), GDB_PACKET_INTERRUPT);
    CHECK_EQ(feed(&parser, "$\x03", 2), GDB_PACKET_NONE);
    CHECK_EQ(feed(&parser, "#03", 3), GDB_PACKET_READY);
    CHECK_EQ(feed(&parser, "-", 1), GDB_PACKET_RESEND);
}

TEST(packet, too_long_packet_is_dropped_whole)
{
    unsigned sum = 0;
    char end[4];

    memset(&parser, 0, sizeof(parser));
    feed(&parser, "$", 1);
    for (unsigned i = 0; i < GDB_PACKET_SIZE + 1; i++, sum += 'a')
        CHECK_EQ(feed(&parser, "a", 1), GDB_PACKET_NONE);
    snprintf(end, sizeof(end), "#%02x", sum & 0xff);
    CHECK_EQ(feed(&parser, end, 3), GDB_PACKET_TOO_LONG);
    CHECK_EQ(feed(&parser, "$m4#a1", 6), GDB_PACKET_READY);
}

TEST(packet, built_packet_parses_back)
{
    static const uint8_t all[] = {'$', '#', '}', '*', 0, 3, 0xff, 'a'};

    gdb_packet_begin(&packet);
    gdb_packet_text(&packet, "m");
    gdb_packet_binary(&packet, all, sizeof(all));
    gdb_packet_end(&packet);
    memset(&parser, 0, sizeof(parser));
    CHECK_EQ(feed(&parser, (const char *)packet.frame, packet.length), GDB_PACKET_READY);
    CHECK_EQ(parser.length, 1 + sizeof(all));
    CHECK(memcmp(parser.payload + 1, all, sizeof(all)) == 0);
}

TEST(packet, numbers_have_no_leading_zeros)
{
    gdb_packet_begin(&packet);
    gdb_packet_number(&packet, 0);
    gdb_packet_number(&packet, 0x10);
    gdb_packet_number(&packet, UINT64_MAX);
    CHECK_EQ(packet.length, 1 + 1 + 2 + 16);
    CHECK(memcmp(packet.frame, "$010ffffffffffffffff", 20) == 0);
}

TEST(packet, overflow_becomes_an_error_reply)
{
    gdb_packet_begin(&packet);
    for (unsigned i = 0; i < GDB_PACKET_SIZE; i++)
        gdb_packet_byte(&packet, 'a');
    CHECK(!packet.overflow);
    gdb_packet_byte(&packet, 'a');
    gdb_packet_end(&packet);
    CHECK_EQ(packet.length, 7);
    CHECK(memcmp(packet.frame, "$E07#ac", 7) == 0);
}

TEST_MAIN(TESTS(packet, intact_packet_is_ready), TESTS(packet, wrong_or_odd_checksum_is_damage),
          TESTS(packet, dollar_starts_anew), TESTS(packet, escapes_are_undone),
          TESTS(packet, interrupt_counts_only_between_packets),
          TESTS(packet, too_long_packet_is_dropped_whole), TESTS(packet, built_packet_parses_back),
          TESTS(packet, numbers_have_no_leading_zeros),
          TESTS(packet, overflow_becomes_an_error_reply))
