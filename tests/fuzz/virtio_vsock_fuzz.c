/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: socket device with the real back end, whose sockets are pairs. */
#include "backend/vsock/vsock.h"
#include "base/endian.h"
#include "dev/virtio/mmio.h"
#include "dev/virtio/vsock.h"
#include "fuzz/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define QUEUES 3
#define SIZE   16
#define PEERS  16

static struct loop *loop;
static struct vsock *vsock;
static char path[64];
static int peers[PEERS]; /* the far ends; -1: none */
static unsigned peer_count;

static void keep_peer(int fd)
{
    int *place = &peers[peer_count++ % PEERS];

    if (*place >= 0)
        close(*place);
    *place = fd;
}

/* Even ports have somebody who listens. */
static int connect_port(void *owner, uint32_t port)
{
    int pair[2];

    (void)owner;
    if (port % 2 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    keep_peer(pair[1]);
    return pair[0];
}

static void receive_own(void *owner, const uint8_t *bytes, size_t size)
{
    unsigned sum = 0;

    (void)owner;
    for (size_t i = 0; i < size; i++)
        sum += bytes[i];
    if (sum == 0xffffffff)
        abort(); /* reads every byte */
}

static void turn(void *owner, unsigned events)
{
    (void)events;
    (void)owner;
    vsock_service(vsock);
    loop_stop(loop);
}

static void run_loop(void)
{
    loop_wake(loop);
    loop_run(loop);
}

static void remove_socket(void)
{
    unlink(path);
}

static void prepare(void)
{
    struct error err = {0};
    struct vsock_config config = {
        .path = path,
        .connect = connect_port,
        .own_port = 7,
        .receive = receive_own,
    };

    if (vsock)
        return;
    snprintf(path, sizeof(path), "/tmp/doppel-vsock-fuzz-%d", (int)getpid());
    atexit(remove_socket);
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = -1;
    if (loop_create(&loop, &err) < 0)
        abort();
    config.loop = loop;
    if (vsock_open(&config, &vsock, &err) < 0)
        abort();
    loop_set_wake(loop, turn, NULL);
}

/* A client at the front door. */
static void call(struct input *in)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char line[32];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, path, sizeof(path));
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        if (fd >= 0)
            close(fd);
        return;
    }
    int size = snprintf(line, sizeof(line), "CONNECT %u\nxyz", (unsigned)take(in, 1) % 8);
    if (write(fd, line, (size_t)size) < 0)
        abort();
    keep_peer(fd);
}

static void stir_peer(struct input *in)
{
    uint8_t bytes[4096] = {0};
    uint8_t what = (uint8_t)take(in, 1);
    int *peer = &peers[what % PEERS];

    if (*peer < 0)
        return;
    if (what & 0x80) {
        close(*peer);
        *peer = -1;
    } else if (what & 0x40) {
        (void)!read(*peer, bytes, sizeof(bytes));
    } else if (what & 0x20) {
        shutdown(*peer, SHUT_WR);
    } else {
        (void)!send(*peer, bytes, sizeof(bytes), MSG_NOSIGNAL);
    }
}

/* A packet at the place where write_ring's addresses point. */
static void write_packet(struct input *in)
{
    uint8_t *header = ram + 0x8000 + take(in, 1) % 16 * 16;
    uint8_t shape = (uint8_t)take(in, 1);

    store_le64(header, shape & 1 ? 4 : 3);
    store_le64(header + 8, shape & 2 ? 3 : 2);
    store_le32(header + 16, (uint32_t)take(in, 1) % 8);
    store_le32(header + 20, (shape & 4 ? 0x40000000u : 0) + (uint32_t)take(in, 1) % 8);
    store_le32(header + 24, shape & 8 ? (uint32_t)take(in, 4) : (uint32_t)take(in, 1));
    store_le16(header + 28, shape & 16 ? 2 : 1);
    store_le16(header + 30, (uint16_t)take(in, 1) % 9);
    store_le32(header + 32, (uint32_t)take(in, 1));
    store_le32(header + 36, shape & 32 ? 0xffffffff : (uint32_t)take(in, 2));
    store_le32(header + 40, shape & 64 ? (uint32_t)take(in, 4) : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct virtio_vsock device;
    static struct virtio_vsock fresh;
    struct input in = {data, data + size};
    struct virtio_mmio transport;
    struct irq_line line = {0};

    prepare();
    reset_space();
    virtio_vsock_init(&device, &(struct virtio_vsock_config){
                                   .space = &space, .port = vsock_port(vsock), .guest_cid = 3});
    virtio_mmio_init(&transport, &device.virtio, &line);
    fresh = device;
    struct vsock_handler handler = virtio_vsock_handler(&device);
    vsock_attach(vsock, &handler);
    start_with(&transport, QUEUES, SIZE, (unsigned)take(&in, 1) & 7, 0);
    while (in.at < in.end) {
        uint8_t command = (uint8_t)take(&in, 1);
        switch (command & 7) {
        case 0:
            write32(&transport, 0x50, (command >> 3) % QUEUES);
            break;
        case 1:
            write_packet(&in);
            break;
        case 2:
            stir_peer(&in);
            run_loop();
            break;
        case 3:
            if (command & 8)
                call(&in);
            else
                start_with(&transport, QUEUES, SIZE, command >> 4 & 7, 0);
            run_loop();
            break;
        case 4:
            if (command & 8)
                reload(&in, &virtio_vsock_ops, &device, sizeof(device), &fresh);
            else
                run_loop();
            break;
        case 5:
            poke_ram(&in);
            break;
        default:
            write_ring(&in, (command >> 3) % QUEUES, SIZE);
            break;
        }
        for (unsigned q = 0; q < QUEUES; q++)
            if (virtio_is_running(&device.virtio) && device.virtio.queues[q].in_flight != 0)
                abort(); /* the device holds no chain */
    }
    /* A reset ends all connections; then nothing is open. */
    virtio_vsock_ops.reset(&device);
    for (unsigned i = 0; i < PEERS; i++) {
        if (peers[i] >= 0)
            close(peers[i]);
        peers[i] = -1;
    }
    for (unsigned i = 0; i < 4; i++)
        run_loop();
    return 0;
}
