/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: the ELF reader. Whatever is accepted is then read to the last
 * byte, so that a range outside the file shows in the address sanitizer. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "format/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned sum(const uint8_t *bytes, uint64_t size)
{
    unsigned total = 0;

    for (uint64_t i = 0; bytes && i < size; i++)
        total += bytes[i];
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct elf elf;
    struct elf_section section;
    uint64_t value;
    volatile unsigned sink = 0;

    if (elf_parse(data, size, &elf, &err) < 0) {
        ASSERT(err.text[0] != '\0' && !strchr(err.text, '\n'));
        return 0;
    }
    ASSERT(elf.segment_count <= ELF_MAX_SEGMENTS);
    for (unsigned i = 0; i < elf.segment_count; i++) {
        struct elf_segment segment = elf_segment_at(&elf, i);
        const uint8_t *bytes = elf_segment_bytes(&elf, &segment);
        ASSERT(bytes || segment.type != ELF_SEGMENT_LOAD);
        sink += sum(bytes, segment.file_size);
    }
    for (unsigned i = 0; i < elf.section_count && i < 256; i++) {
        section = elf_section_at(&elf, i);
        sink += (unsigned)strlen(section.name);
        sink += sum(elf_section_bytes(&elf, &section), section.size);
    }
    sink += elf_find_section(&elf, ".text", &section);
    sink += elf_find_symbol(&elf, "tohost", &value);
    (void)sink;
    return 0;
}
