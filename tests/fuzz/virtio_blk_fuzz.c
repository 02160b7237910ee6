/* SPDX-License-Identifier: Apache-2.0
 * Fuzz target: block device with a disk that answers late, or never in order. */
#include "base/endian.h"
#include "dev/virtio/blk.h"
#include "dev/virtio/mmio.h"
#include "fuzz/driver.h"

#include <stdlib.h>
#include <string.h>

#define SECTORS 64u

static uint8_t disk[SECTORS * BLOCK_SECTOR_SIZE];
static struct block_request *waiting[VIRTIO_BLK_QUEUE_SIZE];
static unsigned waiting_count;
static bool late;

static void answer(struct block_request *request, int result)
{
    uint64_t at = request->offset;

    for (unsigned i = 0; result == 0 && i < request->segment_count; i++) {
        const struct block_segment *segment = &request->segments[i];
        if (request->op == BLOCK_READ)
            memcpy(segment->bytes, disk + at, segment->size);
        else
            memcpy(disk + at, segment->bytes, segment->size);
        at += segment->size;
    }
    request->done(request, result);
}

static void submit(void *owner, struct block_request *request)
{
    uint64_t total = 0;

    (void)owner;
    for (unsigned i = 0; i < request->segment_count; i++)
        total += request->segments[i].size;
    if (request->op != BLOCK_FLUSH &&
        (request->offset > sizeof(disk) || request->size > sizeof(disk) - request->offset ||
         request->offset % 512 || request->size % 512 || request->size == 0))
        abort();
    if ((request->op == BLOCK_READ || request->op == BLOCK_WRITE) && total != request->size)
        abort();
    if (!late) {
        answer(request, 0);
        return;
    }
    if (waiting_count == VIRTIO_BLK_QUEUE_SIZE)
        abort(); /* the pool bounds what is in flight */
    waiting[waiting_count++] = request;
}

static void answer_one(struct input *in, int result)
{
    if (!waiting_count)
        return;
    unsigned which = (unsigned)take(in, 1) % waiting_count;
    struct block_request *request = waiting[which];
    waiting[which] = waiting[--waiting_count];
    answer(request, result);
}

/* A request header at the place where write_ring's addresses point. */
static void write_header(struct input *in)
{
    static const uint8_t types[] = {0, 1, 4, 8, 11, 13, 0, 1};
    uint8_t *header = ram + 0x8000 + take(in, 1) * 16;
    uint8_t shape = (uint8_t)take(in, 1);

    store_le32(header, shape & 8 ? take(in, 1) & 0xff : types[shape & 7]);
    store_le64(header + 8, shape & 16 ? take(in, 8) : take(in, 1) % (SECTORS + 2));
}

/* A request that is nearly right: header, data, status, one more available. */
static void write_request(struct input *in, uint8_t command)
{
    static const uint8_t types[] = {0, 1, 4, 8, 11, 13, 0, 1};
    uint16_t slot = (uint16_t)(command >> 4 & 3) * 4;
    uint8_t type = types[take(in, 1) & 7];
    uint16_t index = load_le16(ram + 0x1402);
    bool device_writes = type == 0 || type == 8;

    store_le32(ram + 0x8000, type);
    store_le64(ram + 0x8008, take(in, 1) % (SECTORS + 2));
    store_le64(ram + 0x8010, take(in, 1) % (SECTORS + 2)); /* of discard */
    store_le32(ram + 0x8018, (uint32_t)take(in, 1));
    store_le32(ram + 0x801c, (uint32_t)take(in, 1) % 3);
    const uint64_t at[3] = {0x8000, device_writes ? 0x9000 : 0x8010, 0x8800};
    const uint32_t sizes[3] = {16, command & 8 ? 16 : 512 * (uint32_t)(take(in, 1) % 4 + 1), 1};
    for (unsigned i = 0; i < 3; i++) {
        uint8_t *descriptor = ram + 0x1000 + (size_t)16 * (slot + i);
        store_le64(descriptor, at[i]);
        store_le32(descriptor + 8, sizes[i]);
        store_le16(descriptor + 12,
                   (uint16_t)((i < 2 ? 1 : 0) | (i == 2 || (i == 1 && device_writes) ? 2 : 0)));
        store_le16(descriptor + 14, (uint16_t)(slot + i + 1));
    }
    store_le16(ram + 0x1404 + (size_t)2 * (index % 16), slot);
    store_le16(ram + 0x1402, (uint16_t)(index + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct virtio_blk blk;
    struct input in = {data, data + size};
    struct virtio_mmio transport;
    struct irq_line line = {0};

    reset_space();
    waiting_count = 0;
    unsigned options = (unsigned)take(&in, 1);
    late = options & 16;
    struct virtio_blk_config config = {
        .space = &space,
        .disk = {sizeof(disk), (options & 32) != 0, (options & 64) != 0, submit, NULL, NULL},
    };
    virtio_blk_init(&blk, &config);
    virtio_mmio_init(&transport, &blk.virtio, &line);
    start(&transport, 1, 16, options);
    while (in.at < in.end) {
        uint8_t command = (uint8_t)take(&in, 1);
        switch (command & 7) {
        case 0:
            write32(&transport, 0x50, 0);
            break;
        case 1:
            answer_one(&in, command & 8 ? -5 : 0);
            break;
        case 2:
            write_header(&in);
            break;
        case 3:
            if (command & 8)
                start(&transport, 1, 16, command >> 4 | 8);
            else
                poke_ram(&in);
            break;
        case 4:
            if (command & 8)
                write32(&transport, 0x44, 0); /* the queue goes while requests fly */
            else
                late = command & 16;
            break;
        case 5:
            write_request(&in, command);
            break;
        default:
            write_ring(&in, 0, 16);
            break;
        }
    }
    while (waiting_count)
        answer_one(&in, 0);
    if (!virtio_blk_is_idle(&blk))
        abort();
    return 0;
}
