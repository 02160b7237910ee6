/* SPDX-License-Identifier: Apache-2.0
 * Making, examining and converting disk images. */
#include "backend/block/image_tool.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block/new_file.h"
#include "backend/block/overlay.h"
#include "backend/block/qcow2.h"
#include "backend/block/qcow2_write.h"
#include "host/random.h"

#define CHUNK OVERLAY_CLUSTER_SIZE

_Static_assert(CHUNK == QCOW2_WRITE_CLUSTER, "a chunk is a cluster of either format");

/* ---- making ---- */

static int set_size(const struct new_file *file, uint64_t size, struct error *err)
{
    if (ftruncate(file->file.fd, (off_t)size) == 0)
        return 0;
    return error_set(err, -errno, "cannot make '%s' %llu bytes large: %s", file->path,
                     (unsigned long long)size, strerror(errno));
}

/* `base` as the header has it: relative when it lies in the folder of the overlay or below,
 * so that both can be moved together; otherwise absolute. */
static int name_base(const char *overlay, const char *base, char *to, struct error *err)
{
    char full[PATH_MAX];
    char folder[PATH_MAX];
    const char *slash = strrchr(overlay, '/');
    size_t length = slash ? (size_t)(slash - overlay) + 1 : 0;

    if (length >= sizeof(folder) - 1)
        return error_set(err, -ENAMETOOLONG, "'%s': the path is too long", overlay);
    memcpy(folder, overlay, length);
    memcpy(folder + length, ".", 2);
    char *real = realpath(folder, NULL);
    int result = 0;
    if (!real || !realpath(base, full) || strlen(full) > OVERLAY_PATH_MOST) {
        result =
            error_set(err, -errno, "cannot find '%s': %s", real ? base : overlay, strerror(errno));
    } else {
        size_t size = strlen(real);
        bool is_below = size > 1 && strncmp(full, real, size) == 0 && full[size] == '/';
        const char *name = is_below ? full + size + 1 : full;
        memcpy(to, name, strlen(name) + 1);
    }
    free(real);
    return result;
}

static int describe_base(const struct image_create *wanted, struct overlay_header *header,
                         struct error *err)
{
    struct disk_image_options options = {
        .format = wanted->base_format,
        .format_given = wanted->base_format_given,
        .read_only = true,
        .identify = true,
    };
    struct disk_image *base;
    int result = disk_image_open(wanted->base, &options, &base, err);

    if (result < 0)
        return result;
    header->base = base->identity;
    if (header->size_bytes == 0)
        header->size_bytes = base->size_bytes;
    if (header->size_bytes < base->size_bytes)
        result =
            error_set(err, -EINVAL, "'%s' would be smaller than its base, which has %llu bytes",
                      wanted->path, (unsigned long long)base->size_bytes);
    disk_image_close(base);
    return result < 0 ? result : name_base(wanted->path, wanted->base, header->base_path, err);
}

/* An empty overlay for `header`, whose base is described already, in a new file. */
static int write_overlay(const struct new_file *file, struct overlay_header *header,
                         struct error *err)
{
    struct random_source random = random_from_host();

    if (header->size_bytes > OVERLAY_MAX_SIZE)
        return error_set(err, -EFBIG, "'%s': overlays have at most 16 TiB", file->path);
    random_fill(&random, header->uuid, sizeof(header->uuid));
    int result = set_size(file, overlay_file_size(header->size_bytes), err);
    if (result < 0)
        return result;
    result = overlay_format(&file->file, header);
    return result < 0
               ? error_set(err, result, "cannot write '%s': %s", file->path, strerror(-result))
               : 0;
}

static int create_overlay(const struct image_create *wanted, struct error *err)
{
    struct overlay_header *header = calloc(1, sizeof(*header));
    struct new_file file;

    if (!header)
        return error_set(err, -ENOMEM, "out of memory");
    header->size_bytes = wanted->size_bytes;
    int result = wanted->base ? describe_base(wanted, header, err) : 0;
    if (result == 0)
        result = new_file_open(wanted->path, &file, err);
    if (result == 0) {
        result = write_overlay(&file, header, err);
        if (result == 0)
            result = new_file_finish(&file, err);
        else
            new_file_abandon(&file);
    }
    free(header);
    return result;
}

int image_create(const struct image_create *wanted, struct error *err)
{
    struct new_file file;

    if (wanted->size_bytes % 512 || (wanted->size_bytes == 0 && !wanted->base))
        return error_set(err, -EINVAL, "a disk has a multiple of 512 bytes, and some");
    if (wanted->format == FORMAT_OVERLAY)
        return create_overlay(wanted, err);
    if (wanted->format != FORMAT_RAW || wanted->base)
        return error_set(err, -EINVAL, "%s images cannot be made %s; use overlay",
                         disk_format_name(wanted->format), wanted->base ? "over a base" : "empty");
    int result = new_file_open(wanted->path, &file, err);
    if (result < 0)
        return result;
    result = set_size(&file, wanted->size_bytes, err);
    if (result == 0)
        return new_file_finish(&file, err);
    new_file_abandon(&file);
    return result;
}

/* ---- examining ---- */

static int info_overlay(const struct block_file *file, const uint8_t *head, size_t size,
                        struct image_info *info, struct error *err)
{
    static const enum disk_format formats[] = {FORMAT_RAW, FORMAT_RAW, FORMAT_QCOW2,
                                               FORMAT_OVERLAY};
    struct overlay_header *header = malloc(sizeof(*header));
    struct overlay_state states[2] = {{0}};
    uint8_t page[OVERLAY_PAGE_SIZE];
    bool are_good = true;

    if (!header || size < OVERLAY_HEADER_SIZE) {
        free(header);
        return header ? error_set(err, -EINVAL, "it is truncated")
                      : error_set(err, -ENOMEM, "out of memory");
    }
    int result = overlay_parse_header(head, header, err);
    for (unsigned i = 0; i < 2 && result == 0; i++)
        are_good = block_file_read_bytes(file, page, sizeof(page),
                                         OVERLAY_STATE_OFFSET + i * OVERLAY_PAGE_SIZE) == 0 &&
                   overlay_parse_state(page, &states[i]) && are_good;
    if (result == 0) {
        unsigned newest = states[1].generation > states[0].generation;
        info->size_bytes = header->size_bytes;
        info->version = OVERLAY_VERSION;
        info->is_clean = are_good && states[newest].is_clean;
        info->base_format = formats[header->base.kind];
        memcpy(info->base, header->base_path, sizeof(header->base_path));
    }
    free(header);
    return result;
}

static int info_qcow2(const struct block_file *file, const uint8_t *head, size_t size,
                      struct image_info *info, struct error *err)
{
    struct qcow2_header header;
    int result =
        qcow2_parse_header(head, MIN(size, (size_t)QCOW2_HEAD_SIZE), file->size, &header, err);

    if (result == 0) {
        info->size_bytes = (header.size_bytes + 511) & ~UINT64_C(511);
        info->version = header.version;
        memcpy(info->base, header.backing, sizeof(header.backing));
    }
    return result;
}

static int info_of(const struct block_file *file, struct image_info *info, struct error *err)
{
    uint8_t head[OVERLAY_HEADER_SIZE];
    size_t size = (size_t)MIN(file->size, (uint64_t)sizeof(head));
    struct stat status;
    int result = block_file_read_bytes(file, head, size, 0);

    if (result < 0 || fstat(file->fd, &status) < 0)
        return error_set(err, result < 0 ? result : -errno, "it cannot be read");
    info->format = probe_format(head, size);
    info->file_bytes = file->size;
    info->used_bytes = (uint64_t)status.st_blocks * 512;
    info->is_clean = true;
    if (info->format == FORMAT_OVERLAY)
        return info_overlay(file, head, size, info, err);
    if (info->format == FORMAT_QCOW2)
        return info_qcow2(file, head, size, info, err);
    if (info->format == FORMAT_FOREIGN)
        return error_set(err, -EINVAL, "it begins like a %s image, which is not supported",
                         probe_name(head, size));
    info->size_bytes = (file->size + 511) & ~UINT64_C(511);
    return 0;
}

int image_info(const char *path, struct image_info *out, struct error *err)
{
    struct image_info info = {0};
    struct error inner = {0};
    struct block_file file;
    int result = block_file_open_unlocked(path, &file, err);

    if (result < 0)
        return result;
    result = info_of(&file, &info, &inner);
    block_file_close(&file);
    if (result < 0)
        return error_set(err, result, "disk image '%s': %s", path, inner.text);
    *out = info;
    return 0;
}

int image_check(const char *path, const struct disk_image_options *options, struct error *err)
{
    struct disk_image_options read_only = *options;
    struct error inner = {0};
    struct disk_image *image;

    read_only.read_only = true;
    int result = disk_image_open(path, &read_only, &image, err);
    if (result < 0)
        return result;
    /* Opening an overlay reads all of its table. */
    if (image->format == FORMAT_QCOW2)
        result = qcow2_check(image, &inner);
    disk_image_close(image);
    return result < 0 ? error_set(err, result, "disk image '%s': %s", path, inner.text) : 0;
}

/* ---- converting ---- */

/* Where the bytes go. */
struct sink {
    enum disk_format format;
    struct new_file file;
    struct qcow2_writer *qcow2;
    struct disk_image *overlay;
};

static int open_overlay_sink(struct sink *sink, uint64_t size_bytes, struct error *err)
{
    struct overlay_header *header = calloc(1, sizeof(*header));

    if (!header)
        return error_set(err, -ENOMEM, "out of memory");
    header->size_bytes = size_bytes;
    int result = write_overlay(&sink->file, header, err);
    struct block_file own = sink->file.file;
    own.size = overlay_file_size(size_bytes);
    own.fd = result == 0 ? dup(own.fd) : -1;
    if (result == 0 && own.fd < 0)
        result = error_set(err, -errno, "%s", strerror(errno));
    if (result == 0)
        result = overlay_open(&own, header, NULL, false, &sink->overlay, err);
    block_file_close(&own);
    free(header);
    return result;
}

static int open_sink(struct sink *sink, uint64_t size_bytes, struct error *err)
{
    switch (sink->format) {
    case FORMAT_RAW:
        return set_size(&sink->file, size_bytes, err);
    case FORMAT_QCOW2:
        return qcow2_writer_create(&sink->file.file, size_bytes, &sink->qcow2, err);
    case FORMAT_OVERLAY:
        return open_overlay_sink(sink, size_bytes, err);
    case FORMAT_FOREIGN:
        break;
    }
    return error_set(err, -EINVAL, "images cannot be written in this format");
}

/* `size` bytes of a chunk with something in it; the rest of the chunk is zero. */
static int write_chunk(struct sink *sink, const uint8_t *bytes, size_t size, uint64_t offset)
{
    if (sink->format == FORMAT_QCOW2)
        return qcow2_writer_add(sink->qcow2, offset / CHUNK, bytes);
    if (sink->format == FORMAT_OVERLAY)
        return disk_image_write(sink->overlay, bytes, size, offset);
    return block_file_write_bytes(&sink->file.file, bytes, size, offset);
}

static int finish_sink(struct sink *sink, struct error *err)
{
    int result = sink->format == FORMAT_QCOW2     ? qcow2_writer_finish(sink->qcow2)
                 : sink->format == FORMAT_OVERLAY ? disk_image_flush(sink->overlay)
                                                  : 0;

    disk_image_close(sink->overlay); /* marks it as closed in order */
    sink->overlay = NULL;
    if (result < 0)
        return error_set(err, result, "cannot write '%s': %s", sink->file.path, strerror(-result));
    return new_file_finish(&sink->file, err);
}

static void close_sink(struct sink *sink)
{
    disk_image_close(sink->overlay);
    qcow2_writer_destroy(sink->qcow2);
    new_file_abandon(&sink->file);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

static int copy_chunk(const struct image_convert *wanted, struct disk_image *from,
                      struct sink *sink, uint64_t offset, struct error *err)
{
    static uint8_t chunk[CHUNK]; /* one command, one thread */
    size_t size = (size_t)MIN(from->size_bytes - offset, CHUNK);

    memset(chunk + size, 0, CHUNK - size);
    int result = disk_image_read(from, chunk, size, offset);
    if (result < 0)
        return error_set(err, result, "cannot read '%s' at byte %llu: %s", wanted->from,
                         (unsigned long long)offset, strerror(-result));
    if (is_zero(chunk, size))
        return 0;
    result = write_chunk(sink, chunk, size, offset);
    return result < 0
               ? error_set(err, result, "cannot write '%s': %s", wanted->to, strerror(-result))
               : 0;
}

static int copy(const struct image_convert *wanted, struct disk_image *from, struct sink *sink,
                struct error *err)
{
    int result = open_sink(sink, from->size_bytes, err);

    for (uint64_t at = 0; at < from->size_bytes && result == 0; at += CHUNK) {
        result = copy_chunk(wanted, from, sink, at, err);
        if (result == 0 && at % (16 * CHUNK) == 0 && wanted->progress &&
            !wanted->progress(wanted->owner, at, from->size_bytes))
            result =
                error_set(err, -ECANCELED, "interrupted; nothing was written to '%s'", wanted->to);
    }
    return result < 0 ? result : finish_sink(sink, err);
}

int image_convert(const struct image_convert *wanted, struct error *err)
{
    struct disk_image_options options = wanted->from_options;
    struct sink sink = {.format = wanted->format};
    struct disk_image *from;

    options.read_only = true;
    int result = disk_image_open(wanted->from, &options, &from, err);
    if (result < 0)
        return result;
    result = new_file_open(wanted->to, &sink.file, err);
    if (result == 0) {
        result = copy(wanted, from, &sink, err);
        close_sink(&sink);
    }
    disk_image_close(from);
    return result;
}
