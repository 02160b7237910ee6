/* SPDX-License-Identifier: Apache-2.0
 * gzip-compressed kernels. */
#include "machine/inflate.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#define GZIP_WINDOW (16 + MAX_WBITS) /* expect a gzip header */
#define FIRST_SIZE  (8u << 20)
#define CHUNK       65536 /* of a file that is read again */

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

/* Leaves what it unpacks to at stream->next_out; 1: it is complete. */
static int inflate_chunk(z_stream *stream, uint8_t *bytes, size_t size)
{
    stream->next_in = bytes;
    stream->avail_in = (uInt)size;
    int status = inflate(stream, Z_NO_FLUSH);
    if (status == Z_STREAM_END)
        return stream->avail_out == 0 ? 1 : -EINVAL;
    return status == Z_OK && stream->avail_in == 0 ? 0 : -EINVAL;
}

static int inflate_file(z_stream *stream, const struct machine_file *file, struct error *err)
{
    uint8_t *chunk = malloc(CHUNK);
    int result =
        chunk ? 0 : error_set(err, -ENOMEM, "cannot unpack '%s': out of memory", file->path);

    for (size_t at = 0; result == 0 && at < file->size; at += CHUNK) {
        size_t size = MIN(file->size - at, (size_t)CHUNK);
        result = file->again.read(file->again.owner, at, chunk, size, err);
        if (result < 0)
            break;
        result = inflate_chunk(stream, chunk, size);
        if (result < 0)
            error_set(err, result, "'%s' is not the gzip file that it was", file->path);
    }
    free(chunk);
    if (result == 0)
        return error_set(err, -EINVAL, "'%s' is not the gzip file that it was", file->path);
    return MIN(result, 0);
}

int inflate_again(const struct machine_file *file, uint8_t *to, size_t size, struct error *err)
{
    z_stream stream = {.avail_out = (uInt)size};

    stream.next_out = to;
    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return error_set(err, -ENOMEM, "cannot unpack '%s': out of memory", file->path);
    int result = inflate_file(&stream, file, err);
    inflateEnd(&stream);
    return result;
}
