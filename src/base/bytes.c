/* SPDX-License-Identifier: Apache-2.0
 * A bounded reader and writer over a range of bytes. */
#include "base/bytes.h"

#include "base/endian.h"

struct reader reader_make(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    return (struct reader){.at = at, .end = at + size};
}

size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

const void *reader_bytes(struct reader *r, size_t size)
{
    if (size > reader_left(r)) {
        r->bad = true;
        r->at = r->end;
        return NULL;
    }
    const uint8_t *bytes = r->at;
    r->at += size;
    return bytes;
}

void reader_copy(struct reader *r, void *to, size_t size)
{
    const void *bytes = reader_bytes(r, size);

    if (bytes)
        memcpy(to, bytes, size);
    else
        memset(to, 0, size);
}

uint8_t reader_u8(struct reader *r)
{
    const uint8_t *bytes = reader_bytes(r, 1);
    return bytes ? *bytes : 0;
}

uint16_t reader_le16(struct reader *r)
{
    const void *bytes = reader_bytes(r, 2);
    return bytes ? load_le16(bytes) : 0;
}

uint32_t reader_le32(struct reader *r)
{
    const void *bytes = reader_bytes(r, 4);
    return bytes ? load_le32(bytes) : 0;
}

uint64_t reader_le64(struct reader *r)
{
    const void *bytes = reader_bytes(r, 8);
    return bytes ? load_le64(bytes) : 0;
}

void writer_bytes(struct writer *w, const void *bytes, size_t size)
{
    if (w->to && w->length <= w->capacity && size <= w->capacity - w->length)
        memcpy(w->to + w->length, bytes, size);
    w->length += size;
}

void writer_u8(struct writer *w, uint8_t value)
{
    writer_bytes(w, &value, sizeof(value));
}

void writer_le16(struct writer *w, uint16_t value)
{
    writer_bytes(w, &value, sizeof(value));
}

void writer_le32(struct writer *w, uint32_t value)
{
    writer_bytes(w, &value, sizeof(value));
}

void writer_le64(struct writer *w, uint64_t value)
{
    writer_bytes(w, &value, sizeof(value));
}

bool writer_is_complete(const struct writer *w)
{
    return w->to && w->length <= w->capacity;
}
