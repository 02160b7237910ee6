/* SPDX-License-Identifier: Apache-2.0
 * Volumes of ISO 9660, read back as ECMA-119 says. */
#include "base/endian.h"
#include "format/iso9660.h"
#include "harness/harness.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t *sector(const uint8_t *volume, uint32_t number)
{
    return volume + (size_t)number * ISO9660_SECTOR;
}

static uint32_t both32(const uint8_t *at)
{
    CHECK_EQ(load_le32(at), load_be32(at + 4));
    return load_le32(at);
}

static uint8_t *make(const struct iso9660_volume *volume, size_t *size)
{
    *size = iso9660_size(volume);
    CHECK(*size != 0 && *size % ISO9660_SECTOR == 0);
    uint8_t *bytes = malloc(*size);
    CHECK(bytes);
    memset(bytes, 0xa5, *size);
    iso9660_write(volume, bytes);
    return bytes;
}

/* Checks a record of a folder with this name and returns its extent; *at is moved behind it. */
static const uint8_t *take_record(const uint8_t *volume, const uint8_t **at, const char *name,
                                  size_t length, uint32_t *size)
{
    const uint8_t *record = *at;

    CHECK_EQ(record[32], length);
    CHECK(memcmp(record + 33, name, length) == 0);
    CHECK_EQ(record[0], (33 + length + 1) & ~1u);
    *size = both32(record + 10);
    *at += record[0];
    return sector(volume, both32(record + 2));
}

TEST(iso9660, files_are_read_back)
{
    uint8_t large[3 * ISO9660_SECTOR];
    memset(large, 'x', sizeof(large));
    const struct iso9660_file files[] = {
        {"a", "", 0},
        {"meta-data", "hello", 5},
        {"user-data", large, sizeof(large)},
        {"z_9", large, ISO9660_SECTOR + 1},
    };
    static const char *const names[] = {"A.;1", "META-DATA.;1", "USER-DATA.;1", "Z_9.;1"};
    struct iso9660_volume volume = {"CIDATA", files, ARRAY_LEN(files)};
    size_t size;
    uint32_t length;
    uint8_t *bytes = make(&volume, &size);
    const uint8_t *descriptor = sector(bytes, 16);
    char label[33] = "";

    CHECK_EQ(descriptor[0], 1);
    CHECK(memcmp(descriptor + 1, "CD001\1", 6) == 0);
    memcpy(label, descriptor + 40, 32);
    CHECK_STR(label, "CIDATA                          ");
    CHECK_EQ(both32(descriptor + 80), size / ISO9660_SECTOR);
    CHECK_EQ(load_le16(descriptor + 128), ISO9660_SECTOR);
    CHECK(memcmp(sector(bytes, 17),
                 "\xff"
                 "CD001\1",
                 7) == 0);
    CHECK_EQ(load_le32(sector(bytes, load_le32(descriptor + 140)) + 2), both32(descriptor + 158));
    CHECK_EQ(load_be32(sector(bytes, load_be32(descriptor + 148)) + 2), both32(descriptor + 158));

    const uint8_t *root = sector(bytes, both32(descriptor + 158));
    const uint8_t *at = root;
    CHECK(take_record(bytes, &at, "\0", 1, &length) == root && length == ISO9660_SECTOR);
    CHECK(take_record(bytes, &at, "\1", 1, &length) == root && length == ISO9660_SECTOR);
    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        const uint8_t *content = take_record(bytes, &at, names[i], strlen(names[i]), &length);
        CHECK_EQ(length, files[i].size);
        CHECK(content + length <= bytes + size);
        CHECK(memcmp(content, files[i].bytes, length) == 0);
        /* What follows a file in its last sector is zero. */
        for (; (size_t)(content - bytes) + length < size && (length % ISO9660_SECTOR); length++)
            CHECK_EQ(content[length], 0);
    }
    CHECK_EQ(*at, 0);
    free(bytes);
}

TEST(iso9660, an_empty_and_a_full_folder_are_written)
{
    struct iso9660_file files[ISO9660_FILES];
    char names[ISO9660_FILES][ISO9660_NAME_MOST + 1];
    struct iso9660_volume volume = {"X", files, 0};
    size_t size;
    uint32_t length;

    free(make(&volume, &size));
    CHECK_EQ(size, 21 * ISO9660_SECTOR);
    for (unsigned i = 0; i < ISO9660_FILES; i++) {
        memset(names[i], 'n', ISO9660_NAME_MOST);
        names[i][ISO9660_NAME_MOST - 1] = (char)('a' + i);
        names[i][ISO9660_NAME_MOST] = 0;
        files[i] = (struct iso9660_file){names[i], names[i], 1};
    }
    volume.count = ISO9660_FILES;
    uint8_t *bytes = make(&volume, &size);
    const uint8_t *at = sector(bytes, 20);
    at += at[0];
    at += at[0];
    for (unsigned i = 0; i < ISO9660_FILES; i++) {
        char upper[ISO9660_NAME_MOST + 4];
        memset(upper, 'N', ISO9660_NAME_MOST);
        upper[ISO9660_NAME_MOST - 1] = (char)('A' + i);
        memcpy(upper + ISO9660_NAME_MOST, ".;1", 4);
        CHECK_EQ(*take_record(bytes, &at, upper, ISO9660_NAME_MOST + 3, &length), 'n');
        CHECK_EQ(length, 1);
    }
    CHECK(at <= sector(bytes, 21));
    free(bytes);
}

TEST(iso9660, what_has_no_place_is_refused)
{
    static const char *const names[] = {
        "", "A", "a.b", "a/b", "a b", "\xc3\xa4", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    static const char *const labels[] = {"", "cidata", "A B", "A-B",
                                         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    struct iso9660_file files[ISO9660_FILES + 1] = {{"a", "", 0}, {"b", "", 0}};
    struct iso9660_volume volume = {"X", files, 2};

    CHECK(iso9660_size(&volume) != 0);
    files[1].name = "a";
    CHECK_EQ(iso9660_size(&volume), 0);
    files[0].name = "b";
    CHECK_EQ(iso9660_size(&volume), 0);
    volume.count = 1;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        files[0].name = names[i];
        CHECK_EQ(iso9660_size(&volume), 0);
    }
    files[0].name = "b";
    for (unsigned i = 0; i < ARRAY_LEN(labels); i++) {
        volume.label = labels[i];
        CHECK_EQ(iso9660_size(&volume), 0);
    }
    volume.label = "X";
    files[0].size = ISO9660_MOST_FILE + 1;
    CHECK_EQ(iso9660_size(&volume), 0);
    volume.count = ISO9660_FILES + 1;
    CHECK_EQ(iso9660_size(&volume), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TESTS(iso9660, files_are_read_back),
        TESTS(iso9660, an_empty_and_a_full_folder_are_written),
        TESTS(iso9660, what_has_no_place_is_refused),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
