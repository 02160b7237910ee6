/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: an overlay whose header, state and table the input spoils, with right checksums
 * or wrong ones. What opens can be read, written and opened again. */
#include "base/hash.h"
#include "fuzz/input.h"
#include "unit/backend/overlay_model.h"

#define MOST_SIZE (UINT64_C(1) << 31) /* larger tables take long */

static void spoil(struct input *in, struct sim_file *sim, uint64_t offset, unsigned size,
                  unsigned checksum_at)
{
    static uint8_t bytes[OVERLAY_HEADER_SIZE];
    unsigned changes = (unsigned)take(in, 1);

    sim_get(&sim->now, offset, bytes, size);
    for (unsigned i = 0; i < changes % 8; i++) {
        unsigned at = (unsigned)take(in, 2);
        at = changes & 64 ? at % size : at % 160;
        bytes[at] = (uint8_t)take(in, 1);
    }
    if (changes & 128) {
        store_le32(bytes + checksum_at, 0);
        store_le32(bytes + checksum_at,
                   checksum_at ? hash_crc32c(0, bytes, size) : hash_crc32c(0, bytes + 4, size - 4));
    }
    sim_put(&sim->now, offset, bytes, size);
}

static void use(struct disk_image *image)
{
    static uint8_t bytes[3 * SECTOR];
    uint64_t last = image->size_bytes - SECTOR;

    if (disk_image_read(image, bytes, SECTOR, 0) > 0 ||
        disk_image_read(image, bytes, SECTOR, last) > 0)
        abort();
    if (image->read_only)
        return;
    memset(bytes, 0x42, sizeof(bytes));
    if (disk_image_write(image, bytes, SECTOR, last) == 0 &&
        (disk_image_read(image, bytes + SECTOR, SECTOR, last) < 0 ||
         memcmp(bytes, bytes + SECTOR, SECTOR) != 0))
        abort();
    if (image->ops->discard(image, 0, image->size_bytes) == 0 &&
        (disk_image_read(image, bytes, SECTOR, 0) < 0 || bytes[0] != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sim_file sim;
    struct input in = {data, data + size};
    uint8_t head[OVERLAY_HEADER_SIZE];
    static struct overlay_header header;
    struct disk_image *image;
    struct error err = {0};

    model_format(&sim);
    spoil(&in, &sim, 0, OVERLAY_HEADER_SIZE, 12);
    for (unsigned i = 0; i < 2; i++)
        spoil(&in, &sim, OVERLAY_STATE_OFFSET + i * OVERLAY_PAGE_SIZE, OVERLAY_PAGE_SIZE, 0);
    for (uint64_t page = 0; page < overlay_page_count(DISK_SIZE); page++)
        for (unsigned copy = 0; copy < 2; copy++)
            spoil(&in, &sim, overlay_page_offset(DISK_SIZE, page, copy), OVERLAY_PAGE_SIZE, 0);
    if (take(&in, 1) & 1)
        sim.size = take(&in, 5);
    sim_get(&sim.now, 0, head, sizeof(head));
    if (overlay_parse_header(head, &header, &err) < 0 || header.size_bytes > MOST_SIZE)
        return 0;
    bool read_only = take(&in, 1) & 1;
    for (unsigned i = 0; i < 2; i++) {
        struct block_file file = sim_block_file(&sim);
        struct disk_image *base = header.base.kind == OVERLAY_BASE_NONE ? NULL : model_base();
        if (overlay_open(&file, &header, base, read_only, &image, &err) < 0) {
            if (i || !err.text[0]) /* what was opened once is opened again */
                abort();
            return 0;
        }
        use(image);
        disk_image_close(image);
        sim_forget(&sim);
    }
    return 0;
}
