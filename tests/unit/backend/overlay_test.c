/* SPDX-License-Identifier: Apache-2.0
 * Overlays in files: what they are over, who may use them, several threads, and long random
 * use against a plain buffer. */
#include <errno.h>
#include <pthread.h>

#include "backend/block/image_tool.h"
#include "backend/block/overlay.h"
#include "unit/backend/image_folder.h"

#define CLUSTER OVERLAY_CLUSTER_SIZE

static const struct disk_image_options any = {0};

static void create(const char *name, uint64_t size, const char *base)
{
    struct error err = {0};
    struct image_create wanted = {
        .path = in_folder(name), .format = FORMAT_OVERLAY, .size_bytes = size, .base = base};

    if (image_create(&wanted, &err) < 0)
        fail_msg("%s", err.text);
}

static void write_text(struct disk_image *image, const char *text, uint64_t offset)
{
    uint8_t sector[512] = {0};

    snprintf((char *)sector, sizeof(sector), "%s", text);
    CHECK_EQ(disk_image_write(image, sector, sizeof(sector), offset), 0);
}

static void check_text(struct disk_image *image, const char *text, uint64_t offset)
{
    char sector[513] = "";

    CHECK_EQ(disk_image_read(image, sector, 512, offset), 0);
    CHECK_STR(sector, text);
}

static void write_once(const char *name, const char *text, uint64_t offset)
{
    struct disk_image *image = open_image(in_folder(name), false);

    write_text(image, text, offset);
    disk_image_close(image);
}

TEST(overlay, shows_the_base_until_it_is_written_to)
{
    const char *base = make_file("base", 5 * CLUSTER, "as it was");

    create("disk", 8 * CLUSTER, base);
    struct disk_image *image = open_image(in_folder("disk"), false);
    CHECK_EQ(image->size_bytes, 8 * CLUSTER);
    check_text(image, "as it was", 0);
    check_text(image, "", 7 * CLUSTER);
    write_text(image, "changed", 512);
    write_text(image, "behind", 7 * CLUSTER);
    disk_image_close(image);
    image = open_image(in_folder("disk"), false);
    check_text(image, "as it was", 0);
    check_text(image, "changed", 512);
    check_text(image, "behind", 7 * CLUSTER);
    CHECK_EQ(image->ops->discard(image, 0, CLUSTER), 0);
    check_text(image, "", 0);
    disk_image_close(image);
    image = open_image(in_folder("disk"), true);
    check_text(image, "", 0);
    disk_image_close(image);
    image = open_image(base, true);
    check_text(image, "as it was", 0);
    disk_image_close(image);
    remove_folder();
}

TEST(overlay, a_discarded_cluster_takes_no_room)
{
    struct stat before;
    struct stat after;
    static uint8_t bytes[16 * CLUSTER];

    create("disk", 32 * CLUSTER, NULL);
    memset(bytes, 0x55, sizeof(bytes));
    struct disk_image *image = open_image(in_folder("disk"), false);
    CHECK_EQ(disk_image_write(image, bytes, sizeof(bytes), 0), 0);
    CHECK_EQ(disk_image_flush(image), 0);
    CHECK_EQ(stat(in_folder("disk"), &before), 0);
    CHECK_EQ(image->ops->discard(image, 0, sizeof(bytes)), 0);
    CHECK_EQ(disk_image_flush(image), 0);
    CHECK_EQ(stat(in_folder("disk"), &after), 0);
    CHECK(before.st_blocks - after.st_blocks >= (off_t)(sizeof(bytes) / 512));
    disk_image_close(image);
    remove_folder();
}

TEST(overlay, a_base_that_was_changed_replaced_or_cut_is_refused)
{
    const char *base = make_file("base", 300 * CLUSTER, "as it was");
    const char *disk = in_folder("disk");

    create("disk", 0, base);
    write_file(base, "x", 1, 100);
    CHECK_EQ(refused(disk, &any, "written to"), -ESTALE);
    write_file(base, "\0", 1, 100);
    disk_image_close(open_image(disk, false)); /* the same again, at another time */
    write_file(base, "x", 1, 300 * CLUSTER - 1);
    CHECK_EQ(refused(disk, &any, "written to"), -ESTALE);
    write_file(base, "\0", 1, 300 * CLUSTER - 1);
    CHECK_EQ(truncate(base, (off_t)(299 * CLUSTER)), 0);
    CHECK_EQ(refused(disk, &any, "written to"), -ESTALE);
    unlink(base);
    CHECK_EQ(refused(disk, &any, "No such file"), -ENOENT);
    remove_folder();
}

TEST(overlay, chains_work_and_notice_when_a_lower_overlay_was_written_to)
{
    make_file("base", 4 * CLUSTER, "base");
    create("one", 0, in_folder("base"));
    write_once("one", "one", CLUSTER);
    create("two", 0, in_folder("one"));
    write_once("two", "two", 2 * CLUSTER);
    create("three", 6 * CLUSTER, in_folder("two"));
    struct disk_image *image = open_image(in_folder("three"), false);
    check_text(image, "base", 0);
    check_text(image, "one", CLUSTER);
    check_text(image, "two", 2 * CLUSTER);
    check_text(image, "", 5 * CLUSTER);
    write_text(image, "three", 2 * CLUSTER + 512);
    check_text(image, "two", 2 * CLUSTER);
    CHECK_EQ(refused(in_folder("two"), &any, "in use"), -EBUSY);
    disk_image_close(image);
    write_once("one", "later", 3 * CLUSTER);
    CHECK_EQ(refused(in_folder("three"), &any, "written to since"), -ESTALE);
    CHECK_EQ(refused(in_folder("two"), &any, "written to since"), -ESTALE);
    remove_folder();
}

TEST(overlay, a_chain_that_is_too_long_is_refused)
{
    char names[2][16] = {"0", "1"};
    struct error err = {0};

    make_file("base", CLUSTER, NULL);
    create("0", 0, in_folder("base"));
    unsigned depth = 1;
    for (;; depth++) {
        snprintf(names[depth % 2], sizeof(names[0]), "%u", depth);
        struct image_create wanted = {.path = in_folder(names[depth % 2]),
                                      .format = FORMAT_OVERLAY,
                                      .base = in_folder(names[(depth + 1) % 2])};
        if (image_create(&wanted, &err) < 0)
            break;
        CHECK(depth < 100);
    }
    CHECK(strstr(err.text, "more than 16 images"));
    CHECK_EQ(depth, OVERLAY_MAX_DEPTH + 1);
    remove_folder();
}

TEST(overlay, folders_can_be_moved_with_base_and_overlay)
{
    struct image_info info;
    struct error err = {0};
    char moved[128];

    make_file("base", CLUSTER, "base");
    create("disk", 0, in_folder("base"));
    CHECK_EQ(image_info(in_folder("disk"), &info, &err), 0);
    CHECK_STR(info.base, "base");
    CHECK(info.base_format == FORMAT_RAW && info.is_clean);
    snprintf(moved, sizeof(moved), "%s-moved", folder);
    CHECK_EQ(rename(folder, moved), 0);
    memcpy(folder, moved, MIN(sizeof(folder), sizeof(moved)));
    struct disk_image *image = open_image(in_folder("disk"), true);
    check_text(image, "base", 0);
    disk_image_close(image);
    remove_folder();
}

TEST(overlay, nothing_exists_before_it_is_whole_and_nothing_is_replaced)
{
    struct image_create wanted = {
        .path = make_file("there", 512, NULL), .format = FORMAT_OVERLAY, .size_bytes = CLUSTER};
    struct error err = {0};

    CHECK_EQ(image_create(&wanted, &err), -EEXIST);
    err = (struct error){0};
    wanted.path = in_folder("nowhere/disk");
    CHECK_EQ(image_create(&wanted, &err), -ENOENT);
    err = (struct error){0};
    wanted = (struct image_create){.path = in_folder("new"),
                                   .format = FORMAT_OVERLAY,
                                   .size_bytes = 512,
                                   .base = make_file("base", CLUSTER, NULL)};
    CHECK_EQ(image_create(&wanted, &err), -EINVAL);
    CHECK(strstr(err.text, "smaller than its base") && access(wanted.path, F_OK) < 0);
    err = (struct error){0};
    wanted = (struct image_create){
        .path = in_folder("new"), .format = FORMAT_OVERLAY, .size_bytes = OVERLAY_MAX_SIZE + 512};
    CHECK_EQ(image_create(&wanted, &err), -EFBIG);
    remove_folder();
}

/* ---- several threads ---- */

#define WRITERS 4
#define ROUNDS  400

struct writer_thread {
    pthread_t thread;
    struct disk_image *image;
    unsigned index;
};

/* Each has every fourth sector of the same clusters. */
static void *write_sectors(void *argument)
{
    struct writer_thread *writer = argument;
    uint8_t sector[512];

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t number = (uint64_t)i * WRITERS + writer->index;
        memset(sector, (int)(number % 251 + 1), sizeof(sector));
        if (disk_image_write(writer->image, sector, sizeof(sector), number * 512) < 0)
            return writer;
        if (i % 50 == writer->index && disk_image_flush(writer->image) < 0)
            return writer;
    }
    return NULL;
}

static void check_sectors(struct disk_image *image)
{
    uint8_t sector[512];

    for (unsigned i = 0; i < ROUNDS * WRITERS; i++) {
        CHECK_EQ(disk_image_read(image, sector, sizeof(sector), UINT64_C(512) * i), 0);
        CHECK(sector[0] == i % 251 + 1 && sector[511] == i % 251 + 1);
    }
    CHECK_EQ(disk_image_read(image, sector, sizeof(sector), UINT64_C(512) * ROUNDS * WRITERS), 0);
    CHECK_EQ(sector[0], 0xee);
}

TEST(overlay, threads_may_write_to_the_same_new_cluster)
{
    static uint8_t bytes[1 << 20];
    struct writer_thread writers[WRITERS];

    memset(bytes, 0xee, sizeof(bytes));
    write_file(in_folder("base"), bytes, sizeof(bytes), 0);
    for (unsigned round = 0; round < 10; round++) {
        create("disk", 0, in_folder("base"));
        struct disk_image *image = open_image(in_folder("disk"), false);
        for (unsigned i = 0; i < WRITERS; i++) {
            writers[i] = (struct writer_thread){.image = image, .index = i};
            CHECK_EQ(pthread_create(&writers[i].thread, NULL, write_sectors, &writers[i]), 0);
        }
        for (unsigned i = 0; i < WRITERS; i++) {
            void *result;
            pthread_join(writers[i].thread, &result);
            CHECK(result == NULL);
        }
        check_sectors(image);
        disk_image_close(image);
        image = open_image(in_folder("disk"), true);
        check_sectors(image);
        disk_image_close(image);
        unlink(in_folder("disk"));
    }
    remove_folder();
}

/* ---- random use against a plain buffer ---- */

#define MODEL_SIZE (9 * CLUSTER + UINT64_C(20) * 512)
#define BASE_SIZE  (6 * CLUSTER + UINT64_C(3) * 512)

static uint8_t plain[MODEL_SIZE];
static uint8_t buffer[MODEL_SIZE];

static uint32_t next_random(uint32_t below)
{
    static uint64_t state = 88172645463325252;

    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return (uint32_t)((state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

static void step(struct disk_image *image)
{
    uint64_t sectors = MODEL_SIZE / 512;
    uint64_t first = next_random((uint32_t)sectors);
    uint64_t most = next_random(4) ? 20 : sectors;
    uint64_t count = next_random((uint32_t)MIN(sectors - first, most)) + 1;
    uint64_t at = first * 512;
    size_t size = (size_t)count * 512;
    struct iovec vectors[3] = {
        {buffer, 1}, {buffer + 1, size / 2}, {buffer + 1 + size / 2, size - 1 - size / 2}};

    switch (next_random(5)) {
    case 0:
    case 1:
        memset(buffer, (int)next_random(3) ? (int)next_random(256) : 0, size);
        memcpy(plain + at, buffer, size);
        CHECK_EQ(image->ops->write(image, vectors, 3, at), 0);
        break;
    case 2:
        memset(plain + at, 0, size);
        CHECK_EQ(image->ops->write_zeroes(image, at, size), 0);
        break;
    case 3: { /* only whole clusters are discarded, and read as zeroes */
        uint64_t from = (at + CLUSTER - 1) / CLUSTER * CLUSTER;
        uint64_t to = at + size == MODEL_SIZE ? MODEL_SIZE : (at + size) / CLUSTER * CLUSTER;
        if (from < to)
            memset(plain + from, 0, to - from);
        CHECK_EQ(image->ops->discard(image, at, size), 0);
        break;
    }
    case 4:
        CHECK_EQ(image->ops->read(image, vectors, 3, at), 0);
        CHECK_EQ(memcmp(buffer, plain + at, size), 0);
        break;
    }
}

static void check_all(struct disk_image *image)
{
    CHECK_EQ(disk_image_read(image, buffer, MODEL_SIZE, 0), 0);
    CHECK_EQ(memcmp(buffer, plain, MODEL_SIZE), 0);
}

TEST(overlay, is_as_a_plain_buffer_over_any_base)
{
    for (unsigned run = 0; run < 30; run++) {
        bool has_base = run % 3;
        memset(plain, 0, MODEL_SIZE);
        for (unsigned i = 0; has_base && i < BASE_SIZE; i++)
            plain[i] = i / CLUSTER % 3 == 1 ? 0 : (uint8_t)(i * 7 + i / 512);
        unlink(in_folder("disk"));
        unlink(in_folder("base"));
        write_file(in_folder("base"), plain, BASE_SIZE, 0);
        create("disk", MODEL_SIZE, has_base ? in_folder("base") : NULL);
        struct disk_image *image = open_image(in_folder("disk"), false);
        for (unsigned i = 0; i < 60; i++) {
            step(image);
            if (next_random(15) == 0) {
                disk_image_close(image);
                image = open_image(in_folder("disk"), false);
            }
        }
        check_all(image);
        disk_image_close(image);
        image = open_image(in_folder("disk"), true);
        check_all(image);
        disk_image_close(image);
    }
    remove_folder();
}

TEST(overlay, snapshot_mode_forgets_writes_and_leaves_the_image_alone)
{
    struct disk_image *image;
    struct error err = {0};
    const char *path = make_file("disk", UINT64_C(585) * 512, "original");

    CHECK_EQ(overlay_open_unnamed(open_image(path, true), &block_file_kernel, &image, &err), 0);
    write_text(image, "new", 512);
    CHECK_EQ(disk_image_flush(image), 0);
    check_text(image, "original", 0);
    check_text(image, "new", 512);
    CHECK_EQ(image->ops->write_zeroes(image, 0, 512), 0);
    check_text(image, "", 0);
    disk_image_close(image);
    image = open_image(path, true);
    check_text(image, "original", 0);
    check_text(image, "", 512);
    disk_image_close(image);
    remove_folder();
}

TEST_MAIN(TESTS(overlay, shows_the_base_until_it_is_written_to),
          TESTS(overlay, a_discarded_cluster_takes_no_room),
          TESTS(overlay, a_base_that_was_changed_replaced_or_cut_is_refused),
          TESTS(overlay, chains_work_and_notice_when_a_lower_overlay_was_written_to),
          TESTS(overlay, a_chain_that_is_too_long_is_refused),
          TESTS(overlay, folders_can_be_moved_with_base_and_overlay),
          TESTS(overlay, nothing_exists_before_it_is_whole_and_nothing_is_replaced),
          TESTS(overlay, threads_may_write_to_the_same_new_cluster),
          TESTS(overlay, is_as_a_plain_buffer_over_any_base),
          TESTS(overlay, snapshot_mode_forgets_writes_and_leaves_the_image_alone))
