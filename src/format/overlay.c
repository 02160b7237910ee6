/* SPDX-License-Identifier: Apache-2.0
 * The overlay disk format: pages as bytes (docs/design/overlay-format.md). */
#include "format/overlay.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/endian.h"
#include "base/errno.h"
#include "base/error.h"
#include "base/hash.h"

enum {
    HEADER_CHECKSUM = 12,
    HEADER_PATH = 128,
    PAGE_HEAD = 32, /* checksum, index, sequence, 16 bytes of zeroes */
};

_Static_assert(PAGE_HEAD + OVERLAY_ENTRY_BYTES == OVERLAY_PAGE_SIZE, "a page is head and entries");
_Static_assert(HEADER_PATH + OVERLAY_PATH_MOST <= OVERLAY_HEADER_SIZE, "the path fits");

uint64_t overlay_cluster_count(uint64_t size_bytes)
{
    return (size_bytes + OVERLAY_CLUSTER_SIZE - 1) / OVERLAY_CLUSTER_SIZE;
}

uint64_t overlay_page_count(uint64_t size_bytes)
{
    return (overlay_cluster_count(size_bytes) + OVERLAY_PAGE_CLUSTERS - 1) / OVERLAY_PAGE_CLUSTERS;
}

uint64_t overlay_page_offset(uint64_t size_bytes, uint64_t page, unsigned copy)
{
    return OVERLAY_TABLE_OFFSET +
           (copy * overlay_page_count(size_bytes) + page) * OVERLAY_PAGE_SIZE;
}

uint64_t overlay_data_offset(uint64_t size_bytes)
{
    return bits_align_up(overlay_page_offset(size_bytes, 0, 2), OVERLAY_CLUSTER_SIZE);
}

uint64_t overlay_file_size(uint64_t size_bytes)
{
    return overlay_data_offset(size_bytes) + size_bytes;
}

static uint32_t header_checksum(const uint8_t *bytes)
{
    static const uint8_t none[4];
    uint32_t crc = hash_crc32c(0, bytes, HEADER_CHECKSUM);

    crc = hash_crc32c(crc, none, sizeof(none));
    return hash_crc32c(crc, bytes + HEADER_CHECKSUM + 4, OVERLAY_HEADER_SIZE - HEADER_CHECKSUM - 4);
}

static int parse_base(struct reader *r, struct overlay_header *header, uint32_t *path_length,
                      struct error *err)
{
    struct overlay_base_identity *base = &header->base;
    uint32_t kind = reader_le32(r);

    *path_length = reader_le32(r);
    base->size_bytes = reader_le64(r);
    base->file_size = reader_le64(r);
    base->modified_ns = reader_le64(r);
    reader_copy(r, base->id, sizeof(base->id));
    base->generation = reader_le64(r);
    if (kind >= OVERLAY_BASE_KINDS)
        return error_set(err, -EINVAL, "its base is of an unknown kind (%u)", (unsigned)kind);
    base->kind = (enum overlay_base_kind)kind;
    if (*path_length > OVERLAY_PATH_MOST || (*path_length == 0) != (kind == OVERLAY_BASE_NONE))
        return error_set(err, -EINVAL, "the path of its base has an impossible length");
    return 0;
}

int overlay_parse_header(const uint8_t *bytes, struct overlay_header *out, struct error *err)
{
    struct reader r = reader_make(bytes, OVERLAY_HEADER_SIZE);
    struct overlay_header header = {0};
    uint32_t path_length;

    if (memcmp(reader_bytes(&r, OVERLAY_MAGIC_SIZE), OVERLAY_MAGIC, OVERLAY_MAGIC_SIZE) != 0)
        return error_set(err, -EINVAL, "it is no overlay");
    uint32_t version = reader_le32(&r);
    uint32_t checksum = reader_le32(&r);
    if (version != OVERLAY_VERSION)
        return error_set(err, -EINVAL,
                         "it is an overlay of version %u; this doppel reads version 1",
                         (unsigned)version);
    if (checksum != header_checksum(bytes))
        return error_set(err, -EINVAL, "its header is damaged (wrong checksum)");
    header.size_bytes = reader_le64(&r);
    uint32_t cluster_bits = reader_le32(&r);
    uint32_t flags = reader_le32(&r);
    reader_copy(&r, header.uuid, sizeof(header.uuid));
    if (cluster_bits != 16 || flags != 0)
        return error_set(err, -EINVAL, "it uses features that this doppel does not know");
    if (header.size_bytes == 0 || header.size_bytes % 512 || header.size_bytes > OVERLAY_MAX_SIZE)
        return error_set(err, -EINVAL, "its disk has an impossible size (%llu bytes)",
                         (unsigned long long)header.size_bytes);
    int result = parse_base(&r, &header, &path_length, err);
    if (result < 0)
        return result;
    memcpy(header.base_path, bytes + HEADER_PATH, path_length);
    if (strlen(header.base_path) != path_length)
        return error_set(err, -EINVAL, "the path of its base has a NUL in it");
    *out = header;
    return 0;
}

void overlay_make_header(const struct overlay_header *header, uint8_t *bytes)
{
    struct writer w = {bytes, OVERLAY_HEADER_SIZE, 0};
    const struct overlay_base_identity *base = &header->base;

    memset(bytes, 0, OVERLAY_HEADER_SIZE);
    writer_bytes(&w, OVERLAY_MAGIC, OVERLAY_MAGIC_SIZE);
    writer_le32(&w, OVERLAY_VERSION);
    writer_le32(&w, 0);
    writer_le64(&w, header->size_bytes);
    writer_le32(&w, 16);
    writer_le32(&w, 0);
    writer_bytes(&w, header->uuid, sizeof(header->uuid));
    writer_le32(&w, base->kind);
    writer_le32(&w, (uint32_t)strlen(header->base_path));
    writer_le64(&w, base->size_bytes);
    writer_le64(&w, base->file_size);
    writer_le64(&w, base->modified_ns);
    writer_bytes(&w, base->id, sizeof(base->id));
    writer_le64(&w, base->generation);
    memcpy(bytes + HEADER_PATH, header->base_path, strlen(header->base_path));
    store_le32(bytes + HEADER_CHECKSUM, header_checksum(bytes));
}

/* Of state and table pages: the checksum is the first word. */
static uint32_t page_checksum(const uint8_t *bytes)
{
    return hash_crc32c(0, bytes + 4, OVERLAY_PAGE_SIZE - 4);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Nobody has counted further. */
static bool is_counter(uint64_t value)
{
    return value != 0 && value < INT64_MAX;
}

bool overlay_parse_state(const uint8_t *page, struct overlay_state *out)
{
    uint32_t clean = load_le32(page + 4);

    if (load_le32(page) != page_checksum(page) || clean > 1 || !is_counter(load_le64(page + 8)))
        return false;
    *out = (struct overlay_state){load_le64(page + 8), clean == 1};
    return true;
}

void overlay_make_state(const struct overlay_state *state, uint8_t *page)
{
    memset(page, 0, OVERLAY_PAGE_SIZE);
    store_le32(page + 4, state->is_clean);
    store_le64(page + 8, state->generation);
    store_le32(page, page_checksum(page));
}

struct overlay_page overlay_parse_page(const uint8_t *bytes, uint64_t index, unsigned copy)
{
    struct overlay_page page = {OVERLAY_PAGE_BAD, load_le64(bytes + 8), bytes + PAGE_HEAD};

    if (is_zero(bytes, OVERLAY_PAGE_SIZE))
        page.kind = OVERLAY_PAGE_EMPTY;
    else if (load_le32(bytes) == page_checksum(bytes) && load_le32(bytes + 4) == index &&
             is_counter(page.sequence) && page.sequence % 2 == copy)
        page.kind = OVERLAY_PAGE_VALID;
    return page;
}

void overlay_make_page(uint64_t index, uint64_t sequence, const uint8_t *entries, uint8_t *bytes)
{
    memset(bytes, 0, PAGE_HEAD);
    store_le32(bytes + 4, (uint32_t)index);
    store_le64(bytes + 8, sequence);
    memcpy(bytes + PAGE_HEAD, entries, OVERLAY_ENTRY_BYTES);
    store_le32(bytes, page_checksum(bytes));
}

bool overlay_entries_are_valid(const uint8_t *entries, unsigned used)
{
    for (unsigned i = 0; i < OVERLAY_ENTRY_BYTES; i++)
        if (entries[i] & (entries[i] >> 1) & 0x55)
            return false;
    for (unsigned i = used; i < OVERLAY_PAGE_CLUSTERS; i++)
        if (overlay_entry(entries, i) != OVERLAY_BASE)
            return false;
    return true;
}
