/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: file system device with a server that answers late, out of order, too
 * much, or not before the next reset. */
#include "base/endian.h"
#include "dev/virtio/fs.h"
#include "dev/virtio/mmio.h"
#include "fuzz/driver.h"

#include <stdlib.h>
#include <string.h>

static struct virtio_fs fs;
static struct files_request *waiting[VIRTIO_FS_REQUESTS];
static unsigned waiting_count;
static bool late;
static bool refuses;

static void answer(struct files_request *request, size_t size)
{
    static const uint8_t reply[RAM_SIZE];

    request->done(request, reply, MIN(size, sizeof(reply)));
}

static bool submit(void *owner, struct files_request *request, const struct files_segment *segments,
                   unsigned segment_count)
{
    uint64_t sum = 0;

    (void)owner;
    if (refuses)
        return false;
    for (unsigned i = 0; i < segment_count; i++)
        for (size_t k = 0; k < segments[i].size; k += 64)
            sum += segments[i].bytes[k];
    if (!late) {
        answer(request, (size_t)sum % 1024);
        return true;
    }
    if (waiting_count == VIRTIO_FS_REQUESTS)
        abort(); /* the pool bounds what is in flight */
    waiting[waiting_count++] = request;
    return true;
}

static void answer_one(struct input *in, size_t size)
{
    if (!waiting_count)
        return;
    unsigned which = (unsigned)take(in, 1) % waiting_count;
    struct files_request *request = waiting[which];
    waiting[which] = waiting[--waiting_count];
    answer(request, size);
}

/* A request with room for a reply, as a driver makes it. */
static void write_request(struct input *in, unsigned queue)
{
    uint8_t slot = (uint8_t)(take(in, 1) % 14);
    uint8_t *base = ram + 0x1000u * (queue + 1);
    uint16_t index = load_le16(base + 0x402);

    for (unsigned i = 0; i < 2; i++) {
        uint8_t *descriptor = base + (size_t)16 * (slot + i);
        store_le64(descriptor, 0x8000 + i * 0x1000);
        store_le32(descriptor + 8, (uint32_t)take(in, 1) * 16 + 1);
        store_le16(descriptor + 12, i ? 2 : 1);
        store_le16(descriptor + 14, (uint16_t)(slot + 1));
    }
    store_le16(base + 0x404 + (size_t)2 * (index % 16), slot);
    store_le16(base + 0x402, (uint16_t)(index + 1));
}

static void step(struct virtio_mmio *transport, struct input *in, uint8_t command)
{
    switch (command & 7) {
    case 0:
        write32(transport, 0x50, command >> 3 & 1);
        break;
    case 1:
        answer_one(in, (size_t)take(in, 2));
        break;
    case 2:
        if (command & 8)
            start(transport, 2, 16, command >> 4);
        else
            poke_ram(in);
        break;
    case 3:
        late = command & 8;
        refuses = command & 16;
        break;
    case 4: {
        struct files_handler handler = virtio_fs_handler(&fs);
        handler.ready(handler.device);
        break;
    }
    case 5:
    case 6:
        write_request(in, command >> 3 & 1);
        break;
    default:
        write_ring(in, command >> 3 & 1, 16);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct virtio_mmio transport;
    struct input in = {data, data + size};
    struct irq_line line = {0};

    reset_space();
    waiting_count = 0;
    unsigned options = (unsigned)take(&in, 1);
    late = options & 16;
    refuses = false;
    virtio_fs_init(&fs, &(struct virtio_fs_config){&space, {submit, NULL}, "tag"});
    virtio_mmio_init(&transport, &fs.virtio, &line);
    start(&transport, 2, 16, options);
    while (in.at < in.end)
        step(&transport, &in, (uint8_t)take(&in, 1));
    /* After a reset no answer may reach memory. */
    write32(&transport, 0x70, 0);
    static uint8_t before[RAM_SIZE];
    memcpy(before, ram, sizeof(ram));
    while (waiting_count)
        answer_one(&in, 4096);
    if (!virtio_fs_is_idle(&fs) || memcmp(before, ram, sizeof(ram)) != 0)
        abort();
    return 0;
}
