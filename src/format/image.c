/* SPDX-License-Identifier: Apache-2.0
 * Kernel files. */
#include "format/image.h"

#include "base/bytes.h"
#include "base/endian.h"
#include "base/errno.h"
#include "base/error.h"

/* The Image header, little-endian: code (8 bytes), text offset (8), image size
 * (8), flags, version ... and the second magic number. */
#define HEADER_SIZE     64
#define TEXT_OFFSET_AT  8
#define IMAGE_SIZE_AT   16
#define MAGIC2_AT       0x38
#define MAGIC2          0x05435352u /* "RSC\5" */
#define PE_HEADER_AT    0x3c
#define PE_MAGIC        0x00004550u /* "PE\0\0" */
/* Headers that say no size are of kernels which all wanted this place. */
#define OLD_TEXT_OFFSET UINT64_C(0x200000)

static bool has_magic(const uint8_t *bytes, size_t size, size_t at, uint32_t magic)
{
    return size >= at + 4 && load_le32(bytes + at) == magic;
}

const char *image_foreign_name(const uint8_t *bytes, size_t size)
{
    static const struct {
        size_t at;
        uint32_t magic;
        const char *name;
    } others[] = {
        {MAGIC2_AT, 0x644d5241u, "an arm64 kernel"},        /* "ARM\x64" */
        {0x202, 0x53726448u, "an x86 kernel"},              /* "HdrS" */
        {0, 0xedfe0dd0u, "a device tree (use --dtb)"},      /* 0xd00dfeed */
        {0, 0x37303730u, "a cpio archive (use --initrd)"},  /* "0707" */
        {0, 0x56190527u, "a U-Boot image; unpack it first"} /* 0x27051956 */
    };

    for (unsigned i = 0; i < ARRAY_LEN(others); i++)
        if (has_magic(bytes, size, others[i].at, others[i].magic))
            return others[i].name;
    if (size >= 2 && bytes[0] == '#' && bytes[1] == '!')
        return "a script";
    return NULL;
}

enum image_kind image_probe(const uint8_t *bytes, size_t size)
{
    if (has_magic(bytes, size, 0, 0x464c457fu))
        return IMAGE_ELF;
    if (size >= 18 && bytes[0] == 0x1f && bytes[1] == 0x8b)
        return IMAGE_GZIP;
    if (size >= HEADER_SIZE && has_magic(bytes, size, MAGIC2_AT, MAGIC2))
        return IMAGE_LINUX;
    return image_foreign_name(bytes, size) ? IMAGE_FOREIGN : IMAGE_UNKNOWN;
}

/* How many bytes the PE headers say the file has; 0 without such headers,
 * UINT64_MAX when they are cut off. An Image alone does not tell. */
static uint64_t pe_file_size(const uint8_t *bytes, size_t size)
{
    struct reader r = reader_make(bytes, size);
    uint64_t end = 0;

    if (bytes[0] != 'M' || bytes[1] != 'Z')
        return 0;
    reader_bytes(&r, load_le32(bytes + PE_HEADER_AT));
    if (reader_le32(&r) != PE_MAGIC)
        return r.bad ? UINT64_MAX : 0;
    reader_le16(&r); /* machine */
    unsigned sections = reader_le16(&r);
    reader_bytes(&r, 12);
    unsigned optional_size = reader_le16(&r);
    reader_bytes(&r, 2 + (size_t)optional_size);
    for (unsigned i = 0; i < sections && !r.bad; i++) {
        reader_bytes(&r, 16); /* name, size and address in memory */
        uint64_t raw_size = reader_le32(&r);
        uint64_t raw_at = reader_le32(&r);
        reader_bytes(&r, 16);
        end = MAX(end, raw_at + raw_size);
    }
    return r.bad ? UINT64_MAX : end;
}

int image_parse(const uint8_t *bytes, size_t size, struct image *out, struct error *err)
{
    uint64_t text_offset = load_le64(bytes + TEXT_OFFSET_AT);
    uint64_t image_size = load_le64(bytes + IMAGE_SIZE_AT);

    if (pe_file_size(bytes, size) > size)
        return error_set(err, -EINVAL, "it is truncated: its headers name more bytes");
    if (image_size == 0)
        text_offset = OLD_TEXT_OFFSET;
    if (text_offset & PAGE_MASK)
        return error_set(err, -EINVAL, "it has a broken header: text offset 0x%llx",
                         (unsigned long long)text_offset);
    *out = (struct image){.text_offset = text_offset, .memory_size = MAX(image_size, size)};
    return 0;
}
