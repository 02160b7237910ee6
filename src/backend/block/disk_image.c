/* SPDX-License-Identifier: Apache-2.0
 * Opening disk images of any format, and what lies below them. */
#include "backend/block/disk_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/overlay.h"
#include "backend/block/qcow2.h"
#include "backend/block/raw.h"
#include "backend/block/vectors.h"
#include "base/endian.h"
#include "base/log.h"
#include "port/block.h"

#define HEAD_SIZE     OVERLAY_HEADER_SIZE
#define IDENTIFY_HEAD (4 * MIB)
#define IDENTIFY_TAIL (64 * KIB)
#define IDENTIFY_PART 4096u
#define IDENTIFY_MOST 256u

void disk_image_close(struct disk_image *image)
{
    if (image)
        image->ops->close(image);
}

int disk_image_read(struct disk_image *image, void *to, size_t size, uint64_t offset)
{
    struct iovec vector = {to, size};

    return image->ops->read(image, &vector, 1, offset);
}

int disk_image_write(struct disk_image *image, const void *from, size_t size, uint64_t offset)
{
    struct iovec vector = {(void *)(uintptr_t)from, size};

    return image->ops->write(image, &vector, 1, offset);
}

int disk_image_flush(struct disk_image *image)
{
    return image->ops->flush ? image->ops->flush(image) : 0;
}

int disk_image_read_below(struct disk_image *below, struct iovec *vectors, unsigned count,
                          uint64_t offset)
{
    struct iovec inside[BLOCK_MAX_SEGMENTS];

    if (!below) {
        vectors_zero(vectors, count);
        return 0;
    }
    unsigned inside_count = vectors_until(vectors, count, offset, below->size_bytes, inside);
    return inside_count ? below->ops->read(below, inside, inside_count, offset) : 0;
}

/* ---- identity ---- */

/* Two lanes of multiply and rotate: not against forgers, who could write what they like
 * into the file anyhow. */
struct hash {
    uint64_t lanes[2];
};

static void hash_add(struct hash *hash, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + 8 <= size; at += 8) {
        uint64_t word = load_le64(bytes + at);
        hash->lanes[0] = (hash->lanes[0] ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash->lanes[0] = hash->lanes[0] << 29 | hash->lanes[0] >> 35;
        hash->lanes[1] = (hash->lanes[1] + word) * UINT64_C(0xc2b2ae3d27d4eb4f);
        hash->lanes[1] ^= hash->lanes[1] >> 31;
    }
}

/* [offset, offset + size), rounded down to words; beyond the end of the file nothing. */
static int hash_part(const struct block_file *file, uint64_t offset, uint64_t size,
                     struct hash *hash, uint8_t *buffer)
{
    uint64_t end = MIN(offset + size, file->size);

    while (offset < end) {
        size_t part = (size_t)MIN(end - offset, IDENTIFY_TAIL);
        memset(buffer, 0, IDENTIFY_TAIL);
        int result = block_file_read_bytes(file, buffer, part, offset);
        if (result < 0)
            return result;
        hash_add(hash, buffer, (part + 7) & ~(size_t)7);
        offset += part;
    }
    return 0;
}

int disk_image_identify(const struct block_file *file, uint64_t size_bytes,
                        struct overlay_base_identity *out)
{
    struct hash hash = {{file->size, ~file->size}};
    uint8_t *buffer = malloc(IDENTIFY_TAIL);
    int result = buffer ? hash_part(file, 0, IDENTIFY_HEAD, &hash, buffer) : -ENOMEM;

    if (result == 0 && file->size > IDENTIFY_HEAD) {
        uint64_t rest = file->size - IDENTIFY_HEAD;
        uint64_t step = rest / IDENTIFY_MOST / IDENTIFY_PART * IDENTIFY_PART;
        step = MAX(step, (uint64_t)IDENTIFY_PART);
        for (uint64_t at = IDENTIFY_HEAD; at < file->size && result == 0; at += step)
            result = hash_part(file, at, IDENTIFY_PART, &hash, buffer);
        if (result == 0)
            result = hash_part(file, file->size - MIN(rest, IDENTIFY_TAIL), IDENTIFY_TAIL, &hash,
                               buffer);
    }
    free(buffer);
    if (result < 0)
        return result;
    out->size_bytes = size_bytes;
    out->file_size = file->size;
    out->modified_ns = file->is_device ? 0 : file->modified_ns;
    store_le64(out->id, hash.lanes[0]);
    store_le64(out->id + 8, hash.lanes[1]);
    return 0;
}

/* ---- opening ---- */

/* What is known while one image is opened. */
struct opening {
    const char *path;
    const struct disk_image_options *options;
    struct block_file file;
    uint8_t head[HEAD_SIZE];
    size_t head_size;
    bool is_below; /* it is an image below that cannot be opened */
};

static int read_head(struct opening *opening, struct error *err)
{
    opening->head_size = (size_t)MIN(opening->file.size, (uint64_t)HEAD_SIZE);
    int result = block_file_read_bytes(&opening->file, opening->head, opening->head_size, 0);

    return result < 0 ? error_set(err, result, "it cannot be read: %s", strerror(-result)) : 0;
}

/* Images below others. */
static int open_below(struct opening *opening, const char *path,
                      const struct disk_image_options *below, struct disk_image **out,
                      struct error *err)
{
    struct disk_image_options options = *below;
    struct error inner = {0};

    options.read_only = true;
    options.ops = opening->options->ops;
    options.depth = opening->options->depth + 1;
    if (options.depth > OVERLAY_MAX_DEPTH)
        return error_set(err, -ELOOP, "there are more than %u images below it, or a circle",
                         OVERLAY_MAX_DEPTH);
    int result = disk_image_open(path, &options, out, &inner);
    if (result < 0) {
        opening->is_below = true;
        error_set(err, result, "%s", inner.text);
    }
    return result;
}

/* Relative to the folder of the overlay. */
static char *base_path(const char *overlay, const char *base)
{
    const char *slash = strrchr(overlay, '/');
    size_t folder = base[0] == '/' || !slash ? 0 : (size_t)(slash - overlay) + 1;
    char *path = malloc(folder + strlen(base) + 1);

    if (path) {
        memcpy(path, overlay, folder);
        memcpy(path + folder, base, strlen(base) + 1);
    }
    return path;
}

/* An overlay is nonsense over anything but what it was made over. */
static int check_base(const struct overlay_header *header, const struct disk_image *base,
                      const char *path, struct error *err)
{
    const struct overlay_base_identity *wanted = &header->base;
    const struct overlay_base_identity *found = &base->identity;

    if (wanted->size_bytes != found->size_bytes || wanted->file_size != found->file_size ||
        memcmp(wanted->id, found->id, sizeof(wanted->id)) != 0)
        return error_set(err, -ESTALE,
                         "its base '%s' is not the file that it was made over, or was written to "
                         "since; put the old one back",
                         path);
    if (wanted->generation != found->generation)
        return error_set(err, -ESTALE,
                         "its base '%s' was written to since this was made over it; only an older "
                         "copy of the base can be used",
                         path);
    if (wanted->modified_ns != found->modified_ns)
        log_info("blk", "the base '%s' was copied or touched, but looks the same", path);
    return 0;
}

static int open_base(struct opening *opening, const struct overlay_header *header,
                     struct disk_image **out, struct error *err)
{
    static const enum disk_format formats[] = {
        [OVERLAY_BASE_RAW] = FORMAT_RAW,
        [OVERLAY_BASE_QCOW2] = FORMAT_QCOW2,
        [OVERLAY_BASE_OVERLAY] = FORMAT_OVERLAY,
    };

    *out = NULL;
    if (header->base.kind == OVERLAY_BASE_NONE)
        return 0;
    char *path = base_path(opening->path, header->base_path);
    if (!path)
        return error_set(err, -ENOMEM, "out of memory");
    struct disk_image_options options = {.format = formats[header->base.kind],
                                         .format_given = true};
    int result = open_below(opening, path, &options, out, err);
    if (result == 0)
        result = check_base(header, *out, path, err);
    if (result < 0) {
        disk_image_close(*out);
        *out = NULL;
    }
    free(path);
    return result;
}

static int open_overlay(struct opening *opening, struct disk_image **out, struct error *err)
{
    struct overlay_header *header = calloc(1, sizeof(*header));
    struct disk_image *base = NULL;

    if (!header)
        return error_set(err, -ENOMEM, "out of memory");
    int result = opening->head_size < OVERLAY_HEADER_SIZE
                     ? error_set(err, -EINVAL, "it is truncated")
                     : overlay_parse_header(opening->head, header, err);
    if (result == 0)
        result = open_base(opening, header, &base, err);
    if (result == 0)
        result = overlay_open(&opening->file, header, base, opening->options->read_only, out, err);
    if (result < 0)
        disk_image_close(base);
    free(header);
    return result;
}

static int open_backing(struct opening *opening, const struct qcow2_header *header,
                        struct disk_image **out, struct error *err)
{
    const struct disk_image_options options = {0};
    const char *path = opening->options->backing;

    if (!header->has_backing)
        return path ? error_set(err, -EINVAL, "it has no backing file; leave backing= out") : 0;
    /* The name in the file may be anything, a file that is none of the guest's business
     * among it. */
    if (!path)
        return error_set(err, -EINVAL,
                         "it needs its backing file ('%.200s'), which has to be named: "
                         "backing=FILE",
                         header->backing);
    return open_below(opening, path, &options, out, err);
}

static int open_qcow2(struct opening *opening, struct disk_image **out, struct error *err)
{
    struct qcow2_header header;
    struct disk_image *backing = NULL;
    int result = qcow2_parse_header(opening->head, MIN(opening->head_size, (size_t)QCOW2_HEAD_SIZE),
                                    opening->file.size, &header, err);

    if (result == 0 && !opening->options->read_only)
        result = error_set(err, -EROFS,
                           "qcow2 images are only read here; add readonly or snapshot, or put an "
                           "overlay over it: doppel image create NEW --base '%s'",
                           opening->path);
    if (result == 0)
        result = open_backing(opening, &header, &backing, err);
    if (result == 0)
        result = qcow2_open(&opening->file, &header, backing, out, err);
    if (result < 0)
        disk_image_close(backing);
    return result;
}

static int open_format(struct opening *opening, struct disk_image **out, struct error *err)
{
    const struct disk_image_options *options = opening->options;
    enum disk_format found = probe_format(opening->head, opening->head_size);
    enum disk_format format = options->format_given ? options->format : found;

    if (options->backing && format != FORMAT_QCOW2)
        return error_set(err, -EINVAL, "only qcow2 images have a backing file");
    switch (format) {
    case FORMAT_RAW:
        return raw_open(&opening->file, options->read_only, !options->format_given, out, err);
    case FORMAT_QCOW2:
        return open_qcow2(opening, out, err);
    case FORMAT_OVERLAY:
        return open_overlay(opening, out, err);
    case FORMAT_FOREIGN:
        break;
    }
    return error_set(err, -EINVAL,
                     "it begins like a %s image, which is not supported; give format=raw if its "
                     "bytes are the disk",
                     probe_name(opening->head, opening->head_size));
}

/* Overlays know who they are. */
static int identify(const struct block_file *file, struct disk_image *image, struct error *err)
{
    if (image->format == FORMAT_OVERLAY)
        return 0;
    image->identity.kind = image->format == FORMAT_QCOW2 ? OVERLAY_BASE_QCOW2 : OVERLAY_BASE_RAW;
    int result = disk_image_identify(file, image->size_bytes, &image->identity);
    return result < 0 ? error_set(err, result, "it cannot be read: %s", strerror(-result)) : 0;
}

int disk_image_open(const char *path, const struct disk_image_options *options,
                    struct disk_image **out, struct error *err)
{
    const struct block_file_ops *ops = options->ops ? options->ops : &block_file_kernel;
    struct disk_image *image = NULL;
    struct error inner = {0};
    struct opening *opening = calloc(1, sizeof(*opening));

    if (!opening)
        return error_set(err, -ENOMEM, "%s: out of memory", path);
    *opening = (struct opening){.path = path, .options = options};
    int result = block_file_open(path, options->read_only, ops, &opening->file, err);
    if (result < 0) {
        free(opening);
        return result;
    }
    struct block_file file = opening->file; /* open as long as the image is */
    result = read_head(opening, &inner);
    if (result == 0)
        result = open_format(opening, &image, &inner);
    if (result == 0 && image && (options->identify || options->depth))
        result = identify(&file, image, &inner);
    if (result < 0) {
        /* Only the first and the last of a chain are named. */
        if (opening->is_below && options->depth)
            error_set(err, result, "%s", inner.text);
        else
            error_set(err, result, "disk image '%s': %s%s", path,
                      opening->is_below ? "what it is based on: " : "", inner.text);
        disk_image_close(image);
        block_file_close(&opening->file);
    } else {
        *out = image;
    }
    free(opening);
    return result;
}
