/* SPDX-License-Identifier: Apache-2.0
 * Reading the arguments of commands. */
#include "gdb/parse.h"

#include "base/memory.h"
#include "gdb/packet.h"

bool gdb_accept(struct reader *r, char c)
{
    if (reader_left(r) == 0 || *r->at != (uint8_t)c)
        return false;
    r->at++;
    return true;
}

bool gdb_accept_text(struct reader *r, const char *text)
{
    size_t length = strlen(text);

    if (reader_left(r) < length || memcmp(r->at, text, length) != 0)
        return false;
    r->at += length;
    return true;
}

bool gdb_parse_number(struct reader *r, uint64_t *out)
{
    const uint8_t *start = r->at;
    uint64_t value = 0;

    for (; reader_left(r) > 0 && gdb_packet_digit(*r->at) >= 0; r->at++) {
        if (value >> 60)
            return false;
        value = value << 4 | (uint64_t)gdb_packet_digit(*r->at);
    }
    *out = value;
    return r->at != start;
}

bool gdb_parse_hex(struct reader *r, uint8_t *to, size_t size)
{
    if (reader_left(r) / 2 < size)
        return false;
    for (size_t i = 0; i < size; i++) {
        int high = gdb_packet_digit(reader_u8(r));
        int low = gdb_packet_digit(reader_u8(r));
        if (high < 0 || low < 0)
            return false;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool gdb_parse_range(struct reader *r, gva_t *at, uint64_t *size)
{
    return gdb_parse_number(r, at) && gdb_accept(r, ',') && gdb_parse_number(r, size);
}
