/* SPDX-License-Identifier: Apache-2.0
 * virtio block device (virtio 1.2, section 5.2).
 *
 * A request's way: blk_notify pops a chain into a pool slot, start() checks it
 * and submits or fails it, block_done() comes from the back end, finish() writes
 * the status byte and pushes. After a reset in between the token is stale: the
 * slot is freed and the guest's memory left alone. */
#include "dev/virtio/blk.h"

#include "base/assert.h"
#include "base/endian.h"
#include "base/errno.h"
#include "mem/dma.h"

_Static_assert(VIRTIO_CHAIN_MAX <= BLOCK_MAX_SEGMENTS, "a chain fits a block request");

enum {
    DEVICE_ID = 2,
    /* Two descriptors of a chain are not data. */
    SEGMENTS_MOST = VIRTIO_BLK_QUEUE_SIZE - 2,
    /* One discard or write-zeroes is bounded to 64 MiB: zeroes may have to be
     * written. */
    RANGE_MOST_SECTORS = 0x20000,
    REQUEST_BUDGET = 4 * VIRTIO_BLK_QUEUE_SIZE,
};

#define VIRTIO_BLK_F_SEG_MAX      BIT(2)
#define VIRTIO_BLK_F_RO           BIT(5)
#define VIRTIO_BLK_F_BLK_SIZE     BIT(6)
#define VIRTIO_BLK_F_FLUSH        BIT(9)
#define VIRTIO_BLK_F_DISCARD      BIT(13)
#define VIRTIO_BLK_F_WRITE_ZEROES BIT(14)

/* Configuration space (5.2.4). */
enum {
    CONFIG_CAPACITY = 0,
    CONFIG_SEGMENTS = 12,
    CONFIG_BLOCK_SIZE = 20,
    CONFIG_QUEUES = 34,
    CONFIG_DISCARD_SECTORS = 36,
    CONFIG_DISCARD_SEGMENTS = 40,
    CONFIG_DISCARD_ALIGNMENT = 44,
    CONFIG_ZEROES_SECTORS = 48,
    CONFIG_ZEROES_SEGMENTS = 52,
    CONFIG_SIZE = 60,
};

enum request_type {
    REQUEST_IN = 0,
    REQUEST_OUT = 1,
    REQUEST_FLUSH = 4,
    REQUEST_GET_ID = 8,
    REQUEST_DISCARD = 11,
    REQUEST_WRITE_ZEROES = 13,
};

enum request_status {
    STATUS_OK = 0,
    STATUS_IO_ERROR = 1,
    STATUS_UNSUPPORTED = 2,
};

enum {
    HEADER_SIZE = 16,
    RANGE_SIZE = 16, /* sector, sector count, flags */
    RANGE_UNMAP = 1,
};

static struct virtio_blk_request *take_slot(struct virtio_blk *blk)
{
    struct virtio_blk_request *request = &blk->requests[blk->first_free];

    blk->first_free = request->next_free;
    blk->in_flight++;
    return request;
}

static void free_slot(struct virtio_blk_request *request)
{
    struct virtio_blk *blk = request->blk;

    request->next_free = blk->first_free;
    blk->first_free = (uint16_t)(request - blk->requests);
    blk->in_flight--;
}

static bool is_stale(const struct virtio_blk_request *request)
{
    const struct virtio_device *device = &request->blk->virtio;

    return request->token.epoch != device->queues[0].epoch || !virtio_is_running(device);
}

/* The back end has filled the data of a read, or was about to: what it left out
 * reads as zeroes, so that `written` is true also for a failed read. */
static void settle_read(const struct virtio_blk_request *request, enum request_status status)
{
    const struct block_request *block = &request->block;

    for (unsigned i = 0; i < block->segment_count; i++) {
        if (status != STATUS_OK && !is_stale(request))
            memset(block->segments[i].bytes, 0, block->segments[i].size);
        dma_written(request->blk->config.space, request->data_at[i], block->segments[i].size);
    }
}

static void blk_notify(struct virtio_device *device, unsigned queue);

static void finish(struct virtio_blk_request *request, enum request_status status)
{
    struct virtio_blk *blk = request->blk;
    struct virtio_token token = request->token;
    uint32_t written = request->written;

    if (request->block.op == BLOCK_READ)
        settle_read(request, status);
    bool stale = is_stale(request);
    if (!stale) {
        *request->status.bytes = (uint8_t)status;
        dma_written(blk->config.space, request->status.at, 1);
    }
    free_slot(request);
    if (!stale)
        virtio_push(&blk->virtio, 0, &token, written);
    if (blk->starved) {
        blk->starved = false;
        virtio_notify(&blk->virtio, 0);
    }
}

static void block_done(struct block_request *block, int result)
{
    struct virtio_blk_request *request = block->owner;
    const struct block_port *disk = &request->blk->config.disk;

    if (result == 0 && request->flush_after) {
        request->flush_after = false;
        block->op = BLOCK_FLUSH;
        block->segment_count = 0;
        disk->submit(disk->owner, block);
        return;
    }
    if (result == -ENOTSUP)
        finish(request, STATUS_UNSUPPORTED);
    else
        finish(request, result < 0 ? STATUS_IO_ERROR : STATUS_OK);
}

static void submit(struct virtio_blk_request *request, enum block_op op, uint64_t offset,
                   uint64_t size)
{
    const struct block_port *disk = &request->blk->config.disk;

    request->block.op = op;
    request->block.offset = offset;
    request->block.size = size;
    request->block.done = block_done;
    request->block.owner = request;
    disk->submit(disk->owner, &request->block);
}

/* Bytes [from, from + size) of the readable or writable part of the chain
 * become the segments of the request. */
static void take_data(struct virtio_blk_request *request, const struct virtio_chain *chain,
                      bool writable, uint64_t from, uint64_t size)
{
    struct block_request *block = &request->block;
    unsigned end = writable ? chain->count : chain->readable_count;

    for (unsigned i = writable ? chain->readable_count : 0; i < end && size; i++) {
        const struct virtio_segment *segment = &chain->segments[i];
        if (from >= segment->size) {
            from -= segment->size;
            continue;
        }
        size_t part = (size_t)MIN(segment->size - from, size);
        block->segments[block->segment_count] = (struct block_segment){segment->bytes + from, part};
        request->data_at[block->segment_count++] = segment->at + from;
        size -= part;
        from = 0;
    }
}

/* True when `size` bytes at `sector` are whole sectors within the disk. */
static bool in_range(const struct virtio_blk *blk, uint64_t sector, uint64_t size)
{
    uint64_t disk = blk->config.disk.size_bytes;

    return size != 0 && size % BLOCK_SECTOR_SIZE == 0 && size <= disk &&
           sector <= (disk - size) / BLOCK_SECTOR_SIZE;
}

static void start_read(struct virtio_blk_request *request, const struct virtio_chain *chain,
                       uint64_t sector)
{
    uint64_t size = chain->writable_size - 1;

    if (!in_range(request->blk, sector, size)) {
        finish(request, STATUS_IO_ERROR);
        return;
    }
    take_data(request, chain, true, 0, size);
    request->written = (uint32_t)chain->writable_size;
    submit(request, BLOCK_READ, sector * BLOCK_SECTOR_SIZE, size);
}

static void start_write(struct virtio_blk_request *request, const struct virtio_chain *chain,
                        uint64_t sector)
{
    struct virtio_blk *blk = request->blk;
    uint64_t size = chain->readable_size - HEADER_SIZE;

    if (blk->config.disk.read_only || !in_range(blk, sector, size)) {
        finish(request, STATUS_IO_ERROR);
        return;
    }
    take_data(request, chain, false, HEADER_SIZE, size);
    /* A driver that cannot flush must find its writes stable (5.2.6.2). */
    request->flush_after = !virtio_has_feature(&blk->virtio, VIRTIO_BLK_F_FLUSH);
    submit(request, BLOCK_WRITE, sector * BLOCK_SECTOR_SIZE, size);
}

static void start_get_id(struct virtio_blk_request *request, const struct virtio_chain *chain)
{
    const struct virtio_blk *blk = request->blk;
    size_t size = (size_t)MIN(chain->writable_size - 1, VIRTIO_BLK_SERIAL_SIZE);

    virtio_chain_write(chain, blk->config.space, 0, blk->config.serial, size);
    request->written = (uint32_t)size + 1;
    finish(request, STATUS_OK);
}

static void start_range(struct virtio_blk_request *request, const struct virtio_chain *chain,
                        enum request_type type)
{
    struct virtio_blk *blk = request->blk;
    uint64_t feature = type == REQUEST_DISCARD ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES;
    uint32_t allowed = type == REQUEST_WRITE_ZEROES ? RANGE_UNMAP : 0;
    uint8_t range[RANGE_SIZE];

    if (!(blk->virtio.features & feature)) {
        finish(request, STATUS_UNSUPPORTED);
        return;
    }
    if (chain->readable_size != HEADER_SIZE + RANGE_SIZE) {
        finish(request, STATUS_IO_ERROR);
        return;
    }
    virtio_chain_read(chain, HEADER_SIZE, range, sizeof(range));
    uint64_t sector = load_le64(range);
    uint32_t sectors = load_le32(range + 8);
    if (load_le32(range + 12) & ~allowed) {
        finish(request, STATUS_UNSUPPORTED);
        return;
    }
    uint64_t size = (uint64_t)sectors * BLOCK_SECTOR_SIZE;
    if (blk->config.disk.read_only || sectors > RANGE_MOST_SECTORS ||
        !in_range(blk, sector, size)) {
        finish(request, STATUS_IO_ERROR);
        return;
    }
    request->flush_after = !virtio_has_feature(&blk->virtio, VIRTIO_BLK_F_FLUSH);
    submit(request, type == REQUEST_DISCARD ? BLOCK_DISCARD : BLOCK_WRITE_ZEROES,
           sector * BLOCK_SECTOR_SIZE, size);
}

/* Readies the slot for `chain`, whose last writable byte is the status. */
static void prepare(struct virtio_blk_request *request, const struct virtio_chain *chain)
{
    const struct virtio_segment *last = &chain->segments[chain->count - 1];

    request->token = chain->token;
    request->status =
        (struct virtio_segment){last->bytes + last->size - 1, last->at + last->size - 1, 1};
    request->written = 1;
    request->flush_after = false;
    request->block.op = BLOCK_FLUSH; /* until submit() says otherwise */
    request->block.segment_count = 0;
}

static void start(struct virtio_blk *blk, const struct virtio_chain *chain)
{
    uint8_t header[HEADER_SIZE];

    if (chain->readable_size < HEADER_SIZE || chain->writable_size == 0) {
        virtio_needs_reset(&blk->virtio, "block request without header or status byte");
        return;
    }
    virtio_chain_read(chain, 0, header, sizeof(header));
    uint32_t type = load_le32(header);
    uint64_t sector = load_le64(header + 8);
    struct virtio_blk_request *request = take_slot(blk);
    prepare(request, chain);
    switch (type) {
    case REQUEST_IN:
        start_read(request, chain, sector);
        break;
    case REQUEST_OUT:
        start_write(request, chain, sector);
        break;
    case REQUEST_FLUSH:
        submit(request, BLOCK_FLUSH, 0, 0);
        break;
    case REQUEST_GET_ID:
        start_get_id(request, chain);
        break;
    case REQUEST_DISCARD:
    case REQUEST_WRITE_ZEROES:
        start_range(request, chain, (enum request_type)type);
        break;
    default:
        finish(request, STATUS_UNSUPPORTED);
        break;
    }
}

static void blk_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_blk *blk = CONTAINER_OF(device, struct virtio_blk, virtio);

    for (unsigned served = 0; served < REQUEST_BUDGET; served++) {
        if (blk->first_free == VIRTIO_BLK_QUEUE_SIZE) {
            blk->starved = true;
            return;
        }
        const struct virtio_chain *chain = virtio_pop(device, queue);
        if (!chain)
            return;
        start(blk, chain);
    }
    virtio_work_waits(device);
}

static bool blk_type_is_idle(const struct virtio_device *device)
{
    const struct virtio_blk *blk =
        (const struct virtio_blk *)(const void *)((const char *)device -
                                                  offsetof(struct virtio_blk, virtio));
    return blk->in_flight == 0;
}

static const struct virtio_type blk_type = {
    .name = "virtio-blk",
    .device_id = DEVICE_ID,
    .queue_count = 1,
    .queue_size = VIRTIO_BLK_QUEUE_SIZE,
    .pci_class = 0x010000,
    .notify = blk_notify,
    .is_idle = blk_type_is_idle,
};

bool virtio_blk_is_idle(const struct virtio_blk *blk)
{
    return blk->in_flight == 0;
}

static void set_capacity(struct virtio_blk *blk)
{
    store_le64(blk->virtio.config + CONFIG_CAPACITY,
               blk->config.disk.size_bytes / BLOCK_SECTOR_SIZE);
}

void virtio_blk_resize(struct virtio_blk *blk, uint64_t size_bytes)
{
    ASSERT(size_bytes % BLOCK_SECTOR_SIZE == 0);
    blk->config.disk.size_bytes = size_bytes;
    set_capacity(blk);
    virtio_config_changed(&blk->virtio);
}

static void blk_reset(void *object)
{
    struct virtio_blk *blk = object;

    virtio_device_reset(&blk->virtio);
}

static int blk_loaded(void *object, struct error *err)
{
    struct virtio_blk *blk = object;

    return virtio_device_loaded(&blk->virtio, err);
}

static const struct state_field blk_fields[] = {
    STATE_STRUCT(struct virtio_blk, virtio, &virtio_device_state),
};
static const struct state_table blk_state = STATE_TABLE("virtio-blk", 1, blk_fields);

const struct device_ops virtio_blk_ops = {blk_reset, &blk_state, blk_loaded};

static uint64_t offered_features(const struct block_port *disk)
{
    uint64_t features = VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE | VIRTIO_BLK_F_FLUSH;

    if (disk->read_only)
        return features | VIRTIO_BLK_F_RO;
    features |= VIRTIO_BLK_F_WRITE_ZEROES;
    if (disk->can_discard)
        features |= VIRTIO_BLK_F_DISCARD;
    return features;
}

void virtio_blk_init(struct virtio_blk *blk, const struct virtio_blk_config *config)
{
    uint8_t *space = blk->virtio.config;

    memset(blk, 0, sizeof(*blk));
    blk->config = *config;
    virtio_device_init(&blk->virtio, &blk_type, config->space, offered_features(&config->disk));
    for (unsigned i = 0; i < VIRTIO_BLK_QUEUE_SIZE; i++) {
        blk->requests[i].blk = blk;
        blk->requests[i].next_free = (uint16_t)(i + 1);
    }
    blk->virtio.config_size = CONFIG_SIZE;
    set_capacity(blk);
    store_le32(space + CONFIG_SEGMENTS, SEGMENTS_MOST);
    store_le32(space + CONFIG_BLOCK_SIZE, BLOCK_SECTOR_SIZE);
    store_le16(space + CONFIG_QUEUES, 1);
    store_le32(space + CONFIG_DISCARD_SECTORS, RANGE_MOST_SECTORS);
    store_le32(space + CONFIG_DISCARD_SEGMENTS, 1);
    store_le32(space + CONFIG_DISCARD_ALIGNMENT, 1);
    store_le32(space + CONFIG_ZEROES_SECTORS, RANGE_MOST_SECTORS);
    store_le32(space + CONFIG_ZEROES_SEGMENTS, 1);
}
