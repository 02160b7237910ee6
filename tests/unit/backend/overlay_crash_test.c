/* SPDX-License-Identifier: Apache-2.0
 * Overlays when power fails, or calls do: at every call, with any part of what was not yet
 * on stable storage, everything that was flushed must be there. */
#include "harness/harness.h"
#include "unit/backend/overlay_model.h"

#define STATES_WANTED 12000u
#define SUBSETS_MOST  64u
#define ACTIONS       24u

static struct sim_file disk;
static struct sim_file crashed;
static struct model model;
static uint64_t random_state;
static unsigned states;
static unsigned reopened;

static uint32_t pick(uint32_t below)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

/* ---- actions ---- */

enum action {
    WRITE,
    ZEROES,
    DISCARD,
    FLUSH,
};

struct range {
    unsigned cluster; /* index of used_clusters */
    unsigned first;   /* sector */
    unsigned count;
};

static struct range pick_range(enum action action)
{
    struct range range = {.cluster = pick(USED)};
    unsigned sectors = model_sectors(range.cluster);

    if (action == DISCARD || pick(4) == 0) {
        range.count = sectors;
    } else {
        range.first = pick(sectors);
        range.count = pick(MIN(sectors - range.first, 12u)) + 1;
    }
    return range;
}

static int change(struct disk_image *image, enum action action, uint64_t sector, unsigned count,
                  uint32_t version)
{
    static uint8_t bytes[CLUSTER];
    uint64_t size = (uint64_t)count * SECTOR;

    for (unsigned s = 0; s < count; s++)
        fill_sector(bytes + (size_t)s * SECTOR, sector + s, version);
    if (action == WRITE)
        return disk_image_write(image, bytes, (size_t)size, sector * SECTOR);
    if (action == ZEROES)
        return image->ops->write_zeroes(image, sector * SECTOR, size);
    return image->ops->discard(image, sector * SECTOR, size);
}

/* The model learns of it before it happens: it may happen in part. */
static int perform(struct disk_image *image, enum action action)
{
    struct range range = pick_range(action);
    struct sector_model *sectors = &model.sectors[range.cluster][range.first];
    uint64_t first = used_clusters[range.cluster] * SECTORS + range.first;

    if (action == FLUSH)
        return disk_image_flush(image);
    uint32_t version = action == WRITE ? ++model.next : ZERO;
    for (unsigned s = 0; s < range.count; s++)
        sector_add(&sectors[s], version);
    int result = change(image, action, first, range.count, version);
    for (unsigned s = 0; s < range.count && result == 0; s++)
        sectors[s].sure = sectors[s].count - 1;
    return result;
}

static enum action pick_action(void)
{
    static const enum action actions[] = {WRITE,  WRITE,   WRITE, WRITE,
                                          ZEROES, DISCARD, FLUSH, FLUSH};

    return actions[pick(ARRAY_LEN(actions))];
}

/* ---- crashes ---- */

/* Only some of the sectors of a write reached the disk. */
static void apply_torn(struct sim_pages *pages, const struct sim_write *write)
{
    for (uint64_t at = 0; at < write->size; at += SECTOR)
        if (pick(2))
            sim_put(pages, write->offset + at, write->bytes ? write->bytes + at : NULL,
                    MIN(write->size - at, (uint64_t)SECTOR));
}

static void check_state(bool read_only)
{
    struct disk_image *image;
    struct error err = {0};

    if (model_open(&crashed, read_only, &image, &err) < 0)
        fail_msg("state %u does not open: %s", states, err.text);
    const char *fault = model_check(&model, image, false);
    if (fault)
        fail_msg("state %u: %s", states, fault);
    disk_image_close(image);
}

/* It can be used as any other: what is written and flushed there stays. */
static void use_state(void)
{
    struct disk_image *image = NULL;
    struct error err = {0};
    static uint8_t bytes[SECTOR];
    uint64_t sector = used_clusters[pick(USED)] * SECTORS + pick(40);

    fill_sector(bytes, sector, 0x7fffffff);
    CHECK_EQ(model_open(&crashed, false, &image, &err), 0);
    CHECK_EQ(disk_image_write(image, bytes, SECTOR, sector * SECTOR), 0);
    CHECK_EQ(disk_image_flush(image), 0);
    disk_image_close(image);
    CHECK_EQ(model_open(&crashed, true, &image, &err), 0);
    uint32_t version;
    CHECK_EQ(disk_image_read(image, bytes, SECTOR, sector * SECTOR), 0);
    CHECK(read_version(bytes, sector, &version) && version == 0x7fffffff);
    disk_image_close(image);
    reopened++;
}

static void crash(uint64_t subset, bool torn)
{
    sim_init(&crashed, disk.size);
    sim_copy(&crashed.stable, &disk.stable);
    for (unsigned i = 0; i < disk.pending_count; i++) {
        if (!(subset >> i & 1))
            continue;
        if (torn && pick(3) == 0)
            apply_torn(&crashed.stable, &disk.pending[i]);
        else
            sim_apply(&crashed.stable, &disk.pending[i]);
    }
    sim_copy(&crashed.now, &crashed.stable);
    states++;
    check_state(pick(2));
    if (states % 16 == 0)
        use_state();
}

/* Power fails here: all subsets of what is pending, or many of them. */
static void crash_here(void *owner, enum sim_call call)
{
    (void)owner;
    if (call == SIM_READ)
        return;
    crash(UINT64_MAX, false); /* kill -9: nothing is lost */
    if (disk.pending_count <= 6) {
        for (uint64_t subset = 0; subset < UINT64_C(1) << disk.pending_count; subset++)
            crash(subset, subset != 0);
        return;
    }
    for (unsigned i = 0; i < SUBSETS_MOST; i++)
        crash((uint64_t)pick(UINT32_MAX) << 32 | pick(UINT32_MAX), true);
}

TEST(overlay, everything_flushed_survives_a_crash_at_any_point)
{
    random_state = 88172645463325252;
    for (unsigned run = 0; states < STATES_WANTED; run++) {
        struct disk_image *image;
        struct error err = {0};
        model_format(&disk);
        model_init(&model);
        disk.has_no_holes = run % 4 == 3;
        CHECK_EQ(model_open(&disk, false, &image, &err), 0);
        disk.after = crash_here;
        for (unsigned i = 0; i < ACTIONS; i++) {
            enum action action = pick_action();
            CHECK_EQ(perform(image, action), 0);
            if (action == FLUSH)
                model_settle(&model);
            if (pick(8) == 0) { /* closed and opened again */
                disk_image_close(image);
                model_settle(&model);
                CHECK_EQ(model_open(&disk, false, &image, &err), 0);
            }
        }
        disk_image_close(image);
        disk.after = NULL;
    }
    print_message("# %u states, %u of them used on\n", states, reopened);
}

/* A planted fault: an overlay whose flush writes nothing must be caught. */
static int lazy_sync(void *owner, int fd)
{
    (void)owner;
    (void)fd;
    return 0;
}

TEST(overlay, a_lost_flush_would_be_noticed)
{
    struct disk_image *image = NULL;
    struct error err = {0};
    static uint8_t bytes[SECTOR];

    model_format(&disk);
    model_init(&model);
    disk.ops.sync = lazy_sync;
    CHECK_EQ(model_open(&disk, false, &image, &err), 0);
    fill_sector(bytes, 0, 5);
    sector_add(&model.sectors[0][0], 5);
    model.sectors[0][0].sure = 1;
    CHECK_EQ(disk_image_write(image, bytes, SECTOR, 0), 0);
    CHECK_EQ(disk_image_flush(image), 0);
    model_settle(&model);
    sim_init(&crashed, disk.size);
    sim_copy(&crashed.now, &disk.stable);
    struct disk_image *after;
    CHECK_EQ(model_open(&crashed, true, &after, &err), 0);
    CHECK_STR(model_check(&model, after, false), "a sector was lost");
    disk_image_close(after);
    disk_image_close(image);
}

/* ---- calls that fail ---- */

struct run {
    unsigned errors;
    bool flush_failed;
};

/* What failed may have happened or not; what succeeded has. */
static void act(struct disk_image *image, struct run *run)
{
    enum action action = pick_action();
    int result = perform(image, action);

    if (result < 0)
        run->errors++;
    else if (action == FLUSH)
        model_settle(&model);
    if (run->flush_failed) /* discards of less than a cluster do nothing */
        CHECK(result < 0 || action == DISCARD);
    /* A barrier that failed is final, wherever it was needed. */
    if (result < 0 && disk.failed && disk.failed_call == SIM_SYNC)
        run->flush_failed = true;
}

static bool calls_fail_at(unsigned n, int with, bool for_good)
{
    struct disk_image *image;
    struct error err = {0};
    struct run run = {0};

    model_format(&disk);
    model_init(&model);
    CHECK_EQ(model_open(&disk, false, &image, &err), 0);
    disk.calls = 0;
    disk.fail_at = n;
    disk.fail_with = with;
    disk.fails_for_good = for_good;
    for (unsigned i = 0; i < 20; i++)
        act(image, &run);
    bool happened = disk.failed;
    disk.fail_at = 0;
    const char *fault = model_check(&model, image, true);
    if (fault)
        fail_msg("call %u, %d: %s", n, with, fault);
    disk_image_close(image);
    CHECK_EQ(model_open(&disk, false, &image, &err), 0);
    fault = model_check(&model, image, false);
    if (fault)
        fail_msg("call %u, %d, opened again: %s", n, with, fault);
    disk_image_close(image);
    bool is_transparent = with == -EINTR || with == 1;
    if (is_transparent && !for_good)
        CHECK_EQ(run.errors, 0);
    return happened;
}

TEST(overlay, any_call_may_fail)
{
    static const int ways[] = {-EIO, -ENOSPC, -EINTR, -EAGAIN, 1};
    unsigned calls = 0;

    for (unsigned seed = 1; seed <= 12; seed++) {
        for (unsigned way = 0; way < ARRAY_LEN(ways); way++) {
            for (unsigned n = 1;; n++, calls++) {
                random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
                if (!calls_fail_at(n, ways[way], false))
                    break;
                random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
                if (ways[way] == -ENOSPC)
                    calls_fail_at(n, ways[way], true);
            }
        }
    }
    print_message("# %u calls failed\n", calls);
    CHECK(calls > 1000);
}

TEST(overlay, a_full_disk_is_an_error_and_goes_on_when_there_is_room)
{
    struct disk_image *image = NULL;
    struct error err = {0};
    static uint8_t bytes[SECTOR];

    model_format(&disk);
    CHECK_EQ(model_open(&disk, false, &image, &err), 0);
    CHECK_EQ(disk_image_write(image, bytes, SECTOR, 0), 0); /* marks it */
    disk.fail_at = 1;
    disk.fail_with = -ENOSPC;
    disk.fails_for_good = true;
    CHECK_EQ(disk_image_write(image, bytes, SECTOR, CLUSTER), -ENOSPC);
    disk.fail_at = 0;
    fill_sector(bytes, SECTORS, 9);
    CHECK_EQ(disk_image_write(image, bytes, SECTOR, CLUSTER), 0);
    CHECK_EQ(disk_image_flush(image), 0);
    disk_image_close(image);
    CHECK_EQ(model_open(&disk, true, &image, &err), 0);
    uint32_t version;
    CHECK_EQ(disk_image_read(image, bytes, SECTOR, CLUSTER), 0);
    CHECK(read_version(bytes, SECTORS, &version) && version == 9);
    disk_image_close(image);
}

/* ---- damage ---- */

static void make_used(void)
{
    struct disk_image *image;
    struct error err = {0};

    random_state = 12345;
    model_format(&disk);
    model_init(&model);
    CHECK_EQ(model_open(&disk, false, &image, &err), 0);
    for (unsigned i = 0; i < 40; i++) {
        CHECK_EQ(perform(image, pick_action()), 0);
        model_settle(&model);
    }
    disk_image_close(image);
}

/* True: refused. Otherwise everything that is read must be right. */
static bool is_refused(const char *what, uint64_t at)
{
    uint8_t head[OVERLAY_HEADER_SIZE];
    struct overlay_header header = {0};
    struct disk_image *image = NULL;
    struct error err = {0};
    struct block_file file = sim_block_file(&disk);

    sim_get(&disk.now, 0, head, sizeof(head));
    int result = overlay_parse_header(head, &header, &err);
    if (result == 0)
        result = overlay_open(&file, &header, model_base(), true, &image, &err);
    if (result < 0) {
        CHECK(err.text[0]);
        return true;
    }
    const char *fault = model_check(&model, image, true);
    if (fault)
        fail_msg("%s at byte %llu: %s", what, (unsigned long long)at, fault);
    disk_image_close(image);
    return false;
}

TEST(overlay, every_flipped_bit_of_header_and_tables_is_refused_or_harmless)
{
    uint64_t end = overlay_page_offset(DISK_SIZE, 0, 2);
    unsigned refused = 0;
    unsigned total = 0;

    make_used();
    CHECK(!is_refused("nothing", 0));
    for (uint64_t at = 0; at < end; at++) {
        uint8_t byte;
        uint8_t flipped;
        /* All bits where something stands, one elsewhere: checksums are the same for all. */
        sim_get(&disk.now, at, &byte, 1);
        for (unsigned bit = at % 8; bit < 8; bit += byte || at % 97 == 0 ? 1 : 8) {
            flipped = (uint8_t)(byte ^ 1u << bit);
            sim_put(&disk.now, at, &flipped, 1);
            bool is_state = at >= OVERLAY_STATE_OFFSET && at < OVERLAY_TABLE_OFFSET;
            bool refuses = is_refused("bit flipped", at);
            CHECK(refuses || is_state);
            refused += refuses;
            total++;
        }
        sim_put(&disk.now, at, &byte, 1);
    }
    print_message("# %u of %u refused\n", refused, total);
}

TEST(overlay, truncated_files_are_refused)
{
    make_used();
    for (uint64_t size = OVERLAY_HEADER_SIZE; size < disk.size; size += size / 7 + 1) {
        uint64_t whole = disk.size;
        disk.size = size;
        CHECK(is_refused("truncated", size));
        disk.size = whole;
    }
    disk.size--;
    CHECK(is_refused("truncated", disk.size));
    disk.size++;
}

TEST(overlay, truncation_while_open_is_an_error)
{
    struct disk_image *image = NULL;
    struct error err = {0};
    static uint8_t bytes[SECTOR];

    model_format(&disk);
    CHECK_EQ(model_open(&disk, false, &image, &err), 0);
    CHECK_EQ(disk_image_write(image, bytes, SECTOR, DISK_SIZE - SECTOR), 0);
    disk.size = overlay_data_offset(DISK_SIZE);
    CHECK_EQ(disk_image_read(image, bytes, SECTOR, DISK_SIZE - SECTOR), -EIO);
    CHECK_EQ(disk_image_read(image, bytes, SECTOR, 0), 0); /* of the base */
    disk_image_close(image);
}

TEST_MAIN(TESTS(overlay, everything_flushed_survives_a_crash_at_any_point),
          TESTS(overlay, a_lost_flush_would_be_noticed), TESTS(overlay, any_call_may_fail),
          TESTS(overlay, a_full_disk_is_an_error_and_goes_on_when_there_is_room),
          TESTS(overlay, every_flipped_bit_of_header_and_tables_is_refused_or_harmless),
          TESTS(overlay, truncated_files_are_refused),
          TESTS(overlay, truncation_while_open_is_an_error))
