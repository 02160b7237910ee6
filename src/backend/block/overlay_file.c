/* SPDX-License-Identifier: Apache-2.0
 * Writes that are forgotten.
 *
 * The temporary file is sparse and has clusters at the offsets they have in the
 * image; one bit per cluster says which of the two holds it. A cluster's bit is
 * set only after all of its bytes are in the temporary file. */
#include "backend/block/overlay_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"

#define CLUSTER_SIZE 0x10000u

struct overlay_file {
    int fd;
    struct overlay_base base;
    uint64_t *present;             /* bit per cluster */
    uint8_t cluster[CLUSTER_SIZE]; /* scratch for copying */
};

static bool is_present(const struct overlay_file *overlay, uint64_t cluster)
{
    return (overlay->present[cluster / 64] >> (cluster % 64)) & 1;
}

static int file_read(int fd, uint8_t *to, size_t size, uint64_t offset)
{
    while (size) {
        ssize_t moved = pread(fd, to, size, (off_t)offset);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved <= 0)
            return moved < 0 ? -errno : -EIO;
        to += moved;
        size -= (size_t)moved;
        offset += (uint64_t)moved;
    }
    return 0;
}

static int file_write(int fd, const uint8_t *from, size_t size, uint64_t offset)
{
    while (size) {
        ssize_t moved = pwrite(fd, from, size, (off_t)offset);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved <= 0)
            return moved < 0 ? -errno : -EIO;
        from += moved;
        size -= (size_t)moved;
        offset += (uint64_t)moved;
    }
    return 0;
}

/* Bytes of the cluster at `offset`: all but the last have CLUSTER_SIZE. */
static size_t cluster_bytes(const struct overlay_file *overlay, uint64_t cluster)
{
    uint64_t left = overlay->base.size_bytes - cluster * CLUSTER_SIZE;

    return (size_t)MIN(left, CLUSTER_SIZE);
}

static int read_piece(struct overlay_file *overlay, uint8_t *to, size_t size, uint64_t offset)
{
    if (is_present(overlay, offset / CLUSTER_SIZE))
        return file_read(overlay->fd, to, size, offset);
    return overlay->base.read(overlay->base.owner, to, size, offset);
}

/* `from` NULL: zeroes. */
static int write_piece(struct overlay_file *overlay, const uint8_t *from, size_t size,
                       uint64_t offset)
{
    uint64_t cluster = offset / CLUSTER_SIZE;
    size_t at = offset % CLUSTER_SIZE;
    size_t whole = cluster_bytes(overlay, cluster);

    if (is_present(overlay, cluster) && from)
        return file_write(overlay->fd, from, size, offset);
    if (size < whole) {
        int result = read_piece(overlay, overlay->cluster, whole, cluster * CLUSTER_SIZE);
        if (result < 0)
            return result;
    }
    if (from)
        memcpy(overlay->cluster + at, from, size);
    else
        memset(overlay->cluster + at, 0, size);
    int result = file_write(overlay->fd, overlay->cluster, whole, cluster * CLUSTER_SIZE);
    if (result == 0)
        overlay->present[cluster / 64] |= BIT(cluster % 64);
    return result;
}

static size_t piece_size(uint64_t offset, uint64_t left)
{
    return (size_t)MIN(left, CLUSTER_SIZE - offset % CLUSTER_SIZE);
}

int overlay_file_read(struct overlay_file *overlay, const struct iovec *vectors, unsigned count,
                      uint64_t offset)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t *to = vectors[i].iov_base;
        for (size_t done = 0; done < vectors[i].iov_len;) {
            size_t part = piece_size(offset, vectors[i].iov_len - done);
            int result = read_piece(overlay, to + done, part, offset);
            if (result < 0)
                return result;
            done += part;
            offset += part;
        }
    }
    return 0;
}

int overlay_file_write(struct overlay_file *overlay, const struct iovec *vectors, unsigned count,
                       uint64_t offset)
{
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *from = vectors[i].iov_base;
        for (size_t done = 0; done < vectors[i].iov_len;) {
            size_t part = piece_size(offset, vectors[i].iov_len - done);
            int result = write_piece(overlay, from + done, part, offset);
            if (result < 0)
                return result;
            done += part;
            offset += part;
        }
    }
    return 0;
}

int overlay_file_write_zeroes(struct overlay_file *overlay, uint64_t offset, uint64_t size)
{
    while (size) {
        size_t part = piece_size(offset, size);
        int result = write_piece(overlay, NULL, part, offset);
        if (result < 0)
            return result;
        offset += part;
        size -= part;
    }
    return 0;
}

/* A file without a name in one directory; -1 where that cannot be. */
static int open_unnamed(const char *directory)
{
    char path[4096];
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0)
        return fd;
    /* File systems without O_TMPFILE. */
    static const char pattern[] = "/doppel-XXXXXX";
    size_t length = strlen(directory);
    if (length + sizeof(pattern) > sizeof(path))
        return -1;
    memcpy(path, directory, length);
    memcpy(path + length, pattern, sizeof(pattern));
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

int overlay_file_create(const struct overlay_base *base, struct overlay_file **out,
                        struct error *err)
{
    const char *directories[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
    uint64_t clusters = (base->size_bytes + CLUSTER_SIZE - 1) / CLUSTER_SIZE;
    struct overlay_file *overlay = calloc(1, sizeof(*overlay));

    if (overlay)
        overlay->present = calloc((size_t)(clusters / 64 + 1), sizeof(uint64_t));
    if (!overlay || !overlay->present) {
        free(overlay);
        return error_set(err, -ENOMEM, "snapshot mode: out of memory");
    }
    overlay->fd = -1;
    overlay->base = *base;
    for (unsigned i = 0; i < ARRAY_LEN(directories) && overlay->fd < 0; i++)
        if (directories[i] && directories[i][0])
            overlay->fd = open_unnamed(directories[i]);
    if (overlay->fd < 0) {
        int code = -errno;
        overlay_file_destroy(overlay);
        return error_set(err, code,
                         "snapshot mode: cannot make a temporary file: %s; set TMPDIR to a "
                         "directory with room",
                         strerror(-code));
    }
    *out = overlay;
    return 0;
}

void overlay_file_destroy(struct overlay_file *overlay)
{
    if (!overlay)
        return;
    if (overlay->fd >= 0)
        close(overlay->fd);
    free(overlay->present);
    free(overlay);
}
