/* SPDX-License-Identifier: Apache-2.0
 * Shared folders, as the machine's process sees them.
 *
 * A request's way: submit() copies it to a free slot; a worker of the server answers it
 * there; the thread "files" (or a hart that polls) gives the answer to the device and
 * frees the slot. When the server dies, what it had is answered with EIO, and another
 * one is started, to which the guest's open files mean nothing. */
#include "backend/files/files.h"

#include "backend/files/server.h"
#include "base/log.h"
#include "format/fuse.h"
#include "host/clock.h"
#include "host/loop.h"
#include "host/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
    NO_SLOT = CHANNEL_SLOTS,
    /* A server that ends sooner than this so often is not started again. */
    SOON_NS = 1000000000,
    FAILURES_MOST = 5,
    /* How long a hart waits for an answer itself, rather than have a thread woken. */
    POLL_NS = 25000,
    END_NS = 2000000000,
    END_STEP_US = 200,
    POLL_REQUEST_MOST = CHANNEL_SMALL,
    POLL_REPLY_MOST = 3 * CHANNEL_SMALL,
};

struct slot {
    struct files_request *request; /* NULL: free */
    uint64_t unique;               /* of the message */
    size_t room;
    uint32_t reply_at;
    uint32_t next_free;
};

/* What a port's owner is. */
struct side {
    struct files *files;
    unsigned index;
    bool is_refused; /* its device waits for ready() */
    struct files_handler handler;
};

struct files {
    struct files_config config;
    struct server_config server;
    struct channel *channel;
    int control_fd;
    pid_t keeper;
    struct loop *loop;
    pthread_t thread;
    bool has_thread;
    bool may_poll; /* there is another CPU for the server */
    _Atomic bool is_stopping;
    _Atomic bool has_message; /* of the keeper: who waits for an answer must let go */

    /* Guarded by the device lock. */
    struct side sides[FILES_MAX_SHARES];
    struct slot slots[CHANNEL_SLOTS];
    uint32_t first_free;
    unsigned in_flight;
    uint32_t submitted;
    uint32_t collected;
    bool has_server; /* or will have: it is being started */
    bool is_dead;    /* no server comes any more */
    uint64_t started_ns;
    unsigned failures; /* in a row */
};

static void lock(const struct files *files)
{
    lock_acquire(&files->config.device_lock);
}

static void unlock(const struct files *files)
{
    lock_release(&files->config.device_lock);
}

/* ---- answers ---- */

static struct files_request *free_slot(struct files *files, unsigned number)
{
    struct slot *slot = &files->slots[number];
    struct files_request *request = slot->request;

    slot->request = NULL;
    slot->next_free = files->first_free;
    files->first_free = number;
    files->in_flight--;
    return request;
}

static void answer_error(struct files_request *request, uint64_t unique, size_t room, int error)
{
    struct fuse_out_header out = {.size = sizeof(out), .error = error, .unique = unique};

    request->done(request, (const uint8_t *)&out, room < sizeof(out) ? 0 : sizeof(out));
}

/* Takes in what the server has answered. Device lock held. */
static bool collect(struct files *files)
{
    int64_t number = channel_collect(files->channel, files->collected);

    if (number < 0)
        return false;
    files->collected++;
    /* Only a server in foreign hands answers what was not asked. */
    if (number >= CHANNEL_SLOTS || !files->slots[number].request)
        return true;
    struct slot *slot = &files->slots[number];
    const uint8_t *reply = channel_bytes(files->channel, (unsigned)number) + slot->reply_at;
    size_t size = files->channel->slots[number].reply_size;
    size = size <= slot->room ? size : 0;
    /* The bytes stay where they are until another request takes the slot. */
    struct files_request *request = slot->request;
    request->done(request, reply, size);
    free_slot(files, (unsigned)number);
    return true;
}

static void invite(struct files *files)
{
    for (unsigned i = 0; i < files->config.share_count; i++) {
        struct side *side = &files->sides[i];
        if (!side->is_refused || !side->handler.ready)
            continue;
        side->is_refused = false;
        side->handler.ready(side->handler.device);
    }
}

static void *answer(void *argument)
{
    struct files *files = argument;

    if (files->config.enter)
        files->config.enter(files->config.owner);
    for (;;) {
        bool has_collected = false;
        lock(files);
        /* With the lock, so that it is not outdated by answers which a hart takes meanwhile. */
        uint32_t moment = channel_moment(files->channel);
        while (collect(files))
            has_collected = true;
        if (has_collected)
            invite(files);
        unlock(files);
        if (atomic_load(&files->is_stopping))
            return NULL;
        channel_await(files->channel, moment);
    }
}

/* ---- requests ---- */

static bool copy_in(uint8_t *to, size_t most, const struct files_segment *segments, unsigned count,
                    size_t *size)
{
    size_t done = 0;

    for (unsigned i = 0; i < count; i++) {
        if (segments[i].size > most - done)
            return false;
        memcpy(to + done, segments[i].bytes, segments[i].size);
        done += segments[i].size;
    }
    *size = done;
    return true;
}

/* The number of the message, for an answer that no server gives. */
static uint64_t find_unique(const struct files_segment *segments, unsigned count)
{
    uint8_t head[offsetof(struct fuse_in_header, unique) + sizeof(uint64_t)] = {0};
    uint64_t unique;
    size_t done = 0;

    for (unsigned i = 0; i < count && done < sizeof(head); i++) {
        size_t part = MIN(segments[i].size, sizeof(head) - done);
        memcpy(head + done, segments[i].bytes, part);
        done += part;
    }
    memcpy(&unique, head + offsetof(struct fuse_in_header, unique), sizeof(unique));
    return unique;
}

/* Whether the caller had better wait for the answer here: a guest that does one thing
 * after the other then goes on without two threads having been woken. */
static bool shall_poll(const struct files *files, size_t size, size_t room)
{
    return files->config.is_synchronous ||
           (files->may_poll && files->in_flight == 1 && size <= POLL_REQUEST_MOST &&
            room <= POLL_REPLY_MOST && room > 0);
}

static void poll_answers(struct files *files)
{
    struct channel *channel = files->channel;
    uint64_t end = clock_monotonic_ns() + POLL_NS;

    while (files->in_flight &&
           (clock_monotonic_ns() < end ||
            (files->config.is_synchronous && !atomic_load(&files->has_message)))) {
        for (unsigned i = 0; i < 16 && !collect(files); i++)
            __builtin_ia32_pause();
    }
    atomic_store(&channel->is_polled, 0);
    /* What came before that store woke nobody: pairs with channel_finish. */
    while (collect(files))
        ;
}

static bool submit(void *owner, struct files_request *request, const struct files_segment *segments,
                   unsigned segment_count)
{
    struct side *side = owner;
    struct files *files = side->files;
    size_t size;

    if (files->is_dead) {
        answer_error(request, find_unique(segments, segment_count), request->writable_size, -EIO);
        return true;
    }
    if (files->first_free == NO_SLOT || !files->has_server) {
        side->is_refused = true;
        return false;
    }
    unsigned number = files->first_free;
    struct slot *slot = &files->slots[number];
    uint8_t *bytes = channel_bytes(files->channel, number);
    if (!copy_in(bytes, CHANNEL_SLOT_SIZE, segments, segment_count, &size)) {
        answer_error(request, find_unique(segments, segment_count), request->writable_size,
                     -EINVAL);
        return true;
    }
    files->first_free = slot->next_free;
    slot->request = request;
    slot->unique = find_unique(segments, segment_count);
    slot->reply_at = (uint32_t)(size <= CHANNEL_SMALL ? CHANNEL_SMALL : (size + 63) & ~(size_t)63);
    slot->room = MIN(request->writable_size, CHANNEL_SLOT_SIZE - slot->reply_at);
    files->channel->slots[number] = (struct channel_slot){
        .share = side->index,
        .size = (uint32_t)size,
        .reply_at = slot->reply_at,
        .room = (uint32_t)slot->room,
    };
    files->in_flight++;
    bool polls = shall_poll(files, size, slot->room);
    if (polls)
        atomic_store(&files->channel->is_polled, 1);
    channel_submit(files->channel, number, files->submitted++);
    if (polls)
        poll_answers(files);
    return true;
}

/* ---- the end of a server ---- */

/* Device lock held. */
static void fail_all(struct files *files)
{
    for (unsigned i = 0; i < CHANNEL_SLOTS; i++) {
        struct slot slot = files->slots[i];
        if (!slot.request)
            continue;
        answer_error(free_slot(files, i), slot.unique, slot.room, -EIO);
    }
}

static void give_up(struct files *files, const char *why)
{
    log_error("files", "%s: shared folders fail from now on", why);
    files->is_dead = true;
    files->has_server = false;
    fail_all(files);
    loop_remove(files->loop, files->control_fd);
}

static void start_again(struct files *files)
{
    char word = SERVER_START;
    uint64_t now = clock_monotonic_ns();

    files->failures = now - files->started_ns < SOON_NS ? files->failures + 1 : 0;
    if (files->failures >= FAILURES_MOST) {
        give_up(files, "the file server keeps ending");
        return;
    }
    log_warn("files", "the file server ended and is started again; what the guest has open in "
                      "shared folders is lost");
    files->has_server = false; /* requests that follow from answers wait */
    fail_all(files);
    channel_reset(files->channel);
    files->submitted = 0;
    files->collected = 0;
    files->started_ns = now;
    files->has_server = true;
    if (send(files->control_fd, &word, 1, MSG_NOSIGNAL) != 1)
        give_up(files, "the process that starts file servers ended");
}

static void on_control(void *owner, unsigned events)
{
    struct files *files = owner;
    char word;

    (void)events;
    ssize_t got = recv(files->control_fd, &word, 1, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    atomic_store(&files->has_message, true);
    lock(files);
    atomic_store(&files->has_message, false);
    if (got == 1 && word == SERVER_GONE)
        start_again(files);
    else
        give_up(files, "the process that starts file servers ended");
    invite(files);
    unlock(files);
    channel_wake(files->channel);
}

/* ---- life ---- */

static int open_folders(struct files *files, struct error *err)
{
    for (unsigned i = 0; i < files->config.share_count; i++) {
        const struct files_share *share = &files->config.shares[i];
        struct server_share *server = &files->server.shares[i];
        *server = (struct server_share){
            .root_fd = -1,
            .read_only = share->read_only,
            /* A hart that waits for its answer would wait for a lock that its guest holds. */
            .has_locks = share->has_locks && !files->config.is_synchronous,
            .uid = share->uid,
        };
        files->server.share_count = i + 1;
        server->root_fd = open(share->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (server->root_fd < 0)
            return error_set(err, -errno, "cannot share '%s': %s", share->path, strerror(errno));
        if (!share->read_only && getxattr(share->path, "user.doppel.owner", NULL, 0) < 0 &&
            errno == EOPNOTSUPP)
            log_warn("files",
                     "'%s': its file system has no extended attributes, so that owners, devices "
                     "and setuid cannot be kept there",
                     share->path);
    }
    return 0;
}

static int start_keeper(struct files *files, struct error *err)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_set(err, -errno, "cannot start the file server: %s", strerror(errno));
    files->control_fd = ends[0];
    files->keeper = fork();
    if (files->keeper == 0) {
        close(ends[0]);
        server_keep(&files->server, ends[1]);
    }
    int result = files->keeper < 0
                     ? error_set(err, -errno, "cannot start the file server: %s", strerror(errno))
                     : 0;
    close(ends[1]);
    return result;
}

int files_start(const struct files_config *config, struct files **out, struct error *err)
{
    struct files *files = calloc(1, sizeof(*files));

    if (!files)
        return error_set(err, -ENOMEM, "cannot share folders: out of memory");
    files->config = *config;
    files->server.enter_jail = config->enter_jail;
    files->server.owner = config->owner;
    files->control_fd = -1;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    files->may_poll = cpus > 1;
    files->server.may_spin = cpus > (long)config->cpus;
    for (unsigned i = 0; i < CHANNEL_SLOTS; i++)
        files->slots[i].next_free = i + 1;
    for (unsigned i = 0; i < config->share_count; i++)
        files->sides[i] = (struct side){.files = files, .index = i};
    int result = open_folders(files, err);
    if (result == 0) {
        files->channel = files->server.channel = channel_create(err);
        result = files->channel ? start_keeper(files, err) : -ENOMEM;
    }
    if (result < 0) {
        files_close(files);
        return result;
    }
    files->has_server = true;
    files->started_ns = clock_monotonic_ns();
    *out = files;
    return 0;
}

struct files_port files_port(struct files *files, unsigned index)
{
    return (struct files_port){submit, &files->sides[index]};
}

int files_connect(struct files *files, struct loop *loop, const struct files_handler *handlers,
                  struct error *err)
{
    for (unsigned i = 0; i < files->config.share_count; i++)
        files->sides[i].handler = handlers[i];
    int result = loop_add(loop, files->control_fd, LOOP_READ, on_control, files);
    if (result < 0)
        return error_set(err, result, "cannot watch the file server: %s", strerror(-result));
    files->loop = loop;
    result = thread_start(&files->thread, "files", answer, files, err);
    files->has_thread = result == 0;
    return result;
}

void files_stop(struct files *files)
{
    if (!files)
        return;
    if (files->has_thread) {
        atomic_store(&files->is_stopping, true);
        channel_wake(files->channel);
        pthread_join(files->thread, NULL);
        files->has_thread = false;
    }
    if (files->loop && !files->is_dead)
        loop_remove(files->loop, files->control_fd);
    files->loop = NULL;
}

/* Once it is alone it ends the server, then itself, unless that hangs in a file system. */
static void await_keeper(pid_t keeper)
{
    uint64_t end = clock_monotonic_ns() + END_NS;

    while (waitpid(keeper, NULL, WNOHANG) == 0 && clock_monotonic_ns() < end)
        usleep(END_STEP_US);
}

void files_close(struct files *files)
{
    if (!files)
        return;
    files_stop(files);
    if (files->control_fd >= 0)
        close(files->control_fd);
    if (files->keeper > 0)
        await_keeper(files->keeper);
    for (unsigned i = 0; i < files->server.share_count; i++)
        if (files->server.shares[i].root_fd >= 0)
            close(files->server.shares[i].root_fd);
    channel_destroy(files->channel);
    free(files);
}

int files_keeper(const struct files *files)
{
    return files->keeper;
}
