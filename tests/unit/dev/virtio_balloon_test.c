/* SPDX-License-Identifier: Apache-2.0
 * The balloon: which pages go, and what the driver is told. */
#include "dev/virtio/balloon.h"
#include "unit/dev/driver.h"

enum { INFLATE, DEFLATE, STATS, REPORT };

#define F_STATS     BIT(1)
#define F_REPORTING BIT(5)

struct bench {
    struct guest g;
    struct virtio_balloon balloon;
    struct ring rings[4];
    unsigned calls;
    uint64_t offset[8]; /* of what was discarded, in RAM */
    uint64_t size[8];
};

static void discard(void *owner, uint8_t *bytes, size_t size)
{
    struct bench *b = owner;

    CHECK(b->calls < 8);
    b->offset[b->calls] = (uint64_t)(bytes - b->g.ram);
    b->size[b->calls++] = size;
}

static struct virtio_balloon_config config_of(struct bench *b)
{
    return (struct virtio_balloon_config){.space = &b->g.space, .memory = {discard, b}};
}

static struct bench *make(uint64_t features)
{
    static struct bench bench;
    struct bench *b = &bench;

    memset(b, 0, sizeof(*b));
    guest_init(&b->g, true);
    struct virtio_balloon_config config = config_of(b);
    virtio_balloon_init(&b->balloon, &config);
    guest_attach(&b->g, &b->balloon.virtio);
    negotiate(&b->g, features);
    for (unsigned q = 0; q < 4; q++)
        ring_init(&b->g, &b->rings[q], q, 16, features);
    set_status(&b->g, 0xf);
    return b;
}

static void inflate(struct bench *b, const uint32_t *pages, unsigned count)
{
    gpa_t at = allocate(&b->g, UINT64_C(4) * count);
    uint32_t written;

    for (unsigned i = 0; i < count; i++)
        store_le32(at_ram(&b->g, at + UINT64_C(4) * i), pages[i]);
    ring_add(&b->g, &b->rings[INFLATE], &(const struct buffer){at, 4 * count, false}, 1);
    notify(&b->g, INFLATE);
    CHECK(ring_used(&b->g, &b->rings[INFLATE], &written));
}

#define PAGE_OF(n) ((uint32_t)(RAM_BASE / PAGE_SIZE) + (n))

TEST(balloon, gives_back_runs_of_pages_in_either_order)
{
    struct bench *b = make(VIRTIO_F_RING_PACKED);

    inflate(b,
            (const uint32_t[]){PAGE_OF(500), PAGE_OF(501), PAGE_OF(502), PAGE_OF(400), PAGE_OF(399),
                               PAGE_OF(398), PAGE_OF(300)},
            7);
    CHECK_EQ(b->calls, 3);
    CHECK_EQ(b->offset[0], 500 * PAGE_SIZE);
    CHECK_EQ(b->size[0], 3 * PAGE_SIZE);
    CHECK_EQ(b->offset[1], 398 * PAGE_SIZE);
    CHECK_EQ(b->size[1], 3 * PAGE_SIZE);
    CHECK_EQ(b->offset[2], 300 * PAGE_SIZE);
    CHECK_EQ(b->balloon.discarded_bytes, 7 * PAGE_SIZE);
}

TEST(balloon, leaves_alone_what_is_no_ram)
{
    struct bench *b = make(0);

    inflate(b, (const uint32_t[]){0, 0xffffffff, PAGE_OF(RAM_SIZE / PAGE_SIZE), PAGE_OF(9)}, 4);
    CHECK_EQ(b->calls, 1);
    CHECK_EQ(b->offset[0], 9 * PAGE_SIZE);
    CHECK_EQ(get_status(&b->g), 0xf);
}

TEST(balloon, reported_pages_go_if_they_are_whole)
{
    struct bench *b = make(F_REPORTING | F_STATS);
    gpa_t at = RAM_BASE + UINT64_C(600) * PAGE_SIZE;
    uint32_t written;

    ring_add(&b->g, &b->rings[REPORT],
             (const struct buffer[]){{at, 4 * (uint32_t)PAGE_SIZE, true},
                                     {at + 20 * PAGE_SIZE + 1, 2 * (uint32_t)PAGE_SIZE, true},
                                     {at + 40 * PAGE_SIZE, 100, true}},
             3);
    notify(&b->g, REPORT);
    CHECK(ring_used(&b->g, &b->rings[REPORT], &written));
    CHECK_EQ(b->calls, 2);
    CHECK_EQ(b->offset[0], 600 * PAGE_SIZE);
    CHECK_EQ(b->size[0], 4 * PAGE_SIZE);
    CHECK_EQ(b->offset[1], 621 * PAGE_SIZE);
    CHECK_EQ(b->size[1], PAGE_SIZE);
}

TEST(balloon, without_reporting_nothing_is_reported)
{
    struct bench *b = make(F_STATS);
    uint32_t written;

    ring_add(&b->g, &b->rings[REPORT],
             &(const struct buffer){RAM_BASE + 600 * PAGE_SIZE, (uint32_t)PAGE_SIZE, true}, 1);
    notify(&b->g, REPORT);
    CHECK(ring_used(&b->g, &b->rings[REPORT], &written));
    CHECK_EQ(b->calls, 0);
}

TEST(balloon, tells_its_target_and_hears_how_far_the_driver_is)
{
    struct bench *b = make(0);

    virtio_balloon_set_target(&b->balloon, 100 * PAGE_SIZE + 5);
    CHECK(take_interrupt(&b->g) & VIRTIO_ISR_CONFIG);
    CHECK_EQ(read_config(&b->g, 0, 4), 100);
    write_config(&b->g, 4, 60, 4);
    CHECK_EQ(b->balloon.actual_pages, 60);
    write_config(&b->g, 5, 1, 1);
    CHECK_EQ(b->balloon.actual_pages, 316);
    write_config(&b->g, 0, 7, 4); /* is ours */
    CHECK_EQ(read_config(&b->g, 0, 4), 100);
    set_status(&b->g, 0);
    CHECK_EQ(read_config(&b->g, 0, 4), 100);
    CHECK_EQ(read_config(&b->g, 4, 4), 0);
}

TEST(balloon, asks_for_figures_and_keeps_no_buffer)
{
    struct bench *b = make(F_STATS | F_REPORTING);
    gpa_t at = allocate(&b->g, 30);
    uint32_t written;
    static const uint16_t tags[] = {BALLOON_FREE, 999, BALLOON_AVAILABLE};

    for (unsigned i = 0; i < 3; i++) {
        store_le16(at_ram(&b->g, at + UINT64_C(10) * i), tags[i]);
        store_le64(at_ram(&b->g, at + UINT64_C(10) * i + 2), 1000 + i);
    }
    ring_add(&b->g, &b->rings[STATS], &(const struct buffer){at, 30, false}, 1);
    notify(&b->g, STATS);
    CHECK_EQ(b->balloon.stats[BALLOON_FREE], 1000);
    CHECK_EQ(b->balloon.stats[BALLOON_AVAILABLE], 1002);
    CHECK_EQ(b->balloon.virtio.queues[STATS].in_flight, 0);
    CHECK(!ring_used(&b->g, &b->rings[STATS], &written));
    virtio_balloon_ask_stats(&b->balloon);
    CHECK(ring_used(&b->g, &b->rings[STATS], &written));
    virtio_balloon_ask_stats(&b->balloon); /* it has not answered yet */
    CHECK(!ring_used(&b->g, &b->rings[STATS], &written));
}

TEST(balloon, goes_on_after_save_and_load)
{
    static struct virtio_balloon other;
    struct bench *b = make(0);
    struct virtio_balloon_config config = config_of(b);

    virtio_balloon_set_target(&b->balloon, 100 * PAGE_SIZE);
    write_config(&b->g, 4, 60, 4);
    virtio_balloon_init(&other, &config);
    move_state(&virtio_balloon_ops, &b->balloon, &other);
    CHECK_EQ(other.actual_pages, 60);
    CHECK_EQ(load_le32(other.virtio.config), 100);
}

TEST_MAIN(TESTS(balloon, gives_back_runs_of_pages_in_either_order),
          TESTS(balloon, leaves_alone_what_is_no_ram),
          TESTS(balloon, reported_pages_go_if_they_are_whole),
          TESTS(balloon, without_reporting_nothing_is_reported),
          TESTS(balloon, tells_its_target_and_hears_how_far_the_driver_is),
          TESTS(balloon, asks_for_figures_and_keeps_no_buffer),
          TESTS(balloon, goes_on_after_save_and_load))
