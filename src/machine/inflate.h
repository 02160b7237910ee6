/* SPDX-License-Identifier: Apache-2.0
 * gzip-compressed kernels, by zlib. */
#pragma once

#include "machine/machine.h"

/* Decompresses `file`; more than `most` bytes is an error, so that a small file
 * cannot take all memory. The caller frees *bytes. */
MUST_CHECK int inflate_gzip(const struct machine_file *file, uint64_t most, uint8_t **bytes,
                            size_t *size, struct error *err);
