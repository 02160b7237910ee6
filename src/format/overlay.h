/* SPDX-License-Identifier: Apache-2.0
 * The overlay disk format: what a machine changed of a disk that it shares with
 * others (docs/design/overlay-format.md has the layout and why it survives crashes).
 *
 * A file is a header, which is never written again, two state pages, two copies of
 * the cluster table, and the clusters, each at its own place. Where things lie
 * follows from the size of the disk alone, so that a hostile file has no offsets to
 * lie about. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

struct error;

#define OVERLAY_MAGIC        "DPLOVL\r\n"
#define OVERLAY_MAGIC_SIZE   8
#define OVERLAY_VERSION      1
#define OVERLAY_CLUSTER_SIZE UINT64_C(0x10000)
#define OVERLAY_PAGE_SIZE    UINT64_C(4096)
#define OVERLAY_HEADER_SIZE  8192u
#define OVERLAY_STATE_OFFSET 8192u /* of the first state page; the second follows */
#define OVERLAY_TABLE_OFFSET 16384u
#define OVERLAY_PATH_MOST    4095u
/* ext4 has no larger files, and the table of such a disk takes 64 MiB. */
#define OVERLAY_MAX_SIZE     (UINT64_C(16) << 40)
/* Bases below a disk. */
#define OVERLAY_MAX_DEPTH    16u

/* A page of the table holds 2 bits for each of its clusters. */
#define OVERLAY_ENTRY_BYTES   UINT64_C(4064)
#define OVERLAY_PAGE_CLUSTERS (OVERLAY_ENTRY_BYTES * 4)

enum overlay_cluster {
    OVERLAY_BASE = 0, /* as the base has it; zeroes without a base or behind its end */
    OVERLAY_DATA = 1, /* in this file */
    OVERLAY_ZERO = 2, /* zeroes, whatever the base has */
};

enum overlay_base_kind {
    OVERLAY_BASE_NONE,
    OVERLAY_BASE_RAW,
    OVERLAY_BASE_QCOW2,
    OVERLAY_BASE_OVERLAY,
    OVERLAY_BASE_KINDS,
};

/* How the base is known again. */
struct overlay_base_identity {
    enum overlay_base_kind kind;
    uint64_t size_bytes;  /* of the disk in it */
    uint64_t file_size;   /* bytes; 0 for overlays */
    uint64_t modified_ns; /* only a hint; 0 for overlays */
    uint8_t id[16];       /* the UUID of an overlay; a hash of parts of other files */
    uint64_t generation;  /* of an overlay: its state's when this one was made */
};

struct overlay_header {
    uint64_t size_bytes; /* of the disk: not 0, a multiple of 512 */
    uint8_t uuid[16];
    struct overlay_base_identity base;
    char base_path[OVERLAY_PATH_MOST + 1]; /* relative to the overlay's folder, or absolute */
};

/* What changes with every session of writing. */
struct overlay_state {
    uint64_t generation; /* of two state pages the higher one counts */
    bool is_clean;       /* closed in order: all pages of the table are whole */
};

enum overlay_page_kind {
    OVERLAY_PAGE_EMPTY, /* all zero: never written */
    OVERLAY_PAGE_VALID,
    OVERLAY_PAGE_BAD, /* torn, or damaged */
};

/* Of a page of the table. */
struct overlay_page {
    enum overlay_page_kind kind;
    uint64_t sequence; /* its copy is this modulo 2 */
    const uint8_t *entries;
};

/* Where things lie, for a disk of this size. */
uint64_t overlay_cluster_count(uint64_t size_bytes);
uint64_t overlay_page_count(uint64_t size_bytes);
/* `copy` 0 or 1. */
uint64_t overlay_page_offset(uint64_t size_bytes, uint64_t page, unsigned copy);
uint64_t overlay_data_offset(uint64_t size_bytes);
uint64_t overlay_file_size(uint64_t size_bytes);

/* Reads the first OVERLAY_HEADER_SIZE bytes of a file. Returns 0, or -EINVAL with the
 * reason, without a file name, in `err`. */
MUST_CHECK int overlay_parse_header(const uint8_t *bytes, struct overlay_header *out,
                                    struct error *err);
/* Writes OVERLAY_HEADER_SIZE bytes. */
void overlay_make_header(const struct overlay_header *header, uint8_t *bytes);

/* State pages; false: the page is damaged or was never written. */
MUST_CHECK bool overlay_parse_state(const uint8_t *page, struct overlay_state *out);
void overlay_make_state(const struct overlay_state *state, uint8_t *page);

/* Copy `copy` of page number `index`. */
struct overlay_page overlay_parse_page(const uint8_t *bytes, uint64_t index, unsigned copy);
void overlay_make_page(uint64_t index, uint64_t sequence, const uint8_t *entries, uint8_t *bytes);
/* False: an entry has a value that does not exist, or one of the `unused` last entries is
 * not 0. */
MUST_CHECK bool overlay_entries_are_valid(const uint8_t *entries, unsigned used);

static inline enum overlay_cluster overlay_entry(const uint8_t *entries, uint64_t i)
{
    return (enum overlay_cluster)(entries[i / 4] >> (i % 4 * 2) & 3);
}

static inline void overlay_set_entry(uint8_t *entries, uint64_t i, enum overlay_cluster value)
{
    unsigned shift = i % 4 * 2;

    entries[i / 4] = (uint8_t)((entries[i / 4] & ~(3u << shift)) | (unsigned)value << shift);
}
