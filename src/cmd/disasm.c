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

static void print_line(uint64_t address, int width, unsigned length, uint32_t raw,
                       const char *text)
{
    /* 16-bit units in columns of five, 32-bit ones in columns of nine. */
    if (length == 2)
        printf("%*llx:\t%04x                \t%s\n", width, (unsigned long long)address,
               (unsigned)raw, text);
    else
        printf("%*llx:\t%08x          \t%s\n", width, (unsigned long long)address, (unsigned)raw,
               text);
}

/* What no instruction starts with: a tail shorter than one. Returns its size. */
static size_t print_tail(uint64_t address, int width, const uint8_t *bytes, size_t size)
{
    printf("%*llx:\t", width, (unsigned long long)address);
    for (size_t i = 0; i < size; i++)
        printf("%02x ", (unsigned)bytes[i]);
    printf("\t.byte\t");
    for (size_t i = 0; i < size; i++)
        printf("%s0x%02x", i == 0 ? "" : ", ", (unsigned)bytes[i]);
    putchar('\n');
    return size;
}

static void print_code(const struct extension_set *extensions, const char *name, uint64_t address,
                       const uint8_t *bytes, size_t size)
{
    int width = address_width(address + size);
    char text[128];

    printf("\nDisassembly of section %s:\n\n", name);
    for (size_t at = 0; at < size;) {
        size_t left = size - at;
        bool is_short = left >= 2 && (bytes[at] & 3) != 3;
        if (!is_short && left < 4) {
            at += print_tail(address + at, width, bytes + at, left);
            continue;
        }
        uint32_t word = is_short ? load_le16(bytes + at) : load_le32(bytes + at);
        struct insn insn = isa_decode(word, extensions);
        isa_disassemble(&insn, address + at, text, sizeof(text));
        print_line(address + at, width, insn.length, word, text);
        at += insn.length;
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

int cmd_disasm(int argc, char **argv)
{
    struct error err = {0};
    struct extension_set extensions = extension_set_all();

    if (argc == 4 && strcmp(argv[1], "--isa") == 0) {
        if (extension_set_parse(argv[2], &extensions, &err) < 0) {
            fprintf(stderr, "doppel disasm: --isa: %s\n", err.text);
            return EXIT_REFUSED;
        }
    } else if (argc != 2) {
        fprintf(stderr, "usage: doppel disasm [--isa ISA] FILE\n");
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
