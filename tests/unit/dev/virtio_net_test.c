/* SPDX-License-Identifier: Apache-2.0
 * The network device, with both ring layouts. */
#include "dev/virtio/net.h"
#include "unit/dev/driver.h"

enum {
    RX = 0,
    TX = 1,
    CTRL = 2,
    HEAD = 12,
};

#define F_CSUM       BIT(0)
#define F_GUEST_CSUM BIT(1)
#define F_MERGE      BIT(15)
#define F_CONTROL    (BIT(17) | BIT(18) | BIT(20) | BIT(23))
#define F_ANNOUNCE   BIT(21)

static const uint64_t layouts[] = {
    0,
    VIRTIO_F_RING_PACKED,
    VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX,
    VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX,
};

static const uint8_t own[NET_ADDRESS_SIZE] = {2, 0, 0, 0, 0, 1};

struct bench {
    struct guest g;
    struct virtio_net net;
    struct net_handler handler;
    struct ring rings[3];
    unsigned room; /* frames the link takes */
    unsigned frames;
    size_t size; /* of the last */
    unsigned invitations;
    uint8_t frame[NET_FRAME_MOST];
};

static bool link_transmit(void *owner, const uint8_t *frame, size_t size)
{
    struct bench *b = owner;

    if (b->room == 0)
        return false;
    b->room--;
    b->frames++;
    b->size = size;
    memcpy(b->frame, frame, size);
    return true;
}

static void link_readable(void *owner)
{
    ((struct bench *)owner)->invitations++;
}

static struct virtio_net_config config_of(struct bench *b)
{
    struct virtio_net_config config = {
        .space = &b->g.space,
        .link = {link_transmit, link_readable, b},
        .mtu = 9000,
        .checksums_are_good = true,
    };

    memcpy(config.address, own, sizeof(own));
    return config;
}

static struct bench *make(uint64_t features)
{
    static struct bench bench;
    struct bench *b = &bench;

    memset(b, 0, sizeof(*b));
    b->room = 100;
    guest_init(&b->g, true);
    struct virtio_net_config config = config_of(b);
    virtio_net_init(&b->net, &config);
    b->handler = virtio_net_handler(&b->net);
    guest_attach(&b->g, &b->net.virtio);
    negotiate(&b->g, features);
    for (unsigned q = 0; q < 3; q++)
        ring_init(&b->g, &b->rings[q], q, 16, features);
    set_status(&b->g, 0xf);
    return b;
}

/* Sends header and `size` bytes of `frame`; what was written to the chain. */
static bool send_frame(struct bench *b, const uint8_t *header, const uint8_t *frame, size_t size)
{
    gpa_t at = allocate(&b->g, HEAD + size);
    uint32_t written;

    memcpy(at_ram(&b->g, at), header, HEAD);
    memcpy(at_ram(&b->g, at + HEAD), frame, size);
    ring_add(&b->g, &b->rings[TX],
             (const struct buffer[]){{at, HEAD, false}, {at + HEAD, (uint32_t)size, false}}, 2);
    notify(&b->g, TX);
    return ring_used(&b->g, &b->rings[TX], &written);
}

static gpa_t offer_buffer(struct bench *b, uint32_t size)
{
    gpa_t at = allocate(&b->g, size);

    ring_add(&b->g, &b->rings[RX], &(const struct buffer){at, size, true}, 1);
    return at;
}

static bool receive(struct bench *b, const uint8_t *frame, size_t size)
{
    return b->handler.receive(b->handler.device, frame, size);
}

static void make_frame(uint8_t *frame, size_t size)
{
    for (size_t i = 0; i < size; i++)
        frame[i] = (uint8_t)(i * 7);
    memcpy(frame, own, sizeof(own));
}

TEST(net, says_its_address_mtu_and_that_the_cable_is_in)
{
    struct bench *b = make(0);

    for (unsigned i = 0; i < NET_ADDRESS_SIZE; i++)
        CHECK_EQ(read_config(&b->g, i, 1), own[i]);
    CHECK_EQ(read_config(&b->g, 6, 2), 1);
    CHECK_EQ(read_config(&b->g, 10, 2), 9000);
}

TEST(net, sends_frames_and_completes_their_checksums)
{
    for (unsigned i = 0; i < ARRAY_LEN(layouts); i++) {
        struct bench *b = make(layouts[i] | F_CSUM);
        uint8_t header[HEAD] = {0};
        uint8_t frame[61];
        make_frame(frame, sizeof(frame));
        CHECK(send_frame(b, header, frame, sizeof(frame)));
        CHECK_EQ(b->frames, 1);
        CHECK_EQ(b->size, sizeof(frame));
        CHECK_EQ(memcmp(b->frame, frame, sizeof(frame)), 0);

        header[0] = 1;
        store_le16(header + 6, 34); /* sum from there */
        store_le16(header + 8, 6);  /* to there */
        CHECK(send_frame(b, header, frame, sizeof(frame)));
        uint32_t sum = 0;
        for (unsigned at = 34; at < sizeof(frame); at++)
            sum += at % 2 == 0 ? (uint32_t)frame[at] << 8 : frame[at];
        sum = (sum & 0xffff) + (sum >> 16);
        CHECK_EQ(load_be16(b->frame + 40), ~(sum + (sum >> 16)) & 0xffff);
        CHECK_EQ(memcmp(b->frame, frame, 40), 0);
        CHECK_EQ(memcmp(b->frame + 42, frame + 42, sizeof(frame) - 42), 0);
    }
}

TEST(net, frames_that_cannot_be_sent_are_dropped)
{
    struct bench *b = make(F_CSUM);
    static uint8_t large[NET_FRAME_MOST + 1];
    uint8_t header[HEAD] = {0};

    CHECK(send_frame(b, header, large, NET_HEADER_SIZE - 1));
    CHECK(send_frame(b, header, large, sizeof(large)));
    header[1] = 1; /* segmentation, which was not offered */
    CHECK(send_frame(b, header, large, 100));
    header[1] = 0;
    header[0] = 1;
    store_le16(header + 6, 90);
    store_le16(header + 8, 9); /* the last byte and one more */
    CHECK(send_frame(b, header, large, 100));
    store_le16(header + 6, 0xffff);
    store_le16(header + 8, 0xffff);
    CHECK(send_frame(b, header, large, 100));
    CHECK_EQ(b->frames, 0);
    CHECK_EQ(get_status(&b->g), 0xf);
    header[0] = 0;
    CHECK(send_frame(b, header, large, NET_FRAME_MOST));
    CHECK_EQ(b->size, NET_FRAME_MOST);
}

TEST(net, a_frame_without_a_header_breaks_the_device)
{
    struct bench *b = make(0);
    gpa_t at = allocate(&b->g, HEAD);

    ring_add(&b->g, &b->rings[TX], &(const struct buffer){at, HEAD - 1, false}, 1);
    notify(&b->g, TX);
    CHECK_EQ(get_status(&b->g), 0x4f);
    negotiate(&b->g, 0);
    for (unsigned q = 0; q < 3; q++)
        ring_init(&b->g, &b->rings[q], q, 16, 0);
    set_status(&b->g, 0xf);
    CHECK(send_frame(b, (const uint8_t[HEAD]){0}, own, 60));
}

TEST(net, frames_wait_for_room_in_the_link)
{
    for (unsigned i = 0; i < ARRAY_LEN(layouts); i++) {
        struct bench *b = make(layouts[i]);
        uint8_t frame[60];
        uint32_t written;
        make_frame(frame, sizeof(frame));
        b->room = 0;
        CHECK(!send_frame(b, (const uint8_t[HEAD]){0}, frame, sizeof(frame)));
        CHECK(!send_frame(b, (const uint8_t[HEAD]){0}, frame, sizeof(frame)));
        CHECK_EQ(b->net.virtio.queues[TX].in_flight, 0);
        b->room = 10;
        notify(&b->g, TX);
        CHECK_EQ(b->frames, 0);
        b->handler.writable(b->handler.device);
        CHECK_EQ(b->frames, 2);
        CHECK(ring_used(&b->g, &b->rings[TX], &written));
        CHECK(ring_used(&b->g, &b->rings[TX], &written));
    }
}

TEST(net, a_frame_fills_as_many_buffers_as_it_needs_at_once)
{
    for (unsigned i = 0; i < ARRAY_LEN(layouts); i++) {
        struct bench *b = make(layouts[i] | F_MERGE | F_GUEST_CSUM);
        uint8_t frame[1000];
        gpa_t at[3];
        uint32_t written;
        make_frame(frame, sizeof(frame));
        at[0] = offer_buffer(b, 400);
        at[1] = offer_buffer(b, 400);
        CHECK(!receive(b, frame, sizeof(frame)));
        CHECK(!ring_used(&b->g, &b->rings[RX], &written));
        CHECK_EQ(b->invitations, 0);
        at[2] = offer_buffer(b, 400);
        notify(&b->g, RX);
        CHECK_EQ(b->invitations, 1);
        CHECK(receive(b, frame, sizeof(frame)));

        CHECK_EQ(load_le16(at_ram(&b->g, at[0]) + 10), 3);
        CHECK_EQ(*at_ram(&b->g, at[0]), 2); /* checked already */
        CHECK_EQ(memcmp(at_ram(&b->g, at[0] + HEAD), frame, 388), 0);
        CHECK_EQ(memcmp(at_ram(&b->g, at[1]), frame + 388, 400), 0);
        CHECK_EQ(memcmp(at_ram(&b->g, at[2]), frame + 788, 212), 0);
        const uint32_t sizes[] = {400, 400, 212};
        for (unsigned part = 0; part < 3; part++) {
            CHECK(ring_used(&b->g, &b->rings[RX], &written));
            CHECK_EQ(written, sizes[part]);
        }
    }
}

TEST(net, a_frame_that_never_fits_is_dropped)
{
    for (unsigned i = 0; i < ARRAY_LEN(layouts); i++) {
        static uint8_t frame[4000];
        uint32_t written;
        make_frame(frame, sizeof(frame));
        struct bench *b = make(layouts[i] | F_MERGE);
        for (unsigned n = 0; n < 16; n++)
            offer_buffer(b, 100);
        CHECK(receive(b, frame, sizeof(frame)));
        CHECK(!ring_used(&b->g, &b->rings[RX], &written));
        CHECK(receive(b, frame, 60));
        CHECK(ring_used(&b->g, &b->rings[RX], &written));
        CHECK_EQ(written, HEAD + 60);

        b = make(layouts[i]); /* one buffer each */
        offer_buffer(b, 100);
        CHECK(receive(b, frame, 100));
        CHECK(receive(b, frame, 88));
        CHECK(ring_used(&b->g, &b->rings[RX], &written));
        CHECK_EQ(written, 100);
    }
}

TEST(net, the_count_of_buffers_may_lie_across_descriptors)
{
    struct bench *b = make(F_MERGE);
    uint8_t frame[100];
    gpa_t at = allocate(&b->g, 64);
    uint32_t written;

    make_frame(frame, sizeof(frame));
    /* The two bytes of the count are each in a descriptor of its own. */
    ring_add(&b->g, &b->rings[RX],
             (const struct buffer[]){{at, 11, true}, {at + 20, 1, true}, {at + 30, 8, true}}, 3);
    offer_buffer(b, 200);
    CHECK(receive(b, frame, sizeof(frame)));
    CHECK_EQ(*at_ram(&b->g, at + 10), 2);
    CHECK_EQ(*at_ram(&b->g, at + 20), 0);
    CHECK(ring_used(&b->g, &b->rings[RX], &written));
    CHECK_EQ(written, 20);
    CHECK(ring_used(&b->g, &b->rings[RX], &written));
    CHECK_EQ(written, 92);
}

TEST(net, buffers_without_room_break_the_device)
{
    struct bench *b = make(F_MERGE);
    uint8_t frame[100];

    make_frame(frame, sizeof(frame));
    offer_buffer(b, HEAD);
    CHECK(receive(b, frame, sizeof(frame)));
    CHECK_EQ(get_status(&b->g), 0x4f);
}

/* Sends a command; the answer. */
static unsigned command(struct bench *b, const uint8_t *bytes, uint32_t size)
{
    gpa_t at = allocate(&b->g, size + 1);
    uint32_t written = 0;

    memcpy(at_ram(&b->g, at), bytes, size);
    *at_ram(&b->g, at + size) = 0xee;
    ring_add(&b->g, &b->rings[CTRL],
             (const struct buffer[]){{at, size, false}, {at + size, 1, true}}, 2);
    notify(&b->g, CTRL);
    CHECK(ring_used(&b->g, &b->rings[CTRL], &written));
    CHECK_EQ(written, 1);
    return *at_ram(&b->g, at + size);
}

/* Whether a frame to `address` reaches the driver. */
static bool hears(struct bench *b, const uint8_t *address)
{
    uint8_t frame[60] = {0};
    uint32_t written;

    memcpy(frame, address, NET_ADDRESS_SIZE);
    offer_buffer(b, 100);
    CHECK(receive(b, frame, sizeof(frame)));
    return ring_used(&b->g, &b->rings[RX], &written);
}

static const uint8_t other[NET_ADDRESS_SIZE] = {2, 0, 0, 0, 0, 9};
static const uint8_t many[NET_ADDRESS_SIZE] = {1, 0, 0x5e, 0, 0, 1};
static const uint8_t all[NET_ADDRESS_SIZE] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

TEST(net, hears_what_the_driver_asked_for)
{
    struct bench *b = make(F_CONTROL);

    CHECK(hears(b, other)); /* until it chooses */
    CHECK_EQ(command(b, (const uint8_t[]){0, 0, 0}, 3), 0);
    CHECK(!hears(b, other));
    CHECK(!hears(b, many));
    CHECK(hears(b, own));
    CHECK(hears(b, all));
    CHECK_EQ(command(b, (const uint8_t[]){0, 1, 1}, 3), 0); /* all multicast */
    CHECK(hears(b, many));
    CHECK_EQ(command(b, (const uint8_t[]){0, 3, 1}, 3), 0); /* none after all */
    CHECK(!hears(b, many));
    CHECK_EQ(command(b, (const uint8_t[]){0, 5, 1}, 3), 0); /* no broadcast */
    CHECK(!hears(b, all));
    CHECK_EQ(command(b, (const uint8_t[]){0, 4, 1}, 3), 0); /* no unicast */
    CHECK(!hears(b, own));
    CHECK_EQ(command(b, (const uint8_t[]){0, 6, 1}, 3), 1);
    CHECK_EQ(command(b, (const uint8_t[]){0, 0}, 2), 1);
    CHECK_EQ(command(b, (const uint8_t[]){9, 0, 0}, 3), 1);
    CHECK_EQ(command(b, (const uint8_t[]){0}, 1), 1);
}

TEST(net, tables_and_addresses_are_taken_and_bounded)
{
    struct bench *b = make(F_CONTROL);
    static uint8_t tables[2 + 4 + 6 + 4 + 6] = {1, 0};

    CHECK_EQ(command(b, (const uint8_t[]){0, 0, 0}, 3), 0);
    store_le32(tables + 2, 1);
    memcpy(tables + 6, other, 6);
    store_le32(tables + 12, 1);
    memcpy(tables + 16, many, 6);
    CHECK_EQ(command(b, tables, sizeof(tables)), 0);
    CHECK(hears(b, other));
    CHECK(hears(b, many));
    store_le32(tables + 12, 2); /* more than there are */
    CHECK_EQ(command(b, tables, sizeof(tables)), 1);
    store_le32(tables + 2, 0xffffffff);
    CHECK_EQ(command(b, tables, sizeof(tables)), 1);
    CHECK(hears(b, many));

    CHECK_EQ(command(b, (const uint8_t[]){1, 1, 2, 0, 0, 0, 0, 7}, 8), 0);
    CHECK_EQ(read_config(&b->g, 5, 1), 7);
    CHECK(!hears(b, own));
    CHECK_EQ(command(b, (const uint8_t[]){1, 1, 2, 0, 0, 0, 0}, 7), 1);
}

TEST(net, the_cable_is_pulled_and_put_back)
{
    struct bench *b = make(F_CONTROL | F_ANNOUNCE);
    uint8_t frame[60];

    make_frame(frame, sizeof(frame));
    b->room = 0;
    CHECK(!send_frame(b, (const uint8_t[HEAD]){0}, frame, sizeof(frame)));
    take_interrupt(&b->g);
    b->handler.set_link(b->handler.device, false);
    CHECK_EQ(take_interrupt(&b->g) & VIRTIO_ISR_CONFIG, VIRTIO_ISR_CONFIG);
    CHECK_EQ(read_config(&b->g, 6, 2), 0);
    uint32_t written;
    CHECK(ring_used(&b->g, &b->rings[TX], &written)); /* what waited is lost */
    CHECK(!hears(b, own));
    b->handler.set_link(b->handler.device, true);
    CHECK_EQ(read_config(&b->g, 6, 2), 3); /* and asks for an announcement */
    CHECK_EQ(command(b, (const uint8_t[]){3, 0}, 2), 0);
    CHECK_EQ(read_config(&b->g, 6, 2), 1);
    CHECK(hears(b, own));
}

TEST(net, goes_on_after_save_and_load)
{
    static struct virtio_net saved;
    struct bench *b = make(F_CONTROL);
    struct virtio_net_config config = config_of(b);
    uint8_t frame[60];

    make_frame(frame, sizeof(frame));
    CHECK_EQ(command(b, (const uint8_t[]){0, 0, 0}, 3), 0);
    CHECK_EQ(command(b, (const uint8_t[]){1, 1, 2, 0, 0, 0, 0, 7}, 8), 0);
    b->room = 0;
    CHECK(!send_frame(b, (const uint8_t[HEAD]){0}, frame, sizeof(frame)));
    b->room = 5;
    virtio_net_init(&saved, &config);
    move_state(&virtio_net_ops, &b->net, &saved);
    CHECK_EQ(b->frames, 1); /* the one that waited */
    CHECK_EQ(saved.virtio.config[5], 7);
    memcpy(&b->net, &saved, sizeof(saved));
    CHECK(!hears(b, own));
    CHECK(hears(b, (const uint8_t[]){2, 0, 0, 0, 0, 7}));
}

TEST_MAIN(TESTS(net, says_its_address_mtu_and_that_the_cable_is_in),
          TESTS(net, sends_frames_and_completes_their_checksums),
          TESTS(net, frames_that_cannot_be_sent_are_dropped),
          TESTS(net, a_frame_without_a_header_breaks_the_device),
          TESTS(net, frames_wait_for_room_in_the_link),
          TESTS(net, a_frame_fills_as_many_buffers_as_it_needs_at_once),
          TESTS(net, a_frame_that_never_fits_is_dropped),
          TESTS(net, the_count_of_buffers_may_lie_across_descriptors),
          TESTS(net, buffers_without_room_break_the_device),
          TESTS(net, hears_what_the_driver_asked_for),
          TESTS(net, tables_and_addresses_are_taken_and_bounded),
          TESTS(net, the_cable_is_pulled_and_put_back), TESTS(net, goes_on_after_save_and_load))
