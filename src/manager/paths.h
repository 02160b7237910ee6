/* SPDX-License-Identifier: Apache-2.0
 * Where things are kept, by the XDG base directory specification:
 *
 *     $XDG_DATA_HOME/doppel/images/NAME/         images
 *     $XDG_DATA_HOME/doppel/machines/NAME/       what a machine keeps: record, disks, logs
 *     $XDG_DATA_HOME/doppel/ssh/                 the key that machines let us in by
 *     $XDG_RUNTIME_DIR/doppel/NAME/              sockets of a machine that runs
 *
 * All of it for this user only. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

#include <limits.h>

struct paths {
    char data[PATH_MAX];
    char runtime[PATH_MAX];
};

/* Finds them; makes nothing. Returns 0 or -errno: neither XDG_DATA_HOME nor HOME is set, or the
 * place for sockets belongs to somebody else. */
MUST_CHECK int paths_find(struct paths *paths, struct error *err);

/* "FOLDER/PART/PART..."; the parts end with NULL. Returns 0 or -ENAMETOOLONG. `to` may not be one of the parts. */
MUST_CHECK int path_join(char to[PATH_MAX], struct error *err, const char *folder, ...)
    __attribute__((sentinel));

/* Makes a folder, mode 0700, and those above it. Returns 0 also if it is there. */
MUST_CHECK int path_make_folder(const char *path, struct error *err);

/* Removes a folder with all in it; follows no link. Returns 0 also if it is not there. */
MUST_CHECK int path_remove(const char *path, struct error *err);

bool path_exists(const char *path);
