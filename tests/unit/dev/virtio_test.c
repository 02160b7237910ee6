/* SPDX-License-Identifier: Apache-2.0
 * virtio devices over both transports and both ring layouts. */
#include "dev/virtio/blk.h"
#include "dev/virtio/console.h"
#include "dev/virtio/rng.h"
#include "unit/dev/driver.h"

/* Most tests run over all of these. */
struct variant {
    bool pci;
    uint64_t features;
};

static const struct variant variants[] = {
    {false, 0},
    {true, 0},
    {false, VIRTIO_F_RING_PACKED},
    {true, VIRTIO_F_RING_PACKED},
    {false, VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX},
    {true, VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX},
};

static void fill(void *owner, void *to, size_t size)
{
    (void)owner;
    memset(to, 0xa5, size);
}

/* A disk in memory. While `held` it keeps requests instead of answering. */
struct disk {
    bool held;
    int result;
    unsigned flushes;
    unsigned waiting;
    struct block_request *queue[256];
    uint8_t bytes[UINT64_C(64) * 512];
};

static void answer(struct disk *disk, struct block_request *r)
{
    uint64_t at = r->offset;

    for (unsigned i = 0; disk->result == 0 && i < r->segment_count; i++) {
        if (r->op == BLOCK_READ)
            memcpy(r->segments[i].bytes, disk->bytes + at, r->segments[i].size);
        else
            memcpy(disk->bytes + at, r->segments[i].bytes, r->segments[i].size);
        at += r->segments[i].size;
    }
    if (r->op == BLOCK_DISCARD || r->op == BLOCK_WRITE_ZEROES)
        memset(disk->bytes + r->offset, 0, r->size);
    disk->flushes += r->op == BLOCK_FLUSH;
    r->done(r, disk->result);
}

static void disk_submit(void *owner, struct block_request *r)
{
    struct disk *disk = owner;

    if (disk->held)
        disk->queue[disk->waiting++] = r;
    else
        answer(disk, r);
}

static void release(struct disk *disk)
{
    unsigned count = disk->waiting;

    disk->waiting = 0;
    for (unsigned i = 0; i < count; i++)
        answer(disk, disk->queue[i]);
}

struct bench {
    struct guest g;
    struct sink sink;
    struct disk disk;
    struct virtio_rng rng;
    struct virtio_console console;
    struct virtio_blk blk;
    struct ring ring;
    struct ring rx;
};

static struct bench bench;

static struct bench *make_rng(const struct variant *v)
{
    struct bench *b = &bench;

    guest_init(&b->g, v->pci);
    virtio_rng_init(&b->rng, &(struct virtio_rng_config){&b->g.space, {fill, NULL}});
    guest_attach(&b->g, &b->rng.virtio);
    return b;
}

static struct bench *make_console(const struct variant *v)
{
    struct bench *b = &bench;

    guest_init(&b->g, v->pci);
    memset(&b->sink, 0, sizeof(b->sink));
    b->sink.room = 1 << 20;
    virtio_console_init(&b->console,
                        &(struct virtio_console_config){&b->g.space, sink_port(&b->sink), 80, 25});
    guest_attach(&b->g, &b->console.virtio);
    negotiate(&b->g, v->features | BIT(0));
    ring_init(&b->g, &b->rx, 0, 16, v->features);
    ring_init(&b->g, &b->ring, 1, 16, v->features);
    set_status(&b->g, 0xf);
    return b;
}

static struct bench *make_blk(const struct variant *v, bool read_only, uint64_t features)
{
    struct bench *b = &bench;

    guest_init(&b->g, v->pci);
    memset(&b->disk, 0, sizeof(b->disk));
    for (unsigned i = 0; i < sizeof(b->disk.bytes); i++)
        b->disk.bytes[i] = (uint8_t)(i / 512 + i);
    struct virtio_blk_config config = {
        .space = &b->g.space,
        .disk = {sizeof(b->disk.bytes), read_only, true, disk_submit, &b->disk},
        .serial = "SN-1",
    };
    virtio_blk_init(&b->blk, &config);
    guest_attach(&b->g, &b->blk.virtio);
    negotiate(&b->g, v->features | features);
    ring_init(&b->g, &b->ring, 0, 32, v->features);
    set_status(&b->g, 0xf);
    return b;
}

#define FLUSH_FEATURE BIT(9)

/* One block request; returns its status byte, 0xee when it did not complete. */
static unsigned blk_request(struct bench *b, unsigned type, uint64_t sector, gpa_t data,
                            uint32_t size, bool device_writes)
{
    gpa_t header = allocate(&b->g, 16);
    gpa_t status = allocate(&b->g, 1);
    struct buffer buffers[4] = {{header, 16, false}};
    unsigned count = 1;
    uint32_t written;

    store_le32(at_ram(&b->g, header), type);
    store_le32(at_ram(&b->g, header) + 4, 0);
    store_le64(at_ram(&b->g, header) + 8, sector);
    if (size > 100) { /* two pieces, so that the seams are seen */
        buffers[count++] = (struct buffer){data, 100, device_writes};
        buffers[count++] = (struct buffer){data + 100, size - 100, device_writes};
    } else if (size) {
        buffers[count++] = (struct buffer){data, size, device_writes};
    }
    *at_ram(&b->g, status) = 0xee;
    buffers[count++] = (struct buffer){status, 1, true};
    ring_add(&b->g, &b->ring, buffers, count);
    notify(&b->g, 0);
    if (!b->disk.held && get_status(&b->g) == 0xf)
        CHECK(ring_used(&b->g, &b->ring, &written));
    return *at_ram(&b->g, status);
}

TEST(virtio, features_are_checked_and_then_frozen)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make_rng(v);
        struct guest *g = &b->g;
        if (v->pci)
            map_bar(g);
        CHECK_EQ(read_features(g), VIRTIO_F_COMMON);
        set_status(g, 3);
        write_features(g, VIRTIO_F_VERSION_1 | BIT(7));
        set_status(g, 0xb);
        CHECK_EQ(get_status(g), 3);
        set_status(g, 0xf); /* DRIVER_OK is not to be had then */
        CHECK_EQ(get_status(g), 3);
        negotiate(g, 0);
        write_features(g, VIRTIO_F_RING_PACKED);
        CHECK_EQ(g->device->driver_features, VIRTIO_F_VERSION_1);
        set_status(g, 0);
        CHECK_EQ(get_status(g), 0);
    }
}

TEST(virtio, small_kernels_need_not_accept_version_1)
{
    struct bench *b = make_rng(&variants[0]);

    set_status(&b->g, 3);
    poke(&b->g, MMIO_BASE + 0x20, 0, 4);
    set_status(&b->g, 0xb);
    CHECK_EQ(get_status(&b->g), 0xb);
    CHECK_EQ(peek(&b->g, MMIO_BASE, 4), 0x74726976);
    CHECK_EQ(peek(&b->g, MMIO_BASE + 4, 4), 2);
    CHECK_EQ(peek(&b->g, MMIO_BASE + 8, 4), 4);
}

TEST(virtio, an_empty_mmio_slot_has_device_id_0)
{
    struct virtio_mmio slot;
    struct irq_line line = {0};

    virtio_mmio_init(&slot, NULL, &line);
    CHECK_EQ(virtio_mmio_mmio.read(&slot, 0, 4), 0x74726976);
    for (unsigned at = 8; at < 0x200; at += 4) {
        virtio_mmio_mmio.write(&slot, at, 0xffffffff, 4);
        CHECK(at == 0xc || virtio_mmio_mmio.read(&slot, at, 4) == 0);
    }
}

TEST(rng, fills_what_it_is_given)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make_rng(v);
        struct guest *g = &b->g;
        uint32_t written = 0;
        negotiate(g, v->features);
        ring_init(g, &b->ring, 0, 8, v->features);
        gpa_t at = allocate(g, 256);
        struct buffer buffers[] = {{at, 10, true}, {at + 20, 30, true}};
        ring_add(g, &b->ring, buffers, 2);
        notify(g, 0);
        CHECK(!ring_used(g, &b->ring, &written)); /* not before DRIVER_OK */
        set_status(g, 0xf);
        CHECK(ring_used(g, &b->ring, &written));
        CHECK_EQ(written, 40);
        CHECK(*at_ram(g, at + 49) == 0xa5 && *at_ram(g, at + 10) == 0);
        CHECK(line_is_high(g));
        CHECK_EQ(take_interrupt(g), VIRTIO_ISR_QUEUE);
        CHECK(!line_is_high(g));
        for (unsigned i = 0; i < 100; i++) { /* round and round */
            ring_add(g, &b->ring, buffers, 1 + i % 2);
            notify(g, 0);
            CHECK(ring_used(g, &b->ring, &written));
            CHECK_EQ(written, i % 2 ? 40 : 10);
        }
    }
}

TEST(rng, one_notification_serves_the_whole_queue)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make_rng(v);
        struct guest *g = &b->g;
        uint32_t written;
        negotiate(g, v->features);
        ring_init(g, &b->ring, 0, 64, v->features);
        set_status(g, 0xf);
        struct buffer buffer = {allocate(g, 8), 8, true};
        for (unsigned i = 0; i < 64; i++)
            ring_add(g, &b->ring, &buffer, 1);
        notify(g, 0);
        for (unsigned i = 0; i < 64; i++)
            CHECK(ring_used(g, &b->ring, &written));
        CHECK(!ring_used(g, &b->ring, &written));
    }
}

TEST(virtio, interrupts_are_suppressed_as_the_driver_asks)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make_rng(v);
        struct guest *g = &b->g;
        negotiate(g, v->features);
        ring_init(g, &b->ring, 0, 8, v->features);
        set_status(g, 0xf);
        struct buffer buffer = {allocate(g, 8), 8, true};
        uint8_t *driver = at_ram(g, b->ring.driver_area);
        bool event_index = (v->features & VIRTIO_F_EVENT_IDX) != 0;
        if (b->ring.packed && event_index) {
            store_le16(driver, 2 | 0x8000);
            store_le16(driver + 2, 2);
        } else if (b->ring.packed) {
            store_le16(driver + 2, 1);
        } else if (event_index) {
            store_le16(driver + 20, 2); /* used_event: the third */
        } else {
            store_le16(driver, 1);
        }
        for (unsigned i = 0; i < 4; i++) {
            ring_add(g, &b->ring, &buffer, 1);
            notify(g, 0);
            CHECK_EQ(take_interrupt(g), event_index && i == 2 ? VIRTIO_ISR_QUEUE : 0);
        }
    }
}

TEST(console, sends_chains_and_receives_input)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make_console(v);
        struct guest *g = &b->g;
        struct stream_handler handler = virtio_console_handler(&b->console);
        uint32_t written;
        gpa_t at = allocate(g, 64);
        CHECK(read_config(g, 0, 2) == 80 && read_config(g, 2, 2) == 25);
        memcpy(at_ram(g, at), "hello, world", 12);
        struct buffer out[] = {{at, 5, false}, {at + 5, 7, false}};
        ring_add(g, &b->ring, out, 2);
        notify(g, 1);
        CHECK(ring_used(g, &b->ring, &written));
        CHECK(b->sink.length == 12 && memcmp(b->sink.bytes, "hello, world", 12) == 0);
        CHECK_EQ(handler.receive(handler.device, (const uint8_t *)"abc", 3), 0);
        struct buffer in = {allocate(g, 64), 2, true};
        ring_add(g, &b->rx, &in, 1);
        notify(g, 0);
        CHECK_EQ(b->sink.readable_calls, 1);
        CHECK_EQ(handler.receive(handler.device, (const uint8_t *)"abc", 3), 2);
        CHECK(ring_used(g, &b->rx, &written) && written == 2);
        CHECK_EQ(memcmp(at_ram(g, in.at), "ab", 2), 0);
        write_config(g, 8, '!', 4);
        CHECK_EQ(b->sink.bytes[12], '!');
        take_interrupt(g);
        virtio_console_resize(&b->console, 132, 43);
        CHECK_EQ(take_interrupt(g), VIRTIO_ISR_CONFIG);
        CHECK_EQ(read_config(g, 0, 4), 43u << 16 | 132);
    }
}

TEST(console, goes_on_in_mid_chain_after_save_and_load)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        static struct virtio_console other;
        static struct sink sink;
        struct bench *b = make_console(v);
        struct guest *g = &b->g;
        uint32_t written;
        gpa_t at = allocate(g, 64);
        memcpy(at_ram(g, at), "0123456789", 10);
        struct buffer out[] = {{at, 6, false}, {at + 6, 4, false}};
        b->sink.room = 3;
        ring_add(g, &b->ring, out, 2);
        ring_add(g, &b->ring, out, 1);
        notify(g, 1);
        notify(g, 1);
        CHECK(b->sink.length == 3 && !ring_used(g, &b->ring, &written));
        memset(&sink, 0, sizeof(sink));
        sink.room = 5;
        virtio_console_init(&other,
                            &(struct virtio_console_config){&g->space, sink_port(&sink), 80, 25});
        move_state(&virtio_console_ops, &b->console, &other);
        CHECK(sink.length == 5 && memcmp(sink.bytes, "34567", 5) == 0);
        CHECK(!ring_used(g, &b->ring, &written));
        sink.room = 100;
        struct stream_handler handler = virtio_console_handler(&other);
        handler.writable(handler.device);
        CHECK_EQ(memcmp(sink.bytes, "3456789012345", 13), 0);
        CHECK(ring_used(g, &b->ring, &written) && ring_used(g, &b->ring, &written));
    }
}

TEST(console, puts_back_a_chain_that_wraps_round_the_ring)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make_console(v);
        struct guest *g = &b->g;
        uint32_t written;
        gpa_t at = allocate(g, 64);
        memcpy(at_ram(g, at), "0123456789", 10);
        struct buffer out[] = {{at, 6, false}, {at + 6, 4, false}};
        for (unsigned i = 0; i < 15; i++) {
            ring_add(g, &b->ring, out, 1);
            notify(g, 1);
            CHECK(ring_used(g, &b->ring, &written));
        }
        b->sink.length = 0;
        b->sink.room = 3;
        ring_add(g, &b->ring, out, 2);
        notify(g, 1);
        CHECK(!ring_used(g, &b->ring, &written));
        b->sink.room = 100;
        struct stream_handler handler = virtio_console_handler(&b->console);
        handler.writable(handler.device);
        CHECK(ring_used(g, &b->ring, &written));
        CHECK(b->sink.length == 10 && memcmp(b->sink.bytes, "0123456789", 10) == 0);
        CHECK_EQ(get_status(g), 0xf);
    }
}

TEST(blk, reads_writes_and_names_itself)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make_blk(v, false, FLUSH_FEATURE);
        struct guest *g = &b->g;
        gpa_t data = allocate(g, 2048);
        CHECK_EQ(read_config(g, 0, 4), 64);
        CHECK_EQ(blk_request(b, 0, 3, data, 1024, true), 0);
        CHECK_EQ(memcmp(at_ram(g, data), b->disk.bytes + UINT64_C(3) * 512, 1024), 0);
        memset(at_ram(g, data), 0x77, 2048);
        CHECK_EQ(blk_request(b, 1, 60, data, 2048, false), 0);
        CHECK(b->disk.bytes[UINT64_C(60) * 512] == 0x77 &&
              b->disk.bytes[UINT64_C(64) * 512 - 1] == 0x77);
        CHECK_EQ(b->disk.flushes, 0);
        CHECK_EQ(blk_request(b, 4, 0, 0, 0, false), 0);
        CHECK_EQ(b->disk.flushes, 1);
        CHECK_EQ(blk_request(b, 8, 0, data, 20, true), 0);
        CHECK_STR((const char *)at_ram(g, data), "SN-1");
        CHECK(virtio_blk_is_idle(&b->blk));
    }
}

TEST(blk, bad_requests_get_error_status)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make_blk(v, false, FLUSH_FEATURE);
        gpa_t data = allocate(&b->g, 2048);
        CHECK_EQ(blk_request(b, 0, 63, data, 1024, true), 1);
        CHECK_EQ(blk_request(b, 0, UINT64_MAX, data, 512, true), 1);
        CHECK_EQ(blk_request(b, 0, UINT64_MAX / 512, data, 512, true), 1);
        CHECK_EQ(blk_request(b, 1, 0, data, 511, false), 1);
        CHECK_EQ(blk_request(b, 0, 0, data, 0, true), 1);
        CHECK_EQ(blk_request(b, 77, 0, data, 512, true), 2);
        b->disk.result = -5;
        CHECK_EQ(blk_request(b, 0, 0, data, 512, true), 1);
        CHECK_EQ(*at_ram(&b->g, data), 0);
        b->disk.result = 0;
        CHECK_EQ(blk_request(b, 0, 0, data, 512, true), 0);
        CHECK_EQ(get_status(&b->g), 0xf);
        b = make_blk(v, true, 0);
        CHECK_EQ(blk_request(b, 1, 0, allocate(&b->g, 512), 512, false), 1);
    }
}

TEST(blk, writes_are_stable_when_the_driver_cannot_flush)
{
    struct bench *b = make_blk(&variants[0], false, 0);

    CHECK_EQ(blk_request(b, 1, 0, allocate(&b->g, 512), 512, false), 0);
    CHECK_EQ(b->disk.flushes, 1);
}

TEST(blk, discards_and_writes_zeroes_within_bounds)
{
    struct bench *b = make_blk(&variants[1], false, FLUSH_FEATURE);
    gpa_t range = allocate(&b->g, 16);
    uint8_t *bytes = at_ram(&b->g, range);

    store_le64(bytes, 8);
    store_le32(bytes + 8, 2);
    store_le32(bytes + 12, 1);
    CHECK_EQ(blk_request(b, 13, 0, range, 16, false), 0);
    CHECK(b->disk.bytes[UINT64_C(8) * 512 + 1] == 0 && b->disk.bytes[UINT64_C(10) * 512 + 1] != 0);
    CHECK_EQ(blk_request(b, 11, 0, range, 16, false), 2); /* unmap is not for discard */
    store_le32(bytes + 12, 0);
    CHECK_EQ(blk_request(b, 11, 0, range, 16, false), 0);
    store_le32(bytes + 8, 0xffffffff);
    CHECK_EQ(blk_request(b, 11, 0, range, 16, false), 1);
    CHECK_EQ(blk_request(b, 11, 0, range, 15, false), 1);
}

TEST(blk, completions_after_a_reset_touch_nothing)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make_blk(v, false, FLUSH_FEATURE);
        struct guest *g = &b->g;
        gpa_t data = allocate(g, 512);
        uint32_t written;
        b->disk.held = true;
        CHECK_EQ(blk_request(b, 0, 0, data, 512, true), 0xee);
        gpa_t status = g->next_free - 1;
        CHECK(!virtio_blk_is_idle(&b->blk));
        set_status(g, 0);
        CHECK(get_status(g) != 0); /* the back end may still write: not yet reset */
        release(&b->disk);
        CHECK_EQ(get_status(g), 0);
        CHECK(!ring_used(g, &b->ring, &written));
        CHECK(v->features & VIRTIO_F_INDIRECT_DESC || *at_ram(g, status) == 0xee);
        CHECK(!line_is_high(g));
        negotiate(g, v->features | FLUSH_FEATURE);
        ring_init(g, &b->ring, 0, 32, v->features);
        set_status(g, 0xf);
        b->disk.held = false;
        CHECK_EQ(blk_request(b, 0, 0, data, 512, true), 0);
    }
}

TEST(blk, orphans_do_not_answer_for_the_next_driver)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make_blk(v, false, FLUSH_FEATURE);
        struct guest *g = &b->g;
        uint32_t written;
        b->disk.held = true;
        blk_request(b, 4, 0, 0, 0, false);
        gpa_t header = allocate(g, 16);
        gpa_t status = allocate(g, 1);
        const struct buffer flush[2] = {{header, 16, false}, {status, 1, true}};
        store_le32(at_ram(g, header), 4);
        *at_ram(g, status) = 0xee;
        ring_add(g, &b->ring, flush, 2);
        notify(g, 0);
        set_status(g, 0);
        negotiate(g, v->features | FLUSH_FEATURE);
        ring_init(g, &b->ring, 0, 32, v->features);
        set_status(g, 0xf);
        release(&b->disk);
        CHECK_EQ(*at_ram(g, status), 0xee);
        CHECK(!ring_used(g, &b->ring, &written));
        CHECK(!line_is_high(g));
        CHECK(virtio_blk_is_idle(&b->blk));
    }
}

TEST(blk, requests_wait_while_orphans_hold_the_pool)
{
    struct bench *b = make_blk(&variants[4], false, FLUSH_FEATURE);
    struct guest *g = &b->g;
    gpa_t data = allocate(g, 512);
    uint32_t written;

    b->disk.held = true;
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < 32; i++)
            blk_request(b, 0, 0, data, 512, true);
        set_status(g, 0);
        negotiate(g, variants[4].features | FLUSH_FEATURE);
        ring_init(g, &b->ring, 0, 32, variants[4].features);
        set_status(g, 0xf);
    }
    CHECK_EQ(b->disk.waiting, VIRTIO_BLK_QUEUE_SIZE);
    blk_request(b, 0, 0, data, 512, true);
    CHECK(!ring_used(g, &b->ring, &written));
    b->disk.held = false;
    release(&b->disk);
    CHECK(ring_used(g, &b->ring, &written));
    CHECK(virtio_blk_is_idle(&b->blk));
}

TEST(blk, goes_on_after_save_and_load)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        static struct virtio_blk other;
        struct bench *b = make_blk(v, false, FLUSH_FEATURE);
        gpa_t data = allocate(&b->g, 512);
        CHECK_EQ(blk_request(b, 0, 1, data, 512, true), 0);
        virtio_blk_init(&other, &b->blk.config);
        move_state(&virtio_blk_ops, &b->blk, &other);
        CHECK_EQ(other.virtio.isr, b->blk.virtio.isr);
        /* The driver goes on where it was, and meets the new device. */
        memcpy(&b->blk, &other, sizeof(other));
        for (unsigned i = 0; i < VIRTIO_BLK_QUEUE_SIZE; i++)
            b->blk.requests[i].blk = &b->blk;
        CHECK_EQ(blk_request(b, 0, 2, data, 512, true), 0);
        CHECK_EQ(memcmp(at_ram(&b->g, data), b->disk.bytes + 1024, 512), 0);
    }
}

TEST(virtio, hostile_saved_state_is_refused)
{
    struct bench *b = make_blk(&variants[2], false, FLUSH_FEATURE);
    struct error err = {0};

    b->blk.virtio.queues[0].next_avail = 32;
    CHECK(virtio_blk_ops.loaded(&b->blk, &err) < 0);
    b->blk.virtio.queues[0].next_avail = 0;
    b->blk.virtio.queues[0].device_area = 0x1000;
    CHECK(virtio_blk_ops.loaded(&b->blk, &err) < 0);
    b->blk.virtio.queues[0].ready = false;
    CHECK_EQ(virtio_blk_ops.loaded(&b->blk, &err), 0);
    b->blk.virtio.queues[5].ready = true;
    CHECK(virtio_blk_ops.loaded(&b->blk, &err) < 0);
}

TEST_MAIN(TESTS(virtio, features_are_checked_and_then_frozen),
          TESTS(virtio, small_kernels_need_not_accept_version_1),
          TESTS(virtio, an_empty_mmio_slot_has_device_id_0), TESTS(rng, fills_what_it_is_given),
          TESTS(rng, one_notification_serves_the_whole_queue),
          TESTS(virtio, interrupts_are_suppressed_as_the_driver_asks),
          TESTS(console, sends_chains_and_receives_input),
          TESTS(console, goes_on_in_mid_chain_after_save_and_load),
          TESTS(console, puts_back_a_chain_that_wraps_round_the_ring),
          TESTS(blk, reads_writes_and_names_itself), TESTS(blk, bad_requests_get_error_status),
          TESTS(blk, writes_are_stable_when_the_driver_cannot_flush),
          TESTS(blk, discards_and_writes_zeroes_within_bounds),
          TESTS(blk, completions_after_a_reset_touch_nothing),
          TESTS(blk, orphans_do_not_answer_for_the_next_driver),
          TESTS(blk, requests_wait_while_orphans_hold_the_pool),
          TESTS(blk, goes_on_after_save_and_load), TESTS(virtio, hostile_saved_state_is_refused))
