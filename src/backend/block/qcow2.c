/* SPDX-License-Identifier: Apache-2.0
 * qcow2 images, to read.
 *
 * The L1 table is in memory, of L2 tables some pieces of a page. Nothing in a file can lead
 * round in a circle: L1 leads to L2 leads to data, and no deeper. */
#include "backend/block/qcow2.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "backend/block/vectors.h"
#include "base/bits.h"
#include "base/endian.h"
#include "port/block.h"

#define RAW_DEFLATE_WINDOW (-12) /* no zlib header, 4 KiB */

enum {
    PIECE_ENTRIES = 64, /* of an L2 table: the smallest table has that many */
    PIECE_SIZE = PIECE_ENTRIES * 8,
    PIECES = 1024,
};

struct piece {
    uint64_t offset; /* in the file; 0: empty */
    uint8_t bytes[PIECE_SIZE];
};

struct qcow2 {
    struct disk_image image;
    struct block_file file;
    struct qcow2_header header;
    struct disk_image *backing;
    uint64_t *l1; /* as in the file */

    pthread_mutex_t lock;
    /* guarded by lock: */
    struct piece *pieces;
    z_stream inflater;
    bool has_inflater;
    uint8_t *packed;      /* what is decompressed: two clusters */
    uint8_t *unpacked;    /* one cluster */
    uint64_t unpacked_at; /* its number + 1; 0: none */
};

static struct qcow2 *qcow2_of(struct disk_image *image)
{
    return CONTAINER_OF(image, struct qcow2, image);
}

/* The piece of an L2 table with the entry at `offset` of the file; NULL: it cannot be read. */
static const uint8_t *find_piece(struct qcow2 *qcow2, uint64_t offset, int *result)
{
    uint64_t start = offset / PIECE_SIZE * PIECE_SIZE;
    struct piece *piece = &qcow2->pieces[start / PIECE_SIZE % PIECES];

    if (piece->offset != start) {
        piece->offset = 0;
        *result = block_file_read_bytes(&qcow2->file, piece->bytes, PIECE_SIZE, start);
        if (*result < 0)
            return NULL;
        piece->offset = start;
    }
    return piece->bytes + offset % PIECE_SIZE;
}

static int find_cluster(struct qcow2 *qcow2, uint64_t cluster, struct qcow2_mapping *out)
{
    uint64_t per_table = qcow2_l2_entries(&qcow2->header);
    uint64_t entry = load_be64(&qcow2->l1[cluster / per_table]);
    uint64_t table;
    int result = 0;

    if (!qcow2_parse_l1(&qcow2->header, qcow2->file.size, entry, &table))
        return -EIO;
    *out = (struct qcow2_mapping){QCOW2_UNALLOCATED, 0, 0};
    if (table == 0)
        return 0;
    const uint8_t *bytes = find_piece(qcow2, table + cluster % per_table * 8, &result);
    if (!bytes)
        return result;
    bool is_good = qcow2_parse_l2(&qcow2->header, qcow2->file.size, load_be64(bytes), out);
    return is_good ? 0 : -EIO;
}

/* Where the cluster at `offset` is, and the end of those behind it that continue it, at most
 * `end`. */
static int find_run(struct qcow2 *qcow2, uint64_t offset, uint64_t end, struct qcow2_mapping *out,
                    uint64_t *next)
{
    uint64_t size = qcow2_cluster_size(&qcow2->header);
    uint64_t first = offset / size;
    uint64_t cluster = first + 1;

    pthread_mutex_lock(&qcow2->lock);
    int result = find_cluster(qcow2, first, out);
    while (result == 0 && cluster * size < end && out->kind != QCOW2_COMPRESSED) {
        struct qcow2_mapping mapping;
        if (find_cluster(qcow2, cluster, &mapping) < 0 || mapping.kind != out->kind)
            break;
        if (out->kind == QCOW2_DATA && mapping.offset != out->offset + (cluster - first) * size)
            break;
        cluster++;
    }
    pthread_mutex_unlock(&qcow2->lock);
    *next = MIN(cluster * size, end);
    return result;
}

/* What lies behind the end of the file, of a cluster that begins inside, is zeroes. */
static int read_data(const struct qcow2 *qcow2, struct iovec *vectors, unsigned count,
                     uint64_t offset)
{
    struct iovec inside[BLOCK_MAX_SEGMENTS];
    unsigned inside_count = vectors_until(vectors, count, offset, qcow2->file.size, inside);

    return inside_count ? block_file_read(&qcow2->file, inside, inside_count, offset) : 0;
}

/* A cluster becomes exactly as large as it has to be, or it is an error. */
static int unpack(struct qcow2 *qcow2, uint64_t cluster, const struct qcow2_mapping *mapping)
{
    size_t size = (size_t)qcow2_cluster_size(&qcow2->header);
    size_t packed_size = (size_t)MIN(mapping->size, 2 * size);
    z_stream *inflater = &qcow2->inflater;

    if (qcow2->unpacked_at == cluster + 1)
        return 0;
    qcow2->unpacked_at = 0;
    int result = block_file_read_bytes(&qcow2->file, qcow2->packed, packed_size, mapping->offset);
    if (result < 0)
        return result;
    if (inflateReset(inflater) != Z_OK)
        return -EIO;
    inflater->next_in = qcow2->packed;
    inflater->avail_in = (uInt)packed_size;
    inflater->next_out = qcow2->unpacked;
    inflater->avail_out = (uInt)size;
    int status = inflate(inflater, Z_FINISH);
    if ((status != Z_STREAM_END && status != Z_BUF_ERROR) || inflater->avail_out != 0)
        return -EIO;
    qcow2->unpacked_at = cluster + 1;
    return 0;
}

static int read_compressed(struct qcow2 *qcow2, const struct qcow2_mapping *mapping,
                           const struct iovec *vectors, unsigned count, uint64_t offset)
{
    uint64_t size = qcow2_cluster_size(&qcow2->header);

    pthread_mutex_lock(&qcow2->lock);
    int result = unpack(qcow2, offset / size, mapping);
    if (result == 0)
        vectors_scatter(vectors, count, qcow2->unpacked + offset % size);
    pthread_mutex_unlock(&qcow2->lock);
    return result;
}

static int read_run(struct qcow2 *qcow2, const struct qcow2_mapping *mapping, struct iovec *vectors,
                    unsigned count, uint64_t offset)
{
    switch (mapping->kind) {
    case QCOW2_UNALLOCATED:
        return disk_image_read_below(qcow2->backing, vectors, count, offset);
    case QCOW2_ZERO:
        vectors_zero(vectors, count);
        return 0;
    case QCOW2_DATA:
        return read_data(qcow2, vectors, count,
                         mapping->offset + offset % qcow2_cluster_size(&qcow2->header));
    case QCOW2_COMPRESSED:
        return read_compressed(qcow2, mapping, vectors, count, offset);
    }
    return -EIO;
}

static int qcow2_read(struct disk_image *image, struct iovec *vectors, unsigned count,
                      uint64_t offset)
{
    struct qcow2 *qcow2 = qcow2_of(image);
    uint64_t end = offset + vectors_size(vectors, count);
    int result = 0;

    for (uint64_t at = offset; at < end && result == 0;) {
        struct iovec part[BLOCK_MAX_SEGMENTS];
        struct qcow2_mapping mapping;
        uint64_t next;
        result = find_run(qcow2, at, end, &mapping, &next);
        if (result < 0)
            break;
        unsigned part_count = vectors_slice(vectors, count, at - offset, next - at, part);
        result = read_run(qcow2, &mapping, part, part_count, at);
        at = next;
    }
    return result;
}

static void free_qcow2(struct qcow2 *qcow2)
{
    if (qcow2->has_inflater)
        inflateEnd(&qcow2->inflater);
    free(qcow2->l1);
    free(qcow2->pieces);
    free(qcow2->packed);
    free(qcow2->unpacked);
    pthread_mutex_destroy(&qcow2->lock);
    free(qcow2);
}

static void qcow2_close(struct disk_image *image)
{
    struct qcow2 *qcow2 = qcow2_of(image);

    disk_image_close(qcow2->backing);
    block_file_close(&qcow2->file);
    free_qcow2(qcow2);
}

static const struct disk_image_ops qcow2_ops = {
    .read = qcow2_read,
    .close = qcow2_close,
};

static int allocate(struct qcow2 *qcow2, struct error *err)
{
    size_t cluster = (size_t)qcow2_cluster_size(&qcow2->header);

    qcow2->l1 = calloc(qcow2->header.l1_entries, sizeof(uint64_t));
    qcow2->pieces = calloc(PIECES, sizeof(struct piece));
    qcow2->packed = malloc(2 * cluster);
    qcow2->unpacked = malloc(cluster);
    qcow2->has_inflater = inflateInit2(&qcow2->inflater, RAW_DEFLATE_WINDOW) == Z_OK;
    if (!qcow2->l1 || !qcow2->pieces || !qcow2->packed || !qcow2->unpacked || !qcow2->has_inflater)
        return error_set(err, -ENOMEM, "out of memory");
    return 0;
}

int qcow2_open(struct block_file *take_file, const struct qcow2_header *header,
               struct disk_image *take_backing, struct disk_image **out, struct error *err)
{
    struct qcow2 *qcow2 = calloc(1, sizeof(*qcow2));

    if (!qcow2)
        return error_set(err, -ENOMEM, "out of memory");
    qcow2->image = (struct disk_image){
        .ops = &qcow2_ops,
        .size_bytes = bits_align_up(header->size_bytes, BLOCK_SECTOR_SIZE),
        .format = FORMAT_QCOW2,
        .read_only = true,
    };
    qcow2->header = *header;
    qcow2->file = *take_file;
    pthread_mutex_init(&qcow2->lock, NULL);
    int result = allocate(qcow2, err);
    if (result == 0) {
        result = block_file_read_bytes(&qcow2->file, qcow2->l1, header->l1_entries * UINT64_C(8),
                                       header->l1_offset);
        if (result < 0)
            error_set(err, result, "its L1 table cannot be read: %s", strerror(-result));
    }
    if (result < 0) {
        free_qcow2(qcow2);
        return result;
    }
    qcow2->backing = take_backing;
    take_file->fd = -1;
    *out = &qcow2->image;
    return 0;
}

/* ---- checking ---- */

/* Notes clusters of the file as used. */
struct usage {
    uint8_t *bits;
    uint64_t clusters;
};

static bool use(struct usage *usage, uint64_t cluster)
{
    if (cluster >= usage->clusters || usage->bits[cluster / 8] >> (cluster % 8) & 1)
        return false;
    usage->bits[cluster / 8] |= (uint8_t)(1u << (cluster % 8));
    return true;
}

static int check_table(struct qcow2 *qcow2, uint64_t index, struct usage *usage, struct error *err)
{
    uint64_t size = qcow2_cluster_size(&qcow2->header);
    uint64_t per_table = qcow2_l2_entries(&qcow2->header);
    uint64_t clusters = (qcow2->header.size_bytes + size - 1) / size;
    uint64_t end = MIN((index + 1) * per_table, clusters);
    uint64_t table;

    if (!qcow2_parse_l1(&qcow2->header, qcow2->file.size, load_be64(&qcow2->l1[index]), &table))
        return error_set(err, -EINVAL, "L1 entry %llu is impossible", (unsigned long long)index);
    if (table == 0)
        return 0;
    if (!use(usage, table / size))
        return error_set(err, -EINVAL, "L2 table %llu is used for something else, too",
                         (unsigned long long)index);
    for (uint64_t i = index * per_table; i < end; i++) {
        struct qcow2_mapping mapping;
        int result = find_cluster(qcow2, i, &mapping);
        if (result < 0)
            return error_set(err, result == -EIO ? -EINVAL : result,
                             "the entry of cluster %llu is impossible", (unsigned long long)i);
        if (mapping.kind == QCOW2_DATA && !use(usage, mapping.offset / size))
            return error_set(err, -EINVAL, "cluster %llu is used for something else, too",
                             (unsigned long long)i);
    }
    return 0;
}

int qcow2_check(struct disk_image *image, struct error *err)
{
    struct qcow2 *qcow2 = qcow2_of(image);
    uint64_t size = qcow2_cluster_size(&qcow2->header);
    struct usage usage = {.clusters = (qcow2->file.size + size - 1) / size};
    uint64_t l1_end = qcow2->header.l1_offset + qcow2->header.l1_entries * UINT64_C(8);
    int result = 0;

    usage.bits = calloc((size_t)(usage.clusters / 8 + 1), 1);
    if (!usage.bits)
        return error_set(err, -ENOMEM, "out of memory");
    bool is_free = use(&usage, 0);
    for (uint64_t at = qcow2->header.l1_offset; at < l1_end; at += size)
        is_free = use(&usage, at / size) && is_free;
    if (!is_free)
        result = error_set(err, -EINVAL, "its L1 table overlaps its header");
    pthread_mutex_lock(&qcow2->lock);
    for (uint64_t i = 0; i < qcow2->header.l1_entries && result == 0; i++)
        result = check_table(qcow2, i, &usage, err);
    pthread_mutex_unlock(&qcow2->lock);
    free(usage.bits);
    return result;
}
