/* SPDX-License-Identifier: Apache-2.0
 * Overlays: what was written since, over a base that does not change. */
#pragma once

#include "backend/block/disk_image.h"
#include "format/overlay.h"

/* Opens an overlay whose header was read, over `base` (NULL: zeroes), which is identified
 * already. Takes `file` and `base` on success; the caller owns *out (disk_image_close). */
MUST_CHECK int overlay_open(struct block_file *take_file, const struct overlay_header *header,
                            struct disk_image *take_base, bool read_only, struct disk_image **out,
                            struct error *err);

/* An overlay in a file without a name, in $TMPDIR, else /var/tmp or /tmp, that ends with
 * it. Otherwise the same; `ops` as for images. */
MUST_CHECK int overlay_open_unnamed(struct disk_image *take_base, const struct block_file_ops *ops,
                                    struct disk_image **out, struct error *err);

/* Writes an empty overlay into an empty file: all but the header's checksum is up to the
 * caller. It is on stable storage when the file is synced. */
MUST_CHECK int overlay_format(const struct block_file *file, const struct overlay_header *header);
