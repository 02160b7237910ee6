/* SPDX-License-Identifier: Apache-2.0
 * virtio console, one port (virtio 1.2, section 5.3).
 *
 * No chain is held while a stream is full: it is put back, and the count of its
 * bytes that are out already is all we keep. So a stopped reader costs nothing
 * and there is nothing in flight to save. */
#include "dev/virtio/console.h"

#include "base/endian.h"

enum {
    DEVICE_ID = 3,
    QUEUE_SIZE = 64,
    RECEIVE = 0,
    TRANSMIT = 1,
    CONFIG_COLUMNS = 0,
    CONFIG_ROWS = 2,
    CONFIG_PORTS = 4,
    CONFIG_EMERGENCY_WRITE = 8,
    CONFIG_SIZE = 12,
    /* Work for one notification; the rest waits for the driver's next access. */
    CHAIN_BUDGET = 4 * QUEUE_SIZE,
    BYTE_BUDGET = 1 << 20,
    WRITE_MOST = 1 << 16,
};

#define VIRTIO_CONSOLE_F_SIZE        BIT(0)
#define VIRTIO_CONSOLE_F_EMERG_WRITE BIT(2)

enum send_result {
    SEND_DONE,
    SEND_STREAM_FULL,
    SEND_BUDGET_SPENT,
};

static size_t write_out(const struct virtio_console *console, const uint8_t *bytes, size_t size)
{
    const struct stream_port *output = &console->config.output;
    size_t taken = output->write ? output->write(output->owner, bytes, size) : size;

    return MIN(taken, size);
}

/* Sends what of the chain is not out yet. */
static enum send_result send_chain(struct virtio_console *console, const struct virtio_chain *chain,
                                   uint64_t *budget)
{
    uint64_t skip = console->sent;

    for (unsigned i = 0; i < chain->readable_count; i++) {
        const struct virtio_segment *segment = &chain->segments[i];
        uint64_t at = MIN(skip, segment->size);
        skip -= at;
        while (at < segment->size) {
            size_t part = (size_t)MIN(segment->size - at, WRITE_MOST);
            if (*budget < part)
                return SEND_BUDGET_SPENT;
            size_t taken = write_out(console, segment->bytes + at, part);
            *budget -= taken;
            console->sent += taken;
            at += taken;
            if (taken < part)
                return SEND_STREAM_FULL;
        }
    }
    return SEND_DONE;
}

static void transmit(struct virtio_console *console)
{
    struct virtio_device *device = &console->virtio;
    uint64_t budget = BYTE_BUDGET;

    if (console->output_waits)
        return;
    for (unsigned chains = 0; chains < CHAIN_BUDGET; chains++) {
        const struct virtio_chain *chain = virtio_pop(device, TRANSMIT);
        if (!chain)
            return;
        enum send_result result = send_chain(console, chain, &budget);
        if (result == SEND_DONE) {
            console->sent = 0;
            virtio_push(device, TRANSMIT, &chain->token, 0);
            continue;
        }
        virtqueue_unpop(&device->queues[TRANSMIT], &chain->token);
        if (result == SEND_BUDGET_SPENT)
            break;
        console->output_waits = true;
        return;
    }
    virtio_work_waits(device);
}

static void invite_input(struct virtio_console *console)
{
    if (!console->input_waits || !virtio_is_running(&console->virtio))
        return;
    console->input_waits = false;
    if (console->config.output.readable)
        console->config.output.readable(console->config.output.owner);
}

static void console_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_console *console = CONTAINER_OF(device, struct virtio_console, virtio);

    if (queue == TRANSMIT)
        transmit(console);
    else
        invite_input(console);
}

static size_t console_receive(void *object, const uint8_t *bytes, size_t size)
{
    struct virtio_console *console = object;
    struct virtio_device *device = &console->virtio;
    size_t taken = 0;

    while (taken < size) {
        const struct virtio_chain *chain = virtio_pop(device, RECEIVE);
        if (!chain)
            break;
        if (chain->writable_size == 0) {
            virtio_needs_reset(device, "receive buffer that cannot be written");
            break;
        }
        size_t part = virtio_chain_write(chain, device->space, 0, bytes + taken, size - taken);
        virtio_push(device, RECEIVE, &chain->token, (uint32_t)part);
        taken += part;
    }
    console->input_waits = taken < size;
    return taken;
}

static void console_writable(void *object)
{
    struct virtio_console *console = object;

    if (!console->output_waits)
        return;
    console->output_waits = false;
    virtio_notify(&console->virtio, TRANSMIT);
}

struct stream_handler virtio_console_handler(struct virtio_console *console)
{
    return (struct stream_handler){console_receive, console_writable, console};
}

static void set_size(struct virtio_console *console, uint16_t columns, uint16_t rows)
{
    store_le16(console->virtio.config + CONFIG_COLUMNS, columns);
    store_le16(console->virtio.config + CONFIG_ROWS, rows);
}

void virtio_console_resize(struct virtio_console *console, uint16_t columns, uint16_t rows)
{
    if (!(console->virtio.features & VIRTIO_CONSOLE_F_SIZE))
        return;
    set_size(console, columns, rows);
    virtio_config_changed(&console->virtio);
}

/* A character without any queue, for panics: lost when the stream is full. */
static void console_config_write(struct virtio_device *device, unsigned offset, uint64_t value,
                                 unsigned size)
{
    struct virtio_console *console = CONTAINER_OF(device, struct virtio_console, virtio);
    uint8_t byte = (uint8_t)value;

    (void)size;
    if (offset == CONFIG_EMERGENCY_WRITE)
        write_out(console, &byte, 1);
}

static void console_type_reset(struct virtio_device *device)
{
    struct virtio_console *console = CONTAINER_OF(device, struct virtio_console, virtio);

    console->sent = 0;
    console->output_waits = false;
}

static const struct virtio_type console_type = {
    .name = "virtio-console",
    .device_id = DEVICE_ID,
    .queue_count = 2,
    .queue_size = QUEUE_SIZE,
    .pci_class = 0x078000,
    .notify = console_notify,
    .reset = console_type_reset,
    .config_write = console_config_write,
};

static void console_reset(void *object)
{
    struct virtio_console *console = object;

    virtio_device_reset(&console->virtio);
}

static int console_loaded(void *object, struct error *err)
{
    struct virtio_console *console = object;
    int result = virtio_device_loaded(&console->virtio, err);

    if (result < 0)
        return result;
    console->input_waits = true;
    console_writable(console);
    invite_input(console);
    return 0;
}

static const struct state_field console_fields[] = {
    STATE_STRUCT(struct virtio_console, virtio, &virtio_device_state),
    STATE_FIELD(struct virtio_console, sent),
    STATE_RANGE(struct virtio_console, output_waits, 1),
};
static const struct state_table console_state = STATE_TABLE("virtio-console", 1, console_fields);

const struct device_ops virtio_console_ops = {console_reset, &console_state, console_loaded};

void virtio_console_init(struct virtio_console *console, const struct virtio_console_config *config)
{
    uint64_t features = VIRTIO_CONSOLE_F_EMERG_WRITE;

    *console = (struct virtio_console){.config = *config};
    if (config->columns)
        features |= VIRTIO_CONSOLE_F_SIZE;
    virtio_device_init(&console->virtio, &console_type, config->space, features);
    console->virtio.config_size = CONFIG_SIZE;
    set_size(console, config->columns, config->rows);
    store_le32(console->virtio.config + CONFIG_PORTS, 1);
}
