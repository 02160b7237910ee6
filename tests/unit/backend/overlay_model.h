/* SPDX-License-Identifier: Apache-2.0
 * An overlay over a base that is made up, and a model of what may be read from it: sectors tell
 * which version of themselves they are. */
#pragma once

#include "backend/block/overlay.h"
#include "base/endian.h"
#include "unit/backend/sim_file.h"

#define CLUSTER  OVERLAY_CLUSTER_SIZE
#define SECTOR   UINT64_C(512)
#define SECTORS  (CLUSTER / SECTOR)
#define VERSIONS 24u /* that a sector may have at once */
#define ZERO     UINT32_MAX

/* The clusters that are used: at the beginning, where a page of the table ends and the next
 * begins, and the last, which is not whole. */
#define LAST_CLUSTER (OVERLAY_PAGE_CLUSTERS + 9)
#define DISK_SIZE    (LAST_CLUSTER * CLUSTER + 40 * SECTOR)
#define BASE_SIZE    ((OVERLAY_PAGE_CLUSTERS + 1) * CLUSTER + 8 * SECTOR)

static const uint64_t used_clusters[] = {
    0,           1, 2, OVERLAY_PAGE_CLUSTERS - 1, OVERLAY_PAGE_CLUSTERS, OVERLAY_PAGE_CLUSTERS + 1,
    LAST_CLUSTER};
#define USED ARRAY_LEN(used_clusters)

struct sector_model {
    uint32_t versions[VERSIONS]; /* the newest is the last */
    unsigned count;
    unsigned sure; /* of the last one whose writing succeeded */
};

struct model {
    struct sector_model sectors[USED][SECTORS];
    uint32_t next;
};

static void fill_sector(uint8_t *to, uint64_t sector, uint32_t version)
{
    memset(to, 0, SECTOR);
    if (version != ZERO)
        for (unsigned i = 0; i < SECTOR / 8; i++)
            store_le64(to + (size_t)8 * i, (sector << 32 | version) + ((uint64_t)i << 20) + 1);
}

/* The version of a sector, if it is one: true. */
UNUSED static bool read_version(const uint8_t *bytes, uint64_t sector, uint32_t *version)
{
    uint8_t wanted[SECTOR];

    *version = bytes[0] == 0 && memcmp(bytes, bytes + 1, SECTOR - 1) == 0
                   ? ZERO
                   : (uint32_t)(load_le64(bytes) - 1);
    fill_sector(wanted, sector, *version);
    return memcmp(bytes, wanted, SECTOR) == 0;
}

/* ---- the base ---- */

/* One cluster of three is zero. */
static uint32_t base_version(uint64_t sector)
{
    uint64_t cluster = sector / SECTORS;

    return sector * SECTOR < BASE_SIZE && cluster % 3 != 2 ? 0 : ZERO;
}

static int base_read(struct disk_image *image, struct iovec *vectors, unsigned count,
                     uint64_t offset)
{
    (void)image;
    for (unsigned i = 0; i < count; i++) {
        for (size_t at = 0; at < vectors[i].iov_len; at++, offset++) {
            uint8_t sector[SECTOR];
            size_t in = offset % SECTOR;
            size_t part = MIN(SECTOR - in, vectors[i].iov_len - at);
            fill_sector(sector, offset / SECTOR, base_version(offset / SECTOR));
            memcpy((uint8_t *)vectors[i].iov_base + at, sector + in, part);
            at += part - 1;
            offset += part - 1;
        }
    }
    return 0;
}

static void base_close(struct disk_image *image)
{
    (void)image;
}

UNUSED static struct disk_image *model_base(void)
{
    static const struct disk_image_ops ops = {.read = base_read, .close = base_close};
    static struct disk_image base;

    base = (struct disk_image){.ops = &ops, .size_bytes = BASE_SIZE, .read_only = true};
    return &base;
}

UNUSED static struct overlay_header *model_header(void)
{
    static struct overlay_header header;

    header = (struct overlay_header){
        .size_bytes = DISK_SIZE,
        .uuid = "0123456789abcde",
        .base = {.kind = OVERLAY_BASE_RAW, .size_bytes = BASE_SIZE},
        .base_path = "base",
    };
    return &header;
}

/* A new overlay, all of it on stable storage. */
UNUSED static void model_format(struct sim_file *sim)
{
    sim_init(sim, overlay_file_size(DISK_SIZE));
    struct block_file file = sim_block_file(sim);
    if (overlay_format(&file, model_header()) < 0 || block_file_sync(&file) < 0)
        abort();
    sim->calls = 0;
}

UNUSED static int model_open(struct sim_file *sim, bool read_only, struct disk_image **out,
                             struct error *err)
{
    struct block_file file = sim_block_file(sim);

    return overlay_open(&file, model_header(), model_base(), read_only, out, err);
}

/* ---- the model ---- */

UNUSED static void model_init(struct model *model)
{
    memset(model, 0, sizeof(*model));
    for (unsigned i = 0; i < USED; i++)
        for (unsigned s = 0; s < SECTORS; s++)
            model->sectors[i][s] =
                (struct sector_model){{base_version(used_clusters[i] * SECTORS + s)}, 1, 0};
}

UNUSED static void sector_add(struct sector_model *sector, uint32_t version)
{
    if (sector->count == VERSIONS)
        abort();
    sector->versions[sector->count++] = version;
}

/* `live`: nothing that was overwritten. */
UNUSED static bool sector_may_be(const struct sector_model *sector, uint32_t version, bool live)
{
    for (unsigned i = live ? sector->sure : 0; i < sector->count; i++)
        if (sector->versions[i] == version)
            return true;
    return false;
}

/* Everything is what was written last with success, or without behind that. */
UNUSED static void model_settle(struct model *model)
{
    for (unsigned i = 0; i < USED; i++) {
        for (unsigned s = 0; s < SECTORS; s++) {
            struct sector_model *sector = &model->sectors[i][s];
            sector->count -= sector->sure;
            memmove(sector->versions, sector->versions + sector->sure,
                    sector->count * sizeof(sector->versions[0]));
            sector->sure = 0;
        }
    }
}

/* Sectors of used cluster `i` that the disk has. */
static unsigned model_sectors(unsigned i)
{
    uint64_t left = DISK_SIZE / SECTOR - used_clusters[i] * SECTORS;

    return (unsigned)MIN(left, (uint64_t)SECTORS);
}

/* What is read of all used clusters is allowed; `live`: and is the newest. Returns a text that
 * says what is wrong, or NULL. */
UNUSED static const char *model_check(const struct model *model, struct disk_image *image,
                                      bool live)
{
    static uint8_t bytes[CLUSTER];

    for (unsigned i = 0; i < USED; i++) {
        unsigned sectors = model_sectors(i);
        uint64_t first = used_clusters[i] * SECTORS;
        if (disk_image_read(image, bytes, sectors * (size_t)SECTOR, first * SECTOR) < 0)
            return "a cluster cannot be read";
        for (unsigned s = 0; s < sectors; s++) {
            const struct sector_model *sector = &model->sectors[i][s];
            uint32_t version;
            if (!read_version(bytes + (size_t)s * SECTOR, first + s, &version))
                return "a sector has bytes that nobody wrote";
            if (!sector_may_be(sector, version, false))
                return "a sector was lost";
            if (live && !sector_may_be(sector, version, true))
                return "a sector is older than what was written";
        }
    }
    return NULL;
}
