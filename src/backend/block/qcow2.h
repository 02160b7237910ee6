/* SPDX-License-Identifier: Apache-2.0
 * qcow2 images, to read. */
#pragma once

#include "backend/block/disk_image.h"
#include "format/qcow2.h"

/* `backing` is what lies below, or NULL; needed if the header says so. Takes `file` and
 * `backing` on success; the caller owns *out (disk_image_close). */
MUST_CHECK int qcow2_open(struct block_file *take_file, const struct qcow2_header *header,
                          struct disk_image *take_backing, struct disk_image **out,
                          struct error *err);

/* Looks at all tables. 0: they are sound; -EINVAL with the first fault in `err`: an entry is
 * impossible, or two lead to the same place; or the errno of a read. The image is a qcow2
 * one. */
MUST_CHECK int qcow2_check(struct disk_image *image, struct error *err);
