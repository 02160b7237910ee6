/* SPDX-License-Identifier: Apache-2.0
 * Packets of the gdb remote protocol: $payload#checksum, with acknowledgements,
 * escapes and the interrupt byte between them (gdb manual, appendix "Overview"
 * of the remote protocol).
 *
 * Both directions use one fixed buffer, so hostile bytes cannot make them grow. */
#pragma once

#include "base/types.h"

/* Payload bytes of a packet in either direction; gdb learns it by qSupported. */
#define GDB_PACKET_SIZE 0x4000

/* What a received byte completed. */
enum gdb_packet_event {
    GDB_PACKET_NONE,
    GDB_PACKET_READY,     /* payload and length are valid until the next byte */
    GDB_PACKET_DAMAGED,   /* the checksum is wrong */
    GDB_PACKET_TOO_LONG,  /* intact, but more than GDB_PACKET_SIZE; dropped */
    GDB_PACKET_INTERRUPT, /* the user's Ctrl-C */
    GDB_PACKET_RESEND,    /* '-': our last packet arrived damaged */
};

/*            '$'            '#'             digit            digit
 *   IDLE ----------> DATA ---------> SUM_HIGH ----> SUM_LOW ----> IDLE
 *                    |  ^
 *                '}' v  | any byte
 *                   ESCAPE
 * A '$' in DATA or ESCAPE starts the packet anew. Zeroed memory is IDLE. */
enum gdb_packet_state {
    GDB_PACKET_IDLE,
    GDB_PACKET_DATA,
    GDB_PACKET_ESCAPE,
    GDB_PACKET_SUM_HIGH,
    GDB_PACKET_SUM_LOW,
};

struct gdb_packet_parser {
    enum gdb_packet_state state;
    uint8_t sum;                      /* of the bytes between '$' and '#' */
    uint8_t expected;                 /* the checksum received, after its first digit */
    bool bad_digit;                   /* the checksum is not hexadecimal */
    bool too_long;                    /* bytes beyond the buffer were dropped */
    size_t length;                    /* unescaped payload bytes */
    uint8_t payload[GDB_PACKET_SIZE]; /* not terminated, any bytes */
};

/* Takes one byte from the wire. */
enum gdb_packet_event gdb_packet_receive(struct gdb_packet_parser *parser, uint8_t byte);

/* A packet being built; after gdb_packet_end, `frame` is what goes on the wire. */
struct gdb_packet {
    bool overflow; /* something did not fit */
    size_t length;
    uint8_t frame[GDB_PACKET_SIZE + 4]; /* '$', payload, '#', two digits */
};

void gdb_packet_begin(struct gdb_packet *packet);
void gdb_packet_byte(struct gdb_packet *packet, uint8_t byte);
void gdb_packet_text(struct gdb_packet *packet, const char *text);
/* A number in hexadecimal, without leading zeros. */
void gdb_packet_number(struct gdb_packet *packet, uint64_t value);
/* Two hexadecimal digits per byte. */
void gdb_packet_hex(struct gdb_packet *packet, const void *bytes, size_t size);
/* Binary data, escaped. */
void gdb_packet_binary(struct gdb_packet *packet, const void *bytes, size_t size);
/* Adds the checksum. A packet that overflowed becomes an error reply. */
void gdb_packet_end(struct gdb_packet *packet);

/* Value of a hexadecimal digit, -1 for any other byte. */
int gdb_packet_digit(uint8_t byte);
