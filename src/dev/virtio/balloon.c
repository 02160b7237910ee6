/* SPDX-License-Identifier: Apache-2.0
 * virtio memory balloon (virtio 1.2, section 5.5), with free page reporting: what the
 * guest gives away, or reports as free, goes back to the host.
 *
 * Pages come back by themselves when the guest touches them, so a deflated page needs
 * nothing. The buffer of statistics, which the driver wants to be kept, is put back into
 * the ring once it was read: nothing is in flight. */
#include "dev/virtio/balloon.h"

#include "base/endian.h"
#include "mem/dma.h"

enum {
    DEVICE_ID = 5,
    QUEUE_SIZE = 128,
    INFLATE = 0,
    DEFLATE = 1,
    STATS = 2,
    /* Reporting is 4 in the specification; drivers that leave out the queues that are
     * not there count it as 3 or 2. */
    QUEUES = 5,
    CONFIG_PAGES = 0,
    CONFIG_ACTUAL = 4,
    CONFIG_SIZE = 8,
    STAT_SIZE = 10, /* tag and value */
    /* Work for one notification. A chain's pages beyond the most are left alone. */
    CHAIN_BUDGET = 4 * QUEUE_SIZE,
    PAGES_MOST = 1024,
    PAGE_BUDGET = 16 << 10,
};

#define BYTE_BUDGET GIB

#define VIRTIO_BALLOON_F_STATS_VQ       BIT(1)
#define VIRTIO_BALLOON_F_DEFLATE_ON_OOM BIT(2)
#define VIRTIO_BALLOON_F_PAGE_REPORTING BIT(5)

/* The whole pages of [at, at + size). */
static void discard(struct virtio_balloon *balloon, gpa_t at, uint64_t size)
{
    const struct space *space = balloon->virtio.space;
    gpa_t begin = (at + PAGE_MASK) & ~PAGE_MASK;
    gpa_t end = (at + size) & ~PAGE_MASK;

    if (begin >= end)
        return;
    uint8_t *bytes = dma_map(space, begin, end - begin);
    if (!bytes)
        return;
    balloon->config.memory.discard(balloon->config.memory.owner, bytes, (size_t)(end - begin));
    balloon->discarded_bytes += end - begin;
    dma_written(space, begin, end - begin);
}

/* A run of pages that are discarded together; drivers give them in falling order, too. */
struct run {
    gpa_t begin;
    uint64_t size; /* 0: empty */
};

static void add_page(struct virtio_balloon *balloon, struct run *run, gpa_t page)
{
    if (run->size && page == run->begin + run->size) {
        run->size += PAGE_SIZE;
    } else if (run->size && page + PAGE_SIZE == run->begin) {
        run->begin = page;
        run->size += PAGE_SIZE;
    } else {
        discard(balloon, run->begin, run->size);
        *run = (struct run){page, PAGE_SIZE};
    }
}

/* Returns how many pages it looked at. */
static unsigned inflate_chain(struct virtio_balloon *balloon, const struct virtio_chain *chain)
{
    struct run run = {0};
    uint8_t number[4];
    unsigned count = 0;

    while (count < PAGES_MOST && virtio_chain_read(chain, UINT64_C(4) * count, number,
                                                   sizeof(number)) == sizeof(number)) {
        gpa_t page = (gpa_t)load_le32(number) << PAGE_SHIFT;
        /* One that is no RAM must not keep its neighbours. */
        if (dma_map(balloon->virtio.space, page, PAGE_SIZE))
            add_page(balloon, &run, page);
        count++;
    }
    discard(balloon, run.begin, run.size);
    return count;
}

static void inflate(struct virtio_balloon *balloon)
{
    struct virtio_device *device = &balloon->virtio;
    unsigned pages = 0;

    for (unsigned chains = 0; chains < CHAIN_BUDGET && pages < PAGE_BUDGET; chains++) {
        const struct virtio_chain *chain = virtio_pop(device, INFLATE);
        if (!chain)
            return;
        pages += inflate_chain(balloon, chain);
        virtio_push(device, INFLATE, &chain->token, 0);
    }
    virtio_work_waits(device);
}

static void deflate(struct virtio_balloon *balloon)
{
    struct virtio_device *device = &balloon->virtio;

    for (unsigned chains = 0; chains < CHAIN_BUDGET; chains++) {
        const struct virtio_chain *chain = virtio_pop(device, DEFLATE);
        if (!chain)
            return;
        virtio_push(device, DEFLATE, &chain->token, 0);
    }
    virtio_work_waits(device);
}

/* The buffers themselves are the free memory (5.5.6.7). */
static void take_reports(struct virtio_balloon *balloon, unsigned queue)
{
    struct virtio_device *device = &balloon->virtio;
    uint64_t bytes = 0;

    for (unsigned chains = 0; chains < CHAIN_BUDGET && bytes < BYTE_BUDGET; chains++) {
        const struct virtio_chain *chain = virtio_pop(device, queue);
        if (!chain)
            return;
        if (virtio_has_feature(device, VIRTIO_BALLOON_F_PAGE_REPORTING))
            for (unsigned i = chain->readable_count; i < chain->count; i++)
                discard(balloon, chain->segments[i].at, chain->segments[i].size);
        bytes += chain->writable_size;
        virtio_push(device, queue, &chain->token, 0);
    }
    virtio_work_waits(device);
}

static void read_stats(struct virtio_balloon *balloon)
{
    struct virtio_device *device = &balloon->virtio;
    uint8_t bytes[STAT_SIZE];
    const struct virtio_chain *chain = virtio_pop(device, STATS);

    if (!chain)
        return;
    for (unsigned i = 0; i < 2 * BALLOON_STATS; i++) {
        if (virtio_chain_read(chain, (uint64_t)i * STAT_SIZE, bytes, STAT_SIZE) != STAT_SIZE)
            break;
        unsigned tag = load_le16(bytes);
        if (tag >= BALLOON_STATS)
            continue;
        balloon->stats[tag] = load_le64(bytes + 2);
        balloon->stats_known |= (uint32_t)BIT(tag);
    }
    virtqueue_unpop(&device->queues[STATS], &chain->token);
}

void virtio_balloon_ask_stats(struct virtio_balloon *balloon)
{
    struct virtio_device *device = &balloon->virtio;
    const struct virtio_chain *chain;

    if (!virtio_has_feature(device, VIRTIO_BALLOON_F_STATS_VQ))
        return;
    chain = virtio_pop(device, STATS);
    if (chain)
        virtio_push(device, STATS, &chain->token, 0);
}

static void balloon_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_balloon *balloon = CONTAINER_OF(device, struct virtio_balloon, virtio);

    if (queue == INFLATE)
        inflate(balloon);
    else if (queue == DEFLATE)
        deflate(balloon);
    else if (queue == STATS && virtio_has_feature(device, VIRTIO_BALLOON_F_STATS_VQ))
        read_stats(balloon);
    else
        take_reports(balloon, queue);
}

static void show(struct virtio_balloon *balloon)
{
    store_le32(balloon->virtio.config + CONFIG_PAGES, balloon->target_pages);
    store_le32(balloon->virtio.config + CONFIG_ACTUAL, balloon->actual_pages);
}

void virtio_balloon_set_target(struct virtio_balloon *balloon, uint64_t bytes)
{
    uint32_t pages = (uint32_t)MIN(bytes >> PAGE_SHIFT, UINT32_MAX);

    if (pages == balloon->target_pages)
        return;
    balloon->target_pages = pages;
    show(balloon);
    virtio_config_changed(&balloon->virtio);
}

/* The driver tells how much it has given away, in one piece or byte by byte. */
static void balloon_config_write(struct virtio_device *device, unsigned offset, uint64_t value,
                                 unsigned size)
{
    struct virtio_balloon *balloon = CONTAINER_OF(device, struct virtio_balloon, virtio);

    for (unsigned i = 0; i < size; i++)
        if (offset + i >= CONFIG_ACTUAL)
            device->config[offset + i] = (uint8_t)(value >> (8 * i));
    balloon->actual_pages = load_le32(device->config + CONFIG_ACTUAL);
}

/* The target stays: the next driver shall meet it, too. */
static void balloon_type_reset(struct virtio_device *device)
{
    struct virtio_balloon *balloon = CONTAINER_OF(device, struct virtio_balloon, virtio);

    balloon->actual_pages = 0;
    balloon->stats_known = 0;
    show(balloon);
}

static const struct virtio_type balloon_type = {
    .name = "virtio-balloon",
    .device_id = DEVICE_ID,
    .queue_count = QUEUES,
    .queue_size = QUEUE_SIZE,
    .pci_class = 0x00ff00,
    .notify = balloon_notify,
    .reset = balloon_type_reset,
    .config_write = balloon_config_write,
};

static void balloon_reset(void *object)
{
    struct virtio_balloon *balloon = object;

    virtio_device_reset(&balloon->virtio);
}

static int balloon_loaded(void *object, struct error *err)
{
    struct virtio_balloon *balloon = object;

    show(balloon);
    return virtio_device_loaded(&balloon->virtio, err);
}

static const struct state_field balloon_fields[] = {
    STATE_STRUCT(struct virtio_balloon, virtio, &virtio_device_state),
    STATE_FIELD(struct virtio_balloon, target_pages),
    STATE_FIELD(struct virtio_balloon, actual_pages),
    STATE_RANGE(struct virtio_balloon, stats_known, (1 << BALLOON_STATS) - 1),
    STATE_ARRAY(struct virtio_balloon, stats),
};
static const struct state_table balloon_state = STATE_TABLE("virtio-balloon", 1, balloon_fields);

const struct device_ops virtio_balloon_ops = {balloon_reset, &balloon_state, balloon_loaded};

void virtio_balloon_init(struct virtio_balloon *balloon, const struct virtio_balloon_config *config)
{
    *balloon = (struct virtio_balloon){.config = *config};
    virtio_device_init(&balloon->virtio, &balloon_type, config->space,
                       VIRTIO_BALLOON_F_STATS_VQ | VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
                           VIRTIO_BALLOON_F_PAGE_REPORTING);
    balloon->virtio.config_size = CONFIG_SIZE;
}
