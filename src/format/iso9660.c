/* SPDX-License-Identifier: Apache-2.0
 * Writing small volumes of ISO 9660. Section numbers are those of ECMA-119, 4th edition.
 *
 *     0-15 nothing, 16 volume descriptor, 17 the end of descriptors, 18 and 19 path tables, 20 the root folder,
 *     21 the files
 */
#include "format/iso9660.h"

#include "base/bits.h"
#include "base/endian.h"
#include "base/memory.h"

#define DESCRIPTOR_SECTOR 16u
#define TABLE_LE_SECTOR   18u
#define TABLE_BE_SECTOR   19u
#define ROOT_SECTOR       20u
#define FILES_SECTOR      21u
#define TABLE_SIZE        10u /* bytes of a path table that has the root alone */
#define RECORD_SIZE       33u /* bytes before a record's name */
#define FLAG_FOLDER       2u
#define LABEL_MOST        32u

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static bool is_label_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_text(const char *text, size_t most, bool (*is_good)(char c))
{
    size_t length = strlen(text);

    if (length == 0 || length > most)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_good(text[i]))
            return false;
    return true;
}

static uint32_t sectors_of(size_t size)
{
    return (uint32_t)((size + ISO9660_SECTOR - 1) / ISO9660_SECTOR);
}

static bool is_good(const struct iso9660_volume *volume)
{
    if (volume->count > ISO9660_FILES || !is_text(volume->label, LABEL_MOST, is_label_char))
        return false;
    for (unsigned i = 0; i < volume->count; i++) {
        const struct iso9660_file *file = &volume->files[i];
        if (!is_text(file->name, ISO9660_NAME_MOST, is_name_char) ||
            file->size > ISO9660_MOST_FILE || (i && strcmp(file[-1].name, file->name) >= 0))
            return false;
    }
    return true;
}

static uint32_t volume_sectors(const struct iso9660_volume *volume)
{
    uint32_t sectors = FILES_SECTOR;

    for (unsigned i = 0; i < volume->count; i++)
        sectors += sectors_of(volume->files[i].size);
    return sectors;
}

size_t iso9660_size(const struct iso9660_volume *volume)
{
    return is_good(volume) ? (size_t)volume_sectors(volume) * ISO9660_SECTOR : 0;
}

/* 7.3.3: both orders. */
static void put_both32(uint8_t *to, uint32_t value)
{
    store_le32(to, value);
    store_be32(to + 4, value);
}

/* 7.2.3 */
static void put_both16(uint8_t *to, uint16_t value)
{
    store_le16(to, value);
    store_be16(to + 2, value);
}

static void put_text(uint8_t *to, const char *text, size_t room)
{
    memset(to, ' ', room);
    for (size_t i = 0; i < room && text[i]; i++)
        to[i] = (uint8_t)text[i];
}

struct extent {
    uint32_t sector;
    uint32_t size;
    uint8_t flags;
};

/* 9.1. Returns its bytes. */
static unsigned put_record(uint8_t *to, struct extent extent, const uint8_t *name, size_t length)
{
    unsigned size = (unsigned)(RECORD_SIZE + length + 1) & ~1u;

    memset(to, 0, size);
    to[0] = (uint8_t)size;
    put_both32(to + 2, extent.sector);
    put_both32(to + 10, extent.size);
    /* 9.1.5: the time is years since 1900, month, day; there is no day 0. */
    to[18] = 80;
    to[19] = 1;
    to[20] = 1;
    to[25] = extent.flags;
    put_both16(to + 28, 1);
    to[32] = (uint8_t)length;
    memcpy(to + RECORD_SIZE, name, length);
    return size;
}

static const struct extent root = {ROOT_SECTOR, ISO9660_SECTOR, FLAG_FOLDER};

/* 8.1.2 and 8.1.3: of every descriptor, with its version. */
static void put_identifier(uint8_t *descriptor)
{
    static const uint8_t identifier[] = {'C', 'D', '0', '0', '1', 1};

    memcpy(descriptor + 1, identifier, sizeof(identifier));
}

/* 8.4 */
static void put_descriptor(const struct iso9660_volume *volume, uint8_t *to)
{
    static const struct {
        unsigned offset;
        unsigned size;
    } blanks[] = {{8, 32},    {190, 128}, {318, 128}, {446, 128},
                  {574, 128}, {702, 37},  {739, 37},  {776, 37}};

    to[0] = 1;
    put_identifier(to);
    for (unsigned i = 0; i < ARRAY_LEN(blanks); i++)
        put_text(to + blanks[i].offset, "", blanks[i].size);
    put_text(to + 40, volume->label, LABEL_MOST);
    put_both32(to + 80, volume_sectors(volume));
    put_both16(to + 120, 1);
    put_both16(to + 124, 1);
    put_both16(to + 128, ISO9660_SECTOR);
    put_both32(to + 132, TABLE_SIZE);
    store_le32(to + 140, TABLE_LE_SECTOR);
    store_be32(to + 148, TABLE_BE_SECTOR);
    put_record(to + 156, root, (const uint8_t[]){0}, 1);
    /* 8.4.26: times that are not given are digits zero. */
    for (unsigned i = 0; i < 4; i++)
        memset(to + 813 + (size_t)17 * i, '0', 16);
    to[881] = 1;
}

/* 9.4: the root alone, whose name is one zero. */
static void put_tables(uint8_t *to)
{
    uint8_t *le = to + (size_t)TABLE_LE_SECTOR * ISO9660_SECTOR;
    uint8_t *be = to + (size_t)TABLE_BE_SECTOR * ISO9660_SECTOR;

    le[0] = be[0] = 1;
    store_le32(le + 2, ROOT_SECTOR);
    store_be32(be + 2, ROOT_SECTOR);
    store_le16(le + 6, 1);
    store_be16(be + 6, 1);
}

/* 7.5: NAME.;VERSION */
static unsigned put_file_record(uint8_t *to, struct extent extent, const char *name)
{
    static const uint8_t version[] = {'.', ';', '1'};
    uint8_t text[ISO9660_NAME_MOST + sizeof(version)];
    size_t length = strlen(name);

    for (size_t i = 0; i < length; i++)
        text[i] = (uint8_t)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 'a' + 'A' : name[i]);
    memcpy(text + length, version, sizeof(version));
    return put_record(to, extent, text, length + sizeof(version));
}

void iso9660_write(const struct iso9660_volume *volume, uint8_t *to)
{
    uint8_t *entry = to + (size_t)ROOT_SECTOR * ISO9660_SECTOR;
    uint8_t *end = to + (size_t)(DESCRIPTOR_SECTOR + 1) * ISO9660_SECTOR;
    uint32_t sector = FILES_SECTOR;

    memset(to, 0, (size_t)volume_sectors(volume) * ISO9660_SECTOR);
    put_descriptor(volume, to + (size_t)DESCRIPTOR_SECTOR * ISO9660_SECTOR);
    end[0] = 255;
    put_identifier(end);
    put_tables(to);
    entry += put_record(entry, root, (const uint8_t[]){0}, 1);
    entry += put_record(entry, root, (const uint8_t[]){1}, 1);
    for (unsigned i = 0; i < volume->count; i++) {
        const struct iso9660_file *file = &volume->files[i];
        struct extent extent = {sector, (uint32_t)file->size, 0};
        entry += put_file_record(entry, extent, file->name);
        memcpy(to + (size_t)sector * ISO9660_SECTOR, file->bytes, file->size);
        sector += sectors_of(file->size);
    }
}

/* The root folder is one sector. */
_Static_assert(2 * (RECORD_SIZE + 1) + ISO9660_FILES * (RECORD_SIZE + ISO9660_NAME_MOST + 4) <=
                   ISO9660_SECTOR,
               "all records fit");
