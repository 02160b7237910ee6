/* SPDX-License-Identifier: Apache-2.0
 * What stands behind a serial line. */
#include "backend/stream/stream.h"

#include "backend/stream/transcript.h"
#include "base/log.h"
#include "base/text.h"
#include "host/place.h"
#include "host/terminal.h"
#include "host/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define RING_SIZE         65536u /* power of two */
/* More keys than anybody types into a guest that does not listen: Ctrl-] behind
 * them is still seen. */
#define INPUT_SIZE        65536u
#define WRITE_CHUNK       512u
#define ESCAPE            0x1d /* Ctrl-] */
#define CLOSE_PATIENCE_MS 1000
#define LOG_WORD          ",log="

struct stream {
    struct stream_config config;
    int in_fd;     /* -1: none */
    int out_fd;    /* -1: output is dropped */
    int listen_fd; /* unix: waits for a client */
    bool owns_fds;
    bool owns_out;       /* of the two only out_fd */
    bool out_is_file;    /* always writable, cannot be polled */
    bool is_raw;         /* a terminal of ours: Ctrl-] leaves */
    bool keeps_old_file; /* file: not yet emptied */
    bool watches_in;
    bool watches_out;
    struct place place;            /* of a socket, or of a new file that is not yet to be kept */
    struct transcript *transcript; /* NULL: none is kept */
    int patience_ms;               /* how long to wait for the reader at the end */

    /* Guarded by the device lock: */
    uint8_t ring[RING_SIZE];
    uint32_t head;     /* free-running: bytes ever put */
    uint32_t tail;     /* bytes ever written out */
    bool device_waits; /* a write took less than it was offered */
    struct stream_handler handler;

    /* Loop thread: input that the device has not taken. */
    uint8_t input[INPUT_SIZE];
    size_t input_at; /* the first byte of it */
    size_t input_count;
};

static void lock(struct stream *stream)
{
    lock_acquire(&stream->config.device_lock);
}

static void unlock(struct stream *stream)
{
    lock_release(&stream->config.device_lock);
}

/* ---- the device's side ---- */

/* What was printed, for the file that keeps it. Device lock held. */
static void keep(struct stream *stream, const uint8_t *bytes, size_t size)
{
    if (stream->transcript && transcript_put(stream->transcript, bytes, size))
        loop_wake(stream->config.loop);
}

static size_t port_write(void *owner, const uint8_t *bytes, size_t size)
{
    struct stream *stream = owner;
    uint32_t used = stream->head - stream->tail;
    size_t count = MIN(size, RING_SIZE - used);

    if (stream->out_fd < 0) { /* nobody listens */
        keep(stream, bytes, size);
        return size;
    }
    keep(stream, bytes, count);
    for (size_t i = 0; i < count; i++)
        stream->ring[(stream->head + i) % RING_SIZE] = bytes[i];
    stream->head += (uint32_t)count;
    if (count < size)
        stream->device_waits = true;
    if (used == 0)
        loop_wake(stream->config.loop);
    return count;
}

static void port_readable(void *owner)
{
    struct stream *stream = owner;

    loop_wake(stream->config.loop);
}

struct stream_port stream_port(struct stream *stream)
{
    return (struct stream_port){port_write, port_readable, stream};
}

/* ---- output, on the loop thread ---- */

static void close_client(struct stream *stream);

/* Copies the oldest bytes out of the ring. */
static size_t peek_ring(struct stream *stream, uint8_t *to, size_t most)
{
    lock(stream);
    size_t count = MIN(most, (size_t)(stream->head - stream->tail));
    for (size_t i = 0; i < count; i++)
        to[i] = stream->ring[(stream->tail + i) % RING_SIZE];
    unlock(stream);
    return count;
}

static void drop_from_ring(struct stream *stream, size_t count)
{
    lock(stream);
    stream->tail += (uint32_t)count;
    if (stream->device_waits && stream->head - stream->tail < RING_SIZE) {
        stream->device_waits = false;
        if (stream->handler.writable)
            stream->handler.writable(stream->handler.device);
    }
    unlock(stream);
}

/* One write of a chunk. False: nothing left, or it cannot take more now. */
static bool write_chunk(struct stream *stream)
{
    uint8_t chunk[WRITE_CHUNK];
    size_t count = peek_ring(stream, chunk, sizeof(chunk));

    if (count == 0)
        return false;
    ssize_t written = write(stream->out_fd, chunk, count);
    if (written < 0 && (errno == EINTR))
        return true;
    if (written < 0 && errno == EAGAIN)
        return false;
    if (written < 0) { /* the reader is gone, or the disk is full: go on without */
        drop_from_ring(stream, count);
        if (stream->listen_fd >= 0)
            close_client(stream);
        return false;
    }
    drop_from_ring(stream, (size_t)written);
    return true;
}

static bool is_writable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};

    return poll(&p, 1, 0) == 1;
}

static void set_watch(struct stream *stream);

static void flush(struct stream *stream)
{
    /* Bounded, so that a guest that prints for ever leaves the loop its turn. */
    for (unsigned i = 0; i < RING_SIZE / WRITE_CHUNK && stream->out_fd >= 0; i++) {
        if (!stream->out_is_file && !is_writable(stream->out_fd))
            break;
        if (!write_chunk(stream))
            break;
    }
}

/* ---- input, on the loop thread ---- */

static void give_input(struct stream *stream)
{
    if (stream->input_count == 0)
        return;
    lock(stream);
    size_t taken = 0;
    if (stream->handler.receive)
        taken = stream->handler.receive(stream->handler.device, stream->input + stream->input_at,
                                        stream->input_count);
    unlock(stream);
    stream->input_at += taken;
    stream->input_count -= taken;
    if (stream->input_count == 0)
        stream->input_at = 0;
}

/* Moves what waits to the front once there is no room behind it. */
static size_t input_room(struct stream *stream)
{
    if (stream->input_at + stream->input_count == INPUT_SIZE) {
        memmove(stream->input, stream->input + stream->input_at, stream->input_count);
        stream->input_at = 0;
    }
    return INPUT_SIZE - stream->input_at - stream->input_count;
}

static void read_input(struct stream *stream)
{
    size_t room = input_room(stream);
    uint8_t *to = stream->input + stream->input_at + stream->input_count;

    if (room == 0)
        return;
    ssize_t count = read(stream->in_fd, to, room);
    if (count < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (count <= 0) {
        if (stream->listen_fd >= 0) {
            close_client(stream);
            return;
        }
        if (stream->watches_in)
            loop_remove(stream->config.loop, stream->in_fd);
        stream->watches_in = false;
        stream->in_fd = -1; /* end of file: the guest sees silence */
        return;
    }
    const uint8_t *escape = stream->is_raw ? memchr(to, ESCAPE, (size_t)count) : NULL;
    stream->input_count += (size_t)count;
    if (escape) {
        stream->config.escape(stream->config.owner);
        return;
    }
    give_input(stream);
}

/* ---- watching ---- */

static void on_in(void *owner, unsigned events);
static void on_out(void *owner, unsigned events);

static bool has_output(struct stream *stream)
{
    lock(stream);
    bool has = stream->head != stream->tail;
    unlock(stream);
    return has;
}

/* Input is watched while there is room for it, output while there is some. */
static void set_watch(struct stream *stream)
{
    bool want_in = stream->in_fd >= 0 && stream->input_count < INPUT_SIZE;
    bool want_out = stream->out_fd >= 0 && !stream->out_is_file && has_output(stream);
    bool shared = stream->in_fd == stream->out_fd;
    struct loop *loop = stream->config.loop;

    if (shared && stream->in_fd >= 0) {
        unsigned events = (want_in ? LOOP_READ : 0u) | (want_out ? LOOP_WRITE : 0u);
        if (!stream->watches_in)
            stream->watches_in = loop_add(loop, stream->in_fd, events, on_in, stream) == 0;
        else
            loop_change(loop, stream->in_fd, events);
        return;
    }
    if (want_in && !stream->watches_in) {
        /* Regular files cannot be waited for: read them as they are taken. */
        stream->watches_in = loop_add(loop, stream->in_fd, LOOP_READ, on_in, stream) == 0;
        if (!stream->watches_in)
            read_input(stream);
    } else if (!want_in && stream->watches_in) {
        loop_remove(loop, stream->in_fd);
        stream->watches_in = false;
    }
    if (want_out && !stream->watches_out) {
        stream->watches_out = loop_add(loop, stream->out_fd, LOOP_WRITE, on_out, stream) == 0;
        /* Devices such as /dev/null cannot be waited for either. */
        stream->out_is_file = !stream->watches_out;
    } else if (!want_out && stream->watches_out) {
        loop_remove(loop, stream->out_fd);
        stream->watches_out = false;
    }
}

void stream_service(struct stream *stream)
{
    if (!stream)
        return;
    if (stream->transcript)
        transcript_service(stream->transcript);
    give_input(stream);
    flush(stream);
    set_watch(stream);
    if (stream->out_is_file && has_output(stream))
        loop_wake(stream->config.loop);
}

static void on_in(void *owner, unsigned events)
{
    struct stream *stream = owner;

    if ((events & LOOP_HANGUP) && stream->listen_fd >= 0 && input_room(stream) == 0)
        close_client(stream); /* what it sent beyond that is lost */
    if ((events & (LOOP_READ | LOOP_HANGUP)) && stream->in_fd >= 0)
        read_input(stream);
    stream_service(stream);
}

static void on_out(void *owner, unsigned events)
{
    (void)events;
    stream_service(owner);
}

/* ---- unix sockets: one client at a time ---- */

static void close_client(struct stream *stream)
{
    if (stream->in_fd < 0)
        return;
    if (stream->watches_in)
        loop_remove(stream->config.loop, stream->in_fd);
    stream->watches_in = false;
    close(stream->in_fd);
    lock(stream);
    stream->in_fd = stream->out_fd = -1;
    stream->tail = stream->head; /* what the client did not read is lost */
    unlock(stream);
    drop_from_ring(stream, 0);
}

/* A new user may be seen before the end of the one it follows. */
static void close_client_that_left(struct stream *stream)
{
    struct pollfd p = {.fd = stream->in_fd, .events = 0};

    if (stream->in_fd < 0 || poll(&p, 1, 0) != 1)
        return;
    read_input(stream); /* its last words */
    close_client(stream);
}

static void on_connect(void *owner, unsigned events)
{
    struct stream *stream = owner;
    int fd = accept4(stream->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        return;
    close_client_that_left(stream);
    if (stream->in_fd >= 0) { /* busy */
        close(fd);
        return;
    }
    lock(stream);
    stream->in_fd = stream->out_fd = fd;
    unlock(stream);
    set_watch(stream);
}

/* ---- opening ---- */

/* A terminal or pipe may take less than it promises, and the descriptor is shared
 * with the shell, so that it has to stay blocking: open it once more. */
static int reopen_stdout(void)
{
    return open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int open_stdio(struct stream *stream, struct error *err)
{
    struct stat st;

    (void)err;
    stream->in_fd = STDIN_FILENO;
    stream->out_fd = STDOUT_FILENO;
    if (fstat(STDOUT_FILENO, &st) == 0) {
        stream->out_is_file = S_ISREG(st.st_mode);
        int again = S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) ? reopen_stdout() : -1;
        stream->owns_out = again >= 0;
        if (stream->owns_out)
            stream->out_fd = again;
    }
    /* A terminal in the background, or with its output elsewhere, is still the
     * place where the user types. */
    stream->is_raw = terminal_make_raw();
    return 0;
}

/* What else is opened may still fail: until the machine is connected, a new file
 * is removed again and an old one keeps what is in it. */
static int open_file(struct stream *stream, const char *path, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd >= 0)
        place_open(&stream->place, path);
    else if (errno == EEXIST)
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return error_set(err, -errno, "cannot open %s file '%s': %s", stream->config.what, path,
                         strerror(errno));
    stream->out_fd = fd;
    stream->owns_fds = true;
    stream->out_is_file = true;
    stream->keeps_old_file = true;
    return 0;
}

static void keep_file(struct stream *stream)
{
    stream->keeps_old_file = false;
    if (ftruncate(stream->out_fd, 0) < 0 && errno != EINVAL) /* EINVAL: a device */
        log_warn("stream", "cannot empty the %s file: %s", stream->config.what, strerror(errno));
    place_forget(&stream->place);
}

static int open_pty(struct stream *stream, struct error *err)
{
    struct termios settings;
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || grantpt(fd) < 0 || unlockpt(fd) < 0) {
        if (fd >= 0)
            close(fd);
        return error_set(err, -errno, "cannot open a pseudo terminal for %s: %s",
                         stream->config.what, strerror(errno));
    }
    char name[64];
    if (ptsname_r(fd, name, sizeof(name)) == 0) {
        /* Keeping the other side open spares us hang-ups between its users. */
        int other = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (other >= 0 && tcgetattr(other, &settings) == 0) {
            cfmakeraw(&settings);
            tcsetattr(other, TCSANOW, &settings);
        }
        fprintf(stderr, "doppel: %s is at %s\n", stream->config.what, name);
    }
    stream->in_fd = stream->out_fd = fd;
    stream->owns_fds = true;
    return 0;
}

static int open_unix(struct stream *stream, const char *path, struct error *err)
{
    char what[32];

    snprintf(what, sizeof(what), "--%s", stream->config.what);
    stream->listen_fd = unix_listen(path, SOCK_STREAM, what, err);
    if (stream->listen_fd < 0)
        return stream->listen_fd;
    place_open(&stream->place, path);
    stream->owns_fds = true;
    int result = loop_add(stream->config.loop, stream->listen_fd, LOOP_READ, on_connect, stream);
    return result < 0 ? error_set(err, result, "cannot watch '%s'", path) : 0;
}

static int open_where(struct stream *stream, const char *spec, struct error *err)
{
    if (strcmp(spec, "none") == 0)
        return 0;
    if (strcmp(spec, "stdio") == 0)
        return open_stdio(stream, err);
    if (strcmp(spec, "pty") == 0)
        return open_pty(stream, err);
    if (text_starts_with(spec, "file:") && spec[5])
        return open_file(stream, spec + 5, err);
    if (text_starts_with(spec, "unix:") && spec[5])
        return open_unix(stream, spec + 5, err);
    return error_set(err, -EINVAL, "--%s '%s' is not one of stdio, none, pty, file:PATH, unix:PATH",
                     stream->config.what, spec);
}

/* "WHERE" or "WHERE,log=FILE". */
static int open_spec(struct stream *stream, struct error *err)
{
    const char *log = strstr(stream->config.spec, LOG_WORD);

    if (!log)
        return open_where(stream, stream->config.spec, err);
    char *where = strndup(stream->config.spec, (size_t)(log - stream->config.spec));
    if (!where)
        return error_set(err, -ENOMEM, "cannot open %s: out of memory", stream->config.what);
    int result = transcript_open(log + strlen(LOG_WORD), &stream->config.device_lock,
                                 &stream->transcript, err);
    if (result == 0)
        result = open_where(stream, where, err);
    free(where);
    return result;
}

int stream_open(const struct stream_config *config, struct stream **out, struct error *err)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (!stream)
        return error_set(err, -ENOMEM, "cannot open %s: out of memory", config->what);
    stream->config = *config;
    stream->in_fd = stream->out_fd = stream->listen_fd = -1;
    stream->patience_ms = CLOSE_PATIENCE_MS;
    int result = open_spec(stream, err);
    if (result < 0) {
        stream_close(stream);
        return result;
    }
    *out = stream;
    return 0;
}

void stream_connect(struct stream *stream, const struct stream_handler *handler)
{
    lock(stream);
    stream->handler = *handler;
    unlock(stream);
    if (stream->keeps_old_file)
        keep_file(stream);
    stream_service(stream);
}

static void drain(struct stream *stream)
{
    while (stream->out_fd >= 0 && has_output(stream)) {
        struct pollfd p = {.fd = stream->out_fd, .events = POLLOUT};
        if (!stream->out_is_file && poll(&p, 1, stream->patience_ms) != 1)
            break;
        if (!write_chunk(stream))
            break;
    }
}

struct place *stream_place(struct stream *stream, bool *is_socket)
{
    if (!stream || !stream->place.name[0])
        return NULL;
    *is_socket = stream->listen_fd >= 0;
    return &stream->place;
}

void stream_hurry(struct stream *stream)
{
    if (stream)
        stream->patience_ms = 0;
}

void stream_close(struct stream *stream)
{
    if (!stream)
        return;
    drain(stream);
    if (stream->watches_in)
        loop_remove(stream->config.loop, stream->in_fd);
    if (stream->watches_out)
        loop_remove(stream->config.loop, stream->out_fd);
    if ((stream->owns_fds || stream->owns_out) && stream->out_fd >= 0)
        close(stream->out_fd);
    if (stream->listen_fd >= 0) {
        loop_remove(stream->config.loop, stream->listen_fd);
        close(stream->listen_fd);
    }
    transcript_close(stream->transcript);
    place_remove(&stream->place);
    if (stream->is_raw)
        terminal_restore();
    free(stream);
}
