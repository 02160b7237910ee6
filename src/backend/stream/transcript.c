/* SPDX-License-Identifier: Apache-2.0
 * The end of what a serial line printed.
 *
 * When the file is full its newer half is moved to its beginning: with the one descriptor there is, as a
 * machine may open no other once it runs. */
#include "backend/stream/transcript.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_SIZE 65536u /* power of two */
#define KEPT      (TRANSCRIPT_MOST / 2)

struct transcript {
    int fd;
    uint64_t size; /* of the file */
    struct lock_port lock;

    /* Guarded by the lock: */
    uint8_t ring[RING_SIZE];
    uint32_t head; /* free-running: bytes ever put */
    uint32_t tail; /* bytes ever taken out */
    uint64_t lost; /* bytes there was no room for */

    /* Loop thread: */
    uint8_t bytes[RING_SIZE];
};

int transcript_open(const char *path, const struct lock_port *lock, struct transcript **out,
                    struct error *err)
{
    struct stat status;
    struct transcript *transcript = calloc(1, sizeof(*transcript));

    if (!transcript)
        return error_set(err, -ENOMEM, "cannot open '%s': out of memory", path);
    transcript->lock = *lock;
    transcript->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int result = transcript->fd < 0 || fstat(transcript->fd, &status) < 0 ? -errno : 0;
    if (result < 0 || !S_ISREG(status.st_mode)) {
        result = error_set(err, result < 0 ? result : -EINVAL, "cannot open log file '%s': %s",
                           path, result < 0 ? strerror(-result) : "it is no regular file");
        if (transcript->fd >= 0)
            close(transcript->fd);
        free(transcript);
        return result;
    }
    transcript->size = (uint64_t)status.st_size;
    *out = transcript;
    return 0;
}

bool transcript_put(struct transcript *transcript, const uint8_t *bytes, size_t size)
{
    uint32_t used = transcript->head - transcript->tail;
    size_t count = MIN(size, RING_SIZE - used);

    for (size_t i = 0; i < count; i++)
        transcript->ring[(transcript->head + i) % RING_SIZE] = bytes[i];
    transcript->head += (uint32_t)count;
    transcript->lost += size - count;
    return used == 0;
}

/* A full disk loses what does not fit; the machine goes on. */
static void append(struct transcript *transcript, const uint8_t *bytes, size_t size)
{
    while (size) {
        ssize_t written = pwrite(transcript->fd, bytes, size, (off_t)transcript->size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        bytes += written;
        size -= (size_t)written;
        transcript->size += (uint64_t)written;
    }
}

/* Moves the newer half to the beginning; transcript->bytes is free for that. */
static void forget_old(struct transcript *transcript)
{
    uint64_t from = transcript->size - KEPT;
    uint64_t to = 0;

    while (from < transcript->size) {
        ssize_t count =
            pread(transcript->fd, transcript->bytes, sizeof(transcript->bytes), (off_t)from);
        if (count <= 0 ||
            pwrite(transcript->fd, transcript->bytes, (size_t)count, (off_t)to) < count)
            break;
        from += (uint64_t)count;
        to += (uint64_t)count;
    }
    if (ftruncate(transcript->fd, (off_t)to) == 0)
        transcript->size = to;
}

/* Takes all that waits into transcript->bytes; *lost: what had no room since the last call. */
static size_t take(struct transcript *transcript, uint64_t *lost)
{
    lock_acquire(&transcript->lock);
    size_t count = transcript->head - transcript->tail;
    for (size_t i = 0; i < count; i++)
        transcript->bytes[i] = transcript->ring[(transcript->tail + i) % RING_SIZE];
    transcript->tail += (uint32_t)count;
    *lost = transcript->lost;
    transcript->lost = 0;
    lock_release(&transcript->lock);
    return count;
}

void transcript_service(struct transcript *transcript)
{
    uint64_t lost;
    char note[64];

    if (transcript->size > TRANSCRIPT_MOST)
        forget_old(transcript);
    size_t count = take(transcript, &lost);
    append(transcript, transcript->bytes, count);
    if (lost) {
        int length = snprintf(note, sizeof(note), "\n[%llu bytes are missing here]\n",
                              (unsigned long long)lost);
        append(transcript, (const uint8_t *)note, (size_t)length);
    }
}

void transcript_close(struct transcript *transcript)
{
    if (!transcript)
        return;
    transcript_service(transcript);
    close(transcript->fd);
    free(transcript);
}
