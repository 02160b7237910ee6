/* SPDX-License-Identifier: Apache-2.0
 * Whether a file can be a kernel. Apart from image.h, whose images are others. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "base/types.h"

/* -EINVAL: what the file at `path` has is for certain no kernel for riscv64, and the text says what it is. */
MUST_CHECK int kernel_file_check(const char *path, const uint8_t *bytes, size_t size,
                                 struct error *err);
