/* SPDX-License-Identifier: Apache-2.0
 * The virtio file system device over both transports and both ring layouts. */
#include "dev/virtio/fs.h"
#include "unit/dev/driver.h"

struct variant {
    bool pci;
    uint64_t features;
};

static const struct variant variants[] = {
    {false, 0},
    {true, VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX},
    {true, VIRTIO_F_RING_PACKED | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX},
};

/* A server that answers with what it was asked, backwards, when it is let. */
struct server {
    bool held;
    bool refuses;
    unsigned waiting;
    struct files_request *requests[VIRTIO_FS_REQUESTS];
    uint8_t bytes[VIRTIO_FS_REQUESTS][64];
    size_t sizes[VIRTIO_FS_REQUESTS];
};

struct bench {
    struct guest g;
    struct virtio_fs fs;
    struct ring high;
    struct ring ring;
    struct server server;
};

static struct bench bench;

static void answer_all(struct server *server)
{
    unsigned count = server->waiting;

    server->waiting = 0;
    for (unsigned i = 0; i < count; i++) {
        uint8_t reply[64];
        size_t size = server->sizes[i];
        for (size_t k = 0; k < size; k++)
            reply[k] = server->bytes[i][size - 1 - k];
        server->requests[i]->done(server->requests[i], reply,
                                  MIN(size, server->requests[i]->writable_size));
    }
}

static bool submit(void *owner, struct files_request *request, const struct files_segment *segments,
                   unsigned segment_count)
{
    struct server *server = owner;
    unsigned n = server->waiting;

    if (server->refuses)
        return false;
    server->requests[n] = request;
    server->sizes[n] = 0;
    for (unsigned i = 0; i < segment_count; i++) {
        CHECK(server->sizes[n] + segments[i].size <= sizeof(server->bytes[n]));
        memcpy(server->bytes[n] + server->sizes[n], segments[i].bytes, segments[i].size);
        server->sizes[n] += segments[i].size;
    }
    server->waiting++;
    if (!server->held)
        answer_all(server);
    return true;
}

static void bring_up(struct bench *b, const struct variant *v)
{
    negotiate(&b->g, v->features);
    ring_init(&b->g, &b->high, 0, 16, v->features);
    ring_init(&b->g, &b->ring, 1, 64, v->features);
    set_status(&b->g, 0xf);
}

static struct bench *make(const struct variant *v)
{
    struct bench *b = &bench;

    guest_init(&b->g, v->pci);
    memset(&b->server, 0, sizeof(b->server));
    virtio_fs_init(&b->fs, &(struct virtio_fs_config){&b->g.space, {submit, &b->server}, "share7"});
    guest_attach(&b->g, &b->fs.virtio);
    bring_up(b, v);
    return b;
}

/* "hello" in two pieces, with room for the answer in two. Returns where that goes. */
static gpa_t ask(struct bench *b, struct ring *ring)
{
    gpa_t at = allocate(&b->g, 64);
    struct buffer buffers[] = {
        {at, 2, false}, {at + 2, 3, false}, {at + 16, 1, true}, {at + 17, 20, true}};

    memcpy(at_ram(&b->g, at), "hello", 5);
    ring_add(&b->g, ring, buffers, 4);
    return at + 16;
}

TEST(fs, has_its_tag_and_one_request_queue)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make(v);
        char tag[FILES_TAG_SIZE] = "";
        for (unsigned i = 0; i < sizeof(tag); i++)
            tag[i] = (char)read_config(&b->g, i, 1);
        CHECK_EQ(memcmp(tag, "share7\0\0\0", 9), 0);
        CHECK_EQ(read_config(&b->g, 36, 4), 1);
        CHECK(queue_ready(&b->g, 0) && queue_ready(&b->g, 1));
    }
}

TEST(fs, messages_go_out_and_answers_come_back_on_their_queue)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make(v);
        struct ring *const rings[] = {&b->high, &b->ring};
        for (unsigned i = 0; i < 40; i++) {
            struct ring *ring = rings[i & 1];
            uint32_t written = 0;
            gpa_t at = ask(b, ring);
            notify(&b->g, i & 1);
            CHECK(ring_used(&b->g, ring, &written));
            CHECK_EQ(written, 5);
            CHECK_EQ(memcmp(at_ram(&b->g, at), "olleh\0", 6), 0);
            if (!(v->features & VIRTIO_F_EVENT_IDX))
                CHECK_EQ(take_interrupt(&b->g), VIRTIO_ISR_QUEUE);
        }
    }
}

TEST(fs, messages_without_an_answer_are_given_back)
{
    struct bench *b = make(&variants[0]);
    gpa_t at = allocate(&b->g, 16);
    struct buffer buffer = {at, 16, false};
    uint32_t written = 1;

    ring_add(&b->g, &b->high, &buffer, 1);
    notify(&b->g, 0);
    CHECK(ring_used(&b->g, &b->high, &written));
    CHECK_EQ(written, 0);
}

TEST(fs, what_the_server_has_no_room_for_waits_in_its_ring)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make(v);
        struct files_handler handler = virtio_fs_handler(&b->fs);
        uint32_t written;
        b->server.refuses = true;
        gpa_t first = ask(b, &b->ring);
        notify(&b->g, 1);
        gpa_t second = ask(b, &b->ring);
        notify(&b->g, 1);
        CHECK(!ring_used(&b->g, &b->ring, &written));
        CHECK(virtio_fs_is_idle(&b->fs));
        b->server.refuses = false;
        handler.ready(handler.device);
        CHECK(ring_used(&b->g, &b->ring, &written) && ring_used(&b->g, &b->ring, &written));
        CHECK_EQ(memcmp(at_ram(&b->g, first), "olleh", 5), 0);
        CHECK_EQ(memcmp(at_ram(&b->g, second), "olleh", 5), 0);
    }
}

TEST(fs, answers_after_a_reset_touch_nothing_and_the_next_driver_is_served)
{
    for (const struct variant *v = variants; v < variants + ARRAY_LEN(variants); v++) {
        struct bench *b = make(v);
        uint32_t written;
        b->server.held = true;
        gpa_t old = ask(b, &b->ring);
        notify(&b->g, 1);
        set_status(&b->g, 0);
        CHECK(get_status(&b->g) != 0); /* not before the server is done */
        CHECK(!virtio_fs_is_idle(&b->fs));
        bring_up(b, v);
        gpa_t new = ask(b, &b->ring);
        notify(&b->g, 1);
        answer_all(&b->server);
        CHECK_EQ(memcmp(at_ram(&b->g, old), "\0\0\0\0\0", 5), 0);
        CHECK_EQ(memcmp(at_ram(&b->g, new), "olleh", 5), 0);
        CHECK(ring_used(&b->g, &b->ring, &written));
        CHECK(!ring_used(&b->g, &b->ring, &written));
        CHECK(virtio_fs_is_idle(&b->fs));
    }
}

TEST(fs, requests_wait_while_orphans_hold_the_pool)
{
    const struct variant *v = &variants[0];
    struct bench *b = make(v);
    uint32_t written;
    unsigned held = 0;

    b->server.held = true;
    while (held < VIRTIO_FS_REQUESTS) {
        b->g.next_free = RAM_BASE + 0x1000;
        bring_up(b, v);
        for (unsigned i = 0; i < 16 && held < VIRTIO_FS_REQUESTS; i++, held++)
            ask(b, &b->ring);
        notify(&b->g, 1);
        set_status(&b->g, 0);
    }
    CHECK_EQ(b->server.waiting, VIRTIO_FS_REQUESTS);
    bring_up(b, v);
    gpa_t at = ask(b, &b->ring);
    notify(&b->g, 1);
    CHECK(!ring_used(&b->g, &b->ring, &written));
    b->server.held = false;
    answer_all(&b->server);
    CHECK(ring_used(&b->g, &b->ring, &written));
    CHECK_EQ(memcmp(at_ram(&b->g, at), "olleh", 5), 0);
}

TEST_MAIN(TESTS(fs, has_its_tag_and_one_request_queue),
          TESTS(fs, messages_go_out_and_answers_come_back_on_their_queue),
          TESTS(fs, messages_without_an_answer_are_given_back),
          TESTS(fs, what_the_server_has_no_room_for_waits_in_its_ring),
          TESTS(fs, answers_after_a_reset_touch_nothing_and_the_next_driver_is_served),
          TESTS(fs, requests_wait_while_orphans_hold_the_pool))
