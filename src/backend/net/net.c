/* SPDX-License-Identifier: Apache-2.0
 * What is the same for all networks: the ring of frames to send, the batch of frames
 * received, back-pressure, limits of the rate. */
#include "backend/net/net.h"

#include "backend/bucket.h"
#include "backend/net/link.h"
#include "base/bits.h"
#include "base/text.h"
#include "host/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    BATCH = 16,
    /* Batches in one go, then the loop's others have their turn. */
    ROUNDS = 4,
};

#define BURST_NS UINT64_C(50000000)

struct net {
    struct link *link;
    struct loop *loop;
    struct lock_port device_lock;
    struct net_handler handler;
    bool is_connected;

    /* Sending. */
    struct frame_ring ring;    /* written by whoever holds the device lock */
    _Atomic bool device_waits; /* transmit() found no room */
    bool link_is_full;         /* the link took less than it was offered */
    struct bucket send_bucket;

    /* Receiving: what the device has not taken of the last batch. */
    struct frame batch[BATCH];
    uint8_t *batch_bytes; /* BATCH times NET_FRAME_MOST */
    unsigned batch_at;
    unsigned batch_count;
    bool may_read;               /* the link has perhaps more */
    _Atomic bool device_is_full; /* receive() refused a frame */
    struct bucket receive_bucket;

    int timer_fd; /* -1: there was no limit yet */
    struct net_stats stats;
};

/* ---- the device's side ---- */

static bool port_transmit(void *owner, const uint8_t *frame, size_t size)
{
    struct net *net = owner;
    bool was_empty = false;

    if (!frame_ring_put(&net->ring, frame, size, &was_empty)) {
        /* Then once more: the reader may have looked at the flag before it was set. */
        atomic_store(&net->device_waits, true);
        if (!frame_ring_put(&net->ring, frame, size, &was_empty))
            return false;
        atomic_store(&net->device_waits, false);
    }
    if (was_empty)
        loop_wake(net->loop);
    return true;
}

static void port_readable(void *owner)
{
    struct net *net = owner;

    atomic_store(&net->device_is_full, false);
    loop_wake(net->loop);
}

struct net_port net_port(struct net *net)
{
    return (struct net_port){port_transmit, port_readable, net};
}

/* ---- sending ---- */

static void invite_device(struct net *net)
{
    if (!atomic_load(&net->device_waits) || !frame_ring_has_room(&net->ring))
        return;
    lock_acquire(&net->device_lock);
    atomic_store(&net->device_waits, false);
    if (net->handler.writable)
        net->handler.writable(net->handler.device);
    lock_release(&net->device_lock);
}

static uint64_t wait_for(struct bucket *bucket)
{
    uint64_t now_ns = bucket->rate ? clock_monotonic_ns() : 0;
    uint64_t ready_ns = bucket_ready_ns(bucket, now_ns);

    return ready_ns > now_ns ? ready_ns - now_ns : 0;
}

/* One batch. False: nothing more to do now. */
static bool send_batch(struct net *net, uint64_t *wait_ns)
{
    struct frame frames[BATCH];
    /* One at a time while there is a limit, so that the debt stays small. */
    unsigned most = net->send_bucket.rate ? 1 : BATCH;

    *wait_ns = 0;
    unsigned count = net->link_is_full ? 0 : frame_ring_peek(&net->ring, frames, most);
    if (count == 0)
        return false;
    *wait_ns = wait_for(&net->send_bucket);
    if (*wait_ns)
        return false;
    unsigned sent = net->link->ops->send(net->link, frames, count);
    for (unsigned i = 0; i < sent; i++) {
        net->stats.sent_bytes += frames[i].size;
        bucket_take(&net->send_bucket, frames[i].size);
    }
    net->stats.sent_frames += sent;
    frame_ring_drop(&net->ring, frames, sent);
    net->link_is_full = sent < count;
    invite_device(net);
    return !net->link_is_full;
}

/* ---- receiving ---- */

/* Gives the device what it has not taken yet. False: it has no room. */
static bool give_batch(struct net *net)
{
    bool is_taken = true;

    if (net->batch_at == net->batch_count)
        return true;
    lock_acquire(&net->device_lock);
    while (net->batch_at < net->batch_count) {
        const struct frame *frame = &net->batch[net->batch_at];
        is_taken = !net->handler.receive ||
                   net->handler.receive(net->handler.device, frame->bytes, frame->size);
        if (!is_taken)
            break;
        net->batch_at++;
    }
    atomic_store(&net->device_is_full, !is_taken);
    lock_release(&net->device_lock);
    return is_taken;
}

static void read_batch(struct net *net, unsigned most)
{
    for (unsigned i = 0; i < most; i++)
        net->batch[i] =
            (struct frame){net->batch_bytes + (size_t)i * NET_FRAME_MOST, NET_FRAME_MOST};
    net->batch_at = 0;
    net->batch_count = net->link->ops->receive(net->link, net->batch, most);
    net->may_read = net->batch_count == most;
    for (unsigned i = 0; i < net->batch_count; i++) {
        net->stats.received_bytes += net->batch[i].size;
        bucket_take(&net->receive_bucket, net->batch[i].size);
    }
    net->stats.received_frames += net->batch_count;
}

/* One batch. False: nothing more to do now. */
static bool receive_batch(struct net *net, uint64_t *wait_ns)
{
    *wait_ns = 0;
    if (atomic_load(&net->device_is_full) || !give_batch(net) || !net->may_read)
        return false;
    *wait_ns = wait_for(&net->receive_bucket);
    if (*wait_ns)
        return false;
    read_batch(net, net->receive_bucket.rate ? 1 : BATCH);
    return net->batch_count != 0 && give_batch(net);
}

/* ---- in the loop ---- */

static void set_timer(struct net *net, uint64_t wait_ns)
{
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(wait_ns / 1000000000),
                                           .tv_nsec = (long)(wait_ns % 1000000000)}};

    if (wait_ns && net->timer_fd >= 0)
        timerfd_settime(net->timer_fd, 0, &when, NULL);
}

void net_service(struct net *net)
{
    uint64_t send_wait_ns = 0;
    uint64_t receive_wait_ns = 0;
    bool receives = true;
    bool sends = true;

    if (!net || !net->is_connected)
        return;
    for (unsigned i = 0; i < ROUNDS && receives; i++)
        receives = receive_batch(net, &receive_wait_ns);
    for (unsigned i = 0; i < ROUNDS && sends; i++)
        sends = send_batch(net, &send_wait_ns);
    bool want_read = !net->may_read && !atomic_load(&net->device_is_full);
    net->link->ops->watch(net->link,
                          (want_read ? LOOP_READ : 0u) | (net->link_is_full ? LOOP_WRITE : 0u));
    set_timer(net, send_wait_ns && receive_wait_ns ? MIN(send_wait_ns, receive_wait_ns)
                                                   : send_wait_ns | receive_wait_ns);
    /* There is more, but others shall have their turn first. */
    if (receives || (sends && !frame_ring_is_empty(&net->ring)))
        loop_wake(net->loop);
}

void net_ready(struct net *net, unsigned events)
{
    if (events & (LOOP_READ | LOOP_HANGUP))
        net->may_read = true;
    if (events & (LOOP_WRITE | LOOP_HANGUP))
        net->link_is_full = false;
    net_service(net);
}

static void on_timer(void *owner, unsigned events)
{
    struct net *net = owner;
    uint64_t count;

    (void)events;
    if (read(net->timer_fd, &count, sizeof(count)) == (ssize_t)sizeof(count))
        net_service(net);
}

void net_set_link(struct net *net, bool is_up)
{
    if (!net->is_connected)
        return;
    lock_acquire(&net->device_lock);
    net->handler.set_link(net->handler.device, is_up);
    lock_release(&net->device_lock);
}

/* ---- life ---- */

static int open_link(const struct net_config *config, struct link **out, struct error *err)
{
    const char *spec = config->spec;

    if (strcmp(spec, "user") == 0)
        return user_open(config, out, err);
    if (config->forward_count)
        return error_set(err, -EINVAL, "--publish needs --net user");
    if (text_starts_with(spec, "socket:") && spec[7])
        return switch_open(config, spec + 7, out, err);
    if (text_starts_with(spec, "tap:") && spec[4])
        return tap_open(config, spec + 4, out, err);
    return error_set(err, -EINVAL, "--net '%s' is not one of user, none, tap:IF, socket:PATH",
                     spec);
}

int net_open(const struct net_config *config, struct net **out, struct error *err)
{
    struct net *net = calloc(1, sizeof(*net));

    if (!net)
        return error_set(err, -ENOMEM, "--net '%s': out of memory", config->spec);
    net->loop = config->loop;
    net->device_lock = config->device_lock;
    net->timer_fd = -1;
    net->batch_bytes = malloc((size_t)BATCH * NET_FRAME_MOST);
    int result = net->batch_bytes ? frame_ring_init(&net->ring) : -ENOMEM;
    if (result < 0)
        error_set(err, result, "--net '%s': out of memory", config->spec);
    if (result == 0)
        result = open_link(config, &net->link, err);
    if (result < 0) {
        net_close(net);
        return result;
    }
    net->link->net = net;
    net_set_rate(net, config->rate);
    *out = net;
    return 0;
}

void net_close(struct net *net)
{
    if (!net)
        return;
    if (net->link)
        net->link->ops->close(net->link);
    if (net->timer_fd >= 0) {
        loop_remove(net->loop, net->timer_fd);
        close(net->timer_fd);
    }
    frame_ring_fini(&net->ring);
    free(net->batch_bytes);
    free(net);
}

struct place *net_place(struct net *net)
{
    struct place *place = net->link->ops->place ? net->link->ops->place(net->link) : NULL;

    return place && place->name[0] ? place : NULL;
}

struct net_traits net_traits(const struct net *net)
{
    return net->link->traits;
}

int net_connect(struct net *net, const struct net_handler *handler, struct error *err)
{
    int result = net->link->ops->connect ? net->link->ops->connect(net->link, err) : 0;

    if (result < 0)
        return result;
    lock_acquire(&net->device_lock);
    net->handler = *handler;
    lock_release(&net->device_lock);
    net->is_connected = true;
    net_service(net);
    return 0;
}

void net_set_rate(struct net *net, uint64_t rate)
{
    uint64_t now_ns = clock_monotonic_ns();

    bucket_set(&net->send_bucket, rate, BURST_NS, now_ns);
    bucket_set(&net->receive_bucket, rate, BURST_NS, now_ns);
    if (rate && net->timer_fd < 0) {
        net->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (net->timer_fd >= 0 &&
            loop_add(net->loop, net->timer_fd, LOOP_READ, on_timer, net) < 0) {
            close(net->timer_fd);
            net->timer_fd = -1;
        }
    }
    net_service(net);
}

/* ---- forwards ---- */

static int has_no_forwards(struct error *err)
{
    return error_set(err, -ENOTSUP, "ports can be published through --net user only");
}

int net_add_forward(struct net *net, const struct net_forward *forward, struct error *err)
{
    const struct link_ops *ops = net->link->ops;

    return ops->add_forward ? ops->add_forward(net->link, forward, err) : has_no_forwards(err);
}

int net_remove_forward(struct net *net, const struct net_forward *forward, struct error *err)
{
    const struct link_ops *ops = net->link->ops;

    return ops->remove_forward ? ops->remove_forward(net->link, forward, err)
                               : has_no_forwards(err);
}

unsigned net_forwards(const struct net *net, const struct net_forward **out)
{
    const struct link_ops *ops = net->link->ops;

    *out = NULL;
    return ops->forwards ? ops->forwards(net->link, out) : 0;
}

struct net_stats net_stats(const struct net *net)
{
    struct net_stats stats = net->stats;

    if (net->link->ops->restarts)
        stats.restarts = net->link->ops->restarts(net->link);
    return stats;
}

/* ---- addresses ---- */

/* FNV-1a, then mixed, as FNV's upper bits know little of the last bytes. */
static uint64_t hash_name(const char *name, uint64_t number, unsigned index)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ number;

    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    hash = (hash ^ index) * UINT64_C(0x9e3779b97f4a7c15);
    hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return hash ^ (hash >> 29);
}

void net_choose_address(const char *machine, uint64_t number, unsigned index,
                        uint8_t out[NET_ADDRESS_SIZE])
{
    uint64_t hash = hash_name(machine, number, index);

    for (unsigned i = 0; i < NET_ADDRESS_SIZE; i++)
        out[i] = (uint8_t)(hash >> (8 * i));
    out[0] = (uint8_t)((out[0] & 0xfc) | 2); /* for one, and not assigned by anybody */
}
