/* SPDX-License-Identifier: Apache-2.0
 * The qcow2 disk image format. */
#include "format/qcow2.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/errno.h"
#include "base/error.h"

/* Offsets in the header. */
enum {
    AT_VERSION = 4,
    AT_BACKING_OFFSET = 8,
    AT_BACKING_SIZE = 16,
    AT_CLUSTER_BITS = 20,
    AT_SIZE = 24,
    AT_CRYPT = 32,
    AT_L1_ENTRIES = 36,
    AT_L1_OFFSET = 40,
    AT_REFCOUNT_OFFSET = 48,
    AT_REFCOUNT_CLUSTERS = 56,
    AT_SNAPSHOTS = 60,
    SIZE_2 = 72, /* of a header of version 2 */
    AT_INCOMPATIBLE = 72,
    AT_REFCOUNT_ORDER = 96,
    AT_LENGTH = 100,
    SIZE_3 = 104,
    AT_COMPRESSION = 104,
};

#define INCOMPATIBLE_DIRTY       BIT(0)
#define INCOMPATIBLE_CORRUPT     BIT(1)
#define INCOMPATIBLE_DATA_FILE   BIT(2)
#define INCOMPATIBLE_COMPRESSION BIT(3)
#define INCOMPATIBLE_EXTENDED_L2 BIT(4)
#define INCOMPATIBLE_KNOWN       bits_mask(5)

#define OFFSET_MASK      UINT64_C(0x00fffffffffffe00)
#define ENTRY_COMPRESSED BIT(62)

uint64_t qcow2_cluster_size(const struct qcow2_header *header)
{
    return BIT(header->cluster_bits);
}

uint64_t qcow2_l2_entries(const struct qcow2_header *header)
{
    return qcow2_cluster_size(header) / 8;
}

static bool is_inside(uint64_t offset, uint64_t size, uint64_t file_size)
{
    return offset <= file_size && size <= file_size - offset;
}

static int check_features(const uint8_t *bytes, size_t size, struct qcow2_header *header,
                          struct error *err)
{
    uint64_t features = load_be64(bytes + AT_INCOMPATIBLE);
    uint32_t length = load_be32(bytes + AT_LENGTH);

    if (length < SIZE_3 || length > qcow2_cluster_size(header))
        return error_set(err, -EINVAL, "its header has an impossible length (%u)",
                         (unsigned)length);
    if (features & ~INCOMPATIBLE_KNOWN)
        return error_set(err, -EINVAL, "it needs features of qcow2 that are unknown here (%llx)",
                         (unsigned long long)(features & ~INCOMPATIBLE_KNOWN));
    if (features & INCOMPATIBLE_CORRUPT)
        return error_set(err, -EINVAL, "it is marked as corrupt; repair it with qemu-img check -r");
    if (features & INCOMPATIBLE_DATA_FILE)
        return error_set(err, -EINVAL, "its data is in another file, which is not supported");
    if (features & INCOMPATIBLE_EXTENDED_L2)
        return error_set(err, -EINVAL, "it has subclusters (extended L2), which is not supported");
    if (features & INCOMPATIBLE_COMPRESSION && (length <= AT_COMPRESSION || size <= AT_COMPRESSION))
        return error_set(err, -EINVAL, "its header lacks the kind of compression");
    if (features & INCOMPATIBLE_COMPRESSION && bytes[AT_COMPRESSION] != 0)
        return error_set(err, -EINVAL, "it is compressed with %s, only zlib is supported",
                         bytes[AT_COMPRESSION] == 1 ? "zstd" : "something unknown");
    header->is_dirty = features & INCOMPATIBLE_DIRTY;
    return 0;
}

static int check_tables(const uint8_t *bytes, uint64_t file_size, struct qcow2_header *header,
                        struct error *err)
{
    uint64_t per_table = qcow2_cluster_size(header) * qcow2_l2_entries(header);
    uint64_t needed = header->size_bytes / per_table + (header->size_bytes % per_table != 0);
    uint64_t given = load_be32(bytes + AT_L1_ENTRIES);

    if (needed * 8 > QCOW2_MAX_L1_BYTES || given * 8 > QCOW2_MAX_L1_BYTES)
        return error_set(err, -EINVAL, "its L1 table is larger than 32 MiB");
    if (given < needed)
        return error_set(err, -EINVAL, "its L1 table is too small for its size");
    header->l1_entries = (uint32_t)needed;
    header->l1_offset = load_be64(bytes + AT_L1_OFFSET);
    if (header->l1_offset % qcow2_cluster_size(header) || header->l1_offset == 0 ||
        !is_inside(header->l1_offset, needed * 8, file_size))
        return error_set(err, -EINVAL, "its L1 table is not in the file");
    return 0;
}

/* The name is for messages only. */
static int parse_backing(const uint8_t *bytes, size_t size, struct qcow2_header *header,
                         struct error *err)
{
    uint64_t offset = load_be64(bytes + AT_BACKING_OFFSET);
    uint32_t length = load_be32(bytes + AT_BACKING_SIZE);

    header->has_backing = offset != 0;
    if (!header->has_backing)
        return 0;
    if (length > QCOW2_BACKING_MOST)
        return error_set(err, -EINVAL, "the name of its backing file is too long");
    if (!is_inside(offset, length, size))
        return 0;
    for (uint32_t i = 0; i < length; i++) {
        uint8_t byte = bytes[offset + i];
        header->backing[i] = (char)(byte >= 0x20 && byte != 0x7f ? byte : '?');
    }
    return 0;
}

int qcow2_parse_header(const uint8_t *bytes, size_t size, uint64_t file_size,
                       struct qcow2_header *out, struct error *err)
{
    struct qcow2_header header = {0};

    if (size < SIZE_2 || load_be32(bytes) != QCOW2_MAGIC)
        return error_set(err, -EINVAL, "it is no qcow2 image");
    header.version = load_be32(bytes + AT_VERSION);
    if (header.version != 2 && header.version != 3)
        return error_set(err, -EINVAL, "it is of version %u, only 2 and 3 are supported",
                         header.version);
    header.cluster_bits = load_be32(bytes + AT_CLUSTER_BITS);
    if (header.cluster_bits < 9 || header.cluster_bits > 21)
        return error_set(err, -EINVAL, "its clusters have an impossible size (2^%u)",
                         header.cluster_bits);
    if (load_be32(bytes + AT_CRYPT) != 0)
        return error_set(err, -EINVAL, "it is encrypted, which is not supported");
    header.size_bytes = load_be64(bytes + AT_SIZE);
    header.snapshots = load_be32(bytes + AT_SNAPSHOTS);
    if (header.size_bytes == 0 || header.size_bytes > QCOW2_MAX_SIZE)
        return error_set(err, -EINVAL, "its disk has an impossible size (%llu bytes)",
                         (unsigned long long)header.size_bytes);
    if (header.version == 3 && size < SIZE_3)
        return error_set(err, -EINVAL, "its header is truncated");
    int result = header.version == 3 ? check_features(bytes, size, &header, err) : 0;
    if (result == 0)
        result = check_tables(bytes, file_size, &header, err);
    if (result == 0)
        result = parse_backing(bytes, size, &header, err);
    if (result == 0)
        *out = header;
    return result;
}

bool qcow2_parse_l1(const struct qcow2_header *header, uint64_t file_size, uint64_t entry,
                    uint64_t *offset)
{
    *offset = entry & OFFSET_MASK;
    return (entry & ~(OFFSET_MASK | QCOW2_ENTRY_COPIED)) == 0 &&
           *offset % qcow2_cluster_size(header) == 0 &&
           (*offset == 0 || is_inside(*offset, qcow2_cluster_size(header), file_size));
}

/* The low bits are an offset to the byte, those above the number of further sectors of 512
 * bytes that the data reaches into. */
static bool parse_compressed(const struct qcow2_header *header, uint64_t file_size, uint64_t entry,
                             struct qcow2_mapping *out)
{
    unsigned offset_bits = 62 - (header->cluster_bits - 8);
    uint64_t offset = bits_extract(entry, 0, offset_bits);
    uint64_t sectors = bits_extract(entry, offset_bits, 62 - offset_bits) + 1;

    if (entry & QCOW2_ENTRY_COPIED || offset >= file_size)
        return false;
    *out = (struct qcow2_mapping){QCOW2_COMPRESSED, offset, sectors * 512 - offset % 512};
    out->size = MIN(out->size, file_size - offset);
    return true;
}

bool qcow2_parse_l2(const struct qcow2_header *header, uint64_t file_size, uint64_t entry,
                    struct qcow2_mapping *out)
{
    uint64_t offset = entry & OFFSET_MASK;
    uint64_t rest = entry & ~(OFFSET_MASK | QCOW2_ENTRY_COPIED);

    if (entry & ENTRY_COMPRESSED)
        return parse_compressed(header, file_size, entry, out);
    if (rest & ~QCOW2_ENTRY_ZERO || (rest && header->version == 2) ||
        offset % qcow2_cluster_size(header) || offset >= file_size)
        return false;
    out->kind = rest ? QCOW2_ZERO : offset ? QCOW2_DATA : QCOW2_UNALLOCATED;
    out->offset = offset;
    out->size = 0;
    return true;
}

void qcow2_make_header(const struct qcow2_layout *layout, uint8_t *bytes)
{
    memset(bytes, 0, QCOW2_WRITTEN_HEAD);
    store_be32(bytes, QCOW2_MAGIC);
    store_be32(bytes + AT_VERSION, 3);
    store_be32(bytes + AT_CLUSTER_BITS, 16);
    store_be64(bytes + AT_SIZE, layout->size_bytes);
    store_be32(bytes + AT_L1_ENTRIES, layout->l1_entries);
    store_be64(bytes + AT_L1_OFFSET, layout->l1_offset);
    store_be64(bytes + AT_REFCOUNT_OFFSET, layout->refcount_offset);
    store_be32(bytes + AT_REFCOUNT_CLUSTERS, layout->refcount_clusters);
    store_be32(bytes + AT_REFCOUNT_ORDER, 4);
    store_be32(bytes + AT_LENGTH, SIZE_3);
}
