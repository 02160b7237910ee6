/* SPDX-License-Identifier: Apache-2.0
 * Writing a qcow2 image from its first byte to its last. */
#pragma once

#include "backend/block/block_file.h"
#include "format/qcow2.h"

struct qcow2_writer;

/* The file is empty and stays the caller's. On success the caller owns *out
 * (qcow2_writer_destroy). */
MUST_CHECK int qcow2_writer_create(const struct block_file *file, uint64_t size_bytes,
                                   struct qcow2_writer **out, struct error *err);
/* Cluster number `cluster` (of QCOW2_WRITE_CLUSTER bytes; the last one is padded) has these
 * bytes. Clusters come in order; those that are left out are zeroes. */
MUST_CHECK int qcow2_writer_add(struct qcow2_writer *writer, uint64_t cluster,
                                const uint8_t *bytes);
/* Only now is it an image. */
MUST_CHECK int qcow2_writer_finish(struct qcow2_writer *writer);
/* Accepts NULL. */
void qcow2_writer_destroy(struct qcow2_writer *writer);
