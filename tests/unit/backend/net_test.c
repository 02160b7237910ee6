/* SPDX-License-Identifier: Apache-2.0
 * Networks without machines: the ring, limits, forwards, and a switch whose devices
 * are functions. */
#include "backend/bucket.h"
#include "backend/net/frame_ring.h"
#include "backend/net/net.h"
#include "harness/harness.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- the ring ---- */

static size_t size_of(unsigned number)
{
    return 14 + (number * 7919u) % (NET_FRAME_MOST - 14);
}

static void *write_frames(void *owner)
{
    static uint8_t frame[NET_FRAME_MOST];
    bool was_empty;

    for (unsigned n = 0; n < 20000;) {
        memset(frame, (int)(n & 0xff), size_of(n));
        n += frame_ring_put(owner, frame, size_of(n), &was_empty);
    }
    return NULL;
}

TEST(frame_ring, hands_frames_from_one_thread_to_another)
{
    struct frame_ring ring = {0};
    struct frame frames[7];
    pthread_t writer;
    unsigned next = 0;

    CHECK_EQ(frame_ring_init(&ring), 0);
    CHECK_EQ(pthread_create(&writer, NULL, write_frames, &ring), 0);
    while (next < 20000) {
        unsigned count = frame_ring_peek(&ring, frames, 7);
        for (unsigned i = 0; i < count; i++, next++) {
            CHECK_EQ(frames[i].size, size_of(next));
            CHECK_EQ(frames[i].bytes[0], next & 0xff);
            CHECK_EQ(frames[i].bytes[frames[i].size - 1], next & 0xff);
        }
        frame_ring_drop(&ring, frames, count);
    }
    pthread_join(writer, NULL);
    CHECK(frame_ring_is_empty(&ring));
    frame_ring_fini(&ring);
}

TEST(frame_ring, says_when_it_is_full_and_when_it_was_empty)
{
    static uint8_t frame[NET_FRAME_MOST];
    struct frame_ring ring = {0};
    struct frame frames[16];
    bool was_empty;
    unsigned count = 0;

    CHECK_EQ(frame_ring_init(&ring), 0);
    CHECK(frame_ring_put(&ring, frame, 100, &was_empty) && was_empty);
    while (frame_ring_put(&ring, frame, sizeof(frame), &was_empty)) {
        CHECK(!was_empty);
        count++;
    }
    CHECK_EQ(count, 7);
    CHECK(!frame_ring_has_room(&ring));
    CHECK_EQ(frame_ring_peek(&ring, frames, 16), 8);
    frame_ring_drop(&ring, frames, 6);
    CHECK(frame_ring_has_room(&ring));
    CHECK_EQ(frame_ring_peek(&ring, frames, 16), 2);
    frame_ring_drop(&ring, frames, 2);
    CHECK(frame_ring_put(&ring, frame, sizeof(frame), &was_empty) && was_empty);
    CHECK_EQ(frame_ring_peek(&ring, frames, 16), 1);
    CHECK_EQ(frames[0].size, sizeof(frame));
    frame_ring_fini(&ring);
}

/* ---- limits ---- */

#define BURST_NS UINT64_C(50000000)

/* Bytes that pass in a second of pieces of `size`. */
static uint64_t passed(uint64_t rate, uint64_t size)
{
    struct bucket bucket;
    uint64_t now_ns = 12345;
    uint64_t bytes = 0;

    bucket_set(&bucket, rate, BURST_NS, now_ns);
    while (now_ns < UINT64_C(1000012345)) {
        uint64_t ready_ns = bucket_ready_ns(&bucket, now_ns);
        if (ready_ns > now_ns) {
            now_ns = ready_ns;
            continue;
        }
        bucket_take(&bucket, size);
        bytes += size;
        now_ns += 50;
    }
    return bytes;
}

TEST(bucket, keeps_the_rate_whatever_the_size_of_the_pieces)
{
    static const uint64_t rates[] = {1000, 100000, 10000000, 2000000000};
    static const uint64_t sizes[] = {1, 64, 1500, 65536};

    for (unsigned i = 0; i < ARRAY_LEN(rates); i++) {
        for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
            uint64_t wanted = rates[i];
            uint64_t bytes = passed(rates[i], sizes[k]);
            /* One piece, and at most 50 ns for each. */
            if (sizes[k] * 20000000 < rates[i])
                continue;
            CHECK(bytes <= wanted + wanted / 100 + rates[i] / 19 + 2 * sizes[k]);
            CHECK(bytes + wanted / 100 + 2 * sizes[k] >= wanted);
        }
    }
}

TEST(bucket, lets_all_pass_without_a_rate_and_forgets_long_silence)
{
    struct bucket bucket = {0};

    const uint64_t late_ns = UINT64_C(1) << 62;

    CHECK_EQ(bucket_ready_ns(&bucket, 5), 0);
    bucket_set(&bucket, 1000, BURST_NS, 0);
    CHECK(bucket_ready_ns(&bucket, late_ns) <= late_ns);
    bucket_take(&bucket, 52); /* 51 had gathered: one is owed, and a part of the next is wanted */
    uint64_t wait_ns = bucket_ready_ns(&bucket, late_ns) - late_ns;
    CHECK(wait_ns > 1000000 && wait_ns < 1001000);
}

/* ---- forwards ---- */

TEST(forward, is_read_as_people_write_it)
{
    static const struct {
        const char *text;
        const char *host;
        unsigned guest_port;
    } good[] = {{"8080:80", "127.0.0.1:8080/tcp", 80},
                {"1:65535/udp", "127.0.0.1:1/udp", 65535},
                {"0.0.0.0:5:6/tcp", "0.0.0.0:5/tcp", 6},
                {"[::1]:8080:80", "[::1]:8080/tcp", 80},
                {"[2001:db8:1:2:3:4:5:6]:1:2/udp", "[2001:db8:1:2:3:4:5:6]:1/udp", 2}};
    static const char *const bad[] = {
        "",          "80",       ":80",      "80:",    "a:b",      "1:2:3",    "1:2/",
        "1:2/x",     "0:1",      "1:65536",  "-1:1",   "1:1:1:",   "::1:1:1",  "256.1.1.1:1:1",
        "1.1.1:1:1", "[::1]:1",  "[::1:1:1", "[]:1:1", "::1]:1:1", "[::1]1:1", "[127.0.0.1]:1:1",
        "[::g]:1:1", "[::1]:0:1"};
    struct net_forward forward = {0};

    for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
        struct error err = {0};
        char text[NET_FORWARD_TEXT];
        CHECK_EQ(net_forward_parse(good[i].text, &forward, &err), 0);
        CHECK_STR(net_forward_text(&forward, text), good[i].host);
        CHECK_EQ(forward.guest_port, good[i].guest_port);
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = {0};
        CHECK_EQ(net_forward_parse(bad[i], &forward, &err), -EINVAL);
        CHECK(strstr(err.text, "8080:80"));
    }
}

TEST(forward, has_a_side_on_the_host)
{
    static const char *const bad[] = {"", "0", "1:2:3", "x:1", "::1:1", "[::1]", "1/x", "8080:80"};
    struct net_forward forward = {0};
    struct net_forward same = {0};
    struct error err = {0};
    char text[NET_FORWARD_TEXT];

    CHECK_EQ(net_forward_parse("8080:80", &forward, &err), 0);
    CHECK_STR(net_forward_arrow(&forward, text), "127.0.0.1:8080->80/tcp");
    CHECK_EQ(net_forward_parse_host("8080", &same, &err), 0);
    CHECK(net_forward_is_same(&forward, &same));
    CHECK_EQ(net_forward_parse_host("8080/udp", &same, &err), 0);
    CHECK(!net_forward_is_same(&forward, &same));
    CHECK_EQ(net_forward_parse("[::1]:8080:80/udp", &forward, &err), 0);
    CHECK_STR(net_forward_arrow(&forward, text), "[::1]:8080->80/udp");
    CHECK_STR(net_forward_address(&forward, text), "::1");
    CHECK_EQ(net_forward_parse_host("[::1]:8080/udp", &same, &err), 0);
    CHECK(net_forward_is_same(&forward, &same));
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct error reason = {0};
        CHECK_EQ(net_forward_parse_host(bad[i], &same, &reason), -EINVAL);
        CHECK(strstr(reason.text, "[ADDR:]HOST[/udp]"));
    }
}

TEST(net, addresses_are_for_one_machine_each)
{
    uint8_t a[4][NET_ADDRESS_SIZE];

    net_choose_address("web", 0, 0, a[0]);
    net_choose_address("web", 0, 1, a[1]);
    net_choose_address("web2", 0, 0, a[2]);
    net_choose_address("web", 1, 0, a[3]);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(a[i][0] & 3, 2);
        for (unsigned k = 0; k < i; k++)
            CHECK(memcmp(a[i], a[k], NET_ADDRESS_SIZE) != 0);
    }
    net_choose_address("web", 0, 0, a[1]);
    CHECK_EQ(memcmp(a[0], a[1], NET_ADDRESS_SIZE), 0);
}

/* ---- a switch ---- */

#define PORTS 3

struct station {
    struct net *net;
    struct net_port port;
    bool refuses;
    unsigned heard;
    uint8_t last[64];
};

struct lan {
    char path[64];
    struct loop *loop;
    unsigned turns; /* of the loop, to its end */
    struct station stations[PORTS];
};

static bool hear(void *device, const uint8_t *frame, size_t size)
{
    struct station *station = device;

    if (station->refuses)
        return false;
    station->heard++;
    memcpy(station->last, frame, MIN(size, sizeof(station->last)));
    return true;
}

static void nothing(void *device)
{
    (void)device;
}

static void no_link(void *device, bool is_up)
{
    (void)device;
    (void)is_up;
}

static void turn(void *owner, unsigned events)
{
    (void)events;
    struct lan *lan = owner;

    for (unsigned i = 0; i < PORTS; i++)
        net_service(lan->stations[i].net);
    if (--lan->turns)
        loop_wake(lan->loop);
    else
        loop_stop(lan->loop);
}

/* Lets the loop turn until nothing more can happen. */
static void settle(struct lan *lan)
{
    lan->turns = 20;
    loop_wake(lan->loop);
    loop_run(lan->loop);
}

static void address_of(unsigned i, uint8_t *address)
{
    memset(address, 0, NET_ADDRESS_SIZE);
    address[0] = 2;
    address[5] = (uint8_t)(i + 1);
}

static int try_join(struct lan *lan, unsigned i, unsigned address, struct net **out,
                    struct error *err)
{
    char spec[80];
    struct net_config config = {.machine = "test", .loop = lan->loop};

    (void)i;
    snprintf(spec, sizeof(spec), "socket:%s", lan->path);
    config.spec = spec;
    address_of(address, config.address);
    return net_open(&config, out, err);
}

static void join(struct lan *lan, unsigned i)
{
    struct station *station = &lan->stations[i];
    struct error err = {0};

    CHECK_EQ(try_join(lan, i, i, &station->net, &err), 0);
    station->port = net_port(station->net);
    CHECK_EQ(
        net_connect(station->net, &(struct net_handler){hear, nothing, no_link, station}, &err), 0);
}

static struct lan *make_lan(void)
{
    static struct lan lan;
    struct error err = {0};

    memset(&lan, 0, sizeof(lan));
    strcpy(lan.path, "/tmp/doppel-net-test-XXXXXX");
    CHECK(mkdtemp(lan.path));
    CHECK_EQ(loop_create(&lan.loop, &err), 0);
    loop_set_wake(lan.loop, turn, &lan);
    for (unsigned i = 0; i < PORTS; i++)
        join(&lan, i);
    settle(&lan);
    return &lan;
}

static void end_lan(struct lan *lan)
{
    for (unsigned i = 0; i < PORTS; i++)
        net_close(lan->stations[i].net);
    loop_destroy(lan->loop);
    CHECK_EQ(rmdir(lan->path), 0); /* empty, so nothing was left */
}

/* To a station, or PORTS: to all. */
static bool say(struct lan *lan, unsigned from, unsigned to, size_t size)
{
    static uint8_t frame[NET_FRAME_MOST];

    memset(frame, 0xff, NET_ADDRESS_SIZE);
    if (to < PORTS)
        address_of(to, frame);
    address_of(from, frame + NET_ADDRESS_SIZE);
    return lan->stations[from].port.transmit(lan->stations[from].port.owner, frame, size);
}

static void expect_heard(struct lan *lan, unsigned a, unsigned b, unsigned c)
{
    const unsigned wanted[PORTS] = {a, b, c};

    settle(lan);
    for (unsigned i = 0; i < PORTS; i++) {
        CHECK_EQ(lan->stations[i].heard, wanted[i]);
        lan->stations[i].heard = 0;
    }
}

TEST(switch, floods_what_it_does_not_know_and_learns)
{
    struct lan *lan = make_lan();

    CHECK(say(lan, 0, PORTS, 60));
    expect_heard(lan, 0, 1, 1);
    CHECK(say(lan, 1, 0, 60)); /* known by now */
    expect_heard(lan, 1, 0, 0);
    CHECK(say(lan, 2, 1, 60)); /* 1 spoke to 0 alone */
    expect_heard(lan, 1, 1, 0);
    CHECK(say(lan, 0, 1, NET_FRAME_MOST));
    expect_heard(lan, 0, 1, 0);
    end_lan(lan);
}

TEST(switch, a_station_that_refuses_holds_up_nobody)
{
    struct lan *lan = make_lan();

    lan->stations[2].refuses = true;
    for (unsigned i = 0; i < 300; i++) {
        CHECK(say(lan, 0, PORTS, 60000));
        settle(lan);
    }
    CHECK_EQ(lan->stations[1].heard, 300);
    lan->stations[1].heard = 0;
    lan->stations[2].refuses = false;
    lan->stations[2].port.readable(lan->stations[2].port.owner);
    settle(lan);
    unsigned heard = lan->stations[2].heard;
    CHECK(heard > 0 && heard < 300);
    lan->stations[2].heard = 0;
    CHECK(say(lan, 0, PORTS, 60));
    expect_heard(lan, 0, 1, 1);
    end_lan(lan);
}

TEST(switch, stations_leave_and_come_back)
{
    struct lan *lan = make_lan();
    struct net *twin = NULL;
    struct error err = {0};

    CHECK(say(lan, 1, PORTS, 60));
    expect_heard(lan, 1, 0, 1);
    CHECK_EQ(try_join(lan, 0, 1, &twin, &err), -EADDRINUSE);
    net_close(lan->stations[1].net);
    lan->stations[1].net = NULL;
    CHECK(say(lan, 0, 1, 60)); /* is flooded again, to the others */
    CHECK(say(lan, 0, 1, 60));
    settle(lan);
    lan->stations[2].heard = 0;
    join(lan, 1);
    settle(lan);
    CHECK(say(lan, 0, PORTS, 60));
    expect_heard(lan, 0, 1, 1);
    end_lan(lan);
}

TEST(switch, peers_that_send_rubbish_do_no_harm)
{
    struct lan *lan = make_lan();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    static uint8_t bytes[100000];
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/020000000001.sock", lan->path);
    CHECK_EQ(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    settle(lan);
    CHECK(send(fd, bytes, 13, 0) == 13);
    CHECK(send(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes));
    expect_heard(lan, 0, 0, 0);
    CHECK(send(fd, bytes, 60, 0) == 60);
    expect_heard(lan, 1, 0, 0);
    close(fd);
    CHECK(say(lan, 1, PORTS, 60));
    expect_heard(lan, 1, 0, 1);
    end_lan(lan);
}

TEST_MAIN(TESTS(frame_ring, hands_frames_from_one_thread_to_another),
          TESTS(frame_ring, says_when_it_is_full_and_when_it_was_empty),
          TESTS(bucket, keeps_the_rate_whatever_the_size_of_the_pieces),
          TESTS(bucket, lets_all_pass_without_a_rate_and_forgets_long_silence),
          TESTS(forward, is_read_as_people_write_it), TESTS(forward, has_a_side_on_the_host),
          TESTS(net, addresses_are_for_one_machine_each),
          TESTS(switch, floods_what_it_does_not_know_and_learns),
          TESTS(switch, a_station_that_refuses_holds_up_nobody),
          TESTS(switch, stations_leave_and_come_back),
          TESTS(switch, peers_that_send_rubbish_do_no_harm))
