/* SPDX-License-Identifier: Apache-2.0
 * Arrays of iovec as one run of bytes. */
#include "backend/block/vectors.h"

#include <string.h>

uint64_t vectors_size(const struct iovec *vectors, unsigned count)
{
    uint64_t size = 0;

    for (unsigned i = 0; i < count; i++)
        size += vectors[i].iov_len;
    return size;
}

unsigned vectors_slice(const struct iovec *vectors, unsigned count, uint64_t at, uint64_t size,
                       struct iovec *out)
{
    unsigned used = 0;

    for (unsigned i = 0; i < count && size; i++) {
        size_t length = vectors[i].iov_len;
        if (at >= length) {
            at -= length;
            continue;
        }
        size_t part = (size_t)MIN(length - at, size);
        out[used++] = (struct iovec){(uint8_t *)vectors[i].iov_base + at, part};
        size -= part;
        at = 0;
    }
    return used;
}

unsigned vectors_advance(struct iovec *vectors, unsigned first, unsigned count, size_t done)
{
    while (first < count && done >= vectors[first].iov_len)
        done -= vectors[first++].iov_len;
    if (first < count) {
        vectors[first].iov_base = (uint8_t *)vectors[first].iov_base + done;
        vectors[first].iov_len -= done;
    }
    return first;
}

void vectors_gather(const struct iovec *vectors, unsigned count, uint8_t *to)
{
    for (unsigned i = 0; i < count; i++) {
        memcpy(to, vectors[i].iov_base, vectors[i].iov_len);
        to += vectors[i].iov_len;
    }
}

void vectors_scatter(const struct iovec *vectors, unsigned count, const uint8_t *from)
{
    for (unsigned i = 0; i < count; i++) {
        memcpy(vectors[i].iov_base, from, vectors[i].iov_len);
        from += vectors[i].iov_len;
    }
}

void vectors_zero(const struct iovec *vectors, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        memset(vectors[i].iov_base, 0, vectors[i].iov_len);
}

unsigned vectors_until(const struct iovec *vectors, unsigned count, uint64_t offset, uint64_t end,
                       struct iovec *out)
{
    uint64_t size = vectors_size(vectors, count);
    uint64_t inside = offset < end ? MIN(end - offset, size) : 0;

    if (inside < size)
        vectors_zero(out, vectors_slice(vectors, count, inside, size - inside, out));
    return vectors_slice(vectors, count, 0, inside, out);
}
