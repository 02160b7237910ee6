/* SPDX-License-Identifier: Apache-2.0
 * A bounded reader and writer over a range of bytes. Every parser of hostile
 * bytes uses them: a read past the end returns zero and marks the reader bad,
 * so one test at the end replaces one at each field. */
#pragma once

#include "base/types.h"

struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad; /* something was read past the end */
};

struct writer {
    uint8_t *to;     /* NULL: only count */
    size_t capacity; /* bytes at `to` */
    size_t length;   /* bytes written or, past the capacity, wanted */
};

struct reader reader_make(const void *bytes, size_t size);
size_t reader_left(const struct reader *r);
uint8_t reader_u8(struct reader *r);
uint16_t reader_le16(struct reader *r);
uint32_t reader_le32(struct reader *r);
uint64_t reader_le64(struct reader *r);
/* The next `size` bytes in place, or NULL (and bad) when there are fewer. */
const void *reader_bytes(struct reader *r, size_t size);
/* Copies the next `size` bytes; zeroes `to` when there are fewer. */
void reader_copy(struct reader *r, void *to, size_t size);

void writer_u8(struct writer *w, uint8_t value);
void writer_le16(struct writer *w, uint16_t value);
void writer_le32(struct writer *w, uint32_t value);
void writer_le64(struct writer *w, uint64_t value);
void writer_bytes(struct writer *w, const void *bytes, size_t size);
/* True when everything fitted. */
bool writer_is_complete(const struct writer *w);
