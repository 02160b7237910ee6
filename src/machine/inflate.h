/* SPDX-License-Identifier: Apache-2.0
 * gzip-compressed kernels, by zlib. */
#pragma once

#include "machine/machine.h"

/* Decompresses `file`; more than `most` bytes is an error, so that a small file
 * cannot take all memory. The caller frees *bytes. */
MUST_CHECK int inflate_gzip(const struct machine_file *file, uint64_t most, uint8_t **bytes,
                            size_t *size, struct error *err);

/* The same of a file that unpacked to `size` bytes before and whose bytes are gone; they
 * are read by `file->again`. Writes `size` bytes to `to`. */
MUST_CHECK int inflate_again(const struct machine_file *file, uint8_t *to, size_t size,
                             struct error *err);
