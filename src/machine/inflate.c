/* SPDX-License-Identifier: Apache-2.0
 * gzip-compressed kernels. */
#include "machine/inflate.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#define GZIP_WINDOW (16 + MAX_WBITS) /* expect a gzip header */
#define FIRST_SIZE  (8u << 20)

/* Doubles the output until everything is there. */
static int inflate_all(z_stream *stream, uint64_t most, uint8_t **bytes, size_t *size)
{
    size_t capacity = 0;

    for (;;) {
        size_t wanted = capacity ? 2 * capacity : FIRST_SIZE;
        if (capacity > most)
            return -EFBIG;
        uint8_t *larger = realloc(*bytes, wanted);
        if (!larger)
            return -ENOMEM;
        *bytes = larger;
        stream->next_out = larger + capacity;
        stream->avail_out = (uInt)(wanted - capacity);
        capacity = wanted;
        int status = inflate(stream, Z_NO_FLUSH);
        if (status == Z_STREAM_END) {
            *size = capacity - stream->avail_out;
            return *size > most ? -EFBIG : 0;
        }
        if (status != Z_OK || stream->avail_out != 0)
            return -EINVAL;
    }
}

int inflate_gzip(const struct machine_file *file, uint64_t most, uint8_t **bytes, size_t *size,
                 struct error *err)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)file->bytes, .avail_in = (uInt)file->size};
    uint8_t *out = NULL;

    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return error_set(err, -ENOMEM, "cannot unpack '%s': out of memory", file->path);
    int result = inflate_all(&stream, most, &out, size);
    inflateEnd(&stream);
    if (result == 0) {
        *bytes = out;
        return 0;
    }
    free(out);
    if (result == -EFBIG)
        return error_set(err, result, "'%s' unpacks to more than the guest's memory", file->path);
    if (result == -ENOMEM)
        return error_set(err, result, "cannot unpack '%s': out of memory", file->path);
    return error_set(err, result, "'%s' is a damaged or truncated gzip file", file->path);
}
