/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: any sequence of requests to an overlay is as one to a plain buffer, when it is
 * closed and opened again, and when calls fail as far as they succeed. */
#include "fuzz/input.h"
#include "unit/backend/overlay_model.h"

#define SIZE (6 * OVERLAY_CLUSTER_SIZE + 9 * SECTOR)

static struct sim_file sim;
static uint8_t plain[SIZE];
static uint8_t buffer[SIZE];

static struct overlay_header *small_header(bool has_base)
{
    struct overlay_header *header = model_header();

    header->size_bytes = SIZE;
    if (!has_base) {
        memset(&header->base, 0, sizeof(header->base));
        header->base_path[0] = 0;
    }
    return header;
}

static struct disk_image *open_small(bool has_base)
{
    struct block_file file = sim_block_file(&sim);
    struct disk_image *image;
    struct error err = {0};

    if (overlay_open(&file, small_header(has_base), has_base ? model_base() : NULL, false, &image,
                     &err) < 0)
        abort();
    return image;
}

static struct disk_image *begin(bool has_base)
{
    sim_init(&sim, overlay_file_size(SIZE));
    struct block_file file = sim_block_file(&sim);
    if (overlay_format(&file, small_header(has_base)) < 0)
        abort();
    sim_forget(&sim);
    for (uint64_t sector = 0; sector < SIZE / SECTOR; sector++)
        fill_sector(plain + sector * SECTOR, sector, has_base ? base_version(sector) : ZERO);
    return open_small(has_base);
}

static void compare(struct disk_image *image, uint64_t at, size_t size)
{
    struct iovec vectors[2] = {{buffer, size / 3}, {buffer + size / 3, size - size / 3}};

    if (image->ops->read(image, vectors, 2, at) < 0 || memcmp(buffer, plain + at, size) != 0)
        abort();
}

/* One request; true: it succeeded. */
static bool request(struct input *in, struct disk_image *image, unsigned command)
{
    uint64_t sectors = SIZE / SECTOR;
    uint64_t first = take(in, 2) % sectors;
    uint64_t count = take(in, command & 8 ? 2 : 1) % (sectors - first) + 1;
    uint64_t at = first * SECTOR;
    size_t size = (size_t)(count * SECTOR);
    uint64_t from = (at + CLUSTER - 1) / CLUSTER * CLUSTER;
    uint64_t to = at + size == SIZE ? SIZE : (at + size) / CLUSTER * CLUSTER;

    switch (command & 3) {
    case 0:
        compare(image, at, size);
        return true;
    case 1:
        memset(buffer, (int)take(in, 1), size);
        memcpy(plain + at, buffer, size);
        return disk_image_write(image, buffer, size, at) == 0;
    case 2:
        memset(plain + at, 0, size);
        return image->ops->write_zeroes(image, at, size) == 0;
    default:
        if (from < to)
            memset(plain + from, 0, to - from);
        return image->ops->discard(image, at, size) == 0;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    unsigned options = (unsigned)take(&in, 1);
    bool has_base = options & 1;
    struct disk_image *image = begin(has_base);

    sim.has_no_holes = options & 2;
    while (in.at < in.end) {
        unsigned command = (unsigned)take(&in, 1);
        if (command & 64 && (command & 32)) {
            disk_image_close(image);
            sim_forget(&sim);
            image = open_small(has_base);
        } else if (command & 64) {
            if (disk_image_flush(image) < 0)
                abort();
        } else if (!request(&in, image, command)) {
            abort();
        }
        if (sim.pending_count > SIM_WRITES / 2)
            sim_forget(&sim);
    }
    compare(image, 0, SIZE);
    disk_image_close(image);
    sim_forget(&sim);
    image = open_small(has_base);
    compare(image, 0, SIZE);
    disk_image_close(image);
    sim_forget(&sim);
    return 0;
}
