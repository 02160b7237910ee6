/* SPDX-License-Identifier: Apache-2.0
 * What kind of kernel file this is, and the header of RISC-V Linux' `Image`
 * (Linux, Documentation/arch/riscv/boot-image-header.rst), which may be a PE file
 * for EFI at the same time. The file is hostile. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

struct error;

enum image_kind {
    IMAGE_UNKNOWN, /* no header we know: a raw binary, or anything */
    IMAGE_ELF,
    IMAGE_GZIP,
    IMAGE_LINUX,   /* image_parse reads it */
    IMAGE_FOREIGN, /* something else for certain: image_foreign_name */
};

struct image {
    uint64_t text_offset; /* bytes from the start of RAM; page-aligned */
    uint64_t memory_size; /* bytes of RAM it takes from there, at least its file's size */
};

enum image_kind image_probe(const uint8_t *bytes, size_t size);

/* "an arm64 kernel" ... for an IMAGE_FOREIGN file. */
const char *image_foreign_name(const uint8_t *bytes, size_t size);

/* Reads the header of an IMAGE_LINUX file. Returns 0, or -EINVAL with the reason,
 * without a file name, in `err`: a broken header, or PE sections that lie behind
 * the end of a truncated file. */
MUST_CHECK int image_parse(const uint8_t *bytes, size_t size, struct image *out, struct error *err);
