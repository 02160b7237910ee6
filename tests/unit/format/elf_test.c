/* SPDX-License-Identifier: Apache-2.0
 * The ELF reader, on a file built here field by field: header, two program
 * headers, code, string tables, symbols, five section headers. */
#include "harness/harness.h"

#include <string.h>

#include "base/endian.h"
#include "base/error.h"
#include "format/elf.h"

enum {
    PHDRS = 64,
    CODE = 176,
    NAMES = 192,
    STRINGS = 240,
    SYMBOLS = 272,
    SHDRS = 344,
    FILE_SIZE = SHDRS + 5 * 64,
};

static const char section_names[] = "\0.text\0.shstrtab\0.strtab\0.symtab";
static const char symbol_names[] = "\0tohost\0begin_signature";

static void put_segment(uint8_t *file, unsigned index, uint32_t type, uint64_t offset,
                        uint64_t size)
{
    uint8_t *at = file + PHDRS + index * 56;

    store_le32(at, type);
    store_le32(at + 4, ELF_SEGMENT_R | ELF_SEGMENT_X);
    store_le64(at + 8, offset);
    store_le64(at + 16, 0x80000000);
    store_le64(at + 24, 0x80000000);
    store_le64(at + 32, size);
    store_le64(at + 40, size + 16);
    store_le64(at + 48, 4096);
}

static void put_section(uint8_t *file, unsigned index, uint32_t name, uint32_t type,
                        uint64_t offset, uint64_t size, uint32_t link)
{
    uint8_t *at = file + SHDRS + index * 64;

    store_le32(at, name);
    store_le32(at + 4, type);
    store_le64(at + 8, index == 1 ? ELF_SECTION_ALLOC | ELF_SECTION_EXEC : 0);
    store_le64(at + 16, index == 1 ? 0x80000000 : 0);
    store_le64(at + 24, offset);
    store_le64(at + 32, size);
    store_le32(at + 40, link);
    store_le64(at + 56, type == ELF_SECTION_SYMTAB ? 24 : 0);
}

static void put_symbol(uint8_t *file, unsigned index, uint32_t name, uint16_t section,
                       uint64_t value)
{
    uint8_t *at = file + SYMBOLS + index * 24;

    store_le32(at, name);
    store_le16(at + 6, section);
    store_le64(at + 8, value);
}

static void make_file(uint8_t *file)
{
    memset(file, 0, FILE_SIZE);
    memcpy(file,
           "\x7f"
           "ELF\x02\x01\x01",
           7);
    store_le16(file + 16, ELF_TYPE_EXEC);
    store_le16(file + 18, 243);
    store_le32(file + 20, 1);
    store_le64(file + 24, 0x80000004);
    store_le64(file + 32, PHDRS);
    store_le64(file + 40, SHDRS);
    store_le16(file + 52, 64);
    store_le16(file + 54, 56);
    store_le16(file + 56, 2);
    store_le16(file + 58, 64);
    store_le16(file + 60, 5);
    store_le16(file + 62, 2);
    put_segment(file, 0, ELF_SEGMENT_LOAD, CODE, 8);
    put_segment(file, 1, ELF_SEGMENT_NOTE, CODE, 0);
    store_le32(file + CODE, 0x13);
    memcpy(file + NAMES, section_names, sizeof(section_names));
    memcpy(file + STRINGS, symbol_names, sizeof(symbol_names));
    put_symbol(file, 1, 1, 1, 0x80001000);
    put_symbol(file, 2, 8, 1, 0x80002000);
    put_section(file, 1, 1, 1, CODE, 8, 0);
    put_section(file, 2, 7, ELF_SECTION_STRTAB, NAMES, sizeof(section_names), 0);
    put_section(file, 3, 17, ELF_SECTION_STRTAB, STRINGS, sizeof(symbol_names), 0);
    put_section(file, 4, 25, ELF_SECTION_SYMTAB, SYMBOLS, 72, 3);
}

static void check_refused(const uint8_t *file, size_t size, const char *reason)
{
    struct elf elf;
    struct error err = {0};

    CHECK(elf_parse(file, size, &elf, &err) < 0);
    CHECK_STR(err.text, reason);
}

TEST(elf, a_good_file_is_read_in_full)
{
    uint8_t file[FILE_SIZE];
    struct elf elf;
    struct elf_section section;
    uint64_t value = 0;

    make_file(file);
    CHECK_EQ(elf_parse(file, sizeof(file), &elf, NULL), 0);
    CHECK_EQ(elf.type, ELF_TYPE_EXEC);
    CHECK_EQ(elf.entry, 0x80000004);
    CHECK_EQ(elf.segment_count, 2);
    struct elf_segment segment = elf_segment_at(&elf, 0);
    CHECK_EQ(segment.virtual_address, 0x80000000);
    CHECK_EQ(segment.memory_size, 24);
    CHECK(elf_segment_bytes(&elf, &segment) == file + CODE);

    CHECK(elf_find_section(&elf, ".text", &section));
    CHECK_EQ(section.address, 0x80000000);
    CHECK(elf_section_bytes(&elf, &section) == file + CODE);
    CHECK(!elf_find_section(&elf, ".data", &section));

    CHECK(elf_find_symbol(&elf, "tohost", &value));
    CHECK_EQ(value, 0x80001000);
    CHECK(elf_find_symbol(&elf, "begin_signature", &value));
    CHECK_EQ(value, 0x80002000);
    CHECK(!elf_find_symbol(&elf, "fromhost", &value));
    CHECK(!elf_find_symbol(&elf, "begin", &value));
    CHECK_EQ(value, 0x80002000);
}

TEST(elf, foreign_files_are_named)
{
    uint8_t file[FILE_SIZE];

    check_refused((const uint8_t *)"#!/bin/sh\n", 10, "not an ELF file");
    check_refused((const uint8_t *)"", 0, "not an ELF file");
    make_file(file);
    file[4] = 1;
    check_refused(file, sizeof(file), "32-bit ELF file; 64-bit ones are supported");
    make_file(file);
    file[5] = 2;
    check_refused(file, sizeof(file), "big-endian ELF file; little-endian ones are supported");
    make_file(file);
    store_le16(file + 18, 62);
    check_refused(file, sizeof(file), "ELF file for x86-64 (machine 62), not for RISC-V");
    store_le16(file + 18, 999);
    check_refused(file, sizeof(file),
                  "ELF file for an unknown processor (machine 999), not for RISC-V");
    make_file(file);
    store_le16(file + 16, 1);
    check_refused(file, sizeof(file), "relocatable object; link it first");
}

TEST(elf, malformed_segments_are_refused)
{
    uint8_t file[FILE_SIZE];

    make_file(file);
    store_le32(file + PHDRS, ELF_SEGMENT_NOTE);
    check_refused(file, sizeof(file), "no loadable segment");
    make_file(file);
    store_le64(file + PHDRS + 40, 7);
    check_refused(file, sizeof(file), "malformed: segment 0 is larger in the file than in memory");
    make_file(file);
    store_le64(file + PHDRS + 16, UINT64_MAX - 8);
    check_refused(file, sizeof(file), "malformed: segment 0 wraps round the address space");
    make_file(file);
    store_le64(file + PHDRS + 8, UINT64_MAX - 3);
    check_refused(file, sizeof(file),
                  "truncated: segment 0 is 8 bytes from byte 18446744073709551612, the file has "
                  "664");
    make_file(file);
    store_le16(file + 56, 65);
    check_refused(file, sizeof(file), "65 program headers; at most 64 are supported");
    make_file(file);
    store_le16(file + 54, 32);
    check_refused(file, sizeof(file), "malformed: program headers of 32 bytes instead of 56");
}

TEST(elf, every_truncation_is_noticed)
{
    uint8_t file[FILE_SIZE];
    struct elf elf;

    make_file(file);
    for (size_t size = 0; size < sizeof(file); size++) {
        struct error err = {0};
        CHECK(elf_parse(file, size, &elf, &err) < 0);
        CHECK(strncmp(err.text, size < 4 ? "not an ELF" : "truncated:", 10) == 0);
    }
}

TEST(elf, sections_and_symbols_outside_the_file_are_absent)
{
    uint8_t file[FILE_SIZE];
    struct elf elf;
    struct elf_section section;
    uint64_t value;

    make_file(file);
    store_le64(file + SHDRS + 64 + 24, UINT64_MAX);
    store_le64(file + SHDRS + 4 * 64 + 32, UINT64_MAX);
    CHECK_EQ(elf_parse(file, sizeof(file), &elf, NULL), 0);
    CHECK(elf_find_section(&elf, ".text", &section));
    CHECK(elf_section_bytes(&elf, &section) == NULL);
    CHECK(!elf_find_symbol(&elf, "tohost", &value));

    /* Names without an end, and a section of names that is not there. */
    make_file(file);
    store_le64(file + SHDRS + 2 * 64 + 32, 5);
    store_le32(file + SHDRS + 4 * 64 + 40, 99);
    CHECK_EQ(elf_parse(file, sizeof(file), &elf, NULL), 0);
    CHECK_STR(elf_section_at(&elf, 1).name, "");
    CHECK(!elf_find_symbol(&elf, "tohost", &value));
    store_le16(file + 62, 0xffff);
    CHECK_EQ(elf_parse(file, sizeof(file), &elf, NULL), 0);
    CHECK_STR(elf_section_at(&elf, 1).name, "");
}

TEST(elf, a_file_without_sections_is_fine)
{
    uint8_t file[FILE_SIZE];
    struct elf elf;
    struct elf_section section;
    uint64_t value;

    make_file(file);
    store_le64(file + 40, 0);
    CHECK_EQ(elf_parse(file, CODE + 8, &elf, NULL), 0);
    CHECK_EQ(elf.section_count, 0);
    CHECK(!elf_find_section(&elf, ".text", &section));
    CHECK(!elf_find_symbol(&elf, "tohost", &value));
}

TEST_MAIN(TESTS(elf, a_good_file_is_read_in_full), TESTS(elf, foreign_files_are_named),
          TESTS(elf, malformed_segments_are_refused), TESTS(elf, every_truncation_is_noticed),
          TESTS(elf, sections_and_symbols_outside_the_file_are_absent),
          TESTS(elf, a_file_without_sections_is_fine))
