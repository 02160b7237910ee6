/* SPDX-License-Identifier: Apache-2.0
 * Kernel files. */
#include "base/endian.h"
#include "base/error.h"
#include "format/image.h"
#include "harness/harness.h"

#include <string.h>

#define FILE_SIZE 1024

/* An EFI-stub Image with one PE section that ends where the file ends. */
static void make_image(uint8_t *bytes)
{
    memset(bytes, 0, FILE_SIZE);
    memcpy(bytes, "MZ", 2);
    store_le64(bytes + 8, 0x200000);
    store_le64(bytes + 16, 0x300000);
    store_le32(bytes + 0x38, 0x05435352);
    store_le32(bytes + 0x3c, 64);
    memcpy(bytes + 64, "PE\0\0", 4);
    store_le16(bytes + 70, 1);  /* sections */
    store_le16(bytes + 84, 16); /* optional header */
    store_le32(bytes + 104 + 16, 512);
    store_le32(bytes + 104 + 20, 512);
}

TEST(image, reads_offset_and_size)
{
    uint8_t bytes[FILE_SIZE];
    struct image image;
    struct error err = {0};

    make_image(bytes);
    CHECK_EQ(image_probe(bytes, FILE_SIZE), IMAGE_LINUX);
    CHECK_EQ(image_parse(bytes, FILE_SIZE, &image, &err), 0);
    CHECK_EQ(image.text_offset, 0x200000);
    CHECK_EQ(image.memory_size, 0x300000);
}

TEST(image, refuses_every_truncation)
{
    uint8_t bytes[FILE_SIZE];
    struct image image;

    make_image(bytes);
    for (size_t size = 64; size < FILE_SIZE; size++) {
        struct error err = {0};
        CHECK(image_parse(bytes, size, &image, &err) < 0);
        CHECK(strstr(err.text, "truncated"));
    }
}

TEST(image, refuses_an_unaligned_offset)
{
    uint8_t bytes[FILE_SIZE];
    struct image image;
    struct error err = {0};

    make_image(bytes);
    store_le64(bytes + 8, 0x200001);
    CHECK(image_parse(bytes, FILE_SIZE, &image, &err) < 0);
}

TEST(image, tells_files_apart)
{
    uint8_t bytes[FILE_SIZE] = {0};

    CHECK_EQ(image_probe(bytes, FILE_SIZE), IMAGE_UNKNOWN);
    CHECK_EQ(image_probe(bytes, 0), IMAGE_UNKNOWN);
    memcpy(bytes, "\177ELF", 4);
    CHECK_EQ(image_probe(bytes, FILE_SIZE), IMAGE_ELF);
    memcpy(bytes, "\x1f\x8b\x08\x00", 4);
    CHECK_EQ(image_probe(bytes, FILE_SIZE), IMAGE_GZIP);
    memcpy(bytes, "#!/b", 4);
    CHECK_EQ(image_probe(bytes, FILE_SIZE), IMAGE_FOREIGN);
    memcpy(bytes + 0x202, "HdrS", 4);
    CHECK_STR(image_foreign_name(bytes, FILE_SIZE), "an x86 kernel");
    memcpy(bytes + 0x38, "ARM\x64", 4);
    CHECK_STR(image_foreign_name(bytes, FILE_SIZE), "an arm64 kernel");
}

TEST_MAIN(TESTS(image, reads_offset_and_size), TESTS(image, refuses_every_truncation),
          TESTS(image, refuses_an_unaligned_offset), TESTS(image, tells_files_apart))
