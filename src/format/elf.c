/* SPDX-License-Identifier: Apache-2.0
 * ELF64 parsing. Sizes and offsets are checked by subtraction from what is left,
 * never by adding two numbers of the file. */
#include "format/elf.h"

#include "base/bytes.h"
#include "base/errno.h"
#include "base/error.h"
#include "base/memory.h"

enum {
    HEADER_SIZE = 64,
    SEGMENT_HEADER_SIZE = 56,
    SECTION_HEADER_SIZE = 64,
    SYMBOL_SIZE = 24,
    CLASS_32 = 1,
    CLASS_64 = 2,
    LITTLE_ENDIAN_DATA = 1,
    BIG_ENDIAN_DATA = 2,
    MACHINE_RISCV = 243,
    TYPE_RELOCATABLE = 1,
    TYPE_CORE = 4,
};

static const struct {
    uint16_t number;
    const char *name;
} machines[] = {
    {2, "SPARC"},     {3, "i386"},  {8, "MIPS"},        {20, "PowerPC"}, {21, "PowerPC64"},
    {22, "S/390"},    {40, "Arm"},  {43, "SPARC V9"},   {50, "IA-64"},   {62, "x86-64"},
    {183, "AArch64"}, {247, "BPF"}, {258, "LoongArch"},
};

static const char *machine_name(unsigned number)
{
    for (size_t i = 0; i < ARRAY_LEN(machines); i++)
        if (machines[i].number == number)
            return machines[i].name;
    return "an unknown processor";
}

/* `length` bytes from `offset` lie inside the file. */
static bool is_inside(const struct elf *elf, uint64_t offset, uint64_t length)
{
    return offset <= elf->size && length <= elf->size - offset;
}

static int check_identity(const uint8_t *bytes, size_t size, struct error *err)
{
    static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};

    if (size < sizeof(magic) || memcmp(bytes, magic, sizeof(magic)) != 0)
        return error_set(err, -ENOEXEC, "not an ELF file");
    if (size < HEADER_SIZE)
        return error_set(err, -EINVAL, "truncated: the ELF header needs %d bytes, the file has %zu",
                         HEADER_SIZE, size);
    if (bytes[4] == CLASS_32)
        return error_set(err, -ENOEXEC, "32-bit ELF file; 64-bit ones are supported");
    if (bytes[4] != CLASS_64)
        return error_set(err, -ENOEXEC, "unknown ELF class %u", (unsigned)bytes[4]);
    if (bytes[5] == BIG_ENDIAN_DATA)
        return error_set(err, -ENOEXEC, "big-endian ELF file; little-endian ones are supported");
    if (bytes[5] != LITTLE_ENDIAN_DATA)
        return error_set(err, -ENOEXEC, "unknown ELF data encoding %u", (unsigned)bytes[5]);
    if (bytes[6] != 1)
        return error_set(err, -ENOEXEC, "unknown ELF version %u", (unsigned)bytes[6]);
    return 0;
}

static int check_type(unsigned type, unsigned machine, struct error *err)
{
    if (machine != MACHINE_RISCV)
        return error_set(err, -ENOEXEC, "ELF file for %s (machine %u), not for RISC-V",
                         machine_name(machine), machine);
    if (type == TYPE_RELOCATABLE)
        return error_set(err, -ENOEXEC, "relocatable object; link it first");
    if (type == TYPE_CORE)
        return error_set(err, -ENOEXEC, "core dump, not a program");
    if (type != ELF_TYPE_EXEC && type != ELF_TYPE_DYN)
        return error_set(err, -ENOEXEC, "unknown ELF type %u", type);
    return 0;
}

/* One of the two header tables: entries of the size we know, inside the file. */
struct header_table {
    const char *what;
    uint64_t offset;
    unsigned count;
    unsigned entry_size;    /* as the file says */
    unsigned expected_size; /* as we know it */
};

static int check_table(const struct elf *elf, const struct header_table *table, struct error *err)
{
    if (table->count == 0)
        return 0;
    if (table->entry_size != table->expected_size)
        return error_set(err, -EINVAL, "malformed: %s headers of %u bytes instead of %u",
                         table->what, table->entry_size, table->expected_size);
    if (!is_inside(elf, table->offset, (uint64_t)table->count * table->entry_size))
        return error_set(err, -EINVAL,
                         "truncated: %u %s headers from byte %llu, the file has %zu bytes",
                         table->count, table->what, (unsigned long long)table->offset, elf->size);
    return 0;
}

static int check_segments(const struct elf *elf, struct error *err)
{
    unsigned loadable = 0;

    for (unsigned i = 0; i < elf->segment_count; i++) {
        struct elf_segment segment = elf_segment_at(elf, i);
        if (segment.type != ELF_SEGMENT_LOAD)
            continue;
        loadable++;
        if (!is_inside(elf, segment.offset, segment.file_size))
            return error_set(err, -EINVAL,
                             "truncated: segment %u is %llu bytes from byte %llu, the file has %zu",
                             i, (unsigned long long)segment.file_size,
                             (unsigned long long)segment.offset, elf->size);
        if (segment.file_size > segment.memory_size)
            return error_set(err, -EINVAL,
                             "malformed: segment %u is larger in the file than in "
                             "memory",
                             i);
        if (segment.memory_size > UINT64_MAX - segment.virtual_address ||
            segment.memory_size > UINT64_MAX - segment.physical_address)
            return error_set(err, -EINVAL, "malformed: segment %u wraps round the address space",
                             i);
    }
    if (loadable == 0)
        return error_set(err, -EINVAL, "no loadable segment");
    return 0;
}

int elf_parse(const void *bytes, size_t size, struct elf *out, struct error *err)
{
    int r = check_identity(bytes, size, err);
    if (r < 0)
        return r;

    struct elf elf = {.bytes = bytes, .size = size};
    struct reader reader = reader_make(elf.bytes + 16, HEADER_SIZE - 16);
    unsigned type = reader_le16(&reader);
    unsigned machine = reader_le16(&reader);
    reader_le32(&reader); /* version, again */
    elf.entry = reader_le64(&reader);
    elf.segments_offset = reader_le64(&reader);
    elf.sections_offset = reader_le64(&reader);
    elf.flags = reader_le32(&reader);
    reader_le16(&reader); /* size of this header */
    unsigned segment_size = reader_le16(&reader);
    elf.segment_count = reader_le16(&reader);
    unsigned section_size = reader_le16(&reader);
    elf.section_count = reader_le16(&reader);
    elf.name_section = reader_le16(&reader);

    if (elf.sections_offset == 0)
        elf.section_count = 0;

    r = check_type(type, machine, err);
    if (r < 0)
        return r;
    elf.type = type;
    if (elf.segment_count > ELF_MAX_SEGMENTS)
        return error_set(err, -EINVAL, "%u program headers; at most %d are supported",
                         elf.segment_count, ELF_MAX_SEGMENTS);
    struct header_table segments = {"program", elf.segments_offset, elf.segment_count, segment_size,
                                    SEGMENT_HEADER_SIZE};
    struct header_table sections = {"section", elf.sections_offset, elf.section_count, section_size,
                                    SECTION_HEADER_SIZE};
    r = check_table(&elf, &segments, err);
    if (r == 0)
        r = check_segments(&elf, err);
    if (r == 0)
        r = check_table(&elf, &sections, err);
    if (r < 0)
        return r;
    *out = elf;
    return 0;
}

/* ---- segments ---- */

struct elf_segment elf_segment_at(const struct elf *elf, unsigned index)
{
    struct reader reader =
        reader_make(elf->bytes + elf->segments_offset + (uint64_t)index * SEGMENT_HEADER_SIZE,
                    SEGMENT_HEADER_SIZE);
    struct elf_segment segment;

    segment.type = reader_le32(&reader);
    segment.flags = reader_le32(&reader);
    segment.offset = reader_le64(&reader);
    segment.virtual_address = reader_le64(&reader);
    segment.physical_address = reader_le64(&reader);
    segment.file_size = reader_le64(&reader);
    segment.memory_size = reader_le64(&reader);
    segment.alignment = reader_le64(&reader);
    return segment;
}

const uint8_t *elf_segment_bytes(const struct elf *elf, const struct elf_segment *segment)
{
    if (!is_inside(elf, segment->offset, segment->file_size))
        return NULL;
    return elf->bytes + segment->offset;
}

/* ---- sections ---- */

/* A section header without its name, which is still an offset. */
static struct elf_section read_section(const struct elf *elf, unsigned index, uint32_t *name)
{
    struct reader reader =
        reader_make(elf->bytes + elf->sections_offset + (uint64_t)index * SECTION_HEADER_SIZE,
                    SECTION_HEADER_SIZE);
    struct elf_section section = {.name = ""};

    *name = reader_le32(&reader);
    section.type = reader_le32(&reader);
    section.flags = reader_le64(&reader);
    section.address = reader_le64(&reader);
    section.offset = reader_le64(&reader);
    section.size = reader_le64(&reader);
    section.link = reader_le32(&reader);
    reader_le32(&reader); /* info */
    reader_le64(&reader); /* alignment */
    section.entry_size = reader_le64(&reader);
    return section;
}

/* The string at `offset` of a string table, or "" when it does not end inside. */
static const char *string_at(const uint8_t *table, uint64_t size, uint64_t offset)
{
    if (!table)
        return "";
    for (uint64_t end = offset; end < size; end++)
        if (table[end] == '\0')
            return (const char *)table + offset;
    return "";
}

struct elf_section elf_section_at(const struct elf *elf, unsigned index)
{
    uint32_t name;
    struct elf_section section = read_section(elf, index, &name);

    if (elf->name_section < elf->section_count) {
        uint32_t unused;
        struct elf_section names = read_section(elf, elf->name_section, &unused);
        section.name = string_at(elf_section_bytes(elf, &names), names.size, name);
    }
    return section;
}

bool elf_find_section(const struct elf *elf, const char *name, struct elf_section *out)
{
    for (unsigned i = 0; i < elf->section_count; i++) {
        struct elf_section section = elf_section_at(elf, i);
        if (strcmp(section.name, name) == 0) {
            *out = section;
            return true;
        }
    }
    return false;
}

const uint8_t *elf_section_bytes(const struct elf *elf, const struct elf_section *section)
{
    if (section->type == ELF_SECTION_NOBITS || !is_inside(elf, section->offset, section->size))
        return NULL;
    return elf->bytes + section->offset;
}

/* ---- symbols ---- */

/* The string at `offset` of the table is `text`. Unlike string_at it looks only
 * as far as `text` is long: symbol tables are large. */
static bool string_is(const uint8_t *table, uint64_t size, uint64_t offset, const char *text)
{
    uint64_t length = strlen(text) + 1;

    return offset <= size && length <= size - offset && memcmp(table + offset, text, length) == 0;
}

static bool find_in_table(const struct elf *elf, const struct elf_section *table, const char *name,
                          uint64_t *value)
{
    const uint8_t *symbols = elf_section_bytes(elf, table);
    if (!symbols || table->link >= elf->section_count)
        return false;
    uint32_t unused;
    struct elf_section strings = read_section(elf, table->link, &unused);
    const uint8_t *text = elf_section_bytes(elf, &strings);
    if (!text)
        return false;

    struct reader reader = reader_make(symbols, table->size);
    for (uint64_t left = table->size / SYMBOL_SIZE; left > 0; left--) {
        uint32_t name_offset = reader_le32(&reader);
        reader_le16(&reader); /* binding, type, visibility */
        uint16_t section = reader_le16(&reader);
        uint64_t symbol_value = reader_le64(&reader);
        reader_le64(&reader); /* size */
        if (section != 0 && string_is(text, strings.size, name_offset, name)) {
            *value = symbol_value;
            return true;
        }
    }
    return false;
}

bool elf_find_symbol(const struct elf *elf, const char *name, uint64_t *value)
{
    static const uint32_t types[] = {ELF_SECTION_SYMTAB, ELF_SECTION_DYNSYM};

    for (size_t t = 0; t < ARRAY_LEN(types); t++) {
        for (unsigned i = 0; i < elf->section_count; i++) {
            uint32_t unused;
            struct elf_section section = read_section(elf, i, &unused);
            if (section.type == types[t] && find_in_table(elf, &section, name, value))
                return true;
        }
    }
    return false;
}
