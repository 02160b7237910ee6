/* SPDX-License-Identifier: Apache-2.0
 * qcow2 images: made by hand, made by us and read by qemu-img, and damaged in every way. */
#include <errno.h>
#include <zlib.h>

#include "backend/block/image_tool.h"
#include "backend/block/qcow2.h"
#include "base/endian.h"
#include "unit/backend/image_folder.h"

#define MOST_FILE (1u << 20)

/* A small image: header, L1 in cluster 1, one L2 in cluster 2, then what the tests put. Virtual
 * clusters: 0 data, 1 unallocated, 2 zeroes (version 3) or unallocated, 3 compressed, 4 and 5 data
 * next to each other, the rest unallocated. */
struct made {
    uint8_t bytes[MOST_FILE];
    unsigned bits;
    size_t cluster;
    size_t size; /* of the file */
    uint64_t disk;
};

static struct made made;
static uint8_t expected[MOST_FILE];
static uint8_t found[MOST_FILE];

static void put_entry(unsigned index, uint64_t entry)
{
    store_be64(made.bytes + 2 * made.cluster + (size_t)8 * index, entry);
}

static void put_data(unsigned index, unsigned at)
{
    uint8_t *bytes = made.bytes + at * made.cluster;

    for (size_t i = 0; i < made.cluster; i++)
        bytes[i] = (uint8_t)(i * 31 + index + i / 256);
    memcpy(expected + index * made.cluster, bytes, made.cluster);
    put_entry(index, at * made.cluster | QCOW2_ENTRY_COPIED);
}

static void put_compressed(unsigned index, uint64_t at)
{
    uint8_t *plain = expected + index * made.cluster;
    z_stream stream = {0};

    for (size_t i = 0; i < made.cluster; i++)
        plain[i] = (uint8_t)(i / 100);
    CHECK_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -12, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = plain;
    stream.avail_in = (uInt)made.cluster;
    stream.next_out = made.bytes + at;
    stream.avail_out = (uInt)made.cluster;
    CHECK_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    uint64_t sectors = (at + stream.total_out - 1) / 512 - at / 512;
    put_entry(index, UINT64_C(1) << 62 | sectors << (62 - (made.bits - 8)) | at);
    deflateEnd(&stream);
}

static void make(unsigned version, unsigned bits)
{
    memset(&made, 0, sizeof(made));
    memset(expected, 0, sizeof(expected));
    made.bits = bits;
    made.cluster = (size_t)1 << bits;
    made.disk = 8 * made.cluster - (bits == 9 ? 0 : 512);
    made.size = 8 * made.cluster;
    CHECK(made.size <= MOST_FILE);
    store_be32(made.bytes, QCOW2_MAGIC);
    store_be32(made.bytes + 4, version);
    store_be32(made.bytes + 20, bits);
    store_be64(made.bytes + 24, made.disk);
    store_be32(made.bytes + 36, 1);
    store_be64(made.bytes + 40, made.cluster);
    store_be32(made.bytes + 96, 4);
    store_be32(made.bytes + 100, 104);
    store_be64(made.bytes + made.cluster, 2 * made.cluster | QCOW2_ENTRY_COPIED);
    put_data(0, 3);
    put_entry(2, version == 3 ? 1 : 0);
    put_compressed(3, 6 * made.cluster + 77);
    put_data(4, 4);
    put_data(5, 5);
}

static const char *write_made(void)
{
    const char *path = in_folder("disk.qcow2");

    unlink(path);
    write_file(path, made.bytes, made.size, 0);
    return path;
}

static void check_read(struct disk_image *image)
{
    CHECK_EQ(image->size_bytes, made.disk);
    CHECK_EQ(disk_image_read(image, found, (size_t)made.disk, 0), 0);
    CHECK_EQ(memcmp(found, expected, (size_t)made.disk), 0);
    for (unsigned i = 0; i < 200 && made.disk; i++) {
        size_t at = (size_t)(i * UINT64_C(7919) % (made.disk / 512)) * 512;
        size_t size = (size_t)MIN(UINT64_C(512) * (i % 40 + 1), made.disk - at);
        struct iovec vectors[2] = {{found, size / 3}, {found + size / 3, size - size / 3}};
        CHECK_EQ(image->ops->read(image, vectors, 2, at), 0);
        CHECK_EQ(memcmp(found, expected + at, size), 0);
    }
}

TEST(qcow2, reads_every_kind_of_cluster_in_both_versions)
{
    for (unsigned version = 2; version <= 3; version++) {
        for (unsigned bits = 9; bits <= 16; bits++) {
            struct error err = {0};
            make(version, bits);
            struct disk_image *image = open_image(write_made(), true);
            check_read(image);
            if (qcow2_check(image, &err) < 0)
                fail_msg("%s", err.text);
            disk_image_close(image);
        }
    }
    remove_folder();
}

TEST(qcow2, is_only_read)
{
    const struct disk_image_options writer = {0};

    make(3, 12);
    CHECK_EQ(refused(write_made(), &writer, "readonly or snapshot"), -EROFS);
    remove_folder();
}

TEST(qcow2, a_cluster_at_the_end_of_a_short_file_is_filled_with_zeroes)
{
    make(3, 12);
    put_data(6, 7);
    made.size -= 3000;
    memset(expected + 7 * made.cluster - 3000, 0, 3000);
    struct disk_image *image = open_image(write_made(), true);
    check_read(image);
    disk_image_close(image);
    remove_folder();
}

TEST(qcow2, the_backing_file_must_be_named)
{
    const struct disk_image_options reader = {.read_only = true};
    struct disk_image_options options = {.read_only = true};
    struct disk_image *image;
    struct error err = {0};
    char path[128];

    make(3, 12);
    store_be64(made.bytes + 8, 200);
    store_be32(made.bytes + 16, 11);
    snprintf((char *)made.bytes + 200, 12, "/etc/passwd");
    snprintf(path, sizeof(path), "%s", write_made());
    CHECK_EQ(refused(path, &reader, "'/etc/passwd'"), -EINVAL);
    options.backing = make_file("base", 2 * made.cluster, NULL);
    write_file(options.backing, "below", 5, made.cluster);
    snprintf((char *)expected + made.cluster, 6, "below");
    CHECK_EQ(disk_image_open(path, &options, &image, &err), 0);
    check_read(image);
    disk_image_close(image);
    store_be64(made.bytes + 8, 0);
    CHECK_EQ(refused(write_made(), &options, "has no backing file"), -EINVAL);
    remove_folder();
}

/* ---- what is refused ---- */

struct patch {
    unsigned at;
    unsigned size;
    uint64_t value;
    const char *word;
};

static const struct patch patches[] = {
    {4, 4, 1, "version 1"},
    {4, 4, 4, "version 4"},
    {20, 4, 8, "impossible size"},
    {20, 4, 22, "impossible size"},
    {20, 4, UINT32_MAX, "impossible size"},
    {24, 8, 0, "impossible size"},
    {24, 8, UINT64_MAX, "impossible size"},
    {24, 8, UINT64_C(1) << 56, "larger than 32 MiB"},
    {24, 8, UINT64_C(1) << 40, "too small for its size"},
    {32, 4, 1, "encrypted"},
    {32, 4, 2, "encrypted"},
    {36, 4, 0, "too small"},
    {36, 4, UINT32_MAX, "larger than 32 MiB"},
    {40, 8, 0, "not in the file"},
    {40, 8, 1, "not in the file"},
    {40, 8, 1 << 20, "not in the file"},
    {40, 8, UINT64_MAX - 4095, "not in the file"},
    {72, 8, 2, "corrupt"},
    {72, 8, 4, "another file"},
    {72, 8, 8, "lacks the kind of compression"},
    {72, 8, 16, "subclusters"},
    {72, 8, UINT64_C(1) << 40, "unknown"},
    {100, 4, 0, "impossible length"},
    {100, 4, 8192, "impossible length"},
    {8, 8, 512, "too long"},
};

TEST(qcow2, headers_that_lie_or_ask_for_more_are_refused_with_a_reason)
{
    const struct disk_image_options reader = {.read_only = true};

    for (unsigned i = 0; i < ARRAY_LEN(patches); i++) {
        make(3, 12);
        store_be32(made.bytes + 16, 5000);
        if (patches[i].size == 4)
            store_be32(made.bytes + patches[i].at, (uint32_t)patches[i].value);
        else
            store_be64(made.bytes + patches[i].at, patches[i].value);
        CHECK_EQ(refused(write_made(), &reader, patches[i].word), -EINVAL);
    }
    make(3, 12);
    store_be64(made.bytes + 72, 8);
    store_be32(made.bytes + 100, 112);
    made.bytes[104] = 1;
    CHECK_EQ(refused(write_made(), &reader, "zstd"), -EINVAL);
    for (size_t size = 4; size < 104; size += 9) {
        make(3, 12);
        made.size = size;
        CHECK_EQ(refused(write_made(), &reader, ""), -EINVAL);
    }
    remove_folder();
}

/* An entry of the L2 table (index -1: of L1) that cannot be: only its cluster is lost. */
TEST(qcow2, impossible_entries_are_io_errors)
{
    static const struct {
        int index;
        uint64_t entry;
    } entries[] = {
        {4, 0x1800},                       /* not at a cluster */
        {4, UINT64_C(1) << 40},            /* behind the end */
        {4, 0x4000 | 2},                   /* reserved bit */
        {4, UINT64_C(1) << 60},            /* another */
        {4, UINT64_C(3) << 62 | 0x6000},   /* compressed and copied */
        {4, UINT64_C(1) << 62 | 0xffffff}, /* compressed, behind the end */
        {4, UINT64_C(1) << 62 | 0x3000},   /* no deflate stream */
        {-1, 0x2000 | 1},
        {-1, 0x2100},
        {-1, UINT64_C(1) << 50},
    };

    for (unsigned i = 0; i < ARRAY_LEN(entries); i++) {
        make(3, 12);
        if (entries[i].index < 0)
            store_be64(made.bytes + made.cluster, entries[i].entry);
        else
            put_entry((unsigned)entries[i].index, entries[i].entry);
        struct disk_image *image = open_image(write_made(), true);
        CHECK_EQ(disk_image_read(image, found, 512, 4 * made.cluster), -EIO);
        if (entries[i].index >= 0)
            CHECK_EQ(disk_image_read(image, found, made.cluster, 5 * made.cluster), 0);
        disk_image_close(image);
    }
    remove_folder();
}

TEST(qcow2, compressed_data_of_another_size_is_an_error)
{
    make(3, 12);
    uint8_t *at = made.bytes + 7 * made.cluster;
    z_stream stream = {0};
    CHECK_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -12, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = expected;
    stream.avail_in = 1000;
    stream.next_out = at;
    stream.avail_out = (uInt)made.cluster;
    CHECK_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    put_entry(3, UINT64_C(1) << 62 | UINT64_C(7) << 58 | 7 * made.cluster);
    struct disk_image *image = open_image(write_made(), true);
    CHECK_EQ(disk_image_read(image, found, 512, 3 * made.cluster), -EIO);
    disk_image_close(image);
    remove_folder();
}

TEST(qcow2, circles_and_overlaps_end_and_are_found)
{
    static const uint64_t places[] = {0, 0x1000, 0x2000, 0x3000};
    struct disk_image *image;

    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        struct error err = {0};
        make(3, 12);
        put_entry(5, places[i] | QCOW2_ENTRY_COPIED);
        image = open_image(write_made(), true);
        CHECK_EQ(disk_image_read(image, found, (size_t)made.disk, 0), 0);
        CHECK_EQ(qcow2_check(image, &err), i ? -EINVAL : 0); /* 0 is unallocated */
        disk_image_close(image);
    }
    struct error err = {0};
    make(3, 12);
    store_be64(made.bytes + made.cluster, 0x1000); /* the L1 table is its own L2 table */
    image = open_image(write_made(), true);
    CHECK(disk_image_read(image, found, (size_t)made.disk, 0) <= 0);
    CHECK_EQ(qcow2_check(image, &err), -EINVAL);
    disk_image_close(image);
    remove_folder();
}

TEST(qcow2, every_flipped_bit_of_header_and_tables_is_survived)
{
    static uint8_t whole[MOST_FILE];
    unsigned refusals = 0;

    make(3, 9);
    memcpy(whole, made.bytes, made.size);
    for (size_t bit = 0; bit < 3 * made.cluster * 8; bit++) {
        struct disk_image_options reader = {
            .read_only = true, .format = FORMAT_QCOW2, .format_given = true};
        struct disk_image *image;
        struct error err = {0};
        memcpy(made.bytes, whole, made.size);
        made.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (disk_image_open(write_made(), &reader, &image, &err) < 0) {
            CHECK(err.text[0]);
            refusals++;
            continue;
        }
        for (uint64_t at = 0; at < made.disk; at += 512)
            CHECK(disk_image_read(image, found, (size_t)MIN(512, image->size_bytes), at) <= 0);
        CHECK(qcow2_check(image, &err) <= 0);
        disk_image_close(image);
    }
    CHECK(refusals > 300);
    remove_folder();
}

/* ---- written ---- */

static int convert(const char *from, const char *to, enum disk_format format)
{
    struct image_convert wanted = {.from = from, .to = to, .format = format};
    struct error err = {0};
    int result = image_convert(&wanted, &err);

    if (result < 0)
        print_message("# %s\n", err.text);
    return result;
}

static void compare_files(const char *one, const char *two)
{
    struct disk_image *images[2] = {open_image(one, true), open_image(two, true)};

    CHECK_EQ(images[0]->size_bytes, images[1]->size_bytes);
    for (uint64_t at = 0; at < images[0]->size_bytes; at += MOST_FILE / 2) {
        size_t size = (size_t)MIN(images[0]->size_bytes - at, MOST_FILE / 2);
        CHECK_EQ(disk_image_read(images[0], found, size, at), 0);
        CHECK_EQ(disk_image_read(images[1], expected, size, at), 0);
        CHECK_EQ(memcmp(found, expected, size), 0);
    }
    disk_image_close(images[0]);
    disk_image_close(images[1]);
}

/* Something at the beginning, at the ends of tables, and at the end. */
static const char *make_sparse(uint64_t size)
{
    static const uint64_t places[] = {0, 100000, (UINT64_C(512) << 20) - 3,
                                      (UINT64_C(512) << 20) + 70000};
    const char *path = make_file("plain", size, NULL);

    for (unsigned i = 0; i < ARRAY_LEN(places); i++)
        if (places[i] + 10 < size)
            write_file(path, "0123456789", 10, places[i]);
    write_file(path, "end", 3, size - 3);
    return path;
}

static int run_shell(const char *command)
{
    return system(command); /* NOLINT(cert-env33-c): fixed words, and paths of our own */
}

static bool has_qemu_img(void)
{
    return run_shell("qemu-img --version >/dev/null 2>&1") == 0;
}

static void check_with_qemu(const char *qcow2, const char *plain)
{
    char command[700];

    if (!has_qemu_img())
        return;
    snprintf(command, sizeof(command),
             "qemu-img check -q %s && qemu-img compare -q -f qcow2 -F raw %s %s", qcow2, qcow2,
             plain);
    CHECK_EQ(run_shell(command), 0);
}

TEST(qcow2, what_we_write_is_read_by_us_and_by_qemu)
{
    static const uint64_t sizes[] = {512, 65536, 1000448, UINT64_C(514) << 20};

    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        const char *plain = make_sparse(sizes[i]);
        CHECK_EQ(convert(plain, in_folder("q"), FORMAT_QCOW2), 0);
        compare_files(plain, in_folder("q"));
        check_with_qemu(in_folder("q"), plain);
        CHECK_EQ(convert(in_folder("q"), in_folder("o"), FORMAT_OVERLAY), 0);
        compare_files(plain, in_folder("o"));
        CHECK_EQ(convert(in_folder("o"), in_folder("r"), FORMAT_RAW), 0);
        compare_files(plain, in_folder("r"));
        CHECK_EQ(convert(plain, in_folder("r"), FORMAT_RAW), -EEXIST);
        remove_folder();
    }
}

static bool give_up(void *owner, uint64_t done, uint64_t size)
{
    (void)owner;
    (void)size;
    return done < (16 << 20);
}

TEST(qcow2, an_interrupted_conversion_leaves_nothing)
{
    struct image_convert wanted = {.from = make_sparse(UINT64_C(1) << 30),
                                   .to = in_folder("q"),
                                   .format = FORMAT_QCOW2,
                                   .progress = give_up};
    struct error err = {0};

    CHECK_EQ(image_convert(&wanted, &err), -ECANCELED);
    CHECK(access(wanted.to, F_OK) < 0);
    remove_folder();
}

TEST(qcow2, what_qemu_writes_is_read)
{
    static const char *const options[] = {"-o compat=0.10", "-c", "-o cluster_size=512",
                                          "-c -o cluster_size=2M"};
    char command[700];

    if (!has_qemu_img()) {
        print_message("# SKIP qemu-img is missing\n");
        skip();
    }
    for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
        const char *plain = make_sparse(UINT64_C(540) << 20);
        snprintf(command, sizeof(command), "qemu-img convert -q -f raw -O qcow2 %s %s %s",
                 options[i], plain, in_folder("q"));
        CHECK_EQ(run_shell(command), 0);
        compare_files(plain, in_folder("q"));
        struct error err = {0};
        const struct disk_image_options reader = {0};
        CHECK_EQ(image_check(in_folder("q"), &reader, &err), 0);
        remove_folder();
    }
}

TEST_MAIN(TESTS(qcow2, reads_every_kind_of_cluster_in_both_versions), TESTS(qcow2, is_only_read),
          TESTS(qcow2, a_cluster_at_the_end_of_a_short_file_is_filled_with_zeroes),
          TESTS(qcow2, the_backing_file_must_be_named),
          TESTS(qcow2, headers_that_lie_or_ask_for_more_are_refused_with_a_reason),
          TESTS(qcow2, impossible_entries_are_io_errors),
          TESTS(qcow2, compressed_data_of_another_size_is_an_error),
          TESTS(qcow2, circles_and_overlaps_end_and_are_found),
          TESTS(qcow2, every_flipped_bit_of_header_and_tables_is_survived),
          TESTS(qcow2, what_we_write_is_read_by_us_and_by_qemu),
          TESTS(qcow2, an_interrupted_conversion_leaves_nothing),
          TESTS(qcow2, what_qemu_writes_is_read))
