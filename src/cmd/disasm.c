/* SPDX-License-Identifier: Apache-2.0
 * doppel disasm [--isa ISA] FILE: the executable sections of a RISC-V ELF file as text, in
 * the layout of objdump -d -z without symbols.
 *
 * Bytes that are data inside a text section are printed as the instructions they
 * look like, as objdump does when nothing marks them. */
#include "cmd/disasm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/endian.h"
#include "base/error.h"
#include "format/elf.h"
#include "isa/insn.h"

enum {
    EXIT_REFUSED = 2,
};

struct view {
    const uint8_t *bytes;
    size_t size;
};

static int open_view(const char *path, struct view *out, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(err, -errno, "%s", strerror(errno));

    struct stat status;
    int r = 0;
    if (fstat(fd, &status) < 0)
        r = error_set(err, -errno, "%s", strerror(errno));
    else if (!S_ISREG(status.st_mode))
        r = error_set(err, -EINVAL, "not a regular file");
    else if (status.st_size == 0)
        r = error_set(err, -EINVAL, "empty file");
    if (r == 0) {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED)
            r = error_set(err, -errno, "%s", strerror(errno));
        else
            *out = (struct view){bytes, (size_t)status.st_size};
    }
    close(fd);
    return r;
}

/* objdump drops leading zeros four digits at a time, as long as five remain. */
static int address_width(uint64_t last)
{
    int width = 16;
    while (width > 4 && last >> (4 * (width - 5)) == 0)
        width -= 4;
    return width;
}

/* The length an encoding says it has (unprivileged manual, "Expanded
 * Instruction-Length Encoding"). Nothing longer than 4 bytes is an instruction;
 * the one reserved for 192 bits and more counts as 2, as in objdump. */
static size_t encoding_length(uint16_t low)
{
    if ((low & 3) != 3)
        return 2;
    if ((low & 0x1f) != 0x1f)
        return 4;
    if ((low & 0x3f) == 0x1f)
        return 6;
    if ((low & 0x7f) == 0x3f)
        return 8;
    unsigned units = low >> 12 & 7;
    return units == 7 ? 2 : 10 + 2 * units;
}

/* One line: 8 bytes at most, as 32-bit units when `unit` is 4, else as 16-bit
 * ones. The text is NULL on the lines after an encoding's first. */
static void print_line(uint64_t address, int width, const uint8_t *bytes, size_t size, size_t unit,
                       const char *text)
{
    printf("%*llx:\t", width, (unsigned long long)address);
    for (size_t at = 0; at < size; at += unit) {
        if (unit == 4)
            printf("%08x ", (unsigned)load_le32(bytes + at));
        else
            printf("%04x ", (unsigned)load_le16(bytes + at));
    }
    if (text)
        printf("%*s\t%s", (int)((8 - size) / unit * (2 * unit + 1)), "", text);
    putchar('\n');
}

/* Bytes that are no instruction: an encoding longer than 4 bytes, or the single
 * byte at the end of a section. */
static void print_data(uint64_t address, int width, const uint8_t *bytes, size_t size)
{
    char text[160];
    size_t unit = size % 4 == 0 ? 4 : 2;
    size_t first = size < 8 ? size : 8;

    if (size == 8) {
        snprintf(text, sizeof(text), ".8byte\t0x%llx", (unsigned long long)load_le64(bytes));
    } else {
        size_t length = (size_t)snprintf(text, sizeof(text), ".byte");
        for (size_t i = 0; i < size; i++)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%s0x%02x",
                                       i == 0 ? "\t" : ", ", (unsigned)bytes[i]);
    }
    if (size == 1) {
        printf("%*llx:\t%02x\t%s\n", width, (unsigned long long)address, (unsigned)bytes[0], text);
        return;
    }
    print_line(address, width, bytes, first, unit, text);
    for (size_t at = first; at < size; at += 8)
        print_line(address + at, width, bytes + at, size - at < 8 ? size - at : 8, unit, NULL);
}

static void print_insn(const struct extension_set *extensions, uint64_t address, int width,
                       const uint8_t *bytes, size_t length)
{
    char text[128];
    uint32_t word = length == 2 ? load_le16(bytes) : load_le32(bytes);
    struct insn insn = isa_decode(word, extensions);

    if (insn.length == length)
        isa_disassemble(&insn, address, text, sizeof(text));
    else
        snprintf(text, sizeof(text), ".2byte\t0x%x", (unsigned)word);
    print_line(address, width, bytes, length, length, text);
}

static void print_code(const struct extension_set *extensions, const char *name, uint64_t address,
                       const uint8_t *bytes, size_t size)
{
    int width = address_width(address + size);

    printf("\nDisassembly of section %s:\n\n", name);
    for (size_t at = 0; at < size;) {
        size_t length = size - at < 2 ? 1 : encoding_length(load_le16(bytes + at));
        if (length > size - at)
            length = size - at < 2 ? 1 : 2;
        if (length == 2 || length == 4)
            print_insn(extensions, address + at, width, bytes + at, length);
        else
            print_data(address + at, width, bytes + at, length);
        at += length;
    }
}

static bool print_sections(const struct elf *elf, const struct extension_set *extensions)
{
    bool any = false;

    for (unsigned i = 0; i < elf->section_count; i++) {
        struct elf_section section = elf_section_at(elf, i);
        const uint8_t *bytes = elf_section_bytes(elf, &section);
        if (!(section.flags & ELF_SECTION_EXEC) || !bytes || section.size == 0)
            continue;
        print_code(extensions, section.name, section.address, bytes, section.size);
        any = true;
    }
    return any;
}

static void print_segments(const struct elf *elf, const struct extension_set *extensions)
{
    for (unsigned i = 0; i < elf->segment_count; i++) {
        struct elf_segment segment = elf_segment_at(elf, i);
        if (segment.type == ELF_SEGMENT_LOAD && (segment.flags & ELF_SEGMENT_X))
            print_code(extensions, "(none)", segment.virtual_address,
                       elf_segment_bytes(elf, &segment), segment.file_size);
    }
}

#define USAGE "usage: doppel disasm [--isa ISA] FILE\n"

int cmd_disasm(int argc, char **argv)
{
    struct error err = {0};
    struct extension_set extensions = extension_set_all();

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf(USAGE "\nPrints the code of a riscv64 ELF file as objdump -d does.\n");
        return 0;
    }
    if (argc == 4 && strcmp(argv[1], "--isa") == 0) {
        if (extension_set_parse(argv[2], &extensions, &err) < 0) {
            fprintf(stderr, "doppel disasm: --isa: %s\n", err.text);
            return EXIT_REFUSED;
        }
    } else if (argc != 2) {
        fprintf(stderr, USAGE);
        return EXIT_REFUSED;
    }

    const char *path = argv[argc - 1];
    struct view view = {0};
    struct elf elf;
    if (open_view(path, &view, &err) < 0 || elf_parse(view.bytes, view.size, &elf, &err) < 0) {
        fprintf(stderr, "doppel disasm: %s: %s\n", path, err.text);
        return EXIT_REFUSED;
    }

    printf("\n%s:     file format elf64-littleriscv\n\n", path);
    if (!print_sections(&elf, &extensions))
        print_segments(&elf, &extensions);
    if (fflush(stdout) != 0) {
        fprintf(stderr, "doppel disasm: cannot write: %s\n", strerror(errno));
        return EXIT_REFUSED;
    }
    return 0;
}
