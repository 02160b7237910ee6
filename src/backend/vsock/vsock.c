/* SPDX-License-Identifier: Apache-2.0
 * vsock connections behind unix sockets.
 *
 *     FREE --accept--> GREETING --"CONNECT PORT"--> REQUESTED --RESPONSE--> OPEN
 *     FREE --REQUEST of the guest--> ASKED --connected (service)--> OPEN
 *     any --RST, or all is said (drop)--> FREE
 *
 * The hart that brings a packet only changes state and fills rings, under the device lock; sockets are touched by the
 * loop thread alone, in service(). Credit (virtio 1.2, section 5.10.6.3): the guest may send what fits our ring, we send
 * what fits its buffer. */
#include "backend/vsock/vsock.h"

#include "base/text.h"
#include "host/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_SIZE      65536u /* power of two: what is on its way to the host */
#define CHUNK          16384u
#define GREETING_MOST  32
#define FIRST_PORT     0x40000000u /* of connections from the host */
#define REFUSALS       64
#define CREDIT_TOLD_AT (RING_SIZE / 4)

enum state {
    FREE,
    GREETING,  /* of the host: its line is awaited */
    REQUESTED, /* the guest's answer is awaited */
    ASKED,     /* by the guest: a socket is to be found */
    OPEN,
};

struct connection {
    struct vsock *vsock;

    /* Loop thread: */
    int fd; /* -1: none; or the port is served here */
    bool is_watched;
    uint64_t number; /* of those from the host, in order */
    char greeting[GREETING_MOST];
    unsigned greeting_size;

    /* Device lock: */
    enum state state;
    bool is_own; /* served by config.receive */
    uint32_t guest_port;
    uint32_t host_port;
    uint32_t guest_buffer; /* the guest's, and what has left it */
    uint32_t guest_forwarded;
    uint32_t sent;      /* to the guest, ever */
    uint32_t forwarded; /* from the guest to the host, ever */
    uint32_t told;      /* of which the guest knows */
    uint8_t *ring;      /* RING_SIZE, as long as it is not FREE */
    uint32_t head;
    uint32_t tail;
    unsigned pending;      /* BIT(vsock_op): packets that the guest had no room for */
    uint32_t guest_closed; /* VSOCK_NO_... of the guest's SHUTDOWN */
    bool host_closed;      /* the host sends no more */
    bool is_blocked;       /* the guest had no buffer for data */
    bool shut;             /* the socket's end was passed on */
    bool is_dead;          /* to be dropped by the loop thread */
};

/* A packet for a connection that does not exist. */
struct refusal {
    uint32_t guest_port;
    uint32_t host_port;
};

struct vsock {
    struct vsock_config config;
    int listen_fd;
    struct place place;
    struct vsock_handler handler;
    uint32_t next_port;
    uint64_t accepted;                 /* connections from the host, ever */
    struct refusal refusals[REFUSALS]; /* that wait for room */
    unsigned refusal_count;
    struct connection connections[VSOCK_MAX_CONNECTIONS];
    uint8_t chunk[CHUNK]; /* loop thread */
};

static void lock(struct vsock *vsock)
{
    lock_acquire(&vsock->config.device_lock);
}

static void unlock(struct vsock *vsock)
{
    lock_release(&vsock->config.device_lock);
}

/* ---- packets to the guest; device lock held ---- */

static struct vsock_packet packet_of(const struct connection *connection, enum vsock_op op)
{
    return (struct vsock_packet){
        .guest_port = connection->guest_port,
        .host_port = connection->host_port,
        .op = (uint16_t)op,
        .flags = op == VSOCK_SHUTDOWN ? VSOCK_NO_SEND : 0,
        .buf_alloc = RING_SIZE,
        .fwd_cnt = connection->forwarded,
    };
}

static bool send_op(struct connection *connection, enum vsock_op op)
{
    const struct vsock_handler *handler = &connection->vsock->handler;
    struct vsock_packet packet = packet_of(connection, op);

    if (!handler->send || handler->send(handler->device, &packet, NULL, 0) < 0) {
        connection->pending |= 1u << op;
        return false;
    }
    connection->told = connection->forwarded;
    return true;
}

/* What the guest had no room for, in the order of a connection's life. */
static void send_pending(struct connection *connection)
{
    static const enum vsock_op order[] = {VSOCK_REQUEST, VSOCK_RESPONSE, VSOCK_CREDIT_UPDATE,
                                          VSOCK_SHUTDOWN, VSOCK_RST};

    for (unsigned i = 0; i < ARRAY_LEN(order); i++) {
        if (!(connection->pending & 1u << order[i]))
            continue;
        connection->pending &= ~(1u << order[i]);
        if (!send_op(connection, order[i]))
            return;
    }
}

/* A guest that floods us with packets for nobody is not answered for ever. */
static void refuse(struct vsock *vsock, uint32_t guest_port, uint32_t host_port)
{
    struct vsock_packet packet = {
        .guest_port = guest_port, .host_port = host_port, .op = VSOCK_RST};

    if (vsock->handler.send && vsock->handler.send(vsock->handler.device, &packet, NULL, 0) >= 0)
        return;
    if (vsock->refusal_count < REFUSALS)
        vsock->refusals[vsock->refusal_count++] = (struct refusal){guest_port, host_port};
}

static void send_refusals(struct vsock *vsock)
{
    unsigned count = vsock->refusal_count;
    struct refusal refusals[REFUSALS];

    memcpy(refusals, vsock->refusals, sizeof(refusals));
    vsock->refusal_count = 0;
    for (unsigned i = 0; i < count; i++)
        refuse(vsock, refusals[i].guest_port, refusals[i].host_port);
}

/* How much more the guest takes. */
static uint32_t credit(const struct connection *connection)
{
    uint32_t under_way = connection->sent - connection->guest_forwarded;

    return under_way < connection->guest_buffer ? connection->guest_buffer - under_way : 0;
}

/* ---- connections; device lock held ---- */

static struct connection *find(struct vsock *vsock, uint32_t guest_port, uint32_t host_port)
{
    for (unsigned i = 0; i < VSOCK_MAX_CONNECTIONS; i++) {
        struct connection *connection = &vsock->connections[i];
        if (connection->state > GREETING && connection->guest_port == guest_port &&
            connection->host_port == host_port)
            return connection;
    }
    return NULL;
}

static struct connection *take_free(struct vsock *vsock, enum state state)
{
    for (unsigned i = 0; i < VSOCK_MAX_CONNECTIONS; i++) {
        struct connection *connection = &vsock->connections[i];
        if (connection->state != FREE)
            continue;
        /* The memory of its last use. */
        *connection =
            (struct connection){.vsock = vsock, .fd = -1, .state = state, .ring = connection->ring};
        return connection;
    }
    return NULL;
}

static void end(struct connection *connection)
{
    connection->is_dead = true;
    loop_wake(connection->vsock->config.loop);
}

static void end_and_tell(struct connection *connection)
{
    if (!connection->is_dead)
        refuse(connection->vsock, connection->guest_port, connection->host_port);
    end(connection);
}

/* ---- packets from the guest; device lock held ---- */

static void on_request(struct vsock *vsock, const struct vsock_packet *packet)
{
    struct connection *connection = take_free(vsock, ASKED);

    if (!connection) {
        refuse(vsock, packet->guest_port, packet->host_port);
        return;
    }
    connection->guest_port = packet->guest_port;
    connection->host_port = packet->host_port;
    connection->guest_buffer = packet->buf_alloc;
    connection->guest_forwarded = packet->fwd_cnt;
    loop_wake(vsock->config.loop);
}

static void on_data(struct connection *connection, const uint8_t *payload, size_t size)
{
    uint32_t used = connection->head - connection->tail;

    /* More than we said we have room for: its credit is broken. */
    if (connection->state != OPEN || size > RING_SIZE - used) {
        end_and_tell(connection);
        return;
    }
    for (size_t i = 0; i < size; i++)
        connection->ring[(connection->head + i) % RING_SIZE] = payload[i];
    connection->head += (uint32_t)size;
    loop_wake(connection->vsock->config.loop);
}

static void on_packet(struct connection *connection, const struct vsock_packet *packet,
                      const uint8_t *payload, size_t size)
{
    connection->guest_buffer = packet->buf_alloc;
    connection->guest_forwarded = packet->fwd_cnt;
    switch (packet->op) {
    case VSOCK_RESPONSE:
        if (connection->state == REQUESTED)
            connection->state = OPEN;
        loop_wake(connection->vsock->config.loop);
        break;
    case VSOCK_RST:
        end(connection);
        break;
    case VSOCK_SHUTDOWN:
        connection->guest_closed |= packet->flags & (VSOCK_NO_RECEIVE | VSOCK_NO_SEND);
        loop_wake(connection->vsock->config.loop);
        break;
    case VSOCK_RW:
        on_data(connection, payload, size);
        break;
    case VSOCK_CREDIT_UPDATE:
        loop_wake(connection->vsock->config.loop);
        break;
    case VSOCK_CREDIT_REQUEST:
        send_op(connection, VSOCK_CREDIT_UPDATE);
        break;
    default:
        end_and_tell(connection);
        break;
    }
}

static void port_receive(void *owner, const struct vsock_packet *packet, const uint8_t *payload,
                         size_t size)
{
    struct vsock *vsock = owner;
    struct connection *connection = find(vsock, packet->guest_port, packet->host_port);

    if (connection && !connection->is_dead)
        on_packet(connection, packet, payload, size);
    else if (packet->op == VSOCK_REQUEST && !connection)
        on_request(vsock, packet);
    else if (packet->op != VSOCK_RST)
        refuse(vsock, packet->guest_port, packet->host_port);
}

static void port_writable(void *owner)
{
    struct vsock *vsock = owner;

    send_refusals(vsock);
    for (unsigned i = 0; i < VSOCK_MAX_CONNECTIONS; i++) {
        struct connection *connection = &vsock->connections[i];
        connection->is_blocked = false;
        if (connection->state != FREE)
            send_pending(connection);
    }
    loop_wake(vsock->config.loop);
}

static void port_reset(void *owner)
{
    struct vsock *vsock = owner;

    vsock->refusal_count = 0;
    for (unsigned i = 0; i < VSOCK_MAX_CONNECTIONS; i++)
        if (vsock->connections[i].state > GREETING)
            end(&vsock->connections[i]);
}

struct vsock_port vsock_port(struct vsock *vsock)
{
    return (struct vsock_port){port_receive, port_writable, port_reset, vsock};
}

/* ---- sockets; loop thread ---- */

static void on_socket(void *owner, unsigned events);

static void unwatch(struct connection *connection)
{
    if (connection->is_watched)
        loop_remove(connection->vsock->config.loop, connection->fd);
    connection->is_watched = false;
}

static void drop(struct connection *connection)
{
    const struct vsock_config *config = &connection->vsock->config;

    unwatch(connection);
    if (connection->is_own)
        config->receive(config->owner, NULL, 0);
    if (connection->fd >= 0)
        close(connection->fd);
    lock(connection->vsock);
    connection->fd = -1;
    connection->state = FREE;
    connection->is_dead = false;
    unlock(connection->vsock);
}

/* What is waited for depends on what the guest takes and what there is for the host. */
static void watch(struct connection *connection)
{
    struct loop *loop = connection->vsock->config.loop;
    unsigned events = 0;

    if (connection->fd < 0 || connection->is_dead)
        return;
    if (connection->state == GREETING)
        events = LOOP_READ;
    if (connection->state == OPEN && !connection->host_closed && !connection->is_blocked &&
        credit(connection) && !(connection->guest_closed & VSOCK_NO_RECEIVE))
        events |= LOOP_READ;
    if (connection->head != connection->tail)
        events |= LOOP_WRITE;
    /* A socket whose other side is gone would be reported for ever. */
    if (!events)
        unwatch(connection);
    else if (connection->is_watched)
        loop_change(loop, connection->fd, events);
    else
        connection->is_watched = loop_add(loop, connection->fd, events, on_socket, connection) == 0;
    if (events && !connection->is_watched) {
        lock(connection->vsock);
        end_and_tell(connection);
        unlock(connection->vsock);
    }
}

/* Takes what the guest sent out of the ring and gives it on. False: it cannot be given on now. */
static bool forward_some(struct connection *connection)
{
    struct vsock *vsock = connection->vsock;

    lock(vsock);
    uint32_t from = connection->tail % RING_SIZE;
    uint32_t size = MIN(connection->head - connection->tail, RING_SIZE - from);
    unlock(vsock);
    if (size == 0)
        return false;
    ssize_t sent = size;
    if (connection->is_own)
        vsock->config.receive(vsock->config.owner, connection->ring + from, size);
    else
        sent = send(connection->fd, connection->ring + from, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    lock(vsock);
    connection->tail += sent < 0 ? size : (uint32_t)sent;
    connection->forwarded += sent < 0 ? size : (uint32_t)sent;
    if (sent < 0)
        end_and_tell(connection);
    else if (connection->forwarded - connection->told >= CREDIT_TOLD_AT)
        send_op(connection, VSOCK_CREDIT_UPDATE);
    unlock(vsock);
    return sent > 0;
}

/* The guest closed its side, and all it said was passed on. */
static void pass_end(struct connection *connection)
{
    struct vsock *vsock = connection->vsock;

    lock(vsock);
    bool is_done = connection->guest_closed && connection->head == connection->tail;
    /* To who speaks to us we have nothing to say; it waits for the end. */
    bool is_all = (connection->guest_closed & VSOCK_NO_SEND) &&
                  ((connection->guest_closed & VSOCK_NO_RECEIVE) || connection->host_closed ||
                   connection->is_own);
    if (is_done && is_all)
        end_and_tell(connection);
    unlock(vsock);
    if (is_done && (connection->guest_closed & VSOCK_NO_SEND) && !connection->shut) {
        connection->shut = true;
        if (connection->fd >= 0)
            shutdown(connection->fd, SHUT_WR);
    }
}

/* At most what the guest has room for. */
static void read_some(struct connection *connection)
{
    struct vsock *vsock = connection->vsock;

    lock(vsock);
    size_t most = MIN((size_t)credit(connection), (size_t)CHUNK);
    unlock(vsock);
    if (most == 0)
        return;
    /* Its buffers may be smaller than what it has credit for: what is not taken is read again. */
    ssize_t count = recv(connection->fd, vsock->chunk, most, MSG_DONTWAIT | MSG_PEEK);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    lock(vsock);
    int64_t taken = 0;
    struct vsock_packet packet = packet_of(connection, VSOCK_RW);
    if (count > 0)
        taken = vsock->handler.send(vsock->handler.device, &packet, vsock->chunk, (size_t)count);
    connection->is_blocked = taken < 0;
    if (taken > 0) {
        connection->sent += (uint32_t)taken;
        connection->told = connection->forwarded;
    }
    if (count < 0)
        end_and_tell(connection);
    if (count == 0) {
        connection->host_closed = true;
        send_op(connection, VSOCK_SHUTDOWN);
    }
    unlock(vsock);
    /* It was there a moment ago, and is ours alone. */
    if (taken > 0 && recv(connection->fd, vsock->chunk, (size_t)taken, MSG_DONTWAIT) < taken)
        connection->is_dead = true;
}

/* "CONNECT PORT\n": then the guest is asked. False: it is something else, or not yet whole. */
static void take_greeting(struct connection *connection)
{
    struct vsock *vsock = connection->vsock;
    uint64_t port;
    char c;

    while (recv(connection->fd, &c, 1, MSG_DONTWAIT) == 1 && c != '\n' &&
           connection->greeting_size < GREETING_MOST - 1)
        connection->greeting[connection->greeting_size++] = c;
    if (c != '\n' && connection->greeting_size < GREETING_MOST - 1)
        return;
    connection->greeting[connection->greeting_size] = 0;
    lock(vsock);
    if (c != '\n' || !text_starts_with(connection->greeting, "CONNECT ") ||
        !text_parse_u64(connection->greeting + 8, UINT32_MAX, &port)) {
        end(connection);
    } else {
        connection->guest_port = (uint32_t)port;
        do
            connection->host_port = vsock->next_port++ | FIRST_PORT;
        while (find(vsock, connection->guest_port, connection->host_port));
        connection->state = REQUESTED;
        send_op(connection, VSOCK_REQUEST);
    }
    unlock(vsock);
}

static void serve(struct connection *connection);

static void on_socket(void *owner, unsigned events)
{
    struct connection *connection = owner;

    if (connection->state == GREETING) {
        take_greeting(connection);
        if (events & LOOP_HANGUP && connection->state == GREETING)
            connection->is_dead = true;
    } else if (connection->state == OPEN && !connection->host_closed) {
        if (events & (LOOP_READ | LOOP_HANGUP))
            read_some(connection);
    }
    serve(connection);
}

/* The guest asked for a port of the host. */
static void answer(struct connection *connection)
{
    struct vsock *vsock = connection->vsock;
    const struct vsock_config *config = &vsock->config;

    connection->is_own = config->own_port && connection->host_port == config->own_port;
    if (!connection->is_own && config->connect)
        connection->fd = config->connect(config->owner, connection->host_port);
    lock(vsock);
    if (connection->is_own || connection->fd >= 0) {
        connection->state = OPEN;
        send_op(connection, VSOCK_RESPONSE);
    } else {
        end_and_tell(connection);
    }
    unlock(vsock);
}

/* The guest took the host's call. */
static void accept_call(struct connection *connection)
{
    char line[32];
    int length = snprintf(line, sizeof(line), "OK %u\n", connection->host_port);

    connection->greeting_size = 0;
    if (send(connection->fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) == length)
        return;
    lock(connection->vsock);
    end_and_tell(connection);
    unlock(connection->vsock);
}

static bool make_ring(struct connection *connection)
{
    if (!connection->ring)
        connection->ring = malloc(RING_SIZE);
    return connection->ring;
}

/* All that a connection waits for from this thread. */
static void serve(struct connection *connection)
{
    if (connection->state == FREE)
        return;
    if (!make_ring(connection))
        connection->is_dead = true;
    if (connection->state == ASKED && !connection->is_dead)
        answer(connection);
    if (connection->state == OPEN && connection->greeting_size && !connection->is_dead)
        accept_call(connection);
    while (connection->state == OPEN && !connection->is_dead && forward_some(connection))
        continue;
    if (connection->state == OPEN && !connection->is_dead)
        pass_end(connection);
    if (connection->is_dead)
        drop(connection);
    else
        watch(connection);
}

void vsock_service(struct vsock *vsock)
{
    for (unsigned i = 0; vsock && i < VSOCK_MAX_CONNECTIONS; i++)
        serve(&vsock->connections[i]);
}

/* Who has connected and says nothing, longest first, makes room for others. */
static void drop_silent(struct vsock *vsock)
{
    struct connection *oldest = NULL;

    for (unsigned i = 0; i < VSOCK_MAX_CONNECTIONS; i++) {
        struct connection *connection = &vsock->connections[i];
        if (connection->state == FREE)
            return;
        if (connection->state == GREETING && (!oldest || connection->number < oldest->number))
            oldest = connection;
    }
    if (oldest)
        drop(oldest);
}

static void on_accept(void *owner, unsigned events)
{
    struct vsock *vsock = owner;
    int fd = accept4(vsock->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        return;
    drop_silent(vsock);
    lock(vsock);
    struct connection *connection = take_free(vsock, GREETING);
    unlock(vsock);
    if (!connection) {
        close(fd);
        return;
    }
    connection->fd = fd;
    connection->number = vsock->accepted++;
    serve(connection);
}

/* ---- life ---- */

int vsock_open(const struct vsock_config *config, struct vsock **out, struct error *err)
{
    struct vsock *vsock = calloc(1, sizeof(*vsock));

    if (!vsock)
        return error_set(err, -ENOMEM, "--vsock: out of memory");
    vsock->config = *config;
    vsock->config.path = NULL;
    for (unsigned i = 0; i < VSOCK_MAX_CONNECTIONS; i++)
        vsock->connections[i] = (struct connection){.vsock = vsock, .fd = -1};
    vsock->listen_fd = unix_listen(config->path, SOCK_STREAM, "--vsock", err);
    if (vsock->listen_fd < 0) {
        int result = vsock->listen_fd;
        free(vsock);
        return result;
    }
    place_open(&vsock->place, config->path);
    int result = loop_add(config->loop, vsock->listen_fd, LOOP_READ, on_accept, vsock);
    if (result < 0) {
        vsock_close(vsock);
        return error_set(err, result, "--vsock: cannot watch the socket");
    }
    *out = vsock;
    return 0;
}

void vsock_close(struct vsock *vsock)
{
    if (!vsock)
        return;
    for (unsigned i = 0; i < VSOCK_MAX_CONNECTIONS; i++) {
        struct connection *connection = &vsock->connections[i];
        unwatch(connection);
        if (connection->fd >= 0)
            close(connection->fd);
        free(connection->ring);
    }
    loop_remove(vsock->config.loop, vsock->listen_fd);
    close(vsock->listen_fd);
    place_remove(&vsock->place);
    free(vsock);
}

void vsock_attach(struct vsock *vsock, const struct vsock_handler *handler)
{
    vsock->handler = *handler;
}

struct place *vsock_place(struct vsock *vsock)
{
    return vsock && vsock->place.name[0] ? &vsock->place : NULL;
}
