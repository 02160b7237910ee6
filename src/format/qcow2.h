/* SPDX-License-Identifier: Apache-2.0
 * The qcow2 disk image format, versions 2 and 3 (QEMU, docs/interop/qcow2.txt): header and
 * table entries, all big-endian. The file is hostile. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

struct error;

#define QCOW2_MAGIC        UINT32_C(0x514649fb)
#define QCOW2_HEAD_SIZE    4096u /* what is looked at of a file */
#define QCOW2_MAX_L1_BYTES (32 * MIB)
#define QCOW2_MAX_SIZE     (UINT64_C(1) << 56)
#define QCOW2_BACKING_MOST 1023u
/* An L2 entry that says so in bit 0 reads as zeroes (version 3). */
#define QCOW2_ENTRY_ZERO   UINT64_C(1)
#define QCOW2_ENTRY_COPIED (UINT64_C(1) << 63)

struct qcow2_header {
    unsigned version;
    unsigned cluster_bits; /* 9-21 */
    uint64_t size_bytes;   /* of the disk; not 0 */
    uint64_t l1_offset;    /* a multiple of the cluster size; all of the table is in the file */
    uint32_t l1_entries;   /* as many as the size needs */
    uint32_t snapshots;    /* ignored */
    bool is_dirty;         /* reference counts may be wrong */
    bool has_backing;
    char backing[QCOW2_BACKING_MOST + 1]; /* "" when the name is not where it belongs */
};

enum qcow2_kind {
    QCOW2_UNALLOCATED, /* as in the backing file; zeroes without one */
    QCOW2_ZERO,
    QCOW2_DATA,
    QCOW2_COMPRESSED,
};

/* Where a cluster is. */
struct qcow2_mapping {
    enum qcow2_kind kind;
    uint64_t offset; /* bytes in the file; it begins inside */
    uint64_t size;   /* of compressed data, at most; its end is inside */
};

/* Reads the first `size` bytes (at most QCOW2_HEAD_SIZE) of a file of `file_size`. Returns 0,
 * or -EINVAL with the reason, without a file name, in `err`. */
MUST_CHECK int qcow2_parse_header(const uint8_t *bytes, size_t size, uint64_t file_size,
                                  struct qcow2_header *out, struct error *err);

uint64_t qcow2_cluster_size(const struct qcow2_header *header);
/* Entries of an L2 table, which is one cluster. */
uint64_t qcow2_l2_entries(const struct qcow2_header *header);

/* The L2 table of an L1 entry: false when the entry is impossible; *offset 0: there is no
 * table. */
MUST_CHECK bool qcow2_parse_l1(const struct qcow2_header *header, uint64_t file_size,
                               uint64_t entry, uint64_t *offset);
/* False: the entry is impossible. */
MUST_CHECK bool qcow2_parse_l2(const struct qcow2_header *header, uint64_t file_size,
                               uint64_t entry, struct qcow2_mapping *out);

/* What qcow2_make_header needs; offsets are multiples of the cluster size, 64 KiB. */
struct qcow2_layout {
    uint64_t size_bytes;
    uint64_t l1_offset;
    uint32_t l1_entries;
    uint64_t refcount_offset;
    uint32_t refcount_clusters;
};

#define QCOW2_WRITE_CLUSTER UINT64_C(0x10000)
#define QCOW2_WRITTEN_HEAD  112u /* bytes that qcow2_make_header writes */

/* Version 3, reference counts of 16 bits, clusters of QCOW2_WRITE_CLUSTER. */
void qcow2_make_header(const struct qcow2_layout *layout, uint8_t *bytes);
