/* SPDX-License-Identifier: Apache-2.0
 * Packets of the gdb remote protocol. */
#include "gdb/packet.h"

#define INTERRUPT_BYTE 0x03
#define ESCAPE_BYTE    '}'
#define ESCAPE_MASK    0x20

static const char digits[] = "0123456789abcdef";

int gdb_packet_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

/* --- Receiving ------------------------------------------------------------ */

static void start_payload(struct gdb_packet_parser *parser)
{
    parser->state = GDB_PACKET_DATA;
    parser->sum = 0;
    parser->expected = 0;
    parser->bad_digit = false;
    parser->too_long = false;
    parser->length = 0;
}

static void store(struct gdb_packet_parser *parser, uint8_t byte)
{
    if (parser->length < sizeof(parser->payload))
        parser->payload[parser->length++] = byte;
    else
        parser->too_long = true;
}

static enum gdb_packet_event receive_idle(struct gdb_packet_parser *parser, uint8_t byte)
{
    switch (byte) {
    case '$':
        start_payload(parser);
        return GDB_PACKET_NONE;
    case '-':
        return GDB_PACKET_RESEND;
    case INTERRUPT_BYTE:
        return GDB_PACKET_INTERRUPT;
    default: /* '+', and noise of a serial line */
        return GDB_PACKET_NONE;
    }
}

static void receive_data(struct gdb_packet_parser *parser, uint8_t byte)
{
    bool escaped = parser->state == GDB_PACKET_ESCAPE;

    if (byte == '$') {
        start_payload(parser);
        return;
    }
    if (byte == '#') {
        parser->state = GDB_PACKET_SUM_HIGH;
        return;
    }
    parser->sum = (uint8_t)(parser->sum + byte);
    if (!escaped && byte == ESCAPE_BYTE) {
        parser->state = GDB_PACKET_ESCAPE;
        return;
    }
    parser->state = GDB_PACKET_DATA;
    store(parser, escaped ? byte ^ ESCAPE_MASK : byte);
}

static enum gdb_packet_event receive_sum(struct gdb_packet_parser *parser, uint8_t byte)
{
    int digit = gdb_packet_digit(byte);

    if (digit < 0)
        parser->bad_digit = true;
    else
        parser->expected = (uint8_t)(parser->expected << 4 | digit);
    if (parser->state == GDB_PACKET_SUM_HIGH) {
        parser->state = GDB_PACKET_SUM_LOW;
        return GDB_PACKET_NONE;
    }
    parser->state = GDB_PACKET_IDLE;
    if (parser->bad_digit || parser->sum != parser->expected)
        return GDB_PACKET_DAMAGED;
    return parser->too_long ? GDB_PACKET_TOO_LONG : GDB_PACKET_READY;
}

enum gdb_packet_event gdb_packet_receive(struct gdb_packet_parser *parser, uint8_t byte)
{
    switch (parser->state) {
    case GDB_PACKET_IDLE:
        return receive_idle(parser, byte);
    case GDB_PACKET_DATA:
    case GDB_PACKET_ESCAPE:
        receive_data(parser, byte);
        return GDB_PACKET_NONE;
    case GDB_PACKET_SUM_HIGH:
    case GDB_PACKET_SUM_LOW:
        return receive_sum(parser, byte);
    }
    return GDB_PACKET_NONE;
}

/* --- Sending -------------------------------------------------------------- */

void gdb_packet_begin(struct gdb_packet *packet)
{
    packet->overflow = false;
    packet->frame[0] = '$';
    packet->length = 1;
}

void gdb_packet_byte(struct gdb_packet *packet, uint8_t byte)
{
    /* Room for '#' and the checksum stays free. */
    if (packet->length < sizeof(packet->frame) - 3)
        packet->frame[packet->length++] = byte;
    else
        packet->overflow = true;
}

void gdb_packet_text(struct gdb_packet *packet, const char *text)
{
    for (; *text; text++)
        gdb_packet_byte(packet, (uint8_t)*text);
}

void gdb_packet_number(struct gdb_packet *packet, uint64_t value)
{
    unsigned shift = value ? (63 - (unsigned)__builtin_clzll(value)) & ~3U : 0;

    for (;; shift -= 4) {
        gdb_packet_byte(packet, (uint8_t)digits[value >> shift & 15]);
        if (shift == 0)
            break;
    }
}

void gdb_packet_hex(struct gdb_packet *packet, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;

    for (size_t i = 0; i < size; i++) {
        gdb_packet_byte(packet, (uint8_t)digits[from[i] >> 4]);
        gdb_packet_byte(packet, (uint8_t)digits[from[i] & 15]);
    }
}

void gdb_packet_binary(struct gdb_packet *packet, const void *bytes, size_t size)
{
    const uint8_t *from = bytes;

    for (size_t i = 0; i < size; i++) {
        uint8_t byte = from[i];
        if (byte == '$' || byte == '#' || byte == ESCAPE_BYTE || byte == '*') {
            gdb_packet_byte(packet, ESCAPE_BYTE);
            byte ^= ESCAPE_MASK;
        }
        gdb_packet_byte(packet, byte);
    }
}

void gdb_packet_end(struct gdb_packet *packet)
{
    uint8_t sum = 0;

    if (packet->overflow) {
        gdb_packet_begin(packet);
        gdb_packet_text(packet, "E07"); /* E2BIG */
    }
    for (size_t i = 1; i < packet->length; i++)
        sum = (uint8_t)(sum + packet->frame[i]);
    packet->frame[packet->length++] = '#';
    packet->frame[packet->length++] = (uint8_t)digits[sum >> 4];
    packet->frame[packet->length++] = (uint8_t)digits[sum & 15];
}
