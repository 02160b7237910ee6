/* SPDX-License-Identifier: Apache-2.0
 * The socket device: packets in both directions, and what the driver is told. */
#include "dev/virtio/vsock.h"
#include "unit/dev/driver.h"

enum { RECEIVE, TRANSMIT, EVENT };

#define CID 3

struct bench {
    struct guest g;
    struct virtio_vsock vsock;
    struct ring rings[3];
    struct vsock_packet last;
    unsigned received;
    size_t payload;
    unsigned resets;
    unsigned writables;
};

static void receive(void *owner, const struct vsock_packet *packet, const uint8_t *payload,
                    size_t size)
{
    struct bench *b = owner;

    for (size_t i = 0; i < size; i++)
        CHECK_EQ(payload[i], 'a');
    b->last = *packet;
    b->payload = size;
    b->received++;
}

static void writable(void *owner)
{
    ((struct bench *)owner)->writables++;
}

static void reset(void *owner)
{
    ((struct bench *)owner)->resets++;
}

static struct bench *make(uint64_t features)
{
    static struct bench bench;
    struct bench *b = &bench;

    memset(b, 0, sizeof(*b));
    guest_init(&b->g, true);
    virtio_vsock_init(&b->vsock,
                      &(struct virtio_vsock_config){.space = &b->g.space,
                                                    .port = {receive, writable, reset, b},
                                                    .guest_cid = CID});
    guest_attach(&b->g, &b->vsock.virtio);
    negotiate(&b->g, features);
    for (unsigned q = 0; q < 3; q++)
        ring_init(&b->g, &b->rings[q], q, 16, features);
    set_status(&b->g, 0xf);
    return b;
}

/* A packet of the guest's whose header says `said` bytes, with `size` bytes behind it. */
static void transmit(struct bench *b, uint64_t target, uint16_t type, uint32_t said, uint32_t size)
{
    gpa_t at = allocate(&b->g, 44 + size + 1);
    uint8_t *header = at_ram(&b->g, at);

    memset(header, 0, 44);
    store_le64(header, CID);
    store_le64(header + 8, target);
    store_le32(header + 16, 1000);
    store_le32(header + 20, 2000);
    store_le32(header + 24, said);
    store_le16(header + 28, type);
    store_le16(header + 30, VSOCK_RW);
    memset(header + 44, 'a', size);
    ring_add(&b->g, &b->rings[TRANSMIT], &(const struct buffer){at, 44 + size, false}, 1);
    notify(&b->g, TRANSMIT);
}

static gpa_t add_room(struct bench *b, unsigned queue, uint32_t size)
{
    gpa_t at = allocate(&b->g, size);

    ring_add(&b->g, &b->rings[queue], &(const struct buffer){at, size, true}, 1);
    notify(&b->g, queue);
    return at;
}

TEST(vsock, packets_of_the_guest_arrive_whole)
{
    struct bench *b = make(VIRTIO_F_RING_PACKED);

    transmit(b, VSOCK_HOST_CID, 1, 100, 100);
    CHECK_EQ(b->received, 1);
    CHECK_EQ(b->payload, 100);
    CHECK_EQ(b->last.guest_port, 1000);
    CHECK_EQ(b->last.host_port, 2000);
    CHECK_EQ(b->last.op, VSOCK_RW);
}

TEST(vsock, a_header_that_promises_more_than_there_is_breaks_the_device)
{
    struct bench *b = make(0);

    transmit(b, VSOCK_HOST_CID, 1, 101, 100);
    CHECK_EQ(b->received, 0);
    CHECK(get_status(&b->g) & VIRTIO_STATUS_NEEDS_RESET);
}

TEST(vsock, other_hosts_and_kinds_are_refused)
{
    struct bench *b = make(0);
    gpa_t at = add_room(b, RECEIVE, 4096);
    uint32_t written;

    transmit(b, 7, 1, 1, 1);
    CHECK_EQ(b->received, 0);
    CHECK(ring_used(&b->g, &b->rings[RECEIVE], &written));
    CHECK_EQ(written, 44);
    CHECK_EQ(load_le16(at_ram(&b->g, at) + 30), VSOCK_RST);
    CHECK_EQ(load_le32(at_ram(&b->g, at) + 20), 1000);
    transmit(b, VSOCK_HOST_CID, 2, 1, 1);
    CHECK_EQ(b->received, 0);
}

TEST(vsock, the_host_sends_what_fits_and_waits_for_room)
{
    struct bench *b = make(0);
    struct vsock_handler handler = virtio_vsock_handler(&b->vsock);
    struct vsock_packet packet = {.guest_port = 5, .host_port = 6, .op = VSOCK_RW};
    uint8_t bytes[100] = {1, 2, 3};
    uint32_t written;

    CHECK_EQ(handler.send(handler.device, &packet, bytes, sizeof(bytes)), -1);
    gpa_t at = add_room(b, RECEIVE, 44 + 60);
    CHECK_EQ(b->writables, 1);
    CHECK_EQ(handler.send(handler.device, &packet, bytes, sizeof(bytes)), 60);
    CHECK(ring_used(&b->g, &b->rings[RECEIVE], &written));
    CHECK_EQ(written, 44 + 60);
    CHECK_EQ(load_le32(at_ram(&b->g, at) + 24), 60);
    CHECK_EQ(at_ram(&b->g, at)[44 + 2], 3);
}

/* A guest that waits for a connection which another process had would wait for ever. */
TEST(vsock, the_driver_learns_after_a_load_that_connections_are_gone)
{
    struct bench *b = make(0);
    struct error err = {0};
    uint32_t written;

    gpa_t at = add_room(b, EVENT, 4);
    store_le32(at_ram(&b->g, at), 0xffffffff);
    CHECK(!ring_used(&b->g, &b->rings[EVENT], &written));
    CHECK_EQ(virtio_vsock_ops.loaded(&b->vsock, &err), 0);
    CHECK(ring_used(&b->g, &b->rings[EVENT], &written));
    CHECK_EQ(written, 4);
    CHECK_EQ(load_le32(at_ram(&b->g, at)), 0); /* VIRTIO_VSOCK_EVENT_TRANSPORT_RESET */
    CHECK_EQ(virtio_vsock_ops.loaded(&b->vsock, &err), 0);
    add_room(b, EVENT, 4); /* once there was no room, it comes with the next buffer */
    CHECK(ring_used(&b->g, &b->rings[EVENT], &written));
}

TEST(vsock, a_reset_ends_all_connections)
{
    struct bench *b = make(0);
    unsigned before = b->resets;

    set_status(&b->g, 0);
    CHECK(b->resets > before);
}

TEST_MAIN(TESTS(vsock, packets_of_the_guest_arrive_whole),
          TESTS(vsock, a_header_that_promises_more_than_there_is_breaks_the_device),
          TESTS(vsock, other_hosts_and_kinds_are_refused),
          TESTS(vsock, the_host_sends_what_fits_and_waits_for_room),
          TESTS(vsock, the_driver_learns_after_a_load_that_connections_are_gone),
          TESTS(vsock, a_reset_ends_all_connections))
