/* SPDX-License-Identifier: Apache-2.0
 * Raw images: opening, refusing, reading back what was written. */
#include <errno.h>

#include "unit/backend/image_folder.h"

static int write_cut(struct disk_image *image, uint64_t offset, uint8_t *bytes, size_t size,
                     size_t cut)
{
    struct iovec vectors[2] = {{bytes, cut}, {bytes + cut, size - cut}};

    return image->ops->write(image, vectors, 2, offset);
}

static int read_cut(struct disk_image *image, uint64_t offset, uint8_t *bytes, size_t size,
                    size_t cut)
{
    struct iovec vectors[2] = {{bytes, cut}, {bytes + cut, size - cut}};

    return image->ops->read(image, vectors, 2, offset);
}

TEST(raw, reads_back_what_was_written)
{
    uint8_t out[2048];
    uint8_t in[2048];
    struct disk_image *image = open_image(make_file("disk", 1 << 20, NULL), false);

    CHECK_EQ(image->size_bytes, 1 << 20);
    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 7);
    CHECK_EQ(write_cut(image, 4096, out, sizeof(out), 100), 0);
    CHECK_EQ(disk_image_flush(image), 0);
    CHECK_EQ(read_cut(image, 4096, in, sizeof(in), 1999), 0);
    CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
    CHECK_EQ(image->ops->write_zeroes(image, 4096, 1024), 0);
    CHECK_EQ(read_cut(image, 4096, in, sizeof(in), 1), 0);
    memset(out, 0, 1024);
    CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
    CHECK_EQ(image->ops->discard(image, 0, 8192), 0);
    disk_image_close(image);
    remove_folder();
}

TEST(raw, pads_an_odd_size_with_zeroes)
{
    uint8_t in[1024];
    struct disk_image *image = open_image(make_file("disk", 1000, "abc"), true);

    CHECK_EQ(image->size_bytes, 1024);
    memset(in, 0xff, sizeof(in));
    CHECK_EQ(read_cut(image, 512, in, 512, 7), 0);
    CHECK(in[0] == 0 && in[511] == 0);
    memset(in, 0xff, sizeof(in));
    CHECK_EQ(read_cut(image, 0, in, 1024, 1010), 0);
    CHECK(memcmp(in, "abc", 4) == 0 && in[1023] == 0);
    disk_image_close(image);
    remove_folder();
}

TEST(raw, truncation_while_open_is_an_error)
{
    uint8_t in[512];
    const char *path = make_file("disk", 8192, NULL);
    struct disk_image *image = open_image(path, false);

    CHECK_EQ(truncate(path, 1024), 0);
    CHECK_EQ(disk_image_read(image, in, sizeof(in), 4096), -EIO);
    CHECK_EQ(disk_image_read(image, in, sizeof(in), 0), 0);
    disk_image_close(image);
    remove_folder();
}

TEST(raw, a_second_writer_is_refused_and_told_who_has_it)
{
    const struct disk_image_options writer = {0};
    const struct disk_image_options reader = {.read_only = true};
    const char *path = make_file("disk", 4096, NULL);
    struct disk_image *image = open_image(path, false);

    CHECK_EQ(refused(path, &writer, "in use by this process"), -EBUSY);
    CHECK_EQ(refused(path, &reader, "in use"), -EBUSY);
    disk_image_close(image);
    image = open_image(path, true);
    struct disk_image *other = open_image(path, true);
    CHECK_EQ(refused(path, &writer, "in use"), -EBUSY);
    disk_image_close(other);
    disk_image_close(image);
    remove_folder();
}

TEST(raw, other_formats_must_be_named)
{
    static const char *const heads[] = {"KDMV", "conectix", "vhdxfile"};
    struct disk_image *image;
    struct error err = {0};

    for (unsigned i = 0; i < ARRAY_LEN(heads); i++) {
        const struct disk_image_options any = {0};
        const struct disk_image_options raw = {.format = FORMAT_RAW, .format_given = true};
        const char *path = make_file("disk", 4096, heads[i]);
        CHECK_EQ(refused(path, &any, "format=raw"), -EINVAL);
        CHECK_EQ(disk_image_open(path, &raw, &image, &err), 0);
        disk_image_close(image);
    }
    const struct disk_image_options named = {.format = FORMAT_OVERLAY, .format_given = true};
    CHECK_EQ(refused(make_file("disk", 65536, "plain"), &named, "no overlay"), -EINVAL);
    remove_folder();
}

TEST(raw, the_guest_cannot_turn_a_probed_image_into_another_format)
{
    const struct disk_image_options named = {.format = FORMAT_RAW, .format_given = true};
    uint8_t sector[1024] = "QFI\xfb";
    struct error err = {0};
    const char *path = make_file("disk", 4096, NULL);
    struct disk_image *image = open_image(path, false);

    CHECK_EQ(write_cut(image, 0, sector, sizeof(sector), 2), -EPERM);
    CHECK_EQ(write_cut(image, 512, sector, 512, 2), 0);
    sector[0] = 'x';
    sector[1023] = 'y';
    CHECK_EQ(write_cut(image, 0, sector, sizeof(sector), 2), 0);
    memset(sector, 0, sizeof(sector));
    CHECK_EQ(disk_image_read(image, sector, sizeof(sector), 0), 0);
    CHECK(sector[0] == 'x' && sector[1023] == 'y');
    snprintf((char *)sector, sizeof(sector), "DPLOVL");
    CHECK_EQ(write_cut(image, 0, sector, sizeof(sector), 2), -EPERM);
    disk_image_close(image);
    CHECK_EQ(disk_image_open(path, &named, &image, &err), 0);
    CHECK_EQ(write_cut(image, 0, sector, sizeof(sector), 2), 0);
    disk_image_close(image);
    remove_folder();
}

TEST(raw, directories_and_empty_files_are_refused_with_a_remedy)
{
    const struct disk_image_options any = {0};
    const struct disk_image_options reader = {.read_only = true};
    const char *path = make_file("disk", 0, NULL);

    CHECK_EQ(refused(path, &any, "truncate"), -EINVAL);
    unlink(path);
    CHECK_EQ(refused(path, &any, "No such file"), -ENOENT);
    CHECK_EQ(refused(folder, &any, "is a directory"), -EISDIR);
    CHECK_EQ(refused(folder, &reader, "is a directory"), -EISDIR);
    remove_folder();
}

/* ---- calls that fail ---- */

static struct block_file_ops ops;
static unsigned syncs;

static int failing_sync(void *owner, int fd)
{
    (void)owner;
    (void)fd;
    return ++syncs == 2 ? -EIO : 0;
}

static ssize_t one_byte_write(void *owner, int fd, const struct iovec *vectors, int count,
                              uint64_t offset)
{
    struct iovec first = {vectors[0].iov_base, MIN(vectors[0].iov_len, 7u)};

    (void)count;
    if (++syncs % 3 == 0)
        return -EINTR;
    return block_file_kernel.write(owner, fd, &first, 1, offset);
}

static ssize_t never_ready(void *owner, int fd, const struct iovec *vectors, int count,
                           uint64_t offset)
{
    (void)owner;
    (void)fd;
    (void)vectors;
    (void)count;
    (void)offset;
    return -EAGAIN;
}

static struct disk_image *open_with_ops(void)
{
    const struct disk_image_options options = {.ops = &ops};
    struct disk_image *image;
    struct error err = {0};

    CHECK_EQ(disk_image_open(make_file("disk", 1 << 16, NULL), &options, &image, &err), 0);
    return image;
}

TEST(raw, a_failed_flush_stays_failed)
{
    uint8_t sector[512] = {1};

    syncs = 0;
    ops = block_file_kernel;
    ops.sync = failing_sync;
    struct disk_image *image = open_with_ops();
    CHECK_EQ(disk_image_flush(image), 0);
    CHECK_EQ(disk_image_flush(image), -EIO);
    CHECK_EQ(disk_image_flush(image), -EIO);
    CHECK_EQ(syncs, 2);
    CHECK_EQ(disk_image_write(image, sector, sizeof(sector), 0), -EIO);
    CHECK_EQ(disk_image_read(image, sector, sizeof(sector), 0), 0);
    disk_image_close(image);
    remove_folder();
}

TEST(raw, short_and_interrupted_calls_are_not_seen)
{
    uint8_t out[3000];
    uint8_t in[3000];

    ops = block_file_kernel;
    ops.write = one_byte_write;
    struct disk_image *image = open_with_ops();
    for (unsigned i = 0; i < sizeof(out); i++)
        out[i] = (uint8_t)(i * 13);
    CHECK_EQ(write_cut(image, 512, out, sizeof(out), 1000), 0);
    CHECK_EQ(disk_image_read(image, in, sizeof(in), 512), 0);
    CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
    ops.write = never_ready;
    CHECK_EQ(write_cut(image, 512, out, sizeof(out), 1000), -EAGAIN);
    disk_image_close(image);
    remove_folder();
}

TEST_MAIN(TESTS(raw, reads_back_what_was_written), TESTS(raw, pads_an_odd_size_with_zeroes),
          TESTS(raw, truncation_while_open_is_an_error),
          TESTS(raw, a_second_writer_is_refused_and_told_who_has_it),
          TESTS(raw, other_formats_must_be_named),
          TESTS(raw, the_guest_cannot_turn_a_probed_image_into_another_format),
          TESTS(raw, directories_and_empty_files_are_refused_with_a_remedy),
          TESTS(raw, a_failed_flush_stays_failed),
          TESTS(raw, short_and_interrupted_calls_are_not_seen))
