/* SPDX-License-Identifier: Apache-2.0
 * Writing small volumes of ISO 9660 (ECMA-119): a few files in the root folder, for guests to mount.
 *
 * Names are written in upper case and with a version behind them, which every system takes away again:
 * a guest sees "user-data". There are no extensions (Rock Ridge, Joliet); names may have what the
 * standard's characters lack, '-', as other programs write them, too. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

#define ISO9660_SECTOR    2048u
#define ISO9660_MOST_FILE (UINT32_C(16) << 20) /* bytes of one file */
#define ISO9660_FILES     16u
#define ISO9660_NAME_MOST 28u

struct iso9660_file {
    const char *name; /* [a-z0-9_-], at most ISO9660_NAME_MOST; sorted, none twice */
    const void *bytes;
    size_t size; /* at most ISO9660_MOST_FILE */
};

struct iso9660_volume {
    const char *label; /* [A-Z0-9_], at most 32 */
    const struct iso9660_file *files;
    unsigned count; /* at most ISO9660_FILES */
};

/* Bytes that the volume takes, a multiple of ISO9660_SECTOR; 0: it cannot be written, as one of the limits
 * above is not kept. */
size_t iso9660_size(const struct iso9660_volume *volume);

/* Writes all of it to `to`, which has room for iso9660_size() bytes; that was not 0. The same volume gives the same
 * bytes: files have no time. */
void iso9660_write(const struct iso9660_volume *volume, uint8_t *to);
