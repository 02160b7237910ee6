/* SPDX-License-Identifier: Apache-2.0
 * Files that appear whole or not at all. */
#pragma once

#include "backend/block/block_file.h"

/* A file that has no name yet where the file system can do that, else a hidden one in the
 * same folder. */
struct new_file {
    struct block_file file;
    const char *path; /* borrowed: where it will be */
    char *temporary;  /* its path meanwhile; NULL: it has none */
};

/* Makes an empty file for `path`, where nothing may be yet. On success new_file_finish or
 * new_file_abandon has to follow. */
MUST_CHECK int new_file_open(const char *path, struct new_file *out, struct error *err);
/* Everything is on stable storage when the file appears under its name. Abandons it when that
 * fails. */
MUST_CHECK int new_file_finish(struct new_file *file, struct error *err);
/* Leaves nothing behind. Accepts a finished one. */
void new_file_abandon(struct new_file *file);
