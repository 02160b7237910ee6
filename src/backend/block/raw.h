/* SPDX-License-Identifier: Apache-2.0
 * Raw disk images: a file or block device, byte for byte. */
#pragma once

#include "backend/block/disk_image.h"

/* `guard_magic`: the user did not say format=raw, so the guest may not write the magic
 * of another format into the first sector, which the next start would take for real.
 * Takes `file` on success; the caller owns *out (disk_image_close). */
MUST_CHECK int raw_open(struct block_file *take_file, bool read_only, bool guard_magic,
                        struct disk_image **out, struct error *err);
