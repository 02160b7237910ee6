/* SPDX-License-Identifier: Apache-2.0
 * ELF64 files for RISC-V (System V gABI; RISC-V ELF psABI): header, segments,
 * sections and symbols of a file that is in memory already.
 *
 * The file is hostile: whatever elf_parse accepted may be asked for in full, and
 * every range handed out lies inside the file. */
#pragma once

#include "base/attributes.h"
#include "base/types.h"

struct error;

#define ELF_MAX_SEGMENTS 64

enum elf_type {
    ELF_TYPE_EXEC = 2,
    ELF_TYPE_DYN = 3, /* shared object or position-independent program */
};

enum elf_segment_type {
    ELF_SEGMENT_LOAD = 1,
    ELF_SEGMENT_DYNAMIC = 2,
    ELF_SEGMENT_INTERP = 3,
    ELF_SEGMENT_NOTE = 4,
    ELF_SEGMENT_PHDR = 6,
    ELF_SEGMENT_TLS = 7,
};

enum elf_segment_flag {
    ELF_SEGMENT_X = 1,
    ELF_SEGMENT_W = 2,
    ELF_SEGMENT_R = 4,
};

enum elf_section_type {
    ELF_SECTION_SYMTAB = 2,
    ELF_SECTION_STRTAB = 3,
    ELF_SECTION_NOBITS = 8,
    ELF_SECTION_DYNSYM = 11,
};

enum elf_section_flag {
    ELF_SECTION_WRITE = 1,
    ELF_SECTION_ALLOC = 2,
    ELF_SECTION_EXEC = 4,
};

/* A parsed file; borrows its bytes. */
struct elf {
    const uint8_t *bytes;
    size_t size;
    enum elf_type type;
    uint32_t flags; /* EF_RISCV_* */
    uint64_t entry;
    uint64_t segments_offset; /* of the program headers, in the file */
    uint64_t sections_offset;
    unsigned segment_count; /* at most ELF_MAX_SEGMENTS */
    unsigned section_count;
    unsigned name_section; /* index of the section that holds section names */
};

/* For ELF_SEGMENT_LOAD: file_size <= memory_size, and neither the memory nor the
 * file range wraps or leaves the file. Other types are checked for the file range
 * by elf_segment_bytes only. */
struct elf_segment {
    uint32_t type;  /* enum elf_segment_type, or any other value */
    uint32_t flags; /* enum elf_segment_flag */
    uint64_t offset;
    uint64_t virtual_address;
    uint64_t physical_address;
    uint64_t file_size;
    uint64_t memory_size;
    uint64_t alignment;
};

struct elf_section {
    const char *name; /* in the file; "" when it has none that ends inside it */
    uint32_t type;    /* enum elf_section_type, or any other value */
    uint64_t flags;   /* enum elf_section_flag */
    uint64_t address;
    uint64_t offset;
    uint64_t size; /* bytes */
    uint32_t link;
    uint64_t entry_size;
};

/* Checks the headers of the `size` bytes of a file, which must outlive *out.
 * Returns 0, or -ENOEXEC (not such a file) or -EINVAL (malformed, truncated)
 * with the reason, without a file name, in `err`. */
MUST_CHECK int elf_parse(const void *bytes, size_t size, struct elf *out, struct error *err);

/* Program header `index` (below segment_count). */
struct elf_segment elf_segment_at(const struct elf *elf, unsigned index);

/* The part of the file a segment consists of: file_size bytes, or NULL when they
 * are not all there. */
const uint8_t *elf_segment_bytes(const struct elf *elf, const struct elf_segment *segment);

/* Section header `index` (below section_count). */
struct elf_section elf_section_at(const struct elf *elf, unsigned index);

MUST_CHECK bool elf_find_section(const struct elf *elf, const char *name, struct elf_section *out);

/* The section's bytes, or NULL when it has none in the file or not all of them. */
const uint8_t *elf_section_bytes(const struct elf *elf, const struct elf_section *section);

/* The value of the symbol `name` in the symbol table, else in the dynamic one. */
MUST_CHECK bool elf_find_symbol(const struct elf *elf, const char *name, uint64_t *value);
