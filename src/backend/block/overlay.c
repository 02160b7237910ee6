/* SPDX-License-Identifier: Apache-2.0
 * Overlays (docs/design/overlay-format.md).
 *
 * A cluster's entry says where its bytes are. Entries only go from BASE to DATA or ZERO
 * and from ZERO to DATA, and only after the bytes of a DATA cluster are all in the file:
 *
 *     BASE --first write (write_new), after the copy--> DATA
 *     BASE --zeroes or discard of all of it (zero_range)--> ZERO --first write--> DATA
 *
 * Whoever makes a cluster DATA claims it meanwhile; others that want to change it wait,
 * and readers go on as before. Entries are written by a flush: data, barrier, pages,
 * barrier. A page has two copies and the one that counts is never written to. */
#include "backend/block/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/block/vectors.h"
#include "base/bits.h"
#include "base/log.h"
#include "port/block.h"

#define CLUSTER OVERLAY_CLUSTER_SIZE

enum {
    CLAIMS = 8, /* clusters in the making at once: as many threads can write */
};

/* Clusters [first, end) that somebody is about to make DATA or ZERO. */
struct claim {
    uint64_t first;
    uint64_t end;
    uint8_t *scratch; /* one cluster */
};

struct page {
    uint64_t sequence; /* of the copy that counts; 0: none was written */
    bool is_dirty;     /* entries differ from that copy, or the other one is damaged */
};

struct overlay {
    struct disk_image image;
    struct block_file file;
    struct disk_image *base; /* NULL: zeroes */
    bool is_unnamed;         /* nothing outlives us: no table in the file */
    uint64_t data_offset;
    uint64_t cluster_count;
    uint64_t page_count;

    /* guarded by lock: */
    uint8_t *entries; /* OVERLAY_ENTRY_BYTES for each page */
    struct page *pages;
    struct overlay_state state;
    bool is_marked;   /* the file says that it is not clean, and has our generation */
    bool sync_failed; /* sticky: what is on stable storage is unknown */
    struct claim claims[CLAIMS];
    pthread_mutex_t lock;
    pthread_cond_t released;

    pthread_mutex_t flush_lock; /* taken before lock */
    uint8_t *staged;            /* guarded by flush_lock: the entries that a flush writes */
    uint8_t page_bytes[OVERLAY_PAGE_SIZE];
};

static struct overlay *overlay_of(struct disk_image *image)
{
    return CONTAINER_OF(image, struct overlay, image);
}

static enum overlay_cluster entry(const struct overlay *overlay, uint64_t cluster)
{
    return overlay_entry(overlay->entries, cluster);
}

static void set_entries(struct overlay *overlay, const struct claim *claim,
                        enum overlay_cluster value)
{
    for (uint64_t i = claim->first; i < claim->end; i++) {
        overlay_set_entry(overlay->entries, i, value);
        overlay->pages[i / OVERLAY_PAGE_CLUSTERS].is_dirty = true;
    }
}

static uint64_t file_offset(const struct overlay *overlay, uint64_t offset)
{
    return overlay->data_offset + offset;
}

/* All but the last cluster have CLUSTER bytes. */
static uint64_t cluster_bytes(const struct overlay *overlay, uint64_t cluster)
{
    return MIN(overlay->image.size_bytes - cluster * CLUSTER, CLUSTER);
}

/* ---- reading ---- */

/* The end of the clusters from the one at `offset` on that are of one kind, at most `end`;
 * bytes. */
static uint64_t find_run(struct overlay *overlay, uint64_t offset, uint64_t end,
                         enum overlay_cluster *kind)
{
    uint64_t cluster = offset / CLUSTER;

    pthread_mutex_lock(&overlay->lock);
    *kind = entry(overlay, cluster);
    do
        cluster++;
    while (cluster * CLUSTER < end && entry(overlay, cluster) == *kind);
    pthread_mutex_unlock(&overlay->lock);
    return MIN(cluster * CLUSTER, end);
}

static int read_run(struct overlay *overlay, enum overlay_cluster kind, struct iovec *vectors,
                    unsigned count, uint64_t offset)
{
    switch (kind) {
    case OVERLAY_BASE:
        return disk_image_read_below(overlay->base, vectors, count, offset);
    case OVERLAY_DATA:
        return block_file_read(&overlay->file, vectors, count, file_offset(overlay, offset));
    case OVERLAY_ZERO:
        vectors_zero(vectors, count);
        return 0;
    }
    return -EIO;
}

static int overlay_read(struct disk_image *image, struct iovec *vectors, unsigned count,
                        uint64_t offset)
{
    struct overlay *overlay = overlay_of(image);
    uint64_t end = offset + vectors_size(vectors, count);
    int result = 0;

    for (uint64_t at = offset; at < end && result == 0;) {
        struct iovec part[BLOCK_MAX_SEGMENTS];
        enum overlay_cluster kind;
        uint64_t next = find_run(overlay, at, end, &kind);
        unsigned part_count = vectors_slice(vectors, count, at - offset, next - at, part);
        result = read_run(overlay, kind, part, part_count, at);
        at = next;
    }
    return result;
}

/* ---- claims ---- */

/* A claim that overlaps [first, end), or a free one if there is none. NULL: all are in
 * use. */
static struct claim *find_claim(struct overlay *overlay, uint64_t first, uint64_t end)
{
    struct claim *free_claim = NULL;

    for (unsigned i = 0; i < CLAIMS; i++) {
        struct claim *claim = &overlay->claims[i];
        if (claim->first < end && first < claim->end)
            return claim;
        if (claim->first == claim->end)
            free_claim = claim;
    }
    return free_claim;
}

/* Waits until nobody else changes clusters from `first` to `end`. NULL: the first one is DATA
 * by now. Otherwise some clusters from `first` on, none of them DATA, are the caller's until
 * release. */
static struct claim *claim_clusters(struct overlay *overlay, uint64_t first, uint64_t end)
{
    struct claim *claim = NULL;

    pthread_mutex_lock(&overlay->lock);
    for (;;) {
        if (entry(overlay, first) == OVERLAY_DATA)
            break;
        struct claim *found = find_claim(overlay, first, end);
        if (found && found->first == found->end) {
            claim = found;
            claim->first = first;
            claim->end = first + 1;
            while (claim->end < end && entry(overlay, claim->end) != OVERLAY_DATA)
                claim->end++;
            break;
        }
        pthread_cond_wait(&overlay->released, &overlay->lock);
    }
    pthread_mutex_unlock(&overlay->lock);
    return claim;
}

/* The claimed clusters are of kind `value` now, if `result` is 0. */
static void release(struct overlay *overlay, struct claim *claim, enum overlay_cluster value,
                    int result)
{
    pthread_mutex_lock(&overlay->lock);
    if (result == 0)
        set_entries(overlay, claim, value);
    claim->first = claim->end = 0;
    pthread_cond_broadcast(&overlay->released);
    pthread_mutex_unlock(&overlay->lock);
}

/* ---- writing ---- */

/* Page `copy` of the state, on stable storage: the next generation. */
static int write_state(struct overlay *overlay, bool is_clean)
{
    struct overlay_state state = {overlay->state.generation + 1, is_clean};
    uint64_t offset = OVERLAY_STATE_OFFSET + state.generation % 2 * OVERLAY_PAGE_SIZE;
    uint8_t page[OVERLAY_PAGE_SIZE];

    overlay_make_state(&state, page);
    int result = block_file_write_bytes(&overlay->file, page, sizeof(page), offset);
    if (result < 0)
        return result;
    result = block_file_sync(&overlay->file);
    if (result == 0)
        overlay->state = state;
    else
        overlay->sync_failed = true;
    return result;
}

/* Before anything changes: overlays that have this one for their base must notice, also
 * after a crash. */
static int begin_change(struct overlay *overlay)
{
    int result = 0;

    if (overlay->image.read_only)
        return -EROFS;
    pthread_mutex_lock(&overlay->lock);
    if (overlay->sync_failed) {
        result = -EIO;
    } else if (!overlay->is_marked && !overlay->is_unnamed) {
        result = write_state(overlay, false);
        overlay->is_marked = result == 0;
    }
    pthread_mutex_unlock(&overlay->lock);
    return result;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* What the file has at the place of a cluster that is not DATA may be anything: all of it
 * has to be written, or made a hole. */
static int write_part(struct overlay *overlay, struct claim *claim, struct iovec *vectors,
                      unsigned count, uint64_t offset)
{
    uint64_t start = claim->first * CLUSTER;
    size_t whole = (size_t)cluster_bytes(overlay, claim->first);
    struct iovec all = {claim->scratch, whole};
    enum overlay_cluster kind;

    find_run(overlay, start, start + whole, &kind);
    int result = read_run(overlay, kind, &all, 1, start);
    if (result < 0)
        return result;
    if (is_zero(claim->scratch, whole) && !overlay->file.is_device) {
        result = block_file_punch(&overlay->file, file_offset(overlay, start), whole);
        if (result == 0)
            return block_file_write(&overlay->file, vectors, count, file_offset(overlay, offset));
        if (result != -EOPNOTSUPP)
            return result;
    }
    vectors_gather(vectors, count, claim->scratch + (offset - start));
    return block_file_write_bytes(&overlay->file, claim->scratch, whole,
                                  file_offset(overlay, start));
}

/* Writes to clusters that were not DATA when the caller looked, from `offset` to `end` at most.
 * *done: where the next piece begins. */
static int write_new(struct overlay *overlay, const struct iovec *vectors, unsigned count,
                     const uint64_t range[2], uint64_t *done)
{
    uint64_t at = range[0];
    uint64_t end = range[1];
    uint64_t first = at / CLUSTER;
    /* Whole clusters go at once, one that is written in part goes alone. */
    uint64_t whole_end = end == overlay->image.size_bytes ? overlay->cluster_count : end / CLUSTER;
    bool is_whole = at % CLUSTER == 0 && whole_end > first;
    struct claim *claim = claim_clusters(overlay, first, is_whole ? whole_end : first + 1);
    struct iovec part[BLOCK_MAX_SEGMENTS];
    int result;

    *done = at;
    if (!claim)
        return 0;
    uint64_t next = MIN(claim->end * CLUSTER, end);
    unsigned part_count = vectors_slice(vectors, count, 0, next - at, part);
    if (is_whole)
        result = block_file_write(&overlay->file, part, part_count, file_offset(overlay, at));
    else
        result = write_part(overlay, claim, part, part_count, at);
    release(overlay, claim, OVERLAY_DATA, result);
    *done = next;
    return result;
}

static int overlay_write(struct disk_image *image, struct iovec *vectors, unsigned count,
                         uint64_t offset)
{
    struct overlay *overlay = overlay_of(image);
    uint64_t end = offset + vectors_size(vectors, count);
    int result = begin_change(overlay);

    for (uint64_t at = offset; at < end && result == 0;) {
        struct iovec part[BLOCK_MAX_SEGMENTS];
        enum overlay_cluster kind;
        uint64_t next = find_run(overlay, at, end, &kind);
        if (kind == OVERLAY_DATA) {
            unsigned part_count = vectors_slice(vectors, count, at - offset, next - at, part);
            result = block_file_write(&overlay->file, part, part_count, file_offset(overlay, at));
        } else {
            unsigned part_count = vectors_slice(vectors, count, at - offset, end - at, part);
            result = write_new(overlay, part, part_count, (uint64_t[]){at, end}, &next);
        }
        at = next;
    }
    return result;
}

/* Part of a cluster, or a cluster that is DATA. */
static int zero_data(struct overlay *overlay, uint64_t at, uint64_t end)
{
    static const uint8_t zeroes[CLUSTER];
    struct iovec vector = {(void *)(uintptr_t)zeroes, (size_t)(end - at)};
    enum overlay_cluster kind;

    find_run(overlay, at, end, &kind);
    if (kind == OVERLAY_ZERO)
        return 0;
    if (kind == OVERLAY_DATA)
        return block_file_zero(&overlay->file, file_offset(overlay, at), end - at);
    uint64_t next;
    int result = write_new(overlay, &vector, 1, (uint64_t[]){at, end}, &next);
    return result == 0 && next == at
               ? block_file_zero(&overlay->file, file_offset(overlay, at), end - at)
               : result;
}

/* Whole clusters from `at` on that are not DATA become ZERO; *next as in write_new. */
static void zero_clusters(struct overlay *overlay, uint64_t at, uint64_t end, uint64_t *next)
{
    struct claim *claim = claim_clusters(overlay, at / CLUSTER, (end + CLUSTER - 1) / CLUSTER);

    *next = at;
    if (!claim)
        return;
    *next = MIN(claim->end * CLUSTER, end);
    release(overlay, claim, overlay->base ? OVERLAY_ZERO : OVERLAY_BASE, 0);
}

/* Reads as zeroes from now on, and takes no room. */
static int zero_range(struct overlay *overlay, uint64_t offset, uint64_t size)
{
    uint64_t end = offset + size;
    int result = begin_change(overlay);

    for (uint64_t at = offset; at < end && result == 0;) {
        enum overlay_cluster kind;
        uint64_t next = find_run(overlay, at, end, &kind);
        uint64_t cluster_end = MIN((at / CLUSTER + 1) * CLUSTER, overlay->image.size_bytes);
        bool is_whole = at % CLUSTER == 0 && end >= cluster_end;
        if (kind == OVERLAY_DATA) {
            result = block_file_zero(&overlay->file, file_offset(overlay, at), next - at);
        } else if (is_whole && kind == OVERLAY_BASE) {
            /* The last one may go beyond the range. */
            uint64_t whole_end = end == overlay->image.size_bytes ? end : end & ~(CLUSTER - 1);
            zero_clusters(overlay, at, MIN(next, whole_end), &next);
        } else if (kind == OVERLAY_BASE) {
            next = MIN(cluster_end, end);
            result = zero_data(overlay, at, next);
        }
        at = next;
    }
    return result;
}

static int overlay_write_zeroes(struct disk_image *image, uint64_t offset, uint64_t size)
{
    return zero_range(overlay_of(image), offset, size);
}

/* Clusters that are discarded in part keep what is in them. */
static int overlay_discard(struct disk_image *image, uint64_t offset, uint64_t size)
{
    struct overlay *overlay = overlay_of(image);
    uint64_t first = bits_align_up(offset, CLUSTER);
    uint64_t end = offset + size;

    if (end != image->size_bytes)
        end = bits_align_down(end, CLUSTER);
    return first < end ? zero_range(overlay, first, end - first) : 0;
}

/* ---- flushing ---- */

static void sync_has_failed(struct overlay *overlay, int result)
{
    pthread_mutex_lock(&overlay->lock);
    overlay->sync_failed = true;
    pthread_mutex_unlock(&overlay->lock);
    log_error("blk",
              "flushing a disk image failed: %s; its content may be lost, further writes are "
              "refused",
              strerror(-result));
}

static int sync_file(struct overlay *overlay)
{
    int result = block_file_sync(&overlay->file);

    if (result < 0)
        sync_has_failed(overlay, result);
    return result;
}

/* Copies the entries of dirty pages. What is in them is in the file already, so that the
 * next sync makes it stable; what comes later has to wait for the next flush. True: there
 * are some. */
static bool stage_pages(struct overlay *overlay, uint8_t *is_staged)
{
    bool any = false;

    for (uint64_t i = 0; i < overlay->page_count; i++) {
        is_staged[i] = overlay->pages[i].is_dirty;
        if (!overlay->pages[i].is_dirty)
            continue;
        memcpy(overlay->staged + i * OVERLAY_ENTRY_BYTES,
               overlay->entries + i * OVERLAY_ENTRY_BYTES, OVERLAY_ENTRY_BYTES);
        overlay->pages[i].is_dirty = false;
        any = true;
    }
    return any;
}

static int write_page(struct overlay *overlay, uint64_t index)
{
    uint64_t sequence = overlay->pages[index].sequence + 1;
    uint64_t offset = overlay_page_offset(overlay->image.size_bytes, index, sequence % 2);

    overlay_make_page(index, sequence, overlay->staged + index * OVERLAY_ENTRY_BYTES,
                      overlay->page_bytes);
    return block_file_write_bytes(&overlay->file, overlay->page_bytes, OVERLAY_PAGE_SIZE, offset);
}

/* The pages count now; or they are still to be written. */
static void settle_pages(struct overlay *overlay, const uint8_t *is_staged, int result)
{
    pthread_mutex_lock(&overlay->lock);
    for (uint64_t i = 0; i < overlay->page_count; i++) {
        if (!is_staged[i])
            continue;
        if (result == 0)
            overlay->pages[i].sequence++;
        else
            overlay->pages[i].is_dirty = true;
    }
    pthread_mutex_unlock(&overlay->lock);
}

static int flush_locked(struct overlay *overlay)
{
    uint8_t *is_staged = overlay->staged + overlay->page_count * OVERLAY_ENTRY_BYTES;

    pthread_mutex_lock(&overlay->lock);
    bool has_failed = overlay->sync_failed;
    bool any = !has_failed && stage_pages(overlay, is_staged);
    pthread_mutex_unlock(&overlay->lock);
    if (has_failed)
        return -EIO;
    int result = sync_file(overlay);
    if (!any || result < 0)
        return result;
    for (uint64_t i = 0; i < overlay->page_count && result == 0; i++)
        if (is_staged[i])
            result = write_page(overlay, i);
    if (result == 0)
        result = sync_file(overlay);
    settle_pages(overlay, is_staged, result);
    return result;
}

static int overlay_flush(struct disk_image *image)
{
    struct overlay *overlay = overlay_of(image);

    if (overlay->is_unnamed || image->read_only)
        return 0;
    /* One after the other: a flush that finds nothing to write must not return before the
     * one that writes it. */
    pthread_mutex_lock(&overlay->flush_lock);
    int result = flush_locked(overlay);
    pthread_mutex_unlock(&overlay->flush_lock);
    return result;
}

/* ---- opening and closing ---- */

static void free_overlay(struct overlay *overlay)
{
    for (unsigned i = 0; i < CLAIMS; i++)
        free(overlay->claims[i].scratch);
    free(overlay->entries);
    free(overlay->staged);
    free(overlay->pages);
    pthread_mutex_destroy(&overlay->lock);
    pthread_mutex_destroy(&overlay->flush_lock);
    pthread_cond_destroy(&overlay->released);
    free(overlay);
}

static void overlay_close(struct disk_image *image)
{
    struct overlay *overlay = overlay_of(image);

    if (overlay->is_marked) {
        int result = overlay_flush(image);
        if (result == 0)
            result = write_state(overlay, true);
        if (result < 0)
            log_error("blk", "closing an overlay failed: %s; what was not flushed may be lost",
                      strerror(-result));
    }
    disk_image_close(overlay->base);
    block_file_close(&overlay->file);
    free_overlay(overlay);
}

static const struct disk_image_ops overlay_ops = {
    .read = overlay_read,
    .write = overlay_write,
    .discard = overlay_discard,
    .write_zeroes = overlay_write_zeroes,
    .flush = overlay_flush,
    .close = overlay_close,
};

static bool allocate(struct overlay *overlay)
{
    size_t pages = (size_t)overlay->page_count;
    bool has_all = true;

    /* Large ones are mapped, and take memory only where they are touched. */
    overlay->entries = calloc(pages, OVERLAY_ENTRY_BYTES);
    overlay->pages = calloc(pages, sizeof(*overlay->pages));
    if (!overlay->image.read_only) {
        overlay->staged = calloc(pages, OVERLAY_ENTRY_BYTES + 1);
        has_all = overlay->staged;
        for (unsigned i = 0; i < CLAIMS && has_all; i++)
            has_all = (overlay->claims[i].scratch = malloc(CLUSTER));
    }
    return has_all && overlay->entries && overlay->pages;
}

static struct overlay *make_overlay(uint64_t size_bytes, bool read_only, struct error *err)
{
    struct overlay *overlay = calloc(1, sizeof(*overlay));

    if (!overlay) {
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    overlay->image = (struct disk_image){
        .ops = &overlay_ops,
        .size_bytes = size_bytes,
        .format = FORMAT_OVERLAY,
        .read_only = read_only,
    };
    overlay->cluster_count = overlay_cluster_count(size_bytes);
    overlay->page_count = overlay_page_count(size_bytes);
    pthread_mutex_init(&overlay->lock, NULL);
    pthread_mutex_init(&overlay->flush_lock, NULL);
    pthread_cond_init(&overlay->released, NULL);
    if (!allocate(overlay)) {
        free_overlay(overlay);
        error_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    return overlay;
}

/* A page that was being written when power failed may be torn, and counts for nothing. If
 * the image was closed in order, nothing was being written. */
static int load_state(struct overlay *overlay, struct error *err)
{
    struct overlay_state found[2];
    bool is_there[2];
    uint8_t page[OVERLAY_PAGE_SIZE];

    for (unsigned i = 0; i < 2; i++) {
        int result = block_file_read_bytes(&overlay->file, page, sizeof(page),
                                           OVERLAY_STATE_OFFSET + i * OVERLAY_PAGE_SIZE);
        if (result < 0)
            return error_set(err, result, "it cannot be read: %s", strerror(-result));
        is_there[i] = overlay_parse_state(page, &found[i]) && found[i].generation % 2 == i;
    }
    if (!is_there[0] && !is_there[1])
        return error_set(err, -EINVAL, "its state is damaged");
    unsigned newest = !is_there[0] || (is_there[1] && found[1].generation > found[0].generation);
    overlay->state = found[newest];
    overlay->state.is_clean = found[newest].is_clean && is_there[!newest];
    return 0;
}

static int take_page(struct overlay *overlay, uint64_t index, const struct overlay_page found[2],
                     struct error *err)
{
    bool has[2] = {found[0].kind == OVERLAY_PAGE_VALID, found[1].kind == OVERLAY_PAGE_VALID};
    unsigned newest = !has[0] || (has[1] && found[1].sequence > found[0].sequence);
    bool is_bad = found[0].kind == OVERLAY_PAGE_BAD || found[1].kind == OVERLAY_PAGE_BAD;
    /* The first write of a page is that of copy 1. */
    bool may_be_first = found[0].kind == OVERLAY_PAGE_EMPTY;
    struct page *page = &overlay->pages[index];
    uint64_t used = MIN(overlay->cluster_count - index * OVERLAY_PAGE_CLUSTERS,
                        (uint64_t)OVERLAY_PAGE_CLUSTERS);

    if (is_bad && (overlay->state.is_clean || (!has[newest] && !may_be_first)))
        return error_set(err, -EIO, "its cluster table is damaged (page %llu)",
                         (unsigned long long)index);
    page->is_dirty = is_bad && !overlay->image.read_only;
    if (!has[newest])
        return 0;
    page->sequence = found[newest].sequence;
    uint64_t other = has[!newest] ? found[!newest].sequence : 0;
    /* Of a page that has been written once the other copy is empty. */
    if (overlay->state.is_clean && other != page->sequence - 1)
        return error_set(err, -EIO, "its cluster table has lost a write (page %llu)",
                         (unsigned long long)index);
    if (!overlay_entries_are_valid(found[newest].entries, (unsigned)used))
        return error_set(err, -EINVAL, "its cluster table has impossible entries (page %llu)",
                         (unsigned long long)index);
    memcpy(overlay->entries + index * OVERLAY_ENTRY_BYTES, found[newest].entries,
           OVERLAY_ENTRY_BYTES);
    return 0;
}

static int load_table(struct overlay *overlay, struct error *err)
{
    uint8_t pages[2][OVERLAY_PAGE_SIZE];
    int result = 0;

    for (uint64_t i = 0; i < overlay->page_count && result == 0; i++) {
        struct overlay_page found[2] = {{0}};
        for (unsigned copy = 0; copy < 2 && result == 0; copy++) {
            result = block_file_read_bytes(&overlay->file, pages[copy], OVERLAY_PAGE_SIZE,
                                           overlay_page_offset(overlay->image.size_bytes, i, copy));
            if (result == 0)
                found[copy] = overlay_parse_page(pages[copy], i, copy);
        }
        result = result < 0 ? error_set(err, result, "it cannot be read: %s", strerror(-result))
                            : take_page(overlay, i, found, err);
    }
    return result;
}

int overlay_open(struct block_file *take_file, const struct overlay_header *header,
                 struct disk_image *take_base, bool read_only, struct disk_image **out,
                 struct error *err)
{
    if (take_file->size < overlay_file_size(header->size_bytes))
        return error_set(err, -EIO, "it is truncated: %llu bytes instead of %llu",
                         (unsigned long long)take_file->size,
                         (unsigned long long)overlay_file_size(header->size_bytes));
    struct overlay *overlay = make_overlay(header->size_bytes, read_only, err);
    if (!overlay)
        return -ENOMEM;
    overlay->file = *take_file;
    overlay->data_offset = overlay_data_offset(header->size_bytes);
    int result = load_state(overlay, err);
    if (result == 0)
        result = load_table(overlay, err);
    if (result < 0) {
        free_overlay(overlay);
        return result;
    }
    overlay->base = take_base;
    overlay->image.identity = (struct overlay_base_identity){
        .kind = OVERLAY_BASE_OVERLAY,
        .size_bytes = header->size_bytes,
        .generation = overlay->state.generation,
    };
    memcpy(overlay->image.identity.id, header->uuid, sizeof(header->uuid));
    take_file->fd = -1;
    *out = &overlay->image;
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
    if ((size_t)snprintf(path, sizeof(path), "%s/doppel-XXXXXX", directory) >= sizeof(path))
        return -1;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static int open_temporary(uint64_t size_bytes, struct error *err)
{
    const char *directories[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
    int fd = -1;

    for (unsigned i = 0; i < ARRAY_LEN(directories) && fd < 0; i++)
        if (directories[i] && directories[i][0])
            fd = open_unnamed(directories[i]);
    if (fd >= 0 && ftruncate(fd, (off_t)size_bytes) == 0)
        return fd;
    int code = -errno;
    if (fd >= 0)
        close(fd);
    return error_set(err, code,
                     "snapshot mode: cannot make a temporary file: %s; set TMPDIR to a directory "
                     "with room",
                     strerror(-code));
}

int overlay_open_unnamed(struct disk_image *take_base, const struct block_file_ops *ops,
                         struct disk_image **out, struct error *err)
{
    struct overlay *overlay = make_overlay(take_base->size_bytes, false, err);

    if (!overlay)
        return -ENOMEM;
    int fd = open_temporary(take_base->size_bytes, err);
    if (fd < 0) {
        free_overlay(overlay);
        return fd;
    }
    overlay->is_unnamed = true;
    overlay->file = (struct block_file){.fd = fd, .size = take_base->size_bytes, .ops = ops};
    overlay->base = take_base;
    *out = &overlay->image;
    return 0;
}

int overlay_format(const struct block_file *file, const struct overlay_header *header)
{
    uint8_t head[OVERLAY_HEADER_SIZE];
    uint8_t page[OVERLAY_PAGE_SIZE];
    int result = 0;

    overlay_make_header(header, head);
    /* A flush must not need room that is not there. */
    result = block_file_reserve(file, OVERLAY_TABLE_OFFSET,
                                overlay_data_offset(header->size_bytes) - OVERLAY_TABLE_OFFSET);
    /* Both, so that a page that is missing later was lost. */
    for (uint64_t generation = 1; generation <= 2 && result == 0; generation++) {
        struct overlay_state state = {generation, true};
        overlay_make_state(&state, page);
        result = block_file_write_bytes(file, page, sizeof(page),
                                        OVERLAY_STATE_OFFSET + generation % 2 * OVERLAY_PAGE_SIZE);
    }
    return result < 0 ? result : block_file_write_bytes(file, head, sizeof(head), 0);
}
