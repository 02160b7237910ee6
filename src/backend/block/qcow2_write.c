/* SPDX-License-Identifier: Apache-2.0
 * Writing a qcow2 image.
 *
 *     header | L1 table | clusters of data and, behind the last it leads to, each L2 table |
 *     reference counts, all of them 1 | their table
 *
 * The header is written last, and the file has no name before, so that nobody ever sees
 * half of one. */
#include "backend/block/qcow2_write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"

#define CLUSTER         QCOW2_WRITE_CLUSTER
#define L2_ENTRIES      (CLUSTER / 8)
#define COUNTS_IN_BLOCK (CLUSTER / 2) /* of 16 bits */

struct qcow2_writer {
    const struct block_file *file;
    uint64_t size_bytes;
    uint64_t l1_clusters;
    uint32_t l1_entries;
    uint64_t next;  /* free cluster of the file */
    uint64_t table; /* L2 table in the making */
    bool has_entries;
    uint8_t *l1;
    uint8_t l2[CLUSTER];
};

static uint64_t divide_up(uint64_t value, uint64_t by)
{
    return (value + by - 1) / by;
}

int qcow2_writer_create(const struct block_file *file, uint64_t size_bytes,
                        struct qcow2_writer **out, struct error *err)
{
    uint64_t entries = divide_up(size_bytes, CLUSTER * L2_ENTRIES);
    struct qcow2_writer *writer = calloc(1, sizeof(*writer));

    if (!writer || entries * 8 > QCOW2_MAX_L1_BYTES) {
        free(writer);
        return error_set(err, writer ? -EFBIG : -ENOMEM,
                         writer ? "the disk is too large for qcow2" : "out of memory");
    }
    writer->file = file;
    writer->size_bytes = size_bytes;
    writer->l1_entries = (uint32_t)entries;
    writer->l1_clusters = divide_up(entries * 8, CLUSTER);
    writer->next = 1 + writer->l1_clusters;
    writer->l1 = calloc(writer->l1_clusters, CLUSTER);
    if (!writer->l1) {
        free(writer);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *out = writer;
    return 0;
}

static int write_cluster(struct qcow2_writer *writer, const uint8_t *bytes, uint64_t *entry)
{
    uint64_t offset = writer->next++ * CLUSTER;

    *entry = offset | QCOW2_ENTRY_COPIED;
    return block_file_write_bytes(writer->file, bytes, CLUSTER, offset);
}

static int finish_table(struct qcow2_writer *writer)
{
    uint64_t entry;

    if (!writer->has_entries)
        return 0;
    int result = write_cluster(writer, writer->l2, &entry);
    store_be64(writer->l1 + writer->table * 8, entry);
    memset(writer->l2, 0, sizeof(writer->l2));
    writer->has_entries = false;
    return result;
}

int qcow2_writer_add(struct qcow2_writer *writer, uint64_t cluster, const uint8_t *bytes)
{
    int result = 0;
    uint64_t entry;

    if (cluster / L2_ENTRIES != writer->table) {
        result = finish_table(writer);
        writer->table = cluster / L2_ENTRIES;
    }
    if (result == 0)
        result = write_cluster(writer, bytes, &entry);
    if (result == 0) {
        store_be64(writer->l2 + cluster % L2_ENTRIES * 8, entry);
        writer->has_entries = true;
    }
    return result;
}

/* Every cluster of the file is used once, those of the counts among them. */
static int write_counts(struct qcow2_writer *writer, struct qcow2_layout *layout)
{
    uint64_t used = writer->next;
    uint64_t blocks = 0;
    uint64_t tables = 0;
    uint64_t total = used;
    int result = 0;

    for (uint64_t before = 0; before != total;) {
        before = total;
        blocks = divide_up(total, COUNTS_IN_BLOCK);
        tables = divide_up(blocks * 8, CLUSTER);
        total = used + blocks + tables;
    }
    uint8_t *table = tables ? calloc(tables, CLUSTER) : NULL;
    if (!table)
        return -ENOMEM;
    for (uint64_t block = 0; block < blocks && result == 0; block++) {
        memset(writer->l2, 0, CLUSTER);
        for (uint64_t i = 0; i < COUNTS_IN_BLOCK && block * COUNTS_IN_BLOCK + i < total; i++)
            store_be16(writer->l2 + i * 2, 1);
        store_be64(table + block * 8, writer->next * CLUSTER);
        result =
            block_file_write_bytes(writer->file, writer->l2, CLUSTER, writer->next++ * CLUSTER);
    }
    layout->refcount_offset = writer->next * CLUSTER;
    layout->refcount_clusters = (uint32_t)tables;
    if (result == 0)
        result =
            block_file_write_bytes(writer->file, table, tables * CLUSTER, layout->refcount_offset);
    free(table);
    return result;
}

int qcow2_writer_finish(struct qcow2_writer *writer)
{
    struct qcow2_layout layout = {
        .size_bytes = writer->size_bytes, .l1_offset = CLUSTER, .l1_entries = writer->l1_entries};
    uint8_t *head = writer->l2;
    int result = finish_table(writer);

    if (result == 0)
        result = block_file_write_bytes(writer->file, writer->l1, writer->l1_clusters * CLUSTER,
                                        layout.l1_offset);
    if (result == 0)
        result = write_counts(writer, &layout);
    if (result < 0)
        return result;
    memset(head, 0, CLUSTER);
    qcow2_make_header(&layout, head);
    return block_file_write_bytes(writer->file, head, CLUSTER, 0);
}

void qcow2_writer_destroy(struct qcow2_writer *writer)
{
    if (!writer)
        return;
    free(writer->l1);
    free(writer);
}
