/* SPDX-License-Identifier: Apache-2.0
 * Hostile drivers: each row spoils one honest chain. The device must ask for a
 * reset, or survive where the specification has no word, and work after it. */
#include "dev/virtio/blk.h"
#include "dev/virtio/rng.h"
#include "unit/dev/driver.h"

struct bench {
    struct guest g;
    struct virtio_rng rng;
    struct ring ring;
};

static struct bench bench;

static void fill(void *owner, void *to, size_t size)
{
    (void)owner;
    memset(to, 0xa5, size);
}

static void make(bool pci)
{
    guest_init(&bench.g, pci);
    virtio_rng_init(&bench.rng, &(struct virtio_rng_config){&bench.g.space, {fill, NULL}});
    guest_attach(&bench.g, &bench.rng.virtio);
}

static void start(uint64_t features)
{
    bench.g.next_free = RAM_BASE + 0x1000;
    negotiate(&bench.g, features);
    ring_init(&bench.g, &bench.ring, 0, 8, features);
    set_status(&bench.g, 0xf);
}

/* Two buffers, the second writable; slots 0 and 1 of the ring, or of the table. */
static void add_honest(void)
{
    gpa_t at = allocate(&bench.g, 128);
    const struct buffer buffers[2] = {{at, 16, false}, {at + 16, 16, true}};

    ring_add(&bench.g, &bench.ring, buffers, 2);
}

static void check_works(uint64_t features)
{
    uint32_t written = 0;

    start(features);
    add_honest();
    notify(&bench.g, 0);
    CHECK(ring_used(&bench.g, &bench.ring, &written));
    CHECK_EQ(written, 16);
    CHECK_EQ(get_status(&bench.g), 0xf);
}

static uint8_t *descriptor(unsigned slot)
{
    return at_ram(&bench.g, bench.ring.descriptors + UINT64_C(16) * slot);
}

/* Where the descriptors of the honest chain lie: ring or indirect table. */
static uint8_t *chain_descriptor(unsigned i)
{
    if (!bench.ring.indirect)
        return descriptor(i);
    return at_ram(&bench.g, load_le64(descriptor(0)) + UINT64_C(16) * i);
}

static uint8_t *chain_flags(unsigned i)
{
    return chain_descriptor(i) + (bench.ring.packed ? 14 : 12);
}

static void set_flags(uint8_t *flags, unsigned set, unsigned clear)
{
    store_le16(flags, (uint16_t)((load_le16(flags) | set) & ~clear));
}

static void length_zero(void)
{
    store_le32(chain_descriptor(1) + 8, 0);
}

static void length_huge(void)
{
    store_le32(chain_descriptor(1) + 8, UINT32_MAX);
}

static void address_overflows(void)
{
    store_le64(chain_descriptor(1), UINT64_MAX - 7);
}

static void address_outside_ram(void)
{
    store_le64(chain_descriptor(0), 0x1000);
}

static void address_straddles_the_end(void)
{
    store_le64(chain_descriptor(0), RAM_BASE + RAM_SIZE - 8);
}

static void address_in_mmio(void)
{
    store_le64(chain_descriptor(1), bench.g.pci ? COMMON : MMIO_BASE);
}

static void address_in_ecam_or_own_registers(void)
{
    store_le64(chain_descriptor(1), bench.g.pci ? ECAM_BASE : MMIO_BASE + 0x50);
}

static void address_in_the_ring(void)
{
    store_le64(chain_descriptor(1), bench.ring.descriptors);
}

static void address_in_the_device_area(void)
{
    store_le64(chain_descriptor(1), bench.ring.device_area);
    store_le32(chain_descriptor(1) + 8, 4);
}

static void writable_before_readable(void)
{
    set_flags(chain_flags(0), 2, 0);
    set_flags(chain_flags(1), 0, 2);
}

/* Whether it lies in the ring or in a table, the table behind it is valid. */
static void indirect_inside_indirect(void)
{
    gpa_t table = allocate(&bench.g, 16);

    put_descriptor(&bench.g, table, &(struct buffer){table, 16, true}, bench.ring.packed ? 0 : 2,
                   bench.ring.packed ? 2 : 0);
    store_le64(chain_descriptor(1), table);
    store_le32(chain_descriptor(1) + 8, 16);
    set_flags(chain_flags(1), 4, 0);
}

static void loop(void)
{
    set_flags(chain_flags(1), 1, 0);
    store_le16(chain_descriptor(1) + 14, 0);
}

static void next_out_of_range(void)
{
    store_le16(chain_descriptor(0) + 14, 0x1234);
}

static void head_out_of_range(void)
{
    store_le16(at_ram(&bench.g, bench.ring.driver_area) + 4, 8);
}

static void index_jumps(void)
{
    store_le16(at_ram(&bench.g, bench.ring.driver_area) + 2, 65535);
}

static void index_jumps_by_one_too_many(void)
{
    store_le16(at_ram(&bench.g, bench.ring.driver_area) + 2, 9);
}

static void table_of_odd_size(void)
{
    store_le32(descriptor(0) + 8, 17);
}

static void table_of_no_size(void)
{
    store_le32(descriptor(0) + 8, 0);
}

static void table_outside_ram(void)
{
    store_le64(descriptor(0), RAM_BASE + RAM_SIZE - 16);
}

static void table_with_successor(void)
{
    set_flags(descriptor(0) + (bench.ring.packed ? 14 : 12), 1, 0);
}

static void table_is_the_ring(void)
{
    store_le64(descriptor(0), bench.ring.descriptors);
}

static void table_too_long(void)
{
    gpa_t table = allocate(&bench.g, 4800);

    for (unsigned i = 0; i < 300; i++)
        put_descriptor(&bench.g, table + UINT64_C(16) * i, &(struct buffer){table, 16, true},
                       bench.ring.packed ? 0 : 3, bench.ring.packed ? 2 : i + 1);
    store_le64(descriptor(0), table);
    store_le32(descriptor(0) + 8, 4800);
}

static void chain_longer_than_the_ring(void)
{
    for (unsigned i = 0; i < 8; i++)
        put_descriptor(&bench.g, bench.ring.descriptors + UINT64_C(16) * i,
                       &(struct buffer){RAM_BASE, 16, true}, 0, 0x83);
}

enum {
    SPLIT = 1,
    PACKED_RING = 2,
    BOTH = 3,
    DIRECT = 4,
    INDIRECT = 8,
    ANY = 12,
};

struct attack {
    const char *name;
    void (*spoil)(void);
    unsigned where;
    bool survives; /* no rule is broken that we can see: just no crash */
};

static const struct attack attacks[] = {
    {"length 0", length_zero, BOTH | ANY, false},
    {"length 2^32-1", length_huge, BOTH | ANY, false},
    {"address + length overflows", address_overflows, BOTH | ANY, false},
    {"address outside of RAM", address_outside_ram, BOTH | ANY, false},
    {"address straddles the end of RAM", address_straddles_the_end, BOTH | ANY, false},
    {"address in a device", address_in_mmio, BOTH | ANY, false},
    {"address in own registers", address_in_ecam_or_own_registers, BOTH | ANY, false},
    {"address in the ring itself", address_in_the_ring, BOTH | ANY, true},
    {"address in the device area", address_in_the_device_area, BOTH | ANY, true},
    {"writable before readable", writable_before_readable, BOTH | ANY, false},
    {"indirect without table / in a table", indirect_inside_indirect, BOTH | ANY, false},
    {"loop", loop, SPLIT | ANY, false},
    {"next out of range", next_out_of_range, SPLIT | ANY, false},
    {"head out of range", head_out_of_range, SPLIT | ANY, false},
    {"available index jumps", index_jumps, SPLIT | ANY, false},
    {"available index jumps by 9", index_jumps_by_one_too_many, SPLIT | ANY, false},
    {"table of odd size", table_of_odd_size, BOTH | INDIRECT, false},
    {"table of no size", table_of_no_size, BOTH | INDIRECT, false},
    {"table outside of RAM", table_outside_ram, BOTH | INDIRECT, false},
    {"table with successor", table_with_successor, BOTH | INDIRECT, false},
    {"table is the ring", table_is_the_ring, BOTH | INDIRECT, false},
    {"table too long", table_too_long, BOTH | INDIRECT, false},
    {"chain longer than the ring", chain_longer_than_the_ring, PACKED_RING | DIRECT, false},
};

static void run_attack(const struct attack *attack, uint64_t features)
{
    struct guest *g = &bench.g;

    start(features);
    add_honest();
    attack->spoil();
    notify(g, 0);
    bool broken = (get_status(g) & VIRTIO_STATUS_NEEDS_RESET) != 0;
    if (broken == attack->survives)
        fail_msg("%s (pci %d, features 0x%llx): status 0x%x", attack->name, g->pci,
                 (unsigned long long)features, get_status(g));
    if (broken) {
        CHECK(line_is_high(g));
        CHECK(take_interrupt(g) & VIRTIO_ISR_CONFIG);
    }
    notify(g, 0); /* deaf until the reset */
    CHECK_EQ((get_status(g) & VIRTIO_STATUS_NEEDS_RESET) != 0, broken);
    check_works(features);
}

TEST(virtqueue, broken_rules_end_in_needs_reset_and_a_reset_heals)
{
    for (unsigned pci = 0; pci < 2; pci++) {
        make(pci != 0);
        for (unsigned layout = 0; layout < 4; layout++) {
            uint64_t features =
                (layout & 1 ? VIRTIO_F_RING_PACKED : 0) | (layout & 2 ? VIRTIO_F_INDIRECT_DESC : 0);
            unsigned where = layout & 1 ? PACKED_RING : SPLIT;
            unsigned kind = layout & 2 ? INDIRECT : DIRECT;
            for (unsigned i = 0; i < ARRAY_LEN(attacks); i++)
                if ((attacks[i].where & where) && (attacks[i].where & kind))
                    run_attack(&attacks[i], features);
        }
    }
}

struct bad_queue {
    unsigned size;
    int64_t offset[3];        /* added to the honest area addresses */
    int64_t packed_only_good; /* fine for the packed layout */
};

static const struct bad_queue bad_queues[] = {
    {0, {0, 0, 0}, 0},
    {3, {0, 0, 0}, 1},
    {65535, {0, 0, 0}, 0},
    {8, {8, 0, 0}, 0},
    {8, {0, 1, 0}, 0},
    {8, {0, 0, 2}, 0},
    {8, {-0x80000000LL, 0, 0}, 0},
    {8, {0, INT64_MAX - 0xffff, 0}, 0},
};

TEST(virtqueue, queues_of_bad_shape_do_not_start)
{
    for (unsigned combination = 0; combination < 4; combination++) {
        uint64_t features = combination & 1 ? VIRTIO_F_RING_PACKED : 0;
        struct guest *g = &bench.g;
        make((combination & 2) != 0);
        for (unsigned i = 0; i < ARRAY_LEN(bad_queues); i++) {
            const struct bad_queue *bad = &bad_queues[i];
            negotiate(g, features);
            gpa_t areas[3];
            for (unsigned k = 0; k < 3; k++)
                areas[k] = RAM_BASE + UINT64_C(0x1000) * (k + 1) + (uint64_t)bad->offset[k];
            select_queue(g, 0);
            enable_queue(g, (unsigned)bad->size, areas);
            bool good = features && bad->packed_only_good;
            CHECK_EQ(queue_ready(g, 0), good);
            CHECK_EQ((get_status(g) & VIRTIO_STATUS_NEEDS_RESET) != 0, !good);
            check_works(features);
        }
    }
}

TEST(virtqueue, ready_toggles_and_ghost_queues_are_harmless)
{
    struct guest *g = &bench.g;

    make(false);
    start(0);
    add_honest();
    poke(g, MMIO_BASE + 0x44, 0, 4);
    notify(g, 0);
    notify(g, 1);
    notify(g, 0xffffffff);
    CHECK_EQ(get_status(g), 0xf);
    select_queue(g, 7);
    CHECK_EQ(peek(g, MMIO_BASE + 0x34, 4), 0);
    poke(g, MMIO_BASE + 0x44, 1, 4);
    poke(g, MMIO_BASE + 0x38, 4, 4);
    CHECK_EQ(peek(g, MMIO_BASE + 0x44, 4), 0);
    check_works(0);
}

TEST(virtqueue, registers_answer_every_width_and_offset)
{
    for (unsigned pci = 0; pci < 2; pci++) {
        make(pci != 0);
        start(0);
        gpa_t base = pci ? COMMON : MMIO_BASE;
        uint64_t size = pci ? 0x4000 : 0x1000;
        for (unsigned width = 1; width <= 8; width *= 2)
            for (uint64_t at = 0; at < size; at += width)
                peek(&bench.g, base + at, width);
        for (unsigned width = 1; width <= 8; width *= 2)
            for (uint64_t at = 0; at < size; at += width)
                poke(&bench.g, base + at, UINT64_MAX, width);
        check_works(0);
    }
}

/* A disk that answers when told to. */
static struct block_request *waiting[256];
static unsigned waiting_count;

static void keep(void *owner, struct block_request *request)
{
    (void)owner;
    waiting[waiting_count++] = request;
}

TEST(virtqueue, more_chains_in_flight_than_slots_is_an_error)
{
    static struct virtio_blk blk;
    struct guest *g = &bench.g;
    struct virtio_blk_config config = {.space = &g->space, .disk = {512, false, false, keep, NULL}};

    guest_init(g, false);
    virtio_blk_init(&blk, &config);
    guest_attach(g, &blk.virtio);
    start(0);
    waiting_count = 0;
    gpa_t at = allocate(g, 1024);
    const struct buffer buffers[2] = {{at, 16, false}, {at + 16, 513, true}};
    for (unsigned i = 0; i < 9; i++) { /* the ring has 8 slots */
        ring_add(g, &bench.ring, buffers, 2);
        notify(g, 0);
    }
    CHECK_EQ(waiting_count, 8);
    CHECK(get_status(g) & VIRTIO_STATUS_NEEDS_RESET);
    for (unsigned i = 0; i < waiting_count; i++)
        waiting[i]->done(waiting[i], 0);
    CHECK(virtio_blk_is_idle(&blk));
    CHECK_EQ(load_le16(at_ram(g, bench.ring.device_area) + 2), 0);
}

TEST(virtqueue, packed_chains_do_not_overtake_slots_in_flight)
{
    static struct virtio_blk blk;
    struct guest *g = &bench.g;
    struct virtio_blk_config config = {.space = &g->space, .disk = {512, false, false, keep, NULL}};

    guest_init(g, false);
    virtio_blk_init(&blk, &config);
    guest_attach(g, &blk.virtio);
    start(VIRTIO_F_RING_PACKED);
    waiting_count = 0;
    gpa_t at = allocate(g, 1024);
    const struct buffer buffers[3] = {{at, 16, false}, {at + 16, 512, true}, {at + 600, 1, true}};
    for (unsigned i = 0; i < 3; i++) { /* 9 slots; the ring has 8 */
        ring_add(g, &bench.ring, buffers, 3);
        notify(g, 0);
    }
    CHECK_EQ(waiting_count, 2);
    CHECK(get_status(g) & VIRTIO_STATUS_NEEDS_RESET);
}

TEST(virtqueue, a_block_request_without_header_or_status_breaks_the_device)
{
    static struct virtio_blk blk;
    struct guest *g = &bench.g;
    struct virtio_blk_config config = {.space = &g->space, .disk = {512, false, false, keep, NULL}};
    const struct buffer bad[3] = {
        {RAM_BASE, 16, false}, {RAM_BASE, 15, false}, {RAM_BASE, 100, true}};

    guest_init(g, true);
    virtio_blk_init(&blk, &config);
    guest_attach(g, &blk.virtio);
    for (unsigned i = 0; i < 3; i++) {
        start(0);
        ring_add(g, &bench.ring, &bad[i], 1);
        notify(g, 0);
        CHECK(get_status(g) & VIRTIO_STATUS_NEEDS_RESET);
    }
}

TEST_MAIN(TESTS(virtqueue, broken_rules_end_in_needs_reset_and_a_reset_heals),
          TESTS(virtqueue, queues_of_bad_shape_do_not_start),
          TESTS(virtqueue, ready_toggles_and_ghost_queues_are_harmless),
          TESTS(virtqueue, registers_answer_every_width_and_offset),
          TESTS(virtqueue, more_chains_in_flight_than_slots_is_an_error),
          TESTS(virtqueue, packed_chains_do_not_overtake_slots_in_flight),
          TESTS(virtqueue, a_block_request_without_header_or_status_breaks_the_device))
