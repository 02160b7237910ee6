/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: the input is a qcow2 image; whatever it says, opening, reading and checking it
 * stay inside, and end. */
#include "backend/block/qcow2.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
    const uint8_t *at;
    size_t size;
};

static ssize_t read_bytes(void *owner, int fd, const struct iovec *vectors, int count,
                          uint64_t offset)
{
    const struct bytes *bytes = owner;
    ssize_t moved = 0;

    (void)fd;
    for (int i = 0; i < count && offset < bytes->size; i++) {
        size_t part = MIN(vectors[i].iov_len, bytes->size - (size_t)offset);
        memcpy(vectors[i].iov_base, bytes->at + offset, part);
        offset += part;
        moved += (ssize_t)part;
    }
    return moved;
}

static void read_some(struct disk_image *image, uint64_t at)
{
    static uint8_t to[8192];
    size_t size = (size_t)MIN(image->size_bytes - at, sizeof(to));
    struct iovec vectors[2] = {{to, size / 2}, {to + size / 2, size - size / 2}};

    if (image->ops->read(image, vectors, 2, at) > 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes = {data, size};
    struct block_file_ops ops = {.read = read_bytes, .owner = &bytes};
    struct block_file file = {.fd = -1, .size = size, .ops = &ops};
    struct qcow2_header header;
    struct disk_image *image;
    struct error err = {0};

    int result = qcow2_parse_header(data, MIN(size, (size_t)QCOW2_HEAD_SIZE), size, &header, &err);
    if (result < 0) {
        if (!err.text[0])
            abort();
        return 0;
    }
    if (qcow2_open(&file, &header, NULL, &image, &err) < 0)
        return 0;
    for (unsigned i = 0; i < 16; i++)
        read_some(image, MIN(i * UINT64_C(8192), image->size_bytes - 512) & ~UINT64_C(511));
    read_some(image, image->size_bytes - 512);
    /* A check looks at each cluster of tables that are there, of which there are few in a small
     * file; but L1 entries that are not cost a look each. */
    if (qcow2_check(image, &err) < 0 && !err.text[0])
        abort();
    disk_image_close(image);
    return 0;
}
