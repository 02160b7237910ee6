/* SPDX-License-Identifier: Apache-2.0
 * virtio file system device (virtio 1.2, section 5.11).
 *
 * A request's way: fs_notify pops a chain into a pool slot and submits what the
 * driver wrote; fs_done comes with the answer, copies it and pushes. The device
 * does not look into messages. After a reset in between the token is stale: the
 * slot is freed and the guest's memory left alone. A request that the server's
 * side has no room for stays in its ring. */
#include "dev/virtio/fs.h"

#include "base/endian.h"
#include "mem/dma.h"

enum {
    DEVICE_ID = 26,
    QUEUE_COUNT = 2, /* 0: high priority, 1: requests */
    REQUEST_BUDGET = 4 * VIRTIO_FS_QUEUE_SIZE,
    /* Configuration space (5.11.4). */
    CONFIG_TAG = 0,
    CONFIG_QUEUES = 36,
    CONFIG_SIZE = 40,
};

static struct virtio_fs_request *take_slot(struct virtio_fs *fs)
{
    struct virtio_fs_request *request = &fs->requests[fs->first_free];

    fs->first_free = request->next_free;
    fs->in_flight++;
    return request;
}

static void free_slot(struct virtio_fs_request *request)
{
    struct virtio_fs *fs = request->fs;

    request->next_free = fs->first_free;
    fs->first_free = (uint16_t)(request - fs->requests);
    fs->in_flight--;
}

static bool is_stale(const struct virtio_fs_request *request)
{
    const struct virtio_device *device = &request->fs->virtio;

    return request->token.epoch != device->queues[request->queue].epoch ||
           !virtio_is_running(device);
}

static void copy_reply(const struct virtio_fs_request *request, const uint8_t *from, size_t size)
{
    for (unsigned i = 0; i < request->reply_count && size; i++) {
        const struct virtio_segment *segment = &request->reply[i];
        size_t part = MIN(segment->size, size);
        memcpy(segment->bytes, from, part);
        dma_written(request->fs->config.space, segment->at, part);
        from += part;
        size -= part;
    }
}

static void notify_all(struct virtio_fs *fs)
{
    for (unsigned i = 0; i < QUEUE_COUNT; i++)
        virtio_notify(&fs->virtio, i);
}

static void go_on(void *object)
{
    struct virtio_fs *fs = object;

    if (!fs->is_refused)
        return;
    fs->is_refused = false;
    notify_all(fs);
}

static void fs_done(struct files_request *files, const uint8_t *reply, size_t size)
{
    struct virtio_fs_request *request = files->owner;
    struct virtio_fs *fs = request->fs;
    struct virtio_token token = request->token;
    unsigned queue = request->queue;
    bool stale = is_stale(request);

    size = MIN(size, files->writable_size);
    if (!stale)
        copy_reply(request, reply, size);
    free_slot(request);
    if (!stale)
        virtio_push(&fs->virtio, queue, &token, (uint32_t)size);
    if (fs->is_starved) {
        fs->is_starved = false;
        notify_all(fs);
    }
}

/* False: the server's side has no room; nothing happened. */
static bool start(struct virtio_fs *fs, unsigned queue, const struct virtio_chain *chain)
{
    struct files_segment segments[VIRTIO_CHAIN_MAX];
    const struct files_port *port = &fs->config.files;
    struct virtio_fs_request *request = take_slot(fs);

    for (unsigned i = 0; i < chain->readable_count; i++)
        segments[i] = (struct files_segment){chain->segments[i].bytes, chain->segments[i].size};
    request->token = chain->token;
    request->queue = (uint16_t)queue;
    request->reply_count = (uint16_t)(chain->count - chain->readable_count);
    memcpy(request->reply, chain->segments + chain->readable_count,
           request->reply_count * sizeof(request->reply[0]));
    request->files.done = fs_done;
    request->files.owner = request;
    request->files.writable_size = chain->writable_size;
    if (port->submit(port->owner, &request->files, segments, chain->readable_count))
        return true;
    free_slot(request);
    return false;
}

static void fs_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_fs *fs = CONTAINER_OF(device, struct virtio_fs, virtio);

    for (unsigned served = 0; served < REQUEST_BUDGET; served++) {
        if (fs->is_refused)
            return;
        if (fs->first_free == VIRTIO_FS_REQUESTS) {
            fs->is_starved = true;
            return;
        }
        const struct virtio_chain *chain = virtio_pop(device, queue);
        if (!chain)
            return;
        struct virtio_token token = chain->token;
        if (!start(fs, queue, chain)) {
            virtqueue_unpop(&device->queues[queue], &token);
            fs->is_refused = true;
            return;
        }
    }
    virtio_work_waits(device);
}

static void fs_type_reset(struct virtio_device *device)
{
    struct virtio_fs *fs = CONTAINER_OF(device, struct virtio_fs, virtio);

    fs->is_refused = false;
    fs->is_starved = false;
}

static bool fs_type_is_idle(const struct virtio_device *device)
{
    const struct virtio_fs *fs =
        (const struct virtio_fs *)(const void *)((const char *)device -
                                                 offsetof(struct virtio_fs, virtio));
    return fs->in_flight == 0;
}

static const struct virtio_type fs_type = {
    .name = "virtio-fs",
    .device_id = DEVICE_ID,
    .queue_count = QUEUE_COUNT,
    .queue_size = VIRTIO_FS_QUEUE_SIZE,
    .pci_class = 0x018000,
    .notify = fs_notify,
    .reset = fs_type_reset,
    .is_idle = fs_type_is_idle,
};

bool virtio_fs_is_idle(const struct virtio_fs *fs)
{
    return fs->in_flight == 0;
}

struct files_handler virtio_fs_handler(struct virtio_fs *fs)
{
    return (struct files_handler){go_on, fs};
}

static void fs_reset(void *object)
{
    struct virtio_fs *fs = object;

    virtio_device_reset(&fs->virtio);
}

static int fs_loaded(void *object, struct error *err)
{
    struct virtio_fs *fs = object;

    return virtio_device_loaded(&fs->virtio, err);
}

static const struct state_field fs_fields[] = {
    STATE_STRUCT(struct virtio_fs, virtio, &virtio_device_state),
};
static const struct state_table fs_state = STATE_TABLE("virtio-fs", 1, fs_fields);

const struct device_ops virtio_fs_ops = {fs_reset, &fs_state, fs_loaded};

void virtio_fs_init(struct virtio_fs *fs, const struct virtio_fs_config *config)
{
    memset(fs, 0, sizeof(*fs));
    fs->config = *config;
    virtio_device_init(&fs->virtio, &fs_type, config->space, 0);
    for (unsigned i = 0; i < VIRTIO_FS_REQUESTS; i++) {
        fs->requests[i].fs = fs;
        fs->requests[i].next_free = (uint16_t)(i + 1);
    }
    memcpy(fs->virtio.config + CONFIG_TAG, config->tag, FILES_TAG_SIZE);
    store_le32(fs->virtio.config + CONFIG_QUEUES, 1);
    fs->virtio.config_size = CONFIG_SIZE;
}
